//! What a scan may fetch, and how much of it.

use crate::address::Address;
use crate::bounds::MAX_CONCURRENT_REQUESTS;
use crate::credentials::Credentials;
use std::time::Duration;

/// Settings of all requests of a scan.
#[derive(Clone)]
pub struct Options {
    /// Bytes that are fetched, of all files together.
    pub max_bytes: u64,
    /// Requests, of all files together.
    pub max_requests: u64,
    /// Idle timeout of a connection.
    pub idle_timeout: Duration,
    /// Time for one file.
    pub max_time: Duration,
    /// Concurrent requests.
    pub max_concurrent_requests: usize,
    /// Whether plain `http` is allowed.
    pub allow_http: bool,
    /// Whether private, local and reserved addresses, and a proxy, are allowed.
    pub allow_private: bool,
    /// Root certificates in place of the public ones, as PEM.
    pub root_certificates: Option<Vec<u8>>,
    /// Whether the SHA-256 of every input is needed. Inputs are then downloaded as a whole.
    pub hash: bool,
    /// Secrets, each with the host that it is for.
    pub credentials: Credentials,
    /// Git LFS.
    pub lfs: LfsOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 8 << 30,
            max_requests: 50_000,
            idle_timeout: Duration::from_secs(20),
            max_time: Duration::from_secs(300),
            max_concurrent_requests: MAX_CONCURRENT_REQUESTS,
            allow_http: false,
            allow_private: false,
            root_certificates: None,
            hash: false,
            credentials: Credentials::default(),
            lfs: LfsOptions::default(),
        }
    }
}

/// Where the objects of Git LFS pointers are searched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LfsMode {
    /// Nowhere: pointers stay unscanned.
    Skip,
    /// In the object store of the repository.
    #[default]
    Local,
    /// In the object store, then on the server of the repository.
    Fetch,
}

/// How the objects of Git LFS pointers are opened.
#[derive(Clone, Default)]
pub struct LfsOptions {
    /// Where they are searched.
    pub mode: LfsMode,
    /// Whether the SHA-256 of each object is compared with its pointer.
    pub verify: bool,
    /// The server, in place of the one that the repository names.
    pub server: Option<Address>,
}
