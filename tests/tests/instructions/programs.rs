//! C programs that use instructions in ways that cases cannot show: many branches, threads, signals, time.

use rxbox_tests::{Program, Ran, Scratch, difference};
use rxbox_translate::emit::stubs::{first_index, second_index};
use std::collections::HashMap;
use std::process::Command;

/// A compiled guest in its folder.
struct Guest {
    scratch: Scratch,
    path: String,
}

impl Guest {
    fn new(name: &str, flags: &[&str]) -> Guest {
        let scratch = Scratch::new(name);
        let path = scratch.path().join(name).to_string_lossy().into_owned();
        let source = format!("{}/guests/{name}.c", env!("CARGO_MANIFEST_DIR"));
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-Wall", "-Wno-infinite-recursion", "-mcx16", "-pthread", "-o", &path, &source])
            .args(flags);
        assert!(gcc.status().unwrap().success(), "{name} does not compile");
        std::fs::create_dir(scratch.path().join("w")).unwrap();
        Guest { scratch, path }
    }

    fn program(&self, arguments: &[String]) -> Program {
        let argv: Vec<&str> = std::iter::once(&*self.path).chain(arguments.iter().map(|a| &**a)).collect();
        Program::new(&self.scratch.path().join("w"), &argv)
    }

    /// Runs it both ways, which must end well and print the same.
    fn same(&self, arguments: &[String]) {
        let program = self.program(arguments);
        let (native, boxed) = (program.native(), program.boxed("permissive"));
        assert_eq!(native.status, 0, "natively: {}{}", native.out(), native.err());
        assert!(
            native.stdout == boxed.stdout,
            "{}{}",
            difference(&native.stdout, &boxed.stdout),
            boxed.err()
        );
        assert_eq!(boxed.status, 0, "{}", boxed.err());
    }
}

/// Addresses in a window at `base` that share the first level's index, and of which pairs share the second
/// level's too.
fn colliding(base: u64) -> Vec<String> {
    let mut groups: HashMap<u64, Vec<u64>> = HashMap::new();
    for address in (0..4096).map(|k| base + 0x1_0040 + k * 0x1_0000) {
        assert_eq!(first_index(address), first_index(base + 0x40));
        groups.entry(second_index(address)).or_default().push(address);
    }
    let (mut pairs, alone): (Vec<_>, Vec<_>) = groups.into_values().partition(|group| group.len() > 1);
    assert!(pairs.len() > 8, "too few collisions to show anything");
    pairs.sort();
    let mut chosen: Vec<u64> = pairs[..8].concat();
    let mut alone: Vec<u64> = alone.concat();
    alone.sort_unstable();
    chosen.extend(&alone[..8]);
    chosen.extend((0..16).map(|k| base + 0x80 + k * 0x40));
    std::iter::once(base).chain(chosen).map(|address| format!("{address:x}")).collect()
}

#[test]
fn returns_that_collide_in_either_table_find_their_targets() {
    let guest = Guest::new("instructions_branches", &[]);
    for base in [0x3000_0000, 0x1234_5600_0000] {
        guest.same(&colliding(base));
    }
}

#[test]
fn locked_instructions_are_atomic_and_long_strings_survive_signals() {
    for flags in [&["-static", "-no-pie"][..], &["-pie", "-fPIE"]] {
        Guest::new("instructions_special", flags).same(&[]);
    }
}

#[test]
fn features_that_are_not_carried_are_hidden() {
    let guest = Guest::new("instructions_special", &[]);
    let Ran { status, stdout, .. } = guest.program(&["hidden".to_string()]).boxed("permissive");
    assert_eq!(status, 0, "{}", String::from_utf8_lossy(&stdout));
    assert_eq!(stdout.iter().filter(|&&b| b == b'\n').count(), 4);
}

#[test]
fn traps_find_the_state_that_they_find_natively() {
    let guest = Guest::new("instructions_state", &["-w"]);
    for way in [
        "single_step",
        "sigreturn_sets",
        "flags",
        "sigreturn_flags",
        "gs",
        "encodings",
        "targets",
        "wild_targets",
        "far",
        "prefixes",
        "system_call",
        "x87",
        "x87_frame",
    ] {
        guest.same(&[way.to_string()]);
    }
    let vsyscall = std::fs::read_to_string("/proc/self/maps").unwrap().contains("[vsyscall]");
    if vsyscall {
        guest.same(&["vsyscall".to_string()]);
    }
}
