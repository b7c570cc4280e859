//! From the name that a guest gives to the object that it means, and whether the policy lets it.
//!
//! The problem: a name is a moving target. Between a check by name and an action by the same name somebody
//! can rename a directory or swap a link, and the supervisor's own `/proc/self` is not the guest's.
//!
//! The answer, on which every handler that takes a name relies:
//! * [`resolve`] looks a name up once, to a descriptor (`O_PATH`) that holds the object; magic links are
//!   never followed by the kernel, and whatever lies in a procfs is served by [`crate::view`] instead of the
//!   host;
//! * the decision is taken on the name that the kernel gives for *that descriptor*
//!   ([`crate::state::names::name_of`]), and is judged by [`crate::caller::Caller::check`];
//! * the action is done on that descriptor, or, for calls that make or take away a name, on the last
//!   component below the descriptor of its parent ([`Parent`]), which those calls never follow.
//!
//! No name is looked up where the guest may not look ([`look`]): neither the errno nor a file server that is
//! asked then tells anything. A hidden name is like a missing one on every way: as the end of a path, as a
//! link on the way, as a directory from which `..` leads out, and in the choice of the errno.

mod ask;
mod look;
mod place;
mod walk;

pub use crate::view::Target;
pub use walk::{parent, resolve};

use crate::caller::Caller;
use crate::state::names::{Dir, join};
use nix::fcntl::ResolveFlag;
use rxbox_policy::Access;
use std::ffi::{CStr, CString};

/// How a name is to be looked up.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    /// Follow a symbolic link at the end.
    pub follow: bool,
    /// An empty name means the base itself (`AT_EMPTY_PATH`).
    pub empty: bool,
    /// A last component that does not exist is an answer ([`Found::Missing`]) instead of ENOENT.
    pub missing: bool,
    /// The restrictions of openat2(2).
    pub restrict: ResolveFlag,
    /// What is to be done with it, for the record of a name that is not even looked up.
    pub want: Access,
}

impl Lookup {
    /// Follows a link at the end, as stat(2) does.
    pub const FOLLOW: Lookup = Lookup {
        follow: true,
        empty: false,
        missing: false,
        restrict: ResolveFlag::empty(),
        want: Access::Metadata,
    };
    /// Takes a link at the end as the object, as lstat(2) does.
    pub const LINK: Lookup = Lookup { follow: false, ..Lookup::FOLLOW };
    /// The restrictions that keep a look-up below its start.
    const FENCED: ResolveFlag = ResolveFlag::RESOLVE_BENEATH.union(ResolveFlag::RESOLVE_IN_ROOT);

    /// The same, for another purpose than looking.
    pub fn to(self, want: Access) -> Lookup {
        Lookup { want, ..self }
    }

    /// As the `AT_*` flags of the `*at` calls say.
    pub fn at(flags: i32) -> Lookup {
        Lookup {
            follow: flags & libc::AT_SYMLINK_NOFOLLOW == 0,
            empty: flags & libc::AT_EMPTY_PATH != 0,
            ..Lookup::FOLLOW
        }
    }
}

/// A name that leads somewhere.
pub struct Resolved {
    /// The object.
    pub target: Target,
    /// The name by which it is judged: absolute, without links, `.` and `..`. Empty for an open file, which
    /// the guest may ask about whatever its name is: who does more with it asks for the name that it has then
    /// ([`crate::state::names::name_of`]).
    pub path: Vec<u8>,
}

/// The place of a name that a call makes or takes away: it is never followed.
pub struct Parent {
    /// The directory.
    pub dir: Dir,
    /// The last component, with the slashes behind it. Empty only for the root directory.
    pub leaf: CString,
}

impl Parent {
    /// The name by which it is judged.
    pub fn path(&self) -> Vec<u8> {
        join(&self.dir.path, self.name())
    }
    /// The last component without slashes.
    pub fn name(&self) -> &[u8] {
        without_slashes(&self.leaf)
    }
    /// The last component as the kernel is to see it: the root directory, which has none, is itself.
    pub fn leaf(&self) -> &CStr {
        if self.leaf.is_empty() { c"/" } else { &self.leaf }
    }
    /// Whether the directory is one of the guest's `/proc`.
    pub fn in_view(&self) -> bool {
        self.dir.in_view()
    }
    /// Whether the guest may find out if there is something of this name.
    pub fn may_look(&self, caller: &Caller<'_>) -> bool {
        look::may_look(caller, &self.dir.path, &self.path())
    }
    /// Whether the last component is one that no call can make or take away (`.`, `..`, the root); the kernel
    /// has an errno of its own for each call.
    pub fn is_dots(&self) -> bool {
        matches!(self.name(), b"" | b"." | b"..")
    }
}

/// A last component without the slashes behind it.
fn without_slashes(leaf: &CStr) -> &[u8] {
    let leaf = leaf.to_bytes();
    let end = leaf.iter().rposition(|&b| b != b'/').map_or(0, |i| i + 1);
    &leaf[..end]
}

/// The answer of [`resolve`].
pub enum Found {
    /// There it is.
    There(Resolved),
    /// Nothing there, but the directory where it would be.
    Missing(Parent),
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
#[cfg(test)]
mod tests;
