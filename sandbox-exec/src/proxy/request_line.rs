//! The head of an HTTP request to the proxy (RFC 9110, RFC 9112). The client is hostile: malformed heads are refused, and reads stay within the
//! received bytes.

use super::denial::Denial;
use crate::policy::target::Target;

/// A parsed request.
#[derive(Debug)]
pub(crate) struct ProxyRequest {
    pub(crate) target: Target,
    /// For plain HTTP the head to forward; `None` for CONNECT.
    pub(crate) plain_head: Option<Vec<u8>>,
    /// For plain HTTP the length of the body; nothing after it is forwarded.
    pub(crate) body_len: u64,
}

/// The length of a request head, up to its empty line.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").and_then(|at| at.checked_add(4))
}

/// Parses the head of a request.
pub(crate) fn parse(head: &[u8]) -> Result<ProxyRequest, Denial> {
    let text = std::str::from_utf8(head).map_err(|_| Denial::NotText)?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    // Some servers end a line at a lone line feed; they would read an unchecked header after it.
    if !first.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err(Denial::MalformedRequestLine);
    }
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Denial::MalformedRequestLine);
    };
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return Err(Denial::UnknownHttpVersion);
    }
    if method == "CONNECT" {
        return Ok(ProxyRequest { target: Target::from_authority(target, 443)?, plain_head: None, body_len: 0 });
    }
    let rest = target.strip_prefix("http://").ok_or(Denial::UnsupportedTarget)?;
    let (authority, path) =
        rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).ok_or(Denial::MalformedAddress)?;
    let target = Target::from_authority(authority, 80)?;
    let mut plain = format!("{method} {} {version}\r\n", if path.is_empty() { "/" } else { path });
    let (mut hosts, mut body) = (0, None);
    for line in lines.filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').ok_or(Denial::MalformedHeader)?;
        if line.contains(['\r', '\n', '\0']) || field.is_empty() || field.contains([' ', '\t']) {
            return Err(Denial::MalformedHeader);
        }
        match field.to_ascii_lowercase().as_str() {
            "host" => {
                hosts += 1;
                if Target::from_authority(value.trim(), 80)? != target {
                    return Err(Denial::DifferentHostHeader);
                }
            }
            // A body of unknown length could contain another request.
            "transfer-encoding" => return Err(Denial::BodyWithoutLength),
            "content-length" if body.is_some() => return Err(Denial::SeveralLengths),
            "content-length" => body = Some(value.trim().parse().map_err(|_| Denial::MalformedLength)?),
            // One request per connection: another request could name another host.
            "connection" | "proxy-connection" | "keep-alive" | "upgrade" => continue,
            _ => {}
        }
        plain.push_str(line);
        plain.push_str("\r\n");
    }
    if hosts > 1 {
        return Err(Denial::SeveralHostHeaders);
    }
    if hosts == 0 {
        plain.push_str(&format!("Host: {authority}\r\n"));
    }
    plain.push_str("Connection: close\r\n\r\n");
    Ok(ProxyRequest { target, plain_head: Some(plain.into_bytes()), body_len: body.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_requests_are_rewritten_to_one_host() {
        let head =
            b"GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive\r\nX: y\r\n\r\n";
        let parsed = parse(head)
            .map(|request| (request.target.to_string(), String::from_utf8(request.plain_head.unwrap_or_default())));
        let expected = "GET /a?b HTTP/1.1\r\nHost: example.com\r\nX: y\r\nConnection: close\r\n\r\n".to_owned();
        assert_eq!(parsed.map_err(|denial| denial.to_string()), Ok(("example.com:80".to_owned(), Ok(expected))));
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
}
