//! What a CI job gets of a step in rxbox: the step's status, what was denied as its service shows it, and
//! nothing that the step could say to the service itself.

use rxbox_tests::{Scratch, rxbox};
use std::path::Path;
use std::process::Command;

/// The status and the output of a step.
fn step(scratch: &Scratch, run: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/ci-step.sh");
    let output = Command::new("sh")
        .arg(script)
        .current_dir(scratch.path())
        .env_remove("GITHUB_ACTIONS")
        .envs([("RXBOX_RUN", run), ("RXBOX_AUDIT", "audit.jsonl")])
        .env("RXBOX", rxbox())
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

const GITHUB: (&str, &str) = ("GITHUB_ACTIONS", "true");
const PROFILE: &str = "version = 1\nextends = [\"untrusted\"]\n[filesystem]\ndeny = [\"/etc/hostname\"]\n";
const READS: &str = "cat /etc/hostname 2>/dev/null || true";

#[test]
fn a_denial_is_an_annotation_at_the_line_of_the_profile() {
    let scratch = Scratch::new("ci");
    let inside = |run: &str, variables: &[(&str, &str)]| {
        let all = [&[("RXBOX_PROFILE", "./ci.toml")], variables].concat();
        step(&scratch, run, &all)
    };
    scratch.file("ci.toml", PROFILE);
    let (status, said) = inside(READS, &[GITHUB]);
    assert_eq!(status, Some(0), "{said}");
    let annotation = "::error file=ci.toml,line=4,title=denied by rxbox::read /etc/hostname (openat, pid ";
    assert!(said.lines().any(|line| line.starts_with(annotation)), "{said}");
    let (status, said) = inside(READS, &[GITHUB, ("RXBOX_ON_DENIAL", "fail")]);
    assert_eq!(status, Some(1), "{said}");
    let (status, said) = inside(READS, &[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("rxbox denied:\n  read /etc/hostname (openat, cat) by ci.toml:4\n"), "{said}");
    let (status, said) = inside("echo well", &[("RXBOX_ON_DENIAL", "fail")]);
    assert_eq!((status, &*said), (Some(0), "well\n"));
    assert_eq!(inside("exit 7", &[]).0, Some(7));
    assert_eq!(inside("true", &[("RXBOX_ON_DENIAL", "perhaps")]).0, Some(125));
    assert_eq!(inside("true", &[("RXBOX_PROFILE", "./none.toml")]).0, Some(125));
}

#[test]
fn what_a_step_prints_is_no_command_to_the_service_and_no_name_forges_an_annotation() {
    let scratch = Scratch::new("ci-hostile");
    let hostile =
        "echo ::error::forged; cat '/etc/shadow%0A' $'/root/x\\n::error::forged' 2>/dev/null || true";
    let (status, said) = step(&scratch, hostile, &[GITHUB]);
    assert_eq!(status, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let token = lines.first().and_then(|line| line.strip_prefix("::stop-commands::")).expect("a token");
    assert_eq!(token.len(), 32);
    let end = lines.iter().position(|line| *line == format!("::{token}::")).expect("the end of the step");
    let forged = lines.iter().position(|line| *line == "::error::forged").expect("what the step prints");
    assert!(forged < end, "{said}");
    assert!(!lines[end..].contains(&"::error::forged"), "{said}");
    assert!(lines[end..].iter().any(|line| line.contains("read /etc/shadow%250A (")), "{said}");
    assert!(lines[end..].iter().any(|line| line.contains("/root/x\\x0a::error::forged (")), "{said}");
}
