//! The pickle machine: the only place that reads pickle opcodes, for the scanner and the loader.
//!
//! A pickle is a program for a small stack machine. [`read`] follows it without executing anything: names stay names,
//! calls become events and nodes. The machine does not know what a name means. In order: [`opcode`] is the table,
//! [`decode`] turns bytes into opcodes, `machine` moves [`value`]s between stack, memo and heap, and [`trace`] is the
//! result.

pub mod decode;
pub mod heap;
pub mod listing;
pub mod literal;
mod machine;
mod memo;
pub mod opcode;
pub mod options;
pub mod preview;
mod stack;
pub mod text;
pub mod trace;
pub mod value;

pub use decode::FrameReading;
pub use options::{Inline, InlineReader, Options};
pub use trace::{Action, Anomaly, Callable, Event, StreamEnd, Trace};
pub use value::NodeId;

use crate::io::budget::ScanBudget;
use crate::io::source::SharedSource;

/// Follows the pickle at `start`. `keep` is called for every event with the trace so far, and says whether the event is
/// kept.
pub fn read(
    source: &SharedSource,
    start: u64,
    options: &Options<'_>,
    budget: &ScanBudget,
    keep: &mut dyn FnMut(&Trace, &Event) -> bool,
) -> Trace {
    let reader = decode::OpcodeReader::new(source.as_ref(), start, options.reading);
    let trace = machine::empty_trace(source.clone(), start, budget);
    machine::Machine::new(reader, trace, budget, options, keep).run()
}

/// Follows the pickle at the start of `source` only for the persistent ids that torch asks for: other values are not
/// kept, and there are no events. It judges nothing.
pub fn persistent_ids(source: &SharedSource, budget: &ScanBudget) -> Trace {
    let options = Options::PLAIN;
    let reader = decode::OpcodeReader::new(source.as_ref(), 0, options.reading);
    let mut trace = machine::empty_trace(source.clone(), 0, budget);
    trace.heap = trace.heap.only_persistent_ids();
    let keep = &mut |_: &Trace, _: &Event| false;
    machine::Machine::new(reader, trace, budget, &options, keep).silent().run()
}
