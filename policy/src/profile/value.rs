//! The values of a profile's keys: each knows the rule that it is, and with it where it was written.
//!
//! A value that is wrong must not end the reading, for every error is to be reported at once. So what can be
//! wrong stands in an [`Entry`], which the reader fills or, having reported the error, leaves empty; what
//! contains entries never fails because of them. From other formats than the reader's an entry is its value,
//! and fails like it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Serialize, Serializer};

use crate::report::ledger::{Item, RuleId};

/// The name under which an [`Entry`] asks the reader for two elements: its value, if that is right, and its
/// rule.
pub(crate) const ENTRY: &str = "$rxbox_policy::Entry";

/// A single value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Entry<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// What is written there is wrong, and reported.
    Wrong,
    /// The value with its rule.
    Given(Item<T>),
}

/// The entries of an array that are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List<T>(Vec<Item<T>>);

/// The entries of an array that must have some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NonEmpty<T>(List<T>);

/// The entries of a table with free keys that are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table<K, T>(Vec<(Item<K>, Item<T>)>);

/// What errors call several of these.
pub(crate) trait Plural {
    const PLURAL: &'static str = "strings";
}

impl Plural for String {}

/// What is written as a number, or as a number or a string.
pub(crate) trait Scalar: Sized {
    /// What errors say that it is.
    const EXPECTED: &'static str;

    /// Its value from a number. More than 128 bits have come to the greatest number.
    fn from_number(number: i128) -> Result<Self, String>;

    /// Its value from a string; nothing if it is no string.
    fn from_text(_: &str) -> Option<Result<Self, String>> {
        None
    }
}

impl<T> Entry<T> {
    pub(crate) fn get(&self) -> Option<&Item<T>> {
        match self {
            Self::Given(item) => Some(item),
            Self::Absent | Self::Wrong => None,
        }
    }

    fn into_given(self) -> Option<Item<T>> {
        match self {
            Self::Given(item) => Some(item),
            Self::Absent | Self::Wrong => None,
        }
    }

    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [Item<T>];

    fn deref(&self) -> &[Item<T>] {
        &self.0
    }
}

impl<T> Extend<Item<T>> for List<T> {
    fn extend<I: IntoIterator<Item = Item<T>>>(&mut self, items: I) {
        self.0.extend(items);
    }
}

impl<T> Deref for NonEmpty<T> {
    type Target = [Item<T>];

    fn deref(&self) -> &[Item<T>] {
        &self.0
    }
}

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, T> Deref for Table<K, T> {
    type Target = [(Item<K>, Item<T>)];

    fn deref(&self) -> &[(Item<K>, Item<T>)] {
        &self.0
    }
}

impl<K, T> Extend<(Item<K>, Item<T>)> for Table<K, T> {
    fn extend<I: IntoIterator<Item = (Item<K>, Item<T>)>>(&mut self, items: I) {
        self.0.extend(items);
    }
}

/// The visitor of a type.
struct Visit<T>(PhantomData<T>);

/// Reads a [`Scalar`]: what its `Deserialize` does.
pub(crate) fn scalar<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Visit(PhantomData::<T>))
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<Entry<T>> {
    type Value = Entry<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry<T>, D::Error> {
        T::deserialize(deserializer).map(|value| Entry::Given(Item { value, rule: RuleId::NONE }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Entry<T>, A::Error> {
        let Some(value) = access.next_element()? else { return Ok(Entry::Wrong) };
        let rule = access.next_element::<u32>()?.map_or(RuleId::NONE, RuleId::from_number);
        Ok(Entry::Given(Item { value, rule }))
    }
}

impl<'de, T: Deserialize<'de> + Plural> Visitor<'de> for Visit<List<T>> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {}", T::PLURAL)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<List<T>, A::Error> {
        let mut items = Vec::with_capacity(access.size_hint().unwrap_or_default());
        while let Some(entry) = access.next_element::<Entry<T>>()? {
            items.extend(entry.into_given());
        }
        Ok(List(items))
    }
}

impl<'de, T: Deserialize<'de> + Plural> Visitor<'de> for Visit<NonEmpty<T>> {
    type Value = NonEmpty<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Visit(PhantomData::<List<T>>).expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<NonEmpty<T>, A::Error> {
        match access.size_hint() {
            Some(0) => Err(A::Error::custom(format_args!("an empty list of {}", T::PLURAL))),
            _ => Visit(PhantomData::<List<T>>).visit_seq(access).map(NonEmpty),
        }
    }
}

impl<'de, K: Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for Visit<Table<K, T>> {
    type Value = Table<K, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Table<K, T>, A::Error> {
        let mut items = Vec::new();
        while let Some((key, value)) = access.next_entry::<Entry<K>, Entry<T>>()? {
            items.extend(key.into_given().zip(value.into_given()));
        }
        Ok(Table(items))
    }
}

impl<T: Scalar> Visitor<'_> for Visit<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_i128(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_i128(number.into())
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<T, E> {
        T::from_number(number).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        match T::from_text(text) {
            Some(value) => value.map_err(E::custom),
            None => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(ENTRY, Visit(PhantomData::<Self>))
    }
}

impl<'de, T: Deserialize<'de> + Plural> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Visit(PhantomData::<Self>))
    }
}

impl<'de, T: Deserialize<'de> + Plural> Deserialize<'de> for NonEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Visit(PhantomData::<Self>))
    }
}

impl<'de, K: Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for Table<K, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visit(PhantomData::<Self>))
    }
}

impl<T: Serialize> Serialize for Entry<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().map(|item| &item.value).serialize(serializer)
    }
}

/// An empty list is not written.
impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.is_empty() {
            true => serializer.serialize_none(),
            false => serializer.collect_seq(self.iter().map(|item| &item.value)),
        }
    }
}

/// An empty table is not written.
impl<K: Serialize, T: Serialize> Serialize for Table<K, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.is_empty() {
            true => serializer.serialize_none(),
            false => serializer.collect_map(self.iter().map(|(key, item)| (&key.value, &item.value))),
        }
    }
}

/// A type whose schema is another one's.
macro_rules! schema_of {
    ($($type:ty, $like:ty, [$($bound:tt)*];)*) => {
        $(impl<$($bound)*> JsonSchema for $type {
            fn inline_schema() -> bool {
                <$like>::inline_schema()
            }

            fn schema_name() -> Cow<'static, str> {
                <$like>::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$like>::json_schema(generator)
            }
        })*
    };
}

schema_of! {
    Entry<T>, T, [T: JsonSchema];
    List<T>, Vec<T>, [T: JsonSchema];
    NonEmpty<T>, Vec<T>, [T: JsonSchema];
    Table<K, T>, std::collections::BTreeMap<K, T>, [K: JsonSchema, T: JsonSchema];
}
