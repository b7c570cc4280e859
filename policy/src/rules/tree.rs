//! Path rules compiled for deciding: a trie over names, with globs hanging where their wildcards begin.
//!
//! A decision walks down the path once and looks at one slot per node; only the globs whose fixed start lies
//! on the path are tried. Nothing is allocated, and nothing depends on how many rules the profile has
//! elsewhere.
//!
//! The order of precedence is hidden, denied, allowed, whatever the order of writing: each level keeps its
//! own slots, so an allow can never displace a denial. Within a level the rule that is reported is the most
//! specific one, that with the longest match; of two equally long ones the plain path, then the one written
//! first.

use crate::decision::Access;
use crate::pattern::path::{Components, Element, components, shortest};
use crate::report::ledger::RuleId;

mod below;
mod places;

const ACCESSES: usize = Access::ALL.len();

/// A set of accesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessSet(u16);

impl AccessSet {
    /// Nothing.
    pub(crate) const NONE: Self = Self::of(&[]);
    /// Seeing that it is there.
    pub(crate) const SIGHT: Self = Self::of(&[Access::Metadata]);
    /// What `read` grants.
    pub(crate) const READ: Self = Self::of(&[Access::Read, Access::List, Access::Metadata]);
    /// What `list` grants: names and what is known of them.
    pub(crate) const LIST: Self = Self::of(&[Access::List, Access::Metadata]);
    /// What `modify` grants: an existing file's contents, but neither its name nor its attributes.
    pub(crate) const MODIFY: Self = Self::READ.with(Self::of(&[Access::Write]));
    /// What changes something.
    pub(crate) const CHANGE: Self =
        Self::of(&[Access::Write, Access::Attributes, Access::Create, Access::Remove]);
    /// What changes something, or puts something in its place.
    pub(crate) const REPLACE: Self = Self::CHANGE.with(Self::of(&[Access::Bind]));
    /// What `write` grants.
    pub(crate) const WRITE: Self = Self::READ.with(Self::CHANGE);
    /// Running it.
    pub(crate) const RUN: Self = Self::of(&[Access::Execute]);
    /// What `execute` grants: a program can read its own image anyway.
    pub(crate) const EXECUTE: Self = Self::READ.with(Self::RUN);
    /// Connecting to the socket there, and seeing that it is there.
    pub(crate) const CONNECT: Self = Self::of(&[Access::Connect, Access::Metadata]);
    /// Binding a socket there, and seeing that it is there.
    pub(crate) const BIND: Self = Self::of(&[Access::Bind, Access::Metadata]);
    /// What makes a name or takes it away: the directory's that it is in.
    const NAME: Self = Self::of(&[Access::Create, Access::Remove, Access::Bind]);
    /// Sockets in both directions.
    pub(crate) const SOCKET: Self = Self::of(&[Access::Connect, Access::Bind]);
    /// Everything.
    pub(crate) const ALL: Self = Self::of(&Access::ALL);

    pub(crate) const fn of(accesses: &[Access]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < accesses.len() {
            bits |= 1 << accesses[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in the other.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of the other set is in this one.
    pub(crate) const fn includes(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    pub(crate) fn contains(self, access: Access) -> bool {
        self.0 & (1 << access as u16) != 0
    }
}

/// What a rule does to the paths it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow(AccessSet),
    Deny(AccessSet),
    Hide,
    /// Everything, but to the place's own name what the rules above say of that.
    Private,
}

/// What the rules say of one access to one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Hide(RuleId),
    Deny(RuleId),
    Allow(RuleId),
    /// Nothing but that the name is an entry's own, which stays ([`Tree::keep`]).
    Kept(RuleId),
    Default,
}

/// The compiled rules.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by name.
    children: Vec<(Box<[u8]>, usize)>,
    /// Globs whose names before the first wildcard lead here.
    globs: Vec<Glob>,
    allow: [RuleId; ACCESSES],
    deny: [RuleId; ACCESSES],
    hide: RuleId,
    /// The entry whose name this is.
    kept: RuleId,
    mount: Mounted,
    below: Below,
}

/// What of another place begins at a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mounted {
    #[default]
    Nothing,
    /// A folder of the run's own, by this rule.
    Private(RuleId),
    /// The host's files, in a folder of the run's own.
    Host,
    /// The host's files with what the guest has changed, which the host does not see.
    Overlay,
}

/// The first rule of each kind that speaks of something strictly below a node.
#[derive(Clone, Copy, Debug, Default)]
struct Below {
    allow: RuleId,
    /// Denies or hides.
    guard: RuleId,
    /// Denies that names are made, or hides.
    closed: RuleId,
    hide: RuleId,
    /// Keeps a name.
    kept: RuleId,
}

#[derive(Debug)]
struct Glob {
    /// The elements from the first wildcard on.
    elements: Box<[Element]>,
    effect: Effect,
    rule: RuleId,
}

/// The best rule of one level so far, and how many names it matched.
#[derive(Clone, Copy, Default)]
struct Best {
    rule: RuleId,
    depth: usize,
}

#[derive(Default)]
struct Found {
    hide: Best,
    deny: Best,
    allow: Best,
    /// The place of the run's own in which the path lies.
    private: Best,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// Adds a rule. Of equal rules the one added first is reported.
    pub(crate) fn insert(&mut self, elements: &[Element], effect: Effect, rule: RuleId) {
        let mut node = 0;
        for (at, element) in elements.iter().enumerate() {
            self.nodes[node].below.add(effect, rule);
            let Element::Name(name) = element else {
                let elements = elements[at..].into();
                self.nodes[node].globs.push(Glob { elements, effect, rule });
                return;
            };
            node = self.child_or_new(node, name);
        }
        self.nodes[node].add(effect, rule);
    }

    /// Marks the name of an entry, which the guest does not take away: what the entry speaks of in this run
    /// it is to speak of in the next one. Nothing to do for a pattern.
    pub(crate) fn keep(&mut self, elements: &[Element], rule: RuleId) {
        let mut node = 0;
        if !elements.iter().all(|element| matches!(element, Element::Name(_))) {
            return;
        }
        for element in elements {
            let Element::Name(name) = element else { return };
            let below = &mut self.nodes[node].below.kept;
            *below = below.or(rule);
            node = self.child_or_new(node, name);
        }
        let kept = &mut self.nodes[node].kept;
        *kept = kept.or(rule);
    }

    /// Says that the host's files begin at a name, whatever is private above it.
    pub(crate) fn mount_host(&mut self, elements: &[Element]) {
        self.mount(elements, Mounted::Host);
    }

    /// Says that the host's files begin at a name with what the guest has changed, whatever is private above
    /// it. The name itself is one of the host's, and stays.
    pub(crate) fn mount_overlay(&mut self, elements: &[Element], rule: RuleId) {
        self.mount(elements, Mounted::Overlay);
        self.keep(elements, rule);
    }

    fn mount(&mut self, elements: &[Element], what: Mounted) {
        let mut node = 0;
        for element in elements {
            let Element::Name(name) = element else { return };
            node = self.child_or_new(node, name);
        }
        self.nodes[node].mount = what;
    }

    fn child_or_new(&mut self, node: usize, name: &[u8]) -> usize {
        match self.nodes[node].find(name) {
            Ok(at) => self.nodes[node].children[at].1,
            Err(at) => {
                let new = self.nodes.len();
                self.nodes[node].children.insert(at, (name.into(), new));
                self.nodes.push(Node::default());
                new
            }
        }
    }

    fn child(&self, node: &Node, name: &[u8]) -> Option<&Node> {
        node.find(name).ok().map(|at| &self.nodes[node.children[at].1])
    }

    /// What the rules say. A path that is not absolute and normalised gets the default.
    pub(crate) fn decide(&self, path: &[u8], access: Access) -> Outcome {
        if path.first() != Some(&b'/') {
            return Outcome::Default;
        }
        let mut found = Found::default();
        let mut rest = components(path);
        let mut node = &self.nodes[0];
        let mut depth = 0;
        let mut kept = RuleId::NONE;
        loop {
            let above = found.private;
            found.add_node(node, access, depth);
            for glob in &node.globs {
                found.add_glob(glob, access, depth, &rest);
            }
            let Some(name) = rest.next() else {
                kept = node.kept;
                match node.mount {
                    Mounted::Private(_) if AccessSet::NAME.contains(access) => found.private = above,
                    Mounted::Overlay if AccessSet::NAME.contains(access) => return Outcome::Kept(kept),
                    _ => {}
                }
                break;
            };
            if dots(name) {
                return Outcome::Default;
            }
            let Some(child) = self.child(node, name) else { break };
            node = child;
            depth += 1;
        }
        if rest.any(dots) {
            return Outcome::Default;
        }
        match found.outcome() {
            Some(Outcome::Allow(_)) if access == Access::Remove && !kept.is_none() => Outcome::Kept(kept),
            Some(outcome) => outcome,
            None => self.way(path, access),
        }
    }

    /// A directory on the way to something allowed may be looked at, else programs could not even resolve the
    /// path.
    fn way(&self, path: &[u8], access: Access) -> Outcome {
        if access != Access::Metadata {
            return Outcome::Default;
        }
        match self.below(path, |b| b.allow) {
            RuleId::NONE => Outcome::Default,
            rule => Outcome::Allow(rule),
        }
    }
}

impl Node {
    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.children.binary_search_by(|(n, _)| (**n).cmp(name))
    }

    fn add(&mut self, effect: Effect, rule: RuleId) {
        let (slots, set) = match effect {
            Effect::Hide => return self.hide = self.hide.or(rule),
            Effect::Private => return self.mount = Mounted::Private(rule),
            Effect::Allow(set) => (&mut self.allow, set),
            Effect::Deny(set) => (&mut self.deny, set),
        };
        for access in Access::ALL.into_iter().filter(|a| set.contains(*a)) {
            slots[access as usize] = slots[access as usize].or(rule);
        }
    }
}

impl Below {
    fn add(&mut self, effect: Effect, rule: RuleId) {
        match effect {
            Effect::Allow(_) | Effect::Private => self.allow = self.allow.or(rule),
            Effect::Deny(set) => {
                self.guard = self.guard.or(rule);
                if set.contains(Access::Create) {
                    self.closed = self.closed.or(rule);
                }
            }
            Effect::Hide => {
                self.guard = self.guard.or(rule);
                self.closed = self.closed.or(rule);
                self.hide = self.hide.or(rule);
            }
        }
    }
}

impl Glob {
    fn below(&self) -> Below {
        let mut below = Below::default();
        below.add(self.effect, self.rule);
        below
    }
}

impl Found {
    fn add_node(&mut self, node: &Node, access: Access, depth: usize) {
        self.hide.plain(node.hide, depth);
        self.deny.plain(node.deny[access as usize], depth);
        self.allow.plain(node.allow[access as usize], depth);
        match node.mount {
            Mounted::Nothing => {}
            Mounted::Private(rule) => self.private = Best { rule, depth },
            Mounted::Host | Mounted::Overlay => self.private = Best::default(),
        }
    }

    fn add_glob(&mut self, glob: &Glob, access: Access, depth: usize, rest: &Components<'_>) {
        let best = match glob.effect {
            Effect::Hide => &mut self.hide,
            Effect::Deny(set) if set.contains(access) => &mut self.deny,
            Effect::Allow(set) if set.contains(access) => &mut self.allow,
            Effect::Deny(_) | Effect::Allow(_) | Effect::Private => return,
        };
        if let Some(matched) = shortest(&glob.elements, rest.clone()) {
            best.glob(glob.rule, depth + matched);
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        if !self.hide.rule.is_none() {
            Some(Outcome::Hide(self.hide.rule))
        } else if !self.deny.rule.is_none() {
            Some(Outcome::Deny(self.deny.rule))
        } else if !self.private.rule.is_none() {
            Some(Outcome::Allow(self.private.rule))
        } else if !self.allow.rule.is_none() {
            Some(Outcome::Allow(self.allow.rule))
        } else {
            None
        }
    }
}

impl Best {
    /// Plain paths come in the order of their depth, globs when their fixed start is reached.
    fn plain(&mut self, rule: RuleId, depth: usize) {
        if !rule.is_none() && depth >= self.depth {
            *self = Self { rule, depth };
        }
    }

    fn glob(&mut self, rule: RuleId, depth: usize) {
        if self.rule.is_none() || depth > self.depth {
            *self = Self { rule, depth };
        }
    }
}

fn dots(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}
