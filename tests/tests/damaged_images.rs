//! Files that are no programs, or damaged ones: each is refused with status 126 or 127 and one line that
//! names the file and the reason, and nothing of it runs. Whatever the damage, rxbox itself does not fail.

use rxbox_tests::random::Random;
use rxbox_tests::{Program, Ran, Scratch, compile_guest, rxbox};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the smallest program.
fn bare(scratch: &Scratch, flags: &[&str]) -> PathBuf {
    let program = scratch.path().join("bare");
    compile_guest("bare", &program, &[&["-nostdlib"], flags].concat());
    program
}

fn executable(scratch: &Scratch, name: &str, content: &[u8]) -> PathBuf {
    let path = scratch.file(name, content);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn run(scratch: &Scratch, program: &Path) -> Ran {
    Program::new(scratch.path(), &[&program.to_string_lossy()]).boxed("untrusted")
}

/// The program is refused with this status, for this reason, and has not run.
fn refused(scratch: &Scratch, program: &Path, status: i32, reason: &str) {
    let ran = run(scratch, program);
    let (name, text) = (program.display().to_string(), ran.err());
    assert_eq!(ran.status, status, "{name}: {text}");
    assert_eq!(ran.out(), "", "{name} ran");
    assert_eq!(text.lines().count(), 1, "{name}: {text}");
    let line = text.strip_prefix("rxbox: ").unwrap_or_else(|| panic!("{text}"));
    assert!(line.starts_with(&name), "{name} is not named first: {line}");
    assert!(line.contains(reason), "{name}: {reason:?} is missing in {line}");
}

/// A changed copy of the smallest program.
fn changed(scratch: &Scratch, name: &str, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let mut image = std::fs::read(bare(scratch, &["-static"])).unwrap();
    change(&mut image);
    executable(scratch, name, &image)
}

#[test]
fn the_undamaged_program_runs() {
    let scratch = Scratch::new("undamaged");
    for flags in [&["-static"][..], &["-static-pie"]] {
        let ran = run(&scratch, &bare(&scratch, flags));
        assert_eq!((ran.status, ran.out().as_str(), ran.err().as_str()), (0, "ran\n", ""), "{flags:?}");
    }
}

#[test]
fn what_is_missing_is_not_found() {
    let scratch = Scratch::new("missing");
    refused(&scratch, &scratch.path().join("nothing"), 127, "No such file or directory");
    refused(&scratch, &scratch.path().join("no/folder/here"), 127, "No such file or directory");
    let file = scratch.file("file", "text");
    refused(&scratch, &file.join("below"), 127, "Not a directory");
    refused(&scratch, Path::new("no-such-command"), 127, "command not found");
}

#[test]
fn what_is_no_program_is_refused() {
    let scratch = Scratch::new("none");
    refused(&scratch, scratch.path(), 126, "ermission denied");
    refused(&scratch, &scratch.file("plain", "#!/bin/sh\necho ran\n"), 126, "ermission denied");
    refused(&scratch, &executable(&scratch, "empty", b""), 126, "not a program");
    refused(&scratch, &executable(&scratch, "text", b"echo ran\n"), 126, "not a program");
    refused(&scratch, &executable(&scratch, "noise", &[0x90; 5000]), 126, "not a program");
    refused(&scratch, &executable(&scratch, "head", b"\x7fELF"), 126, "truncated");
}

#[test]
fn programs_for_other_machines_are_refused_by_name() {
    let scratch = Scratch::new("foreign");
    refused(&scratch, &changed(&scratch, "arm64", |i| i[18] = 183), 126, "for aarch64, not for x86-64");
    refused(&scratch, &changed(&scratch, "bits32", |i| i[4] = 1), 126, "not for x86-64");
    refused(&scratch, &changed(&scratch, "big", |i| i[5] = 2), 126, "not for x86-64");
    refused(&scratch, &changed(&scratch, "object", |i| i[16] = 1), 126, "e_type");
}

#[test]
fn a_program_that_is_cut_off_anywhere_is_refused() {
    let scratch = Scratch::new("cut");
    let whole = std::fs::read(bare(&scratch, &["-static"])).unwrap();
    // Behind the last segment lie only symbols, which nobody needs to run it.
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| whole[at + i])) as usize;
    let headers = usize::from(u16::from_le_bytes([whole[56], whole[57]]));
    let loaded = (0..headers).map(|i| 64 + 56 * i).filter(|&at| whole[at] == 1);
    let end = loaded.map(|at| word(at + 8) + word(at + 32)).max().unwrap();
    for len in [5, 63, 64, 100, 64 + 56 * headers - 1, 64 + 56 * headers, 1000, end / 2, end - 1] {
        refused(&scratch, &executable(&scratch, "cut", &whole[..len]), 126, "truncated");
    }
    let ran = run(&scratch, &executable(&scratch, "cut", &whole[..end]));
    assert_eq!((ran.status, ran.out().as_str()), (0, "ran\n"), "{}", ran.err());
}

#[test]
fn a_missing_interpreter_is_named() {
    let scratch = Scratch::new("interpreter");
    // Below a folder in which the profile lets it look: elsewhere the look itself is denied.
    let linker = "-Wl,--dynamic-linker=/usr/nowhere/ld.so";
    let program = bare(&scratch, &["-pie", "-fPIE", linker]);
    refused(&scratch, &program, 126, "/usr/nowhere/ld.so");
    let script = executable(&scratch, "script", b"#!/usr/nowhere/interpreter -x\n");
    refused(&scratch, &script, 126, "/usr/nowhere/interpreter");
    // One that is shorter than a header could not be read.
    let text = scratch.file("text", "no linker\n".repeat(10));
    std::fs::set_permissions(&text, std::fs::Permissions::from_mode(0o755)).unwrap();
    let linker = format!("-Wl,--dynamic-linker={}", text.display());
    refused(&scratch, &bare(&scratch, &["-pie", "-fPIE", &linker]), 126, "is unusable: not a program");
}

#[test]
fn scripts_that_lead_nowhere_are_refused() {
    let scratch = Scratch::new("scripts");
    let own = scratch.path().join("loop");
    let line = format!("#!{}\n", own.display());
    refused(&scratch, &executable(&scratch, "loop", line.as_bytes()), 126, "too many levels");
    refused(&scratch, &executable(&scratch, "nobody", b"#!\n"), 126, "no interpreter is named");
    refused(&scratch, &executable(&scratch, "blank", b"#!   \t \n"), 126, "no interpreter is named");
    let folder = format!("#!{}\n", scratch.path().display());
    refused(&scratch, &executable(&scratch, "folder", folder.as_bytes()), 126, "cannot be opened");
}

/// A hundred damaged copies of a real program. They may do anything that a program may, but it is always the
/// program that fails: rxbox neither fails nor hangs, and its child never ends by a fault of its own.
#[test]
fn damage_anywhere_is_the_programs_own_affair() {
    let scratch = Scratch::new("damage");
    let source = scratch.file("p.c", "#include <stdio.h>\nint main(void) { return puts(\"ran\") < 0; }\n");
    let program = scratch.path().join("p");
    assert!(Command::new("gcc").arg("-o").arg(&program).arg(source).status().unwrap().success());
    let whole = std::fs::read(&program).unwrap();
    let mut random = Random::new(1);
    for round in 0..100 {
        let mut image = whole.clone();
        for _ in 0..=random.below(3) {
            // Half of the damage is to the headers.
            let at = if random.one_in(2) { random.index(0x400) } else { random.index(image.len()) };
            image[at] = match random.below(3) {
                0 => 0xff,
                1 => image[at] ^ 1 << random.below(8),
                _ => random.byte(),
            };
        }
        let path = executable(&scratch, "damaged", &image);
        let mut command = Command::new(rxbox());
        let command = command.args(["--profile", "untrusted", "--time-limit", "20", "--"]).arg(&path);
        let out = command.current_dir(scratch.path()).output().unwrap();
        let (status, text) = (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned());
        let kept = || {
            let kept = std::env::temp_dir().join("rxbox-damaged-image");
            std::fs::write(&kept, &image).unwrap();
            format!("round {round}, kept as {}: {status:?} {text}", kept.display())
        };
        assert!(!matches!(status, Some(124 | 125 | 159)), "{}", kept());
        // It ends by a signal only if it says that one ended the program.
        assert!(status.is_some() || text.contains(": killed by SIG"), "{}", kept());
        for word in ["panicked", "emulator:", "violation"] {
            assert!(!text.contains(word), "{}", kept());
        }
    }
}
