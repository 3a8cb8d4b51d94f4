//! The user's terminal: whether there is one, whether it wants colors, and what it shows while work is long.
//!
//! Progress goes to standard error, and only from the second half of the first second on: short work shows nothing.

use crate::cli::Color;
use crate::render::escape;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(100);

/// Says something on standard error. That nobody listens there is no reason to stop.
pub(crate) fn say(level: &str, message: &str) {
    for (index, line) in message.lines().enumerate() {
        let prefix = if index == 0 { format!("{level}: ") } else { "  ".to_owned() };
        _ = writeln!(std::io::stderr(), "{prefix}{}", escape::text(line));
    }
}

/// Whether the report on standard output has colors.
pub(crate) fn colored(asked: Color) -> bool {
    decide(asked, std::io::stdout().is_terminal(), |name| std::env::var_os(name))
}

fn decide(asked: Color, terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| variable(name).is_some_and(|value| !value.is_empty());
    let forced = |name| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    match asked {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set("NO_COLOR") => false,
        Color::Auto if forced("FORCE_COLOR") || forced("CLICOLOR_FORCE") => true,
        Color::Auto => terminal && variable("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// A line on standard error that says how far the scan is. Gone when dropped.
pub(crate) struct Progress {
    seen: Arc<Seen>,
    thread: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

#[derive(Default)]
struct Seen {
    files: AtomicU64,
    files_done: AtomicU64,
    bytes: AtomicU64,
    bytes_done: AtomicU64,
}

impl Progress {
    /// Starts to watch, if standard error is a terminal.
    pub(crate) fn start(wanted: bool) -> Option<Self> {
        if !wanted || !std::io::stderr().is_terminal() {
            return None;
        }
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::clone(&seen);
        let thread = std::thread::Builder::new().spawn(move || draw(&watched, &stopped)).ok()?;
        Some(Self { seen, thread: Some((stop, thread)) })
    }
}

impl scanner::Progress for Progress {
    fn found(&self, files: u64, bytes: u64) {
        self.seen.files.fetch_add(files, Relaxed);
        self.seen.bytes.fetch_add(bytes, Relaxed);
    }

    fn done(&self, _path: &Path, bytes: u64) {
        self.seen.files_done.fetch_add(1, Relaxed);
        self.seen.bytes_done.fetch_add(bytes, Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            _ = thread.join();
        }
    }
}

fn draw(seen: &Seen, stopped: &mpsc::Receiver<()>) {
    if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let template = "{spinner} {bar:30} {msg}, {bytes}, {elapsed}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    loop {
        // Before the first file is found, an empty bar and not a full one.
        bar.set_length(seen.bytes.load(Relaxed).max(1));
        bar.set_position(seen.bytes_done.load(Relaxed));
        bar.set_message(format!("{}/{} files", seen.files_done.load(Relaxed), seen.files.load(Relaxed)));
        if stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    bar.finish_and_clear();
}

/// A bar with rate on standard error while bytes are copied, and what there is to say meanwhile. Gone when dropped.
pub(crate) struct Copying(Option<ProgressBar>);

impl Copying {
    /// Starts; with a bar if standard error is a terminal.
    pub(crate) fn start(wanted: bool, bytes: u64) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let template = "{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(Some(bar))
    }
}

impl loader::Progress for Copying {
    fn written(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    fn note(&self, text: &str) {
        say("note", text);
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_follow_the_flag_then_the_environment_then_the_terminal() {
        let with = |asked, terminal, variables: &[(&str, &str)]| {
            decide(asked, terminal, |name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            })
        };
        assert!(with(Color::Auto, true, &[]) && !with(Color::Auto, false, &[]));
        assert!(with(Color::Always, false, &[("NO_COLOR", "1")]));
        assert!(!with(Color::Never, true, &[("FORCE_COLOR", "1")]));
        assert!(!with(Color::Auto, true, &[("NO_COLOR", "1"), ("FORCE_COLOR", "1")]));
        assert!(with(Color::Auto, false, &[("FORCE_COLOR", "1"), ("NO_COLOR", "")]));
        assert!(!with(Color::Auto, false, &[("FORCE_COLOR", "0")]));
        assert!(!with(Color::Auto, true, &[("TERM", "dumb")]));
    }
}
