//! Messages between the processes of a run over a stream socket: a kind (1 byte), the length of the body (4 bytes, little-endian), the body,
//! and sometimes descriptors (SCM_RIGHTS). A reader consumes exactly one message, so several processes may read from one socket in turn.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::error::Error;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MessageKind {
    /// Caller to launcher: a request, as JSON.
    Request = b'q',
    /// Supervisor to first process: the id map is written.
    IdMapWritten = b'm',
    /// Supervisor to first process: descriptors of the `tasks` files of the run's cgroups.
    Cgroups = b'c',
    /// To the process that will execute the command: the command, as JSON, and descriptors of its three streams.
    Command = b's',
    /// From inside, or from the launcher: an [`Error`], as JSON.
    Failed = b'f',
    /// From the first process, or from the launcher: the sandbox is set up. From the first process with a byte, 1 for a core-scheduling cookie, and with
    /// descriptors of `/out` and of the proxy's listening socket, if requested.
    Ready = b'r',
    /// From the process that will execute the command: the listener for denied system calls.
    SeccompListener = b'l',
    /// From the first process: the wait status of the command, 4 bytes, little-endian.
    Exited = b'e',
    /// Launcher to caller: the report, as JSON.
    Report = b'p',
}

impl MessageKind {
    const ALL: [Self; 9] = [
        Self::Request,
        Self::IdMapWritten,
        Self::Cgroups,
        Self::Command,
        Self::Failed,
        Self::Ready,
        Self::SeccompListener,
        Self::Exited,
        Self::Report,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A received message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: MessageKind,
    pub(crate) body: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// More than the kernel accepts as a command line.
const MAX_BODY_BYTES: usize = 8 << 20;
/// More than any message carries.
const MAX_FDS: usize = 4;

/// Sends one message with descriptors.
pub(crate) fn send(to: BorrowedFd<'_>, kind: MessageKind, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let len = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut message = vec![kind as u8];
    message.extend(len.to_le_bytes());
    message.extend(body);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut sent = sendmsg(to, &[io::IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL)?;
    while sent < message.len() {
        let rest = message.get(sent..).unwrap_or_default();
        sent += rustix::net::send(to, rest, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// Sends one message without descriptors.
pub(crate) fn send_body(to: &OwnedFd, kind: MessageKind, body: &[u8]) -> io::Result<()> {
    send(to.as_fd(), kind, body, &[])
}

/// Sends an error as [`MessageKind::Failed`].
pub(crate) fn send_error(to: &OwnedFd, error: &Error) -> io::Result<()> {
    send_body(to, MessageKind::Failed, &serde_json::to_vec(error)?)
}

/// Reads the body of a [`MessageKind::Failed`] message.
pub(crate) fn parse_error(body: &[u8]) -> Error {
    serde_json::from_slice(body).unwrap_or_else(|error| Error::setup("reading an error of the sandbox", error))
}

/// Receives one message; `None`: the other end is closed.
pub(crate) fn receive(from: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut head = [0u8; 5];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(from, &mut [io::IoSliceMut::new(&mut head)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    read_exact(from, head.get_mut(got.bytes..).unwrap_or_default())?;
    let [kind, a, b, c, d] = head;
    let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let kind = MessageKind::from_byte(kind).ok_or_else(invalid)?;
    if len > MAX_BODY_BYTES {
        return Err(invalid());
    }
    let mut body = vec![0; len];
    read_exact(from, &mut body)?;
    Ok(Some(Message { kind, body, fds }))
}

fn read_exact(from: BorrowedFd<'_>, mut rest: &mut [u8]) -> io::Result<()> {
    while !rest.is_empty() {
        let got = rustix::io::read(from, &mut *rest)?;
        if got == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        rest = rest.get_mut(got..).unwrap_or_default();
    }
    Ok(())
}

/// A pair of connected sockets.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_with_its_body_and_descriptors() -> io::Result<()> {
        let (a, b) = socket_pair()?;
        send(a.as_fd(), MessageKind::Command, b"hello", &[a.as_fd(), b.as_fd()])?;
        send_body(&a, MessageKind::IdMapWritten, b"")?;
        let Some(Message { kind: MessageKind::Command, body, fds }) = receive(b.as_fd())? else {
            return Err(io::ErrorKind::Other.into());
        };
        assert_eq!((body.as_slice(), fds.len()), (b"hello".as_slice(), 2));
        assert!(matches!(receive(b.as_fd())?, Some(Message { kind: MessageKind::IdMapWritten, .. })));
        drop((a, fds));
        assert!(receive(b.as_fd())?.is_none());
        Ok(())
    }

    #[test]
    fn an_error_arrives_as_it_was_sent() -> io::Result<()> {
        let (a, b) = socket_pair()?;
        let error = Error::NotFound { program: "x".into(), reason: "y".into(), hint: "z".into() };
        send_error(&a, &error)?;
        let received = receive(b.as_fd())?.filter(|message| message.kind == MessageKind::Failed);
        assert_eq!(received.map(|message| parse_error(&message.body)), Some(error));
        Ok(())
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_memory_is_allocated() -> io::Result<()> {
        let (a, b) = socket_pair()?;
        rustix::io::write(&a, &[b's', 0xff, 0xff, 0xff, 0xff])?;
        assert!(receive(b.as_fd()).is_err());
        Ok(())
    }
}
