//! Why the proxy denies a request. The text is part of the report, and of the answer to the client.

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::policy::target::TargetError;

/// The reason of a denial.
#[derive(Debug)]
pub(crate) enum Denial {
    /// No complete head within the limits of time and length.
    NotARequest,
    NotText,
    MalformedRequestLine,
    UnknownHttpVersion,
    /// The method is not CONNECT, and the target is not an absolute `http://` address.
    UnsupportedTarget,
    MalformedAddress,
    Target(TargetError),
    MalformedHeader,
    DifferentHostHeader,
    SeveralHostHeaders,
    BodyWithoutLength,
    SeveralLengths,
    MalformedLength,
    HostNotPermitted,
    Lookup(io::Error),
    /// The name resolves only to addresses that are not globally routable; the first one, if any.
    NotPublic(Option<IpAddr>),
    NoAnswer,
    NotTls,
    /// The TLS greeting names another host.
    DifferentServerName(String),
    /// The TLS greeting names no host, or hides its name.
    NoServerName,
}

impl From<TargetError> for Denial {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotARequest => "not a request that this proxy knows",
            Self::NotText => "a request that is not text",
            Self::MalformedRequestLine => "a malformed request line",
            Self::UnknownHttpVersion => "an unknown version of HTTP",
            Self::UnsupportedTarget => "neither CONNECT nor an http:// address",
            Self::MalformedAddress => "a malformed address",
            Self::Target(error) => return error.fmt(f),
            Self::MalformedHeader => "a malformed header",
            Self::DifferentHostHeader => "a Host header that differs from the address",
            Self::SeveralHostHeaders => "several Host headers",
            Self::BodyWithoutLength => "a body without a length",
            Self::SeveralLengths => "several lengths",
            Self::MalformedLength => "a length that is not a number",
            Self::HostNotPermitted => "not among the hosts that the profile names",
            Self::Lookup(error) => return write!(f, "the name cannot be resolved: {error}"),
            Self::NotPublic(Some(address)) => {
                return write!(f, "the name resolves to {address}, which is not public");
            }
            Self::NotPublic(None) => "the name resolves to no address",
            Self::NoAnswer => "the host does not answer",
            Self::NotTls => "what followed CONNECT was not TLS",
            Self::DifferentServerName(name) => return write!(f, "the TLS greeting asks for {name:?}"),
            Self::NoServerName => "the TLS greeting names no host, or hides its name",
        })
    }
}
