//! The `modelscan` command: parses the command line, runs a subcommand and ends with its exit code.
#![forbid(unsafe_code)]

mod atomic_file;
mod baseline;
mod changes;
mod cli;
mod commands;
mod compat;
mod config;
mod date;
mod error;
mod escape;
mod exit_code;
mod git;
mod limit;
mod remote_inputs;
mod render;
mod terminal;
mod trusted_config;

use cli::{ParsedArgs, Subcommand};
use commands::output::exit_after_write;
use error::CommandError;
use exit_code::ExitCode;
use terminal::log::{Level, log};

fn main() -> std::process::ExitCode {
    // The sandbox starts this program again as its first process, so that one installed file is enough.
    if let Some(code) = sandbox_exec::run_launcher_if_requested() {
        return std::process::ExitCode::from(code);
    }
    let args: Vec<_> = std::env::args_os().collect();
    let result = match cli::parse(&args) {
        Ok(parsed) => run(parsed),
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Clean };
            _ = error.print();
            let is_run = args.get(1).is_some_and(|name| name == cli::run::NAME);
            let failed_run = is_run && code == ExitCode::Usage;
            Ok(if failed_run { ExitCode::Command(commands::run::SETUP_FAILED) } else { code })
        }
    };
    match result {
        Ok(code) => code,
        Err(CommandError::Output(error)) => exit_after_write(ExitCode::Clean, Err(error)),
        Err(error) => {
            log(Level::Error, &error.to_string());
            ExitCode::Usage
        }
    }
    .into()
}

fn run(parsed: ParsedArgs) -> Result<ExitCode, CommandError> {
    match parsed {
        ParsedArgs::Subcommand(subcommand) => run_subcommand(subcommand),
        ParsedArgs::Compat(args) => commands::compat::run(&args),
        ParsedArgs::CompatVersion => commands::compat::print_version(),
    }
}

fn run_subcommand(subcommand: Subcommand) -> Result<ExitCode, CommandError> {
    match subcommand {
        Subcommand::Scan(args) => commands::scan::run(&args),
        Subcommand::Inspect(args) => commands::inspect::run(&args),
        Subcommand::Convert(args) => commands::convert::run(&args),
        Subcommand::Rule(args) => commands::rule::run(&args),
        Subcommand::Formats(args) => commands::formats::run(&args),
        Subcommand::Baseline(args) => commands::baseline::run(&args),
        Subcommand::Lock(args) => commands::lock::run(&args),
        Subcommand::Guard(args) => commands::guard::run(&args),
        Subcommand::KserveInit(args) => commands::kserve_init::run(&args),
        Subcommand::Schema(args) => commands::schema::run(&args),
        Subcommand::Run(args) => Ok(ExitCode::Command(commands::run::run(&args))),
        Subcommand::Completions(args) => commands::shell_pages::completions(&args),
        Subcommand::Man(args) => commands::shell_pages::man(&args),
    }
}
