//! Standard input, output and error. The command gets pipes, never the caller's descriptors: through those it could type into a terminal, or write
//! to a file that is open for writing. Output past the limit is dropped, and the pipe is still emptied, so that the command does not block.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::policy::exit_report::OutputBytes;

/// The caller's three streams.
#[derive(Debug)]
pub struct Stdio {
    /// OutputBytes to the command; `None`: empty input.
    pub input: Option<OwnedFd>,
    /// Receives standard output.
    pub output: OwnedFd,
    /// Receives standard error.
    pub errors: OwnedFd,
}

impl Stdio {
    /// This process's own streams.
    pub fn own() -> std::io::Result<Self> {
        let dup = |fd: BorrowedFd<'_>| fd.try_clone_to_owned();
        Ok(Self {
            input: dup(rustix::stdio::stdin()).ok(),
            output: dup(rustix::stdio::stdout()).or_else(|_| null())?,
            errors: dup(rustix::stdio::stderr()).or_else(|_| null())?,
        })
    }
}

fn null() -> std::io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}

/// PIPE_BUF: a pipe that poll reports as writable accepts this many bytes without blocking.
const PIPE_BUF_BYTES: usize = 4096;
/// The default capacity of a pipe.
const PIPE_CAPACITY_BYTES: usize = 65_536;

/// Makes a descriptor of the caller non-blocking, because a stopped terminal must not block the supervisor, which enforces the time limit.
/// O_NONBLOCK belongs to the open file description, which the caller's shell shares, so terminals and the write ends of pipes are opened
/// again. (A read end opened again might miss the end of file.) All others, such as sockets, are used only as poll permits.
fn reopen_nonblocking(fd: OwnedFd, flags: OFlags) -> OwnedFd {
    let kind = fstat(&fd).map(|about| FileType::from_raw_mode(about.st_mode));
    let may_block = match kind {
        Ok(FileType::CharacterDevice) => true,
        Ok(FileType::Fifo) => flags.contains(OFlags::WRONLY),
        _ => false,
    };
    if !may_block {
        return fd;
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    openat(CWD, path, flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap_or(fd)
}

/// A stream from one descriptor to another, with a buffer of bounded size.
#[derive(Debug)]
struct Pump {
    from: Option<OwnedFd>,
    to: Option<OwnedFd>,
    buffer: Vec<u8>,
    /// How much of the buffer is written.
    written: usize,
    /// The error of writing; a closed pipe (EPIPE) is none.
    write_error: Option<Errno>,
}

impl Pump {
    fn new(from: Option<OwnedFd>, to: Option<OwnedFd>) -> Self {
        Self { from, to, buffer: Vec::new(), written: 0, write_error: None }
    }

    fn is_buffer_empty(&self) -> bool {
        self.written >= self.buffer.len()
    }

    fn is_finished(&self) -> bool {
        self.from.is_none() && (self.is_buffer_empty() || self.to.is_none())
    }

    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match (&self.from, &self.to) {
            (_, Some(to)) if !self.is_buffer_empty() => Some((to.as_fd(), PollFlags::OUT)),
            (Some(from), _) => Some((from.as_fd(), PollFlags::IN)),
            _ => None,
        }
    }

    /// Reads or writes once, as [`Self::interest`] announced. `left` is the number of bytes that may still pass.
    fn step(&mut self, left: &mut u64, passed: &mut OutputBytes) {
        if self.is_buffer_empty() || self.to.is_none() {
            self.fill(left, passed);
        } else {
            self.drain();
        }
    }

    fn fill(&mut self, left: &mut u64, passed: &mut OutputBytes) {
        let Some(from) = &self.from else { return };
        self.buffer.clear();
        self.buffer.reserve(PIPE_CAPACITY_BYTES);
        self.written = 0;
        let got = match rustix::io::read(from, rustix::buffer::spare_capacity(&mut self.buffer)) {
            Ok(got) => got,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => 0,
        };
        if got == 0 {
            self.from = None;
        }
        let kept = got.min(usize::try_from(*left).unwrap_or(usize::MAX));
        self.buffer.truncate(kept);
        *left -= kept as u64;
        passed.bytes += kept as u64;
        passed.dropped += (got - kept) as u64;
        if self.to.is_none() {
            self.buffer.clear();
        }
    }

    fn drain(&mut self) {
        let Some(to) = &self.to else { return };
        let piece = self.buffer.get(self.written..).unwrap_or_default();
        let piece = piece.get(..PIPE_BUF_BYTES).unwrap_or(piece);
        match rustix::io::write(to, piece) {
            Ok(wrote) => self.written += wrote,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Further output is read and dropped, so that the command does not notice.
            Err(error) => {
                self.write_error = (error != Errno::PIPE).then_some(error);
                self.to = None;
            }
        }
    }
}

/// One of the three streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamId {
    Input,
    Output,
    Errors,
}

/// The three streams of a run.
#[derive(Debug)]
pub(crate) struct Streams {
    input: Pump,
    output: Pump,
    errors: Pump,
    /// Bytes of output that may still pass.
    left: u64,
    pub(crate) passed: OutputBytes,
}

/// The command's ends of the pipes.
pub(crate) struct ChildPipes {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) errors: OwnedFd,
}

impl Streams {
    /// Creates the pipes. `limit` bounds the output, in bytes. The caller's streams are connected later.
    pub(crate) fn new(limit: u64) -> rustix::io::Result<(Self, ChildPipes)> {
        let (input, to_input) = pipe_with(PipeFlags::CLOEXEC)?;
        let (from_output, output) = pipe_with(PipeFlags::CLOEXEC)?;
        let (from_errors, errors) = pipe_with(PipeFlags::CLOEXEC)?;
        // Our end only: the other end is a separate file description.
        rustix::io::ioctl_fionbio(&to_input, true)?;
        let streams = Self {
            input: Pump::new(None, Some(to_input)),
            output: Pump::new(Some(from_output), None),
            errors: Pump::new(Some(from_errors), None),
            left: limit,
            passed: OutputBytes::default(),
        };
        Ok((streams, ChildPipes { input, output, errors }))
    }

    /// Connects the pipes to the caller's streams.
    pub(crate) fn connect(&mut self, stdio: Stdio) {
        self.input.from = stdio.input.map(|fd| reopen_nonblocking(fd, OFlags::RDONLY));
        self.output.to = Some(reopen_nonblocking(stdio.output, OFlags::WRONLY));
        self.errors.to = Some(reopen_nonblocking(stdio.errors, OFlags::WRONLY));
        self.close_finished_input();
    }

    fn close_finished_input(&mut self) {
        // At the end of the caller's input the command gets an end of file.
        if self.input.is_finished() {
            self.input.to = None;
        }
        // When the command has closed its input, the caller's is no longer read.
        if self.input.to.is_none() {
            self.input.from = None;
        }
    }

    /// What to poll for.
    pub(crate) fn interests(&self) -> impl Iterator<Item = (StreamId, BorrowedFd<'_>, PollFlags)> {
        let pumps =
            [(StreamId::Input, &self.input), (StreamId::Output, &self.output), (StreamId::Errors, &self.errors)];
        pumps.into_iter().filter_map(|(stream, pump)| pump.interest().map(|(fd, flags)| (stream, fd, flags)))
    }

    /// Passes data of one stream, after poll reported it as ready.
    pub(crate) fn step(&mut self, stream: StreamId) {
        match stream {
            StreamId::Input => {
                let mut unlimited = u64::MAX;
                self.input.step(&mut unlimited, &mut OutputBytes::default());
                self.close_finished_input();
            }
            StreamId::Output => self.output.step(&mut self.left, &mut self.passed),
            StreamId::Errors => self.errors.step(&mut self.left, &mut self.passed),
        }
    }

    /// Whether no more output will come.
    pub(crate) fn is_finished(&self) -> bool {
        self.output.is_finished() && self.errors.is_finished()
    }

    /// The stream that could not be written, and the error.
    pub(crate) fn write_error(&self) -> Option<(&'static str, Errno)> {
        let error = |name, pump: &Pump| pump.write_error.map(|error| (name, error));
        error("standard output", &self.output).or_else(|| error("standard error", &self.errors))
    }

    /// Stops passing input, after the end of the processes inside.
    pub(crate) fn close_input(&mut self) {
        self.input.from = None;
        self.input.to = None;
    }
}
