// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--property=NAME=VALUE`: unit properties from text to the type that PID 1 takes.
//!
//! The rules are those of systemd's own tools (`bus_append_unit_property_assignment` of systemd's bus-unit-util.c), so that
//! a value means here what it means to `systemd-run --property=`. Pure: nothing is asked of PID 1.

mod address;
mod number;
mod table;
#[cfg(test)]
mod tests;

use crate::error::{Code, Diagnostic, Result, Sourced};
use crate::model::{UnitProperty, distance};
use serde::Serialize;
use table::Kind;
use zbus::Variant;

/// The names of the properties that a scope can have, as `--property=` takes them.
pub fn names() -> impl Iterator<Item = &'static str> {
    table::names()
}

/// A property as it is sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypedProperty {
    name: String,
    value: PropertyValue,
}

/// The types that unit properties have, each named by its D-Bus signature.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PropertyValue {
    /// `b`
    Bool(bool),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `t`
    U64(u64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `ay`
    Bytes(Vec<u8>),
    /// `a(ss)`
    Pairs(Vec<(String, String)>),
    /// `a(st)`
    PathNumbers(Vec<(String, u64)>),
    /// `a(iayu)`: address family, address, prefix length.
    Prefixes(Vec<(i32, Vec<u8>, u32)>),
    /// `(bas)`: whether the list allows, the list.
    Filter(bool, Vec<String>),
}

impl TypedProperty {
    /// A property of known type.
    pub fn new(name: impl Into<String>, value: PropertyValue) -> Self {
        Self { name: name.into(), value }
    }

    /// Types one `--property=`. Fails with [`Code::PropertyUnknown`] when the name is not known (the known ones are listed,
    /// nearest first) or the value is not one that it takes.
    pub fn parse(property: &Sourced<UnitProperty>) -> Result<Self> {
        let UnitProperty { name, value } = &property.value;
        let Some(kind) = table::kind(name) else {
            let diagnostic =
                Diagnostic::new(Code::PropertyUnknown, format!("there is no unit property {name:?} for a scope"));
            return Err(diagnostic.origin(&property.origin).help(known_names(name)));
        };
        typed(name, value, kind).map_err(|Allowed(allowed)| {
            Diagnostic::new(Code::PropertyUnknown, format!("{value:?} is not a value of the unit property {name}"))
                .origin(&property.origin)
                .help(format!("give {allowed}"))
        })
    }

    /// The property's name as it is sent, which may differ from the one that was said ("CPUQuotaPerSecUSec").
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &PropertyValue {
        &self.value
    }

    pub(super) fn variant(&self) -> Variant<'_> {
        match &self.value {
            PropertyValue::Bool(value) => (*value).into(),
            PropertyValue::I32(value) => (*value).into(),
            PropertyValue::U32(value) => (*value).into(),
            PropertyValue::U64(value) => (*value).into(),
            PropertyValue::Text(value) => value.as_str().into(),
            PropertyValue::Texts(value) => Variant::from(value.iter().map(String::as_str).collect::<Vec<_>>()),
            PropertyValue::Bytes(value) => Variant::from(value.clone()),
            PropertyValue::Pairs(value) => {
                Variant::from(value.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>())
            }
            PropertyValue::PathNumbers(value) => {
                Variant::from(value.iter().map(|(path, n)| (path.as_str(), *n)).collect::<Vec<_>>())
            }
            PropertyValue::Prefixes(value) => Variant::from(value.clone()),
            PropertyValue::Filter(allow, value) => Variant::new((*allow, value.clone())),
        }
    }
}

/// What a value must look like, to complete "give …".
struct Allowed(&'static str);

type Typing<T> = std::result::Result<T, Allowed>;

fn typed(name: &str, value: &str, kind: Kind) -> Typing<TypedProperty> {
    let value = value_of(value, kind)?;
    Ok(TypedProperty::new(sent_as(name, kind, &value), value))
}

/// The name that PID 1 takes for a value of that type.
fn sent_as(name: &str, kind: Kind, value: &PropertyValue) -> String {
    match (kind, value) {
        (Kind::Delegate, PropertyValue::Texts(_)) => "DelegateControllers".into(),
        (Kind::Size { .. } | Kind::Tasks { .. }, PropertyValue::U32(_)) => format!("{name}Scale"),
        (Kind::CpuQuota, _) => "CPUQuotaPerSecUSec".into(),
        (Kind::Time(_) | Kind::PathNumber(table::Number::Time), _) => in_microseconds(name),
        _ => name.into(),
    }
}

fn value_of(value: &str, kind: Kind) -> Typing<PropertyValue> {
    use PropertyValue as V;
    Ok(match kind {
        Kind::Bool => V::Bool(number::boolean(value).ok_or(Allowed("yes or no"))?),
        Kind::Text => V::Text(value.into()),
        Kind::Choice(allowed) if !allowed.split(", ").any(|word| word == value) => return Err(Allowed(allowed)),
        Kind::Choice(_) => V::Text(value.into()),
        Kind::Words => V::Texts(words(value)),
        Kind::Delegate => number::boolean(value).map_or_else(|| V::Texts(words(value)), V::Bool),
        Kind::Signal => V::I32(number::signal(value).ok_or(Allowed("a signal by name (SIGTERM, RTMIN+3) or number"))?),
        Kind::Size { empty } => amount(value, empty, |text| number::size(text, 1024))
            .ok_or(Allowed("bytes, with K, M, G, T, P or E, or a percentage up to 100%, or infinity"))?,
        Kind::Tasks { empty } => amount(value, empty, |text| text.parse().ok())
            .ok_or(Allowed("a number, a percentage up to 100%, or infinity"))?,
        Kind::CpuWeight if value == "idle" => V::U64(0),
        Kind::Weight | Kind::CpuWeight => {
            V::U64(unless_empty(value, number::weight).ok_or(Allowed("a weight from 1 to 10000"))?)
        }
        Kind::CpuQuota => {
            V::U64(unless_empty(value, number::cpu_quota).ok_or(Allowed("a percentage above 0%, 200% for two CPUs"))?)
        }
        Kind::Time(unit) => V::U64(
            unless_empty(value, |text| number::time(text, unit))
                .ok_or(Allowed("a time span (30s, 5min, 1h 20min) or infinity"))?,
        ),
        Kind::PressureLimit => share(value).ok_or(Allowed("a percentage up to 100%"))?,
        Kind::Set => V::Bytes(number::bit_set(value).ok_or(Allowed("numbers and ranges up to 8191 (0-3,8)"))?),
        Kind::DeviceAllow => V::Pairs(device_allow(value)?),
        Kind::PathNumber(kind) => V::PathNumbers(path_number(value, kind)?),
        Kind::Prefixes => V::Prefixes(
            address::prefixes(value)
                .ok_or(Allowed("addresses (10.0.0.0/8), any, localhost, link-local or multicast"))?,
        ),
        Kind::Filter => {
            let (allow, list) = value.strip_prefix('~').map_or((true, value), |rest| (false, rest));
            V::Filter(allow, words(list))
        }
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// An empty value takes a setting back, which PID 1 knows as the largest number.
fn unless_empty(value: &str, read: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    if value.is_empty() { Some(u64::MAX) } else { read(value) }
}

/// What can be said as a number or as a share of what there is.
fn amount(value: &str, empty: u64, read: impl Fn(&str) -> Option<u64>) -> Option<PropertyValue> {
    match value {
        "" => Some(PropertyValue::U64(empty)),
        "infinity" => Some(PropertyValue::U64(u64::MAX)),
        _ => share(value).or_else(|| read(value).map(PropertyValue::U64)),
    }
}

fn share(value: &str) -> Option<PropertyValue> {
    number::permyriad(value, number::Bound::Whole).map(|share| PropertyValue::U32(number::scale(share)))
}

/// PID 1 takes times in microseconds, under a name that says so.
fn in_microseconds(name: &str) -> String {
    format!("{}USec", name.strip_suffix("USec").or_else(|| name.strip_suffix("Sec")).unwrap_or(name))
}

fn device_allow(value: &str) -> Typing<Vec<(String, String)>> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let (device, access) = value.split_once(' ').unwrap_or((value, ""));
    let known = ["/dev/", "/run/systemd/inaccessible/", "char-", "block-"];
    let mut letters = access.trim().chars();
    if !known.iter().any(|start| device.starts_with(start)) || !letters.all(|c| "rwm".contains(c)) {
        return Err(Allowed("a node below /dev, char-NAME or block-NAME, and some of rwm (/dev/fuse rw)"));
    }
    Ok(vec![(device.into(), access.trim().into())])
}

fn path_number(value: &str, kind: table::Number) -> Typing<Vec<(String, u64)>> {
    use table::Number;
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let (path, text) = value.split_once(' ').map_or((value, ""), |(path, rest)| (path, rest.trim()));
    let (number, allowed) = match kind {
        Number::Bytes if text == "infinity" => (Some(u64::MAX), ""),
        Number::Bytes => (number::size(text, 1000), "a path and bytes a second, with K, M, G or T (/dev/sda 5M)"),
        Number::Weight => (number::weight(text), "a path and a weight from 1 to 10000 (/dev/sda 200)"),
        Number::Time => (number::time(text, number::TimeUnit::Second), "a path and a time span (/dev/sda 25ms)"),
    };
    match number {
        Some(number) if path.starts_with('/') => Ok(vec![(path.into(), number)]),
        _ => Err(Allowed(allowed)),
    }
}

/// Columns of a terminal that a list is broken for.
const LINE: usize = 100;

fn known_names(unknown: &str) -> String {
    let mut names: Vec<&str> = table::names().collect();
    let unknown = unknown.to_ascii_lowercase();
    names.sort_by_cached_key(|name| (distance(unknown.as_bytes(), name.to_ascii_lowercase().as_bytes()), *name));
    let mut text = format!("did you mean {}? There are", names[0]);
    let mut width = "  help: ".len() + text.len();
    for (at, name) in names.iter().enumerate() {
        // A comma may follow.
        let breaks = width + 1 + name.len() + 1 > LINE;
        text += if breaks { "\n        " } else { " " };
        width = if breaks { 8 } else { width + 1 } + name.len() + 1;
        text += name;
        text += if at + 1 < names.len() { "," } else { "" };
    }
    text
}
