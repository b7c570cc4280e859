//! How to allow what was denied: the words to write into the profile or onto the command line.

use std::net::IpAddr;

use crate::decision::{Access, Decision, Make, Verdict};
use crate::errno;
use crate::load::overrides::OVERRIDE_OPTIONS;
use crate::pattern::entry::{Done, Entry};
use crate::pattern::variables::{toml_name, toml_new_path, toml_path, toml_string};
use crate::policy::Policy;
use crate::report::ledger::OWN;
use crate::rules::grant::Grant;
use crate::rules::network::{AF_INET, AF_INET6, Endpoint, Transport};
use crate::rules::pins::Digest;
use crate::rules::tree::AccessSet;
use crate::vocabulary;

/// The port of name servers.
const DOMAIN: u16 = 53;

/// What was asked for and denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedWhat<'a> {
    /// An access to a path, as [`Policy::path`] was asked.
    Path(Access, &'a [u8]),
    /// As [`Policy::program`] was asked.
    Program(&'a [u8], &'a Digest),
    /// As [`Policy::make`] was asked.
    Make(Make, &'a [u8]),
    /// As [`Policy::rename`] was asked.
    Rename(&'a [u8], &'a [u8]),
    /// As [`Policy::connect`] was asked.
    Connect(Endpoint<'a>),
    /// As [`Policy::resolve`] was asked.
    Resolve(&'a str),
    /// As [`Policy::bind`] was asked.
    Bind(Endpoint<'a>),
    /// As [`Policy::socket`] was asked.
    Socket {
        /// The address family.
        domain: i32,
        /// The socket's type with its flags.
        kind: i32,
        /// The protocol.
        protocol: i32,
    },
    /// As [`Policy::join`] was asked.
    Join(IpAddr),
    /// As [`Policy::route`] was asked.
    Route,
    /// As [`Policy::call`] was asked.
    Call(u32, &'a [u64; 6]),
    /// An environment variable.
    Variable(&'a str),
}

impl Policy {
    /// The decision about it.
    pub fn decide(&self, what: &DeniedWhat<'_>) -> Decision<'_> {
        match *what {
            DeniedWhat::Path(access, path) => self.path(access, path),
            DeniedWhat::Program(path, contents) => self.program(path, contents),
            DeniedWhat::Make(make, path) => self.make(make, path),
            DeniedWhat::Rename(from, to) => self.rename(from, to),
            DeniedWhat::Connect(endpoint) => self.connect(&endpoint),
            DeniedWhat::Resolve(name) => self.resolve(name, false),
            DeniedWhat::Bind(endpoint) => self.bind(&endpoint),
            DeniedWhat::Socket { domain, kind, protocol } => self.socket(domain, kind, protocol),
            DeniedWhat::Join(group) => self.join(group),
            DeniedWhat::Route => self.route(),
            DeniedWhat::Call(number, args) => self.call(number, args),
            DeniedWhat::Variable(name) => self.variable(name.as_ref()),
        }
    }

    /// How to allow it. A denial by a rule is not undone by allowing more, so then the hint names that rule.
    /// The text holds no control characters, whatever the guest chose for a name. Whether nothing has a name
    /// that is asked for: an entry for it needs a mark.
    pub fn hint(&self, what: &DeniedWhat<'_>, is_missing: impl FnOnce(&[u8]) -> bool) -> String {
        let decision = self.decide(what);
        if decision.allowed() {
            return "the policy allows it".to_owned();
        }
        if let DeniedWhat::Program(path, contents) = *what
            && self.path(Access::Execute, path).allowed()
        {
            let digits: String = contents.iter().map(|byte| format!("{byte:02x}")).collect();
            return format!("its SHA-256 is {digits}, not that of {}", entry_of(&decision));
        }
        match decision.verdict {
            // Narrowing the entry would not help: it is what names the place.
            Verdict::Deny { errno: errno::EBUSY } => "what an entry of the policy names stays".to_owned(),
            _ if decision.is_lack() => self.allowing(what, is_missing),
            _ if decision.rule.file == OWN => "rxbox reads or writes that itself".to_owned(),
            _ => removing(&decision),
        }
    }

    fn allowing(&self, what: &DeniedWhat<'_>, is_missing: impl FnOnce(&[u8]) -> bool) -> String {
        let entry = |path, missing| if missing { toml_new_path(path) } else { toml_path("", path) };
        // Of a new name in a place for temporary files only a part was chosen.
        let new = |path| match Entry::of(path, Done { made: true, removed: false }, self.variables()) {
            entry if entry.is_temporary() => toml_string(&entry.text()),
            _ => entry(path, true),
        };
        match *what {
            DeniedWhat::Path(Access::Connect, path) => add(&toml_path("unix:", path), CONNECT),
            DeniedWhat::Path(Access::Bind, path) => add(&toml_path("unix:", path), BIND),
            DeniedWhat::Make(_, path)
            | DeniedWhat::Rename(_, path)
            | DeniedWhat::Path(Access::Create, path) => {
                let entry = if is_missing(path) { new(path) } else { entry(path, false) };
                add(&entry, Grant::Write.key())
            }
            DeniedWhat::Program(path, _) => {
                self.allowing(&DeniedWhat::Path(Access::Execute, path), is_missing)
            }
            DeniedWhat::Path(access, path) => {
                // Who looks at a file mostly reads it next.
                let access = if access == Access::Metadata { Access::Read } else { access };
                let grant = Grant::of(AccessSet::of(&[access])).first().map_or("", |grant| grant.key());
                add(&entry(path, is_missing(path)), grant)
            }
            // Who asks a name server wants something else.
            DeniedWhat::Connect(endpoint @ Endpoint::Inet { port: DOMAIN, .. }) => {
                let hint = network(&endpoint, CONNECT);
                format!("{hint}; to have names looked up, allow hosts by name: \"tcp:example.org:443\"")
            }
            DeniedWhat::Connect(endpoint) => network(&endpoint, CONNECT),
            DeniedWhat::Resolve(name) => add(&host_entry(name), CONNECT),
            DeniedWhat::Bind(endpoint) => network(&endpoint, BIND),
            DeniedWhat::Join(group) => add(&group_entry(group), CONNECT),
            DeniedWhat::Route | DeniedWhat::Socket { domain: AF_INET | AF_INET6, .. } => {
                add("\"ip:*\"", CONNECT)
            }
            DeniedWhat::Socket { domain, .. } => family(domain),
            DeniedWhat::Call(number, _) => add(&toml_string(&vocabulary::call_name(number)), CALLS),
            DeniedWhat::Variable(name) => add(&toml_string(name), VARIABLES),
        }
    }
}

fn removing(decision: &Decision<'_>) -> String {
    format!("remove or narrow {}", entry_of(decision))
}

/// The entry that decides, with its place.
fn entry_of(decision: &Decision<'_>) -> String {
    let text: String = decision.rule.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("`{text}` ({})", decision.rule)
}

// Lists of a profile as they are named.
pub(crate) const CONNECT: &str = "[network] allow";
pub(crate) const BIND: &str = "[network] bind";
pub(crate) const FAMILIES: &str = "[network] families";
pub(crate) const CALLS: &str = "[syscalls] allow";
pub(crate) const VARIABLES: &str = "[environment] pass";

fn network(endpoint: &Endpoint<'_>, key: &str) -> String {
    match (address_entry(endpoint), endpoint) {
        (Some(entry), _) => add(&entry, key),
        (None, Endpoint::Family(number)) => family(*number),
        (None, _) => String::new(),
    }
}

/// The entry that means just this address, as a TOML string; none for a whole family.
pub(crate) fn address_entry(endpoint: &Endpoint<'_>) -> Option<String> {
    match *endpoint {
        Endpoint::Inet { transport, address, port } => {
            let host = host(address);
            Some(match transport {
                Transport::Tcp => format!("\"tcp:{host}:{port}\""),
                Transport::Udp => format!("\"udp:{host}:{port}\""),
                Transport::Other => format!("\"ip:{host}\""),
            })
        }
        Endpoint::Host { transport, name, port } => Some(toml_string(&match transport {
            Transport::Tcp => format!("tcp:{name}:{port}"),
            Transport::Udp => format!("udp:{name}:{port}"),
            Transport::Other => format!("ip:{name}"),
        })),
        Endpoint::UnixPath(path) => Some(toml_path("unix:", path)),
        Endpoint::UnixAbstract(name) => Some(toml_name("unix:@", name)),
        Endpoint::Family(_) => None,
    }
}

/// The entry by which a host may be looked up, with the port that is likely meant, as a TOML string.
pub(crate) fn host_entry(name: &str) -> String {
    toml_string(&format!("tcp:{name}:443"))
}

/// The entry by which a group of addresses may be joined, as a TOML string.
pub(crate) fn group_entry(group: IpAddr) -> String {
    format!("\"udp:{}:*\"", host(group))
}

/// An address as an entry has it.
fn host(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(a) => a.to_string(),
        IpAddr::V6(a) => format!("[{a}]"),
    }
}

fn family(number: i32) -> String {
    match vocabulary::family_name(number) {
        Some(name) => add(&toml_string(&name), FAMILIES),
        None => "no profile can allow this address family".to_owned(),
    }
}

/// Adds `entry`, which is quoted already, to a key of the profile, or by the option that does the same.
fn add(entry: &str, key: &str) -> String {
    let hint = format!("add {entry} to {key}");
    let option = OVERRIDE_OPTIONS.iter().find(|option| option.adds_to == key);
    match option.zip(shell(entry)) {
        Some((option, word)) => format!("{hint}, or run with {} {word}", option.flag),
        None => hint,
    }
}

/// A TOML string as a word of a POSIX shell: bare where that is safe, else in single quotes; `None` where
/// TOML needs escapes, which a shell does not know.
fn shell(entry: &str) -> Option<String> {
    let inner = entry.strip_prefix('"')?.strip_suffix('"')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+=,".contains(c);
    match inner {
        _ if inner.contains('\\') => None,
        _ if inner.chars().all(plain) => Some(inner.to_owned()),
        _ => Some(format!("'{}'", inner.replace('\'', r"'\''"))),
    }
}
