//! What a process and its children listen on, read from `/proc`.

use crate::engine::postgres::PostgresError;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// A TCP socket in state LISTEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The process that holds it.
    pub pid: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (process {})", std::net::SocketAddr::new(self.address, self.port), self.pid)
    }
}

/// The TCP sockets that `pid` or any of its descendants listens on.
///
/// # Errors
/// When the process is gone or its descriptors can't be read: then nothing is known, which is not "none".
pub fn tcp_listeners(pid: u32) -> Result<Vec<Listener>, PostgresError> {
    let mut found = Vec::new();
    for process in family(pid)? {
        match of_process(process) {
            Ok(listeners) => found.extend(listeners),
            // a child that ended meanwhile
            Err(PostgresError::Unreadable { source, .. }) if process != pid && is_gone(&source) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn is_gone(error: &io::Error) -> bool {
    // ESRCH where a process ends between opening its folder and reading it
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3)
}

fn of_process(pid: u32) -> Result<Vec<Listener>, PostgresError> {
    let sockets = sockets(pid)?;
    let mut found = Vec::new();
    // the tables of the process's own network name space
    for table in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{table}");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if table == "tcp6" && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(PostgresError::unreadable(path)(error)),
        };
        let listening = text.lines().filter_map(listening).filter(|(_, _, inode)| sockets.contains(inode));
        found.extend(listening.map(|(address, port, _)| Listener { pid, address, port }));
    }
    Ok(found)
}

/// The inodes of the sockets a process has open.
fn sockets(pid: u32) -> Result<BTreeSet<u64>, PostgresError> {
    let directory = format!("/proc/{pid}/fd");
    let mut inodes = BTreeSet::new();
    for entry in std::fs::read_dir(&directory).map_err(PostgresError::unreadable(&directory))? {
        let entry = entry.map_err(PostgresError::unreadable(&directory))?;
        // a descriptor may be closed meanwhile
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        inodes.extend(inode(&target));
    }
    Ok(inodes)
}

fn inode(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A process and its descendants, itself first.
fn family(pid: u32) -> Result<Vec<u32>, PostgresError> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").map_err(PostgresError::unreadable("/proc"))? {
        let Ok(entry) = entry else { continue };
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = parent(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(process) = family.get(next).copied() {
        let more = children.remove(&process).unwrap_or_default();
        family.extend(more);
        next += 1;
    }
    Ok(family)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // "PID (NAME) STATE PARENT …"; the name may hold anything
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Address, port and inode of a line of `/proc/net/tcp` or `tcp6` in state 0A (LISTEN).
fn listening(line: &str) -> Option<(IpAddr, u16, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.get(3) != Some(&"0A") {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((address_of(address)?, port, fields.get(9)?.parse().ok()?))
}

/// Each group of eight digits is a word of the address in the host's byte order.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |index: usize| u32::from_str_radix(text.get(index * 8..index * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for index in 0..4 {
                bytes[index * 4..index * 4 + 4].copy_from_slice(&word(index)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn own_listeners_are_found_and_connections_are_not() {
        let four = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let six = std::net::TcpListener::bind("[::1]:0").ok();
        let port = four.local_addr().unwrap().port();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let found = tcp_listeners(std::process::id()).unwrap();
        let ports: Vec<u16> = found.iter().map(|listener| listener.port).collect();
        assert!(found.iter().any(|listener| (listener.port, listener.address.is_loopback()) == (port, true)));
        assert!(!ports.contains(&client.local_addr().unwrap().port()));
        if let Some(six) = six {
            let six = six.local_addr().unwrap();
            assert!(found.iter().any(|listener| (listener.address, listener.port) == (six.ip(), six.port())));
        }
        drop(four);
        let after = tcp_listeners(std::process::id()).unwrap();
        assert!(!after.iter().any(|listener| listener.port == port));
    }

    #[test]
    fn a_childs_listener_is_found_by_its_parent() {
        // the child inherits the listener as its standard input; the parent closes its own
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let input: std::process::Stdio = std::os::fd::OwnedFd::from(listener).into();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(input).spawn().unwrap();
        let found = tcp_listeners(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        let found = found.unwrap();
        assert!(found.iter().any(|listener| listener.port == port && listener.pid == child.id()), "{found:?}");
    }

    #[test]
    fn a_process_that_is_gone_is_an_error_and_not_silence() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(tcp_listeners(child.id()).is_err());
    }

    #[test]
    fn lines_that_are_no_listeners_are_passed_over() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        for line in
            ["", head, "0: 0100007F:1F90 00000000:0000 01 0:0 0:0 0 0 0 5", "0: é:1 0 0A", "0: 0A:1 0 0A 0 0 0 0 0 5"]
        {
            assert_eq!(listening(line), None, "{line}");
        }
    }
}
