//! What NVIDIA's library tells about a GPU. It is asked in a process of its own that ends with the answer: the library may start threads and
//! leave descriptors open, and the process that builds the walls must have neither. A driver that hangs is waited for only so long.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use serde::{Deserialize, Serialize};

use crate::sys::{self, Nvml};

/// What is known of a GPU or a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Told {
    /// Of the node of the GPU, or of the GPU that the slice is cut from.
    pub(crate) minor: u32,
    /// GPU instance and compute instance of a slice.
    pub(crate) slice: Option<(u32, u32)>,
    /// All memory that it has.
    pub(crate) total: u64,
    /// Whether the driver can limit the memory of a cgroup.
    pub(crate) limits: bool,
}

/// Without a daemon that keeps it awake, a driver takes seconds to start a large GPU.
const PATIENCE: i64 = 20;
/// An answer is a line; more is none.
const LONGEST: u64 = 4096;

/// Asks about a GPU by number or UUID, or a slice by UUID.
pub(crate) fn ask(which: &str) -> Result<Told, String> {
    let failed = |e: rustix::io::Errno| format!("the driver cannot be asked: {e}");
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    match sys::clone3(0, None).map_err(|e| format!("the driver cannot be asked: {e}"))? {
        sys::Side::Child => {
            drop(read);
            let told = look(which).map_err(|e| e.to_string());
            let text = serde_json::to_vec(&told).unwrap_or_default();
            let _ = rustix::io::write(&write, &text);
            sys::exit_now(0)
        }
        sys::Side::Parent { pidfd, .. } => {
            drop(write);
            let patience = rustix::time::Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
            let answered = poll(&mut [PollFd::from_borrowed_fd(read.as_fd(), PollFlags::IN)], Some(&patience));
            let mut text = Vec::new();
            if answered == Ok(1) {
                let _ = std::fs::File::from(read).take(LONGEST).read_to_end(&mut text);
            }
            // It has nothing to do any more, whether it answered or hangs.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            serde_json::from_slice(&text).unwrap_or_else(|_| Err("the driver's library does not answer".to_owned()))
        }
    }
}

fn look(which: &str) -> std::io::Result<Told> {
    let driver = Nvml::open()?;
    let device = match which.parse::<u32>() {
        Ok(minor) => driver.by_minor(minor)?,
        Err(_) => driver.by_uuid(&CString::new(which)?)?,
    };
    let total = driver.total_memory(device)?;
    let (whole, slice) = if which.starts_with("MIG-") {
        let (whole, instance, compute) = driver.slice(device)?;
        (whole, Some((instance, compute)))
    } else {
        (device, None)
    };
    Ok(Told { minor: driver.minor(whole)?, slice, total, limits: driver.can_limit() })
}
