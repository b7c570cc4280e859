//! `rxbox doctor`: which layers of confinement this host offers, why one is missing, and how to get it.
//!
//! Nothing is concluded from versions: each layer is put in force, by what a run does, in a process that then
//! ends. What the host says about a refusal (sysctls, modules) only explains it.

use crate::confine::landlock::{self, Enforced};
use crate::confine::{capabilities, filter, grants};
use crate::host::cgroup::{Cgroup, Refused};
use crate::host::descendants::end_all_below;
use crate::host::fork_gate;
use crate::host::maker::Maker;
use crate::host::spawn;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};
use rxbox_emulator_core::confine::isolate;
use rxbox_policy::{Layer, Reach};
use rxbox_wire::boot::Layers;
use serde::Serialize;
use std::fmt::Write as _;

/// What there is of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All of it.
    Available,
    /// As much as this kernel knows.
    Partly,
    /// The host refuses it.
    Missing,
}

/// A layer on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name in `[hardening] require`.
    pub layer: &'static str,
    /// What there is of it.
    pub state: State,
    /// Why not all, and how to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What there is of a layer, and why not all.
type Found = (State, Option<String>);

/// Tries each layer. This process must have one thread.
///
/// # Errors
/// No process can be made to try them in.
pub fn examine() -> Result<Vec<Finding>, Errno> {
    let maker = Maker::start()?;
    let privileges_stay = !holds(ready)?;
    let found = Layer::ALL.into_iter().map(|layer| {
        let (state, why) = match layer {
            // The kernel takes no filter and no ruleset of who could get more privileges.
            Layer::Seccomp | Layer::Landlock | Layer::ForkGate if privileges_stay => {
                missing("it needs no_new_privs")
            }
            layer => look_at(layer, &maker)?,
        };
        Ok(Finding { layer: layer.name(), state, why })
    });
    let found = found.collect();
    maker.dismiss();
    end_all_below()?;
    found
}

fn look_at(layer: Layer, maker: &Maker) -> Result<Found, Errno> {
    Ok(match layer {
        Layer::Seccomp => {
            let kinds = filter::Kinds { sockets: false, identities: false };
            or_never(holds(|| ready() && filter::restrict(kinds).is_ok())?)
        }
        Layer::Capabilities => or_never(holds(|| capabilities::keep_only(&[], false).is_ok())?),
        Layer::NoNewPrivs => or_never(holds(ready)?),
        Layer::Rlimits => or_never(holds(|| setrlimit(Resource::RLIMIT_CORE, 0, 0).is_ok())?),
        Layer::Landlock => landlock()?,
        Layer::Namespaces => namespaces(maker)?,
        Layer::PidNamespace => pid_namespace(maker)?,
        Layer::ForkGate => {
            match tried(|| ready().then(fork_gate::set_up).and_then(Result::err).map_or(0, |e| e as i32))? {
                0 => AVAILABLE,
                errno => missing(&format!("{}: {NO_GATE}", Errno::from_raw(errno).desc())),
            }
        }
        Layer::Cgroup => cgroup()?,
    })
}

const AVAILABLE: Found = (State::Available, None);

fn missing(why: &str) -> Found {
    (State::Missing, Some(why.to_owned()))
}

/// What never is left out.
fn or_never(there: bool) -> Found {
    if there { AVAILABLE } else { missing("what rxbox runs in refuses it: rxbox cannot run there") }
}

fn ready() -> bool {
    prctl::set_no_new_privs().is_ok()
}

fn landlock() -> Result<Found, Errno> {
    let restricted = || landlock::restrict(&grants(&Reach::default()));
    Ok(match tried(|| if ready() { restricted().map_or(0, |found| 1 + found as i32) } else { 0 })? {
        n if n == 1 + Enforced::Fully as i32 => AVAILABLE,
        n if n == 1 + Enforced::Partly as i32 => {
            (State::Partly, Some("a newer kernel knows more of it (Linux 6.12 all)".to_owned()))
        }
        _ => missing(NO_LANDLOCK),
    })
}

/// They are made by one process, joined by another, and the child makes more in them.
fn namespaces(maker: &Maker) -> Result<Found, Errno> {
    let made = match maker.namespaces() {
        Ok(made) => made,
        Err(errno) => return Ok(missing(&why_no_namespace(errno, &knob))),
    };
    let isolated = || isolate().is_ok_and(|layers| layers.contains(Layers::NAMESPACES));
    let complete = holds(|| made.join().is_ok() && isolated())?;
    Ok(if complete { AVAILABLE } else { missing(NO_ROOT) })
}

fn pid_namespace(maker: &Maker) -> Result<Found, Errno> {
    Ok(match maker.namespaces() {
        Ok(made) if made.pids.file().is_none() => missing(NO_PID_NAMESPACE),
        Ok(made) if holds(|| made.join().is_ok())? => AVAILABLE,
        Ok(_) => missing(NO_ROOT),
        Err(errno) => missing(&why_no_namespace(errno, &knob)),
    })
}

fn cgroup() -> Result<Found, Errno> {
    let entered = tried(|| Cgroup::attempt().map_or_else(|refused| refused as i32, |()| 0))?;
    Ok(match Refused::ALL.into_iter().find(|refused| *refused as i32 == entered) {
        None => (State::Available, Some("used where a profile requires it".to_owned())),
        Some(refused) => missing(&format!("{refused}: {NO_CGROUP}")),
    })
}

const NO_ROOT: &str = "what rxbox runs in lets user namespaces be made, and refuses to join them (setns) \
    or to make an empty root in them (unshare, fsopen, fsconfig, fsmount, chroot)";

const NO_GATE: &str = "another filter around rxbox has a listener, or what rxbox runs in refuses it \
    (seccomp with SECCOMP_FILTER_FLAG_NEW_LISTENER)";

const NO_LANDLOCK: &str = "the kernel (Linux 5.13 or later) must be built with CONFIG_SECURITY_LANDLOCK and \
    started with landlock among its modules (lsm=landlock,... on its command line); or what rxbox runs in \
    refuses the calls";

const NO_CGROUP: &str = "systemd was asked for one (by busctl) and gave none either; start rxbox by \
    `systemd-run --user --scope -p Delegate=yes rxbox ...`, or from a unit with Delegate=yes";
const NO_PID_NAMESPACE: &str = "the kernel translates process ids between namespaces since Linux 6.11; or \
    there \
    are too many (sysctl user.max_pid_namespaces)";

/// What a process of its own comes to.
fn tried(attempt: impl FnOnce() -> i32) -> Result<i32, Errno> {
    let child = spawn::fork(attempt)?;
    match waitpid(child, None)? {
        WaitStatus::Exited(_, status) => Ok(status),
        _ => Ok(0),
    }
}

/// Whether something can be done, by a process of its own.
fn holds(attempt: impl FnOnce() -> bool) -> Result<bool, Errno> {
    Ok(tried(|| attempt().into())? == 1)
}

/// A number of the kernel's below `/proc/sys`.
fn knob(name: &str) -> Option<u64> {
    std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

/// Why there is no user namespace, and what to do: the kernel's switches first, then its errno.
fn why_no_namespace(errno: Errno, knob: &dyn Fn(&str) -> Option<u64>) -> String {
    if knob("kernel/unprivileged_userns_clone") == Some(0) {
        return "user namespaces are off for users: sysctl kernel.unprivileged_userns_clone=1".to_owned();
    }
    if knob("user/max_user_namespaces") == Some(0) {
        return "user namespaces are off: sysctl user.max_user_namespaces=15000".to_owned();
    }
    if knob("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        return "AppArmor restricts user namespaces: give rxbox a profile with `userns,`, or sysctl \
            kernel.apparmor_restrict_unprivileged_userns=0"
            .to_owned();
    }
    let cause = match errno {
        Errno::EINVAL => "the kernel is built without CONFIG_USER_NS",
        Errno::ENOSPC | Errno::EUSERS => "there are too many already, or too deep ones (user_namespaces(7))",
        _ => {
            "what rxbox runs in refuses user namespaces; a container engine allows them with a seccomp \
             profile that lets unshare and setns through"
        }
    };
    format!("{}: {cause}", errno.desc())
}

/// The findings as a table.
pub fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { layer, state, why } in findings {
        let state = match state {
            State::Available => "available",
            State::Partly => "partly",
            State::Missing => "missing",
        };
        let why = why.as_deref().map(|why| format!("  {why}")).unwrap_or_default();
        let _ = writeln!(text, "{}", format!("{layer:<14}{state:<11}{why}").trim_end());
    }
    text
}

/// The findings as JSON: an array of objects.
pub fn json(findings: &[Finding]) -> String {
    // Words can always be written into memory.
    serde_json::to_string_pretty(findings).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_that_is_off_is_named_with_the_command_that_turns_it_on() {
        let off = |name: &'static str| move |asked: &str| (asked == name).then_some(0);
        for switch in ["kernel/unprivileged_userns_clone", "user/max_user_namespaces"] {
            let why = why_no_namespace(Errno::EPERM, &off(switch));
            assert!(why.contains(&format!("sysctl {}=", switch.replace('/', "."))), "{why}");
        }
        assert!(why_no_namespace(Errno::EINVAL, &|_| None).contains("CONFIG_USER_NS"));
    }

    #[test]
    fn a_table_has_a_line_for_each_layer_and_no_blanks_at_its_end() {
        let finding = |state, why| Finding { layer: "landlock", state, why };
        let findings =
            [finding(State::Available, None), finding(State::Missing, Some("no kernel".to_owned()))];
        assert_eq!(table(&findings), "landlock      available\nlandlock      missing      no kernel\n");
        assert_eq!(
            json(&findings[..1]),
            "[\n  {\n    \"layer\": \"landlock\",\n    \"state\": \"available\"\n  }\n]\n"
        );
    }
}
