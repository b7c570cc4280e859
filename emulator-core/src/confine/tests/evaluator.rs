//! An evaluator of the classic BPF that seccomp filters are made of, for tests.

use seccompiler::{BpfProgram, sock_filter};

/// AUDIT_ARCH_X86_64.
pub(super) const X86_64: u32 = 0xc000_003e;
/// AUDIT_ARCH_I386.
pub(super) const I386: u32 = 0x4000_0003;

/// What the kernel shows a filter (`struct seccomp_data`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) nr: u32,
    pub(super) arch: u32,
    pub(super) args: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.nr,
            4 => self.arch,
            16..64 if offset.is_multiple_of(4) => {
                let arg = self.args[(offset as usize - 16) / 8];
                (arg >> (8 * (offset % 8))) as u32
            }
            _ => panic!("load of offset {offset}"),
        }
    }
}

/// Runs a program; the filter's answer.
pub(super) fn run(program: &BpfProgram, data: &Data) -> u32 {
    let mut a = 0u32;
    let mut pc = 0usize;
    loop {
        let sock_filter { code, jt, jf, k } = program[pc];
        pc += 1;
        let jump = |taken: bool| usize::from(if taken { jt } else { jf });
        match code {
            0x20 => a = data.word(k),
            0x54 => a &= k,
            0x05 => pc += k as usize,
            0x15 => pc += jump(a == k),
            0x25 => pc += jump(a > k),
            0x35 => pc += jump(a >= k),
            0x06 => return k,
            _ => panic!("instruction {code:#x}"),
        }
    }
}
