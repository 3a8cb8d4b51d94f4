//! The example server over a real connection: it refuses a malicious checkpoint with verdict and rule, and continues to serve
//! the clean one.
#![cfg(feature = "candle")]
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

#[path = "../examples/server.rs"]
mod server;

use serde_json::Value;
use server::Server;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn clean(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/clean/torch/torch215").join(name)
}

struct Running {
    folder: tempfile::TempDir,
    address: SocketAddr,
}

impl Running {
    /// A server with a clean checkpoint, and other files in its folder.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy = |from: &str, to: &str| _ = fs::copy(clean(from), folder.path().join(to)).unwrap();
        copy("state-dict.pt", "model.pt");
        copy("state-dict.pt", "second.pt");
        copy("tied.pt", "other.pt");
        let canary = folder.path().join("canary");
        let payload = format!("cposix\nsystem\n(S'touch {}'\ntR.", canary.display());
        fs::write(folder.path().join("malicious.pt"), payload).unwrap();
        fs::write(folder.path().join("unproven.pt"), "cfoo.bar\nBaz\n(S'x'\ntR.").unwrap();
        fs::write(folder.path().join("text.pt"), "no weights\n").unwrap();
        std::os::unix::fs::symlink(clean("state-dict.pt"), folder.path().join("link.pt")).unwrap();
        let server = Arc::new(Server::new(folder.path(), "model.pt").unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || server.serve(&listener));
        Self { folder, address }
    }

    fn send(&self, request: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap())
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        self.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
    }

    fn load(&self, path: &str) -> (u16, Value) {
        self.post("/load", &serde_json::json!({"path": path}).to_string())
    }

    /// The server answers with the values that torch 2.15 computes from the same file.
    #[track_caller]
    fn assert_alive(&self) {
        let (status, body) = self.post("/predict", "[1, 2, 3, 4]");
        assert_eq!(status, 200, "{body}");
        let found: Vec<f64> =
            body["output"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
        assert!((found[0] - 0.595_684_6).abs() < 1e-5 && (found[1] + 0.705_602_8).abs() < 1e-5, "{found:?}");
    }

    fn model(&self) -> String {
        self.send(b"GET /health HTTP/1.1\r\n\r\n").1["model"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_malicious_checkpoint_is_refused_and_the_clean_one_goes_on_answering() {
    let running = Running::new();
    running.assert_alive();
    let (status, body) = running.load("malicious.pt");
    assert_eq!(
        (status, &body["verdict"], &body["rule"]),
        (422, &"dangerous".into(), &"unsafe-callable".into()),
        "{body}"
    );
    assert_eq!(body["callable"], "posix.system");
    assert!(!running.folder.path().join("canary").exists());
    running.assert_alive();
    let (status, body) = running.load("unproven.pt");
    assert_eq!((status, &body["verdict"]), (422, &"unproven".into()), "{body}");
    assert_eq!(running.model(), "model.pt");
    assert_eq!(running.load("second.pt").0, 200);
    assert_eq!(running.model(), "second.pt");
    running.assert_alive();
}

#[test]
fn checkpoints_that_cannot_be_served_are_refused_with_a_reason() {
    let running = Running::new();
    for (path, status) in [
        ("other.pt", 422),
        ("text.pt", 422),
        ("none.pt", 404),
        ("../model.pt", 400),
        ("/etc/passwd", 400),
        // The link leads out of the folder.
        ("link.pt", 400),
    ] {
        let (found, body) = running.load(path);
        assert_eq!(found, status, "{path}: {body}");
        assert!(!body["error"].as_str().unwrap().is_empty(), "{path}");
    }
    running.assert_alive();
    assert!(Server::new(running.folder.path(), "malicious.pt").is_err_and(|why| why.contains("dangerous")));
}

#[test]
fn invalid_requests_do_not_stop_the_server() {
    let running = Running::new();
    assert_eq!(running.post("/predict", "[1, 2]").0, 400);
    assert_eq!(running.post("/predict", "no json").0, 400);
    assert_eq!(running.post("/load", "{}").0, 400);
    assert_eq!(running.post("/nowhere", "").0, 404);
    assert_eq!(running.send(b"GET /load HTTP/1.1\r\n\r\n").0, 405);
    assert_eq!(running.send(b"POST /load HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n").0, 413);
    assert_eq!(running.send(&[b'x'; 16 << 10]).0, 400);
    drop(TcpStream::connect(running.address).unwrap());
    running.assert_alive();
}

#[test]
fn it_answers_while_it_loads() {
    let running = Running::new();
    std::thread::scope(|scope| {
        for turn in 0..8 {
            let running = &running;
            scope.spawn(move || {
                for _ in 0..5 {
                    match turn % 3 {
                        0 => assert_eq!(running.load("second.pt").0, 200),
                        1 => assert_eq!(running.load("malicious.pt").0, 422),
                        _ => running.assert_alive(),
                    }
                }
            });
        }
    });
    running.assert_alive();
}
