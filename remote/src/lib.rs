//! Bytes from elsewhere for the scanner: addresses, read by ranges where the server allows. The only crate that opens a
//! connection, and only to what it was told.
#![forbid(unsafe_code)]

mod address;
mod budget;
mod client;
mod credentials;
mod extents;
mod lfs;
mod open;
mod range;
mod reach;
mod whole;

pub use address::Address;
pub use credentials::Credentials;
pub use lfs::{Lfs, LfsOptions};

use client::{Ask, Client};
use lfs::Objects;
use scanner::internal::format::lfs_pointer::Pointer;
use scanner::providers::{FetchedInput, InputProvider};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Requests at once, of all files together. Each header of a checkpoint is a journey of its own, and there are checkpoints
/// of thousands of records; others use a tenth of that.
pub const AT_ONCE: usize = 256;

/// What may be done, and how much of it.
#[derive(Clone)]
pub struct Options {
    /// Bytes that may travel, of all files together.
    pub max_bytes: u64,
    /// Requests, of all files together.
    pub max_requests: u64,
    /// How long a server may say nothing.
    pub stall: Duration,
    /// How long one file may take.
    pub time: Duration,
    /// Requests at once.
    pub at_once: usize,
    /// Whether `http` will do.
    pub allow_http: bool,
    /// Whether private, local and reserved addresses may be reached, and a proxy used.
    pub allow_private: bool,
    /// Certificates to trust in place of the usual ones, as PEM.
    pub roots: Option<Vec<u8>>,
    /// Whether the hash of everything is wanted, so that all of it is read.
    pub hash: bool,
    /// Secrets and whose they are.
    pub credentials: Credentials,
    /// Git LFS.
    pub lfs: LfsOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 8 << 30,
            max_requests: 50_000,
            stall: Duration::from_secs(20),
            time: Duration::from_secs(300),
            at_once: AT_ONCE,
            allow_http: false,
            allow_private: false,
            roots: None,
            hash: false,
            credentials: Credentials::default(),
            lfs: LfsOptions::default(),
        }
    }
}

/// Brings what stands at addresses, and the objects of pointers. The default one reads the local store of objects alone.
#[derive(Default)]
pub struct Remote {
    /// Not there where nothing may be fetched.
    client: Option<Arc<Client>>,
    addresses: Vec<Address>,
    objects: Objects,
    hash: bool,
    time: Duration,
}

impl Remote {
    /// Will bring what stands at these addresses.
    ///
    /// # Errors
    /// When the options are wrong, or an address may not be used.
    pub fn new(mut addresses: Vec<Address>, options: &Options) -> Result<Self, String> {
        if let Some(plain) = addresses.iter().find(|address| !address.is_secure() && !options.allow_http) {
            return Err(format!("{plain}: plain http is not used; --allow-http permits it"));
        }
        addresses.sort_by_key(|address| (address.shown(), address.asked()));
        addresses.dedup();
        let reaches = !addresses.is_empty() || options.lfs.from == Lfs::Fetch;
        let client = reaches.then(|| Client::new(options).map(Arc::new)).transpose()?;
        Ok(Self {
            client,
            addresses,
            objects: Objects::new(options.lfs.clone(), options.hash),
            hash: options.hash,
            time: options.time,
        })
    }

    /// Whether anything may be fetched.
    pub fn reaches(&self) -> bool {
        self.client.is_some()
    }

    fn open_address(&self, index: usize, read: &Arc<AtomicU64>) -> Result<FetchedInput, String> {
        let address = self.addresses.get(index).ok_or("there is no such address")?;
        let ask = Ask { address: address.clone(), secret: Vec::new(), deadline: self.deadline() };
        let client = self.client.as_ref().ok_or("nothing may be fetched")?;
        let object = open::open(client, ask, self.hash, read)?;
        Ok(FetchedInput { source: object.source, name: address.file_name(), sha256: object.sha256, lfs: None })
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        // A time that no clock can tell is none.
        now.checked_add(self.time).or_else(|| now.checked_add(Duration::from_secs(1 << 30))).unwrap_or(now)
    }
}

impl InputProvider for Remote {
    fn inputs(&self) -> Vec<String> {
        self.addresses.iter().map(Address::shown).collect()
    }

    fn open(&self, index: usize, read: &Arc<AtomicU64>) -> Result<FetchedInput, scanner::Error> {
        let input = self.addresses.get(index).map(Address::shown).unwrap_or_default();
        self.open_address(index, read).map_err(|reason| scanner::Error::Unavailable { input, reason })
    }

    fn resolves_pointers(&self) -> bool {
        self.objects.resolves()
    }

    fn wants_prefetch(&self) -> bool {
        self.objects.fetches()
    }

    fn prefetch(&self, pointers: &[(&Path, Pointer)]) {
        if let Some(client) = &self.client {
            self.objects.expect(client, pointers, self.deadline());
        }
    }

    fn open_object(
        &self,
        path: &Path,
        pointer: &Pointer,
        read: &Arc<AtomicU64>,
    ) -> Result<FetchedInput, scanner::Error> {
        let object = self.objects.open(self.client.as_ref(), path, pointer, read, self.deadline());
        let input = || path.to_string_lossy().into_owned();
        object.map_err(|reason| scanner::Error::Unavailable { input: input(), reason })
    }
}
