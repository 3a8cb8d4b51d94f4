//! Runs the `git` program so that a repository cannot start programs or redirect it.
//!
//! A repository can name programs that git starts (filters, a file system monitor, hooks, diff drivers), and the environment can
//! name another repository. So only plumbing commands are used, which have no pager and no drivers; settings that could still
//! start a program are cleared on each command line, which overrides every file; and variables of git are removed. Missing objects
//! are not fetched.

use crate::error::CommandError;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Settings of every command, in place of those of the repository. A bare repository among the files is not used.
const SAFE_SETTINGS: [&str; 7] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.untrackedCache=false",
    "core.quotePath=false",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
];

/// A repository with a working tree.
#[derive(Debug)]
pub(crate) struct GitRepository {
    /// The top folder of the working tree.
    root: PathBuf,
    /// Settings that clear the filters of the configuration.
    cleared_filters: Vec<OsString>,
}

/// An entry of a tree.
pub(crate) enum TreeEntry {
    /// A regular file, by the id of its blob.
    File {
        /// The object id.
        id: String,
    },
    /// A symbolic link.
    Link,
    /// A folder or a submodule.
    Other,
}

impl GitRepository {
    /// The repository that contains a folder.
    ///
    /// # Errors
    /// When git is not installed, there is no repository, or git does not trust it.
    pub(crate) fn containing(folder: &Path) -> Result<Self, CommandError> {
        let mut git = Self { root: folder.to_owned(), cleared_filters: Vec::new() };
        let mut root = git.run(&["rev-parse", "--show-toplevel"])?;
        if root.last() == Some(&b'\n') {
            root.pop();
        }
        git.root = PathBuf::from(OsString::from_vec(root));
        git.cleared_filters = git.clear_filters()?;
        Ok(git)
    }

    /// The top folder of the working tree, with links followed.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs a command and returns its output.
    ///
    /// # Errors
    /// [`CommandError::Git`] if git fails.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, CommandError> {
        let output = self.output(args)?;
        if output.status.success() { Ok(output.stdout) } else { Err(self.error(args, &output)) }
    }

    /// Runs a command that answers "no" by code 1, which gives `None`.
    pub(crate) fn run_optional<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Option<Vec<u8>>, CommandError> {
        let output = self.output(args)?;
        match output.status.code() {
            Some(0) => Ok(Some(output.stdout)),
            Some(1) => Ok(None),
            _ => Err(self.error(args, &output)),
        }
    }

    /// The id of the commit of this name, if there is one.
    ///
    /// # Errors
    /// A name that git could take for an option.
    pub(crate) fn commit(&self, name: &str) -> Result<Option<String>, CommandError> {
        if name.is_empty() || name.starts_with('-') {
            return Err(CommandError::usage(format!("{name:?} is no name of a commit")));
        }
        let revision = format!("{name}^{{commit}}");
        let output = self.output(&["rev-parse", "--verify", "--quiet", "--end-of-options", &revision])?;
        Ok(output.status.success().then(|| trimmed_text(&output.stdout)))
    }

    /// The entry at a path of the tree of a commit.
    pub(crate) fn entry(&self, commit: &str, path: &Path) -> Result<Option<TreeEntry>, CommandError> {
        let fixed = ["ls-tree", "-z", "--full-tree", commit, "--"].map(OsStr::new);
        let listed = self.run(&[&fixed[..], &[path.as_os_str()]].concat())?;
        let Some(tab) = listed.iter().position(|byte| *byte == b'\t') else { return Ok(None) };
        let (head, name) = listed.split_at(tab);
        if name.get(1..name.len().saturating_sub(1)) != Some(path.as_os_str().as_bytes()) {
            return Ok(None);
        }
        let head = trimmed_text(head);
        let mut words = head.split(' ');
        Ok(Some(match (words.next(), words.next(), words.next()) {
            (Some("120000"), ..) => TreeEntry::Link,
            (Some(_), Some("blob"), Some(id)) => TreeEntry::File { id: id.to_owned() },
            _ => TreeEntry::Other,
        }))
    }

    /// The bytes of a blob of at most `max` bytes.
    pub(crate) fn blob(&self, id: &str, max: u64) -> Result<Vec<u8>, CommandError> {
        let size = trimmed_text(&self.run(&["cat-file", "-s", id])?);
        if size.parse::<u64>().is_ok_and(|size| size <= max) {
            return self.run(&["cat-file", "blob", id]);
        }
        Err(CommandError::TooLarge(max))
    }

    fn output<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output, CommandError> {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"GIT_")) {
            command.env_remove(name);
        }
        command
            .envs([
                ("GIT_OPTIONAL_LOCKS", "0"),
                ("GIT_TERMINAL_PROMPT", "0"),
                ("GIT_NO_LAZY_FETCH", "1"),
                ("GIT_NO_REPLACE_OBJECTS", "1"),
                ("GIT_LITERAL_PATHSPECS", "1"),
                ("LC_ALL", "C"),
            ])
            .current_dir(&self.root)
            .arg("--no-pager")
            .stdin(Stdio::null());
        for setting in SAFE_SETTINGS.iter().map(OsStr::new).chain(self.cleared_filters.iter().map(OsString::as_os_str))
        {
            command.arg("-c").arg(setting);
        }
        command.args(args).output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => CommandError::usage("the program git is needed for that, and is not installed"),
            _ => CommandError::usage(format!("git cannot be started: {error}")),
        })
    }

    fn error<S: AsRef<OsStr>>(&self, args: &[S], output: &Output) -> CommandError {
        let command = args.first().map(|name| name.as_ref().to_string_lossy().into_owned()).unwrap_or_default();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let reason = stderr.lines().next().unwrap_or("no reason was given").trim_start_matches("fatal: ").to_owned();
        CommandError::Git { command, folder: self.root.clone(), reason }
    }

    /// Settings that clear all filters: comparing a file with the index would start its filter.
    fn clear_filters(&self) -> Result<Vec<OsString>, CommandError> {
        let keys =
            self.run_optional(&["config", "-z", "--name-only", "--get-regexp", "^filter\\."])?.unwrap_or_default();
        let names = keys.split(|byte| *byte == 0).filter_map(|key| {
            let dot = key.iter().rposition(|byte| *byte == b'.')?;
            key.get(..dot)
        });
        let mut settings = Vec::new();
        for name in names {
            if name.contains(&b'=') {
                let name = String::from_utf8_lossy(name).into_owned();
                let reason = "a filter with such a name cannot be turned off";
                return Err(CommandError::usage_with_hint(reason, "rename it").at(name));
            }
            for rest in [".clean=", ".process=", ".required=false"] {
                settings.push(OsString::from_vec([name, rest.as_bytes()].concat()));
            }
        }
        settings.sort();
        settings.dedup();
        Ok(settings)
    }
}

/// The text of a one-line output.
fn trimmed_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
