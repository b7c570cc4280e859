//! Reads a TOML document into a [`Profile`]: a deserializer of serde's that goes on after an error.
//!
//! Every error is to be reported at once, with its place, but what serde derives stops at the first. Three
//! things keep that from happening, so that reading as a whole cannot fail:
//! * A key that a table does not know is reported and skipped before the derived code sees it: serde tells a
//!   deserializer the keys of each struct, and so the vocabulary for suggestions needs no list of its own.
//! * A value stands in an [`Entry`]. Its error is reported here, and the entry stays
//!   empty.
//! * A table or an array that is none is reported and read as an empty one.
//!
//! An error belongs to the innermost of these that holds it, and has that one's place.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::keys::Profile;
use super::value::{ENTRY, Entry};
use super::words::Version;
use crate::report::ledger::{Context, SourceId, Span};
use crate::report::suggest;

/// Reads a document, whose text is `source`, and reports what is wrong with it.
pub(crate) fn read(context: &mut Context, source: SourceId, document: &Spanned<DeTable<'_>>) -> Profile {
    let reader = Reader { context: RefCell::new(std::mem::take(context)), source };
    let content = Content::Table(document.get_ref());
    let profile =
        Profile::deserialize(Node { reader: &reader, path: &Path::Root, content, span: document.span() });
    let profile = profile.unwrap_or_default();
    *context = reader.context.into_inner();
    check_version(context, source, &profile.version);
    profile
}

fn check_version(context: &mut Context, source: SourceId, version: &Entry<Version>) {
    match version {
        Entry::Absent => {
            let help = Some("add `version = 1`".to_owned());
            context.error(Span { source, range: 0..0 }, "the profile does not say `version`", help);
        }
        Entry::Given(item) if item.value != Version::KNOWN => {
            let help = Some("this program reads `version = 1`".to_owned());
            context.error_at(item.rule, "unknown version of the profile language", help);
        }
        Entry::Given(_) | Entry::Wrong => {}
    }
}

/// What serde has no word for.
const DATE: &str = "date";

/// What all nodes share.
struct Reader {
    context: RefCell<Context>,
    source: SourceId,
}

/// The keys that lead to a node.
#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
}

/// A value of the document, or a key.
#[derive(Clone, Copy)]
enum Content<'a, 'i> {
    Table(&'a DeTable<'i>),
    Value(&'a DeValue<'i>),
    Key(&'a str),
}

/// A place in the document.
#[derive(Clone)]
struct Node<'a, 'i> {
    reader: &'a Reader,
    path: &'a Path<'a>,
    content: Content<'a, 'i>,
    span: Range<usize>,
}

/// Why a value is refused.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{message}")]
    Wrong { message: String, help: Option<String> },
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("wrong, and reported")]
    Reported,
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Wrong { message: message.to_string(), help: None }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Str(_) => "a string",
            Unexpected::Signed(_) | Unexpected::Unsigned(_) => "an integer",
            Unexpected::Float(_) => "a float",
            Unexpected::Bool(_) => "a boolean",
            Unexpected::Seq => "an array",
            Unexpected::Map => "a table",
            Unexpected::Other(DATE) => "a date",
            // One of more than 64 bits.
            _ => "an integer",
        };
        Self::custom(format_args!("expected {expected}, found {found}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Path::Root, key) => f.write_str(key),
            Self::Key(above, key) => write!(f, "{above}.{key}"),
        }
    }
}

impl<'a, 'i> Node<'a, 'i> {
    fn report(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let span = Span { source: self.reader.source, range: span };
        self.reader.context.borrow_mut().error(span, message, help);
    }

    /// Reports what is not reported yet.
    fn report_fault(&self, fault: Fault) {
        match fault {
            Fault::Wrong { message, help } => self.report(self.span.clone(), message, help),
            Fault::Missing(_) | Fault::Reported => {}
        }
    }

    fn text(&self) -> Option<&'a str> {
        match self.content {
            Content::Key(text) => Some(text),
            Content::Value(DeValue::String(text)) => Some(text),
            _ => None,
        }
    }

    fn table(&self) -> Option<&'a DeTable<'i>> {
        match self.content {
            Content::Table(table) => Some(table),
            Content::Value(DeValue::Table(table)) => Some(table),
            _ => None,
        }
    }

    fn wrong_type(&self, expected: &dyn Expected) -> Fault {
        let found = match self.content {
            Content::Key(text) => Unexpected::Str(text),
            Content::Table(_) | Content::Value(DeValue::Table(_)) => Unexpected::Map,
            Content::Value(DeValue::String(text)) => Unexpected::Str(text),
            Content::Value(DeValue::Integer(_)) => Unexpected::Signed(0),
            Content::Value(DeValue::Float(_)) => Unexpected::Float(0.0),
            Content::Value(DeValue::Boolean(bool)) => Unexpected::Bool(*bool),
            Content::Value(DeValue::Array(_)) => Unexpected::Seq,
            Content::Value(DeValue::Datetime(_)) => Unexpected::Other(DATE),
        };
        Fault::invalid_type(found, expected)
    }

    /// The entries of a table in the order of writing, from the last to the first.
    fn entries(&self, table: &'a DeTable<'i>) -> Entries<'a, 'i> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| std::cmp::Reverse(key.span().start));
        Entries { node: self.clone(), entries, value: None }
    }

    fn none(&self) -> Entries<'a, 'i> {
        Entries { node: self.clone(), entries: Vec::new(), value: None }
    }

    fn unknown_key(&self, key: &Spanned<std::borrow::Cow<'_, str>>, noun: &str, known: &[&str]) {
        let place = if matches!(self.path, Path::Root) { "at the top of" } else { "in" };
        let help = suggest::did_you_mean(key.get_ref(), known.iter().copied())
            .unwrap_or_else(|| format!("the keys are {}", known.join(", ")));
        self.report(key.span(), format!("unknown key `{}` {place} {noun}", key.get_ref()), Some(help));
    }
}

impl<'de> Deserializer<'de> for Node<'_, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Some(text) = self.text() {
            return visitor.visit_str(text);
        }
        if let Some(table) = self.table() {
            return visitor.visit_map(self.entries(table));
        }
        match self.content {
            Content::Value(DeValue::Integer(number)) => match saturated(number) {
                number if let Ok(number) = i64::try_from(number) => visitor.visit_i64(number),
                number => visitor.visit_i128(number),
            },
            Content::Value(DeValue::Boolean(bool)) => visitor.visit_bool(*bool),
            Content::Value(DeValue::Array(items)) => {
                visitor.visit_seq(Elements { items: items.iter(), node: self })
            }
            // No key takes a float or a date.
            _ => Err(self.wrong_type(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Some(table) = self.table() else {
            self.report_fault(self.wrong_type(&"a table"));
            return visitor.visit_map(self.none()).map_err(|_| Fault::Reported);
        };
        let noun = (&visitor as &dyn Expected).to_string();
        let mut entries = self.entries(table);
        entries.entries.retain(|(key, _)| {
            let known = fields.contains(&key.get_ref().as_ref());
            if !known {
                self.unknown_key(key, &noun, fields);
            }
            known
        });
        visitor.visit_map(entries).map_err(|fault| match fault {
            Fault::Missing(field) => Fault::custom(format_args!("{noun} needs `{field}`")),
            fault => fault,
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.table() {
            Some(table) => visitor.visit_map(self.entries(table)),
            None => {
                self.report_fault(self.wrong_type(&visitor));
                visitor.visit_map(self.none()).map_err(|_| Fault::Reported)
            }
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.content {
            Content::Value(DeValue::Array(items)) => {
                visitor.visit_seq(Elements { items: items.iter(), node: self })
            }
            _ => {
                self.report_fault(self.wrong_type(&visitor));
                visitor.visit_seq(Elements { items: [].iter(), node: self }).map_err(|_| Fault::Reported)
            }
        }
    }

    /// One of a few words. What the visitor expects is what they are called together.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let word = self.text().ok_or_else(|| self.wrong_type(&"a string"))?;
        if words.contains(&word) {
            return visitor.visit_enum(StrDeserializer::new(word));
        }
        let message = format!("unknown {} `{word}`", &visitor as &dyn Expected);
        Err(Fault::Wrong { message, help: suggest::known_words(word, words) })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match name {
            ENTRY => visitor.visit_seq(Parts { node: self, value_read: false }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct identifier ignored_any
    }
}

/// The entries of a table.
struct Entries<'a, 'i> {
    node: Node<'a, 'i>,
    entries: Vec<(&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>)>,
    value: Option<(&'a str, &'a Spanned<DeValue<'i>>)>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.entries.pop() else { return Ok(None) };
        self.value = Some((key.get_ref(), value));
        let node = Node { content: Content::Key(key.get_ref()), span: key.span(), ..self.node.clone() };
        seed.deserialize(node).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.value.take() else { return Err(Fault::Reported) };
        let Node { reader, path, .. } = self.node;
        let path = Path::Key(path, key);
        seed.deserialize(Node {
            reader,
            path: &path,
            content: Content::Value(value.get_ref()),
            span: value.span(),
        })
    }
}

/// The elements of an array. They have the array's path.
struct Elements<'a, 'i> {
    node: Node<'a, 'i>,
    items: std::slice::Iter<'a, Spanned<DeValue<'i>>>,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let content = Content::Value(item.get_ref());
        seed.deserialize(Node { content, span: item.span(), ..self.node.clone() }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The two parts of an [`Entry`]: its value, unless that is wrong, and its rule.
struct Parts<'a, 'i> {
    node: Node<'a, 'i>,
    value_read: bool,
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let node = &self.node;
        if self.value_read {
            let span = Span { source: node.reader.source, range: node.span.clone() };
            let rule = node.reader.context.borrow_mut().rule(node.path, span);
            return seed.deserialize(rule.number().into_deserializer()).map(Some);
        }
        self.value_read = true;
        match seed.deserialize(node.clone()) {
            Ok(value) => Ok(Some(value)),
            Err(fault) => {
                node.report_fault(fault);
                Ok(None)
            }
        }
    }
}

/// The value of an integer, or the greatest one if 128 bits do not hold it: no key takes either.
fn saturated(number: &DeInteger<'_>) -> i128 {
    i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
