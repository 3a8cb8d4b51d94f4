//! The inputs of a scan that are not files of this machine: addresses, and the objects of Git LFS pointers.

use crate::address::Address;
use crate::bounds::LONGEST_TIME;
use crate::client::{Client, Request};
use crate::error::Error;
use crate::lfs::LfsObjects;
use crate::open;
use crate::options::{LfsMode, Options};
use scanner::internal::format::lfs_pointer::Pointer;
use scanner::providers::{FetchedInput, InputProvider};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Opens addresses, and the objects of pointers. The default one opens objects of the local store only.
#[derive(Default)]
pub struct RemoteInputs {
    /// `None` if nothing may be fetched.
    client: Option<Arc<Client>>,
    addresses: Vec<Address>,
    objects: LfsObjects,
    hash: bool,
    max_time: Duration,
}

impl RemoteInputs {
    /// Prepares to open these addresses. Nothing is requested yet.
    ///
    /// # Errors
    /// When an address is plain `http` and that is not allowed, or the root certificates are not valid.
    pub fn new(mut addresses: Vec<Address>, options: &Options) -> Result<Self, Error> {
        if let Some(plain) = addresses.iter().find(|address| !address.is_https() && !options.allow_http) {
            return Err(Error::PlainHttp.at(plain.without_secrets()));
        }
        addresses.sort_by_key(|address| (address.without_secrets(), address.request_target()));
        addresses.dedup();
        let uses_network = !addresses.is_empty() || options.lfs.mode == LfsMode::Fetch;
        let client = uses_network.then(|| Client::new(options).map(Arc::new)).transpose()?;
        Ok(Self {
            client,
            addresses,
            objects: LfsObjects::new(options.lfs.clone(), options.hash),
            hash: options.hash,
            max_time: options.max_time,
        })
    }

    /// Whether anything may be fetched.
    pub fn uses_network(&self) -> bool {
        self.client.is_some()
    }

    /// Opens the address at an index of [`inputs`](InputProvider::inputs). `read` counts the bytes that are fetched.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn open_address(&self, index: usize, read: &Arc<AtomicU64>) -> Result<FetchedInput, Error> {
        let address = self.addresses.get(index).ok_or(Error::NoSuchInput)?;
        let request = Request { address: address.clone(), secret_headers: Vec::new(), deadline: self.deadline() };
        let client = self.client.as_ref().ok_or(Error::NoNetwork)?;
        let object = open::open_object(client, request, self.hash, read)?;
        Ok(FetchedInput { source: object.source, name: address.file_name(), sha256: object.sha256, lfs: None })
    }

    fn open_lfs_object(&self, path: &Path, pointer: &Pointer, read: &Arc<AtomicU64>) -> Result<FetchedInput, Error> {
        self.objects.open(self.client.as_ref(), path, pointer, read, self.deadline())
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.max_time).or_else(|| now.checked_add(LONGEST_TIME)).unwrap_or(now)
    }
}

/// The error of the scanner's interface: the input and the reason.
fn unavailable(input: impl Into<String>) -> impl FnOnce(Error) -> scanner::Error {
    let input = input.into();
    move |error| scanner::Error::Unavailable { input, reason: error.to_string() }
}

impl InputProvider for RemoteInputs {
    fn inputs(&self) -> Vec<String> {
        self.addresses.iter().map(Address::without_secrets).collect()
    }

    fn open(&self, index: usize, read: &Arc<AtomicU64>) -> Result<FetchedInput, scanner::Error> {
        let input = self.addresses.get(index).map(Address::without_secrets).unwrap_or_default();
        self.open_address(index, read).map_err(unavailable(input))
    }

    fn resolves_pointers(&self) -> bool {
        self.objects.is_enabled()
    }

    fn wants_prefetch(&self) -> bool {
        self.objects.is_fetching()
    }

    fn prefetch(&self, pointers: &[(&Path, Pointer)]) {
        if let Some(client) = &self.client {
            self.objects.prefetch(client, pointers, self.deadline());
        }
    }

    fn open_object(
        &self,
        path: &Path,
        pointer: &Pointer,
        read: &Arc<AtomicU64>,
    ) -> Result<FetchedInput, scanner::Error> {
        self.open_lfs_object(path, pointer, read).map_err(unavailable(path.to_string_lossy()))
    }
}
