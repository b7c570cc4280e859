//! The layers of confinement around a run: which of them this version and this host have, and whether they
//! are in force.
//!
//! The seccomp filter, `no_new_privs`, the dropped capabilities and the resource limits are never optional:
//! no request of a child without the first three is served ([`confirm`]), and none is started without the
//! limits ([`exec`](crate::launch::init::exec)). Others the host may not offer
//! ([`HostLayers`]). A run whose profile requires more than there is, is refused before the first guest
//! instruction.

use crate::host::stat::Status;
use crate::report::record::Record;
use rxbox_policy::{Layer, Policy};
use rxbox_wire::boot;
use std::sync::OnceLock;

/// Layers that this version puts around every run, on every host.
const ALWAYS: [Layer; 4] = [Layer::Seccomp, Layer::Capabilities, Layer::NoNewPrivs, Layer::Rlimits];

/// Layers that this version puts there if the host offers them.
const WHERE_OFFERED: [Layer; 5] =
    [Layer::Landlock, Layer::Namespaces, Layer::PidNamespace, Layer::ForkGate, Layer::Cgroup];

/// The layers that this version knows, for its user.
pub fn names() -> String {
    let join = |layers: &[Layer]| layers.iter().map(|l| l.name()).collect::<Vec<_>>().join(", ");
    format!("{}; where the host offers them {}", join(&ALWAYS), join(&WHERE_OFFERED))
}

/// Whether this version has the layer, always or where the host offers it.
pub fn known(layer: Layer) -> bool {
    ALWAYS.contains(&layer) || WHERE_OFFERED.contains(&layer)
}

/// What the profile requires and no host gives it with this version, with the rule that says so.
pub fn never_there(policy: &Policy) -> Vec<String> {
    lacking(policy, known)
}

fn lacking(policy: &Policy, there: impl Fn(Layer) -> bool) -> Vec<String> {
    policy
        .required_layers()
        .filter(|(layer, _)| !there(*layer))
        .map(|(layer, rule)| format!("layer {} is required by {rule} and not available", layer.name()))
        .collect()
}

/// What is in force around the supervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SupervisorLayers {
    /// A Landlock ruleset made of the profile.
    pub landlock: bool,
    /// Sockets are in a network of their own, or the profile allows a network.
    pub network: bool,
    /// A cgroup of the run's own, which is made where the profile requires it.
    pub cgroup: bool,
}

/// The layers that depend on the host.
#[derive(Debug, Default)]
pub struct HostLayers {
    supervisor: OnceLock<SupervisorLayers>,
    child: OnceLock<boot::Layers>,
    gate: OnceLock<bool>,
    pids: OnceLock<bool>,
}

impl HostLayers {
    /// Notes what is in force around the supervisor, which is known before the child is started.
    pub fn supervisor(&self, layers: SupervisorLayers) {
        // It does not change.
        let _ = self.supervisor.set(layers);
    }

    /// Notes whether forks pass a gate, which is known once the child is started.
    pub fn gate(&self, there: bool) {
        // It does not change.
        let _ = self.gate.set(there);
    }

    /// Notes whether guests are in a PID namespace of their own, which is known once the child is started.
    pub fn pids(&self, there: bool) {
        // It does not change.
        let _ = self.pids.set(there);
    }

    /// Notes what the first child says of itself, before its first guest instruction; only then can it be
    /// believed.
    pub fn child(&self, layers: boot::Layers) {
        // What a child says later is no news.
        let _ = self.child.set(layers);
    }

    fn has(&self, layer: Layer) -> bool {
        let child = self.child.get().copied().unwrap_or_default();
        let supervisor = self.supervisor.get().copied().unwrap_or_default();
        match layer {
            Layer::Landlock => supervisor.landlock && child.contains(boot::Layers::LANDLOCK),
            Layer::Namespaces => supervisor.network && child.contains(boot::Layers::NAMESPACES),
            Layer::PidNamespace => self.pids.get() == Some(&true),
            Layer::ForkGate => self.gate.get() == Some(&true),
            Layer::Cgroup => supervisor.cgroup,
            _ => ALWAYS.contains(&layer),
        }
    }

    /// What the profile requires and this host does not offer, with the rule that says so.
    pub fn missing(&self, policy: &Policy) -> Vec<String> {
        lacking(policy, |layer| self.has(layer))
    }

    /// The layers in force.
    pub fn in_force(&self) -> impl Iterator<Item = Layer> {
        Layer::ALL.into_iter().filter(|layer| self.has(*layer))
    }

    /// The report of them: one line of JSON.
    pub fn json(&self) -> String {
        let names = |there: bool| {
            Layer::ALL.into_iter().filter(|l| self.has(*l) == there).map(Layer::name).collect::<Vec<_>>()
        };
        Record::Layers { in_force: names(true), missing: names(false) }.line()
    }
}

/// Confirms from the host's records that the process with this number of the host's is confined.
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

    #[test]
    fn landlock_is_there_only_if_it_holds_supervisor_and_child() {
        for (supervisor, child, there) in [(true, true, true), (true, false, false), (false, true, false)] {
            let layers = HostLayers::default();
            let supervisor =
                SupervisorLayers { landlock: supervisor, network: true, ..SupervisorLayers::default() };
            layers.supervisor(supervisor);
            layers.child(if child { boot::Layers::LANDLOCK } else { boot::Layers::empty() });
            assert_eq!(layers.in_force().any(|l| l == Layer::Landlock), there);
            let told = layers.json();
            assert_eq!(told.split("missing").next().unwrap().contains("landlock"), there, "{told}");
        }
    }

    #[test]
    fn what_a_child_says_a_second_time_changes_nothing() {
        let layers = HostLayers::default();
        layers.child(boot::Layers::empty());
        layers.child(boot::Layers::all());
        assert!(!layers.in_force().any(|l| l == Layer::Namespaces));
    }
}
