//! The machine's imports and calls.

use super::recent_names::RecentNames;
use super::{Machine, empty_trace};
use crate::pickle::decode::{DecodedArgument, OpcodeReader};
use crate::pickle::opcode::Argument;
use crate::pickle::options::{Inline, Options};
use crate::pickle::text;
use crate::pickle::trace::{Action, Callable, InlineArray, StreamEnd};
use crate::pickle::value::{CallKind, CallableId, ContainerKind, Node, TextEncoding, Value};

impl Machine<'_> {
    pub(super) fn name(&mut self, range: (u64, u64)) -> Option<Vec<u8>> {
        let max = self.budget.limits.name_bytes;
        (range.1 <= max as u64).then(|| self.reader.bytes(range.0, range.1, max))
    }

    /// Two lines. Where the stream ends inside them, Python 2 takes the rest without its last byte and imports that.
    pub(super) fn lines(&mut self) -> Result<DecodedArgument, StreamEnd> {
        let start = self.reader.pos;
        let end = match self.reader.argument(Argument::TwoLines, false) {
            Ok(lines) => return Ok(lines),
            Err(reason) => StreamEnd::from(reason),
        };
        let rest = self.reader.end().saturating_sub(start);
        if rest <= self.budget.limits.name_bytes as u64 {
            let bytes = self.reader.bytes(start, rest, self.budget.limits.name_bytes);
            let cut =
                |part: &[u8]| text::decode(TextEncoding::Native, part.split_last().map_or(&[][..], |(_, rest)| rest));
            let (module, name) = match bytes.iter().position(|byte| *byte == b'\n') {
                Some(newline) => {
                    let module = text::decode(TextEncoding::Native, bytes.get(..newline).unwrap_or_default());
                    (module, cut(bytes.get(newline + 1..).unwrap_or_default()))
                }
                None => (cut(&bytes), Some(String::new())),
            };
            self.import(module, name)?;
        }
        Err(end)
    }

    pub(super) fn global(&mut self, lines: DecodedArgument) -> Result<(), StreamEnd> {
        let value = self.import_lines(lines)?;
        Ok(self.stack.push(value)?)
    }

    pub(super) fn import_lines(&mut self, lines: DecodedArgument) -> Result<Value, StreamEnd> {
        let DecodedArgument::Lines { first, second } = lines else {
            return Err(StreamEnd::broken("an import without names"));
        };
        // Both lines as one range, where they are adjacent and neither is empty; empty names are anomalies.
        let after = second.0.saturating_add(second.1);
        let piece = after.saturating_sub(first.0);
        let fits = first.0.checked_add(first.1 + 1) == Some(second.0) && piece <= RecentNames::MAX_BYTES;
        let fits = fits && first.1 > 0 && second.1 > 0;
        let lines = usize::try_from(piece).ok().filter(|_| fits).and_then(|len| self.reader.buffered(first.0, len));
        if let Some(id) = lines.and_then(|lines| self.recent.get(lines)) {
            self.event(Action::Import(id));
            return Ok(Value::Global(id));
        }
        let module = self.name(first).and_then(|bytes| text::decode(TextEncoding::Native, &bytes));
        let name = self.name(second).and_then(|bytes| text::decode(TextEncoding::Native, &bytes));
        if module.as_deref() == Some("") || name.as_deref() == Some("") {
            self.anomaly(true, "an import with an empty name");
        }
        let value = self.import(module, name)?;
        let lines = usize::try_from(piece).ok().filter(|_| fits).and_then(|len| self.reader.buffered(first.0, len));
        if let (Some(lines), Value::Global(id)) = (lines, value) {
            self.recent.add(lines, id);
        }
        Ok(value)
    }

    pub(super) fn import(&mut self, module: Option<String>, name: Option<String>) -> Result<Value, StreamEnd> {
        let mut key = vec![self.protocol.min(4)];
        for part in [&module, &name] {
            key.extend_from_slice(part.as_deref().unwrap_or("\u{0}?").as_bytes());
            key.push(b'\n');
        }
        let id = match self.names.get(&key) {
            Some(id) => *id,
            None => {
                if self.trace.callables.len() >= self.budget.limits.names {
                    return Err(StreamEnd::Limit("different names imported by one pickle".to_owned()));
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

    pub(super) fn inst(&mut self) -> Result<(), StreamEnd> {
        let lines = self.lines()?;
        let class = self.import_lines(lines)?;
        let Some(popped) = self.stack.pop_mark() else {
            return Err(StreamEnd::broken("INST without a mark"));
        };
        let total = popped.values.len() as u64 + popped.forgotten;
        let args = self.trace.heap.container(ContainerKind::Tuple, &popped.values, total);
        self.call(CallKind::Instance, class, args, Value::None)
    }

    pub(super) fn obj(&mut self) -> Result<(), StreamEnd> {
        let Some(popped) = self.stack.pop_mark() else {
            return Err(StreamEnd::broken("OBJ without a mark"));
        };
        let (class, args) = match popped.values.split_first() {
            Some((class, args)) if popped.forgotten == 0 => (*class, args),
            Some((_, args)) => (Value::Unknown, args),
            None => return Err(StreamEnd::broken("OBJ without a class")),
        };
        let total = args.len() as u64 + popped.forgotten;
        let args = self.trace.heap.container(ContainerKind::Tuple, args, total);
        self.call(CallKind::Instance, class, args, Value::None)
    }

    pub(super) fn stack_global(&mut self) -> Result<(), StreamEnd> {
        let name = self.pop()?;
        let module = self.pop()?;
        let mut parts = [None, None];
        for (part, value) in parts.iter_mut().zip([module, name]) {
            match value {
                Value::Text { encoding, len, at } => {
                    *part = self.name((at, u64::from(len))).and_then(|bytes| text::decode(encoding, &bytes));
                }
                other if other.is_plain() => {
                    return Err(StreamEnd::broken("STACK_GLOBAL of something that is no text"));
                }
                _ => {}
            }
        }
        let [module, name] = parts;
        let value = self.import(module, name)?;
        Ok(self.stack.push(value)?)
    }

    pub(super) fn reduce(&mut self) -> Result<(), StreamEnd> {
        let args = self.pop()?;
        let callee = self.pop()?;
        if callee.is_plain() {
            return Err(StreamEnd::broken("REDUCE calls a value that is no callable"));
        }
        let tuple = match args {
            Value::Node(id) => !matches!(
                self.trace.heap.get(id),
                Some(Node::Container {
                    kind: ContainerKind::List | ContainerKind::Dict | ContainerKind::Set | ContainerKind::FrozenSet,
                    ..
                })
            ),
            Value::Opaque(kind) => kind == ContainerKind::Tuple,
            Value::Unknown | Value::Instance(_) => true,
            _ => false,
        };
        if !tuple {
            self.anomaly(true, "arguments that are no tuple: C refuses them, Python takes them apart");
        }
        self.call(CallKind::Reduce, callee, args, Value::None)
    }

    pub(super) fn new_object(&mut self) -> Result<(), StreamEnd> {
        let args = self.pop()?;
        let class = self.pop()?;
        self.call(CallKind::New, class, args, Value::None)
    }

    pub(super) fn new_object_ex(&mut self) -> Result<(), StreamEnd> {
        let kwargs = self.pop()?;
        let args = self.pop()?;
        let class = self.pop()?;
        self.call(CallKind::NewEx, class, args, kwargs)
    }

    pub(super) fn build(&mut self) -> Result<(), StreamEnd> {
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
        self.event(Action::Call { how: CallKind::Build, callee: target, args: state });
        let Value::Node(id) = target else {
            return Ok(());
        };
        self.trace.heap.build(id, state);
        if let Some(inline) = self.options.inline {
            match inline(&self.trace, id, self.reader.pos) {
                Inline::None => {}
                Inline::Array { end } if end <= self.reader.end() => {
                    self.trace.arrays.push(InlineArray { node: id, start: self.reader.pos, end });
                    self.reader.pos = end;
                }
                Inline::Array { .. } => {
                    return Err(StreamEnd::broken("an array between the opcodes is longer than the file"));
                }
                Inline::Unknown(why) => return Err(StreamEnd::broken(why)),
                Inline::Pickle => {
                    let plain = Options { inline: None, ..*self.options };
                    let source = self.trace.source.clone();
                    let reader = OpcodeReader::new(source.as_ref(), self.reader.pos, plain.reading);
                    let trace = empty_trace(source.clone(), self.reader.pos, self.budget);
                    let inner = Machine::new(reader, trace, self.budget, &plain, self.filter).run();
                    self.reader.pos += inner.length;
                    let stopped = inner.end == StreamEnd::Stop;
                    self.trace.nested.push(inner);
                    if !stopped {
                        return Err(StreamEnd::broken("the pickle of an object array breaks"));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn text_persistent(&mut self) -> Result<(), StreamEnd> {
        let (at, len) = self.take_data()?;
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.persistent(Value::Text { encoding: TextEncoding::Native, len, at })
    }

    pub(super) fn persistent(&mut self, id: Value) -> Result<(), StreamEnd> {
        self.trace.persistent_ids += 1;
        if self.trace.persistent.len() < self.budget.limits.events {
            self.trace.persistent.push(id);
        }
        self.call(CallKind::Persistent, Value::None, id, Value::None)
    }

    pub(super) fn extension(&mut self, argument: Argument) -> Result<(), StreamEnd> {
        let code = self.int(argument)?;
        self.event(Action::Call { how: CallKind::Extension, callee: Value::Unknown, args: code });
        Ok(self.stack.push(Value::Unknown)?)
    }

    pub(super) fn pop_mark(&mut self) -> Result<(), StreamEnd> {
        let popped = self.stack.pop_mark().ok_or_else(|| StreamEnd::broken("POP_MARK without a mark"))?;
        popped.values.iter().for_each(|value| self.note_deletion(*value));
        Ok(())
    }

    pub(super) fn pop_top(&mut self) -> Result<(), StreamEnd> {
        if self.stack.height() == 0 && self.stack.marked() {
            self.stack.drop_mark();
            return Ok(());
        }
        let value = self.pop()?;
        self.note_deletion(value);
        Ok(())
    }

    pub(super) fn note_deletion(&mut self, value: Value) {
        let made = matches!(value, Value::Instance(_))
            || matches!(value, Value::Node(id) if matches!(self.trace.heap.get(id), Some(Node::Call(_))));
        if made {
            self.event(Action::Call { how: CallKind::Delete, callee: value, args: Value::None });
        }
    }
}
