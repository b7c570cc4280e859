//! The commands that run nothing: `syscalls`, `explain`, `check`, `diff`, `show`.

use super::profile::{Profile, variables};
use crate::confine::filter::{self, Kinds};
use crate::files::followed;
use crate::report::audit::is_missing;
use crate::report::escape::Escaped;
use crate::state::pinned;
use crate::state::resolver::DOMAIN;
use rxbox_emulator_core::confine::rules;
use rxbox_policy::{
    Access, Decision, DeniedWhat, Digest, Endpoint, Limit, Policy, Transport, Verdict, canonical,
    did_you_mean, gains,
};
use rxbox_seccomp::Action;
use rxbox_wire::effect::Effect;
use rxbox_wire::kind::{Arg, Bulk, Commands, Kind, Restart, Route, Syscall, Timeout, Wait};
use rxbox_wire::table;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The row of a system call by its name.
fn row_named(name: &str) -> Result<&'static Syscall, String> {
    table::by_name(name).ok_or_else(|| {
        let help = did_you_mean(name, table::names()).map_or_else(String::new, |help| format!("; {help}"));
        format!("there is no system call {name}{help}")
    })
}

/// `rxbox check`: the report, and whether all is well.
pub fn check(names: &[String]) -> (String, bool) {
    let (mut text, mut well) = (String::new(), true);
    for name in names {
        match Profile::named(name).load(None, &variables(None)) {
            Ok(policy) => {
                let warnings = policy.warnings();
                let count = match warnings.len() {
                    0 => String::new(),
                    1 => ", 1 warning".to_owned(),
                    n => format!(", {n} warnings"),
                };
                text += &format!("{name}: no errors{count}\n");
                warnings.iter().for_each(|warning| text += &format!("warning: {warning}\n"));
            }
            Err(e) => {
                text += &format!("{e}\n");
                well = false;
            }
        }
    }
    (text, well)
}

/// `rxbox diff`: what each of two profiles allows and the other does not, and whether they agree.
///
/// # Errors
/// What is wrong with one of them.
pub fn diff(old: &str, new: &str) -> Result<(String, bool), String> {
    let load = |name: &str| Profile::named(name).load(None, &variables(None)).map_err(|e| e.to_string());
    let (a, b) = (load(old)?, load(new)?);
    let (mut text, mut agree) = (String::new(), true);
    for (mine, other, from, to) in [(new, old, &a, &b), (old, new, &b, &a)] {
        let gains = gains(from, to);
        agree &= gains.is_empty();
        let none = if gains.is_empty() { " nothing" } else { "" };
        text += &format!("{mine} allows and {other} does not:{none}\n");
        for gain in gains {
            let rule = if gain.rule.is_default() { "what no rule denies" } else { gain.rule.text };
            let denied = if gain.denied_by.is_default() {
                String::new()
            } else {
                format!(", denied by {}", gain.denied_by)
            };
            text += &format!(
                "    {} {}: {}; as {}{denied}\n",
                gain.rule,
                Escaped(rule.as_bytes()),
                gain.verbs.join(", "),
                Escaped(&gain.example)
            );
        }
    }
    Ok((text, agree))
}

/// `rxbox show`: the profile as one; with `filters` what the kernel lets through.
///
/// # Errors
/// What is wrong with it.
pub fn show(profile: &Profile, filters: bool) -> Result<String, String> {
    let policy = profile.load(None, &variables(None)).map_err(|e| e.to_string())?;
    let mut text = policy.shown();
    if filters {
        let kinds = Kinds { sockets: !policy.reach().no_network(), identities: policy.changes_identity() };
        text += "\n# Calls of the supervisor that the kernel lets through, with what for:\n";
        filter::text(kinds).lines().for_each(|line| text += &format!("# {line}\n"));
        text += "\n# Calls of the emulator child that the kernel lets through, with what for:\n";
        for rule in rules().iter().filter(|rule| rule.only.holds(false) && rule.action == Action::Allow) {
            let when = rule.when.iter().map(|(n, test)| test.text(&format!("argument {n}")));
            let when = when.collect::<Vec<_>>().join(", ");
            let when = if when.is_empty() { when } else { format!("({when})") };
            text += &format!("# {}: {}{when}\n", rule.why, rule.name);
        }
    }
    Ok(text)
}

/// What `rxbox explain` can be asked: an access, to a path or an address, or the name of a host, a system
/// call, a variable, a limit.
pub fn questions() -> Vec<&'static str> {
    Access::ALL.map(Access::name).into_iter().chain(["resolve", "call", "env", "limit"]).collect()
}

/// `rxbox explain`: the decision with its rule, and whether it allows; with `why` the rules on the way.
///
/// # Errors
/// A question that is none.
pub fn explain(policy: &Policy, question: &str, object: &OsStr, why: bool) -> Result<(String, bool), String> {
    let text = object.to_string_lossy();
    let access = Access::ALL.into_iter().find(|a| a.name() == question);
    let is_path = text.starts_with(['/', '.']) || !text.contains(':');
    if why && !(access.is_some() && is_path) {
        return Err("--why is about a path".to_owned());
    }
    match (question, access) {
        ("call", _) => {
            let row = row_named(&text)?;
            let decision = policy.call(row.nr, &[0; 6]);
            Ok(match row.route {
                Route::Refuse { errno, .. } if decision.allowed() => {
                    let answer = Verdict::Deny { errno };
                    (
                        format!("{text}: {answer} by rxbox, under every profile{}", why_refused(row.route)),
                        false,
                    )
                }
                _ => answer(policy, &decision, &DeniedWhat::Call(row.nr, &[0; 6]), &text),
            })
        }
        ("env", _) => Ok(answer(policy, &policy.variable(object), &DeniedWhat::Variable(&text), &text)),
        ("limit", _) => limit(policy, &text),
        (_, Some(access)) if is_path => {
            let (path, links) = followed(Path::new(object)).map_err(|e| format!("{text}: {e}"))?;
            // What the guest may not see it does not follow.
            let unseen =
                |link: &&PathBuf| !policy.path(Access::Metadata, link.as_os_str().as_bytes()).allowed();
            let (access, path) = match links.iter().find(unseen) {
                Some(link) => (Access::Metadata, link),
                None => (access, &path),
            };
            let bytes = path.as_os_str().as_bytes();
            let contents = match access == Access::Execute && policy.is_pinned(bytes) {
                true => Some(contents_of(path).map_err(|e| format!("{text}: {e}"))?),
                false => None,
            };
            let what = match &contents {
                Some(contents) => DeniedWhat::Program(bytes, contents),
                None => DeniedWhat::Path(access, bytes),
            };
            let (mut text, allowed) = answer(policy, &policy.decide(&what), &what, &path.to_string_lossy());
            if why {
                text += &on_the_way(policy, bytes, &links);
            }
            Ok((text, allowed))
        }
        ("connect", _) => {
            let mut name = String::new();
            let endpoint = endpoint(&text, &mut name)?;
            Ok(answer(policy, &policy.connect(&endpoint), &DeniedWhat::Connect(endpoint), &text))
        }
        ("bind", _) => {
            let mut name = String::new();
            let endpoint = endpoint(&text, &mut name)?;
            if matches!(endpoint, Endpoint::Host { .. }) {
                return Err(format!("{text} is no address of this host"));
            }
            Ok(answer(policy, &policy.bind(&endpoint), &DeniedWhat::Bind(endpoint), &text))
        }
        ("resolve", _) => {
            let name = canonical(&text).ok_or_else(|| format!("{text} is no name of a host"))?;
            // Who may ask every server may ask for every name.
            let (transport, address) = (Transport::Udp, [192, 0, 2, 53].into());
            let server = Endpoint::Inet { transport, address, port: DOMAIN };
            let by_name = policy.resolve(&name, false);
            let asked = policy.connect(&server);
            let decision = if by_name.is_lack() && asked.allowed() { asked } else { by_name };
            Ok(answer(policy, &decision, &DeniedWhat::Resolve(&name), &text))
        }
        _ => Err(format!("{question} is no question")),
    }
}

fn contents_of(path: &Path) -> io::Result<Digest> {
    Ok(pinned::contents(File::open(path)?.as_fd())?)
}

/// The value of a limit, and the rule that sets it.
fn limit(policy: &Policy, name: &str) -> Result<(String, bool), String> {
    let Some(limit) = Limit::by_name(name) else {
        return Err(format!(
            "there is no limit {name}; there are {}",
            Limit::ALL.map(Limit::name).join(", ")
        ));
    };
    let rule = policy.limit_rule(limit);
    let value = rule.text.rsplit(' ').next().filter(|_| !rule.is_default()).unwrap_or("unlimited");
    Ok((format!("{name}: {} by {rule}", Escaped(value.trim_matches('"').as_bytes())), true))
}

/// The rules that speak of a path, and the links that led there.
fn on_the_way(policy: &Policy, path: &[u8], links: &[PathBuf]) -> String {
    let mut text = String::new();
    for link in links {
        text += &format!("\n    {} is a link", Escaped(link.as_os_str().as_bytes()));
    }
    for speaks in policy.why(path) {
        let accesses: Vec<_> = speaks.accesses.iter().map(|access| access.name()).collect();
        text += &format!(
            "\n    {} {} {} from {} on ({})",
            speaks.rule,
            speaks.verb,
            if accesses.len() == Access::ALL.len() { "everything".to_owned() } else { accesses.join(", ") },
            Escaped(&speaks.place),
            Escaped(speaks.rule.text.as_bytes())
        );
    }
    if text.is_empty() {
        text += "\n    no rule speaks of it or of a directory that it lies in";
    }
    text
}

fn answer(policy: &Policy, decision: &Decision<'_>, what: &DeniedWhat<'_>, object: &str) -> (String, bool) {
    let mut text = format!("{}: {} by {}", Escaped(object.as_bytes()), decision.verdict, decision.rule);
    // Writing to a string cannot fail.
    let _ = if decision.allowed() {
        if decision.rule.is_default() {
            Ok(())
        } else {
            write!(text, " ({})", Escaped(decision.rule.text.as_bytes()))
        }
    } else {
        write!(text, "; {}", policy.hint(what, is_missing))
    };
    (text, decision.allowed())
}

fn endpoint<'t>(text: &'t str, name: &'t mut String) -> Result<Endpoint<'t>, String> {
    let wants = || {
        format!(
            "{text} is no address; one is tcp:example.org:443, udp:192.0.2.1:53, tcp:[::1]:80, unix:/path or \
             unix:@name"
        )
    };
    let (kind, rest) = text.split_once(':').ok_or_else(wants)?;
    let transport = match kind {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "unix" => {
            return Ok(match rest.strip_prefix('@') {
                Some(name) => Endpoint::UnixAbstract(name.as_bytes()),
                None => Endpoint::UnixPath(rest.as_bytes()),
            });
        }
        _ => return Err(wants()),
    };
    if let Some((host, port)) = rest.rsplit_once(':')
        && let (Some(host), Ok(port)) = (canonical(host), port.parse())
    {
        *name = host;
        return Ok(Endpoint::Host { transport, name, port });
    }
    let address: SocketAddr = rest.parse().map_err(|_| wants())?;
    Ok(Endpoint::Inet { transport, address: address.ip(), port: address.port() })
}

/// `rxbox syscalls`: all rows, or one with its commands.
///
/// # Errors
/// There is no such call.
pub fn syscalls(name: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    match name {
        None => table::SYSCALLS.iter().for_each(|row| text += &line(row)),
        Some(name) => {
            let row = row_named(name)?;
            text += &line(row);
            let columns = columns(&[], row.wait, row.restart, row.args, row.travel);
            if !columns.is_empty() {
                text += &format!("     {columns}\n");
            }
            for commands in row.args.iter().filter_map(|a| match a.kind {
                Kind::Command(c) | Kind::Level(c) => Some(c),
                _ => None,
            }) {
                text += &command_lines(commands);
            }
        }
    }
    Ok(text)
}

fn line(row: &Syscall) -> String {
    let arguments: Vec<_> = row.args.iter().map(|a| a.name).collect();
    format!(
        "{:>3}  {:<24} {:<8} ({}){}\n",
        row.nr,
        row.name,
        route(row.route),
        arguments.join(", "),
        why_refused(row.route)
    )
}

fn command_lines(commands: &Commands) -> String {
    let lines = commands.rows.iter().map(|c| {
        let arguments: Vec<_> = c.args.iter().map(|a| a.name).collect();
        let own = c.route.map_or("", route);
        let columns = columns(c.effects, c.wait, c.restart, c.args, Bulk::AtOnce);
        format!(
            "     {:<24} {own:<8} ({}){}{}\n",
            c.name,
            arguments.join(", "),
            c.route.map_or(String::new(), why_refused),
            if columns.is_empty() { columns } else { format!("  {columns}") }
        )
    });
    lines.collect()
}

/// What the row of a call or command says of effects, waiting, signals, times and bulk data; nothing for
/// most.
fn columns(effects: &[Effect], wait: Wait, restart: Restart, args: &[Arg], travel: Bulk) -> String {
    let effects = effects.iter().filter(|effect| **effect != Effect::Harmless).map(|e| e.name().to_owned());
    let wait = match wait {
        Wait::Never => None,
        Wait::Blocking => Some("blocking".to_owned()),
        Wait::Polling => Some("polling".to_owned()),
    };
    let restart = match restart {
        Restart::Never => None,
        Restart::NeverAtAll => Some("never restarts".to_owned()),
        Restart::Flagged => Some("restarts".to_owned()),
        Restart::FlaggedUnlessTimed => Some("restarts unless timed".to_owned()),
    };
    let of_arguments = args.iter().filter_map(|arg| match (arg.kind, arg.kind.timeout()) {
        (Kind::SigMask { .. } | Kind::SigMaskPair, _) => Some(format!("signal mask: {}", arg.name)),
        (_, Some(form)) => Some(format!("time limit: {} ({})", arg.name, time_form(form))),
        _ => None,
    });
    let travel = match travel {
        Bulk::AtOnce => None,
        Bulk::Pieces(_) => Some("data: in pieces".to_owned()),
        Bulk::Message => Some("data: a message".to_owned()),
        Bulk::Map { .. } => Some("data: a file to map".to_owned()),
    };
    let all: Vec<_> = effects.chain(wait).chain(restart).chain(of_arguments).chain(travel).collect();
    all.join("; ")
}

fn time_form(form: Timeout) -> &'static str {
    match form {
        Timeout::FromNow => "from now",
        Timeout::CountedDown => "from now, counted down",
        Timeout::BetweenMessages => "from now, between messages",
        Timeout::Until => "a point in time",
        Timeout::OnClock { .. } => "from now or a point in time",
    }
}

fn route(route: Route) -> &'static str {
    match route {
        Route::Perform => "perform",
        Route::Grant => "grant",
        Route::Emulate => "emulate",
        Route::Refuse { .. } => "refuse",
    }
}

fn why_refused(route: Route) -> String {
    match route {
        Route::Refuse { errno, why } => {
            let name = rxbox_wire::names::errno(errno)
                .map_or_else(|| errno.to_string(), |(name, _)| name.to_owned());
            format!("  {name}: {why}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissive() -> Policy {
        Profile::named("permissive").load(None, &variables(None)).unwrap()
    }

    #[test]
    fn every_call_has_its_line_and_refusals_say_why() {
        let text = syscalls(None).unwrap();
        assert_eq!(text.lines().count(), table::SYSCALLS.len());
        assert!(text.contains("  0  read                     perform  (fd, buf, count)\n"), "{text}");
        let refused = table::SYSCALLS.iter().find(|s| matches!(s.route, Route::Refuse { .. })).unwrap();
        let Route::Refuse { why, .. } = refused.route else { panic!() };
        assert!(syscalls(Some(refused.name)).unwrap().contains(why));
        assert!(syscalls(Some("no_such_call")).is_err());
    }

    #[test]
    fn a_multiplexer_is_shown_with_its_commands() {
        assert!(syscalls(Some("fcntl")).unwrap().contains("F_DUPFD_CLOEXEC"));
    }

    #[test]
    fn one_call_is_shown_with_all_that_its_row_says() {
        for (call, columns) in [
            ("ppoll", "polling; time limit: tmo_p (from now, counted down); signal mask: sigmask"),
            ("read", "blocking; restarts; data: in pieces"),
            ("mmap", "data: a file to map"),
            ("fcntl", "(arg)  keeps kernel memory; may wait; restarts\n"),
            ("futex", "blocking; restarts unless timed; time limit: timeout (a point in time)"),
        ] {
            let text = syscalls(Some(call)).unwrap();
            assert!(text.contains(columns), "{call}: {text}");
        }
        assert_eq!(syscalls(Some("getpid")).unwrap().lines().count(), 1);
    }

    #[test]
    fn decisions_are_explained() {
        let policy = permissive();
        let (text, allowed) = explain(&policy, "read", "/etc/passwd".as_ref(), false).unwrap();
        assert!(allowed && text.starts_with("/etc/passwd: allow by permissive.toml:"), "{text}");
        assert!(explain(&policy, "connect", "tcp:192.0.2.1:80".as_ref(), false).unwrap().1);
        assert!(explain(&policy, "call", "read".as_ref(), false).unwrap().1);
        let asked = |question, object: &str| explain(&policy, question, object.as_ref(), false).unwrap();
        let (text, allowed) = asked("call", "kexec_load");
        assert!(!allowed && text.starts_with("kexec_load: deny EPERM by rxbox"), "{text}");
        assert_eq!(asked("limit", "memory").0, "memory: unlimited by default");
        assert!(asked("env", "ANY").1);
        let (text, _) = explain(&policy, "read", "/etc/passwd".as_ref(), true).unwrap();
        assert!(text.contains(" allows ") && text.contains(" from / on (filesystem.write \"/\")"), "{text}");
        for (question, object) in
            [("limit", "nothing"), ("call", "nothing"), ("connect", "tcp:x"), ("eat", "/x")]
        {
            assert!(explain(&policy, question, object.as_ref(), false).is_err(), "{question}");
        }
    }

    #[test]
    fn a_missing_path_is_judged_at_the_place_where_it_would_be() {
        let to = |path: &str| followed(Path::new(path)).unwrap().0;
        assert_eq!(to("/proc/self/../nothing/x"), PathBuf::from("/proc/nothing/x"));
        assert_eq!(to("/proc/self/fd"), PathBuf::from("/proc/self/fd"));
        assert_eq!(to("/"), PathBuf::from("/"));
    }

    #[test]
    fn builtin_profiles_have_no_errors() {
        let names: Vec<_> = rxbox_policy::builtin_names().map(str::to_owned).collect();
        let (text, well) = check(&names);
        assert!(well, "{text}");
        let (text, well) = check(&["/nowhere.toml".to_owned()]);
        assert!(!well && text.contains("nowhere"), "{text}");
    }
}
