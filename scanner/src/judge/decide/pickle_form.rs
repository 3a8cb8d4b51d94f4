//! Findings on how a pickle is written and how it ends, whatever it calls.

use crate::finding::RawFinding;
use crate::io::bounds::judge::MAX_VALUE_NODES;
use crate::judge::rule::{decompression_bomb, malformed_pickle, reader_disagreement};
use crate::pickle::trace::{End, Trace};

/// The findings on one stream.
pub(super) fn findings(trace: &Trace) -> Vec<RawFinding> {
    let mut findings = Vec::new();
    for anomaly in &trace.oddities {
        let finding = match anomaly.splits {
            true => reader_disagreement::anomaly(&anomaly.what),
            false => malformed_pickle::anomaly(&anomaly.what),
        };
        findings.push(finding.at(anomaly.at));
    }
    if trace.heap.heaviest() > MAX_VALUE_NODES {
        findings.push(decompression_bomb::value(trace.heap.heaviest()).at(trace.start));
    }
    if let Some(at) = trace.straddled {
        findings.push(reader_disagreement::straddled_frame().at(at));
    }
    if let End::Broken(why) = &trace.end {
        findings.push(malformed_pickle::broken(why).at(trace.start + trace.length));
    }
    findings
}
