//! Both decoders over the executable segments of system binaries.

use crate::compare::{Findings, Oracle, invalid, left_out, refused};
use goblin::elf::Elf;
use goblin::elf::program_header::{PF_X, PT_LOAD};
use rxbox_translate::decode::decode;

/// Where Debian keeps them; other systems have some of them in other places.
const FILES: [&str; 9] = [
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib64/libc.so.6",
    "/lib64/libm.so.6",
    "/bin/bash",
    "/usr/bin/perl",
];

/// Calls `each` with the bytes from every instruction boundary that a linear sweep finds on.
fn sweep(file: &[u8], mut each: impl FnMut(&[u8], &iced_x86::Decoder<'_>, &iced_x86::Instruction)) -> usize {
    let elf = Elf::parse(file).unwrap();
    let mut instructions = 0;
    for segment in elf.program_headers.iter().filter(|p| p.p_type == PT_LOAD && p.p_flags & PF_X != 0) {
        let mut rest = &file[segment.file_range()];
        while rest.len() >= 15 {
            let (decoder, theirs) = Oracle::decode(&rest[..15]);
            if invalid(&theirs) {
                rest = &rest[1..];
                continue;
            }
            each(&rest[..15], &decoder, &theirs);
            instructions += 1;
            rest = &rest[theirs.len()..];
        }
    }
    instructions
}

#[test]
fn system_code_is_decoded_as_the_oracle_does_and_all_of_it_is_carried() {
    let mut oracle = Oracle::new();
    let mut findings = Findings::default();
    let mut instructions = 0;
    for path in FILES {
        let Ok(file) = std::fs::read(path) else { continue };
        instructions += sweep(&file, |bytes, decoder, theirs| {
            let ours = decode(bytes);
            let example = || format!("{path}: {bytes:02x?} {theirs}");
            match ours {
                Ok(ref insn) if !left_out(theirs.code()) => {
                    if let Err(what) = oracle.check(insn, decoder, theirs) {
                        findings.add(format!("{:?} {what}", theirs.code()), example);
                    }
                }
                ref ours if left_out(theirs.code()) => {
                    if !refused(ours) {
                        findings.add(format!("{:?} carried", theirs.code()), example);
                    }
                }
                // Tables among the code, taken for code.
                Err(error) => findings.add(format!("{:?} refused: {error}", theirs.code()), example),
                Ok(_) => {}
            }
        });
    }
    println!("{instructions} instructions");
    findings.assert_none();
    assert!(instructions > 100_000, "no system library found");
}
