// SPDX-License-Identifier: LGPL-2.1-or-later
//! Credentials are read before anything is started.

use crate::error::{Code, Diagnostic, Result};
use crate::model::{Credential, CredentialSource};
use crate::plan::Sourced;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most that one credential may hold (systemd.exec(5), `CREDENTIAL_SIZE_MAX` of systemd's creds-util.h).
const LIMIT: u64 = 1 << 20;

/// Id and bytes of each.
pub fn read(credentials: &[Sourced<Credential>]) -> Result<Vec<(String, Vec<u8>)>> {
    credentials.iter().map(|c| Ok((c.value.id.clone(), bytes(&c.value).map_err(|d| d.origin(&c.origin))?))).collect()
}

fn bytes(credential: &Credential) -> Result<Vec<u8>> {
    match &credential.source {
        CredentialSource::Value(bytes) => Ok(bytes.clone()),
        CredentialSource::Path(path) => load(&credential.id, path),
        CredentialSource::Name(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(dir) => load(&credential.id, &PathBuf::from(dir).join(name)),
            None => Err(Diagnostic::new(
                Code::CredentialFailed,
                format!("cannot load the credential {}: we were given no credentials ourselves", credential.id),
            )
            .help("give a path with a slash in it, or run in a unit with LoadCredential=")),
        },
    }
}

fn load(id: &str, path: &Path) -> Result<Vec<u8>> {
    let what =
        || Diagnostic::new(Code::CredentialFailed, format!("cannot load the credential {id} from {}", path.display()));
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file: std::fs::File = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => fd.into(),
        // A socket: whoever listens writes the credential.
        Err(rustix::io::Errno::NXIO) => {
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|e| what().errno(e))?;
            let address = SocketAddrUnix::new(path).map_err(|e| what().errno(e))?;
            rustix::net::connect(&socket, &address).map_err(|e| what().errno(e))?;
            socket.into()
        }
        Err(e) => return Err(what().errno(e)),
    };
    let kind = rustix::fs::fstat(&file).map(|s| FileType::from_raw_mode(s.st_mode)).map_err(|e| what().errno(e))?;
    if !matches!(kind, FileType::RegularFile | FileType::Socket) {
        return Err(what().cause("it is neither a regular file nor a socket"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|e| what().io(&e))?;
    if bytes.len() as u64 > LIMIT {
        return Err(what().cause("it is larger than 1 MiB"));
    }
    Ok(bytes)
}
