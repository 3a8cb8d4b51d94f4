//! What the scanner says of the same streams: every name in the traces of both readings of frames.

use crate::oracle::Name;
use scanner::artifact::Watch;
use scanner::limits::Limits;
use scanner::pickle::{Options, Reading, read};
use scanner::source::{Memory, SharedSource};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The names that the scanner reports for one stream.
pub struct Imports {
    names: BTreeSet<(String, String)>,
    /// At least one name is computed.
    computed: bool,
}

/// Reads one stream from its first byte, as an unpickler would.
pub fn imports(stream: &[u8]) -> Imports {
    let source: SharedSource = Arc::new(Memory::new(stream));
    let mut found = Imports { names: BTreeSet::new(), computed: false };
    for reading in [Reading::Transparent, Reading::Lossy] {
        let watch = Watch::start(Arc::new(Limits::default()));
        let trace = read(&source, 0, &Options { inline: None, reading }, &watch, &mut |_, _| true);
        for callable in &trace.callables {
            match (&callable.module, &callable.name) {
                (Some(module), Some(name)) => drop(found.names.insert((module.clone(), name.clone()))),
                _ => found.computed = true,
            }
        }
        if trace.straddled.is_none() {
            break;
        }
    }
    found
}

impl Imports {
    /// Whether a name that an unpickler asked for is among them. A name that is no Unicode text (a lone surrogate, raw bytes in
    /// Python 2) may be reported as one that is not known; a Python 2 string may be read as latin-1 or as UTF-8.
    pub fn covers(&self, name: &Name) -> bool {
        let (Ok(module), Ok(attribute)) = (std::str::from_utf8(&name.0), std::str::from_utf8(&name.1)) else {
            return self.computed || self.names.contains(&(lossy(&name.0), lossy(&name.1)));
        };
        let forms = |text: &str| [Some(text.to_owned()), as_utf8(text)];
        forms(module).iter().flatten().any(|module| {
            forms(attribute).iter().flatten().any(|attribute| self.names.contains(&(module.clone(), attribute.clone())))
        })
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A text whose characters are the bytes of UTF-8, decoded.
fn as_utf8(text: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    String::from_utf8(bytes?).ok()
}
