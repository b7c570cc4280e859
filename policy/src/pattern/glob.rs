//! Wildcards within one name: a path's component, an environment variable, an abstract socket.
//!
//! `*` stands for any run of bytes, `?` for one character, `[a-z]` for one of a class, `[!a-z]` for one
//! outside it. A leading dot is nothing special. A character is a UTF-8 sequence, or a single byte where the
//! name is no UTF-8.
//!
//! By hand and not by a library, because rules are compared as patterns: one language for names and paths,
//! whose plain beginning, literals and reach ([`super::path`]) the tree of rules must see.
//!
//! Matching keeps one point to fall back to, the last `*`: what an earlier `*` swallowed never needs to grow,
//! for the later one can swallow more instead. So a name of n bytes costs at most n × tokens steps, whatever
//! the pattern.

use std::str;

/// A compiled wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard {
    tokens: Box<[Token]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    AnyRun,
    AnyChar,
    Class { negated: bool, ranges: Box<[(char, char)]> },
}

/// Why a wildcard cannot be compiled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GlobError {
    #[error("`[` without its `]`")]
    Unclosed,
    #[error("the class `[]` is empty")]
    Empty,
    #[error("the range `{0}-{1}` is backwards")]
    Backwards(char, char),
    #[error("a class of characters that is no UTF-8")]
    NotUtf8,
}

impl Wildcard {
    /// Whether a pattern has special characters: one without stands for itself.
    pub(crate) fn is_special(pattern: &[u8]) -> bool {
        pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
    }

    /// Compiles a pattern.
    pub(crate) fn parse(pattern: &[u8]) -> Result<Self, GlobError> {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let [first, after @ ..] = rest {
            rest = after;
            match first {
                b'*' => tokens.push(Token::AnyRun),
                b'?' => tokens.push(Token::AnyChar),
                b'[' => {
                    let (negated, ranges, after) = class(rest)?;
                    rest = after;
                    match (negated, &ranges[..]) {
                        (false, [(a, b)]) if a == b => tokens.extend(a.to_string().bytes().map(Token::Byte)),
                        _ => tokens.push(Token::Class { negated, ranges: ranges.into() }),
                    }
                }
                byte => tokens.push(Token::Byte(*byte)),
            }
        }
        tokens.dedup_by(|a, b| *a == Token::AnyRun && *b == Token::AnyRun);
        Ok(Self { tokens: tokens.into() })
    }

    /// A pattern that every name matches.
    pub(crate) fn any() -> Self {
        Self { tokens: Box::new([Token::AnyRun]) }
    }

    /// The one name that this matches, if it has no special characters.
    pub(crate) fn literal(&self) -> Option<Vec<u8>> {
        let byte = |t: &Token| if let Token::Byte(b) = t { Some(*b) } else { None };
        self.tokens.iter().map(byte).collect()
    }

    /// A name that it matches.
    pub(crate) fn sample(&self) -> Vec<u8> {
        let mut name = Vec::new();
        for token in &self.tokens[..] {
            match token {
                Token::Byte(byte) => name.push(*byte),
                Token::AnyRun | Token::AnyChar => name.push(b'x'),
                Token::Class { negated, ranges } => {
                    let within = |c: char| ranges.iter().any(|(a, b)| (*a..=*b).contains(&c));
                    let first = ranges.first().map(|(a, _)| *a);
                    let outside = ('a'..='z').chain('0'..='9').find(|c| !within(*c));
                    let c = if *negated { outside } else { first }.unwrap_or('x');
                    name.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        name
    }

    /// Whether the whole name matches.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        let mut fallback = None;
        loop {
            let step = match self.tokens.get(token) {
                Some(Token::AnyRun) => {
                    token += 1;
                    fallback = Some((token, at));
                    continue;
                }
                Some(t) if at < name.len() => t.accepts(&name[at..]),
                None if at == name.len() => return true,
                _ => None,
            };
            match (step, &mut fallback) {
                (Some(length), _) => (token, at) = (token + 1, at + length),
                (None, Some((again, from))) if *from < name.len() => {
                    *from += 1;
                    (token, at) = (*again, *from);
                }
                (None, _) => return false,
            }
        }
    }
}

impl Token {
    /// How many bytes of a non-empty name's start this one token takes.
    fn accepts(&self, name: &[u8]) -> Option<usize> {
        match self {
            Self::Byte(b) => (name[0] == *b).then_some(1),
            Self::AnyRun => None,
            Self::AnyChar => Some(character(name).1),
            Self::Class { negated, ranges } => {
                let (character, length) = character(name);
                let inside = character.is_some_and(|c| ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)));
                (inside != *negated).then_some(length)
            }
        }
    }
}

/// The first character of a non-empty name and its length in bytes; one byte if it is no UTF-8.
fn character(name: &[u8]) -> (Option<char>, usize) {
    if name[0].is_ascii() {
        return (Some(char::from(name[0])), 1);
    }
    let valid = (2..=name.len().min(4)).find_map(|n| str::from_utf8(&name[..n]).ok());
    match valid.and_then(|s| s.chars().next()) {
        Some(c) => (Some(c), c.len_utf8()),
        None => (None, 1),
    }
}

/// Whether a class is negated, its ranges, and the text behind its `]`.
type Class<'a> = (bool, Vec<(char, char)>, &'a [u8]);

/// Parses a class behind its `[`. A `]` that stands first is a member.
fn class(text: &[u8]) -> Result<Class<'_>, GlobError> {
    let (negated, body) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let end = match body.iter().skip(1).position(|b| *b == b']') {
        Some(at) => at + 1,
        None if body.first() == Some(&b']') => return Err(GlobError::Empty),
        None => return Err(GlobError::Unclosed),
    };
    let members: Vec<char> = str::from_utf8(&body[..end]).map_err(|_| GlobError::NotUtf8)?.chars().collect();
    let mut ranges = Vec::new();
    let mut rest = members.as_slice();
    while let [first, after @ ..] = rest {
        let (last, after) = match after {
            ['-', last, after @ ..] => (last, after),
            _ => (first, after),
        };
        if first > last {
            return Err(GlobError::Backwards(*first, *last));
        }
        ranges.push((*first, *last));
        rest = after;
    }
    Ok((negated, ranges, &body[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &[u8]) -> bool {
        Wildcard::parse(pattern.as_bytes()).unwrap().matches(name)
    }

    #[test]
    fn each_form_matches_what_glob_7_says() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", ".hidden", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*.so*", "libc.so.6", true),
            ("?", "é", true),
            ("??", "é", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]x]", "]", true),
            ("[!]x]", "]", false),
            ("[a-]", "-", true),
            ("[é-ü]", "ö", true),
            ("[*][?][[]", "*?[", true),
        ] {
            assert_eq!(matches(pattern, name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_byte_that_is_no_utf8_counts_as_one_character() {
        assert!(matches("a?b", b"a\xffb"));
        assert!(matches("a[!x]b", b"a\xffb"));
        assert!(!matches("a[x-z]b", b"a\xffb"));
    }

    #[test]
    fn a_class_of_one_is_a_literal() {
        assert_eq!(Wildcard::parse("[*]é[?]".as_bytes()).unwrap().literal().unwrap(), "*é?".as_bytes());
        assert_eq!(Wildcard::parse(b"a*").unwrap().literal(), None);
    }

    #[test]
    fn broken_classes_are_errors() {
        for (pattern, error) in [
            ("[", GlobError::Unclosed),
            ("[a", GlobError::Unclosed),
            ("[]", GlobError::Empty),
            ("[!]", GlobError::Empty),
            ("[z-a]", GlobError::Backwards('z', 'a')),
        ] {
            assert_eq!(Wildcard::parse(pattern.as_bytes()), Err(error), "{pattern}");
        }
        assert_eq!(Wildcard::parse(b"[\xff]"), Err(GlobError::NotUtf8));
    }

    #[test]
    fn a_pattern_made_to_backtrack_stays_cheap() {
        // Exponential matchers do not end on this.
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &[b'a'; 4096]));
    }
}
