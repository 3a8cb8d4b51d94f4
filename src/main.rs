//! The `modelscan` command: reads what was typed, asks the crates below, tells the answer and ends with its code.

mod changes;
mod cli;
mod commands;
mod config;
mod date;
mod decision;
mod exit;
mod file;
mod git;
mod limit;
mod render;
mod terminal;

use cli::{Asked, Verb};
use commands::{
    Stop, baseline, convert, drop_in, formats, guard, inspect, kserve_init, lock, pages, rule, run, scan, schema,
};
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The sandbox library starts this program as its launcher, so that one installed file is enough.
    if let Some(code) = sandbox_exec::run_launcher_if_requested() {
        return ExitCode::from(code);
    }
    let args: Vec<_> = std::env::args_os().collect();
    let done = match cli::parse(&args) {
        Ok(asked) => dispatch(asked),
        Err(said) => {
            let exit = if said.use_stderr() { Exit::Usage } else { Exit::Clean };
            _ = said.print();
            let run = args.get(1).is_some_and(|verb| verb == cli::run::VERB);
            Ok(if run && exit == Exit::Usage { Exit::Command(run::NOT_SET_UP) } else { exit })
        }
    };
    match done {
        Ok(exit) => exit,
        Err(Stop::Output(error)) => commands::settle(Exit::Clean, Err(error)),
        Err(Stop::Usage(message)) => {
            terminal::say("error", &message);
            Exit::Usage
        }
    }
    .into()
}

fn dispatch(asked: Asked) -> Result<Exit, Stop> {
    match asked {
        Asked::Verb(Verb::Scan(args)) => scan::run(&args),
        Asked::Verb(Verb::Inspect(args)) => inspect::run(&args),
        Asked::Verb(Verb::Convert(args)) => convert::run(&args),
        Asked::Verb(Verb::Rule(args)) => rule::run(&args),
        Asked::Verb(Verb::Formats(args)) => formats::run(&args),
        Asked::Verb(Verb::Baseline(args)) => baseline::run(&args),
        Asked::Verb(Verb::Lock(args)) => lock::run(&args),
        Asked::Verb(Verb::Guard(args)) => guard::run(&args),
        Asked::Verb(Verb::KserveInit(args)) => kserve_init::run(&args),
        Asked::Verb(Verb::Schema(args)) => schema::run(&args),
        Asked::Verb(Verb::Run(args)) => Ok(Exit::Command(run::run(&args))),
        Asked::Verb(Verb::Completions(args)) => pages::completions(&args),
        Asked::Verb(Verb::Man(args)) => pages::man(&args),
        Asked::DropIn(args) => drop_in::run(&args),
        Asked::DropInVersion => drop_in::version(),
    }
}
