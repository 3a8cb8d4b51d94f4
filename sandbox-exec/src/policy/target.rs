//! A host and port that the proxy may connect to. Only names are accepted: an IP address would skip the checks of the name's addresses.

use std::fmt;

/// A host name in lower case, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Set for a profile's host without a port, which permits ports 443 and 80.
    any_web_port: bool,
}

/// Why an authority is not a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetError {
    /// The port is not a number.
    Port,
    /// The host is an address, or not a name.
    Host,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Port => "the port is not a number",
            Self::Host => "not a host name; addresses are not permitted",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Target {
    /// Parses `host` or `host:port` from a profile.
    pub(crate) fn from_profile(text: &str) -> Option<Self> {
        match text.rsplit_once(':') {
            Some((host, port)) => Some(Self { host: host_name(host)?, port: port.parse().ok()?, any_web_port: false }),
            None => Some(Self { host: host_name(text)?, port: 443, any_web_port: true }),
        }
    }

    /// Whether this host of a profile permits a requested target.
    pub(crate) fn permits(&self, requested: &Self) -> bool {
        self.host == requested.host && (self.port == requested.port || (self.any_web_port && requested.port == 80))
    }

    /// Parses the authority of a request; `default_port` applies where it has none.
    pub(crate) fn from_authority(authority: &str, default_port: u16) -> Result<Self, TargetError> {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, text)) => (host, text.parse().map_err(|_| TargetError::Port)?),
            None => (authority, default_port),
        };
        let host = host_name(host).ok_or(TargetError::Host)?;
        Ok(Self { host, port, any_web_port: false })
    }
}

/// A host name in lower case. The last label must not begin with a digit, since such a text may be read as an IPv4 address.
fn host_name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let last = text.rsplit('.').next()?;
    let good = text.len() <= 253 && text.split('.').all(label) && !last.starts_with(|c: char| c.is_ascii_digit());
    good.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_accepted_and_addresses_refused() {
        for good in ["huggingface.co", "a-b.example", "localhost", "Example.COM."] {
            assert!(host_name(good).is_some(), "{good}");
        }
        for bad in
            ["1.2.3.4", "127.1", "2130706433", "0x7f000001", "[::1]", "::1", "", "a..b", "x@y", "a b", "1.2.3.0x4"]
        {
            assert_eq!(host_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_host_of_a_profile_permits_its_ports_only() {
        let permits = |row: &str, requested: &str| {
            let (row, requested) = (Target::from_profile(row), Target::from_authority(requested, 443).ok());
            row.zip(requested).is_some_and(|(row, requested)| row.permits(&requested))
        };
        assert!(permits("a.b", "a.b:443") && permits("a.b", "A.b:80") && permits("a.b:8080", "a.b:8080"));
        assert!(!permits("a.b", "a.b:22") && !permits("a.b:8080", "a.b:443") && !permits("a.b", "x.a.b:443"));
    }
}
