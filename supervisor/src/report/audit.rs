//! What the policy denied, reported to the user: one line each, on the supervisor's standard error.
//!
//! ```text
//! rxbox: denied write /home/u/.ssh/config (openat, pid 7 prog) by untrusted.toml:14; remove or narrow `…`
//! ```
//!
//! The text is made of names that a hostile guest chose, so whatever could move a cursor or forge a line is
//! escaped. A guest that tries the same thing again adds to a count; of a flood only the first [`LINES`]
//! lines are told at once. Nothing is lost of the rest ([`super::account`]), nor of what the guest kept from
//! being written or took away again ([`super::stream`]): [`Audit::finish`] tells it when the run is over, and
//! then all denials once more in one block ([`super::denials`]). Whoever wants records ([`super::record`])
//! gets one for each thing that the account keeps.
//!
//! Every decision that does not simply allow passes through here; so this is also where a verdict to kill is
//! carried out, whichever handler asked.

use super::account::{Account, Came, Telling, Thing};
use super::denials::Denials;
use super::ending::{End, Ending};
use super::escape::Escaped;
use super::lesson::Lesson;
use super::record::{self, Event, Record};
use super::stream::Stream;
use super::trace::{self, Judged};
use nix::errno::Errno;
use rxbox_policy::{Access, Decision, DeniedWhat, Endpoint, Make, Policy, Rule, Transport, Verdict};
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Different lines that are told at once.
const LINES: usize = 1000;
/// Further ones that are told at the end.
const LATE_LINES: usize = 2000;

/// The audit of one sandbox.
#[derive(Debug)]
pub struct Audit {
    policy: Arc<Policy>,
    ending: Arc<Ending>,
    listeners: Vec<Listener>,
    account: Mutex<Account>,
    denials: Mutex<Denials>,
    lesson: OnceLock<Lesson>,
    /// Records for the end that are not of denials.
    others: OnceLock<Vec<String>>,
}

/// Where the audit tells, and how.
#[derive(Clone, Debug)]
pub enum Listener {
    /// In lines for people.
    Lines(Arc<Stream>),
    /// In records.
    Records(Arc<Stream>),
}

impl Listener {
    fn stream(&self) -> &Stream {
        let (Listener::Lines(stream) | Listener::Records(stream)) = self;
        stream
    }

    fn text<'t>(&self, thing: &'t Thing) -> &'t str {
        match self {
            Listener::Lines(_) => &thing.told_as.line,
            Listener::Records(_) => &thing.told_as.record,
        }
    }

    /// How many things are told at once and, of others, at the end.
    fn bounds(&self) -> (usize, usize) {
        match self {
            Listener::Lines(_) => (LINES, LATE_LINES),
            Listener::Records(_) => (usize::MAX, usize::MAX),
        }
    }
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
    /// An audit that tells these listeners and ends the sandbox through `ending`.
    pub fn new(policy: Arc<Policy>, ending: Arc<Ending>, listeners: Vec<Listener>) -> Audit {
        let (account, denials) = (Mutex::default(), Mutex::default());
        Audit {
            policy,
            ending,
            listeners,
            account,
            denials,
            lesson: OnceLock::new(),
            others: OnceLock::new(),
        }
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
        trace::note(|| judged(what, decision));
        let lesson = self.lesson.get().filter(|_| decision.allowed());
        if decision.log || !decision.allowed() || lesson.is_some() {
            let who = who();
            lesson.inspect(|lesson| lesson.note(what, &who.name));
            self.record(&who, what, decision);
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
        if decision.log {
            let thing = format!("{} {} ({})", word(decision), What(what), who.call);
            let rule = (!decision.allowed()).then(|| RuleName(decision.rule).to_string());
            self.enter(rule.as_deref(), &thing, || {
                let hint =
                    if decision.allowed() { String::new() } else { self.policy.hint(what, is_missing) };
                let line = line(who, what, decision, &hint);
                let wanted = self.wants_records();
                let record = if wanted { record(who, what, decision, &hint) } else { String::new() };
                Telling { line, record }
            });
            if !decision.allowed() {
                self.all_denials().note(what, decision, &who.name);
            }
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

    /// From now on takes note of what is allowed. The first lesson counts.
    pub fn teach(&self, lesson: Lesson) {
        let _ = self.lesson.set(lesson);
    }

    /// Whether it takes note of what is allowed.
    pub fn is_learning(&self) -> bool {
        self.lesson.get().is_some()
    }

    /// What comes of the lesson, if there is one.
    pub fn learned<T>(&self, of: impl FnOnce(&Lesson) -> T) -> Option<T> {
        self.lesson.get().map(of)
    }

    /// What was denied, in the order in which it came up.
    pub fn denied(&self) -> Vec<String> {
        let account = self.account();
        let things = account.things();
        things.into_iter().filter_map(|(thing, _)| thing.strip_prefix("denied ").map(str::to_owned)).collect()
    }

    /// Counts a denial for its rule without telling what it was about.
    pub fn count(&self, decision: &Decision<'_>) {
        if decision.log {
            self.account().count(&RuleName(decision.rule).to_string());
        }
    }

    /// Passes on a line about the guest that came from its child; the text is escaped already.
    pub fn note(&self, text: &str) {
        self.enter(None, text, || Telling {
            line: format!("rxbox: {text}"),
            record: if self.wants_records() { Record::Note { text }.line() } else { String::new() },
        });
    }

    fn wants_records(&self) -> bool {
        self.listeners.iter().any(|listener| matches!(listener, Listener::Records(_)))
    }

    fn all_denials(&self) -> MutexGuard<'_, Denials> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, rule: Option<&str>, thing: &str, tell: impl FnOnce() -> Telling) {
        let mut account = self.account();
        if account.enter(rule, thing, tell) == Came::Again {
            return;
        }
        let Some(first) = account.get(thing) else { return };
        let offer = |listener: &Listener| {
            first.number < listener.bounds().0 && listener.stream().offer(listener.text(first))
        };
        let told = self.listeners.iter().map(offer).collect();
        account.set_told(thing, told);
    }

    /// How often each rule denied something.
    pub fn denials(&self) -> Vec<(String, u64)> {
        self.account().rules().map(|(rule, count)| (rule.to_owned(), count)).collect()
    }

    /// Takes in records for the end that are not of denials. Those that come first count.
    pub fn add(&self, records: Vec<String>) {
        let _ = self.others.set(records);
    }

    /// Tells what was not told or is not there any more, and what came up more than once. No guest may run
    /// any more. What a stream does not take until the deadline is given up.
    pub fn finish(&self, deadline: Instant) {
        let account = self.account();
        for (n, listener) in self.listeners.iter().enumerate() {
            let (stream, things) = (listener.stream(), account.things());
            let told: Vec<&str> =
                things.into_iter().filter(|(_, t)| t.is_told(n)).map(|(_, t)| listener.text(t)).collect();
            let again = stream.missing(told.iter().copied()).into_iter().filter_map(|k| told.get(k).copied());
            let (_, most) = listener.bounds();
            let late = account.untold(n).into_iter().take(most).map(|(_, thing)| listener.text(thing));
            let denials = self.all_denials();
            let summary = match listener {
                Listener::Lines(_) => summary(&account, &denials, &self.policy, n),
                Listener::Records(_) => {
                    let others = self.others.get().into_iter().flatten().cloned();
                    records(&account, &denials, &self.policy).into_iter().chain(others).collect()
                }
            };
            let lines = again.chain(late).map(str::to_owned).chain(summary);
            // One that takes a line no more in time takes none of those behind it.
            let _ = lines.into_iter().all(|line| stream.deliver(&line, deadline));
        }
    }
}

/// Whether nothing has a name: to the user that is no secret.
pub fn is_missing(path: &[u8]) -> bool {
    let found = Path::new(OsStr::from_bytes(path)).symlink_metadata();
    found.is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

/// What is said in the end to stream `n` of all that came up: counts of what is shown, the denials in one
/// block, and counts by rule if not all is shown.
fn summary(account: &Account, denials: &Denials, policy: &Policy, n: usize) -> Vec<String> {
    let things = account.things().into_iter();
    let repeated = things.filter(|(what, thing)| thing.count > 1 && !what.starts_with("denied "));
    let mut lines: Vec<_> =
        repeated.map(|(what, thing)| format!("rxbox: {what}: {} times in all", thing.count)).collect();
    lines.sort();
    lines.truncate(LINES + LATE_LINES);
    lines.extend(denials.lines(policy.variables()));
    let unnamed = account.others() + account.untold(n).len().saturating_sub(LATE_LINES) as u64;
    if unnamed > 0 {
        lines.push(format!("rxbox: {unnamed} further events are not shown; in all:"));
        lines.extend(account.rules().map(|(rule, count)| format!("rxbox: {count} denied by {rule}")));
    }
    lines
}

/// The records at the end that go beyond the single things; those of the rules come with the report.
fn records(account: &Account, denials: &Denials, policy: &Policy) -> Vec<String> {
    let repeated = account.things().into_iter().filter(|(_, thing)| thing.count > 1);
    let repeated = repeated.map(|(what, thing)| Record::Repeated { what, count: thing.count }.line());
    let lost = Some(account.others()).filter(|count| *count > 0).map(|count| Record::Lost { count }.line());
    let lacking = denials.lacking(policy.variables());
    let lacking = lacking.iter().map(|(list, entry)| Record::Lacking { list, entry }.line());
    repeated.chain(lost).chain(lacking).collect()
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

fn record(who: &Who, what: &DeniedWhat<'_>, decision: &Decision<'_>, hint: &str) -> String {
    let (verb, object, to) = parts(what);
    let event = Event {
        time: record::now(),
        verb,
        object,
        to,
        call: who.call,
        pid: who.pid,
        program: Escaped(&who.name).to_string(),
        verdict: decision.verdict.to_string(),
        rule: RuleName(decision.rule).to_string(),
        text: Escaped(decision.rule.text.as_bytes()).to_string(),
        hint: hint.to_owned(),
    };
    let record = if decision.allowed() { Record::Logged(event) } else { Record::Denial(event) };
    record.line()
}

/// The decision as the trace shows it.
fn judged(what: &DeniedWhat<'_>, decision: &Decision<'_>) -> Judged {
    let (verb, object, to) = parts(what);
    Judged {
        verb: verb.to_owned(),
        object: to.map_or_else(|| object.clone(), |to| format!("{object} to {to}")),
        allowed: decision.allowed(),
        verdict: decision.verdict.to_string(),
        rule: RuleName(decision.rule).to_string(),
    }
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

/// What was asked for, as a verb and its object, and the second object of a rename.
fn parts(what: &DeniedWhat<'_>) -> (&'static str, String, Option<String>) {
    let shown = |path: &[u8]| Escaped(path).to_string();
    let (verb, object) = match what {
        DeniedWhat::Path(access, path) => (access.name(), shown(path)),
        DeniedWhat::Program(path, _) => (Access::Execute.name(), shown(path)),
        DeniedWhat::Make(Make::Directory | Make::File, path) => ("create", shown(path)),
        DeniedWhat::Make(Make::Link, path) => ("create the link", shown(path)),
        DeniedWhat::Rename(from, to) => return ("rename", shown(from), Some(shown(to))),
        DeniedWhat::Connect(endpoint) => ("connect", Address(endpoint).to_string()),
        DeniedWhat::Bind(endpoint) => ("bind", Address(endpoint).to_string()),
        DeniedWhat::Resolve(name) => ("resolve", shown(name.as_bytes())),
        DeniedWhat::Join(group) => ("join", group.to_string()),
        DeniedWhat::Route => ("choose", "route".to_owned()),
        DeniedWhat::Socket { domain, kind, protocol } => ("socket", format!("{domain}, {kind}, {protocol}")),
        DeniedWhat::Call(nr, _) => {
            ("call", rxbox_wire::table::row(*nr).map_or_else(|| nr.to_string(), |row| row.name.to_owned()))
        }
        DeniedWhat::Variable(name) => ("variable", shown(name.as_bytes())),
    };
    (verb, object, None)
}

/// The same in words.
struct What<'a>(&'a DeniedWhat<'a>);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, object, to) = parts(self.0);
        write!(f, "{verb} {object}")?;
        to.map_or(Ok(()), |to| write!(f, " to {to}"))
    }
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Other => "ip",
    }
}

struct Address<'a>(&'a Endpoint<'a>);

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.0 {
            Endpoint::Inet { transport, address, port } => {
                write!(f, "{}:{}", transport_name(transport), std::net::SocketAddr::new(address, port))
            }
            Endpoint::Host { transport, name, port } => {
                write!(f, "{}:{}:{port}", transport_name(transport), Escaped(name.as_bytes()))
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
    use std::os::fd::AsFd;

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
        Audit::new(Arc::new(policy), Ending::new().unwrap(), Vec::new())
    }

    /// What a pipe gets of `events` whose reader takes nothing before the end.
    fn told(events: impl Fn(&Audit)) -> Vec<String> {
        let (read, write) = nix::unistd::pipe().unwrap();
        let stream = Arc::new(Stream::of(write.as_fd()).unwrap());
        let audit = Audit { listeners: vec![Listener::Lines(stream)], ..audit() };
        events(&audit);
        let reader = std::thread::spawn(move || io::read_to_string(std::fs::File::from(read)).unwrap());
        audit.finish(Instant::now() + std::time::Duration::from_secs(60));
        drop((audit, write));
        reader.join().unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn repeats_are_counted_and_summed_up() {
        let lines = told(|audit| ["a", "a", "b", "a"].into_iter().for_each(|text| audit.note(text)));
        assert_eq!(lines, ["rxbox: a", "rxbox: b", "rxbox: a: 3 times in all"]);
    }

    #[test]
    fn a_flood_is_bounded_and_what_it_came_before_is_told() {
        let rule = Rule { file: "/etc/rxbox/untrusted.toml", line: 14, text: "filesystem.deny" };
        let deny = |audit: &Audit, path: &str| {
            let what = DeniedWhat::Path(Access::Read, path.as_bytes());
            audit.enforce(&denied(rule), &what, who).unwrap_err();
        };
        let flood = LINES + LATE_LINES + 50;
        let lines = told(|audit| {
            (0..flood).for_each(|n| deny(audit, &format!("/junk/{n}")));
            deny(audit, "/etc/shadow");
        });
        assert!(lines.iter().any(|l| l.starts_with("rxbox: denied read /etc/shadow")), "{lines:?}");
        assert!(lines.len() > LATE_LINES && lines.len() < flood);
        assert_eq!(lines.last().map(|l| &**l), Some("rxbox: 3051 denied by untrusted.toml:14"));
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
