//! Places of the run's own, and what of the host's files is shown in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rxbox_policy::{Access, Make, Overrides, Source, Verdict};
use rxbox_policy::{OverrideOption, Policy};
use support::{Host, allows, filesystem, granted, messages, verdict};

const ALL: [&str; 10] =
    ["read", "write", "attributes", "create", "remove", "execute", "list", "metadata", "connect", "bind"];

fn points(policy: &Policy) -> Vec<(String, Source)> {
    let points = policy.mounts().points();
    points.map(|(path, source)| (path.display().to_string(), source)).collect()
}

#[test]
fn everything_is_allowed_in_a_private_place_but_to_its_own_name() {
    let policy = filesystem("private = [\"/tmp\"]");
    assert_eq!(granted(&policy, "/tmp/a/b"), ALL);
    assert_eq!(
        granted(&policy, "/tmp"),
        ["read", "write", "attributes", "execute", "list", "metadata", "connect"]
    );
    assert_eq!(granted(&policy, "/tmpx"), [""; 0]);
    assert!(policy.make(Make::Link, b"/tmp/link").allowed());
    let rule = policy.path(Access::Write, b"/tmp/x").rule;
    assert_eq!((rule.text, rule.line), ("filesystem.private \"/tmp\"", 3));
    // Nobody takes the place away, whoever may write around it.
    let policy = filesystem("write = [\"/home/u\"]\nprivate = [\"/home/u/.cache\"]");
    assert_eq!(verdict(&policy, Access::Remove, "/home/u/.cache"), Verdict::Deny { errno: libc_ebusy() });
    assert!(!policy.rename(b"/home/u/.cache", b"/home/u/old").allowed());
}

fn libc_ebusy() -> i32 {
    16
}

#[test]
fn what_else_is_named_there_is_the_host_s_and_has_the_rights_of_its_entries_alone() {
    let policy = filesystem("private = [\"/tmp\"]\nread = [\"/tmp/a/input\"]\nwrite = [\"/tmp/out?\"]");
    assert_eq!(granted(&policy, "/tmp/a/input/x"), ["read", "list", "metadata"]);
    assert_eq!(granted(&policy, "/tmp/a/input"), ["read", "list", "metadata"]);
    assert_eq!(granted(&policy, "/tmp/a/inputs"), ALL);
    assert!(!allows(&policy, Access::Execute, "/tmp/out/x") && allows(&policy, Access::Create, "/tmp/out"));
    let expected = [("/tmp", Source::Private(0)), ("/tmp/a/input", Source::Host), ("/tmp/out", Source::Host)];
    assert_eq!(points(&policy), expected.map(|(path, source)| (path.to_owned(), source)));
}

#[test]
fn denials_hold_in_private_places() {
    let policy =
        filesystem("private = [\"/tmp\"]\ndeny_execute = [\"/tmp\"]\nhidden = [\"/tmp/.X11-unix?\"]");
    assert!(!allows(&policy, Access::Execute, "/tmp/x") && allows(&policy, Access::Write, "/tmp/x"));
    assert_eq!(verdict(&policy, Access::Connect, "/tmp/.X11-unix/X0"), Verdict::Hide);
}

#[test]
fn nothing_moves_between_a_private_place_and_the_host_s_files() {
    let policy = filesystem("write = [\"/\"]\nprivate = [\"/tmp\", \"/var/tmp\"]\nread = [\"/tmp/in\"]");
    let exdev = Verdict::Deny { errno: 18 };
    for (from, to) in
        [("/tmp/x", "/home/x"), ("/home/x", "/tmp/x"), ("/tmp/x", "/var/tmp/x"), ("/tmp/in/x", "/tmp/x")]
    {
        let (from, to) = (from.as_bytes(), to.as_bytes());
        assert_eq!(policy.rename(from, to).verdict, exdev);
        assert_eq!(policy.link(Make::File, from, to).verdict, exdev);
    }
    assert!(
        policy.rename(b"/tmp/x", b"/tmp/y").allowed() && policy.rename(b"/tmp/in/x", b"/home/x").allowed()
    );
    // What shows the host's files is not carried away.
    assert!(!policy.rename(b"/tmp/in", b"/tmp/old").allowed());
}

#[test]
fn the_later_of_a_private_place_and_an_entry_of_the_same_name_counts() {
    let base = "version = 1\n[filesystem]\nprivate = [\"/tmp\"]\n";
    let host = || Host::default().text("/p/base.toml", base);
    let text = |body: &str| format!("version = 1\nextends = [\"./base.toml\"]\n[filesystem]\n{body}\n");
    let taken_back = host().load(&text("write = [\"/tmp\"]")).unwrap();
    assert!(taken_back.mounts().is_empty() && !allows(&taken_back, Access::Execute, "/tmp/x"));
    let option = OverrideOption::by_flag("--private").unwrap().with("/tmp").unwrap();
    let overrides: Overrides = [option].into_iter().collect();
    let made = host().load_with(&text("write = [\"/tmp\"]"), &overrides).unwrap();
    assert_eq!(points(&made), [("/tmp".to_owned(), Source::Private(0))]);
    let both = "version = 1\n[filesystem]\nprivate = [\"/tmp\"]\nread = [\"/tmp\"]";
    assert_eq!(messages(both), ["it is also named by `filesystem.read \"/tmp\"` (/p/test.toml:4)"]);
}

#[test]
fn a_pattern_in_a_private_place_shows_nothing_and_says_so() {
    let policy = filesystem("private = [\"/tmp\"]\nread = [\"/tmp/in*\"]");
    assert_eq!(points(&policy).len(), 1);
    assert_eq!(
        policy.notes(),
        ["`filesystem.read \"/tmp/in*\"` (/p/test.toml:4) shows nothing of the host's, since \
         `filesystem.private \"/tmp\"` (/p/test.toml:3) makes that private: name without wildcards what is \
         to be shown"]
    );
}

#[test]
fn what_cannot_be_private_is_an_error_and_what_may_be_missing_is_none() {
    let private = |entry: &str| messages(&format!("version = 1\n[filesystem]\nprivate = [\"{entry}\"]"));
    assert_eq!(private("/"), ["/ cannot be private"]);
    assert_eq!(private("/proc/self"), ["/proc/self cannot be private"]);
    assert_eq!(private("/tmp/*"), ["a private place has no wildcards"]);
    let load = |entry: &str| {
        Host::default().missing("/x").load(&format!("version = 1\n[filesystem]\nprivate = [\"{entry}\"]"))
    };
    assert_eq!(load("/x").unwrap_err().0[0].message, "/x does not exist");
    assert!(load("/x?").unwrap().mounts().is_empty());
}

#[test]
fn links_lead_to_and_through_private_places() {
    let host = Host::default().link("/var/tmp", "/tmp").link("/tmp/in", "/data/in");
    let text = "version = 1\n[filesystem]\nprivate = [\"/var/tmp\"]\nread = [\"/tmp/in/x\"]";
    let policy = host.load(text).unwrap();
    let expected = [("/tmp", Source::Private(0)), ("/tmp/in", Source::Host)];
    assert_eq!(points(&policy), expected.map(|(path, source)| (path.to_owned(), source)));
    assert_eq!(granted(&policy, "/data/in/x"), ["read", "list", "metadata"]);
    assert_eq!(granted(&policy, "/tmp/in"), ["metadata"]);
}

#[test]
fn the_program_and_the_working_directory_are_always_shown() {
    let policy = filesystem("write = [\"/\"]\nexecute = [\"/\"]\nprivate = [\"/home\", \"/opt\"]");
    let shown: Vec<_> = points(&policy).into_iter().filter(|(_, source)| *source == Source::Host).collect();
    let names: Vec<_> = shown.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["/opt/app/bin/app", "/home/u/work"]);
}
