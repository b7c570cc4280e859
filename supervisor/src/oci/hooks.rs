//! Hooks: programs of the host's that the engine wants run at points of a container's life.

use super::state::State;
use oci_spec::runtime::Hook;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs them one after the other, with what is known of the container as their input.
///
/// # Errors
/// The first that fails, or takes longer than it may.
pub(super) fn run(hooks: Option<&Vec<Hook>>, state: &State) -> Result<(), String> {
    hooks.into_iter().flatten().try_for_each(|hook| {
        run_one(hook, state).map_err(|why| format!("hook {}: {why}", hook.path().display()))
    })
}

fn run_one(hook: &Hook, state: &State) -> Result<(), String> {
    let mut command = Command::new(hook.path());
    let args = hook.args().as_deref().unwrap_or_default();
    if let Some((name, args)) = args.split_first() {
        command.arg0(name).args(args);
    }
    let env = hook.env().iter().flatten().filter_map(|variable| variable.split_once('='));
    command.env_clear().envs(env).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read it does not want it.
        let _ = input.write_all(state.told().to_string().as_bytes());
    }
    let limit = hook.timeout().filter(|seconds| *seconds > 0).map(|s| Duration::from_secs(s.cast_unsigned()));
    let begun = Instant::now();
    loop {
        let ended = match limit {
            None => Some(child.wait().map_err(|e| e.to_string())?),
            Some(_) => child.try_wait().map_err(|e| e.to_string())?,
        };
        match (ended, limit) {
            (Some(status), _) if status.success() => return Ok(()),
            (Some(status), _) => return Err(status.to_string()),
            (None, Some(limit)) if begun.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it took longer than {} s", limit.as_secs()));
            }
            (None, _) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
