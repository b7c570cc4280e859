//! Paths among the tokens of a macro's arguments, which have no syntax of their own.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A run of words joined by `::`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub path: Vec<String>,
    pub line: usize,
    /// Whether it names a macro that is called.
    pub called: bool,
}

/// All paths in the tokens, also those in groups. Names of fields, methods and lifetimes are none.
pub(crate) fn paths(tokens: TokenStream) -> Vec<Written> {
    let mut found = Vec::new();
    search(tokens, &[], &mut found);
    found
}

/// Finds the paths of tokens that stand behind `prefix::`.
fn search(tokens: TokenStream, prefix: &[String], found: &mut Vec<Written>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(_) if is_part(&tokens, at) => at += 1,
            TokenTree::Ident(_) => at = path(&tokens, at, prefix, found),
            TokenTree::Group(group) => {
                search(group.stream(), &[], found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Reads the path that begins at a word; gives where it ends. Braces behind it hold paths that go on from it.
fn path(tokens: &[TokenTree], mut at: usize, prefix: &[String], found: &mut Vec<Written>) -> usize {
    let line = tokens[at].span().start().line;
    let mut path = prefix.to_vec();
    path.push(tokens[at].to_string());
    at += 1;
    while colons(tokens, at) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(next)) => path.push(next.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                search(group.stream(), &path, found);
                return at + 3;
            }
            _ => break,
        }
        at += 3;
    }
    found.push(Written { path, line, called: is(tokens, Some(at), '!') });
    at
}

/// Whether a word is a field, a method, a lifetime, or stands behind `::` as a part of what is no plain path.
fn is_part(tokens: &[TokenTree], at: usize) -> bool {
    let before = |n| at.checked_sub(n);
    is(tokens, before(1), '\'')
        || (is(tokens, before(1), '.') && !is(tokens, before(2), '.'))
        || before(2).is_some_and(|at| colons(tokens, at))
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    is(tokens, Some(at), ':') && is(tokens, Some(at + 1), ':')
}

fn is(tokens: &[TokenTree], at: Option<usize>, char: char) -> bool {
    matches!(at.and_then(|at| tokens.get(at)), Some(TokenTree::Punct(p)) if p.as_char() == char)
}
