//! HTTP requests, each within its limits: allowed addresses, secrets for their own origin only, a deadline, few redirects.
//!
//! Redirects are followed here and not by the HTTP library, because each step is checked: never from https to http, at most
//! five, and secrets stay with the origin that they are for. They are followed anew for each range, because a signed address
//! is often valid for some minutes and for that range only.

use crate::address::Address;
use crate::bounds::{CONNECT_TIMEOUT, MAX_REDIRECT_BODY_BYTES, MAX_REDIRECTS, RETRY_PAUSE};
use crate::budget::{Budget, RequestPermit};
use crate::credentials::Credentials;
use crate::error::{ConnectionFault, Error, ServerFault};
use crate::options::Options;
use crate::resolver::FilteringResolver;
use ip_scope::is_globally_routable;
use std::io::{self, Read};
use std::net::IpAddr;
use std::time::Instant;
use ureq::http::{self, HeaderMap};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Timeout};

/// Sends the requests of a scan.
pub(crate) struct Client {
    agent: Agent,
    credentials: Credentials,
    pub(crate) budget: Budget,
    allow_http: bool,
}

/// What is requested.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) address: Address,
    /// Headers for the origin of `address` only.
    pub(crate) secret_headers: Vec<(String, String)>,
    /// The end of the time for the file, redirects and body included.
    pub(crate) deadline: Instant,
}

/// An answer with an unread body.
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Body,
    permit: RequestPermit<'a>,
}

impl Client {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        Self::with_address_filter(options, if options.allow_private { |_| true } else { is_globally_routable })
    }

    fn with_address_filter(options: &Options, is_allowed: fn(IpAddr) -> bool) -> Result<Self, Error> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &options.root_certificates {
            tls = tls.root_certs(parse_certificates(pem)?);
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy resolves names itself, so no address could be checked.
            .proxy(if options.allow_private { ureq::Proxy::try_from_env() } else { None })
            .user_agent(concat!("modelscan/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(options.idle_timeout))
            .timeout_per_write(Some(options.idle_timeout))
            .timeout_recv_response(Some(options.idle_timeout))
            .max_idle_connections(options.max_concurrent_requests)
            .max_idle_connections_per_host(options.max_concurrent_requests)
            .build();
        Ok(Self {
            agent: Agent::with_parts(config, DefaultConnector::new(), FilteringResolver::new(is_allowed)),
            credentials: options.credentials.clone(),
            budget: Budget::new(options.max_bytes, options.max_requests, options.max_concurrent_requests),
            allow_http: options.allow_http,
        })
    }

    /// Sends a GET and follows redirects. The status may be any but a redirect.
    pub(crate) fn get(&self, request: &Request, headers: &[(&str, &str)]) -> Result<Response<'_>, Error> {
        let permit = self.budget.acquire_request();
        let mut address = request.address.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = retry_once_if_busy(|| self.send(request, &address, headers, None))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(Response::new(response, permit));
            }
            let location = response.headers().get("location").and_then(|value| value.to_str().ok());
            let location = location.ok_or(Error::Server(ServerFault::RedirectWithoutTarget))?;
            let target = address.join(location).map_err(|fault| Error::Server(ServerFault::RedirectTarget(fault)))?;
            if address.is_https() && !target.is_https() {
                return Err(Error::Server(ServerFault::RedirectToHttp));
            }
            // The connection can be used again once the body is read.
            let mut body = response.into_body().into_reader().take(MAX_REDIRECT_BODY_BYTES);
            _ = io::copy(&mut body, &mut io::sink());
            address = target;
        }
        Err(Error::Server(ServerFault::TooManyRedirects))
    }

    /// Sends a POST with text. Redirects are not followed.
    pub(crate) fn post(&self, request: &Request, headers: &[(&str, &str)], body: &str) -> Result<Response<'_>, Error> {
        let permit = self.budget.acquire_request();
        let response = retry_once_if_busy(|| self.send(request, &request.address, headers, Some(body)))?;
        Ok(Response::new(response, permit))
    }

    fn send(
        &self,
        request: &Request,
        address: &Address,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<http::Response<Body>, Error> {
        if !address.is_https() && !self.allow_http {
            return Err(Error::PlainHttp);
        }
        self.budget.take_request()?;
        let left = request.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimeLimit);
        }
        let mut all: Vec<(&str, String)> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        if address.same_origin(&request.address) {
            all.extend(request.secret_headers.iter().map(|(name, value)| (name.as_str(), value.clone())));
            let given = request.secret_headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
            let own = if given { None } else { self.credentials.authorization(&request.address) };
            all.extend(own.map(|value| ("authorization", value)));
        }
        let sent = match body {
            None => {
                let get = self.agent.get(address.request_target());
                let get = all.iter().fold(get, |get, (name, value)| get.header(*name, value));
                get.config().timeout_global(Some(left)).build().call()
            }
            Some(body) => {
                let post = self.agent.post(address.request_target());
                let post = all.iter().fold(post, |post, (name, value)| post.header(*name, value));
                post.config().timeout_global(Some(left)).build().send(body)
            }
        };
        sent.map_err(|error| request_error(&error))
    }
}

/// Sends again after a pause if the server says that it is overloaded.
fn retry_once_if_busy(send: impl Fn() -> Result<http::Response<Body>, Error>) -> Result<http::Response<Body>, Error> {
    let response = send()?;
    if matches!(response.status().as_u16(), 429 | 502..=504) {
        std::thread::sleep(RETRY_PAUSE);
        return send();
    }
    Ok(response)
}

impl<'a> Response<'a> {
    fn new(response: http::Response<Body>, permit: RequestPermit<'a>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body, permit }
    }

    /// A header that is plain text and not repeated.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// Refuses a compressed body: its bytes are not those of the object.
    pub(crate) fn check_encoding(&self) -> Result<(), Error> {
        let mut encodings = self.headers.get_all("content-encoding").iter();
        if encodings.all(|encoding| matches!(encoding.as_bytes(), b"identity" | b"")) {
            return Ok(());
        }
        Err(Error::Server(ServerFault::Compressed))
    }

    /// The body, and the permit to keep while it is read.
    pub(crate) fn into_reader(self) -> (impl Read, RequestPermit<'a>) {
        (self.body.into_reader(), self.permit)
    }
}

/// The error of a request. The text of the library is dropped where it may hold the address.
fn request_error(error: &ureq::Error) -> Error {
    Error::Connection(match error {
        ureq::Error::Io(error) => return body_error(error),
        ureq::Error::Timeout(Timeout::Resolve) => ConnectionFault::ResolveTimeout,
        ureq::Error::Timeout(Timeout::Connect) => ConnectionFault::ConnectTimeout,
        ureq::Error::Timeout(Timeout::Global) => return Error::TimeLimit,
        ureq::Error::Timeout(_) => ConnectionFault::Stalled,
        ureq::Error::HostNotFound => ConnectionFault::HostNotFound,
        ureq::Error::ConnectionFailed => ConnectionFault::Refused,
        ureq::Error::Protocol(_) => return Error::Server(ServerFault::NotHttp),
        ureq::Error::Rustls(error) => ConnectionFault::Tls(error.to_string()),
        _ => ConnectionFault::Other,
    })
}

/// The error of a body while it is read.
pub(crate) fn body_error(error: &io::Error) -> Error {
    if let Some(inner) = error.get_ref() {
        if let Some(inner) = inner.downcast_ref::<ureq::Error>() {
            return request_error(inner);
        }
        if let Some(inner) = inner.downcast_ref::<Error>() {
            return inner.clone();
        }
    }
    match error.kind() {
        io::ErrorKind::TimedOut => Error::Connection(ConnectionFault::Stalled),
        // rustls reports its errors in this form.
        io::ErrorKind::InvalidData => Error::Connection(ConnectionFault::Tls(error.to_string())),
        io::ErrorKind::UnexpectedEof => Error::Server(ServerFault::TooShort),
        _ => Error::Connection(ConnectionFault::Io(error.to_string())),
    }
}

fn parse_certificates(pem: &[u8]) -> Result<RootCerts, Error> {
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(Error::NotPem),
        }
    }
    if certificates.is_empty() {
        return Err(Error::NoCertificate);
    }
    Ok(RootCerts::from(certificates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixtures::server::{Reply, Server};
    use std::time::Duration;

    /// Fetches from `host`, directly or by a redirect, where only 127.0.0.1 is allowed.
    fn get(redirects: bool, host: &str) -> Result<u16, Error> {
        let hidden = Server::start(|_| Reply::new(200, "secret"));
        let there = hidden.url("/").replacen("127.0.0.1", host, 1);
        let open = Server::start(move |_| Reply::redirect(there.clone()));
        let options = Options { allow_http: true, ..Options::default() };
        let client = Client::with_address_filter(&options, |address| address == IpAddr::from([127, 0, 0, 1]))?;
        let start = if redirects { open.url("/") } else { hidden.url("/").replacen("127.0.0.1", host, 1) };
        let address = Address::parse(&start)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let request = Request { address, secret_headers: Vec::new(), deadline };
        let status = client.get(&request, &[]).map(|response| response.status);
        assert!(status.is_ok() || hidden.requests().is_empty());
        status
    }

    #[test]
    fn a_redirect_does_not_lead_to_a_forbidden_address() {
        for redirects in [false, true] {
            assert_eq!(get(redirects, "127.0.0.1"), Ok(200));
            for host in ["127.0.0.2", "[::ffff:127.0.0.1]", "0.0.0.0"] {
                assert_eq!(get(redirects, host), Err(Error::PrivateAddress), "{host}");
            }
        }
    }
}
