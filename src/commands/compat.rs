//! `modelscan -p PATH`: the command line of the Python tool of the same name, answered by this scanner.
//!
//! Exit codes follow that tool: 3 nothing scanned, else 2 errors, else 1 issues, else 0; 4 usage. What differs on
//! purpose stands in `docs/drop-in.md`.

mod answer;
mod settings;

use super::{Stop, print, settle};
use crate::cli::{ConfigArgs, DropIn, DropInFormat, LimitArgs, LogLevel};
use crate::config;
use crate::exit::Exit;
use crate::render::drop_in::{console, json};
use crate::terminal::say;
use answer::answer;
pub(crate) use answer::{Answer, Grade, Issue, Note};
use scanner::ScanOptions;
use settings::Settings;
use std::path::Path;

/// Prints the version as that tool does.
pub(crate) fn version() -> Result<Exit, Stop> {
    print(|out| writeln!(out, "modelscan, version {}", env!("CARGO_PKG_VERSION")))?;
    Ok(Exit::Clean)
}

/// Scans and answers.
pub(crate) fn run(args: &DropIn) -> Result<Exit, Stop> {
    if !args.path.exists() {
        return Err(Stop::Usage(format!("Path '{}' does not exist.", args.path.display())));
    }
    if args.reporting_format == DropInFormat::Custom {
        return Err(Stop::Usage("a custom reporter is Python code and cannot be run here; use -r json".to_owned()));
    }
    let settings = read_settings(args)?;
    let path = std::path::absolute(&args.path)?;
    let paths = [path.clone()];
    let config = config::load(&ConfigArgs::default(), &LimitArgs::default(), &paths).map_err(Stop::Usage)?;
    if args.log <= LogLevel::Warning {
        config.warnings.iter().for_each(|warning| say("warning", warning));
    }
    let options = ScanOptions {
        limits: config.limits,
        hash: config.policy.needs_sha256(),
        policy: config.policy,
        jobs: config.jobs,
        ..ScanOptions::default()
    };
    let report = scanner::scan(&paths, &options);
    let answer = answer(&report, &settings, &args.path, &path);
    if args.log <= LogLevel::Info {
        for (source, scanner) in &answer.looked_at {
            say("info", &format!("Scanning {source} using {scanner} model scan"));
        }
    }
    let exit = answer.exit();
    let written = print(|out| match args.reporting_format {
        DropInFormat::Json => json(&answer, args.show_skipped, out),
        _ => console(&answer, args.show_skipped, out),
    });
    Ok(settle(write_file(args, &answer, exit), written))
}

fn write_file(args: &DropIn, answer: &answer::Answer, exit: Exit) -> Exit {
    let Some(path) = &args.output_file else { return exit };
    if args.reporting_format != DropInFormat::Json {
        say("warning", "-o is for -r json; nothing was written");
        return exit;
    }
    let written = std::fs::File::create(path).and_then(|mut file| json(answer, args.show_skipped, &mut file));
    match written {
        Ok(()) => exit,
        Err(error) => {
            say("error", &format!("{}: {error}", path.display()));
            exit.unwritten()
        }
    }
}

fn read_settings(args: &DropIn) -> Result<Settings, Stop> {
    let default = Path::new("modelscan-settings.toml");
    let path = match &args.settings_file {
        Some(path) if !path.is_file() => {
            return Err(Stop::Usage(format!("Invalid value for '--settings-file': {} is no file", path.display())));
        }
        Some(path) => path,
        // What is scanned must not decide about itself: the file beside it counts only where it is not part of it.
        None if default.is_file() && !config::lies_inside(default, std::slice::from_ref(&args.path)) => default,
        None => return Ok(Settings::default()),
    };
    let text = config::read(path).map_err(Stop::Usage)?;
    let settings = Settings::parse(&text).map_err(|why| Stop::Usage(format!("{}: {why}", path.display())))?;
    if args.log <= LogLevel::Warning {
        say(
            "warning",
            &format!("{}: `unsafe_globals` can make findings graver; no other setting of it is used", path.display()),
        );
    }
    Ok(settings)
}
