//! The words of the [`super::notation`]: attributes and variables.

use super::row::{self, implicit};
use super::text::{broken, split};
use crate::ir::var::Var;

/// The attribute that a word stands for.
pub(super) const fn attribute_bits(word: &[u8]) -> u32 {
    match word {
        b"modrm" => row::MODRM,
        b"control" => row::MODRM | row::NO_MOD | row::CONTROL,
        b"debug" => row::MODRM | row::NO_MOD | row::DEBUG,
        b"lock" => row::LOCK,
        b"idiom" => row::IDIOM,
        b"count" => row::COUNT,
        b"cc" => row::CONDITION,
        b"rep" => row::REP,
        b"load" => row::LOAD,
        b"store" => row::STORE,
        b"push" => row::PUSH,
        b"pop" => row::POP,
        b"effect" => row::EFFECT,
        b"fault" => row::FAULT,
        b"x87" => row::X87,
        b"fp" => row::FLOAT,
        b"own" => row::UNKNOWN_TO_YAXPEAX,
        b"k" => row::MASK,
        b"kz" => row::MASK | row::ZEROING,
        b"kk" => row::MASK | row::MASK_REQUIRED,
        b"er" | b"sae" => row::ROUNDING,
        b"distinct" => row::DISTINCT,
        _ => broken("unknown attribute"),
    }
}

/// The variables that `r=`, `w=` or `x=` lists, in the form of [`implicit`].
pub(super) const fn implicit_bits(names: &'static [u8]) -> u32 {
    let (mut rest, mut bits) = (names, 0);
    while !rest.is_empty() {
        let (name, tail) = split(rest, b'+');
        rest = tail;
        bits |= match name {
            b"ax" => bit(Var::RAX),
            b"cx" => bit(Var::RCX),
            b"dx" => bit(Var::RDX),
            b"bx" => bit(Var::RBX),
            b"sp" => bit(Var::RSP),
            b"bp" => bit(Var::RBP),
            b"si" => bit(Var::RSI),
            b"di" => bit(Var::RDI),
            b"r11" => bit(Var::R11),
            b"fpu" => bit(Var::X87),
            b"mxcsr" => bit(Var::MXCSR),
            b"fs" => bit(Var::FS_BASE),
            b"gs" => bit(Var::GS_BASE),
            b"v0" => implicit::VECTOR_0,
            b"v" => implicit::VECTORS_LOW,
            b"vk" => implicit::VECTORS_ALL,
            flags => flag_bits(flags),
        };
    }
    bits
}

const fn flag_bits(letters: &[u8]) -> u32 {
    let (mut i, mut bits) = (0, 0);
    while i < letters.len() {
        bits |= match letters[i] {
            b'C' => bit(Var::CF),
            b'P' => bit(Var::PF),
            b'A' => bit(Var::AF),
            b'Z' => bit(Var::ZF),
            b'S' => bit(Var::SF),
            b'O' => bit(Var::OF),
            b'D' => bit(Var::DF),
            _ => broken("unknown variable"),
        };
        i += 1;
    }
    bits
}

const fn bit(v: Var) -> u32 {
    1 << v.0
}
