//! The modules of a crate as its sources declare them, and the names that each of them binds.
//!
//! The tree is walked from `lib.rs` (and `main.rs`) along `mod` declarations, as the compiler does. What only
//! tests and fuzzers see, an item under `#[cfg(test)]` or `#[cfg(any(test, fuzzing))]`, is left out; so files
//! of tests are never read.

use std::collections::BTreeMap;
use syn::visit::Visit;
use syn::{Attribute, Item, Meta, UseTree};

/// Number of a module in [`Tree::modules`].
pub(crate) type Id = usize;

/// Reads a source file, by its path below the crate's `src`.
pub(crate) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a name in a module stands for. A name may stand for several things, one in each of Rust's name
/// spaces.
#[derive(Clone, Debug)]
pub(crate) enum Binding {
    /// Something defined here.
    Item,
    /// A child.
    Module(Id),
    /// What a `use` declaration names, seen from this module.
    Import(Vec<String>),
}

/// One `use` of one name.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    /// The path with all its segments, without the star of a glob.
    pub path: Vec<String>,
    /// Whether it ends in a star.
    pub glob: bool,
    /// Whether others may use the name through this module.
    pub exported: bool,
    pub line: usize,
}

/// A module: a file, or an inline module of one.
pub(crate) struct Module {
    /// The file that it stands in, below `src`.
    pub file: String,
    pub parent: Option<Id>,
    pub names: BTreeMap<String, Vec<Binding>>,
    pub uses: Vec<Use>,
    /// Its items, without those of its modules and those for tests.
    pub items: Vec<Item>,
}

/// The modules of a crate. The first is the root of its library, or else of its binary.
#[derive(Default)]
pub(crate) struct Tree {
    pub modules: Vec<Module>,
    /// Where macros are defined. A macro is known by its name in all that follows it, whatever the module.
    pub macros: BTreeMap<String, Vec<Id>>,
    /// The crate's own name, by which its binary calls its library.
    pub name: String,
}

impl Tree {
    /// Reads a crate.
    ///
    /// # Panics
    /// If a file is missing or is not Rust.
    pub(crate) fn read(name: &str, read: Read<'_>) -> Tree {
        let mut tree = Tree { name: name.replace('-', "_"), ..Tree::default() };
        for root in ["lib.rs", "main.rs"] {
            if let Some(text) = read(root) {
                tree.file(root, "", None, &text, read);
            }
        }
        assert!(!tree.modules.is_empty(), "{name} has neither lib.rs nor main.rs");
        tree
    }

    /// The outermost module that a module stands in.
    pub(crate) fn root(&self, mut id: Id) -> Id {
        while let Some(parent) = self.modules[id].parent {
            id = parent;
        }
        id
    }

    /// Every file, once, in the order of their names.
    pub(crate) fn files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = self.modules.iter().map(|m| m.file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Adds a file's module, whose children lie in the folder `folder` (empty, or ending in a slash).
    fn file(&mut self, file: &str, folder: &str, parent: Option<Id>, text: &str, read: Read<'_>) -> Id {
        let parsed = syn::parse_file(text).unwrap_or_else(|e| panic!("{file}: {e}"));
        self.module(file, folder, parent, parsed.items, read)
    }

    fn module(
        &mut self,
        file: &str,
        folder: &str,
        parent: Option<Id>,
        items: Vec<Item>,
        read: Read<'_>,
    ) -> Id {
        let id = self.modules.len();
        self.modules.push(Module {
            file: file.into(),
            parent,
            names: BTreeMap::new(),
            uses: vec![],
            items: vec![],
        });
        for item in items {
            if only_for_tests(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(m) => {
                    let name = m.ident.to_string();
                    let inner = format!("{folder}{name}/");
                    let child = match m.content {
                        Some((_, items)) => self.module(file, &inner, Some(id), items, read),
                        None => self.child(file, folder, &name, named_path(&m.attrs), id, read),
                    };
                    self.bind(id, &name, Binding::Module(child));
                }
                Item::Use(u) => {
                    let exported = !matches!(u.vis, syn::Visibility::Inherited);
                    self.import(id, &mut Vec::new(), &u.tree, exported);
                }
                item => {
                    self.item(id, &item);
                    let mut inner = InnerUses::default();
                    inner.visit_item(&item);
                    inner.0.iter().for_each(|tree| self.import(id, &mut Vec::new(), tree, false));
                    self.modules[id].items.push(item);
                }
            }
        }
        id
    }

    /// Adds the file of `mod name;`.
    fn child(
        &mut self,
        file: &str,
        folder: &str,
        name: &str,
        path: Option<String>,
        id: Id,
        read: Read<'_>,
    ) -> Id {
        let beside = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let candidates = match path {
            Some(path) => vec![format!("{beside}{path}")],
            None => vec![format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")],
        };
        let (found, text) = candidates
            .iter()
            .find_map(|c| Some((c, read(c)?)))
            .unwrap_or_else(|| panic!("{file}: no file of module {name}: {candidates:?}"));
        self.file(found, &format!("{folder}{name}/"), Some(id), &text, read)
    }

    fn bind(&mut self, id: Id, name: &str, binding: Binding) {
        self.modules[id].names.entry(name.into()).or_default().push(binding);
    }

    /// Records the names that a `use` declaration binds.
    fn import(&mut self, id: Id, prefix: &mut Vec<String>, tree: &UseTree, exported: bool) {
        match tree {
            UseTree::Path(p) => {
                prefix.push(p.ident.to_string());
                self.import(id, prefix, &p.tree, exported);
                prefix.pop();
            }
            UseTree::Group(g) => g.items.iter().for_each(|t| self.import(id, prefix, t, exported)),
            UseTree::Glob(g) => {
                let line = g.star_token.spans[0].start().line;
                self.modules[id].uses.push(Use { path: prefix.clone(), glob: true, exported, line });
            }
            UseTree::Name(n) => self.import_as(id, prefix, &n.ident, &n.ident, exported),
            UseTree::Rename(r) => self.import_as(id, prefix, &r.ident, &r.rename, exported),
        }
    }

    fn import_as(&mut self, id: Id, prefix: &[String], of: &syn::Ident, name: &syn::Ident, exported: bool) {
        let mut path = prefix.to_vec();
        let mut name = name.to_string();
        if of == "self" {
            // `use a::b::{self}` names the module.
            if name == "self" {
                name = path.last().cloned().unwrap_or_default();
            }
        } else {
            path.push(of.to_string());
        }
        self.bind(id, &name, Binding::Import(path.clone()));
        let line = of.span().start().line;
        self.modules[id].uses.push(Use { path, glob: false, exported, line });
    }

    /// Records the names that an item defines.
    fn item(&mut self, id: Id, item: &Item) {
        let ident = match item {
            Item::Const(i) => &i.ident,
            Item::Enum(i) => &i.ident,
            Item::Fn(i) => &i.sig.ident,
            Item::Static(i) => &i.ident,
            Item::Struct(i) => &i.ident,
            Item::Trait(i) => &i.ident,
            Item::Type(i) => &i.ident,
            Item::Union(i) => &i.ident,
            Item::Macro(syn::ItemMacro { ident: Some(ident), .. }) => {
                self.macros.entry(ident.to_string()).or_default().push(id);
                return;
            }
            _ => return,
        };
        self.bind(id, &ident.to_string(), Binding::Item);
    }
}

/// The `use` declarations inside functions. They count as their module's.
#[derive(Default)]
struct InnerUses<'ast>(Vec<&'ast UseTree>);

impl<'ast> Visit<'ast> for InnerUses<'ast> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !only_for_tests(&item.attrs) {
            self.0.push(&item.tree);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !only_for_tests(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }
}

/// Whether what carries these attributes exists in tests only.
pub(crate) fn only_for_tests(attributes: &[Attribute]) -> bool {
    fn holds_in_tests_only(meta: &Meta) -> bool {
        let Meta::List(list) = meta else {
            return meta.path().is_ident("test") || meta.path().is_ident("fuzzing");
        };
        let parser = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
        let Ok(parts) = list.parse_args_with(parser) else { return false };
        (list.path.is_ident("all") && parts.iter().any(holds_in_tests_only))
            || (list.path.is_ident("any") && parts.iter().all(holds_in_tests_only))
    }
    attributes.iter().any(|a| {
        a.path().is_ident("test")
            || (a.path().is_ident("cfg") && a.parse_args::<Meta>().is_ok_and(|m| holds_in_tests_only(&m)))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// The value of `#[path = "…"]`.
fn named_path(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|a| match &a.meta {
        Meta::NameValue(syn::MetaNameValue {
            path,
            value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(s), .. }),
            ..
        }) if path.is_ident("path") => Some(s.value()),
        _ => None,
    })
}
