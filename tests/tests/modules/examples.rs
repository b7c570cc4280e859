//! The analyser and the rules against crates of a few lines.

use crate::circles::circles;
use crate::rules::{Circle, Rules};
use crate::tree::Tree;
use crate::uses::{Graph, graph};

/// The graph of a crate `it` of these files.
fn of(files: &[(&str, &str)]) -> Graph {
    let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| text.to_string());
    graph(&Tree::read("it", &read))
}

/// Its arrows, as `from>to` without the ending.
fn arrows(files: &[(&str, &str)]) -> Vec<String> {
    let short = |file: &String| file.trim_end_matches(".rs").to_string();
    of(files).arrows.keys().map(|(from, to)| format!("{}>{}", short(from), short(to))).collect()
}

const TWO: &str = "mod a; mod b;";

#[test]
fn an_import_is_an_arrow_to_the_file_that_defines_the_name() {
    for using in [
        "use crate::b::B;",
        "use super::b::B;",
        "use self::super::b::{B, self as other};",
        "fn f() { use crate::b::B; }",
        "fn f() -> crate::b::B { loop {} }",
        "fn f() { let _ = super::b::B::new(); }",
        "use crate::b; fn f() { b::B::new(); }",
        "fn f() { use crate::b; b::B::new(); }",
        "use crate::*; fn f(x: b::B) {}",
        "use super::b::*; fn f(x: Vec<B>) {}",
        "impl From<u8> for crate::b::B {}",
        "fn f(x: u8) { match x { crate::b::ONE => (), _ => () } }",
        "pub use crate::b::B;",
    ] {
        assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", using), ("b.rs", B)]), ["a>b"], "{using}");
    }
}

const B: &str = "pub struct B; impl B { pub fn new() {} } pub const ONE: u8 = 1;";

#[test]
fn a_declaration_or_an_unused_module_is_no_arrow() {
    for using in [
        "",
        "use crate::b;",
        "use crate::b::*;",
        "struct B; fn f(_: B) {}",
        "use std::b::B;",
        "/// [`crate::b::B`]\nfn f() {}",
        "pub(in crate::b) fn f() {}",
        "fn f(x: T) { x.b.new(); x.B() }",
    ] {
        assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", using), ("b.rs", B)]), [""; 0], "{using}");
    }
}

#[test]
fn what_only_tests_see_is_left_out() {
    for using in [
        "#[cfg(test)] use crate::b::B;",
        "#[cfg(all(test, unix))] mod tests { use crate::b::B; }",
        "#[cfg(any(test, fuzzing))] mod fuzz { use crate::b::B; }",
        "#[cfg(test)] mod tests;",
        "#[cfg(test)] #[path = \"a_tests.rs\"] mod tests;",
        "#[test] fn f() { crate::b::B::new(); }",
        "struct A; impl A { #[cfg(test)] fn f() { crate::b::B::new(); } }",
    ] {
        assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", using), ("b.rs", B)]), [""; 0], "{using}");
    }
    let seen = "#[cfg(not(test))] use crate::b::B;";
    assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", seen), ("b.rs", B)]), ["a>b"]);
}

#[test]
fn arguments_of_macros_are_searched_for_paths() {
    for using in [
        "fn f() { assert!(crate::b::ONE == 1); }",
        "use crate::b; fn f() { vec![1, b::ONE]; }",
        "macro_rules! m { () => { $crate::b::ONE } }",
        "table! { row(x: super::b::B) }",
        "table! { use crate::b::{B, ONE}; }",
        "fn f() { println!(\"{}\", (x.y, [crate::b::ONE])); }",
        "use crate::b; fn f() { matches!(1, 0..b::ONE) }",
    ] {
        assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", using), ("b.rs", B)]), ["a>b"], "{using}");
    }
    let using = "fn f() { m!(x.b, 'b, other::b::ONE, <T>::b::ONE, b) }";
    assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", using), ("b.rs", B)]), [""; 0]);
}

#[test]
fn a_macro_is_found_where_it_is_defined() {
    let define = "macro_rules! m { () => {} }\npub(crate) use m;";
    for using in ["use crate::b::m; m!();", "crate::b::m!();", "m!();", "fn f() { vec![m!()]; }"] {
        assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", using), ("b.rs", define)]), ["a>b"], "{using}");
    }
    let own = "macro_rules! m { () => {} }\nm!();";
    assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", own), ("b.rs", define)]), [""; 0]);
    assert_eq!(arrows(&[("lib.rs", TWO), ("a.rs", "fn f(m: u8) { m; }"), ("b.rs", define)]), [""; 0]);
}

#[test]
fn a_re_export_leads_to_the_file_behind_it() {
    let folder =
        [("lib.rs", "mod a; mod b; pub use b::B;"), ("b/mod.rs", "mod c; pub use c::B;"), ("b/c.rs", B)];
    for using in ["use crate::b::B;", "use crate::B;", "fn f(_: crate::b::B) {}"] {
        let files = [&folder[..], &[("a.rs", using)]].concat();
        assert_eq!(arrows(&files), ["a>b/c"], "{using}");
    }
    // Used where it is re-exported, it is an arrow.
    let files = [("lib.rs", "mod b;"), ("b/mod.rs", "mod c; pub use c::B; fn f(_: B) {}"), ("b/c.rs", B)];
    assert_eq!(arrows(&files), ["b/mod>b/c"]);
    // A function has no parts, so this is the module's.
    let files = [
        ("lib.rs", TWO),
        ("a.rs", "use crate::b::c::B;"),
        ("b/mod.rs", "pub mod c; pub fn c() {}"),
        ("b/c.rs", B),
    ];
    assert_eq!(arrows(&files), ["a>b/c"]);
    // Re-exports of each other end.
    let files = [("lib.rs", TWO), ("a.rs", "pub use crate::b::X;"), ("b.rs", "pub use crate::a::X;")];
    assert_eq!(arrows(&files), [""; 0]);
}

#[test]
fn files_are_found_where_the_compiler_finds_them() {
    let found = |files| of(files).files;
    assert_eq!(
        found(&[("lib.rs", "mod a;"), ("a.rs", "mod c;"), ("a/c.rs", "")]),
        ["a.rs", "a/c.rs", "lib.rs"]
    );
    assert_eq!(found(&[("lib.rs", "mod a;"), ("a/mod.rs", "mod c;"), ("a/c.rs", "")])[1], "a/mod.rs");
    assert_eq!(found(&[("lib.rs", "mod a { mod c; }"), ("a/c.rs", "")]), ["a/c.rs", "lib.rs"]);
    let named = [("lib.rs", "mod a;"), ("a/mod.rs", "#[path = \"x.rs\"] mod c;"), ("a/x.rs", "")];
    assert_eq!(found(&named), ["a/mod.rs", "a/x.rs", "lib.rs"]);
}

#[test]
fn the_binary_uses_the_library_by_name() {
    let files = [("lib.rs", "pub mod b;"), ("main.rs", "use it::b::B;"), ("b.rs", B)];
    assert_eq!(arrows(&files), ["main>b"]);
}

#[test]
fn a_circle_is_every_file_that_reaches_itself_through_the_others() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e; mod f;"),
        ("a.rs", "pub struct A; use crate::b::B;"),
        ("b.rs", "pub struct B; use crate::c::C;"),
        ("c.rs", "pub struct C; use crate::a::A; use crate::d::D;"),
        ("d.rs", "pub struct D;"),
        ("e.rs", "pub struct E; use crate::f::F; use crate::a::A;"),
        ("f.rs", "pub struct F; use crate::e::E;"),
    ];
    let found: Vec<Vec<String>> = circles(&of(&files)).into_iter().map(|c| c.into_iter().collect()).collect();
    assert_eq!(found, [vec!["a.rs", "b.rs", "c.rs"], vec!["e.rs", "f.rs"]]);
}

const RULES: Rules = Rules { name: "it", folder: "it", floors: &[], circles: &[], largest_circle: None };

/// Three files: `a` uses `b`, which stands in the folder `low`, and `b` uses `c` beside it.
fn three() -> Graph {
    of(&[
        ("lib.rs", "mod a; mod low;"),
        ("a.rs", "\nuse crate::low::b::B;"),
        ("low/mod.rs", "pub mod b; pub mod c;"),
        ("low/b.rs", "pub struct B; use super::c::C;"),
        ("low/c.rs", "pub struct C;"),
    ])
}

#[test]
fn an_arrow_to_a_higher_floor_is_reported_with_its_place() {
    for floors in [&[&["low"] as &[&str], &["a", "lib"]][..], &[&["low/c"], &["low", "a", "lib"]]] {
        assert_eq!(Rules { floors, ..RULES }.broken_by(&three()), [""; 0]);
    }
    let broken = Rules { floors: &[&["a"], &["low"], &["lib"]], ..RULES }.broken_by(&three());
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(
        broken[0].starts_with("it/src/a.rs:2: uses `crate::low::b::B`, which low/b.rs defines"),
        "{broken:?}"
    );
    // A part of a folder stands where it is itself named.
    let broken = Rules { floors: &[&["low"], &["low/c", "a", "lib"]], ..RULES }.broken_by(&three());
    assert!(
        broken.len() == 1 && broken[0].starts_with("it/src/low/b.rs:1: uses `super::c::C`"),
        "{broken:?}"
    );
}

#[test]
fn every_file_stands_on_one_floor() {
    for (floors, told) in [
        (&[&["low"] as &[&str], &["a"]][..], "it/src/lib.rs stands on no floor"),
        (&[&["low", "lib"], &["a", "low"]], "`low` stands on two floors"),
        (&[&["low", "lib"], &["a", "gone"]], "no file is `gone`"),
    ] {
        let broken = Rules { floors, ..RULES }.broken_by(&three());
        assert!(broken.len() == 1 && broken[0].contains(told), "{broken:?}");
    }
}

#[test]
fn a_circle_is_declared_as_it_is_or_reported() {
    const CIRCLE: Circle = Circle { files: &["a.rs", "b.rs"], reason: "they belong together" };
    let graph = of(&[
        ("lib.rs", TWO),
        ("a.rs", "pub struct A; use crate::b::B;"),
        ("b.rs", "pub struct B; use crate::a::A;"),
    ]);
    let floors: &[&[&str]] = &[&["a", "b", "lib"]];
    let broken_by =
        |circles, largest_circle| Rules { floors, circles, largest_circle, ..RULES }.broken_by(&graph);
    assert_eq!(broken_by(&[CIRCLE], None), [""; 0]);
    assert_eq!(broken_by(&[], Some(2)), [""; 0]);
    assert!(broken_by(&[], None)[0].contains("a circle of 2 files"));
    assert!(broken_by(&[], Some(1))[0].contains("a circle of 2 files"));
    assert!(broken_by(&[Circle { reason: "", ..CIRCLE }], None)[0].contains("a reason"));
    const OTHER: Circle = Circle { files: &["a.rs", "lib.rs"], reason: "none" };
    assert!(broken_by(&[CIRCLE, OTHER], None)[0].contains("is no circle of its own"));
}
