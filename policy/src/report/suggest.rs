//! "Did you mean …?": the known word nearest to a mistyped one.

use strsim::osa_distance as distance;

/// The candidate at the least edit distance from `word`, if that is near enough to be a likely slip: at most
/// a third of the word's letters, and at least one.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = bounded(word)?;
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|c| Some((distance(&word, &bounded(c)?), c)))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// `did you mean …?` with the known word nearest to a mistyped one, for a help line.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|c| format!("did you mean `{c}`?"))
}

/// What to write instead of an unknown word: the one that was meant, or else all of them if they are few.
pub(crate) fn known_words(word: &str, known: &[&str]) -> Option<String> {
    let few = (1..=24).contains(&known.len());
    did_you_mean(word, known.iter().copied())
        .or_else(|| few.then(|| format!("known are {}", known.join(", "))))
}

/// A word's letters, case folded. Words longer than any of ours are no slip of one, and would cost their
/// square.
fn bounded(word: &str) -> Option<String> {
    (word.len() <= 64).then(|| word.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_each_kind_of_edit_once() {
        for (a, b, d) in [
            ("read", "read", 0),
            ("raed", "read", 1),
            ("red", "read", 1),
            ("reads", "read", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), d, "{a} {b}");
            assert_eq!(distance(b, a), d, "{b} {a}");
        }
    }

    #[test]
    fn a_far_word_gets_no_suggestion() {
        assert_eq!(nearest("opneat", ["open", "openat", "close"]), Some("openat"));
        assert_eq!(nearest("zzz", ["open", "openat"]), None);
        assert_eq!(nearest(&"a".repeat(1 << 20), ["a"]), None);
    }
}
