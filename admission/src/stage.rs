//! Copies the admitted files of a folder to a place that only this process can write.
//!
//! Every file is assessed twice. First the originals, so that a refused folder costs no copy and all reasons are reported at once.
//! Then the copies: a program that writes to an original between the two, or through a mapping that leaves no trace in its times,
//! changes which files are admitted, but an admitted copy is always the one that was assessed.

use crate::assess::{AssessedFile, assess_file};
use crate::copy::copy_file;
use crate::difference::Difference;
use crate::error::Problem;
use crate::file_bytes;
use crate::folder::{Folder, FolderListing, ListedFile};
use crate::lock::Lock;
use crate::lock_check::{check_lock, compare_file, missing_files};
use crate::policy::{Admission, AdmissionPolicy};
use scanner::Limits;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which files are copied.
#[derive(Default)]
pub struct StageOptions<'a> {
    /// The limits of the scans.
    pub limits: Limits,
    /// Which kinds of files are admitted.
    pub policy: AdmissionPolicy,
    /// A lock that the folder must agree with.
    pub lock: Option<&'a Lock>,
    /// A file of the folder that is left out: the lock.
    pub except: Option<&'a Path>,
    /// Leave out refused files instead of refusing the folder.
    pub omit_refused: bool,
    /// Set by the caller to stop.
    pub stop: Option<&'a AtomicBool>,
}

/// The result of a copy.
#[derive(Debug, Default)]
pub struct StagedFolder {
    /// The copied files, sorted by path.
    pub files: Vec<StagedFile>,
    /// Refused files, if they are left out.
    pub omitted: Vec<RefusedFile>,
}

/// A copied file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// Its name below the folder.
    pub path: String,
    /// The id of its format.
    pub format: String,
}

/// Why a folder is refused.
#[derive(Debug, Default)]
pub struct Refusal {
    /// Files that are not admitted.
    pub refused: Vec<RefusedFile>,
    /// Differences from the lock.
    pub differences: Vec<Difference>,
    /// Files that could not be read.
    pub problems: Vec<Problem>,
}

/// A file that is not admitted.
#[derive(Debug, Clone)]
pub struct RefusedFile {
    /// Its name below the folder.
    pub path: String,
    /// Its kind.
    pub admission: Admission,
    /// Why it is not admitted.
    pub reason: String,
    /// The SHA-256 that would admit it. `None` for a dangerous file.
    pub sha256: Option<String>,
}

impl Refusal {
    /// Whether nothing is refused.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.differences.is_empty() && self.problems.is_empty()
    }

    /// Whether the content of a file is a reason, and not only that files could not be read.
    pub fn is_finding(&self) -> bool {
        let is_about_content = |file: &RefusedFile| match file.admission {
            Admission::Unread | Admission::Archive => false,
            Admission::Admitted | Admission::Program | Admission::Unproven | Admission::Dangerous => true,
        };
        !self.differences.is_empty() || self.refused.iter().any(is_about_content)
    }

    fn add(&mut self, path: &str, result: io::Result<Option<RefusedFile>>) {
        match result {
            Ok(refused) => self.refused.extend(refused),
            Err(error) => self.problems.push(Problem { path: path.to_owned(), reason: error.to_string() }),
        }
    }
}

impl StageOptions<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Assesses a file. The second value is set if it is refused.
    fn admit(&self, file: &File, path: &str) -> io::Result<(AssessedFile, Option<RefusedFile>)> {
        let assessed = assess_file(file, path, &self.limits)?;
        let admission = assessed.admission;
        if self.policy.admits(admission, None) {
            return Ok((assessed, None));
        }
        let sha256 = if admission == Admission::Dangerous { None } else { Some(file_bytes::sha256(file)?) };
        if self.policy.admits(admission, sha256.as_deref()) {
            return Ok((assessed, None));
        }
        let refused = RefusedFile { path: path.to_owned(), admission, reason: assessed.reason(), sha256 };
        Ok((assessed, Some(refused)))
    }

    fn assess_originals(&self, folder: &Folder, listing: &FolderListing, refusal: &mut Refusal) {
        for listed in &listing.files {
            if self.is_stopped() {
                return;
            }
            let file = match folder.open_file(listed) {
                Ok(file) => file,
                Err(error) => {
                    refusal.add(&listed.path, Err(error));
                    continue;
                }
            };
            if let (Some(lock), Ok(meta)) = (self.lock, file.metadata()) {
                // The length is compared here. The hash is compared when the file is copied.
                let hash = lock.get(&listed.path).map_or("", |locked| locked.sha256.as_str());
                refusal.differences.extend(compare_file(lock, &listed.path, meta.len(), hash));
            }
            // Whether a file is left out depends on its copy.
            if self.omit_refused {
                continue;
            }
            let result = self.admit(&file, &listed.path).map(|(_, refused)| refused);
            refusal.add(&listed.path, result);
        }
    }

    /// Copies a file and admits the copy.
    fn copy_and_admit(
        &self,
        folder: &Folder,
        listed: &ListedFile,
        out: &Path,
        staged: &mut StagedFolder,
        refusal: &mut Refusal,
    ) -> io::Result<()> {
        let target = out.join(&listed.path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let never = AtomicBool::new(false);
        let from = folder.open_file(listed)?;
        let to = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&target)?;
        let sha256 = copy_file(&from, &to, self.lock.is_some(), self.stop.unwrap_or(&never))?;
        if let (Some(lock), Some(sha256)) = (self.lock, &sha256)
            && let Some(difference) = compare_file(lock, &listed.path, to.metadata()?.len(), sha256)
        {
            refusal.differences.push(difference);
            return Ok(());
        }
        match self.admit(&to, &listed.path)? {
            (assessed, None) => {
                let format = assessed.report.format.to_owned();
                staged.files.push(StagedFile { path: listed.path.clone(), format });
            }
            (_, Some(refused)) if self.omit_refused => {
                fs::remove_file(&target)?;
                staged.omitted.push(refused);
            }
            (_, Some(refused)) => refusal.refused.push(refused),
        }
        Ok(())
    }
}

/// Copies the admitted files of a folder into the folder `out`, which is empty and writable for this process only.
///
/// # Errors
/// Every reason to refuse the folder. The caller removes the files that were copied before.
pub fn stage_folder(folder: &Folder, out: &Path, options: &StageOptions<'_>) -> Result<StagedFolder, Refusal> {
    let mut listing = folder.list(&options.limits, options.except);
    let mut refusal = Refusal { problems: std::mem::take(&mut listing.problems), ..Refusal::default() };
    if let Some(lock) = options.lock {
        let listed = listing.files.iter().map(|file| file.path.as_str());
        let problems = refusal.problems.iter().map(|problem| problem.path.as_str());
        refusal.differences = missing_files(lock, listed.chain(problems));
    }
    options.assess_originals(folder, &listing, &mut refusal);
    if let (Some(lock), false) = (options.lock, refusal.differences.is_empty()) {
        // The folder is refused already, so there is time to report all differences.
        refusal.differences = check_lock(folder, lock, &options.limits, options.except).differences;
    }
    let mut staged = StagedFolder::default();
    for listed in &listing.files {
        if options.is_stopped() {
            refusal.problems.push(Problem { path: String::new(), reason: "interrupted".to_owned() });
        }
        if !refusal.is_empty() {
            break;
        }
        if let Err(error) = options.copy_and_admit(folder, listed, out, &mut staged, &mut refusal) {
            refusal.problems.push(Problem { path: listed.path.clone(), reason: error.to_string() });
        }
    }
    refusal.differences.sort();
    refusal.problems.sort_by(|one, other| one.path.cmp(&other.path));
    if refusal.is_empty() { Ok(staged) } else { Err(refusal) }
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
    fn admitted_files_are_copied_byte_by_byte() {
        let (_root, folder, out) = folders(&[("a.pkl", b"]."), ("config.json", b"{}")]);
        let staged = stage_folder(&folder, &out, &StageOptions::default()).expect("all of it is admitted").files;
        let names: Vec<(&str, &str)> = staged.iter().map(|one| (one.path.as_str(), one.format.as_str())).collect();
        assert_eq!(names, [("a.pkl", "pickle"), ("config.json", "unknown")]);
        assert_eq!(fs::read(out.join("a.pkl")).expect("it is there"), b"].");
    }

    #[test]
    fn all_reasons_are_reported_and_nothing_is_copied() {
        let bad = b"cposix\nsystem\n(S'id'\ntR.";
        let (_root, folder, out) =
            folders(&[("a.pkl", b"]."), ("b.pkl", bad), ("c.py", b""), ("d.pkl", b"\x80\x02]q")]);
        let refusal = stage_folder(&folder, &out, &StageOptions::default()).expect_err("it is refused");
        let found: Vec<Admission> = refusal.refused.iter().map(|one| one.admission).collect();
        assert_eq!(found, [Admission::Dangerous, Admission::Program, Admission::Unread]);
        assert!(refusal.is_finding() && refusal.refused.iter().all(|one| !one.reason.is_empty()));
        assert_eq!(fs::read_dir(&out).expect("it is there").count(), 0);
        let copied = stage_folder(&folder, &out, &StageOptions { omit_refused: true, ..StageOptions::default() })
            .expect("the rest is admitted");
        assert_eq!((copied.files.len(), copied.omitted.len()), (1, 3));
        let names: Vec<_> =
            fs::read_dir(&out).expect("it is there").map(|entry| entry.expect("there").file_name()).collect();
        assert_eq!(names, ["a.pkl"]);
    }

    #[test]
    fn it_stops_on_request() {
        let (_root, folder, out) = folders(&[("a.pkl", b"].")]);
        let stop = Arc::new(AtomicBool::new(true));
        let refusal = stage_folder(&folder, &out, &StageOptions { stop: Some(&stop), ..StageOptions::default() });
        assert!(refusal.is_err_and(|refusal| !refusal.is_finding()));
    }
}
