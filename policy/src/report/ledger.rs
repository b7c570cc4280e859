//! Where everything was written: the texts that were read, the rules found in them, the errors to report.
//!
//! Loading passes one [`Context`] through all its steps. A rule is entered once, when it is read, and from
//! then on is a small number; a decision turns the number back into file, line and text without searching or
//! allocating.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use crate::decision::Rule;
use crate::report::diagnostic::{Diagnostic, Diagnostics};

/// The file that is named for rules which no profile and no option says.
pub(crate) const OWN: &str = "rxbox";

/// A text that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceId(usize);

/// A rule; 0 is the default, so that a zeroed array of rules says "none spoke".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleId(u32);

impl RuleId {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The rule of a [`RuleId::number`].
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// This rule, or the other one if this is none.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.is_none() { other } else { self }
    }
}

/// A piece of a text, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) source: SourceId,
    pub(crate) range: Range<usize>,
}

/// A value with the rule that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item<T> {
    pub(crate) value: T,
    pub(crate) rule: RuleId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Profile,
    Option,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
    /// Where line ends are.
    line_ends: Vec<usize>,
    origin: Origin,
}

#[derive(Clone, Debug)]
struct Entry {
    span: Span,
    line: u32,
    text: String,
}

/// The record of loading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    sources: Vec<Source>,
    rules: Vec<Entry>,
    /// Profiles, each behind those that it extends.
    layers: Vec<SourceId>,
    errors: Vec<(Span, Diagnostic)>,
}

impl Source {
    /// The number of the line, from 1, that an offset lies in.
    fn line(&self, offset: usize) -> u32 {
        let before = self.line_ends.partition_point(|end| *end < offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }
}

impl Context {
    /// Enters a profile's text under the name to show.
    pub(crate) fn profile(&mut self, name: String, text: String) -> SourceId {
        self.source(name, text, Origin::Profile)
    }

    /// Takes note that all of a profile is read, with what it extends.
    pub(crate) fn layer(&mut self, source: SourceId) {
        self.layers.push(source);
    }

    /// Enters an option of the command line, whose value is its whole text.
    pub(crate) fn option(&mut self, name: &str, value: &str) -> Span {
        let source = self.source(name.to_owned(), value.to_owned(), Origin::Option);
        Span { source, range: 0..value.len() }
    }

    /// Enters a rule that no profile and no option says, about a file.
    pub(crate) fn own(&mut self, what: &str, path: &Path) -> RuleId {
        let span = self.option(OWN, &path.to_string_lossy());
        self.rule(what, span)
    }

    fn source(&mut self, name: String, text: String, origin: Origin) -> SourceId {
        let line_ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect();
        self.sources.push(Source { name, text, line_ends, origin });
        SourceId(self.sources.len() - 1)
    }

    /// Enters a rule. `key` is what stands before the value: `filesystem.read`.
    pub(crate) fn rule(&mut self, key: impl fmt::Display, span: Span) -> RuleId {
        let source = &self.sources[span.source.0];
        let value = source.text.get(span.range.clone()).unwrap_or_default();
        let (line, mut text) = match source.origin {
            Origin::Profile => (source.line(span.range.start), key.to_string()),
            Origin::Option => (0, source.name.clone()),
        };
        text.reserve(value.len() + 1);
        for word in value.split_whitespace() {
            text.push(' ');
            text.push_str(word);
        }
        self.rules.push(Entry { span, line, text });
        RuleId(u32::try_from(self.rules.len()).unwrap_or(u32::MAX))
    }

    /// Where a rule was written; nothing for the default.
    pub(crate) fn span(&self, rule: RuleId) -> Option<Span> {
        Some(self.entry(rule)?.span.clone())
    }

    /// Whether the rule is an option of the command line.
    pub(crate) fn is_option(&self, rule: RuleId) -> bool {
        self.span(rule).is_some_and(|span| self.sources[span.source.0].origin == Origin::Option)
    }

    /// The rule as it will be shown.
    pub(crate) fn shown(&self, rule: RuleId) -> String {
        self.entry(rule).map_or_else(String::new, |entry| {
            format!("`{}` ({}:{})", entry.text, self.sources[entry.span.source.0].name, entry.line)
        })
    }

    fn entry(&self, rule: RuleId) -> Option<&Entry> {
        self.rules.get((rule.0 as usize).checked_sub(1)?)
    }

    /// Reports an error at a place.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>, help: Option<String>) {
        let source = &self.sources[span.source.0];
        let diagnostic =
            Diagnostic::new(&source.name, &source.text, span.range.clone(), message.into(), help);
        self.errors.push((span, diagnostic));
    }

    /// Reports an error at a rule.
    pub(crate) fn error_at(&mut self, rule: RuleId, message: impl Into<String>, help: Option<String>) {
        if let Some(span) = self.span(rule) {
            self.error(span, message, help);
        }
    }

    /// The rules for the policy to keep, or the errors in the order of the texts.
    pub(crate) fn finish(mut self) -> Result<Ledger, Diagnostics> {
        if !self.errors.is_empty() {
            self.errors.sort_by_key(|(span, _)| (span.source.0, span.range.start));
            return Err(Diagnostics(self.errors.into_iter().map(|(_, d)| d).collect()));
        }
        let layers = self.layers.iter().map(|source| source.0).collect();
        let rules = self.rules.into_iter().map(|r| (r.span.source.0, r.line, r.text)).collect();
        Ok(Ledger { names: self.sources.into_iter().map(|s| s.name).collect(), rules, layers })
    }
}

/// The rules of a loaded policy.
#[derive(Debug)]
pub(crate) struct Ledger {
    names: Vec<String>,
    rules: Vec<(usize, u32, String)>,
    layers: Vec<usize>,
}

impl Ledger {
    /// The name of the profile that was asked for: what it extends was read behind it, and before it only the
    /// option that names it.
    pub(crate) fn profile(&self) -> &str {
        self.names.get(1).map_or("", String::as_str)
    }

    /// All rules, those of each profile behind those of the profiles that it extends, and options last.
    pub(crate) fn rules(&self) -> impl Iterator<Item = Rule<'_>> {
        let layer = |source: usize| self.layers.iter().position(|layer| *layer == source);
        let mut all: Vec<_> = self.rules.iter().collect();
        all.sort_by_key(|(source, ..)| layer(*source).unwrap_or(usize::MAX));
        all.into_iter().map(|(source, line, text)| Rule { file: &self.names[*source], line: *line, text })
    }

    /// The rule of a number.
    pub(crate) fn rule(&self, rule: RuleId) -> Rule<'_> {
        match (rule.0 as usize).checked_sub(1).and_then(|at| self.rules.get(at)) {
            Some((source, line, text)) => Rule { file: &self.names[*source], line: *line, text },
            None => Rule::DEFAULT,
        }
    }
}
