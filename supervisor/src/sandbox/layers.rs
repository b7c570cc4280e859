//! The layers of confinement around an emulator child: which of them this host and this version have, and
//! whether they are in force.
//!
//! The seccomp filter, `no_new_privs` and the dropped capabilities are never optional: no request of a child
//! without them is served ([`confirm`]). A run whose profile requires more than there is, is refused
//! ([`missing`]).

use crate::host::stat::Status;
use rxbox_policy::{Layer, Policy};

/// Layers that this version puts around every child.
const PRESENT: [Layer; 4] = [Layer::Seccomp, Layer::Capabilities, Layer::NoNewPrivs, Layer::Rlimits];

/// The names of the layers that this version puts around every child.
pub fn names() -> String {
    PRESENT.map(Layer::name).join(", ")
}

/// What the profile requires and cannot have, with the rule that says so.
pub fn missing(policy: &Policy) -> Vec<String> {
    policy
        .required_layers()
        .filter(|(layer, _)| !PRESENT.contains(layer))
        .map(|(layer, rule)| format!("layer {} is required by {rule} and not available", layer.name()))
        .collect()
}

/// Confirms from the host's records that process `pid` is confined.
///
/// # Errors
/// What is missing.
pub fn confirm(pid: i32) -> Result<(), String> {
    let status = Status::of_process(pid).ok_or("its status cannot be read")?;
    let value = |key: &str| status.value(key);
    let none = |key: &str| value(key).bytes().all(|b| b == b'0') && !value(key).is_empty();
    for (layer, holds) in [
        (Layer::Seccomp, value("Seccomp") == "2"),
        (Layer::NoNewPrivs, value("NoNewPrivs") == "1"),
        (Layer::Capabilities, ["CapInh", "CapPrm", "CapEff", "CapAmb"].into_iter().all(none)),
    ] {
        if !holds {
            return Err(format!("no layer {}", layer.name()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unconfined_process_is_not_taken_for_a_confined_one() {
        assert_eq!(confirm(std::process::id() as i32), Err("no layer seccomp".to_owned()));
        assert!(confirm(i32::MAX).is_err());
    }
}
