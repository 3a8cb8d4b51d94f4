//! Machine code and scripts as files or members.
//!
//! A model file needs no program. In gigabytes of tensor data four bytes prove nothing, so each header is checked as
//! far as the system that would run it does.

use super::{Format, Head, Recognition};
use crate::fact::Fact;
use crate::io::artifact::Artifact;
use crate::io::source::{Source, read_vec};
use crate::observe::format_info::FormatInfo;
use crate::observe::observations::Observations;

/// Programs.
pub struct Executable;

/// Programs.
pub static INFO: FormatInfo = FormatInfo {
    id: "executable",
    name: "program: ELF, PE, Mach-O, Java class, WebAssembly, script",
    can_run_code: true,
    doc_read: "the header",
    doc_judged: "a program in a model is dangerous",
    is_provable: false,
    ..FormatInfo::DATA
};

impl Format for Executable {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        if kind(head.start, &*head.artifact.source).is_some() { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let start = read_vec(&*artifact.source, 0, 4096).unwrap_or_default();
        if let Some(kind) = kind(&start, &*artifact.source) {
            observations.fact(0, Fact::Executable { kind });
        }
    }
}

fn kind(start: &[u8], source: &dyn Source) -> Option<&'static str> {
    match start {
        // Class, byte order and version have but few values.
        [0x7f, b'E', b'L', b'F', 1 | 2, 1 | 2, 1, ..] => Some("ELF"),
        [b'M', b'Z', ..] if is_pe(start, source) => Some("PE"),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, cpu @ ..] if is_cpu(cpu, u32::from_be_bytes) => Some("Mach-O"),
        [0xce | 0xcf, 0xfa, 0xed, 0xfe, cpu @ ..] if is_cpu(cpu, u32::from_le_bytes) => Some("Mach-O"),
        [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 1..=43, cpu @ ..] if is_cpu(cpu, u32::from_be_bytes) => Some("Mach-O"),
        // The same magic number, then minor and major version of which the oldest is 45.
        [0xca, 0xfe, 0xba, 0xbe, _, _, 0, 45..=99, ..] => Some("Java class"),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Some("WebAssembly"),
        [b'#', b'!', line @ ..] if is_interpreter(line) => Some("script"),
        _ => None,
    }
}

/// The old header points to the new one.
fn is_pe(start: &[u8], source: &dyn Source) -> bool {
    let offset = start.get(0x3c..0x40).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    offset.is_some_and(|offset| read_vec(source, offset.into(), 4).is_ok_and(|head| head == b"PE\0\0"))
}

/// Processors that Mach-O knows, without the bits for width.
fn is_cpu(bytes: &[u8], read: fn([u8; 4]) -> u32) -> bool {
    let cpu = bytes.first_chunk().map(|cpu| read(*cpu) & 0x00ff_ffff);
    matches!(cpu, Some(1 | 6 | 7 | 8 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 18))
}

/// An absolute path, in printable characters only.
fn is_interpreter(rest: &[u8]) -> bool {
    let mut lines = rest.split(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let path = line.trim_ascii_start();
    path.first() == Some(&b'/')
        && path.len() > 1
        && line.len() < 256
        && line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::source::Memory;

    fn of(bytes: &[u8]) -> Option<&'static str> {
        kind(bytes, &Memory::new(bytes))
    }

    fn pe(offset: u8, head: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 0x80];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = offset;
        bytes[0x40..0x40 + head.len()].copy_from_slice(head);
        bytes
    }

    #[test]
    fn programs_are_known_by_their_headers() {
        let own = std::fs::read("/proc/self/exe").unwrap_or_else(|_| b"\x7fELF\x02\x01\x01".to_vec());
        assert_eq!(of(&own), Some("ELF"));
        assert_eq!(of(&pe(0x40, b"PE\0\0")), Some("PE"));
        assert_eq!(of(b"\xcf\xfa\xed\xfe\x0c\0\0\x01"), Some("Mach-O"));
        assert_eq!(of(b"\xca\xfe\xba\xbe\0\0\0\x02\x01\0\0\x07"), Some("Mach-O"));
        assert_eq!(of(b"\xca\xfe\xba\xbe\0\0\0\x34"), Some("Java class"));
        assert_eq!(of(b"\0asm\x01\0\0\0"), Some("WebAssembly"));
        assert_eq!(of(b"#! /usr/bin/env python3\nprint()"), Some("script"));
    }

    #[test]
    fn magic_numbers_alone_are_no_program() {
        let samples: [&[u8]; 7] = [
            b"MZ",
            &pe(0x40, b"NE"),
            b"\x7fELF\x09",
            b"\xcf\xfa\xed\xfe\xff\xff\xff\xff",
            b"#!text",
            b"#!/\xff\n",
            b"",
        ];
        for bytes in samples {
            assert_eq!(of(bytes), None, "{bytes:?}");
        }
        let complete = pe(0x40, b"PE\0\0");
        for cut in 0..0x44 {
            assert_eq!(of(&complete[..cut]), None);
        }
    }
}
