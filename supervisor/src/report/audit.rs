//! What the policy denied, reported to the user: one line each, on the supervisor's standard error.
//!
//! ```text
//! rxbox: denied write /home/u/.ssh/config (openat, pid 7 prog) by untrusted.toml:14; remove or narrow `…`
//! ```
//!
//! The text is made of names that a hostile guest chose, so whatever could move a cursor or forge a line is
//! escaped. A guest that tries the same thing again adds to a count, which [`Audit::finish`] reports; and
//! after [`LINES`] different lines only the number of further ones is kept, so that a guest can fill neither
//! the log nor the supervisor's memory.
//!
//! Every decision that does not simply allow passes through here; so this is also where a verdict to kill is
//! carried out, whichever handler asked.

use super::ending::{End, Ending};
use super::escape::Escaped;
use super::tell;
use nix::errno::Errno;
use rxbox_policy::{Decision, DeniedWhat, Endpoint, Make, Policy, Rule, Transport, Verdict};
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// Different lines of one run, at most.
const LINES: usize = 1000;

/// The audit of one sandbox.
#[derive(Debug)]
pub struct Audit {
    policy: Arc<Policy>,
    ending: Arc<Ending>,
    quiet: bool,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// How often each thing came up, by its text without the process.
    counts: HashMap<String, u64>,
    /// Things beyond [`LINES`].
    untold: u64,
}

/// Who did it.
#[derive(Clone, Debug)]
pub struct Who {
    /// The call that was made.
    pub call: &'static str,
    /// The guest process.
    pub pid: i32,
    /// The name of that process.
    pub name: Vec<u8>,
}

impl Audit {
    /// An audit that tells on standard error unless `quiet`, and ends the sandbox through `ending`.
    pub fn new(policy: Arc<Policy>, ending: Arc<Ending>, quiet: bool) -> Audit {
        Audit { policy, ending, quiet, told: Mutex::default() }
    }

    /// Carries a decision of the policy out: nothing if it simply allows, else a record of who did what, and
    /// the errno. The only place that turns a verdict into an errno: what is hidden is answered as the kernel
    /// answers what is not there, which for a name is ENOENT and for a call ENOSYS.
    ///
    /// # Errors
    /// That errno; EPERM where the verdict is to kill, for the caller may run on for a moment.
    pub fn enforce(
        &self,
        decision: &Decision<'_>,
        what: &DeniedWhat<'_>,
        who: impl FnOnce() -> Who,
    ) -> Result<(), Errno> {
        if decision.log || !decision.allowed() {
            self.record(&who(), what, decision);
        }
        match (decision.verdict, what) {
            (Verdict::Allow, _) => Ok(()),
            (Verdict::Deny { errno }, _) => Err(Errno::from_raw(errno)),
            (Verdict::Hide, DeniedWhat::Call(..)) => Err(Errno::ENOSYS),
            (Verdict::Hide, _) => Err(Errno::ENOENT),
            (Verdict::Kill, _) => Err(Errno::EPERM),
        }
    }

    fn record(&self, who: &Who, what: &DeniedWhat<'_>, decision: &Decision<'_>) {
        if decision.log
            && !self.quiet
            && self.first(&format!("{} {} ({})", word(decision), What(what), who.call))
        {
            let hint = if decision.allowed() { String::new() } else { self.policy.hint(what) };
            tell(&line(who, what, decision, &hint));
        }
        if decision.verdict == Verdict::Kill {
            let rule = decision.rule;
            self.ending.end(End::Policy(format!(
                "{} is forbidden by {}",
                What(what),
                Escaped(rule.to_string().as_bytes())
            )));
        }
    }

    /// Passes on a line about the guest that came from its child; the text is escaped already.
    pub fn note(&self, text: &str) {
        if !self.quiet && self.first(text) {
            tell(&format!("rxbox: {text}"));
        }
    }

    /// Whether this came up for the first time and there is room to tell it; counts it in any case.
    fn first(&self, key: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = told.counts.get_mut(key) {
            *count += 1;
            return false;
        }
        if told.counts.len() >= LINES {
            told.untold += 1;
            return false;
        }
        told.counts.insert(key.to_owned(), 1);
        true
    }

    /// Tells what came up more than once.
    pub fn finish(&self) {
        for text in self.summary() {
            tell(&text);
        }
    }

    fn summary(&self) -> Vec<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let repeated = told.counts.iter().filter(|(_, n)| **n > 1);
        let mut lines: Vec<_> =
            repeated.map(|(what, n)| format!("rxbox: {what}: {n} times in all")).collect();
        lines.sort();
        if told.untold > 0 {
            lines.push(format!("rxbox: {} further events are not shown", told.untold));
        }
        lines
    }
}

fn word(decision: &Decision<'_>) -> &'static str {
    if decision.allowed() { "logged" } else { "denied" }
}

fn line(who: &Who, what: &DeniedWhat<'_>, decision: &Decision<'_>, hint: &str) -> String {
    let mut text = format!(
        "rxbox: {} {} ({}, pid {} {}) by {}",
        word(decision),
        What(what),
        who.call,
        who.pid,
        Escaped(&who.name),
        RuleName(decision.rule)
    );
    if !hint.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, "; {hint}");
    }
    text
}

struct RuleName<'a>(Rule<'a>);

impl fmt::Display for RuleName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_default() {
            f.write_str("default")
        } else {
            write!(f, "{}", Escaped(self.0.to_string().as_bytes()))
        }
    }
}

/// What was asked for, as a verb and its object.
struct What<'a>(&'a DeniedWhat<'a>);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DeniedWhat::Path(access, path) => write!(f, "{access} {}", Escaped(path)),
            DeniedWhat::Make(Make::Directory | Make::File, path) => write!(f, "create {}", Escaped(path)),
            DeniedWhat::Make(Make::Link, path) => write!(f, "create the link {}", Escaped(path)),
            DeniedWhat::Rename(from, to) => write!(f, "rename {} to {}", Escaped(from), Escaped(to)),
            DeniedWhat::Connect(endpoint) => write!(f, "connect {}", Address(endpoint)),
            DeniedWhat::Bind(endpoint) => write!(f, "bind {}", Address(endpoint)),
            DeniedWhat::Join(group) => write!(f, "join {group}"),
            DeniedWhat::Route => f.write_str("choose route"),
            DeniedWhat::Socket { domain, kind, protocol } => write!(f, "socket {domain}, {kind}, {protocol}"),
            DeniedWhat::Call(nr, _) => match rxbox_wire::table::row(*nr) {
                Some(row) => write!(f, "call {}", row.name),
                None => write!(f, "call {nr}"),
            },
            DeniedWhat::Variable(name) => write!(f, "variable {}", Escaped(name.as_bytes())),
        }
    }
}

struct Address<'a>(&'a Endpoint<'a>);

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.0 {
            Endpoint::Inet { transport, address, port } => {
                let transport = match transport {
                    Transport::Tcp => "tcp",
                    Transport::Udp => "udp",
                    Transport::Other => "ip",
                };
                write!(f, "{transport}:{}", std::net::SocketAddr::new(address, port))
            }
            Endpoint::UnixPath(path) => write!(f, "unix:{}", Escaped(path)),
            Endpoint::UnixAbstract(name) => write!(f, "unix:@{}", Escaped(name)),
            Endpoint::Family(number) => write!(f, "address family {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxbox_policy::Access;

    fn who() -> Who {
        Who { call: "openat", pid: 7, name: b"prog".to_vec() }
    }

    fn denied(rule: Rule<'static>) -> Decision<'static> {
        Decision { verdict: Verdict::Deny { errno: libc::EACCES }, rule, log: true }
    }

    #[test]
    fn the_line_says_what_who_by_which_rule_and_how_to_allow_it() {
        let rule = Rule { file: "/etc/rxbox/untrusted.toml", line: 14, text: "filesystem.deny" };
        let what = DeniedWhat::Path(Access::Write, b"/home/u/.ssh/config");
        assert_eq!(
            line(&who(), &what, &denied(rule), "add it"),
            "rxbox: denied write /home/u/.ssh/config (openat, pid 7 prog) by untrusted.toml:14; add it"
        );
        let what = DeniedWhat::Connect(Endpoint::Inet {
            transport: Transport::Tcp,
            address: std::net::Ipv6Addr::LOCALHOST.into(),
            port: 80,
        });
        assert_eq!(
            line(&who(), &what, &denied(Rule::DEFAULT), ""),
            "rxbox: denied connect tcp:[::1]:80 (openat, pid 7 prog) by default"
        );
    }

    fn audit() -> Audit {
        let files = crate::files::HostFiles::default();
        let policy = Policy::load("permissive", &files, &rxbox_policy::Variables::default()).unwrap();
        Audit::new(Arc::new(policy), Ending::new().unwrap(), false)
    }

    #[test]
    fn repeats_are_counted_and_summed_up() {
        let audit = audit();
        assert!(audit.first("denied a"));
        assert!(!audit.first("denied a"));
        assert!(audit.first("denied b"));
        assert!(!audit.first("denied a"));
        assert_eq!(audit.summary(), ["rxbox: denied a: 3 times in all"]);
    }

    #[test]
    fn a_flood_of_different_lines_is_bounded() {
        let audit = audit();
        let told = (0..LINES + 50).filter(|n| audit.first(&format!("denied {n}"))).count();
        assert_eq!(told, LINES);
        assert_eq!(audit.summary(), ["rxbox: 50 further events are not shown"]);
    }

    #[test]
    fn what_is_hidden_is_answered_like_what_is_not_there() {
        let hidden = Decision { verdict: Verdict::Hide, rule: Rule::DEFAULT, log: false };
        let name = DeniedWhat::Path(Access::Read, b"/x");
        let call = DeniedWhat::Call(libc::SYS_read as u32, &[0; 6]);
        let answers = [&name, &call].map(|what| audit().enforce(&hidden, what, who));
        assert_eq!(answers, [Err(Errno::ENOENT), Err(Errno::ENOSYS)]);
    }

    #[test]
    fn a_verdict_to_kill_ends_the_sandbox_even_when_nothing_is_to_be_told() {
        let audit = audit();
        let kill = Decision { verdict: Verdict::Kill, rule: Rule::DEFAULT, log: false };
        let read = DeniedWhat::Path(Access::Read, b"/x");
        assert_eq!(audit.enforce(&kill, &read, who), Err(Errno::EPERM));
        assert!(matches!(audit.ending.cause(), Some(End::Policy(_))));
    }
}
