//! Findings on how a pickle is written and how it ends, whatever it calls.

use crate::finding::RawFinding;
use crate::io::bounds::judge::MAX_VALUE_NODES;
use crate::judge::rule::{decompression_bomb, malformed_pickle, reader_disagreement};
use crate::pickle::trace::{StreamEnd, Trace};

/// The findings on one stream.
pub(super) fn findings(trace: &Trace) -> Vec<RawFinding> {
    let mut findings = Vec::new();
    for anomaly in &trace.anomalies {
        let finding = match anomaly.readers_disagree {
            true => reader_disagreement::anomaly(&anomaly.what),
            false => malformed_pickle::anomaly(&anomaly.what),
        };
        findings.push(finding.at(anomaly.at));
    }
    if trace.heap.max_expanded_len() > MAX_VALUE_NODES {
        findings.push(decompression_bomb::value(trace.heap.max_expanded_len()).at(trace.start));
    }
    if let Some(at) = trace.argument_across_frame {
        findings.push(reader_disagreement::straddled_frame().at(at));
    }
    if let StreamEnd::Broken(why) = &trace.end {
        findings.push(malformed_pickle::broken(why).at(trace.start + trace.length));
    }
    findings
}
