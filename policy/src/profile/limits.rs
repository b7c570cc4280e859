//! Limits and their units.

use std::time::Duration;

/// The limits of `[limits]`; `None` is no limit. Memory, processes, threads, output and times are those of the whole
/// sandbox, the others of each process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory in use.
    pub memory: Option<u64>,
    /// Processes alive at once.
    pub processes: Option<u64>,
    /// Threads alive at once, in all processes together.
    pub threads: Option<u64>,
    /// Descriptors open at once in one process.
    pub open_files: Option<u64>,
    /// Bytes that a file may grow to by writing.
    pub file_size: Option<u64>,
    /// Processor time used by all threads, user and system.
    pub cpu_time: Option<Duration>,
    /// Time since the start.
    pub wall_time: Option<Duration>,
    /// Bytes written to standard output and standard error together.
    pub output: Option<u64>,
}

/// A key of `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `memory`.
    Memory,
    /// `processes`.
    Processes,
    /// `threads`.
    Threads,
    /// `open_files`.
    OpenFiles,
    /// `file_size`.
    FileSize,
    /// `cpu_time`.
    CpuTime,
    /// `wall_time`.
    WallTime,
    /// `output`.
    Output,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Count,
    /// In milliseconds.
    Time,
}

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
    /// Every limit.
    pub const ALL: [Self; 8] = [
        Self::Memory,
        Self::Processes,
        Self::Threads,
        Self::OpenFiles,
        Self::FileSize,
        Self::CpuTime,
        Self::WallTime,
        Self::Output,
    ];

    /// The key in `[limits]`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Threads => "threads",
            Self::OpenFiles => "open_files",
            Self::FileSize => "file_size",
            Self::CpuTime => "cpu_time",
            Self::WallTime => "wall_time",
            Self::Output => "output",
        }
    }

    /// The limit of a key.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.name() == name)
    }

    /// What its values look like.
    pub(crate) fn form(self) -> &'static str {
        self.unit().form()
    }

    fn unit(self) -> Unit {
        match self {
            Self::Memory | Self::FileSize | Self::Output => Unit::Bytes,
            Self::Processes | Self::Threads | Self::OpenFiles => Unit::Count,
            Self::CpuTime | Self::WallTime => Unit::Time,
        }
    }

    /// A value as it is written: `None` for `unlimited`, else bytes, a count or milliseconds.
    pub(crate) fn parse(self, text: &str) -> Result<Option<u64>, LimitError> {
        if text == "unlimited" {
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
        let zero_is_fine = matches!(self, Self::FileSize | Self::Output);
        if value == 0 && !zero_is_fine { Err(LimitError::Zero(self.name())) } else { Ok(Some(value)) }
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

    fn form(self) -> &'static str {
        match self {
            Self::Bytes => "a size such as `512M` (K, M, G, T are powers of 1024) or `unlimited`",
            Self::Count => "a count such as `64`, or `unlimited`",
            Self::Time => "a time such as `30s` (ms, s, m, h, d) or `unlimited`",
        }
    }
}

impl Limits {
    /// Sets one from its value as [`Limit::parse`] gives it.
    pub(crate) fn set(&mut self, limit: Limit, value: Option<u64>) {
        let time = value.map(Duration::from_millis);
        match limit {
            Limit::Memory => self.memory = value,
            Limit::Processes => self.processes = value,
            Limit::Threads => self.threads = value,
            Limit::OpenFiles => self.open_files = value,
            Limit::FileSize => self.file_size = value,
            Limit::CpuTime => self.cpu_time = time,
            Limit::WallTime => self.wall_time = time,
            Limit::Output => self.output = value,
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
