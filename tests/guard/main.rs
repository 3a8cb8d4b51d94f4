//! Loading only cleared files: `modelscan guard` and `modelscan kserve-init`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

mod kserve;
mod servers;
