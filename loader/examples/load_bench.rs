//! How long the library takes: `load_bench FILE [RUNS]` prints the median of each time in milliseconds, a line each.
//! `benches/convert.py` runs it beside what Python readers take for the same file.

use loader::{Checkpoint, LoadOptions};
use scanner::clearance::clear;
use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

type Times = BTreeMap<&'static str, Vec<f64>>;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(path), runs) = (args.next(), args.next().and_then(|runs| runs.parse().ok())) else {
        eprintln!("usage: load_bench FILE [RUNS]");
        return ExitCode::FAILURE;
    };
    match measure(Path::new(&path), runs.unwrap_or(5)) {
        Ok(times) => {
            times.into_iter().for_each(|(what, times)| println!("{what}\t{:.3}", median(times)));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(path: &Path, runs: usize) -> Result<Times, Box<dyn Error>> {
    let policy = LoadOptions::default();
    let mut times = Times::new();
    let mut note = |what, start: Instant| times.entry(what).or_default().push(start.elapsed().as_secs_f64() * 1000.0);
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        let loaded = loader::open(path, &policy)?;
        note("open", start);
        let first = loaded.plan().tensors.first().ok_or("no tensors")?;
        black_box(loaded.read(first)?);
        note("first", start);

        let start = Instant::now();
        // SAFETY: the bench made the file, and nobody writes to it while it is measured.
        let mapped = unsafe { loaded.map()? };
        let all: Result<Vec<_>, _> = loaded.plan().tensors.iter().map(|tensor| mapped.get(tensor)).collect();
        black_box(all?);
        note("mapped", start);
        drop(mapped);

        drop(loaded);

        // What is let in is what `open` lets in: the bounds on values are as wide there.
        let start = Instant::now();
        let mut limits = policy.limits.clone();
        limits.items = limits.items.max(1_000_000);
        limits.heap_bytes = limits.heap_bytes.max(256 << 20);
        limits.events = limits.events.max(4_000_000);
        black_box(clear(path, &limits)?);
        note("clear", start);

        let start = Instant::now();
        black_box(read_each(&loader::open(path, &policy)?)?);
        note("each", start);

        let start = Instant::now();
        let loaded = loader::open(path, &policy)?;
        let all: Result<Vec<Vec<u8>>, _> = loaded.plan().tensors.iter().map(|tensor| loaded.read(tensor)).collect();
        black_box(all?);
        note("all", start);
    }
    Ok(times)
}

/// Reads all tensors, one at a time.
fn read_each(loaded: &Checkpoint) -> std::io::Result<u64> {
    loaded.plan().tensors.iter().try_fold(0, |len, tensor| Ok(len + black_box(loaded.read(tensor)?).len() as u64))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
