// SPDX-License-Identifier: LGPL-2.1-or-later
//! Values of `.nspawn` files where they are not written as on the command line: lists with blanks, empty values that
//! reset, and what systemd-nspawn lets pass or refuses there (its `nspawn-settings.c` and `conf-parser.c`).

use crate::config::settings::{Many, One};
use crate::config::{BadValue, Invocation, Said, Settings};
use crate::error::Origin;
use crate::model::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

type Outcome = Result<(), String>;

/// `Boot=`, `ProcessTwo=`: "no" only makes sure that a file says something at all.
pub fn start_as(s: &mut Settings, v: &Said, mode: StartMode) -> Outcome {
    let yes = v.is_yes()?;
    // What is said elsewhere is for the merge to weigh; two lines of one file exclude each other.
    let before = s.start_mode.as_ref().filter(|before| same_file(&before.origin, &v.origin));
    let other = if mode == StartMode::Boot { StartMode::Pid2 } else { StartMode::Boot };
    match (yes, before.map(|b| b.value)) {
        (true, Some(said)) if said == other => Err(clash(before.map(|b| &b.origin))),
        (false, Some(said)) if said == mode => Err(clash(before.map(|b| &b.origin))),
        (true, _) => v.put(&mut s.start_mode, mode),
        (false, None) => v.put(&mut s.start_mode, StartMode::Pid1),
        (false, Some(_)) => Ok(()),
    }
}

fn same_file(a: &Origin, b: &Origin) -> bool {
    matches!((a, b), (Origin::File { path: a, .. }, Origin::File { path: b, .. }) if a == b)
}

fn clash(with: Option<&Origin>) -> String {
    match with {
        Some(Origin::File { line, key, .. }) => format!("contradicts {key}= in line {line}"),
        _ => "contradicts what was said before".into(),
    }
}

/// `Parameters=`
pub fn parameters(s: &mut Settings, v: &Said) -> Outcome {
    if v.raw().is_empty() {
        s.argv.clear();
    }
    s.argv.extend(split_quoted(v.text()?)?.into_iter().map(Into::into));
    s.argv_origin = Some(v.origin.clone());
    Ok(())
}

/// `Environment=`. The messages do not repeat values.
pub fn environment(s: &mut Settings, v: &Said) -> Outcome {
    if v.raw().is_empty() {
        s.environment.clear();
    }
    let mut wrong = 0;
    for word in split_quoted(v.text()?)? {
        match word.parse::<EnvAssignment>() {
            Ok(assignment) if assignment.value.is_some() => v.add(&mut s.environment, assignment)?,
            _ => wrong += 1,
        }
    }
    match wrong {
        0 => Ok(()),
        _ => Err("must be NAME=VALUE, with quotes around what has blanks in it".into()),
    }
}

/// `User=`
pub fn user_of_file(s: &mut Settings, v: &Said) -> Outcome {
    let name = v.text()?;
    match name.contains(|c: char| c.is_ascii_control() || matches!(c, '"' | '\'' | '\\' | ':' | '/' | ' ')) {
        true => Err("must be a user name or a number".into()),
        false => v.string(&mut s.user),
    }
}

/// An absolute path without `..`; an empty one resets.
pub fn clean_path(slot: &mut One<PathBuf>, v: &Said) -> Outcome {
    let text = v.text()?;
    if text.is_empty() {
        *slot = None;
        return Ok(());
    }
    v.put(slot, clean(text)?)
}

fn clean(text: &str) -> Result<PathBuf, String> {
    let path = container_path(text.as_bytes())?;
    // PATH_MAX and NAME_MAX of the kernel.
    let long = path.as_os_str().len() >= 4096 || path.components().any(|c| c.as_os_str().len() > 255);
    if long { Err("the path is too long".into()) } else { Ok(path) }
}

/// `Capability=` and its kin: unknown words are left out, the others count.
pub fn capabilities(list: &mut Many<CapabilityWords>, v: &Said) -> Outcome {
    let mut set = CapabilitySet::EMPTY;
    let mut wrong = Vec::new();
    let mut all = false;
    for word in split_blanks(v.text()?)? {
        let named = word.starts_with(|c: char| c.is_ascii_digit() || c == '+')
            || word.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("cap_"));
        match word.parse::<Capability>() {
            _ if word == "all" => all = true,
            Ok(capability) if named => set.insert(capability),
            _ => wrong.push(word),
        }
    }
    if all {
        v.add(list, CapabilityWords::All)?;
    } else if !set.is_empty() {
        v.add(list, CapabilityWords::List(set))?;
    }
    unknown(&wrong, "capability such as CAP_CHOWN, nor 'all'")
}

fn unknown(words: &[String], what: &str) -> Outcome {
    match words {
        [] => Ok(()),
        [one] => Err(format!("'{one}' is not a {what}")),
        many => Err(format!("each of '{}' is not a {what}", many.join("', '"))),
    }
}

/// `SystemCallFilter=`; the names are looked up when the filter is made.
pub fn system_calls(s: &mut Settings, v: &Said) -> Outcome {
    let (deny, words) = tilde(v.text()?);
    let words = split_blanks(words)?;
    match words.is_empty() {
        true => Ok(()),
        false => v.add(&mut s.system_call_filter, FilterWords { deny, words }),
    }
}

fn tilde(text: &str) -> (bool, &str) {
    text.strip_prefix('~').map_or((false, text), |rest| (true, rest))
}

/// `RestrictAddressFamilies=`
pub fn address_families(s: &mut Settings, v: &Said) -> Outcome {
    let text = v.text()?;
    if text.is_empty() {
        s.address_families.clear();
        return Ok(());
    }
    if text == "none" {
        s.address_families.clear();
        return v.add(&mut s.address_families, FilterWords { deny: false, words: vec!["none".into()] });
    }
    let (deny, words) = tilde(text);
    let (words, wrong): (Vec<_>, Vec<_>) =
        split_quoted(words)?.into_iter().partition(|word| crate::seccomp::is_address_family(word));
    if !words.is_empty() {
        v.add(&mut s.address_families, FilterWords { deny, words })?;
    }
    unknown(&wrong, "address family such as AF_INET")
}

/// `OOMScoreAdjust=`
pub fn oom_score(s: &mut Settings, v: &Said) -> Outcome {
    let text = v.text()?;
    if text.is_empty() {
        s.oom_score_adjust = None;
        return Ok(());
    }
    v.put(&mut s.oom_score_adjust, oom_score_adjust(text)?)
}

/// A number as systemd reads them, with prefixes of other bases too.
pub fn oom_score_adjust(text: &str) -> Result<i16, String> {
    let number = signed_number(text).filter(|n| (-1000..=1000).contains(n)).and_then(|n| i16::try_from(n).ok());
    number.ok_or_else(|| "must be a number from -1000 to 1000".into())
}

/// `CPUAffinity=`: lines add up.
pub fn cpu_affinity(s: &mut Settings, v: &Said) -> Outcome {
    let text = v.text()?;
    if text.is_empty() {
        s.cpu_affinity = None;
        return Ok(());
    }
    let cpus: CpuList = text.parse()?;
    let before = s.cpu_affinity.take().map(|before| before.value).unwrap_or_default();
    let cpus = before.union(&cpus);
    v.put(&mut s.cpu_affinity, cpus)
}

/// `PrivateUsers=`: unlike on the command line 0 and 1 are "no" and "yes".
pub fn private_users(s: &mut Settings, v: &Said) -> Outcome {
    let text = v.text()?;
    let mode = match parse_bool(text) {
        Ok(true) => PrivateUsers::FromTree,
        Ok(false) => PrivateUsers::No,
        Err(_) => text.parse()?,
    };
    v.put(&mut s.private_users, mode)
}

/// `PrivateUsersChown=`, the old form of `PrivateUsersOwnership=`.
pub fn chown(s: &mut Settings, v: &Said) -> Outcome {
    let mode = if v.is_yes()? { Ownership::Chown } else { Ownership::Off };
    v.put(&mut s.ownership, mode)
}

/// `BindUser=`: what follows a name that is none is left out as well.
pub fn bind_user(s: &mut Settings, v: &Said) -> Outcome {
    if v.raw().is_empty() {
        s.bind_user.clear();
        return Ok(());
    }
    for name in split_blanks(v.text()?)? {
        if !is_user_name(&name) {
            return Err(format!("'{name}' is not a user name"));
        }
        v.add(&mut s.bind_user, name)?;
    }
    Ok(())
}

/// `PivotRoot=`: paths must be written as they are meant.
pub fn pivot_root(s: &mut Settings, v: &Said) -> Outcome {
    let text = v.text()?;
    let text = text.strip_suffix(':').unwrap_or(text);
    let normal = |path: &str| !path.contains("/./") && !path.ends_with("/.") && !path.contains("//");
    match text.split(':').all(normal) {
        true => v.put(&mut s.pivot_root, PivotRoot::parse_os(text.as_ref())?),
        false => Err("must be NEW[:OLD] without '.' in the paths".into()),
    }
}

/// `BindUserShell=`
pub fn bind_user_shell(s: &mut Settings, v: &Said) -> Outcome {
    let text = v.text()?;
    if !text.is_empty() && parse_bool(text).is_err() {
        let normal = !text.contains("/./") && !text.contains("//") && !text.ends_with("/.");
        clean(text).ok().filter(|_| normal).ok_or("must be yes, no or an absolute path")?;
    }
    v.string(&mut s.bind_user_shell)
}

/// `Interface=`, `MACVLAN=`, `IPVLAN=`
pub fn links(list: &mut Many<LinkPair<LinkReference>>, v: &Said) -> Outcome {
    for word in split_blanks(v.text()?)? {
        let word = word.strip_suffix(':').unwrap_or(&word);
        // A file takes no alternative names (`config_parse_macvlan_iface_list` of systemd's nspawn-settings.c).
        let _short: LinkPair = word.parse()?;
        v.add(list, word.parse()?)?;
    }
    Ok(())
}

/// `VirtualEthernetExtra=`: a second name that is none counts as left out.
pub fn veth_extra(list: &mut Many<LinkPair>, v: &Said) -> Outcome {
    let text = v.text()?;
    let (host, container) = text.split_once(':').unwrap_or((text, ""));
    if container.contains(':') {
        return Err("must be HOST[:CONTAINER]".into());
    }
    v.add(list, LinkPair { host: host.parse()?, container: container.parse().ok() })
}

/// `Port=`: a port of the host is forwarded once.
pub fn port(s: &mut Settings, v: &Said) -> Outcome {
    let port: PortForward = v.text()?.parse()?;
    let twin = s.ports.iter().find(|p| (p.value.protocol, p.value.host) == (port.protocol, port.host));
    match twin {
        Some(twin) => Err(format!("the port is forwarded already, by {}", twin.origin)),
        None => v.add(&mut s.ports, port),
    }
}

/// The keys that make mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Bind=`
    Bind,
    /// `BindReadOnly=`
    BindReadOnly,
    /// `TemporaryFileSystem=`
    Tmpfs,
    /// `Inaccessible=`
    Inaccessible,
    /// `Overlay=`
    Overlay,
    /// `OverlayReadOnly=`
    OverlayReadOnly,
}

/// Takes back the mounts of one key.
pub fn drop_mounts(s: &mut Settings, kind: Kind) {
    s.mounts.retain(|mount| kind_of(&mount.value) != kind);
}

fn kind_of(mount: &CustomMount) -> Kind {
    match mount {
        CustomMount::Bind(bind) if bind.read_only => Kind::BindReadOnly,
        CustomMount::Bind(_) => Kind::Bind,
        CustomMount::Tmpfs(_) => Kind::Tmpfs,
        CustomMount::Inaccessible(_) => Kind::Inaccessible,
        CustomMount::Overlay(overlay) if overlay.read_only => Kind::OverlayReadOnly,
        CustomMount::Overlay(_) => Kind::Overlay,
    }
}

/// What systemd-nspawn takes of a file and refuses later is refused here at once; the rest is left out as there.
fn refuses_if(taken: bool) -> BadValue {
    if taken { BadValue::RefusesStart } else { BadValue::Ignored }
}

fn colons(value: &OsStr, limit: usize) -> Vec<Vec<u8>> {
    split_colons(value.as_bytes(), limit).unwrap_or_default()
}

fn is_absolute(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
}

/// A source in the image must be absolute; others are relative to whatever directory the caller is in.
fn is_source(path: &[u8]) -> bool {
    path.strip_prefix(b"+").map_or(!path.is_empty(), is_absolute)
}

/// `Bind=`, `BindReadOnly=`
pub fn bad_bind(_: Invocation, value: &OsStr) -> BadValue {
    refuses_if(match colons(value, 3).as_slice() {
        [both] => is_absolute(both.strip_prefix(b"+").unwrap_or(both)),
        [source, target, ..] => (source.is_empty() || is_source(source)) && is_absolute(target),
        [] => false,
    })
}

/// `TemporaryFileSystem=`
pub fn bad_tmpfs(_: Invocation, value: &OsStr) -> BadValue {
    refuses_if(colons(value, 2).first().is_some_and(|target| is_absolute(target)))
}

/// `Inaccessible=`
pub fn bad_inaccessible(_: Invocation, value: &OsStr) -> BadValue {
    refuses_if(is_absolute(value.as_bytes()))
}

/// `Overlay=`, `OverlayReadOnly=`
pub fn bad_overlay(_: Invocation, value: &OsStr) -> BadValue {
    refuses_if(match colons(value, usize::MAX).as_slice() {
        [] | [_] => false,
        [lower, upper] => is_source(lower) && is_source(upper),
        [lower @ .., upper, target] => {
            lower.iter().all(|l| is_source(l)) && (upper.is_empty() || is_source(upper)) && is_absolute(target)
        }
    })
}

/// `User=`
pub fn bad_user(_: Invocation, value: &OsStr) -> BadValue {
    refuses_if(!value.as_bytes().iter().any(|b| b.is_ascii_control() || matches!(b, b'"' | b'\'' | b'\\')))
}

/// `PrivateUsers=`: the last id of all may be the end of a range there.
pub fn bad_users(_: Invocation, value: &OsStr) -> BadValue {
    let text = value.to_string_lossy();
    let taken = text.split_once(':').is_some_and(|(base, size)| {
        let last = base.parse::<u32>().ok().filter(|_| base.starts_with(|c: char| c.is_ascii_digit()));
        last.zip(number(size)).is_some_and(|(base, size)| size > 0 && u64::from(base) + size == u64::from(u32::MAX))
    });
    refuses_if(taken)
}

/// `Zone=`: an empty name is one there.
pub fn bad_zone(_: Invocation, value: &OsStr) -> BadValue {
    refuses_if(value.is_empty())
}

/// The three lists of links are the only values that systemd-nspawn refuses a file for.
pub fn bad_link(invocation: Invocation, _: &OsStr) -> BadValue {
    match invocation {
        Invocation::Spawn => BadValue::Ignored,
        Invocation::SystemdNspawn => BadValue::RefusesFile,
    }
}
