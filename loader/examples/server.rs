//! A small inference server that never unpickles. It loads checkpoints of torch through the loader, refuses files that are not
//! clean with verdict and rule, and continues to serve the model that it has.
//!
//!     cargo run -p modelscan-loader --features candle --example server -- fixtures/clean/torch/torch215 state-dict.pt 8080
//!     curl -d '[1, 2, 3, 4]' localhost:8080/predict
//!     curl -d '{"path": "other.pt"}' localhost:8080/load
//!
//! The HTTP part is minimal. The part to copy is [`Server::load`].

use candle_core::Device;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

#[path = "run_model.rs"]
mod run_model;

/// Limits of a request.
const MAX_HEAD_BYTES: u64 = 16 << 10;
const MAX_BODY_BYTES: usize = 64 << 10;
/// Idle timeout of a connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP status and JSON body.
type Answer = (u16, Value);

/// A model that is served.
struct Model {
    path: String,
    weights: run_model::Weights,
}

/// The server: a folder of checkpoints, and the one that is served.
pub struct Server {
    folder: PathBuf,
    model: RwLock<Arc<Model>>,
}

impl Server {
    /// Starts with a checkpoint of the folder.
    ///
    /// # Errors
    /// A message that says why the checkpoint was not loaded.
    pub fn new(folder: &Path, path: &str) -> Result<Self, String> {
        let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
        let model = load(&folder, path).map_err(|(_, why)| why.to_string())?;
        Ok(Self { folder, model: RwLock::new(Arc::new(model)) })
    }

    /// Answers until the process ends.
    ///
    /// # Errors
    /// When the listener fails.
    pub fn serve(self: Arc<Self>, listener: &TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept()?;
            let server = Arc::clone(&self);
            std::thread::spawn(move || {
                if let Err(error) = server.attend(&stream) {
                    eprintln!("a connection ended early: {error}");
                }
            });
        }
    }

    fn attend(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
        stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
        let (status, value) = match read(stream)? {
            Ok((method, path, body)) => self.answer(&method, &path, &body),
            Err(answer) => answer,
        };
        let body = value.to_string();
        let head = format!("HTTP/1.1 {status} \r\nContent-Type: application/json\r\nConnection: close\r\n");
        let mut stream = stream;
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, path) {
            ("GET", "/health") => (200, json!({"model": self.model().path})),
            ("POST", "/predict") => self.predict(&value),
            ("POST", "/load") => match value.get("path").and_then(Value::as_str) {
                Some(path) => self.load(path),
                None => (400, json!({"error": "the body is {\"path\": \"...\"}"})),
            },
            (_, "/health" | "/predict" | "/load") => (405, json!({"error": "not this method"})),
            _ => (404, json!({"error": "there is no such page"})),
        }
    }

    fn model(&self) -> Arc<Model> {
        Arc::clone(&self.model.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn predict(&self, value: &Value) -> Answer {
        let row: Option<Vec<f32>> = value
            .as_array()
            .and_then(|row| row.iter().map(|number| number.as_f64().map(|number| number as f32)).collect());
        let Some(Ok(row)) = row.map(<[f32; 4]>::try_from) else {
            return (400, json!({"error": "the body is a row of four numbers"}));
        };
        match run_model::predict(&self.model().weights, &row) {
            Ok(output) => (200, json!({"output": output})),
            Err(error) => (500, json!({"error": error.to_string()})),
        }
    }

    /// Loads another checkpoint of the folder. Meanwhile, and if it is refused, the present model answers.
    fn load(&self, path: &str) -> Answer {
        match load(&self.folder, path) {
            Ok(model) => {
                *self.model.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(model);
                (200, json!({"model": path}))
            }
            Err(answer) => {
                eprintln!("{path} was not loaded: {}", answer.1);
                answer
            }
        }
    }
}

/// Loads a checkpoint of the folder.
fn load(folder: &Path, path: &str) -> Result<Model, Answer> {
    // Clients choose among the files of the folder, not among all files of the machine.
    let outside = || (400, json!({"error": "it is no file of the folder that is served"}));
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let place = folder.join(path).canonicalize().map_err(|error| (404, json!({"error": error.to_string()})))?;
    if !place.starts_with(folder) {
        return Err(outside());
    }
    let weights = loader::candle::load(&place, &loader::LoadOptions::default(), &Device::Cpu)
        .map_err(|error| refusal(path, &error))?;
    // A clean checkpoint may belong to another model.
    run_model::predict(&weights, &[0.0; 4])
        .map_err(|error| (422, json!({"error": error.to_string(), "path": path})))?;
    Ok(Model { path: path.to_owned(), weights })
}

/// The answer to a refused load, with verdict and rule where the scan refused the file.
fn refusal(path: &str, error: &loader::candle::Error) -> Answer {
    let mut body = json!({"error": error.to_string(), "path": path});
    if let loader::candle::Error::Load(loader::Error::NotCleared(report)) = error {
        body["verdict"] = report.verdict.as_str().into();
        let worst = report.findings.iter().max_by_key(|finding| (finding.verdict, finding.severity));
        if let Some(worst) = worst {
            body["rule"] = worst.rule.into();
            body["callable"] = worst.callable.clone().into();
            body["member"] = worst.member.clone().into();
            body["offset"] = worst.offset.into();
        }
    }
    (422, body)
}

type Request = (String, String, Vec<u8>);

/// Reads one request. The inner error is the answer to an invalid one.
fn read(stream: &TcpStream) -> io::Result<Result<Request, Answer>> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let before = head.len();
        reader.by_ref().take(MAX_HEAD_BYTES.saturating_sub(before as u64)).read_until(b'\n', &mut head)?;
        if head.len() == before {
            return Ok(Err((400, json!({"error": "that is no request"}))));
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let header = |name: &str| {
        let pairs = head.lines().filter_map(|line| line.split_once(':'));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let length = match header("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(length)) if length <= MAX_BODY_BYTES => length,
        Some(_) => return Ok(Err((413, json!({"error": "the body is too long"})))),
    };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Ok((method, path, body)))
}

#[allow(dead_code, reason = "the test of this example has no use for it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, path, port] = &args[..] else {
        return Err("usage: server FOLDER CHECKPOINT PORT".into());
    };
    let server = Arc::new(Server::new(Path::new(folder), path)?);
    let listener = TcpListener::bind(("127.0.0.1", port.parse::<u16>()?))?;
    println!("serving {path} on {}", listener.local_addr()?);
    Ok(server.serve(&listener)?)
}
