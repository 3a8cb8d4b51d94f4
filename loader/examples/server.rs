//! A small inference server that never unpickles: it loads checkpoints of torch through the loader, refuses what is not clean
//! with verdict and rule, and goes on answering with the model that it has.
//!
//!     cargo run -p modelscan-loader --features candle --example server -- fixtures/clean/torch/torch215 state-dict.pt 8080
//!     curl -d '[1, 2, 3, 4]' localhost:8080/predict
//!     curl -d '{"path": "other.pt"}' localhost:8080/load
//!
//! The web half is as small as it can be; what matters is [`Server::load`].

use candle_core::Device;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

#[path = "run_model.rs"]
mod run_model;

/// A request is shorter than this.
const HEAD: u64 = 16 << 10;
const BODY: usize = 64 << 10;
/// Who says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// A status and what there is to say.
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
    /// Why it was not loaded, for people.
    pub fn new(folder: &Path, path: &str) -> Result<Self, String> {
        let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
        let model = load(&folder, path).map_err(|(_, why)| why.to_string())?;
        Ok(Self { folder, model: RwLock::new(Arc::new(model)) })
    }

    /// Answers until the process ends.
    ///
    /// # Errors
    /// When nobody can connect any more.
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
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
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

    /// Loads another checkpoint of the folder. Until it is whole, and if it is refused, the model that is there answers.
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

/// The one place where a file becomes a model.
fn load(folder: &Path, path: &str) -> Result<Model, Answer> {
    // Whoever may ask for a load may not ask for any file of this machine.
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
    // A clean checkpoint may be that of another model.
    run_model::predict(&weights, &[0.0; 4])
        .map_err(|error| (422, json!({"error": error.to_string(), "path": path})))?;
    Ok(Model { path: path.to_owned(), weights })
}

/// What a client is told: verdict and rule where it is about what the file would do.
fn refusal(path: &str, error: &loader::candle::Error) -> Answer {
    let mut said = json!({"error": error.to_string(), "path": path});
    if let loader::candle::Error::Load(loader::Error::NotCleared(report)) = error {
        said["verdict"] = report.verdict.as_str().into();
        let worst = report.findings.iter().max_by_key(|finding| (finding.verdict, finding.severity));
        if let Some(worst) = worst {
            said["rule"] = worst.rule.into();
            said["callable"] = worst.callable.clone().into();
            said["member"] = worst.member.clone().into();
            said["offset"] = worst.offset.into();
        }
    }
    (422, said)
}

type Request = (String, String, Vec<u8>);

/// Reads one request; the inner error is what its sender is told.
fn read(stream: &TcpStream) -> io::Result<Result<Request, Answer>> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let before = head.len();
        reader.by_ref().take(HEAD.saturating_sub(before as u64)).read_until(b'\n', &mut head)?;
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
        Some(Ok(length)) if length <= BODY => length,
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
