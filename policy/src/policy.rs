//! The loaded policy: every question that the supervisor asks.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::compile::{Compiled, Compiler};
use crate::decision::{Access, Decision, Make, Rule, Verdict};
use crate::errno;
use crate::load::Loader;
use crate::load::files::Files;
use crate::load::overrides::Overrides;
use crate::pattern::variables::Variables;
use crate::profile::keys::{Profile, last};
use crate::profile::limits::{Limit, Limits};
use crate::profile::words::{Capability, Denials, Layer, Notice};
use crate::report::diagnostic::Diagnostics;
use crate::report::ledger::{Context, Ledger, RuleId};
use crate::rules::calls::Action;
use crate::rules::descriptors::Inheritance;
use crate::rules::environment::Secret;
use crate::rules::mounts::Mounts;
use crate::rules::network::{AF_INET, AF_INET6, AF_NETLINK, Answer, Endpoint};
use crate::rules::pins::Digest;
use crate::rules::reach::Reach;
use crate::rules::tree::Outcome;

const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC` share the argument with the type.
const SOCK_TYPE_MASK: i32 = 0xf;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;

/// A policy: pure, immutable, shared by all threads of the supervisor.
pub struct Policy {
    pub(crate) ledger: Ledger,
    pub(crate) compiled: Compiled,
    variables: Variables,
}

/// A profile and those that it extends, read and not yet compared with the host: whose files there are, and
/// what variables stand for, can depend on what it says.
#[derive(Clone, Debug)]
pub struct ReadProfile {
    context: Context,
    layers: Vec<Profile>,
    /// The files of rxbox's own, as they were named.
    own: Vec<PathBuf>,
}

impl ReadProfile {
    /// Reads the profile of a name or path with everything it extends. Errors come out when it is compiled.
    pub fn read(name_or_path: &str, files: &dyn Files) -> Self {
        let mut loader = Loader::new(files);
        loader.root(name_or_path);
        let own = loader.own_files();
        let Loader { context, layers, .. } = loader;
        Self { context, layers, own }
    }

    /// The user as whom everything is to run, and the rule that says so; nothing if there are errors.
    pub fn user(&self, overrides: &Overrides) -> Option<(String, String)> {
        let mut context = self.context.clone();
        let added = overrides.layer(&mut context, &Variables::default());
        let named = added.identity.user.get().or_else(|| last(&self.layers, |layer| &layer.identity.user))?;
        let (name, rule) = (named.value.0.clone(), named.rule);
        Some((name, context.finish().ok()?.rule(rule).to_string()))
    }

    /// The policy that comes of it.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files or options, with its place.
    pub fn compile(
        self,
        files: &dyn Files,
        variables: &Variables,
        overrides: &Overrides,
    ) -> Result<Policy, Diagnostics> {
        let Self { mut context, mut layers, own } = self;
        layers.push(overrides.layer(&mut context, variables));
        let absolute = |path: PathBuf| match &variables.cwd {
            Some(cwd) => cwd.join(path),
            None => path,
        };
        let own: Vec<_> = own.into_iter().map(absolute).filter(|path| path.is_absolute()).collect();
        let compiled =
            Compiler::new(&mut context, files, variables).compile(&layers, &own, overrides.tries());
        Ok(Policy { ledger: context.finish()?, compiled, variables: variables.clone() })
    }
}

impl Policy {
    /// Loads the profile of a name (`untrusted`) or path (`./untrusted.toml`) with everything it extends.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files, with its place.
    pub fn load(name_or_path: &str, files: &dyn Files, variables: &Variables) -> Result<Self, Diagnostics> {
        Self::load_with(name_or_path, files, variables, &Overrides::default())
    }

    /// Like [`Policy::load`], with the options of the command line on top.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files or options, with its place.
    pub fn load_with(
        name_or_path: &str,
        files: &dyn Files,
        variables: &Variables,
        overrides: &Overrides,
    ) -> Result<Self, Diagnostics> {
        ReadProfile::read(name_or_path, files).compile(files, variables, overrides)
    }

    /// The profile's own words about itself.
    pub fn description(&self) -> Option<&str> {
        self.compiled.description.as_deref()
    }

    /// What the profile's variables stand for.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// What the profile allows at the most, for a second wall behind the decisions.
    pub fn reach(&self) -> &Reach {
        &self.compiled.reach
    }

    /// Where the guest finds folders of the run's own instead of the host's files.
    pub fn mounts(&self) -> &Mounts {
        &self.compiled.mounts
    }

    /// Decides about a path as the kernel would act on it: absolute, normalised, with links resolved.
    /// Anything else is denied.
    pub fn path(&self, access: Access, path: &[u8]) -> Decision<'_> {
        let errno = self.compiled.denied_error;
        match self.compiled.paths.decide(path, access) {
            Outcome::Allow(rule) => self.allow(rule),
            Outcome::Hide(rule) => self.decision(Verdict::Hide, rule),
            Outcome::Deny(rule) => self.decision(Verdict::Deny { errno }, rule),
            Outcome::Kept(rule) => self.decision(Verdict::Deny { errno: errno::EBUSY }, rule),
            Outcome::Default => self.decision(Verdict::Deny { errno }, RuleId::NONE),
        }
    }

    /// Whether it depends on the contents of a file whether it may be run ([`Policy::program`]).
    pub fn is_pinned(&self, path: &[u8]) -> bool {
        self.compiled.pins.speaks_of(path)
    }

    /// Decides about running a file with these contents, or mapping it as code.
    pub fn program(&self, path: &[u8], contents: &Digest) -> Decision<'_> {
        let run = self.path(Access::Execute, path);
        match self.compiled.pins.refuses(path, contents).filter(|_| run.allowed()) {
            Some(rule) => self.decision(Verdict::Deny { errno: self.compiled.denied_error }, rule),
            None => run,
        }
    }

    /// Decides about making a name, by what is to have it. On the way to something that is denied or hidden
    /// there is no symbolic link, which would put another place under its name, and where a rule spells the
    /// name out nothing but a directory. An entry's own name becomes no link either.
    pub fn make(&self, what: Make, path: &[u8]) -> Decision<'_> {
        let create = self.path(Access::Create, path);
        if !create.allowed() {
            return create;
        }
        let paths = &self.compiled.paths;
        let closed = match what {
            Make::Directory => RuleId::NONE,
            Make::File => paths.closes_below_by_name(path),
            Make::Link => paths.closes_below(path),
        };
        let kept = if what == Make::Link { paths.kept(path) } else { RuleId::NONE };
        match (closed, kept) {
            (RuleId::NONE, RuleId::NONE) => create,
            (RuleId::NONE, rule) => self.decision(Verdict::Deny { errno: errno::EBUSY }, rule),
            (rule, _) => self.decision(Verdict::Deny { errno: self.compiled.denied_error }, rule),
        }
    }

    /// Decides about giving one name to what has another, whatever that is: it may be replaced before the
    /// kernel looks. It must not get a right by its new name that it did not have by its old one, and it may
    /// be a directory, so the rules below both names must be the same. The errno is else `EXDEV`, as between
    /// two file systems: programs know it, and copy file by file instead, each judged by its own names. An
    /// exchange (`RENAME_EXCHANGE`) is two renames.
    pub fn rename(&self, from: &[u8], to: &[u8]) -> Decision<'_> {
        let (remove, create) = (self.path(Access::Remove, from), self.path(Access::Create, to));
        if !remove.allowed() {
            return remove;
        }
        let paths = &self.compiled.paths;
        let kept = paths.kept(to);
        if create.allowed() && !kept.is_none() {
            return self.decision(Verdict::Deny { errno: errno::EBUSY }, kept);
        }
        match paths.differs_below(from, to) {
            RuleId::NONE => {
                let parting = if create.allowed() { self.parting(from, to) } else { None };
                parting.or_else(|| self.gaining(from, to)).unwrap_or(create)
            }
            _ if !create.allowed() => create,
            rule => self.decision(Verdict::Deny { errno: errno::EXDEV }, rule),
        }
    }

    /// Decides about a second name for what has one already and is no directory (link(2)); `what` says what
    /// it is. As with [`Policy::rename`] the new name must give nothing new.
    pub fn link(&self, what: Make, from: &[u8], to: &[u8]) -> Decision<'_> {
        let make = self.make(what, to);
        let moved = || self.parting(from, to).or_else(|| self.gaining(from, to));
        if make.allowed() { moved().unwrap_or(make) } else { make }
    }

    /// The denial of a move from one mount to another, as between two file systems.
    fn parting(&self, from: &[u8], to: &[u8]) -> Option<Decision<'_>> {
        let mounts = &self.compiled.mounts;
        let rule = mounts.rule(from).or(mounts.rule(to));
        (mounts.of(from) != mounts.of(to)).then(|| self.decision(Verdict::Deny { errno: errno::EXDEV }, rule))
    }

    /// The denial of a move by which something would get a right.
    fn gaining(&self, from: &[u8], to: &[u8]) -> Option<Decision<'_>> {
        // What is left out are rights to the name, which the calls that make and take it away ask for.
        let rights = Access::ALL
            .into_iter()
            .filter(|access| !matches!(access, Access::Create | Access::Remove | Access::Metadata));
        rights.into_iter().find_map(|access| {
            let new = self.path(access, to);
            let gained = new.allowed() && !self.path(access, from).allowed();
            gained.then_some(Decision { verdict: Verdict::Deny { errno: errno::EXDEV }, ..new })
        })
    }

    /// Whether a listing of this directory may hold names to leave out: those for which [`Policy::path`] with
    /// [`Access::Metadata`] says [`Verdict::Hide`]. Cheap, and false for nearly every directory.
    pub fn hides_any_below(&self, directory: &[u8]) -> bool {
        !self.compiled.paths.hides_below(directory).is_none()
    }

    /// Whether a rule that hides something strictly below this directory spells the directory out, so that
    /// there is no other of its kind.
    pub fn names_hidden_below(&self, directory: &[u8]) -> bool {
        !self.compiled.paths.hides_below_by_name(directory).is_none()
    }

    /// Decides about connecting or sending to an address.
    pub fn connect(&self, endpoint: &Endpoint<'_>) -> Decision<'_> {
        let network = &self.compiled.network;
        self.network(match *endpoint {
            Endpoint::Inet { transport, address, port } => network.connect(transport, address, port),
            Endpoint::Host { transport, name, port } => network.connect_host(transport, name, port),
            Endpoint::UnixPath(path) => return self.path(Access::Connect, path),
            Endpoint::UnixAbstract(name) => network.connect_name(name),
            Endpoint::Family(number) => network.family(number),
        })
    }

    /// Decides about binding to an address. A socket that listens without having been bound is bound to the
    /// unspecified address and port 0.
    pub fn bind(&self, endpoint: &Endpoint<'_>) -> Decision<'_> {
        let network = &self.compiled.network;
        self.network(match *endpoint {
            Endpoint::Inet { transport, address, port } => network.bind(transport, address, port),
            // A name is no address of this host.
            Endpoint::Host { .. } => (false, RuleId::NONE),
            Endpoint::UnixPath(path) => return self.path(Access::Bind, path),
            Endpoint::UnixAbstract(name) => network.bind_name(name),
            Endpoint::Family(number) => network.family(number),
        })
    }

    /// Decides about asking for the addresses of a host, whose name is canonical. With `openly` a name that
    /// no rule speaks of is asked for, too: for a guest that may send to the server itself.
    pub fn resolve(&self, name: &str, openly: bool) -> Decision<'_> {
        self.network(self.compiled.network.resolve(name, openly))
    }

    /// Whether a name that nobody may ask for comes of one that may be, by a list of domains to search.
    pub fn is_searched(&self, name: &str) -> bool {
        self.compiled.network.allow_hosts.iter().any(|host| host.value.domain.begins(name))
    }

    /// Whether an entry for addresses allows something of this one.
    pub fn speaks_of(&self, address: IpAddr) -> bool {
        self.compiled.network.speaks_of(address)
    }

    /// Whether the profile speaks of hosts by name, so that names are to be looked up for the guest.
    pub fn has_hosts(&self) -> bool {
        self.compiled.network.has_hosts()
    }

    /// Decides about making a socket, from the arguments of socket(2). TCP, UDP and unix sockets can always
    /// be made: what they may reach is decided when they reach for it.
    pub fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Decision<'_> {
        let network = &self.compiled.network;
        let (listed, rule) = network.family(domain);
        if !listed {
            return self.decision(Verdict::Deny { errno: errno::EAFNOSUPPORT }, rule);
        }
        let plain = matches!(
            (kind & SOCK_TYPE_MASK, protocol),
            (SOCK_STREAM, 0 | IPPROTO_TCP) | (SOCK_DGRAM, 0 | IPPROTO_UDP)
        );
        if plain || !matches!(domain, AF_INET | AF_INET6) {
            return self.allow(rule);
        }
        match network.everywhere() {
            (true, rule) => self.allow(rule),
            (false, rule) => self.decision(Verdict::Deny { errno: errno::EPROTONOSUPPORT }, rule),
        }
    }

    /// Decides about joining a group of addresses, or an anycast address, and about leaving it: both send
    /// packets to the network.
    pub fn join(&self, group: IpAddr) -> Decision<'_> {
        self.network(self.compiled.network.join(group))
    }

    /// Decides about choosing route, source or device of packets: only for those who may reach every address.
    pub fn route(&self) -> Decision<'_> {
        match self.compiled.network.everywhere() {
            (true, rule) => self.allow(rule),
            (false, rule) => self.decision(Verdict::Deny { errno: errno::EPERM }, rule),
        }
    }

    /// Whether the guest may see the network interfaces of the host other than loopback: where `families`
    /// lists `netlink`, which tells them all.
    pub fn shows_interfaces(&self) -> bool {
        self.compiled.network.family(AF_NETLINK).0
    }

    /// Decides about a raw system call, before any other question about it.
    pub fn call(&self, number: u32, args: &[u64; 6]) -> Decision<'_> {
        match self.compiled.calls.judge(number, args) {
            (Action::Allow, rule) => self.allow(rule),
            (Action::Log, rule) => Decision { log: true, ..self.allow(rule) },
            (Action::Errno(errno), rule) => self.decision(Verdict::Deny { errno }, rule),
            (Action::Kill, rule) => self.decision(Verdict::Kill, rule),
        }
    }

    /// Whether [`Policy::call`] allows this call without a record whatever its arguments: one load and one
    /// test.
    pub fn call_always_allowed(&self, number: u32) -> bool {
        self.compiled.calls.always_allowed(number)
    }

    /// The guest's environment, made from the host's.
    pub fn environment(
        &self,
        host: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Vec<(OsString, OsString)> {
        self.compiled.environment.build(host)
    }

    /// The secrets that the guest gets by descriptors.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.compiled.environment.secrets()
    }

    /// Decides about one environment variable. A denied one is just not there.
    pub fn variable(&self, name: &OsStr) -> Decision<'_> {
        match self.compiled.environment.judge(name) {
            (true, rule) => self.allow(rule),
            (false, rule) => self.decision(Verdict::Hide, rule),
        }
    }

    /// Which descriptors reach the guest beside the standard streams.
    pub fn inheritance(&self) -> &Inheritance {
        &self.compiled.inheritance
    }

    /// What the user may want to know before the guest runs: entries that grant nothing in this run.
    pub fn notes(&self) -> &[String] {
        &self.compiled.notes
    }

    /// The rules that grant something, of the profile itself and not of those that it extends, in the order
    /// of writing.
    pub fn own_grants(&self) -> Vec<Rule<'_>> {
        let all = self.compiled.grants.iter().map(|rule| self.rule(*rule));
        let mut own: Vec<_> = all.filter(|rule| rule.file == self.ledger.profile()).collect();
        own.sort_by_key(|rule| rule.line);
        own.dedup();
        own
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.compiled.limits
    }

    /// The rule that set a limit.
    pub fn limit_rule(&self, limit: Limit) -> Rule<'_> {
        let set = self.compiled.limit_rules.iter().find(|(l, _)| *l == limit);
        self.rule(set.map_or(RuleId::NONE, |(_, rule)| *rule))
    }

    /// The layers without which the profile does not want to run, each with the rule that says so.
    pub fn required_layers(&self) -> impl Iterator<Item = (Layer, Rule<'_>)> {
        self.compiled.layers.iter().map(|item| (item.value, self.rule(item.rule)))
    }

    /// The user as whom everything is to run.
    pub fn user(&self) -> Option<&str> {
        self.compiled.user.as_deref()
    }

    /// Whether guest processes may take on other users and groups.
    pub fn changes_identity(&self) -> bool {
        self.compiled.changes_identity
    }

    /// The capabilities that the supervisor keeps if it has them.
    pub fn capabilities(&self) -> &[Capability] {
        &self.compiled.capabilities
    }

    /// What the guest may tell the service manager.
    pub fn notices(&self) -> &[Notice] {
        &self.compiled.notices
    }

    /// Where denials are told.
    pub fn denials(&self) -> Denials {
        self.compiled.denials
    }

    fn network(&self, (allowed, rule): Answer) -> Decision<'_> {
        let denied = Verdict::Deny { errno: errno::EACCES };
        if allowed { self.allow(rule) } else { self.decision(denied, rule) }
    }

    fn allow(&self, rule: RuleId) -> Decision<'_> {
        Decision { verdict: Verdict::Allow, rule: self.rule(rule), log: false }
    }

    fn decision(&self, verdict: Verdict, rule: RuleId) -> Decision<'_> {
        let told = self.compiled.denials == Denials::Stderr && !self.compiled.untold.contains(&rule);
        Decision { verdict, rule: self.rule(rule), log: told }
    }

    pub(crate) fn rule(&self, rule: RuleId) -> Rule<'_> {
        self.ledger.rule(rule)
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("description", &self.description()).finish_non_exhaustive()
    }
}
