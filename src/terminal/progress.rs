//! Progress bars on standard error. Short work shows none.

use super::log::{Level, log};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work shorter than this shows no progress.
const DELAY: Duration = Duration::from_millis(500);
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// The progress of a scan. The bar is cleared when this is dropped.
pub(crate) struct ScanProgress {
    counters: Arc<Counters>,
    thread: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

#[derive(Default)]
struct Counters {
    files: AtomicU64,
    files_done: AtomicU64,
    bytes: AtomicU64,
    bytes_done: AtomicU64,
}

impl ScanProgress {
    /// Starts a bar if it is `enabled` and standard error is a terminal.
    pub(crate) fn start(enabled: bool) -> Option<Self> {
        if !enabled || !std::io::stderr().is_terminal() {
            return None;
        }
        let counters = Arc::new(Counters::default());
        let (stop, stopped) = mpsc::channel();
        let drawn = Arc::clone(&counters);
        let thread = std::thread::Builder::new().spawn(move || draw(&drawn, &stopped)).ok()?;
        Some(Self { counters, thread: Some((stop, thread)) })
    }
}

impl scanner::Progress for ScanProgress {
    fn found(&self, files: u64, bytes: u64) {
        self.counters.files.fetch_add(files, Relaxed);
        self.counters.bytes.fetch_add(bytes, Relaxed);
    }

    fn done(&self, _path: &Path, bytes: u64) {
        self.counters.files_done.fetch_add(1, Relaxed);
        self.counters.bytes_done.fetch_add(bytes, Relaxed);
    }
}

impl Drop for ScanProgress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            _ = thread.join();
        }
    }
}

fn draw(counters: &Counters, stopped: &mpsc::Receiver<()>) {
    if stopped.recv_timeout(DELAY) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let template = "{spinner} {bar:30} {msg}, {bytes}, {elapsed}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    loop {
        // A length of 0 would draw a full bar before the first file is found.
        bar.set_length(counters.bytes.load(Relaxed).max(1));
        bar.set_position(counters.bytes_done.load(Relaxed));
        bar.set_message(format!("{}/{} files", counters.files_done.load(Relaxed), counters.files.load(Relaxed)));
        if stopped.recv_timeout(REDRAW_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    bar.finish_and_clear();
}

/// The progress of a conversion, with notes. The bar is cleared when this is dropped.
pub(crate) struct CopyProgress(Option<ProgressBar>);

impl CopyProgress {
    /// Starts, with a bar if it is `enabled` and standard error is a terminal.
    pub(crate) fn start(enabled: bool, bytes: u64) -> Self {
        if !enabled || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let template = "{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(Some(bar))
    }
}

impl loader::Progress for CopyProgress {
    fn written(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    fn note(&self, text: &str) {
        log(Level::Note, text);
    }
}

impl Drop for CopyProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
