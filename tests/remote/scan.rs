//! Runs `modelscan scan` and reads its report.

use serde_json::Value;
use std::process::Command;

/// Exit code, report and error output of a scan.
pub struct Outcome {
    pub code: i32,
    pub report: Value,
    pub stderr: String,
}

impl Outcome {
    /// The verdict on the only artifact.
    pub fn verdict(&self) -> &str {
        assert_eq!(self.report["artifacts"].as_array().map(Vec::len), Some(1), "{}", self.report);
        self.report["artifacts"][0]["verdict"].as_str().expect("an artifact has a verdict")
    }

    /// The only reason for which something was not read, by way of an error.
    pub fn error(&self) -> &str {
        assert_eq!((self.code, self.report["verdict"].as_str()), (2, Some("not_scanned")), "{}", self.report);
        self.report["errors"][0]["message"].as_str().expect("an error says why")
    }

    pub fn bytes_read(&self) -> u64 {
        self.report["summary"]["bytes_read"].as_u64().expect("a number")
    }
}

pub fn scan(args: &[&str]) -> Outcome {
    scan_with(args, &[])
}

pub fn scan_with(args: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    command.args(["scan", "--isolated", "--format", "json"]).args(args);
    for name in [
        "GITHUB_TOKEN",
        "GITHUB_SERVER_URL",
        "MODELSCAN_TOKEN",
        "MODELSCAN_TOKEN_HOST",
        "MODELSCAN_CA_FILE",
        "MODELSCAN_CACHE",
    ] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().expect("the command runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Outcome { code: output.status.code().unwrap_or(-1), report, stderr }
}

/// Scans an address on loopback, which is plain HTTP and private.
pub fn scan_here(address: &str, more: &[&str]) -> Outcome {
    scan(&[&["--allow-http", "--allow-private", address], more].concat())
}
