//! Compiles `data/syscalls.toml` and `data/syscall-numbers.tsv` to constant tables, and the profiles to JSON, so that a launch parses no TOML.
//! Fails unless every call is in exactly one group and every group has a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    group: Vec<Group>,
    condition: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    action: String,
    why: String,
    calls: Vec<String>,
    permission: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    call: String,
    argument: u8,
    mask: u32,
    #[serde(default)]
    values: Vec<u32>,
    #[serde(default)]
    not: Vec<u32>,
    unless: Option<String>,
    unless_argument_is_zero: Option<u8>,
    why: String,
}

fn main() {
    println!("cargo::rerun-if-changed=data");
    if let Err(message) = generate() {
        println!("cargo::error={message}");
    }
}

fn generate() -> Result<()> {
    let read = |path: &str| fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
    let numbers = numbers(&read("data/syscall-numbers.tsv")?)?;
    let table: Table = toml::from_str(&read("data/syscalls.toml")?).map_err(|e| format!("data/syscalls.toml: {e}"))?;
    check_complete(&table, &numbers)?;
    let mut out = calls(&table, &numbers)?;
    out.push_str(&conditions(&table, &numbers));
    let target = env::var("OUT_DIR")?;
    fs::write(Path::new(&target).join("syscall_table.rs"), out)?;
    fs::write(Path::new(&target).join("profiles.rs"), profiles()?)?;
    Ok(())
}

/// Name and content of each profile, as JSON. The crate's tests check that they are valid.
fn profiles() -> Result<String> {
    let mut rows = BTreeMap::new();
    for file in fs::read_dir("data/profiles").map_err(|e| format!("data/profiles: {e}"))? {
        let path = file?.path();
        let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = fs::read_to_string(&path).map_err(|e| fail(&e))?;
        let content: toml::Value = toml::from_str(&text).map_err(|e| fail(&e))?;
        let json = serde_json::to_string(&content).map_err(|e| fail(&e))?;
        rows.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), json);
    }
    Ok(format!("static BUILT_IN: &[(&str, &str)] = &{:?};\n", rows.iter().collect::<Vec<_>>()))
}

/// The number of each call on the target architecture; `None`: it has no such call.
fn numbers(text: &str) -> Result<BTreeMap<String, Option<u32>>> {
    let column = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => 1,
        Ok("aarch64") => 2,
        // The crate is empty on other targets.
        _ => 1,
    };
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let (Some(name), Some(number)) = (cells.first(), cells.get(column)) else {
            return Err(format!("data/syscall-numbers.tsv: short line {line:?}").into());
        };
        found.insert((*name).to_owned(), number.parse().ok());
    }
    Ok(found)
}

fn check_complete(table: &Table, numbers: &BTreeMap<String, Option<u32>>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for group in &table.group {
        if group.why.trim().is_empty() || !["allow", "deny", "absent"].contains(&group.action.as_str()) {
            return Err(format!("group {} needs a reason and an action", group.name).into());
        }
        for call in &group.calls {
            if !numbers.contains_key(call) {
                return Err(format!("{call} has no number in data/syscall-numbers.tsv").into());
            }
            if !seen.insert(call) {
                return Err(format!("{call} is in two groups").into());
            }
        }
    }
    if let Some(missing) = numbers.keys().find(|name| !seen.contains(name)) {
        return Err(format!("{missing} is in no group of data/syscalls.toml").into());
    }
    match table.condition.iter().find(|row| row.why.trim().is_empty() || !numbers.contains_key(&row.call)) {
        Some(row) => Err(format!("the condition of {} needs a reason and a known call", row.call).into()),
        None => Ok(()),
    }
}

fn calls(table: &Table, numbers: &BTreeMap<String, Option<u32>>) -> Result<String> {
    let mut rows = BTreeMap::new();
    for group in &table.group {
        for call in &group.calls {
            if let Some(number) = numbers.get(call).copied().flatten() {
                rows.insert(number, (call, group));
            }
        }
    }
    let mut out = String::from("pub(crate) static CALLS: &[Call] = &[\n");
    for (number, (call, group)) in rows {
        let action = match group.action.as_str() {
            "allow" => "Allow",
            "deny" => "Deny",
            _ => "Absent",
        };
        let permission = group.permission.as_deref();
        writeln!(
            out,
            "    Call {{ number: {number}, name: {call:?}, action: Action::{action}, permission: {permission:?} }},"
        )?;
    }
    out.push_str("];\n");
    Ok(out)
}

fn conditions(table: &Table, numbers: &BTreeMap<String, Option<u32>>) -> String {
    let mut out = String::from("pub(crate) static CONDITIONS: &[Condition] = &[\n");
    for row in &table.condition {
        let Some(number) = numbers.get(&row.call).copied().flatten() else {
            continue;
        };
        out.push_str(&format!(
            "    Condition {{ number: {number}, argument: {}, mask: {}, values: &{:?}, not: &{:?}, unless: {:?}, unless_argument_is_zero: {:?} }},\n",
            row.argument, row.mask, row.values, row.not, row.unless, row.unless_argument_is_zero
        ));
    }
    out.push_str("];\n");
    out
}
