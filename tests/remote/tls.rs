//! HTTPS, against a server with its own certificate: which certificates are accepted, and which hosts get a token.

use crate::models::{CLEAN, checkpoint};
use crate::scan::{scan, scan_with};
use fixtures::server::{Reply, Request, Server, honest};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A server that speaks TLS, and the file with its certificate.
struct Secure {
    server: Server,
    _folder: tempfile::TempDir,
    roots: PathBuf,
}

impl Secure {
    fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let names = vec!["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate can be made");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("it is a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("there are versions").with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).expect("they belong together");
        let config = Arc::new(config);
        let wrap = move |stream| Some(StreamOwned::new(ServerConnection::new(config.clone()).ok()?, stream));
        let folder = tempfile::tempdir().expect("a folder can be made");
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, made.cert.pem()).expect("it can be written");
        Self { server: Server::over(wrap, Duration::ZERO, answer), _folder: folder, roots }
    }

    fn url(&self, path: &str) -> String {
        self.server.url(path).replacen("http://", "https://", 1)
    }

    fn roots(&self) -> &str {
        self.roots.to_str().expect("it is text")
    }
}

#[test]
fn a_checkpoint_is_read_over_https_with_the_token_of_its_host() {
    let bytes = checkpoint(40, 20_000);
    let secure = Secure::start(move |request| honest(&bytes, "v1", request));
    let host = secure.server.address.to_string();
    let variables = [("MODELSCAN_TOKEN", "abc"), ("MODELSCAN_TOKEN_HOST", host.as_str())];
    let outcome = scan_with(&["--allow-private", "--ca-file", secure.roots(), &secure.url("/m.pt")], &variables);
    assert_eq!((outcome.code, outcome.verdict()), (0, "clean"), "{}", outcome.report);
    let requests = secure.server.requests();
    assert!(requests.len() > 3 && requests.iter().all(|request| request.header("authorization") == Some("Bearer abc")));
    assert!(!outcome.report.to_string().contains("abc"));
}

#[test]
fn who_cannot_prove_to_be_the_host_is_not_believed() {
    let secure = Secure::start(|request| honest(CLEAN, "v1", request));
    let outcome = scan(&["--allow-private", &secure.url("/a.pkl")]);
    assert!(outcome.error().contains("no secure connection"), "{}", outcome.error());
    // Its certificate is for the address and not for the name.
    let named = secure.url("/a.pkl").replacen("127.0.0.1", "localhost", 1);
    let outcome = scan(&["--allow-private", "--ca-file", secure.roots(), &named]);
    assert!(!outcome.error().is_empty());
    let plain = Server::start(|request| honest(CLEAN, "v1", request));
    let outcome = scan(&["--allow-private", &plain.url("/a.pkl").replacen("http://", "https://", 1)]);
    assert!(!outcome.error().is_empty());
    assert!(secure.server.requests().is_empty() && plain.requests().is_empty());
}

#[test]
fn a_redirect_takes_no_token_along_and_leads_never_down_to_http() {
    let other = Secure::start(|request| honest(CLEAN, "v1", request));
    let plain = Server::start(|request| honest(CLEAN, "v1", request));
    let (there, down) = (other.url("/b.pkl"), plain.url("/b.pkl"));
    let secure = Secure::start(move |request| Reply::redirect(if request.target == "/down" { &down } else { &there }));
    let both = secure.roots.with_file_name("both.pem");
    let pem = [&secure.roots, &other.roots].map(|path| std::fs::read_to_string(path).expect("it is there")).concat();
    std::fs::write(&both, pem).expect("it can be written");
    let both = both.to_str().expect("it is text");
    let host = secure.server.address.to_string();
    let variables = [("MODELSCAN_TOKEN", "abc"), ("MODELSCAN_TOKEN_HOST", host.as_str())];
    let outcome = scan_with(&["--allow-private", "--ca-file", both, &secure.url("/a.pkl")], &variables);
    assert_eq!(outcome.code, 0, "{}", outcome.report);
    assert_eq!(
        secure.server.requests().first().and_then(|request| request.header("authorization")),
        Some("Bearer abc")
    );
    assert!(other.server.requests().iter().all(|request| request.header("authorization").is_none()));
    let outcome = scan(&["--allow-private", "--allow-http", "--ca-file", both, &secure.url("/down")]);
    assert!(outcome.error().contains("from https to http"), "{}", outcome.error());
    assert!(plain.requests().is_empty());
}

#[test]
fn certificates_that_are_none_are_refused() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("roots.pem");
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).expect("it can be written");
        let outcome = scan(&["--ca-file", file.to_str().expect("it is text"), "https://models.example/a.pkl"]);
        assert_eq!(outcome.code, 4, "{text}: {}", outcome.stderr);
    }
}
