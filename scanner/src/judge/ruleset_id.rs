//! The identity of a rule set. Two builds with the same id give the same report on the same file.
//!
//! A lock or a cache outlives the program that wrote it. It stores the id, and a program with another id scans again.

/// SHA-256 over the sources, tables, version and dependencies of the scanner, as 64 hexadecimal digits. `build.rs` computes it
/// over all of `src` and `data`, so no rule can be left out.
pub const fn ruleset_id() -> &'static str {
    env!("MODELSCAN_RULESET_ID")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_sha_256() {
        assert_eq!(ruleset_id().len(), 64);
        assert!(ruleset_id().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }
}
