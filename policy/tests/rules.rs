//! What the other sections mean, one sentence per test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::ffi::OsString;

use rxbox_policy::{Access, Capability, Denials, Endpoint, Layer, Transport, Verdict};
use support::{granted, messages, policy, verdict};

const EPERM: i32 = 1;
const EACCES: i32 = 13;

#[test]
fn nothing_is_allowed_by_an_empty_profile() {
    let p = policy("version = 1");
    assert_eq!(granted(&p, "/"), [""; 0]);
    assert_eq!(verdict(&p, Access::Read, "/x"), Verdict::Deny { errno: EACCES });
    let endpoint =
        Endpoint::Inet { transport: Transport::Tcp, address: "127.0.0.1".parse().unwrap(), port: 1 };
    assert!(!p.connect(&endpoint).allowed() && !p.bind(&endpoint).allowed());
    assert!(!p.connect(&Endpoint::UnixAbstract(b"x")).allowed());
    assert!(p.environment([("A".into(), "b".into())]).is_empty());
    assert!(!p.socket(16, 3, 0).allowed() && !p.socket(2, 3, 1).allowed());
    assert!(p.socket(2, 1 | 0o2_000_000, 6).allowed() && p.socket(1, 5, 0).allowed());
}

#[test]
fn sockets_are_judged_by_the_network_section_and_by_denied_paths() {
    let p = policy(
        "version = 1\n[filesystem]\nwrite = [\"/run\"]\nhidden = [\"/run/secret\"]\n\
         [network]\nallow = [\"unix:/run/ok\", \"unix:/run/secret/s\", \"unix:@ok-*\"]\nbind = \
         [\"unix:/run/mine\"]\n\
         deny = [\"unix:/run/ok/no\", \"unix:@ok-no\"]\nfamilies = [\"netlink\"]",
    );
    let connects = |e| p.connect(&e).allowed();
    assert!(connects(Endpoint::UnixPath(b"/run/ok")) && !connects(Endpoint::UnixPath(b"/run/other")));
    assert!(!connects(Endpoint::UnixPath(b"/run/ok/no")));
    assert_eq!(p.connect(&Endpoint::UnixPath(b"/run/secret/s")).verdict, Verdict::Hide);
    assert!(connects(Endpoint::UnixAbstract(b"ok-1")) && !connects(Endpoint::UnixAbstract(b"ok-no")));
    assert!(
        !p.bind(&Endpoint::UnixPath(b"/run/ok")).allowed()
            && p.bind(&Endpoint::UnixPath(b"/run/mine")).allowed()
    );
    assert!(
        connects(Endpoint::Family(16)) && !connects(Endpoint::Family(40)) && p.socket(16, 3, 0).allowed()
    );
}

#[test]
fn hosts_are_judged_by_name_however_it_is_written() {
    let p = policy(
        "version = 1\n[network]\nallow = [\"tcp:API.Example.org.:443\", \"tcp:*.example.net:80-90\", \
         \"ip:bücher.example\", \"udp:10.0.0.0/8:53\"]\n\
         deny = [\"tcp:secret.example.net:*\", \"tcp:part.example.net:80\"]",
    );
    let connects = |transport, name, port| p.connect(&Endpoint::Host { transport, name, port }).allowed();
    let tcp = |name, port| connects(Transport::Tcp, name, port);
    assert!(tcp("api.example.org", 443) && !tcp("api.example.org", 80));
    assert!(!connects(Transport::Udp, "api.example.org", 443));
    assert!(tcp("a.example.net", 80) && tcp("a.b.example.net", 90) && !tcp("example.net", 80));
    assert!(!tcp("secret.example.net", 80) && tcp("a.secret.example.net", 80));
    assert!(!tcp("part.example.net", 80) && tcp("part.example.net", 81));
    assert!(tcp("xn--bcher-kva.example", 1) && connects(Transport::Udp, "xn--bcher-kva.example", 53));
    let resolves = |name| p.resolve(name, false).allowed();
    assert!(resolves("api.example.org") && resolves("a.example.net") && resolves("part.example.net"));
    assert!(!resolves("secret.example.net") && !resolves("example.net") && !resolves("other.example"));
    // A server that the guest may ask itself tells it any name but a denied one.
    assert!(p.resolve("other.example", true).allowed() && !p.resolve("secret.example.net", true).allowed());
    assert_eq!(p.resolve("secret.example.net", true).rule.text, "network.deny \"tcp:secret.example.net:*\"");
    assert!(p.is_searched("api.example.org.corp.example") && !p.is_searched("other.corp.example"));
    // Names are no addresses: nothing is reached by one.
    let address = Endpoint::Inet { transport: Transport::Tcp, address: [1, 1, 1, 1].into(), port: 443 };
    assert!(!p.connect(&address).allowed() && p.has_hosts());
    // The kernel's second wall has the ports.
    assert_eq!(
        policy("version = 1\n[network]\nallow = [\"tcp:a.example.org:443\"]").reach().connect,
        Some(vec![443])
    );
    assert!(!policy("version = 1\n[network]\nallow = [\"tcp:a.example.org:443\"]").reach().no_network());
    assert!(
        !policy("version = 1\n[network]\nallow = [\"ip:*\"]\ndeny = [\"ip:a.example.org\"]")
            .route()
            .allowed()
    );
}

#[test]
fn what_is_withheld_passes_by_its_own_name_alone() {
    let p = policy(
        "version = 1\n[environment]\nwithhold = [\"*TOKEN*\"]\n\
         pass = [\"*\", \"GIVEN_TOKEN\"]\nset = { SET_TOKEN = \"x\" }",
    );
    let allowed = |name: &str| p.variable(name.as_ref()).allowed();
    assert!(allowed("PLAIN") && allowed("GIVEN_TOKEN") && allowed("SET_TOKEN") && !allowed("A_TOKEN"));
    assert_eq!(p.variable("A_TOKEN".as_ref()).rule.text, "environment.withhold \"*TOKEN*\"");
    // It is no denial of what nothing passes.
    let p = policy("version = 1\n[environment]\nwithhold = [\"*TOKEN*\"]\npass = [\"A\"]");
    assert!(p.variable("A_TOKEN".as_ref()).rule.is_default());
}

#[test]
fn a_secret_is_no_variable_but_where_it_is_is_one() {
    let p = policy(
        "version = 1\n[filesystem]\nread = [\"/\"]\n[environment]\npass = [\"*\"]\ndeny = [\"NO\"]\n\
         secrets = { KEY = \"file:/srv/key?\", TOKEN = \"env:T\", NO = \"env:N\" }",
    );
    let given: Vec<String> = p.secrets().map(|secret| format!("{} {}", secret.name, secret.source)).collect();
    assert_eq!(given, ["KEY file:/srv/key", "TOKEN env:T"]);
    let host = ["KEY", "TOKEN", "TOKEN_FILE", "T"].map(|name| (OsString::from(name), OsString::from("x")));
    let built = p.environment(host);
    assert_eq!(built, [("T".into(), "x".into())]);
    assert!(p.variable("KEY_FILE".as_ref()).allowed() && !p.variable("KEY".as_ref()).allowed());
    // Its file is not there.
    assert_eq!(verdict(&p, Access::Read, "/srv/key"), Verdict::Hide);
    for wrong in ["/srv/key", "file:srv", "file:/srv/*", "env:", "env:A=B"] {
        let text = format!("version = 1\n[environment]\nsecrets = {{ KEY = \"{wrong}\" }}");
        assert_eq!(messages(&text).len(), 1, "{wrong}");
    }
}

#[test]
fn the_environment_is_what_passes_and_what_is_set() {
    let p = policy(
        "version = 1\n[environment]\npass = [\"LC_*\", \"PATH\"]\ndeny = [\"LC_SECRET\", \"BAD\"]\n\
         set = { HOME = \"${CWD}\", PATH = \"/bin\", BAD = \"x\", LIT = \"$${HOME}\" }",
    );
    let host = [("LC_ALL", "C"), ("LC_SECRET", "s"), ("PATH", "/evil"), ("LD_PRELOAD", "/e")];
    let out = p.environment(host.map(|(k, v)| (OsString::from(k), OsString::from(v))));
    let expected = [("LC_ALL", "C"), ("HOME", "/home/u/work"), ("LIT", "${HOME}"), ("PATH", "/bin")];
    assert_eq!(out, expected.map(|(k, v)| (OsString::from(k), OsString::from(v))));
    assert_eq!(p.variable("LD_PRELOAD".as_ref()).rule.to_string(), "default");
}

#[test]
fn calls_are_allowed_unless_a_rule_says_otherwise() {
    let p = policy(
        "version = 1\n[syscalls]\ndeny = [\"ptrace\"]\nlog = [\"mount\"]\nrules = [\n\
         { call = \"socket\", arg = \"domain\", one_of = [16, 17], action = \"errno\", errno = \
         \"EAFNOSUPPORT\" },\n\
         { call = \"socket\", arg = \"domain\", equals = 38, action = \"kill\" },\n]",
    );
    let args = |first| [first, 0, 0, 0, 0, 0];
    assert_eq!(p.call(101, &args(0)).verdict, Verdict::Deny { errno: EPERM });
    assert!(p.call(165, &args(0)).allowed() && p.call(165, &args(0)).log);
    assert_eq!(p.call(41, &args(16)).verdict, Verdict::Deny { errno: 97 });
    let rule = p.call(41, &args(38)).rule;
    let text = "syscalls.rules { call = \"socket\", arg = \"domain\", equals = 38, action = \"kill\" }";
    assert_eq!((rule.line, rule.text), (7, text));
    assert_eq!(p.call(41, &args(0xffff_ffff_0000_0026)).verdict, Verdict::Kill);
    assert!(p.call(41, &args(2)).allowed() && !p.call(41, &args(2)).log);
    let always: Vec<bool> = [0, 41, 101, 165, 511, 512, u32::MAX].map(|n| p.call_always_allowed(n)).into();
    assert_eq!(always, [true, false, false, false, false, false, false]);
}

#[test]
fn a_rule_in_a_table_of_its_own_is_found_where_its_call_stands() {
    let p = policy("version = 1\n\n[[syscalls.rules]]\naction = \"kill\"\ncall = \"mount\"\n");
    let rule = p.call(165, &[0; 6]).rule;
    assert_eq!((rule.line, rule.text), (5, "syscalls.rules \"mount\""));
}

#[test]
fn values_of_arguments_have_the_names_of_the_manual() {
    let p = policy(
        "version = 1\n[syscalls]\nrules = [\n\
         { call = \"socket\", arg = \"domain\", equals = \"AF_NETLINK\", action = \"kill\" },\n\
         { call = \"openat\", arg = \"flags\", mask = \"O_CREAT|O_TRUNC\", action = \"errno\", errno = \
         \"EROFS\" },\n\
         { call = \"ioctl\", arg = \"request\", none_of = [\"TCGETS\", \"TIOCGWINSZ\"], action = \
         \"kill\" },\n]",
    );
    assert_eq!(p.call(41, &[16, 0, 0, 0, 0, 0]).verdict, Verdict::Kill);
    assert!(p.call(257, &[0, 0, 2, 0, 0, 0]).allowed());
    assert_eq!(p.call(257, &[0, 0, 0o101, 0, 0, 0]).verdict, Verdict::Deny { errno: 30 });
    assert!(
        p.call(16, &[1, 0x5401, 0, 0, 0, 0]).allowed()
            && p.call(16, &[1, 0xf_0000_5413, 0, 0, 0, 0]).allowed()
    );
    assert_eq!(p.call(16, &[1, 0x5412, 0, 0, 0, 0]).verdict, Verdict::Kill);
}

#[test]
fn with_a_denying_default_only_listed_calls_are_allowed() {
    let p = policy("version = 1\n[syscalls]\ndefault = \"kill\"\nallow = [\"read\"]");
    assert!(p.call_always_allowed(0) && p.call(0, &[0; 6]).allowed());
    assert_eq!(p.call(41, &[0; 6]).verdict, Verdict::Kill);
    assert_eq!(p.call(9999, &[0; 6]).rule.line, 3);
}

#[test]
fn entries_that_could_have_no_effect_are_errors() {
    for (body, message) in [
        ("allow = [\"read\"]", "allowing a call has no effect with `default = \"allow\"`"),
        (
            "rules = [{ call = \"read\", action = \"kill\", errno = \"EPERM\" }]",
            "`errno` without `action = \"errno\"`",
        ),
        ("rules = [{ call = \"read\", action = \"kill\", equals = 1 }]", "a comparison without `arg`"),
        (
            "rules = [{ call = \"socket\", arg = \"domain\", action = \"kill\" }]",
            "a rule with `arg` but no comparison",
        ),
        (
            "rules = [{ call = \"socket\", arg = \"domain\", mask = 1, equals = 2, action = \"kill\" }]",
            "a value with bits outside `mask` never matches",
        ),
        (
            "rules = [{ call = \"socket\", arg = \"domain\", equals = 0x1_0000_0000, action = \"kill\" }]",
            "the value does not fit the argument",
        ),
        (
            "rules = [{ call = \"socket\", arg = \"domain\", one_of = [], action = \"kill\" }]",
            "an empty list of values",
        ),
    ] {
        assert_eq!(messages(&format!("version = 1\n[syscalls]\n{body}")), [message], "{body}");
    }
}

#[test]
fn capabilities_are_kept_only_if_a_profile_names_them() {
    assert!(policy("version = 1").capabilities().is_empty());
    let named = policy("version = 1\n[hardening]\ncapabilities = [\"chown\", \"net_raw\"]");
    assert_eq!(named.capabilities(), [Capability::Chown, Capability::NetRaw]);
}

#[test]
fn what_a_profile_reaches_is_what_it_allows_and_nothing_that_it_denies() {
    let p = policy(
        "version = 1\n[filesystem]\nread = [\"/a\", \"/b/*/c\"]\ndeny = [\"/d?\"]\n\
         [network]\nallow = [\"tcp:*:443\"]",
    );
    let trees: Vec<_> = p.reach().trees.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(trees, ["/a", "/b"]);
    assert_eq!((p.reach().connect.as_deref(), p.reach().bind.as_deref()), (Some(&[443][..]), Some(&[][..])));
    assert!(!p.reach().no_network() && policy("version = 1").reach().no_network());
}

#[test]
fn hardening_and_audit_are_read() {
    let p =
        policy("version = 1\n[hardening]\nrequire = [\"landlock\", \"cgroup\"]\n[audit]\ndenials = \"none\"");
    let layers: Vec<_> = p.required_layers().map(|(layer, rule)| (layer, rule.line)).collect();
    assert_eq!(layers, [(Layer::Landlock, 3), (Layer::Cgroup, 3)]);
    assert_eq!(p.denials(), Denials::None);
    assert!(!p.path(Access::Read, b"/x").log && policy("version = 1").path(Access::Read, b"/x").log);
}
