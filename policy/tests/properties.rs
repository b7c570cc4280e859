//! Properties over generated rules: the compiled tree against a matcher that is too simple to be wrong, order
//! that must not matter, and input that must not break anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rxbox_policy::{Access, Policy, Verdict};
use rxbox_tests::random::Random;
use support::Host;

const LISTS: [&str; 7] = ["read", "modify", "write", "execute", "hidden", "deny", "deny_write"];
const NAMES: [&str; 5] = ["a", "b", "ab", "abc", "b.c"];
const ELEMENTS: [&str; 11] = ["a", "b", "ab", "abc", "*", "**", "a*", "?", "*.c", "[ab]", "a?c"];

type Rules = Vec<(&'static str, String)>;

fn joined(random: &mut Random, words: &[&str], most: usize) -> String {
    let names: Vec<&str> = (0..random.index(most + 1)).map(|_| random.pick(words)).collect();
    format!("/{}", names.join("/"))
}

fn rules(random: &mut Random) -> Rules {
    (0..1 + random.below(12))
        .map(|_| {
            let pattern = joined(random, &ELEMENTS, 4);
            // A trailing `?` alone marks what may be missing.
            let pattern = if pattern.ends_with('?') { pattern + "?" } else { pattern };
            (random.pick(&LISTS), pattern)
        })
        .collect()
}

fn profile(rules: &Rules) -> String {
    let mut text = "version = 1\n[filesystem]\n".to_owned();
    for list in LISTS {
        let entries: Vec<String> =
            rules.iter().filter(|(l, _)| *l == list).map(|(_, p)| format!("{p:?}")).collect();
        text += &format!("{list} = [{}]\n", entries.join(", "));
    }
    text
}

fn load(text: &str) -> Policy {
    Host::default().load(text).unwrap_or_else(|e| panic!("{e}"))
}

/// Whether one name matches, by trying everything.
fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        ([b'*', p @ ..], _) => (0..=name.len()).any(|at| name_matches(p, &name[at..])),
        ([b'?', p @ ..], [_, n @ ..]) => name_matches(p, n),
        ([b'[', b'a', b'b', b']', p @ ..], [b'a' | b'b', n @ ..]) => name_matches(p, n),
        ([a, p @ ..], [b, n @ ..]) => *a != b'[' && a == b && name_matches(p, n),
        _ => false,
    }
}

/// Whether all names match all elements, by trying everything.
fn whole_matches(pattern: &[&str], names: &[&str]) -> bool {
    match (pattern, names) {
        ([], []) => true,
        (["**"], _) => !names.is_empty(),
        (["**", rest @ ..], _) => (0..=names.len()).any(|at| whole_matches(rest, &names[at..])),
        ([p, rest @ ..], [n, names @ ..]) => {
            name_matches(p.as_bytes(), n.as_bytes()) && whole_matches(rest, names)
        }
        _ => false,
    }
}

fn split(path: &str) -> Vec<&str> {
    path.split('/').filter(|c| !c.is_empty()).collect()
}

/// Whether the path or something above it matches.
fn covers(pattern: &str, path: &str) -> bool {
    let pattern = pattern.strip_suffix('?').unwrap_or(pattern);
    let (pattern, names) = (split(pattern), split(path));
    (0..=names.len()).any(|n| whole_matches(&pattern, &names[..n]))
}

fn grants(list: &str, access: Access) -> bool {
    use Access::{Attributes, Create, Execute, List, Metadata, Read, Remove, Write};
    let reads = matches!(access, Read | List | Metadata);
    match list {
        "read" => reads,
        "modify" => reads || access == Write,
        "write" => reads || matches!(access, Write | Attributes | Create | Remove),
        "execute" => reads || access == Execute,
        _ => false,
    }
}

fn naive(rules: &Rules, access: Access, path: &str) -> Verdict {
    let matching: Vec<&str> = rules.iter().filter(|(_, p)| covers(p, path)).map(|(l, _)| *l).collect();
    let changes = matches!(access, Access::Write | Access::Attributes | Access::Create | Access::Remove);
    let allows = |(l, p): &(&str, String)| {
        let pattern = p.strip_suffix('?').unwrap_or(p);
        grants(l, Access::Read) && !pattern.contains(['*', '?', '[']) && split(pattern) == split(path)
    };
    if matching.contains(&"hidden") {
        Verdict::Hide
    } else if matching.contains(&"deny") || (changes && matching.contains(&"deny_write")) {
        Verdict::Deny { errno: 13 }
    } else if matching.iter().any(|l| grants(l, access)) {
        let kept = access == Access::Remove && rules.iter().any(allows);
        if kept { Verdict::Deny { errno: 16 } } else { Verdict::Allow }
    } else {
        Verdict::Deny { errno: 13 }
    }
}

/// Every access but `Metadata`, which ancestors of allowed paths have, too.
fn judged() -> impl Iterator<Item = Access> {
    Access::ALL.into_iter().filter(|a| *a != Access::Metadata)
}

#[test]
fn the_tree_decides_as_the_naive_matcher_does() {
    let mut random = Random::new(1);
    for round in 0..1500 {
        let rules = rules(&mut random);
        let policy = load(&profile(&rules));
        for _ in 0..20 {
            let path = joined(&mut random, &NAMES, 6);
            for access in judged() {
                let found = policy.path(access, path.as_bytes()).verdict;
                assert_eq!(found, naive(&rules, access, &path), "{round}: {access} {path}\n{rules:?}");
            }
        }
    }
}

#[test]
fn the_order_of_rules_never_changes_a_verdict() {
    let mut random = Random::new(2);
    for _ in 0..300 {
        let mut rules = rules(&mut random);
        let policy = load(&profile(&rules));
        random.shuffle(&mut rules);
        let shuffled = load(&profile(&rules));
        for _ in 0..20 {
            let path = joined(&mut random, &NAMES, 6);
            for access in Access::ALL {
                let (a, b) = (policy.path(access, path.as_bytes()), shuffled.path(access, path.as_bytes()));
                assert_eq!(a.verdict, b.verdict, "{access} {path}\n{rules:?}");
            }
        }
    }
}

#[test]
fn adding_a_denial_never_allows_anything() {
    let mut random = Random::new(3);
    for _ in 0..300 {
        let mut rules = rules(&mut random);
        let before = load(&profile(&rules));
        let denial = (random.pick(&["hidden", "deny", "deny_write"]), joined(&mut random, &NAMES, 3));
        rules.push(denial);
        let after = load(&profile(&rules));
        for _ in 0..20 {
            let path = joined(&mut random, &NAMES, 6);
            for access in Access::ALL {
                let (a, b) = (before.path(access, path.as_bytes()), after.path(access, path.as_bytes()));
                assert!(a.allowed() || !b.allowed(), "{access} {path}\n{rules:?}");
            }
        }
    }
}

#[test]
fn what_lies_below_is_never_missed() {
    let mut random = Random::new(4);
    for _ in 0..600 {
        let rules = rules(&mut random);
        let policy = load(&profile(&rules));
        for _ in 0..20 {
            let directory = joined(&mut random, &NAMES, 3);
            let name = format!("{}/{}", directory.trim_end_matches('/'), random.pick(&NAMES));
            let below = format!("{name}/{}", random.pick(&NAMES));
            let path = |access, path: &str| policy.path(access, path.as_bytes()).verdict;
            let own = path(Access::Metadata, &directory);
            if path(Access::Metadata, &name) == Verdict::Hide && own != Verdict::Hide {
                assert!(policy.hides_any_below(directory.as_bytes()), "{name}\n{rules:?}");
            }
            if [&name, &below].iter().any(|p| path(Access::Read, p) == Verdict::Allow)
                && !matches!(own, Verdict::Hide)
                && naive(&rules, Access::Connect, &directory) == (Verdict::Deny { errno: 13 })
                && !rules.iter().any(|(l, p)| *l == "deny" && covers(p, &directory))
            {
                assert_eq!(own, Verdict::Allow, "the way to {below}\n{rules:?}");
            }
        }
    }
}

#[test]
fn nothing_below_what_moves_gets_a_right_or_loses_a_protection() {
    let mut random = Random::new(7);
    let mut moves = 0;
    for _ in 0..1500 {
        let mut rules = rules(&mut random);
        rules.push(("write", "/a".to_owned()));
        let policy = load(&profile(&rules));
        for _ in 0..20 {
            let (from, to) = (joined(&mut random, &NAMES, 3), joined(&mut random, &NAMES, 3));
            if from == to || !policy.rename(from.as_bytes(), to.as_bytes()).allowed() {
                continue;
            }
            moves += 1;
            let below = joined(&mut random, &NAMES, 3);
            let path = |access, top: &str| policy.path(access, format!("{top}{below}").as_bytes()).verdict;
            for access in judged() {
                let (old, new) = (path(access, &from), path(access, &to));
                let named = matches!(new, Verdict::Deny { errno: 16 }) || access == Access::Create;
                assert!(
                    old == Verdict::Allow || new != Verdict::Allow || (named && below == "/"),
                    "{access} {from} {to} {below}\n{rules:?}"
                );
            }
        }
    }
    assert!(moves > 200, "{moves}");
}

#[test]
fn odd_profiles_are_refused_without_harm() {
    let deep = format!("version = 1\nx = {}", "[".repeat(100_000));
    let tables = format!("version = 1\nx = {}1{}", "{a=".repeat(50_000), "}".repeat(50_000));
    let wide = format!("version = 1\n[filesystem]\nread = [\"/{}\"]", "a*".repeat(50_000));
    let huge = "version = 99999999999999999999999999999999999999999999999999".to_owned();
    let number = "version = 1\n[limits]\nmemory = 0xffffffffffffffffffffffffffffffffffff".to_owned();
    for text in [deep, tables, huge, number, String::new(), "\u{feff}".into(), "\0".into(), "= = =".into()] {
        assert!(Host::default().load(&text).is_err(), "{}", &text[..text.len().min(60)]);
    }
    let policy = load(&wide);
    assert!(!policy.path(Access::Read, &[b'a'; 4096]).allowed());
}
