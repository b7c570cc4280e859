//! The lists of `[filesystem]` that grant something: what each is called and which accesses it gives. What
//! the compiler enters for a list, what a denial's hint names and what a learned profile is written with is
//! this.

use crate::decision::Access;
use crate::rules::tree::AccessSet;

/// A list of a profile that grants something, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    List,
    Read,
    Execute,
    Modify,
    Write,
}

impl Grant {
    pub(crate) const ALL: [Grant; 5] =
        [Grant::List, Grant::Read, Grant::Execute, Grant::Modify, Grant::Write];

    /// The list as it is named: `[filesystem] read`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Grant::List => "[filesystem] list",
            Grant::Read => "[filesystem] read",
            Grant::Execute => "[filesystem] execute",
            Grant::Modify => "[filesystem] modify",
            Grant::Write => "[filesystem] write",
        }
    }

    /// What an entry of the list grants.
    pub(crate) const fn accesses(self) -> AccessSet {
        match self {
            Grant::List => AccessSet::LIST,
            Grant::Read => AccessSet::READ,
            Grant::Execute => AccessSet::EXECUTE,
            Grant::Modify => AccessSet::MODIFY,
            Grant::Write => AccessSet::WRITE,
        }
    }

    /// Whether an entry of this list grants what one of the other does.
    pub(crate) fn covers(self, other: Grant) -> bool {
        self.accesses().includes(other.accesses())
    }

    /// The lists that grant these accesses to one path, and the least besides. Sockets are granted by
    /// `[network]`.
    pub(crate) fn of(done: AccessSet) -> Vec<Grant> {
        let done = done.without(AccessSet::SOCKET);
        let runs = done.contains(Access::Execute);
        let rest = if runs { done.without(AccessSet::EXECUTE) } else { done };
        let least = Grant::ALL.into_iter().find(|grant| grant.accesses().includes(rest));
        let least = least.filter(|_| rest != AccessSet::NONE);
        least.into_iter().chain(runs.then_some(Grant::Execute)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_need_the_least_lists_that_grant_them_all() {
        use Access::{Connect, Create, Execute, List, Metadata, Read, Write};
        for (done, grants) in [
            (&[Metadata][..], &[Grant::List][..]),
            (&[Read, List], &[Grant::Read]),
            (&[Read, Write], &[Grant::Modify]),
            (&[Write, Create], &[Grant::Write]),
            (&[Execute, Read], &[Grant::Execute]),
            (&[Execute, Write], &[Grant::Modify, Grant::Execute]),
            (&[Connect], &[]),
            (&[], &[]),
        ] {
            assert_eq!(Grant::of(AccessSet::of(done)), grants, "{done:?}");
        }
    }
}
