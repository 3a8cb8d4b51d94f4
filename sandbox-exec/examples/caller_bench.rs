//! The cost of a run for its caller. `caller_bench LAUNCHER [MIB]` prints the time of running `true` in a new sandbox, before and after this program
//! allocates MIB of memory, and in a prepared sandbox: the median and the minimum of 200 runs, in milliseconds.
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
    let print = |what: &str, mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let at = |index: usize| times.get(index).copied().unwrap_or_default();
        println!("{what}\tmedian {:.2}\tminimum {:.2}", at(times.len() / 2), at(0));
    };
    let elapsed = |start: Instant, code: i32| match code {
        0 => Ok(start.elapsed().as_secs_f64() * 1000.0),
        code => Err(format!("a run exited with {code}")),
    };
    let run_new = || -> Result<Vec<f64>, Box<dyn std::error::Error>> {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let (stdio, start) = (stdio()?, Instant::now());
            times.push(elapsed(start, Launcher::at(&path).run(&request, stdio).code)?);
        }
        Ok(times)
    };
    print("small caller", run_new()?);
    let memory = vec![1u8; mib << 20];
    print("large caller", run_new()?);
    println!("allocated {} MiB", std::hint::black_box(&memory).len() >> 20);
    drop(memory);
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let mut pool = Pool::new(Launcher::at(&path), request.clone(), 1)?;
        let (stdio, start) = (stdio()?, Instant::now());
        times.push(elapsed(start, pool.run(&request.command, stdio).code)?);
    }
    print("prepared sandbox", times);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("sandboxes exist on Linux only");
}
