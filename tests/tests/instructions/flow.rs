//! Control flow and what the runtime carries out: branches both ways, calls and returns, every form of
//! indirect branch, traps, flags and segment registers from and to the stack.

use rxbox_tests::instructions::encodings::{FORMS, Form, case, encoding, registers};
use rxbox_tests::instructions::machine::{Case, ENVIRONMENTS, LOW_WINDOW, Machine, Mode};
use rxbox_tests::instructions::sequences;
use rxbox_tests::random::Random;
use rxbox_translate::decode::{Class, Space, decode};

/// `mov eax, 0x11111111`: shows whether it was run.
const MARK: [u8; 5] = [0xb8, 0x11, 0x11, 0x11, 0x11];

/// A case with random registers.
fn plain(random: &mut Random, code: &[u8]) -> Case {
    Case {
        code: code.to_vec(),
        gpr: registers(random),
        flags: 0x202 | random.next() & 0x8d5,
        fs: random.next() & 0x7fff_ffff_ffff,
        gs: random.next() & 0x7fff_ffff_ffff,
        environment: random.below(ENVIRONMENTS.len() as u64) as usize,
        ..Case::default()
    }
}

/// Every condition, near and far, over one instruction forwards, and backwards in a loop that a counter ends.
pub(crate) fn conditions(machine: &mut Machine, random: &mut Random) {
    for cc in 0..16u8 {
        for _ in 0..8 {
            let short = [&[0x70 | cc, 5][..], &MARK].concat();
            let near = [&[0x0f, 0x80 | cc, 5, 0, 0, 0][..], &MARK].concat();
            machine.add(plain(random, &short));
            machine.add(plain(random, &near));
        }
        // again: dec ecx; jcc out; test ecx, ecx; jnz again; out: with a random byte for the sign, parity and
        // carry.
        let back = [0xff, 0xc9, 0x70 | cc, 6, 0x80, 0xf1, 0, 0x85, 0xc9, 0x75, 0xf5];
        machine.add(plain(random, &back));
    }
}

/// `loop`, `loope`, `loopne`, `jrcxz` and their ecx forms, at the edges of the counter, forwards and
/// backwards.
pub(crate) fn counters(machine: &mut Machine, random: &mut Random) {
    const COUNTS: [u64; 8] = [0, 1, 2, 3, 1 << 32, (1 << 32) + 1, (1 << 32) + 2, u64::MAX];
    for opcode in 0xe0..=0xe3u8 {
        for prefix in [&[][..], &[0x67]] {
            for count in COUNTS {
                for zero in [0, 0x40] {
                    let mut forward = plain(random, &[prefix, &[opcode, 5], &MARK].concat());
                    forward.gpr[1] = count;
                    forward.flags = 0x202 | zero;
                    machine.add(forward);
                }
            }
            // again: lea rax, [rax + 1]; loop again. jrcxz would not end.
            if opcode != 0xe3 {
                let back = 0u8.wrapping_sub(4 + 2 + prefix.len() as u8);
                let mut case = plain(random, &[&[0x48, 0x8d, 0x40, 1][..], prefix, &[opcode, back]].concat());
                case.gpr[1] = 100 + random.below(100);
                machine.add(case);
            }
        }
    }
}

/// Calls and returns: the pushed address, released bytes, nesting, and a return to an address that was not
/// called from.
pub(crate) fn calls(machine: &mut Machine, random: &mut Random) {
    let lines: [&[u8]; 6] = [
        // call next; pop rdx
        &[0xe8, 0, 0, 0, 0, 0x5a],
        // call f; jmp end; f: ret
        &[0xe8, 2, 0, 0, 0, 0xeb, 1, 0xc3],
        // push rax; push rbx; call f; jmp end; f: ret 16
        &[0x50, 0x53, 0xe8, 2, 0, 0, 0, 0xeb, 3, 0xc2, 16, 0],
        // call f; jmp end; f: call g; ret; g: lea rax, [rax + rax]; ret
        &[0xe8, 2, 0, 0, 0, 0xeb, 11, 0xe8, 1, 0, 0, 0, 0xc3, 0x48, 0x8d, 0x04, 0x00, 0xc3],
        // lea rdx, [rip + 2]; push rdx; ret; int3; out:
        &[0x48, 0x8d, 0x15, 3, 0, 0, 0, 0x52, 0xc3, 0xcc],
        // bnd call f; jmp end; f: rep ret
        &[0xf2, 0xe8, 2, 0, 0, 0, 0xeb, 2, 0xf3, 0xc3],
    ];
    for line in lines {
        for _ in 0..4 {
            machine.add(plain(random, line));
        }
    }
    // A return address that cannot be pushed, or popped: rsp and all else are as before.
    let pushes: [&[u8]; 2] = [&[0xe8, 0, 0, 0, 0], &[0xff, 0xd0]];
    let pops: [&[u8]; 2] = [&[0xc3], &[0xc2, 8, 0]];
    for (codes, edge) in [(pushes, LOW_WINDOW), (pops, LOW_WINDOW + 4096)] {
        for (code, rsp) in codes.into_iter().flat_map(|code| [0x1000, 1 << 63, edge].map(|rsp| (code, rsp))) {
            let mut case = plain(random, code);
            case.gpr[0] = LOW_WINDOW;
            case.gpr[4] = rsp;
            machine.add(case);
        }
    }
}

/// `jmp` and `call` through every register and form of memory operand.
pub(crate) fn indirect(machine: &mut Machine, random: &mut Random) {
    for opcode in [0x10, 0x20] {
        for reg in (0..16).filter(|&r| r != 4) {
            // lea r, [rip + over]; jmp r; mov eax, ...; over:
            let (high, low) = (reg >> 3, reg & 7);
            let branch = [0x40 | high, 0xff, 0xc0 | opcode | low];
            let lea = [0x48 | high << 2, 0x8d, 5 | low << 3, 8, 0, 0, 0];
            machine.add(plain(random, &[&lea[..], &branch, &MARK].concat()));
        }
        for form in FORMS.into_iter().filter(|&form| form != Form::Register) {
            let mut missing = 24;
            while missing > 0 {
                missing -= usize::from(through_memory(machine, random, opcode, form));
            }
        }
    }
}

/// Stores the target in the window and branches through it; false if the random encoding does not serve.
fn through_memory(machine: &mut Machine, random: &mut Random, opcode: u8, form: Form) -> bool {
    const STORES: u64 = 22;
    let prefix = random.pick(&[None, None, Some(0x64), Some(0x65), Some(0x67), Some(0x3e)]);
    let mut bytes = encoding(random, Space::Legacy, 0, 0xff, form, prefix);
    let Ok(insn) = decode(&bytes) else { return false };
    let modrm = usize::from(insn.form.modrm_at);
    bytes[modrm] = bytes[modrm] & 0xc7 | opcode;
    let Ok(insn) = decode(&bytes) else { return false };
    if !matches!(insn.class, Class::JmpIndirect | Class::CallIndirect) {
        return false;
    }
    let Some((mut case, at)) = case(machine, random, &bytes, STORES) else { return false };
    let target = machine.next() + STORES + case.code.len() as u64 + MARK.len() as u64;
    let mut code = Vec::new();
    for (half, value) in [(0, target as u32), (4, (target >> 32) as u32)] {
        // mov dword [window], half
        code.extend([0xc7, 0x04, 0x25]);
        code.extend(((LOW_WINDOW + at + half) as u32).to_le_bytes());
        code.extend(value.to_le_bytes());
    }
    code.extend(&case.code);
    code.extend(MARK);
    case.code = code;
    machine.add(case);
    true
}

/// Instructions that always raise a signal, behind others whose results no one reads any more.
pub(crate) fn traps(machine: &mut Machine, random: &mut Random) {
    const TRAPS: [&[u8]; 24] = [
        &[0x0f, 0x0b],             // ud2
        &[0x0f, 0xb9, 0xc8],       // ud1
        &[0x0f, 0xff, 0xc8],       // ud0
        &[0xcc],                   // int3
        &[0xf1],                   // int1
        &[0xcd, 3],                // int 3
        &[0xcd, 4],                // int 4
        &[0xcd, 0x42],             // int 0x42
        &[0xf4],                   // hlt
        &[0xfa],                   // cli
        &[0xfb],                   // sti
        &[0xe4, 0x80],             // in
        &[0xef],                   // out
        &[0x6c],                   // ins
        &[0x0f, 0x30],             // wrmsr
        &[0x0f, 0x32],             // rdmsr
        &[0x0f, 0x20, 0xc0],       // mov rax, cr0
        &[0x0f, 0x23, 0xf8],       // mov dr7, rax
        &[0x0f, 0x01, 0xf8],       // swapgs
        &[0x0f, 0x01, 0x14, 0x24], // lgdt
        &[0x0f, 0x06],             // clts
        &[0x0f, 0x08],             // invd
        &[0x31, 0xc9, 0xf7, 0xf1], // xor ecx, ecx; div ecx
        &[0x06],                   // push es, which 64-bit mode lacks
    ];
    for trap in TRAPS {
        for length in [0, 3, 6] {
            sequences::ending_in(machine, random, length, trap);
        }
    }
    // mov ecx, 1; int1; nop; mov ecx, 2; mov ecx, 3: what processors report is its address or the next one,
    // but no later one.
    let dead_behind = [0xb9, 1, 0, 0, 0, 0xf1, 0x0f, 0x1f, 0, 0xb9, 2, 0, 0, 0, 0xb9, 3, 0, 0, 0];
    machine.add(plain(random, &dead_behind));
    // The same behind a branch, where a block begins with it.
    machine.add(plain(random, &[&[0xeb, 0][..], &dead_behind[5..]].concat()));
}

/// `pushf` and `popf` of both sizes, without TF.
pub(crate) fn flags(machine: &mut Machine, random: &mut Random) {
    for code in [&[0x50, 0x9d, 0x9c][..], &[0x50, 0x66, 0x9d, 0x66, 0x9c], &[0x50, 0x48, 0x9d, 0x9c, 0x58]] {
        for _ in 0..16 {
            let mut case = plain(random, code);
            case.gpr[0] = random.next() & !0x100;
            machine.add(case);
        }
    }
}

/// Segment registers to registers, memory and the stack, and from there with the selectors that user mode
/// has.
pub(crate) fn segments(machine: &mut Machine, random: &mut Random) {
    for sreg in [0, 1, 2, 3, 4, 5] {
        for prefix in [&[][..], &[0x66], &[0x48], &[0x66, 0x48]] {
            // mov r/m, sreg
            machine.add(plain(random, &[prefix, &[0x8c, 0xc0 | sreg << 3]].concat()));
            machine.add(plain(random, &[prefix, &[0x8c, 0x04 | sreg << 3, 0x24]].concat()));
        }
    }
    // push fs; push gs
    for code in [&[0x0f, 0xa0][..], &[0x0f, 0xa8], &[0x66, 0x0f, 0xa0], &[0x66, 0x0f, 0xa8]] {
        machine.add(plain(random, code));
    }
    for selector in [0, 3, 0x2b] {
        for sreg in [0, 3, 4, 5] {
            // mov sreg, eax; mov edx, sreg; xor eax, eax; mov sreg, eax.
            let load = [0x8e, 0xc0 | sreg << 3];
            let read = [0x8c, 0xc2 | sreg << 3];
            let mut case = plain(random, &[&load[..], &read, &[0x31, 0xc0], &load].concat());
            case.gpr[0] = selector;
            machine.add(case);
        }
        // push rax; pop fs; push rax; pop gs
        let mut case =
            plain(random, &[0x50, 0x0f, 0xa1, 0x50, 0x0f, 0xa9, 0x31, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8]);
        case.gpr[0] = selector;
        machine.add(case);
    }
    // mov ss, eax with the flat selector; mov ds, eax with ones that do not exist; mov cs, eax.
    for (code, selector) in [
        ([0x8e, 0xd0], 0x2b),
        ([0x8e, 0xd0], 0),
        ([0x8e, 0xd8], 0x1234),
        ([0x8e, 0xe0], 0x1234),
        ([0x8e, 0xc8], 0x33),
    ] {
        let mut case = plain(random, &code);
        case.gpr[0] = selector;
        machine.add(case);
    }
}

/// What the fuzzer has found, made small.
pub(crate) fn found(machine: &mut Machine, random: &mut Random) {
    // push 0x40202, and popf: the alignment check flag, with which the jump behind a case faults.
    const ALIGNMENT: [u8; 6] = [0x68, 2, 2, 4, 0, 0x9d];
    let codes: [&[u8]; 12] = [
        &[0x65, 0x9c],                                                    // gs pushf
        &[0x65, 0x64, 0x65, 0x4a, 0x9c],                                  // the same with more prefixes
        &ALIGNMENT,                            // a jump through memory that is not aligned
        &[0x0f, 0x0d, 0xce],                   // prefetch of a register
        &[0x43, 0x65, 0x4a, 0x0f, 0x0d, 0xff], // the same with prefixes
        &[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x50, 0xff, 0x14, 0x24], // call [rsp] far beyond
        &[0x4e, 0x2e, 0x3e, 0xb8, 0xb0, 0x1c, 0x9c, 0xaf], // REX without effect
        &[0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0xc5, 0xf8, 0x77],
        &[0xf0, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x2c, 1],
        &[0x67, 0x65, 0xac],                   // gs lods through esi
        &[0xbc, 0x98, 0x56, 0xc6, 0x59, 0xcb], // retf without a stack
        &[0xcf],                               // iret
    ];
    for code in codes {
        for mode in [Mode::Cold, Mode::Warm, Mode::Stepped] {
            // Elsewhere it is not known any more which branch it was.
            if code.ends_with(&[0xff, 0x14, 0x24]) && mode != Mode::Stepped {
                continue;
            }
            machine.add(Case { mode, ..plain(random, code) });
        }
    }
}
