//! The process that starts a run and waits for its end.

mod audit;
mod collect;
pub(crate) mod launcher;
pub(crate) mod launcher_process;
mod poll_set;
pub(crate) mod pool;
mod report;
pub(crate) mod run_here;
mod sandbox;
mod start;
pub(crate) mod streams;
mod supervise;
mod watchdog;

pub use run_here::run_here;
