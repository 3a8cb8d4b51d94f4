//! The scanner's opcode table beside that of CPython's pickletools: names, bytes, arguments, protocols.

use scanner::internal::pickle::opcode::{Argument, OPCODES};
use std::path::Path;
use std::process::Command;

const PRINT: &str = "
import pickletools
for row in pickletools.opcodes:
    print('%s %d %s %d' % (row.name, ord(row.code), row.arg.name if row.arg else '-', row.proto))
";

/// pickletools' name of an argument, as ours.
fn argument(name: &str) -> Option<Argument> {
    Some(match name {
        "-" => Argument::None,
        "uint1" => Argument::Unsigned(1),
        "uint2" => Argument::Unsigned(2),
        "uint4" => Argument::Unsigned(4),
        "uint8" => Argument::Unsigned(8),
        "int4" => Argument::Signed4,
        "float8" => Argument::Float8,
        "string1" | "bytes1" | "unicodestring1" | "long1" => Argument::Sized(1),
        "bytes4" | "unicodestring4" => Argument::Sized(4),
        "bytes8" | "unicodestring8" | "bytearray8" => Argument::Sized(8),
        "string4" | "long4" => Argument::SignedSized4,
        "stringnl_noescape_pair" => Argument::TwoLines,
        name if name.contains("nl") => Argument::Line,
        _ => return None,
    })
}

/// Every row in which the two differ. A version of Python knows the opcodes of its own protocols only.
pub fn differences(python: &Path) -> Result<Vec<String>, String> {
    let output = Command::new(python).args(["-c", PRINT]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut wrong = Vec::new();
    let mut rows = 0;
    for row in text.lines() {
        let words: Vec<&str> = row.split(' ').collect();
        let [name, code, kind, protocol] = words.as_slice() else { return Err(format!("cannot read {row:?}")) };
        let code: u8 = code.parse().map_err(|_| format!("cannot read {row:?}"))?;
        rows += 1;
        let Some(ours) = OPCODES.iter().find(|ours| ours.code == code) else {
            wrong.push(format!("{name}: not in the scanner's table"));
            continue;
        };
        // Python 2.7 calls these indices signed; its unpicklers, and everything since, read them as unsigned.
        let kind = if kind == &"int4" && name.starts_with("LONG_BIN") { "uint4" } else { kind };
        if ours.name != *name || protocol.parse() != Ok(ours.protocol) || argument(kind) != Some(ours.argument) {
            wrong.push(format!("{row}: the scanner has {ours:?}"));
        }
    }
    if rows == 0 { Err(String::from_utf8_lossy(&output.stderr).into_owned()) } else { Ok(wrong) }
}
