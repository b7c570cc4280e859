//! Fuzz target: whatever lies where a guest jumps to is decoded and translated without a panic, and what
//! comes of it is sound between all stages.

#![allow(clippy::panic, reason = "a fuzz target ends by a panic")]

use crate::Translator;
use crate::decode::{DecodeError, decode, text};
use crate::emit::{Code, Entry, Exit, FIRST_EXIT, Placement};
use crate::frontend::Config;
use crate::ir::{block::Block, verify::verify};
use crate::state::Region;
use crate::{Stages, TranslateError};

/// Both stages hold the verifier's rules, also where the translator does not look itself.
struct Verified;

impl Stages for Verified {
    fn built(&mut self, block: &Block) {
        assert_eq!(verify(block), Ok(()), "{block:?}");
    }
    fn optimised(&mut self, block: &Block) {
        assert_eq!(verify(block), Ok(()), "{block:?}");
    }
}

/// The input: a byte that chooses the configuration, eight of the guest's pc, the code there.
pub fn translate(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else { return };
    let Some((pc, code)) = rest.split_first_chunk() else { return };
    let pc = u64::from_le_bytes(*pc);
    // Low, where images go, or anywhere.
    let pc = if choice & 1 == 0 { pc & 0x1fff_ffff } else { pc };
    let config = Config {
        step: choice & 2 != 0,
        virtual_tsc: choice & 4 != 0,
        narrow_branches: choice & 32 != 0,
        max_insns: if choice & 8 == 0 { 64 } else { 1 },
        max_exits: choice >> 6,
    };
    decodes(pc, code);
    let at = Placement {
        region: Region::LOWEST,
        hot: Region::LOWEST.code(),
        cold: Region::LOWEST.code() + 0x10_0000,
        first_exit: FIRST_EXIT,
        indirect_entry: choice & 16 != 0,
    };
    let mut translator = Translator::default();
    for _ in 0..2 {
        match translator.translate(pc, code, &config, at, &mut Verified) {
            Ok((len, out)) => sound(pc, code, len, at, out),
            Err(TranslateError::Fetch) => assert_eq!(decode(code).err(), Some(DecodeError::Truncated)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A linear sweep.
fn decodes(pc: u64, code: &[u8]) {
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        let insn = decode(rest);
        let _ = text(rest, pc.wrapping_add(at as u64));
        at += match insn {
            Ok(insn) => {
                assert!((1..=15.min(rest.len())).contains(&usize::from(insn.len)), "{insn:?}");
                usize::from(insn.len)
            }
            Err(_) => 1,
        };
    }
}

/// What the runtime relies on.
fn sound(pc: u64, code: &[u8], len: u32, at: Placement, out: &Code) {
    assert!(len >= 1 && len as usize <= code.len());
    let (hot, cold) = (at.hot..=at.hot + out.hot.len() as u64, at.cold..=at.cold + out.cold.len() as u64);
    let ascending = |pair: &[Entry]| pair[0].pc.wrapping_sub(pc) < pair[1].pc.wrapping_sub(pc);
    assert!(out.entries.windows(2).all(ascending), "{:?}", out.entries);
    assert_eq!(out.entries.first().map(|entry| entry.pc), Some(pc));
    for entry in &out.entries {
        assert!(entry.pc.wrapping_sub(pc) < u64::from(len), "{entry:?}");
        let Entry { start, direct, indirect, .. } = entry;
        assert!([Some(*start), *direct, *indirect].iter().flatten().all(|host| hot.contains(host)));
    }
    for exit in &out.exits {
        if let Exit::Goto { patch, stub, .. } = *exit {
            assert!(hot.contains(&(patch + 4)) && cold.contains(&stub), "{exit:?}");
        }
    }
    assert!(out.marks.windows(2).all(|pair| pair[0].at < pair[1].at), "{:?}", out.marks);
    assert_eq!(out.marks.first().map(|mark| mark.at), Some(0));
    assert!(out.marks.last().is_some_and(|mark| (mark.at as usize) < out.hot.len().max(1)));
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_code_is_refused_or_translated_soundly() {
        rxbox_tests::fuzz::run("translate", 60_000, super::translate);
    }
}
