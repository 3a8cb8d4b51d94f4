//! Findings on the facts that formats and archives state, and on bytes that were not read.

use super::keras_names;
use crate::fact::{Fact, Unread};
use crate::finding::RawFinding;
use crate::judge::rule::{
    archive_mismatch, decompression_bomb, embedded_program, executable_content, external_reference, format_mismatch,
    not_fully_read, object_array, path_escape, polyglot, special_file, structure_violation, trailing_data,
};

/// The finding on a fact at offset `at`. `None` for a name in a configuration that is inert.
pub(crate) fn finding_on_fact(at: Option<u64>, fact: &Fact) -> Option<RawFinding> {
    let finding = match fact {
        Fact::Configured { module, name, registered } => {
            keras_names::finding(module.as_deref(), name, registered.as_deref())?
        }
        Fact::ArchiveMismatch { what, deviation } => archive_mismatch::finding(*deviation, what),
        Fact::PathEscapes { path, what } => path_escape::finding(path, what),
        Fact::ExternalReference { target, what } => external_reference::finding(target, what),
        Fact::NameDisagrees { claimed, found, deviation } => format_mismatch::finding(*deviation, claimed, found),
        Fact::Polyglot { formats } => polyglot::finding(formats),
        Fact::Executable { kind } => executable_content::finding(kind),
        Fact::EmbeddedProgram { what } => embedded_program::finding(what),
        Fact::StructureViolation { what, deviation } => structure_violation::finding(*deviation, what),
        Fact::TrailingData { length, what } => trailing_data::finding(*length, what),
        Fact::ObjectArray => object_array::finding(),
        Fact::Bomb { what } => decompression_bomb::unpacked(what),
        Fact::SpecialFile { kind } => special_file::finding(kind),
    };
    Some(finding.at(at))
}

/// The finding on bytes that were not read, at offset `at`.
pub(crate) fn finding_on_unread(at: Option<u64>, why: &Unread) -> RawFinding {
    not_fully_read::finding(why).at(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Deviation;
    use crate::judge::rule::rules;

    #[test]
    fn a_page_says_how_bad_the_findings_are() {
        let text = String::new;
        let facts = [
            Fact::ArchiveMismatch { what: text(), deviation: Deviation::Misleading },
            Fact::PathEscapes { path: text(), what: text() },
            Fact::ExternalReference { target: text(), what: text() },
            Fact::NameDisagrees { claimed: text(), found: text(), deviation: Deviation::Wrong },
            Fact::Polyglot { formats: vec![] },
            Fact::Executable { kind: "ELF" },
            Fact::EmbeddedProgram { what: text() },
            Fact::StructureViolation { what: text(), deviation: Deviation::Wrong },
            Fact::TrailingData { length: 1, what: text() },
            Fact::ObjectArray,
            Fact::Configured { module: None, name: "__lambda__".to_owned(), registered: None },
            Fact::Configured { module: None, name: "Mine".to_owned(), registered: None },
            Fact::Bomb { what: text() },
            Fact::SpecialFile { kind: "FIFO" },
        ];
        let findings = facts
            .iter()
            .filter_map(|stated| finding_on_fact(None, stated))
            .chain([finding_on_unread(None, &Unread::Encrypted)]);
        for finding in findings {
            let page = rules().iter().find(|page| page.id == finding.rule);
            assert_eq!(page.map(|page| page.severity), Some(finding.severity), "{}", finding.rule);
        }
    }
}
