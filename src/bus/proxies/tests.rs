// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every member of `dbus-interfaces/` against the Rust types of its proxy, and every member of a proxy against the files.

use super::*;
use std::collections::BTreeMap;
use zbus::{ObjectPath, wire::Type};

/// "interface.member" → "in → out".
type Members = BTreeMap<String, String>;

const FILES: &[&str] = &[
    include_str!("../../../dbus-interfaces/org.freedesktop.DBus.xml"),
    include_str!("../../../dbus-interfaces/org.freedesktop.systemd1.xml"),
    include_str!("../../../dbus-interfaces/org.freedesktop.machine1.xml"),
    include_str!("../../../dbus-interfaces/org.freedesktop.resolve1.xml"),
];

fn from_xml() -> Members {
    use zbus_xml::{ArgDirection, Node};
    let mut members = Members::new();
    for file in FILES {
        let node = Node::from_reader(file.as_bytes()).unwrap();
        for interface in node.interfaces() {
            let mut add = |member: &str, text: String| {
                assert!(members.insert(format!("{}.{member}", interface.name()), text).is_none(), "{member} twice");
            };
            for method in interface.methods() {
                let side = |wanted: ArgDirection| -> String {
                    let args = method.args().iter().filter(|a| a.direction() == Some(wanted));
                    args.map(|a| a.ty().to_string()).collect()
                };
                add(method.name().as_str(), format!("{} → {}", side(ArgDirection::In), side(ArgDirection::Out)));
            }
            for signal in interface.signals() {
                let args: String = signal.args().iter().map(|a| a.ty().to_string()).collect();
                add(signal.name().as_str(), format!("signal {args}"));
            }
            for property in interface.properties() {
                add(property.name().as_str(), format!("property {}", property.ty()));
            }
        }
    }
    members
}

/// A tuple's signature without its parentheses.
fn plain<T: Type>() -> String {
    T::SIGNATURE.to_string_no_parens()
}

macro_rules! method {
    ($members:ident, $proxy:ident, $name:literal, $method:ident($($arg:ident: $ty:ty),*) -> $out:ty) => {{
        // Ties the types below to the proxy's: it does not compile otherwise.
        #[allow(dead_code, clippy::too_many_arguments)]
        async fn typed(p: &$proxy<'_>, $($arg: $ty),*) -> Result<$out> { p.$method($($arg),*).await }
        let interface = <$proxy<'_> as zbus::proxy::Defaults>::INTERFACE.as_ref().unwrap();
        let text = format!("{} → {}", plain::<($($ty,)*)>(), plain::<$out>());
        assert!($members.insert(format!("{interface}.{}", $name), text).is_none());
    }};
}

macro_rules! signal {
    ($members:ident, $proxy:ident, $args:ident, $name:literal, ($($arg:ident: $ty:ty),*)) => {{
        #[allow(dead_code, unused_variables)]
        fn typed<'a>(args: &'a $args<'a>) { $(let $arg: &$ty = args.$arg();)* }
        let interface = <$proxy<'_> as zbus::proxy::Defaults>::INTERFACE.as_ref().unwrap();
        assert!($members.insert(format!("{interface}.{}", $name), format!("signal {}", plain::<($($ty,)*)>())).is_none());
    }};
}

macro_rules! property {
    ($members:ident, $proxy:ident, $name:literal, $method:ident -> $out:ty) => {{
        #[allow(dead_code)]
        async fn typed(p: &$proxy<'_>) -> Result<$out> {
            p.$method().await
        }
        let interface = <$proxy<'_> as zbus::proxy::Defaults>::INTERFACE.as_ref().unwrap();
        assert!($members.insert(format!("{interface}.{}", $name), format!("property {}", plain::<$out>())).is_none());
    }};
}

fn from_proxies() -> Members {
    let mut m = Members::new();
    method!(m, DaemonProxy, "AddMatch", add_match(rule: &str) -> ());
    method!(m, DaemonProxy, "RemoveMatch", remove_match(rule: &str) -> ());
    method!(m, DaemonProxy, "GetNameOwner", get_name_owner(name: &str) -> String);
    signal!(m, DaemonProxy, NameOwnerChangedArgs, "NameOwnerChanged", (name: &str, old_owner: &str, new_owner: &str));
    method!(m, SystemdProxy, "StartTransientUnit", start_transient_unit(
        name: &str, mode: &str, properties: &Properties<'_>, aux: &[Auxiliary<'_>]) -> OwnedObjectPath);
    method!(m, SystemdProxy, "StopUnit", stop_unit(name: &str, mode: &str) -> OwnedObjectPath);
    method!(m, SystemdProxy, "AbandonScope", abandon_scope(name: &str) -> ());
    method!(m, SystemdProxy, "KillUnit", kill_unit(name: &str, whom: &str, signal: i32) -> ());
    method!(m, SystemdProxy, "UnrefUnit", unref_unit(name: &str) -> ());
    method!(m, SystemdProxy, "ResetFailedUnit", reset_failed_unit(name: &str) -> ());
    method!(m, SystemdProxy, "GetUnit", get_unit(name: &str) -> OwnedObjectPath);
    method!(m, SystemdProxy, "GetUnitProcesses", get_unit_processes(name: &str) -> Vec<UnitProcess>);
    method!(m, SystemdProxy, "Subscribe", subscribe() -> ());
    method!(m, SystemdProxy, "Unsubscribe", unsubscribe() -> ());
    signal!(m, SystemdProxy, JobRemovedArgs, "JobRemoved", (id: u32, job: ObjectPath<'_>, unit: &str, result: &str));
    signal!(m, SystemdProxy, UnitRemovedArgs, "UnitRemoved", (id: &str, unit: ObjectPath<'_>));
    property!(m, SystemdProxy, "Version", version -> String);
    property!(m, UnitProxy, "ActiveState", active_state -> String);
    m.insert("org.freedesktop.systemd1.Scope.RequestStop".into(), "signal ".into());
    method!(m, MachinedProxy, "RegisterMachineEx", register_machine_ex(
        name: &str, properties: &Properties<'_>) -> OwnedObjectPath);
    method!(m, MachinedProxy, "RegisterMachineWithNetwork", register_machine_with_network(
        name: &str, id: &[u8], service: &str, class: &str, leader: u32, root: &str, ifindices: &[i32]) -> OwnedObjectPath);
    method!(m, MachinedProxy, "UnregisterMachine", unregister_machine(name: &str) -> ());
    method!(m, MachinedProxy, "GetMachine", get_machine(name: &str) -> OwnedObjectPath);
    property!(m, MachineProxy, "Leader", leader -> u32);
    property!(m, ResolvedProxy, "DNSStubListener", dns_stub_listener -> String);
    m
}

#[test]
fn the_proxies_have_the_signatures_of_dbus_interfaces() {
    assert_eq!(from_proxies(), from_xml());
}
