//! Which kinds of files are admitted.

use std::collections::BTreeSet;

/// What a file is to a program that is about to load it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A clean model, or plain data without findings (`config.json`, a tokenizer).
    Admitted,
    /// A program. It is run rather than loaded, and nothing here judges its effects.
    Program,
    /// Part of it is unknown or computed.
    Unproven,
    /// Part of it was not read, its format is not read here, or it is the pointer of a file that is not there (Git LFS).
    Unread,
    /// An archive without findings. The effects of a server on its members are not judged (a Keras model, a model archive with a
    /// handler).
    Archive,
    /// Loading it would do harm.
    Dangerous,
}

/// Kinds of files that are admitted beyond [`Admission::Admitted`].
#[derive(Debug, Clone, Default)]
pub struct AdmissionPolicy {
    /// Unproven and unread files, and archives.
    pub unproven: bool,
    /// Programs.
    pub programs: bool,
    /// Files by their SHA-256, lower case. A dangerous file is never admitted.
    pub sha256: BTreeSet<String>,
}

impl AdmissionPolicy {
    /// Whether a file is admitted. Pass the hash if it is known; without it, `sha256` does not apply.
    pub fn admits(&self, admission: Admission, sha256: Option<&str>) -> bool {
        let listed = || sha256.is_some_and(|hash| self.sha256.contains(hash));
        match admission {
            Admission::Admitted => true,
            Admission::Dangerous => false,
            Admission::Program => self.programs || listed(),
            Admission::Unproven | Admission::Unread | Admission::Archive => self.unproven || listed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dangerous_file_is_never_admitted() {
        let hash = "a".repeat(64);
        let all = AdmissionPolicy { unproven: true, programs: true, sha256: [hash.clone()].into() };
        assert!(!all.admits(Admission::Dangerous, Some(&hash)));
        let none = AdmissionPolicy::default();
        assert!(none.admits(Admission::Admitted, None) && !none.admits(Admission::Unproven, Some(&hash)));
        let listed = AdmissionPolicy { sha256: [hash.clone()].into(), ..AdmissionPolicy::default() };
        assert!(listed.admits(Admission::Unread, Some(&hash)) && !listed.admits(Admission::Program, None));
    }
}
