//! Capabilities (capabilities(7)): all are given up but those that the profile keeps.

use crate::host::credentials::keep_permitted;
use caps::{CapSet, Capability as Kernels, CapsHashSet};
use nix::errno::Errno;
use rxbox_policy::Capability;

/// Gives up, for this thread and all that it starts, every capability that is not in `kept`. With
/// `identities` those that change user and groups are kept as well, through each change.
///
/// Without `CAP_SETPCAP` the bounding set stays as it is; with `no_new_privs` it gives nothing back
/// (execve(2)).
///
/// # Errors
/// EPERM if the kernel refuses.
pub fn keep_only(kept: &[Capability], identities: bool) -> Result<(), Errno> {
    let changing = [Kernels::CAP_SETUID, Kernels::CAP_SETGID].into_iter().filter(|_| identities);
    let kept: CapsHashSet = kept.iter().map(|c| kernels(*c)).chain(changing).collect();
    let failed = |_| Errno::EPERM;
    if caps::has_cap(None, CapSet::Effective, Kernels::CAP_SETPCAP).map_err(failed)? {
        for capability in caps::all().difference(&kept) {
            // One that this kernel does not know cannot be had either.
            let _ = caps::drop(None, CapSet::Bounding, *capability);
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(failed)?;
    caps::clear(None, CapSet::Inheritable).map_err(failed)?;
    for set in [CapSet::Effective, CapSet::Permitted] {
        let held = caps::read(None, set).map_err(failed)?;
        caps::set(None, set, &held.intersection(&kept).copied().collect()).map_err(failed)?;
    }
    if identities { keep_permitted() } else { Ok(()) }
}

fn kernels(capability: Capability) -> Kernels {
    match capability {
        Capability::Chown => Kernels::CAP_CHOWN,
        Capability::DacOverride => Kernels::CAP_DAC_OVERRIDE,
        Capability::DacReadSearch => Kernels::CAP_DAC_READ_SEARCH,
        Capability::Fowner => Kernels::CAP_FOWNER,
        Capability::Fsetid => Kernels::CAP_FSETID,
        Capability::IpcLock => Kernels::CAP_IPC_LOCK,
        Capability::Kill => Kernels::CAP_KILL,
        Capability::Lease => Kernels::CAP_LEASE,
        Capability::LinuxImmutable => Kernels::CAP_LINUX_IMMUTABLE,
        Capability::Mknod => Kernels::CAP_MKNOD,
        Capability::NetAdmin => Kernels::CAP_NET_ADMIN,
        Capability::NetBindService => Kernels::CAP_NET_BIND_SERVICE,
        Capability::NetRaw => Kernels::CAP_NET_RAW,
        Capability::Setfcap => Kernels::CAP_SETFCAP,
        Capability::SysAdmin => Kernels::CAP_SYS_ADMIN,
        Capability::SysNice => Kernels::CAP_SYS_NICE,
        Capability::SysResource => Kernels::CAP_SYS_RESOURCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_of_the_language_is_the_kernels_of_that_name() {
        for capability in Capability::ALL {
            let name = format!("CAP_{}", capability.name().to_uppercase());
            assert_eq!(kernels(capability).to_string(), name);
        }
    }
}
