//! A compiled Python function among the values of a pickle. The id is reserved: such pickles are reported by the names that
//! they import (`marshal.loads`, `types.CodeType`), under `unsafe-callable`.

use super::RuleInfo;
use crate::finding::Severity;

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "embedded-code",
    severity: Severity::High,
    summary: "a pickle holds a compiled Python function",
    why: "\
A marshalled code object stands among the values: Python bytecode that somebody wants to run after the
load. Libraries that pickle functions (dill, cloudpickle) write it. marshal itself is not safe on bytes
from strangers, and this scanner does not judge bytecode.",
    example: "cloudpickle.dumps(lambda x: x + 1)",
    help: "do not load it; ask the publisher for weights without code, or save the model again with its functions in a module and only its state in the file",
};
