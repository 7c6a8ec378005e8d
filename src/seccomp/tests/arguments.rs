// SPDX-License-Identifier: LGPL-2.1-or-later
//! Rules on arguments, edits, and what the two names differ in.

use super::*;

const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_NETLINK: u64 = 16;
const AF_VSOCK: u64 = 40;
const EPERM: u32 = errno(1);
const EBADF: u32 = errno(9);
const EINVAL: u32 = errno(22);
const ENOSYS: u32 = errno(38);
const EAFNOSUPPORT: u32 = errno(97);

fn build(request: FilterRequest<'_>) -> Filter {
    compile(&request).unwrap()
}

#[test]
fn defaults_of_both_names() {
    let (spawn, nspawn) = (build(request(Posture::Spawn)), build(request(Posture::SystemdNspawn)));
    for abi in ["x86-64", "x32", "x86"] {
        for (call, args, as_spawn, as_nspawn) in [
            ("read", &[][..], ALLOW, ALLOW),
            ("clone3", &[], ALLOW, ALLOW),
            ("mount_setattr", &[], ALLOW, ALLOW),
            ("ptrace", &[], ALLOW, ALLOW),
            ("reboot", &[], ALLOW, ALLOW),
            ("swapon", &[], EPERM, EPERM),
            ("kexec_load", &[], EPERM, EPERM),
            ("open_by_handle_at", &[], EPERM, EPERM),
            ("bpf", &[], EPERM, EPERM),
            ("settimeofday", &[], EPERM, EPERM),
            ("mlock", &[], EPERM, EPERM),
            ("pkey_alloc", &[], ENOSYS, EPERM),
            ("io_uring_setup", &[], ENOSYS, ALLOW),
            ("io_uring_enter", &[], ENOSYS, ALLOW),
            ("io_uring_register", &[], ENOSYS, ALLOW),
            ("userfaultfd", &[], ENOSYS, ALLOW),
            ("socket", &[AF_UNIX], ALLOW, ALLOW),
            ("socket", &[AF_VSOCK], EAFNOSUPPORT, ALLOW),
            // The kernel takes an int: what is above it must not hide the family.
            ("socket", &[1 << 32 | AF_VSOCK], EAFNOSUPPORT, ALLOW),
            ("socket", &[AF_NETLINK, 3, 0], ALLOW, ALLOW),
            ("socket", &[AF_NETLINK, 3, 9], EAFNOSUPPORT, EAFNOSUPPORT),
            ("socket", &[AF_INET, 3, 9], ALLOW, ALLOW),
            ("open", &[0, 0o4010000], ALLOW, ALLOW),
            ("fsync", &[0], ALLOW, ALLOW),
        ] {
            assert_eq!(on_x86_64(&spawn, abi, call, args), as_spawn, "spawn {abi} {call} {args:?}");
            assert_eq!(on_x86_64(&nspawn, abi, call, args), as_nspawn, "nspawn {abi} {call} {args:?}");
        }
    }
}

#[test]
fn unknown_numbers_and_abis_do_not_exist() {
    let filter = build(request(Posture::Spawn));
    let (x86_64, i386) = (0xC000_003E, 0x4000_0003);
    // Last: read(2) of x32 as -1, of 31-bit s390, of mips; the 64-bit number of rt_sigaction on x32.
    for (arch, number) in [
        (x86_64, 335 + 20),
        (x86_64, 472),
        (x86_64, 600),
        (x86_64, u32::MAX),
        (x86_64, 0x8000_0000),
        (x86_64, 0x4000_0000 + 13),
        (x86_64, 0x4000_0000 + 548),
        (i386, 472),
        (i386, 0x4000_0000 + 39),
        (0x16, 3),
        (0x8, 4003),
        (0, 0),
        (u32::MAX, 0),
    ] {
        let action = run(&filter.program, &Call::new(Machine::X86_64, arch, number, &[]));
        assert_eq!(action, ENOSYS, "{arch:#x} {number:#x}");
    }
}

#[test]
fn capabilities_open_their_calls() {
    for (capability, call) in [
        (14, "mlock"),
        (16, "finit_module"),
        (17, "iopl"),
        (19, "ptrace"),
        (20, "acct"),
        (22, "reboot"),
        (25, "clock_settime"),
        (26, "vhangup"),
        (34, "syslog"),
        (39, "bpf"),
    ] {
        let with = build(FilterRequest { capabilities: CapabilitySet(1 << capability), ..request(Posture::Spawn) });
        let without =
            build(FilterRequest { capabilities: CapabilitySet(!(1 << capability)), ..request(Posture::Spawn) });
        assert_eq!(on_x86_64(&with, "x86-64", call, &[]), ALLOW, "{call}");
        assert_eq!(on_x86_64(&without, "x86-64", call, &[]), EPERM, "{call}");
    }
}

#[test]
fn edits_allow_and_refuse() {
    for (edits, call, want) in [
        (&["@swap"][..], "swapon", ALLOW),
        (&["swapon"], "swapon", ALLOW),
        (&["swapon"], "swapoff", EPERM),
        (&["~mount"], "mount", EPERM),
        (&["~mount", "mount"], "mount", EPERM),
        (&["@swap", "~swapon"], "swapon", EPERM),
        (&["@swap", "~swapon"], "swapoff", ALLOW),
        (&["@known"], "kexec_load", ALLOW),
        (&["@aio"], "io_uring_setup", ALLOW),
        (&["io_uring_setup"], "io_uring_setup", ALLOW),
        (&["io_uring_setup"], "io_uring_enter", ENOSYS),
        (&["@aio", "~io_uring_setup"], "io_uring_setup", EPERM),
        (&["~io_uring_setup"], "io_uring_setup", ENOSYS),
        (&["userfaultfd"], "userfaultfd", ALLOW),
        (&["no_such_call"], "read", ALLOW),
        (&["~socket"], "socket", EPERM),
    ] {
        let edits = lists(edits);
        let filter = build(FilterRequest { edits: &edits, ..request(Posture::Spawn) });
        assert_eq!(on_x86_64(&filter, "x86-64", call, &[]), want, "{edits:?} {call}");
    }
}

#[test]
fn a_refused_group_loses_all_members_but_under_the_compatible_name() {
    let edits = lists(&["~@file-system"]);
    let filter = |posture| build(FilterRequest { edits: &edits, ..request(posture) });
    // close(2) is in @basic-io as well, mkdir(2) is not.
    assert_eq!(on_x86_64(&filter(Posture::Spawn), "x86-64", "close", &[]), EPERM);
    assert_eq!(on_x86_64(&filter(Posture::SystemdNspawn), "x86-64", "close", &[]), ALLOW);
    assert_eq!(on_x86_64(&filter(Posture::SystemdNspawn), "x86-64", "mkdir", &[]), EPERM);
    let nested = lists(&["~@sandbox", "@system-service"]);
    let filter = build(FilterRequest { edits: &nested, ..request(Posture::SystemdNspawn) });
    assert_eq!(on_x86_64(&filter, "x86-64", "landlock_add_rule", &[]), EPERM);
    assert_eq!(on_x86_64(&filter, "x86-64", "mlock", &[]), ALLOW);
}

#[test]
fn families_are_restricted_on_every_abi() {
    for (families, unix, inet, vsock, audit, odd) in [
        (&["AF_UNIX"][..], ALLOW, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT),
        (&["AF_UNIX AF_VSOCK"], ALLOW, EAFNOSUPPORT, ALLOW, EAFNOSUPPORT, EAFNOSUPPORT),
        (&["~AF_INET"], ALLOW, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT, ALLOW),
        (&["none"], EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT),
        (&["AF_NETLINK"], EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT),
    ] {
        let families = lists(families);
        for machine in Machine::ALL {
            let request = FilterRequest { machine, address_families: &families, ..request(Posture::Spawn) };
            let filter = build(request);
            for abi in machine.abis() {
                let (arch, number) = number(machine, abi.name, "socket");
                for (args, want) in [
                    (&[AF_UNIX][..], unix),
                    (&[AF_INET], inet),
                    (&[AF_VSOCK], vsock),
                    (&[AF_NETLINK, 3, 9], audit),
                    (&[u64::MAX], odd),
                    (&[64 + AF_UNIX], odd),
                ] {
                    let action = run(&filter.program, &Call::new(machine, arch, number, args));
                    assert_eq!(action, want, "{} {families:?} {args:?}", abi.name);
                }
            }
        }
    }
}

#[test]
fn socketcall_makes_no_socket_that_a_rule_refuses() {
    let (unix, vsock) = (lists(&["AF_UNIX"]), lists(&["~AF_INET", "~AF_VSOCK", "AF_VSOCK AF_INET"]));
    let named = lists(&["socketcall"]);
    let base = request(Posture::Spawn);
    let (i386, s390x) = ((Machine::X86_64, "x86"), (Machine::S390x, "s390x"));
    for (request, (machine, abi), want) in [
        (base, i386, ENOSYS),
        (base, s390x, ALLOW),
        (FilterRequest { address_families: &unix, ..base }, i386, ENOSYS),
        (FilterRequest { address_families: &unix, ..base }, s390x, ENOSYS),
        (FilterRequest { address_families: &vsock, ..base }, i386, ALLOW),
        (FilterRequest { edits: &named, ..base }, i386, ALLOW),
        (FilterRequest { socketcall: SocketCall::Open, address_families: &unix, ..base }, i386, ALLOW),
        (FilterRequest { posture: Posture::SystemdNspawn, address_families: &unix, ..base }, i386, ALLOW),
    ] {
        let filter = build(FilterRequest { machine, ..request });
        let (arch, number) = number(machine, abi, "socketcall");
        let action = |call| run(&filter.program, &Call::new(machine, arch, number, &[call]));
        assert_eq!(action(1), want, "{abi} {request:?}");
        assert_eq!(action(4), ALLOW, "listen by socketcall");
    }
}

#[test]
fn syncing_is_suppressed() {
    let filter = build(FilterRequest { sync: Sync::Suppressed, ..request(Posture::SystemdNspawn) });
    for abi in ["x86-64", "x32", "x86"] {
        for (call, args, want) in [
            ("sync", &[][..], errno(0)),
            ("msync", &[u64::MAX], errno(0)),
            ("fsync", &[3], errno(0)),
            ("fdatasync", &[u32::MAX.into()], EBADF),
            ("syncfs", &[u64::MAX], EBADF),
            ("sync_file_range", &[i32::MAX as u64], errno(0)),
            ("open", &[0, 0o2], ALLOW),
            ("open", &[0, 0o4010002], EINVAL),
            ("openat", &[0, 0, 0o10000], EINVAL),
            ("openat", &[0, 0o10000, 0], ALLOW),
            ("openat2", &[], ALLOW),
        ] {
            assert_eq!(on_x86_64(&filter, abi, call, args), want, "{abi} {call} {args:?}");
        }
    }
}

#[test]
fn mistakes_and_warnings_are_worded() {
    let (edits, families) = (lists(&["@nonsense", "~@more", "frobnicate"]), lists(&["AF_NONE"]));
    let errors = compile(&FilterRequest { edits: &edits, address_families: &families, ..request(Posture::Spawn) });
    let text: Vec<_> = errors.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 3);
    assert!(text[0].starts_with("unknown group of system calls @nonsense"), "{}", text[0]);
    assert!(text[0].contains("--system-call-filter=@nonsense") && text[0].contains("@system-service"), "{}", text[0]);

    let edits = lists(&["~kill frobnicate -frobnicate -@more -kill"]);
    let errors = compile(&FilterRequest { edits: &edits, ..request(Posture::Spawn) }).unwrap_err();
    let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(text.len() == 1 && text[0].starts_with("no system call is named frobnicate, so it"), "{text:?}");
    let edits = lists(&["~-frobnicate -@more -mkdir"]);
    let filter = build(FilterRequest { edits: &edits, ..request(Posture::Spawn) });
    assert_eq!((on_x86_64(&filter, "x86-64", "mkdir", &[]), filter.explain.warnings.len()), (errno(1), 0));
    let edits = lists(&["~frobnicate"]);
    let filter = build(FilterRequest { edits: &edits, ..request(Posture::SystemdNspawn) });
    assert!(filter.explain.warnings[0].contains("nothing is refused"), "{:?}", filter.explain.warnings);

    let edits = lists(&["@nonsense", "~@more", "mount"]);
    let filter = build(FilterRequest { edits: &edits, ..request(Posture::SystemdNspawn) });
    let told = filter.explain.warnings.join("\n");
    assert!(told.contains("@nonsense (named by --system-call-filter=@nonsense): nothing is allowed"), "{told}");
    assert!(told.contains("@more (named by --system-call-filter=~@more): nothing is refused"), "{told}");

    let edits = lists(&["frobnicate", "@aio"]);
    let filter = build(FilterRequest { edits: &edits, log: Log::Refusals, ..request(Posture::Spawn) });
    assert!(filter.explain.warnings[0].contains("frobnicate"));
    assert!(filter.explain.warnings[1].contains("io_uring"));
    assert_eq!(filter.flags, 2);
    let json = serde_json::to_value(&filter.explain).unwrap();
    assert_eq!(json["abis"][1]["abi"], "x32");
    assert_eq!(json["families"]["except"][0], "AF_VSOCK");
    assert_eq!(json["hidden"][3], "userfaultfd");
    assert_eq!(json["instructions"], filter.program.len());
}
