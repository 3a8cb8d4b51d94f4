//! The pickle machine: the one place where pickle opcodes are read, for the scanner and the loader alike.
//!
//! A pickle is a program for a small stack machine. [`read`] follows that program without running anything of it: names
//! stay names, calls become events and nodes. What a name means is not known here. The story in order: [`opcode`] is the
//! table, [`decode`] turns bytes into opcodes, `machine` moves [`value`]s between stack, memo and heap, and what it
//! noticed is a [`trace`].

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

pub use decode::Reading;
pub use options::{Inline, InlineReader, Options};
pub use trace::{Action, Anomaly, Callable, Event, StreamEnd, Trace};
pub use value::NodeId;

use crate::io::budget::ScanBudget;
use crate::io::source::SharedSource;

/// Follows the pickle at `start`. `keep` is asked of every event, with everything known at that moment, whether it is to
/// be kept in the trace.
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

/// Follows the pickle at the start of `source` for the persistent ids that it asks for, as torch writes them, and for
/// nothing else: values that cannot be such an id are not kept, and nobody hears of imports and calls. A second look for
/// what a first one needs to know; it judges nothing.
pub fn persistent_ids(source: &SharedSource, budget: &ScanBudget) -> Trace {
    let options = Options::PLAIN;
    let reader = decode::OpcodeReader::new(source.as_ref(), 0, options.reading);
    let mut trace = machine::empty_trace(source.clone(), 0, budget);
    trace.heap = trace.heap.only_persistent_ids();
    let keep = &mut |_: &Trace, _: &Event| false;
    machine::Machine::new(reader, trace, budget, &options, keep).silent().run()
}
