//! Scanning over the network, against real servers on loopback: HTTP, TLS, Git LFS, and the cache of verdicts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

mod http;
mod lfs;
mod models;
mod scan;
mod tls;
mod verdict_cache;
