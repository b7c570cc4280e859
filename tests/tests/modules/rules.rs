//! What must hold of a crate's module graph, and how a break of it is reported.

use crate::circles::circles;
use crate::uses::Graph;
use std::collections::BTreeSet;

/// The rules of one crate.
pub(crate) struct Rules {
    /// The crate's name.
    pub name: &'static str,
    /// Its folder in the repository.
    pub folder: &'static str,
    /// Its floors, lowest first. Each lists modules by their path below `src`: a folder with all that is in
    /// it, or a file. The longest path that fits a file decides, so a part of a folder may stand on a floor
    /// of its own.
    pub floors: &'static [&'static [&'static str]],
    /// Its circles.
    pub circles: &'static [Circle],
    /// Set while a crate is being put in order: undeclared circles may have up to this many files, and the
    /// list of floors may miss files or name some that are gone. It only shrinks.
    pub largest_circle: Option<usize>,
}

/// A circle that is meant: files that belong together.
pub(crate) struct Circle {
    /// Its files, below `src`; at most three.
    pub files: &'static [&'static str],
    /// Why they cannot be told apart.
    pub reason: &'static str,
}

/// A file's module, as the rules name it: `a/b` for `a/b.rs` as for `a/b/mod.rs`.
fn module(file: &str) -> &str {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    stem.strip_suffix("/mod").unwrap_or(stem)
}

fn covers(entry: &str, file: &str) -> bool {
    module(file).strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Rules {
    /// The number of the floor that a file stands on, with the entry that puts it there.
    fn floor(&self, file: &str) -> Option<(usize, &'static str)> {
        let entries =
            self.floors.iter().enumerate().flat_map(|(n, floor)| floor.iter().map(move |e| (n, *e)));
        entries.filter(|(_, entry)| covers(entry, file)).max_by_key(|(_, entry)| entry.len())
    }

    /// Everything in a graph that breaks the rules, a text for each.
    pub(crate) fn broken_by(&self, graph: &Graph) -> Vec<String> {
        let mut broken = self.broken_floors(graph);
        broken.extend(self.arrows_upwards(graph));
        broken.extend(self.broken_circles(graph));
        broken
    }

    fn broken_floors(&self, graph: &Graph) -> Vec<String> {
        if self.largest_circle.is_some() {
            return Vec::new();
        }
        let mut broken = Vec::new();
        let entries: Vec<&str> = self.floors.iter().flat_map(|f| f.iter().copied()).collect();
        for (n, entry) in entries.iter().enumerate() {
            if entries[..n].contains(entry) {
                broken.push(format!("{}: `{entry}` stands on two floors; let it stand on one", self.name));
            }
            if !graph.files.iter().any(|file| covers(entry, file)) {
                broken.push(format!("{}: no file is `{entry}`; take it off its floor", self.name));
            }
        }
        for file in graph.files.iter().filter(|f| self.floor(f).is_none()) {
            let place = format!("{}/src/{file}", self.folder);
            broken.push(format!("{place} stands on no floor; put `{}` on one in floors.rs", module(file)));
        }
        broken
    }

    fn arrows_upwards(&self, graph: &Graph) -> Vec<String> {
        let mut broken = Vec::new();
        for ((from, to), sites) in &graph.arrows {
            let (Some((low, _)), Some((high, entry))) = (self.floor(from), self.floor(to)) else { continue };
            for site in sites.iter().filter(|_| low < high) {
                broken.push(format!(
                    "{}/src/{from}:{}: uses `{}`, which {to} defines, on a higher floor ({high}, \
                     `{entry}`, above {low}); move what both need to a lower floor, or let the caller hand \
                     it in",
                    self.folder, site.line, site.path
                ));
            }
        }
        broken
    }

    fn broken_circles(&self, graph: &Graph) -> Vec<String> {
        let mut broken = Vec::new();
        let found = circles(graph);
        let declared: Vec<BTreeSet<String>> =
            self.circles.iter().map(|c| c.files.iter().map(ToString::to_string).collect()).collect();
        for (circle, files) in self.circles.iter().zip(&declared) {
            if !(2..=3).contains(&files.len()) || circle.reason.is_empty() {
                broken.push(format!(
                    "{}: a declared circle has two or three files and a reason: {files:?}",
                    self.name
                ));
            }
            if !found.contains(files) {
                broken.push(format!("{}: {files:?} is no circle of its own; declare what is", self.name));
            }
        }
        for circle in found.iter().filter(|c| !declared.contains(c)) {
            if self.largest_circle.is_none_or(|largest| circle.len() > largest) {
                broken.push(format!(
                    "{}: a circle of {} files, printed above; let the lower part of them do without the \
                     rest, or declare it with its reason in floors.rs if it has no more than three files",
                    self.name,
                    circle.len(),
                ));
            }
        }
        broken
    }
}
