//! Opcodes for literals: texts, bytes and numbers in all notations.

use super::Machine;
use crate::io::bounds::pickle::{MAX_LITERALS, MAX_QUOTED_LINE_BYTES, MIN_LITERAL_BYTES};
use crate::pickle::decode::DecodedArgument;
use crate::pickle::opcode::{self as op, Argument};
use crate::pickle::trace::{Literal, StreamEnd};
use crate::pickle::value::{TextEncoding, Value};
use crate::pickle::{literal, text};

impl Machine<'_> {
    pub(super) fn int(&mut self, argument: Argument) -> Result<Value, StreamEnd> {
        Ok(match self.reader.argument(argument, false)? {
            DecodedArgument::Int(value) => Value::Int(value),
            _ => Value::Unknown,
        })
    }

    pub(super) fn bytes(&mut self) -> Result<(), StreamEnd> {
        let (at, len) = self.take_data()?;
        self.note_literal(at, len, false)?;
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        Ok(self.stack.push(Value::Bytes { len, at })?)
    }

    pub(super) fn take_data(&mut self) -> Result<(u64, u64), StreamEnd> {
        // The texts of most pickles take no detour over the table.
        match self.code {
            op::BINUNICODE => return Ok(self.reader.sized_text(4)?),
            op::SHORT_BINUNICODE => return Ok(self.reader.sized_text(1)?),
            _ => {}
        }
        let argument = op::lookup(self.code).map_or(Argument::None, |row| row.argument);
        let is_bytes = matches!(self.code, op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BYTEARRAY8);
        match self.reader.argument(argument, is_bytes)? {
            DecodedArgument::Data { at, len } => Ok((at, len)),
            _ => Err(StreamEnd::broken("the opcode has no data")),
        }
    }

    pub(super) fn note_literal(&mut self, at: u64, len: u64, text: bool) -> Result<(), StreamEnd> {
        if len < u64::from(MIN_LITERAL_BYTES) {
            return Ok(());
        }
        let head = self.reader.peek(at, len.min(32) as usize)?;
        if let Some(look) = literal::classify(head, text) {
            if self.trace.literals.len() >= MAX_LITERALS {
                return Err(StreamEnd::Limit("literals to be looked into".to_owned()));
            }
            self.trace.literals.push(Literal { at, len, kind: look });
        }
        Ok(())
    }

    pub(super) fn text(&mut self, encoding: TextEncoding) -> Result<(), StreamEnd> {
        let (at, len) = self.take_data()?;
        if encoding == TextEncoding::Quoted {
            // Refused by all when it is not quoted; blanks behind the quote are let through by Python 2 only.
            let line = self.reader.bytes(at, len, MAX_QUOTED_LINE_BYTES);
            if len < MAX_QUOTED_LINE_BYTES as u64 {
                if text::unquote(&line).is_none() {
                    return Err(StreamEnd::broken("STRING is not quoted"));
                }
                if line.last().is_some_and(|last| last.is_ascii_whitespace() || *last >= 0x80) {
                    self.anomaly(true, "blanks behind the quote of STRING");
                }
            }
            self.note_literal(at + 1, len.saturating_sub(2), true)?;
        } else {
            self.note_literal(at, len, true)?;
        }
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        Ok(self.stack.push(Value::Text { encoding, len, at })?)
    }

    pub(super) fn long(&mut self) -> Result<(), StreamEnd> {
        let (at, len) = self.take_data()?;
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

    pub(super) fn text_int(&mut self) -> Result<(), StreamEnd> {
        let (at, len) = self.take_data()?;
        let line = self.reader.bytes(at, len, 64);
        let value = match (self.code, line.as_slice()) {
            (op::INT, b"00") => Value::Bool(false),
            (op::INT, b"01") => Value::Bool(true),
            _ if len > 64 => {
                if len > 4300 {
                    self.anomaly(true, "more digits than newer Pythons read");
                }
                Value::BigInt { at, len: u32::try_from(len).unwrap_or(u32::MAX) }
            }
            _ => {
                let Some(number) = text::int(&line) else {
                    return Err(StreamEnd::broken("a text number that no unpickler reads"));
                };
                if !number.canonical {
                    self.anomaly(true, "a number written as no pickler writes it");
                }
                number.value.map_or(Value::BigInt { at, len: line.len() as u32 }, Value::Int)
            }
        };
        Ok(self.stack.push(value)?)
    }

    pub(super) fn text_float(&mut self) -> Result<(), StreamEnd> {
        let (at, len) = self.take_data()?;
        let line = self.reader.bytes(at, len, 1024);
        let Some(number) = text::float(&line) else {
            return Err(StreamEnd::broken("a text float that no unpickler reads"));
        };
        if !number.canonical {
            self.anomaly(true, "a float written as no pickler writes it");
        }
        Ok(self.stack.push(number.value.map_or(Value::Unknown, Value::Float))?)
    }
}
