//! The launcher as a separate program, for users of the library: it takes a request on a socket and becomes the supervisor.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = sandbox_exec::run_launcher_if_requested() {
        return ExitCode::from(code);
    }
    eprintln!("the sandbox-exec library starts this program; to run a command in the sandbox use `modelscan run`");
    ExitCode::from(125)
}
