//! How profiles and options come together, and what hints say, one sentence per test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::ffi::OsString;
use std::time::Duration;

use rxbox_policy::{
    Access, DeniedWhat, Endpoint, Limit, OVERRIDE_OPTIONS, OverrideOption, Overrides, Policy, ReadProfile,
    Transport,
};
use support::{Host, allows, filesystem, policy, variables};

#[test]
fn lists_add_up_and_scalars_override_along_extends() {
    let host = Host::default()
        .text(
            "/p/a.toml",
            "version = 1\nextends = [\"./sub/top.toml\"]\n[limits]\nmemory = \
            \"2M\"\n[filesystem]\nread = [\"/a\"]",
        )
        .text(
            "/p/b.toml",
            "version = 1\nextends = [\"/p/sub/../sub/top.toml\"]\n[filesystem]\nread = \
            [\"/b\"]",
        )
        .text(
            "/p/sub/top.toml",
            "version = 1\n[limits]\nmemory = \"1M\"\nthreads = 4\n[filesystem]\nread = \
            [\"/top\"]",
        );
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

fn overrides(options: &[(&str, &str)]) -> Overrides {
    options.iter().map(|(flag, value)| OverrideOption::by_flag(flag).unwrap().with(value).unwrap()).collect()
}

/// Answers to a few questions that each option changes some of.
fn answers(p: &Policy) -> Vec<String> {
    let paths = Access::ALL.map(|access| p.path(access, b"/srv/x").verdict.to_string());
    let endpoint =
        Endpoint::Inet { transport: Transport::Tcp, address: "192.0.2.1".parse().unwrap(), port: 443 };
    let addresses = [p.connect(&endpoint), p.bind(&endpoint)].map(|decision| decision.verdict.to_string());
    let secrets: Vec<_> = p.secrets().collect();
    let variables = format!("{:?} {secrets:?}", p.environment([("GIVEN".into(), "x".into())]));
    paths
        .into_iter()
        .chain(addresses)
        .chain([variables, format!("{:?} {:?} {:?}", p.limits(), p.user(), p.inheritance())])
        .collect()
}

#[test]
fn an_option_does_what_the_key_that_it_names_does() {
    let samples = [
        ("--allow-read", "/srv", r#"read = ["/srv"]"#),
        ("--allow-list", "/srv", r#"list = ["/srv"]"#),
        ("--allow-modify", "/srv", r#"modify = ["/srv"]"#),
        ("--allow-write", "/srv", r#"write = ["/srv"]"#),
        ("--allow-exec", "/srv", r#"execute = ["/srv"]"#),
        ("--private", "/srv", r#"private = ["/srv"]"#),
        ("--overlay", "/srv", r#"overlay = ["/srv"]"#),
        ("--deny-path", "/srv/x", r#"deny = ["/srv/x"]"#),
        ("--hide", "/srv/x", r#"hidden = ["/srv/x"]"#),
        ("--allow-net", "tcp:192.0.2.1:443", r#"allow = ["tcp:192.0.2.1:443"]"#),
        ("--allow-bind", "tcp:192.0.2.1:443", r#"bind = ["tcp:192.0.2.1:443"]"#),
        ("--pass-env", "GIVEN", r#"pass = ["GIVEN"]"#),
        ("--env", "SET=x", r#"set = { SET = "x" }"#),
        ("--secret", "KEY=env:GIVEN", r#"secrets = { KEY = "env:GIVEN" }"#),
        ("--unset-env", "GIVEN", r#"deny = ["GIVEN"]"#),
        ("--user", "games", r#"user = "games""#),
        ("--pass-fd", "7", r#"pass = ["7"]"#),
        ("--limit", "memory=1M", r#"memory = "1M""#),
        ("--time-limit", "7", r#"wall_time = "7s""#),
    ];
    assert_eq!(samples.map(|(flag, ..)| flag), OVERRIDE_OPTIONS.each_ref().map(|option| option.flag));
    for (flag, value, written) in samples {
        // What denies shows only where something is allowed.
        let base = match flag {
            "--deny-path" | "--hide" => vec![("--allow-write", "/srv")],
            "--unset-env" => vec![("--pass-env", "*")],
            _ => vec![],
        };
        let load = |more: &str, options: &[_]| {
            let text = format!("version = 1\n{more}");
            let options = overrides(&[&base, options].concat());
            answers(&Host::default().load_with(&text, &options).unwrap_or_else(|e| panic!("{flag}: {e}")))
        };
        let (section, key) = OverrideOption::by_flag(flag).unwrap().adds_to.split_once(']').unwrap();
        assert!(written.starts_with(key.trim_start()), "{flag}");
        let by_option = load("", &[(flag, value)]);
        assert_eq!(load(&format!("{section}]\n{written}"), &[]), by_option, "{flag}");
        assert_ne!(load("", &[]), by_option, "{flag}");
    }
}

#[test]
fn a_path_on_the_command_line_leads_up_from_the_working_directory() {
    let p = |path| Host::default().load_with("version = 1", &overrides(&[("--allow-read", path)])).unwrap();
    assert!(
        allows(&p("../x"), Access::Read, "/home/u/x/f") && !allows(&p("../x"), Access::Read, "/home/u/y")
    );
    assert!(allows(&p("./.././../v"), Access::Read, "/home/v"));
    assert!(allows(&p("../../../../../.."), Access::Read, "/etc/x"));
    let behind_a_name = Host::default().load_with("version = 1", &overrides(&[("--allow-read", "a/../b")]));
    assert!(behind_a_name.is_err());
}

#[test]
fn options_are_a_layer_of_their_own() {
    let overrides = overrides(&[
        ("--allow-read", "./data"),
        ("--allow-read", "/srv"),
        ("--allow-write", "."),
        ("--deny-path", "/srv/x"),
        ("--allow-net", "tcp:*:443"),
        ("--env", "K=${HOME}"),
        ("--limit", "wall_time=3s"),
    ]);
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
    let overrides =
        overrides(&[("--allow-read", "a/../x"), ("--limit", "wall_tme=3s"), ("--limit", "memory=lots")]);
    let error = Host::default().load_with("version = 1", &overrides).unwrap_err().to_string();
    assert_eq!(
        error,
        "error: `..` in a path\n --> --allow-read:1:1\n  |\n1 | a/../x\n  | ^^^^^^\n  = help: write the path \
            without it\n\n\
         error: unknown limit `wall_tme`\n --> --limit:1:1\n  |\n1 | wall_tme=3s\n  | ^^^^^^^^\n  = help: \
         did you mean `wall_time`?\n\n\
         error: `lots` is not a size such as `512M` (K, M, G, T are powers of 1024) or `unlimited`\n --> \
         --limit:1:8\n  |\n1 | memory=lots\n  |        ^^^^\n"
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
        (Access::Create, "/a b", "add \"/a b?\" to [filesystem] write, or run with --allow-write '/a b?'"),
        (Access::List, "/a", "add \"/a\" to [filesystem] list, or run with --allow-list /a"),
        (Access::Execute, "/x?", "add \"/x[?]\" to [filesystem] execute, or run with --allow-exec '/x[?]'"),
        (Access::Connect, "/s", "add \"unix:/s\" to [network] allow, or run with --allow-net unix:/s"),
        (Access::Read, "/\u{1b}[0m", "add \"/\\U0000001b[[]0m\" to [filesystem] read"),
        (Access::Read, "/d/x", "remove or narrow `filesystem.deny \"/d\"` (test.toml:3)"),
    ] {
        let is_missing = |path: &[u8]| path == b"/a b";
        assert_eq!(p.hint(&DeniedWhat::Path(access, path.as_bytes()), is_missing), hint);
    }
    let endpoint = Endpoint::Inet { transport: Transport::Tcp, address: "::1".parse().unwrap(), port: 80 };
    let hint = "add \"tcp:[::1]:80\" to [network] bind, or run with --allow-bind 'tcp:[::1]:80'";
    assert_eq!(p.hint(&DeniedWhat::Bind(endpoint), |_| false), hint);
    let hint = "add \"netlink\" to [network] families";
    assert_eq!(p.hint(&DeniedWhat::Socket { domain: 16, kind: 3, protocol: 0 }, |_| false), hint);
}

#[test]
fn a_hint_s_entry_really_allows_the_path() {
    let empty = policy("version = 1");
    let paths = ["/a", "/a[b]*?", "/${HOME}", "/q\"\\", "/ends?", "/\u{202e}\t", "/é"];
    for (path, missing) in paths.into_iter().flat_map(|path| [(path, false), (path, true)]) {
        let hint = empty.hint(&DeniedWhat::Path(Access::Read, path.as_bytes()), |_| missing);
        let entry = hint.strip_prefix("add ").unwrap().split(" to [filesystem]").next().unwrap();
        let p = filesystem(&format!("read = [{entry}]"));
        assert!(allows(&p, Access::Read, path), "{hint}");
        assert!(!allows(&p, Access::Read, "/other") && !allows(&p, Access::Read, "/ab"), "{hint}");
    }
}

#[test]
fn a_user_is_known_before_what_depends_on_the_host_is() {
    let host = Host::default();
    let read = |name: &str, options: &[_]| {
        let read = ReadProfile::read(name, &host);
        read.user(&overrides(options))
    };
    assert_eq!(read("untrusted", &[]), None);
    let by_option = Some(("games".to_owned(), "--user".to_owned()));
    assert_eq!(read("untrusted", &[("--user", "games")]), by_option);
}

/// A file that has the name of a built-in profile is another one.
#[test]
fn a_file_is_never_taken_for_the_built_in_profile_of_its_name() {
    let host = Host::default()
        .text("./whole.toml", "version = 1\nextends = [\"base\", \"./base.toml\"]")
        .text("./base.toml", "version = 1\n[filesystem]\nread = [\"/srv\"]\n[limits]\nthreads = 4");
    let policy = Policy::load("./whole.toml", &host, &variables()).unwrap();
    assert!(policy.path(Access::Read, b"/srv/x").allowed());
    assert!(policy.path(Access::Execute, b"/usr/bin/x").allowed());
    assert!(policy.shown().contains("threads = 4 # base.toml:5\n"), "{}", policy.shown());
}
