//! Promises about the whole tree: the corpus, bounds for any input, and the structure of the sources.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

mod architecture;
mod corpus;
mod dependencies;
mod documents;
mod run_script;
mod totality;
