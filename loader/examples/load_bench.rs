//! Measures the library: `load_bench FILE [RUNS]` prints the median of each time in milliseconds, one per line.
//! `benches/convert.py` runs it to compare with Python readers of the same file.

use loader::{Checkpoint, LoadOptions, with_loader_limits};
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
    let options = LoadOptions::default();
    let mut times = Times::new();
    let mut note = |what, start: Instant| times.entry(what).or_default().push(start.elapsed().as_secs_f64() * 1000.0);
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        let loaded = loader::open(path, &options)?;
        note("open", start);
        let first = loaded.plan().tensors.first().ok_or("no tensors")?;
        black_box(loaded.read(first)?);
        note("first", start);

        let start = Instant::now();
        // SAFETY: the benchmark made the file, and no process writes to it meanwhile.
        let mapped = unsafe { loaded.map()? };
        let all: Result<Vec<_>, _> = loaded.plan().tensors.iter().map(|tensor| mapped.get(tensor)).collect();
        black_box(all?);
        note("mapped", start);
        drop(mapped);

        drop(loaded);

        // The limits that `open` uses.
        let start = Instant::now();
        black_box(clear(path, &with_loader_limits(&options.limits))?);
        note("clear", start);

        let start = Instant::now();
        black_box(read_each(&loader::open(path, &options)?)?);
        note("each", start);

        let start = Instant::now();
        let loaded = loader::open(path, &options)?;
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
