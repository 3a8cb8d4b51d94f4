//! Writes single opcodes for the generators, in the forms that picklers use and in those that only some unpicklers accept.

use super::random::Random;

pub type Op = Vec<u8>;

pub fn op(code: u8, argument: &[u8]) -> Op {
    let mut bytes = vec![code];
    bytes.extend_from_slice(argument);
    bytes
}

pub fn line(code: u8, text: &[u8]) -> Op {
    [&[code], text, b"\n"].concat()
}

pub fn lines(code: u8, first: &[u8], second: &[u8]) -> Op {
    [&[code], first, b"\n", second, b"\n"].concat()
}

/// A code, a length in `width` bytes, the data.
pub fn sized(code: u8, width: usize, data: &[u8]) -> Op {
    let mut bytes = vec![code];
    bytes.extend_from_slice(&(data.len() as u64).to_le_bytes()[..width]);
    bytes.extend_from_slice(data);
    bytes
}

pub fn frame(len: u64) -> Op {
    op(0x95, &len.to_le_bytes())
}

const MODULES: &[&str] =
    &["os", "posix", "a.b", "m0", "m1", "mod ule", "collections", "__builtin__", "copy_reg", "m\u{f6}bel", "_x", ""];
const NAMES: &[&str] =
    &["system", "n0", "n1", "A.B", "x", "eval", "\u{e9}t\u{e9}", "a b", "<locals>.f", "_reconstructor", ""];

pub fn module(random: &mut Random) -> String {
    (*random.pick(MODULES)).to_owned()
}

pub fn name(random: &mut Random) -> String {
    (*random.pick(NAMES)).to_owned()
}

/// One of the opcodes that push a text, and the text that Python 3 reads there.
pub fn text(random: &mut Random, value: &str) -> Op {
    let bytes = value.as_bytes();
    match random.below(9) {
        0 if value.is_ascii() => line(b'S', format!("'{value}'").as_bytes()),
        1 if value.is_ascii() => line(b'S', &escaped(random, bytes)),
        2 if value.is_ascii() => sized(b'T', 4, bytes),
        3 if value.is_ascii() => sized(b'U', 1, bytes),
        4 => {
            let escaped: String =
                value
                    .chars()
                    .map(|c| {
                        if random.chance(40) || !c.is_ascii() { format!("\\u{:04x}", c as u32) } else { c.to_string() }
                    })
                    .collect();
            line(b'V', escaped.as_bytes())
        }
        5 => sized(0x8d, 8, bytes),
        6 => sized(b'X', 4, bytes),
        _ => sized(0x8c, 1, bytes),
    }
}

/// A quoted STRING with some of its bytes as escapes.
fn escaped(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in bytes {
        match random.below(4) {
            0 => out.extend(format!("\\x{byte:02x}").bytes()),
            1 => out.extend(format!("\\{byte:03o}").bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}

/// A number opcode, its text argument sometimes in a form that not every unpickler reads.
pub fn number(random: &mut Random) -> Op {
    const INTS: &[&str] = &[
        "7",
        "-7",
        "01",
        "00",
        "0x10",
        "010",
        "0o17",
        "0b11",
        "1_0",
        " 7",
        "7 ",
        "+7",
        "7\r",
        "\t7",
        "001",
        "+1",
        " 0",
        "-0",
        "",
        "7L",
        "99999999999999999999999",
        "7\0",
        "7\x008",
        "0x",
        "1e3",
        "--1",
        "0X1F",
        "\x0c7",
        "7\x1c",
        "0_0",
    ];
    const LONGS: &[&str] =
        &["7L", "7", "-7L", "0x10L", "010", "1_0L", " 7L", "7LL", "7l", "7L ", "L", "", "+7L", "7\0", "0xL"];
    const FLOATS: &[&str] = &[
        "1.5", " 1.5", "1.5 ", "1_0.5", "inf", "-nan", "1e5", "1e999", "0x1p3", "", "1.5\r", "1.5\0", ".5", "5.",
        "1,5", "infinity",
    ];
    match random.below(10) {
        0 => op(b'K', &[random.next() as u8]),
        1 => op(b'M', &(random.next() as u16).to_le_bytes()),
        2 => op(b'J', &(random.next() as u32).to_le_bytes()),
        3 => op(b'G', &(random.next() as f64).to_be_bytes()),
        4 => sized(0x8a, 1, &random.next().to_le_bytes()[..random.below(9)]),
        5 => sized(0x8b, 4, &random.next().to_le_bytes()[..random.below(9)]),
        6 => line(b'I', b"12"),
        7 => line(b'I', random.pick(INTS).as_bytes()),
        8 => line(b'L', random.pick(LONGS).as_bytes()),
        _ => line(b'F', random.pick(FLOATS).as_bytes()),
    }
}

/// A PUT or GET of an index, sometimes in a form that is not canonical.
pub fn memo(random: &mut Random, put: bool, index: usize) -> Op {
    let (text, short, long) = if put { (b'p', b'q', b'r') } else { (b'g', b'h', b'j') };
    match random.below(6) {
        0 if random.chance(30) => {
            let form = match random.below(7) {
                0 => format!("0{index}"),
                1 => format!(" {index}"),
                2 => format!("+{index}"),
                3 => format!("{index}\r"),
                4 => format!("0x{index:x}"),
                5 => format!("-{index}"),
                _ => "key".to_owned(),
            };
            line(text, form.as_bytes())
        }
        0 | 1 => line(text, index.to_string().as_bytes()),
        2 => op(long, &(index as u32).to_le_bytes()),
        _ if index < 256 => op(short, &[index as u8]),
        _ => op(long, &(index as u32).to_le_bytes()),
    }
}
