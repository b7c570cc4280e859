//! Tests of the command line as a whole.

use super::*;
use rxbox_policy::{OVERRIDE_OPTIONS, OverrideOption, Overrides};
use rxbox_wire::log::{LogItem, LogItems};

fn parsed(line: &str) -> Result<Command, UsageError> {
    parse(line.split_ascii_whitespace().map(OsString::from))
}

fn run(line: &str) -> Run {
    match parsed(line) {
        Ok(Command::Run(run)) => *run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_declarations_hold_together() {
    command().debug_assert();
}

#[test]
fn options_end_at_the_program_whose_own_options_are_its_own() {
    let r = run("--quiet --profile p ./prog --quiet -x");
    assert_eq!((r.reports.quiet, r.profile.name()), (true, "p"));
    assert_eq!(r.words, ["./prog", "--quiet", "-x"]);
    assert_eq!(run("-- --odd").words, ["--odd"]);
    assert_eq!(run("-- check").words, ["check"]);
    assert_eq!(run("true").profile.name(), "untrusted");
    assert_eq!(run("true --help -- --quiet").words, ["true", "--help", "--", "--quiet"]);
    assert_eq!(run("-- true -- -V").words, ["true", "--", "-V"]);
    assert_eq!(run("--quiet check untrusted").words, ["check", "untrusted"]);
    assert_eq!(run("- x").words, ["-", "x"]);
}

#[test]
fn a_value_may_look_like_an_option_and_the_last_one_counts() {
    let r = run("--profile -p --log-file --quiet --log-file -- --quiet prog");
    assert_eq!((r.profile.name(), r.reports.quiet), ("-p", true));
    assert_eq!(r.reports.log_file, Some("--".into()));
}

#[test]
fn every_option_of_the_help_is_read() {
    let r = run("--allow-read /a --allow-read=/b --allow-write /c --allow-exec /d --deny-path /e \
         --allow-net tcp:*:80 --allow-bind tcp:*:81 --pass-env L* --env K=V=W --limit memory=1M \
         --user games --time-limit 5 --log syscall,op --log-file /f --status-fd 3 prog");
    let given = [
        ("--allow-read", "/a"),
        ("--allow-read", "/b"),
        ("--allow-write", "/c"),
        ("--allow-exec", "/d"),
        ("--deny-path", "/e"),
        ("--allow-net", "tcp:*:80"),
        ("--allow-bind", "tcp:*:81"),
        ("--pass-env", "L*"),
        ("--env", "K=V=W"),
        ("--limit", "memory=1M"),
        ("--user", "games"),
        ("--time-limit", "5"),
    ];
    let option = |(flag, value): (&str, &str)| OverrideOption::by_flag(flag).unwrap().with(value).unwrap();
    assert_eq!(r.profile.added.0, Overrides::from_iter(given.map(option)));
    assert_eq!(r.reports.log(), LogItems::from_iter([LogItem::Syscall, LogItem::Op]));
    assert_eq!((r.reports.log_file, r.reports.status_fd), (Some("/f".into()), Some(3)));
    let Ok(Command::Help(help)) = parsed("--help") else { panic!() };
    for option in help.split_ascii_whitespace().filter(|w| w.starts_with("--") && w.len() > 2) {
        let name = option.trim_end_matches(',');
        let known = |line: &str| !parsed(line).is_err_and(|e| e.to_string().starts_with("unknown option"));
        assert!(name == "--its-own-option" || known(&format!("{name} 1=1 x")), "{name}");
    }
    for option in &OVERRIDE_OPTIONS {
        assert!(help.contains(&format!("{} <{}>", option.flag, option.value)), "{}", option.flag);
    }
}

#[test]
fn what_makes_no_sense_is_said() {
    for (line, message) in [
        ("--profil p prog", "unknown option --profil; did you mean `--profile`?"),
        ("--profile", "--profile wants a value"),
        ("--quiet", "no program is given"),
        ("--", "no program is given"),
        ("--log nothing x", "--log cannot be \"nothing\"; there are in_asm, op"),
        ("--log op,syscal x", "--log cannot be \"syscal\""),
        ("--stack-size 1T x", "--stack-size wants a number of bytes"),
        ("--status-fd -1 x", "--status-fd wants a number"),
        ("--time-limit 5s x", "--time-limit wants a number of seconds"),
        ("--env K x", "--env wants NAME=VALUE"),
        ("--quiet=1 x", "--quiet takes no value"),
        ("explain read", "no object is given"),
        ("explain", "no question and no object is given"),
        ("explain raed /x", "QUESTION cannot be \"raed\"; there are read, write"),
        ("explain read /x y", "y is one argument too many"),
        ("check", "no profile is given"),
        ("--program /x y", "--program is for explain only"),
        ("--profile p --profile=q x", "--profile is given 2 times; a profile with extends = [\"p\", \"q\"]"),
        ("learn --diff p --merge q x", "--diff does not go with --merge"),
        ("syscalls a b", "b is one argument too many"),
        ("completions csh", "SHELL cannot be \"csh\"; there are bash"),
    ] {
        let error = parsed(line).unwrap_err().to_string();
        assert!(error.starts_with(message), "{line}: {error}");
        assert!(error.ends_with(" (see rxbox --help)") && !error.contains('\n'), "{line}: {error}");
    }
}

#[test]
fn the_other_commands_are_read() {
    assert!(matches!(parsed(""), Ok(Command::Help(_))));
    assert!(matches!(parsed("--quiet --help prog"), Ok(Command::Help(_))));
    assert!(matches!(parsed("explain -h"), Ok(Command::Help(help)) if help.contains("--program")));
    assert_eq!(parsed("-V"), Ok(Command::Version));
    assert_eq!(parsed("syscalls"), Ok(Command::Syscalls { name: None, coverage: false }));
    assert_eq!(
        parsed("syscalls read"),
        Ok(Command::Syscalls { name: Some("read".to_owned()), coverage: false })
    );
    let profiles = vec!["a".to_owned(), "./b".to_owned()];
    assert_eq!(parsed("check a ./b"), Ok(Command::Check { profiles }));
    let Ok(Command::Explain(asked)) = parsed("explain --profile p --program=/bin/y --allow-read /z read /x")
    else {
        panic!()
    };
    assert_eq!((asked.profile.name(), asked.program), ("p", Some("/bin/y".into())));
    assert_eq!((asked.question.as_str(), asked.object.to_str()), ("read", Some("/x")));
    assert_ne!(asked.profile.added, profile::Added::default());
}

#[test]
fn what_names_no_command_is_read_alike_with_and_without_the_commands() {
    let declared: Vec<_> = command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    assert_eq!(declared, COMMANDS);
    for line in [
        "/bin/true",
        "-- /bin/true -h",
        "--profile permissive --allow-read a --allow-read b sh -c x",
        "--quiet --audit fd:3 --name web --gdb 1 --pass-fd 3 ./prog --help",
        "--profile a --profile b x",
        "sh explain",
        "-h",
        "--version",
        "--no-such x",
        "--profile",
        "--name",
        "",
    ] {
        let words: Vec<OsString> =
            std::iter::once("rxbox").chain(line.split_whitespace()).map(OsString::from).collect();
        let plain = plain_run(&words);
        let whole = Line::try_parse_from(&words).ok().filter(|line| line.command.is_none()).map(|l| l.run);
        assert!(plain.is_none() || plain == whole, "{line}");
        let quick = ["/bin/true", "--quiet"].iter().any(|start| line.starts_with(start));
        assert!(!quick || plain.is_some(), "{line}");
    }
}
