//! The host that the attempts would like to reach, and the look afterwards whether they did.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as Std};

use super::Result;

/// What an attempt would like to reach.
pub(crate) struct Stage {
    process: Child,
    pub(crate) folder: PathBuf,
    /// Where everything is, as the attempts take it for arguments.
    pub(crate) told: Vec<String>,
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
        let mut told: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        told.push(format!("DIR={}", folder.display()));
        if told.len() < 6 {
            return Err(format!("the stage did not stand: {line:?}").into());
        }
        Ok(Self { process, folder, told })
    }

    /// Nothing outside has changed, and nothing inside goes on.
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
