//! The proxy's server, in threads of the supervisor. It supports CONNECT for TLS, and plain HTTP. It resolves names itself, and connects only to
//! hosts of the profile.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ip_scope::is_globally_routable;

use super::denial::Denial;
use super::request_line::{self, ProxyRequest};
use super::tls_greeting;
use crate::plan::Plan;
use crate::policy::exit_report::{Violation, Violations};
use crate::policy::permission::Permission;
use crate::policy::target::Target;

/// Connections at one time; further ones are closed.
const MAX_CONNECTIONS: usize = 64;
/// For reading a request, and for connecting to a host.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest request head or TLS greeting.
const MAX_HEAD_BYTES: usize = 16_384;
/// Targets that the report lists.
const MAX_LISTED_TARGETS: usize = 1000;

/// A running proxy.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
}

/// The state of all connections.
struct Shared {
    allowed: Vec<Target>,
    allow_private: bool,
    since: Instant,
    stop: AtomicBool,
    connections: AtomicUsize,
    record: Mutex<Record>,
}

/// What the report lists.
#[derive(Default)]
struct Record {
    connected: BTreeSet<String>,
    denied: Violations,
}

/// Starts to accept connections.
pub(crate) fn serve(listener: OwnedFd, plan: &Plan, since: Instant) -> Proxy {
    let shared = Arc::new(Shared {
        allowed: plan.hosts.iter().filter_map(|host| Target::from_profile(host)).collect(),
        allow_private: plan.allows(Permission::NetPrivate),
        since,
        stop: AtomicBool::new(false),
        connections: AtomicUsize::new(0),
        record: Mutex::new(Record::default()),
    });
    let listener = TcpListener::from(listener);
    let server = Arc::clone(&shared);
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            if server.stop.load(Ordering::Relaxed) {
                break;
            }
            if server.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                server.connections.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let connection = Arc::clone(&server);
            std::thread::spawn(move || {
                let _ = connection.handle(client);
                connection.connections.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Proxy { shared }
}

impl Proxy {
    /// Stops the proxy. Returns the targets that it connected to, and adds denied requests to `violations`.
    pub(crate) fn finish(self, violations: &mut Violations) -> Vec<String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let Ok(mut record) = self.shared.record.lock() else {
            return Vec::new();
        };
        violations.append(std::mem::take(&mut record.denied));
        std::mem::take(&mut record.connected).into_iter().collect()
    }
}

impl Shared {
    fn handle(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(TIMEOUT))?;
        let mut received = Vec::new();
        let Some(end) = read_until(&mut client, &mut received, request_line::head_end) else {
            return self.deny(&mut client, "?", &Denial::NotARequest);
        };
        let (head, rest) = received.split_at_checked(end).unwrap_or((&received, &[]));
        let request = match request_line::parse(head) {
            Ok(request) => request,
            Err(denial) => {
                let shown = String::from_utf8_lossy(head.get(..80).unwrap_or(head));
                return self.deny(&mut client, &shown, &denial);
            }
        };
        let shown = request.target.to_string();
        if !self.allowed.iter().any(|allowed| allowed.permits(&request.target)) {
            return self.deny(&mut client, &shown, &Denial::HostNotPermitted);
        }
        let server = match self.connect(&request.target) {
            Ok(server) => server,
            Err(denial) => return self.deny(&mut client, &shown, &denial),
        };
        let ProxyRequest { target, plain_head, body_len } = request;
        match plain_head {
            Some(head) => {
                self.record_connection(&shown);
                (&server).write_all(&head)?;
                let body =
                    rest.get(..usize::try_from(body_len).unwrap_or(usize::MAX).min(rest.len())).unwrap_or_default();
                (&server).write_all(body)?;
                relay(client, server, Some(body_len.saturating_sub(body.len() as u64)))
            }
            None => self.tunnel(client, server, &target, rest),
        }
    }

    /// Answers CONNECT, and relays once the TLS greeting names the same host: another name would reach another site behind the same front.
    fn tunnel(&self, mut client: TcpStream, server: TcpStream, target: &Target, rest: &[u8]) -> io::Result<()> {
        let shown = target.to_string();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let mut greeting = rest.to_vec();
        let complete = read_until(&mut client, &mut greeting, tls_greeting::record_end).is_some();
        if !complete || greeting.first() != Some(&tls_greeting::HANDSHAKE) {
            self.record_denial(&shown, &Denial::NotTls);
            return Ok(());
        }
        match tls_greeting::server_name(&greeting) {
            Some(name) if name.eq_ignore_ascii_case(&target.host) => {}
            Some(name) => {
                self.record_denial(&shown, &Denial::DifferentServerName(name));
                return Ok(());
            }
            None => {
                self.record_denial(&shown, &Denial::NoServerName);
                return Ok(());
            }
        }
        self.record_connection(&shown);
        (&server).write_all(&greeting)?;
        relay(client, server, None)
    }

    /// Resolves the name once, and connects to the addresses that were checked; a second look-up might return others.
    fn connect(&self, target: &Target) -> Result<TcpStream, Denial> {
        let addresses: Vec<_> =
            (target.host.as_str(), target.port).to_socket_addrs().map_err(Denial::Lookup)?.collect();
        let mut usable =
            addresses.iter().filter(|address| self.allow_private || is_globally_routable(address.ip())).peekable();
        if usable.peek().is_none() {
            return Err(Denial::NotPublic(addresses.first().map(|address| address.ip())));
        }
        usable.find_map(|address| TcpStream::connect_timeout(address, TIMEOUT).ok()).ok_or(Denial::NoAnswer)
    }

    fn record_connection(&self, target: &str) {
        if let Ok(mut record) = self.record.lock()
            && record.connected.len() < MAX_LISTED_TARGETS
        {
            record.connected.insert(target.to_owned());
        }
    }

    fn record_denial(&self, what: &str, denial: &Denial) {
        let at_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Ok(mut record) = self.record.lock() {
            record.denied.add(Violation::new("network", what, denial.to_string(), at_ms));
        }
    }

    fn deny(&self, client: &mut TcpStream, what: &str, denial: &Denial) -> io::Result<()> {
        self.record_denial(what, denial);
        let body = format!("refused by the sandbox: {denial}\n");
        write!(client, "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }
}

/// Reads until `end` finds an end, and returns it. `None`: the stream ended, timed out or exceeded [`MAX_HEAD_BYTES`].
fn read_until(from: &mut TcpStream, into: &mut Vec<u8>, end: fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let mut buffer = [0u8; 4096];
    loop {
        if let Some(end) = end(into) {
            return Some(end);
        }
        if into.len() > MAX_HEAD_BYTES {
            return None;
        }
        let got = from.read(&mut buffer).ok().filter(|got| *got > 0)?;
        into.extend(buffer.get(..got)?);
    }
}

/// Copies in both directions until both ends are closed. `body_left` bounds the bytes from the client; `None`: no bound.
fn relay(client: TcpStream, server: TcpStream, body_left: Option<u64>) -> io::Result<()> {
    client.set_read_timeout(None)?;
    let (from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let up = std::thread::spawn(move || {
        let _ = io::copy(&mut from_client.take(body_left.unwrap_or(u64::MAX)), &mut to_server);
        // A server may take a half-closed connection for a client that is gone, so it is half-closed only when the client did so.
        if body_left.is_none() {
            let _ = to_server.shutdown(Shutdown::Write);
        }
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = io::copy(&mut from_server, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
    let _ = from_server.shutdown(Shutdown::Both);
    up.join().map_err(|_| io::ErrorKind::Other.into())
}
