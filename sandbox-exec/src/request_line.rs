//! What a client asks of the proxy, read without trust: the head of a request, and the name in a TLS greeting. Everything is bounded by
//! what was read, and what is not plainly well-formed is refused.

use std::fmt;

/// A host by name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// In a profile, a host without a port stands for the two ports of the web.
    any_web_port: bool,
}

/// A request: where to, and for plain HTTP the head to be sent on.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) target: Target,
    pub(crate) plain: Option<Vec<u8>>,
    /// For plain HTTP, how many bytes of body follow; after them nothing more is sent on.
    pub(crate) body: u64,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Target {
    /// As a profile writes it.
    pub(crate) fn of_profile(text: &str) -> Option<Self> {
        match text.rsplit_once(':') {
            Some((host, port)) => Some(Self { host: name(host)?, port: port.parse().ok()?, any_web_port: false }),
            None => Some(Self { host: name(text)?, port: 443, any_web_port: true }),
        }
    }

    /// Whether a profile's row covers what is asked.
    pub(crate) fn covers(&self, asked: &Self) -> bool {
        self.host == asked.host && (self.port == asked.port || (self.any_web_port && asked.port == 80))
    }

    fn asked(authority: &str, port: u16) -> Result<Self, &'static str> {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, text)) => (host, text.parse().map_err(|_| "no port that is a number")?),
            None => (authority, port),
        };
        let host = name(host).ok_or("an address or no name; only names are let through")?;
        Ok(Self { host, port, any_web_port: false })
    }
}

/// A host name in lower case. What could be read as an address is none: its last label must not begin with a digit.
fn name(text: &str) -> Option<String> {
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

/// Where the head of a request ends.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").and_then(|at| at.checked_add(4))
}

/// Reads the head of a request.
pub(crate) fn parse(head: &[u8]) -> Result<Asked, &'static str> {
    let text = std::str::from_utf8(head).map_err(|_| "a request that is not text")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    // A lone line feed is the end of a line to some servers: what follows would be a header that nobody looked at.
    if !first.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err("a malformed request line");
    }
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("a malformed request line");
    };
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return Err("an unknown version of HTTP");
    }
    if method == "CONNECT" {
        return Ok(Asked { target: Target::asked(target, 443)?, plain: None, body: 0 });
    }
    let rest = target.strip_prefix("http://").ok_or("neither CONNECT nor an http:// address")?;
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).ok_or("a malformed address")?;
    let target = Target::asked(authority, 80)?;
    let mut plain = format!("{method} {} {version}\r\n", if path.is_empty() { "/" } else { path });
    let (mut hosts, mut body) = (0, None);
    for line in lines.filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').ok_or("a malformed header")?;
        if line.contains(['\r', '\n', '\0']) || field.is_empty() || field.contains([' ', '\t']) {
            return Err("a malformed header");
        }
        match field.to_ascii_lowercase().as_str() {
            "host" => {
                hosts += 1;
                if Target::asked(value.trim(), 80)? != target {
                    return Err("a Host header that differs from the address");
                }
            }
            // A body whose end is not known beforehand could hold another request.
            "transfer-encoding" => return Err("a body without a length"),
            "content-length" if body.is_some() => return Err("several lengths"),
            "content-length" => body = Some(value.trim().parse().map_err(|_| "a length that is no number")?),
            // One request a connection: what follows could ask for another host.
            "connection" | "proxy-connection" | "keep-alive" | "upgrade" => continue,
            _ => {}
        }
        plain.push_str(line);
        plain.push_str("\r\n");
    }
    if hosts > 1 {
        return Err("several Host headers");
    }
    if hosts == 0 {
        plain.push_str(&format!("Host: {authority}\r\n"));
    }
    plain.push_str("Connection: close\r\n\r\n");
    Ok(Asked { target, plain: Some(plain.into_bytes()), body: body.unwrap_or(0) })
}

/// The type of the TLS record that a greeting stands in.
pub(crate) const HANDSHAKE: u8 = 22;

/// Where the first TLS record ends, once all of it is there; at once for what is no TLS, which then has no name.
pub(crate) fn greeting_end(bytes: &[u8]) -> Option<usize> {
    let (kind, len) = (bytes.first()?, bytes.get(3..5));
    if *kind != HANDSHAKE {
        return Some(0);
    }
    let [high, low] = *len? else { return None };
    let end = usize::from(u16::from_be_bytes([high, low])).checked_add(5)?;
    (bytes.len() >= end).then_some(end)
}

/// The host name in a TLS greeting (RFC 8446 section 4.1.2, RFC 6066 section 3).
pub(crate) fn server_name(record: &[u8]) -> Option<String> {
    let mut hello = Cursor(record.get(5..)?);
    if record.first() != Some(&HANDSHAKE) || hello.take(1)? != [1] {
        return None;
    }
    let mut body = Cursor(hello.sized(3)?);
    body.take(34)?;
    body.sized(1)?;
    body.sized(2)?;
    body.sized(1)?;
    let mut extensions = Cursor(body.sized(2)?);
    let mut found = None;
    // To the end: what comes after the name may take it back.
    while !extensions.0.is_empty() {
        let kind = extensions.take(2)?;
        let content = extensions.sized(2)?;
        // Encrypted greetings hide the true name, and show another.
        if kind == [0xfe, 0x0d] || (kind == [0, 0] && found.is_some()) {
            return None;
        }
        if kind == [0, 0] {
            let mut list = Cursor(Cursor(content).sized(2)?);
            if list.take(1)? != [0] {
                return None;
            }
            found = Some(String::from_utf8(list.sized(2)?.to_vec()).ok()?);
        }
    }
    found
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A length of so many bytes, and that many bytes.
    fn sized(&mut self, width: usize) -> Option<&'a [u8]> {
        let len =
            self.take(width)?.iter().try_fold(0usize, |sum, b| sum.checked_mul(256)?.checked_add(usize::from(*b)))?;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_not_addresses() {
        for good in ["huggingface.co", "a-b.example", "localhost", "Example.COM."] {
            assert!(name(good).is_some(), "{good}");
        }
        for bad in
            ["1.2.3.4", "127.1", "2130706433", "0x7f000001", "[::1]", "::1", "", "a..b", "x@y", "a b", "1.2.3.0x4"]
        {
            assert_eq!(name(bad), None, "{bad}");
        }
    }

    #[test]
    fn plain_requests_are_rewritten_to_one_host() {
        let head =
            b"GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive\r\nX: y\r\n\r\n";
        let asked =
            parse(head).map(|asked| (asked.target.to_string(), String::from_utf8(asked.plain.unwrap_or_default())));
        let expected = "GET /a?b HTTP/1.1\r\nHost: example.com\r\nX: y\r\nConnection: close\r\n\r\n".to_owned();
        assert_eq!(asked, Ok(("example.com:80".to_owned(), Ok(expected))));
        for bad in [
            "GET http://example.com/ HTTP/1.1\r\nHost: other.com\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nHost: example.com\r\n\r\n",
            "GET http://169.254.169.254/ HTTP/1.1\r\n\r\n",
            "GET http://user@example.com/ HTTP/1.1\r\n\r\n",
            "GET http://example.com/\nHost:other.com HTTP/1.1\r\n\r\n",
            "GET\thttp://example.com/ HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "POST http://example.com/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST http://example.com/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "CONNECT 1.2.3.4:443 HTTP/1.1\r\n\r\n",
            "CONNECT [::1]:443 HTTP/1.1\r\n\r\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_row_of_a_profile_covers_its_ports_only() {
        let covers = |row: &str, asked: &str| {
            let (row, asked) = (Target::of_profile(row), Target::asked(asked, 443).ok());
            row.zip(asked).is_some_and(|(row, asked)| row.covers(&asked))
        };
        assert!(covers("a.b", "a.b:443") && covers("a.b", "A.b:80") && covers("a.b:8080", "a.b:8080"));
        assert!(!covers("a.b", "a.b:22") && !covers("a.b:8080", "a.b:443") && !covers("a.b", "x.a.b:443"));
    }

    fn greeting(host: &str) -> Vec<u8> {
        greeting_with(host, |name| name.to_vec())
    }

    /// With what is made of the extension that holds the name.
    fn greeting_with(host: &str, extensions: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let sized =
            |width: usize, content: &[u8]| [&(content.len() as u32).to_be_bytes()[4 - width..], content].concat();
        let names = [&[0u8][..], &sized(2, host.as_bytes())].concat();
        let extension = [&[0u8, 0][..], &sized(2, &sized(2, &names))].concat();
        let body =
            [&[3u8; 34][..], &sized(1, &[]), &sized(2, &[1, 2]), &sized(1, &[0]), &sized(2, &extensions(&extension))]
                .concat();
        let hello = [&[1u8][..], &sized(3, &body)].concat();
        [&[22u8, 3, 1][..], &sized(2, &hello)].concat()
    }

    #[test]
    fn the_name_in_a_greeting_is_read() {
        let whole = greeting("example.com");
        assert_eq!(server_name(&whole).as_deref(), Some("example.com"));
        assert_eq!(greeting_end(&whole), Some(whole.len()));
        for cut in 0..whole.len() {
            assert_eq!(server_name(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(server_name(b"GET / HTTP/1.1\r\n\r\n"), None);
        let encrypted = greeting_with("example.com", |name| [name, &[0xfe, 0x0d, 0, 1, 0]].concat());
        assert_eq!(server_name(&encrypted), None, "an encrypted greeting after the name");
        let twice = greeting_with("example.com", |name| [name, name].concat());
        assert_eq!(server_name(&twice), None, "two names");
    }
}
