// SPDX-License-Identifier: LGPL-2.1-or-later
//! Whose ids the container's users are (systemd-nspawn(1), `--private-users=` and `--private-users-ownership=`).

use super::{Facts, Told, UserNamespace};
use crate::config::{Invocation, Settings};
use crate::error::{Code, Diagnostic, Origin};
use crate::image::is_half_given;
use crate::model::{Ownership, PrivateUsers, UidRange};

/// The mode that holds: what was said, else none under the name systemd-nspawn and a range of its own under spawn.
pub fn mode(s: &Settings) -> PrivateUsers {
    match (&s.private_users, s.invocation) {
        (Some(said), _) => said.value,
        (None, Invocation::SystemdNspawn) if implied_by(s).is_none() => PrivateUsers::No,
        (None, Invocation::SystemdNspawn | Invocation::Spawn) => PrivateUsers::Pick,
    }
}

/// The option that asks systemd-nspawn 262 for a range without saying so: what it says of the range alone is enough.
fn implied_by(s: &Settings) -> Option<&Origin> {
    let by_nspawn = s.invocation == Invocation::SystemdNspawn && s.private_users.is_none();
    let said = s.ownership.as_ref().filter(|_| by_nspawn).map(|ownership| &ownership.origin);
    said.filter(|origin| matches!(origin, Origin::Option(_)))
}

/// Whether the plan depends on the tree's owners being mappable, which takes a try to find out.
pub fn asks_for_map(s: &Settings, owner: (u32, u32)) -> bool {
    match (mode(s), said_ownership(s)) {
        (PrivateUsers::Pick | PrivateUsers::Fixed(_), Some(Ownership::Chown)) => super::mounts::tree_is_kept(s),
        (PrivateUsers::No | PrivateUsers::Managed | PrivateUsers::Identity | PrivateUsers::FromTree, _) => false,
        (_, Some(Ownership::Off)) => false,
        (PrivateUsers::Pick, _) => true,
        (PrivateUsers::Fixed(range), ownership) => maps_fixed(range, ownership, owner),
    }
}

fn said_ownership(s: &Settings) -> Option<Ownership> {
    s.ownership.as_ref().map(|o| o.value)
}

/// A fixed range is for a tree that belongs to it, unless said otherwise; `auto` leaves such a tree alone.
fn maps_fixed(range: UidRange, ownership: Option<Ownership>, owner: (u32, u32)) -> bool {
    match ownership {
        None | Some(Ownership::Off) => false,
        Some(Ownership::Map) => true,
        Some(_) => range.base != 0 && owner.0 & 0xFFFF_0000 == 0,
    }
}

/// The user namespace. Falls back to none, with a notice, only where nobody has asked for one.
pub fn user_namespace(s: &Settings, f: &Facts, told: &mut Told) -> Result<UserNamespace, Diagnostic> {
    let implied = implied_by(s);
    let by_default = s.private_users.is_none() && implied.is_none();
    let mode = mode(s);
    if matches!(mode, PrivateUsers::No | PrivateUsers::Managed) {
        return Ok(UserNamespace::None);
    }
    let said = s.private_users.as_ref().map(|w| &w.origin).or(implied);
    let origin = said.cloned().unwrap_or(Origin::Default);
    if !f.user_namespaces {
        return match by_default {
            true => {
                told.notices.push("this kernel has no user namespaces: the container's root is the host's root".into());
                Ok(UserNamespace::None)
            }
            false => Err(Diagnostic::new(Code::KernelTooOld, "this kernel has no user namespaces")
                .origin(&origin)
                .help("say --private-users=no, or use a kernel built with CONFIG_USER_NS")),
        };
    }
    if by_default && let Some(api) = super::conflicts::opens_api(s) {
        told.notices.push(format!("{api}: the container runs without a user namespace, its root is the host's root"));
        return Ok(UserNamespace::None);
    }
    let owner = f.tree.owner;
    if asks_for_map(s, owner) && !f.tree.unmappable.is_empty() {
        if by_default && s.ownership.is_none() {
            told.notices.push(format!(
                "{}: the container runs without a user namespace, its root is the host's root",
                f.tree.unmappable.join(", ")
            ));
            return Ok(UserNamespace::None);
        }
        if !chowns_instead(s) {
            return Err(unmappable(f, &origin));
        }
    }
    if is_half_given(owner.0) && said_ownership(s) != Some(Ownership::Chown) {
        let what = format!("the files of the tree {} are given to a range of ids in part", f.tree.path.display());
        return Err(Diagnostic::new(Code::IdRange, what)
            .origin(&origin)
            .note("a start that was to change their owners was interrupted")
            .help("finish that with --private-users-ownership=chown"));
    }
    // A copy that is thrown away shows owners where a tree that stays has them changed.
    let on_disk = gives_files(s, f);
    Ok(match mode {
        PrivateUsers::No | PrivateUsers::Managed => UserNamespace::None,
        PrivateUsers::Identity => {
            UserNamespace::Fixed { range: UidRange { base: 0, size: UidRange::USUAL_SIZE }, idmap: false }
        }
        PrivateUsers::Fixed(range) => {
            let idmap = !on_disk && maps_fixed(range, said_ownership(s), owner);
            UserNamespace::Fixed { range, idmap }
        }
        PrivateUsers::FromTree => from_tree(f, &origin)?,
        PrivateUsers::Pick => {
            UserNamespace::Pick { owner, idmap: !on_disk && said_ownership(s) != Some(Ownership::Off) }
        }
    })
}

fn unmappable(f: &Facts, origin: &Origin) -> Diagnostic {
    let what = format!("cannot map the owners of the tree {}", f.tree.path.display());
    let shown = Diagnostic::new(Code::IdRange, what).origin(origin);
    let named = f.tree.unmappable.iter().fold(shown, |shown, mount| shown.note(mount));
    let instead = "use --private-users=no, or a tree on another file system";
    named.help(instead)
}

/// systemd-nspawn goes on by giving every file to the range, unless the owners were to be mapped. A tree that nothing is
/// written to cannot be given away.
fn chowns_instead(s: &Settings) -> bool {
    s.invocation == Invocation::SystemdNspawn
        && matches!(said_ownership(s), None | Some(Ownership::Auto))
        && !super::mounts::tree_is_kept(s)
}

fn gives_files(s: &Settings, f: &Facts) -> bool {
    let instead = asks_for_map(s, f.tree.owner) && !f.tree.unmappable.is_empty() && chowns_instead(s);
    instead || said_ownership(s) == Some(Ownership::Chown) && !super::mounts::tree_is_kept(s)
}

/// Who asked for the files of the tree to be given to the range, if they are.
pub fn gives(s: &Settings, f: &Facts, users: &UserNamespace) -> Option<Origin> {
    let asked = s.ownership.as_ref().map(|o| o.origin.clone());
    let asked = asked.or_else(|| s.private_users.as_ref().map(|p| p.origin.clone())).unwrap_or(Origin::Default);
    (users.is_some() && gives_files(s, f)).then_some(asked)
}

fn from_tree(f: &Facts, origin: &Origin) -> Result<UserNamespace, Diagnostic> {
    let (uid, gid) = f.tree.owner;
    if uid & 0xFFFF_0000 != gid & 0xFFFF_0000 {
        return Err(Diagnostic::new(
            Code::IdRange,
            format!(
                "the tree {} belongs to user {uid} and group {gid}, which are of different ranges",
                f.tree.path.display()
            ),
        )
        .origin(origin)
        .help("give the range with --private-users=UID, or let one be picked with --private-users=pick"));
    }
    let range = UidRange { base: uid & 0xFFFF_0000, size: UidRange::USUAL_SIZE };
    Ok(UserNamespace::Fixed { range, idmap: false })
}

/// What a person should know of an idmapped tree: its set-uid files are set-uid on disk, for whoever reaches them.
pub fn reachable(s: &Settings, f: &Facts, users: &UserNamespace, throw_away: bool) -> Option<String> {
    let warns = s.invocation == Invocation::Spawn && users.idmapped() && !throw_away && f.tree.open_to_others;
    warns.then(|| {
        format!(
            "other users of this machine can reach {0}, so a set-uid program that the container's root makes in it is \
             set-uid root for them: close it with chmod 0700 {0}",
            f.tree.path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, settings};
    use super::*;

    fn of(line: &str, change: impl FnOnce(&mut Facts)) -> (Result<UserNamespace, Diagnostic>, Told) {
        let mut f = facts();
        change(&mut f);
        let mut told = Told::default();
        (user_namespace(&settings(line), &f, &mut told), told)
    }

    fn fixed(base: u32, idmap: bool) -> UserNamespace {
        UserNamespace::Fixed { range: UidRange { base, size: UidRange::USUAL_SIZE }, idmap }
    }

    fn pick(owner: u32, idmap: bool) -> UserNamespace {
        UserNamespace::Pick { owner: (owner, owner), idmap }
    }

    #[test]
    fn modes_and_ownership() {
        const NONE: UserNamespace = UserNamespace::None;
        for (line, owner, expected) in [
            ("", 0, pick(0, true)),
            ("-U", 0, pick(0, true)),
            ("-U", 0x80000, pick(0x80000, true)),
            ("-U --private-users-ownership=off", 0, pick(0, false)),
            ("--private-users=no", 0, NONE),
            ("--private-users=no --private-users-ownership=map", 0, NONE),
            ("--private-users=identity", 0, fixed(0, false)),
            ("--private-users", 0, fixed(0, false)),
            ("--private-users", 0x80000 + 33, fixed(0x80000, false)),
            ("--private-users=524288", 0, fixed(0x80000, false)),
            ("--private-users=524288 --private-users-ownership=map", 0, fixed(0x80000, true)),
            ("--private-users=524288 --private-users-ownership=auto", 0, fixed(0x80000, true)),
            ("--private-users=524288 --private-users-ownership=auto", 0x80000, fixed(0x80000, false)),
            ("--private-users=0 --private-users-ownership=auto", 0, fixed(0, false)),
        ] {
            let (users, told) = of(line, |f| f.tree.owner = (owner, owner));
            assert_eq!(users.expect(line), expected, "{line}");
            assert!(told.notices.is_empty() && told.warnings.is_empty(), "{line}: {told:?}");
        }
        let mut s = settings("");
        s.invocation = Invocation::SystemdNspawn;
        assert_eq!(user_namespace(&s, &facts(), &mut Told::default()).expect("fine"), NONE);
    }

    /// A container that systemd-nspawn would have kept apart is not run as the host's root.
    #[test]
    fn by_nspawn_ownership_on_the_line_asks_for_a_range() {
        let users = |line: &str, origin: Option<Origin>, change: &dyn Fn(&mut Facts)| {
            let mut s = Settings { invocation: Invocation::SystemdNspawn, ..settings(line) };
            if let (Some(origin), Some(ownership)) = (origin, &mut s.ownership) {
                ownership.origin = origin;
            }
            let mut f = facts();
            change(&mut f);
            user_namespace(&s, &f, &mut Told::default())
        };
        for (line, expected) in [
            ("--private-users-ownership=map", pick(0, true)),
            ("--private-users-ownership=off", pick(0, false)),
            ("--private-users=no --private-users-ownership=map", UserNamespace::None),
        ] {
            assert_eq!(users(line, None, &|_| {}).expect(line), expected, "{line}");
        }
        let file = Origin::File { path: "/f".into(), line: 2, key: "PrivateUsersOwnership".into() };
        assert_eq!(users("--private-users-ownership=map", Some(file), &|_| {}).expect("fine"), UserNamespace::None);
        let error = users("--private-users-ownership=map", None, &|f| f.user_namespaces = false).unwrap_err();
        assert!(error.to_string().contains("asked for by --private-users-ownership=map"), "{error}");
    }

    #[test]
    fn only_what_nobody_asked_for_is_given_up() {
        let broken = |f: &mut Facts| f.tree.unmappable = vec!["the owners on /t/x (ramfs) cannot be mapped".into()];
        let (users, told) = of("", broken);
        assert_eq!(users.expect("falls back"), UserNamespace::None);
        assert_eq!(told.notices.len(), 1);
        assert!(told.notices[0].contains("/t/x (ramfs)"), "{told:?}");
        for line in [
            "-U",
            "--private-users=pick",
            "--private-users-ownership=map",
            "--private-users=524288 --private-users-ownership=map",
        ] {
            let (users, told) = of(line, broken);
            let error = users.expect_err(line);
            assert!(error.to_string().contains("/t/x (ramfs)"), "{line}: {error}");
            assert!(!error.to_string().contains("not built"), "{line}: {error}");
            assert!(told.notices.is_empty());
        }
        for line in ["--private-users=no", "--private-users=identity", "-U --private-users-ownership=off"] {
            let (users, told) = of(line, broken);
            assert!(users.is_ok() && told.notices.is_empty(), "{line}");
        }
        let (users, told) = of("", |f| f.user_namespaces = false);
        assert_eq!((users.expect("falls back"), told.notices.len()), (UserNamespace::None, 1));
        assert!(of("-U", |f| f.user_namespaces = false).0.is_err());
    }

    /// Asked for, or under the name systemd-nspawn where owners cannot be mapped.
    #[test]
    fn d41_owners_are_changed_where_that_is_asked() {
        let broken = |f: &mut Facts| f.tree.unmappable = vec!["the owners on /t/x (ramfs) cannot be mapped".into()];
        for (invocation, line, breaks, expected) in [
            (Invocation::Spawn, "-U --private-users-ownership=chown", false, Some(pick(0, false))),
            (Invocation::Spawn, "-U --private-users-ownership=chown", true, Some(pick(0, false))),
            (Invocation::Spawn, "--private-users=0 --private-users-chown", false, Some(fixed(0, false))),
            (Invocation::Spawn, "--private-users=identity --private-users-chown", false, Some(fixed(0, false))),
            (Invocation::Spawn, "--private-users=655360 --private-users-chown", false, Some(fixed(655360, false))),
            (Invocation::SystemdNspawn, "-U", true, Some(pick(0, false))),
            (Invocation::SystemdNspawn, "-U", false, None),
            (Invocation::Spawn, "-U -x --private-users-ownership=chown", false, None),
            (Invocation::Spawn, "-U", false, None),
            (Invocation::Spawn, "--private-users=no --private-users-ownership=chown", false, None),
        ] {
            let s = Settings { invocation, ..settings(line) };
            let mut f = facts();
            if breaks {
                broken(&mut f);
            }
            let users = user_namespace(&s, &f, &mut Told::default()).expect(line);
            let gives = gives(&s, &f, &users).is_some();
            assert_eq!(gives.then_some(users), expected, "{line}");
        }
        let half = |f: &mut Facts| f.tree.owner = (0xfffe_0000, 0xfffe_0000);
        assert!(of("-U", half).0.is_err() && of("-U --private-users-chown", half).0.is_ok());
    }

    #[test]
    fn owners_of_two_ranges_are_refused() {
        assert!(of("--private-users", |f| f.tree.owner = (0x80000, 0)).0.is_err());
    }

    #[test]
    fn only_an_open_idmapped_tree_that_is_written_to_is_warned_of() {
        let mut f = facts();
        let warned = |s: &Settings, f: &Facts, users: UserNamespace, throw_away| {
            reachable(s, f, &users, throw_away).is_some_and(|w| w.contains("chmod 0700 /t"))
        };
        let s = settings("");
        assert!(!warned(&s, &f, pick(0, true), false));
        f.tree.open_to_others = true;
        assert!(warned(&s, &f, pick(0, true), false) && warned(&s, &f, fixed(0x80000, true), false));
        assert!(!warned(&s, &f, pick(0, true), true));
        assert!(!warned(&s, &f, pick(0, false), false) && !warned(&s, &f, UserNamespace::None, false));
        let nspawn = Settings { invocation: Invocation::SystemdNspawn, ..settings("") };
        assert!(!warned(&nspawn, &f, pick(0, true), false));
    }
}
