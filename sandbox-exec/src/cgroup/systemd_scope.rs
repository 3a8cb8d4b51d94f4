//! A delegated systemd scope for this process. An unprivileged user cannot create cgroups in a login session, but the user's service manager
//! creates a scope on request and delegates its controllers. The request is three D-Bus messages, written here by hand: a D-Bus library would be
//! larger than all other dependencies of this crate together.
//!
//! Source: the D-Bus specification (message protocol, EXTERNAL authentication) and org.freedesktop.systemd1(5).

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::parents;
use crate::sys::calls;
use crate::sys::process::ProcessIdentity;

/// For each reply, and for this process to be moved.
const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any expected reply.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// Moves this process into a new scope, and enables its controllers for child cgroups.
///
/// # Errors
/// When no service manager of the user runs, or it refuses.
pub(crate) fn enter() -> io::Result<()> {
    let Some(bus) = bus() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no service manager runs for this user"));
    };
    let name = format!("{}.scope", ProcessIdentity::read().new_run_name());
    let mut stream = UnixStream::connect(bus)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    request_scope(&mut stream, calls::effective_ids().0, &name, std::process::id())?;
    let scope = wait_for_move(&name)?;
    // A cgroup with processes may not enable controllers for its children.
    let leaf = scope.join("supervisor");
    fs::create_dir(&leaf)?;
    fs::write(leaf.join("cgroup.procs"), "0")?;
    fs::write(scope.join("cgroup.subtree_control"), "+memory +pids +cpu")
}

fn bus() -> Option<PathBuf> {
    let named = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok();
    let named =
        named.as_deref().and_then(|address| address.split([';', ',']).find_map(|part| part.strip_prefix("unix:path=")));
    let usual = || format!("/run/user/{}/bus", calls::effective_ids().0);
    let path = PathBuf::from(named.map_or_else(usual, str::to_owned));
    path.exists().then_some(path)
}

/// The manager replies before this process is moved.
fn wait_for_move(name: &str) -> io::Result<PathBuf> {
    let began = Instant::now();
    loop {
        if let Some(own) = parents::own_v2().filter(|own| own.ends_with(name)) {
            return Ok(own);
        }
        if began.elapsed() > TIMEOUT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the service manager did not create the scope in time",
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Authenticates, says Hello, and calls StartTransientUnit.
fn request_scope(stream: &mut (impl Read + Write), uid: u32, name: &str, pid: u32) -> io::Result<()> {
    let who: String = uid.to_string().bytes().map(|b| format!("{b:02x}")).collect();
    stream.write_all(format!("\0AUTH EXTERNAL {who}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") && answer.len() < 512 {
        let mut one = [0u8];
        stream.read_exact(&mut one)?;
        answer.extend(one);
    }
    if !answer.starts_with(b"OK ") {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the bus rejects the authentication"));
    }
    stream.write_all(b"BEGIN\r\n")?;
    let bus = "org.freedesktop.DBus";
    stream.write_all(&call(1, bus, "/org/freedesktop/DBus", bus, "Hello", None))?;
    wait_for_reply(stream, 1)?;
    let manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
    let body = ("ssa(sv)a(sa(sv))", scope_arguments(name, pid));
    stream.write_all(&call(2, manager[0], manager[1], manager[2], "StartTransientUnit", Some(body)))?;
    wait_for_reply(stream, 2)
}

/// A D-Bus message under construction. Each value is aligned to a multiple of its size, from the start of the message.
#[derive(Default)]
struct Marshaller(Vec<u8>);

impl Marshaller {
    fn align(&mut self, to: usize) {
        while !self.0.len().is_multiple_of(to) {
            self.0.push(0);
        }
    }

    fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(u32::try_from(text.len()).unwrap_or(0));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(0));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array of structs; its length is counted from the first element, after the padding.
    fn array_of_structs(&mut self, fill: impl FnOnce(&mut Self)) {
        self.number(0);
        let length_at = self.0.len().saturating_sub(4);
        self.align(8);
        let start = self.0.len();
        fill(self);
        let len = u32::try_from(self.0.len().saturating_sub(start)).unwrap_or(0).to_le_bytes();
        if let Some(place) = self.0.get_mut(length_at..length_at.saturating_add(4)) {
            place.copy_from_slice(&len);
        }
    }

    /// A struct of a name and a variant.
    fn property(&mut self, name: &str, kind: &str, value: impl FnOnce(&mut Self)) {
        self.align(8);
        self.text(name);
        self.signature(kind);
        value(self);
    }
}

/// The arguments of StartTransientUnit: a delegated scope for one process, removed when it is empty.
fn scope_arguments(name: &str, pid: u32) -> Vec<u8> {
    let mut body = Marshaller::default();
    body.text(name);
    body.text("fail");
    body.array_of_structs(|properties| {
        properties.property("Description", "s", |m| m.text("modelscan run"));
        properties.property("Delegate", "b", |m| m.number(1));
        properties.property("CollectMode", "s", |m| m.text("inactive-or-failed"));
        properties.property("PIDs", "au", |m| {
            m.number(4);
            m.number(pid);
        });
    });
    body.array_of_structs(|_| {});
    body.0
}

/// A method call message.
fn call(serial: u32, to: &str, path: &str, interface: &str, member: &str, body: Option<(&str, Vec<u8>)>) -> Vec<u8> {
    let (signature, body) = body.unwrap_or_default();
    let mut message = Marshaller(vec![b'l', 1, 0, 1]);
    message.number(u32::try_from(body.len()).unwrap_or(0));
    message.number(serial);
    message.array_of_structs(|fields| {
        let mut field = |code: u8, kind: &str, text: &str| {
            fields.align(8);
            fields.0.push(code);
            fields.signature(kind);
            if kind == "g" { fields.signature(text) } else { fields.text(text) }
        };
        field(1, "o", path);
        field(2, "s", interface);
        field(3, "s", member);
        field(6, "s", to);
        if !signature.is_empty() {
            field(8, "g", signature);
        }
    });
    message.align(8);
    message.0.extend(body);
    message.0
}

/// Waits for the reply to a call, and skips all other messages.
fn wait_for_reply(stream: &mut impl Read, serial: u32) -> io::Result<()> {
    loop {
        let mut head = [0u8; 16];
        stream.read_exact(&mut head)?;
        let [order, kind, _, _, a, b, c, d, _, _, _, _, e, f, g, h] = head;
        let (body, fields) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let padded = usize::try_from(fields).unwrap_or(MAX_REPLY_BYTES).min(MAX_REPLY_BYTES).next_multiple_of(8);
        let len = padded.saturating_add(usize::try_from(body).unwrap_or(MAX_REPLY_BYTES));
        if order != b'l' || len > MAX_REPLY_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the bus sends an unexpected message"));
        }
        let mut rest = vec![0; len];
        stream.read_exact(&mut rest)?;
        let (fields, body) = rest.split_at_checked(padded).unwrap_or_default();
        // REPLY_SERIAL: field 5, a u32.
        let reply_serial = [&[5u8, 1, b'u', 0][..], &serial.to_le_bytes()].concat();
        if !fields.chunks(8).any(|field| field == reply_serial) {
            continue;
        }
        return match kind {
            2 => Ok(()),
            _ => Err(io::Error::other(format!("the service manager refuses a scope: {}", error_text(body)))),
        };
    }
}

/// The message of an error reply: the first string of its body.
fn error_text(body: &[u8]) -> String {
    let text = body.get(4..).unwrap_or_default();
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let message = call(1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", None);
        let expected = b"l\x01\0\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0\
            \x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\
            \x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
            \x03\x01s\0\x05\0\0\0Hello\0\0\0\
            \x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0";
        assert_eq!(message.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    /// A bus with prepared replies that records what it receives.
    struct Bus {
        replies: io::Cursor<Vec<u8>>,
        received: Vec<u8>,
    }

    impl Read for Bus {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.replies.read(buffer)
        }
    }

    impl Write for Bus {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.received.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answer(kind: u8, serial: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).unwrap_or(0).to_le_bytes();
        let fields = [&[5, 1, b'u', 0][..], &serial.to_le_bytes()].concat();
        [&[b'l', kind, 0, 1][..], &len, &[9, 0, 0, 0, 8, 0, 0, 0], &fields, body].concat()
    }

    fn exchange(replies: &[Vec<u8>]) -> (io::Result<()>, Vec<u8>) {
        let mut bus = Bus { replies: io::Cursor::new(replies.concat()), received: Vec::new() };
        (request_scope(&mut bus, 1000, "x.scope", 42), bus.received)
    }

    #[test]
    fn a_scope_is_requested_and_signals_are_skipped() {
        let signal = [&[b'l', 4, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0][..], &[7, 1, b's', 0, 0, 0, 0, 0]].concat();
        let (done, received) =
            exchange(&[b"OK 12ab\r\n".to_vec(), answer(2, 1, b""), signal, answer(2, 2, b"\x02\0\0\0/j\0")]);
        assert!(done.is_ok(), "{done:?}");
        assert!(received.starts_with(b"\0AUTH EXTERNAL 31303030\r\nBEGIN\r\n"));
        let has = |part: &[u8]| received.windows(part.len()).any(|piece| piece == part);
        assert!(has(b"x.scope\0") && has(b"ssa(sv)a(sa(sv))\0"));
        assert!(has(b"PIDs\0\x02au\0\0\0\0\x04\0\0\0*\0\0\0"), "{}", received.escape_ascii());
        assert!(has(b"Delegate\0\x01b\0\x01\0\0\0"), "{}", received.escape_ascii());
    }

    #[test]
    fn refusals_are_reported_and_malformed_replies_are_errors() {
        let refusal = answer(3, 2, b"\x06\0\0\0denied\0");
        let (done, _) = exchange(&[b"OK 1\r\n".to_vec(), answer(2, 1, b""), refusal]);
        assert!(done.is_err_and(|e| e.to_string().contains("denied")));
        for replies in [b"REJECTED EXTERNAL\r\n".to_vec(), b"OK 1\r\n".to_vec(), vec![b'x'; 9000]] {
            assert!(exchange(&[replies]).0.is_err());
        }
        let huge = [&b"OK 1\r\n"[..], b"l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff"].concat();
        assert!(exchange(&[huge]).0.is_err());
    }
}
