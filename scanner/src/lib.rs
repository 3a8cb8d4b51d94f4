//! Reads untrusted model files, finds what loading them would do, and gives a verdict. Executes nothing.
#![forbid(unsafe_code)]

mod api;
mod archive;
mod error;
mod examine;
pub(crate) mod fact;
pub mod finding;
mod format;
mod io;
mod judge;
mod observe;
mod pickle;
mod recognize;

pub use api::inspect::{disassemble, inspect};
pub use api::scan::{Progress, ScanOptions, scan};
pub use api::unopened::report_escaping_link;
pub use api::{clearance, providers, scan_open};
pub use error::Error;
pub use finding::{Finding, Severity, Verdict};
pub use format::all as formats;
pub use io::directory;
pub use io::limits::Limits;
pub use io::{hash, source};
pub use judge::rule::{RuleInfo, rules};
pub use judge::ruleset_id::ruleset_id;
pub use judge::{policy, report, verdict_cache};

/// Parts of the scanner that the other crates of this workspace, its fuzzers and its tests use. No promise of stability.
#[doc(hidden)]
#[allow(missing_docs, reason = "each is documented where it is defined")]
pub mod internal {
    pub mod archive {
        pub use crate::archive::*;
    }
    pub mod examine {
        pub use crate::examine::*;
    }
    pub mod fact {
        pub use crate::fact::*;
    }
    pub mod format {
        pub use crate::format::*;
    }
    pub mod io {
        pub use crate::io::*;
    }
    pub mod judge {
        pub use crate::judge::*;
    }
    pub mod observe {
        pub use crate::observe::*;
    }
    pub mod pickle {
        pub use crate::pickle::*;
    }
}
