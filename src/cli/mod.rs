//! The arguments of the command line. Help, completions and the manual are made from these definitions.

pub(crate) mod baseline;
pub(crate) mod convert;
pub(crate) mod formats;
pub(crate) mod guard;
pub(crate) mod kserve_init;
pub(crate) mod lock;
pub(crate) mod remote;
pub(crate) mod report;
pub(crate) mod run;

pub(crate) use report::{ReportFormat, ReportOutput};

use crate::limit::LIMITS;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Scan, convert and contain machine-learning model files without trusting them.
#[derive(Debug, Parser)]
#[command(name = "modelscan", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Subcommand,
}

/// Each is one file under `commands/`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Scan(Box<ScanArgs>),
    Inspect(InspectArgs),
    Convert(Box<convert::ConvertArgs>),
    Rule(RuleArgs),
    Formats(formats::FormatsArgs),
    Baseline(Box<baseline::BaselineArgs>),
    Lock(lock::LockArgs),
    Guard(Box<guard::GuardArgs>),
    KserveInit(Box<kserve_init::KserveInitArgs>),
    Schema(report::SchemaArgs),
    Run(Box<run::RunArgs>),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Report what loading files would do. Files are only read, never run.
///
/// Exit codes: 0 everything was read and nothing is at or above --fail-on; 1 a finding at or above --fail-on; 2 no
/// such finding, but something could not be read completely; 3 no file of a known format; 4 the command line or
/// the configuration is wrong.
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Files, folders and https addresses.
    #[arg(required_unless_present = "changed_since", value_name = "PATH|URL")]
    pub(crate) paths: Vec<PathBuf>,
    /// Scan the files that changed between the merge base of REF and HEAD, and in the working tree, at and below each PATH.
    /// Configuration and baseline are those of REF. A change without files of a known format has code 0.
    #[arg(long, value_name = "REF", allow_hyphen_values = true)]
    pub(crate) changed_since: Option<String>,
    /// Format of the report on standard output.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text, env = "MODELSCAN_FORMAT", hide_env = true)]
    pub(crate) format: ReportFormat,
    /// Write the report to a file too; may be repeated.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = report::parse_output)]
    pub(crate) output: Vec<ReportOutput>,
    /// Fail at findings of this severity or above [default: medium].
    #[arg(long, value_enum, env = "MODELSCAN_FAIL_ON", hide_env = true)]
    pub(crate) fail_on: Option<SeverityArg>,
    /// Threads [default: one per core].
    #[arg(long, value_name = "N", env = "MODELSCAN_JOBS", hide_env = true)]
    pub(crate) jobs: Option<usize>,
    /// Write the SHA-256 of each file to the report.
    #[arg(long)]
    pub(crate) sha256: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Do not apply `allow` and `ignore` of the configuration.
    #[arg(long)]
    pub(crate) no_ignores: bool,
    /// Fail only at findings that are not in this baseline.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Show findings that the configuration or the baseline accepts.
    #[arg(long)]
    pub(crate) show_suppressed: bool,
    /// No warnings, no progress, no summary line.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// No progress bar.
    #[arg(long)]
    pub(crate) no_progress: bool,
    /// When to use colors.
    #[arg(long, value_enum, default_value_t = ColorWhen::Auto)]
    pub(crate) color: ColorWhen,
    #[command(flatten)]
    pub(crate) lfs_and_cache: remote::LfsAndCacheArgs,
    #[command(flatten)]
    pub(crate) remote: remote::RemoteArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Show the content of files: members, pickles with every import and call, tensors.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Files, or members of them (`model.pt::archive/data.pkl`).
    #[arg(required = true, value_name = "PATH[::MEMBER]")]
    pub(crate) paths: Vec<PathBuf>,
    /// Format of the report; `json` is one line for each file.
    #[arg(long, value_enum, default_value_t = InspectFormat::Text)]
    pub(crate) format: InspectFormat,
    /// Print an annotated listing of the opcodes instead.
    #[arg(long, conflicts_with = "format")]
    pub(crate) disasm: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// List the rules, or explain one.
#[derive(Debug, Args)]
pub(crate) struct RuleArgs {
    /// Id of the rule.
    pub(crate) id: Option<String>,
    /// Format of the output.
    #[arg(long, value_enum, default_value_t = RuleFormat::Text)]
    pub(crate) format: RuleFormat,
}

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page of the command, or of one subcommand.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The subcommand.
    pub(crate) verb: Option<String>,
}

/// The configuration file.
#[derive(Debug, Default, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file [default: modelscan.toml, from here up to the top of the repository].
    #[arg(long, value_name = "FILE", conflicts_with = "isolated")]
    pub(crate) config: Option<PathBuf>,
    /// Read no configuration file.
    #[arg(long)]
    pub(crate) isolated: bool,
}

/// The names and values of `--limit-NAME` flags.
#[derive(Debug, Default)]
pub(crate) struct LimitArgs(pub(crate) Vec<(&'static str, String)>);

impl Args for LimitArgs {
    fn augment_args(command: Command) -> Command {
        LIMITS.iter().fold(command, |command, limit| {
            let arg = Arg::new(limit.flag).long(limit.flag).value_name(limit.kind()).help(limit.help);
            command.arg(arg.action(ArgAction::Set).help_heading("Limits").hide_short_help(true))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LimitArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |flag| matches.get_one::<String>(flag).cloned();
        Ok(Self(LIMITS.iter().filter_map(|limit| Some((limit.name, value(limit.flag)?))).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuleFormat {
    Text,
    Json,
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SeverityArg {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    Auto,
    Always,
    Never,
}

/// The command line of the Python tool of the same name.
#[derive(Debug, Parser)]
#[command(name = "modelscan", disable_version_flag = true, args_override_self = true)]
pub(crate) struct CompatArgs {
    /// File or folder to scan.
    #[arg(short, long)]
    pub(crate) path: PathBuf,
    /// Level of messages on standard error.
    #[arg(short, long, value_enum, ignore_case = true, default_value = "INFO")]
    pub(crate) log: CompatLogLevel,
    /// Format of the report.
    #[arg(short, long, value_enum, default_value = "console")]
    pub(crate) reporting_format: CompatFormat,
    /// Write the JSON report to this file too.
    #[arg(short, long)]
    pub(crate) output_file: Option<PathBuf>,
    /// List the files that were skipped.
    #[arg(long)]
    pub(crate) show_skipped: bool,
    /// Settings file of the Python tool.
    #[arg(long, value_name = "FILE")]
    pub(crate) settings_file: Option<PathBuf>,
    /// Print the version.
    #[arg(short, long)]
    pub(crate) version: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum CompatLogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompatFormat {
    Console,
    Json,
    Custom,
}

/// A parsed command line.
#[derive(Debug)]
pub(crate) enum ParsedArgs {
    Subcommand(Subcommand),
    /// That of the Python tool.
    Compat(CompatArgs),
    /// `-v` of the Python tool.
    CompatVersion,
}

/// Parses the command line.
pub(crate) fn parse(args: &[OsString]) -> Result<ParsedArgs, clap::Error> {
    if args.get(1).is_some_and(|name| name == run::NAME) {
        return run::parse(args).map(|run| ParsedArgs::Subcommand(Subcommand::Run(Box::new(run))));
    }
    match compat_args(args) {
        Some([flag]) if flag == "-v" => Ok(ParsedArgs::CompatVersion),
        Some(rest) => {
            let args = std::iter::once(OsString::from("modelscan")).chain(rest.iter().cloned());
            let args = CompatArgs::try_parse_from(args)?;
            Ok(if args.version { ParsedArgs::CompatVersion } else { ParsedArgs::Compat(args) })
        }
        None => Cli::try_parse_from(args).map(|cli| ParsedArgs::Subcommand(cli.subcommand)),
    }
}

/// The whole command, for completions and the manual.
pub(crate) fn command() -> Command {
    Cli::command()
}

/// The arguments after the name of the program and `scan`, if they are those of the Python tool, where a path is given by a flag.
fn compat_args(args: &[OsString]) -> Option<&[OsString]> {
    let rest = args.get(1..)?;
    let rest = rest.strip_prefix(&[OsString::from("scan")]).unwrap_or(rest);
    let text = |arg: &OsString| arg.to_string_lossy().into_owned();
    let mut flags = rest.iter().map(text).take_while(|arg| arg != "--");
    let path = flags
        .any(|arg| arg == "--path" || arg.starts_with("--path=") || (arg.starts_with("-p") && !arg.starts_with("--")));
    let first = rest.first().map(text)?;
    ((path && first.starts_with('-')) || (rest.len() == 1 && first == "-v")).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<ParsedArgs, clap::Error> {
        parse(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
        CompatArgs::command().debug_assert();
    }

    #[test]
    fn a_path_given_by_a_flag_selects_the_python_tool() {
        for line in ["modelscan -p x", "modelscan scan -p x", "modelscan -l DEBUG -r json --path=x", "modelscan -px"] {
            assert!(matches!(parsed(line), Ok(ParsedArgs::Compat(_))), "{line}");
        }
        assert!(matches!(parsed("modelscan -v"), Ok(ParsedArgs::CompatVersion)));
        for line in ["modelscan scan x", "modelscan scan -q x", "modelscan scan -- -p", "modelscan inspect x"] {
            assert!(matches!(parsed(line), Ok(ParsedArgs::Subcommand(_))), "{line}");
        }
    }

    #[test]
    fn limits_and_outputs_are_parsed() {
        let Ok(ParsedArgs::Subcommand(Subcommand::Scan(args))) =
            parsed("modelscan scan --limit-time 5s --output json=a=b x")
        else {
            unreachable!("it parses");
        };
        assert_eq!(args.limits.0, [("time", "5s".to_owned())]);
        assert_eq!(args.output.first().map(|output| output.path.clone()), Some("a=b".into()));
        assert!(parsed("modelscan scan --output yaml=a x").is_err());
        assert!(parsed("modelscan scan --output json x").is_err());
        assert!(parsed("modelscan scan").is_err());
    }
}
