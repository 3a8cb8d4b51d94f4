//! The table of the 68 opcodes: byte, name, argument, first protocol. The decoder, the listing and the tests all
//! derive from it. Source: CPython `Lib/pickletools.py`, with which a test compares it.

/// How the argument of an opcode is encoded. Integers are little-endian except `Float8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// No argument.
    None,
    /// One line of text, ended by byte 0x0A.
    Line,
    /// Two lines of text.
    TwoLines,
    /// Unsigned integer of that many bytes.
    Unsigned(u8),
    /// Signed integer of four bytes.
    Signed4,
    /// IEEE double, big-endian.
    Float8,
    /// A length of that many bytes, unsigned, and as many bytes.
    Sized(u8),
    /// A signed length of four bytes and as many bytes; negative is an error.
    SignedSized4,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Opcode {
    /// The byte in the stream.
    pub code: u8,
    /// CPython's name.
    pub name: &'static str,
    /// The argument.
    pub argument: Argument,
    /// First protocol that knows it.
    pub protocol: u8,
}

/// The row of a byte, if it is an opcode.
pub fn lookup(code: u8) -> Option<&'static Opcode> {
    OPCODES.iter().find(|row| row.code == code)
}

/// The name of an opcode byte, or `?`.
pub fn name(code: u8) -> &'static str {
    lookup(code).map_or("?", |row| row.name)
}

macro_rules! opcodes {
    ($($name:ident $code:literal $protocol:literal $argument:expr;)*) => {
        /// All opcodes, by protocol.
        pub const OPCODES: &[Opcode] = &[
            $(Opcode { code: $code, name: stringify!($name), argument: $argument, protocol: $protocol },)*
        ];
        $(#[allow(missing_docs)] pub const $name: u8 = $code;)*
    };
}

use Argument::{Float8, Line, None as No, Signed4, SignedSized4, Sized, TwoLines, Unsigned};

opcodes! {
    MARK 0x28 0 No; STOP 0x2e 0 No; POP 0x30 0 No; DUP 0x32 0 No;
    FLOAT 0x46 0 Line; INT 0x49 0 Line; LONG 0x4c 0 Line; NONE 0x4e 0 No;
    PERSID 0x50 0 Line; REDUCE 0x52 0 No; STRING 0x53 0 Line; UNICODE 0x56 0 Line;
    APPEND 0x61 0 No; BUILD 0x62 0 No; GLOBAL 0x63 0 TwoLines; DICT 0x64 0 No;
    GET 0x67 0 Line; INST 0x69 0 TwoLines; LIST 0x6c 0 No; PUT 0x70 0 Line;
    SETITEM 0x73 0 No; TUPLE 0x74 0 No;
    EMPTY_TUPLE 0x29 1 No; POP_MARK 0x31 1 No; BINFLOAT 0x47 1 Float8; BININT 0x4a 1 Signed4;
    BININT1 0x4b 1 Unsigned(1); BININT2 0x4d 1 Unsigned(2); BINPERSID 0x51 1 No;
    BINSTRING 0x54 1 SignedSized4; SHORT_BINSTRING 0x55 1 Sized(1); BINUNICODE 0x58 1 Sized(4);
    EMPTY_LIST 0x5d 1 No; APPENDS 0x65 1 No; BINGET 0x68 1 Unsigned(1); LONG_BINGET 0x6a 1 Unsigned(4);
    OBJ 0x6f 1 No; BINPUT 0x71 1 Unsigned(1); LONG_BINPUT 0x72 1 Unsigned(4); SETITEMS 0x75 1 No;
    EMPTY_DICT 0x7d 1 No;
    PROTO 0x80 2 Unsigned(1); NEWOBJ 0x81 2 No; EXT1 0x82 2 Unsigned(1); EXT2 0x83 2 Unsigned(2);
    EXT4 0x84 2 Signed4; TUPLE1 0x85 2 No; TUPLE2 0x86 2 No; TUPLE3 0x87 2 No; NEWTRUE 0x88 2 No;
    NEWFALSE 0x89 2 No; LONG1 0x8a 2 Sized(1); LONG4 0x8b 2 SignedSized4;
    BINBYTES 0x42 3 Sized(4); SHORT_BINBYTES 0x43 3 Sized(1);
    SHORT_BINUNICODE 0x8c 4 Sized(1); BINUNICODE8 0x8d 4 Sized(8); BINBYTES8 0x8e 4 Sized(8);
    EMPTY_SET 0x8f 4 No; ADDITEMS 0x90 4 No; FROZENSET 0x91 4 No; NEWOBJ_EX 0x92 4 No;
    STACK_GLOBAL 0x93 4 No; MEMOIZE 0x94 4 No; FRAME 0x95 4 Unsigned(8);
    BYTEARRAY8 0x96 5 Sized(8); NEXT_BUFFER 0x97 5 No; READONLY_BUFFER 0x98 5 No;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_68_opcodes_and_no_byte_twice() {
        assert_eq!(OPCODES.len(), 68);
        let mut codes: Vec<u8> = OPCODES.iter().map(|row| row.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 68);
    }
}
