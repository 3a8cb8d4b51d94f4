//! Opcodes for the memo, and how Python 2 treats marks.

use super::Machine;
use crate::io::bounds::pickle::{MAX_MEMO_GAP, MAX_TEXT_MEMO_KEYS};
use crate::pickle::opcode::{self as op, Argument};
use crate::pickle::text;
use crate::pickle::trace::StreamEnd;
use crate::pickle::value::Value;

impl Machine<'_> {
    /// Python 2 knows no border at a mark: it takes the value below, or the mark itself. From there on its stack and
    /// this one differ, so the machine gives unknown values instead of breaking: it must not miss the names that
    /// follow.
    pub(super) fn become_lenient(&mut self) {
        self.lenient = true;
        self.anomaly(true, "an opcode reaches below a mark, which only Python 2 takes");
    }

    pub(super) fn stack_underflow(&self) -> Result<Value, StreamEnd> {
        if self.lenient {
            return Ok(Value::Unknown);
        }
        Err(StreamEnd::Broken(format!("{} finds nothing on the stack", op::name(self.code))))
    }

    /// Missing marks are forgiven where Python 2 has gone its own way before.
    pub(super) fn add_missing_mark(&mut self) -> Result<(), StreamEnd> {
        if self.lenient && !self.stack.marked() {
            self.stack.mark()?;
        }
        Ok(())
    }

    pub(super) fn put(&mut self, index: u64) -> Result<(), StreamEnd> {
        let value = self.top()?;
        if index > self.memo.len() + MAX_MEMO_GAP {
            self.anomaly(true, "a memo index far from all others: some Pythons make a table of that length");
        }
        match self.memo.put(index, value) {
            Ok(_) => Ok(()),
            Err(_) => Err(StreamEnd::Limit("bytes of the memo".to_owned())),
        }
    }

    pub(super) fn put_argument(&mut self, argument: Argument) -> Result<(), StreamEnd> {
        let Value::Int(index) = self.int(argument)? else {
            return Ok(());
        };
        self.put(index.unsigned_abs())
    }

    pub(super) fn get_argument(&mut self, argument: Argument) -> Result<(), StreamEnd> {
        let Value::Int(index) = self.int(argument)? else {
            return Ok(());
        };
        match self.memo.get(index.unsigned_abs()) {
            Some(value) => Ok(self.stack.push(value)?),
            None if self.lenient => Ok(self.stack.push(Value::Unknown)?),
            None => Err(StreamEnd::broken("GET of a memo entry that was never put")),
        }
    }

    /// Python 2 takes any text as a memo key; Python 3 takes numbers.
    pub(super) fn memo_key(&mut self) -> Result<(Vec<u8>, Option<u64>), StreamEnd> {
        let (at, len) = self.take_data()?;
        let line = self.reader.bytes(at, len, 256);
        let number = text::int(&line).filter(|_| len <= 256);
        if number.is_none_or(|number| !number.canonical || number.value.is_none_or(|value| value < 0)) {
            self.anomaly(true, "a memo key that only some unpicklers take");
        }
        Ok((line, number.and_then(|number| number.value).and_then(|value| u64::try_from(value).ok())))
    }

    pub(super) fn text_put(&mut self) -> Result<(), StreamEnd> {
        let (line, index) = self.memo_key()?;
        let value = self.top()?;
        if index.is_none() || line.first() == Some(&b'0') && line.len() > 1 {
            if self.text_keys.len() >= MAX_TEXT_MEMO_KEYS {
                return Err(StreamEnd::Limit("text keys of the memo".to_owned()));
            }
            self.text_keys.insert(line, value);
        }
        index.map_or(Ok(()), |index| self.put(index))
    }

    pub(super) fn text_get(&mut self) -> Result<(), StreamEnd> {
        let (line, index) = self.memo_key()?;
        let by_text = self.text_keys.get(&line).copied();
        match by_text.or_else(|| self.memo.get(index?)) {
            Some(value) => Ok(self.stack.push(value)?),
            None => Err(StreamEnd::broken("GET of a memo entry that was never put")),
        }
    }
}
