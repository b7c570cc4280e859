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

use crate::state::mounts::{self, Place};
use landlock::{Enforced, Grants, Rights};
use nix::errno::Errno;
use rxbox_policy::{Access, Capability, Reach};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

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

/// Gives up what the profile does not need; `own` are the files that children execute, where they are not
/// found by name; `cache` is the folder of kept translations; with `identities` guests may change theirs.
/// This process must have one thread.
///
/// # Errors
/// Something that every supported kernel offers has failed: the run must not go on.
pub fn enclose(
    reach: &Reach,
    own: &[OwnedFd],
    cache: Option<BorrowedFd<'_>>,
    kept: &[Capability],
    identities: bool,
) -> Result<Enforced, EncloseError> {
    use nix::sys::prctl;
    let call = |what| move |errno| EncloseError::Call { what, errno };
    prctl::set_no_new_privs().map_err(call("cannot set no_new_privs"))?;
    prctl::set_dumpable(false).map_err(call("cannot hide from other processes"))?;
    capabilities::keep_only(kept, identities).map_err(call("cannot drop capabilities"))?;
    let mut grants = grants(reach);
    // What the host has there stays as it is.
    grants.trees.retain(|(tree, _)| !mounts::is_overlaid(tree.as_os_str().as_bytes()));
    grants.detached = mounts::places().flat_map(|place| in_place(&place, reach)).collect();
    let read = Rights { read: true, ..Rights::default() };
    grants.detached.extend(cache.map(|cache| (name(cache), read)));
    grants.own = own.iter().map(|file| name(file.as_fd())).collect();
    Ok(landlock::restrict(&grants)?)
}

/// What is granted in a private place, which is everything, or in an overlay: what is granted there by name,
/// or in a tree around it.
fn in_place(place: &Place, reach: &Reach) -> Vec<(PathBuf, Rights)> {
    let folder = name(place.folder);
    if !place.overlay {
        return vec![(folder, Rights::ALL)];
    }
    let at = Path::new(OsStr::from_bytes(place.name));
    let inside = |tree: &Path| match tree.strip_prefix(at) {
        Ok(rest) => mounts::is_overlaid(tree.as_os_str().as_bytes()).then(|| folder.join(rest)),
        Err(_) => at.starts_with(tree).then(|| folder.clone()),
    };
    let trees = reach.trees.iter();
    trees.filter_map(|(tree, accesses)| Some((inside(tree)?, rights(accesses)))).collect()
}

/// A name that leads to what is held wherever that is mounted.
fn name(held: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()))
}

fn rights(accesses: &[Access]) -> Rights {
    let any = |wanted: &[Access]| wanted.iter().any(|a| accesses.contains(a));
    Rights {
        read: any(&[Access::Read, Access::List]),
        modify: any(&[Access::Write]),
        names: any(&[Access::Create, Access::Remove]),
        execute: any(&[Access::Execute]),
        sockets: any(&[Access::Bind]),
    }
}

/// What the ruleset has to grant for the handlers to do what the profile allows.
pub fn grants(reach: &Reach) -> Grants {
    Grants {
        trees: reach.trees.iter().map(|(tree, accesses)| (tree.clone(), rights(accesses))).collect(),
        connect: reach.connect.clone(),
        bind: reach.bind.clone(),
        abstract_sockets: reach.abstract_names,
        detached: Vec::new(),
        own: Vec::new(),
    }
}
