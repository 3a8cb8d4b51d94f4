//! What a run costs a program that asks for it: `caller_bench LAUNCHER [MIB]` prints the times of `true` in walls that are made for it, before
//! and after the program took MIB of memory, and in walls that were ready. Medians and the least of 200, a line each, in milliseconds.
//!
//!     cargo build --release -p modelscan-sandbox-exec --bins --example caller_bench
//!     target/release/examples/caller_bench target/release/sandbox-exec 2048

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use sandbox_exec::{Launcher, Pool, Profile, Request, Stdio};
    use std::time::Instant;

    const RUNS: usize = 200;

    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: caller_bench LAUNCHER [MIB]")?;
    let mib: usize = args.next().map_or(Ok(2048), |mib| mib.parse())?;
    let request = Request::new(Profile::load("eval")?, ["true"]);
    let stdio = || -> std::io::Result<Stdio> {
        let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
        Ok(Stdio { input: None, output: null()?.into(), errors: null()?.into() })
    };
    let said = |what: &str, mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let at = |index: usize| times.get(index).copied().unwrap_or_default();
        println!("{what}\tmedian {:.2}\tleast {:.2}", at(times.len() / 2), at(0));
    };
    let ended = |start: Instant, code: i32| match code {
        0 => Ok(start.elapsed().as_secs_f64() * 1000.0),
        code => Err(format!("a run ended with {code}")),
    };
    let made = || -> Result<Vec<f64>, Box<dyn std::error::Error>> {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let (stdio, start) = (stdio()?, Instant::now());
            times.push(ended(start, Launcher::at(&path).run(&request, stdio).code)?);
        }
        Ok(times)
    };
    said("small caller", made()?);
    let held = vec![1u8; mib << 20];
    said("large caller", made()?);
    println!("it holds {} MiB", std::hint::black_box(&held).len() >> 20);
    drop(held);
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let mut pool = Pool::new(Launcher::at(&path), request.clone(), 1)?;
        let (stdio, start) = (stdio()?, Instant::now());
        times.push(ended(start, pool.run(&request.command, stdio).code)?);
    }
    said("ready walls", times);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("walls are made on Linux only");
}
