//! Information about a process and its descendants from `/proc`, as seen from outside their pid namespace.

use std::collections::HashSet;
use std::fs;

/// The id of a process in its innermost pid namespace.
pub(crate) fn innermost_pid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

/// Resident memory of a process and its descendants, in bytes.
pub(crate) fn resident_memory(root: i32) -> u64 {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    with_descendants(root).iter().map(|pid| resident_pages(*pid).saturating_mul(page)).fold(0, u64::saturating_add)
}

/// The ids of a process and of its descendants.
pub(crate) fn with_descendants(root: i32) -> HashSet<i32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some(parent) =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1)?.parse::<i32>().ok())
        else {
            continue;
        };
        parents.push((pid, parent));
    }
    let mut found = HashSet::from([root]);
    // The list has no order, so pass over it until a pass adds no process.
    loop {
        let before = found.len();
        let children: Vec<i32> =
            parents.iter().filter(|(_, parent)| found.contains(parent)).map(|(pid, _)| *pid).collect();
        found.extend(children);
        if found.len() == before {
            return found;
        }
    }
}

fn resident_pages(pid: i32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_id_of_this_process_are_read() {
        let own = std::process::id();
        assert!(resident_memory(i32::try_from(own).unwrap_or(0)) > 100_000);
        assert_eq!(innermost_pid(own), Some(own));
    }
}
