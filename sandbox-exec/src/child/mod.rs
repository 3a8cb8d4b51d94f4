//! The processes inside the sandbox: the first process builds the root and drops its privileges, its child becomes the command.

mod command;
pub(crate) mod first_process;
mod landlock;
pub(crate) mod mounts;
mod seccomp;

pub(crate) use seccomp::syscall_name;
