//! A resolver that drops addresses that must not be reached. The address of a model often comes from a stranger, and redirects
//! always do: neither may lead to the metadata service of a cloud, to the local network or to this machine.
//!
//! A name is resolved once, and the connection goes to the addresses that were checked, so a name that resolves differently a moment
//! later (DNS rebinding) gains nothing.

use crate::error::Error;
use std::io;
use std::net::IpAddr;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Resolves names, and keeps the addresses that are allowed.
#[derive(Debug)]
pub(crate) struct FilteringResolver {
    is_allowed: fn(IpAddr) -> bool,
    inner: DefaultResolver,
}

impl FilteringResolver {
    pub(crate) fn new(is_allowed: fn(IpAddr) -> bool) -> Self {
        Self { is_allowed, inner: DefaultResolver::default() }
    }
}

impl Resolver for FilteringResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in all.iter().filter(|address| (self.is_allowed)(address.ip())) {
            allowed.push(*address);
        }
        if allowed.is_empty() {
            return Err(ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, Error::PrivateAddress)));
        }
        Ok(allowed)
    }
}
