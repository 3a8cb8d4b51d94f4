//! The git repository of a pointer: its object store, its configuration and its LFS server.
//!
//! `.git` is not committed, so its configuration is the user's own. `.lfsconfig` is committed by others, so it may name another
//! path on the host of the remote, but not another host.

use super::git_config::GitConfig;
use crate::address::Address;
use crate::bounds::MAX_GIT_CONFIG_BYTES;
use crate::error::{Error, LfsFault};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A repository on this machine.
pub(super) struct Repository {
    /// The folder of configuration and objects, shared by all working trees (gitrepository-layout(5), `commondir`).
    common_dir: PathBuf,
    /// `.git/config`.
    config: GitConfig,
    /// `.lfsconfig`, which is committed.
    committed_config: GitConfig,
}

impl Repository {
    /// The nearest repository above a file. A repository of another owner than the file does not count: in a folder that
    /// is writable for all, anyone can create a `.git`.
    pub(super) fn containing(file: &Path) -> Option<Self> {
        let folder = std::fs::canonicalize(file.parent()?).ok()?;
        let (top, git) = folder.ancestors().find_map(|folder| Some((folder, git_folder(&folder.join(".git"))?)))?;
        let owner = |path: &Path| std::fs::metadata(path).map(|meta| meta.uid()).ok();
        if owner(&git)? != owner(file)? {
            return None;
        }
        // A linked working tree has a folder of its own, which names the shared one.
        let common_dir = match read(&git.join("commondir")) {
            Ok(text) => git.join(text.trim_end()),
            Err(_) => git,
        };
        let config = read(&common_dir.join("config")).map(|text| GitConfig::parse(&text)).unwrap_or_default();
        let committed_config = read(&top.join(".lfsconfig")).map(|text| GitConfig::parse(&text)).unwrap_or_default();
        Some(Self { common_dir, config, committed_config })
    }

    /// The path of an object in the local store.
    pub(super) fn object_path(&self, oid: &str) -> Option<PathBuf> {
        let storage = self.common_dir.join(self.config.get("lfs.storage").unwrap_or("lfs"));
        Some(storage.join("objects").join(oid.get(..2)?).join(oid.get(2..4)?).join(oid))
    }

    /// The LFS server.
    ///
    /// # Errors
    /// When none is named, or `.lfsconfig` names another host than that of the remote.
    pub(super) fn server(&self) -> Result<Address, Error> {
        let remote = self.config.default_remote().ok_or(Error::Lfs(LfsFault::SeveralRemotes))?;
        let lfsurl = format!("remote.{remote}.lfsurl");
        if let Some(url) = self.config.get("lfs.url").or_else(|| self.config.get(&lfsurl)) {
            return Address::parse(url).map_err(|error| error.at("the LFS server in .git/config"));
        }
        let url = self.config.get(&format!("remote.{remote}.url"));
        let derived = url
            .ok_or(Error::Lfs(LfsFault::NoRemote))
            .and_then(|url| server_of_remote(url).ok_or(Error::Lfs(LfsFault::RemoteWithoutServer)));
        let Some(url) = self.committed_config.get("lfs.url").or_else(|| self.committed_config.get(&lfsurl)) else {
            return derived;
        };
        let named = Address::parse(url).map_err(|error| error.at("the LFS server in .lfsconfig"))?;
        let derived = derived?;
        // A committed user and password are not used.
        let named = Address::parse(&named.without_secrets())?;
        if named.host() == derived.host() && named.is_https() == derived.is_https() {
            return Ok(named);
        }
        Err(Error::Lfs(LfsFault::ForeignServer { server: named.without_secrets() }))
    }
}

/// The folder `.git`, or the folder that a file `.git` names.
fn git_folder(dot_git: &Path) -> Option<PathBuf> {
    if dot_git.is_dir() {
        return dot_git.join("HEAD").exists().then(|| dot_git.to_owned());
    }
    let text = read(dot_git).ok()?;
    let named = text.strip_prefix("gitdir:")?.trim();
    let folder = dot_git.parent()?.join(named);
    folder.join("HEAD").exists().then_some(folder)
}

fn read(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_GIT_CONFIG_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The server of a remote, as Git LFS derives it: `info/lfs` below the repository, over https also where git uses ssh.
fn server_of_remote(url: &str) -> Option<Address> {
    let web = if Address::has_scheme(url) {
        url.to_owned()
    } else if let Some(rest) = url.strip_prefix("ssh://").or_else(|| url.strip_prefix("git://")) {
        let (authority, path) = rest.split_once('/')?;
        let host = authority.rsplit('@').next()?;
        // The port is that of ssh.
        let host = if host.starts_with('[') { host.split_inclusive(']').next()? } else { host.split(':').next()? };
        format!("https://{host}/{path}")
    } else {
        // `user@host:path`. A path of this machine and another kind of address do not match.
        let is_scp_like =
            |(host, path): &(&str, &str)| !host.contains('/') && host.len() > 1 && !path.starts_with("//");
        let (host, path) = url.split_once(':').filter(is_scp_like)?;
        let host = host.rsplit('@').next()?;
        format!("https://{host}/{}", path.trim_start_matches('/'))
    };
    let web = web.trim_end_matches('/');
    let ending = if web.ends_with(".git") { "" } else { ".git" };
    Address::parse(&format!("{web}{ending}/info/lfs")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_remote_has_its_server() {
        let all = [
            ("https://github.com/a/b", "https://github.com/a/b.git/info/lfs"),
            ("https://github.com/a/b.git/", "https://github.com/a/b.git/info/lfs"),
            ("git@github.com:a/b.git", "https://github.com/a/b.git/info/lfs"),
            ("ssh://git@host:2222/a/b.git", "https://host/a/b.git/info/lfs"),
            ("ssh://[::1]:22/a", "https://[::1]/a.git/info/lfs"),
        ];
        for (remote, server) in all {
            assert_eq!(
                server_of_remote(remote).map(|address| address.without_secrets()).as_deref(),
                Some(server),
                "{remote}"
            );
        }
        for remote in ["/srv/git/a.git", "../a", "file:///srv/a.git", "C:\\a", "./a:b"] {
            assert!(server_of_remote(remote).is_none(), "{remote}");
        }
    }

    fn server(config: &str, committed: &str) -> Result<String, Error> {
        let (config, committed_config) = (GitConfig::parse(config), GitConfig::parse(committed));
        let repository = Repository { common_dir: PathBuf::new(), config, committed_config };
        repository.server().map(|address| address.without_secrets())
    }

    #[test]
    fn a_committed_server_is_on_the_host_of_the_remote() {
        let origin = "[remote \"origin\"]\nurl = git@github.com:a/b\n";
        assert_eq!(server(origin, "").as_deref(), Ok("https://github.com/a/b.git/info/lfs"));
        assert_eq!(server(origin, "[lfs]\nurl = https://github.com/c/d").as_deref(), Ok("https://github.com/c/d"));
        for url in ["https://evil.example/x", "http://github.com/c", "https://github.com.evil.example/"] {
            let answer = server(origin, &format!("[lfs]\nurl = {url}"));
            assert!(matches!(answer, Err(Error::Lfs(LfsFault::ForeignServer { .. }))), "{answer:?}");
        }
        let own = format!("{origin}[lfs]\nurl = https://store.example/x\n");
        assert_eq!(server(&own, "[lfs]\nurl = https://evil.example").as_deref(), Ok("https://store.example/x"));
        assert!(server("", "[lfs]\nurl = https://evil.example").is_err());
    }
}
