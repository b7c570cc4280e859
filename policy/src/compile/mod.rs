//! From what the profiles say to what decides.

mod calls;
mod links;
mod mounts;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::load::files::{Files, Remembered, path_of, resolve};
use crate::pattern::glob::Wildcard;
use crate::pattern::path::{Pattern, PatternError};
use crate::pattern::variables::{ExpandError, Variables};
use crate::profile::keys::{Filesystem, Profile, in_order, last};
use crate::profile::limits::{Limit, Limits};
use crate::profile::value::List;
use crate::profile::words::{
    AddressText, Capability, Denials, DeniedError, Layer, Notice, PathText, SecretText, VariableName,
    VariablePattern, check_name,
};
use crate::report::ledger::{Context, Item, RuleId};
use crate::rules::calls::Calls;
use crate::rules::descriptors::Inheritance;
use crate::rules::environment::{self, Environment, Secret, SecretSource};
use crate::rules::grant::Grant;
use crate::rules::mounts::Mounts;
use crate::rules::network::{self, Network};
use crate::rules::pins::{self, Pins};
use crate::rules::reach::Reach;
use crate::rules::tree::{AccessSet, Effect, Tree};
use crate::vocabulary;

/// The compiled parts of a policy.
pub(crate) struct Compiled {
    pub(crate) description: Option<String>,
    pub(crate) paths: Tree,
    pub(crate) mounts: Mounts,
    pub(crate) pins: Pins,
    pub(crate) denied_error: i32,
    pub(crate) network: Network,
    pub(crate) reach: Reach,
    pub(crate) environment: Environment,
    pub(crate) user: Option<String>,
    pub(crate) changes_identity: bool,
    pub(crate) inheritance: Inheritance,
    pub(crate) limits: Limits,
    pub(crate) limit_rules: Vec<(Limit, RuleId)>,
    pub(crate) calls: Calls,
    pub(crate) layers: Vec<Item<Layer>>,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) denials: Denials,
    /// The rules whose denials are not told.
    pub(crate) untold: BTreeSet<RuleId>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) notes: Vec<String>,
    /// The rules that grant something.
    pub(crate) grants: Vec<RuleId>,
}

/// What compiling looks at and reports to.
pub(crate) struct Compiler<'a> {
    pub(crate) context: &'a mut Context,
    pub(crate) files: &'a dyn Files,
    pub(crate) variables: &'a Variables,
    rules: Vec<links::PathRule>,
    pins: Pins,
    /// The layer whose rules are taken in, from the bottom.
    layer: usize,
    notes: Vec<String>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(context: &'a mut Context, files: &'a dyn Files, variables: &'a Variables) -> Self {
        Self {
            context,
            files,
            variables,
            rules: Vec::new(),
            pins: Pins::default(),
            layer: 0,
            notes: Vec::new(),
        }
    }

    /// Compiles the layers. `own` are files of rxbox's own, which the guest does not change.
    ///
    /// With `tries` every place that the guest may write is overlaid.
    pub(crate) fn compile(mut self, layers: &[Profile], own: &[PathBuf], tries: bool) -> Compiled {
        for (at, layer) in layers.iter().enumerate() {
            self.layer = at;
            for (effect, item) in in_order(path_lists(&layer.filesystem)) {
                self.path(&item.value.0, item.rule, effect, true);
            }
            for item in &layer.filesystem.overlay[..] {
                self.overlay(&item.value.0, item.rule);
            }
            for item in &layer.filesystem.pinned[..] {
                self.pin(&item.value.0, item.rule);
            }
        }
        let environment = self.environment(layers);
        for path in own.iter().chain(&self.variables.own) {
            self.own("a file of its own", path, AccessSet::REPLACE);
        }
        for path in &self.variables.unseen {
            self.own("a directory of its own", path, AccessSet::ALL);
        }
        let network = self.network(layers);
        let inheritance = self.inheritance(layers);
        let calls = calls::calls(self.context, layers);
        let mut limits = Limits::default();
        let mut limit_rules: Vec<(Limit, RuleId)> = Vec::new();
        for (limit, item) in layers.iter().flat_map(|layer| layer.limits.given()) {
            limits.set(limit, item.value);
            limit_rules.retain(|(l, _)| *l != limit);
            limit_rules.push((limit, item.rule));
        }
        let denied_error = last(layers, |layer| &layer.filesystem.denied_error);
        let denials = last(layers, |layer| &layer.audit.denials);
        let mut reach = Reach::of(&network);
        let of_paths = self.rules.iter().filter(|rule| matches!(rule.effect, Effect::Allow(_)));
        let grants = of_paths.map(|rule| rule.rule).chain(network.grants()).collect();
        let files = Remembered::new(self.files);
        let mut entries = links::enter(self.context, &self.rules, &files, &mut reach);
        let Variables { program, cwd, .. } = self.variables;
        let always = program.iter().chain(cwd).cloned();
        let (mounts, notes) = mounts::mount(self.context, (&mut entries, tries), always, &files);
        self.notes.extend(notes);
        let mut paths = entries.tree;
        if let Some(invoked) = &self.variables.invoked {
            let rule = self.context.own("the program's name", invoked);
            links::keep(&mut paths, invoked, rule, &files);
        }
        Compiled {
            description: last(layers, |layer| &layer.description).map(|item| item.value.clone()),
            paths,
            mounts,
            pins: self.pins,
            reach,
            denied_error: denied_error.map_or(DeniedError::default(), |item| item.value).errno(),
            network,
            environment,
            user: last(layers, |layer| &layer.identity.user).map(|item| item.value.0.clone()),
            changes_identity: last(layers, |layer| &layer.identity.change).is_some_and(|item| item.value),
            inheritance,
            limits,
            limit_rules,
            calls,
            layers: layers.iter().flat_map(|layer| layer.hardening.require.iter().cloned()).collect(),
            capabilities: capabilities(layers),
            notices: layers.iter().flat_map(|layer| layer.service.notify.iter().map(|n| n.value)).collect(),
            denials: denials.map_or(Denials::default(), |item| item.value),
            untold: layers
                .iter()
                .flat_map(|layer| layer.filesystem.absent.iter().map(|item| item.rule))
                .collect(),
            notes: self.notes,
            grants,
        }
    }

    /// Takes a path rule in. `must_exist` is whether a plain path without the mark `?` must be there.
    fn path(&mut self, text: &str, rule: RuleId, effect: Effect, must_exist: bool) {
        let allows = matches!(effect, Effect::Allow(_));
        if let Some((name, value)) = self.variables.too_much(text).filter(|_| allows)
            && !self.context.is_option(rule)
        {
            let (rule, value) = (self.context.shown(rule), value.display());
            self.notes.push(format!(
                "{rule} grants nothing, since ${{{name}}} is {value}; to grant all of that, name it: \
                 --allow-read {value}"
            ));
            return;
        }
        for variables in self.variables.at_other_homes(text).filter(|_| !allows) {
            self.path_of(text, &variables, rule, effect, false);
        }
        self.path_of(text, self.variables, rule, effect, must_exist);
    }

    fn path_of(&mut self, text: &str, variables: &Variables, rule: RuleId, effect: Effect, must_exist: bool) {
        let Some(pattern) = self.pattern(text, variables, rule, must_exist) else { return };
        if effect == Effect::Private && !self.can_be_mounted(&pattern, rule, "private") {
            return;
        }
        self.rules.push(links::PathRule { pattern, effect, overlaid: false, rule, layer: self.layer });
    }

    /// Takes in that the guest may write in a directory, and that the host does not see it.
    fn overlay(&mut self, text: &str, rule: RuleId) {
        let Some(pattern) = self.pattern(text, self.variables, rule, true) else { return };
        if self.can_be_mounted(&pattern, rule, "overlaid") {
            let effect = Effect::Allow(Grant::Write.accesses());
            self.rules.push(links::PathRule { pattern, effect, overlaid: true, rule, layer: self.layer });
        }
    }

    /// Whether another place can be mounted there; if it cannot for a reason other than that it may be
    /// missing and is, that is an error.
    fn can_be_mounted(&mut self, pattern: &Pattern, rule: RuleId, word: &str) -> bool {
        if let Some((message, help)) = mounts::refused(pattern, self.files, word) {
            self.context.error_at(rule, message, help);
            return false;
        }
        self.files.exists(&path_of(pattern.prefix()))
    }

    /// What a text means; nothing if it may mean nothing and does. `must_exist` is whether a plain path
    /// without the mark `?` must be there.
    fn pattern(
        &mut self,
        text: &str,
        variables: &Variables,
        rule: RuleId,
        must_exist: bool,
    ) -> Option<Pattern> {
        let pattern = match Pattern::parse(text, variables) {
            Ok(pattern) => pattern,
            Err(PatternError::Variable(ExpandError::Unset(_))) if Pattern::split_mark(text).1 => {
                return None;
            }
            Err(error) => {
                self.context.error_at(rule, error.to_string(), error.help());
                return None;
            }
        };
        let needed = must_exist && !pattern.optional && pattern.plain();
        let path = needed.then(|| path_of(pattern.prefix()));
        if let Some(path) = path.filter(|path| !self.files.exists(path)) {
            let help = Some("end it in `?` if it may be missing".to_owned());
            self.context.error_at(rule, format!("{} does not exist", path.display()), help);
        }
        Some(pattern)
    }

    /// Takes a pin in, for the path as it is written and as it resolves.
    fn pin(&mut self, text: &str, rule: RuleId) {
        let (digest, text) = match pins::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => return self.context.error_at(rule, error.to_string(), None),
        };
        match Pattern::parse(text, self.variables) {
            Ok(pattern) if pattern.plain() => {
                let resolved = resolve(pattern.prefix(), self.files, &|_| true);
                for path in std::iter::once(path_of(pattern.prefix())).chain(resolved) {
                    self.pins.insert(path.into_os_string().into_vec(), digest, rule);
                }
            }
            Ok(_) => return self.context.error_at(rule, "a pin names one file".to_owned(), None),
            // What is wrong with it is said of the path.
            Err(_) => {}
        }
        self.path(text, rule, Effect::Deny(AccessSet::REPLACE), true);
    }

    /// Takes in that the guest does none of this with something of rxbox's own.
    fn own(&mut self, what: &str, path: &Path, accesses: AccessSet) {
        let rule = self.context.own(what, path);
        let elements = links::normal(path, self.files);
        let pattern = Pattern { elements, optional: true };
        let effect = Effect::Deny(accesses);
        self.rules.push(links::PathRule { pattern, effect, overlaid: false, rule, layer: self.layer });
    }

    fn network(&mut self, layers: &[Profile]) -> Network {
        let mut network = Network::default();
        for (at, keys) in layers.iter().map(|layer| &layer.network).enumerate() {
            self.layer = at;
            let lists =
                [(NetList::Allow, &keys.allow), (NetList::Deny, &keys.deny), (NetList::Bind, &keys.bind)];
            for (list, item) in in_order(lists) {
                self.address(&mut network, list, item);
            }
            for item in &keys.families[..] {
                match vocabulary::family(&item.value.0) {
                    Some(value) => network.families.push(Item { value, rule: item.rule }),
                    None => {
                        let known = vocabulary::families();
                        let known: Vec<&str> = known.iter().map(String::as_str).collect();
                        calls::unknown(self.context, item.rule, "address family", &item.value.0, &known);
                    }
                }
            }
        }
        network
    }

    fn address(&mut self, network: &mut Network, list: NetList, item: &Item<AddressText>) {
        let pattern = match network::Pattern::parse(&item.value.0) {
            Ok(pattern) => pattern,
            Err(error) => return self.context.error_at(item.rule, error.to_string(), error.help()),
        };
        let (inet, names, effect) = match list {
            NetList::Allow => {
                (&mut network.allow, &mut network.allow_names, Effect::Allow(AccessSet::CONNECT))
            }
            NetList::Deny => (&mut network.deny, &mut network.deny_names, Effect::Deny(AccessSet::SOCKET)),
            NetList::Bind => (&mut network.bind, &mut network.bind_names, Effect::Allow(AccessSet::BIND)),
        };
        match pattern {
            network::Pattern::Inet(value) => inet.push(Item { value, rule: item.rule }),
            network::Pattern::Host(value) => match list {
                NetList::Allow => network.allow_hosts.push(Item { value, rule: item.rule }),
                NetList::Deny => network.deny_hosts.push(Item { value, rule: item.rule }),
                NetList::Bind => {
                    let help = Some("what it may bind to is an address of this host, or `*`".to_owned());
                    self.context.error_at(item.rule, "nothing binds to a name", help);
                }
            },
            network::Pattern::UnixAbstract(value) => names.push(Item { value, rule: item.rule }),
            network::Pattern::UnixPath(text) => self.path(text, item.rule, effect, list != NetList::Bind),
        }
    }

    fn environment(&mut self, layers: &[Profile]) -> Environment {
        let mut environment = Environment::default();
        for keys in layers.iter().map(|layer| &layer.environment) {
            environment.pass.extend(keys.pass.iter().filter_map(|item| self.variable_pattern(item)));
            environment.withhold.extend(keys.withhold.iter().filter_map(|item| self.variable_pattern(item)));
            environment.deny.extend(keys.deny.iter().filter_map(|item| self.variable_pattern(item)));
            for (name, item) in &keys.secrets[..] {
                self.secret(&mut environment, &name.value, item);
            }
            for (name, item) in &keys.set[..] {
                match self.variables.expand(&item.value) {
                    Ok(value) if !value.contains(&0) => {
                        let value = Item { value: OsString::from_vec(value), rule: item.rule };
                        environment.set.insert(name.value.as_str().into(), value);
                    }
                    Ok(_) => self.context.error_at(item.rule, "a value with a NUL byte", None),
                    Err(error) => self.context.error_at(item.rule, error.to_string(), error.help()),
                }
            }
        }
        environment
    }

    /// Takes a secret in, in place of an earlier one of that name. Its file is hidden from the guest.
    fn secret(&mut self, environment: &mut Environment, name: &VariableName, item: &Item<SecretText>) {
        let source = match item.value.0.split_once(':') {
            Some(("file", text)) => {
                self.path(text, item.rule, Effect::Hide, true);
                match Pattern::parse(text, self.variables) {
                    Ok(pattern) if pattern.plain() => SecretSource::File(path_of(pattern.prefix())),
                    // What is wrong with it is said of the path.
                    Err(_) => return,
                    Ok(_) => return self.context.error_at(item.rule, "a secret is in one file", None),
                }
            }
            Some(("env", name)) if check_name(name).is_ok() => SecretSource::Variable(name.into()),
            _ => {
                let message = "a secret is in `file:PATH` or `env:NAME`";
                return self.context.error_at(item.rule, message, None);
            }
        };
        environment.secrets.retain(|known| known.value.name != name.as_str());
        let secret = Secret { name: name.as_str().to_owned(), source };
        environment.secrets.push(Item { value: secret, rule: item.rule });
    }

    fn inheritance(&mut self, layers: &[Profile]) -> Inheritance {
        let mut inheritance = Inheritance::default();
        for item in layers.iter().flat_map(|layer| layer.descriptors.pass.iter()) {
            if let Err(error) = inheritance.pass(&item.value.0) {
                self.context.error_at(item.rule, error.to_string(), None);
            }
        }
        inheritance
    }

    fn variable_pattern(&mut self, item: &Item<VariablePattern>) -> Option<Item<Wildcard>> {
        match environment::pattern(&item.value.0) {
            Ok(value) => Some(Item { value, rule: item.rule }),
            Err(error) => {
                self.context.error_at(item.rule, error.to_string(), None);
                None
            }
        }
    }
}

/// The capabilities that are kept.
fn capabilities(layers: &[Profile]) -> Vec<Capability> {
    layers.iter().flat_map(|layer| layer.hardening.capabilities.iter().map(|item| item.value)).collect()
}

/// The lists of `[filesystem]`, each with what its entries do.
fn path_lists(keys: &Filesystem) -> [(Effect, &List<PathText>); 11] {
    [
        (Effect::Allow(Grant::Read.accesses()), &keys.read),
        (Effect::Allow(Grant::List.accesses()), &keys.list),
        (Effect::Allow(Grant::Modify.accesses()), &keys.modify),
        (Effect::Allow(Grant::Write.accesses()), &keys.write),
        (Effect::Allow(Grant::Execute.accesses()), &keys.execute),
        (Effect::Private, &keys.private),
        (Effect::Hide, &keys.hidden),
        (Effect::Hide, &keys.absent),
        (Effect::Deny(AccessSet::ALL), &keys.deny),
        (Effect::Deny(AccessSet::CHANGE), &keys.deny_write),
        (Effect::Deny(AccessSet::RUN), &keys.deny_execute),
    ]
}

/// A list of `[network]` with addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NetList {
    Allow,
    Deny,
    Bind,
}
