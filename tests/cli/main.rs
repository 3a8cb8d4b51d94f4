//! What the command prints and writes: sessions, report formats, and the agreement with the Python tool of the same name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

mod bless;
mod drop_in;
mod quantities;
mod reports;
mod sessions;
