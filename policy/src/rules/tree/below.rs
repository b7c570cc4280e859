//! What the rules say of names strictly below a name, and so of what may get that name.
//!
//! A directory takes all below it along when it moves, and a symbolic link puts what lies elsewhere under its
//! own name. Whoever makes or moves a name must therefore be judged by the rules that speak of something
//! below it. What has a name can change between the question and the act, so the answers here do not depend
//! on what that is: a move must leave every rule below as it was ([`Tree::differs_below`]), and a name on the
//! way to something denied is made as a directory only ([`Tree::closes_below`]).

use super::{Below, Node, Tree};
use crate::pattern::path::{Components, MAX_STATES, components, reaches_below, states};
use crate::report::ledger::RuleId;

impl Tree {
    /// The first rule that hides something strictly below a directory, or could.
    pub(crate) fn hides_below(&self, directory: &[u8]) -> RuleId {
        self.below(directory, |b| b.hide)
    }

    /// The same of rules that spell this name out, as a directory on the way to what they hide.
    pub(crate) fn hides_below_by_name(&self, directory: &[u8]) -> RuleId {
        self.node(directory).map_or(RuleId::NONE, |node| node.below.hide)
    }

    /// The first rule by which no names are made somewhere strictly below this one, or could be.
    pub(crate) fn closes_below(&self, path: &[u8]) -> RuleId {
        self.below(path, |b| b.closed)
    }

    /// The same of rules that spell this name out.
    pub(crate) fn closes_below_by_name(&self, path: &[u8]) -> RuleId {
        self.node(path).map_or(RuleId::NONE, |node| node.below.closed)
    }

    /// The entry whose own name this is.
    pub(crate) fn kept(&self, path: &[u8]) -> RuleId {
        self.node(path).map_or(RuleId::NONE, |node| node.kept)
    }

    /// The node of just this name.
    fn node(&self, path: &[u8]) -> Option<&Node> {
        components(path).try_fold(&self.nodes[0], |node, name| self.child(node, name))
    }

    /// A rule that speaks of something strictly below one of two names and not in the same way of the same
    /// thing below the other. None if whatever lies there could lie here without any rule below noticing.
    pub(crate) fn differs_below(&self, a: &[u8], b: &[u8]) -> RuleId {
        if components(a).eq(components(b)) { RuleId::NONE } else { self.ahead(a, b).or(self.ahead(b, a)) }
    }

    /// One half of [`Tree::differs_below`]: a rule that speaks of something below `a`.
    fn ahead(&self, a: &[u8], b: &[u8]) -> RuleId {
        let mut other = self.trail(b);
        for (node, rest) in self.trail(a) {
            // Both go the same way as long as their names are the same.
            let beside = other.next().filter(|(n, _)| std::ptr::eq(*n, node)).map(|(_, rest)| rest);
            let differs = node.globs.iter().find(|glob| {
                let of = |rest: Components<'_>| states(&glob.elements, rest);
                glob.elements.len() > MAX_STATES || of(rest.clone()) != beside.clone().map_or(0, of)
            });
            if let Some(glob) = differs {
                return glob.rule;
            }
            if rest.clone().next().is_none() && !node.children.is_empty() {
                return node.below.guard.or(node.below.allow).or(node.below.kept);
            }
        }
        RuleId::NONE
    }

    /// The nodes along a path as far as there are any, each with what is left of the path.
    fn trail<'t>(&'t self, path: &'t [u8]) -> impl Iterator<Item = (&'t Node, Components<'t>)> {
        std::iter::successors(Some((&self.nodes[0], components(path))), |(node, rest)| {
            let mut rest = rest.clone();
            let name = rest.next()?;
            self.child(node, name).map(|child| (child, rest))
        })
    }

    pub(super) fn below(&self, directory: &[u8], kind: impl Fn(&Below) -> RuleId) -> RuleId {
        let mut rest = components(directory);
        let mut node = &self.nodes[0];
        loop {
            let here = rest.clone();
            let Some(name) = rest.next() else { return kind(&node.below) };
            let reaching = node.globs.iter().find_map(|g| {
                let rule = kind(&g.below());
                (!rule.is_none() && reaches_below(&g.elements, here.clone())).then_some(rule)
            });
            match (reaching, self.child(node, name)) {
                (Some(rule), _) => return rule,
                (None, Some(child)) => node = child,
                (None, None) => return RuleId::NONE,
            }
        }
    }
}
