//! Landlock rules (kernel: userspace-api/landlock), a second layer behind mounts and namespaces: only the profile's paths can be opened, only
//! permitted programs executed, and signals and abstract sockets stay within the sandbox.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use rustix::fs::FileType;

use crate::plan::Plan;
use crate::policy::mount_entry::MountKind;
use crate::policy::permission::Permission;
use crate::sys::error::Error;

/// The newest ABI that this file handles.
const NEWEST: ABI = ABI::V7;

/// The folder of most files that programs open; only root may write there.
const SYSTEM_FOLDER: &str = "/usr";

/// Restricts this thread for good. `program` may be executed also where `exec-any` is not granted.
pub(crate) fn enforce(plan: &Plan, program: Option<&Path>, proxy_port: Option<u16>) -> Result<(), Error> {
    if plan.landlock_abi == 0 {
        return Ok(());
    }
    let fail = |e: landlock::RulesetError| Error::setup("Landlock", e);
    let mut set = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|set| set.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|set| set.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(fail)?;
    for (path, rights) in rules(plan, program) {
        set = add(set, &path, rights)?;
    }
    if let Some(port) = proxy_port {
        set = set.add_rule(NetPort::new(port, AccessNet::ConnectTcp)).map_err(fail)?;
    }
    // Logs denials after the exec too; by default only those before it are logged.
    let set = set.log_new_exec(true).map_err(fail)?;
    set.restrict_self().map(drop).map_err(fail)
}

fn add(set: RulesetCreated, path: &Path, rights: BitFlags<AccessFs>) -> Result<RulesetCreated, Error> {
    // Optional paths may be missing, and need no rule then.
    let Ok(fd) = PathFd::new(path) else {
        return Ok(set);
    };
    let is_folder = rustix::fs::fstat(&fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
    let rights = if is_folder { rights } else { rights & AccessFs::from_file(NEWEST) };
    set.add_rule(PathBeneath::new(fd, rights)).map_err(|e| Error::setup(format!("Landlock on {}", path.display()), e))
}

fn rules(plan: &Plan, program: Option<&Path>) -> Vec<(PathBuf, BitFlags<AccessFs>)> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let exec_any = plan.allows(Permission::ExecAny);
    let exec = if exec_any { AccessFs::Execute.into() } else { BitFlags::EMPTY };
    // All visible folders belong to the sandbox or the profile, so all may be listed.
    let mut rules: Vec<(PathBuf, BitFlags<AccessFs>)> = vec![
        ("/".into(), AccessFs::ReadDir.into()),
        ("/etc".into(), AccessFs::ReadFile.into()),
        // Contains only the nodes of the plan, and nothing can be created there.
        ("/dev".into(), AccessFs::ReadFile | AccessFs::WriteFile),
    ];
    for entry in &plan.entries {
        let rights = match entry.kind {
            // Opening a file also looks for the right Truncate, up to the root while no rule grants it: a third of the cost of an open. On a
            // read-only mount where only root may write, granting it permits nothing.
            MountKind::Bind { .. } if entry.dest == Path::new(SYSTEM_FOLDER) => read | exec | AccessFs::Truncate,
            MountKind::Bind { .. } => read | exec,
            MountKind::Device { .. } if entry.dest.to_string_lossy().contains("nvidia") => {
                AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev
            }
            // The rule for /dev covers the others.
            MountKind::Device { .. } | MountKind::Link { .. } => continue,
        };
        rules.push((entry.dest.clone(), rights));
    }
    let mut scratch = AccessFs::from_all(NEWEST)
        & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    if plan.allows(Permission::ExecScratch) {
        scratch |= AccessFs::Execute;
    }
    rules.push(("/tmp".into(), scratch));
    if plan.out.is_some() {
        rules.push(("/out".into(), scratch));
    }
    if plan.allows(Permission::ProcSelf) {
        rules.push(("/proc".into(), AccessFs::ReadFile | AccessFs::WriteFile));
    }
    if let Some(program) = program.filter(|_| !exec_any) {
        rules.extend(interpreters(program).into_iter().map(|path| (path, AccessFs::Execute.into())));
    }
    rules
}

/// The program and the programs that the kernel executes for it: the interpreter of a script, the dynamic linker of an ELF file.
fn interpreters(program: &Path) -> Vec<PathBuf> {
    let mut found = vec![program.to_owned()];
    // The kernel follows at most five interpreters of scripts.
    for _ in 0..5 {
        let Some(next) = found.last().and_then(|path| interpreter(path)) else {
            break;
        };
        found.push(next);
    }
    found
}

fn interpreter(program: &Path) -> Option<PathBuf> {
    use std::io::Read;
    let mut head = vec![0u8; 4096];
    let got = std::fs::File::open(program).ok()?.read(&mut head).ok()?;
    head.truncate(got);
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|b| *b == b'\n').next()?;
        let name = std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?;
        return Some(name.into());
    }
    elf_interpreter(&head)
}

/// PT_INTERP of a 64-bit little-endian ELF file (elf(5)) whose program headers and interpreter are in its first page, as linkers place them.
fn elf_interpreter(head: &[u8]) -> Option<PathBuf> {
    let number = |at: usize, len: usize| {
        let bytes = head.get(at..at.checked_add(len)?)?;
        let value = bytes.iter().rev().try_fold(0u64, |sum, b| sum.checked_mul(256)?.checked_add(u64::from(*b)))?;
        usize::try_from(value).ok()
    };
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let row = table.checked_add(index.checked_mul(size)?)?;
        if number(row, 4)? == 3 {
            let (start, len) = (number(row.checked_add(8)?, 8)?, number(row.checked_add(32)?, 8)?);
            let name = head.get(start..start.checked_add(len)?)?;
            return std::str::from_utf8(name).ok().map(|name| name.trim_end_matches('\0').into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_of_a_program_is_found() {
        let own = std::env::current_exe().unwrap_or_default();
        let found = interpreters(&own);
        assert!(
            found.len() == 1 || found.get(1).is_some_and(|path| path.to_string_lossy().contains("ld-")),
            "{found:?}"
        );
    }

    #[test]
    fn malformed_files_have_no_interpreter() {
        assert_eq!(elf_interpreter(b"\x7fELF\x02\x01"), None);
        let mut head = vec![0xff; 128];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert_eq!(elf_interpreter(&head), None);
    }
}
