//! Control groups: where they can be created, and the quotas that they enforce.

pub(crate) mod device_program;
pub(crate) mod parents;
pub(crate) mod quota;
pub(crate) mod systemd_scope;
