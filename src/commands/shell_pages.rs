//! `modelscan completions` and `modelscan man`: made from the definitions that `--help` is made from.

use super::{Stop, print};
use crate::cli::{self, CompletionsArgs, ManArgs};
use crate::config::unknown;
use crate::exit::Exit;

/// Prints completions for a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "modelscan", &mut script);
    print(|out| out.write_all(&script))?;
    Ok(Exit::Clean)
}

/// Prints the manual page of the command, or of one verb.
pub(crate) fn man(args: &ManArgs) -> Result<Exit, Stop> {
    let mut whole = cli::command();
    whole.build();
    let page = match &args.verb {
        None => whole,
        Some(verb) => match whole.find_subcommand(verb) {
            Some(found) => found.clone(),
            None => {
                return Err(Stop::Usage(unknown("verb", verb, whole.get_subcommands().map(clap::Command::get_name))));
            }
        },
    };
    print(|out| clap_mangen::Man::new(page).render(out))?;
    Ok(Exit::Clean)
}
