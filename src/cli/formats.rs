//! Arguments of `modelscan formats`.

use clap::{Args, ValueEnum};

/// List the formats: what is read, judged and converted, and what can be proven clean.
#[derive(Debug, Args)]
pub(crate) struct FormatsArgs {
    /// How the table is written.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    Text,
    Json,
    Markdown,
}
