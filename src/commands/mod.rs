//! The subcommands, one file for each.

pub(crate) mod baseline;
pub(crate) mod compat;
pub(crate) mod convert;
pub(crate) mod formats;
pub(crate) mod guard;
pub(crate) mod inspect;
pub(crate) mod kserve_init;
pub(crate) mod lock;
pub(crate) mod output;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod schema;
pub(crate) mod shell_pages;
