//! Streams as a pickler writes them, at protocols 0 to 5, over random object graphs: containers, globals, REDUCE, NEWOBJ and
//! BUILD, persistent ids, extension codes, memo references, frames.

use super::opcodes::{Op, frame, line, lines, module, name, op, sized};
use super::random::Random;

pub struct Pickler<'a> {
    random: &'a mut Random,
    protocol: u8,
    pub ops: Vec<Op>,
    memo: usize,
    /// How many values may still be written.
    budget: usize,
}

impl<'a> Pickler<'a> {
    pub fn new(random: &'a mut Random) -> Self {
        let protocol = random.below(6) as u8;
        let budget = 5 + random.below(40);
        Self { random, protocol, ops: Vec::new(), memo: 0, budget }
    }

    /// The opcodes of one whole pickle.
    pub fn run(mut self) -> Vec<Op> {
        self.value(0);
        self.put(op(b'.', &[]));
        let mut ops = Vec::new();
        if self.protocol >= 2 {
            ops.push(op(0x80, &[self.protocol]));
        }
        if self.protocol >= 4 {
            let len: usize = self.ops.iter().map(Vec::len).sum();
            ops.push(frame(len as u64));
        }
        ops.append(&mut self.ops);
        ops
    }

    fn put(&mut self, op: Op) {
        self.ops.push(op);
    }

    fn code(&mut self, code: u8) {
        self.put(vec![code]);
    }

    fn memoize(&mut self) {
        let index = self.memo;
        self.memo += 1;
        let op = match self.protocol {
            0 => line(b'p', index.to_string().as_bytes()),
            4.. => vec![0x94],
            _ if index < 256 => op(b'q', &[index as u8]),
            _ => op(b'r', &(index as u32).to_le_bytes()),
        };
        self.put(op);
    }

    fn get(&mut self) {
        let index = self.random.below(self.memo);
        let op = match self.protocol {
            0 => line(b'g', index.to_string().as_bytes()),
            _ if index < 256 => op(b'h', &[index as u8]),
            _ => op(b'j', &(index as u32).to_le_bytes()),
        };
        self.put(op);
    }

    fn text(&mut self, value: &str) {
        let op = match self.protocol {
            0 => line(b'V', value.as_bytes()),
            4.. => sized(0x8c, 1, value.as_bytes()),
            _ => sized(b'X', 4, value.as_bytes()),
        };
        self.put(op);
        self.memoize();
    }

    fn global(&mut self) {
        let (module, name) = (module(self.random), name(self.random));
        if self.protocol >= 4 {
            self.text(&module);
            self.text(&name);
            self.code(0x93);
        } else {
            self.put(lines(b'c', module.as_bytes(), name.as_bytes()));
        }
        self.memoize();
    }

    fn tuple(&mut self, depth: usize) {
        let count = self.random.below(5);
        if count == 0 && self.protocol > 0 {
            return self.code(b')');
        }
        if (1..=3).contains(&count) && self.protocol >= 2 {
            for _ in 0..count {
                self.value(depth + 1);
            }
            self.code(0x84 + count as u8);
        } else {
            self.code(b'(');
            for _ in 0..count {
                self.value(depth + 1);
            }
            self.code(b't');
        }
        self.memoize();
    }

    fn list(&mut self, depth: usize) {
        if self.protocol == 0 {
            self.code(b'(');
            self.code(b'l');
        } else {
            self.code(b']');
        }
        self.memoize();
        self.items(depth, b'a', b'e', 1);
    }

    fn dict(&mut self, depth: usize) {
        if self.protocol == 0 {
            self.code(b'(');
            self.code(b'd');
        } else {
            self.code(b'}');
        }
        self.memoize();
        self.items(depth, b's', b'u', 2);
    }

    /// Items one by one or behind a mark; the keys of pairs are texts.
    fn items(&mut self, depth: usize, one: u8, many: u8, width: usize) {
        let count = self.random.below(4);
        let batch = self.protocol > 0 && count > 1;
        if batch {
            self.code(b'(');
        }
        for at in 0..count {
            if width == 2 {
                self.text(&format!("key{at}"));
            }
            self.value(depth + 1);
            if !batch {
                self.code(one);
            }
        }
        if batch {
            self.code(many);
        }
    }

    fn object(&mut self, depth: usize) {
        self.global();
        self.tuple(depth);
        let new = self.protocol >= 2 && self.random.chance(50);
        self.code(if new { 0x81 } else { b'R' });
        self.memoize();
        match self.random.below(4) {
            0 => self.items(depth, b'a', b'e', 1),
            1 => self.items(depth, b's', b'u', 2),
            _ => {}
        }
        if self.random.chance(50) {
            if self.random.chance(70) {
                self.dict(depth)
            } else {
                self.value(depth + 1)
            }
            self.code(b'b');
        }
    }

    fn value(&mut self, depth: usize) {
        if self.budget == 0 || depth > 6 {
            return self.code(b'N');
        }
        self.budget -= 1;
        match self.random.below(17) {
            0 => self.code(b'N'),
            1 if self.protocol >= 2 => self.code(0x88),
            1 => self.put(line(b'I', b"01")),
            2 if self.protocol > 0 => self.put(op(b'K', &[7])),
            2 => self.put(line(b'I', b"7")),
            3 if self.protocol > 0 => self.put(op(b'G', &1.5f64.to_be_bytes())),
            3 => self.put(line(b'F', b"1.5")),
            4 => {
                let text = name(self.random);
                self.text(&text);
            }
            5 | 6 => self.list(depth),
            7 | 8 => self.dict(depth),
            9 => self.tuple(depth),
            10 => self.global(),
            11 if self.memo > 0 => self.get(),
            12 if self.protocol > 0 => {
                self.value(depth + 1);
                self.code(b'Q');
            }
            12 => self.put(line(b'P', b"id")),
            13 if self.protocol >= 2 => self.put(op(0x82, &[1])),
            14 if self.protocol >= 4 => {
                self.code(0x8f);
                self.memoize();
                self.code(b'(');
                self.text("member");
                self.code(0x90);
            }
            15 if self.protocol >= 5 => {
                self.put(sized(0x96, 8, b"bytes"));
                self.memoize();
            }
            _ => self.object(depth),
        }
    }
}
