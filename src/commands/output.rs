//! Standard output: the report and nothing else.

use crate::exit_code::ExitCode;
use crate::terminal::log::{Level, log};
use std::io::{self, BufWriter, ErrorKind, Write};

/// Bytes that are buffered.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes to standard output by calling `write`.
pub(crate) fn write_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    write(&mut out)?;
    out.flush()
}

/// The exit code after a report was written. A reader that closed the pipe (`| head`) does not change it.
pub(crate) fn exit_after_write(code: ExitCode, written: io::Result<()>) -> ExitCode {
    match written {
        Ok(()) => code,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => code,
        Err(error) => {
            log(Level::Error, &format!("the report could not be written: {error}"));
            code.after_failed_write()
        }
    }
}
