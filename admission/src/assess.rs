//! What may be done with one file, by its content alone.
//!
//! The user's settings have no say here, as they have none in `scanner::clearance`: what is admitted beyond what is clean is
//! what the caller names, by [`Allowed`]. What would do harm is never admitted.

use crate::hash;
use scanner::Limits;
use scanner::Severity;
use scanner::Verdict;
use scanner::report::ArtifactReport;
use scanner::scan_open::Opened;
use scanner::source::FileSource;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A finding from here on keeps a file out.
const GATE: Severity = Severity::Medium;

/// What a file is, for somebody who is about to load it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A model that is clean, or plain data that is no model and in which nothing was found (`config.json`, a tokenizer).
    Admitted,
    /// A program: it is not loaded but run, and nothing here judges that.
    Program,
    /// Something in it is unknown or computed.
    Unproven,
    /// Some of it was not read, or it is of a format that nobody here reads, or it stands for something that is not there
    /// (a Git LFS pointer).
    Unread,
    /// An archive in which nothing was found, but what a server makes of its members is not judged (a Keras model, a model
    /// archive with a handler).
    Archive,
    /// It would do harm.
    Dangerous,
}

/// What was seen of a file.
#[derive(Debug, Clone)]
pub struct Looked {
    /// What the scanner says.
    pub report: ArtifactReport,
    /// What follows.
    pub standing: Standing,
}

/// What is admitted beyond what is clean.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// What is unproven, or could not be read whole.
    pub unproven: bool,
    /// Programs.
    pub programs: bool,
    /// Content, by its SHA-256 in lower case.
    pub sha256: BTreeSet<String>,
}

impl Allowed {
    /// Whether a file is admitted, of which the hash is known where one was named.
    pub fn admits(&self, standing: Standing, sha256: Option<&str>) -> bool {
        let named = || sha256.is_some_and(|hash| self.sha256.contains(hash));
        match standing {
            Standing::Admitted => true,
            Standing::Dangerous => false,
            Standing::Program => self.programs || named(),
            Standing::Unproven | Standing::Unread | Standing::Archive => self.unproven || named(),
        }
    }
}

impl Looked {
    /// In a few words, why it is not simply admitted.
    pub fn why(&self) -> String {
        let verdict = self.report.verdict.as_str();
        let worst = self.report.findings.iter().max_by_key(|finding| (finding.verdict, finding.severity));
        let unread = self.report.not_read.first();
        match (self.standing, worst, unread) {
            (Standing::Program, ..) => "a program: nobody judges what it does when it is run".to_owned(),
            (Standing::Archive, ..) => "an archive: what a server makes of its members is not judged".to_owned(),
            (Standing::Unread, _, Some(unread)) => format!("{verdict}; {}", unread.reason),
            (_, Some(worst), _) => {
                let member = worst.member.as_deref().map(|member| format!(" ({member})")).unwrap_or_default();
                format!("{verdict}; {}: {}{member}", worst.rule, worst.message)
            }
            _ => verdict.to_owned(),
        }
    }
}

/// Looks at an open file. `path` is what it is called; its last part is a hint like any file's name.
///
/// # Errors
/// When it cannot be read, or somebody writes to it meanwhile.
pub fn look(file: &File, path: &str, limits: &Limits) -> io::Result<Looked> {
    let source = Arc::new(FileSource::new(file.try_clone()?, Arc::default())?);
    let before = source.stamp()?;
    let opened = Opened::File(source.clone());
    let mut report = opened.scan(path, 0, limits)?.report;
    // Room for all values of the largest state dicts takes time to fill, so only what needs it gets it.
    if report.verdict == Verdict::Unproven && !report.not_read.is_empty() {
        let roomy = loader::Policy { limits: limits.clone(), ..loader::Policy::default() }.roomy();
        report = opened.scan(path, 0, &roomy)?.report;
    }
    if source.stamp()? != before {
        return Err(io::Error::other("the file changed while it was read; try again when nobody writes to it"));
    }
    let plain = !report.is_unknown() || is_plain(path, file)?;
    let mut standing = standing(&report, is_program(path), plain);
    if standing == Standing::Admitted && is_bare_archive(report.format, path) {
        standing = Standing::Archive;
    }
    Ok(Looked { report, standing })
}

/// As [`look`], with the SHA-256 of the same bytes.
///
/// # Errors
/// As [`look`].
pub fn look_and_hash(file: &File, path: &str, limits: &Limits) -> io::Result<(Looked, String)> {
    let stamp = || FileSource::new(file.try_clone()?, Arc::default())?.stamp();
    let before = stamp()?;
    let looked = look(file, path, limits)?;
    let sha256 = hash::of(file)?;
    if stamp()? != before {
        return Err(io::Error::other("the file changed while it was read; try again when nobody writes to it"));
    }
    Ok((looked, sha256))
}

fn standing(report: &ArtifactReport, program: bool, plain: bool) -> Standing {
    let fails =
        report.findings.iter().any(|finding| finding.severity >= GATE && finding.rule != scanner::policy::NOT_READ);
    if report.verdict == Verdict::Dangerous {
        Standing::Dangerous
    } else if fails {
        Standing::Unproven
    } else if report.is_incomplete() && report.format != "empty" {
        Standing::Unread
    } else if report.verdict == Verdict::Unproven {
        Standing::Unproven
    } else if program {
        Standing::Program
    } else if !plain {
        Standing::Unread
    } else {
        Standing::Admitted
    }
}

/// By its name: what a server would run rather than load. What is a program by its content is dangerous to begin with.
fn is_program(path: &str) -> bool {
    const NAMES: [&str; 17] = [
        ".py", ".pyc", ".pyo", ".pyd", ".pyx", ".pyz", ".egg", ".whl", ".so", ".dylib", ".dll", ".exe", ".sh", ".bat",
        ".jar", ".js", ".lua",
    ];
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    name.contains(".so.") || NAMES.iter().any(|ending| name.ends_with(ending))
}

/// Whether it is an archive that is no file of arrays or pickles by its name: those are known member by member.
fn is_bare_archive(format: &str, path: &str) -> bool {
    const ARCHIVES: [&str; 10] = ["zip", "tar", "7z", "gzip", "bzip2", "xz", "lzma", "zlib", "lz4", "zstd"];
    const NAMES: [&str; 4] = [".npz", ".joblib", ".pkl", ".pickle"];
    const PACKED: [&str; 7] = [".gz", ".bz2", ".xz", ".lzma", ".z", ".lz4", ".zst"];
    let name = path.to_ascii_lowercase();
    let name = PACKED.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    // Whatever it is called: of its configuration all is known, of what Keras does with its assets and weights nothing.
    format == "keras" || ARCHIVES.contains(&format) && !NAMES.iter().any(|ending| name.ends_with(ending))
}

/// Whether a file of no known format is text, or data by its name: tokenizers, pictures, sounds. A model of a format that is
/// not read here must not pass for a file that is no model.
fn is_plain(path: &str, file: &File) -> io::Result<bool> {
    const NAMES: [&str; 13] =
        [".model", ".spm", ".vocab", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".wav", ".mp3", ".flac", ".ogg", ".pdf"];
    /// Loaders of Keras take it under any name.
    const HDF5: [u8; 4] = *b"\x89HDF";
    /// The largest tokenizers are a fifth of that.
    const TEXT: u64 = 256 << 20;
    let mut start = [0; HDF5.len()];
    if file.read_at(&mut start, 0)? == start.len() && start == HDF5 {
        return Ok(false);
    }
    let name = path.to_ascii_lowercase();
    if NAMES.iter().any(|ending| name.ends_with(ending)) {
        return Ok(true);
    }
    let mut text = file.metadata()?.len() <= TEXT;
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c');
    if text {
        hash::blocks(file, |bytes| {
            text &= !bytes.iter().any(control);
            Ok(())
        })?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn standing_of(name: &str, bytes: &[u8]) -> Standing {
        let mut file = tempfile::tempfile().expect("a file can be made");
        file.write_all(bytes).expect("it can be written");
        look(&file, name, &Limits::default()).expect("it reads").standing
    }

    /// An archive with one empty member.
    const EMPTY_ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a\
        PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a\
        PK\x05\x06\0\0\0\0\x01\0\x01\0/\0\0\0\x1f\0\0\0\0\0";

    /// A Keras model without weights, of one layer.
    fn keras(class: &str) -> Vec<u8> {
        let text = format!(r#"{{"module": "keras.layers", "class_name": "{class}", "config": {{}}}}"#);
        let size = u32::try_from(text.len()).expect("a short text").to_le_bytes();
        // What both headers of an entry say, from the flags to the length of the extra field; without a checksum.
        let said = [&[0, 0, 0, 0, 0, 0, b'!', 0, 0, 0, 0, 0][..], &size, &size, &[11, 0, 0, 0]].concat();
        let local = [b"PK\x03\x04\x14\0", &said[..], b"config.json", text.as_bytes()].concat();
        let central = [b"PK\x01\x02\x14\0\x14\0", &said[..], &[0; 14], b"config.json"].concat();
        let lengths = [central.len(), local.len()].map(|len| u32::try_from(len).expect("a small file").to_le_bytes());
        [&local[..], &central, b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &lengths.concat(), b"\0\0"].concat()
    }

    #[test]
    fn every_kind_of_file_has_its_standing() {
        for (name, bytes, expected) in [
            ("a.pkl", &b"]."[..], Standing::Admitted),
            ("config.json", b"{}", Standing::Admitted),
            ("empty.txt", b"", Standing::Admitted),
            ("tokenizer.model", b"\x0a\x0e\x0a\x05", Standing::Admitted),
            ("word.bin", b"\x0a\x0e\x0a\x05\x00\x01", Standing::Unread),
            ("old.model", b"\x89HDF\r\n\x1a\n", Standing::Unread),
            ("modeling.py", b"import os\n", Standing::Program),
            ("lib.so.1", b"", Standing::Program),
            ("tool", b"\x7fELF\x02\x01\x01", Standing::Dangerous),
            ("run", b"#!/bin/sh\n", Standing::Dangerous),
            ("b.pkl", b"cfoo.bar\nBaz\n(S'x'\ntR.", Standing::Unproven),
            ("c.pkl", b"\x80\x02]q", Standing::Unread),
            ("d.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n", Standing::Unread),
            ("e.pkl", b"cposix\nsystem\n(S'id'\ntR.", Standing::Dangerous),
            ("harmless.py", b"cposix\nsystem\n(S'id'\ntR.", Standing::Dangerous),
            ("model.zip", EMPTY_ZIP, Standing::Archive),
            ("model.keras", EMPTY_ZIP, Standing::Unproven),
            ("a.keras", &keras("Dense"), Standing::Archive),
            ("named-otherwise.npz", &keras("Dense"), Standing::Archive),
            ("b.keras", &keras("Mine"), Standing::Unproven),
            ("c.keras", &keras("Lambda"), Standing::Dangerous),
            ("unpacked/config.json", br#"{"module": "keras.layers", "class_name": "Dense", "config": {}}"#, Standing::Admitted),
            ("taken-apart/config.json", br#"{"module": "keras.layers", "class_name": "Lambda", "config": {}}"#, Standing::Dangerous),
            ("arrays.npz", EMPTY_ZIP, Standing::Admitted),
        ] {
            assert_eq!(standing_of(name, bytes), expected, "{name}");
        }
    }

    #[test]
    fn nothing_admits_what_is_dangerous() {
        let hash = "a".repeat(64);
        let all = Allowed { unproven: true, programs: true, sha256: [hash.clone()].into() };
        assert!(!all.admits(Standing::Dangerous, Some(&hash)));
        let none = Allowed::default();
        assert!(none.admits(Standing::Admitted, None) && !none.admits(Standing::Unproven, Some(&hash)));
        let named = Allowed { sha256: [hash.clone()].into(), ..Allowed::default() };
        assert!(named.admits(Standing::Unread, Some(&hash)) && !named.admits(Standing::Program, None));
    }
}
