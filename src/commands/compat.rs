//! `modelscan -p PATH`: the command line of the Python tool of the same name.
//!
//! Exit codes are those of that tool: 3 nothing scanned, else 2 errors, else 1 issues, else 0; 4 usage. `docs/drop-in.md` lists the
//! intended differences.

use super::output::{exit_after_write, write_stdout};
use crate::cli::{CompatArgs, CompatFormat, CompatLogLevel, ConfigArgs, LimitArgs};
use crate::compat::report::CompatReport;
use crate::compat::settings::Settings;
use crate::config;
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::render::compat::{console, json};
use crate::terminal::log::{Level, log, log_warnings};
use scanner::ScanOptions;
use std::path::Path;

/// Prints the version as that tool does.
pub(crate) fn print_version() -> Result<ExitCode, CommandError> {
    let written = write_stdout(|out| writeln!(out, "modelscan, version {}", env!("CARGO_PKG_VERSION")));
    written.map_err(CommandError::Output)?;
    Ok(ExitCode::Clean)
}

/// Scans, and writes the report of that tool.
pub(crate) fn run(args: &CompatArgs) -> Result<ExitCode, CommandError> {
    if !args.path.exists() {
        return Err(CommandError::usage(format!("Path '{}' does not exist.", args.path.display())));
    }
    if args.reporting_format == CompatFormat::Custom {
        let reason = "a custom reporter is Python code and cannot be run here";
        return Err(CommandError::usage_with_hint(reason, "use -r json"));
    }
    let settings = read_settings(args)?;
    let path = std::path::absolute(&args.path).map_err(CommandError::Io)?;
    let paths = [path.clone()];
    let config = config::load(&ConfigArgs::default(), &LimitArgs::default(), &paths)?;
    if args.log <= CompatLogLevel::Warning {
        log_warnings(&config.warnings);
    }
    let options = ScanOptions {
        limits: config.limits,
        hash: config.policy.needs_sha256(),
        policy: config.policy,
        jobs: config.jobs,
        ..ScanOptions::default()
    };
    let report = scanner::scan(&paths, &options);
    let report = CompatReport::from_scan(&report, &settings, &args.path, &path);
    if args.log <= CompatLogLevel::Info {
        for (source, scanner) in &report.scanner_of_file {
            log(Level::Info, &format!("Scanning {source} using {scanner} model scan"));
        }
    }
    let code = report.exit_code();
    let written = write_stdout(|out| match args.reporting_format {
        CompatFormat::Json => json(&report, args.show_skipped, out),
        CompatFormat::Console | CompatFormat::Custom => console(&report, args.show_skipped, out),
    });
    Ok(exit_after_write(write_file(args, &report, code), written))
}

fn write_file(args: &CompatArgs, report: &CompatReport, code: ExitCode) -> ExitCode {
    let Some(path) = &args.output_file else { return code };
    if args.reporting_format != CompatFormat::Json {
        log(Level::Warning, "-o is for -r json; nothing was written");
        return code;
    }
    let written = std::fs::File::create(path).and_then(|mut file| json(report, args.show_skipped, &mut file));
    match written {
        Ok(()) => code,
        Err(error) => {
            log(Level::Error, &format!("{}: {error}", path.display()));
            code.after_failed_write()
        }
    }
}

fn read_settings(args: &CompatArgs) -> Result<Settings, CommandError> {
    let default = Path::new("modelscan-settings.toml");
    let path = match &args.settings_file {
        Some(path) if !path.is_file() => {
            return Err(CommandError::usage(format!(
                "Invalid value for '--settings-file': {} is no file",
                path.display()
            )));
        }
        Some(path) => path,
        // A settings file among the scanned files is not used: a model must not bring its own rules.
        None if default.is_file() && !config::is_inside(default, std::slice::from_ref(&args.path)) => default,
        None => return Ok(Settings::default()),
    };
    let text = config::read(path)?;
    let settings = Settings::parse(&text).map_err(|error| error.in_file(path))?;
    if args.log <= CompatLogLevel::Warning {
        log(
            Level::Warning,
            &format!("{}: `unsafe_globals` can make findings graver; no other setting of it is used", path.display()),
        );
    }
    Ok(settings)
}
