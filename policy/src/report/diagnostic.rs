//! Errors in a profile, shown the way compilers do: what, where, the line itself, and what to do.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Lines longer than this many characters are cut around the place they are shown for.
const WIDTH: usize = 160;
/// Errors beyond this many are only counted.
const SHOWN: usize = 20;

/// One error at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// The profile's path, or the option's name.
    pub file: String,
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// What to do about it, where that can be said.
    pub help: Option<String>,
    /// The line that it is in, as it is shown, and what to mark of it, in bytes.
    excerpt: String,
    marked: Range<usize>,
}

impl Diagnostic {
    pub(crate) fn new(
        file: &str,
        text: &str,
        range: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Self {
        let start = floor(text, range.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor(text, range.end).clamp(start, line_end.max(start));
        let shown = |text: &str| text.chars().map(printable).collect::<String>();
        let (before, marked) = (shown(&text[line_start..start]), shown(&text[start..end]));
        Self {
            message: shown(&message),
            file: shown(file),
            line: 1 + text[..start].matches('\n').count(),
            column: 1 + text[line_start..start].chars().count(),
            help: help.map(|h| shown(&h)),
            marked: before.len()..before.len() + marked.len(),
            excerpt: before + &marked + &shown(text[end..line_end].trim_end_matches('\r')),
        }
    }
}

/// The greatest character boundary not above an offset.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Controls (tabs, escape sequences, direction marks) would move the cursor or lie about what follows.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = AnnotationKind::Primary.span(self.marked.clone());
        let line = Snippet::source(&self.excerpt).path(&self.file).line_start(self.line).annotation(mark);
        let report = Group::with_title(Level::ERROR.primary_title(&self.message)).element(line);
        writeln!(f, "{}", Renderer::plain().term_width(WIDTH).render(&[report]))?;
        match &self.help {
            // The library would put an empty line before it.
            Some(help) => writeln!(f, "{} = help: {help}", " ".repeat(self.line.to_string().len())),
            None => Ok(()),
        }
    }
}

/// Every error that loading found, in the order of the files and lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().take(SHOWN).enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            diagnostic.fmt(f)?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "\n… and {more} more errors"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, range: Range<usize>) -> String {
        Diagnostic::new("p.toml", text, range, "bad".into(), None).to_string()
    }

    #[test]
    fn the_caret_stands_under_characters_not_bytes() {
        let text = "a = 1\n\"é\" = \"x\"";
        let at = text.find("\"x\"").unwrap();
        assert_eq!(
            shown(text, at..at + 3),
            "error: bad\n --> p.toml:2:7\n  |\n2 | \"é\" = \"x\"\n  |       ^^^\n"
        );
    }

    #[test]
    fn a_span_over_several_lines_is_marked_on_its_first() {
        let text = "x = [\n1,\n2]";
        assert_eq!(shown(text, 4..text.len()), "error: bad\n --> p.toml:1:5\n  |\n1 | x = [\n  |     ^\n");
    }

    #[test]
    fn odd_offsets_and_huge_lines_are_shown_cut_and_never_panic() {
        for text in [
            "",
            "\n",
            "é",
            &"x".repeat(100_000),
            &"é\t\u{1b}[2J\u{202e}\u{7f}\u{9b}".repeat(5_000),
            "a\r\nb\0",
        ] {
            for start in [0, 1, 2, 7, 50_000, usize::MAX] {
                for end in [0, 1, 3, 99_999, usize::MAX] {
                    let text = shown(text, start..end);
                    assert!(text.lines().all(|l| l.chars().count() < 2 * WIDTH));
                    assert!(
                        !text.contains(|c: char| "\u{202e}\r".contains(c) || c.is_control() && c != '\n')
                    );
                }
            }
        }
    }
}
