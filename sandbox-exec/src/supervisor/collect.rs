//! Copies results out of `/out`. All processes inside are dead by then, and the folder is reached only through a descriptor, so nothing can change
//! meanwhile. Regular files with plain names are copied; links, pipes, devices and files with several hard links are left and reported.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, renameat, unlinkat,
};

use crate::plan::Plan;
use crate::policy::exit_report::{Violation, Violations};

/// The deepest nesting of folders.
const MAX_DEPTH: usize = 32;

/// Copies the results to the folder `to`, and returns their paths relative to `/out`. Everything left behind becomes a violation.
pub(crate) fn collect(
    plan: &Plan,
    out: &OwnedFd,
    to: &Path,
    violations: &mut Violations,
    at_ms: u64,
) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(to)?;
    let target = openat(CWD, to, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut state = Collection { plan, out, target, left: plan.limits.out.0, files: Vec::new(), violations, at_ms };
    // A worklist instead of recursion: the command chooses the depth.
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        state.folder(&folder, &mut folders)?;
    }
    state.files.sort();
    Ok(state.files)
}

struct Collection<'a> {
    plan: &'a Plan,
    out: &'a OwnedFd,
    target: OwnedFd,
    left: u64,
    files: Vec<String>,
    violations: &'a mut Violations,
    at_ms: u64,
}

impl Collection<'_> {
    fn skip(&mut self, path: &Path, reason: &str) {
        self.violations.add(Violation::new("output", path.to_string_lossy(), reason, self.at_ms));
    }

    fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let beneath =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        openat2(self.out, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty(), beneath)
    }

    fn folder(&mut self, folder: &Path, more: &mut Vec<PathBuf>) -> io::Result<()> {
        let Ok(opened) = self.open(folder, OFlags::RDONLY | OFlags::DIRECTORY) else {
            self.skip(folder, "the folder cannot be read");
            return Ok(());
        };
        for entry in Dir::new(opened)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let plain = std::str::from_utf8(name).ok().filter(|name| !name.chars().any(char::is_control));
            let Some(name) = plain else {
                self.skip(
                    &folder.join(String::from_utf8_lossy(name).escape_default().to_string()),
                    "the name is not plain text",
                );
                continue;
            };
            let path = folder.join(name);
            match entry.file_type() {
                FileType::Directory if path.components().count() < MAX_DEPTH => {
                    if self.plan.results.is_empty() {
                        more.push(path);
                    } else {
                        self.skip(&path, "not among the results that the profile lets out");
                    }
                }
                FileType::Directory => self.skip(&path, "too deep"),
                FileType::RegularFile => self.file(&path)?,
                FileType::Symlink => self.skip(&path, "a link"),
                FileType::Fifo => self.skip(&path, "a pipe"),
                FileType::Socket => self.skip(&path, "a socket"),
                _ => self.skip(&path, "not a regular file"),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let shown = path.to_string_lossy().into_owned();
        if !self.plan.results.is_empty() && !self.plan.results.contains(&shown) {
            self.skip(path, "not among the results that the profile lets out");
            return Ok(());
        }
        let Ok(source) = self.open(path, OFlags::RDONLY) else {
            self.skip(path, "cannot be read");
            return Ok(());
        };
        let about = fstat(&source)?;
        let size = u64::try_from(about.st_size).unwrap_or(u64::MAX);
        let count = u64::try_from(self.files.len()).unwrap_or(u64::MAX);
        let problem = if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            Some("not a regular file")
        } else if about.st_nlink > 1 {
            Some("has several hard links")
        } else if size > self.left {
            Some("more bytes than may leave (--out-limit)")
        } else if count >= self.plan.limits.out_files {
            Some("more files than may leave (limits.out-files)")
        } else {
            None
        };
        if let Some(reason) = problem {
            self.skip(path, reason);
            return Ok(());
        }
        if about.st_mode & 0o6000 != 0 {
            self.skip(path, "setuid or setgid: copied without that bit");
        }
        self.copy(path, source, size)?;
        self.left -= size;
        self.files.push(shown);
        Ok(())
    }

    /// Copies under a temporary name and renames, so that an incomplete copy never has the final name.
    fn copy(&self, path: &Path, source: OwnedFd, size: u64) -> io::Result<()> {
        let mut folder = self.target.try_clone()?;
        let open = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for part in path.parent().into_iter().flat_map(Path::components) {
            match mkdirat(&folder, part.as_os_str(), Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            folder = openat(&folder, part.as_os_str(), open, Mode::empty())?;
        }
        let Some(name) = path.file_name() else {
            return Ok(());
        };
        let temporary = format!(".modelscan-{}.part", std::process::id());
        let _ = unlinkat(&folder, &temporary, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = openat(&folder, &temporary, flags, Mode::from_bits_truncate(0o644))?;
        let mut to = std::fs::File::from(written);
        let mut from = io::Read::take(std::fs::File::from(source), size);
        let done =
            io::copy(&mut from, &mut to).and_then(|_| Ok(renameat(folder.as_fd(), &temporary, folder.as_fd(), name)?));
        if done.is_err() {
            let _ = unlinkat(&folder, &temporary, AtFlags::empty());
        }
        done
    }
}
