//! A server on loopback that answers every request alike and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Head and body.
type Request = (String, Vec<u8>);

pub struct Server {
    pub url: String,
    pub asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn new(status: &'static str, body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                if head.contains("100-continue") {
                    reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
                }
                let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
                let mut asked = vec![0; head.lines().find_map(length).unwrap_or(0)];
                reader.read_exact(&mut asked).unwrap();
                kept.lock().unwrap().push((head, asked));
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                // The client may have closed the connection.
                _ = reader.get_mut().write_all(answer.as_bytes()).and_then(|()| reader.get_mut().write_all(&body));
            }
        });
        Self { url, asked }
    }
}
