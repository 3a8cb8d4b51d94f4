//! Copies an open file.

use crate::file_bytes;
use rustix::fs::ioctl_ficlone;
use scanner::hash::Hasher;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Copies all of `from` into the empty file `to`. Blocks are shared where the file system can (XFS, btrfs). Returns the SHA-256 of
/// the written bytes if `hashed`.
///
/// # Errors
/// When reading or writing fails, `from` changes meanwhile, or `stop` is set.
pub(crate) fn copy_file(from: &File, to: &File, hashed: bool, stop: &AtomicBool) -> io::Result<Option<String>> {
    let source = file_bytes::source(from)?;
    let before = source.stamp()?;
    let sha256 = if ioctl_ficlone(to, from).is_ok() {
        hashed.then(|| file_bytes::sha256(to)).transpose()?
    } else {
        let mut hasher = hashed.then(Hasher::default);
        let mut at = 0u64;
        file_bytes::for_each_block(&source, |bytes| {
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
    // The copy may be a mix of two contents.
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
        let hash = copy_file(&from, &to, true, &AtomicBool::new(false)).expect("it is copied");
        assert_eq!(hash, Some(file_bytes::sha256(&from).expect("it reads")));
        assert_eq!((file_bytes::sha256(&to).ok(), to.metadata().expect("it is there").len()), (hash, 1_000_000));
    }

    #[test]
    fn a_copy_stops_on_request() {
        let (from, to) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        from.write_all_at(b"x", 0).expect("it is written");
        // Shared blocks take no time that could be interrupted.
        let stopped = copy_file(&from, &to, false, &AtomicBool::new(true));
        assert!(stopped.is_err() || to.metadata().expect("it is there").len() == 1);
    }
}
