//! What all targets share: bounds low enough that an input which passes one is found soon, and a source over the input.
#![forbid(unsafe_code)]

use scanner::Limits;
use scanner::internal::io::artifact::{Artifact, Role};
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::io::member_path::MemberPath;
use scanner::source::{Memory, SharedSource};
use std::sync::Arc;
use std::time::Duration;

/// A tenth of the defaults or less, and no clock: the same bytes give the same answer on a slow machine too.
pub fn limits() -> Limits {
    let usual = Limits::default();
    Limits {
        opcodes: 1_000_000,
        stack: usual.stack / 10,
        marks: usual.marks / 10,
        memo_bytes: usual.memo_bytes / 10,
        heap_bytes: usual.heap_bytes / 10,
        items: usual.items / 10,
        names: usual.names / 10,
        name_bytes: usual.name_bytes / 10,
        events: usual.events / 10,
        streams: 100,
        resync_bytes: 1 << 20,
        depth: 4,
        entries: 2_000,
        members: 2_000,
        member_bytes: 4 << 20,
        unpacked_bytes: 16 << 20,
        ratio_floor: usual.ratio_floor / 10,
        member_memory: 64 << 10,
        decoder_memory: usual.decoder_memory / 10,
        header_bytes: 1 << 20,
        findings: usual.findings / 10,
        time: Duration::from_secs(1_000_000),
        ..usual
    }
}

/// A budget over those bounds.
pub fn budget() -> ScanBudget {
    ScanBudget::start(Arc::new(limits()))
}

/// The input as a source.
pub fn source(bytes: &[u8]) -> SharedSource {
    Arc::new(Memory::new(bytes))
}

/// The input as an artifact of its own.
pub fn artifact(bytes: &[u8], name: &str) -> Artifact {
    Artifact {
        member_path: MemberPath::root(),
        name: name.to_owned(),
        source: source(bytes),
        depth: 0,
        role: Role::Unknown,
        budget: budget(),
    }
}
