//! Holds the order of the modules inside each crate, as `dependencies.rs` holds that of the crates.
//!
//! Every crate has *floors*: what is needed by many stands low, what needs many stands high, and nothing uses
//! what stands above it. And it has no *circle* of imports but small ones that are declared with their
//! reason: files of a circle can only be understood all at once. Both are declared in `floors.rs`.
//!
//! As a tool: `cargo test -p rxbox-tests --test modules -- --nocapture` prints the circles that there are
//! with what ties them; with `MODULES=path/of/file.rs` also what that file uses, and what uses it.
#![allow(missing_docs, reason = "a test")]

mod circles;
mod examples;
mod floors;
mod rules;
mod tokens;
mod tree;
mod uses;

use floors::CRATES;
use rules::Rules;
use uses::Graph;

fn graph_of(rules: &Rules) -> Graph {
    let source = format!("{}/../{}/src", env!("CARGO_MANIFEST_DIR"), rules.folder);
    let read = |path: &str| std::fs::read_to_string(format!("{source}/{path}")).ok();
    uses::graph(&tree::Tree::read(rules.name, &read))
}

#[test]
fn every_module_uses_only_its_own_floor_and_those_below() {
    let mut broken = Vec::new();
    for rules in CRATES {
        let graph = graph_of(rules);
        broken.extend(rules.broken_by(&graph));
        print(rules, &graph);
    }
    assert!(broken.is_empty(), "{} rules are broken:\n{}", broken.len(), broken.join("\n"));
}

/// Prints a crate's circles, and the neighbours of the file that `MODULES` names.
fn print(rules: &Rules, graph: &Graph) {
    for circle in circles::circles(graph) {
        println!("{}: a circle of {} files\n{}", rules.name, circle.len(), circles::shown(graph, &circle));
    }
    let asked = std::env::var("MODULES").unwrap_or_default();
    for ((from, to), sites) in &graph.arrows {
        if [from, to].iter().any(|file| format!("{}/src/{file}", rules.folder) == asked) {
            println!("{from} -> {to}: {}", circles::names(sites));
        }
    }
}
