//! What a run may do: profiles, permissions, the request and the report.

pub(crate) mod exit_report;
pub(crate) mod explain;
pub(crate) mod mount_entry;
pub(crate) mod permission;
pub(crate) mod profile;
pub(crate) mod request;
pub(crate) mod target;
