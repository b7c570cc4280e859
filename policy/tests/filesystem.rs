//! What `[filesystem]` means, one sentence per test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rxbox_policy::{Access, DeniedWhat, Make, Policy, Variables, Verdict, gains};
use support::{Host, allows, debian, filesystem, granted, messages, policy, verdict};

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EXDEV: i32 = 18;

#[test]
fn each_list_grants_what_its_name_says_to_the_path_and_all_below() {
    for (list, expected) in [
        ("read", &["read", "list", "metadata"][..]),
        ("modify", &["read", "write", "list", "metadata"]),
        ("write", &["read", "write", "attributes", "create", "remove", "list", "metadata"]),
        ("execute", &["read", "execute", "list", "metadata"]),
    ] {
        let p = filesystem(&format!("{list} = [\"/a/b\"]"));
        let kept = granted(&p, "/a/b");
        assert!(kept.iter().eq(expected.iter().filter(|a| **a != "remove")), "{list}: {kept:?}");
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
        assert_eq!(kept(list, "/a").len(), 9, "{list}: all but the right to remove it");
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
fn nothing_moves_out_from_under_a_rule_nor_in() {
    let p = filesystem(
        "write = [\"/w\"]\ndeny_write = [\"/w/a/.git/hooks\"]\nhidden = [\"/w/b/*/.env\", \"/w/d/**/x/y\"]",
    );
    for (from, to, errno) in [
        ("/w/x", "/w/y", 0),
        ("/w/a", "/w/y", EXDEV),
        ("/w/y", "/w/a/.git", EXDEV),
        ("/w/a/.git", "/w/y", EXDEV),
        ("/w/a/.git/index.lock", "/w/a/.git/index", 0),
        ("/w/a/.git/x", "/w/a/.git/hooks", EACCES),
        ("/w/b", "/w/y", EXDEV),
        ("/w/y", "/w/b", EXDEV),
        // What moves beside itself keeps all rules below it.
        ("/w/b/c", "/w/b/e", 0),
        ("/w/b/c", "/w/y", EXDEV),
        ("/w/y", "/w/b/c", EXDEV),
        ("/w/d/a", "/w/d/b/c", 0),
        ("/w/d/a", "/w/d/x", EXDEV),
        ("/w/d/x", "/w/d/a/x", 0),
        ("/w/x", "/v", EACCES),
        ("/v", "/w/x", EACCES),
        ("/w", "/w/x", EBUSY),
        ("/w/x", "/w", EBUSY),
    ] {
        let found = p.rename(from.as_bytes(), to.as_bytes()).verdict.errno().unwrap_or(0);
        assert_eq!(found, errno, "{from} {to}");
    }
}

#[test]
fn nothing_gets_a_right_by_another_name() {
    let p = policy(
        "version = 1\n[filesystem]\nwrite = [\"/w\"]\nexecute = [\"/w/bin\"]\n\
         [network]\nallow = [\"unix:/w/app.sock\", \"unix:/w/open\"]\ndeny = [\"unix:/w/open/agent\"]\n\
         bind = [\"unix:/w/own\"]",
    );
    for (from, to, errno) in [
        ("/w/agent", "/w/app.sock", EXDEV),
        ("/w/open/agent", "/w/open/x", EXDEV),
        ("/w/open/x", "/w/open/y", 0),
        ("/w/x", "/w/own/x", EXDEV),
        ("/w/x", "/w/bin/x", EXDEV),
        ("/w/bin/x", "/w/x", 0),
        ("/w/x", "/w/y", 0),
    ] {
        let (a, b) = (from.as_bytes(), to.as_bytes());
        assert_eq!(p.rename(a, b).verdict.errno().unwrap_or(0), errno, "{from} {to}");
        assert_eq!(p.link(Make::File, a, b).verdict.errno().unwrap_or(0), errno, "{from} {to}");
    }
}

#[test]
fn what_leads_to_something_denied_is_made_as_a_directory_only() {
    let p = filesystem(
        "write = [\"/w\"]\ndeny_write = [\"/w/.git/hooks\", \"/w/**/.env\"]\ndeny_execute = [\"/v/x\"]",
    );
    let makes = |path: &str| {
        [Make::Directory, Make::File, Make::Link].map(|what| p.make(what, path.as_bytes()).allowed())
    };
    assert_eq!(makes("/w/.git"), [true, false, false]);
    assert_eq!(makes("/w/.git/hooks"), [false; 3]);
    // Any name may be one on the way for `**`; but for links, files could never be made there.
    assert_eq!(makes("/w/x"), [true, true, false]);
    assert_eq!(makes("/w/x/.env/y"), [false; 3]);
    assert_eq!(makes("/v"), [false; 3]);
    let p = filesystem("write = [\"/w\"]\ndeny = [\"/w/a/b\"]");
    let link = |path: &str| p.make(Make::Link, path.as_bytes()).allowed();
    assert!(link("/w/x") && link("/w/a/x") && !link("/w/a"));
}

#[test]
fn an_entry_s_own_name_stays() {
    let host = Host::default().link("/alias", "/w");
    let p = host
        .load("version = 1\n[filesystem]\nwrite = [\"/alias\", \"/v/*\"]\nread = [\"/w/in\", \"/w/no?\"]")
        .unwrap();
    for (path, errno) in [("/w", EBUSY), ("/w/in", EBUSY), ("/w/x", 0), ("/v/x", 0), ("/alias", EACCES)] {
        let verdict = p.path(Access::Remove, path.as_bytes()).verdict;
        assert_eq!(verdict.errno().unwrap_or(0), errno, "{path}");
    }
    let made = |what, path: &str| p.make(what, path.as_bytes()).verdict.errno().unwrap_or(0);
    assert_eq!(made(Make::Link, "/w/no"), EBUSY);
    assert_eq!([made(Make::Directory, "/w/no"), made(Make::File, "/w/no"), made(Make::Link, "/w/x")], [0; 3]);
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
fn a_denial_holds_where_the_links_that_its_wildcards_match_lead() {
    let host = || {
        Host::default()
            .link("/gl/home/alice", "../data/alice")
            .link("/gl/home/bob/.ssh", "/gl/data/keys")
            .link("/gl/home/loop", "loop")
            .link("/gl/srv/a/secret.key", "../../data/secret")
            .link("/gl/data/alice/.ssh", "/gl/deep")
    };
    let p = host()
        .load(
            "version = 1\n[filesystem]\nread = [\"/gl\"]\n\
             deny = [\"/gl/home/*/.ssh\", \"/gl/srv/*/secret.key\", \"/gl/home/*/**/x\", \"/gl/srv/*/*/y\"]",
        )
        .unwrap();
    for path in
        ["/gl/home/alice/.ssh", "/gl/data/alice/.ssh/id", "/gl/deep/id", "/gl/data/keys", "/gl/data/secret"]
    {
        assert!(!allows(&p, Access::Read, path), "{path}");
    }
    for path in ["/gl/data/alice/x", "/gl/data/alice/a/b/x", "/gl/data/secret/y"] {
        assert!(!allows(&p, Access::Read, path), "{path}");
    }
    for path in ["/gl/data/alice", "/gl/data/bob/.ssh", "/gl/data/x"] {
        assert!(allows(&p, Access::Read, path), "{path}");
    }
}

#[test]
fn the_links_on_the_way_to_an_entry_can_be_seen() {
    let host = Host::default().link("/a", "/b").link("/b", "c").link("/d/e", "../a/f");
    let p = host.load("version = 1\n[filesystem]\nread = [\"/d/e\"]").unwrap();
    assert!(allows(&p, Access::Read, "/c/f/x") && !allows(&p, Access::Metadata, "/c/x"));
    for link in ["/d/e", "/a", "/b"] {
        assert_eq!(granted(&p, link), ["metadata"], "{link}");
    }
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
fn a_denial_that_another_spelling_gets_around_is_refused() {
    let load = |text: &str| {
        let mut host = Host::default().link("/w/usb", "/media/usb");
        host.free.insert("/media/usb".into());
        host.load(&format!("version = 1\n[filesystem]\n{text}")).map_err(|e| e.to_string())
    };
    for refused in [
        "write = [\"/media\"]\ndeny = [\"/media/usb/Secret\"]",
        "write = [\"/media/usb\"]\nhidden = [\"/media/usb/*.key\"]",
        "read = [\"/media\"]\ndeny_write = [\"/w/usb/x/y\"]",
        "read = [\"/\"]\ndeny = [\"/*/usb/x\", \"/media/*/x\"]",
    ] {
        let error = load(refused).unwrap_err();
        assert!(error.contains("this cannot hold") && error.contains("vfat"), "{refused}: {error}");
    }
    for fine in [
        "write = [\"/media\"]\ndeny = [\"/media/usb\"]",
        "write = [\"/w\"]\ndeny = [\"/media/usb/Secret\"]",
        "write = [\"/media/usb\"]",
    ] {
        assert!(load(fine).is_ok(), "{fine}");
    }
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

#[test]
fn a_pinned_file_runs_with_the_contents_that_are_named_and_is_not_changed() {
    let entry = |digit: &str, path: &str| format!("\"{}  {path}\"", digit.repeat(64));
    let with = |pins: &str| {
        policy(&format!(
            "version = 1\n[filesystem]\nexecute = [\"/opt\"]\nwrite = [\"/opt\"]\npinned = [{pins}]"
        ))
    };
    let p = with(&[entry("1", "/opt/x?"), entry("2", "/opt/x?"), entry("3", "/y?")].join(", "));
    let runs = |path: &str, byte: u8| p.program(path.as_bytes(), &[byte; 32]).allowed();
    assert!(runs("/opt/x", 0x11) && runs("/opt/x", 0x22) && !runs("/opt/x", 0x33));
    // It speaks of nothing else, and allows nothing.
    assert!(runs("/opt/z", 0x33) && !runs("/y", 0x33));
    assert!(p.is_pinned(b"/opt/x") && !p.is_pinned(b"/opt") && !p.is_pinned(b"/opt/x/y"));
    let changed = |access| p.path(access, b"/opt/x").allowed();
    assert!(changed(Access::Execute) && !changed(Access::Write) && !changed(Access::Remove));
    assert!(!p.rename(b"/opt/z", b"/opt/x").allowed());
    let hint = p.hint(&DeniedWhat::Program(b"/opt/x", &[0x33; 32]), |_| false);
    assert!(
        hint.starts_with("its SHA-256 is 3333") && hint.contains("not that of `filesystem.pinned"),
        "{hint}"
    );
    // Whoever pins less allows more.
    let less = with(&entry("1", "/opt/z?"));
    let gained = gains(&p, &less);
    assert!(gained.iter().any(|gain| gain.example == b"/opt/x" && gain.verbs.contains(&"execute")));
    for (wrong, message) in [
        ("\"12  /opt/x\"".to_owned(), "an entry is a SHA-256 in 64 hexadecimal digits and a path"),
        (entry("1", "/opt/*"), "a pin names one file"),
        (entry("1", "x"), "`x` is not an absolute path"),
    ] {
        let told = messages(&format!("version = 1\n[filesystem]\npinned = [{wrong}]"));
        assert!(told.iter().any(|told| told.contains(message)), "{told:?}");
    }
}
