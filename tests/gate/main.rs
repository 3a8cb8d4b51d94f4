//! The gate in continuous integration: `scan --changed-since`, the GitHub Action, and the workflow files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

mod action;
mod changes;
mod lfs_change;
mod repository;
mod workflows;
