//! Agreement with real Python: CPython's unpickler, the official readers, and the wheel with its own tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

mod agreement;
mod conversions;
mod wheel;
