//! Git LFS: a pointer is not a model. The object that it names is looked for in the repository's own store and then, if
//! that was asked for, on its server.

mod batch;
mod config;
mod repository;

use crate::address::Address;
use crate::client::{Ask, Client};
use crate::open;
use batch::{Action, MOST};
use repository::Repository;
use scanner::directory::{FileKind, FoundFile};
use scanner::internal::format::lfs_pointer::Pointer;
use scanner::providers::{FetchedInput, LocalFile};
use scanner::report::{Integrity, LfsReport};
use scanner::source::Source;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Where objects are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lfs {
    /// Nowhere: pointers stay unscanned.
    Skip,
    /// In the repository's own store.
    #[default]
    Local,
    /// There, and then on the repository's server.
    Fetch,
}

/// How objects are looked for.
#[derive(Clone, Default)]
pub struct LfsOptions {
    /// Where.
    pub from: Lfs,
    /// Whether objects are hashed, those of the local store too.
    pub verify: bool,
    /// The server, in place of the one that the repository names.
    pub server: Option<Address>,
}

/// Finds the objects of pointers.
#[derive(Default)]
pub(crate) struct Objects {
    options: LfsOptions,
    /// Whether the hash of what is fetched is wanted.
    hash: bool,
    /// By folder.
    repositories: Mutex<HashMap<PathBuf, Option<Arc<Repository>>>>,
    /// What servers said, by server and object.
    answers: Mutex<HashMap<(String, String), Result<Action, String>>>,
}

impl Objects {
    pub(crate) fn new(options: LfsOptions, hash: bool) -> Self {
        let hash = hash || options.verify;
        Self { options, hash, repositories: Mutex::default(), answers: Mutex::default() }
    }

    /// Whether objects are looked for.
    pub(crate) fn resolves(&self) -> bool {
        self.options.from != Lfs::Skip
    }

    /// Whether objects are fetched.
    pub(crate) fn fetches(&self) -> bool {
        self.options.from == Lfs::Fetch
    }

    fn repository(&self, file: &Path) -> Option<Arc<Repository>> {
        let folder = file.parent()?.to_owned();
        let mut known = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(folder).or_insert_with(|| Repository::around(file).map(Arc::new)).clone()
    }

    fn server(&self, repository: Option<&Repository>) -> Result<Address, String> {
        match (&self.options.server, repository) {
            (Some(server), _) => Ok(server.clone()),
            (None, Some(repository)) => repository.server(),
            (None, None) => Err("it lies in no git repository; --lfs-url names a server".to_owned()),
        }
    }

    /// Asks for all objects that are not here, a hundred at a time.
    pub(crate) fn expect(&self, client: &Client, pointers: &[(&Path, Pointer)], deadline: Instant) {
        let mut wanted: Vec<(Address, Vec<Pointer>)> = Vec::new();
        for (file, pointer) in pointers {
            let repository = self.repository(file);
            let place = repository.as_ref().and_then(|repository| repository.object(&pointer.oid));
            if place.is_some_and(|place| place.is_file()) {
                continue;
            }
            let Ok(server) = self.server(repository.as_deref()) else { continue };
            let list = match wanted.iter_mut().find(|(known, _)| *known == server) {
                Some((_, list)) => list,
                None => {
                    wanted.push((server, Vec::new()));
                    let Some((_, list)) = wanted.last_mut() else { continue };
                    list
                }
            };
            list.push(pointer.clone());
        }
        for (server, mut list) in wanted {
            list.sort_by(|a, b| (&a.oid, a.size).cmp(&(&b.oid, b.size)));
            list.dedup();
            for some in list.chunks(MOST) {
                self.ask(client, &server, some, deadline);
            }
        }
    }

    fn ask(&self, client: &Client, server: &Address, pointers: &[Pointer], deadline: Instant) {
        let mut answered = match batch::ask(client, server, pointers, deadline) {
            Ok(answered) => answered,
            Err(why) => pointers.iter().map(|pointer| (pointer.oid.clone(), Err(why.clone()))).collect(),
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for pointer in pointers {
            let said = answered.remove(&pointer.oid);
            let said = said.unwrap_or_else(|| Err("the LFS server says nothing of it".to_owned()));
            answers.insert((server.shown(), pointer.oid.clone()), said);
        }
    }

    /// Opens the object of a pointer.
    pub(crate) fn open(
        &self,
        client: Option<&Arc<Client>>,
        file: &Path,
        pointer: &Pointer,
        read: &Arc<AtomicU64>,
        deadline: Instant,
    ) -> Result<FetchedInput, String> {
        let repository = self.repository(file);
        let missing = match repository.as_ref().and_then(|repository| repository.object(&pointer.oid)) {
            None => "it lies in no git repository".to_owned(),
            Some(place) => match self.local(&place, pointer, read) {
                Ok(brought) => return Ok(brought),
                Err(why) => why,
            },
        };
        let Some(client) = client.filter(|_| self.options.from == Lfs::Fetch) else {
            return Err(format!("{missing}; --lfs fetch reads it from the server"));
        };
        let server = self.server(repository.as_deref())?;
        let key = (server.shown(), pointer.oid.clone());
        let known = || self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let action = known().or_else(|| {
            self.ask(client, &server, std::slice::from_ref(pointer), deadline);
            known()
        });
        let action = action.ok_or("the LFS server says nothing of it")??;
        let ask = Ask { address: action.address, secret: action.headers, deadline };
        let object = open::open(client, ask, self.hash, read)?;
        if object.source.len() != pointer.size {
            return Err(format!("the server's object has {} bytes and not {}", object.source.len(), pointer.size));
        }
        let integrity = match &object.sha256 {
            Some(sha256) if *sha256 == pointer.oid => Integrity::Sha256,
            Some(sha256) => return Err(format!("the SHA-256 of the server's object is {sha256}")),
            None => Integrity::Range,
        };
        Ok(brought(object.source, object.sha256, pointer, integrity))
    }

    /// Opens an object of the local store.
    fn local(&self, place: &Path, pointer: &Pointer, read: &Arc<AtomicU64>) -> Result<FetchedInput, String> {
        let found = FoundFile { path: place.to_owned(), shown_path: place.to_owned(), kind: FileKind::File };
        let source = match LocalFile::open(&found, read.clone()) {
            Ok(source) => source,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err("its object is not in the local store".to_owned());
            }
            Err(error) => return Err(format!("its object in the local store cannot be read: {error}")),
        };
        if source.len() != pointer.size {
            return Err(format!("its object in the local store has {} bytes and not {}", source.len(), pointer.size));
        }
        if !self.options.verify {
            return Ok(brought(Arc::new(source), None, pointer, Integrity::Size));
        }
        let sha256 = scanner::hash::of(&source).map_err(|error| error.to_string())?;
        if sha256 != pointer.oid {
            return Err(format!("its object in the local store has the SHA-256 {sha256}"));
        }
        Ok(brought(Arc::new(source), Some(sha256), pointer, Integrity::Sha256))
    }
}

fn brought(
    source: Arc<dyn scanner::providers::VerifiedSource>,
    sha256: Option<String>,
    pointer: &Pointer,
    integrity: Integrity,
) -> FetchedInput {
    let lfs = LfsReport { oid: pointer.oid.clone(), size: pointer.size, integrity };
    FetchedInput { source, name: String::new(), sha256, lfs: Some(lfs) }
}
