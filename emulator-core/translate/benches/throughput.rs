//! How fast the translator is: `cargo bench -p rxbox-translate [-- FILE]`.
//!
//! Translates the executable segments of a program from block to block, as if each block fell through to the
//! next. Prints blocks, guest instructions, nanoseconds per block and host bytes per guest byte; the best of
//! several rounds, since everything else only adds.

#![allow(clippy::expect_used, reason = "a bench ends by a panic")]

use goblin::elf::Elf;
use goblin::elf::program_header::{PF_X, PT_LOAD};
use rxbox_translate::emit::{FIRST_EXIT, Placement};
use rxbox_translate::frontend::Config;
use rxbox_translate::ir::block::Block;
use rxbox_translate::ir::op::Op;
use rxbox_translate::state::Region;
use rxbox_translate::{Stages, Translator};
use std::time::{Duration, Instant};

/// What is translated if no file is named.
const FILE: &str = "/bin/bash";
/// Where the program is taken to be loaded.
const BASE: u64 = 0x1000_0000;
/// Bytes that a block may span, as the runtime has it.
const SPAN: usize = 1024;
const ROUNDS: usize = 5;

#[derive(Default)]
struct Count {
    blocks: usize,
    instructions: usize,
    guest: usize,
    host: usize,
}

impl Stages for Count {
    fn optimised(&mut self, block: &Block) {
        self.instructions += block.ops.iter().filter(|op| matches!(op, Op::Start { .. })).count();
    }
}

fn translate(code: &[u8], pc: u64, translator: &mut Translator, count: &mut Count) {
    let (config, mut at) = (Config::default(), 0);
    while at + SPAN < code.len() {
        let place = Placement {
            region: Region::LOWEST,
            hot: Region::LOWEST.code(),
            cold: Region::LOWEST.code() + 0x10_0000,
            first_exit: FIRST_EXIT,
            indirect_entry: false,
        };
        let guest = &code[at..at + SPAN];
        let (len, out) =
            translator.translate(pc + at as u64, guest, &config, place, count).expect("translates");
        count.blocks += 1;
        count.guest += len as usize;
        count.host += out.hot.len() + out.cold.len();
        at += len as usize;
    }
}

fn main() {
    let path = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_else(|| FILE.to_owned());
    let file = std::fs::read(&path).expect("the file can be read");
    let elf = Elf::parse(&file).expect("an ELF file");
    let (mut best, mut count) = (Duration::MAX, Count::default());
    for _ in 0..ROUNDS {
        count = Count::default();
        let (start, mut translator) = (Instant::now(), Translator::default());
        for p in elf.program_headers.iter().filter(|p| p.p_type == PT_LOAD && p.p_flags & PF_X != 0) {
            translate(&file[p.file_range()], BASE + p.p_vaddr, &mut translator, &mut count);
        }
        best = best.min(start.elapsed());
    }
    let Count { blocks, instructions, guest, host } = count;
    let per = |n: usize| best.as_nanos() as f64 / n as f64;
    println!("{path}: {blocks} blocks, {instructions} instructions, {host} bytes of host code");
    println!("{:.0} ns per block, {:.0} ns per instruction", per(blocks), per(instructions));
    println!("{:.2} bytes of host code per byte of guest code", host as f64 / guest as f64);
}
