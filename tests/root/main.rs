// SPDX-License-Identifier: LGPL-2.1-or-later
//! Launching as root on a machine without systemd. `tests/check` runs this in namespaces of its own.

#[path = "../common/mod.rs"]
mod common;
mod faults;

mod attack;
mod canary;
mod images;

mod binds;
mod combinations;
mod copies;
mod exits;
mod foreign;
mod homes;
mod inside;
mod layers;
mod mounting;
mod namespaces;
mod network;
mod oddities;
mod planning;
mod ports;
mod powers;
mod random;
mod settings;
#[path = "../compat/settings_files.rs"]
mod settings_files;
#[path = "../compat/settings_pools.rs"]
mod settings_pools;
mod streams;
mod support;
mod surroundings;
mod swaps;
mod terminal;
mod traps;

use common::runner::{self, cases};
use common::{Case, HostState, Outcome, Pty, crowd, in_use, killing, skip};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    runner::main(
        needs,
        cases![
            harness::busybox_tree_has_a_shell,
            harness::host_state_sees_a_mount,
            harness::pty_talks,
            exits::the_payloads_exit_status_is_spawns,
            exits::d16_status_133_is_kept_but_by_nspawn,
            exits::death_by_signal_is_128_plus_n,
            exits::d16_below_a_stub_death_by_signal_is_128_plus_n,
            exits::d43_own_failures_are_125_to_127,
            exits::a_script_without_its_interpreter_is_not_found,
            exits::one_program_is_pid_1_and_leads_its_session,
            exits::words_are_bytes,
            exits::as_pid_2_a_stub_reaps_and_forwards,
            exits::the_stub_hands_on_a_request_to_power_off,
            exits::boot_runs_the_init_of_the_tree,
            exits::without_words_a_login_shell_runs,
            exits::d15_termination_signals_end_it,
            exits::a_hundred_starts_in_a_shell_loop[120],
            streams::stdio_is_passed_through_without_a_terminal,
            streams::the_hosts_null_device_is_not_handed_in,
            streams::only_0_to_2_reach_the_payload,
            streams::d27_passed_sockets_arrive_with_number_and_name,
            streams::a_directory_on_0_to_2_is_refused,
            streams::a_directory_from_socket_activation_is_refused,
            streams::a_directory_is_refused_with_all_other_mistakes,
            streams::a_terminal_is_relayed_and_restored,
            streams::three_escapes_end_it,
            streams::in_the_background_it_runs_on,
            streams::every_console_mode,
            streams::a_killed_supervisor_leaves_the_terminal_as_it_was,
            streams::quiet_leaves_only_warnings_and_errors,
            terminal::a_terminal_is_dressed_and_undressed,
            terminal::a_terminal_that_tells_its_colour_is_tinted,
            terminal::who_wants_no_dress_gets_none,
            namespaces::namespaces_are_as_asked,
            namespaces::namespaces_of_the_host_are_shared_where_asked,
            namespaces::without_a_cgroup_namespace_only_the_own_group_can_be_changed,
            namespaces::api_file_systems_are_opened_as_asked,
            namespaces::d02_user_namespace_modes,
            namespaces::d41_pick_takes_the_range_of_the_name,
            namespaces::owners_through_an_idmapped_tree,
            namespaces::ownership_off_map_auto,
            namespaces::d11_mounts_below_the_tree_are_mapped_too,
            namespaces::a_tree_that_cannot_be_mapped,
            namespaces::files_are_given_to_a_range,
            namespaces::few_descriptors_are_told_of,
            foreign::a_tree_of_fuse_starts_without_a_user_namespace,
            foreign::a_tree_of_fuse_that_keeps_us_out,
            foreign::a_tree_whose_server_is_gone,
            namespaces::d54_a_tree_that_others_can_reach_is_remarked,
            mounting::what_a_root_lacks_is_made,
            mounting::mounts_below_run_host,
            mounting::mounts_and_flags_are_these,
            mounting::d47_a_network_of_its_own_has_a_sys_of_its_own,
            mounting::masked_files_are_empty_and_stay_so,
            mounting::masks_and_sysctls_refuse,
            mounting::content_of_dev,
            mounting::device_policy_holds,
            mounting::d26_content_of_run_host,
            mounting::modes_of_api_directories,
            mounting::every_boot_has_an_id_of_its_own,
            mounting::tmp_of_the_image_stays_when_asked,
            surroundings::environment_is_exactly_this,
            surroundings::logins_inside_are_their_own,
            surroundings::programs_are_found_by_the_containers_path,
            surroundings::hostname_is_the_machines_unless_said,
            surroundings::machine_id_rules,
            surroundings::credentials_are_set_and_loaded,
            surroundings::secrets_show_nowhere,
            surroundings::resolv_conf_modes,
            surroundings::timezone_modes,
            surroundings::a_network_of_its_own_has_lo_up,
            network::lent_links_come_back,
            network::a_killed_supervisor_gives_links_back[180],
            network::supervisor_and_keeper_killed_give_links_back,
            network::further_cables,
            network::macvlans,
            network::d48_ipvlans,
            network::bridges,
            network::zones_live_from_first_to_last_member,
            network::a_killed_supervisor_leaves_no_bridge[180],
            network::supervisor_and_keeper_killed_leave_no_bridge,
            network::d13_joined_namespaces,
            network::wrong_links_are_one_error_each,
            ports::d32_a_port_of_the_host_leads_to_the_container,
            ports::killed_supervisors_forward_nothing,
            powers::capabilities_of_root,
            powers::capabilities_of_another_user,
            powers::the_stub_has_no_power_that_its_program_lacks,
            powers::what_the_caller_lacks_is_one_warning,
            powers::no_new_privileges_and_filter,
            powers::a_mistyped_refusal_is_an_error,
            powers::users_are_those_of_the_image,
            homes::a_missing_home_is_made,
            homes::a_home_that_is_there_is_left_alone,
            homes::a_home_is_made_where_it_is_seen,
            homes::a_home_is_never_made_outside,
            homes::a_home_that_cannot_be_made_is_told,
            powers::syncs_do_nothing_when_suppressed,
            powers::limits_that_nobody_sets,
            powers::limits_that_are_set,
            powers::oom_affinity_personality,
            powers::working_directory,
            powers::umask_signals_and_keyring_are_fresh,
            binds::binds_and_their_options,
            binds::an_idmap_that_cannot_be_is_refused,
            binds::d01_sources_inside_the_image_stay_inside,
            binds::targets_are_made_and_must_fit,
            binds::a_source_that_is_not_named_is_temporary,
            binds::tmpfs_and_its_options,
            binds::d24_inaccessible_paths,
            binds::read_only_trees,
            binds::bound_devices_are_allowed,
            layers::overlays_take_changes,
            layers::forms_of_overlays,
            layers::d01_layers_inside_the_image_stay_inside,
            layers::d42_overlays_that_cannot_be,
            layers::a_killed_overlay_leaves_nothing,
            layers::volatile_modes,
            layers::a_directory_of_the_tree_becomes_the_root,
            layers::owners_of_binds,
            combinations::run_may_be_covered,
            combinations::the_root_cannot_be_covered,
            combinations::no_descriptors_are_enough,
            combinations::a_filter_that_stops_the_start_is_named,
            combinations::a_console_that_is_covered_is_told,
            combinations::a_user_outside_of_the_range_is_refused,
            copies::a_tree_in_use_is_copied,
            copies::trees_are_made_from_templates,
            copies::subvolumes_are_snapshotted,
            planning::a_dry_run_touches_nothing,
            planning::a_dry_run_as_json_is_the_plan,
            planning::d46_names_come_from_the_directory,
            planning::machines_are_found_by_name,
            planning::missing_and_odd_trees_are_one_error,
            planning::all_mistakes_are_said_at_once,
            planning::a_name_in_use_is_refused,
            planning::a_tree_in_use_is_refused,
            oddities::a_link_to_a_tree_names_the_machine,
            oddities::directories_of_other_users_are_passed,
            oddities::a_host_without_procfs_is_told,
            oddities::scripts_without_an_interpreter_run,
            oddities::a_hidden_dev_is_told,
            oddities::a_read_only_copy_is_read_only,
            oddities::usr_may_be_a_link,
            oddities::a_tree_of_usr_alone_is_completed,
            oddities::a_limit_of_file_sizes_is_told,
            oddities::a_full_standard_output_is_told,
            oddities::a_current_directory_that_is_gone,
            planning::throw_away_copies,
            settings::a_file_beside_the_tree,
            settings::d44_files_and_drop_ins_of_the_administrator,
            settings::what_keeps_a_file_from_being_used,
            planning::what_is_not_built_is_refused,
            planning::d38_without_systemd_there_is_one_notice,
            planning::cleanup_removes_leftovers,
            traps::d04_pid_1_says_what_the_container_is,
            traps::d17_d18_d20_d40_what_is_not_built_is_refused_whole,
            traps::d19_a_file_that_cannot_be_copied_is_told,
            traps::d21_an_empty_machine_name_is_refused,
            traps::d22_no_notice_of_a_later_default,
            traps::d28_nothing_is_mounted_twice,
            traps::d29_a_start_that_fails_leaves_no_link,
            traps::d33_links_need_no_machine_id_of_the_host,
            traps::d35_users_read_their_credentials,
            traps::d36_users_are_looked_up_without_the_images_programs,
            traps::d37_a_running_machine_is_written_down,
            traps::d55_a_throw_away_copy_of_a_huge_file_takes_no_time,
            faults::d51_d58_every_call_fails_closed_without_user_namespace[600],
            faults::d51_d58_every_call_fails_closed_with_user_namespace[600],
            faults::every_call_fails_closed_with_stub_and_user[600],
            faults::every_call_fails_closed_with_links[900],
            faults::every_call_fails_closed_with_a_zone_and_a_port[900],
            killing::d14_supervisor_leaves_nothing[300],
            killing::d56_supervisor_leaves_no_link[300],
            killing::supervisor_and_keeper,
            killing::supervisor_and_keeper_with_link,
            killing::keeper_is_replaced,
            killing::hup_quit_and_term_are_orderly,
            crowd::hundred_at_once[300],
            in_use::tree,
            in_use::name,
            in_use::not_a_tree,
            in_use::read_only_host,
            in_use::tree_without_idmap,
            inside::only_the_first_three_descriptors,
            inside::d03_d53_pid_1_shows_nothing_of_the_caller,
            inside::d53_self_exe_is_not_spawn,
            inside::mounts_cannot_be_undone,
            inside::new_namespaces_reveal_nothing,
            inside::no_way_out_of_the_root,
            inside::kernel_settings_refuse,
            inside::d31_system_calls_that_reach_the_host_are_refused,
            inside::d30_keyrings_of_the_host_are_out_of_reach,
            inside::devices_of_the_host_are_refused,
            inside::processes_of_the_host_are_out_of_reach,
            inside::abstract_sockets_of_the_host_are_out_of_reach,
            inside::d52_directories_and_terminals_are_not_handed_in,
            inside::input_pushed_into_the_console_stays_inside,
            inside::a_notify_flood_is_bounded,
            inside::a_console_flood_is_bounded,
            inside::deep_control_groups_are_removed,
            inside::runtime_files_are_private,
            inside::the_probe_sees_what_is_there,
            images::d49_absolute_links_to_a_folder[180],
            images::relative_links_to_a_file[180],
            images::magic_links[180],
            images::circles[180],
            images::links_to_the_root[180],
            images::d55_fifos[180],
            images::devices[180],
            images::sockets[180],
            images::directories_for_files[180],
            images::d55_huge_files[180],
            random::starts_say_what_is_wrong_and_leave_nothing[1200],
            swaps::d50_swapped_paths_never_lead_to_the_host[300],
        ],
    )
}

fn needs() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return skip("needs root");
    }
    Ok(())
}

/// The harness itself: a tree, the picture of the host, a terminal.
mod harness {
    use super::*;
    use crate::common::{Program, pty};

    pub fn busybox_tree_has_a_shell(case: &mut Case) -> Outcome {
        let tree = case.busybox_tree("tree")?;
        let output =
            Program::new("/usr/sbin/chroot").arg(&tree).args(["/bin/sh", "-c", "cat; exit 7"]).stdin("in").run();
        assert_eq!(output.expect_code(7).stdout, "in");
        Ok(())
    }

    pub fn host_state_sees_a_mount(case: &mut Case) -> Outcome {
        let before = HostState::take(case.dir());
        before.assert_unchanged();
        let mount = Program::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(case.dir()).run();
        if !mount.status.success() {
            return skip(format!("cannot mount here: {}", mount.stderr));
        }
        let after = HostState::take(case.dir());
        Program::new("umount").arg(case.dir()).run().expect_code(0);
        assert_ne!(before, after);
        before.assert_unchanged();
        Ok(())
    }

    pub fn pty_talks(case: &mut Case) -> Outcome {
        let tree = case.busybox_tree("tree")?;
        let mut terminal = Pty::open()?;
        terminal.resize(101, 33)?;
        let shell = Program::new(tree.join("usr/bin/busybox")).args(["sh", "-c", "tty; stty size; read x; exit $x"]);
        let mut child = terminal.start(&shell)?;
        terminal.expect("/dev/pts/", Duration::from_secs(5));
        terminal.expect("33 101", Duration::from_secs(5));
        terminal.send("3\n")?;
        assert_eq!(pty::wait(&mut child, Duration::from_secs(5)).code(), Some(3));
        Ok(())
    }
}
