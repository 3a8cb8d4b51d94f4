//! What the scanner says of the same streams: every name in the traces of both readings of frames.

use super::oracle::Name;
use scanner::Limits;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::pickle::{FrameReading, Options, read};
use scanner::source::{Memory, SharedSource};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The names that the scanner reports for one stream.
pub struct Imports {
    names: BTreeSet<(String, String)>,
    /// At least one name is computed.
    computed: bool,
    /// An argument crosses the end of a frame: reported as a disagreement, whatever the names.
    pub straddled: bool,
    /// How and where each reading ends, to explain a miss.
    pub ends: Vec<String>,
}

/// Reads one stream from its first byte, as an unpickler would.
pub fn imports(stream: &[u8]) -> Imports {
    let source: SharedSource = Arc::new(Memory::new(stream));
    let mut found = Imports { names: BTreeSet::new(), computed: false, straddled: false, ends: Vec::new() };
    for reading in [FrameReading::Transparent, FrameReading::Lossy] {
        let budget = ScanBudget::start(Arc::new(Limits::default()));
        let trace = read(&source, 0, &Options { reading, ..Options::PLAIN }, &budget, &mut |_, _| true);
        for callable in &trace.callables {
            match (&callable.module, &callable.name) {
                (Some(module), Some(name)) => drop(found.names.insert((module.clone(), name.clone()))),
                _ => found.computed = true,
            }
        }
        found.ends.push(format!("{reading:?} reading: {} at {}", trace.end.text(), trace.start + trace.length));
        found.straddled |= trace.argument_across_frame.is_some();
        if trace.argument_across_frame.is_none() {
            break;
        }
    }
    found
}

impl Imports {
    /// Whether a name that an unpickler asked for is among them. Bytes of Python 2 and lone surrogates are no Unicode text, and
    /// a Python 2 string may be read as latin-1 or as UTF-8: any of these readings will do, and so will "not known" where there
    /// is no good one.
    pub fn covers(&self, name: &Name) -> bool {
        let (modules, attributes) = (readings(&name.0), readings(&name.1));
        let text = std::str::from_utf8(&name.0).is_ok() && std::str::from_utf8(&name.1).is_ok();
        (!text && self.computed)
            || modules.iter().any(|module| {
                attributes.iter().any(|attribute| self.names.contains(&(module.clone(), attribute.clone())))
            })
    }
}

/// The texts that those bytes may stand for.
fn readings(bytes: &[u8]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![
            String::from_utf8_lossy(bytes).into_owned(),
            // three bytes of a lone surrogate become one replacement character
            String::from_utf8_lossy(bytes).replace("\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}"),
            bytes.iter().map(|byte| char::from(*byte)).collect(),
        ];
    };
    // each character may be a byte of UTF-8
    let narrow: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    let inner = narrow.and_then(|bytes| String::from_utf8(bytes).ok());
    [Some(text.to_owned()), inner].into_iter().flatten().collect()
}
