//! How profiles and options come together, and what hints say, one sentence per test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::ffi::OsString;
use std::time::Duration;

use rxbox_policy::{Access, DeniedWhat, Endpoint, Limit, Overrides, Policy, Transport};
use support::{Host, allows, filesystem, policy, variables};

#[test]
fn lists_add_up_and_scalars_override_along_extends() {
    let host = Host::default()
        .text("/p/a.toml", "version = 1\nextends = [\"./sub/top.toml\"]\n[limits]\nmemory = \"2M\"\n[filesystem]\nread = [\"/a\"]")
        .text("/p/b.toml", "version = 1\nextends = [\"/p/sub/../sub/top.toml\"]\n[filesystem]\nread = [\"/b\"]")
        .text("/p/sub/top.toml", "version = 1\n[limits]\nmemory = \"1M\"\nthreads = 4\n[filesystem]\nread = [\"/top\"]");
    let p = host
        .load("version = 1\nextends = [\"./a.toml\", \"./b.toml\"]\n[limits]\nthreads = \"unlimited\"")
        .unwrap_or_else(|e| panic!("{e}"));
    assert!(["/a", "/b", "/top"].iter().all(|d| allows(&p, Access::Read, d)));
    assert_eq!((p.limits().memory, p.limits().threads), (Some(2 << 20), None));
    assert_eq!(p.limit_rule(Limit::Memory).to_string(), "a.toml:4");
}

#[test]
fn circles_and_unknown_profiles_are_errors() {
    let host = Host::default()
        .text("/p/a.toml", "version = 1\nextends = [\"./b.toml\"]")
        .text("/p/b.toml", "version = 1\nextends = [\"./../p/a.toml\"]");
    let error =
        host.load("version = 1\nextends = [\"./a.toml\", \"untrustd\", \"./none.toml\"]").unwrap_err();
    let found: Vec<_> = error.0.iter().map(|d| (d.message.as_str(), d.help.as_deref())).collect();
    assert_eq!(
        found,
        [
            ("there is no profile called `untrustd`", Some("did you mean `untrusted`?")),
            ("cannot read /p/none.toml: entity not found", None),
            ("`extends` goes in a circle: /p/a.toml → /p/b.toml → /p/a.toml", None),
        ]
    );
}

#[test]
fn a_bare_name_is_never_a_file_of_the_working_directory() {
    let mut host = Host::default().text("untrusted.toml", "version = 2").text("mine.toml", "version = 2");
    assert!(Policy::load("untrusted.toml", &host, &variables()).is_ok());
    let error = Policy::load("mine.toml", &host, &variables()).unwrap_err().0.remove(0);
    assert_eq!(error.help.unwrap(), "to load a file, write its path: `./mine.toml`");
    host.folder.insert("mine".into(), "/etc/rxbox/mine.toml".into());
    host.texts.insert("/etc/rxbox/mine.toml".into(), "version = 1\nextends = [\"./more.toml\"]".into());
    host.texts.insert("/etc/rxbox/more.toml".into(), "version = 1\n[filesystem]\nread = [\"/m\"]".into());
    let p = Policy::load("mine", &host, &variables()).unwrap_or_else(|e| panic!("{e}"));
    assert!(allows(&p, Access::Read, "/m"));
}

#[test]
fn options_are_a_layer_of_their_own() {
    let overrides = Overrides {
        allow_read: vec!["./data".into(), "/srv".into()],
        allow_write: vec![".".into()],
        deny_path: vec!["/srv/x".into()],
        allow_net: vec!["tcp:*:443".into()],
        set_env: vec![("K".into(), "${HOME}".into())],
        limits: vec![("wall_time".into(), "3s".into())],
        ..Overrides::default()
    };
    let p = Host::default().load_with("version = 1\n[limits]\nwall_time = \"9s\"", &overrides).unwrap();
    let rule = p.path(Access::Read, b"/home/u/work/data/f").rule;
    assert_eq!((rule.to_string(), rule.text), ("--allow-read".into(), "--allow-read ./data"));
    assert!(allows(&p, Access::Write, "/home/u/work/f") && !allows(&p, Access::Read, "/srv/x"));
    assert_eq!(p.environment([]), [(OsString::from("K"), OsString::from("${HOME}"))]);
    assert_eq!(p.limits().wall_time, Some(Duration::from_secs(3)));
    assert_eq!(p.limit_rule(Limit::WallTime).to_string(), "--limit");
}

#[test]
fn wrong_options_are_shown_like_wrong_lines() {
    let overrides = Overrides {
        allow_read: vec!["../x".into()],
        limits: vec![("wall_tme".into(), "3s".into()), ("memory".into(), "lots".into())],
        ..Overrides::default()
    };
    let error = Host::default().load_with("version = 1", &overrides).unwrap_err().to_string();
    assert_eq!(
        error,
        "error: `..` in a path\n --> --allow-read:1:1\n  |\n1 | ../x\n  | ^^^^\n  = help: write the path without it\n\n\
         error: unknown limit `wall_tme`\n --> --limit:1:1\n  |\n1 | wall_tme=3s\n  | ^^^^^^^^\n  = help: did you mean `wall_time`?\n\n\
         error: `lots` is not a size such as `512M` (K, M, G, T are powers of 1024) or `unlimited`\n --> --limit:1:8\n  |\n1 | memory=lots\n  |        ^^^^\n"
    );
}

#[test]
fn a_hint_allows_what_was_denied() {
    let p = filesystem("deny = [\"/d\"]");
    for (access, path, hint) in [
        (
            Access::Read,
            "/home/u/x",
            "add \"/home/u/x\" to [filesystem] read, or run with --allow-read /home/u/x",
        ),
        (Access::Create, "/a b", "add \"/a b\" to [filesystem] write, or run with --allow-write '/a b'"),
        (Access::Execute, "/x?", "add \"/x[?]\" to [filesystem] execute, or run with --allow-exec '/x[?]'"),
        (Access::Connect, "/s", "add \"unix:/s\" to [network] allow, or run with --allow-net unix:/s"),
        (Access::Read, "/\u{1b}[0m", "add \"/\\U0000001b[[]0m\" to [filesystem] read"),
        (Access::Read, "/d/x", "remove or narrow `filesystem.deny \"/d\"` (test.toml:3)"),
    ] {
        assert_eq!(p.hint(&DeniedWhat::Path(access, path.as_bytes())), hint);
    }
    let endpoint = Endpoint::Inet { transport: Transport::Tcp, address: "::1".parse().unwrap(), port: 80 };
    let hint = "add \"tcp:[::1]:80\" to [network] bind, or run with --allow-bind 'tcp:[::1]:80'";
    assert_eq!(p.hint(&DeniedWhat::Bind(endpoint)), hint);
    let hint = "add \"netlink\" to [network] families";
    assert_eq!(p.hint(&DeniedWhat::Socket { domain: 16, kind: 3, protocol: 0 }), hint);
}

#[test]
fn a_hint_s_entry_really_allows_the_path() {
    let empty = policy("version = 1");
    for path in ["/a", "/a[b]*?", "/${HOME}", "/q\"\\", "/ends?", "/\u{202e}\t", "/é"] {
        let hint = empty.hint(&DeniedWhat::Path(Access::Read, path.as_bytes()));
        let entry = hint.strip_prefix("add ").unwrap().split(" to [filesystem]").next().unwrap();
        let p = filesystem(&format!("read = [{entry}]"));
        assert!(allows(&p, Access::Read, path), "{hint}");
        assert!(!allows(&p, Access::Read, "/other") && !allows(&p, Access::Read, "/ab"), "{hint}");
    }
}
