// SPDX-License-Identifier: LGPL-2.1-or-later
//! `dbus-interfaces/` against the living services.

use super::*;

#[test]
#[ignore = "needs a systemd host"]
fn the_living_services_have_every_member_of_dbus_interfaces() {
    let services = [
        ("org.freedesktop.DBus", "/org/freedesktop/DBus"),
        ("org.freedesktop.systemd1", "/org/freedesktop/systemd1"),
        ("org.freedesktop.systemd1", "/org/freedesktop/systemd1/unit/init_2escope"),
        ("org.freedesktop.machine1", "/org/freedesktop/machine1"),
        ("org.freedesktop.machine1", "/org/freedesktop/machine1/machine/_2ehost"),
        ("org.freedesktop.resolve1", "/org/freedesktop/resolve1"),
    ];
    let mut living = Vec::new();
    for (service, path) in services {
        let xml = output("busctl", &["introspect", "--xml-interface", service, path]);
        match zbus_xml::Node::from_reader(xml.as_bytes()) {
            Ok(node) => living.extend(members(&node).into_iter().map(|(name, text, _)| format!("{name} {text}"))),
            Err(_) => println!("skipped in part: {service} does not run here"),
        }
    }
    let source = std::env::var("SPAWN_SOURCE").unwrap_or(env!("CARGO_MANIFEST_DIR").to_owned());
    for entry in std::fs::read_dir(format!("{source}/dbus-interfaces")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let xml = std::fs::read(path).unwrap();
        for (name, text, optional) in members(&zbus_xml::Node::from_reader(&*xml).unwrap()) {
            let interface = name.rsplit_once('.').unwrap().0;
            let there = living.contains(&format!("{name} {text}"));
            let served = living.iter().any(|member| member.starts_with(interface));
            match (there, optional || !served) {
                (true, _) => {}
                (false, true) => println!("skipped in part: {name} is not served here"),
                (false, false) => panic!("{name} {text} is not among\n{}", living.join("\n")),
            }
        }
    }
}

/// Name, signatures, whether it may be missing.
fn members(node: &zbus_xml::Node<'_>) -> Vec<(String, String, bool)> {
    use zbus_xml::ArgDirection;
    let mut list = Vec::new();
    for interface in node.interfaces() {
        let name = |member: &str| format!("{}.{member}", interface.name());
        for method in interface.methods() {
            let side = |out: bool| -> String {
                let args = method.args().iter().filter(|arg| (arg.direction() == Some(ArgDirection::Out)) == out);
                args.map(|arg| arg.ty().to_string()).collect()
            };
            let optional = method.annotations().iter().any(|note| note.name() == "io.spawn.Optional");
            list.push((name(method.name().as_str()), format!("({}) → ({})", side(false), side(true)), optional));
        }
        for signal in interface.signals() {
            let args: String = signal.args().iter().map(|arg| arg.ty().to_string()).collect();
            list.push((name(signal.name().as_str()), format!("signal ({args})"), false));
        }
        for property in interface.properties() {
            list.push((name(property.name().as_str()), format!("property {}", property.ty()), false));
        }
    }
    list
}
