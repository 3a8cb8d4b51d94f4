//! The pickle stack: values and marks. Of each level the newest values are kept and older ones only counted, so that a
//! tuple of a hundred million numbers takes the memory of some thousands.

use super::value::Value;
use crate::io::bounds::pickle::MAX_LEVEL_VALUES;

#[derive(Clone, Copy)]
struct MarkFrame {
    base: usize,
    forgotten: u64,
}

/// The stack of one stream.
pub struct Stack {
    slots: Vec<Value>,
    levels: Vec<MarkFrame>,
    limit: usize,
    marks: usize,
}

/// What was above a mark.
pub struct MarkedItems {
    /// The values that are known, the newest ones.
    pub values: Vec<Value>,
    /// How many older ones are not.
    pub forgotten: u64,
}

/// A limit of the stack was hit.
#[derive(Debug)]
pub struct StackFull(pub &'static str);

impl Stack {
    /// An empty stack.
    pub fn new(limit: usize, marks: usize) -> Self {
        Self { slots: Vec::new(), levels: vec![MarkFrame { base: 0, forgotten: 0 }], limit, marks }
    }

    fn level(&self) -> MarkFrame {
        self.levels.last().copied().unwrap_or(MarkFrame { base: 0, forgotten: 0 })
    }

    /// Pushes a value.
    #[inline]
    pub fn push(&mut self, value: Value) -> Result<(), StackFull> {
        self.slots.push(value);
        if self.slots.len() >= MAX_LEVEL_VALUES { self.compact() } else { Ok(()) }
    }

    #[cold]
    fn compact(&mut self) -> Result<(), StackFull> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        if self.slots.len() - level.base >= 2 * MAX_LEVEL_VALUES {
            self.slots.drain(level.base..level.base + MAX_LEVEL_VALUES);
            level.forgotten += MAX_LEVEL_VALUES as u64;
        }
        if self.slots.len() > self.limit { Err(StackFull("values on the stack")) } else { Ok(()) }
    }

    /// Opens a level.
    pub fn mark(&mut self) -> Result<(), StackFull> {
        if self.levels.len() > self.marks {
            return Err(StackFull("marks on the stack"));
        }
        self.levels.push(MarkFrame { base: self.slots.len(), forgotten: 0 });
        Ok(())
    }

    /// Whether there is a mark.
    pub fn marked(&self) -> bool {
        self.levels.len() > 1
    }

    /// Closes the newest level and gives what was in it.
    pub fn pop_mark(&mut self) -> Option<MarkedItems> {
        if !self.marked() {
            return None;
        }
        let level = self.levels.pop()?;
        Some(MarkedItems { values: self.slots.split_off(level.base), forgotten: level.forgotten })
    }

    /// Closes the newest level and drops what was in it, giving only its size.
    pub fn drop_mark(&mut self) -> Option<u64> {
        if !self.marked() {
            return None;
        }
        let level = self.levels.pop()?;
        let count = (self.slots.len() - level.base) as u64 + level.forgotten;
        self.slots.truncate(level.base);
        Some(count)
    }

    /// The values above the mark.
    pub fn above(&self) -> &[Value] {
        self.slots.get(self.level().base..).unwrap_or_default()
    }

    /// How many older values of this level were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.level().forgotten
    }

    /// The value right below the newest mark.
    pub fn below_mark(&self) -> Option<Value> {
        let base = self.level().base;
        let below = self.levels.len().checked_sub(2).and_then(|index| self.levels.get(index))?;
        if base > below.base {
            self.slots.get(base - 1).copied()
        } else {
            (below.forgotten > 0).then_some(Value::Unknown)
        }
    }

    /// Takes the newest value of this level.
    #[inline]
    pub fn pop(&mut self) -> Option<Value> {
        let level = self.levels.last_mut()?;
        if self.slots.len() > level.base {
            return self.slots.pop();
        }
        // A forgotten value is still there, as an unknown one.
        level.forgotten = level.forgotten.checked_sub(1)?;
        Some(Value::Unknown)
    }

    /// The newest value of this level.
    #[inline]
    pub fn top(&self) -> Option<Value> {
        let level = self.level();
        if self.slots.len() > level.base {
            return self.slots.last().copied();
        }
        (level.forgotten > 0).then_some(Value::Unknown)
    }

    /// How many values this level holds.
    pub fn height(&self) -> u64 {
        let level = self.level();
        (self.slots.len() - level.base) as u64 + level.forgotten
    }
}
