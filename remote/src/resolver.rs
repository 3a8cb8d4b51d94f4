//! Which machines may be asked. A model's address is often somebody else's input, and redirects always are: neither may
//! lead to the cloud's metadata service, to a neighbour in the same network or back to this machine.
//!
//! A name is resolved once and the connection goes to the very addresses that were checked, so a name that answers
//! differently a moment later gains nothing.

use std::io;
use std::net::IpAddr;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Resolves names, and drops what must not be reached.
#[derive(Debug)]
pub(crate) struct Guarded {
    permits: fn(IpAddr) -> bool,
    inner: DefaultResolver,
}

impl Guarded {
    pub(crate) fn new(permits: fn(IpAddr) -> bool) -> Self {
        Self { permits, inner: DefaultResolver::default() }
    }
}

/// What a refusal says; [`crate::client`] hands it on as it stands.
pub(crate) const REFUSED: &str = "its host is a private, local or reserved address; --allow-private permits that";

impl Resolver for Guarded {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = self.inner.resolve(uri, config, timeout)?;
        let mut kept = self.empty();
        for address in all.iter().filter(|address| (self.permits)(address.ip())) {
            kept.push(*address);
        }
        if kept.is_empty() {
            return Err(ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, REFUSED)));
        }
        Ok(kept)
    }
}
