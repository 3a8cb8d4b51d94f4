//! Which rules a verdict was made by: one digest over everything compiled in that decides what is said.
//!
//! A lock or a cache keeps verdicts for longer than the program that made them. It keeps this digest beside them, and where
//! another one holds by then, what was said is asked anew.

use crate::io::hash::hex;
use crate::judge::effect;
use crate::judge::rule::rules;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// What fires rules is code, and a change in it says other things of the same file.
const CODE: [&str; 7] = [
    include_str!("rule/arguments.rs"),
    include_str!("rule/calls.rs"),
    include_str!("rule/configured.rs"),
    include_str!("rule/facts.rs"),
    include_str!("rule/mod.rs"),
    include_str!("effect.rs"),
    include_str!("judgement.rs"),
];

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        // With its length before it, no two lists of texts are the same bytes.
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    // How files are read changes with the version.
    add(env!("CARGO_PKG_VERSION"));
    CODE.into_iter().chain(effect::texts()).for_each(&mut add);
    rules().iter().for_each(|rule| add(rule.id));
    hex(&hash.finalize())
});

/// The SHA-256 of the version, all tables and all rules: two releases for which it is the same say the same of a file.
pub fn ruleset_id() -> &'static str {
    &DIGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_digest_and_stays_the_same() {
        assert_eq!(ruleset_id().len(), 64);
        assert_eq!(ruleset_id(), ruleset_id());
        assert!(effect::texts().count() > 4 && effect::texts().all(|table| table.lines().count() > 1));
    }
}
