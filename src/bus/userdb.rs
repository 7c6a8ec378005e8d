// SPDX-License-Identifier: LGPL-2.1-or-later
//! Records of users and groups of this machine (Varlink interface `io.systemd.UserDatabase`, served by
//! systemd-userdbd.service(8) for all sources at once).

use super::varlink::{CallError, Client};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The service that asks all the others.
const SOCKET: &str = "/run/systemd/userdb/io.systemd.Multiplexer";
const SERVICE: &str = "io.systemd.Multiplexer";
/// A directory server may be far away.
const LIMIT: Duration = Duration::from_secs(30);

/// What the user database says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// There is no such database here.
    NoDatabase,
    /// It has no such record.
    Unknown,
    /// The record, JSON as of systemd.io/USER_RECORD or GROUP_RECORD.
    Record(Value),
    /// It could not be asked, in words.
    Failed(String),
}

/// The record of a user by name.
pub fn user(name: &str) -> Answer {
    ask(SOCKET.as_ref(), "GetUserRecord", &json!({"userName": name, "service": SERVICE}))
}

/// The record of a group by id.
pub fn group(gid: u32) -> Answer {
    ask(SOCKET.as_ref(), "GetGroupRecord", &json!({"gid": gid, "service": SERVICE}))
}

fn ask(socket: &Path, method: &str, parameters: &Value) -> Answer {
    let method = format!("io.systemd.UserDatabase.{method}");
    answer_of(Client::connect(socket, LIMIT).and_then(|mut client| client.call(&method, parameters, &[])))
}

/// What the reply to such a question says.
pub fn answer_of(reply: Result<Value, CallError>) -> Answer {
    match reply {
        Ok(mut reply) => match reply.get_mut("record").map(Value::take) {
            Some(record) if record.is_object() => Answer::Record(record),
            _ => Answer::Failed("the user database's answer has no record".into()),
        },
        Err(CallError::NotThere(_)) => Answer::NoDatabase,
        Err(error) => match error.service_error() {
            Some("io.systemd.UserDatabase.NoRecordFound" | "io.systemd.UserDatabase.NonMatchingRecordFound") => {
                Answer::Unknown
            }
            _ => Answer::Failed(format!("the user database: {error}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    #[test]
    fn answers_of_the_database() {
        let path = std::env::temp_dir().join(format!("spawn-userdb-{}", std::process::id()));
        assert_eq!(ask(&path, "GetUserRecord", &json!({})), Answer::NoDatabase);
        let listener = UnixListener::bind(&path).unwrap();
        let replies: [&[u8]; 4] = [
            b"{\"parameters\":{\"record\":{\"uid\":7},\"incomplete\":false}}\0",
            b"{\"error\":\"io.systemd.UserDatabase.NoRecordFound\",\"parameters\":{}}\0",
            b"{\"error\":\"io.systemd.UserDatabase.ServiceNotAvailable\",\"parameters\":{}}\0",
            b"{\"parameters\":{}}\0",
        ];
        let server = std::thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut call, mut byte) = (Vec::new(), [1]);
                while stream.read_exact(&mut byte).is_ok() && byte[0] != 0 {
                    call.push(byte[0]);
                }
                let call: Value = serde_json::from_slice(&call).unwrap();
                assert_eq!(call["method"], "io.systemd.UserDatabase.GetUserRecord");
                stream.write_all(reply).unwrap();
            }
        });
        let ask = || ask(&path, "GetUserRecord", &json!({"userName": "x"}));
        assert_eq!(ask(), Answer::Record(json!({"uid": 7})));
        assert_eq!(ask(), Answer::Unknown);
        assert!(matches!(ask(), Answer::Failed(why) if why.contains("ServiceNotAvailable")));
        assert!(matches!(ask(), Answer::Failed(why) if why.contains("no record")));
        server.join().unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
