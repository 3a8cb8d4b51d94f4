//! A server for benchmarks (`benches/remote.py`): serves one file on loopback by ranges, with a delay for each answer. Prints its address
//! and runs until it is killed.

use fixtures::server::{Reply, Request, Server};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(latency)) = (args.next(), args.next().and_then(|text| text.parse().ok())) else {
        eprintln!("serve FILE MILLISECONDS");
        std::process::exit(4);
    };
    let file = File::open(&path).expect("the file can be opened");
    let len = file.metadata().expect("it has a length").len() as usize;
    let answer = move |request: &Request| {
        let Some((start, end)) = request.range() else { return Reply::new(404, "ranges only") };
        let end = end.min(len - 1);
        let mut bytes = vec![0; end + 1 - start];
        file.read_exact_at(&mut bytes, start as u64).expect("it reads");
        let range = format!("bytes {start}-{end}/{len}");
        Reply::new(206, bytes).with("ETag", "\"v1\"").with("Content-Range", range)
    };
    let server = Server::with_latency(Duration::from_millis(latency), answer);
    println!("{}", server.url("/model.pt"));
    loop {
        std::thread::park();
    }
}
