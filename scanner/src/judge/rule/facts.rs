//! What the facts of formats and archives mean.

use super::{Concern, configured};
use crate::judge::finding::{Severity, Verdict};
use crate::observe::fact::{Fact, Unread, Weight};
use crate::pickle::trace::{End, Trace};

const fn weighed(weight: Weight) -> (Severity, Verdict) {
    match weight {
        Weight::Odd => (Severity::Info, Verdict::Clean),
        Weight::Wrong => (Severity::Medium, Verdict::Unproven),
        Weight::Misleading => (Severity::High, Verdict::Unproven),
    }
}

/// The opinion on a fact, where there is something to say.
pub fn fact(at: Option<u64>, fact: &Fact) -> Option<Concern> {
    let make = |rule, (severity, verdict), message: String, evidence: Option<String>| Concern {
        message,
        evidence,
        ..Concern::at(at, rule, severity, verdict)
    };
    let high = (Severity::High, Verdict::Unproven);
    let critical = (Severity::Critical, Verdict::Dangerous);
    let medium = (Severity::Medium, Verdict::Unproven);
    Some(match fact {
        Fact::Configured { module, name, registered } => {
            return configured::concern(at, module.as_deref(), name, registered.as_deref());
        }
        Fact::ArchiveMismatch { what, weight } => make("archive-mismatch", weighed(*weight), what.clone(), None),
        Fact::PathEscapes { path, what } => make("path-escape", high, what.clone(), Some(path.clone())),
        Fact::ExternalReference { target, what } => {
            make("external-reference", high, what.clone(), Some(target.clone()))
        }
        Fact::NameDisagrees { claimed, found, weight } => {
            let message = format!("the name says {claimed}, the content is {found}");
            make("format-mismatch", weighed(*weight), message, None)
        }
        Fact::Polyglot { formats } => {
            let message =
                format!("the same bytes are {}: different programs load different things", formats.join(" and "));
            make("polyglot", (Severity::Critical, Verdict::Unproven), message, None)
        }
        Fact::Executable { kind } => {
            make("executable-content", critical, format!("machine code or a script: {kind}"), None)
        }
        Fact::EmbeddedProgram { what } => make("embedded-program", medium, what.clone(), None),
        Fact::StructureViolation { what, weight } => make("structure-violation", weighed(*weight), what.clone(), None),
        Fact::TrailingData { length, what } => make(
            "trailing-data",
            medium,
            format!("{length} bytes behind the end that no reader looks at: {what}"),
            None,
        ),
        Fact::ObjectArray => {
            let message = "an array of objects: loading it takes allow_pickle=True".to_owned();
            make("object-array", (Severity::Info, Verdict::Clean), message, None)
        }
        Fact::Bomb { what } => make("decompression-bomb", high, what.clone(), None),
        Fact::SpecialFile { kind } => make("special-file", medium, format!("a {kind}, which was not opened"), None),
    })
}

/// The opinion on something that was not read.
pub fn unread(at: Option<u64>, why: &Unread) -> Concern {
    let verdict = if matches!(why, Unread::LfsPointer { .. }) { Verdict::NotScanned } else { Verdict::Unproven };
    Concern { message: why.to_string(), ..Concern::at(at, "not-fully-read", Severity::Low, verdict) }
}

/// The opinions on how a stream is written and how it ends.
pub fn stream(trace: &Trace) -> Vec<Concern> {
    let mut concerns = Vec::new();
    for oddity in &trace.oddities {
        let (severity, rule) =
            if oddity.splits { (Severity::High, "reader-disagreement") } else { (Severity::Low, "malformed-pickle") };
        concerns.push(Concern {
            message: oddity.what.clone(),
            ..Concern::at(oddity.at, rule, severity, Verdict::Unproven)
        });
    }
    if trace.heap.heaviest() > 1_000_000_000 {
        let message =
            format!("a value that grows to {} nodes when it is copied, printed or compared", trace.heap.heaviest());
        concerns.push(Concern {
            message,
            ..Concern::at(trace.start, "decompression-bomb", Severity::High, Verdict::Unproven)
        });
    }
    if let Some(at) = trace.straddled {
        concerns.push(Concern {
            message: "an argument crosses the end of its frame: some Pythons read other opcodes from there".to_owned(),
            ..Concern::at(at, "reader-disagreement", Severity::Critical, Verdict::Unproven)
        });
    }
    if let End::Broken(why) = &trace.end {
        let message = format!("the pickle breaks: {why}; everything before that runs when it is loaded");
        let at = trace.start + trace.length;
        concerns.push(Concern { message, ..Concern::at(at, "malformed-pickle", Severity::Low, Verdict::Unproven) });
    }
    concerns
}
