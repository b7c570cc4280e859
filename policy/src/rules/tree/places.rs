//! The rules of a tree by their places, for those who look at a policy as a whole.

use super::{ACCESSES, AccessSet, Effect, Mounted, Node, Tree};
use crate::decision::Access;
use crate::pattern::path::{Element, components, shortest};
use crate::report::ledger::RuleId;

/// A rule with what it does, and where it begins to hold.
pub(crate) type Placed = (Vec<u8>, Effect, RuleId);

impl Tree {
    /// A path for each place that a rule names; what wildcards stand for is made up.
    pub(crate) fn places(&self) -> Vec<Vec<u8>> {
        let mut places = Vec::new();
        self.visit(|path, node| {
            if !node.effects().is_empty() {
                places.push(path.to_vec());
            }
            places.extend(node.globs.iter().map(|glob| {
                glob.elements.iter().fold(path.to_vec(), |path, element| joined(&path, &sample(element)))
            }));
        });
        places
    }

    /// Plain paths that something is granted for: the accesses, and the rule.
    pub(crate) fn plain_grants(&self) -> Vec<(Vec<u8>, Vec<Access>, RuleId)> {
        let mut grants = Vec::new();
        self.visit(|path, node| {
            for (effect, rule) in node.effects() {
                if let Effect::Allow(set) = effect
                    && set != AccessSet::SIGHT
                {
                    let accesses = Access::ALL.into_iter().filter(|access| set.contains(*access));
                    grants.push((path.to_vec(), accesses.collect(), rule));
                }
            }
        });
        grants
    }

    /// The rules that speak of a path, from the root down.
    pub(crate) fn speaking(&self, path: &[u8]) -> Vec<Placed> {
        let mut found = Vec::new();
        let (mut node, mut rest, mut place) = (&self.nodes[0], components(path), b"/".to_vec());
        loop {
            let mut here: Vec<_> = node.effects().into_iter().map(|(e, r)| (place.clone(), e, r)).collect();
            for glob in &node.globs {
                if let Some(depth) = shortest(&glob.elements, rest.clone()) {
                    let place =
                        rest.clone().take(depth).fold(place.clone(), |path, name| joined(&path, name));
                    here.push((place, glob.effect, glob.rule));
                }
            }
            found.append(&mut here);
            let Some(name) = rest.next() else { break };
            let Some(child) = self.child(node, name) else { break };
            place = joined(&place, name);
            node = child;
        }
        found
    }

    /// Shows every node with its path.
    fn visit<'t>(&'t self, mut show: impl FnMut(&[u8], &'t Node)) {
        let mut open = vec![(b"/".to_vec(), &self.nodes[0])];
        while let Some((path, node)) = open.pop() {
            show(&path, node);
            open.extend(node.children.iter().map(|(name, child)| (joined(&path, name), &self.nodes[*child])));
        }
    }
}

impl Node {
    /// The rules of this very name, each with what it does.
    fn effects(&self) -> Vec<(Effect, RuleId)> {
        let of = |slots: &[RuleId; ACCESSES], effect: fn(AccessSet) -> Effect| {
            let mut rules: Vec<(RuleId, AccessSet)> = Vec::new();
            for access in Access::ALL.into_iter().filter(|access| !slots[*access as usize].is_none()) {
                let (rule, one) = (slots[access as usize], AccessSet::of(&[access]));
                match rules.iter_mut().find(|(known, _)| *known == rule) {
                    Some((_, set)) => *set = set.with(one),
                    None => rules.push((rule, one)),
                }
            }
            rules.into_iter().map(move |(rule, set)| (effect(set), rule)).collect::<Vec<_>>()
        };
        let hide = (!self.hide.is_none()).then_some((Effect::Hide, self.hide));
        let private = match self.mount {
            Mounted::Private(rule) => Some((Effect::Private, rule)),
            Mounted::Nothing | Mounted::Host | Mounted::Overlay => None,
        };
        private
            .into_iter()
            .chain(hide)
            .chain(of(&self.deny, Effect::Deny))
            .chain(of(&self.allow, Effect::Allow))
            .collect()
    }
}

fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
    [path, slash, name].concat()
}

/// A name that an element matches.
fn sample(element: &Element) -> Vec<u8> {
    match element {
        Element::Name(name) => name.to_vec(),
        Element::Wild(wildcard) => wildcard.sample(),
        Element::AnyDepth => b"x".to_vec(),
    }
}
