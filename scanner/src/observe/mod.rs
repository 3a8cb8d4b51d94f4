//! Observations of an artifact, without an opinion: facts, tensor layouts, pickle streams.

pub mod examined;
pub mod fact;
pub mod layout;
pub mod observations;
