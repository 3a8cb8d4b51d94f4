//! Git LFS. A pointer is not a model: its object is opened from the local store of the repository and then, if that is allowed, from
//! the LFS server.

mod batch;
mod git_config;
mod repository;

use crate::address::Address;
use crate::bounds::MAX_BATCH_OBJECTS;
use crate::client::{Client, Request};
use crate::error::{Error, LfsFault, ObjectLocation};
use crate::open;
use crate::options::{LfsMode, LfsOptions};
use batch::DownloadAction;
use repository::Repository;
use scanner::directory::{FileKind, FoundFile};
use scanner::internal::format::lfs_pointer::Pointer;
use scanner::providers::{FetchedInput, LocalFile, VerifiedSource};
use scanner::report::{Integrity, LfsReport};
use scanner::source::Source;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Opens the objects of pointers.
#[derive(Default)]
pub(crate) struct LfsObjects {
    options: LfsOptions,
    /// Whether the SHA-256 of a fetched object is needed.
    hash: bool,
    /// By folder.
    repositories: Mutex<HashMap<PathBuf, Option<Arc<Repository>>>>,
    /// Answers of the batch API, by server and oid.
    actions: Mutex<HashMap<(String, String), Result<DownloadAction, Error>>>,
}

impl LfsObjects {
    pub(crate) fn new(options: LfsOptions, hash: bool) -> Self {
        let hash = hash || options.verify;
        Self { options, hash, repositories: Mutex::default(), actions: Mutex::default() }
    }

    /// Whether objects are opened at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.options.mode != LfsMode::Skip
    }

    /// Whether objects are fetched from a server.
    pub(crate) fn is_fetching(&self) -> bool {
        self.options.mode == LfsMode::Fetch
    }

    fn repository(&self, file: &Path) -> Option<Arc<Repository>> {
        let folder = file.parent()?.to_owned();
        let mut known = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(folder).or_insert_with(|| Repository::containing(file).map(Arc::new)).clone()
    }

    fn server(&self, repository: Option<&Repository>) -> Result<Address, Error> {
        match (&self.options.server, repository) {
            (Some(server), _) => Ok(server.clone()),
            (None, Some(repository)) => repository.server(),
            (None, None) => Err(Error::Lfs(LfsFault::NoServer)),
        }
    }

    /// Requests the downloads of all objects that are not in the local store, a hundred at a time.
    pub(crate) fn prefetch(&self, client: &Client, pointers: &[(&Path, Pointer)], deadline: Instant) {
        let mut by_server: Vec<(Address, Vec<Pointer>)> = Vec::new();
        for (file, pointer) in pointers {
            let repository = self.repository(file);
            let stored = repository.as_ref().and_then(|repository| repository.object_path(&pointer.oid));
            if stored.is_some_and(|path| path.is_file()) {
                continue;
            }
            let Ok(server) = self.server(repository.as_deref()) else { continue };
            match by_server.iter_mut().find(|(known, _)| *known == server) {
                Some((_, pointers)) => pointers.push(pointer.clone()),
                None => by_server.push((server, vec![pointer.clone()])),
            }
        }
        for (server, mut pointers) in by_server {
            pointers.sort_by(|a, b| (&a.oid, a.size).cmp(&(&b.oid, b.size)));
            pointers.dedup();
            for batch in pointers.chunks(MAX_BATCH_OBJECTS) {
                self.request_downloads(client, &server, batch, deadline);
            }
        }
    }

    fn request_downloads(&self, client: &Client, server: &Address, pointers: &[Pointer], deadline: Instant) {
        let mut answers = match batch::request_downloads(client, server, pointers, deadline) {
            Ok(answers) => answers,
            Err(error) => pointers.iter().map(|pointer| (pointer.oid.clone(), Err(error.clone()))).collect(),
        };
        let mut actions = self.actions.lock().unwrap_or_else(PoisonError::into_inner);
        for pointer in pointers {
            let action = answers.remove(&pointer.oid).unwrap_or(Err(Error::Lfs(LfsFault::NoEntry)));
            actions.insert((server.without_secrets(), pointer.oid.clone()), action);
        }
    }

    /// Opens the object of the pointer in `file`.
    pub(crate) fn open(
        &self,
        client: Option<&Arc<Client>>,
        file: &Path,
        pointer: &Pointer,
        read: &Arc<AtomicU64>,
        deadline: Instant,
    ) -> Result<FetchedInput, Error> {
        let repository = self.repository(file);
        let local = match repository.as_ref().and_then(|repository| repository.object_path(&pointer.oid)) {
            None => Err(LfsFault::NoRepository),
            Some(path) => self.open_stored(&path, pointer, read),
        };
        let fault = match local {
            Ok(input) => return Ok(input),
            Err(fault) => fault,
        };
        let client = client.filter(|_| self.is_fetching()).ok_or(Error::NotFetched(fault))?;
        let server = self.server(repository.as_deref())?;
        let action = self.download_action(client, &server, pointer, deadline)?;
        let request = Request { address: action.address, secret_headers: action.headers, deadline };
        let object = open::open_object(client, request, self.hash, read)?;
        let found = object.source.len();
        if found != pointer.size {
            let fault = LfsFault::Length { origin: ObjectLocation::Server, found, expected: pointer.size };
            return Err(Error::Lfs(fault));
        }
        let integrity = match &object.sha256 {
            Some(sha256) if *sha256 == pointer.oid => Integrity::Sha256,
            Some(sha256) => {
                return Err(Error::Lfs(LfsFault::Hash { origin: ObjectLocation::Server, found: sha256.clone() }));
            }
            None => Integrity::Range,
        };
        Ok(fetched_input(object.source, object.sha256, pointer, integrity))
    }

    /// The answer of the server, from the prefetch or from a request for this object.
    fn download_action(
        &self,
        client: &Client,
        server: &Address,
        pointer: &Pointer,
        deadline: Instant,
    ) -> Result<DownloadAction, Error> {
        let key = (server.without_secrets(), pointer.oid.clone());
        let known = || self.actions.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let action = known().or_else(|| {
            self.request_downloads(client, server, std::slice::from_ref(pointer), deadline);
            known()
        });
        action.unwrap_or(Err(Error::Lfs(LfsFault::NoEntry)))
    }

    /// Opens an object of the local store.
    fn open_stored(&self, path: &Path, pointer: &Pointer, read: &Arc<AtomicU64>) -> Result<FetchedInput, LfsFault> {
        let unreadable = |error: io::Error| LfsFault::Unreadable(error.to_string());
        let found = FoundFile { path: path.to_owned(), shown_path: path.to_owned(), kind: FileKind::File };
        let source = match LocalFile::open(&found, read.clone()) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LfsFault::NotStored),
            Err(error) => return Err(unreadable(error)),
        };
        let found = source.len();
        if found != pointer.size {
            return Err(LfsFault::Length { origin: ObjectLocation::LocalStore, found, expected: pointer.size });
        }
        if !self.options.verify {
            return Ok(fetched_input(Arc::new(source), None, pointer, Integrity::Size));
        }
        let sha256 = scanner::hash::of(&source).map_err(unreadable)?;
        if sha256 != pointer.oid {
            return Err(LfsFault::Hash { origin: ObjectLocation::LocalStore, found: sha256 });
        }
        Ok(fetched_input(Arc::new(source), Some(sha256), pointer, Integrity::Sha256))
    }
}

fn fetched_input(
    source: Arc<dyn VerifiedSource>,
    sha256: Option<String>,
    pointer: &Pointer,
    integrity: Integrity,
) -> FetchedInput {
    let lfs = LfsReport { oid: pointer.oid.clone(), size: pointer.size, integrity };
    FetchedInput { source, name: String::new(), sha256, lfs: Some(lfs) }
}
