//! What `[filesystem]` means, one sentence per test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rxbox_policy::{Access, Policy, Variables, Verdict};
use support::{Host, allows, debian, filesystem, granted, policy, verdict};

const EPERM: i32 = 1;

#[test]
fn each_list_grants_what_its_name_says_to_the_path_and_all_below() {
    for (list, expected) in [
        ("read", &["read", "list", "metadata"][..]),
        ("modify", &["read", "write", "list", "metadata"]),
        ("write", &["read", "write", "attributes", "create", "remove", "list", "metadata"]),
        ("execute", &["read", "execute", "list", "metadata"]),
    ] {
        let p = filesystem(&format!("{list} = [\"/a/b\"]"));
        assert_eq!(granted(&p, "/a/b"), expected, "{list}");
        assert_eq!(granted(&p, "/a/b/c/d"), expected, "{list}");
        assert_eq!(granted(&p, "/a"), ["metadata"], "{list}");
        assert_eq!(granted(&p, "/a/bc"), [""; 0], "{list}");
    }
}

#[test]
fn each_denying_list_takes_away_what_its_name_says_from_the_path_and_all_below() {
    let kept = |list: &str, path: &str| {
        let p = policy(&format!(
            "version = 1\n[filesystem]\nwrite = [\"/a\"]\nexecute = [\"/a\"]\n{list} = [\"/a/b\"]\n\
             [network]\nallow = [\"unix:/a\"]\nbind = [\"unix:/a\"]"
        ));
        granted(&p, path)
    };
    for (list, expected) in [
        ("deny_write", &["read", "execute", "list", "metadata", "connect", "bind"][..]),
        (
            "deny_execute",
            &["read", "write", "attributes", "create", "remove", "list", "metadata", "connect", "bind"],
        ),
        ("deny", &[]),
        ("hidden", &[]),
    ] {
        assert_eq!(kept(list, "/a/b"), expected, "{list}");
        assert_eq!(kept(list, "/a/b/c/d"), expected, "{list}");
        assert_eq!(kept(list, "/a").len(), 10, "{list}");
        assert_eq!(kept(list, "/a/bc").len(), 10, "{list}");
    }
}

#[test]
fn deny_beats_allow_however_specific_and_wherever_written() {
    let p = filesystem("deny = [\"/a\"]\nread = [\"/a/b/c\", \"/a/*\"]");
    assert_eq!(granted(&p, "/a/b/c"), [""; 0]);
    let p = filesystem(
        "write = [\"/w\"]\ndeny_write = [\"/w/ro\"]\nexecute = [\"/w\"]\ndeny_execute = [\"/w/x\"]",
    );
    assert_eq!(granted(&p, "/w/ro/f"), ["read", "execute", "list", "metadata"]);
    assert!(!allows(&p, Access::Execute, "/w/x/f") && allows(&p, Access::Write, "/w/x/f"));
}

#[test]
fn hidden_beats_deny_and_tells_listings_where_to_look() {
    let p = filesystem("read = [\"/\"]\ndeny = [\"/h/.ssh\"]\nhidden = [\"/h/.ssh\", \"/g/*/.key\"]");
    assert_eq!(verdict(&p, Access::Read, "/h/.ssh/id"), Verdict::Hide);
    for (directory, expected) in [
        ("/", true),
        ("/h", true),
        ("/h/x", false),
        ("/g", true),
        ("/g/u", true),
        ("/g/u/v", false),
        ("/u", false),
    ] {
        assert_eq!(p.hides_any_below(directory.as_bytes()), expected, "{directory}");
    }
}

#[test]
fn the_error_of_a_denial_is_the_profile_s_choice() {
    let p = filesystem("denied_error = \"EPERM\"\ndeny = [\"/x\"]");
    assert_eq!(verdict(&p, Access::Read, "/x"), Verdict::Deny { errno: EPERM });
    assert_eq!(verdict(&p, Access::Read, "/y"), Verdict::Deny { errno: EPERM });
}

#[test]
fn a_path_that_is_not_absolute_and_normalised_is_denied() {
    let p = filesystem("write = [\"/\"]");
    for path in ["", "a", "./a", "/a/../b", "/a/.", "/..", "/a/b/c/../../../../etc"] {
        assert!(!allows(&p, Access::Read, path), "{path}");
    }
    assert!(allows(&p, Access::Read, "//a///b/"));
}

#[test]
fn the_most_specific_rule_is_reported() {
    let p = filesystem("read = [\n\"/a\",\n\"/a/b\",\n\"/a/b/*\",\n\"/a/b/c\",\n]");
    for (path, line) in [("/a", 4), ("/a/x", 4), ("/a/b", 5), ("/a/b/x", 6), ("/a/b/c", 7)] {
        assert_eq!(p.path(Access::Read, path.as_bytes()).rule.line, line, "{path}");
    }
    let rule = p.path(Access::Read, b"/a").rule;
    assert_eq!((rule.to_string().as_str(), rule.text), ("test.toml:4", "filesystem.read \"/a\""));
    assert_eq!(p.path(Access::Read, b"/z").rule.to_string(), "default");
    let p = filesystem("read = [\n\"/a/??\",\n\"/a/*\",\n\"/a/[b]*\",\n]");
    assert_eq!(p.path(Access::Read, b"/a/b").rule.line, 4, "the first of equals");
}

#[test]
fn a_directory_does_not_move_out_from_under_a_protection_nor_in() {
    let p = filesystem("write = [\"/w\"]\ndeny_write = [\"/w/a/.git/hooks\"]\nhidden = [\"/w/b/*/.env\"]");
    let moves = |from: &str, to: &str, dir| p.rename(from.as_bytes(), to.as_bytes(), dir).allowed();
    assert!(moves("/w/x", "/w/y", true));
    assert!(!moves("/w/a", "/w/y", true) && !moves("/w/y", "/w/a/.git", true));
    assert!(!moves("/w/b/c", "/w/y", true) && !moves("/w/y", "/w/b", true));
    assert!(moves("/w/a/.git", "/w/y", false));
    assert!(!moves("/w/x", "/v", false) && !moves("/v", "/w/x", false));
}

#[test]
fn a_rule_also_holds_where_its_links_lead() {
    let host = || Host::default().link("/home/u", "/data/u").link("/lib", "usr/lib").link("/loop", "loop");
    let p = host()
        .load(
            "version = 1\n[filesystem]\nread = [\"/lib\", \"/data\", \"/loop\"]\n\
             deny = [\"/home/u/.ssh?\", \"/home/u/*.key\"]",
        )
        .unwrap();
    assert!(allows(&p, Access::Read, "/usr/lib/libc.so"));
    assert!(!allows(&p, Access::Read, "/data/u/.ssh/id") && !allows(&p, Access::Read, "/data/u/a.key"));
    assert!(allows(&p, Access::Read, "/data/u/a"));
    assert_eq!(granted(&p, "/lib"), ["metadata"]);
}

#[test]
fn a_link_that_the_guest_could_have_planted_grants_nothing() {
    let host = Host::default().link("/w/in", "/home/u/.ssh").link("/v/out", "/etc").link("/alias", "/w");
    let p =
        host.load("version = 1\n[filesystem]\nwrite = [\"/alias\"]\nread = [\"/w/in\", \"/v/out\"]").unwrap();
    assert!(allows(&p, Access::Write, "/w/file") && !allows(&p, Access::Remove, "/alias"));
    assert!(!allows(&p, Access::Read, "/home/u/.ssh") && !allows(&p, Access::Metadata, "/home/u"));
    assert!(allows(&p, Access::Read, "/etc/x"));
}

#[test]
fn links_in_proc_are_the_supervisor_s_and_are_not_followed() {
    let p = debian().load("version = 1\n[filesystem]\nwrite = [\"/dev/stdin\", \"/proc/self\"]").unwrap();
    assert!(allows(&p, Access::Write, "/proc/self/fd/0"));
    assert!(!allows(&p, Access::Metadata, "/proc/4711/mem") && !allows(&p, Access::Read, "/dev/pts/3"));
}

#[test]
fn a_listed_path_must_exist_unless_it_says_otherwise() {
    let load = |text: &str| Host::default().missing("/x").load(&format!("version = 1\n{text}"));
    assert!(load("[filesystem]\ndeny = [\"/x\"]").unwrap_err().to_string().contains("/x does not exist"));
    assert!(load("[network]\nallow = [\"unix:/x\"]").is_err());
    for fine in ["[filesystem]\nread = [\"/x?\", \"/x/*\"]", "[network]\nbind = [\"unix:/x\"]"] {
        assert!(load(fine).is_ok(), "{fine}");
    }
}

#[test]
fn variables_stand_for_names_and_never_for_patterns() {
    let odd = Variables { cwd: Some("/w/[ab]*".into()), ..Variables::default() };
    let host =
        Host::default().text("/p/t.toml", "version = 1\n[filesystem]\nread = [\"${CWD}/x\", \"${HOME}/y?\"]");
    let p = Policy::load("/p/t.toml", &host, &odd).unwrap();
    assert!(allows(&p, Access::Read, "/w/[ab]*/x"));
    assert!(!allows(&p, Access::Read, "/w/a/x") && !allows(&p, Access::Read, "/y"));
}
