//! One verb a file: each asks the crates below and tells the answer.

pub(crate) mod baseline;
pub(crate) mod convert;
pub(crate) mod drop_in;
pub(crate) mod elsewhere;
pub(crate) mod formats;
pub(crate) mod guard;
mod guard_folder;
pub(crate) mod inspect;
pub(crate) mod kserve_init;
pub(crate) mod lock;
pub(crate) mod pages;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod schema;

use crate::exit::Exit;
use crate::terminal::say;
use std::io::{self, BufWriter, ErrorKind, Write};

/// Why a command stopped before it had an answer.
pub(crate) enum Stop {
    /// The command line or the configuration is wrong.
    Usage(String),
    /// Standard output is closed or full.
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Writes to standard output what `write` writes, at once and buffered.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    write(&mut out)?;
    out.flush()
}

/// A reader that went away (`| head`) is no error: the code is what it would have been.
pub(crate) fn settle(exit: Exit, written: io::Result<()>) -> Exit {
    match written {
        Ok(()) => exit,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit,
        Err(error) => {
            say("error", &format!("the report could not be written: {error}"));
            exit.unwritten()
        }
    }
}
