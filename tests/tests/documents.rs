//! Holds what the documents say of the tree, and the form of its text.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Documents that name files of the tree.
const DOCUMENTS: &[&str] = &["ARCHITECTURE.md", "SECURITY.md", "README.md", "docs"];

/// Where a path that a document names may begin: the documents leave a crate's folder out where it is clear.
const BEGINNINGS: &[&str] = &[
    "",
    "emulator-core",
    "emulator-core/src",
    "emulator-core/translate/src",
    "supervisor/src",
    "policy/src",
    "wire/src",
];

/// Columns of a line.
const WIDTH: usize = 110;

/// Files with this ending below a path of the repository.
fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_path_buf()];
    }
    let mut found = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|n| n.as_encoded_bytes()[0] == b'.');
        let built = entry.file_name().is_some_and(|n| n == "target");
        let wanted = entry.extension().is_some_and(|e| e == ending);
        if (entry.is_dir() && !hidden && !built) || wanted {
            found.extend(files(&entry, ending));
        }
    }
    found
}

fn documents() -> impl Iterator<Item = (PathBuf, String)> {
    let all = DOCUMENTS.iter().flat_map(|d| files(&Path::new(ROOT).join(d), "md"));
    all.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
}

/// What stands outside blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n```").step_by(2)
}

/// What links lead to.
fn links(text: &str) -> Vec<String> {
    let of = |part: &str| -> Vec<String> {
        let unquoted: String = part.split('`').step_by(2).collect();
        unquoted.split("](").skip(1).filter_map(|link| Some(link.split_once(')')?.0.to_owned())).collect()
    };
    prose(text).flat_map(of).collect()
}

/// What stands in backticks, and what links lead to.
fn named(text: &str) -> Vec<String> {
    let quoted = prose(text).flat_map(|part| part.split('`').skip(1).step_by(2).map(String::from));
    quoted.chain(links(text)).collect()
}

/// The anchors of a page's headings, as mdBook and code hosting services name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).flat_map(str::lines).filter(|line| line.starts_with('#'));
    let named = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
    named.map(|name| name.chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")).collect()
}

/// Whether a name has the form of a path in the repository.
fn is_path(name: &str) -> bool {
    let source = [".rs", ".md", ".sh", ".c"].iter().any(|ending| name.ends_with(ending));
    let fine = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    // What a build makes is not there before it.
    let made = name.starts_with("target/");
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !made
        && name.chars().all(fine)
        && (source || name.contains('/'))
}

/// Whether there is such a file, folder or module.
fn exists(name: &str) -> bool {
    let name = name.trim_end_matches('/');
    BEGINNINGS
        .iter()
        .map(|b| Path::new(ROOT).join(b).join(name))
        .any(|path| path.exists() || path.with_extension("rs").exists())
}

/// `a/{b,c}` is `a/b` and `a/c`.
fn expanded(name: &str) -> Vec<String> {
    match name.split_once('{').and_then(|(start, rest)| Some((start, rest.split_once('}')?))) {
        Some((start, (parts, end))) => parts.split(',').map(|part| format!("{start}{part}{end}")).collect(),
        None => vec![name.to_string()],
    }
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let mut seen = 0;
    let mut missing = Vec::new();
    for (document, text) in documents() {
        for name in named(&text).iter().flat_map(|n| expanded(n)).filter(|n| is_path(n)) {
            seen += 1;
            let beside = document.parent().unwrap().join(&name);
            if !exists(&name) && !beside.exists() {
                missing.push(format!("{}: `{name}`", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "no such file or folder:\n{}", missing.join("\n"));
    assert!(seen > 50, "{seen} paths are looked at");
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    let mut broken = Vec::new();
    let site = Path::new(ROOT).join("docs");
    let mut seen = 0;
    for (document, text) in documents() {
        for link in links(&text).iter().filter(|link| !link.contains("://") && !link.is_empty()) {
            seen += 1;
            let (page, anchor) = link.split_once('#').unwrap_or((link, ""));
            let beside = document.parent().unwrap();
            let path = if page.is_empty() { document.clone() } else { beside.join(page) };
            let Ok(there) = path.canonicalize() else {
                broken.push(format!("{}: {link}", document.display()));
                continue;
            };
            let heading = anchor.is_empty()
                || std::fs::read_to_string(&there).is_ok_and(|text| anchors(&text).contains(anchor));
            // The site has the folder's pages alone.
            let on_site = !document.starts_with(&site) || there.starts_with(site.canonicalize().unwrap());
            if !heading || !on_site {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere, or out of the site:\n{}", broken.join("\n"));
    assert!(seen > 50, "{seen} links are looked at");
}

#[test]
fn doctor_says_what_the_page_on_ci_quotes() {
    let read = |name: &str| std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
    let source = read("supervisor/src/cli/doctor.rs");
    let said: String = source.split("\\\n").map(str::trim_start).collect();
    let page = read("docs/ci.md");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let quoted: Vec<&str> = rows.flat_map(|row| row.split('"').skip(1).step_by(2)).collect();
    assert!(quoted.len() > 5, "{quoted:?}");
    for words in quoted {
        assert!(said.contains(words), "doctor does not say: {words}");
    }
}

#[test]
fn the_site_has_every_page_once() {
    let site = Path::new(ROOT).join("docs");
    let mut pages: Vec<PathBuf> =
        files(&site, "md").into_iter().filter(|p| !p.ends_with("SUMMARY.md")).collect();
    let listed = links(&std::fs::read_to_string(site.join("SUMMARY.md")).unwrap());
    let mut listed: Vec<PathBuf> =
        listed.iter().filter(|link| !link.is_empty()).map(|link| site.join(link)).collect();
    pages.sort();
    listed.sort();
    assert_eq!(pages, listed, "docs/SUMMARY.md lists each page of docs/ once");
}

/// The modules below a folder that may have unsafe code, by their path below it: those with an attribute that
/// says so.
fn modules_with_unsafe_code(source: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files(source, "rs") {
        let place = file.strip_prefix(source).unwrap().with_extension("");
        let place = place.to_string_lossy();
        let folder = ["lib", "main", "mod"]
            .iter()
            .find_map(|n| place.strip_suffix(n))
            .map_or(format!("{place}/"), String::from);
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (n, line) in lines.iter().enumerate() {
            if !line.starts_with("#[") || !line.contains("(unsafe_code") {
                continue;
            }
            // An attribute may stand between. The module is named in the line behind them.
            let of = lines[n + 1..].iter().find(|l| !l.starts_with("#[")).unwrap_or(&"");
            let name = of
                .trim_start_matches("pub ")
                .strip_prefix("mod ")
                .map(|m| m.trim_end_matches([';', '{', ' ']));
            let name =
                name.unwrap_or_else(|| panic!("{}: only modules have unsafe code: {of}", file.display()));
            let for_tests = place.contains("tests") || name == "tests";
            if !for_tests {
                found.insert(format!("{folder}{name}"));
            }
        }
    }
    found
}

/// The names in the last column of a crate's row in the table of ARCHITECTURE.md.
fn listed(folder: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("ARCHITECTURE.md")).unwrap();
    let row = text.lines().find(|l| l.starts_with(&format!("| `{folder}/` |"))).unwrap();
    let column = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
    let names = column.split('`').skip(1).step_by(2);
    names.flat_map(expanded).map(|n| n.trim_end_matches('/').to_string()).collect()
}

#[test]
fn unsafe_code_stands_only_in_the_modules_that_the_architecture_lists() {
    for folder in ["emulator-core", "supervisor"] {
        let source = Path::new(ROOT).join(folder).join("src");
        let root = std::fs::read_to_string(source.join("lib.rs")).unwrap();
        assert!(root.contains("\n#![deny(unsafe_code)]"), "{folder} does not deny unsafe code");
        let found = modules_with_unsafe_code(&source);
        assert!(
            !found.is_empty() && found == listed(folder),
            "{folder}: {found:?}, listed {:?}",
            listed(folder)
        );
    }
}

/// A row of a Markdown table cannot be broken.
fn may_be_wide(line: &str) -> bool {
    let comment = line.trim_start().trim_start_matches(['/', '!']).trim_start();
    comment.starts_with("| ")
}

#[test]
fn no_line_of_code_is_wider_than_110_columns() {
    let mut wide = Vec::new();
    for file in files(Path::new(ROOT), "rs") {
        let text = std::fs::read_to_string(&file).unwrap();
        for (n, line) in text.lines().enumerate() {
            if line.chars().count() > WIDTH && !may_be_wide(line) {
                wide.push(format!("{}:{}: {} columns", file.display(), n + 1, line.chars().count()));
            }
        }
    }
    assert!(wide.is_empty(), "{} lines are wider than {WIDTH} columns:\n{}", wide.len(), wide.join("\n"));
}

#[test]
fn the_tests_that_the_table_of_attacks_names_are_there() {
    let table = std::fs::read_to_string(Path::new(ROOT).join("docs/attacks.md")).unwrap();
    let sources: String = files(Path::new(ROOT), "rs")
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect::<Vec<_>>()
        .join("\n");
    let rows: Vec<&str> =
        table.lines().filter(|line| line.starts_with("| ") && !line.contains("---")).skip(1).collect();
    assert_eq!(rows.len(), 35);
    for row in rows {
        let tests: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}: {row}");
        }
    }
}
