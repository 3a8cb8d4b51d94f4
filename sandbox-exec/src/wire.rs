//! Messages between the supervisor and those inside: a kind, a length, a body, and sometimes descriptors. Each is read to its end and no
//! further, so several readers may take turns at one socket.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// To the first process: the id map is written, go on.
    Go = b'g',
    /// To the first process: the ways into the cgroups of the run.
    Doors = b'd',
    /// To the one who will execute the command: this command, with these three descriptors.
    Start = b's',
    /// From inside: a step failed; the body is the error.
    Failed = b'f',
    /// From the first process: the walls stand; with descriptors of `/out` and of the proxy's listener where they are asked for.
    Ready = b'r',
    /// From the one who will execute the command: the descriptor on which refused calls are told.
    Listener = b'l',
    /// From the first process: the wait status of the command.
    Ended = b'e',
}

/// More than any command line may be.
const LONGEST: usize = 8 << 20;
/// More descriptors than any message carries.
const MOST_FDS: usize = 4;

/// Sends one message.
pub(crate) fn send(to: BorrowedFd<'_>, kind: Kind, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let len = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut message = vec![kind as u8];
    message.extend(len.to_le_bytes());
    message.extend(body);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
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

/// A message: its kind, its body, its descriptors.
pub(crate) type Message = (Kind, Vec<u8>, Vec<OwnedFd>);

/// Takes one message; `None` when the other side is gone.
pub(crate) fn receive(from: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut head = [0u8; 5];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
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
    fill(from, head.get_mut(got.bytes..).unwrap_or_default())?;
    let [kind, a, b, c, d] = head;
    let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let kind = match kind {
        b'g' => Kind::Go,
        b'd' => Kind::Doors,
        b's' => Kind::Start,
        b'f' => Kind::Failed,
        b'r' => Kind::Ready,
        b'l' => Kind::Listener,
        b'e' => Kind::Ended,
        _ => return Err(io::Error::from(io::ErrorKind::InvalidData)),
    };
    if len > LONGEST {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut body = vec![0; len];
    fill(from, &mut body)?;
    Ok(Some((kind, body, fds)))
}

fn fill(from: BorrowedFd<'_>, mut rest: &mut [u8]) -> io::Result<()> {
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
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Sends, for those who hold the descriptor.
pub(crate) fn tell(to: &OwnedFd, kind: Kind, body: &[u8]) -> io::Result<()> {
    send(to.as_fd(), kind, body, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_with_its_descriptors() -> io::Result<()> {
        let (a, b) = pair()?;
        send(a.as_fd(), Kind::Start, b"hello", &[a.as_fd(), b.as_fd()])?;
        tell(&a, Kind::Go, b"")?;
        let Some((Kind::Start, body, fds)) = receive(b.as_fd())? else {
            return Err(io::ErrorKind::Other.into());
        };
        assert_eq!((body.as_slice(), fds.len()), (b"hello".as_slice(), 2));
        assert!(matches!(receive(b.as_fd())?, Some((Kind::Go, _, _))));
        drop((a, fds));
        assert!(receive(b.as_fd())?.is_none());
        Ok(())
    }

    #[test]
    fn a_length_past_all_reason_is_refused_before_memory_is_taken() -> io::Result<()> {
        let (a, b) = pair()?;
        rustix::io::write(&a, &[b's', 0xff, 0xff, 0xff, 0xff])?;
        assert!(receive(b.as_fd()).is_err());
        Ok(())
    }
}
