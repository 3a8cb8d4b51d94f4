//! Arguments of `modelscan run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches};

/// Run a command in the sandbox.
///
/// The command sees the system's programs and libraries, a private /tmp, and nothing else of this machine: no network, no files, no other
/// processes, no terminal. Its exit code is passed on; 124 is the time limit, 125 a sandbox that could not be set up, 126 and 127 as a
/// shell, 128+N a signal.
#[derive(Args, Debug)]
#[allow(missing_docs)]
pub(crate) struct RunArgs {
    /// What the command may use: eval, torch-load, code, gpu-eval, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "eval")]
    pub(crate) profile: String,
    /// A file or folder that can be read inside, never written; may be repeated
    #[arg(long, value_name = "SRC[:DEST]")]
    pub(crate) ro: Vec<OsString>,
    /// Copy what may leave /out to this folder when the command has ended
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Size of the memory-backed /tmp
    #[arg(long, value_name = "SIZE")]
    pub(crate) scratch: Option<String>,
    /// Memory of everything inside together
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Processors' worth of time
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<f64>,
    /// Processes and threads
    #[arg(long, value_name = "N")]
    pub(crate) pids: Option<u32>,
    /// Wall-clock time; then everything inside is killed
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// Standard output and error passed on; the rest is dropped
    #[arg(long, value_name = "SIZE")]
    pub(crate) output_limit: Option<String>,
    /// All of /out together
    #[arg(long, value_name = "SIZE")]
    pub(crate) out_limit: Option<String>,
    /// This GPU or MIG slice and no other
    #[arg(long, value_name = "N|UUID")]
    pub(crate) gpu: Option<String>,
    /// Memory quota on that GPU
    #[arg(long, value_name = "SIZE", requires = "gpu")]
    pub(crate) gpu_memory: Option<String>,
    /// none, or the only hosts that can be reached, through a proxy
    #[arg(long, value_name = "none|HOST[:PORT],...", value_delimiter = ',')]
    pub(crate) net: Vec<String>,
    /// A variable passed inside; nothing else of the environment is
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Where the command starts, inside
    #[arg(long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Grant a permission (exec-any, exec-scratch, memfd-exec, wx-memory, ptrace-own, proc-self, rdtsc, net-private)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// Go on although this host cannot enforce NAME (memory, pids, cpus, devices, landlock, gpu_memory)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) allow_weaker: Vec<String>,
    /// Write the report there, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Append the report there, as one line of JSON; a socket such as /dev/log gets it as a message
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Say what this host can enforce, and how to get what is missing
    #[arg(long)]
    pub(crate) doctor: bool,
    /// Describe what a profile permits
    #[arg(long, value_name = "PROFILE")]
    pub(crate) explain: Option<String>,
    /// The command and its arguments
    #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

/// Parses a command line of `run` without the definitions of the other subcommands: building them takes longer than the launch of
/// the sandbox up to its first system call. Errors and `--help` are the same word for word.
pub(crate) fn parse(args: &[OsString]) -> Result<RunArgs, clap::Error> {
    let run = RunArgs::augment_args(Command::new(NAME));
    let command = Command::new("modelscan").subcommand_required(true).max_term_width(100).subcommand(run);
    let matches = command.try_get_matches_from(args)?;
    let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
    RunArgs::from_arg_matches(matches.subcommand_matches(NAME).ok_or_else(missing)?)
}

/// The name of the subcommand.
pub(crate) const NAME: &str = "run";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Subcommand};
    use clap::Parser;

    /// The arguments or the error of a line, by both parsers.
    fn parse_both(line: &[&str]) -> (String, String) {
        let args: Vec<OsString> = line.iter().map(OsString::from).collect();
        let whole = match Cli::try_parse_from(&args).map(|cli| cli.subcommand) {
            Ok(Subcommand::Run(args)) => format!("{args:?}"),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        };
        (parse(&args).map_or_else(|error| error.to_string(), |args| format!("{args:?}")), whole)
    }

    #[test]
    fn it_parses_as_among_all_subcommands() {
        for line in [
            "run -- true",
            "run --profile code --ro a:/b --ro c --net x,y:1 --cpus 1.5 --env A=b --timeout 5s python3 -c --doctor",
            "run --gpu 0 --gpu-memory 1GiB --allow rdtsc,wx-memory --report r --log l --out o --workdir /w -- a -- b",
            "run",
            "run --help",
            "run -h",
            "run --pids many",
            "run --gpu-memory 1GiB true",
            "run --profil eval true",
            "run --profile",
            "run --version",
            "run --ro=x --ro=y --out a --out b true",
        ] {
            let words: Vec<&str> = std::iter::once("modelscan").chain(line.split(' ')).collect();
            let (alone, whole) = parse_both(&words);
            assert_eq!(alone, whole, "{line}");
        }
    }
}
