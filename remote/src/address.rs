//! Addresses (RFC 3986), parsed strictly. Text that two readers could read differently is refused, so that the host that is
//! checked is the host that is connected to.
//!
//! Two parts of an address may be secret: the part before the host (`user:password@`) and the query (a signature).
//! [`Address::without_secrets`] has neither; it is the only form in reports and errors.

use crate::bounds::MAX_ADDRESS_BYTES;
use crate::error::{AddressFault, Error};
use std::fmt;
use std::net::Ipv6Addr;

/// An `https` or `http` address.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    https: bool,
    /// The part before `@`, percent-encoded.
    userinfo: Option<String>,
    /// Lower case; IPv6 in brackets.
    host: String,
    port: u16,
    /// Starts with `/`.
    path: String,
    query: Option<String>,
}

impl Address {
    /// Whether text begins with `https://` or `http://`, and so is not a path.
    pub fn has_scheme(text: &str) -> bool {
        ["http://", "https://"].iter().any(|scheme| starts_with(text, scheme))
    }

    /// Parses an address. A fragment is dropped, since it is not sent to a server.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], without the text of the address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_parts(text).map_err(Error::InvalidAddress)
    }

    pub(crate) fn parse_parts(text: &str) -> Result<Self, AddressFault> {
        if text.len() > MAX_ADDRESS_BYTES {
            return Err(AddressFault::TooLong);
        }
        let plain = |byte: u8| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte);
        if !text.bytes().all(plain) {
            return Err(AddressFault::NotPlain);
        }
        let (https, rest) = if starts_with(text, "https://") {
            (true, text.get(8..))
        } else if starts_with(text, "http://") {
            (false, text.get(7..))
        } else {
            return Err(AddressFault::Scheme);
        };
        let rest = rest.unwrap_or_default().split('#').next().unwrap_or_default();
        let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = parse_host_and_port(host, https)?;
        let (path, query) = match behind.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (behind, None),
        };
        let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        Ok(Self { https, userinfo, host, port, path, query })
    }

    /// Resolves the `Location` of a redirect. User and password are dropped: they are for this address only.
    pub(crate) fn join(&self, location: &str) -> Result<Self, AddressFault> {
        let scheme = if self.https { "https" } else { "http" };
        let here = format!("{scheme}://{}", self.authority());
        let absolute = location.split(['/', '?', '#']).next().is_some_and(|start| start.contains(':'));
        let text = if absolute {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{here}{location}")
        } else if location.is_empty() || location.starts_with(['?', '#']) {
            format!("{here}{}{location}", self.path)
        } else {
            let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{here}{}", without_dots(&format!("{folder}/{location}")))
        };
        Self::parse_parts(&text)
    }

    /// This address with `path` appended to its path, and without a query.
    #[must_use]
    pub fn join_path(&self, path: &str) -> Self {
        Self { path: format!("{}/{path}", self.path.trim_end_matches('/')), query: None, ..self.clone() }
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host, lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host, with the port if it is not the default one.
    pub fn authority(&self) -> String {
        let default = if self.https { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Whether scheme, host and port are the same. Secrets are sent to the same origin only.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.https, &self.host, self.port) == (other.https, &other.host, other.port)
    }

    /// The path, percent-encoded.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// User and password, percent-decoded.
    pub fn user_and_password(&self) -> Option<(String, String)> {
        let userinfo = self.userinfo.as_ref()?;
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Some((percent_decode(user), percent_decode(password)))
    }

    /// The last segment of the path, percent-decoded: a hint to formats, like the name of a file.
    pub fn file_name(&self) -> String {
        percent_decode(self.path.rsplit('/').next().unwrap_or_default())
    }

    /// The address of a request: with the query, without user and password.
    pub(crate) fn request_target(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", self.without_secrets())
    }

    /// The address without user, password and query.
    pub fn without_secrets(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_secrets())
    }
}

/// Not derived, so that `{:?}` shows no secret either.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_secrets())
    }
}

fn starts_with(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

fn parse_host_and_port(text: &str, https: bool) -> Result<(String, u16), AddressFault> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, port)) => {
            let inner: Ipv6Addr = inner.parse().map_err(|_| AddressFault::Ipv6)?;
            (format!("[{inner}]"), port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (host.to_ascii_lowercase(), port)
        }
    };
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || !(host.starts_with('[') || host.bytes().all(is_host_byte)) {
        return Err(AddressFault::Host);
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err(AddressFault::TextBehindHost),
        Some("") => None,
        Some(digits) => {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let port = digits.parse().ok().filter(|port| plain && *port != 0);
            Some(port.ok_or(AddressFault::Port)?)
        }
    };
    Ok((host, port.unwrap_or(if https { 443 } else { 80 })))
}

/// Removes `.` and `..` from a path (RFC 3986, section 5.2.4). A query is kept.
fn without_dots(text: &str) -> String {
    let (path, query) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    let mut parts: Vec<&str> = Vec::new();
    let mut folder = false;
    for part in path.split('/').skip(1) {
        folder = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    if folder {
        parts.push("");
    }
    format!("/{}{query}", parts.join("/"))
}

/// Decodes `%XX`. Bytes that are not UTF-8 afterwards are replaced by U+FFFD.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        Address::parse(text).expect("it is an address")
    }

    #[test]
    fn secrets_are_neither_shown_nor_part_of_a_request() {
        let address = parsed("https://me:s%40crt@Example.org:443/a/model%20b.pt?sig=xyz&e=1#part");
        assert_eq!(address.without_secrets(), "https://example.org/a/model%20b.pt");
        assert_eq!(format!("{address} {address:?}").matches("crt").count(), 0);
        assert_eq!(address.request_target(), "https://example.org/a/model%20b.pt?sig=xyz&e=1");
        assert_eq!(address.user_and_password(), Some(("me".into(), "s@crt".into())));
        assert_eq!(address.file_name(), "model b.pt");
    }

    #[test]
    fn ambiguous_text_is_refused() {
        let structure = ["https://", "https:///a", "https://a b/", "https://a\\@b/", "https://a%2eb/", "https://h:0/"];
        let hosts = ["https://h:+80/", "https://[::1/", "https://[x]/", "https://[::1]x/", "https://ä/", "ftp://a/"];
        for text in
            structure.into_iter().chain(hosts).chain(["https://a:b:c/", "file:///etc/passwd", "https://h:99999/"])
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        // The last `@` counts, as for browsers.
        assert_eq!(parsed("https://good.example@evil.example/").host(), "evil.example");
        assert_eq!(parsed("HTTP://[0:0::1]:8080").without_secrets(), "http://[::1]:8080/");
        assert_eq!(parsed("https://h?x").request_target(), "https://h/?x");
    }

    #[test]
    fn a_location_is_relative_to_the_address_that_sent_it() {
        let here = parsed("https://u:p@h:8443/a/b/c?q=1");
        for (location, there) in [
            ("https://other/x?y", "https://other/x?y"),
            ("//other/x", "https://other/x"),
            ("/x", "https://h:8443/x"),
            ("x?y=/../z", "https://h:8443/a/b/x?y=/../z"),
            ("../x", "https://h:8443/a/x"),
            ("../../../x/.", "https://h:8443/x/"),
            ("?z", "https://h:8443/a/b/c?z"),
        ] {
            let joined = here.join(location).expect("it leads somewhere");
            assert_eq!(joined.request_target(), there, "{location}");
            assert_eq!(joined.user_and_password(), None);
        }
        assert!(here.join("javascript:x").is_err() && here.join("file:///etc").is_err());
        assert!(here.same_origin(&parsed("https://H:8443/")) && !here.same_origin(&parsed("http://h:8443/")));
    }
}
