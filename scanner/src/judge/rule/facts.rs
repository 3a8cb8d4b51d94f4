//! What the facts of formats and archives mean.

use super::{RawFinding, configured};
use crate::judge::finding::{Severity, Verdict};
use crate::observe::fact::{Deviation, Fact, Unread};
use crate::pickle::trace::{StreamEnd, Trace};

const fn weighed(deviation: Deviation) -> (Severity, Verdict) {
    match deviation {
        Deviation::Unusual => (Severity::Info, Verdict::Clean),
        Deviation::Wrong => (Severity::Medium, Verdict::Unproven),
        Deviation::Misleading => (Severity::High, Verdict::Unproven),
    }
}

/// The opinion on a fact, where there is something to say.
pub fn fact(at: Option<u64>, fact: &Fact) -> Option<RawFinding> {
    let make = |rule, (severity, verdict), message: String, evidence: Option<String>| RawFinding {
        message,
        evidence,
        ..RawFinding::at(at, rule, severity, verdict)
    };
    let high = (Severity::High, Verdict::Unproven);
    let critical = (Severity::Critical, Verdict::Dangerous);
    let medium = (Severity::Medium, Verdict::Unproven);
    Some(match fact {
        Fact::Configured { module, name, registered } => {
            return configured::raw_finding(at, module.as_deref(), name, registered.as_deref());
        }
        Fact::ArchiveMismatch { what, deviation } => make("archive-mismatch", weighed(*deviation), what.clone(), None),
        Fact::PathEscapes { path, what } => make("path-escape", high, what.clone(), Some(path.clone())),
        Fact::ExternalReference { target, what } => {
            make("external-reference", high, what.clone(), Some(target.clone()))
        }
        Fact::NameDisagrees { claimed, found, deviation } => {
            let message = format!("the name says {claimed}, the content is {found}");
            make("format-mismatch", weighed(*deviation), message, None)
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
        Fact::StructureViolation { what, deviation } => {
            make("structure-violation", weighed(*deviation), what.clone(), None)
        }
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
pub fn unread(at: Option<u64>, why: &Unread) -> RawFinding {
    let verdict = if matches!(why, Unread::LfsPointer { .. }) { Verdict::NotScanned } else { Verdict::Unproven };
    RawFinding { message: why.to_string(), ..RawFinding::at(at, "not-fully-read", Severity::Low, verdict) }
}

/// The opinions on how a stream is written and how it ends.
pub fn stream(trace: &Trace) -> Vec<RawFinding> {
    let mut raw_findings = Vec::new();
    for oddity in &trace.anomalies {
        let (severity, rule) = if oddity.readers_disagree {
            (Severity::High, "reader-disagreement")
        } else {
            (Severity::Low, "malformed-pickle")
        };
        raw_findings.push(RawFinding {
            message: oddity.what.clone(),
            ..RawFinding::at(oddity.at, rule, severity, Verdict::Unproven)
        });
    }
    if trace.heap.max_expanded_len() > 1_000_000_000 {
        let message = format!(
            "a value that grows to {} nodes when it is copied, printed or compared",
            trace.heap.max_expanded_len()
        );
        raw_findings.push(RawFinding {
            message,
            ..RawFinding::at(trace.start, "decompression-bomb", Severity::High, Verdict::Unproven)
        });
    }
    if let Some(at) = trace.straddled {
        raw_findings.push(RawFinding {
            message: "an argument crosses the end of its frame: some Pythons read other opcodes from there".to_owned(),
            ..RawFinding::at(at, "reader-disagreement", Severity::Critical, Verdict::Unproven)
        });
    }
    if let StreamEnd::Broken(why) = &trace.end {
        let message = format!("the pickle breaks: {why}; everything before that runs when it is loaded");
        let at = trace.start + trace.length;
        raw_findings
            .push(RawFinding { message, ..RawFinding::at(at, "malformed-pickle", Severity::Low, Verdict::Unproven) });
    }
    raw_findings
}
