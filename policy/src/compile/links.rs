//! Where the paths of rules lead to.
//!
//! Paths are decided on after links are resolved, so a rule must hold for the place its path leads to. A
//! denial is entered both as it is written and as it resolves, also through the links that its wildcards
//! match now: the guest can put no further ones there, because no link is made on the way to something denied
//! ([`crate::Policy::make`]). What `**` stands for is not searched. An allowing rule is entered as it
//! resolves; of the links on the way it grants only the sight, for whoever could write the name of a link
//! could put another in its place.
//!
//! An allowing rule follows no link that the guest itself could have made: one in a place that the profile
//! lets it write may have been planted by an earlier run, to be granted what it points to in this one. For
//! the same reason the name of an entry, as written and as resolved, is kept ([`Tree::keep`]).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::decision::Access;
use crate::load::files::{Files, Named, followed, path_of, resolve};
use crate::pattern::path::{Element, Pattern, components};
use crate::pattern::variables::os;
use crate::report::ledger::{Context, RuleId};
use crate::rules::reach::Reach;
use crate::rules::tree::{AccessSet, Effect, Outcome, Tree};

/// Names that are looked at for the wildcards of one rule, at most.
const MAX_NAMES: usize = 1 << 16;

/// A path rule, parsed.
pub(super) struct PathRule {
    pub(super) pattern: Pattern,
    pub(super) effect: Effect,
    /// Whether the host is not to see what changes there.
    pub(super) overlaid: bool,
    pub(super) rule: RuleId,
    /// Which layer says it, from the bottom.
    pub(super) layer: usize,
}

/// What the rules come to.
pub(super) struct Entries {
    pub(super) tree: Tree,
    /// Where files of the host are granted, and links are followed to them.
    pub(super) granted: Vec<Granted>,
    /// The places of the run's own.
    pub(super) private: Vec<Granted>,
    /// The places whose changes the host is not to see.
    pub(super) overlaid: Vec<Granted>,
}

/// A place that a rule speaks of.
#[derive(Clone)]
pub(super) struct Granted {
    pub(super) elements: Vec<Element>,
    pub(super) rule: RuleId,
    pub(super) layer: usize,
    /// Whether it is but a link on the way.
    pub(super) link: bool,
    /// Whether something may be changed there.
    pub(super) changes: bool,
}

/// What a rule comes to for one place: the place, and what it does there.
type Entered<'p> = (Cow<'p, [Element]>, Effect, RuleId);

/// Enters the rules as they are written and as they resolve, and notes what they grant.
pub(super) fn enter(
    context: &mut Context,
    rules: &[PathRule],
    files: &dyn Files,
    reach: &mut Reach,
) -> Entries {
    let writable = writable(rules, files);
    let mut tree = Tree::new();
    let (mut granted, mut denials): (Vec<Entered<'_>>, Vec<Entered<'_>>) = (Vec::new(), Vec::new());
    let (mut shown, mut private, mut over) = (Vec::new(), Vec::new(), Vec::new());
    for PathRule { pattern, effect, overlaid, rule, layer } in rules {
        match effect {
            Effect::Allow(accesses) => {
                let (elements, links) = allow(&mut tree, &writable, (pattern, *accesses, *rule), files);
                reach.tree(&elements, *accesses);
                let changes = *accesses != accesses.without(AccessSet::CHANGE);
                let place = |elements, link: bool| {
                    let changes = changes && !link;
                    Granted { elements, rule: *rule, layer: *layer, link, changes }
                };
                if *overlaid {
                    over.push(place(elements.to_vec(), false));
                }
                shown.extend(links.iter().map(|link| place(names_of(link), true)));
                shown.push(place(elements.to_vec(), false));
                granted.push((elements, *effect, *rule));
            }
            Effect::Private => {
                let (elements, _) = allow(&mut tree, &writable, (pattern, AccessSet::SIGHT, *rule), files);
                [&pattern.elements, &*elements].iter().for_each(|name| tree.keep(name, *rule));
                private.push(Granted {
                    elements: elements.to_vec(),
                    rule: *rule,
                    layer: *layer,
                    link: false,
                    changes: false,
                });
            }
            Effect::Deny(_) | Effect::Hide => {
                tree.insert(&pattern.elements, *effect, *rule);
                denials.push((Cow::Borrowed(&pattern.elements), *effect, *rule));
                match places(pattern, files) {
                    Some(places) => {
                        places.iter().for_each(|place| tree.insert(place, *effect, *rule));
                        denials.extend(places.into_iter().map(|place| (Cow::Owned(place), *effect, *rule)));
                    }
                    None => context.error_at(
                        *rule,
                        format!("the wildcards match more than {MAX_NAMES} names"),
                        Some("name the directories in which it is to hold".to_owned()),
                    ),
                }
            }
        }
    }
    hold(context, &granted, &denials, files);
    Entries { tree, granted: shown, private, overlaid: over }
}

/// Refuses denials that another spelling of a name would get around: those of something in a directory of a
/// file system with more than one, if the profile grants anything there.
fn hold(context: &mut Context, granted: &[Entered<'_>], denials: &[Entered<'_>], files: &dyn Files) {
    // Directories that spell names in one way, as do all above them.
    let mut known: HashSet<Vec<u8>> = HashSet::new();
    for (elements, _, rule) in denials {
        let prefix = path_of(plain(elements));
        let plain = !elements.iter().any(|e| !matches!(e, Element::Name(_)));
        let ways = || upwards(prefix.as_os_str().as_encoded_bytes()).skip(usize::from(plain));
        let free = ways().take_while(|directory| !known.contains(*directory)).find_map(|directory| {
            let directory = Path::new(os(directory));
            let there = files.named(directory) != Named::Missing;
            there.then(|| files.spells_freely(directory)).flatten().map(|kind| (directory, kind))
        });
        if free.is_none() {
            for directory in ways() {
                if !known.insert(directory.to_vec()) {
                    break;
                }
            }
        }
        let Some((directory, kind)) = free else { continue };
        // Hardly any host needs this tree.
        let mut tree = Tree::new();
        granted.iter().for_each(|(elements, effect, rule)| tree.insert(elements, *effect, *rule));
        let grants = |access| tree.decide(prefix.as_os_str().as_encoded_bytes(), access) != Outcome::Default;
        if Access::ALL.into_iter().any(grants) {
            let message = format!(
                "this cannot hold: {} is of a file system ({kind}) in which names have several spellings",
                directory.display()
            );
            let help = Some("deny the directory where it is mounted, or grant nothing there".to_owned());
            context.error_at(*rule, message, help);
        }
    }
}

/// An absolute path and each directory above it, up to the root.
fn upwards(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| {
        let end = path.iter().rposition(|byte| *byte == b'/')?;
        (path.len() > 1).then(|| &path[..end.max(1)])
    })
}

/// Enters an allowing rule; gives the pattern for which it grants what it grants, and the links on the way.
fn allow<'p>(
    tree: &mut Tree,
    writable: &Tree,
    (pattern, accesses, rule): (&'p Pattern, AccessSet, RuleId),
    files: &dyn Files,
) -> (Cow<'p, [Element]>, Vec<PathBuf>) {
    let links = RefCell::new(Vec::new());
    let trusted = |link: &Path| {
        let trusted = !writable_at(writable, link);
        if trusted {
            links.borrow_mut().push(link.to_path_buf());
        }
        trusted
    };
    let resolved = resolved(pattern, files, &trusted);
    if accesses.contains(Access::Read) {
        resolved.iter().chain([&pattern.elements]).for_each(|elements| tree.keep(elements, rule));
    }
    let links = links.into_inner();
    if resolved.is_some() {
        let mut seen = |elements: &[Element]| tree.insert(elements, Effect::Allow(AccessSet::SIGHT), rule);
        links.iter().for_each(|link| seen(&names_of(link)));
        seen(&pattern.elements);
    }
    let granted = resolved.map_or(Cow::Borrowed(&pattern.elements[..]), Cow::Owned);
    tree.insert(&granted, Effect::Allow(accesses), rule);
    (granted, links)
}

/// Keeps a name, and the links on the way from it.
pub(super) fn keep(tree: &mut Tree, path: &Path, rule: RuleId, files: &dyn Files) {
    if let Some((_, links)) = followed(path, files) {
        let own = std::iter::once(path);
        own.chain(links.iter().map(PathBuf::as_path)).for_each(|link| tree.keep(&names_of(link), rule));
    }
}

/// A path as a pattern; one with dots as it resolves.
pub(super) fn normal(path: &Path, files: &dyn Files) -> Vec<Element> {
    let names = || components(path.as_os_str().as_encoded_bytes());
    let dots = names().any(|name| matches!(name, b"." | b".."));
    let resolved = if dots { resolve(names(), files, &|_| true) } else { None };
    names_of(resolved.as_deref().unwrap_or(path))
}

/// Everywhere that the guest might write, taken generously: as if every link were followed and nothing
/// denied. A link that is not followed lies in here, and so does what is written of the path behind it.
fn writable(rules: &[PathRule], files: &dyn Files) -> Tree {
    let mut tree = Tree::new();
    for rule in rules.iter().filter(|r| r.effect == Effect::Allow(AccessSet::WRITE)) {
        let elements = resolved(&rule.pattern, files, &|_| true);
        tree.insert(elements.as_ref().unwrap_or(&rule.pattern.elements), rule.effect, rule.rule);
    }
    tree
}

fn writable_at(writable: &Tree, link: &Path) -> bool {
    writable.decide(link.as_os_str().as_encoded_bytes(), Access::Create) != Outcome::Default
}

/// The pattern with the links among its names before the first wildcard followed, if there are any.
fn resolved(pattern: &Pattern, files: &dyn Files, follow: &dyn Fn(&Path) -> bool) -> Option<Vec<Element>> {
    let path = resolve(pattern.prefix(), files, follow)?;
    if pattern.prefix().eq(components(path.as_os_str().as_encoded_bytes())) {
        return None;
    }
    let rest = &pattern.elements[pattern.prefix().count()..];
    Some(names_of(&path).into_iter().chain(rest.iter().cloned()).collect())
}

/// Everywhere else that the names which a pattern matches now lead to through links, each with what is left
/// of the pattern there; `None` if there is too much to look at. `**` is not searched: what it stands for
/// could be everything.
fn places(pattern: &Pattern, files: &dyn Files) -> Option<Vec<Vec<Element>>> {
    let ahead = |place: &Path, at: usize| {
        names_of(place).into_iter().chain(pattern.elements[at..].iter().cloned()).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    let mut looked_at = 0;
    // Where a way leads, how much of the pattern that is, and whether a link was on it.
    let mut ways = vec![(PathBuf::from("/"), 0, false)];
    while let Some((mut place, mut at, mut moved)) = ways.pop() {
        while let Some(Element::Name(name)) = pattern.elements.get(at) {
            // What does not end leads nowhere, and what is missing nowhere else.
            let Some((next, link)) = step(&place, name, files) else { break };
            if link && moved {
                found.push(ahead(&place, at));
            }
            (place, moved, at) = (next, moved | link, at + 1);
        }
        let rest = &pattern.elements[at..];
        if moved {
            found.push(ahead(&place, at));
        }
        let Some(Element::Wild(wildcard)) = rest.first().filter(|_| !place.starts_with("/proc")) else {
            continue;
        };
        for name in files.directories_and_links(&place) {
            looked_at += 1;
            if looked_at > MAX_NAMES {
                return None;
            }
            let name = name.as_encoded_bytes();
            if wildcard.matches(name)
                && let Some((next, link)) = step(&place, name, files)
            {
                ways.push((next, at + 1, link));
            }
        }
    }
    Some(found)
}

/// Where a name in a directory leads, and whether through a link; `None` if it is missing or its links do not
/// end.
fn step(directory: &Path, name: &[u8], files: &dyn Files) -> Option<(PathBuf, bool)> {
    let next = directory.join(os(name));
    match files.named(&next) {
        Named::Missing => None,
        Named::Other => Some((next, false)),
        Named::Link(_) => {
            let place = resolve(components(next.as_os_str().as_encoded_bytes()), files, &|_| true)?;
            let link = place != next;
            Some((place, link))
        }
    }
}

/// The names of a pattern before its first wildcard.
pub(super) fn plain(elements: &[Element]) -> impl Iterator<Item = &[u8]> {
    elements.iter().map_while(|e| if let Element::Name(name) = e { Some(&**name) } else { None })
}

/// A plain path as a pattern.
pub(super) fn names_of(path: &Path) -> Vec<Element> {
    components(path.as_os_str().as_encoded_bytes()).map(|name| Element::Name(name.into())).collect()
}
