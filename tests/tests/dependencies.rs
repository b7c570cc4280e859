//! Holds the direction of dependencies between the crates of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Which of our crates each of our crates may use, directly.
const ALLOWED: &[(&str, &[&str])] = &[
    ("rxbox-wire", &[]),
    ("rxbox-seccomp", &[]),
    ("rxbox-policy", &["rxbox-wire"]),
    ("rxbox-translate", &[]),
    ("rxbox-emulator-core", &["rxbox-seccomp", "rxbox-translate", "rxbox-wire"]),
    ("rxbox", &["rxbox-emulator-core", "rxbox-policy", "rxbox-seccomp", "rxbox-wire"]),
    ("rxbox-tests", &["rxbox-translate", "rxbox-wire"]),
];

/// Crates that do I/O or reach the host, which pure crates must not use (beyond constants, which libc is
/// for).
const IMPURE: &[&str] = &["nix", "caps", "seccompiler", "rustix"];

/// The direct dependencies (without dev-dependencies) of each crate of the workspace, by `cargo tree`.
fn dependencies(name: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal,build",
            "--depth",
            "1",
            "--prefix",
            "none",
            "-p",
            name,
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().skip(1).filter_map(|l| l.split(' ').next()).map(String::from).collect()
}

#[test]
fn crates_depend_on_each_other_only_in_the_allowed_direction() {
    let ours: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    for (name, allowed) in &ours {
        for dependency in dependencies(name) {
            if ours.contains_key(dependency.as_str()) {
                assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
            }
        }
    }
}

#[test]
fn pure_crates_use_nothing_that_reaches_the_host() {
    for name in ["rxbox-wire", "rxbox-policy", "rxbox-translate"] {
        for dependency in dependencies(name) {
            assert!(!IMPURE.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn pure_crates_forbid_unsafe_code() {
    for lib in
        ["wire/src/lib.rs", "seccomp/src/lib.rs", "policy/src/lib.rs", "emulator-core/translate/src/lib.rs"]
    {
        let text = std::fs::read_to_string(format!("{}/../{lib}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{lib}");
    }
}
