//! Runs a command in a sandbox (Linux).
//!
//! A [`Profile`] says what a run may use, a [`Request`] adds the command and overrides. [`run_here`] or a [`Launcher`] starts the sandbox
//! (namespaces, a private root, cgroups, Landlock, a seccomp filter), supervises the command, and returns an [`ExitReport`]. A protection that
//! this host cannot enforce is an error, unless the request waives it.

#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod cgroup;
mod child;
mod doctor;
mod gpu;
mod plan;
mod policy;
mod proxy;
mod supervisor;
mod sys;
mod view;

pub use doctor::doctor;
pub use policy::exit_report::{Enforced, ExitReport, Outcome, OutputBytes, SCHEMA, Violation};
pub use policy::explain::explain;
pub use policy::permission::Permission;
pub use policy::profile::{AllowedHost, EnvVariable, Grant, Limits, Profile, ReadOnlyPath};
pub use policy::request::{Command, Request};
pub use quantity::{ByteSize, TimeSpan};
pub use supervisor::launcher::{Launcher, PreparedSandbox};
pub use supervisor::launcher_process::run_launcher_if_requested;
pub use supervisor::pool::Pool;
pub use supervisor::run_here;
pub use supervisor::streams::Stdio;
pub use sys::error::Error;
pub use view::View;
