//! System calls without a safe wrapper in rustix or the standard library: one function per call, with a safe signature and owned
//! descriptors. Together with `nvml.rs` this is the only unsafe code of the crate.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// The return value of [`clone3`] in each of the two processes.
#[derive(Debug)]
pub(crate) enum CloneResult {
    /// In the new process.
    Child,
    /// In the calling process; the pidfd refers to the child even after its pid is reused.
    Parent { pid: i32, pidfd: OwnedFd },
}

/// From linux/sched.h; libc's constant is an `i32`, which cannot hold this bit.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Creates a process in new namespaces (`flags`) and, if given, in a cgroup of version 2. Callers must have one thread.
pub(crate) fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<CloneResult> {
    let mut pidfd: RawFd = -1;
    // JUSTIFICATION: no crate in use wraps clone3; fork has no flags. SAFETY: `clone_args` is plain integers, for which zero is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // JUSTIFICATION: as above. SAFETY: without CLONE_VM the child gets a copy of the whole memory, so no state is shared; the stack is
    // zero, so the child continues on its copy of our stack; `args` outlives the call and its size is passed; `pidfd` is a
    // writable int. Locks held by other threads would stay locked in the child: callers ensure that there is one thread only.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(CloneResult::Child);
    }
    // JUSTIFICATION: a raw descriptor needs an owner. SAFETY: the kernel has just created it, and nothing else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(CloneResult::Parent { pid: pid as i32, pidfd })
}

/// Starts a process that shares our memory until it executes a program or exits (CLONE_VM and CLONE_VFORK); this thread waits until then. This
/// avoids copying the page tables, and a page fault for every page written afterwards. Returns the process id.
pub(crate) fn spawn_sharing_memory(child: &dyn Fn() -> i32) -> io::Result<i32> {
    /// Bytes; untouched pages cost nothing.
    const STACK: usize = 1 << 20;
    extern "C" fn enter(child: *mut libc::c_void) -> libc::c_int {
        // JUSTIFICATION: clone passes a single pointer. SAFETY: it is the pointer passed below, to a local that outlives this process.
        let child = unsafe { *child.cast::<&dyn Fn() -> i32>() };
        child()
    }
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK);
    // JUSTIFICATION: no safe wrapper starts a process that shares memory, or maps a stack. SAFETY: a new anonymous mapping overlaps no other
    // memory, and its first page, made inaccessible, catches an overflow. The child runs on that stack, not on ours. With CLONE_VFORK this
    // thread, which callers ensure is the only one, is suspended until the child executes a program or exits: no memory is observed in
    // the middle of a change, and `child` and the stack outlive all their uses. Without CLONE_FILES and CLONE_SIGHAND the child has its own
    // descriptors and signal handlers; by its type the closure only borrows what it captures, so it drops no value of ours; its return
    // value becomes the exit code, and control never returns into our frames. The mapping is removed after its last use.
    unsafe {
        let stack = libc::mmap(std::ptr::null_mut(), STACK, access, flags, -1, 0);
        if stack == libc::MAP_FAILED || libc::mprotect(stack, 4096, libc::PROT_NONE) != 0 {
            return Err(io::Error::last_os_error());
        }
        let how = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pid = libc::clone(enter, stack.byte_add(STACK), how, (&raw const child).cast_mut().cast());
        let pid = check(pid.into());
        libc::munmap(stack, STACK);
        pid.map(|pid| pid as i32)
    }
}

/// Moves this process to new namespaces, as named by the CLONE_NEW flags.
pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // JUSTIFICATION: rustix's safe form is deprecated and its other one unsafe. SAFETY: no pointer is passed; with one thread and without
    // CLONE_FILES or CLONE_FS, nothing that Rust relies on is unshared.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// Sets and clears attributes of a mount, and with `recursive` of all mounts below it (mount_setattr(2)).
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, recursive: bool, set: u64, clear: u64) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // JUSTIFICATION: rustix has no mount_setattr. SAFETY: the path is a NUL-terminated constant, `attributes` outlives the call and
    // its size is passed; the kernel keeps no pointer.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(done).map(drop)
}

/// Installs a seccomp filter on this thread; with `notify`, returns the listener for user notifications (seccomp_unotify(2)).
pub(crate) fn seccomp(program: &[libc::sock_filter], notify: bool) -> io::Result<Option<OwnedFd>> {
    let len = libc::c_ushort::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    // The kernel only reads the program; the type in C has no const.
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let flags = if notify { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // JUSTIFICATION: seccompiler does not support user notification. SAFETY: `filter` points to `len` instructions that outlive the call; the
    // kernel copies them and verifies every jump before it installs the filter.
    let fd =
        check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter) })?;
    // JUSTIFICATION: as for clone3. SAFETY: with NEW_LISTENER the result is a new descriptor that nothing else owns.
    Ok(notify.then(|| unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
}

/// A denied system call, from `struct seccomp_notif`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeniedSyscall {
    /// The id of the notification, for the answer.
    pub(crate) id: u64,
    /// In the pid namespace of the listener.
    pub(crate) pid: u32,
    pub(crate) number: u32,
    pub(crate) arguments: [u64; 6],
}

/// `_IOWR('!', 0, struct seccomp_notif)`.
const NOTIF_RECV: libc::c_ulong = 0xc050_2100;
/// `_IOWR('!', 1, struct seccomp_notif_resp)`.
const NOTIF_SEND: libc::c_ulong = 0xc018_2101;

/// Receives the next denied call.
pub(crate) fn seccomp_receive(listener: BorrowedFd<'_>) -> io::Result<DeniedSyscall> {
    // JUSTIFICATION: no crate in use wraps the notification ioctls. SAFETY: plain integers, for which zero is valid (and demanded).
    let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // JUSTIFICATION: as above. SAFETY: the ioctl number encodes the size of this struct, which is writable and outlives the call.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV as _, &raw mut notification) }.into())?;
    let data = notification.data;
    Ok(DeniedSyscall { id: notification.id, pid: notification.pid, number: data.nr as u32, arguments: data.args })
}

/// Answers a denied call with an error. The answer is always an error, so it does not matter that the process may change the arguments meanwhile.
pub(crate) fn seccomp_deny(listener: BorrowedFd<'_>, id: u64, errno: i32) -> io::Result<()> {
    let answer = libc::seccomp_notif_resp { id, val: 0, error: -errno, flags: 0 };
    // JUSTIFICATION: as for `seccomp_receive`. SAFETY: the ioctl reads this struct, which outlives the call.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND as _, &raw const answer) }.into()).map(drop)
}

/// Loads a BPF_PROG_TYPE_CGROUP_DEVICE program and attaches it to a cgroup of version 2.
pub(crate) fn attach_device_program(instructions: &[u64], cgroup: BorrowedFd<'_>) -> io::Result<()> {
    const PROG_LOAD: libc::c_long = 5;
    const PROG_ATTACH: libc::c_long = 8;
    const TYPE_CGROUP_DEVICE: u32 = 15;
    const ATTACH_CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    #[repr(C)]
    struct Load {
        kind: u32,
        len: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
    }
    #[repr(C)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
    }
    let len = u32::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let load = Load {
        kind: TYPE_CGROUP_DEVICE,
        len,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    // JUSTIFICATION: bpf(2) has no wrapper short of a BPF library. SAFETY: `load` is a prefix of bpf_attr of the given size; the
    // kernel takes the rest as zero; its pointers refer to `len` instructions of 8 bytes and a NUL-terminated text that outlive the call.
    let program = check(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) })?;
    // JUSTIFICATION: as for clone3. SAFETY: the kernel has just created it, and nothing else owns it.
    let program = unsafe { OwnedFd::from_raw_fd(program as RawFd) };
    let attach = Attach {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // JUSTIFICATION: as above. SAFETY: as above; the struct holds no pointer.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>()) }).map(drop)
}

/// The highest Landlock ABI of the kernel; 0: the kernel has no Landlock.
pub(crate) fn landlock_abi() -> u32 {
    const VERSION: libc::c_uint = 1;
    // JUSTIFICATION: the landlock crate does not expose the number. SAFETY: with this flag the kernel requires a null pointer and size 0.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(abi).unwrap_or(0)
}

/// Sets close-on-exec on every descriptor from `first` up.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // JUSTIFICATION: descriptors opened inside a library have no owner here. SAFETY: no pointer is passed, and the call closes nothing.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Blocks the signals that ask the supervisor to end, and returns a signalfd for them.
pub(crate) fn termination_signals() -> io::Result<OwnedFd> {
    // JUSTIFICATION: rustix wraps neither signal masks nor signalfd. SAFETY: a signal set is plain bits, for which zero is valid; each
    // call gets a pointer to this set, which outlives it; a null pointer for the old mask is allowed.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
            libc::sigaddset(&raw mut set, signal);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Makes reads from a terminal in the background fail instead of stopping the supervisor, which must enforce the time limit.
pub(crate) fn ignore_terminal_stops() {
    // JUSTIFICATION: the standard library has no signal dispositions. SAFETY: SIG_IGN runs no code of ours.
    unsafe {
        libc::signal(libc::SIGTTIN, libc::SIG_IGN);
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
    }
}

/// Resets all signals to their defaults and unblocks them. A blocked signal would stay blocked in the command and its children, and they could
/// not be terminated by it.
pub(crate) fn reset_signals() -> io::Result<()> {
    for signal in 1..=64 {
        // JUSTIFICATION: as above. SAFETY: SIG_DFL runs no code of ours; for signals that cannot be set the call fails without effect.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // JUSTIFICATION: rustix wraps no signal mask. SAFETY: a signal set is plain bits, for which zero is valid; both calls get a pointer to
    // this set, which outlives it; a null pointer for the old mask is allowed.
    let unblocked = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    check(unblocked.into()).map(drop)
}

/// Processor time of all waited-for children, and the largest resident size among them in bytes (getrusage(2)).
pub(crate) fn children_usage() -> (Duration, u64) {
    // JUSTIFICATION: rustix has no getrusage. SAFETY: plain integers, for which zero is valid; the struct is writable and outlives the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let time = |t: libc::timeval| {
        Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or(0))
    };
    let resident = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
    (time(usage.ru_utime) + time(usage.ru_stime), resident)
}

/// Zeroes the memory from which `/proc/PID/cmdline` and `/proc/PID/environ` are read: `start` to `end`, addresses from `/proc/self/stat`.
pub(crate) fn scrub_arguments(start: u64, end: u64) {
    if start == 0 || end <= start {
        return;
    }
    // JUSTIFICATION: no unprivileged call clears this memory. SAFETY: at exec the kernel put the
    // strings of argv and envp between these two addresses (/proc/self/stat fields 48 to 51), on the stack, writable; the standard
    // library returns copies only, and the caller never reads its arguments or environment again.
    unsafe { std::ptr::write_bytes(start as *mut u8, 0, (end - start) as usize) };
}

/// Ends the process at once, without destructors and without the exit handlers of the process that it was cloned from.
pub(crate) fn exit_now(code: i32) -> ! {
    // JUSTIFICATION: std::process::exit runs the handlers of the cloned process. SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(code) }
}

/// The effective user and group id.
pub(crate) fn effective_ids() -> (u32, u32) {
    // JUSTIFICATION: plain numbers instead of rustix's types. SAFETY: these calls have no arguments and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}
