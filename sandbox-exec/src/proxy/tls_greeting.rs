//! The host name in a TLS ClientHello (server name indication). The client is hostile: reads stay within the received bytes.

/// The content type of a TLS record that holds a handshake message (RFC 8446 section 5.1).
pub(crate) const HANDSHAKE: u8 = 22;

/// The length of the first TLS record, once all of it is received. 0: the bytes are not TLS.
pub(crate) fn record_end(bytes: &[u8]) -> Option<usize> {
    let (kind, len) = (bytes.first()?, bytes.get(3..5));
    if *kind != HANDSHAKE {
        return Some(0);
    }
    let [high, low] = *len? else { return None };
    let end = usize::from(u16::from_be_bytes([high, low])).checked_add(5)?;
    (bytes.len() >= end).then_some(end)
}

/// The host name in a ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3). `None` also when the greeting has several names, or an
/// encrypted_client_hello extension, which hides the true name.
pub(crate) fn server_name(record: &[u8]) -> Option<String> {
    let mut hello = Cursor(record.get(5..)?);
    if record.first() != Some(&HANDSHAKE) || hello.take(1)? != [1] {
        return None;
    }
    let mut body = Cursor(hello.vector(3)?);
    body.take(34)?;
    body.vector(1)?;
    body.vector(2)?;
    body.vector(1)?;
    let mut extensions = Cursor(body.vector(2)?);
    let mut found = None;
    // To the end: a later extension may invalidate the name.
    while !extensions.0.is_empty() {
        let kind = extensions.take(2)?;
        let content = extensions.vector(2)?;
        if kind == [0xfe, 0x0d] || (kind == [0, 0] && found.is_some()) {
            return None;
        }
        if kind == [0, 0] {
            let mut list = Cursor(Cursor(content).vector(2)?);
            if list.take(1)? != [0] {
                return None;
            }
            found = Some(String::from_utf8(list.vector(2)?.to_vec()).ok()?);
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

    /// A vector with a length prefix of `width` bytes.
    fn vector(&mut self, width: usize) -> Option<&'a [u8]> {
        let len =
            self.take(width)?.iter().try_fold(0usize, |sum, b| sum.checked_mul(256)?.checked_add(usize::from(*b)))?;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(host: &str) -> Vec<u8> {
        greeting_with(host, |name| name.to_vec())
    }

    /// With `extensions` computed from the extension that holds the name.
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
        let complete = greeting("example.com");
        assert_eq!(server_name(&complete).as_deref(), Some("example.com"));
        assert_eq!(record_end(&complete), Some(complete.len()));
        for cut in 0..complete.len() {
            assert_eq!(server_name(&complete[..cut]), None, "{cut}");
        }
        assert_eq!(server_name(b"GET / HTTP/1.1\r\n\r\n"), None);
        let encrypted = greeting_with("example.com", |name| [name, &[0xfe, 0x0d, 0, 1, 0]].concat());
        assert_eq!(server_name(&encrypted), None, "an encrypted greeting after the name");
        let twice = greeting_with("example.com", |name| [name, name].concat());
        assert_eq!(server_name(&twice), None, "two names");
    }
}
