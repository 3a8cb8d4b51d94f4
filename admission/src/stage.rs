//! A folder copied to where nobody else can write, with only what is admitted in it.
//!
//! Everything is looked at twice. First where it stands, so that a folder that is refused costs no copy and all reasons are
//! told at once. Then what was copied: somebody who writes to a file between those two, or through a mapping that leaves no
//! trace in its times, changes what is admitted or what is refused, but never what was looked at into something else.

use crate::check::{Difference, against, check, missing};
use crate::copy::copy;
use crate::hash;
use crate::lock::Lock;
use crate::look::{Allowed, Looked, Standing, look};
use crate::walk::{Entry, Folder, Listing, Problem};
use scanner::Limits;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is admitted, and how.
#[derive(Default)]
pub struct Options<'a> {
    /// The bounds.
    pub limits: Limits,
    /// What is admitted beyond what is clean.
    pub allowed: Allowed,
    /// The folder must be as it was locked.
    pub lock: Option<&'a Lock>,
    /// What is in the folder and not to be looked at: the lock.
    pub except: Option<&'a Path>,
    /// Leave out what is not admitted, in place of refusing all.
    pub omit: bool,
    /// Set by somebody who wants it to stop.
    pub stop: Option<&'a AtomicBool>,
}

/// What was copied, and what was left out.
#[derive(Debug, Default)]
pub struct Copied {
    /// Every file that is there.
    pub files: Vec<Staged>,
    /// Files that are not admitted, where these are left out.
    pub omitted: Vec<Refused>,
}

/// A file that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Its name below the folder.
    pub path: String,
    /// Its format.
    pub format: String,
}

/// Why nothing is handed on.
#[derive(Debug, Default)]
pub struct Refusal {
    /// Files that are not admitted, each with the reason.
    pub refused: Vec<Refused>,
    /// What is not as it was locked.
    pub differences: Vec<Difference>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A file that is not admitted.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its name below the folder.
    pub path: String,
    /// What it is.
    pub standing: Standing,
    /// Why.
    pub why: String,
    /// By which it could be allowed, where it could be.
    pub sha256: Option<String>,
}

impl Refusal {
    /// Whether there is no reason.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.differences.is_empty() && self.problems.is_empty()
    }

    /// Whether it is about what a file is or does, rather than about what could not be read.
    pub fn is_finding(&self) -> bool {
        !self.differences.is_empty()
            || self.refused.iter().any(|one| !matches!(one.standing, Standing::Unread | Standing::Archive))
    }

    fn add(&mut self, path: &str, result: io::Result<Option<Refused>>) {
        match result {
            Ok(refused) => self.refused.extend(refused),
            Err(error) => self.problems.push(Problem { path: path.to_owned(), why: error.to_string() }),
        }
    }
}

impl Options<'_> {
    fn stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Whether the file is admitted; the reason where it is not.
    fn judge(&self, file: &File, path: &str) -> io::Result<(Looked, Option<Refused>)> {
        let looked = look(file, path, &self.limits)?;
        let standing = looked.standing;
        if self.allowed.admits(standing, None) {
            return Ok((looked, None));
        }
        let sha256 = if standing == Standing::Dangerous { None } else { Some(hash::of(file)?) };
        if self.allowed.admits(standing, sha256.as_deref()) {
            return Ok((looked, None));
        }
        let refused = Refused { path: path.to_owned(), standing, why: looked.why(), sha256 };
        Ok((looked, Some(refused)))
    }

    /// Looks at all files where they stand.
    fn survey(&self, folder: &Folder, listing: &Listing, refusal: &mut Refusal) {
        for entry in &listing.files {
            if self.stopped() {
                return;
            }
            let file = match folder.file(entry) {
                Ok(file) => file,
                Err(error) => {
                    refusal.add(&entry.path, Err(error));
                    continue;
                }
            };
            if let (Some(lock), Ok(meta)) = (self.lock, file.metadata()) {
                // What has another length need not be hashed; the rest is, when it is copied.
                let hash = lock.get(&entry.path).map_or("", |locked| locked.sha256.as_str());
                refusal.differences.extend(against(lock, &entry.path, meta.len(), hash));
            }
            // What is left out is so by its copy: by then it may be another.
            if self.omit {
                continue;
            }
            let result = self.judge(&file, &entry.path).map(|(_, refused)| refused);
            refusal.add(&entry.path, result);
        }
    }

    /// Copies a file and looks at the copy.
    fn one(
        &self,
        folder: &Folder,
        entry: &Entry,
        out: &Path,
        done: &mut Copied,
        refusal: &mut Refusal,
    ) -> io::Result<()> {
        let place = out.join(&entry.path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        let never = AtomicBool::new(false);
        let from = folder.file(entry)?;
        let to = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&place)?;
        let sha256 = copy(&from, &to, self.lock.is_some(), self.stop.unwrap_or(&never))?;
        if let (Some(lock), Some(sha256)) = (self.lock, &sha256)
            && let Some(difference) = against(lock, &entry.path, to.metadata()?.len(), sha256)
        {
            refusal.differences.push(difference);
            return Ok(());
        }
        match self.judge(&to, &entry.path)? {
            (looked, None) => {
                let format = looked.report.format.to_owned();
                done.files.push(Staged { path: entry.path.clone(), format });
            }
            (_, Some(refused)) if self.omit => {
                fs::remove_file(&place)?;
                done.omitted.push(refused);
            }
            (_, Some(refused)) => refusal.refused.push(refused),
        }
        Ok(())
    }
}

/// Copies what a folder holds into the folder `out`, which is empty and in which nobody else can write.
///
/// # Errors
/// Every reason why it is not handed on. What was copied by then is the caller's to take away.
pub fn stage(folder: &Folder, out: &Path, options: &Options<'_>) -> Result<Copied, Refusal> {
    let mut listing = folder.list(&options.limits, options.except);
    let mut refusal = Refusal { problems: std::mem::take(&mut listing.problems), ..Refusal::default() };
    if let Some(lock) = options.lock {
        let named = listing.files.iter().map(|entry| entry.path.as_str());
        refusal.differences = missing(lock, named.chain(refusal.problems.iter().map(|problem| problem.path.as_str())));
    }
    options.survey(folder, &listing, &mut refusal);
    if let (Some(lock), false) = (options.lock, refusal.differences.is_empty()) {
        // It is refused already, so there is time to name all that differs.
        refusal.differences = check(folder, lock, &options.limits, options.except).differences;
    }
    let mut done = Copied::default();
    for entry in &listing.files {
        if options.stopped() {
            refusal.problems.push(Problem { path: String::new(), why: "interrupted".to_owned() });
        }
        // Nothing more need be copied once there is a reason.
        if !refusal.is_empty() {
            break;
        }
        if let Err(error) = options.one(folder, entry, out, &mut done, &mut refusal) {
            refusal.problems.push(Problem { path: entry.path.clone(), why: error.to_string() });
        }
    }
    refusal.differences.sort();
    refusal.problems.sort_by(|one, other| one.path.cmp(&other.path));
    if refusal.is_empty() { Ok(done) } else { Err(refusal) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A folder with these files, and an empty one.
    fn folders(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Folder, std::path::PathBuf) {
        let root = tempfile::tempdir().expect("a folder can be made");
        let (models, out) = (root.path().join("models"), root.path().join("out"));
        fs::create_dir_all(&models).and_then(|()| fs::create_dir(&out)).expect("folders can be made");
        for (name, bytes) in files {
            fs::write(models.join(name), bytes).expect("it can be written");
        }
        let folder = Folder::open(&models).expect("it is there");
        (root, folder, out)
    }

    #[test]
    fn what_is_admitted_is_copied_byte_by_byte() {
        let (_root, folder, out) = folders(&[("a.pkl", b"]."), ("config.json", b"{}")]);
        let staged = stage(&folder, &out, &Options::default()).expect("all of it is admitted").files;
        let names: Vec<(&str, &str)> = staged.iter().map(|one| (one.path.as_str(), one.format.as_str())).collect();
        assert_eq!(names, [("a.pkl", "pickle"), ("config.json", "unknown")]);
        assert_eq!(fs::read(out.join("a.pkl")).expect("it is there"), b"].");
    }

    #[test]
    fn all_reasons_are_told_and_nothing_is_copied() {
        let bad = b"cposix\nsystem\n(S'id'\ntR.";
        let (_root, folder, out) =
            folders(&[("a.pkl", b"]."), ("b.pkl", bad), ("c.py", b""), ("d.pkl", b"\x80\x02]q")]);
        let refusal = stage(&folder, &out, &Options::default()).expect_err("it is refused");
        let found: Vec<Standing> = refusal.refused.iter().map(|one| one.standing).collect();
        assert_eq!(found, [Standing::Dangerous, Standing::Program, Standing::Unread]);
        assert!(refusal.is_finding() && refusal.refused.iter().all(|one| !one.why.is_empty()));
        assert_eq!(fs::read_dir(&out).expect("it is there").count(), 0);
        let copied = stage(&folder, &out, &Options { omit: true, ..Options::default() }).expect("the rest is admitted");
        assert_eq!((copied.files.len(), copied.omitted.len()), (1, 3));
        let names: Vec<_> =
            fs::read_dir(&out).expect("it is there").map(|entry| entry.expect("there").file_name()).collect();
        assert_eq!(names, ["a.pkl"]);
    }

    #[test]
    fn it_stops_when_it_is_asked_to() {
        let (_root, folder, out) = folders(&[("a.pkl", b"].")]);
        let stop = Arc::new(AtomicBool::new(true));
        let refusal = stage(&folder, &out, &Options { stop: Some(&stop), ..Options::default() });
        assert!(refusal.is_err_and(|refusal| !refusal.is_finding()));
    }
}
