//! Which files are run only as long as they have known contents.

use std::collections::BTreeMap;

use crate::report::ledger::{Item, RuleId};

/// A SHA-256 of what is in a file.
pub type Digest = [u8; 32];

/// The compiled entries of `pinned`, by resolved path. A path may have several contents.
#[derive(Debug, Default)]
pub(crate) struct Pins(BTreeMap<Vec<u8>, Vec<Item<Digest>>>);

/// Why a text is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry is a SHA-256 in 64 hexadecimal digits and a path, as sha256sum(1) prints them")]
pub(crate) struct NoPin;

/// The digest and the path of an entry. In front of the path sha256sum(1) puts `*` for a file that it reads
/// as binary.
pub(crate) fn parse(text: &str) -> Result<(Digest, &str), NoPin> {
    let (digits, path) = text.split_once(' ').ok_or(NoPin)?;
    let path = path.strip_prefix([' ', '*']).unwrap_or(path);
    if digits.len() != 64 || !digits.is_ascii() || path.is_empty() {
        return Err(NoPin);
    }
    let mut digest = Digest::default();
    for (at, byte) in digest.iter_mut().enumerate() {
        let pair = digits.get(2 * at..2 * at + 2).filter(|pair| !pair.starts_with('+')).ok_or(NoPin)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| NoPin)?;
    }
    Ok((digest, path))
}

impl Pins {
    pub(crate) fn insert(&mut self, path: Vec<u8>, digest: Digest, rule: RuleId) {
        self.0.entry(path).or_default().push(Item { value: digest, rule });
    }

    /// The paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.0.keys().map(Vec::as_slice)
    }

    pub(crate) fn speaks_of(&self, path: &[u8]) -> bool {
        self.0.contains_key(path)
    }

    /// The rule that takes the running of a file with these contents away, if one does.
    pub(crate) fn refuses(&self, path: &[u8], digest: &Digest) -> Option<RuleId> {
        let items = self.0.get(path)?;
        let matched = items.iter().any(|item| item.value == *digest);
        items.last().filter(|_| !matched).map(|item| item.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_sha256sum_prints() {
        let digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for between in ["  ", " *", " "] {
            let text = format!("{digits}{between}/opt/a b");
            let (digest, path) = parse(&text).unwrap();
            assert_eq!((digest[0], digest[31], path), (0xe3, 0x55, "/opt/a b"));
        }
        let plus = digits.replacen("e3", "+3", 1);
        for wrong in ["", "/opt/a", &digits[1..], digits, &format!("{digits}  "), &format!("{plus}  /x")] {
            assert_eq!(parse(wrong), Err(NoPin), "{wrong}");
        }
        assert_eq!(parse(&format!("{}  /x", "é".repeat(32))), Err(NoPin));
    }
}
