//! The second wall: what the supervisor gives up, for good, before it serves the first request.
//!
//! Checking code has faults. Whatever a handler lets through by mistake must meet a second *no*, the
//! kernel's, which knows nothing of handlers: so every right that the profile does not need is given up
//! before the first guest instruction.
//!
//! * [`descriptors`]: those that rxbox was started with and nobody named.
//! * [`capabilities`]: all that the profile does not keep.
//! * [`landlock`]: files, ports, signals and abstract sockets outside of what the profile allows.
//! * [`filter`]: host calls that no handler makes.
//! * `no_new_privs`; and no other process of the user may look into this one (`PR_SET_DUMPABLE`, prctl(2)).
//!
//! All of it holds for the whole process and everything that it starts, because it is done while there is one
//! thread. A layer that the host does not offer is part of the report, never skipped in silence; a profile
//! that requires it refuses the run.

pub mod capabilities;
pub mod descriptors;
pub mod filter;
pub mod landlock;

use landlock::{Enforced, Grants, Rights};
use nix::errno::Errno;
use rxbox_policy::{Access, Capability, Reach};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Why the supervisor cannot give its rights up.
#[derive(Debug, thiserror::Error)]
pub enum EncloseError {
    /// A call that every kernel offers has failed.
    #[error("{what}: {}", errno.desc())]
    Call {
        /// What cannot be done.
        what: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The kernel has Landlock and refuses the ruleset.
    #[error(transparent)]
    Landlock(#[from] landlock::Refused),
}

/// Gives up what the profile does not need; in `folders` lie those of its private places; `own` are the files
/// that children execute, where they are not found by name; with `identities` guests may change theirs. This
/// process must have one thread.
///
/// # Errors
/// Something that every supported kernel offers has failed: the run must not go on.
pub fn enclose(
    reach: &Reach,
    folders: Option<BorrowedFd<'_>>,
    own: &[OwnedFd],
    kept: &[Capability],
    identities: bool,
) -> Result<Enforced, EncloseError> {
    use nix::sys::prctl;
    let call = |what| move |errno| EncloseError::Call { what, errno };
    prctl::set_no_new_privs().map_err(call("cannot set no_new_privs"))?;
    prctl::set_dumpable(false).map_err(call("cannot hide from other processes"))?;
    capabilities::keep_only(kept, identities).map_err(call("cannot drop capabilities"))?;
    let mut grants = grants(reach);
    // A name that leads to it wherever it is mounted.
    let name = |fd: BorrowedFd<'_>| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    grants.detached = folders.map(name);
    grants.own = own.iter().map(|file| name(file.as_fd())).collect();
    Ok(landlock::restrict(&grants)?)
}

/// What the ruleset has to grant for the handlers to do what the profile allows.
pub fn grants(reach: &Reach) -> Grants {
    let rights = |accesses: &[Access]| {
        let any = |wanted: &[Access]| wanted.iter().any(|a| accesses.contains(a));
        Rights {
            read: any(&[Access::Read, Access::List]),
            modify: any(&[Access::Write]),
            names: any(&[Access::Create, Access::Remove]),
            execute: any(&[Access::Execute]),
            sockets: any(&[Access::Bind]),
        }
    };
    Grants {
        trees: reach.trees.iter().map(|(tree, accesses)| (tree.clone(), rights(accesses))).collect(),
        connect: reach.connect.clone(),
        bind: reach.bind.clone(),
        abstract_sockets: reach.abstract_names,
        detached: None,
        own: Vec::new(),
    }
}
