//! What `--log` can print: the one declaration from which the command line, its help, the boot block and both
//! writers of the log come. Everything but [`LogItem::Syscall`] is written by the emulator child.

macro_rules! items {
    ($($name:ident $text:literal: $about:literal,)*) => {
        /// One thing that can be logged.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LogItem {
            $(#[doc = concat!("`", $text, "`: ", $about, ".")] $name,)*
        }

        impl LogItem {
            /// Every item.
            pub const ALL: [LogItem; [$($text),*].len()] = [$(LogItem::$name),*];

            /// Its name on the command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(LogItem::$name => $text,)*
                }
            }

            /// What is printed, for the help.
            pub const fn about(self) -> &'static str {
                match self {
                    $(LogItem::$name => $about,)*
                }
            }
        }
    };
}

items! {
    InAsm "in_asm": "guest instructions of each block",
    Op "op": "intermediate code of each block, as built",
    OpOpt "op_opt": "intermediate code of each block, as emitted",
    OutAsm "out_asm": "host instructions of each block",
    Exec "exec": "each block that the cpu loop enters; blocks are not chained then",
    Syscall "syscall": "each system call, as strace prints it",
    Page "page": "the guest's memory map when it changes",
}

/// A set of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogItems(u8);

impl LogItems {
    /// What the supervisor writes itself.
    pub const OF_SUPERVISOR: LogItems = LogItems(bit(LogItem::Syscall));
    /// What the emulator child writes.
    pub const OF_CHILD: LogItems = LogItems(ALL & !LogItems::OF_SUPERVISOR.0);

    /// Whether an item is in the set.
    pub const fn has(self, item: LogItem) -> bool {
        self.0 & bit(item) != 0
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: LogItems) -> LogItems {
        LogItems(self.0 & other.0)
    }

    /// The set as the byte of a boot block.
    pub(crate) const fn to_byte(self) -> u8 {
        self.0
    }

    /// From the byte of a boot block, unless it names what is no item.
    pub(crate) const fn from_byte(byte: u8) -> Option<LogItems> {
        if byte & !ALL == 0 { Some(LogItems(byte)) } else { None }
    }
}

impl FromIterator<LogItem> for LogItems {
    fn from_iter<I: IntoIterator<Item = LogItem>>(items: I) -> LogItems {
        LogItems(items.into_iter().fold(0, |set, item| set | bit(item)))
    }
}

const fn bit(item: LogItem) -> u8 {
    1 << item as u8
}

const ALL: u8 = (1 << LogItem::ALL.len()) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_written_by_one_side() {
        for item in LogItem::ALL {
            let set = LogItems::from_iter([item]);
            let (child, supervisor) = (set.and(LogItems::OF_CHILD), set.and(LogItems::OF_SUPERVISOR));
            assert!(child.is_empty() != supervisor.is_empty(), "{item:?}");
            assert!(LogItem::ALL.iter().all(|other| set.has(*other) == (*other == item)), "{item:?}");
        }
    }

    #[test]
    fn a_byte_that_names_no_item_is_refused() {
        let all = LogItems::from_iter(LogItem::ALL);
        assert_eq!(LogItems::from_byte(all.to_byte()), Some(all));
        assert_eq!(LogItems::from_byte(1 << LogItem::ALL.len()), None);
    }
}
