//! The part of the host that the attempts try to reach, and the check afterwards.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as Std};

use super::Result;

/// The targets of the attempts.
pub(crate) struct Stage {
    process: Child,
    pub(crate) folder: PathBuf,
    /// The targets as arguments of the attempts.
    pub(crate) arguments: Vec<String>,
}

impl Stage {
    pub(crate) fn set(home: &Path) -> Result<Self> {
        let folder = home.join("work").join(format!("stage-{}", std::process::id()));
        fs::create_dir_all(folder.join(".ssh"))?;
        for file in ["secret", ".ssh/id_rsa", "canary", "input"] {
            fs::write(folder.join(file), "untouched")?;
        }
        let mut process =
            Command::new(home.join("bin/stage")).arg(&folder).stdin(Std::piped()).stdout(Std::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no stage")?).read_line(&mut line)?;
        let mut arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        arguments.push(format!("DIR={}", folder.display()));
        if arguments.len() < 6 {
            return Err(format!("the stage did not start: {line:?}").into());
        }
        Ok(Self { process, folder, arguments })
    }

    /// An error if anything outside has changed.
    pub(crate) fn untouched(&mut self) -> std::result::Result<(), String> {
        for file in ["secret", "canary", "input"] {
            if fs::read_to_string(self.folder.join(file)).ok().as_deref() != Some("untouched") {
                return Err(format!("{file} outside has changed"));
            }
        }
        if Path::new("/tmp/modelscan-persist").exists() {
            return Err("a file in /tmp outlived the run".into());
        }
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            _ => Err("a process outside was killed".into()),
        }
    }

    pub(crate) fn restore(&self) {
        for file in ["secret", "canary", "input"] {
            let _ = fs::write(self.folder.join(file), "untouched");
        }
        let _ = fs::remove_file("/tmp/modelscan-persist");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
