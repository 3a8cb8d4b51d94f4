//! The system calls for which there is no safe wrapper: the only unsafe code of the crate. One function a call, with a safe signature and
//! owned descriptors; whatever rustix or the standard library can do is done through them elsewhere.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Which side of a fork one is on. The parent has the child's number, and a descriptor that stays with this very process.
#[derive(Debug)]
pub(crate) enum Side {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// As in linux/sched.h; the constant in libc is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Forks into new namespaces, and into a cgroup of version 2 where one is given. The child must only go on single-threaded.
pub(crate) fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
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
    // zero, which means the child goes on with the copy of ours; `args` lives through the call and its size is passed; `pidfd` is a
    // writable int. Locks held by other threads would stay locked in the child: callers make sure that there is one thread only.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    // JUSTIFICATION: a descriptor that arrives as a number must be given an owner. SAFETY: the kernel has just made it for us alone.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Side::Parent { pid: pid as i32, pidfd })
}

/// Starts a process that has our memory, not a copy of it, until it executes a program or ends; until then we stand still. What is saved is
/// the copy of the page tables and a fault for every page that either side then writes to. Hands back the process's number.
pub(crate) fn spawn_sharing(child: &dyn Fn() -> i32) -> io::Result<i32> {
    /// Untouched pages of it cost nothing.
    const STACK: usize = 1 << 20;
    extern "C" fn enter(child: *mut libc::c_void) -> libc::c_int {
        // JUSTIFICATION: clone passes one pointer and no more. SAFETY: it is the one passed below, to a local that outlives this process.
        let child = unsafe { *child.cast::<&dyn Fn() -> i32>() };
        child()
    }
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK);
    // JUSTIFICATION: no safe wrapper starts a process that shares memory, or maps a stack. SAFETY: a new anonymous mapping takes nobody's
    // memory, and its first page, made unreadable, ends an overflow. The child runs on that stack, not on ours. With CLONE_VFORK this
    // thread, which callers make sure is the only one, stands still until the child has another memory or is gone: nobody sees memory in
    // the middle of a change, and `child` and the stack outlive all use of them. Without CLONE_FILES and CLONE_SIGHAND, descriptors and signal
    // handlers are the child's own; by the closure's type it only borrows what it captures, so it ends no owner of ours; what it
    // returns is the exit code, not a way back into frames of ours. The mapping is given back when no one runs on it any more.
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

/// Leaves the namespaces named for new ones.
pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // JUSTIFICATION: rustix's safe form is deprecated and its other one unsafe. SAFETY: no pointer is passed; with one thread and without
    // CLONE_FILES or CLONE_FS, nothing that Rust relies on is unshared.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// Sets attributes of a mount and, if asked, of all below it.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, recursive: bool, set: u64, clear: u64) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // JUSTIFICATION: rustix has no mount_setattr. SAFETY: the path is a NUL-terminated constant, `attributes` lives through the call and
    // its size is passed; the call keeps no pointer.
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

/// Puts a filter on this thread; with `notify`, hands back the descriptor on which refused calls are told.
pub(crate) fn seccomp(program: &[libc::sock_filter], notify: bool) -> io::Result<Option<OwnedFd>> {
    let len = libc::c_ushort::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    // The kernel only reads the program; the type in C has no const.
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let flags = if notify { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // JUSTIFICATION: seccompiler knows no user notification. SAFETY: `filter` names `len` instructions that live through the call; the
    // kernel copies them and checks every jump before the filter is put on.
    let fd =
        check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter) })?;
    // JUSTIFICATION: as for clone3. SAFETY: with NEW_LISTENER the result is a descriptor made for us alone.
    Ok(notify.then(|| unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
}

/// A refused call, as the kernel tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) id: u64,
    /// In the namespace of the one who listens.
    pub(crate) pid: u32,
    pub(crate) number: u32,
    pub(crate) arguments: [u64; 6],
}

/// `_IOWR('!', 0, struct seccomp_notif)`.
const NOTIF_RECV: libc::c_ulong = 0xc050_2100;
/// `_IOWR('!', 1, struct seccomp_notif_resp)`.
const NOTIF_SEND: libc::c_ulong = 0xc018_2101;

/// Takes the next refused call.
pub(crate) fn notif_receive(listener: BorrowedFd<'_>) -> io::Result<Refused> {
    // JUSTIFICATION: no crate in use wraps the notification ioctls. SAFETY: plain integers, for which zero is valid (and demanded).
    let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // JUSTIFICATION: as above. SAFETY: the number of the ioctl encodes the size of this very struct, which is writable and lives on.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV as _, &raw mut told) }.into())?;
    Ok(Refused { id: told.id, pid: told.pid, number: told.data.nr as u32, arguments: told.data.args })
}

/// Answers a refused call with an error. Nothing is ever let through here, so nothing depends on arguments that may change meanwhile.
pub(crate) fn notif_refuse(listener: BorrowedFd<'_>, id: u64, errno: i32) -> io::Result<()> {
    let answer = libc::seccomp_notif_resp { id, val: 0, error: -errno, flags: 0 };
    // JUSTIFICATION: as for notif_receive. SAFETY: the ioctl reads this very struct, which lives through the call.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND as _, &raw const answer) }.into()).map(drop)
}

/// Loads a device program and attaches it to a cgroup of version 2.
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
    // JUSTIFICATION: bpf(2) has no wrapper short of a BPF library. SAFETY: `load` is a prefix of bpf_attr, which the size says, and the
    // rest counts as zero; its pointers name `len` instructions of 8 bytes and a NUL-terminated text, alive through the call.
    let program = check(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) })?;
    // JUSTIFICATION: as for clone3. SAFETY: the kernel has just made it for us alone.
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

/// The highest Landlock ABI of the kernel; 0 for none.
pub(crate) fn landlock_abi() -> u32 {
    const VERSION: libc::c_uint = 1;
    // JUSTIFICATION: the landlock crate keeps the number to itself. SAFETY: with this flag the kernel demands a null pointer and size 0.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(abi).unwrap_or(0)
}

/// Marks every descriptor from `first` up to be closed when a program is executed.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // JUSTIFICATION: descriptors that a library has opened unknown to us have no owner to mark. SAFETY: no pointer is passed, and nothing is closed now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Blocks the signals that end a supervisor, and hands back a descriptor that tells of them.
pub(crate) fn signals_as_descriptor() -> io::Result<OwnedFd> {
    // JUSTIFICATION: rustix wraps neither signal masks nor signalfd. SAFETY: a signal set is plain bits, for which zero is valid; each
    // call gets a pointer to this set, which lives on; a null pointer for the old mask is allowed.
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

/// Reading from a terminal in the background is answered with an error instead of stopping the supervisor, whose clock must run.
pub(crate) fn ignore_terminal_stops() {
    // JUSTIFICATION: the standard library has no signal dispositions. SAFETY: SIG_IGN runs no code of ours.
    unsafe {
        libc::signal(libc::SIGTTIN, libc::SIG_IGN);
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
    }
}

/// Signals are as for a new program: caught by none, ignored by none, blocked by none. A blocked one would stay blocked in the command and
/// in all that it starts, which then could not be asked to end.
pub(crate) fn default_signals() -> io::Result<()> {
    for signal in 1..=64 {
        // JUSTIFICATION: as above. SAFETY: SIG_DFL runs no code of ours; signals that cannot be set answer with an error that harms nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // JUSTIFICATION: rustix wraps no signal mask. SAFETY: a signal set is plain bits, for which zero is valid; both calls get a pointer to
    // this set, which lives on; a null pointer for the old mask is allowed.
    let unblocked = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    check(unblocked.into()).map(drop)
}

/// Processor time and the largest resident size of all children that were waited for.
pub(crate) fn children_usage() -> (Duration, u64) {
    // JUSTIFICATION: rustix has no getrusage. SAFETY: plain integers, for which zero is valid; the struct is writable and lives on.
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

/// Zeroes the arguments and the environment that this process was started with, as `/proc` would show them.
pub(crate) fn scrub_arguments(start: u64, end: u64) {
    if start == 0 || end <= start {
        return;
    }
    // JUSTIFICATION: /proc/PID/environ and cmdline read this memory, and no call clears it without privilege. SAFETY: the kernel put the
    // strings of argv and envp between these two addresses at exec (/proc/self/stat fields 48 to 51), on the stack, writable; the standard
    // library hands out copies only, and the caller is a process that never looks at its arguments or environment again.
    unsafe { std::ptr::write_bytes(start as *mut u8, 0, (end - start) as usize) };
}

/// Ends the process at once: no destructor, no handler of the process this one was copied from.
pub(crate) fn exit_now(code: i32) -> ! {
    // JUSTIFICATION: std::process::exit runs the handlers of the copied process. SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(code) }
}

/// Our user and group, as the kernel checks them.
pub(crate) fn ids() -> (u32, u32) {
    // JUSTIFICATION: plain numbers instead of rustix's types. SAFETY: these calls take nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// NVIDIA's management library, looked for at run time: without the driver there is none, and nothing of it is needed to build.
#[derive(Debug)]
pub(crate) struct Nvml {
    library: std::ptr::NonNull<libc::c_void>,
}

/// A device, as the library names it. Only ever handed back to the library that gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NvmlDevice(*mut libc::c_void);

/// `nvmlMemory_t`.
#[repr(C)]
struct NvmlMemory {
    total: u64,
    free: u64,
    used: u64,
}

/// `nvmlSetMemoryLimits_v1_t`.
#[repr(C)]
struct NvmlSetLimits {
    name_space: *const libc::c_char,
    soft: u64,
    hard: u64,
}

/// `nvmlGetMemoryLimits_v1_t`.
#[repr(C)]
struct NvmlGetLimits {
    name_space: *const libc::c_char,
    soft: u64,
    hard: u64,
    used: u64,
}

/// `nvmlProcessInfo_v2_t`, which version 3 of the call fills.
#[derive(Clone)]
#[repr(C)]
struct NvmlProcess {
    pid: u32,
    used: u64,
    gpu_instance: u32,
    compute_instance: u32,
}

type NvmlPlain = unsafe extern "C" fn() -> libc::c_int;
type NvmlNumber = unsafe extern "C" fn(*mut libc::c_void, *mut libc::c_uint) -> libc::c_int;

fn nvml(status: libc::c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        2 => Err(io::Error::other("the driver calls an argument invalid")),
        3 => Err(io::Error::other("the driver does not support it")),
        4 => Err(io::Error::other("the driver permits it to root only")),
        6 => Err(io::Error::other("the driver knows no such device")),
        other => Err(io::Error::other(format!("the driver answers with error {other}"))),
    }
}

impl Nvml {
    /// Loads the library and starts it.
    pub(crate) fn open() -> io::Result<Self> {
        // JUSTIFICATION: a driver's library can only be had by the dynamic linker. SAFETY: the name is NUL-terminated; what the library does
        // when it is loaded is the driver's code, which everything that uses a GPU runs.
        let library = unsafe { libc::dlopen(c"libnvidia-ml.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let library = std::ptr::NonNull::new(library)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no libnvidia-ml.so.1"))?;
        let opened = Self { library };
        // JUSTIFICATION: as for every call below: there are no bindings but by name. SAFETY: `int nvmlInit_v2(void)`.
        nvml(unsafe { opened.function::<NvmlPlain>(c"nvmlInit_v2")?() })?;
        Ok(opened)
    }

    fn symbol(&self, name: &std::ffi::CStr) -> io::Result<*mut libc::c_void> {
        // JUSTIFICATION: as for dlopen. SAFETY: the library is open as long as `self` lives, the name is NUL-terminated.
        let found = unsafe { libc::dlsym(self.library.as_ptr(), name.as_ptr()) };
        if found.is_null() {
            let message = format!("the driver is too old: it has no {}", name.to_string_lossy());
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        Ok(found)
    }

    /// A function of the library's. SAFETY: callers name a type of function pointer, and the one that this function has.
    unsafe fn function<F: Copy>(&self, name: &std::ffi::CStr) -> io::Result<F> {
        const { assert!(size_of::<F>() == size_of::<*mut libc::c_void>()) };
        let found = self.symbol(name)?;
        // JUSTIFICATION: a symbol has no type until it is given one. SAFETY: as callers promise; the sizes are the same.
        Ok(unsafe { std::mem::transmute_copy(&found) })
    }

    /// Whether memory can be limited for a cgroup (from version 615 of the driver on).
    pub(crate) fn can_limit(&self) -> bool {
        self.symbol(c"nvmlDeviceSetMemoryLimits_v1").is_ok() && self.symbol(c"nvmlDeviceGetMemoryLimits_v1").is_ok()
    }

    /// A GPU or a slice by its UUID.
    pub(crate) fn by_uuid(&self, uuid: &std::ffi::CStr) -> io::Result<NvmlDevice> {
        type Call = unsafe extern "C" fn(*const libc::c_char, *mut *mut libc::c_void) -> libc::c_int;
        let mut device = std::ptr::null_mut();
        // SAFETY: `int nvmlDeviceGetHandleByUUID(const char *, nvmlDevice_t *)`; the text is NUL-terminated, the handle writable.
        nvml(unsafe { self.function::<Call>(c"nvmlDeviceGetHandleByUUID")?(uuid.as_ptr(), &raw mut device) })?;
        Ok(NvmlDevice(device))
    }

    /// The GPU whose node has this minor.
    pub(crate) fn by_minor(&self, minor: u32) -> io::Result<NvmlDevice> {
        type Count = unsafe extern "C" fn(*mut libc::c_uint) -> libc::c_int;
        type Call = unsafe extern "C" fn(libc::c_uint, *mut *mut libc::c_void) -> libc::c_int;
        let mut count = 0;
        // SAFETY: `int nvmlDeviceGetCount_v2(unsigned *)`; the number is writable.
        nvml(unsafe { self.function::<Count>(c"nvmlDeviceGetCount_v2")?(&raw mut count) })?;
        for index in 0..count {
            let mut device = std::ptr::null_mut();
            // SAFETY: `int nvmlDeviceGetHandleByIndex_v2(unsigned, nvmlDevice_t *)`; the handle is writable.
            let found =
                nvml(unsafe { self.function::<Call>(c"nvmlDeviceGetHandleByIndex_v2")?(index, &raw mut device) });
            // One that this process may not see is not the one.
            if found.is_ok() && self.number(NvmlDevice(device), c"nvmlDeviceGetMinorNumber").ok() == Some(minor) {
                return Ok(NvmlDevice(device));
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("the driver knows no GPU with the minor {minor}")))
    }

    fn number(&self, device: NvmlDevice, name: &std::ffi::CStr) -> io::Result<u32> {
        let mut number = 0;
        // SAFETY: those that are asked for by this way have the type `int (nvmlDevice_t, unsigned *)`; the handle came from this library.
        nvml(unsafe { self.function::<NvmlNumber>(name)?(device.0, &raw mut number) })?;
        Ok(number)
    }

    /// The minor of a GPU's node.
    pub(crate) fn minor(&self, device: NvmlDevice) -> io::Result<u32> {
        self.number(device, c"nvmlDeviceGetMinorNumber")
    }

    /// Of a slice: its GPU, its GPU instance and its compute instance.
    pub(crate) fn slice(&self, device: NvmlDevice) -> io::Result<(NvmlDevice, u32, u32)> {
        type Call = unsafe extern "C" fn(*mut libc::c_void, *mut *mut libc::c_void) -> libc::c_int;
        let mut whole = std::ptr::null_mut();
        // SAFETY: `int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t, nvmlDevice_t *)`; both as for `by_uuid`.
        nvml(unsafe {
            self.function::<Call>(c"nvmlDeviceGetDeviceHandleFromMigDeviceHandle")?(device.0, &raw mut whole)
        })?;
        let gpu_instance = self.number(device, c"nvmlDeviceGetGpuInstanceId")?;
        Ok((NvmlDevice(whole), gpu_instance, self.number(device, c"nvmlDeviceGetComputeInstanceId")?))
    }

    /// All memory of a GPU or a slice.
    pub(crate) fn total_memory(&self, device: NvmlDevice) -> io::Result<u64> {
        type Call = unsafe extern "C" fn(*mut libc::c_void, *mut NvmlMemory) -> libc::c_int;
        let mut memory = NvmlMemory { total: 0, free: 0, used: 0 };
        // SAFETY: `int nvmlDeviceGetMemoryInfo(nvmlDevice_t, nvmlMemory_t *)`; the struct is writable and laid out as in C.
        nvml(unsafe { self.function::<Call>(c"nvmlDeviceGetMemoryInfo")?(device.0, &raw mut memory) })?;
        Ok(memory.total)
    }

    /// Limits the memory of all that is in a cgroup, and reads the limit back: what is not in force is an error.
    pub(crate) fn limit_memory(&self, device: NvmlDevice, cgroup: &std::ffi::CStr, bytes: u64) -> io::Result<()> {
        type Set = unsafe extern "C" fn(*mut libc::c_void, *mut NvmlSetLimits) -> libc::c_int;
        type Get = unsafe extern "C" fn(*mut libc::c_void, *mut NvmlGetLimits) -> libc::c_int;
        let mut wanted = NvmlSetLimits { name_space: cgroup.as_ptr(), soft: bytes, hard: bytes };
        let mut found = NvmlGetLimits { name_space: cgroup.as_ptr(), soft: 0, hard: 0, used: 0 };
        // SAFETY: `int nvmlDeviceSetMemoryLimits_v1(nvmlDevice_t, nvmlSetMemoryLimits_v1_t *)` and its counterpart; both structs are
        // writable and laid out as in C, and the text that they point to is NUL-terminated and lives through the calls.
        unsafe {
            nvml(self.function::<Set>(c"nvmlDeviceSetMemoryLimits_v1")?(device.0, &raw mut wanted))?;
            nvml(self.function::<Get>(c"nvmlDeviceGetMemoryLimits_v1")?(device.0, &raw mut found))?;
        }
        let held = (found.hard == bytes).then_some(());
        held.ok_or_else(|| io::Error::other("the driver took the limit and does not hold it"))
    }

    /// Who computes on a GPU, and with how much memory.
    pub(crate) fn processes(&self, device: NvmlDevice) -> io::Result<Vec<(u32, u64)>> {
        type Call = unsafe extern "C" fn(*mut libc::c_void, *mut libc::c_uint, *mut NvmlProcess) -> libc::c_int;
        // More than a GPU has room for; were there more, the call would say so, and that is an error here.
        let mut list = vec![NvmlProcess { pid: 0, used: 0, gpu_instance: 0, compute_instance: 0 }; 1024];
        let mut count: libc::c_uint = 1024;
        // SAFETY: `int nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t, unsigned *, nvmlProcessInfo_t *)`; it writes at most `count`
        // entries, which is how many there is room for, and then how many it wrote.
        nvml(unsafe {
            self.function::<Call>(c"nvmlDeviceGetComputeRunningProcesses_v3")?(
                device.0,
                &raw mut count,
                list.as_mut_ptr(),
            )
        })?;
        let known = list.iter().take(usize::try_from(count).unwrap_or(0));
        // All ones: the driver cannot tell.
        Ok(known.filter(|process| process.used != u64::MAX).map(|process| (process.pid, process.used)).collect())
    }
}

impl Drop for Nvml {
    fn drop(&mut self) {
        // SAFETY: `int nvmlShutdown(void)`; every handle borrowed from this library has gone out of use with it. The library itself stays
        // loaded: threads that it may have started run its code.
        let _ = unsafe { self.function::<NvmlPlain>(c"nvmlShutdown").map(|call| call()) };
    }
}
