//! What must not be copied, and what the sets of variables must say, instruction by instruction.

use super::*;
use crate::ir::var::{Var, VarSet};

fn ok(bytes: &[u8]) -> Insn {
    decode(bytes).unwrap_or_else(|e| panic!("{bytes:02x?}: {e}"))
}

fn class(bytes: &[u8]) -> Class {
    let insn = ok(bytes);
    assert_eq!(usize::from(insn.len), bytes.len(), "length of {bytes:02x?}");
    insn.class
}

fn set(vars: &[Var]) -> VarSet {
    VarSet::of_all(vars)
}

/// What is replaced as a whole.
fn replaced(bytes: &[u8]) -> VarSet {
    let insn = ok(bytes);
    insn.writes.minus(insn.reads)
}

const UD: Class = Class::Trap(Trap::InvalidOpcode);
const GP: Class = Class::Trap(Trap::GeneralProtection);

#[test]
fn control_flow_is_recognised_with_its_displacement() {
    assert_eq!(class(&[0x74, 0xfe]), Class::Jcc { cc: 4, disp: -2 });
    assert_eq!(class(&[0x0f, 0x8f, 0, 0, 0, 0x80]), Class::Jcc { cc: 15, disp: i32::MIN });
    assert_eq!(class(&[0x2e, 0x75, 5]), Class::Jcc { cc: 5, disp: 5 });
    assert_eq!(class(&[0xe9, 1, 0, 0, 0]), Class::Jmp { disp: 1 });
    assert_eq!(class(&[0xf2, 0xe8, 0xff, 0xff, 0xff, 0xff]), Class::Call { disp: -1 });
    assert_eq!(class(&[0x66, 0x66, 0x48, 0xe8, 1, 0, 0, 0]), Class::Call { disp: 1 });
    assert_eq!(class(&[0xe3, 0x80]), Class::Loop { opcode: 0xe3, disp: -128 });
    assert_eq!(class(&[0x67, 0xe2, 1]), Class::Loop { opcode: 0xe2, disp: 1 });
    assert!(ok(&[0x67, 0xe3, 1]).form.addr32);
    assert_eq!(class(&[0xf3, 0xc3]), Class::Ret { release: 0 });
    assert_eq!(class(&[0xc2, 0xf0, 0xff]), Class::Ret { release: 0xfff0 });
    assert_eq!(class(&[0x3e, 0xff, 0xe0]), Class::JmpIndirect);
    assert_eq!(class(&[0xff, 0x54, 0x24, 8]), Class::CallIndirect);
}

#[test]
fn near_branches_ignore_an_operand_size_prefix() {
    for bytes in [
        &[0x66, 0xe8, 0, 0, 0, 0][..],
        &[0x66, 0xe9, 0, 0, 0, 0],
        &[0x66, 0xeb, 0],
        &[0x66, 0x74, 0],
        &[0x66, 0x0f, 0x84, 0, 0, 0, 0],
        &[0x66, 0xe3, 0],
        &[0x66, 0xc3],
        &[0x66, 0xff, 0xe0],
        &[0x66, 0xff, 0x10],
    ] {
        assert_eq!((class(bytes), ok(bytes).len), (class(&bytes[1..]), bytes.len() as u8), "{bytes:02x?}");
    }
}

#[test]
fn calls_into_the_kernel_are_never_native() {
    assert_eq!(class(&[0x0f, 0x05]), Class::Syscall);
    assert_eq!(class(&[0x48, 0x0f, 0x05]), Class::Syscall);
    assert_eq!(class(&[0x0f, 0x34]), UD);
    assert_eq!(class(&[0xcd, 0x80]), Class::Trap(Trap::Interrupt(0x80)));
    assert_eq!(class(&[0xcc]), Class::Trap(Trap::Breakpoint));
    assert_eq!(class(&[0xf1]), Class::Trap(Trap::DebugTrap));
}

#[test]
fn what_only_the_kernel_may_do_raises_general_protection() {
    for bytes in [
        &[0xf4][..],
        &[0xfa],
        &[0xfb],
        &[0xe4, 0],
        &[0xec],
        &[0xef],
        &[0x6c],
        &[0x6f],
        &[0xf3, 0x6d],
        &[0x0f, 0x20, 0xc0],
        &[0x0f, 0x22, 0xd8],
        &[0x0f, 0x23, 0xf8],
        &[0x0f, 0x01, 0x10],
        &[0x0f, 0x01, 0x18],
        &[0x0f, 0x01, 0xf0],
        &[0x0f, 0x01, 0x38],
        &[0x0f, 0x01, 0xf8],
        &[0x0f, 0x01, 0xd1],
        &[0x0f, 0x00, 0xd0],
        &[0x0f, 0x30],
        &[0x0f, 0x32],
        &[0x0f, 0x33],
        &[0x0f, 0x07],
        &[0x0f, 0x35],
        &[0x0f, 0x06],
        &[0x0f, 0x09],
    ] {
        assert_eq!(class(bytes), GP, "{bytes:02x?}");
    }
}

#[test]
fn far_branches_are_never_native() {
    let far = |bytes: &[u8]| match class(bytes) {
        Class::Far(branch) => branch,
        class => panic!("{class:?}"),
    };
    for bytes in [&[0xff, 0x28][..], &[0x48, 0xff, 0x2f], &[0x66, 0xff, 0x28]] {
        assert_eq!(far(bytes), FarBranch::Jump, "{bytes:02x?}");
    }
    assert_eq!(far(&[0xff, 0x18]), FarBranch::Call);
    assert_eq!(far(&[0xcb]), FarBranch::Return { release: 0 });
    assert_eq!(far(&[0x48, 0xca, 0xf0, 0xff]), FarBranch::Return { release: 0xfff0 });
    assert_eq!((far(&[0xcf]), far(&[0x48, 0xcf])), (FarBranch::InterruptReturn, FarBranch::InterruptReturn));
}

#[test]
fn of_several_rex_prefixes_the_last_counts() {
    for (bytes, plain) in [
        (&[0x48, 0x40, 0x89, 0xc8][..], &[0x40, 0x89, 0xc8][..]),
        (&[0x41, 0x48, 0x89, 0xc8], &[0x48, 0x89, 0xc8]),
        (&[0x4f, 0x66, 0x4f, 0x48, 0x0f, 0xaf, 0xc1], &[0x66, 0x48, 0x0f, 0xaf, 0xc1]),
    ] {
        let (many, one) = (ok(bytes), ok(plain));
        assert_eq!((many.form.rex, usize::from(many.len)), (one.form.rex, bytes.len()), "{bytes:02x?}");
        assert_eq!((many.reads, many.writes), (one.reads, one.writes), "{bytes:02x?}");
    }
}

#[test]
fn masked_features_are_undefined_opcodes() {
    for bytes in [
        &[0x0f, 0x0b][..],
        &[0x0f, 0xff, 0xc0],
        &[0x0f, 0xb9, 0x40, 1],
        &[0xc7, 0xf8, 0, 0, 0, 0],
        &[0xc6, 0xf8, 0],
        &[0x0f, 0x01, 0xd5],
        &[0x0f, 0x01, 0xd6],
        &[0x0f, 0x01, 0xee],
        &[0x0f, 0x01, 0xef],
        &[0xf3, 0x0f, 0x01, 0xea],
        &[0xf3, 0x48, 0x0f, 0xae, 0xe8],
        &[0x0f, 0x38, 0xf6, 0x00],
        &[0xf3, 0x0f, 0x01, 0x28],
        &[0xf3, 0x0f, 0x01, 0xee],
        &[0xf3, 0x0f, 0xc7, 0xf0],
        &[0x66, 0x0f, 0xae, 0xf0],
        &[0xf2, 0x0f, 0xae, 0xf0],
        &[0x0f, 0x01, 0xc1],
        &[0x0f, 0x01, 0xd8],
        &[0x0f, 0x01, 0xd7],
        &[0x0f, 0x0f, 0xc1, 0x9e],
        &[0x0f, 0x01, 0xca],
    ] {
        assert_eq!(class(bytes), UD, "{bytes:02x?}");
    }
    // AMX (ldtilecfg, tdpbssd), XOP, and a map that does not exist.
    for bytes in [
        &[0xc4, 0xe2, 0x78, 0x49, 0x00][..],
        &[0xc4, 0xe2, 0x63, 0x5e, 0xc1],
        &[0x8f, 0xe8, 0x78, 0xc0, 0xc0, 1],
        &[0xc4, 0xe4, 0x78, 0x10, 0xc0],
    ] {
        assert!(decode(bytes).is_err(), "{bytes:02x?}");
    }
}

#[test]
fn what_needs_the_runtime_has_a_class_of_its_own() {
    assert_eq!(class(&[0x0f, 0xa2]), Class::Cpuid);
    assert_eq!(class(&[0x0f, 0x01, 0xd0]), Class::Xgetbv);
    assert_eq!(class(&[0x0f, 0x31]), Class::Rdtsc);
    assert_eq!(class(&[0x0f, 0x01, 0xf9]), Class::Rdtscp);
    assert_eq!(class(&[0x9d]), Class::Popf);
    assert_eq!(class(&[0xf3, 0x48, 0x0f, 0xae, 0xd0]), Class::FsBase);
    assert_eq!(class(&[0xf3, 0x49, 0x0f, 0xae, 0xc9]), Class::ReadGsBase { reg: 9, wide: true });
    assert_eq!(class(&[0xf3, 0x0f, 0xae, 0xd9]), Class::WriteGsBase { reg: 1, wide: false });
    assert_eq!(class(&[0x8e, 0xe8]), Class::Segment(SegmentOp::Load(5)));
    assert_eq!(class(&[0x8c, 0xd8]), Class::Segment(SegmentOp::Store(3)));
    assert_eq!(class(&[0x0f, 0xa8]), Class::Segment(SegmentOp::Push(5)));
    assert_eq!(class(&[0x0f, 0xa1]), Class::Segment(SegmentOp::Pop(4)));
    assert_eq!(class(&[0x0f, 0xb2, 0x00]), Class::Segment(SegmentOp::FarPointer(2)));
    assert_eq!(class(&[0x0f, 0xb5, 0x00]), Class::Segment(SegmentOp::FarPointer(5)));
    assert_eq!(class(&[0x8e, 0xc8]), UD, "mov cs");
    assert_eq!(decode(&[0x8e, 0xf0]).err(), Some(DecodeError::Invalid), "no such segment register");
}

#[test]
fn stores_of_the_fpu_environment_are_marked() {
    assert_eq!(class(&[0xd9, 0x30]), Class::FpuEnvStore(FpuEnv::Fnstenv));
    assert_eq!(class(&[0xdd, 0x30]), Class::FpuEnvStore(FpuEnv::Fnsave));
    assert_eq!(class(&[0x48, 0x0f, 0xae, 0x00]), Class::FpuEnvStore(FpuEnv::Fxsave));
    for reg in [4, 6] {
        assert_eq!(class(&[0x0f, 0xae, reg << 3]), Class::FpuEnvStore(FpuEnv::Xsave));
    }
    assert_eq!(class(&[0x0f, 0xc7, 0x20]), Class::FpuEnvStore(FpuEnv::Xsave));
    assert_eq!(class(&[0x0f, 0xc7, 0x28]), GP, "xsaves");
}

#[test]
fn hints_and_nops_are_native() {
    for bytes in [
        &[0x90][..],
        &[0xf3, 0x90],
        &[0xf3, 0x0f, 0x1e, 0xfa],
        &[0xf3, 0x48, 0x0f, 0x1e, 0xc8],
        &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0x0f, 0x18, 0x08],
        &[0x0f, 0x1c, 0x00],
        &[0x0f, 0x0d, 0x08],
        &[0x0f, 0xae, 0xe8],
        &[0x0f, 0x01, 0xe8],
    ] {
        let insn = ok(bytes);
        assert_eq!(insn.class, Class::Native, "{bytes:02x?}");
        assert!(insn.writes.is_empty() && !insn.may_fault, "{bytes:02x?}");
    }
}

#[test]
fn lock_needs_a_memory_destination_of_a_lockable_instruction() {
    assert_eq!(class(&[0xf0, 0x0f, 0xb1, 0x0a]), Class::Native);
    assert_eq!(class(&[0xf0, 0x48, 0x0f, 0xc7, 0x0f]), Class::Native);
    for bytes in [
        &[0xf0, 0x01, 0xc8][..],
        &[0xf0, 0x89, 0x08],
        &[0xf0, 0x03, 0x08],
        &[0xf0, 0x39, 0x08],
        &[0xf0, 0x90],
    ] {
        assert_eq!(decode(bytes).err(), Some(DecodeError::Invalid), "{bytes:02x?}");
    }
}

#[test]
fn prefixes_that_the_processor_rejects_are_rejected() {
    let rejected: [&[u8]; 5] = [
        &[0x66, 0xc5, 0xf8, 0x58, 0xc0],
        &[0xf3, 0xc5, 0xf8, 0x58, 0xc0],
        &[0x48, 0xc5, 0xf8, 0x58, 0xc0],
        &[0xf0, 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0],
        &[0x62, 0xf9, 0x7c, 0x48, 0x58, 0xc0],
    ];
    for bytes in rejected {
        assert_eq!(decode(bytes).err(), Some(DecodeError::Invalid), "{bytes:02x?}");
    }
}

#[test]
fn fifteen_bytes_are_the_limit() {
    let mut bytes = [0x66; 20];
    bytes[15] = 0x90;
    assert_eq!(decode(&bytes).err(), Some(DecodeError::TooLong));
    assert_eq!(decode(&bytes[..15]).err(), Some(DecodeError::TooLong));
    assert_eq!(decode(&bytes[..14]).err(), Some(DecodeError::Truncated));
    assert_eq!(decode(&[]).err(), Some(DecodeError::Truncated));
}

#[test]
fn memory_operands_are_taken_apart() {
    let insn = ok(&[0x65, 0x4a, 0x8b, 0x84, 0x88, 0x10, 0, 0, 0x80]);
    let mem = insn.mem.unwrap();
    assert_eq!((mem.base, mem.index, mem.disp), (Some(0), Some((9, 4)), -0x7fff_fff0));
    assert_eq!((mem.segment, insn.form.disp_at, insn.form.disp_size), (0x65, 5, 4));
    assert!(insn.reads.has(Var::GS_BASE));

    let relative = ok(&[0x67, 0x8b, 0x05, 4, 0, 0, 0]).mem.unwrap();
    assert!(relative.rip_relative && relative.addr32 && relative.base.is_none());

    let absolute = ok(&[0x8b, 0x04, 0x25, 0xff, 0xff, 0xff, 0xff]).mem.unwrap();
    assert_eq!(
        (absolute.base, absolute.index, absolute.disp, absolute.rip_relative),
        (None, None, -1, false)
    );

    let moffs = ok(&[0x64, 0x48, 0xa1, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(moffs.mem.unwrap().disp, 0x0807_0605_0403_0201);
    assert_eq!((moffs.form.disp_at, moffs.form.disp_size, moffs.form.modrm_at), (3, 8, 0));

    // vaddps zmm0, zmm1, [rax + 64] and with a broadcast element: one step is 64 or 4 bytes.
    assert_eq!(ok(&[0x62, 0xf1, 0x74, 0x48, 0x58, 0x40, 1]).mem.unwrap().disp, 64);
    assert_eq!(ok(&[0x62, 0xf1, 0x74, 0x58, 0x58, 0x40, 1]).mem.unwrap().disp, 4);

    let gather = ok(&[0xc4, 0xe2, 0x6d, 0x92, 0x04, 0x20]).mem.unwrap();
    assert_eq!((gather.vsib, gather.index), (true, Some((4, 1))));
}

#[test]
fn partial_writes_are_reads_too() {
    // mov al, 1; mov ah, 1; mov spl, 1; mov ax, 1; mov eax, 1
    assert_eq!(ok(&[0xb0, 1]).reads, set(&[Var::RAX]));
    assert_eq!(ok(&[0xb4, 1]).writes, set(&[Var::RAX]));
    assert_eq!(ok(&[0x40, 0xb4, 1]).writes, set(&[Var::RSP]));
    assert_eq!(replaced(&[0x66, 0xb8, 1, 0]), VarSet::EMPTY);
    assert_eq!(replaced(&[0xb8, 1, 0, 0, 0]), set(&[Var::RAX]));
    // movaps xmm0, xmm1 keeps the upper part of ymm0, vmovaps does not, a merging mask does.
    assert_eq!(replaced(&[0x0f, 0x28, 0xc1]), VarSet::EMPTY);
    assert_eq!(replaced(&[0xc5, 0xf8, 0x28, 0xc1]), set(&[Var::vec(0)]));
    assert_eq!(replaced(&[0x62, 0xf1, 0x7c, 0x49, 0x28, 0xc1]), VarSet::EMPTY);
    assert_eq!(replaced(&[0x62, 0xf1, 0x7c, 0xc9, 0x28, 0xc1]), set(&[Var::vec(0)]));
}

#[test]
fn conditional_writes_are_reads_too() {
    // cmove eax, ecx
    assert!(ok(&[0x0f, 0x44, 0xc1]).reads.has(Var::RAX));
    // shl eax, cl; shl eax, 0; shl eax, 1; shl rax, 32: AF is undefined, OF and CF are for some counts.
    let shifted = set(&[Var::SF, Var::ZF, Var::PF]);
    assert_eq!(replaced(&[0xd3, 0xe0]), VarSet::EMPTY);
    assert_eq!(replaced(&[0xc1, 0xe0, 0x20]), VarSet::EMPTY);
    assert_eq!(replaced(&[0xc1, 0xe0, 1]), shifted);
    assert_eq!(replaced(&[0x48, 0xc1, 0xe0, 0x20]), shifted);
    // repe cmpsb; cmpsb
    let repeated = ok(&[0xf3, 0xa6]);
    assert!(repeated.reads.has(Var::RCX) && repeated.writes.has(Var::RCX) && repeated.reads.has(Var::DF));
    assert_eq!(replaced(&[0xf3, 0xa6]), VarSet::EMPTY);
    assert_eq!(replaced(&[0xa6]), VarSet::ARITH_FLAGS);
}

#[test]
fn undefined_results_are_reads_too() {
    let flags = |bytes: &[u8]| replaced(bytes).intersect(VarSet::ARITH_FLAGS);
    let carry_and_overflow = set(&[Var::CF, Var::OF]);
    // mul ecx; imul eax, ecx; imul eax, ecx, 3; div ecx
    assert_eq!(flags(&[0xf7, 0xe1]), carry_and_overflow);
    assert_eq!(flags(&[0x0f, 0xaf, 0xc1]), carry_and_overflow);
    assert_eq!(flags(&[0x6b, 0xc1, 3]), carry_and_overflow);
    assert_eq!(flags(&[0xf7, 0xf1]), VarSet::EMPTY);
    // lzcnt eax, ecx; tzcnt eax, ecx; popcnt eax, ecx
    assert_eq!(flags(&[0xf3, 0x0f, 0xbd, 0xc1]), set(&[Var::CF, Var::ZF]));
    assert_eq!(flags(&[0xf3, 0x0f, 0xbc, 0xc1]), set(&[Var::CF, Var::ZF]));
    assert_eq!(flags(&[0xf3, 0x0f, 0xb8, 0xc1]), VarSet::ARITH_FLAGS);
    // test eax, eax; shl eax, 1; rol eax, 3; bextr eax, ecx, edx
    assert_eq!(flags(&[0x85, 0xc0]), VarSet::ARITH_FLAGS.minus(set(&[Var::AF])));
    assert_eq!(flags(&[0xd1, 0xe0]), VarSet::ARITH_FLAGS.minus(set(&[Var::AF])));
    assert_eq!(flags(&[0xc1, 0xc0, 3]), set(&[Var::CF]));
    assert_eq!(flags(&[0xc4, 0xe2, 0x68, 0xf7, 0xc1]), set(&[Var::OF, Var::ZF, Var::CF]));
    // bsf eax, ecx, which keeps eax if ecx is 0; shld ax, cx, 20, whose count is beyond the operand.
    assert!(replaced(&[0x0f, 0xbc, 0xc1]).intersect(VarSet::GPRS).is_empty());
    assert_eq!(flags(&[0x0f, 0xbc, 0xc1]), set(&[Var::ZF]));
    assert_eq!(replaced(&[0x66, 0x0f, 0xa4, 0xc8, 20]), VarSet::EMPTY);
}

#[test]
fn flags_are_told_apart() {
    // inc eax keeps CF; adc reads it; cld writes DF only.
    assert_eq!(ok(&[0xff, 0xc0]).writes, set(&[Var::RAX, Var::PF, Var::AF, Var::ZF, Var::SF, Var::OF]));
    assert_eq!(ok(&[0x11, 0xc8]).reads, set(&[Var::RAX, Var::RCX, Var::CF]));
    assert_eq!(ok(&[0xfc]).writes, set(&[Var::DF]));
    // jg, setbe
    assert_eq!(ok(&[0x7f, 0]).reads, set(&[Var::ZF, Var::SF, Var::OF]));
    assert_eq!(ok(&[0x0f, 0x96, 0x00]).reads, set(&[Var::RAX, Var::CF, Var::ZF]));
}

#[test]
fn zeroing_idioms_do_not_read() {
    // xor eax, eax leaves AF undefined, sub r8, r8 does not.
    let without_af = VarSet::ARITH_FLAGS.minus(set(&[Var::AF]));
    assert_eq!(replaced(&[0x31, 0xc0]), set(&[Var::RAX]).union(without_af));
    assert_eq!(replaced(&[0x4d, 0x29, 0xc0]), set(&[Var(8)]).union(VarSet::ARITH_FLAGS));
    assert!(ok(&[0x66, 0x31, 0xc0]).reads.has(Var::RAX), "16 bits are part of the register");
    assert!(ok(&[0x31, 0xc8]).reads.has(Var::RAX));
    assert!(ok(&[0x31, 0x00]).reads.has(Var::RAX), "memory at rax");
}

#[test]
fn faults_and_side_effects_are_marked() {
    let marks = |bytes: &[u8]| (ok(bytes).may_fault, ok(bytes).side_effect);
    assert_eq!(marks(&[0x01, 0xc8]), (false, false), "add eax, ecx");
    assert_eq!(marks(&[0x8b, 0x00]), (true, false), "load");
    assert_eq!(marks(&[0x89, 0x00]), (true, true), "store");
    assert_eq!(marks(&[0x8d, 0x00]), (false, false), "lea");
    assert_eq!(marks(&[0xf7, 0xf1]), (true, false), "div");
    assert_eq!(marks(&[0x50]), (true, true), "push");
    assert_eq!(marks(&[0x58]), (true, false), "pop");
    assert_eq!(marks(&[0xd8, 0xc1]), (true, true), "x87 arithmetic");
    assert_eq!(marks(&[0x0f, 0x58, 0xc1]), (true, true), "addps");
    assert_eq!(marks(&[0x66, 0x0f, 0xfe, 0xc1]), (false, false), "paddd");
    assert!(ok(&[0x0f, 0x58, 0xc1]).reads.has(Var::MXCSR));
    assert_eq!(ok(&[0x0f, 0xfe, 0xc1]).reads, set(&[Var::X87]), "MMX");
}

#[test]
fn text_names_every_instruction_and_resolves_addresses() {
    assert_eq!(text(&[0x48, 0x01, 0xc8], 0), "add rax, rcx");
    assert_eq!(text(&[0x74, 0xfe], 0x1000), "jz 0x1000");
    assert!(text(&[0x48, 0x8d, 0x05, 1, 0, 0, 0], 0x1000).ends_with("; 0x1008"));
    assert_eq!(text(&[0xc5, 0xfb, 0x92, 0xc8], 0), "kmovd (vex.f2.0f.w0 92) c5 fb 92 c8");
    assert!(text(&[0x06], 0).contains("06"));
}
