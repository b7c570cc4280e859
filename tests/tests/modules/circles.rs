//! Circles of imports: files that all use each other, directly or by way of others.

use crate::uses::{Graph, Site};
use std::collections::{BTreeMap, BTreeSet};

/// The circles of more than one file (strongly connected components of the graph), the largest first.
pub(crate) fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.files.iter().map(|file| (file.as_str(), reached(graph, file))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for file in &graph.files {
        if circles.iter().any(|c| c.contains(file)) {
            continue;
        }
        let both_ways = |other: &&str| reached[*other].contains(file.as_str());
        let circle: BTreeSet<String> =
            reached[file.as_str()].iter().filter(|other| both_ways(other)).map(ToString::to_string).collect();
        if circle.len() > 1 {
            circles.push(circle);
        }
    }
    circles.sort_by_key(|c| std::cmp::Reverse(c.len()));
    circles
}

/// The files that a file uses, directly or by way of others.
fn reached<'a>(graph: &'a Graph, file: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut todo = vec![file];
    while let Some(file) = todo.pop() {
        todo.extend(graph.used_by(file).filter(|to| reached.insert(*to)));
    }
    reached
}

/// The arrows of a circle, a line for each, with the names that tie it.
pub(crate) fn shown(graph: &Graph, circle: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for ((from, to), sites) in &graph.arrows {
        if circle.contains(from) && circle.contains(to) {
            text += &format!("  {from} -> {to}: {}\n", names(sites));
        }
    }
    text
}

/// The names that a file takes from another, with the first line where it does.
pub(crate) fn names(sites: &BTreeSet<Site>) -> String {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for site in sites {
        let line = first.entry(&site.item).or_insert(site.line);
        *line = site.line.min(*line);
    }
    first.iter().map(|(name, line)| format!("{name} ({line})")).collect::<Vec<_>>().join(", ")
}
