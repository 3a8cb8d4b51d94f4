//! Landlock denials from the kernel's audit log: available to root on Linux 6.15 and newer where auditing is enabled. Elsewhere denials are not
//! reported. Every listener receives the records of all processes; those of this run are recognized by the process that created the Landlock
//! domain. Source: the kernel's admin-guide/LSM/landlock.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with};

use crate::sys::process::read_file;

/// AUDIT_NLGRP_READLOG, the multicast group of all records.
const READLOG_GROUP: u32 = 1;
/// AUDIT_LANDLOCK_ACCESS: a denied access.
const ACCESS: u16 = 1423;
/// AUDIT_LANDLOCK_DOMAIN: a new domain and its creator.
const DOMAIN: u16 = 1424;
/// Known domains, and pending records. In a flood of foreign records the oldest pending ones are dropped.
const MAX_RECORDS: usize = 256;

/// A listener for audit records.
#[derive(Debug)]
pub(crate) struct Audit {
    socket: OwnedFd,
    /// The processes whose domains belong to this run.
    own_pids: HashSet<i32>,
    /// Known domains, and whether they belong to this run.
    domains: BTreeMap<String, bool>,
    /// Denials by domains that are not known yet.
    pending: Vec<(String, DeniedAccess)>,
}

/// A denied access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeniedAccess {
    /// The path, or the port.
    pub(crate) what: String,
    /// The missing rights.
    pub(crate) rights: String,
}

impl Audit {
    /// Starts to listen. `None`: this process may not.
    pub(crate) fn listen() -> Option<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::AUDIT)).ok()?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, READLOG_GROUP)).ok()?;
        Some(Self { socket, own_pids: HashSet::new(), domains: BTreeMap::new(), pending: Vec::new() })
    }

    /// Counts domains created by the current children of a process as those of this run.
    pub(crate) fn expect_children_of(&mut self, first: i32) {
        // Without CONFIG_PROC_CHILDREN the file does not exist, and no records are reported; that is better than foreign ones.
        let children = read_file(format!("/proc/{first}/task/{first}/children"));
        self.own_pids.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }

    /// Reads all received records, and returns the denials of this run.
    pub(crate) fn read_denials(&mut self) -> Vec<DeniedAccess> {
        let mut ours = Vec::new();
        let mut record = [0u8; 9000];
        while let Ok((got, _)) = recv(&self.socket, &mut record, RecvFlags::empty()) {
            let record = record.get(..got).unwrap_or_default();
            let (Some(kind), Some(text)) = (record.get(4..6), record.get(16..)) else { continue };
            let kind = kind.try_into().map_or(0, u16::from_ne_bytes);
            if kind == ACCESS || kind == DOMAIN {
                self.take(kind, &String::from_utf8_lossy(text), &mut ours);
            }
        }
        ours
    }

    fn take(&mut self, kind: u16, text: &str, ours: &mut Vec<DeniedAccess>) {
        let Some(domain) = field(text, "domain") else { return };
        if kind == ACCESS {
            match self.domains.get(&domain) {
                Some(true) => ours.extend(parse_denial(text)),
                Some(false) => {}
                None => {
                    self.pending.extend(parse_denial(text).map(|denied| (domain, denied)));
                    let over = self.pending.len().saturating_sub(MAX_RECORDS);
                    self.pending.drain(..over);
                }
            }
        } else if let Some(pid) = field(text, "pid").and_then(|pid| pid.parse().ok()) {
            let own = self.own_pids.contains(&pid);
            let (known, others) =
                std::mem::take(&mut self.pending).into_iter().partition::<Vec<_>, _>(|(of, _)| *of == domain);
            self.pending = others;
            if own {
                ours.extend(known.into_iter().map(|(_, denied)| denied));
            }
            if self.domains.len() < MAX_RECORDS {
                self.domains.insert(domain, own);
            }
        }
    }
}

impl AsFd for Audit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn parse_denial(text: &str) -> Option<DeniedAccess> {
    let rights = field(text, "blockers")?;
    let what = ["path", "dest", "ocomm", "opid"].iter().find_map(|name| field(text, name)).unwrap_or_default();
    Some(DeniedAccess { what, rights })
}

/// A field of a record: bare, quoted, or, for a value that contains spaces or quotes, in hexadecimal.
fn field(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once(name)?;
        let starts = before.is_empty() || before.ends_with(' ');
        if let Some(value) = after.strip_prefix('=').filter(|_| starts) {
            if let Some(quoted) = value.strip_prefix('"') {
                return quoted.split_once('"').map(|(inside, _)| inside.to_owned());
            }
            let bare = value.split([' ', '\0', '\n']).next().unwrap_or_default();
            return Some(if name == "path" || name == "ocomm" { decode_hex(bare) } else { bare.to_owned() });
        }
        rest = after;
    }
}

fn decode_hex(text: &str) -> String {
    let pairs = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    bytes.map_or_else(|| text.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_socket() -> std::io::Result<Audit> {
        let socket = std::fs::File::open("/dev/null")?.into();
        Ok(Audit { socket, own_pids: HashSet::from([300]), domains: BTreeMap::new(), pending: Vec::new() })
    }

    const DENIAL: &str =
        "audit(1729738800.268:30): domain=1a6fdc66f blockers=fs.execute path=\"/tmp/x y\" dev=\"tmpfs\" ino=351";

    #[test]
    fn denials_are_reported_once_their_domain_is_known() -> std::io::Result<()> {
        let mut audit = without_socket()?;
        let mut ours = Vec::new();
        audit.take(ACCESS, DENIAL, &mut ours);
        assert!(ours.is_empty());
        let domain_record = |pid: i32, domain: &str| {
            format!(
                "audit(1.2:30): domain={domain} status=allocated mode=enforcing pid={pid} uid=0 exe=\"/x\" comm=\"x\""
            )
        };
        audit.take(DOMAIN, &domain_record(300, "1a6fdc66f"), &mut ours);
        assert_eq!(ours, [DeniedAccess { what: "/tmp/x y".into(), rights: "fs.execute".into() }]);
        audit.take(ACCESS, "audit(1.2:31): domain=1a6fdc66f blockers=net.connect_tcp daddr=1.2.3.4 dest=80", &mut ours);
        assert_eq!(ours.get(1), Some(&DeniedAccess { what: "80".into(), rights: "net.connect_tcp".into() }));
        audit.take(ACCESS, &DENIAL.replace("1a6fdc66f", "2b"), &mut ours);
        audit.take(DOMAIN, &domain_record(301, "2b"), &mut ours);
        audit.take(ACCESS, &DENIAL.replace("1a6fdc66f", "2b"), &mut ours);
        assert_eq!((ours.len(), audit.pending.len()), (2, 0), "foreign records");
        Ok(())
    }

    #[test]
    fn pending_records_are_bounded_and_hostile_names_stay_values() -> std::io::Result<()> {
        let mut audit = without_socket()?;
        let mut ours = Vec::new();
        for number in 0..1000 {
            audit.take(ACCESS, &format!("audit(1:1): domain={number:x} blockers=fs.read_file path=\"/a\""), &mut ours);
        }
        assert_eq!(audit.pending.len(), MAX_RECORDS);
        let text = "audit(1:1): domain=1 blockers=fs.read_file path=2F612220706964 dev=\"x\"";
        assert_eq!(field(text, "path").as_deref(), Some("/a\" pid"));
        assert_eq!(field(text, "pid"), None);
        assert_eq!(field("", "path"), None);
        Ok(())
    }
}
