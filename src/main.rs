//! `modelscan run`.

use std::process::ExitCode;

use clap::Parser;

mod cli {
    pub(crate) mod run;
}
mod commands {
    pub(crate) mod run;
}

#[derive(Parser)]
#[command(name = "modelscan")]
enum Command {
    Run(cli::run::RunArgs),
}

fn main() -> ExitCode {
    if let Some(code) = sandbox_exec::launcher_if_asked() {
        return ExitCode::from(code);
    }
    match Command::try_parse() {
        Ok(Command::Run(args)) => ExitCode::from(commands::run::run(&args)),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 125 } else { 0 })
        }
    }
}
