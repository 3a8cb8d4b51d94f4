//! What `/proc` tells of those inside, seen from outside: their numbers, and, where no cgroup keeps the memory quota, how much they use.
//! Watching is weaker than a quota: what is taken and given back between two looks is not seen, and the report says `watchdog`.

use std::collections::HashSet;
use std::fs;

/// The number that a process has in the innermost pid namespace.
pub(crate) fn pid_inside(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

/// Resident memory of a process and all that descend from it.
pub(crate) fn memory(first: i32) -> u64 {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    descendants(first).iter().map(|pid| resident_pages(*pid).saturating_mul(page)).fold(0, u64::saturating_add)
}

/// A process and all that descend from it.
pub(crate) fn descendants(first: i32) -> HashSet<i32> {
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
    let mut inside = HashSet::from([first]);
    // A worklist without order: go round until nobody is added.
    loop {
        let before = inside.len();
        inside.extend(
            parents.iter().filter(|(_, parent)| inside.contains(parent)).map(|(pid, _)| *pid).collect::<Vec<_>>(),
        );
        if inside.len() == before {
            break;
        }
    }
    inside
}

fn resident_pages(pid: i32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_and_number_are_seen() {
        let own = std::process::id();
        assert!(memory(i32::try_from(own).unwrap_or(0)) > 100_000);
        assert_eq!(pid_inside(own), Some(own));
    }
}
