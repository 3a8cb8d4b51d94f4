//! The way out, by name. Those inside have a network of their own in which nothing is but this listener; it stands there, and is served from
//! here. It speaks CONNECT for TLS and plain HTTP, looks names up itself, and lets through only what the profile names.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::error::Error;
use crate::exit_report::{Violation, Violations};
use crate::hole::Hole;
use crate::plan::Plan;
use crate::request_line::{self, Asked, Target};
use ip_scope::is_globally_routable;

/// Connections at one time; more are closed at once.
const MOST: usize = 64;
/// For a request to be read, and for a host to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The head of a request, or a TLS greeting, at most.
const HEAD: usize = 16_384;

/// A proxy that runs.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    allowed: Vec<Target>,
    private: bool,
    since: Instant,
    over: AtomicBool,
    active: AtomicUsize,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    allowed: BTreeSet<String>,
    refused: Violations,
}

/// Makes the listener, inside: brings the loopback interface up, binds a port there.
pub(crate) fn listen() -> Result<(OwnedFd, u16), Error> {
    loopback_up().map_err(|e| Error::step("bringing the loopback interface up", e))?;
    let made = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
    let (port, listener) = made.map_err(|e| Error::step("listening for the proxy", e))?;
    Ok((listener.into(), port))
}

/// RTM_NEWLINK for interface 1 with IFF_UP, by hand: one message of 32 bytes.
fn loopback_up() -> std::io::Result<()> {
    // No protocol is protocol 0, which is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut message = Vec::with_capacity(32);
    message.extend(32u32.to_ne_bytes());
    message.extend(16u16.to_ne_bytes());
    message.extend(5u16.to_ne_bytes());
    message.extend([0u8; 8]);
    message.extend([0u8; 4]);
    message.extend(1i32.to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    rustix::net::send(&socket, &message, rustix::net::SendFlags::empty())?;
    let mut answer = [0u8; 64];
    let (got, _) = rustix::net::recv(&socket, &mut answer, rustix::net::RecvFlags::empty())?;
    let code = answer.get(16..20).filter(|_| got >= 20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(errno) => Err(std::io::Error::from_raw_os_error(-errno)),
        None => Err(std::io::ErrorKind::InvalidData.into()),
    }
}

/// Serves, from outside, in threads of its own.
pub(crate) fn serve(listener: OwnedFd, plan: &Plan, since: Instant) -> Proxy {
    let shared = Arc::new(Shared {
        allowed: plan.hosts.iter().filter_map(|host| Target::of_profile(host)).collect(),
        private: plan.allows(Hole::NetPrivate),
        since,
        over: AtomicBool::new(false),
        active: AtomicUsize::new(0),
        told: Mutex::new(Told::default()),
    });
    let listener = TcpListener::from(listener);
    let server = Arc::clone(&shared);
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            if server.over.load(Ordering::Relaxed) {
                break;
            }
            if server.active.fetch_add(1, Ordering::Relaxed) >= MOST {
                server.active.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let one = Arc::clone(&server);
            std::thread::spawn(move || {
                let _ = one.client(client);
                one.active.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Proxy { shared }
}

impl Proxy {
    /// Ends, and tells what was let through and what was not.
    pub(crate) fn finish(self, violations: &mut Violations) -> Vec<String> {
        self.shared.over.store(true, Ordering::Relaxed);
        let Ok(mut told) = self.shared.told.lock() else {
            return Vec::new();
        };
        violations.absorb(std::mem::take(&mut told.refused));
        std::mem::take(&mut told.allowed).into_iter().collect()
    }
}

impl Shared {
    fn client(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let mut head = Vec::new();
        let Some(end) = read_until(&mut client, &mut head, request_line::end) else {
            return self.refuse(&mut client, "?", "not a request that this proxy knows");
        };
        let (request, rest) = head.split_at_checked(end).unwrap_or((&head, &[]));
        let asked = match request_line::parse(request) {
            Ok(asked) => asked,
            Err(why) => {
                return self.refuse(&mut client, &String::from_utf8_lossy(request.get(..80).unwrap_or(request)), why);
            }
        };
        let shown = asked.target.to_string();
        if !self.allowed.iter().any(|allowed| allowed.covers(&asked.target)) {
            return self.refuse(&mut client, &shown, "not among the hosts that the profile names");
        }
        let server = match self.connect(&asked.target) {
            Ok(server) => server,
            Err(why) => return self.refuse(&mut client, &shown, &why),
        };
        let Asked { target, plain, body } = asked;
        let mut left = u64::MAX;
        match plain {
            Some(rewritten) => {
                self.note(&shown);
                (&server).write_all(&rewritten)?;
                let first = rest.get(..usize::try_from(body).unwrap_or(usize::MAX).min(rest.len())).unwrap_or_default();
                (&server).write_all(first)?;
                left = body.saturating_sub(first.len() as u64);
            }
            None => {
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                let mut greeting = rest.to_vec();
                if read_until(&mut client, &mut greeting, request_line::greeting_end).is_none() {
                    return self.tell(&shown, "what followed CONNECT was not TLS");
                }
                if greeting.first() != Some(&request_line::HANDSHAKE) {
                    return self.tell(&shown, "what followed CONNECT was not TLS");
                }
                // A name that differs from what was asked would reach another customer of the same front.
                match request_line::server_name(&greeting) {
                    Some(name) if name.eq_ignore_ascii_case(&target.host) => {}
                    Some(name) => {
                        return self.tell(&shown, &format!("the TLS greeting asks for {name:?}"));
                    }
                    None => return self.tell(&shown, "the TLS greeting names no host, or hides its name"),
                }
                self.note(&shown);
                (&server).write_all(&greeting)?;
            }
        }
        relay(client, server, left)
    }

    /// Looks the name up here, once, and connects to what was looked at: no second look-up can answer otherwise.
    fn connect(&self, target: &Target) -> Result<TcpStream, String> {
        let found: Vec<_> = (target.host.as_str(), target.port)
            .to_socket_addrs()
            .map_err(|e| format!("the name cannot be looked up: {e}"))?
            .collect();
        let usable: Vec<_> = found.iter().filter(|address| self.private || is_globally_routable(address.ip())).collect();
        if usable.is_empty() {
            let first = found.first().map_or_else(String::new, |address| address.ip().to_string());
            return Err(format!("the name leads to {first}, which is not public"));
        }
        let connected = usable.into_iter().find_map(|address| TcpStream::connect_timeout(address, PATIENCE).ok());
        connected.ok_or_else(|| "the host does not answer".to_owned())
    }

    fn note(&self, what: &str) {
        if let Ok(mut told) = self.told.lock()
            && told.allowed.len() < 1000
        {
            told.allowed.insert(what.to_owned());
        }
    }

    fn tell(&self, what: &str, why: &str) -> std::io::Result<()> {
        let at_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Ok(mut told) = self.told.lock() {
            let violation =
                Violation { kind: "network".into(), what: what.into(), detail: why.into(), at_ms, pid: None, times: 1 };
            told.refused.add(violation);
        }
        Ok(())
    }

    fn refuse(&self, client: &mut TcpStream, what: &str, why: &str) -> std::io::Result<()> {
        self.tell(what, why)?;
        let body = format!("refused by the sandbox: {why}\n");
        write!(client, "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }
}

/// Reads until there is an end; `None` when there is none in reach.
fn read_until(from: &mut TcpStream, into: &mut Vec<u8>, end: fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let mut piece = [0u8; 4096];
    loop {
        if let Some(end) = end(into) {
            return Some(end);
        }
        if into.len() > HEAD {
            return None;
        }
        let got = from.read(&mut piece).ok().filter(|got| *got > 0)?;
        into.extend(piece.get(..got)?);
    }
}

fn relay(client: TcpStream, server: TcpStream, left: u64) -> std::io::Result<()> {
    client.set_read_timeout(None)?;
    let (from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let up = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client.take(left), &mut to_server);
        // A server may take a closed half for a client that is gone; only a client that has said all closes it.
        if left == u64::MAX {
            let _ = to_server.shutdown(Shutdown::Write);
        }
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = std::io::copy(&mut from_server, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
    let _ = from_server.shutdown(Shutdown::Both);
    up.join().map_err(|_| std::io::ErrorKind::Other.into())
}
