//! What is done with containers that are there.

use super::context::Context;
use super::hooks;
use super::state::{Home, State, Status, names};
use super::{cgroup, state};
use crate::cli::oci::{Form, Update};
use crate::host::signal::Info;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::Command;
use std::str::FromStr;

/// How long a container that was killed may take to be gone, in milliseconds.
const PATIENCE: u16 = 10_000;

/// What is known of a container, as JSON.
///
/// # Errors
/// There is none of the name.
pub(super) fn state(context: &Context, id: &str) -> Result<String, String> {
    let told = Home::of(&context.root, id)?.read()?.told();
    serde_json::to_string_pretty(&told).map(|text| text + "\n").map_err(|e| e.to_string())
}

/// All containers.
///
/// # Errors
/// They cannot be shown.
pub(super) fn list(context: &Context, form: Form, quiet: bool) -> Result<String, String> {
    let read = |id: String| Home::of(&context.root, &id).and_then(|home| home.read()).ok();
    let all: Vec<State> = names(&context.root).into_iter().filter_map(read).collect();
    if quiet {
        return Ok(all.iter().map(|state| format!("{}\n", state.id)).collect());
    }
    let told: Vec<Value> = all.iter().map(State::told).collect();
    if form == Form::Json {
        return serde_json::to_string(&told).map(|text| text + "\n").map_err(|e| e.to_string());
    }
    let mut text = format!("{:<20} {:<10} {:<10} {:<40} CREATED\n", "ID", "PID", "STATUS", "BUNDLE");
    for told in &told {
        let word = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
        let (id, status, bundle, created) = (word("id"), word("status"), word("bundle"), word("created"));
        text += &format!("{id:<20} {:<10} {status:<10} {bundle:<40} {created}\n", told["pid"]);
    }
    Ok(text)
}

/// Sends a signal to a container.
///
/// # Errors
/// There is no such signal; it does not run.
pub(super) fn kill(context: &Context, id: &str, signal: &str, all: bool) -> Result<(), String> {
    let number = number_of(signal).ok_or_else(|| format!("{signal} is no signal"))?;
    let state = Home::of(&context.root, id)?.read()?;
    let Some(process) = state.process() else {
        // Whoever wants all of it gone has that.
        return if all { Ok(()) } else { Err("container not running".to_owned()) };
    };
    if number == libc::SIGKILL && cgroup::is_frozen(&state.cgroups) {
        // It takes its end only if it goes on.
        let _ = process.signal(&Info::sent(number, libc::SI_USER, 0, 0));
        return cgroup::freeze(&state.cgroups, false);
    }
    let sent = process.signal(&Info::sent(number, libc::SI_USER, 0, 0));
    sent.map(drop).map_err(|e| format!("cannot signal container {id}: {}", e.desc()))
}

fn number_of(text: &str) -> Option<i32> {
    let number: Option<i32> = text.parse().ok();
    if let Some(number) = number {
        return (0..=64).contains(&number).then_some(number);
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal as i32)
}

/// Removes what belongs to a container.
///
/// # Errors
/// It runs, or something of it stays.
pub(super) fn delete(context: &Context, id: &str, force: bool) -> Result<(), String> {
    let home = Home::of(&context.root, id)?;
    let state = match home.read() {
        Err(_) if force => {
            // What `create` has left that was killed.
            let _ = home.remove();
            return Ok(());
        }
        state => state?,
    };
    if let Some(process) = state.process() {
        if !force && state.status() != Status::Created {
            return Err(format!(
                "cannot delete container {id} that is not stopped: {}",
                state.status().name()
            ));
        }
        let _ = kill(context, id, "KILL", true);
        let mut end = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        if poll(&mut end, PATIENCE) != Ok(1) {
            return Err(format!("container {id} does not end"));
        }
    }
    cgroup::remove(&state.cgroups)?;
    home.remove()?;
    if let Err(why) = hooks::run(state.poststop.as_ref(), &state) {
        context.log.warn(&why);
    }
    Ok(())
}

/// The processes of a container, as the host sees them.
///
/// # Errors
/// There is none of the name; ps(1) fails.
pub(super) fn ps(context: &Context, id: &str, form: Form, options: &[String]) -> Result<String, String> {
    let state = Home::of(&context.root, id)?.read()?;
    let mut all = cgroup::processes(&state.cgroups);
    if all.is_empty() && state.process().is_some() {
        all = cgroup::family(state.pid);
    }
    if form == Form::Json {
        return Ok(format!("{}\n", json!(all)));
    }
    let usual = ["-ef".to_owned()];
    let shown = Command::new("ps").args(if options.is_empty() { &usual } else { options }).output();
    let shown = shown.map_err(|e| format!("ps: {e}"))?;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let head = text.lines().next().unwrap_or_default();
    let column = head.split_ascii_whitespace().position(|word| word == "PID").ok_or("ps shows no PID")?;
    let of_container = |line: &&str| {
        let pid = line.split_ascii_whitespace().nth(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid: i32| all.contains(&pid))
    };
    let lines = text.lines().skip(1).filter(of_container);
    Ok(std::iter::once(head).chain(lines).map(|line| format!("{line}\n")).collect())
}

/// Stops a container where it is, or has it go on.
///
/// # Errors
/// It does not run, or is in no cgroup.
pub(super) fn freeze(context: &Context, id: &str, freeze: bool) -> Result<(), String> {
    let state = Home::of(&context.root, id)?.read()?;
    match (state.status(), freeze) {
        (Status::Running | Status::Created, true) | (Status::Paused, _) => {
            cgroup::freeze(&state.cgroups, freeze)
        }
        (Status::Running | Status::Created, false) => Err(format!("container {id} is not paused")),
        (status, _) => Err(format!("container {id} is {}", status.name())),
    }
}

/// Changes limits.
///
/// # Errors
/// They are not offered, or cannot be set.
pub(super) fn update(context: &Context, asked: &Update) -> Result<(), String> {
    let state = Home::of(&context.root, &asked.id)?.read()?;
    let mut value = match &asked.resources {
        None => json!({}),
        Some(path) => {
            let mut text = String::new();
            let read = match path.to_str() {
                Some("-") => std::io::stdin().read_to_string(&mut text).map(drop),
                _ => std::fs::read_to_string(path).map(|read| text = read),
            };
            read.map_err(|e| format!("--resources {}: {e}", path.display()))?;
            serde_json::from_str(&text).map_err(|e| format!("--resources: {e}"))?
        }
    };
    let options = [
        ("memory", "limit", json!(asked.memory)),
        ("memory", "swap", json!(asked.memory_swap)),
        ("memory", "reservation", json!(asked.memory_reservation)),
        ("pids", "limit", json!(asked.pids_limit)),
        ("cpu", "shares", json!(asked.cpu_shares)),
        ("cpu", "quota", json!(asked.cpu_quota)),
        ("cpu", "period", json!(asked.cpu_period)),
        ("cpu", "cpus", json!(asked.cpuset_cpus)),
        ("cpu", "mems", json!(asked.cpuset_mems)),
    ];
    for (of, key, option) in options.into_iter().filter(|(.., option)| !option.is_null()) {
        value[of][key] = option;
    }
    let mut warnings = Vec::new();
    super::bundle::check_resources(&value, &mut warnings)?;
    let resources: LinuxResources = serde_json::from_value(value).map_err(|e| format!("resources: {e}"))?;
    if resources.devices().as_ref().is_some_and(|devices| !devices.is_empty()) {
        context.log.warn("resources.devices: which devices there are does not change");
    }
    cgroup::update(&state.cgroups, &resources)
}

/// What this runtime can do, for engines.
pub(super) fn features() -> String {
    let capabilities: BTreeSet<String> = caps::all().iter().map(ToString::to_string).collect();
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": state::VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "poststart", "poststop"],
        "mountOptions": super::mounts::words(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "uts"],
            "capabilities": capabilities,
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false },
            "seccomp": {
                "enabled": true,
                "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"],
                "operators": ["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"],
                "archs": ["SCMP_ARCH_X86_64"],
            },
            "apparmor": { "enabled": false },
            "selinux": { "enabled": false },
        },
        "annotations": { "rxbox.version": env!("CARGO_PKG_VERSION") },
    });
    serde_json::to_string_pretty(&features).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("9", Some(9)), ("KILL", Some(9)), ("sigterm", Some(15)), ("64", Some(64))] {
            assert_eq!(number_of(text), number, "{text}");
        }
        assert_eq!((number_of("65"), number_of("NOTHING"), number_of("-1")), (None, None, None));
    }

    #[test]
    fn what_runtimes_can_do_is_json() {
        let features: Value = serde_json::from_str(&features()).unwrap();
        assert!(features["mountOptions"].as_array().unwrap().contains(&json!("rro")));
    }
}
