//! The commands that run nothing: `syscalls`, `explain`, `check`.

use super::profile::{Profile, variables};
use crate::files::followed;
use crate::report::audit::is_missing;
use rxbox_policy::{Access, Decision, DeniedWhat, Endpoint, Policy, Transport, did_you_mean};
use rxbox_wire::effect::Effect;
use rxbox_wire::kind::{Arg, Bulk, Commands, Kind, Restart, Route, Syscall, Timeout, Wait};
use rxbox_wire::table;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::SocketAddr;
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
            Ok(_) => text += &format!("{name}: no errors\n"),
            Err(e) => {
                text += &format!("{e}\n");
                well = false;
            }
        }
    }
    (text, well)
}

/// What `rxbox explain` can be asked: an access, to a path or an address, or a system call.
pub fn questions() -> Vec<&'static str> {
    Access::ALL.map(Access::name).into_iter().chain(["call"]).collect()
}

/// `rxbox explain`: the decision with its rule, and whether it allows.
///
/// # Errors
/// A question that is none.
pub fn explain(policy: &Policy, question: &str, object: &OsStr) -> Result<(String, bool), String> {
    let text = object.to_string_lossy();
    let access = Access::ALL.into_iter().find(|a| a.name() == question);
    let is_path = text.starts_with(['/', '.']) || !text.contains(':');
    match (question, access) {
        ("call", _) => {
            let row = row_named(&text)?;
            Ok(answer(policy, &policy.call(row.nr, &[0; 6]), &DeniedWhat::Call(row.nr, &[0; 6]), &text))
        }
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
            let decision = policy.path(access, bytes);
            Ok(answer(policy, &decision, &DeniedWhat::Path(access, bytes), &path.to_string_lossy()))
        }
        ("connect", _) => {
            let endpoint = endpoint(&text)?;
            Ok(answer(policy, &policy.connect(&endpoint), &DeniedWhat::Connect(endpoint), &text))
        }
        ("bind", _) => {
            let endpoint = endpoint(&text)?;
            Ok(answer(policy, &policy.bind(&endpoint), &DeniedWhat::Bind(endpoint), &text))
        }
        _ => Err(format!("{question} is no question")),
    }
}

fn answer(policy: &Policy, decision: &Decision<'_>, what: &DeniedWhat<'_>, object: &str) -> (String, bool) {
    let mut text = format!("{}: {} by {}", object.escape_debug(), decision.verdict, decision.rule);
    // Writing to a string cannot fail.
    let _ = if decision.allowed() {
        if decision.rule.is_default() {
            Ok(())
        } else {
            write!(text, " ({})", decision.rule.text.escape_debug())
        }
    } else {
        write!(text, "; {}", policy.hint(what, is_missing))
    };
    (text, decision.allowed())
}

fn endpoint(text: &str) -> Result<Endpoint<'_>, String> {
    let wants =
        || format!("{text} is no address; one is tcp:192.0.2.1:443, udp:[::1]:53, unix:/path or unix:@name");
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
        why(row.route)
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
            c.route.map_or(String::new(), why),
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

fn why(route: Route) -> String {
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
        let (text, allowed) = explain(&policy, "read", "/etc/passwd".as_ref()).unwrap();
        assert!(allowed && text.starts_with("/etc/passwd: allow by permissive.toml:"), "{text}");
        assert!(explain(&policy, "connect", "tcp:192.0.2.1:80".as_ref()).unwrap().1);
        assert!(explain(&policy, "call", "read".as_ref()).unwrap().1);
        for (question, object) in [("call", "nothing"), ("connect", "tcp:x"), ("eat", "/x")] {
            assert!(explain(&policy, question, object.as_ref()).is_err(), "{question}");
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
