//! Credentials. Each is sent to one origin (scheme, host and port) only: not to the target of a redirect, and not to a store that
//! a server names.

use crate::address::Address;
use crate::error::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The `Authorization` header for a host.
#[derive(Clone)]
struct Secret {
    host: String,
    authorization: String,
}

/// The credentials of the environment.
#[derive(Clone, Default)]
pub struct Credentials(Vec<Secret>);

impl Credentials {
    /// Reads `MODELSCAN_TOKEN` for the host in `MODELSCAN_TOKEN_HOST`, and `GITHUB_TOKEN` for the host of
    /// `GITHUB_SERVER_URL` (default `https://github.com`).
    ///
    /// # Errors
    /// A token without a host, or with characters that a header cannot have.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut secrets = Vec::new();
        match (set("MODELSCAN_TOKEN"), set("MODELSCAN_TOKEN_HOST")) {
            (Some(token), Some(host)) => {
                let host = host.to_ascii_lowercase();
                secrets.push(Secret {
                    host,
                    authorization: format!("Bearer {}", check_token("MODELSCAN_TOKEN", &token)?),
                });
            }
            (Some(_), None) => return Err(Error::TokenWithoutHost),
            (None, _) => {}
        }
        if let Some(token) = set("GITHUB_TOKEN") {
            let server = set("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned());
            let server = Address::parse(&server).map_err(|error| error.at("GITHUB_SERVER_URL"))?;
            // The form that GitHub expects of a token in place of a password.
            let pair = format!("x-access-token:{}", check_token("GITHUB_TOKEN", &token)?);
            secrets
                .push(Secret { host: server.authority(), authorization: format!("Basic {}", base64(pair.as_bytes())) });
        }
        Ok(Self(secrets))
    }

    /// The `Authorization` header for an address: its own user and password, or else the token for its host. A token is sent
    /// over https only.
    pub(crate) fn authorization(&self, address: &Address) -> Option<String> {
        if let Some((user, password)) = address.user_and_password() {
            return Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())));
        }
        let host = address.authority();
        let secret = self.0.iter().find(|secret| secret.host == host && address.is_https())?;
        Some(secret.authorization.clone())
    }
}

fn check_token<'a>(variable: &'static str, token: &'a str) -> Result<&'a str, Error> {
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then_some(token).ok_or(Error::InvalidToken { variable })
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_variables(variables: &[(&str, &str)]) -> Result<Credentials, Error> {
        Credentials::from_environment(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn for_address(credentials: &Credentials, text: &str) -> Option<String> {
        credentials.authorization(&Address::parse(text).expect("an address"))
    }

    #[test]
    fn a_token_goes_to_its_host_alone() {
        let credentials = from_variables(&[
            ("MODELSCAN_TOKEN", "abc"),
            ("MODELSCAN_TOKEN_HOST", "Hub.example"),
            ("GITHUB_TOKEN", "t"),
        ]);
        let credentials = credentials.expect("both tokens have a host");
        assert_eq!(for_address(&credentials, "https://hub.example/a"), Some("Bearer abc".into()));
        let github = for_address(&credentials, "https://github.com/a/b.git/info/lfs");
        assert_eq!(github, Some(format!("Basic {}", base64(b"x-access-token:t"))));
        for other in
            ["https://hub.example.evil/a", "https://a.hub.example/", "https://hub.example:8443/", "http://hub.example/"]
        {
            assert_eq!(for_address(&credentials, other), None, "{other}");
        }
        assert_eq!(for_address(&credentials, "https://u:p@hub.example/"), Some("Basic dTpw".into()));
        assert!(from_variables(&[("MODELSCAN_TOKEN", "abc")]).is_err());
        assert!(from_variables(&[("GITHUB_TOKEN", "a\nb")]).is_err());
        assert!(from_variables(&[("MODELSCAN_TOKEN", "")]).is_ok());
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("ab\u{ff}?", "YWLDvz8=")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
