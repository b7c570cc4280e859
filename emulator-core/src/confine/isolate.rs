//! What stands around the filter: namespaces of the child's own, an empty root, and a Landlock ruleset that
//! grants nothing.
//!
//! What the filter lets through needs none of this. It is for the day that a hole is found in it: a child
//! that gets one more call through finds no file, no network, no process of another namespace to use it on.
//! The host may not offer a layer (an ordinary user may be denied user namespaces, and the filter of a
//! container usually refuses them), so the child tells the supervisor which it has, before the first guest
//! instruction, while it can be believed.

use crate::host::namespaces;
use caps::CapSet;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope,
};
use rxbox_wire::boot::Layers;

/// The newest version of Landlock's interface whose rights are taken away.
const NEWEST: ABI = ABI::V6;

/// Why a layer that the host offers cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// The child was started with capabilities in the run's user namespace, and could not give them up.
    #[error("cannot drop the capabilities of the emulator child: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
    /// The kernel has Landlock and refuses the ruleset.
    #[error("cannot restrict the emulator child with Landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
}

/// Puts this process, which must have one thread, into namespaces of its own with nothing in them, and takes
/// from it what Landlock can take. Returns which of it the host offers; a part of the namespaces counts as
/// none, for what rxbox runs in may refuse the mounts in them alone.
///
/// # Errors
/// What the kernel must not refuse is refused: the guest must not run.
pub fn isolate() -> Result<Layers, IsolateError> {
    let mut layers = Layers::empty();
    if caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SYS_ADMIN)? {
        let complete = namespaces::unshare_all().and_then(|()| namespaces::empty_root()).is_ok();
        for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
            caps::clear(None, set)?;
        }
        layers.set(Layers::NAMESPACES, complete);
    }
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    if ruleset.restrict_self()?.ruleset != RulesetStatus::NotEnforced {
        layers |= Layers::LANDLOCK;
    }
    Ok(layers)
}
