//! Who may see which secret. A secret is tied to one origin (scheme, host and port) and goes nowhere else: not along with
//! a redirect, not to a store that a server names.

use crate::address::Address;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A secret, and whom it belongs to.
#[derive(Clone)]
struct Secret {
    host: String,
    authorization: String,
}

/// The secrets that were given.
#[derive(Clone, Default)]
pub struct Credentials(Vec<Secret>);

impl Credentials {
    /// Takes from the environment `MODELSCAN_TOKEN` for the host in `MODELSCAN_TOKEN_HOST`, and `GITHUB_TOKEN` for the
    /// host of `GITHUB_SERVER_URL`.
    ///
    /// # Errors
    /// When a token is there and nobody it would belong to.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut secrets = Vec::new();
        match (set("MODELSCAN_TOKEN"), set("MODELSCAN_TOKEN_HOST")) {
            (Some(token), Some(host)) => {
                let host = host.to_ascii_lowercase();
                secrets.push(Secret { host, authorization: format!("Bearer {}", header("MODELSCAN_TOKEN", &token)?) });
            }
            (Some(_), None) => {
                return Err("MODELSCAN_TOKEN is set and MODELSCAN_TOKEN_HOST does not say whose it is".to_owned());
            }
            (None, _) => {}
        }
        if let Some(token) = set("GITHUB_TOKEN") {
            let server = set("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned());
            let server = Address::parse(&server).map_err(|why| format!("GITHUB_SERVER_URL: {why}"))?;
            // What the host expects of those who come with a token in place of a password.
            let pair = format!("x-access-token:{}", header("GITHUB_TOKEN", &token)?);
            secrets
                .push(Secret { host: server.authority(), authorization: format!("Basic {}", base64(pair.as_bytes())) });
        }
        Ok(Self(secrets))
    }

    /// The `Authorization` for an address: its own user and password, or else the secret of its host. None but the own
    /// ones go over a connection that others can read.
    pub(crate) fn authorization(&self, address: &Address) -> Option<String> {
        if let Some((user, password)) = address.user_and_password() {
            return Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())));
        }
        let host = address.authority();
        let secret = self.0.iter().find(|secret| secret.host == host && address.is_secure())?;
        Some(secret.authorization.clone())
    }
}

fn header<'a>(name: &str, token: &'a str) -> Result<&'a str, String> {
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then_some(token).ok_or_else(|| format!("{name} holds characters that no token has"))
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> Result<Credentials, String> {
        Credentials::from_environment(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn for_address(credentials: &Credentials, text: &str) -> Option<String> {
        credentials.authorization(&Address::parse(text).expect("an address"))
    }

    #[test]
    fn a_token_goes_to_its_host_alone() {
        let credentials =
            given(&[("MODELSCAN_TOKEN", "abc"), ("MODELSCAN_TOKEN_HOST", "Hub.example"), ("GITHUB_TOKEN", "t")]);
        let credentials = credentials.expect("both say whose they are");
        assert_eq!(for_address(&credentials, "https://hub.example/a"), Some("Bearer abc".into()));
        let github = for_address(&credentials, "https://github.com/a/b.git/info/lfs");
        assert_eq!(github, Some(format!("Basic {}", base64(b"x-access-token:t"))));
        for other in
            ["https://hub.example.evil/a", "https://a.hub.example/", "https://hub.example:8443/", "http://hub.example/"]
        {
            assert_eq!(for_address(&credentials, other), None, "{other}");
        }
        assert_eq!(for_address(&credentials, "https://u:p@hub.example/"), Some("Basic dTpw".into()));
        assert!(given(&[("MODELSCAN_TOKEN", "abc")]).is_err());
        assert!(given(&[("GITHUB_TOKEN", "a\nb")]).is_err());
        assert!(given(&[("MODELSCAN_TOKEN", "")]).is_ok());
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("ab\u{ff}?", "YWLDvz8=")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
