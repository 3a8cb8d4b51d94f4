//! Streams for the comparison: some as a pickler writes them, some as soup, most of them then damaged: bytes flipped, opcodes
//! swapped, frames that end in the wrong place, a second PROTO, another pickle behind the first.

use super::opcodes::{Op, frame, op};
use super::random::Random;
use super::soup::soup;
use super::wellformed::Pickler;

/// The stream of that seed and number.
pub fn stream(seed: u64, index: u64) -> Vec<u8> {
    let mut random = Random::new(seed, index);
    let random = &mut random;
    let mut ops = if random.chance(35) { Pickler::new(random).run() } else { soup(random) };
    if random.chance(25) {
        shuffle(random, &mut ops);
    }
    if random.chance(35) {
        frames(random, &mut ops);
    }
    if random.chance(10) {
        let second = Pickler::new(random).run();
        ops.extend(second);
    }
    let mut bytes = ops.concat();
    if random.chance(20) {
        damage(random, &mut bytes);
    }
    bytes
}

/// Opcodes change places, come twice, or go.
fn shuffle(random: &mut Random, ops: &mut Vec<Op>) {
    for _ in 0..=random.below(3) {
        if ops.is_empty() {
            return;
        }
        let (one, other) = (random.below(ops.len()), random.below(ops.len()));
        match random.below(4) {
            0 => ops.swap(one, other),
            1 => ops.insert(other, ops[one].clone()),
            2 => drop(ops.remove(one)),
            _ => ops.insert(one, op(0x80, &[random.below(6) as u8])),
        }
    }
}

/// Frames at random places: exact, one that ends within an opcode, too long, empty, one within another.
fn frames(random: &mut Random, ops: &mut Vec<Op>) {
    for _ in 0..=random.below(3) {
        let at = random.below(ops.len() + 1);
        let rest: usize = ops[at..].iter().map(Vec::len).sum();
        let exact: usize = ops[at..].iter().take(random.below(12)).map(Vec::len).sum();
        let len = match random.below(8) {
            0 | 1 => exact,
            2 => rest,
            3 => rest + 1 + random.below(50),
            4 => 0,
            _ => random.below(rest.min(60) + 1),
        };
        ops.insert(at, frame(len as u64));
    }
}

/// Bytes flip, vanish, appear; the end is cut off.
fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.next() as u8),
            _ if random.chance(30) => bytes.truncate(at),
            _ => bytes.insert(at, b'\n'),
        }
    }
}
