//! Why an input cannot be opened or read. No error holds a secret, a query or a password.
//!
//! `Display` gives place, reason and hint as one sentence.

use std::fmt;
use std::io;

/// An address, a setting, a server or an object that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An error that concerns this setting, file or server.
    At {
        /// The setting, file or server.
        place: String,
        /// What is wrong there.
        error: Box<Self>,
    },
    /// The text is not an address that is read alike everywhere.
    InvalidAddress(AddressFault),
    /// The address is plain `http`, and that is not allowed.
    PlainHttp,
    /// All addresses of the host are private, local or reserved, and that is not allowed.
    PrivateAddress,
    /// The root certificates are not PEM.
    NotPem,
    /// The root certificates are empty.
    NoCertificate,
    /// `MODELSCAN_TOKEN` is set without `MODELSCAN_TOKEN_HOST`.
    TokenWithoutHost,
    /// A token has characters that a header cannot have.
    InvalidToken {
        /// The environment variable.
        variable: &'static str,
    },
    /// No client was set up, because nothing was to be fetched.
    NoNetwork,
    /// The index of an input is out of range.
    NoSuchInput,
    /// The bytes of the scan are used up.
    ByteBudget {
        /// Bytes that are needed next.
        needed: u64,
        /// Bytes that are left.
        left: u64,
    },
    /// The requests of the scan are used up.
    RequestBudget,
    /// The time for one file is over.
    TimeLimit,
    /// There was no answer.
    Connection(ConnectionFault),
    /// The server answered with this status.
    Status(u16),
    /// The server broke the protocol, or redirects to a forbidden target.
    Server(ServerFault),
    /// The object has another version than in an earlier answer.
    Changed,
    /// No temporary file can be made or written.
    TemporaryFile(String),
    /// The object of a Git LFS pointer cannot be opened.
    Lfs(LfsFault),
    /// The object of a Git LFS pointer is not in the local store, and no server may be asked.
    NotFetched(LfsFault),
}

/// What is wrong with the text of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFault {
    /// More than 16 KiB.
    TooLong,
    /// A character that is not plain ASCII, or that readers treat differently.
    NotPlain,
    /// Another scheme than `https` and `http`.
    Scheme,
    /// The text in brackets is not an IPv6 address.
    Ipv6,
    /// The host is missing or has characters that host names do not have.
    Host,
    /// Text between the host and the path.
    TextBehindHost,
    /// The port is not a number from 1 to 65535.
    Port,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The name did not resolve.
    HostNotFound,
    /// The name did not resolve in time.
    ResolveTimeout,
    /// No connection in time.
    ConnectTimeout,
    /// No connection.
    Refused,
    /// The idle timeout passed.
    Stalled,
    /// TLS failed: the message of the TLS library.
    Tls(String),
    /// The operating system reported this.
    Io(String),
    /// Anything else. The message of the library may hold the address, so it is not kept.
    Other,
}

/// An answer that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFault {
    /// Not HTTP, or cut short within its headers.
    NotHttp,
    /// A redirect without a target.
    RedirectWithoutTarget,
    /// A redirect to text that is not an address.
    RedirectTarget(AddressFault),
    /// A redirect from `https` to `http`.
    RedirectToHttp,
    /// More than five redirects.
    TooManyRedirects,
    /// A compressed body, although the plain one was asked for.
    Compressed,
    /// Fewer bytes than announced.
    TooShort,
    /// More bytes than asked for.
    TooLong,
    /// A partial answer without a usable `Content-Range`.
    NoContentRange,
    /// A `Content-Range` that contradicts itself.
    ImpossibleRange,
    /// Another range than the one that was asked for.
    OtherRange,
}

/// Why the object of a Git LFS pointer cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LfsFault {
    /// The file is in no git repository.
    NoRepository,
    /// The local store does not have the object.
    NotStored,
    /// The object in the local store cannot be read: the message of the operating system.
    Unreadable(String),
    /// The length is not the one of the pointer.
    Length {
        /// Where the object is.
        origin: ObjectLocation,
        /// Bytes of the object.
        found: u64,
        /// Bytes that the pointer names.
        expected: u64,
    },
    /// The SHA-256 is not the one of the pointer.
    Hash {
        /// Where the object is.
        origin: ObjectLocation,
        /// SHA-256 of the object.
        found: String,
    },
    /// No server is known, because the file is in no git repository.
    NoServer,
    /// The repository has several remotes, and none is `origin`.
    SeveralRemotes,
    /// The repository has no remote.
    NoRemote,
    /// The remote has no server that speaks https.
    RemoteWithoutServer,
    /// `.lfsconfig` names a server on another host than the remote.
    ForeignServer {
        /// The server.
        server: String,
    },
    /// The batch answer has no entry for the object.
    NoEntry,
    /// The batch answer is not one.
    InvalidBatch,
    /// The server demands another transfer adapter than `basic`.
    Transfer,
    /// The server does not have the object.
    Absent,
    /// The server refuses the object with this code.
    Refused(i64),
    /// The batch answer has no download address.
    NoAction,
    /// The download address is not one.
    ActionAddress(AddressFault),
}

/// Where an object of Git LFS is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectLocation {
    /// The local store.
    LocalStore,
    /// The server.
    Server,
}

impl Error {
    /// Adds the setting, file or server that the error concerns.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), error: Box::new(self) }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::At { error, .. } => return error.hint(),
            Self::PlainHttp => "--allow-http permits it".to_owned(),
            Self::PrivateAddress => "--allow-private permits that".to_owned(),
            Self::ByteBudget { .. } | Self::RequestBudget => "raise it to read on".to_owned(),
            Self::Changed => "scan it again".to_owned(),
            Self::TemporaryFile(_) => "TMPDIR names another place for it".to_owned(),
            Self::NotFetched(_) => "--lfs fetch reads it from the server".to_owned(),
            Self::InvalidAddress(AddressFault::NotPlain) => "write other characters as %XX".to_owned(),
            Self::Lfs(fault) => return fault.hint(),
            Self::InvalidAddress(_)
            | Self::NotPem
            | Self::NoCertificate
            | Self::TokenWithoutHost
            | Self::InvalidToken { .. }
            | Self::NoNetwork
            | Self::NoSuchInput
            | Self::TimeLimit
            | Self::Connection(_)
            | Self::Status(_)
            | Self::Server(_) => return None,
        })
    }

    fn write_reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { place, error } => {
                write!(f, "{place}: ")?;
                error.write_reason(f)
            }
            Self::InvalidAddress(fault) => write!(f, "{fault}"),
            Self::PlainHttp => f.write_str("plain http is not used"),
            Self::PrivateAddress => f.write_str("its host is a private, local or reserved address"),
            Self::NotPem => f.write_str("it is not PEM"),
            Self::NoCertificate => f.write_str("it holds no certificate"),
            Self::TokenWithoutHost => {
                f.write_str("MODELSCAN_TOKEN is set and MODELSCAN_TOKEN_HOST does not say whose it is")
            }
            Self::InvalidToken { variable } => write!(f, "{variable} holds characters that no token has"),
            Self::NoNetwork => f.write_str("nothing may be fetched"),
            Self::NoSuchInput => f.write_str("there is no such address"),
            Self::ByteBudget { needed, left } => {
                write!(f, "{needed} more bytes are needed and {left} are left of --limit-remote-bytes")
            }
            Self::RequestBudget => f.write_str("the requests of --limit-remote-requests are used up"),
            Self::TimeLimit => f.write_str("the time for one file (--limit-time) is up"),
            Self::Connection(fault) => write!(f, "{fault}"),
            Self::Status(status) => write!(f, "the server answers with status {status}{}", status_meaning(*status)),
            Self::Server(fault) => write!(f, "{fault}"),
            Self::Changed => f.write_str("the object changed while it was read"),
            Self::TemporaryFile(error) => write!(f, "no temporary file: {error}"),
            Self::Lfs(fault) | Self::NotFetched(fault) => write!(f, "{fault}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_reason(f)?;
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

fn status_meaning(status: u16) -> &'static str {
    match status {
        401 => " (it wants credentials; docs/remote.md says how to give them)",
        403 => " (forbidden; credentials may be missing, or a signed address be too old)",
        404 | 410 => " (not there)",
        429 => " (too many requests)",
        500..=599 => " (its own fault; try again later)",
        _ => "",
    }
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => return write!(f, "an address of more than {} bytes", crate::bounds::MAX_ADDRESS_BYTES),
            Self::NotPlain => "an address must be plain ASCII",
            Self::Scheme => "only https:// and http:// are known",
            Self::Ipv6 => "the text in brackets is not an IPv6 address",
            Self::Host => "it names no host, or one with characters that no host has",
            Self::TextBehindHost => "there is text between host and path",
            Self::Port => "its port is not a number from 1 to 65535",
        })
    }
}

impl fmt::Display for ConnectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostNotFound => "its host was not found",
            Self::ResolveTimeout => "its host was not found in time",
            Self::ConnectTimeout => "its host does not take connections in time",
            Self::Refused => "its host cannot be connected to",
            Self::Stalled => "the server stalls",
            Self::Tls(error) => return write!(f, "no secure connection: {error}"),
            Self::Io(error) => error,
            Self::Other => "the request failed",
        })
    }
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "the server does not speak HTTP as it should, or cuts its answer short",
            Self::RedirectWithoutTarget => "the server redirects and does not say where to",
            Self::RedirectTarget(fault) => {
                return write!(f, "the server redirects to text that is not an address: {fault}");
            }
            Self::RedirectToHttp => "the server redirects from https to http",
            Self::TooManyRedirects => return write!(f, "more than {} redirects", crate::bounds::MAX_REDIRECTS),
            Self::Compressed => "the server sends a compressed form although the plain one was asked for",
            Self::TooShort => "the server cuts its answer short",
            Self::TooLong => "the server answers with more than was asked for",
            Self::NoContentRange => "the server does not say which range it answers with",
            Self::ImpossibleRange => "the server answers with a range that cannot be",
            Self::OtherRange => "the server answers with another range than the one that was asked for",
        })
    }
}

impl LfsFault {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoServer => "--lfs-url names a server".to_owned(),
            Self::SeveralRemotes | Self::RemoteWithoutServer => "--lfs-url names one".to_owned(),
            Self::NoRemote => "--lfs-url names the server".to_owned(),
            Self::ForeignServer { server } => format!("--lfs-url {server} permits it"),
            Self::NoRepository
            | Self::NotStored
            | Self::Unreadable(_)
            | Self::Length { .. }
            | Self::Hash { .. }
            | Self::NoEntry
            | Self::InvalidBatch
            | Self::Transfer
            | Self::Absent
            | Self::Refused(_)
            | Self::NoAction
            | Self::ActionAddress(_) => return None,
        })
    }
}

impl fmt::Display for LfsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRepository | Self::NoServer => "it lies in no git repository",
            Self::NotStored => "its object is not in the local store",
            Self::Unreadable(error) => {
                return write!(f, "its object in the local store cannot be read: {error}");
            }
            Self::Length { origin: ObjectLocation::LocalStore, found, expected } => {
                return write!(f, "its object in the local store has {found} bytes and not {expected}");
            }
            Self::Length { origin: ObjectLocation::Server, found, expected } => {
                return write!(f, "the server's object has {found} bytes and not {expected}");
            }
            Self::Hash { origin: ObjectLocation::LocalStore, found } => {
                return write!(f, "its object in the local store has the SHA-256 {found}");
            }
            Self::Hash { origin: ObjectLocation::Server, found } => {
                return write!(f, "the SHA-256 of the server's object is {found}");
            }
            Self::SeveralRemotes => "it has several remotes and none is `origin`",
            Self::NoRemote => "its repository has no remote",
            Self::RemoteWithoutServer => "its remote is no server that speaks https",
            Self::ForeignServer { server } => {
                return write!(f, ".lfsconfig names the server {server}, which is not where the remote is");
            }
            Self::NoEntry => "the LFS server says nothing of it",
            Self::InvalidBatch => "its answer is no batch",
            Self::Transfer => "it wants another transfer than the basic one",
            Self::Absent => "the LFS server does not have it",
            Self::Refused(code) => return write!(f, "the LFS server refuses it (code {code})"),
            Self::NoAction => "the LFS server does not say where it is",
            Self::ActionAddress(fault) => {
                return write!(f, "the LFS server says where it is, but not so: {fault}");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_place_reason_and_hint() {
        let error = Error::PlainHttp.at("http://host/a");
        assert_eq!(error.to_string(), "http://host/a: plain http is not used; --allow-http permits it");
        assert_eq!(error.hint().as_deref(), Some("--allow-http permits it"));
        assert_eq!(Error::TimeLimit.hint(), None);
    }
}
