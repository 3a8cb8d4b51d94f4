//! Paths, lines and labels that several formats share.

use super::options::RenderOptions;
use crate::escape;
use scanner::Finding;
use scanner::report::{ArtifactReport, Integrity, Report};
use std::fmt::Write as _;

/// The path relative to the working directory, or as it is if it is not below it. An address becomes a path too: code scanning
/// refuses a report with any scheme but `file`.
pub(super) fn relative<'a>(path: &'a str, working_dir: &str) -> std::borrow::Cow<'a, str> {
    if let Some((scheme, rest)) = path.split_once("://")
        && !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return format!("{scheme}/{rest}").into();
    }
    let below =
        path.strip_prefix(working_dir).filter(|_| !working_dir.is_empty()).and_then(|rest| rest.strip_prefix('/'));
    let mut path = below.unwrap_or(path);
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    path.into()
}

/// The path as a URI reference (RFC 3986).
pub(super) fn uri(path: &str, working_dir: &str) -> String {
    let path = relative(path, working_dir);
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    percent_encode(&path, &mut out);
    out
}

/// Appends a path with everything but letters, digits, `-._~` and `/` percent-encoded.
pub(super) fn percent_encode(path: &str, out: &mut String) {
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
}

/// The line of an annotation. A Git LFS pointer is text, and its second line changes with the object.
pub(super) fn annotation_line(artifact: &ArtifactReport) -> u64 {
    if artifact.is_pointer() || artifact.lfs.is_some() { 2 } else { 1 }
}

/// A note if Git LFS objects were scanned without their hash.
pub(super) fn unverified_lfs(report: &Report) -> Option<String> {
    let count = |integrity: Integrity| {
        let objects = report.artifacts.iter().filter_map(|artifact| artifact.lfs.as_ref());
        objects.filter(|lfs| lfs.integrity == integrity).count()
    };
    let (size, range) = (count(Integrity::Size), count(Integrity::Range));
    let kinds = [(size, "taken from the local store"), (range, "read by ranges from a server")];
    let kinds: Vec<_> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, how)| format!("{count} {how}")).collect();
    (!kinds.is_empty())
        .then(|| format!("Git LFS objects: {}; no hash was compared with the pointers", kinds.join(", ")))
}

/// File and member, escaped. Each is cut on its own, so that a long file name cannot hide the member.
pub(super) fn display_path(path: &str, member: Option<&str>) -> String {
    match member {
        None => escape::text(path).into_owned(),
        Some(member) => format!("{}::{}", escape::text(path), escape::text(member)),
    }
}

/// The findings with their files, the most severe first and otherwise in the order of the report, at most `limit`; and their count
/// without that limit.
pub(super) fn most_severe(
    report: &Report,
    limit: usize,
    suppressed: bool,
) -> (Vec<(&ArtifactReport, &Finding)>, usize) {
    let artifacts = report.artifacts.iter();
    let all = artifacts.flat_map(|artifact| artifact.findings.iter().map(move |finding| (artifact, finding)));
    let mut all: Vec<_> = all.filter(|(_, finding)| suppressed || finding.suppressed.is_none()).collect();
    let total = all.len();
    all.sort_by_key(|(_, finding)| (finding.suppressed.is_some(), std::cmp::Reverse(finding.severity)));
    all.truncate(limit);
    (all, total)
}

/// The verdict in words.
pub(super) fn verdict_label(report: &Report) -> &'static str {
    report.verdict.as_str().split('_').next().map_or("", |first| if first == "not" { "not scanned" } else { first })
}

/// The line for a change without files of a known format.
pub(super) fn nothing_changed(report: &Report, options: RenderOptions<'_>) -> Option<String> {
    let none = report.errors.is_empty() && report.artifacts.iter().all(ArtifactReport::is_unknown);
    options
        .changed_since
        .filter(|_| none)
        .map(|since| format!("nothing of a known format has changed since {}", escape::text(since)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_relative_and_encoded() {
        for (path, expected) in [
            ("a b.pt", "a%20b.pt"),
            ("./m/a.pt", "m/a.pt"),
            ("/w/m/a#1.pt", "m/a%231.pt"),
            ("/elsewhere/a.pt", "file:///elsewhere/a.pt"),
            ("/work/a.pt", "file:///work/a.pt"),
            ("c:x", "c%3Ax"),
            ("hf://org/repo/a.pt", "hf/org/repo/a.pt"),
            ("\u{202e}%", "%E2%80%AE%25"),
        ] {
            assert_eq!(uri(path, "/w"), expected);
        }
    }
}
