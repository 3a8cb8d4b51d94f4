//! What Landlock refused, as the kernel's audit tells it: from version 6.15 on, to root, where auditing is on. The records of all runs go to
//! all who listen; ours are known by the process that locked itself in. Elsewhere what Landlock refuses is refused and not told.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with};

/// The group to which every record is sent.
const RECORDS: u32 = 1;
/// The types of Landlock's records: something was refused; the domain by which it was.
const ACCESS: u16 = 1423;
const DOMAIN: u16 = 1424;
/// Records kept that wait for the one which says whose they are. A flood of others' pushes them out.
const MOST: usize = 256;

/// An ear for records.
#[derive(Debug)]
pub(crate) struct Audit {
    socket: OwnedFd,
    own: HashSet<i32>,
    /// Domains, and whether they are ours.
    domains: BTreeMap<String, bool>,
    waiting: Vec<(String, Refused)>,
}

/// What was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The path, or the port.
    pub(crate) what: String,
    /// The rights that were missing.
    pub(crate) rights: String,
}

impl Audit {
    /// `None` where one may not listen.
    pub(crate) fn listen() -> Option<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::AUDIT)).ok()?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, RECORDS)).ok()?;
        Some(Self { socket, own: HashSet::new(), domains: BTreeMap::new(), waiting: Vec::new() })
    }

    /// One of the children that this process has now locks itself in.
    pub(crate) fn expect_children_of(&mut self, first: i32) {
        // Where this file is not, nothing is known to be ours: no record is better than another's.
        let children = crate::cgroup_place::read(format!("/proc/{first}/task/{first}/children"));
        self.own.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }

    /// Takes all that has come.
    pub(crate) fn hear(&mut self) -> Vec<Refused> {
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

    fn take(&mut self, kind: u16, text: &str, ours: &mut Vec<Refused>) {
        let Some(domain) = field(text, "domain") else { return };
        if kind == ACCESS {
            match self.domains.get(&domain) {
                Some(true) => ours.extend(refused(text)),
                Some(false) => {}
                None => {
                    self.waiting.extend(refused(text).map(|refused| (domain, refused)));
                    let over = self.waiting.len().saturating_sub(MOST);
                    self.waiting.drain(..over);
                }
            }
        } else if let Some(pid) = field(text, "pid").and_then(|pid| pid.parse().ok()) {
            let own = self.own.contains(&pid);
            let (told, others) =
                std::mem::take(&mut self.waiting).into_iter().partition::<Vec<_>, _>(|(known, _)| *known == domain);
            self.waiting = others;
            if own {
                ours.extend(told.into_iter().map(|(_, refused)| refused));
            }
            if self.domains.len() < MOST {
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

fn refused(text: &str) -> Option<Refused> {
    let rights = field(text, "blockers")?;
    let what = ["path", "dest", "ocomm", "opid"].iter().find_map(|name| field(text, name)).unwrap_or_default();
    Some(Refused { what, rights })
}

/// A field of a record: bare, quoted, or, where it holds what could pass for another field, in hexadecimal.
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
            return Some(if name == "path" || name == "ocomm" { unhex(bare) } else { bare.to_owned() });
        }
        rest = after;
    }
}

fn unhex(text: &str) -> String {
    let pairs = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    bytes.map_or_else(|| text.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deaf() -> std::io::Result<Audit> {
        let socket = std::fs::File::open("/dev/null")?.into();
        Ok(Audit { socket, own: HashSet::from([300]), domains: BTreeMap::new(), waiting: Vec::new() })
    }

    const ON: &str =
        "audit(1729738800.268:30): domain=1a6fdc66f blockers=fs.execute path=\"/tmp/x y\" dev=\"tmpfs\" ino=351";

    #[test]
    fn what_was_refused_is_told_once_it_is_known_whose_it_was() -> std::io::Result<()> {
        let mut audit = deaf()?;
        let mut ours = Vec::new();
        audit.take(ACCESS, ON, &mut ours);
        assert!(ours.is_empty());
        let whose = |pid: i32, domain: &str| {
            format!(
                "audit(1.2:30): domain={domain} status=allocated mode=enforcing pid={pid} uid=0 exe=\"/x\" comm=\"x\""
            )
        };
        audit.take(DOMAIN, &whose(300, "1a6fdc66f"), &mut ours);
        assert_eq!(ours, [Refused { what: "/tmp/x y".into(), rights: "fs.execute".into() }]);
        audit.take(ACCESS, "audit(1.2:31): domain=1a6fdc66f blockers=net.connect_tcp daddr=1.2.3.4 dest=80", &mut ours);
        assert_eq!(ours.get(1), Some(&Refused { what: "80".into(), rights: "net.connect_tcp".into() }));
        audit.take(ACCESS, &ON.replace("1a6fdc66f", "2b"), &mut ours);
        audit.take(DOMAIN, &whose(301, "2b"), &mut ours);
        audit.take(ACCESS, &ON.replace("1a6fdc66f", "2b"), &mut ours);
        assert_eq!((ours.len(), audit.waiting.len()), (2, 0), "another's records");
        Ok(())
    }

    #[test]
    fn a_flood_has_an_end_and_hostile_names_stay_names() -> std::io::Result<()> {
        let mut audit = deaf()?;
        let mut ours = Vec::new();
        for number in 0..1000 {
            audit.take(ACCESS, &format!("audit(1:1): domain={number:x} blockers=fs.read_file path=\"/a\""), &mut ours);
        }
        assert_eq!(audit.waiting.len(), MOST);
        let text = "audit(1:1): domain=1 blockers=fs.read_file path=2F612220706964 dev=\"x\"";
        assert_eq!(field(text, "path").as_deref(), Some("/a\" pid"));
        assert_eq!(field(text, "pid"), None);
        assert_eq!(field("", "path"), None);
        Ok(())
    }
}
