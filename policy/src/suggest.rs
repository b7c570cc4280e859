//! "Did you mean …?": the known word nearest to a mistyped one.

/// The candidate at the least edit distance from `word`, if that is near enough to be a likely slip: at most a third
/// of the word's letters, and at least one.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = bounded(word)?;
    let limit = (word.len() / 3).max(1);
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

/// A word's letters, case folded. Words longer than any of ours are no slip of one, and would cost their square.
fn bounded(word: &str) -> Option<Vec<char>> {
    (word.len() <= 64).then(|| word.chars().flat_map(char::to_lowercase).collect())
}

/// Edit distance with insertion, deletion, substitution and transposition of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitute = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitute.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(s: &str) -> Vec<char> {
        s.chars().collect()
    }

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
            assert_eq!(distance(&chars(a), &chars(b)), d, "{a} {b}");
            assert_eq!(distance(&chars(b), &chars(a)), d, "{b} {a}");
        }
    }

    #[test]
    fn a_far_word_gets_no_suggestion() {
        assert_eq!(nearest("opneat", ["open", "openat", "close"]), Some("openat"));
        assert_eq!(nearest("zzz", ["open", "openat"]), None);
        assert_eq!(nearest(&"a".repeat(1 << 20), ["a"]), None);
    }
}
