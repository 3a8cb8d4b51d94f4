//! The dependencies of the build on Linux, as `cargo metadata` lists them: their licences, and crates that occur in two versions.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The accepted licences. All are permissive, so that the command and the wheel can be given away under Apache-2.0.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
    "bzip2-1.0.6",
];

/// Crates that occur in several versions: how many, and who keeps the older ones.
const DUPLICATES: [(&str, usize, &str); 7] = [
    ("base64", 2, "spm_precompiled 0.1, below candle's tokenizers, is at 0.13"),
    ("bit-vec", 2, "fancy-regex 0.17 and 0.18 use bit-set 0.8, yasna is at 0.9; yasna is for certificates in tests"),
    ("fancy-regex", 2, "tokenizers is at 0.17, jsonschema at 0.18"),
    ("getrandom", 3, "ring is at 0.2, rand_core 0.9 and ahash at 0.3, tempfile and zip at 0.4"),
    ("hashbrown", 2, "safetensors is at 0.16, indexmap at 0.17"),
    ("syn", 2, "derive macros move from 2 to 3 one by one; only the build uses it"),
    ("synstructure", 2, "as syn: asn1-rs is at 0.13, the crates of ICU4X at 0.14"),
];

struct Package {
    name: String,
    version: String,
    licence: String,
}

fn packages() -> Vec<Package> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"]);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    // `packages` holds those of other platforms as well; the resolved ones are in `resolve`.
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let resolved: BTreeSet<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let all = metadata["packages"].as_array().unwrap().iter();
    let used = all.filter(|package| package["id"].as_str().is_some_and(|id| resolved.contains(id)));
    let used = used.map(|package| Package {
        name: text(package, "name"),
        version: text(package, "version"),
        licence: text(package, "license"),
    });
    used.collect()
}

/// The licences that are used under an SPDX expression: of alternatives those that are accepted. The error is a part that is not.
fn used(expression: &str) -> Result<BTreeSet<&str>, &str> {
    let expression = expression.trim();
    for (operator, any) in [(" OR ", true), ("/", true), (" AND ", false)] {
        let parts = split(expression, operator);
        if parts.len() == 1 {
            continue;
        }
        let parts = parts.into_iter().map(used);
        if !any {
            return parts.collect::<Result<Vec<_>, _>>().map(|sets| sets.into_iter().flatten().collect());
        }
        let accepted: BTreeSet<&str> = parts.filter_map(Result::ok).flatten().collect();
        return if accepted.is_empty() { Err(expression) } else { Ok(accepted) };
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => used(inner),
        None if LICENCES.contains(&expression) => Ok(BTreeSet::from([expression])),
        None => Err(expression),
    }
}

/// The parts between an operator, outside parentheses.
fn split<'a>(expression: &'a str, operator: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in expression.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && expression[at..].starts_with(operator) => {
                parts.push(&expression[start..at]);
                start = at + operator.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[start..]);
    parts
}

#[test]
fn expressions_are_read() {
    assert_eq!(used("MIT OR GPL-3.0"), Ok(BTreeSet::from(["MIT"])));
    assert_eq!(used("MIT/Apache-2.0"), Ok(BTreeSet::from(["MIT", "Apache-2.0"])));
    assert_eq!(used("(MIT OR GPL-3.0) AND Unicode-3.0"), Ok(BTreeSet::from(["MIT", "Unicode-3.0"])));
    assert_eq!(used("MIT OR GPL-3.0 AND ISC"), Ok(BTreeSet::from(["MIT"])));
    assert_eq!(used("MIT AND GPL-3.0"), Err("GPL-3.0"));
    assert_eq!(used("GPL-3.0 OR AGPL-3.0"), Err("GPL-3.0 OR AGPL-3.0"));
    assert_eq!(used(""), Err(""));
}

#[test]
fn licences_are_those_of_the_list() {
    let packages = packages();
    assert!(packages.len() > 100);
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for package in &packages {
        match used(&package.licence) {
            Ok(licences) => seen.extend(licences),
            Err(part) => wrong.push(format!("{} {}: {part:?}", package.name, package.version)),
        }
    }
    assert!(wrong.is_empty(), "licences that are not accepted: {wrong:?}");
    let stale: Vec<&str> = LICENCES.into_iter().filter(|licence| !seen.contains(licence)).collect();
    assert!(stale.is_empty(), "no dependency has these licences any more: {stale:?}");
}

#[test]
fn duplicate_crates_are_those_of_the_list() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        versions.entry(package.name).or_default().insert(package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let new: Vec<_> = versions
        .iter()
        .filter(|(name, found)| !DUPLICATES.iter().any(|(row, count, _)| row == name && *count == found.len()))
        .collect();
    assert!(new.is_empty(), "avoid these, or add a row with the reason: {new:?}");
    let stale: Vec<_> = DUPLICATES.iter().filter(|(name, ..)| !versions.contains_key(*name)).collect();
    assert!(stale.is_empty(), "no longer duplicate: {stale:?}");
}
