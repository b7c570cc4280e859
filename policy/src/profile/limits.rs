//! The limits of a profile, declared once: keys, units and what they limit.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::{Entry, Scalar, scalar};
use crate::report::ledger::Item;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Count,
    /// In milliseconds.
    Time,
}

/// The type of a limit.
trait Measure {
    /// From bytes, a count or milliseconds.
    fn measure(number: u64) -> Self;

    /// To them.
    fn amount(self) -> u64;
}

impl Measure for u64 {
    fn measure(number: u64) -> Self {
        number
    }

    fn amount(self) -> u64 {
        self
    }
}

impl Measure for Duration {
    fn measure(number: u64) -> Self {
        Self::from_millis(number)
    }

    fn amount(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The table of limits: key, name in the code, unit, type, and whether a limit of 0 makes sense.
macro_rules! limits {
    ($($(#[$doc:meta])* $key:ident: $limit:ident, $unit:ident as $type:ty, zero $zero:ident;)*) => {
        /// The limits of `[limits]`; `None` is no limit. Memory, processes, threads, output and times are
        /// those of the whole sandbox, the others of each process.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $key: Option<$type>,)*
        }

        /// A key of `[limits]`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Limit {
            $($(#[$doc])* $limit,)*
        }

        /// How much the guest may use.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields, expecting = "[limits]")]
        #[schemars(rename = "Limits")]
        pub(crate) struct LimitKeys {
            $($(#[$doc])* pub(crate) $key: Entry<Setting<{ Limit::$limit as usize }>>,)*
        }

        impl Limit {
            /// Every limit.
            pub const ALL: [Self; [$(Self::$limit),*].len()] = [$(Self::$limit),*];

            /// The key in `[limits]`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$limit => stringify!($key),)*
                }
            }

            const fn unit(self) -> Unit {
                match self {
                    $(Self::$limit => Unit::$unit,)*
                }
            }

            fn zero_is_fine(self) -> bool {
                match self {
                    $(Self::$limit => stringify!($zero) == "fine",)*
                }
            }
        }

        impl Limits {
            /// One in bytes, as a count or in milliseconds; none if it is unlimited.
            pub fn amount(&self, limit: Limit) -> Option<u64> {
                match limit {
                    $(Limit::$limit => self.$key.map(Measure::amount),)*
                }
            }

            /// Sets one from its value as [`Limit::parse`] gives it.
            pub(crate) fn set(&mut self, limit: Limit, value: Option<u64>) {
                match limit {
                    $(Limit::$limit => self.$key = value.map(Measure::measure),)*
                }
            }
        }

        impl LimitKeys {
            /// The limits that are given, with their values.
            pub(crate) fn given(&self) -> impl Iterator<Item = (Limit, Item<Option<u64>>)> {
                let given = [$((Limit::$limit, self.$key.get().map(Setting::item)),)*];
                given.into_iter().filter_map(|(limit, item)| Some((limit, item?)))
            }

            /// Gives a limit.
            pub(crate) fn give(&mut self, limit: Limit, item: Item<Option<u64>>) {
                match limit {
                    $(Limit::$limit => self.$key = Entry::Given(Setting::of(item)),)*
                }
            }
        }
    };
}

limits! {
    /// Bytes of memory in use, whole sandbox, with what is kept for it outside of its processes.
    memory: Memory, Bytes as u64, zero refused;
    /// Processes at once, whole sandbox; one that has ended counts until it is waited for.
    processes: Processes, Count as u64, zero refused;
    /// Threads alive at once, whole sandbox.
    threads: Threads, Count as u64, zero refused;
    /// Descriptors open at once in one process.
    open_files: OpenFiles, Count as u64, zero refused;
    /// Bytes that a file may grow to by writing.
    file_size: FileSize, Bytes as u64, zero fine;
    /// Processor time used by all threads of the sandbox and for them, user and system.
    cpu_time: CpuTime, Time as Duration, zero refused;
    /// Time since the start.
    wall_time: WallTime, Time as Duration, zero refused;
    /// Bytes written to standard output and standard error together.
    output: Output, Bytes as u64, zero fine;
}

/// A value of the limit whose place in [`Limit::ALL`] is `LIMIT`: nothing if it is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting<const LIMIT: usize>(Option<u64>);

impl<const LIMIT: usize> Setting<LIMIT> {
    fn item(item: &Item<Self>) -> Item<Option<u64>> {
        Item { value: item.value.0, rule: item.rule }
    }

    fn of(item: Item<Option<u64>>) -> Item<Self> {
        Item { value: Self(item.value), rule: item.rule }
    }
}

impl<const LIMIT: usize> Scalar for Setting<LIMIT> {
    const EXPECTED: &'static str = Limit::ALL[LIMIT].unit().form();

    fn from_number(number: i128) -> Result<Self, String> {
        Limit::ALL[LIMIT].number(number).map(Self).map_err(|e| e.to_string())
    }

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        Some(Limit::ALL[LIMIT].parse(text).map(Self).map_err(|e| e.to_string()))
    }
}

impl<'de, const LIMIT: usize> Deserialize<'de> for Setting<LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer)
    }
}

impl<const LIMIT: usize> Serialize for Setting<LIMIT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, Limit::ALL[LIMIT].unit()) {
            (None, _) => serializer.serialize_str(UNLIMITED),
            (Some(number), Unit::Time) => serializer.collect_str(&format_args!("{number}ms")),
            (Some(number), _) => serializer.serialize_u64(number),
        }
    }
}

impl<const LIMIT: usize> JsonSchema for Setting<LIMIT> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        match Limit::ALL[LIMIT].unit() {
            Unit::Bytes => json_schema!({
                "title": "size", "type": ["integer", "string"], "minimum": 0,
                    "pattern": "^([0-9]+[KMGT]?|unlimited)$",
            }),
            Unit::Count => json_schema!({
                "title": "count", "type": ["integer", "string"], "minimum": 0,
                    "pattern": "^([0-9]+|unlimited)$",
            }),
            Unit::Time => json_schema!({
                "title": "time", "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d)|unlimited)$",
            }),
        }
    }
}

/// The value that takes a limit back.
const UNLIMITED: &str = "unlimited";

/// Why a text is no limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("`{0}` is not {1}")]
    Form(String, &'static str),
    #[error("the value is too large")]
    TooLarge,
    #[error("{0} = 0 would not let anything run")]
    Zero(&'static str),
}

impl Limit {
    /// The limit of a key.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.name() == name)
    }

    /// A value as it is written: `None` for `unlimited`, else bytes, a count or milliseconds.
    pub(crate) fn parse(self, text: &str) -> Result<Option<u64>, LimitError> {
        if text == UNLIMITED {
            return Ok(None);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at(digits);
        let scale = self.unit().scale(suffix).filter(|_| digits > 0);
        let scale = scale.ok_or_else(|| LimitError::Form(text.to_owned(), self.unit().form()))?;
        let number: u64 = number.parse().map_err(|_| LimitError::TooLarge)?;
        let value = number.checked_mul(scale).ok_or(LimitError::TooLarge)?;
        self.checked(value)
    }

    /// A value given as a bare number, which only bytes and counts have.
    pub(crate) fn number(self, value: i128) -> Result<Option<u64>, LimitError> {
        match u64::try_from(value) {
            Ok(value) if self.unit() != Unit::Time => self.checked(value),
            Err(_) if value > 0 => Err(LimitError::TooLarge),
            _ => Err(LimitError::Form(value.to_string(), self.unit().form())),
        }
    }

    fn checked(self, value: u64) -> Result<Option<u64>, LimitError> {
        if value == 0 && !self.zero_is_fine() { Err(LimitError::Zero(self.name())) } else { Ok(Some(value)) }
    }
}

impl Unit {
    fn scale(self, suffix: &str) -> Option<u64> {
        let sizes: &[(&str, u64)] = match self {
            Self::Count => &[("", 1)],
            Self::Bytes => &[("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)],
            Self::Time => &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)],
        };
        sizes.iter().find(|(s, _)| *s == suffix).map(|(_, scale)| *scale)
    }

    const fn form(self) -> &'static str {
        match self {
            Self::Bytes => "a size such as `512M` (K, M, G, T are powers of 1024) or `unlimited`",
            Self::Count => "a count such as `64`, or `unlimited`",
            Self::Time => "a time such as `30s` (ms, s, m, h, d) or `unlimited`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_scales() {
        for (limit, text, value) in [
            (Limit::Memory, "512M", 512 << 20),
            (Limit::Memory, "1", 1),
            (Limit::FileSize, "0", 0),
            (Limit::Output, "3T", 3 << 40),
            (Limit::Threads, "64", 64),
            (Limit::WallTime, "250ms", 250),
            (Limit::WallTime, "2d", 172_800_000),
        ] {
            assert_eq!(limit.parse(text), Ok(Some(value)), "{text}");
        }
        assert_eq!(Limit::Memory.parse("unlimited"), Ok(None));
    }

    #[test]
    fn a_value_without_meaning_is_refused() {
        for (limit, text) in [
            (Limit::Memory, "512MB"),
            (Limit::Memory, "-1"),
            (Limit::Memory, ""),
            (Limit::Memory, "M"),
            (Limit::Memory, "1.5G"),
            (Limit::Threads, "4K"),
            (Limit::WallTime, "30"),
        ] {
            assert!(matches!(limit.parse(text), Err(LimitError::Form(..))), "{text}");
        }
        assert_eq!(Limit::Memory.parse("99999999999999999999"), Err(LimitError::TooLarge));
        assert_eq!(Limit::Memory.parse("99999999999T"), Err(LimitError::TooLarge));
        assert_eq!(Limit::WallTime.parse("0s"), Err(LimitError::Zero("wall_time")));
        assert_eq!(Limit::Memory.number(i128::MAX), Err(LimitError::TooLarge));
        assert!(matches!(Limit::WallTime.number(30), Err(LimitError::Form(..))));
        assert!(matches!(Limit::Memory.number(-1), Err(LimitError::Form(..))));
    }
}
