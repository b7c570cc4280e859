//! Which files of a crate use which: the arrows of its module graph.
//!
//! Every path in the code is followed to the file that defines what it names: through `crate`, `self`,
//! `super`, modules, imports, globs and re-exports. In the arguments of macros every run of words joined by
//! `::` is taken for a path (`tokens.rs`).
//!
//! What is an arrow, from the file that names to the file that defines:
//! * a path in code or in a `use` that ends at an item of another file;
//! * not a `mod` declaration, and not the import of a module as such: what is taken from it counts, where it
//!   is taken;
//! * not a module's re-export of its own descendants' items, which is how a folder presents itself to others.
//!   A re-export of anything else counts as use.
//!
//! What is not seen: methods. `x.f()` has no path; what it needs of `x`'s type was named where `x` came from.
//! So a method that stands in another file than its type may be called without an arrow.

use crate::tokens::{Written, paths};
use crate::tree::{Binding, Id, Tree, only_for_tests};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

/// Where and how a file names what another defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub line: usize,
    /// The path as it is written.
    pub path: String,
    /// The name of the item that it ends at.
    pub item: String,
}

/// The arrows of a crate, from the file that uses to the file that is used, with the places.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub files: Vec<String>,
    pub arrows: BTreeMap<(String, String), BTreeSet<Site>>,
}

impl Graph {
    /// The files that a file uses.
    pub(crate) fn used_by<'a>(&'a self, file: &'a str) -> impl Iterator<Item = &'a str> {
        self.arrows.keys().filter(move |(from, _)| from == file).map(|(_, to)| to.as_str())
    }
}

/// Finds the arrows between the files of a crate.
pub(crate) fn graph(tree: &Tree) -> Graph {
    let mut graph = Graph { files: tree.files().into_iter().map(String::from).collect(), ..Graph::default() };
    for id in 0..tree.modules.len() {
        let mut seen = Seen { tree, id, graph: &mut graph };
        for u in &tree.modules[id].uses {
            let targets = resolve_macro(tree, id, &u.path);
            let own = |target: &Target| u.exported && is_within(tree, target.module(), id);
            for target in targets.iter().filter(|t| !own(t)) {
                seen.arrow(target, &u.path, u.line);
            }
        }
        for item in &tree.modules[id].items {
            seen.visit_item(item);
        }
    }
    graph
}

/// What a path ends at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// A module itself.
    Module(Id),
    /// An item of a module, or a part of one.
    Item(Id, String),
}

impl Target {
    fn module(&self) -> Id {
        match self {
            Target::Module(id) | Target::Item(id, _) => *id,
        }
    }
}

fn is_within(tree: &Tree, id: Id, ancestor: Id) -> bool {
    std::iter::successors(Some(id), |&id| tree.modules[id].parent).any(|id| id == ancestor)
}

/// Follows a path from a module. Nothing if it leads to another crate, to a local name or to a parameter.
fn resolve(tree: &Tree, from: Id, path: &[String]) -> BTreeSet<Target> {
    let mut found = BTreeSet::new();
    Walk { tree, entered: BTreeSet::new() }.path(from, path, &mut found);
    found
}

/// [`resolve`] for the path of a macro that is called or imported.
fn resolve_macro(tree: &Tree, from: Id, path: &[String]) -> BTreeSet<Target> {
    let mut found = BTreeSet::new();
    Walk { tree, entered: BTreeSet::new() }.path_or_macro(from, path, &mut found);
    found
}

struct Walk<'a> {
    tree: &'a Tree,
    /// Names that are being followed, since imports may lead in a circle.
    entered: BTreeSet<(Id, String)>,
}

impl Walk<'_> {
    fn path(&mut self, from: Id, path: &[String], found: &mut BTreeSet<Target>) {
        let Some((first, rest)) = path.split_first() else { return };
        let tree = self.tree;
        match first.as_str() {
            "crate" => self.rest(tree.root(from), rest, found),
            "self" | "super" => {
                let start = if first == "self" { Some(from) } else { tree.modules[from].parent };
                match (start, rest.first().map(String::as_str)) {
                    (Some(start), Some("super")) => self.path(start, rest, found),
                    (Some(start), _) => self.rest(start, rest, found),
                    (None, _) => {}
                }
            }
            name if name == tree.name && tree.root(from) != 0 => self.rest(0, rest, found),
            _ => self.rest(from, path, found),
        }
    }

    /// [`Walk::path`] for what may be the name of a macro alone.
    fn path_or_macro(&mut self, from: Id, path: &[String], found: &mut BTreeSet<Target>) {
        self.path(from, path, found);
        if let ([name], true) = (path, found.is_empty()) {
            let definitions = self.tree.macros.get(name).map_or(&[][..], Vec::as_slice);
            match definitions.contains(&from) {
                true => found.insert(Target::Item(from, name.clone())),
                false => definitions.iter().all(|&id| found.insert(Target::Item(id, name.clone()))),
            };
        }
    }

    /// Follows a path whose first segment is a name of `module`.
    fn rest(&mut self, module: Id, path: &[String], found: &mut BTreeSet<Target>) {
        let Some((name, rest)) = path.split_first() else {
            found.insert(Target::Module(module));
            return;
        };
        let mut bound = BTreeSet::new();
        self.name(module, name, &mut bound);
        // A module and a type cannot have the same name, and a function has no parts.
        if !rest.is_empty() && bound.iter().any(|t| matches!(t, Target::Module(_))) {
            bound.retain(|t| matches!(t, Target::Module(_)));
        }
        for target in bound {
            match target {
                Target::Module(child) => self.rest(child, rest, found),
                // What follows an item is a part of it.
                Target::Item(..) => {
                    found.insert(target);
                }
            }
        }
    }

    /// What a name of a module stands for, wherever that is defined.
    fn name(&mut self, module: Id, name: &str, found: &mut BTreeSet<Target>) {
        if !self.entered.insert((module, name.into())) {
            return;
        }
        let Some(m) = self.tree.modules.get(module) else { return };
        match m.names.get(name) {
            Some(bindings) => {
                for binding in bindings {
                    match binding {
                        Binding::Item => {
                            found.insert(Target::Item(module, name.into()));
                        }
                        Binding::Module(child) => {
                            found.insert(Target::Module(*child));
                        }
                        Binding::Import(path) => self.path_or_macro(module, path, found),
                    }
                }
            }
            None => {
                for glob in m.uses.iter().filter(|u| u.glob) {
                    let mut places = BTreeSet::new();
                    self.path(module, &glob.path, &mut places);
                    for place in places {
                        if let Target::Module(id) = place {
                            self.name(id, name, found);
                        }
                    }
                }
            }
        }
        self.entered.remove(&(module, name.into()));
    }
}

/// Walks over the code of one module.
struct Seen<'a> {
    tree: &'a Tree,
    id: Id,
    graph: &'a mut Graph,
}

impl Seen<'_> {
    fn path(&mut self, path: &[String], line: usize) {
        for target in resolve(self.tree, self.id, path) {
            self.arrow(&target, path, line);
        }
    }

    fn macro_path(&mut self, path: &[String], line: usize) {
        for target in resolve_macro(self.tree, self.id, path) {
            self.arrow(&target, path, line);
        }
    }

    fn arrow(&mut self, target: &Target, path: &[String], line: usize) {
        let Target::Item(to, item) = target else { return };
        let (from, to) = (&self.tree.modules[self.id].file, &self.tree.modules[*to].file);
        if from != to {
            let sites = self.graph.arrows.entry((from.clone(), to.clone())).or_default();
            sites.insert(Site { line, path: path.join("::"), item: item.clone() });
        }
    }
}

/// A path's segments, and its line.
fn words(path: &syn::Path) -> (Vec<String>, usize) {
    let line = path.segments.first().map_or(0, |s| s.ident.span().start().line);
    (path.segments.iter().map(|s| s.ident.to_string()).collect(), line)
}

impl<'ast> Visit<'ast> for Seen<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let (names, line) = words(path);
            self.path(&names, line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let (path, line) = words(&mac.path);
        self.macro_path(&path, line);
        for Written { path, line, called } in paths(mac.tokens.clone()) {
            if called { self.macro_path(&path, line) } else { self.path(&path, line) }
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !only_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !only_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !only_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !only_for_tests(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !only_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    // `pub(in path)` says who may use this, and attributes are none of the code's needs.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
