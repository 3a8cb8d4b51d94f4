//! GPU devices and their memory quotas.

pub(crate) mod devices;
pub(crate) mod driver;
pub(crate) mod memory;
