//! Standard input, output and error. Those inside hold pipes only, never the caller's own descriptors: a terminal could be typed into, a
//! file opened for writing be written. Past the limit output is dropped, and the pipe goes on being emptied, so a flood blocks nobody.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::exit_report::Passed;

/// The caller's three streams.
#[derive(Debug)]
pub struct Stdio {
    /// Read and passed inside; `None` for nothing.
    pub input: Option<OwnedFd>,
    /// Where standard output goes.
    pub output: OwnedFd,
    /// Where standard error goes.
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

/// As much as a pipe takes in one piece once it says that it is writable.
const PIECE: usize = 4096;
/// As much as a pipe holds.
const FULL: usize = 65_536;

/// A descriptor of the caller's, for which nobody ever waits: a terminal that stands still must not hold up the clock of the supervisor.
/// Whether a descriptor waits is kept where all who hold it see it, the caller's shell too, so what can be opened anew is: terminals, and
/// pipes to write to (of a pipe to read from, one who comes late may miss the end). What cannot (a socket, another user's pipe) is only
/// ever asked for what poll promised.
fn own_description(fd: OwnedFd, flags: OFlags) -> OwnedFd {
    let kind = fstat(&fd).map(|about| FileType::from_raw_mode(about.st_mode));
    let may_wait = match kind {
        Ok(FileType::CharacterDevice) => true,
        Ok(FileType::Fifo) => flags.contains(OFlags::WRONLY),
        _ => false,
    };
    if !may_wait {
        return fd;
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    openat(CWD, path, flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap_or(fd)
}

/// From one descriptor to another, with at most one buffer between.
#[derive(Debug)]
struct Pump {
    from: Option<OwnedFd>,
    to: Option<OwnedFd>,
    waiting: Vec<u8>,
    at: usize,
    /// Why what was said could not be passed on; a reader who has gone is no such reason.
    lost: Option<Errno>,
}

impl Pump {
    fn new(from: Option<OwnedFd>, to: Option<OwnedFd>) -> Self {
        Self { from, to, waiting: Vec::new(), at: 0, lost: None }
    }

    fn empty(&self) -> bool {
        self.at >= self.waiting.len()
    }

    fn done(&self) -> bool {
        self.from.is_none() && (self.empty() || self.to.is_none())
    }

    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match (&self.from, &self.to) {
            (_, Some(to)) if !self.empty() => Some((to.as_fd(), PollFlags::OUT)),
            (Some(from), _) => Some((from.as_fd(), PollFlags::IN)),
            _ => None,
        }
    }

    /// One step after poll said that there is one.
    fn step(&mut self, left: &mut u64, passed: &mut Passed) {
        if self.empty() || self.to.is_none() {
            self.fill(left, passed);
        } else {
            self.drain();
        }
    }

    fn fill(&mut self, left: &mut u64, passed: &mut Passed) {
        let Some(from) = &self.from else { return };
        self.waiting.clear();
        self.waiting.reserve(FULL);
        self.at = 0;
        let got = match rustix::io::read(from, rustix::buffer::spare_capacity(&mut self.waiting)) {
            Ok(got) => got,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => 0,
        };
        if got == 0 {
            self.from = None;
        }
        let kept = got.min(usize::try_from(*left).unwrap_or(usize::MAX));
        self.waiting.truncate(kept);
        *left -= kept as u64;
        passed.bytes += kept as u64;
        passed.dropped += (got - kept) as u64;
        if self.to.is_none() {
            self.waiting.clear();
        }
    }

    fn drain(&mut self) {
        let Some(to) = &self.to else { return };
        let piece = self.waiting.get(self.at..).unwrap_or_default();
        let piece = piece.get(..PIECE).unwrap_or(piece);
        match rustix::io::write(to, piece) {
            Ok(wrote) => self.at += wrote,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Those inside go on talking, or they would notice; what is said to nobody is dropped.
            Err(error) => {
                self.lost = (error != Errno::PIPE).then_some(error);
                self.to = None;
            }
        }
    }
}

/// All three, with the ends for those inside.
#[derive(Debug)]
pub(crate) struct Streams {
    input: Pump,
    output: Pump,
    errors: Pump,
    left: u64,
    pub(crate) passed: Passed,
}

/// The ends for those inside.
pub(crate) struct Ends {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) errors: OwnedFd,
}

impl Streams {
    /// The pipes. They are made, and those inside have their ends, before anything is known of the caller's own.
    pub(crate) fn new(limit: u64) -> rustix::io::Result<(Self, Ends)> {
        let (input, to_input) = pipe_with(PipeFlags::CLOEXEC)?;
        let (from_output, output) = pipe_with(PipeFlags::CLOEXEC)?;
        let (from_errors, errors) = pipe_with(PipeFlags::CLOEXEC)?;
        // Our own end only: the other end is a file description of its own.
        rustix::io::ioctl_fionbio(&to_input, true)?;
        let streams = Self {
            input: Pump::new(None, Some(to_input)),
            output: Pump::new(Some(from_output), None),
            errors: Pump::new(Some(from_errors), None),
            left: limit,
            passed: Passed::default(),
        };
        Ok((streams, Ends { input, output, errors }))
    }

    /// Joins the pipes to the caller's streams.
    pub(crate) fn join(&mut self, stdio: Stdio) {
        self.input.from = stdio.input.map(|fd| own_description(fd, OFlags::RDONLY));
        self.output.to = Some(own_description(stdio.output, OFlags::WRONLY));
        self.errors.to = Some(own_description(stdio.errors, OFlags::WRONLY));
        self.close_input_at_end();
    }

    fn close_input_at_end(&mut self) {
        // When nothing more will come, those inside see the end.
        if self.input.done() {
            self.input.to = None;
        }
        // And when they no longer read, nothing more is taken.
        if self.input.to.is_none() {
            self.input.from = None;
        }
    }

    /// What to wait for, in a fixed order: input, output, errors.
    pub(crate) fn interests(&self) -> [Option<PollFd<'_>>; 3] {
        [&self.input, &self.output, &self.errors]
            .map(|pump| pump.interest().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)))
    }

    pub(crate) fn step(&mut self, ready: [bool; 3]) {
        let [input, output, errors] = ready;
        if input {
            let mut unlimited = u64::MAX;
            self.input.step(&mut unlimited, &mut Passed::default());
            self.close_input_at_end();
        }
        if output {
            self.output.step(&mut self.left, &mut self.passed);
        }
        if errors {
            self.errors.step(&mut self.left, &mut self.passed);
        }
    }

    /// Nothing more will come out.
    pub(crate) fn finished(&self) -> bool {
        self.output.done() && self.errors.done()
    }

    /// What of the output could not be written, and why.
    pub(crate) fn lost(&self) -> Option<(&'static str, Errno)> {
        let told = |name, pump: &Pump| pump.lost.map(|why| (name, why));
        told("standard output", &self.output).or_else(|| told("standard error", &self.errors))
    }

    /// Those inside are dead: no more input.
    pub(crate) fn end_input(&mut self) {
        self.input.from = None;
        self.input.to = None;
    }
}
