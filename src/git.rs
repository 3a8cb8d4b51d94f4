//! The `git` program, asked in such a way that nothing of the repository decides what runs or where answers come from.
//!
//! A repository can name programs that git starts by itself (filters, a file system monitor, hooks, diff drivers) and
//! the environment can lead to another repository. All of that is closed: only plumbing is asked, which has no pager
//! and no drivers, and what could still start something is set to nothing on each command line, where it goes before
//! every file. Missing objects are not fetched.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Set for every command: what a repository's own configuration may say otherwise. A bare repository that lies among
/// the files is none.
const CLOSED: [&str; 7] = [
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
pub(crate) struct Git {
    top: PathBuf,
    /// Filters that the configuration knows, each set to nothing.
    no_filters: Vec<OsString>,
}

/// An entry of a tree that is a file.
pub(crate) enum Entry {
    File { id: String },
    Link,
    Other,
}

impl Git {
    /// The repository around a folder.
    ///
    /// # Errors
    /// A sentence for the user: there is no git, no repository, or git does not trust it.
    pub(crate) fn around(folder: &Path) -> Result<Self, String> {
        let mut git = Self { top: folder.to_owned(), no_filters: Vec::new() };
        let mut top = git.ask(&["rev-parse", "--show-toplevel"])?;
        if top.last() == Some(&b'\n') {
            top.pop();
        }
        git.top = PathBuf::from(OsString::from_vec(top));
        git.no_filters = git.filters()?;
        Ok(git)
    }

    /// The folder of the working tree, with links followed.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// What a command prints.
    ///
    /// # Errors
    /// What git says when it fails.
    pub(crate) fn ask<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, String> {
        let output = self.output(args)?;
        if output.status.success() { Ok(output.stdout) } else { Err(self.failed(args, &output)) }
    }

    /// What a command prints, or nothing when its answer is no (code 1).
    pub(crate) fn ask_whether<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Option<Vec<u8>>, String> {
        let output = self.output(args)?;
        match output.status.code() {
            Some(0) => Ok(Some(output.stdout)),
            Some(1) => Ok(None),
            _ => Err(self.failed(args, &output)),
        }
    }

    /// The id of the commit that a name stands for, if there is one.
    ///
    /// # Errors
    /// Names that could be options are refused, whatever git would make of them.
    pub(crate) fn commit(&self, name: &str) -> Result<Option<String>, String> {
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("{name:?} is no name of a commit"));
        }
        let wanted = format!("{name}^{{commit}}");
        let found = self.output(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
        Ok(found.status.success().then(|| text(&found.stdout)))
    }

    /// What stands at a path of a commit's tree.
    pub(crate) fn entry(&self, commit: &str, path: &Path) -> Result<Option<Entry>, String> {
        let fixed = ["ls-tree", "-z", "--full-tree", commit, "--"].map(OsStr::new);
        let listed = self.ask(&[&fixed[..], &[path.as_os_str()]].concat())?;
        let Some(tab) = listed.iter().position(|byte| *byte == b'\t') else { return Ok(None) };
        let (head, name) = listed.split_at(tab);
        if name.get(1..name.len().saturating_sub(1)) != Some(path.as_os_str().as_bytes()) {
            return Ok(None);
        }
        let head = text(head);
        let mut words = head.split(' ');
        Ok(Some(match (words.next(), words.next(), words.next()) {
            (Some("120000"), ..) => Entry::Link,
            (Some(_), Some("blob"), Some(id)) => Entry::File { id: id.to_owned() },
            _ => Entry::Other,
        }))
    }

    /// The bytes of an object, if it is not larger than `max`.
    pub(crate) fn blob(&self, id: &str, max: u64) -> Result<Vec<u8>, String> {
        let size = text(&self.ask(&["cat-file", "-s", id])?);
        if size.parse::<u64>().is_ok_and(|size| size <= max) {
            return self.ask(&["cat-file", "blob", id]);
        }
        Err(format!("larger than {max} bytes"))
    }

    fn output<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output, String> {
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
            .current_dir(&self.top)
            .arg("--no-pager")
            .stdin(Stdio::null());
        for setting in CLOSED.iter().map(OsStr::new).chain(self.no_filters.iter().map(OsString::as_os_str)) {
            command.arg("-c").arg(setting);
        }
        command.args(args).output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => "the program git is needed for that, and is not installed".to_owned(),
            _ => format!("git cannot be started: {error}"),
        })
    }

    fn failed<S: AsRef<OsStr>>(&self, args: &[S], output: &Output) -> String {
        let verb = args.first().map(|verb| verb.as_ref().to_string_lossy().into_owned()).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("no reason was given").trim_start_matches("fatal: ").to_owned();
        format!("git {verb} in {}: {said}", self.top.display())
    }

    /// Comparing a file with the index would start its filter.
    fn filters(&self) -> Result<Vec<OsString>, String> {
        let keys =
            self.ask_whether(&["config", "-z", "--name-only", "--get-regexp", "^filter\\."])?.unwrap_or_default();
        let names = keys.split(|byte| *byte == 0).filter_map(|key| {
            let dot = key.iter().rposition(|byte| *byte == b'.')?;
            key.get(..dot)
        });
        let mut settings = Vec::new();
        for name in names {
            if name.contains(&b'=') {
                let name = String::from_utf8_lossy(name).into_owned();
                return Err(format!("{name}: a filter with such a name cannot be turned off; rename it"));
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

/// An answer of one line.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
