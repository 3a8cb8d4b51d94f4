//! How long scans take as library calls: without the start of a process, one file after the other, with a warm cache.
//!
//! `cargo run --release -p modelscan-scanner --example time -- [--jobs N] [--runs N] FILE...`

use scanner::{ScanOptions, scan};
use std::path::PathBuf;
use std::time::Instant;

fn main() {
    let (mut jobs, mut runs, mut paths) = (0, 21, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = |default| words.next().and_then(|word| word.parse().ok()).unwrap_or(default);
        match word.as_str() {
            "--jobs" => jobs = number(0),
            "--runs" => runs = number(21).max(1),
            _ => paths.push(PathBuf::from(word)),
        }
    }
    for path in paths {
        let options = ScanOptions { jobs, ..ScanOptions::default() };
        let mut times = Vec::new();
        let mut report = scan(std::slice::from_ref(&path), &options);
        for _ in 0..runs {
            let start = Instant::now();
            report = scan(std::slice::from_ref(&path), &options);
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let of = |share: usize| times.get((times.len() - 1) * share / 100).copied().unwrap_or_default();
        let verdict = report.artifacts.first().map(|artifact| artifact.verdict);
        println!(
            "{}: best {:.2} ms, median {:.2} ms, worst {:.2} ms; {} bytes read; {verdict:?}",
            path.display(),
            of(0),
            of(50),
            of(100),
            report.summary.bytes_read
        );
    }
}
