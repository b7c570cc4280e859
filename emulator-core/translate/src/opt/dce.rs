//! Dead code and dead flags: removes operations that only write variables that nothing reads. That covers a
//! `cmp` whose flags are overwritten, a register that is set twice, and the no-operations between functions.

use super::liveness::Liveness;
use crate::ir::block::Block;

/// Removes dead operations; returns how many. `live` is the block's liveness before that.
pub fn dead_code(block: &mut Block, live: &Liveness) -> usize {
    let before = block.ops.len();
    block.retain(|i, effect| {
        effect.keep || live.after.get(i).is_none_or(|after| !effect.writes.intersect(*after).is_empty())
    });
    before - block.ops.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;
    use crate::frontend::{Config, build};
    use crate::ir::op::Op;

    /// Guest instructions of `code` that are left, without what ends the block.
    fn left(code: &[&[u8]]) -> usize {
        let config = Config { max_insns: code.len() as u16, ..Config::default() };
        let (mut block, mut live) = (Block::default(), Liveness::default());
        build(&mut block, 0x1000, &code.concat(), &config, &mut Decoder::default()).unwrap();
        live.compute(&block);
        dead_code(&mut block, &live);
        block.ops.iter().filter(|op| matches!(op, Op::Native { .. })).count()
    }

    const CMP: &[u8] = &[0x39, 0xd8];

    #[test]
    fn flags_that_are_overwritten_are_dead() {
        let overwriting: [&[u8]; 5] = [
            &[0x01, 0xc8],             // add eax, ecx
            &[0x39, 0xc8],             // cmp eax, ecx
            &[0x4d, 0x29, 0xc0],       // sub r8, r8
            &[0xf7, 0xd8],             // neg eax
            &[0xf3, 0x0f, 0xb8, 0xc1], // popcnt eax, ecx
        ];
        for insn in overwriting {
            assert_eq!(left(&[CMP, insn]), 1, "{insn:02x?}");
        }
    }

    /// The manual leaves some flag undefined, and a processor may keep its older value.
    #[test]
    fn flags_that_the_processor_may_keep_are_live() {
        let undefined: [&[u8]; 22] = [
            &[0xf7, 0xe1],                   // mul ecx
            &[0xf7, 0xe9],                   // imul ecx
            &[0x0f, 0xaf, 0xc1],             // imul eax, ecx
            &[0x69, 0xc1, 5, 0, 0, 0],       // imul eax, ecx, 5
            &[0x6b, 0xc1, 5],                // imul eax, ecx, 5
            &[0xf3, 0x0f, 0xbd, 0xc1],       // lzcnt eax, ecx
            &[0xf3, 0x0f, 0xbc, 0xc1],       // tzcnt eax, ecx
            &[0x0f, 0xbc, 0xc1],             // bsf eax, ecx
            &[0x0f, 0xbd, 0xc1],             // bsr eax, ecx
            &[0xf7, 0xf1],                   // div ecx
            &[0xc1, 0xe0, 4],                // shl eax, 4
            &[0xd1, 0xe8],                   // shr eax, 1
            &[0xd3, 0xf8],                   // sar eax, cl
            &[0xc1, 0xc0, 4],                // rol eax, 4
            &[0x0f, 0xa4, 0xc8, 4],          // shld eax, ecx, 4
            &[0x0f, 0xa3, 0xc8],             // bt eax, ecx
            &[0x85, 0xc0],                   // test eax, eax
            &[0x31, 0xc0],                   // xor eax, eax
            &[0x83, 0xe0, 1],                // and eax, 1
            &[0xc4, 0xe2, 0x70, 0xf2, 0xc2], // andn eax, ecx, edx
            &[0xc4, 0xe2, 0x78, 0xf3, 0xc9], // blsr eax, ecx
            &[0xc4, 0xe2, 0x68, 0xf7, 0xc1], // bextr eax, ecx, edx
        ];
        for insn in undefined {
            assert_eq!(left(&[CMP, insn]), 2, "{insn:02x?}");
        }
    }
}
