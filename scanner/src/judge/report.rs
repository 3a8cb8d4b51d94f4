//! Reports of scans and inspections: the fields of the JSON output.
//!
//! The order is stable: artifacts are sorted by path, findings by member and offset. A report holds no time and no host, and does
//! not depend on the number of threads.

pub use crate::finding::Verdict;
pub use crate::format::all::{self as formats, FormatInfo};

use crate::finding::Finding;
use crate::observe::observations::Tensor;
use serde::Serialize;

/// The format of a file that no format claims.
pub const UNKNOWN_FORMAT: &str = "unknown";

/// The format of a file without bytes.
pub const EMPTY_FORMAT: &str = "empty";

/// The format of a socket, FIFO or device.
pub const SPECIAL_FILE_FORMAT: &str = "special-file";

/// The report of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Name and version of this layout.
    pub schema: &'static str,
    /// The program that wrote it.
    pub tool: Tool,
    /// The verdict over all artifacts.
    pub verdict: Verdict,
    /// The numbers.
    pub summary: Summary,
    /// One entry a file, sorted by path.
    pub artifacts: Vec<ArtifactReport>,
    /// Paths that could not be scanned.
    pub errors: Vec<ScanError>,
}

/// The program that wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// The numbers of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Files.
    pub artifacts: u64,
    /// Files of which everything was read and is inert.
    pub clean: u64,
    /// Files with something unknown or unreadable.
    pub unproven: u64,
    /// Files that would do harm.
    pub dangerous: u64,
    /// Files of which nothing was read.
    pub not_scanned: u64,
    /// Size of all files together.
    pub bytes: u64,
    /// Bytes read from them.
    pub bytes_read: u64,
}

/// The report on one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactReport {
    /// Its path as given, or below the folder that was given.
    pub path: String,
    /// Its format; [`UNKNOWN_FORMAT`] if none claims it.
    pub format: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// Its SHA-256, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The Git LFS object that was scanned in place of its pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lfs: Option<LfsReport>,
    /// The findings, sorted by member and offset.
    pub findings: Vec<Finding>,
    /// The parts that were not read.
    pub not_read: Vec<NotRead>,
}

/// The Git LFS object of a pointer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LfsReport {
    /// The SHA-256 in the pointer.
    pub oid: String,
    /// The size in the pointer, in bytes.
    pub size: u64,
    /// How the bytes were compared with the pointer.
    pub integrity: Integrity,
}

/// How an object was compared with its pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Integrity {
    /// The SHA-256 of all bytes equals the oid.
    Sha256,
    /// The local store has an object of that oid and size; its bytes were not hashed.
    Size,
    /// A server sent ranges of an object of that oid and size; its bytes were not hashed.
    Range,
}

impl Integrity {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Size => "size",
            Self::Range => "range",
        }
    }
}

/// Bytes that were not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotRead {
    /// The path inside the artifact; `None` for the file itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Where in that member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Why.
    pub reason: String,
}

/// A path that could not be scanned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ScanError {
    /// The path.
    pub path: String,
    /// Why.
    pub message: String,
}

impl ArtifactReport {
    /// The description of its format. `None` where no format claims the file, and for empty and special files.
    pub fn format_info(&self) -> Option<&'static FormatInfo> {
        formats::by_id(self.format)
    }

    /// Whether it only names a file that is stored elsewhere (a Git LFS pointer).
    pub fn is_pointer(&self) -> bool {
        self.format_info().is_some_and(|info| info.is_pointer)
    }

    /// Whether no format claims the file: it is named in the report and fails nothing.
    pub fn is_unknown(&self) -> bool {
        self.verdict == Verdict::NotScanned && self.format == UNKNOWN_FORMAT
    }

    /// Whether something of a known format could not be read.
    pub fn is_incomplete(&self) -> bool {
        !self.is_unknown() && (self.verdict == Verdict::NotScanned || !self.not_read.is_empty())
    }
}

impl Report {
    /// Sorts and counts the artifacts, and gives the verdict over all of them.
    pub fn new(mut artifacts: Vec<ArtifactReport>, mut errors: Vec<ScanError>, bytes_read: u64) -> Self {
        artifacts.sort_by(|a, b| a.path.cmp(&b.path));
        for artifact in &mut artifacts {
            artifact.findings.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
            artifact.not_read.sort();
        }
        errors.sort();
        Self {
            schema: "modelscan.scan/1",
            tool: Tool { name: "modelscan", version: env!("CARGO_PKG_VERSION") },
            verdict: overall(&artifacts, &errors),
            summary: count(&artifacts, bytes_read),
            artifacts,
            errors,
        }
    }
}

fn sort_key(finding: &Finding) -> impl Ord + '_ {
    let Finding { member, offset, rule, callable, message, .. } = finding;
    (member.as_deref(), *offset, *rule, callable.as_deref(), message.as_str())
}

/// The worst verdict. Files of no known format do not count. A path that could not be scanned makes a clean result unproven.
fn overall(artifacts: &[ArtifactReport], errors: &[ScanError]) -> Verdict {
    let known = artifacts.iter().filter(|artifact| !artifact.is_unknown()).map(|artifact| artifact.verdict);
    let (mut worst, mut scanned) = (Verdict::Clean, false);
    for verdict in known {
        scanned |= verdict != Verdict::NotScanned;
        worst = worst.max(verdict);
    }
    match (scanned, worst) {
        (false, _) => Verdict::NotScanned,
        (true, Verdict::NotScanned) => Verdict::Unproven,
        (true, Verdict::Clean) if !errors.is_empty() => Verdict::Unproven,
        (true, worst) => worst,
    }
}

fn count(artifacts: &[ArtifactReport], bytes_read: u64) -> Summary {
    let mut summary = Summary { bytes_read, ..Summary::default() };
    for artifact in artifacts {
        summary.artifacts += 1;
        summary.bytes = summary.bytes.saturating_add(artifact.size);
        *match artifact.verdict {
            Verdict::Clean => &mut summary.clean,
            Verdict::Unproven => &mut summary.unproven,
            Verdict::Dangerous => &mut summary.dangerous,
            Verdict::NotScanned => &mut summary.not_scanned,
        } += 1;
    }
    summary
}

/// The content of one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectReport {
    /// Name and version of this layout.
    pub schema: &'static str,
    /// The path as given.
    pub path: String,
    /// Its format; [`UNKNOWN_FORMAT`] if none claims it.
    pub format: &'static str,
    /// Its members.
    pub members: Vec<MemberReport>,
    /// The pickle streams in it.
    pub pickles: Vec<PickleReport>,
    /// The tensors that its headers name.
    pub tensors: Vec<Tensor>,
    /// The parts that were not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_read: Vec<NotRead>,
}

impl InspectReport {
    /// The name and version of this layout.
    pub const SCHEMA: &'static str = "modelscan.inspect/1";
}

/// Something nested in an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberReport {
    /// Its path inside the artifact.
    pub member: String,
    /// Its size unpacked.
    pub size: u64,
    /// Its format; [`UNKNOWN_FORMAT`] if none claims it.
    pub format: &'static str,
}

/// One pickle stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PickleReport {
    /// The path inside the artifact; `None` for the file itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Where it starts.
    pub start: u64,
    /// How many bytes it takes.
    pub length: u64,
    /// The highest protocol it declares or needs.
    pub protocol: u8,
    /// `stop`, or why it ends early.
    pub end: String,
    /// Every pair that an unpickler would import.
    pub imports: Vec<ImportReport>,
    /// Every call it would make.
    pub calls: Vec<CallReport>,
    /// How many persistent ids it asks for.
    pub persistent_ids: u64,
}

/// A pair of module and name as they stand in the stream; `None` where it cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The module.
    pub module: Option<String>,
    /// The name in it.
    pub name: Option<String>,
    /// Offset of the opcode.
    pub offset: u64,
    /// The opcode.
    pub opcode: &'static str,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallReport {
    /// What is called; `None` where it cannot be known.
    pub callable: Option<String>,
    /// Offset of the opcode.
    pub offset: u64,
    /// The opcode.
    pub opcode: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(path: &str, format: &'static str, verdict: Verdict) -> ArtifactReport {
        let (findings, not_read) = (Vec::new(), Vec::new());
        ArtifactReport { path: path.into(), format, size: 10, verdict, sha256: None, lfs: None, findings, not_read }
    }

    fn verdict(verdicts: &[(&'static str, Verdict)]) -> Verdict {
        Report::new(verdicts.iter().map(|(format, verdict)| artifact("a", format, *verdict)).collect(), vec![], 0)
            .verdict
    }

    #[test]
    fn the_worst_artifact_gives_the_verdict() {
        assert_eq!(verdict(&[("pickle", Verdict::Clean)]), Verdict::Clean);
        assert_eq!(verdict(&[("pickle", Verdict::Clean), ("pickle", Verdict::Dangerous)]), Verdict::Dangerous);
    }

    #[test]
    fn a_pointer_beside_a_clean_file_is_unproven_and_a_readme_is_not() {
        assert_eq!(verdict(&[("pickle", Verdict::Clean), ("git-lfs-pointer", Verdict::NotScanned)]), Verdict::Unproven);
        assert_eq!(verdict(&[("pickle", Verdict::Clean), (UNKNOWN_FORMAT, Verdict::NotScanned)]), Verdict::Clean);
    }

    #[test]
    fn nothing_scanned_is_never_clean() {
        assert_eq!(verdict(&[]), Verdict::NotScanned);
        assert_eq!(verdict(&[(UNKNOWN_FORMAT, Verdict::NotScanned)]), Verdict::NotScanned);
    }

    #[test]
    fn artifacts_are_sorted_and_counted() {
        let report = Report::new(
            vec![artifact("b", "pickle", Verdict::Clean), artifact("a", "pickle", Verdict::Unproven)],
            vec![ScanError { path: "c".into(), message: "permission denied".into() }],
            7,
        );
        assert_eq!(report.artifacts.iter().map(|a| a.path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let Summary { artifacts, clean, unproven, bytes, bytes_read, .. } = report.summary;
        assert_eq!((artifacts, clean, unproven, bytes, bytes_read), (2, 1, 1, 20, 7));
    }
}
