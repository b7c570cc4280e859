//! A scope of the service manager: a cgroup that systemd makes for processes that it has not started
//! (systemd.scope(5)), and delegates to them.
//!
//! It is asked for by busctl(1), which comes with systemd and speaks its protocol; rxbox needs no client of
//! D-Bus for one message per run. The manager moves the processes by itself after it has answered, so the
//! answer is waited for in `/proc`. It removes the scope when the last of them has ended.

use nix::unistd::{Pid, Uid, getpid};
use std::io;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// How long the manager may take to move the processes: this often, with this much time between.
const LOOKS: u32 = 500;
const BETWEEN: Duration = Duration::from_millis(10);

/// Has these processes moved into a delegated scope of their own, by the manager of the system for root and
/// by the user's for everybody else.
///
/// # Errors
/// There is no such manager, it refuses, or it does not act; nothing has changed then.
pub(super) fn ask(processes: &[Pid]) -> io::Result<()> {
    let name = format!("run-rxbox-{}.scope", getpid());
    let manager = if Uid::effective().is_root() { "--system" } else { "--user" };
    let mut call = Command::new("busctl");
    call.args([manager, "--quiet", "--timeout=5"]).args(request(&name, processes));
    // What it says of a host without a manager is no news for the user.
    if !call.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    for _ in 0..LOOKS {
        if processes.iter().try_fold(true, |all, pid| Ok::<_, io::Error>(all && is_in(*pid, &name)?))? {
            return Ok(());
        }
        sleep(BETWEEN);
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Whether a process is in the cgroup of a unit.
fn is_in(pid: Pid, unit: &str) -> io::Result<bool> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    Ok(groups.lines().any(|line| line.ends_with(unit)))
}

/// `StartTransientUnit` (org.freedesktop.systemd1(5)) as busctl takes it: name, mode, properties, and no
/// further units.
fn request(name: &str, processes: &[Pid]) -> Vec<String> {
    let manager = "call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager";
    let properties = "3 Delegate b true CollectMode s inactive-or-failed PIDs au";
    let count = processes.len().to_string();
    let words = manager.split(' ').chain(["StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail"]);
    let words = words.chain(properties.split(' ')).map(str::to_owned).chain([count]);
    words.chain(processes.iter().map(Pid::to_string)).chain(["0".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_one_of_busctl() {
        let words = request("run-rxbox-7.scope", &[Pid::from_raw(8), Pid::from_raw(7)]);
        assert_eq!(
            words.join(" "),
            "call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \
             StartTransientUnit ssa(sv)a(sa(sv)) run-rxbox-7.scope fail 3 Delegate b true CollectMode s \
             inactive-or-failed PIDs au 2 8 7 0"
        );
    }
}
