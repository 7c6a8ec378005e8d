// SPDX-License-Identifier: LGPL-2.1-or-later
//! Descriptors that the payload stores are kept by the unit's service manager and come back under their names.

use crate::common::{Case, Outcome, Program, skip};
use crate::guest::{BOOT, DEBIAN, name_for, need_debian, systemd_version, unit, until};
use std::fs;

/// Stores its standard input's twin, which holds a word, under a name; when it has got it back it tells so.
const PAYLOAD: &str = r#"
use strict; use Socket;
sub told { open(my $f, '>', '/mnt/told.new') or die "told: $!"; print $f @_; close $f; rename '/mnt/told.new', '/mnt/told' }
if ($ENV{LISTEN_FDS}) {
    my @kept;
    for my $fd (3 .. 2 + $ENV{LISTEN_FDS}) {
        open(my $f, '<&=', $fd) or die "fd $fd: $!"; seek($f, 0, 0); push @kept, scalar <$f>;
    }
    told("$ENV{LISTEN_PID} $ENV{LISTEN_FDNAMES} @kept");
    sleep 600;
}
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
connect($s, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die "connect: $!";
sub tell_with {
    my ($fd, $text) = @_;
    my $iov = pack('P Q', $text, length $text);
    my $rights = pack('Q l l l x4', 20, 1, 1, $fd);
    my $message = pack('Q L x4 P Q P Q l x4', 0, 0, $iov, 1, $rights, length $rights, 0);
    my $call = `uname -m` =~ /x86_64/ ? 46 : 211;
    syscall($call, fileno($s), $message, 0) == length $text or die "sendmsg: $!";
}
my @files;
for my $word (qw(first second gone)) {
    open(my $f, '+>', "/tmp/$word") or die "file: $!"; push @files, $f;
    my $old = select($f); $| = 1; select($old); print $f $word;
}
tell_with(fileno($files[0]), "FDSTORE=1\nFDNAME=mine");
tell_with(fileno($files[1]), "FDSTORE=1\nFDPOLL=0");
tell_with(fileno($files[2]), "FDSTORE=1\nFDNAME=other");
send($s, "FDSTOREREMOVE=1\nFDNAME=other", 0) or die "send: $!";
# Until it is seen to be stored it must live, as only the first process is heard.
sleep 1 until -e '/mnt/go';
exit 3;
"#;

/// A unit that is stopped when dropped.
struct Unit(String);

impl Drop for Unit {
    fn drop(&mut self) {
        Program::new("systemctl").args(["stop", &self.0]).limit(BOOT).run();
    }
}

pub fn d27_what_is_stored_comes_back_with_its_name(case: &mut Case) -> Outcome {
    need_debian()?;
    if systemd_version() < 254 {
        return skip("this suite's systemd does not tell its services that they have a store");
    }
    let name = name_for(case);
    let shared = case.dir().join("shared");
    fs::create_dir(&shared)?;
    let bind = format!("--bind={}:/mnt", shared.display());
    let of_unit = Unit(format!("{name}.service"));
    let run = [
        "--unit",
        &of_unit.0,
        "--description=stores",
        "-p",
        "Type=notify",
        "-p",
        "FileDescriptorStoreMax=8",
        "-p",
        "Restart=on-failure",
    ];
    let words = ["--keep-unit", "-q", "-x", "-D", DEBIAN, "-M", &name, "--private-users=no", &bind];
    let program = Program::new("systemd-run").args(run).arg(Case::spawn_path()).args(words);
    program.args(["perl", "-e", PAYLOAD]).limit(BOOT).run().expect_code(0);
    until("two descriptors are stored", BOOT, || unit(&of_unit.0, "NFileDescriptorStore") == "2");
    fs::write(shared.join("go"), "")?;
    until("the second run tells", BOOT, || shared.join("told").exists());
    let told = fs::read_to_string(shared.join("told"))?;
    assert!(["1 mine:stored first second", "1 stored:mine second first"].contains(&told.as_str()), "{told}");
    Ok(())
}

pub fn without_a_store_nothing_is_passed_on(case: &mut Case) -> Outcome {
    need_debian()?;
    let name = name_for(case);
    let shared = case.dir().join("shared");
    fs::create_dir(&shared)?;
    let bind = format!("--bind={}:/mnt", shared.display());
    let of_unit = Unit(format!("{name}.service"));
    let run = ["--unit", &of_unit.0, "--description=stores", "-p", "Type=notify"];
    let words = ["--keep-unit", "-q", "-x", "-D", DEBIAN, "-M", &name, "--private-users=no", &bind];
    let program = Program::new("systemd-run").args(run).arg(Case::spawn_path()).args(words);
    program.args(["perl", "-e", PAYLOAD]).limit(BOOT).run().expect_code(0);
    fs::write(shared.join("go"), "")?;
    until("the payload has ended", BOOT, || unit(&of_unit.0, "ExecMainStatus") == "3");
    assert_eq!(unit(&of_unit.0, "NFileDescriptorStore"), "0");
    Ok(())
}
