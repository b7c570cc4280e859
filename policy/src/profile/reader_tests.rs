//! The reader meets every key, and every kind of error.

use super::*;
use crate::profile::reference;

fn errors(text: &str) -> Vec<String> {
    let mut context = Context::default();
    let source = context.profile("t.toml".into(), text.into());
    read(&mut context, source, &DeTable::parse(text).unwrap());
    context.finish().err().map_or_else(Vec::new, |e| e.0.into_iter().map(|d| d.message).collect())
}

#[test]
fn every_key_that_errors_suggest_is_known_and_checks_its_type() {
    for (section, keys) in reference::sections() {
        let (header, rest) = match &section[..] {
            "profile" => (String::new(), ""),
            "syscalls.rules" => ("[[syscalls.rules]]\n".to_owned(), "call = \"read\"\naction = \"log\"\n"),
            _ => (format!("[{section}]\n"), ""),
        };
        for key in reference::keys(&keys).into_iter().filter(|k| !matches!(*k, "version")) {
            let rest: String =
                rest.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect();
            let found = errors(&format!("version = 1\n{header}{key} = 2000-01-01\n{rest}"));
            assert_eq!(found.len(), 1, "{section}.{key} {found:?}");
            assert!(found[0].starts_with("expected ") && found[0].ends_with("found a date"), "{}", found[0]);
        }
    }
}

#[test]
fn reading_goes_on_after_every_kind_of_error() {
    let found = errors(
        "version = \"1\"\ndescription = 99999999999999999999\nextends = [1, [], {}]\nfilesystem = []\n\
         [environment.set]\nA = 1\n\"\" = \"x\"\n[syscalls]\nallow = 7\nrules = [{}, 5, { call = 1, colour = \
         2 }]\n\
         [audit]\ndenials = \"nowhere\"\n",
    );
    assert_eq!(
        found,
        [
            "expected an integer, found a string",
            "expected a string, found an integer",
            "expected a string, found an integer",
            "expected a string, found an array",
            "expected a string, found a table",
            "expected a table, found an array",
            "expected a string, found an integer",
            "an empty name of a variable",
            "expected an array of strings, found an integer",
            "a rule of [syscalls] needs `call`",
            "expected a table, found an integer",
            "a rule of [syscalls] needs `action`",
            "expected a string, found an integer",
            "unknown key `colour` in a rule of [syscalls]",
            "unknown place `nowhere`",
        ]
    );
}

#[test]
fn a_profile_as_it_is_written_reads_back_the_same() {
    let text = "version = 1\nextends = [\"base\"]\n[filesystem]\nread = [\"/a\"]\ndenied_error = \"EPERM\"\n\
         [environment]\nset = { A = \"x\" }\n[limits]\nmemory = \"2K\"\nwall_time = \"3s\"\nthreads = \
         \"unlimited\"\n\
         [[syscalls.rules]]\ncall = \"read\"\narg = \"fd\"\none_of = [1, \"x\"]\naction = \"errno\"\nerrno = \
         \"EIO\"\n";
    let written = |profile: &Profile| toml::to_string(profile).unwrap();
    let once = written(&read_again(text));
    assert_eq!(written(&read_again(&once)), once);
    assert!(once.starts_with("version = 1\nextends = [\"base\"]\n"), "{once}");
    for line in [
        "denied_error = \"EPERM\"",
        "A = \"x\"",
        "memory = 2048",
        "wall_time = \"3000ms\"",
        "one_of = [1, \"x\"]",
    ] {
        assert!(once.contains(line), "{once}");
    }
    assert_eq!(toml::from_str::<Profile>(&once).map(|profile| written(&profile)), Ok(once));
}

/// Reads a profile that must be right.
fn read_again(text: &str) -> Profile {
    let mut context = Context::default();
    let source = context.profile("t.toml".into(), text.into());
    let profile = read(&mut context, source, &DeTable::parse(text).unwrap());
    context.finish().unwrap_or_else(|e| panic!("{e}"));
    profile
}
