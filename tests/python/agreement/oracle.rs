//! The CPythons of this machine and what they answer: `recorder.py` under each, on one batch of streams.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A module and a name, as find_class gets them: bytes, since Python 2 has no text and Python 3 has surrogates.
pub type Name = (Vec<u8>, Vec<u8>);

/// What one interpreter answered.
pub struct Answers {
    /// Of each stream: every name, and the reader that asked first.
    pub names: BTreeMap<usize, BTreeMap<Name, String>>,
    /// Streams that killed the process, and the signal.
    pub killed: BTreeMap<usize, i32>,
}

/// Every CPython: those of pyenv, and `python3` and `python2` of the PATH. One of each version.
pub fn interpreters() -> Vec<(String, PathBuf)> {
    let mut candidates = Vec::new();
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    if let Some(versions) = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok()) {
        candidates.extend(versions.flatten().map(|version| version.path().join("bin/python")));
    }
    candidates.extend(["python3", "python2"].map(PathBuf::from));
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in candidates {
        let asked = Command::new(&path)
            .args([
                "-c",
                "import sys, platform; print(platform.python_implementation() + ' %d.%d.%d' % sys.version_info[:3])",
            ])
            .output();
        let Ok(output) = asked else { continue };
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if let Some(version) = answer.strip_prefix("CPython ") {
            found.entry(version.to_owned()).or_insert(path);
        }
    }
    found.into_iter().collect()
}

/// Writes the batch that the recorder reads.
pub fn write_batch(path: &Path, streams: &[Vec<u8>]) -> std::io::Result<()> {
    let mut batch = Vec::new();
    for stream in streams {
        batch.extend((stream.len() as u32).to_le_bytes());
        batch.extend(stream);
    }
    std::fs::write(path, batch)
}

/// Runs the recorder. The error is the reason for a missing answer.
pub fn record(python: &Path, batch: &Path, answers: &Path, streams: usize) -> Result<Answers, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/agreement/recorder.py");
    let output = Command::new(python)
        .arg("-B")
        .arg(script)
        .arg(batch)
        .arg(answers)
        .output()
        .map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(answers).map_err(|error| error.to_string())?;
    if !output.status.success() || !text.ends_with(&format!("Z {streams}\n")) {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    parse(&text).ok_or_else(|| "the answers cannot be read".to_owned())
}

fn parse(text: &str) -> Option<Answers> {
    let mut answers = Answers { names: BTreeMap::new(), killed: BTreeMap::new() };
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["I", stream, reader, module, name] => {
                let pair = (unhex(module)?, unhex(name)?);
                answers
                    .names
                    .entry(stream.parse().ok()?)
                    .or_default()
                    .entry(pair)
                    .or_insert_with(|| (*reader).to_owned());
            }
            ["K", stream, signal] => {
                answers.killed.insert(stream.parse().ok()?, signal.parse().ok()?);
            }
            _ => {}
        }
    }
    Some(answers)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if digits == "-" {
        return Some(Vec::new());
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// All names of all interpreters, for counting.
pub fn distinct(answers: &Answers) -> BTreeSet<&Name> {
    answers.names.values().flat_map(BTreeMap::keys).collect()
}
