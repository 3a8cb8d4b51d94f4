//! The machine: stack, marks and memo. It turns opcodes into a trace and executes nothing.
//!
//! It knows no callable: REDUCE, NEWOBJ and BUILD only make nodes and events, and what they mean is judged above. It
//! accepts whatever any unpickler accepts, notes where they disagree, and stops where all of them would.

use self::recent_names::RecentNames;
use crate::io::bounds::pickle::MAX_ANOMALIES;
use crate::io::budget::ScanBudget;
use crate::pickle::decode::{DecodeError, DecodedArgument, FrameAnomaly, OpcodeReader};
use crate::pickle::heap::Heap;
use crate::pickle::memo::Memo;
use crate::pickle::opcode::{self as op, Argument};
use crate::pickle::options::Options;
use crate::pickle::stack::{Stack, StackFull};
use crate::pickle::trace::{Action, Anomaly, Event, StreamEnd, Trace};
use crate::pickle::value::{Call, CallKind, CallableId, ContainerKind, TextEncoding, Value};
use std::collections::HashMap;

mod calls;
mod items;
mod literals;
mod marks;
mod recent_names;

pub(super) struct Machine<'a> {
    reader: OpcodeReader<'a>,
    stack: Stack,
    memo: Memo,
    trace: Trace,
    names: HashMap<Vec<u8>, CallableId>,
    recent: RecentNames,
    text_keys: HashMap<Vec<u8>, Value>,
    checked_keys: Vec<u64>,
    pairs: Vec<Value>,
    lenient: bool,
    /// Without events.
    silent: bool,
    protocol: u8,
    /// The number of opcodes at which limits are compared again.
    next_check: u64,
    at: u64,
    code: u8,
    budget: &'a ScanBudget,
    options: &'a Options<'a>,
    filter: &'a mut dyn FnMut(&Trace, &Event) -> bool,
}

impl From<DecodeError> for StreamEnd {
    fn from(reason: DecodeError) -> Self {
        match reason {
            DecodeError::End => Self::Broken("the stream ends before STOP".to_owned()),
            DecodeError::Length => Self::Broken("a length is negative or impossible".to_owned()),
            DecodeError::Io(error) => Self::Io(error),
        }
    }
}

impl From<StackFull> for StreamEnd {
    fn from(full: StackFull) -> Self {
        Self::Limit(full.0.to_owned())
    }
}

/// Whether an opcode takes everything above a mark.
fn needs_mark(code: u8) -> bool {
    matches!(
        code,
        op::APPENDS
            | op::SETITEMS
            | op::ADDITEMS
            | op::TUPLE
            | op::LIST
            | op::DICT
            | op::INST
            | op::OBJ
            | op::FROZENSET
            | op::POP_MARK
    )
}

/// Opcodes between two looks at the clock and the limits: a power of two, some milliseconds of work.
const CHECK_INTERVAL: u64 = 1 << 16;

fn next_check(opcodes: u64, max_opcodes: u64) -> u64 {
    ((opcodes | (CHECK_INTERVAL - 1)) + 1).min(max_opcodes.saturating_add(1))
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        reader: OpcodeReader<'a>,
        trace: Trace,
        budget: &'a ScanBudget,
        options: &'a Options<'a>,
        filter: &'a mut dyn FnMut(&Trace, &Event) -> bool,
    ) -> Self {
        let limits = &budget.limits;
        Self {
            stack: Stack::new(limits.stack, limits.marks),
            memo: Memo::new(limits.memo_bytes),
            names: HashMap::new(),
            recent: RecentNames::default(),
            text_keys: HashMap::new(),
            checked_keys: vec![u64::MAX; 61],
            pairs: Vec::new(),
            lenient: false,
            silent: false,
            protocol: 0,
            next_check: next_check(0, options.max_opcodes),
            at: reader.pos,
            code: 0,
            reader,
            trace,
            budget,
            options,
            filter,
        }
    }

    /// Without events.
    pub(super) fn silent(self) -> Self {
        Self { silent: true, ..self }
    }

    /// Runs to the end of the stream.
    pub(super) fn run(mut self) -> Trace {
        let end = loop {
            match self.step() {
                Ok(false) => {}
                Ok(true) => break StreamEnd::Stop,
                Err(end) => break end,
            }
        };
        self.trace.end = end;
        self.trace.length = self.reader.pos.min(self.reader.end()).saturating_sub(self.trace.start);
        self.trace.protocol = self.protocol;
        self.trace.argument_across_frame = self.reader.straddled;
        self.trace
    }

    fn pop(&mut self) -> Result<Value, StreamEnd> {
        if let Some(value) = self.stack.pop() {
            return Ok(value);
        }
        if self.stack.marked() {
            self.stack.drop_mark();
            self.become_lenient();
        }
        self.stack_underflow()
    }

    fn top(&mut self) -> Result<Value, StreamEnd> {
        if let Some(value) = self.stack.top() {
            return Ok(value);
        }
        if self.stack.marked() {
            self.become_lenient();
            return Ok(self.stack.below_mark().unwrap_or(Value::Unknown));
        }
        self.stack_underflow()
    }

    fn anomaly(&mut self, splits: bool, what: impl Into<String>) {
        if self.trace.anomalies.len() < MAX_ANOMALIES {
            self.trace.anomalies.push(Anomaly { at: self.at, what: what.into(), readers_disagree: splits });
        }
    }

    fn event(&mut self, action: Action) {
        if self.silent {
            return;
        }
        let event = Event { at: self.at, opcode: self.code, action };
        if (self.filter)(&self.trace, &event) && self.trace.events.len() < self.budget.limits.events {
            self.trace.events.push(event);
        } else {
            self.trace.dropped_events += 1;
        }
    }

    fn call(&mut self, how: CallKind, callee: Value, args: Value, kwargs: Value) -> Result<(), StreamEnd> {
        self.event(Action::Call { how, callee, args });
        let call = Call::new(self.at, how, callee, args, kwargs);
        let value = self.trace.heap.call(call);
        Ok(self.stack.push(value)?)
    }

    /// Limits are compared now and then, not at each opcode.
    #[cold]
    fn check_limits(&mut self) -> Result<(), StreamEnd> {
        let (opcodes, max_opcodes) = (self.trace.opcodes, self.options.max_opcodes);
        let regular = opcodes.is_multiple_of(CHECK_INTERVAL);
        if opcodes > max_opcodes || regular && opcodes > self.budget.limits.opcodes {
            return Err(StreamEnd::Limit("opcodes of one pickle".to_owned()));
        }
        if regular && self.budget.expired() {
            return Err(StreamEnd::Limit("time for one file".to_owned()));
        }
        self.next_check = next_check(opcodes, max_opcodes);
        Ok(())
    }

    /// One opcode. `Ok(true)` at STOP.
    fn step(&mut self) -> Result<bool, StreamEnd> {
        self.at = self.reader.pos;
        self.code = self.reader.opcode()?;
        self.trace.opcodes += 1;
        if self.trace.opcodes >= self.next_check {
            self.check_limits()?;
        }
        if self.lenient && needs_mark(self.code) {
            self.add_missing_mark()?;
        }
        // The opcodes that make up bulky pickles come first and take no detour.
        match self.code {
            op::BININT1 => {
                let value = self.int(Argument::Unsigned(1))?;
                self.stack.push(value)?;
            }
            op::BININT2 => {
                let value = self.int(Argument::Unsigned(2))?;
                self.stack.push(value)?;
            }
            op::BININT => {
                let value = self.int(Argument::Signed4)?;
                self.stack.push(value)?;
            }
            op::BINFLOAT => {
                let DecodedArgument::Float(value) = self.reader.argument(Argument::Float8, false)? else {
                    return Ok(false);
                };
                self.stack.push(Value::Float(value))?;
            }
            op::NONE => self.stack.push(Value::None)?,
            op::NEWTRUE => self.stack.push(Value::Bool(true))?,
            op::NEWFALSE => self.stack.push(Value::Bool(false))?,
            op::MARK => self.stack.mark()?,
            op::MEMOIZE => {
                let index = self.memo.len();
                self.put(index)?;
            }
            op::BINPUT => self.put_argument(Argument::Unsigned(1))?,
            op::LONG_BINPUT => self.put_argument(Argument::Unsigned(4))?,
            op::BINGET => self.get_argument(Argument::Unsigned(1))?,
            op::LONG_BINGET => self.get_argument(Argument::Unsigned(4))?,
            op::APPENDS => self.appends(CallKind::Append)?,
            op::SETITEMS => self.set_items()?,
            op::STOP => {
                self.trace.root = Some(self.pop()?);
                return Ok(true);
            }
            _ => self.step_uncommon()?,
        }
        Ok(false)
    }

    fn step_uncommon(&mut self) -> Result<(), StreamEnd> {
        match self.code {
            op::BINUNICODE | op::SHORT_BINUNICODE | op::BINUNICODE8 => self.text(TextEncoding::Utf8),
            op::BINSTRING | op::SHORT_BINSTRING => self.text(TextEncoding::Native),
            op::UNICODE => self.text(TextEncoding::RawUnicodeEscape),
            op::STRING => self.text(TextEncoding::Quoted),
            op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => self.bytes(),
            op::LONG1 | op::LONG4 => self.long(),
            op::INT | op::LONG => self.text_int(),
            op::FLOAT => self.text_float(),
            op::EMPTY_TUPLE => self.container(ContainerKind::Tuple, 0),
            op::EMPTY_LIST => self.container(ContainerKind::List, 0),
            op::EMPTY_DICT => self.container(ContainerKind::Dict, 0),
            op::EMPTY_SET => self.container(ContainerKind::Set, 0),
            op::TUPLE1 => self.container(ContainerKind::Tuple, 1),
            op::TUPLE2 => self.container(ContainerKind::Tuple, 2),
            op::TUPLE3 => self.container(ContainerKind::Tuple, 3),
            op::TUPLE => self.marked(ContainerKind::Tuple),
            op::LIST => self.marked(ContainerKind::List),
            op::DICT => self.marked(ContainerKind::Dict),
            op::FROZENSET => self.marked(ContainerKind::FrozenSet),
            op::APPEND => self.append(),
            op::ADDITEMS => self.appends(CallKind::Add),
            op::SETITEM => self.set_item(),
            op::GLOBAL => {
                let lines = self.lines()?;
                self.global(lines)
            }
            op::INST => self.inst(),
            op::STACK_GLOBAL => self.stack_global(),
            op::REDUCE => self.reduce(),
            op::NEWOBJ => self.new_object(),
            op::NEWOBJ_EX => self.new_object_ex(),
            op::OBJ => self.obj(),
            op::BUILD => self.build(),
            op::PERSID => self.text_persistent(),
            op::BINPERSID => {
                let id = self.pop()?;
                self.persistent(id)
            }
            op::EXT1 => self.extension(Argument::Unsigned(1)),
            op::EXT2 => self.extension(Argument::Unsigned(2)),
            op::EXT4 => self.extension(Argument::Signed4),
            op::POP => self.pop_top(),
            op::POP_MARK => self.pop_mark(),
            op::DUP => {
                let value = self.top()?;
                Ok(self.stack.push(value)?)
            }
            op::GET => self.text_get(),
            op::PUT => self.text_put(),
            op::PROTO => self.proto(),
            op::FRAME => self.frame(),
            op::NEXT_BUFFER => Ok(self.stack.push(Value::Unknown)?),
            op::READONLY_BUFFER => self.top().map(|_| ()),
            other => Err(StreamEnd::broken(format!("byte 0x{other:02x} is no opcode"))),
        }
    }

    fn proto(&mut self) -> Result<(), StreamEnd> {
        let Value::Int(protocol) = self.int(Argument::Unsigned(1))? else {
            return Ok(());
        };
        if self.at != self.trace.start {
            self.anomaly(true, "PROTO inside the stream changes how later names are read");
        }
        if protocol > 5 {
            self.anomaly(false, format!("protocol {protocol} does not exist"));
        }
        self.protocol = u8::try_from(protocol).unwrap_or(u8::MAX);
        self.recent = RecentNames::default();
        Ok(())
    }

    fn frame(&mut self) -> Result<(), StreamEnd> {
        let DecodedArgument::Long(size) = self.reader.argument(Argument::Unsigned(8), false)? else {
            return Ok(());
        };
        match self.reader.frame(size)? {
            FrameAnomaly::Fine => {}
            FrameAnomaly::Nested => self.anomaly(true, "a frame inside a frame"),
            FrameAnomaly::PastTheEnd => self.anomaly(true, "a frame longer than the rest of the file"),
        }
        if self.protocol < 4 {
            self.anomaly(true, "a frame in a stream of an older protocol");
        }
        Ok(())
    }
}

/// An empty trace of what starts at `start`.
pub(super) fn empty_trace(source: crate::io::source::SharedSource, start: u64, budget: &ScanBudget) -> Trace {
    Trace {
        source,
        start,
        length: 0,
        protocol: 0,
        end: StreamEnd::Stop,
        callables: Vec::new(),
        events: Vec::new(),
        dropped_events: 0,
        heap: Heap::new(budget.limits.heap_bytes, budget.limits.items),
        root: None,
        anomalies: Vec::new(),
        persistent_ids: 0,
        persistent: Vec::new(),
        opcodes: 0,
        literals: Vec::new(),
        argument_across_frame: None,
        arrays: Vec::new(),
        nested: Vec::new(),
    }
}
