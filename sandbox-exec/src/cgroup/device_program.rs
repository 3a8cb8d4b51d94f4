//! Which device nodes may be opened: the rules of `devices.allow` (version 1) and a BPF_PROG_TYPE_CGROUP_DEVICE program (version 2), from one
//! list. Source: the kernel's admin-guide/cgroup-v1/devices and bpf/prog_cgroup_device.

/// A character device that may be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// null, zero, full, random, urandom.
pub(crate) const ALWAYS: [Device; 5] = [
    Device { major: 1, minor: 3 },
    Device { major: 1, minor: 5 },
    Device { major: 1, minor: 7 },
    Device { major: 1, minor: 8 },
    Device { major: 1, minor: 9 },
];

impl Device {
    /// A line for `devices.allow`; `m` (mknod) is never granted.
    pub(crate) fn rule(self) -> String {
        format!("c {}:{} rw", self.major, self.minor)
    }
}

/// `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }`; the low half of `access_type` is the device
/// type, the high half the access.
const ACCESS: u64 = 0;
const MAJOR: u64 = 4;
const MINOR: u64 = 8;
const CHARACTER: u64 = 2;
/// BPF_DEVCG_ACC_MKNOD, in the high half of `access_type`.
const MKNOD: u64 = 1;

/// One BPF instruction (RFC 9669).
fn instruction(opcode: u64, destination: u64, source: u64, jump: u64, value: u64) -> u64 {
    opcode | destination << 8 | source << 12 | (jump & 0xffff) << 16 | value << 32
}

/// The program returns 1 (allow) for opening a listed character device, and 0 for everything else, mknod included.
pub(crate) fn compile(devices: &[Device]) -> Vec<u64> {
    const LOAD: u64 = 0x61;
    const MOVE: u64 = 0xbf;
    const SET: u64 = 0xb7;
    const AND: u64 = 0x57;
    const SHIFT: u64 = 0x77;
    const NOT_EQUAL: u64 = 0x55;
    const EXIT: u64 = 0x95;
    let mut code = vec![
        instruction(LOAD, 2, 1, ACCESS, 0),
        instruction(LOAD, 4, 1, MAJOR, 0),
        instruction(LOAD, 5, 1, MINOR, 0),
        instruction(MOVE, 3, 2, 0, 0),
        instruction(AND, 2, 0, 0, 0xffff),
        instruction(SHIFT, 3, 0, 0, 16),
        instruction(AND, 3, 0, 0, MKNOD),
    ];
    let deny = [instruction(SET, 0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)];
    code.push(instruction(0x15, 2, 0, 2, CHARACTER));
    code.extend(deny);
    code.push(instruction(0x15, 3, 0, 2, 0));
    code.extend(deny);
    for device in devices {
        code.push(instruction(NOT_EQUAL, 4, 0, 3, u64::from(device.major)));
        code.push(instruction(NOT_EQUAL, 5, 0, 2, u64::from(device.minor)));
        code.push(instruction(SET, 0, 0, 0, 1));
        code.push(instruction(EXIT, 0, 0, 0, 0));
    }
    code.extend(deny);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets the instructions that the program uses.
    fn run(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
        let context = [kind | access << 16, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0usize;
        loop {
            let i = program[at];
            at += 1;
            let (to, from) = ((i >> 8 & 15) as usize, (i >> 12 & 15) as usize);
            let (jump, value) = ((i >> 16 & 0xffff) as usize, i >> 32);
            match i & 0xff {
                0x61 => registers[to] = u64::from(context[jump / 4]),
                0xbf => registers[to] = registers[from],
                0xb7 => registers[to] = value,
                0x57 => registers[to] &= value,
                0x77 => registers[to] >>= value,
                0x55 => at += if registers[to] == value { 0 } else { jump },
                0x15 => at += if registers[to] == value { jump } else { 0 },
                0x95 => return registers[0],
                other => unreachable!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn only_listed_devices_open() {
        let program = compile(&[Device { major: 1, minor: 3 }, Device { major: 195, minor: 0 }]);
        assert_eq!(run(&program, 2, 2, 1, 3), 1);
        assert_eq!(run(&program, 2, 6, 195, 0), 1);
        assert_eq!(run(&program, 2, 2, 195, 1), 0);
        assert_eq!(run(&program, 2, 2, 1, 1), 0);
        assert_eq!(run(&program, 1, 2, 1, 3), 0);
        assert_eq!(run(&program, 2, 1, 195, 0), 0);
        assert_eq!(run(&program, 2, 3, 195, 0), 0);
    }
}
