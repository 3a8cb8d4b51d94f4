//! Signals while files are copied: the work stops, and its files are removed, before the process ends.

use signal_hook::consts;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Handlers of SIGINT, SIGTERM and SIGHUP.
pub(crate) struct Interrupts {
    stop: Arc<AtomicBool>,
    finished: Arc<AtomicBool>,
}

impl Interrupts {
    /// Installs the handlers. From now on a signal stops the work and not the process.
    pub(crate) fn install() -> Self {
        let interrupts = Self { stop: Arc::default(), finished: Arc::default() };
        for signal in [consts::SIGINT, consts::SIGTERM, consts::SIGHUP] {
            // If that fails, the signal ends the process as usual.
            _ = signal_hook::flag::register_conditional_default(signal, interrupts.finished.clone());
            _ = signal_hook::flag::register(signal, interrupts.stop.clone());
        }
        interrupts
    }

    /// The flag that a signal sets.
    pub(crate) fn stop_flag(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Lets signals end the process again. Returns whether one came before.
    pub(crate) fn finish(&self) -> bool {
        self.finished.store(true, Ordering::SeqCst);
        self.is_stopped()
    }
}
