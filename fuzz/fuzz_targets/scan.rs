//! The whole way from bytes to a report: twice the same, and as many findings as the bounds allow at most.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelscan_fuzz::{budget, limits, source};
use scanner::internal::examine::examine;
use scanner::internal::judge::verdict::judge_artifact;
use scanner::internal::observe::observations::Retain;

fuzz_target!(|bytes: &[u8]| {
    let report = || judge_artifact(&examine(source(bytes), "input", &budget(), Retain::default()), "input", &limits());
    let first = report();
    assert!(first.not_read.iter().all(|one| !one.reason.contains("the scanner itself failed")));
    let text = |report| serde_json::to_string(report).expect("a report can be written");
    assert_eq!(text(&first), text(&report()), "the same bytes, another report");
});
