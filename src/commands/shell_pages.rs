//! `modelscan completions` and `modelscan man`, from the definitions of the command line.

use super::output::write_stdout;
use crate::cli::{self, CompletionsArgs, ManArgs};
use crate::error::CommandError;
use crate::exit_code::ExitCode;

/// Prints completions for a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "modelscan", &mut script);
    write_stdout(|out| out.write_all(&script)).map_err(CommandError::Output)?;
    Ok(ExitCode::Clean)
}

/// Prints the manual page of the command, or of one subcommand.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, CommandError> {
    let mut command = cli::command();
    command.build();
    let page = match &args.verb {
        None => command,
        Some(name) => match command.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                let known = command.get_subcommands().map(clap::Command::get_name);
                return Err(CommandError::unknown("verb", name, known));
            }
        },
    };
    write_stdout(|out| clap_mangen::Man::new(page).render(out)).map_err(CommandError::Output)?;
    Ok(ExitCode::Clean)
}
