//! Queries to NVIDIA's library about a GPU. They run in a child process: the library may start threads and leave descriptors open, and the
//! process that sets up the sandbox must have neither. The query has a timeout, in case the driver hangs.

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use rustix::time::Timespec;
use serde::{Deserialize, Serialize};

use crate::sys::calls::{self, CloneResult};
use crate::sys::error::Error;
use crate::sys::nvml::Nvml;

/// What the driver says about a GPU or a MIG slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct DriverInfo {
    /// The minor number of the GPU's node; of a slice, of the GPU that it belongs to.
    pub(crate) minor: u32,
    /// GPU instance and compute instance of a slice.
    pub(crate) slice: Option<(u32, u32)>,
    /// Memory in bytes.
    pub(crate) total_memory: u64,
    /// Whether the driver can limit the memory of a cgroup.
    pub(crate) can_limit_memory: bool,
}

/// In seconds. Without the persistence daemon, a driver takes seconds to initialize a large GPU.
const TIMEOUT_SECONDS: i64 = 20;
/// More than any answer.
const MAX_ANSWER_BYTES: u64 = 4096;

/// Queries a GPU by number or UUID, or a MIG slice by UUID.
pub(crate) fn query(gpu: &str) -> Result<DriverInfo, Error> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(unavailable)?;
    match calls::clone3(0, None).map_err(unavailable)? {
        CloneResult::Child => {
            drop(read);
            let info = query_here(gpu).map_err(unavailable);
            let text = serde_json::to_vec(&info).unwrap_or_default();
            let _ = rustix::io::write(&write, &text);
            calls::exit_now(0)
        }
        CloneResult::Parent { pidfd, .. } => {
            drop(write);
            let answer = read_answer(read);
            // The process is no longer needed, whether it answered or hangs.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            serde_json::from_slice(&answer).unwrap_or_else(|_| Err(unavailable("libnvidia-ml.so.1 does not answer")))
        }
    }
}

fn unavailable(reason: impl std::fmt::Display) -> Error {
    Error::setup("querying the GPU driver", reason)
}

fn read_answer(pipe: OwnedFd) -> Vec<u8> {
    let timeout = Timespec { tv_sec: TIMEOUT_SECONDS, tv_nsec: 0 };
    let mut text = Vec::new();
    if poll(&mut [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)], Some(&timeout)) == Ok(1) {
        let _ = std::fs::File::from(pipe).take(MAX_ANSWER_BYTES).read_to_end(&mut text);
    }
    text
}

fn query_here(gpu: &str) -> io::Result<DriverInfo> {
    let driver = Nvml::open()?;
    let device = match gpu.parse::<u32>() {
        Ok(minor) => driver.by_minor(minor)?,
        Err(_) => driver.by_uuid(&CString::new(gpu)?)?,
    };
    let total_memory = driver.total_memory(device)?;
    let (parent, slice) = if gpu.starts_with("MIG-") {
        let (parent, instance, compute) = driver.slice(device)?;
        (parent, Some((instance, compute)))
    } else {
        (device, None)
    };
    Ok(DriverInfo { minor: driver.minor(parent)?, slice, total_memory, can_limit_memory: driver.can_limit_memory() })
}
