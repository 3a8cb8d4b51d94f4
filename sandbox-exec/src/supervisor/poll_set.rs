//! The descriptors that the supervisor waits for, each with the event that it stands for.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::streams::StreamId;

/// An event that the supervisor handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollEvent {
    /// The seccomp listener has a denied call.
    DeniedSyscall,
    /// The seccomp listener is closed: no process with the filter exists any more.
    ListenerClosed,
    /// The sandbox sent a message, or closed its socket.
    Message,
    /// The kernel's audit sent a record.
    AuditRecord,
    /// A stream can be read or written.
    Stream(StreamId),
    /// The first process ended, and with it all others.
    FirstProcessExit,
    /// A signal or the caller requests the end of the run.
    EndRequest,
}

/// Descriptors to wait for.
#[derive(Default)]
pub(super) struct PollSet<'a> {
    events: Vec<PollEvent>,
    fds: Vec<PollFd<'a>>,
}

impl<'a> PollSet<'a> {
    pub(super) fn add(&mut self, event: PollEvent, fd: BorrowedFd<'a>, flags: PollFlags) {
        self.events.push(event);
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
    }

    /// Waits, and returns the events that occurred, in the order of [`Self::add`]. `None`: no timeout.
    pub(super) fn wait(mut self, timeout: Option<&Timespec>) -> Vec<PollEvent> {
        // An interrupted call has no events.
        let _ = poll(&mut self.fds, timeout);
        let ready = self.events.into_iter().zip(self.fds).filter(|(_, fd)| !fd.revents().is_empty());
        ready
            .map(|(event, fd)| match event {
                PollEvent::DeniedSyscall if !fd.revents().contains(PollFlags::IN) => PollEvent::ListenerClosed,
                event => event,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn events_are_returned_by_name_and_in_order() -> std::io::Result<()> {
        let (read, mut write) = std::io::pipe()?;
        let (idle, _open) = std::io::pipe()?;
        let (closed, end) = std::io::pipe()?;
        write.write_all(b"x")?;
        drop(end);
        let mut set = PollSet::default();
        set.add(PollEvent::DeniedSyscall, closed.as_fd(), PollFlags::IN);
        set.add(PollEvent::AuditRecord, idle.as_fd(), PollFlags::IN);
        set.add(PollEvent::Message, read.as_fd(), PollFlags::IN);
        assert_eq!(set.wait(None), [PollEvent::ListenerClosed, PollEvent::Message]);
        Ok(())
    }
}
