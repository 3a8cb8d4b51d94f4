//! The machine: stack, marks and memo. It turns opcodes into a trace and executes nothing.
//!
//! It knows no callable: REDUCE, NEWOBJ and BUILD only make nodes and events, and what they mean is judged above. It
//! accepts whatever any unpickler accepts, notes where they disagree, and stops where all of them would.

use super::decode::{Arg, Break, FrameNote, Reader};
use super::heap::Heap;
use super::memo::Memo;
use super::opcode::{self as op, Argument};
use super::stack::{Full, Stack};
use super::trace::{Action, Callable, End, Event, Literal, Oddity, Trace};
use super::value::{Call, CallableId, Encoding, How, Items, Kind, Node, Value};
use super::{Inline, Options, literal, text};
use crate::artifact::Watch;
use std::collections::HashMap;

/// Keys of a state dict that change what an object does when it is used or given another state.
pub const RISKY_KEYS: &[&str] = &[
    "append",
    "extend",
    "add",
    "keys",
    "forward",
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
    "_compiled_call_impl",
];

/// Whether a key of a state dict is one of those, or a dunder name.
pub fn risky_key(key: &str) -> bool {
    RISKY_KEYS.contains(&key) || key.len() > 4 && key.starts_with("__") && key.ends_with("__")
}

pub(super) struct Machine<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) stack: Stack,
    pub(super) memo: Memo,
    pub(super) trace: Trace,
    names: HashMap<Vec<u8>, CallableId>,
    text_keys: HashMap<Vec<u8>, Value>,
    quiet_keys: Vec<u64>,
    pairs: Vec<Value>,
    loose: bool,
    protocol: u8,
    at: u64,
    code: u8,
    watch: &'a Watch,
    options: &'a Options<'a>,
    filter: &'a mut dyn FnMut(&Trace, &Event) -> bool,
}

impl From<Break> for End {
    fn from(reason: Break) -> Self {
        match reason {
            Break::End => Self::Broken("the stream ends before STOP".to_owned()),
            Break::Length => Self::Broken("a length is negative or impossible".to_owned()),
            Break::Io(error) => Self::Io(error),
        }
    }
}

impl From<Full> for End {
    fn from(full: Full) -> Self {
        Self::Limit(full.0.to_owned())
    }
}

fn broken<T>(why: &str) -> Result<T, End> {
    Err(End::Broken(why.to_owned()))
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        reader: Reader<'a>,
        trace: Trace,
        watch: &'a Watch,
        options: &'a Options<'a>,
        filter: &'a mut dyn FnMut(&Trace, &Event) -> bool,
    ) -> Self {
        let limits = &watch.limits;
        Self {
            stack: Stack::new(limits.stack, limits.marks),
            memo: Memo::new(limits.memo_bytes),
            names: HashMap::new(),
            text_keys: HashMap::new(),
            quiet_keys: vec![u64::MAX; 61],
            pairs: Vec::new(),
            loose: false,
            protocol: 0,
            at: reader.pos,
            code: 0,
            reader,
            trace,
            watch,
            options,
            filter,
        }
    }

    /// Runs to the end of the stream.
    pub(super) fn run(mut self) -> Trace {
        let end = loop {
            match self.step() {
                Ok(false) => {}
                Ok(true) => break End::Stop,
                Err(end) => break end,
            }
        };
        self.trace.end = end;
        self.trace.length = self.reader.pos.min(self.reader.end()).saturating_sub(self.trace.start);
        self.trace.protocol = self.protocol;
        self.trace.straddled = self.reader.straddled;
        self.trace
    }

    fn pop(&mut self) -> Result<Value, End> {
        if let Some(value) = self.stack.pop() {
            return Ok(value);
        }
        if self.stack.marked() {
            self.stack.drop_mark();
            self.loosen();
        }
        self.nothing()
    }

    /// Python 2 knows no border at a mark: it takes what lies below, or the mark itself. From there on its stack and
    /// ours differ, so ours gives unknown values rather than break: the names that follow must not be missed.
    fn loosen(&mut self) {
        self.loose = true;
        self.odd(true, "an opcode reaches below a mark, which only Python 2 takes");
    }

    fn nothing(&self) -> Result<Value, End> {
        if self.loose {
            return Ok(Value::Unknown);
        }
        Err(End::Broken(format!("{} finds nothing on the stack", op::name(self.code))))
    }

    fn top(&mut self) -> Result<Value, End> {
        if let Some(value) = self.stack.top() {
            return Ok(value);
        }
        if self.stack.marked() {
            self.loosen();
            return Ok(self.stack.below_mark().unwrap_or(Value::Unknown));
        }
        self.nothing()
    }

    /// Missing marks are forgiven where Python 2 has gone its own way before.
    fn need_mark(&mut self) -> Result<(), End> {
        if self.loose && !self.stack.marked() {
            self.stack.mark()?;
        }
        Ok(())
    }

    fn odd(&mut self, splits: bool, what: impl Into<String>) {
        if self.trace.oddities.len() < 1000 {
            self.trace.oddities.push(Oddity { at: self.at, what: what.into(), splits });
        }
    }

    fn event(&mut self, action: Action) {
        let event = Event { at: self.at, opcode: self.code, action };
        if (self.filter)(&self.trace, &event) && self.trace.events.len() < self.watch.limits.events {
            self.trace.events.push(event);
        } else {
            self.trace.dropped += 1;
        }
    }

    fn call(&mut self, how: How, callee: Value, args: Value, kwargs: Value) -> Result<(), End> {
        self.event(Action::Call { how, callee, args });
        let call = Call { at: self.at, how, callee, args, kwargs, states: Vec::new(), items: Items::default() };
        let value = self.trace.heap.call(call);
        Ok(self.stack.push(value)?)
    }

    /// One opcode. `Ok(true)` at STOP.
    fn step(&mut self) -> Result<bool, End> {
        self.at = self.reader.pos;
        self.code = self.reader.opcode()?;
        self.trace.opcodes += 1;
        if self.trace.opcodes & 0xffff == 0 {
            if self.trace.opcodes > self.watch.limits.opcodes {
                return Err(End::Limit("opcodes of one pickle".to_owned()));
            }
            if self.watch.expired() {
                return Err(End::Limit("time for one file".to_owned()));
            }
        }
        if self.loose
            && matches!(
                self.code,
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
        {
            self.need_mark()?;
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
                let Arg::Float(value) = self.reader.argument(Argument::Float8, false)? else {
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
            op::APPENDS => self.appends(How::Append)?,
            op::SETITEMS => self.set_items()?,
            op::STOP => {
                self.trace.root = Some(self.pop()?);
                return Ok(true);
            }
            _ => self.rare()?,
        }
        Ok(false)
    }

    fn int(&mut self, argument: Argument) -> Result<Value, End> {
        Ok(match self.reader.argument(argument, false)? {
            Arg::Int(value) => Value::Int(value),
            _ => Value::Unknown,
        })
    }

    fn data(&mut self) -> Result<(u64, u64), End> {
        let argument = op::lookup(self.code).map_or(Argument::None, |row| row.argument);
        let whole = matches!(self.code, op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BYTEARRAY8);
        match self.reader.argument(argument, whole)? {
            Arg::Data { at, len } => Ok((at, len)),
            _ => broken("the opcode has no data"),
        }
    }

    fn rare(&mut self) -> Result<(), End> {
        match self.code {
            op::BINUNICODE | op::SHORT_BINUNICODE | op::BINUNICODE8 => self.text(Encoding::Utf8),
            op::BINSTRING | op::SHORT_BINSTRING => self.text(Encoding::Native),
            op::UNICODE => self.text(Encoding::RawUnicodeEscape),
            op::STRING => self.text(Encoding::Quoted),
            op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => {
                let (at, len) = self.data()?;
                self.sniff(at, len, false)?;
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                Ok(self.stack.push(Value::Bytes { len, at })?)
            }
            op::LONG1 | op::LONG4 => self.long(),
            op::INT | op::LONG => self.text_int(),
            op::FLOAT => self.text_float(),
            op::EMPTY_TUPLE => self.container(Kind::Tuple, 0),
            op::EMPTY_LIST => self.container(Kind::List, 0),
            op::EMPTY_DICT => self.container(Kind::Dict, 0),
            op::EMPTY_SET => self.container(Kind::Set, 0),
            op::TUPLE1 => self.container(Kind::Tuple, 1),
            op::TUPLE2 => self.container(Kind::Tuple, 2),
            op::TUPLE3 => self.container(Kind::Tuple, 3),
            op::TUPLE => self.marked(Kind::Tuple),
            op::LIST => self.marked(Kind::List),
            op::DICT => self.marked(Kind::Dict),
            op::FROZENSET => self.marked(Kind::FrozenSet),
            op::APPEND => self.append(),
            op::ADDITEMS => self.appends(How::Add),
            op::SETITEM => self.set_item(),
            op::GLOBAL => {
                let lines = self.lines()?;
                self.global(lines)
            }
            op::INST => self.inst(),
            op::STACK_GLOBAL => self.stack_global(),
            op::REDUCE => {
                let args = self.pop()?;
                let callee = self.pop()?;
                if callee.is_plain() {
                    return broken("REDUCE calls a value that is no callable");
                }
                let tuple = match args {
                    Value::Node(id) => !matches!(
                        self.trace.heap.get(id),
                        Some(Node::Container { kind: Kind::List | Kind::Dict | Kind::Set | Kind::FrozenSet, .. })
                    ),
                    Value::Opaque(kind) => kind == Kind::Tuple,
                    Value::Unknown | Value::Instance(_) => true,
                    _ => false,
                };
                if !tuple {
                    self.odd(true, "arguments that are no tuple: C refuses them, Python takes them apart");
                }
                self.call(How::Reduce, callee, args, Value::None)
            }
            op::NEWOBJ => {
                let args = self.pop()?;
                let class = self.pop()?;
                self.call(How::New, class, args, Value::None)
            }
            op::NEWOBJ_EX => {
                let kwargs = self.pop()?;
                let args = self.pop()?;
                let class = self.pop()?;
                self.call(How::NewEx, class, args, kwargs)
            }
            op::OBJ => self.obj(),
            op::BUILD => self.build(),
            op::PERSID => {
                let (at, len) = self.data()?;
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                self.persistent(Value::Text { encoding: Encoding::Native, len, at })
            }
            op::BINPERSID => {
                let id = self.pop()?;
                self.persistent(id)
            }
            op::EXT1 => self.extension(Argument::Unsigned(1)),
            op::EXT2 => self.extension(Argument::Unsigned(2)),
            op::EXT4 => self.extension(Argument::Signed4),
            op::POP => self.drop_top(),
            op::POP_MARK => {
                let popped = self.stack.pop_mark().ok_or_else(|| End::Broken("POP_MARK without a mark".to_owned()))?;
                popped.values.iter().for_each(|value| self.dropped(*value));
                Ok(())
            }
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
            other => broken(&format!("byte 0x{other:02x} is no opcode")),
        }
    }

    fn sniff(&mut self, at: u64, len: u64, text: bool) -> Result<(), End> {
        if len < u64::from(literal::SHORTEST) {
            return Ok(());
        }
        let head = self.reader.peek(at, len.min(32) as usize)?;
        if let Some(look) = literal::look(head, text) {
            if self.trace.literals.len() >= 10_000 {
                return Err(End::Limit("literals to be looked into".to_owned()));
            }
            self.trace.literals.push(Literal { at, len, look });
        }
        Ok(())
    }

    fn text(&mut self, encoding: Encoding) -> Result<(), End> {
        let (at, len) = self.data()?;
        if encoding == Encoding::Quoted {
            // Refused by all when it is not quoted; blanks behind the quote are let through by Python 2 only.
            let line = self.reader.bytes(at, len, 1 << 20);
            if len < 1 << 20 {
                if text::unquote(&line).is_none() {
                    return broken("STRING is not quoted");
                }
                if line.last().is_some_and(|last| last.is_ascii_whitespace() || *last >= 0x80) {
                    self.odd(true, "blanks behind the quote of STRING");
                }
            }
            self.sniff(at + 1, len.saturating_sub(2), true)?;
        } else {
            self.sniff(at, len, true)?;
        }
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        Ok(self.stack.push(Value::Text { encoding, len, at })?)
    }

    fn long(&mut self) -> Result<(), End> {
        let (at, len) = self.data()?;
        let value = if len <= 8 {
            let bytes = self.reader.bytes(at, len, 8);
            let negative = bytes.last().is_some_and(|byte| *byte & 0x80 != 0);
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
            Value::Int(i64::from_le_bytes(wide))
        } else {
            Value::BigInt { at, len: u32::try_from(len).unwrap_or(u32::MAX) }
        };
        Ok(self.stack.push(value)?)
    }

    fn text_int(&mut self) -> Result<(), End> {
        let (at, len) = self.data()?;
        let line = self.reader.bytes(at, len, 64);
        let value = match (self.code, line.as_slice()) {
            (op::INT, b"00") => Value::Bool(false),
            (op::INT, b"01") => Value::Bool(true),
            _ if len > 64 => {
                if len > 4300 {
                    self.odd(true, "more digits than newer Pythons read");
                }
                Value::BigInt { at, len: u32::try_from(len).unwrap_or(u32::MAX) }
            }
            _ => {
                let Some(number) = text::int(&line) else {
                    return broken("a text number that no unpickler reads");
                };
                if !number.canonical {
                    self.odd(true, "a number written as no pickler writes it");
                }
                number.value.map_or(Value::BigInt { at, len: line.len() as u32 }, Value::Int)
            }
        };
        Ok(self.stack.push(value)?)
    }

    fn text_float(&mut self) -> Result<(), End> {
        let (at, len) = self.data()?;
        let line = self.reader.bytes(at, len, 1024);
        let Some(number) = text::float(&line) else {
            return broken("a text float that no unpickler reads");
        };
        if !number.canonical {
            self.odd(true, "a float written as no pickler writes it");
        }
        Ok(self.stack.push(number.value.map_or(Value::Unknown, Value::Float))?)
    }

    fn container(&mut self, kind: Kind, count: usize) -> Result<(), End> {
        let value = {
            let above = self.stack.above();
            let items = above.len().checked_sub(count).and_then(|from| above.get(from..));
            items.map(|items| self.trace.heap.container(kind, items, count as u64))
        };
        let Some(value) = value else {
            if !self.stack.marked() && !self.loose {
                return broken("a tuple of more values than there are");
            }
            self.loosen();
            return Ok(self.stack.push(Value::Unknown)?);
        };
        for _ in 0..count {
            self.stack.pop();
        }
        Ok(self.stack.push(value)?)
    }

    fn marked(&mut self, kind: Kind) -> Result<(), End> {
        if kind == Kind::FrozenSet {
            self.hash_above(1);
        } else if kind == Kind::Dict {
            self.hash_above(2);
        }
        let forgotten = self.stack.forgotten();
        // The oldest values are what a container starts with; where those are forgotten, none is known.
        let above = if forgotten > 0 { &[] } else { self.stack.above() };
        let total = self.stack.height();
        let value = self.trace.heap.container(kind, above, total);
        if self.stack.drop_mark().is_none() {
            return broken("a container without a mark");
        }
        if kind == Kind::Dict && total % 2 == 1 {
            self.odd(true, "a dict of an odd number of keys and values");
        }
        Ok(self.stack.push(value)?)
    }

    fn append(&mut self) -> Result<(), End> {
        let item = self.pop()?;
        match self.top()? {
            Value::Node(id) => match self.trace.heap.get(id) {
                Some(Node::Container { kind: Kind::List, .. }) => self.trace.heap.extend(id, &[item], 0),
                Some(Node::Call(_)) => {
                    self.event(Action::Call { how: How::Append, callee: Value::Node(id), args: item });
                    self.trace.heap.extend(id, &[item], 0);
                }
                _ => return broken("APPEND to a container that has no append"),
            },
            // A list, or a bytearray.
            Value::Opaque(Kind::List) | Value::Bytes { .. } => {}
            other if other.is_plain() => return broken("APPEND to a value that is no list"),
            other => self.event(Action::Call { how: How::Append, callee: other, args: item }),
        }
        Ok(())
    }

    fn appends(&mut self, how: How) -> Result<(), End> {
        let own = if how == How::Add { Kind::Set } else { Kind::List };
        if how == How::Add {
            self.hash_above(1);
        }
        if !self.stack.marked() {
            return broken("items without a mark");
        }
        // No items, no look at what they would go to.
        if self.stack.height() == 0 {
            self.stack.drop_mark();
            return Ok(());
        }
        let target = self.target();
        let forgotten = self.stack.forgotten();
        match target {
            Value::Node(id) => {
                let called = match self.trace.heap.get(id) {
                    Some(Node::Container { kind, .. }) if *kind == own => false,
                    Some(Node::Call(_)) => true,
                    _ => return broken("items for a container of another kind"),
                };
                let above = self.stack.above();
                let first = above.first().copied();
                let known = if forgotten > 0 { &[] } else { above };
                let more = if forgotten > 0 { forgotten + above.len() as u64 } else { 0 };
                self.trace.heap.extend(id, known, more);
                if called && let Some(first) = first {
                    self.event(Action::Call { how, callee: target, args: first });
                }
            }
            Value::Opaque(kind) if kind == own => {}
            Value::Bytes { .. } if how == How::Append => {}
            other if other.is_plain() => return broken("items for a value that holds none"),
            other => {
                let first = self.stack.above().first().copied().unwrap_or(Value::None);
                self.event(Action::Call { how, callee: other, args: first });
            }
        }
        self.stack.drop_mark();
        Ok(())
    }

    /// Notes the hashing of every `step`-th value above the mark that is not plain data.
    fn hash_above(&mut self, step: usize) {
        let above = self.stack.above();
        if above.iter().step_by(step).all(|key| key.is_plain()) {
            return;
        }
        let keys: Vec<Value> = above.iter().step_by(step).copied().filter(|key| !key.is_plain()).collect();
        keys.into_iter().for_each(|key| self.hash(key));
    }

    fn hash(&mut self, key: Value) {
        let mut todo = vec![key];
        let mut visited = 0;
        while let Some(value) = todo.pop() {
            visited += 1;
            if visited > 256 {
                self.event(Action::Call { how: How::Hash, callee: Value::Unknown, args: Value::None });
                return;
            }
            match value {
                Value::Node(id) => match self.trace.heap.get(id) {
                    Some(Node::Container { kind: Kind::Tuple | Kind::FrozenSet, items }) => {
                        todo.extend(items.kept.iter().filter(|item| !item.is_plain()));
                    }
                    Some(Node::Call(_)) => {
                        self.event(Action::Call { how: How::Hash, callee: value, args: Value::None });
                    }
                    _ => {}
                },
                Value::Instance(_) | Value::Unknown => {
                    self.event(Action::Call { how: How::Hash, callee: value, args: Value::None });
                }
                _ => {}
            }
        }
    }

    fn set_item(&mut self) -> Result<(), End> {
        let value = self.pop()?;
        let key = self.pop()?;
        if !key.is_plain() {
            self.hash(key);
        }
        let target = self.top()?;
        self.set(target, &[key, value], 0)
    }

    /// What stands below the mark. Python 2 reaches through another mark for it.
    fn target(&mut self) -> Value {
        match self.stack.below_mark() {
            Some(target) => target,
            None => {
                self.loosen();
                Value::Unknown
            }
        }
    }

    fn set_items(&mut self) -> Result<(), End> {
        if !self.stack.marked() {
            return broken("SETITEMS without a mark");
        }
        if self.stack.height() == 0 {
            self.stack.drop_mark();
            return Ok(());
        }
        self.hash_above(2);
        let target = self.target();
        if self.stack.height() % 2 == 1 {
            self.odd(false, "SETITEMS of an odd number of keys and values");
        }
        let forgotten = self.stack.forgotten();
        self.pairs.clear();
        self.pairs.extend_from_slice(self.stack.above());
        self.stack.drop_mark();
        if self.pairs.is_empty() && forgotten == 0 {
            return Ok(());
        }
        let pairs = std::mem::take(&mut self.pairs);
        let done = self.set(target, &pairs, forgotten);
        self.pairs = pairs;
        done
    }

    fn set(&mut self, target: Value, pairs: &[Value], forgotten: u64) -> Result<(), End> {
        match target {
            Value::Node(id) => {
                let called = match self.trace.heap.get(id) {
                    Some(Node::Container { kind: Kind::Dict, items }) => {
                        let room = self.watch.limits.items.saturating_sub(items.kept.len());
                        self.unseen_keys(pairs.get(room.min(pairs.len())..).unwrap_or_default(), forgotten);
                        false
                    }
                    Some(Node::Container { kind: Kind::List, .. }) => false,
                    Some(Node::Call(_)) => true,
                    _ => return broken("items set on a container that takes none"),
                };
                self.trace.heap.extend(id, if forgotten > 0 { &[] } else { pairs }, forgotten);
                if called {
                    let key = pairs.first().copied().unwrap_or(Value::None);
                    self.event(Action::Call { how: How::SetItem, callee: target, args: key });
                }
            }
            Value::Opaque(Kind::Dict | Kind::List) => self.unseen_keys(pairs, forgotten),
            Value::Bytes { .. } => {}
            other if other.is_plain() => return broken("items set on a value that holds none"),
            other => {
                let key = pairs.first().copied().unwrap_or(Value::None);
                self.event(Action::Call { how: How::SetItem, callee: other, args: key });
            }
        }
        Ok(())
    }

    /// Keys of pairs that are not kept are looked at here, since a state dict is judged by its keys.
    fn unseen_keys(&mut self, pairs: &[Value], forgotten: u64) {
        let mut risky = forgotten > 0;
        // Records repeat their keys: a text that was just looked at is not read again.
        let mut quiet_keys = std::mem::take(&mut self.quiet_keys);
        for pair in pairs.chunks(2) {
            let [key, value] = pair else { break };
            let quiet = matches!(value, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_));
            let Value::Text { encoding, len, at } = *key else {
                continue;
            };
            // The shortest name that matters is `add`, the longest has 32 characters, escapes make it longer.
            let slot = (at % 61) as usize;
            if quiet || !(3..=400).contains(&len) || quiet_keys.get(slot) == Some(&at) {
                continue;
            }
            let bytes = self.reader.bytes(at, u64::from(len), 400);
            if text::decode(encoding, &bytes).is_some_and(|key| risky_key(&key)) {
                risky = true;
            } else if let Some(slot) = quiet_keys.get_mut(slot) {
                *slot = at;
            }
        }
        self.quiet_keys = quiet_keys;
        if risky {
            self.event(Action::Call { how: How::SetItem, callee: Value::Unknown, args: Value::Unknown });
        }
    }

    fn name(&mut self, range: (u64, u64)) -> Option<Vec<u8>> {
        let max = self.watch.limits.name_bytes;
        (range.1 <= max as u64).then(|| self.reader.bytes(range.0, range.1, max))
    }

    /// Two lines. Where the stream ends inside them, Python 2 takes what is there less its last byte, and asks for that.
    fn lines(&mut self) -> Result<Arg, End> {
        let start = self.reader.pos;
        let end = match self.reader.argument(Argument::TwoLines, false) {
            Ok(lines) => return Ok(lines),
            Err(reason) => End::from(reason),
        };
        let rest = self.reader.end().saturating_sub(start);
        if rest <= self.watch.limits.name_bytes as u64 {
            let bytes = self.reader.bytes(start, rest, self.watch.limits.name_bytes);
            let cut = |part: &[u8]| text::decode(Encoding::Native, part.split_last().map_or(&[][..], |(_, rest)| rest));
            let (module, name) = match bytes.iter().position(|byte| *byte == b'\n') {
                Some(newline) => {
                    let module = text::decode(Encoding::Native, bytes.get(..newline).unwrap_or_default());
                    (module, cut(bytes.get(newline + 1..).unwrap_or_default()))
                }
                None => (cut(&bytes), Some(String::new())),
            };
            self.import(module, name)?;
        }
        Err(end)
    }

    fn global(&mut self, lines: Arg) -> Result<(), End> {
        let value = self.import_lines(lines)?;
        Ok(self.stack.push(value)?)
    }

    fn import_lines(&mut self, lines: Arg) -> Result<Value, End> {
        let Arg::Lines { first, second } = lines else {
            return broken("an import without names");
        };
        let module = self.name(first).and_then(|bytes| text::decode(Encoding::Native, &bytes));
        let name = self.name(second).and_then(|bytes| text::decode(Encoding::Native, &bytes));
        if module.as_deref() == Some("") || name.as_deref() == Some("") {
            self.odd(true, "an import with an empty name");
        }
        self.import(module, name)
    }

    fn import(&mut self, module: Option<String>, name: Option<String>) -> Result<Value, End> {
        let mut key = vec![self.protocol.min(4)];
        for part in [&module, &name] {
            key.extend_from_slice(part.as_deref().unwrap_or("\u{0}?").as_bytes());
            key.push(b'\n');
        }
        let id = match self.names.get(&key) {
            Some(id) => *id,
            None => {
                if self.trace.callables.len() >= self.watch.limits.names {
                    return Err(End::Limit("different names imported by one pickle".to_owned()));
                }
                let id = CallableId::try_from(self.trace.callables.len()).unwrap_or(CallableId::MAX);
                self.trace.callables.push(Callable { module, name, protocol: self.protocol });
                self.names.insert(key, id);
                id
            }
        };
        self.event(Action::Import(id));
        Ok(Value::Global(id))
    }

    fn inst(&mut self) -> Result<(), End> {
        let lines = self.lines()?;
        let class = self.import_lines(lines)?;
        let Some(popped) = self.stack.pop_mark() else {
            return broken("INST without a mark");
        };
        let total = popped.values.len() as u64 + popped.forgotten;
        let args = self.trace.heap.container(Kind::Tuple, &popped.values, total);
        self.call(How::Instance, class, args, Value::None)
    }

    fn obj(&mut self) -> Result<(), End> {
        let Some(popped) = self.stack.pop_mark() else {
            return broken("OBJ without a mark");
        };
        let (class, args) = match popped.values.split_first() {
            Some((class, args)) if popped.forgotten == 0 => (*class, args),
            Some((_, args)) => (Value::Unknown, args),
            None => return broken("OBJ without a class"),
        };
        let total = args.len() as u64 + popped.forgotten;
        let args = self.trace.heap.container(Kind::Tuple, args, total);
        self.call(How::Instance, class, args, Value::None)
    }

    fn stack_global(&mut self) -> Result<(), End> {
        let name = self.pop()?;
        let module = self.pop()?;
        let mut parts = [None, None];
        for (part, value) in parts.iter_mut().zip([module, name]) {
            match value {
                Value::Text { encoding, len, at } => {
                    *part = self.name((at, u64::from(len))).and_then(|bytes| text::decode(encoding, &bytes));
                }
                other if other.is_plain() => {
                    return broken("STACK_GLOBAL of something that is no text");
                }
                _ => {}
            }
        }
        let [module, name] = parts;
        let value = self.import(module, name)?;
        Ok(self.stack.push(value)?)
    }

    fn build(&mut self) -> Result<(), End> {
        let state = self.pop()?;
        let target = self.top()?;
        if target.is_plain() {
            return Ok(());
        }
        if let Value::Node(id) = target
            && let Some(Node::Container { .. }) = self.trace.heap.get(id)
        {
            return Ok(());
        }
        self.event(Action::Call { how: How::Build, callee: target, args: state });
        let Value::Node(id) = target else {
            return Ok(());
        };
        self.trace.heap.build(id, state);
        if let Some(inline) = self.options.inline {
            match inline(&self.trace, id, self.reader.pos) {
                Inline::None => {}
                Inline::Array { end } if end <= self.reader.end() => {
                    self.trace.arrays.push((self.reader.pos, end));
                    self.reader.pos = end;
                }
                Inline::Array { .. } => {
                    return broken("an array between the opcodes is longer than the file");
                }
                Inline::Unknown(why) => return broken(&why),
                Inline::Pickle => {
                    let plain = Options { inline: None, reading: self.options.reading };
                    let source = self.trace.source.clone();
                    let inner = super::read(&source, self.reader.pos, &plain, self.watch, self.filter);
                    self.reader.pos += inner.length;
                    let stopped = inner.end == End::Stop;
                    self.trace.nested.push(inner);
                    if !stopped {
                        return broken("the pickle of an object array breaks");
                    }
                }
            }
        }
        Ok(())
    }

    fn persistent(&mut self, id: Value) -> Result<(), End> {
        self.trace.persistent_ids += 1;
        if self.trace.persistent.len() < self.watch.limits.events {
            self.trace.persistent.push(id);
        }
        self.call(How::Persistent, Value::None, id, Value::None)
    }

    fn extension(&mut self, argument: Argument) -> Result<(), End> {
        let code = self.int(argument)?;
        self.event(Action::Call { how: How::Extension, callee: Value::Unknown, args: code });
        Ok(self.stack.push(Value::Unknown)?)
    }

    fn drop_top(&mut self) -> Result<(), End> {
        if self.stack.height() == 0 && self.stack.marked() {
            self.stack.drop_mark();
            return Ok(());
        }
        let value = self.pop()?;
        self.dropped(value);
        Ok(())
    }

    fn dropped(&mut self, value: Value) {
        let made = matches!(value, Value::Instance(_))
            || matches!(value, Value::Node(id) if matches!(self.trace.heap.get(id), Some(Node::Call(_))));
        if made {
            self.event(Action::Call { how: How::Delete, callee: value, args: Value::None });
        }
    }

    fn put(&mut self, index: u64) -> Result<(), End> {
        let value = self.top()?;
        if index > self.memo.len() + 1_000_000 {
            self.odd(true, "a memo index far from all others: some Pythons make a table of that length");
        }
        match self.memo.put(index, value) {
            Ok(_) => Ok(()),
            Err(_) => Err(End::Limit("bytes of the memo".to_owned())),
        }
    }

    fn put_argument(&mut self, argument: Argument) -> Result<(), End> {
        let Value::Int(index) = self.int(argument)? else {
            return Ok(());
        };
        self.put(index.unsigned_abs())
    }

    fn get_argument(&mut self, argument: Argument) -> Result<(), End> {
        let Value::Int(index) = self.int(argument)? else {
            return Ok(());
        };
        match self.memo.get(index.unsigned_abs()) {
            Some(value) => Ok(self.stack.push(value)?),
            None if self.loose => Ok(self.stack.push(Value::Unknown)?),
            None => broken("GET of a memo entry that was never put"),
        }
    }

    /// Python 2 takes any text as a memo key; Python 3 takes numbers.
    fn memo_key(&mut self) -> Result<(Vec<u8>, Option<u64>), End> {
        let (at, len) = self.data()?;
        let line = self.reader.bytes(at, len, 256);
        let number = text::int(&line).filter(|_| len <= 256);
        if number.is_none_or(|number| !number.canonical || number.value.is_none_or(|value| value < 0)) {
            self.odd(true, "a memo key that only some unpicklers take");
        }
        Ok((line, number.and_then(|number| number.value).and_then(|value| u64::try_from(value).ok())))
    }

    fn text_put(&mut self) -> Result<(), End> {
        let (line, index) = self.memo_key()?;
        let value = self.top()?;
        if index.is_none() || line.first() == Some(&b'0') && line.len() > 1 {
            if self.text_keys.len() >= 10_000 {
                return Err(End::Limit("text keys of the memo".to_owned()));
            }
            self.text_keys.insert(line, value);
        }
        index.map_or(Ok(()), |index| self.put(index))
    }

    fn text_get(&mut self) -> Result<(), End> {
        let (line, index) = self.memo_key()?;
        let by_text = self.text_keys.get(&line).copied();
        match by_text.or_else(|| self.memo.get(index?)) {
            Some(value) => Ok(self.stack.push(value)?),
            None => broken("GET of a memo entry that was never put"),
        }
    }

    fn proto(&mut self) -> Result<(), End> {
        let Value::Int(protocol) = self.int(Argument::Unsigned(1))? else {
            return Ok(());
        };
        if self.at != self.trace.start {
            self.odd(true, "PROTO inside the stream changes how later names are read");
        }
        if protocol > 5 {
            self.odd(false, format!("protocol {protocol} does not exist"));
        }
        self.protocol = u8::try_from(protocol).unwrap_or(u8::MAX);
        Ok(())
    }

    fn frame(&mut self) -> Result<(), End> {
        let Arg::Long(size) = self.reader.argument(Argument::Unsigned(8), false)? else {
            return Ok(());
        };
        match self.reader.frame(size)? {
            FrameNote::Fine => {}
            FrameNote::Nested => self.odd(true, "a frame inside a frame"),
            FrameNote::PastTheEnd => self.odd(true, "a frame longer than the rest of the file"),
        }
        if self.protocol < 4 {
            self.odd(true, "a frame in a stream of an older protocol");
        }
        Ok(())
    }
}

/// An empty trace of what starts at `start`.
pub(super) fn empty_trace(source: crate::source::SharedSource, start: u64, watch: &Watch) -> Trace {
    Trace {
        source,
        start,
        length: 0,
        protocol: 0,
        end: End::Stop,
        callables: Vec::new(),
        events: Vec::new(),
        dropped: 0,
        heap: Heap::new(watch.limits.heap_bytes, watch.limits.items),
        root: None,
        oddities: Vec::new(),
        persistent_ids: 0,
        persistent: Vec::new(),
        opcodes: 0,
        literals: Vec::new(),
        straddled: None,
        arrays: Vec::new(),
        nested: Vec::new(),
    }
}
