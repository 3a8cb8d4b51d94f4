//! The copy of one open file, into a place where nobody else can write.

use crate::hash::{self, Hasher};
use rustix::fs::ioctl_ficlone;
use scanner::source::FileSource;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Copies all of `from` into the empty file `to`; blocks are shared where the file system can. Gives the SHA-256 of what was
/// written, where it is asked for.
///
/// # Errors
/// When reading or writing fails, somebody writes to `from` meanwhile, or `stop` is set.
pub(crate) fn copy(from: &File, to: &File, hashed: bool, stop: &AtomicBool) -> io::Result<Option<String>> {
    let source = FileSource::new(from.try_clone()?, Arc::default())?;
    let before = source.stamp()?;
    let sha256 = if ioctl_ficlone(to, from).is_ok() {
        hashed.then(|| hash::of(to)).transpose()?
    } else {
        let mut hasher = hashed.then(Hasher::default);
        let mut at = 0u64;
        hash::blocks(from, |bytes| {
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
            }
            to.write_all_at(bytes, at)?;
            at = at.saturating_add(bytes.len() as u64);
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            Ok(())
        })?;
        hasher.map(Hasher::finish)
    };
    // A copy that is torn between two contents is neither, and whoever writes may write on.
    if source.stamp()? != before {
        return Err(io::Error::other("the file changed while it was copied; try again when nobody writes to it"));
    }
    Ok(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_bytes_and_the_hash_of_its_source() {
        let (from, to) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        let bytes: Vec<u8> = (0..1_000_000u32).map(|index| (index % 253) as u8).collect();
        from.write_all_at(&bytes, 0).expect("it is written");
        let hash = copy(&from, &to, true, &AtomicBool::new(false)).expect("it is copied");
        assert_eq!(hash, Some(hash::of(&from).expect("it reads")));
        assert_eq!((hash::of(&to).ok(), to.metadata().expect("it is there").len()), (hash, 1_000_000));
    }

    #[test]
    fn a_copy_stops_when_it_is_asked_to() {
        let (from, to) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        from.write_all_at(b"x", 0).expect("it is written");
        // Where blocks are shared there is nothing to stop.
        let stopped = copy(&from, &to, false, &AtomicBool::new(true));
        assert!(stopped.is_err() || to.metadata().expect("it is there").len() == 1);
    }
}
