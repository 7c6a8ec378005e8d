// SPDX-License-Identifier: LGPL-2.1-or-later
//! Inside a host with systemd as PID 1: scope, machined, journald, units, machinectl.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod fd_store;

mod bed;
mod forward;
mod guest;
mod journal;
mod machined;
mod manual;
mod many;
mod pages;
mod scope;
mod slow;
mod sudo;
mod traps;
mod units;

use common::runner::{self, cases};
use common::{Outcome, crowd, in_use, killing, skip};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main(
        needs,
        cases![
            bed::systemd_is_the_suites,
            bed::machined_answers,
            bed::nspawn_runs_busybox,
            scope::properties_as_documented,
            scope::the_payload_has_a_group_of_its_own,
            scope::properties_that_were_asked_for,
            scope::wrong_properties_are_refused,
            scope::the_slice_can_be_chosen,
            scope::the_kill_signal_asks_the_payload,
            scope::systemctl_stop_is_an_orderly_shutdown[120],
            scope::signals_to_the_supervisor_are_an_orderly_stop[240],
            scope::a_name_in_use_is_refused,
            scope::the_name_of_a_foreign_unit_is_refused,
            scope::keep_unit_runs_in_the_callers_unit,
            scope::keep_unit_passes_statuses_on_and_133_not[120],
            scope::a_start_outlives_a_systemd_that_is_executed_anew[120],
            scope::a_guest_without_a_cgroup_namespace_boots[240],
            machined::knows_what_it_was_told,
            machined::shell_and_login[120],
            machined::shell_in_a_user_namespace[120],
            machined::copies_in_and_out[120],
            machined::binds_where_there_is_no_user_namespace[120],
            machined::d34_bind_is_refused_in_a_user_namespace[120],
            machined::poweroff_terminate_and_kill[300],
            machined::d39_reboot_keeps_name_and_id[240],
            machined::register_no_and_yes,
            machined::d29_without_machined_auto_goes_on_and_yes_does_not,
            machined::a_registration_that_machined_lost_is_repaired,
            machined::a_restart_of_the_bus_is_survived[240],
            machined::sockets_of_the_guest_reach_the_host[180],
            machined::an_image_is_started_by_name,
            slow::a_machined_that_answers_late_gets_to_know_the_machine[120],
            slow::a_reboot_while_machined_does_not_answer[240],
            slow::an_end_while_machined_does_not_answer,
            slow::a_silent_machined_and_register_yes,
            journal::own_messages_have_fields,
            journal::the_end_says_what_was_consumed,
            journal::what_was_consumed_is_told_however_late_it_is_read,
            journal::failures_have_their_code,
            journal::no_secret_is_seen_anywhere,
            journal::a_console_that_nobody_watches_is_there_once,
            journal::as_a_unit_the_console_is_there_once,
            journal::try_guest_lets_the_host_read[240],
            journal::try_guest_lets_the_host_read_a_user_namespace[240],
            journal::no_and_auto_make_no_link,
            journal::auto_uses_the_hosts_directory,
            journal::host_and_guest_are_made_or_refused,
            journal::a_clash_of_ids_is_told,
            journal::d48_a_failed_start_takes_the_link_back,
            journal::a_restart_of_journald_is_survived,
            forward::what_the_guest_writes_is_stored_meanwhile[180],
            forward::reboots_and_restarts_of_journald_lose_nothing[240],
            forward::the_last_entries_are_stored[180],
            forward::only_root_of_the_container_can_send,
            forward::passed_descriptors_are_for_the_payload_alone,
            forward::a_killed_supervisor_leaves_no_receiver,
            forward::a_killed_receiver_is_told_and_another_one_comes[120],
            forward::limits_hold_or_are_refused[120],
            forward::what_cannot_be_stored_is_told_in_time,
            fd_store::d27_what_is_stored_comes_back_with_its_name[180],
            fd_store::without_a_store_nothing_is_passed_on[120],
            sudo::the_terminal_works_and_is_restored,
            sudo::the_keyboard_reaches_a_payload_with_piped_output,
            sudo::in_the_background_it_runs_on,
            units::spawn_service_boots_reboots_and_stops[400],
            units::machinectl_start_and_enable_use_it[300],
            units::notify_ready_waits_for_the_guest[180],
            units::a_folder_of_the_case_is_not_a_machine,
            manual::examples_of_spawn_work[180],
            manual::examples_of_settings_files_work[180],
            manual::examples_of_messages_are_what_is_said,
            manual::examples_of_the_journal_find_it,
            many::reboots_in_a_row[240],
            many::the_terminal_stays_across_a_reboot,
            many::one_hundred_in_a_loop[240],
            many::one_hundred_at_once[300],
            traps::d57_an_image_that_cannot_be_mounted_on_leaves_no_scope,
            journal::d12_groups_of_a_linked_journal_are_seen,
            faults::d57_d58_every_call_fails_closed_in_a_scope[900],
            killing::d56_supervisor_leaves_no_link[300],
            killing::supervisor_and_keeper_with_link,
            killing::keeper_is_replaced,
            killing::hup_quit_and_term_are_orderly,
            crowd::hundred_at_once[300],
            in_use::name,
            faults::name_of_a_foreign_unit,
            faults::tree_in_use_by_the_other_launcher,
        ],
    )
}

fn needs() -> Outcome {
    if !Path::new("/run/systemd/system").is_dir() {
        return skip("systemd is not PID 1 here; make check runs this in nested hosts");
    }
    Ok(())
}
