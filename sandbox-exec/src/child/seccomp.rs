//! The seccomp filter: an allow-list, compiled to a search tree in classic BPF. A linear list would cost every call about two hundred
//! comparisons, a tree over ranges of equal action costs about eight. Denied calls are reported to the supervisor; allowed calls are not
//! slowed down by that. The table is `data/syscalls.toml`. Source: seccomp(2), seccomp_unotify(2).

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

use crate::sys::error::Error;

/// A system call and its action.
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) action: Action,
    /// The permission that allows the call.
    pub(crate) permission: Option<&'static str>,
}

/// The action for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    /// EPERM, reported.
    Deny,
    /// ENOSYS, as on a kernel without the call.
    Absent,
}

/// A condition on an argument of an allowed call: the masked argument must be one of `values`, or none of `not`.
pub(crate) struct Condition {
    pub(crate) number: u32,
    pub(crate) argument: u8,
    pub(crate) mask: u32,
    pub(crate) values: &'static [u32],
    pub(crate) not: &'static [u32],
    pub(crate) unless: Option<&'static str>,
    pub(crate) unless_argument_is_zero: Option<u8>,
}

include!(concat!(env!("OUT_DIR"), "/syscall_table.rs"));

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Return values of the filter.
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const DENY: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// x32 calls carry this bit.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// The name of a call, for reports.
pub(crate) fn syscall_name(number: u32) -> String {
    match CALLS.binary_search_by_key(&number, |call| call.number) {
        Ok(at) => CALLS.get(at).map_or_else(String::new, |call| call.name.to_owned()),
        Err(_) => format!("syscall {number}"),
    }
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

fn load(offset: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
}

fn ret(value: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, value, 0, 0)
}

/// The action for a range of call numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Return(u32),
    /// The conditions of this call decide.
    Conditions(u32),
}

/// Compiles the filter. `is_granted` returns whether a permission is granted; with `notify`, denied calls are reported to the listener.
pub(crate) fn compile(is_granted: &dyn Fn(&str) -> bool, notify: bool) -> Result<Vec<sock_filter>, Error> {
    let deny = if notify { NOTIFY } else { DENY };
    let mut ranges: Vec<(u32, Leaf)> = Vec::with_capacity(CALLS.len());
    let mut next = 0;
    for call in CALLS {
        if call.number != next {
            push(&mut ranges, next, Leaf::Return(ABSENT));
        }
        let action = if call.permission.is_some_and(is_granted) { Action::Allow } else { call.action };
        let leaf = match action {
            Action::Allow if CONDITIONS.iter().any(|row| row.number == call.number) => Leaf::Conditions(call.number),
            Action::Allow => Leaf::Return(ALLOW),
            Action::Deny => Leaf::Return(deny),
            Action::Absent => Leaf::Return(ABSENT),
        };
        push(&mut ranges, call.number, leaf);
        next = call.number.saturating_add(1);
    }
    push(&mut ranges, next, Leaf::Return(ABSENT));
    let mut program = Vec::with_capacity(1024);
    program.extend([load(ARCH), instruction(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), ret(KILL), load(NUMBER)]);
    #[cfg(target_arch = "x86_64")]
    program.extend([instruction(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1), ret(KILL)]);
    tree(&ranges, &mut program, is_granted, deny)?;
    Ok(program)
}

/// Merges adjacent ranges with the same return value.
fn push(ranges: &mut Vec<(u32, Leaf)>, from: u32, leaf: Leaf) {
    if !matches!(leaf, Leaf::Return(_)) || ranges.last().is_none_or(|(_, last)| *last != leaf) {
        ranges.push((from, leaf));
    }
}

/// Appends the search in these ranges to a program. All jumps are forward and relative, so the code may be moved.
fn tree(
    ranges: &[(u32, Leaf)],
    program: &mut Vec<sock_filter>,
    is_granted: &dyn Fn(&str) -> bool,
    deny: u32,
) -> Result<(), Error> {
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let Some((start, first)) = right.first() else {
        program.push(ret(KILL));
        return Ok(());
    };
    if left.is_empty() {
        match first {
            Leaf::Return(value) => program.push(ret(*value)),
            Leaf::Conditions(number) => conditions(program, *number, is_granted, deny)?,
        }
        return Ok(());
    }
    let at = program.len();
    tree(left, program, is_granted, deny)?;
    let over = u32::try_from(program.len() - at).map_err(|e| Error::setup("compiling the seccomp filter", e))?;
    // At or above the start of the right half: jump over the left one. A conditional jump reaches 255 instructions, JA any number. The
    // shorter form matters, since the kernel compiles the filter for every run.
    match u8::try_from(over) {
        Ok(over) => program.insert(at, instruction(BPF_JMP | BPF_JGE | BPF_K, *start, over, 0)),
        Err(_) => {
            program.insert(at, instruction(BPF_JMP | BPF_JA, over, 0, 0));
            program.insert(at, instruction(BPF_JMP | BPF_JGE | BPF_K, *start, 0, 1));
        }
    }
    tree(right, program, is_granted, deny)
}

/// All conditions of a call must hold; the first that does not denies the call.
fn conditions(
    code: &mut Vec<sock_filter>,
    number: u32,
    is_granted: &dyn Fn(&str) -> bool,
    deny: u32,
) -> Result<(), Error> {
    for row in CONDITIONS.iter().filter(|row| row.number == number && !row.unless.is_some_and(is_granted)) {
        let values = if row.not.is_empty() { row.values } else { row.not };
        let steps = u8::try_from(values.len()).map_err(|e| Error::setup("compiling the seccomp filter", e))?;
        let allowed_by_match = row.not.is_empty();
        if let Some(argument) = row.unless_argument_is_zero {
            // Skips the condition, steps + 3 instructions, when both halves of the 64-bit argument are zero.
            let low = ARGUMENTS + u32::from(argument) * 8;
            let row_len =
                steps.checked_add(3).ok_or_else(|| Error::setup("compiling the seccomp filter", "too many values"))?;
            code.extend([
                load(low),
                instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),
                load(low + 4),
                instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, row_len, 0),
            ]);
        }
        // The kernel reads these arguments as 32 bits, so only the low half counts; both supported architectures are little-endian.
        code.extend([
            load(ARGUMENTS + u32::from(row.argument) * 8),
            instruction(BPF_ALU | BPF_AND | BPF_K, row.mask, 0, 0),
        ]);
        for (done, value) in (0..steps).zip(values) {
            let left = steps - done - 1;
            let (jt, jf) = match (allowed_by_match, left) {
                (true, left) => (left + 1, 0),
                (false, 0) => (0, 1),
                (false, left) => (left, 0),
            };
            code.push(instruction(BPF_JMP | BPF_JEQ | BPF_K, *value, jt, jf));
        }
        code.push(ret(deny));
    }
    code.push(ret(ALLOW));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets the filter as the kernel does.
    fn run(program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = [0u32; 16];
        data[0] = number;
        data[1] = arch;
        for (at, argument) in arguments.iter().enumerate() {
            data[4 + at * 2] = *argument as u32;
            data[5 + at * 2] = (*argument >> 32) as u32;
        }
        let (mut at, mut a) = (0usize, 0u32);
        loop {
            let i = program[at];
            at += 1;
            let jump = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
            match u32::from(i.code) {
                c if c == BPF_LD | BPF_W | BPF_ABS => a = data[i.k as usize / 4],
                c if c == BPF_ALU | BPF_AND | BPF_K => a &= i.k,
                c if c == BPF_JMP | BPF_JEQ | BPF_K => at += jump(a == i.k),
                c if c == BPF_JMP | BPF_JGE | BPF_K => at += jump(a >= i.k),
                c if c == BPF_JMP | BPF_JA => at += i.k as usize,
                c if c == BPF_RET | BPF_K => return i.k,
                c => unreachable!("instruction {c:#x}"),
            }
        }
    }

    fn default_filter() -> Vec<sock_filter> {
        compile(&|_| false, true).unwrap_or_default()
    }

    fn number(name: &str) -> u32 {
        CALLS.iter().find(|call| call.name == name).map_or(u32::MAX, |call| call.number)
    }

    #[test]
    fn every_call_has_the_action_of_its_row() {
        let program = default_filter();
        for call in CALLS.iter().filter(|call| !CONDITIONS.iter().any(|row| row.number == call.number)) {
            let expected = match call.action {
                Action::Allow => ALLOW,
                Action::Deny => NOTIFY,
                Action::Absent => ABSENT,
            };
            assert_eq!(run(&program, ARCHITECTURE, call.number, [0; 6]), expected, "{}", call.name);
        }
        for unknown in [336, 1000, 100_000] {
            assert_eq!(run(&program, ARCHITECTURE, unknown, [0; 6]), ABSENT, "{unknown}");
        }
    }

    #[test]
    fn other_abis_are_killed() {
        let program = default_filter();
        assert_eq!(run(&program, 0x4000_0003, 1, [0; 6]), KILL);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(run(&program, ARCHITECTURE, X32 | 1, [0; 6]), KILL);
    }

    #[test]
    fn conditions_on_arguments_decide() {
        let program = default_filter();
        let filter = |name: &str, arguments: [u64; 6]| run(&program, ARCHITECTURE, number(name), arguments);
        assert_eq!(filter("clone", [0x3d_0f00, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(filter("clone", [0x1000_0011, 0, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(filter("clone", [0x2_0011, 0, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(filter("socket", [1, 0x8_0001, 0, 0, 0, 0]), ALLOW);
        assert_eq!(filter("socket", [2, 1, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(filter("ioctl", [0, 0x5412, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(filter("ioctl", [0, 0xffff_ffff_0000_5412, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(filter("ioctl", [0, 0x5401, 0, 0, 0, 0]), ALLOW);
        assert_eq!(filter("mmap", [0, 4096, 5, 2, 0, 0]), ALLOW);
        assert_eq!(filter("mmap", [0, 4096, 7, 2, 0, 0]), NOTIFY);
        assert_eq!(filter("memfd_create", [0, 8, 0, 0, 0, 0]), ALLOW);
        assert_eq!(filter("memfd_create", [0, 1, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(filter("prlimit64", [0, 4, 0, 1, 0, 0]), ALLOW);
        assert_eq!(filter("prlimit64", [0, 4, 1, 0, 0, 0]), NOTIFY);
        assert_eq!(filter("prlimit64", [0, 4, 1 << 32, 0, 0, 0]), NOTIFY);
        assert_eq!(filter("prlimit64", [0, 7, 1, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn a_permission_allows_its_calls_and_no_others() {
        let program = compile(&|name| name == "ptrace-own", false).unwrap_or_default();
        assert_eq!(run(&program, ARCHITECTURE, number("ptrace"), [0; 6]), ALLOW);
        assert_eq!(run(&program, ARCHITECTURE, number("bpf"), [0; 6]), DENY);
        let network = compile(&|name| name == "network", true).unwrap_or_default();
        assert_eq!(run(&network, ARCHITECTURE, number("socket"), [2, 1, 6, 0, 0, 0]), ALLOW);
        assert_eq!(run(&network, ARCHITECTURE, number("socket"), [16, 2, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(run(&network, ARCHITECTURE, number("socket"), [2, 3, 0, 0, 0, 0]), NOTIFY);
    }

    #[test]
    fn the_search_is_short() {
        let program = default_filter();
        assert!(program.len() < 700, "{} instructions", program.len());
    }
}
