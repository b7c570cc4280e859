//! Places whose changes the host does not see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rxbox_policy::{Access, Make, Overrides, Policy, Source, Verdict};
use support::{Host, allows, filesystem, granted, messages, verdict};

const EBUSY: Verdict = Verdict::Deny { errno: 16 };
const EXDEV: Verdict = Verdict::Deny { errno: 18 };

fn points(policy: &Policy) -> Vec<(String, Source)> {
    let points = policy.mounts().points();
    points.map(|(path, source)| (path.display().to_string(), source)).collect()
}

fn overlaid(policy: &Policy) -> Vec<String> {
    policy.mounts().overlays().map(|(path, _)| path.display().to_string()).collect()
}

/// The policy of a run that tries.
fn tried(host: Host, body: &str) -> Result<Policy, rxbox_policy::Diagnostics> {
    let text = format!("version = 1\n[filesystem]\n{body}\n");
    host.load_with(&text, &Overrides::default().trying())
}

#[test]
fn an_overlay_grants_what_write_grants_but_to_its_own_name() {
    let policy = filesystem("overlay = [\"/w\"]");
    let written = filesystem("write = [\"/w\"]");
    assert_eq!(granted(&policy, "/w/a/b"), granted(&written, "/w/a/b"));
    for access in [Access::Create, Access::Remove, Access::Bind] {
        assert_eq!(verdict(&policy, access, "/w"), EBUSY, "{access}");
    }
    assert!(allows(&policy, Access::Attributes, "/w") && allows(&policy, Access::List, "/w"));
    let rule = policy.path(Access::Write, b"/w/x").rule;
    assert_eq!((rule.text, rule.line), ("filesystem.overlay \"/w\"", 3));
    assert_eq!(points(&policy), [("/w".to_owned(), Source::Overlay(0))]);
    // Nor does who may write around it take the place away, or put something in its place.
    let policy = filesystem("write = [\"/\"]\noverlay = [\"/w/x\"]");
    assert_eq!(verdict(&policy, Access::Remove, "/w/x"), EBUSY);
    assert!(!policy.rename(b"/w/x", b"/w/y").allowed() && !policy.rename(b"/w/y", b"/w/x").allowed());
}

#[test]
fn denials_hold_in_overlays_and_rights_of_other_entries_do() {
    let policy = filesystem(
        "overlay = [\"/w\"]\nexecute = [\"/w/bin\"]\ndeny_write = [\"/w/.git\"]\nhidden = [\"/w/secret\"]",
    );
    assert!(allows(&policy, Access::Execute, "/w/bin/x") && allows(&policy, Access::Write, "/w/bin/x"));
    assert!(!allows(&policy, Access::Execute, "/w/x") && !allows(&policy, Access::Write, "/w/.git/x"));
    assert_eq!(verdict(&policy, Access::Read, "/w/secret"), Verdict::Hide);
    assert_eq!(points(&policy).len(), 1);
}

#[test]
fn nothing_moves_between_an_overlay_and_other_places() {
    let policy = filesystem("write = [\"/\"]\nprivate = [\"/tmp\"]\noverlay = [\"/w\", \"/v\"]");
    for (from, to) in [("/w/x", "/home/x"), ("/home/x", "/w/x"), ("/w/x", "/v/x"), ("/w/x", "/tmp/x")] {
        let (from, to) = (from.as_bytes(), to.as_bytes());
        assert_eq!(policy.rename(from, to).verdict, EXDEV);
        assert_eq!(policy.link(Make::File, from, to).verdict, EXDEV);
    }
    assert!(policy.rename(b"/w/x", b"/w/y").allowed());
}

#[test]
fn the_most_specific_place_counts() {
    let policy = filesystem("private = [\"/w/tmp\", \"/p\"]\noverlay = [\"/w\", \"/p/data\", \"/w/inner\"]");
    assert_eq!(overlaid(&policy), ["/w", "/p/data"]);
    for (path, source) in [("/w/inner/x", 2), ("/p/data/x", 3)] {
        assert_eq!(policy.mounts().of(path.as_bytes()), Source::Overlay(source), "{path}");
    }
    assert_eq!(policy.mounts().of(b"/w/tmp/x"), Source::Private(0));
    // Only what the overlay grants, and not all that a private place does.
    assert!(!allows(&policy, Access::Execute, "/p/data/x") && allows(&policy, Access::Execute, "/p/x"));
    let base = "version = 1\n[filesystem]\nprivate = [\"/w\"]\n";
    let host = Host::default().text("/p/base.toml", base);
    let text = "version = 1\nextends = [\"./base.toml\"]\n[filesystem]\noverlay = [\"/w\"]\n";
    assert_eq!(overlaid(&host.load(text).unwrap()), ["/w"]);
    let both = "version = 1\n[filesystem]\nprivate = [\"/tmp\"]\noverlay = [\"/tmp\"]";
    assert_eq!(messages(both), ["it is also named by `filesystem.overlay \"/tmp\"` (/p/test.toml:4)"]);
}

#[test]
fn what_cannot_be_overlaid_is_an_error_with_its_place() {
    let shown = |entry: &str, host: Host| {
        host.load(&format!("version = 1\n[filesystem]\noverlay = [\"{entry}\"]\n")).unwrap_err().to_string()
    };
    for (entry, message) in [
        ("/", "/ cannot be overlaid"),
        ("/proc/self", "/proc/self cannot be overlaid"),
        ("/sys", "/sys cannot be overlaid"),
        ("/dev/pts", "/dev/pts cannot be overlaid"),
        ("/tmp/*", "an overlaid place has no wildcards"),
        ("rel", "a path begins with `/`, `~` or a variable"),
    ] {
        let text = shown(entry, Host::default());
        assert!(text.contains("/p/test.toml:3:12"), "{text}");
        assert!(text.contains(message) || entry == "rel", "{text}");
    }
    let text = shown("/w", Host::default().missing("/w"));
    assert!(text.contains("/w does not exist") && text.contains("end it in `?`"), "{text}");
    let text = shown("/w/file", Host::default().file("/w/file"));
    assert!(text.contains("/w/file is no directory") && text.contains("name the one it is in"), "{text}");
    let misspelled = Host::default().load("version = 1\n[filesystem]\noverlya = [\"/w\"]\n").unwrap_err();
    assert!(misspelled.to_string().contains("did you mean `overlay`?"), "{misspelled}");
    let may_be_missing = "version = 1\n[filesystem]\noverlay = [\"/w?\"]\n";
    assert!(Host::default().missing("/w").load(may_be_missing).unwrap().mounts().is_empty());
}

#[test]
fn what_is_mounted_below_is_overlaid_by_itself() {
    let host = || Host::default().mounted("/w/disk").mounted("/w").mounted("/w/disk/deep").mounted("/x");
    let policy = host().load("version = 1\n[filesystem]\noverlay = [\"/w\"]").unwrap();
    assert_eq!(overlaid(&policy), ["/w", "/w/disk", "/w/disk/deep"]);
    assert_eq!(policy.rename(b"/w/a", b"/w/disk/a").verdict, EXDEV);
    assert_eq!(verdict(&policy, Access::Remove, "/w/disk"), EBUSY);
    // A file cannot be: it may be seen, and must stay as it is.
    let file = || host().mounted("/w/hosts").file("/w/hosts");
    let text = file().load("version = 1\n[filesystem]\noverlay = [\"/w\"]").unwrap_err().to_string();
    assert!(text.contains("/w/hosts is a file that is mounted by itself"), "{text}");
    assert!(text.contains("deny_write = [\"/w/hosts\"] keeps it as it is"), "{text}");
    let denied = "version = 1\n[filesystem]\noverlay = [\"/w\"]\ndeny_write = [\"/w/hosts\"]";
    let policy = file().load(denied).unwrap();
    assert_eq!(policy.mounts().of(b"/w/hosts"), Source::Host);
    let hidden = "version = 1\n[filesystem]\noverlay = [\"/w\"]\nhidden = [\"/w/disk\"]";
    assert_eq!(overlaid(&host().load(hidden).unwrap()), ["/w"]);
    let many = (0..70).fold(Host::default(), |host, n| host.mounted(&format!("/w/{n:02}")));
    let text = many.load("version = 1\n[filesystem]\noverlay = [\"/w\"]").unwrap_err().to_string();
    assert!(text.contains("more than 64 overlays"), "{text}");
}

#[test]
fn a_run_that_tries_overlays_every_place_that_may_be_written() {
    let host = || Host::default().missing("/h/.npmrc").file("/h/f");
    let body = "read = [\"/usr\"]\nwrite = [\"/w\", \"/w/in\", \"/h/.npmrc?\", \"/srv/**/out\", \
        \"/dev/null\"]\n\
        modify = [\"/h/f\"]";
    let policy = tried(host(), body).unwrap();
    assert_eq!(overlaid(&policy), ["/w", "/h", "/srv"]);
    // It may write nothing more than it did.
    assert!(!allows(&policy, Access::Write, "/h/x") && allows(&policy, Access::Create, "/h/.npmrc"));
    assert_eq!(policy.notes(), [""; 0]);
    let everything = tried(host(), "write = [\"/\"]").unwrap_err().to_string();
    assert!(everything.contains("this cannot be tried: / cannot be overlaid"), "{everything}");
    assert!(everything.contains("--allow-write DIRECTORY"), "{everything}");
    let private = tried(host(), "private = [\"/tmp\"]\nwrite = [\"/tmp/work\", \"/tmp/no/*\"]").unwrap();
    assert_eq!(overlaid(&private), ["/tmp/work"]);
    let file = Host::default().file("/tmp/f");
    let text = tried(file, "private = [\"/tmp\"]\nwrite = [\"/tmp/f\"]").unwrap_err().to_string();
    assert!(text.contains("/tmp/f cannot be overlaid by itself"), "{text}");
}
