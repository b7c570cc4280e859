//! As whom rxbox runs: as whoever starts it, or as the user that the profile names (`[identity] user`,
//! `--user`).
//!
//! Everything that comes after is done by that user: variables and paths of the profile are what they are for
//! it, and the kernel lets rxbox do what that user may. Profiles are read before, since they say who it is.

use super::Profile;
use crate::host::identity;
use nix::unistd::{User, geteuid, getuid};
use rxbox_policy::{Policy, ReadProfile, builtin, did_you_mean};
use std::io::IsTerminal;

/// Reads the profile if it could name a user for root to become, and becomes that user if it does. This
/// process must have one thread.
///
/// # Errors
/// Why that cannot be, and what to do.
pub fn assume(profile: &Profile) -> Result<Option<ReadProfile>, String> {
    let bare = profile.name().strip_suffix(".toml").unwrap_or(profile.name());
    if !geteuid().is_root() || (builtin(bare).is_some() && !profile.added.0.name_user()) {
        return Ok(None);
    }
    let read = profile.read();
    if let Some((name, rule)) = read.user(&profile.added.0) {
        become_user(&name).map_err(|why| format!("cannot run as {name}, as {rule} says: {why}"))?;
    }
    Ok(Some(read))
}

/// Whether this process is whom the policy names.
///
/// # Errors
/// It is not, and cannot become it.
pub fn confirm(policy: &Policy) -> Result<(), String> {
    policy
        .user()
        .map_or(Ok(()), |name| become_user(name).map_err(|why| format!("cannot run as {name}: {why}")))
}

fn become_user(name: &str) -> Result<(), String> {
    let found = User::from_name(name).map_err(|e| format!("the user database: {}", e.desc()))?;
    let Some(user) = found else {
        let near = did_you_mean(name, names().iter().map(String::as_str));
        return Err(near.map_or("there is no such user".to_owned(), |near| format!("no such user; {near}")));
    };
    if getuid() == user.uid && geteuid() == user.uid {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err("only root can; leave it out to run as yourself, or start rxbox by sudo".to_owned());
    }
    identity::assume(&user).map_err(|e| e.desc().to_owned())
}

/// The users of this host's own list, for suggestions.
fn names() -> Vec<String> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines().filter_map(|line| line.split(':').next().map(str::to_owned)).collect()
}

/// What root is told who runs an untrusted program without having said as whom: somebody who looks at it, and
/// not the log of a machine that runs everything as root.
pub fn note(policy: &Policy) -> Option<&'static str> {
    let intended = policy.user().is_some() || !policy.capabilities().is_empty();
    (geteuid().is_root() && !intended && std::io::stderr().is_terminal())
        .then_some("this runs as root; `--user NAME` runs it as somebody else")
}
