// SPDX-License-Identifier: LGPL-2.1-or-later
//! Users of the host that the container gets to see (systemd-nspawn(1), `--bind-user=`).

use super::{Facts, UserNamespace};
use crate::config::Settings;
use crate::error::{Code, Diagnostic, Origin};
use crate::model::parse_bool;
use crate::userdb::{BoundUser, Found, HostUser, IDS};

/// The superuser's and the nobody user's id.
const UNFIT: [(u32, &str); 2] = [(0, "it is the superuser"), (65534, "it stands for users that are not known")];

/// Those users with their ids in the container, in the order said.
pub fn bound(s: &Settings, f: &Facts, user: &UserNamespace) -> Result<Vec<BoundUser>, Vec<Diagnostic>> {
    let mut wrong = Vec::new();
    // A group that is named twice is joined once.
    let mut groups: Vec<String> = Vec::new();
    for group in &s.bind_user_group {
        if !groups.contains(&group.value) {
            groups.push(group.value.clone());
        }
    }
    let mut free = IDS.filter(|id| !f.users.taken.ids.contains(id));
    let mut bound = Vec::new();
    for (name, found) in &f.users.found {
        let origin = s.bind_user.iter().find(|u| u.value == *name).map_or(Origin::Default, |u| u.origin.clone());
        match fit(f, name, found).and_then(|u| Ok((u, id(user, free.next())?))) {
            Ok((host, id)) => bound.push(BoundUser {
                name: host.name.clone(),
                id,
                host: (host.uid, host.gid),
                home: host.home.clone(),
                shell: shell(s, host),
                groups: groups.clone(),
                dispositions: host.dispositions.clone(),
                secrets: host.secrets.clone(),
                origin,
            }),
            Err((why, help)) => {
                let d = Diagnostic::new(Code::BindUser, format!("the user {name} cannot be shown in the container"));
                wrong.push(d.cause(why).origin(&origin).help(help));
            }
        }
    }
    if wrong.is_empty() { Ok(bound) } else { Err(wrong) }
}

/// Why not, and what to do.
type Unfit = (String, &'static str);

/// The user that was found, if it is one that can be shown.
fn fit<'a>(f: &Facts, name: &str, found: &'a Found) -> Result<&'a HostUser, Unfit> {
    let host = match found {
        Found::Known(host) => host,
        Found::Unknown => return Err(("this machine has no such user".into(), "name a user of this machine")),
        Found::Failed(why) => return Err((why.clone(), "see getent passwd, or userdbctl(1) where it is installed")),
    };
    let other = "name an ordinary user of this machine";
    if let Some((_, why)) = UNFIT.iter().find(|(uid, _)| *uid == host.uid) {
        return Err(((*why).into(), other));
    }
    if host.name != name {
        return Err((format!("its record has the name {}", host.name), "use the name of the record"));
    }
    if host.group != host.name {
        let why = format!("its group {} is not its own: it has another name", host.group);
        return Err((why, "give it a group of its own name with usermod(8), --gid"));
    }
    if !host.home.is_absolute() {
        return Err((format!("its home directory {} is not an absolute path", host.home.display()), other));
    }
    if f.users.taken.users.contains(name) {
        return Err(("the container has a user of that name itself".into(), "take that user out of the image"));
    }
    if f.users.taken.groups.contains(name) {
        return Err(("the container has a group of that name itself".into(), "take that group out of the image"));
    }
    Ok(host)
}

/// The next free id, if the container has it.
fn id(user: &UserNamespace, free: Option<u32>) -> Result<u32, Unfit> {
    let size = match user {
        UserNamespace::Fixed { range, .. } => range.size,
        UserNamespace::None | UserNamespace::Pick { .. } => u32::MAX,
    };
    let (first, last) = (IDS.start(), IDS.end());
    match free {
        Some(id) if id < size => Ok(id),
        Some(_) => Err((format!("ids from {first} on are not in the container's range"), "use --private-users=pick")),
        None => Err((format!("the image has users or groups with all ids from {first} to {last}"), "show fewer users")),
    }
}

fn shell(s: &Settings, host: &HostUser) -> Option<String> {
    let said = &s.bind_user_shell.as_ref()?.value;
    match parse_bool(said) {
        Ok(true) => host.shell.clone(),
        Ok(false) => None,
        Err(_) => Some(said.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, settings};
    use super::*;
    use crate::model::UidRange;

    fn host(name: &str, uid: u32) -> (String, Found) {
        let user = HostUser {
            name: name.into(),
            uid,
            gid: uid,
            group: name.into(),
            home: format!("/home/{name}").into(),
            shell: Some("/bin/zsh".into()),
            ..HostUser::default()
        };
        (name.into(), Found::Known(Box::new(user)))
    }

    fn built(line: &str, found: Vec<(String, Found)>, taken: &[u32]) -> Result<Vec<BoundUser>, String> {
        let mut f = facts();
        f.users.found = found;
        f.users.taken.ids.extend(taken);
        f.users.taken.users.insert("daemon".into());
        f.users.taken.groups.insert("games".into());
        let pick = UserNamespace::Pick { owner: (0, 0), idmap: true };
        bound(&settings(line), &f, &pick).map_err(|d| d[0].headline())
    }

    #[test]
    fn users_get_the_free_ids_in_order() {
        let users = built("--bind-user=a --bind-user=b", vec![host("a", 1000), host("b", 1001)], &[60514, 60516]);
        let ids: Vec<_> = users.unwrap().into_iter().map(|u| (u.name, u.id, u.host)).collect();
        assert_eq!(ids, [("a".into(), 60515, (1000, 1000)), ("b".into(), 60517, (1001, 1001))]);
        let all: Vec<u32> = IDS.collect();
        assert!(
            built("--bind-user=a", vec![host("a", 1000)], &all).unwrap_err().contains("all ids from 60514 to 60577")
        );
    }

    #[test]
    fn shells_and_groups() {
        let shell = |line: &str| {
            let users = built(&format!("--bind-user=a {line}"), vec![host("a", 1000)], &[]).unwrap();
            users[0].shell.clone()
        };
        assert_eq!(shell(""), None);
        assert_eq!(shell("--bind-user-shell=no"), None);
        assert_eq!(shell("--bind-user-shell=yes").as_deref(), Some("/bin/zsh"));
        assert_eq!(shell("--bind-user-shell=/bin/sh").as_deref(), Some("/bin/sh"));
        let line = "--bind-user=a --bind-user-group=x --bind-user-group=y --bind-user-group=x";
        assert_eq!(built(line, vec![host("a", 1000)], &[]).unwrap()[0].groups, ["x", "y"]);
    }

    #[test]
    fn who_cannot_be_shown() {
        let mut shared = host("s", 1000);
        if let Found::Known(user) = &mut shared.1 {
            user.group = "users".into();
        }
        for (found, why) in [
            (host("root", 0), "superuser"),
            (host("nobody", 65534), "not known"),
            (("x".into(), Found::Unknown), "no such user"),
            (("x".into(), Found::Failed("broken".into())), "broken"),
            (shared, "its group users is not its own"),
            (host("daemon", 1000), "a user of that name"),
            (host("games", 1000), "a group of that name"),
        ] {
            let line = format!("--bind-user={}", found.0);
            let said = built(&line, vec![found], &[]).unwrap_err();
            assert!(said.contains(why) && said.starts_with("the user "), "{said}");
        }
    }

    #[test]
    fn they_need_ids_of_the_range() {
        let mut f = facts();
        f.users.found = vec![host("a", 1000)];
        let s = settings("--bind-user=a");
        // Without a namespace their ids are those of the host.
        assert_eq!(bound(&s, &f, &UserNamespace::None).unwrap()[0].id, 60514);
        let range = UidRange::new(1 << 19, 60000).unwrap();
        let small = bound(&s, &f, &UserNamespace::Fixed { range, idmap: true }).unwrap_err();
        assert!(small[0].headline().contains("not in the container's range"), "{small:?}");
        assert_eq!(bound(&settings(""), &facts(), &UserNamespace::None), Ok(Vec::new()));
    }
}
