//! Runs for tests: small requests through the launcher, on hosts that may not enforce every quota.

use std::error::Error;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;

use sandbox_exec::{ExitReport, Launcher, Profile, Request, Stdio};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Quotas that the host need not enforce; these tests test everything else.
pub(crate) const WAIVED: [&str; 3] = ["memory", "pids", "cpus"];

pub(crate) fn launcher() -> Launcher {
    Launcher::at(env!("CARGO_BIN_EXE_sandbox-exec"))
}

pub(crate) fn request(argv: &[&str]) -> Result<Request> {
    let mut request = Request::new(Profile::load("eval")?, argv);
    request.allow_degraded = WAIVED.map(String::from).to_vec();
    Ok(request)
}

pub(crate) fn null() -> Result<OwnedFd> {
    Ok(fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}

pub(crate) fn run(request: &Request) -> Result<(ExitReport, String)> {
    let (mut read, write) = std::io::pipe()?;
    let stdio = Stdio { input: None, output: write.into(), errors: null()? };
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        read.read_to_string(&mut text).map(|_| text)
    });
    let report = launcher().run(request, stdio);
    let text = reader.join().map_err(|_| "the reader panicked")??;
    Ok((report, text))
}

/// Whether sandboxes can be created on this host; skips the test if not.
pub(crate) fn can_sandbox() -> bool {
    let works = request(&["true"]).and_then(|request| run(&request)).is_ok_and(|(report, _)| report.code == 0);
    if !works {
        fixtures::skip(fixtures::Need::Sandbox, "namespaces cannot be created here; see modelscan run --doctor");
    }
    works
}
