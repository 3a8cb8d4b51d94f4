//! NVIDIA's management library (NVML): the few functions that the sandbox needs, with safe signatures.
//!
//! Source: NVIDIA, NVML API Reference Guide; the names and layouts of types are those of `nvml.h`.

use std::io;

/// The loaded library. It exists only where the driver is installed, so it is opened at run time and not linked.
#[derive(Debug)]
pub(crate) struct Nvml {
    library: std::ptr::NonNull<libc::c_void>,
}

/// An `nvmlDevice_t`; passed only to the library that returned it.
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

fn check(status: libc::c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        2 => Err(io::Error::other("the driver rejects an argument")),
        3 => Err(io::Error::other("the driver does not support this call")),
        4 => Err(io::Error::other("the driver permits this call to root only")),
        6 => Err(io::Error::other("the driver does not find the device")),
        other => Err(io::Error::other(format!("the driver reports error {other}"))),
    }
}

impl Nvml {
    /// Loads and initializes the library.
    pub(crate) fn open() -> io::Result<Self> {
        // JUSTIFICATION: only the dynamic linker can load it. SAFETY: the name is NUL-terminated; loading runs
        // the driver's initializers, as in every program that uses a GPU.
        let library = unsafe { libc::dlopen(c"libnvidia-ml.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let library = std::ptr::NonNull::new(library)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "libnvidia-ml.so.1 is not installed"))?;
        let opened = Self { library };
        // JUSTIFICATION: functions are found by name, here and below. SAFETY: `int nvmlInit_v2(void)`.
        check(unsafe { opened.function::<NvmlPlain>(c"nvmlInit_v2")?() })?;
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

    /// A function of the library. SAFETY: `F` must be a function pointer type with the signature of the function `name`.
    unsafe fn function<F: Copy>(&self, name: &std::ffi::CStr) -> io::Result<F> {
        const { assert!(size_of::<F>() == size_of::<*mut libc::c_void>()) };
        let found = self.symbol(name)?;
        // JUSTIFICATION: dlsym returns an untyped pointer. SAFETY: as the callers promise; the sizes are equal.
        Ok(unsafe { std::mem::transmute_copy(&found) })
    }

    /// Whether the driver can limit the memory of a cgroup (version 615 and newer).
    pub(crate) fn can_limit_memory(&self) -> bool {
        self.symbol(c"nvmlDeviceSetMemoryLimits_v1").is_ok() && self.symbol(c"nvmlDeviceGetMemoryLimits_v1").is_ok()
    }

    /// A GPU or a MIG slice by its UUID.
    pub(crate) fn by_uuid(&self, uuid: &std::ffi::CStr) -> io::Result<NvmlDevice> {
        type Call = unsafe extern "C" fn(*const libc::c_char, *mut *mut libc::c_void) -> libc::c_int;
        let mut device = std::ptr::null_mut();
        // SAFETY: `int nvmlDeviceGetHandleByUUID(const char *, nvmlDevice_t *)`; the text is NUL-terminated, the handle writable.
        check(unsafe { self.function::<Call>(c"nvmlDeviceGetHandleByUUID")?(uuid.as_ptr(), &raw mut device) })?;
        Ok(NvmlDevice(device))
    }

    /// The GPU whose device node has this minor number.
    pub(crate) fn by_minor(&self, minor: u32) -> io::Result<NvmlDevice> {
        type Count = unsafe extern "C" fn(*mut libc::c_uint) -> libc::c_int;
        type Call = unsafe extern "C" fn(libc::c_uint, *mut *mut libc::c_void) -> libc::c_int;
        let mut count = 0;
        // SAFETY: `int nvmlDeviceGetCount_v2(unsigned *)`; the number is writable.
        check(unsafe { self.function::<Count>(c"nvmlDeviceGetCount_v2")?(&raw mut count) })?;
        for index in 0..count {
            let mut device = std::ptr::null_mut();
            // SAFETY: `int nvmlDeviceGetHandleByIndex_v2(unsigned, nvmlDevice_t *)`; the handle is writable.
            let found =
                check(unsafe { self.function::<Call>(c"nvmlDeviceGetHandleByIndex_v2")?(index, &raw mut device) });
            // A device that this process may not access has no handle.
            if found.is_ok() && self.number(NvmlDevice(device), c"nvmlDeviceGetMinorNumber").ok() == Some(minor) {
                return Ok(NvmlDevice(device));
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("the driver finds no GPU with minor {minor}")))
    }

    fn number(&self, device: NvmlDevice, name: &std::ffi::CStr) -> io::Result<u32> {
        let mut number = 0;
        // SAFETY: callers name functions of the type `int (nvmlDevice_t, unsigned *)`; the handle came from this library.
        check(unsafe { self.function::<NvmlNumber>(name)?(device.0, &raw mut number) })?;
        Ok(number)
    }

    /// The minor number of a GPU's device node.
    pub(crate) fn minor(&self, device: NvmlDevice) -> io::Result<u32> {
        self.number(device, c"nvmlDeviceGetMinorNumber")
    }

    /// The GPU, the GPU instance and the compute instance of a MIG slice.
    pub(crate) fn slice(&self, device: NvmlDevice) -> io::Result<(NvmlDevice, u32, u32)> {
        type Call = unsafe extern "C" fn(*mut libc::c_void, *mut *mut libc::c_void) -> libc::c_int;
        let mut gpu = std::ptr::null_mut();
        // SAFETY: `int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t, nvmlDevice_t *)`; both as for `by_uuid`.
        check(unsafe {
            self.function::<Call>(c"nvmlDeviceGetDeviceHandleFromMigDeviceHandle")?(device.0, &raw mut gpu)
        })?;
        let gpu_instance = self.number(device, c"nvmlDeviceGetGpuInstanceId")?;
        Ok((NvmlDevice(gpu), gpu_instance, self.number(device, c"nvmlDeviceGetComputeInstanceId")?))
    }

    /// The memory of a GPU or a MIG slice, in bytes.
    pub(crate) fn total_memory(&self, device: NvmlDevice) -> io::Result<u64> {
        type Call = unsafe extern "C" fn(*mut libc::c_void, *mut NvmlMemory) -> libc::c_int;
        let mut memory = NvmlMemory { total: 0, free: 0, used: 0 };
        // SAFETY: `int nvmlDeviceGetMemoryInfo(nvmlDevice_t, nvmlMemory_t *)`; the struct is writable and laid out as in C.
        check(unsafe { self.function::<Call>(c"nvmlDeviceGetMemoryInfo")?(device.0, &raw mut memory) })?;
        Ok(memory.total)
    }

    /// Limits the memory of the processes in a cgroup, and reads the limit back; a limit that is not in force is an error.
    pub(crate) fn limit_memory(&self, device: NvmlDevice, cgroup: &std::ffi::CStr, bytes: u64) -> io::Result<()> {
        type Set = unsafe extern "C" fn(*mut libc::c_void, *mut NvmlSetLimits) -> libc::c_int;
        type Get = unsafe extern "C" fn(*mut libc::c_void, *mut NvmlGetLimits) -> libc::c_int;
        let mut requested = NvmlSetLimits { name_space: cgroup.as_ptr(), soft: bytes, hard: bytes };
        let mut found = NvmlGetLimits { name_space: cgroup.as_ptr(), soft: 0, hard: 0, used: 0 };
        // SAFETY: `int nvmlDeviceSetMemoryLimits_v1(nvmlDevice_t, nvmlSetMemoryLimits_v1_t *)` and its counterpart; both structs are
        // writable and laid out as in C, and the text that they point to is NUL-terminated and outlives the calls.
        unsafe {
            check(self.function::<Set>(c"nvmlDeviceSetMemoryLimits_v1")?(device.0, &raw mut requested))?;
            check(self.function::<Get>(c"nvmlDeviceGetMemoryLimits_v1")?(device.0, &raw mut found))?;
        }
        let in_force = (found.hard == bytes).then_some(());
        in_force.ok_or_else(|| io::Error::other("the driver accepted the limit but does not enforce it"))
    }

    /// The process ids that use a GPU, each with its memory in bytes.
    pub(crate) fn processes(&self, device: NvmlDevice) -> io::Result<Vec<(u32, u64)>> {
        type Call = unsafe extern "C" fn(*mut libc::c_void, *mut libc::c_uint, *mut NvmlProcess) -> libc::c_int;
        // More processes than a GPU can hold; for more the call fails, and that is an error here.
        let mut list = vec![NvmlProcess { pid: 0, used: 0, gpu_instance: 0, compute_instance: 0 }; 1024];
        let mut count: libc::c_uint = 1024;
        // SAFETY: `int nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t, unsigned *, nvmlProcessInfo_t *)`; it writes at most `count`
        // entries, the capacity of `list`, and then sets `count` to the number written.
        check(unsafe {
            self.function::<Call>(c"nvmlDeviceGetComputeRunningProcesses_v3")?(
                device.0,
                &raw mut count,
                list.as_mut_ptr(),
            )
        })?;
        let known = list.iter().take(usize::try_from(count).unwrap_or(0));
        // All ones: the driver does not know the value.
        Ok(known.filter(|process| process.used != u64::MAX).map(|process| (process.pid, process.used)).collect())
    }
}

impl Drop for Nvml {
    fn drop(&mut self) {
        // SAFETY: `int nvmlShutdown(void)`; no handle from this library is used after this. The library stays
        // loaded, because threads that it started may still run its code.
        let _ = unsafe { self.function::<NvmlPlain>(c"nvmlShutdown").map(|call| call()) };
    }
}
