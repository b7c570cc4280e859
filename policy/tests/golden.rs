//! Golden tests: the decisions of the shipped profiles, and how errors are shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rxbox_policy::{Access, Endpoint, Limit, Policy, Transport, builtin_names};
use support::{Host, debian, golden, variables};

fn endpoint(text: &str) -> Endpoint<'_> {
    if let Some(name) = text.strip_prefix("unix:@") {
        return Endpoint::UnixAbstract(name.as_bytes());
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return Endpoint::UnixPath(path.as_bytes());
    }
    let (protocol, address) = text.split_once(':').unwrap();
    let transport = match protocol {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => Transport::Other,
    };
    let address: SocketAddr = address.parse().unwrap();
    Endpoint::Inet { transport, address: address.ip(), port: address.port() }
}

/// The answer to one line's question.
fn answer(policy: &Policy, question: &str) -> String {
    let words: Vec<&str> = question.split(' ').collect();
    let number = |at: usize| words[at].parse().unwrap();
    match words[0] {
        "connect" => policy.connect(&endpoint(words[1])).to_string(),
        "bind" => policy.bind(&endpoint(words[1])).to_string(),
        "socket" => policy.socket(number(1), number(2), number(3)).to_string(),
        "env" => policy.variable(words[1].as_ref()).to_string(),
        "limit" => policy.limit_rule(Limit::by_name(words[1]).unwrap()).to_string(),
        "rename" => policy.rename(words[1].as_bytes(), words[2].as_bytes()).to_string(),
        "require" => {
            let layers = policy.required_layers().map(|(layer, rule)| format!("{} {rule}", layer.name()));
            layers.collect::<Vec<_>>().join(", ")
        }
        word => {
            let access = Access::ALL.into_iter().find(|a| a.name() == word).unwrap();
            policy.path(access, words[1].as_bytes()).to_string()
        }
    }
}

#[test]
fn shipped_profiles_decide_as_their_golden_lists_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/golden");
    for name in builtin_names() {
        let policy = Policy::load(name, &debian(), &variables()).unwrap_or_else(|e| panic!("{e}"));
        let path = folder.join(format!("{name}.txt"));
        let mut text = String::new();
        let mut questions = 0;
        for line in fs::read_to_string(&path).unwrap().lines() {
            if line.is_empty() || line.starts_with('#') {
                text += &format!("{line}\n");
                continue;
            }
            let question = line.split(" -> ").next().unwrap();
            text += &format!("{question} -> {}\n", answer(&policy, question));
            questions += 1;
        }
        assert!(questions > 10, "{name} has no golden decisions");
        golden(&path, &text);
    }
}

#[test]
fn errors_are_shown_as_the_golden_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    cases.sort();
    assert!(cases.len() >= 6);
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let host = Host::default()
            .text(&format!("/p/{name}"), &fs::read_to_string(&case).unwrap())
            .text("/p/good.toml", "version = 1")
            .missing("/srv/data");
        let error = Policy::load(&format!("/p/{name}"), &host, &variables()).unwrap_err();
        golden(&case.with_extension("txt"), &error.to_string());
    }
}

#[test]
fn the_manual_s_examples_load() {
    let manual = include_str!("../../docs/policy.md");
    let examples: Vec<&str> =
        manual.split("```toml\n").skip(1).map(|e| e.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        debian().load(example).unwrap_or_else(|e| panic!("{e}"));
    }
}
