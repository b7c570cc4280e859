//! Path patterns: from a profile's text to elements that match components.
//!
//! A pattern that matches a path matches everything below that path too, so `/usr` is a tree and
//! `/home/*/.ssh` is all the trees of that name. Matching therefore looks for the *shortest* start of a path
//! that the elements match, and that makes `**` as cheap as `*` within a name: the earliest fit of one part
//! leaves the most to the next, so only the last `**` is ever reconsidered.

use crate::pattern::glob::{GlobError, Wildcard};
use crate::pattern::variables::{ExpandError, Variables};

/// A parsed path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) elements: Vec<Element>,
    /// Whether a trailing `?` says that the path may be missing.
    pub(crate) optional: bool,
}

/// What stands between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// This name.
    Name(Box<[u8]>),
    /// A name with wildcards.
    Wild(Wildcard),
    /// `**`: any number of names, also none.
    AnyDepth,
}

/// Why a text is no path pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("an empty path")]
    Empty,
    #[error("a path with a NUL byte")]
    Nul,
    #[error("`{0}` is not an absolute path")]
    Relative(String),
    #[error("`{0}` in a path")]
    Dots(&'static str),
    #[error("`/?` at the end of a path")]
    Mark,
    #[error("`**` must stand alone between slashes")]
    AnyDepth,
    #[error(transparent)]
    Variable(#[from] ExpandError),
    #[error(transparent)]
    Glob(#[from] GlobError),
}

impl PatternError {
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Relative(path) if path.starts_with('~') => Some("write `${HOME}` for `~`".to_owned()),
            Self::Relative(_) => Some("start it with `/` or a variable such as `${CWD}`".to_owned()),
            Self::Dots(_) => Some("write the path without it".to_owned()),
            Self::Glob(GlobError::Unclosed | GlobError::Empty) => {
                Some("a literal `[` is written `[[]`".to_owned())
            }
            Self::Mark => Some(
                "write `…?` for a directory that may be missing, `…/??` for names of one character"
                    .to_owned(),
            ),
            Self::Variable(error) => error.help(),
            _ => None,
        }
    }
}

impl Pattern {
    /// Parses a pattern.
    pub(crate) fn parse(text: &str, variables: &Variables) -> Result<Self, PatternError> {
        let (path, optional) = Self::split_mark(text);
        if optional && path.ends_with('/') {
            return Err(PatternError::Mark);
        }
        let path = variables.expand_pattern(path)?;
        if path.is_empty() {
            return Err(PatternError::Empty);
        }
        if path.contains(&0) {
            return Err(PatternError::Nul);
        }
        if path[0] != b'/' {
            return Err(PatternError::Relative(String::from_utf8_lossy(&path).into_owned()));
        }
        let elements = components(&path).map(Element::parse).collect::<Result<_, _>>()?;
        Ok(Self { elements: normalise(elements), optional })
    }

    /// The text without the trailing `?` that says that the path may be missing, and whether it was there.
    pub(crate) fn split_mark(text: &str) -> (&str, bool) {
        text.strip_suffix('?').map_or((text, false), |path| (path, true))
    }

    /// The names before the first wildcard.
    pub(crate) fn prefix(&self) -> impl Iterator<Item = &[u8]> {
        self.elements.iter().map_while(|e| if let Element::Name(n) = e { Some(&**n) } else { None })
    }

    /// Whether it is a plain path.
    pub(crate) fn plain(&self) -> bool {
        self.prefix().count() == self.elements.len()
    }
}

/// `**` twice in a row is one; at the end it asks for at least one name, so it is `*`.
fn normalise(mut elements: Vec<Element>) -> Vec<Element> {
    elements.dedup_by(|a, b| *a == Element::AnyDepth && *b == Element::AnyDepth);
    if let Some(last) = elements.last_mut().filter(|e| **e == Element::AnyDepth) {
        *last = Element::Wild(Wildcard::any());
    }
    elements
}

impl Element {
    fn parse(component: &[u8]) -> Result<Self, PatternError> {
        if component == b"**" {
            return Ok(Self::AnyDepth);
        }
        if component.windows(2).any(|w| w == b"**") {
            return Err(PatternError::AnyDepth);
        }
        let plain = |name: &[u8]| match name {
            b"." => Err(PatternError::Dots(".")),
            b".." => Err(PatternError::Dots("..")),
            name => Ok(Self::Name(name.into())),
        };
        if !Wildcard::is_special(component) {
            return plain(component);
        }
        let wildcard = Wildcard::parse(component)?;
        wildcard.literal().map_or(Ok(Self::Wild(wildcard)), |name| plain(&name))
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Name(n) => **n == *name,
            Self::Wild(w) => w.matches(name),
            Self::AnyDepth => true,
        }
    }
}

/// The names of a path, between its slashes.
pub(crate) fn components(path: &[u8]) -> Components<'_> {
    Components { rest: path }
}

/// See [`components`].
#[derive(Clone, Debug)]
pub(crate) struct Components<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Components<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b'/', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|b| *b == b'/').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(name)
    }
}

/// How many of the path's leading components the elements match, at the least; `None` if they match no start
/// of it.
pub(crate) fn shortest(elements: &[Element], mut path: Components<'_>) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    let mut fallback: Option<(usize, Components<'_>, usize)> = None;
    while let Some(element) = elements.get(at) {
        if *element == Element::AnyDepth {
            at += 1;
            fallback = Some((at, path.clone(), depth));
            continue;
        }
        if element.matches(path.next()?) {
            (at, depth) = (at + 1, depth + 1);
        } else {
            let (again, from, skipped) = fallback.as_mut()?;
            from.next();
            *skipped += 1;
            (at, path, depth) = (*again, from.clone(), *skipped);
        }
    }
    Some(depth)
}

/// Whether something strictly below this directory could be the shortest match of the elements.
pub(crate) fn reaches_below(elements: &[Element], mut directory: Components<'_>) -> bool {
    for element in elements {
        match (element, directory.next()) {
            (Element::AnyDepth, _) | (_, None) => return true,
            (element, Some(name)) if !element.matches(name) => return false,
            _ => {}
        }
    }
    false
}

/// Elements of a pattern that [`states`] can follow, at most.
pub(crate) const MAX_STATES: usize = 127;

/// Where a match of the elements can stand after exactly these names, without being at its end: bit `n` says
/// that the elements from `n` on are still to be matched. Two directories with the same states get the same
/// answers for all that lies below them.
pub(crate) fn states(elements: &[Element], path: Components<'_>) -> u128 {
    let skip = |mut set: u128| {
        for (at, element) in elements.iter().enumerate() {
            if *element == Element::AnyDepth && set & (1 << at) != 0 {
                set |= 1 << (at + 1);
            }
        }
        set & !(1 << elements.len())
    };
    path.fold(skip(1), |before, name| {
        let mut after = 0;
        for (at, element) in elements.iter().enumerate().filter(|(at, _)| before & (1 << at) != 0) {
            if element.matches(name) {
                after |= if *element == Element::AnyDepth { 1 << at } else { 1 << (at + 1) };
            }
        }
        skip(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Vec<Element> {
        Pattern::parse(text, &Variables::default()).unwrap().elements
    }

    #[test]
    fn the_shortest_matching_start_is_found() {
        for (pattern, path, depth) in [
            ("/", "/", Some(0)),
            ("/", "/a/b", Some(0)),
            ("/a", "/", None),
            ("/a", "/ab", None),
            ("/a/*", "/a", None),
            ("/a/*", "/a/b/c", Some(2)),
            ("/a/**", "/a", None),
            ("/a/**", "/a/b/c", Some(2)),
            ("/**/b", "/b", Some(1)),
            ("/**/b", "/a/b/a/b", Some(2)),
            ("/**/a/**/b", "/x/a/x/x/b/b", Some(5)),
            ("/**/a/b", "/a/a/a/b", Some(4)),
            ("/**/a/b", "/a/c/b", None),
        ] {
            assert_eq!(shortest(&elements(pattern), components(path.as_bytes())), depth, "{pattern} {path}");
        }
    }

    #[test]
    fn a_directory_is_reached_below_only_before_the_pattern_ends() {
        for (pattern, directory, expected) in [
            ("/a/*/c", "/a", true),
            ("/a/*/c", "/a/b", true),
            ("/a/*/c", "/a/b/c", false),
            ("/a/*/c", "/b", false),
            ("/a/**/c", "/a/x/y", true),
        ] {
            let found = reaches_below(&elements(pattern), components(directory.as_bytes()));
            assert_eq!(found, expected, "{pattern} {directory}");
        }
    }

    #[test]
    fn what_is_left_of_a_pattern_below_a_directory_is_told() {
        for (pattern, directory, left) in [
            ("/*/x", "/", 0b01),
            ("/*/x", "/a", 0b10),
            ("/*/x", "/a/x", 0),
            ("/*/x", "/a/b", 0),
            ("/**/x/y", "/", 0b11),
            ("/**/x/y", "/a", 0b11),
            ("/**/x/y", "/a/x", 0b111),
            ("/**/x/y", "/a/x/y", 0b11),
        ] {
            let found = states(&elements(pattern), components(directory.as_bytes()));
            assert_eq!(found, left, "{pattern} {directory}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let vars =
            Variables { home: Some("/home/../etc".into()), cwd: Some("rel".into()), ..Default::default() };
        for (text, error) in [
            ("", PatternError::Empty),
            ("?", PatternError::Empty),
            ("a/b", PatternError::Relative("a/b".into())),
            ("~/x", PatternError::Relative("~/x".into())),
            ("${CWD}/x", PatternError::Relative("rel/x".into())),
            ("/a/../b", PatternError::Dots("..")),
            ("/a/[.]./b", PatternError::Dots("..")),
            ("/./b", PatternError::Dots(".")),
            ("${HOME}", PatternError::Dots("..")),
            ("/a\0b", PatternError::Nul),
            ("/a/?", PatternError::Mark),
            ("/a**", PatternError::AnyDepth),
            ("/a/[b/c]", PatternError::Glob(GlobError::Unclosed)),
        ] {
            assert_eq!(Pattern::parse(text, &vars), Err(error), "{text}");
        }
    }

    #[test]
    fn a_trailing_question_mark_is_the_mark_of_what_may_be_missing() {
        assert!(Pattern::parse("/a?", &Variables::default()).unwrap().optional);
        assert_eq!(elements("/a??"), elements("/a??"));
        assert!(matches!(elements("/a??")[..], [Element::Wild(_)]));
        assert!(!Pattern::parse("/a[?]", &Variables::default()).unwrap().optional);
    }
}
