//! The repository that a pointer lies in: its folder of objects, its settings, and the server that it fetches from.
//!
//! `.git` is never part of what others commit, so its settings are the user's own. `.lfsconfig` is: it may lead to another
//! path on the host of the remote, and to no other host.

use super::config::Settings;
use crate::address::Address;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Settings take a few kilobytes.
const MAX: u64 = 1 << 20;

/// A repository on this machine.
pub(super) struct Repository {
    /// Its folder of settings and objects, which working trees share.
    common: PathBuf,
    settings: Settings,
    /// What is committed beside the files.
    committed: Settings,
}

impl Repository {
    /// The repository around a file: the nearest one upward.
    pub(super) fn around(file: &Path) -> Option<Self> {
        let folder = std::fs::canonicalize(file.parent()?).ok()?;
        let (top, git) = folder.ancestors().find_map(|folder| Some((folder, git_folder(&folder.join(".git"))?)))?;
        // A working tree beside the first one has a folder of its own, which names the shared one.
        let common = match read(&git.join("commondir")) {
            Ok(text) => git.join(text.trim_end()),
            Err(_) => git,
        };
        let settings = read(&common.join("config")).map(|text| Settings::parse(&text)).unwrap_or_default();
        let committed = read(&top.join(".lfsconfig")).map(|text| Settings::parse(&text)).unwrap_or_default();
        Some(Self { common, settings, committed })
    }

    /// Where an object stands, if it is here.
    pub(super) fn object(&self, oid: &str) -> Option<PathBuf> {
        let storage = self.common.join(self.settings.get("lfs.storage").unwrap_or("lfs"));
        Some(storage.join("objects").join(oid.get(..2)?).join(oid.get(2..4)?).join(oid))
    }

    /// The server that gives its objects.
    ///
    /// # Errors
    /// When none is named, or what is committed names another host than the remote's.
    pub(super) fn server(&self) -> Result<Address, String> {
        let remote =
            self.settings.remote().ok_or("it has several remotes and none is `origin`; --lfs-url names one")?;
        let lfsurl = format!("remote.{remote}.lfsurl");
        if let Some(url) = self.settings.get("lfs.url").or_else(|| self.settings.get(&lfsurl)) {
            return Address::parse(url).map_err(|why| format!("the LFS server in .git/config: {why}"));
        }
        let url = self.settings.get(&format!("remote.{remote}.url"));
        let derived = url
            .ok_or("its repository has no remote; --lfs-url names the server")
            .and_then(|url| derived(url).ok_or("its remote is no server that speaks https; --lfs-url names one"));
        let Some(url) = self.committed.get("lfs.url").or_else(|| self.committed.get(&lfsurl)) else {
            return Ok(derived?);
        };
        let named = Address::parse(url).map_err(|why| format!("the LFS server in .lfsconfig: {why}"))?;
        let derived = derived?;
        // User and password that somebody committed are left out with the rest of the secrets.
        let named = Address::parse(&named.shown())?;
        if named.host() == derived.host() && named.is_secure() == derived.is_secure() {
            return Ok(named);
        }
        Err(format!(
            ".lfsconfig names the server {named}, which is not where the remote is; --lfs-url {named} permits it"
        ))
    }
}

/// The folder that `.git` is, or that it names.
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
    File::open(path)?.take(MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The server of a remote, as Git LFS finds it: `info/lfs` below the repository, over https also where git uses ssh.
fn derived(url: &str) -> Option<Address> {
    let web = if Address::is_meant(url) {
        url.to_owned()
    } else if let Some(rest) = url.strip_prefix("ssh://").or_else(|| url.strip_prefix("git://")) {
        let (authority, path) = rest.split_once('/')?;
        let host = authority.rsplit('@').next()?;
        // The port is one of ssh.
        let host = if host.starts_with('[') { host.split_inclusive(']').next()? } else { host.split(':').next()? };
        format!("https://{host}/{path}")
    } else {
        // `user@host:path`, which is no path of this machine and no other kind of address.
        let named = |(host, path): &(&str, &str)| !host.contains('/') && host.len() > 1 && !path.starts_with("//");
        let (host, path) = url.split_once(':').filter(named)?;
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
    fn remotes_lead_to_their_server() {
        let all = [
            ("https://github.com/a/b", "https://github.com/a/b.git/info/lfs"),
            ("https://github.com/a/b.git/", "https://github.com/a/b.git/info/lfs"),
            ("git@github.com:a/b.git", "https://github.com/a/b.git/info/lfs"),
            ("ssh://git@host:2222/a/b.git", "https://host/a/b.git/info/lfs"),
            ("ssh://[::1]:22/a", "https://[::1]/a.git/info/lfs"),
        ];
        for (remote, server) in all {
            assert_eq!(derived(remote).map(|address| address.shown()).as_deref(), Some(server), "{remote}");
        }
        for remote in ["/srv/git/a.git", "../a", "file:///srv/a.git", "C:\\a", "./a:b"] {
            assert!(derived(remote).is_none(), "{remote}");
        }
    }

    fn repository(config: &str, committed: &str) -> Result<String, String> {
        let (settings, committed) = (Settings::parse(config), Settings::parse(committed));
        Repository { common: PathBuf::new(), settings, committed }.server().map(|address| address.shown())
    }

    #[test]
    fn what_is_committed_leads_to_no_other_host() {
        let origin = "[remote \"origin\"]\nurl = git@github.com:a/b\n";
        assert_eq!(repository(origin, "").as_deref(), Ok("https://github.com/a/b.git/info/lfs"));
        assert_eq!(repository(origin, "[lfs]\nurl = https://github.com/c/d").as_deref(), Ok("https://github.com/c/d"));
        for url in ["https://evil.example/x", "http://github.com/c", "https://github.com.evil.example/"] {
            let said = repository(origin, &format!("[lfs]\nurl = {url}"));
            assert!(said.as_ref().is_err_and(|why| why.contains("--lfs-url")), "{said:?}");
        }
        let own = format!("{origin}[lfs]\nurl = https://store.example/x\n");
        assert_eq!(repository(&own, "[lfs]\nurl = https://evil.example").as_deref(), Ok("https://store.example/x"));
        assert!(repository("", "[lfs]\nurl = https://evil.example").is_err());
    }
}
