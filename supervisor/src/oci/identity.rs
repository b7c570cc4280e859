//! As whom a process of a container runs, and what it may do.
//!
//! The supervisor stays the user that the container's namespaces belong to, and serves each guest thread with
//! that one's ids, groups and capabilities ([`crate::host::credentials`]). Of the capabilities that
//! config.json lets there be it keeps those that mean something for a call that it makes for a guest. It does
//! not keep the one to make device files: a container has the devices that config.json names, and no others.

use super::bundle::Bundle;
use crate::host::credentials::{Capabilities, Credentials, Ids};
use caps::Capability as Kernels;
use oci_spec::runtime::{Capabilities as Named, Process};
use rxbox_policy::Capability;
use std::str::FromStr;

/// The capabilities that the supervisor keeps, by the words of profiles.
pub(super) fn kept(bundle: &Bundle) -> Vec<&'static str> {
    let process = bundle.spec.process().as_ref();
    let bounding =
        process.and_then(|process| process.capabilities().as_ref()).map_or(0, |c| set(c.bounding()));
    let in_bounding = |capability: &Capability| {
        let name = format!("CAP_{}", capability.name().to_uppercase());
        Kernels::from_str(&name).is_ok_and(|capability| bounding & capability.bitmask() != 0)
    };
    Capability::ALL
        .into_iter()
        .filter(|capability| *capability != Capability::Mknod && in_bounding(capability))
        .map(Capability::name)
        .collect()
}

/// What a process begins with: what execve(2) would have left of it (capabilities(7)), for a program without
/// capabilities of its own.
pub(super) fn credentials(process: &Process) -> Credentials {
    let user = process.user();
    let named = process.capabilities().as_ref();
    let of = |list: fn(&oci_spec::runtime::LinuxCapabilities) -> &Option<Named>| {
        named.map_or(0, |capabilities| set(list(capabilities)))
    };
    let bounding = of(|c| c.bounding());
    let permitted = of(|c| c.permitted());
    let inheritable = of(|c| c.inheritable());
    let ambient = of(|c| c.ambient()) & permitted & inheritable;
    let root = user.uid() == 0;
    let has = match (root, process.no_new_privileges().unwrap_or(false)) {
        (true, false) => bounding | inheritable,
        (true, true) => (bounding | inheritable) & permitted,
        (false, _) => ambient,
    };
    let capabilities = Capabilities {
        effective: has,
        permitted: has,
        inheritable,
        bounding,
        ambient: if root { 0 } else { ambient },
        ..Capabilities::default()
    };
    let mut groups = user.additional_gids().clone().unwrap_or_default();
    groups.sort_unstable();
    groups.dedup();
    Credentials { user: Ids::all(user.uid()), group: Ids::all(user.gid()), groups, capabilities }
}

/// The set of these, bit n for capability n.
fn set(names: &Option<Named>) -> u64 {
    let known = |name: &oci_spec::runtime::Capability| Kernels::from_str(&format!("CAP_{name}")).ok();
    names.iter().flatten().filter_map(known).fold(0, |set, capability| set | capability.bitmask())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn process(uid: u32, more: serde_json::Value) -> Process {
        let mut process =
            json!({ "user": { "uid": uid, "gid": 7, "additionalGids": [9, 8, 9] }, "cwd": "/" });
        process["capabilities"] = more;
        serde_json::from_value(process).unwrap()
    }

    #[test]
    fn root_has_what_is_bounding_and_others_what_is_ambient() {
        let all = ["CAP_CHOWN", "CAP_KILL"];
        let named = json!({ "bounding": all, "permitted": all, "inheritable": ["CAP_KILL"],
            "ambient": ["CAP_KILL", "CAP_CHOWN"] });
        let root = credentials(&process(0, named.clone()));
        assert_eq!((root.capabilities.effective, root.capabilities.ambient), (0b10_0001, 0));
        assert_eq!((root.user, root.group.real, root.groups), (Ids::all(0), 7, vec![8, 9]));
        let user = credentials(&process(1000, named));
        assert_eq!((user.capabilities.effective, user.capabilities.bounding), (0b10_0000, 0b10_0001));
        assert_eq!(credentials(&process(0, json!(null))).capabilities, Capabilities::default());
    }
}
