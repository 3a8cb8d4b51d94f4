//! Assesses one file, by its content alone: its report, and its [`Admission`].
//!
//! Settings of the user do not apply here, as they do not in `scanner::clearance`. The caller admits more by an
//! [`AdmissionPolicy`](crate::policy::AdmissionPolicy).

use crate::file_bytes;
use crate::policy::Admission;
use scanner::formats::{self, Container};
use scanner::report::{ArtifactReport, EMPTY_FORMAT};
use scanner::scan_open::OpenInput;
use scanner::{Limits, Severity, Verdict};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A finding of this severity or above keeps a file out.
const FAIL_ON: Severity = Severity::Medium;
/// Bytes of a file up to which it can pass for text. The largest tokenizers are a fifth of that.
const MAX_TEXT_BYTES: u64 = 256 << 20;

/// A file with its report.
#[derive(Debug, Clone)]
pub struct AssessedFile {
    /// The report of the scan.
    pub report: ArtifactReport,
    /// What follows from it.
    pub admission: Admission,
}

impl AssessedFile {
    /// In a few words, why it is not [`Admission::Admitted`].
    pub fn reason(&self) -> String {
        let verdict = self.report.verdict.as_str();
        let worst = self.report.findings.iter().max_by_key(|finding| (finding.verdict, finding.severity));
        let unread = self.report.not_read.first();
        match (self.admission, worst, unread) {
            (Admission::Program, ..) => "a program: nobody judges what it does when it is run".to_owned(),
            (Admission::Archive, ..) => "an archive: what a server makes of its members is not judged".to_owned(),
            (Admission::Unread, _, Some(unread)) => format!("{verdict}; {}", unread.reason),
            (_, Some(worst), _) => {
                let member = worst.member.as_deref().map(|member| format!(" ({member})")).unwrap_or_default();
                format!("{verdict}; {}: {}{member}", worst.rule, worst.message)
            }
            _ => verdict.to_owned(),
        }
    }
}

/// Scans an open file. Reports call it `path`; the last part is a hint to formats.
///
/// # Errors
/// When it cannot be read, or changes meanwhile.
pub fn assess_file(file: &File, path: &str, limits: &Limits) -> io::Result<AssessedFile> {
    let source = Arc::new(file_bytes::source(file)?);
    let before = source.stamp()?;
    let opened = OpenInput::File(source.clone());
    let mut report = opened.scan(path, 0, limits)?.report;
    // The limits of the loader keep all values of the largest state dicts. That takes time, so only files that need it get them.
    if report.verdict == Verdict::Unproven && !report.not_read.is_empty() {
        let loader_limits = loader::with_loader_limits(limits);
        report = opened.scan(path, 0, &loader_limits)?.report;
    }
    if source.stamp()? != before {
        return Err(io::Error::other("the file changed while it was read; try again when nobody writes to it"));
    }
    let plain = !report.is_unknown() || is_plain(path, file)?;
    let mut admission = admission(&report, is_program(path), plain);
    if admission == Admission::Admitted && is_bare_archive(report.format, path) {
        admission = Admission::Archive;
    }
    Ok(AssessedFile { report, admission })
}

/// As [`assess_file`], with the SHA-256 of the same bytes.
///
/// # Errors
/// As [`assess_file`].
pub fn assess_and_hash(file: &File, path: &str, limits: &Limits) -> io::Result<(AssessedFile, String)> {
    let stamp = || file_bytes::source(file)?.stamp();
    let before = stamp()?;
    let assessed = assess_file(file, path, limits)?;
    let sha256 = file_bytes::sha256(file)?;
    if stamp()? != before {
        return Err(io::Error::other("the file changed while it was read; try again when nobody writes to it"));
    }
    Ok((assessed, sha256))
}

fn admission(report: &ArtifactReport, program: bool, plain: bool) -> Admission {
    let fails =
        report.findings.iter().any(|finding| finding.severity >= FAIL_ON && finding.rule != scanner::policy::NOT_READ);
    if report.verdict == Verdict::Dangerous {
        Admission::Dangerous
    } else if fails {
        Admission::Unproven
    } else if report.is_incomplete() && report.format != EMPTY_FORMAT {
        Admission::Unread
    } else if report.verdict == Verdict::Unproven {
        Admission::Unproven
    } else if program {
        Admission::Program
    } else if !plain {
        Admission::Unread
    } else {
        Admission::Admitted
    }
}

/// Whether its name is that of a program, which a server runs rather than loads. A program by its content is dangerous already.
fn is_program(path: &str) -> bool {
    const SUFFIXES: [&str; 17] = [
        ".py", ".pyc", ".pyo", ".pyd", ".pyx", ".pyz", ".egg", ".whl", ".so", ".dylib", ".dll", ".exe", ".sh", ".bat",
        ".jar", ".js", ".lua",
    ];
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    name.contains(".so.") || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether it is an archive, and its name is not that of arrays or pickles, whose members are all judged.
fn is_bare_archive(format: &str, path: &str) -> bool {
    const JUDGED_SUFFIXES: [&str; 4] = [".npz", ".joblib", ".pkl", ".pickle"];
    const COMPRESSED_SUFFIXES: [&str; 7] = [".gz", ".bz2", ".xz", ".lzma", ".z", ".lz4", ".zst"];
    let name = path.to_ascii_lowercase();
    let name = COMPRESSED_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
    match formats::by_id(format).map(|info| info.container) {
        Some(Container::Generic) => !JUDGED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)),
        // Under any name: the configuration of a Keras model is judged, its assets and weights are not.
        Some(Container::Model) => true,
        Some(Container::No) | None => false,
    }
}

/// Whether a file of an unknown format is text, or data by its name: tokenizers, pictures, sounds. A model of a format that is
/// not read here must not pass for plain data.
fn is_plain(path: &str, file: &File) -> io::Result<bool> {
    const DATA_SUFFIXES: [&str; 13] =
        [".model", ".spm", ".vocab", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".wav", ".mp3", ".flac", ".ogg", ".pdf"];
    /// Keras loads HDF5 under any name.
    const HDF5: [u8; 4] = *b"\x89HDF";
    let mut start = [0; HDF5.len()];
    if file.read_at(&mut start, 0)? == start.len() && start == HDF5 {
        return Ok(false);
    }
    let name = path.to_ascii_lowercase();
    if DATA_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        return Ok(true);
    }
    let mut text = file.metadata()?.len() <= MAX_TEXT_BYTES;
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c');
    if text {
        file_bytes::for_each_block(&file_bytes::source(file)?, |bytes| {
            text &= !bytes.iter().any(is_control);
            Ok(())
        })?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn admission_of(name: &str, bytes: &[u8]) -> Admission {
        let mut file = tempfile::tempfile().expect("a file can be made");
        file.write_all(bytes).expect("it can be written");
        assess_file(&file, name, &Limits::default()).expect("it reads").admission
    }

    /// An archive with one empty member.
    const EMPTY_ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a\
        PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a\
        PK\x05\x06\0\0\0\0\x01\0\x01\0/\0\0\0\x1f\0\0\0\0\0";

    /// A Keras model without weights, of one layer.
    fn keras(class: &str) -> Vec<u8> {
        let text = format!(r#"{{"module": "keras.layers", "class_name": "{class}", "config": {{}}}}"#);
        let size = u32::try_from(text.len()).expect("a short text").to_le_bytes();
        // The fields that both headers of an entry share, from the flags to the length of the extra field; no checksum.
        let shared = [&[0, 0, 0, 0, 0, 0, b'!', 0, 0, 0, 0, 0][..], &size, &size, &[11, 0, 0, 0]].concat();
        let local = [b"PK\x03\x04\x14\0", &shared[..], b"config.json", text.as_bytes()].concat();
        let central = [b"PK\x01\x02\x14\0\x14\0", &shared[..], &[0; 14], b"config.json"].concat();
        let lengths = [central.len(), local.len()].map(|len| u32::try_from(len).expect("a small file").to_le_bytes());
        [&local[..], &central, b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &lengths.concat(), b"\0\0"].concat()
    }

    #[test]
    fn every_kind_of_file_has_its_admission() {
        for (name, bytes, expected) in [
            ("a.pkl", &b"]."[..], Admission::Admitted),
            ("config.json", b"{}", Admission::Admitted),
            ("empty.txt", b"", Admission::Admitted),
            ("tokenizer.model", b"\x0a\x0e\x0a\x05", Admission::Admitted),
            ("word.bin", b"\x0a\x0e\x0a\x05\x00\x01", Admission::Unread),
            ("old.model", b"\x89HDF\r\n\x1a\n", Admission::Unread),
            ("modeling.py", b"import os\n", Admission::Program),
            ("lib.so.1", b"", Admission::Program),
            ("tool", b"\x7fELF\x02\x01\x01", Admission::Dangerous),
            ("run", b"#!/bin/sh\n", Admission::Dangerous),
            ("b.pkl", b"cfoo.bar\nBaz\n(S'x'\ntR.", Admission::Unproven),
            ("c.pkl", b"\x80\x02]q", Admission::Unread),
            ("d.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n", Admission::Unread),
            ("e.pkl", b"cposix\nsystem\n(S'id'\ntR.", Admission::Dangerous),
            ("harmless.py", b"cposix\nsystem\n(S'id'\ntR.", Admission::Dangerous),
            ("model.zip", EMPTY_ZIP, Admission::Archive),
            ("model.keras", EMPTY_ZIP, Admission::Unproven),
            ("a.keras", &keras("Dense"), Admission::Archive),
            ("named-otherwise.npz", &keras("Dense"), Admission::Archive),
            ("b.keras", &keras("Mine"), Admission::Unproven),
            ("c.keras", &keras("Lambda"), Admission::Dangerous),
            ("unpacked/config.json", br#"{"module": "keras.layers", "class_name": "Dense", "config": {}}"#, Admission::Admitted),
            ("taken-apart/config.json", br#"{"module": "keras.layers", "class_name": "Lambda", "config": {}}"#, Admission::Dangerous),
            ("arrays.npz", EMPTY_ZIP, Admission::Admitted),
        ] {
            assert_eq!(admission_of(name, bytes), expected, "{name}");
        }
    }
}
