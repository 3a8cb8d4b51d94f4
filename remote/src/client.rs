//! One request at a time: where it may go, what it may carry, how long it may take, and how often it may be sent on.
//!
//! Redirects are followed here and not by the library, since each step is checked again: never from https to http, at most
//! a few, and what is secret stays with the origin that it was given for. They are followed anew for each range, because
//! a signed address is often good for some minutes and for that very range only.

use crate::Options;
use crate::address::Address;
use crate::budget::{Budget, Slot};
use crate::credentials::Credentials;
use crate::reach::Guarded;
use ip_scope::is_globally_routable;
use std::io::{self, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Timeout};

/// Model hubs send on once or twice.
const REDIRECTS: usize = 5;
/// For a name to be found, and for a connection to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// A server that is overloaded for a moment is asked once more after that.
const PAUSE: Duration = Duration::from_millis(300);

/// What asks.
pub(crate) struct Client {
    agent: Agent,
    credentials: Credentials,
    pub(crate) budget: Budget,
    allow_http: bool,
}

/// What is asked for.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) address: Address,
    /// Headers that only the origin of `address` may see.
    pub(crate) secret: Vec<(String, String)>,
    /// When the time is up for all of it.
    pub(crate) deadline: Instant,
}

/// An answer whose body was not read yet.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Body,
    _slot: Slot<'a>,
}

impl Client {
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        Self::reaching(options, if options.allow_private { |_| true } else { is_globally_routable })
    }

    fn reaching(options: &Options, permits: fn(IpAddr) -> bool) -> Result<Self, String> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &options.roots {
            tls = tls.root_certs(roots(pem)?);
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy looks up names itself, behind our back.
            .proxy(if options.allow_private { ureq::Proxy::try_from_env() } else { None })
            .user_agent(concat!("modelscan/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(options.stall))
            .timeout_per_write(Some(options.stall))
            .timeout_recv_response(Some(options.stall))
            .max_idle_connections(options.at_once)
            .max_idle_connections_per_host(options.at_once)
            .build();
        Ok(Self {
            agent: Agent::with_parts(config, DefaultConnector::new(), Guarded::new(permits)),
            credentials: options.credentials.clone(),
            budget: Budget::new(options.max_bytes, options.max_requests, options.at_once),
            allow_http: options.allow_http,
        })
    }

    /// Gets what stands at an address, through redirects. The status may be any but a redirect.
    pub(crate) fn get(&self, ask: &Ask, headers: &[(&str, &str)]) -> Result<Answer<'_>, String> {
        let slot = self.budget.slot();
        let mut address = ask.address.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.patiently(|| self.send(ask, &address, headers, None))?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(Answer::of(answer, slot));
            }
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
            let location = location.ok_or("the server redirects and does not say where to")?;
            let next =
                address.join(location).map_err(|why| format!("the server redirects to what is no address: {why}"))?;
            if address.is_secure() && !next.is_secure() {
                return Err("the server redirects from https to http".to_owned());
            }
            // Read to its end, so that the connection serves again.
            _ = io::copy(&mut answer.into_body().into_reader().take(16 << 10), &mut io::sink());
            address = next;
        }
        Err(format!("more than {REDIRECTS} redirects"))
    }

    /// Posts some text; no redirects.
    pub(crate) fn post(&self, ask: &Ask, headers: &[(&str, &str)], body: &str) -> Result<Answer<'_>, String> {
        let slot = self.budget.slot();
        let answer = self.patiently(|| self.send(ask, &ask.address, headers, Some(body)))?;
        Ok(Answer::of(answer, slot))
    }

    /// Asks once more where the server says that it is busy.
    fn patiently(&self, send: impl Fn() -> Result<Response<Body>, String>) -> Result<Response<Body>, String> {
        let answer = send()?;
        if matches!(answer.status().as_u16(), 429 | 502..=504) {
            std::thread::sleep(PAUSE);
            return send();
        }
        Ok(answer)
    }

    fn send(
        &self,
        ask: &Ask,
        address: &Address,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Response<Body>, String> {
        if !address.is_secure() && !self.allow_http {
            return Err("plain http is not used; --allow-http permits it".to_owned());
        }
        self.budget.take_request()?;
        let left = ask.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("the time for one file (--limit-time) is up".to_owned());
        }
        let mut all: Vec<(&str, String)> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        if address.same_origin(&ask.address) {
            all.extend(ask.secret.iter().map(|(name, value)| (name.as_str(), value.clone())));
            let given = ask.secret.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
            let own = if given { None } else { self.credentials.authorization(&ask.address) };
            all.extend(own.map(|value| ("authorization", value)));
        }
        let sent = match body {
            None => {
                let request = self.agent.get(address.asked());
                let request = all.iter().fold(request, |request, (name, value)| request.header(*name, value));
                request.config().timeout_global(Some(left)).build().call()
            }
            Some(body) => {
                let request = self.agent.post(address.asked());
                let request = all.iter().fold(request, |request, (name, value)| request.header(*name, value));
                request.config().timeout_global(Some(left)).build().send(body)
            }
        };
        sent.map_err(|error| reason(&error))
    }
}

impl<'a> Answer<'a> {
    fn of(answer: Response<Body>, slot: Slot<'a>) -> Self {
        let (head, body) = answer.into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body, _slot: slot }
    }

    /// A header that is plain text and stands there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// Refuses bytes that are not the ones that stand there.
    pub(crate) fn check_encoding(&self) -> Result<(), String> {
        let mut encodings = self.headers.get_all("content-encoding").iter();
        if encodings.all(|encoding| matches!(encoding.as_bytes(), b"identity" | b"")) {
            return Ok(());
        }
        Err("the server sends a compressed form although the plain one was asked for".to_owned())
    }

    /// What the status means, where it is not what is needed.
    pub(crate) fn refusal(&self) -> String {
        let meaning = match self.status {
            401 => " (it wants credentials; docs/remote.md says how to give them)",
            403 => " (forbidden; credentials may be missing, or a signed address be too old)",
            404 | 410 => " (not there)",
            429 => " (too many requests)",
            500..=599 => " (its own fault; try again later)",
            _ => "",
        };
        format!("the server answers with status {}{meaning}", self.status)
    }

    /// The body.
    pub(crate) fn reader(self) -> (impl Read, Slot<'a>) {
        (self.body.into_reader(), self._slot)
    }
}

/// What went wrong, without an address: the library's own words may hold one.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => io_reason(error),
        ureq::Error::Timeout(Timeout::Resolve) => "its host was not found in time".to_owned(),
        ureq::Error::Timeout(Timeout::Connect) => "its host does not take connections in time".to_owned(),
        ureq::Error::Timeout(Timeout::Global) => "the time for one file (--limit-time) is up".to_owned(),
        ureq::Error::Timeout(_) => "the server stalls".to_owned(),
        ureq::Error::HostNotFound => "its host was not found".to_owned(),
        ureq::Error::ConnectionFailed => "its host cannot be connected to".to_owned(),
        ureq::Error::Protocol(_) => "the server does not speak HTTP as it should, or cuts its answer short".to_owned(),
        ureq::Error::Rustls(error) => format!("no secure connection: {error}"),
        _ => "the request failed".to_owned(),
    }
}

/// The same of an error while a body was read.
pub(crate) fn io_reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        Some(inner) => reason(inner),
        None if error.kind() == io::ErrorKind::TimedOut => "the server stalls".to_owned(),
        // What TLS complains about comes in this form.
        None if error.kind() == io::ErrorKind::InvalidData => format!("no secure connection: {error}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the server cuts its answer short".to_owned(),
        None => error.to_string(),
    }
}

fn roots(pem: &[u8]) -> Result<RootCerts, String> {
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => return Err("it is no PEM".to_owned()),
        }
    }
    if certificates.is_empty() {
        return Err("no certificate stands in it".to_owned());
    }
    Ok(RootCerts::from(certificates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixtures::server::{Reply, Server};

    /// As on the internet, where one address is public and the other one is not.
    fn get(redirects: bool, host: &str) -> Result<u16, String> {
        let hidden = Server::start(|_| Reply::new(200, "secret"));
        let there = hidden.url("/").replacen("127.0.0.1", host, 1);
        let open = Server::start(move |_| Reply::redirect(there.clone()));
        let options = Options { allow_http: true, ..Options::default() };
        let client = Client::reaching(&options, |address| address == IpAddr::from([127, 0, 0, 1]))?;
        let start = if redirects { open.url("/") } else { hidden.url("/").replacen("127.0.0.1", host, 1) };
        let address = Address::parse(&start)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let answer = client.get(&Ask { address, secret: Vec::new(), deadline }, &[]).map(|answer| answer.status);
        assert!(answer.is_ok() || hidden.requests().is_empty());
        answer
    }

    #[test]
    fn a_redirect_leads_to_no_address_that_may_not_be_reached() {
        for redirects in [false, true] {
            assert_eq!(get(redirects, "127.0.0.1"), Ok(200));
            for host in ["127.0.0.2", "[::ffff:127.0.0.1]", "0.0.0.0"] {
                let said = get(redirects, host);
                assert!(said.as_ref().is_err_and(|why| why.contains("--allow-private")), "{host}: {said:?}");
            }
        }
    }
}
