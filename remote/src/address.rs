//! Web addresses, read strictly: what cannot be written in plain characters is refused rather than guessed, so that the
//! host that is checked is the host that is connected to.
//!
//! A secret stands in two places of an address: before the host (`user:password@`) and in the query (a signature). Neither
//! is in [`Address::shown`], the only form that reaches a report or an error.

use std::fmt;
use std::net::Ipv6Addr;

/// An address, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    /// What stood before `@`, still percent-encoded.
    userinfo: Option<String>,
    /// In lower case; IPv6 in brackets.
    host: String,
    port: u16,
    /// Starts with `/`.
    path: String,
    query: Option<String>,
}

/// Longer ones are not met: signed addresses take some 2,000 bytes.
const LONGEST: usize = 16 << 10;

impl Address {
    /// Whether text is meant as an address and not as a path.
    pub fn is_meant(text: &str) -> bool {
        ["http://", "https://"].iter().any(|scheme| starts_with(text, scheme))
    }

    /// Reads an address. A fragment is dropped: it names a place within what is fetched.
    ///
    /// # Errors
    /// What is wrong with it, without the address itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("an address of more than {LONGEST} bytes"));
        }
        let plain = |byte: u8| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte);
        if !text.bytes().all(plain) {
            return Err("an address must be plain ASCII; write other characters as %XX".to_owned());
        }
        let (secure, rest) = if starts_with(text, "https://") {
            (true, text.get(8..))
        } else if starts_with(text, "http://") {
            (false, text.get(7..))
        } else {
            return Err("only https:// and http:// are known".to_owned());
        };
        let rest = rest.unwrap_or_default().split('#').next().unwrap_or_default();
        let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = host_and_port(host, secure)?;
        let (path, query) = match behind.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (behind, None),
        };
        let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        Ok(Self { secure, userinfo, host, port, path, query })
    }

    /// Where a `Location` leads from here. What was before the host stays behind: it belongs to who wrote the address.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn join(&self, location: &str) -> Result<Self, String> {
        let scheme = if self.secure { "https" } else { "http" };
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
        Self::parse(&text)
    }

    /// The same place, another path below it, no query.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        Self { path: format!("{}/{path}", self.path.trim_end_matches('/')), query: None, ..self.clone() }
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host, with the port where that is not the usual one.
    pub fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Whether both are one scheme, host and port: what may see the same secrets.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// The path, still percent-encoded.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// User and password, decoded.
    pub fn user_and_password(&self) -> Option<(String, String)> {
        let userinfo = self.userinfo.as_ref()?;
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Some((decoded(user), decoded(password)))
    }

    /// The last part of the path, decoded: a hint like any file's name.
    pub fn file_name(&self) -> String {
        decoded(self.path.rsplit('/').next().unwrap_or_default())
    }

    /// The address as it is asked for: with the query, without what stood before the host.
    pub fn asked(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", self.shown())
    }

    /// The address without anything secret.
    pub fn shown(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Not derived: a secret must not get into a message by way of `{:?}`.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

fn starts_with(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

fn host_and_port(text: &str, secure: bool) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, port)) => {
            let inner: Ipv6Addr = inner.parse().map_err(|_| "what stands in brackets is no IPv6 address".to_owned())?;
            (format!("[{inner}]"), port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (host.to_ascii_lowercase(), port)
        }
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || !(host.starts_with('[') || host.bytes().all(named)) {
        return Err("it names no host, or one with characters that no host has".to_owned());
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err("something stands between host and path".to_owned()),
        Some("") => None,
        Some(digits) => {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let port = digits.parse().ok().filter(|port| plain && *port != 0);
            Some(port.ok_or_else(|| "its port is no number from 1 to 65535".to_owned())?)
        }
    };
    Ok((host, port.unwrap_or(if secure { 443 } else { 80 })))
}

/// Resolves `.` and `..` in a path, as RFC 3986 section 5.2.4 does. A query stays as it is.
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

/// Percent-decoded; what is no text then is replaced.
pub(crate) fn decoded(text: &str) -> String {
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
    fn secrets_are_neither_shown_nor_asked_for_in_the_open() {
        let address = parsed("https://me:s%40crt@Example.org:443/a/model%20b.pt?sig=xyz&e=1#part");
        assert_eq!(address.shown(), "https://example.org/a/model%20b.pt");
        assert_eq!(format!("{address} {address:?}").matches("crt").count(), 0);
        assert_eq!(address.asked(), "https://example.org/a/model%20b.pt?sig=xyz&e=1");
        assert_eq!(address.user_and_password(), Some(("me".into(), "s@crt".into())));
        assert_eq!(address.file_name(), "model b.pt");
    }

    #[test]
    fn what_two_readers_may_read_differently_is_refused() {
        let odd = ["https://", "https:///a", "https://a b/", "https://a\\@b/", "https://a%2eb/", "https://h:0/"];
        let odder = ["https://h:+80/", "https://[::1/", "https://[x]/", "https://[::1]x/", "https://ä/", "ftp://a/"];
        for text in odd.into_iter().chain(odder).chain(["https://a:b:c/", "file:///etc/passwd", "https://h:99999/"]) {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        // The last `@` counts, as for everybody else.
        assert_eq!(parsed("https://good.example@evil.example/").host(), "evil.example");
        assert_eq!(parsed("HTTP://[0:0::1]:8080").shown(), "http://[::1]:8080/");
        assert_eq!(parsed("https://h?x").asked(), "https://h/?x");
    }

    #[test]
    fn a_location_leads_from_where_it_was_said() {
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
            assert_eq!(joined.asked(), there, "{location}");
            assert_eq!(joined.user_and_password(), None);
        }
        assert!(here.join("javascript:x").is_err() && here.join("file:///etc").is_err());
        assert!(here.same_origin(&parsed("https://H:8443/")) && !here.same_origin(&parsed("http://h:8443/")));
    }
}
