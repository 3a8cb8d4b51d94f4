//! Opcode soup: opcodes drawn at random, mostly such that the stack holds what they need, so that a stream gets far before it
//! breaks. This is where text arguments take odd forms, names come from every kind of text and the memo is played with.

use super::opcodes::{Op, line, lines, memo, module, name, number, op, sized, text};
use super::random::Random;
use std::collections::HashMap;

/// What the generator believes to be on the stack.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Mark,
    Module,
    Name,
    /// A global, or an object made from one.
    Thing,
    List,
    Dict,
    Set,
    Tuple,
    Plain,
}

use Kind::{Dict, List, Mark, Module, Name, Plain, Set, Thing, Tuple};

pub struct Soup<'a> {
    random: &'a mut Random,
    ops: Vec<Op>,
    stack: Vec<Kind>,
    memo: HashMap<usize, Kind>,
}

/// Short sequences that leave one value: operations on values that one does not expect to take them, and calls with arguments of
/// the wrong kind. Some of them are accepted by some unpickler.
const SNIPPETS: &[&[u8]] = &[
    b"]K\x01aK\x00K\x02s",
    b"]K\x01a(K\x00K\x02u",
    b"\x96\x01\0\0\0\0\0\0\0aK\x00K\x02s",
    b"\x96\x01\0\0\0\0\0\0\0aK\x00a",
    b"\x96\x01\0\0\0\0\0\0\0a(K\x00K\x01e",
    b"NNb",
    b"K\x01}b",
    b"])b",
    b"]NN\x86b",
    b"]}}\x86b",
    b"N(e",
    b"}(e",
    b"](u",
    b"N(u",
    b"N(\x90",
    b"](\x90",
    b"\x8fK\x01a",
    b"}K\x01a",
    b"(\x91(K\x01\x90",
    b"}]K\x01s",
    b"C\x01a\x98",
    b"\x96\x01\0\0\0\0\0\0\0a\x98",
    b"cm0\nn0\n]R",
    b"cm0\nn0\n}R",
    b"cm0\nn0\nX\0\0\0\0R",
    b"cm0\nn0\nC\0R",
    b"cm0\nn0\n\x8fR",
    b"cm0\nn0\n]\x81",
    b"cm0\nn0\n}\x81",
    b"cm0\nn0\n)N\x92",
    b"cm0\nn0\n]}\x92",
    b"cm0\nn0\n)]\x92",
    b"(](l(dttt",
    b"((1N",
    b"N0N",
    b"\x8b\0\0\0\0",
];

/// The opcodes of one stream.
pub fn soup(random: &mut Random) -> Vec<Op> {
    let count = 5 + random.below(60);
    let mut soup = Soup { random, ops: Vec::new(), stack: Vec::new(), memo: HashMap::new() };
    if soup.random.chance(70) {
        let protocol = *soup.random.pick(&[0u8, 1, 2, 2, 3, 4, 4, 5]);
        soup.ops.push(op(0x80, &[protocol]));
    }
    for _ in 0..count {
        soup.step();
    }
    if soup.random.chance(80) {
        if soup.stack.is_empty() {
            soup.ops.push(vec![b'N']);
        }
        soup.ops.push(vec![b'.']);
    }
    soup.ops
}

impl Soup<'_> {
    fn put(&mut self, op: Op, pops: usize, pushes: &[Kind]) {
        self.ops.push(op);
        self.stack.truncate(self.stack.len().saturating_sub(pops));
        self.stack.extend_from_slice(pushes);
    }

    fn top(&self, depth: usize) -> Option<Kind> {
        self.stack.len().checked_sub(depth + 1).and_then(|at| self.stack.get(at)).copied()
    }

    /// Number of items above the last mark.
    fn above_mark(&self) -> Option<usize> {
        self.stack.iter().rev().position(|kind| *kind == Mark)
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=2 => self.anything(),
            3..=9 => self.calls(),
            10..=24 => self.imports(),
            25..=36 => self.memos(),
            37..=52 => self.containers(),
            53..=64 => self.marked(),
            65..=72 => self.odds(),
            _ => self.values(),
        }
    }

    /// An opcode without regard to the stack.
    fn anything(&mut self) {
        let code =
            *self.random.pick(b"(.012Nadestubol)R}]\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94Q\x97\x98\xff\x00");
        if code != b'.' {
            self.put(vec![code], 0, &[]);
        }
    }

    fn values(&mut self) {
        match self.random.below(12) {
            0 => self.put(vec![b'N'], 0, &[Plain]),
            1..=3 => {
                let op = number(self.random);
                self.put(op, 0, &[Plain]);
            }
            4..=6 => {
                let module = module(self.random);
                let op = text(self.random, &module);
                self.put(op, 0, &[Module]);
            }
            7 => {
                let op = self.strange_text();
                self.put(op, 0, &[Plain]);
            }
            8 => self.put(vec![b']'], 0, &[List]),
            9 => self.put(vec![b'}'], 0, &[Dict]),
            10 => self.put(vec![b')'], 0, &[Tuple]),
            _ => self.put(vec![0x8f], 0, &[Set]),
        }
    }

    /// Texts and bytes that some unpicklers refuse.
    fn strange_text(&mut self) -> Op {
        match self.random.below(13) {
            0 => line(b'S', b"'\xff'"),
            1 => line(b'S', b"'\\xff\\377'"),
            2 => line(b'S', b"unquoted"),
            3 => line(b'S', b"'a' "),
            4 => line(b'S', b"'a'b'"),
            5 => line(b'V', b"\\ud800"),
            6 => line(b'V', b"\\u00"),
            7 => line(b'V', b"\xe9\\x41\\\\u0041"),
            8 => sized(b'X', 4, b"\xed\xa0\x80"),
            9 => sized(b'X', 4, b"\xff"),
            10 => sized(b'C', 1, b"bytes"),
            11 => sized(0x8e, 8, b"bytes"),
            _ => sized(0x96, 8, b"array"),
        }
    }

    fn imports(&mut self) {
        let (module, name) = (module(self.random), name(self.random));
        match self.random.below(8) {
            0..=2 => self.put(lines(b'c', module.as_bytes(), name.as_bytes()), 0, &[Thing]),
            3 => {
                if let Some(count) = self.above_mark() {
                    self.put(lines(b'i', module.as_bytes(), name.as_bytes()), count + 1, &[Thing]);
                }
            }
            4 if self.top(0) == Some(Name) && self.top(1) == Some(Module) => self.put(vec![0x93], 2, &[Thing]),
            4 if self.top(0) == Some(Module) => {
                let op = text(self.random, &name);
                self.put(op, 0, &[Name]);
                self.put(vec![0x93], 2, &[Thing]);
            }
            _ => {
                let first = text(self.random, &module);
                let second = text(self.random, &name);
                self.put(first, 0, &[Module]);
                self.put(second, 0, &[Name]);
                if self.random.chance(20) {
                    self.memos();
                    return;
                }
                self.put(vec![0x93], 2, &[Thing]);
            }
        }
    }

    fn memos(&mut self) {
        if self.random.chance(45) && !self.memo.is_empty() {
            let mut known: Vec<usize> = self.memo.keys().copied().collect();
            known.sort_unstable();
            let index = if self.random.chance(97) { *self.random.pick(&known) } else { self.random.below(400) };
            let op = memo(self.random, false, index);
            let kind = self.memo.get(&index).copied().unwrap_or(Plain);
            return self.put(op, 0, &[kind]);
        }
        let Some(kind) = self.top(0).filter(|kind| *kind != Mark || self.random.chance(3)) else {
            return;
        };
        if self.random.chance(40) {
            self.memo.insert(self.memo.len(), kind);
            self.put(vec![0x94], 0, &[]);
        } else {
            let index = *self.random.pick(&[0, 1, 2, 3, 7, 255, 256, 1000, 70000]);
            self.memo.insert(index, kind);
            let op = memo(self.random, true, index);
            self.put(op, 0, &[]);
        }
    }

    fn calls(&mut self) {
        match (self.top(1), self.top(0)) {
            (Some(Thing), Some(Tuple)) => {
                let code = *self.random.pick(b"RR\x81");
                self.put(vec![code], 2, &[Thing]);
            }
            (Some(Thing), Some(List | Plain | Module)) if self.random.chance(25) => self.put(vec![b'R'], 2, &[Thing]),
            (Some(Thing), Some(Dict | Plain | List)) => self.put(vec![b'b'], 2, &[Thing]),
            (_, Some(Thing)) => {
                self.put(vec![b')'], 0, &[Tuple]);
                if self.random.chance(20) {
                    self.put(vec![b'}'], 0, &[Dict]);
                    self.put(vec![0x92], 3, &[Thing]);
                } else {
                    self.put(vec![b'R'], 2, &[Thing]);
                }
            }
            _ => {}
        }
    }

    fn containers(&mut self) {
        match (self.top(2), self.top(1), self.top(0)) {
            (_, Some(List | Thing), Some(item)) if item != Mark => self.put(vec![b'a'], 1, &[]),
            (Some(Dict | Thing), Some(Plain | Module | Name), Some(item)) if item != Mark => {
                self.put(vec![b's'], 2, &[])
            }
            (_, _, Some(item)) if item != Mark => match self.random.below(4) {
                0 => self.put(vec![0x85], 1, &[Tuple]),
                1 if self.top(1).is_some_and(|kind| kind != Mark) => self.put(vec![0x86], 2, &[Tuple]),
                2 => self.put(vec![b'2'], 0, &[item]),
                3 => self.put(vec![b'0'], 1, &[]),
                _ => {}
            },
            _ => self.put(vec![b'('], 0, &[Mark]),
        }
    }

    fn marked(&mut self) {
        let Some(count) = self.above_mark() else {
            return self.put(vec![b'('], 0, &[Mark]);
        };
        match (self.top(count + 1), self.random.below(8)) {
            (Some(List | Thing), 0..=2) => self.put(vec![b'e'], count + 1, &[]),
            (Some(Dict | Thing), 3..=4) if count % 2 == 0 => self.put(vec![b'u'], count + 1, &[]),
            (Some(Set | Thing), 5) => self.put(vec![0x90], count + 1, &[]),
            (_, 0) => self.put(vec![b't'], count + 1, &[Tuple]),
            (_, 1) => self.put(vec![b'l'], count + 1, &[List]),
            (_, 2) if count % 2 == 0 => self.put(vec![b'd'], count + 1, &[Dict]),
            (_, 3) => self.put(vec![b'1'], count + 1, &[]),
            (_, 4) => self.put(vec![0x91], count + 1, &[Plain]),
            (_, 5) if self.top(count.saturating_sub(1)) == Some(Thing) => self.put(vec![b'o'], count + 1, &[Thing]),
            (_, 6) if count == 0 => self.put(vec![b'0'], 1, &[]),
            _ => {}
        }
    }

    fn odds(&mut self) {
        match self.random.below(11) {
            8.. => {
                let snippet = self.random.pick(SNIPPETS).to_vec();
                self.put(snippet, 0, &[Plain]);
            }
            0 => {
                let protocol = *self.random.pick(&[0u8, 1, 2, 3, 4, 5, 6]);
                self.put(op(0x80, &[protocol]), 0, &[]);
            }
            1 => self.put(line(b'P', b"pid"), 0, &[Thing]),
            2 if self.top(0).is_some_and(|kind| kind != Mark) => self.put(vec![b'Q'], 1, &[Thing]),
            3 => {
                let code = *self.random.pick(&[1u8, 2, 3, 127, 255, 9]);
                self.put(op(0x82, &[code]), 0, &[Thing]);
            }
            4 => self.put(vec![0x97], 0, &[Plain]),
            5 => self.put(op(0x83, &256u16.to_le_bytes()), 0, &[Thing]),
            6 => self.put(op(0x84, &65536u32.to_le_bytes()), 0, &[Thing]),
            _ => self.put(vec![b'('], 0, &[Mark]),
        }
    }
}
