//! System calls, process information, errors, and the messages between the processes of a run.

#[allow(unsafe_code)]
pub(crate) mod calls;
pub(crate) mod error;
#[allow(unsafe_code)]
pub(crate) mod nvml;
pub(crate) mod process;
pub(crate) mod process_tree;
pub(crate) mod wire;
