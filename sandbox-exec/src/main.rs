//! The launcher as a program of its own, for those who embed the library: it takes a request on a socket and becomes the supervisor.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = sandbox_exec::launcher_if_asked() {
        return ExitCode::from(code);
    }
    eprintln!(
        "sandbox-exec is started by the sandbox-exec library; to run a command in the sandbox use `modelscan run`"
    );
    ExitCode::from(125)
}
