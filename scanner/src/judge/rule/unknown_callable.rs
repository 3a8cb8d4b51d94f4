//! A name that no table knows to be inert, in a pickle or in the configuration of a model.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "unknown-callable",
    severity: Severity::Medium,
    summary: "a pickle or configuration uses a name not known to be inert",
    why: "\
Loading imports this name, or calls it. It is on no list: neither shown to be harmless nor known to do harm.
Classes of one's own code look like this. Only names whose effect is known may count as clean, because every
list of bad names has gaps. The configuration of a Keras model names classes and functions in the same
way; those of Keras itself are known. High where the name is suspicious by its form or module.",
    example: "\
pickle imports mylab.models.Net, which is not known to be inert

Accepted in modelscan.toml:
[[allow]]
module = \"mylab.models\"
name = \"Net\"
reason = \"our own class; __init__ and __setstate__ only keep values\"",
    help: "ask for safetensors, or read the code of that name; if loading it is harmless, add these four lines to modelscan.toml: `[[allow]]`, `module = \"the.module\"`, `name = \"TheName\"`, `reason = \"why it is harmless\"` (it then passes the gate, and stays unproven)",
};

/// `action` is subject and verb (`pickle imports`). `reason` says what is suspicious about the name.
pub(crate) fn named(severity: Severity, action: &str, name: &str, reason: Option<&str>) -> RawFinding {
    let message = match reason {
        Some(reason) => format!("{action} {name}: {reason}"),
        None => format!("{action} {name}, which is not known to be inert"),
    };
    INFO.finding(severity, Verdict::Unproven, message)
}

/// A name that is inert when it is imported, and unknown when it is called.
pub(crate) fn called(name: &str) -> RawFinding {
    let message = format!("pickle calls {name}, which is known to be inert only when it is not called");
    INFO.finding(Severity::Medium, Verdict::Unproven, message)
}

/// Keras looks among the registered objects of the loading program first.
pub(crate) fn registered(name: &str) -> RawFinding {
    let message = format!("the configuration asks for {name}, which the loading program must have registered");
    INFO.finding(Severity::Medium, Verdict::Unproven, message)
}
