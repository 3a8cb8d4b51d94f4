//! A web server on loopback that does what a test tells it to, lies included.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The range it asks for: start and end, both inclusive.
    pub fn range(&self) -> Option<(usize, usize)> {
        let (start, end) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((start.parse().ok()?, end.parse().ok()?))
    }
}

/// What the server answers.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What it says the length is, where that is a lie.
    pub length: Option<u64>,
    /// Whether it then says nothing for a long time, in place of the end.
    pub stalls: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), length: None, stalls: false }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Self::new(302, "elsewhere").with("Location", to)
    }
}

/// Answers as servers should: the range that was asked for of this version.
pub fn honest(bytes: &[u8], version: &str, request: &Request) -> Reply {
    let tag = format!("\"{version}\"");
    let stale = request.header("if-range").is_some_and(|known| known != tag);
    let Some((start, end)) = request.range().filter(|_| !stale) else {
        return Reply::new(200, bytes).with("ETag", tag);
    };
    if start >= bytes.len() {
        return Reply::new(416, "").with("Content-Range", format!("bytes */{}", bytes.len()));
    }
    let end = end.min(bytes.len() - 1);
    let range = format!("bytes {start}-{end}/{}", bytes.len());
    Reply::new(206, &bytes[start..=end]).with("ETag", tag).with("Content-Range", range)
}

/// A running server. It ends with the test's process.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::with_latency(Duration::ZERO, answer)
    }

    pub fn with_latency(latency: Duration, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || serve(&stream, latency, &seen, answer.as_ref()));
            }
        });
        Self { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All that was asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics with the lock").clone()
    }
}

fn serve(stream: &TcpStream, latency: Duration, seen: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Reply) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        thread::sleep(latency);
        seen.lock().expect("no test panics with the lock").push(request.clone());
        let reply = answer(&request);
        let lies = reply.length.is_some();
        let length = reply.length.unwrap_or(reply.body.len() as u64);
        let mut head = format!("HTTP/1.1 {} Whatever\r\nContent-Length: {length}\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        // In one piece: two writes would wait for each other's acknowledgement.
        let mut stream = stream;
        let written = stream.write_all(&[head.as_bytes(), &reply.body].concat());
        if reply.stalls {
            thread::sleep(Duration::from_secs(60));
        }
        if written.is_err() || lies {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
