//! From a checked call to its answer: the policy's word first, then the route that the table gives.

use crate::context::{Call, Handler, grant};
use crate::handlers;
use crate::host::SyscallResult;
use crate::sandbox::Sandbox;
use crate::worker::internal;
use nix::errno::Errno;
use rxbox_policy::DeniedWhat;
use rxbox_wire::kind::{Kind, Route};
use rxbox_wire::table::{self, Internal};
use std::sync::{Arc, LazyLock};

/// What the dispatcher knows of a call number.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    handler: Option<Handler>,
    /// For a multiplexer: what an unknown command answers.
    unknown: Option<Errno>,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let last = table::SYSCALLS.last().map_or(0, |s| s.nr as usize);
    let mut entries = vec![Entry::default(); last + 1];
    for row in table::SYSCALLS {
        let unknown = row.args.iter().find_map(|a| match a.kind {
            Kind::Command(c) | Kind::Level(c) => Some(Errno::from_raw(c.unknown)),
            _ => None,
        });
        entries[row.nr as usize] = Entry { handler: None, unknown };
    }
    for (name, handler) in handlers::ALL.iter().copied().flatten() {
        if let Some(row) = table::by_name(name) {
            entries[row.nr as usize].handler = Some(*handler);
        }
    }
    entries
});

fn entry(nr: u32) -> Entry {
    ENTRIES.get(nr as usize).copied().unwrap_or_default()
}

/// Builds what the first call would otherwise wait for.
pub fn prepare() {
    LazyLock::force(&ENTRIES);
}

/// Answers a call.
pub fn serve(sandbox: &Arc<Sandbox>, call: &mut Call<'_>) -> SyscallResult {
    if let Some(request) = Internal::of(call.request.nr) {
        return internal::serve(sandbox, request, call);
    }
    judge(call)?;
    let entry = entry(call.request.nr);
    let route = call.checked.command.and_then(|c| c.route).unwrap_or(call.checked.call.route);
    let unknown = entry.unknown.filter(|_| call.checked.command.is_none());
    let refused = match route {
        Route::Refuse { errno, .. } => Some(Errno::from_raw(errno)),
        _ => None,
    };
    if let Some(errno) = unknown.or(refused) {
        if entry.unknown.is_some() && call.checked.kinds[0].kind == Kind::Fd {
            // The kernel looks at the descriptor before it looks at the command.
            call.file(0)?;
        }
        return Err(if unknown.is_some() { handlers::unknown_command(call, errno) } else { errno });
    }
    handlers::effect::judge_command(call)?;
    match (route, entry.handler) {
        (_, Some(handler)) => handler(call),
        (Route::Grant, None) => grant(call),
        (_, None) => Err(Errno::ENOSYS),
    }
}

/// Asks the policy about the call as such.
fn judge(call: &Call<'_>) -> Result<(), Errno> {
    let (nr, args) = (call.request.nr, &call.request.args);
    let policy = &call.sandbox.policy;
    if policy.call_always_allowed(nr) {
        return Ok(());
    }
    call.enforce(&policy.call(nr, args), &DeniedWhat::Call(nr, args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handled(nr: u32) -> bool {
        entry(nr).handler.is_some()
    }

    #[test]
    fn every_call_that_the_supervisor_carries_out_has_a_handler() {
        let missing: Vec<_> = table::SYSCALLS
            .iter()
            .filter(|s| matches!(s.route, Route::Perform | Route::Emulate) && !handled(s.nr))
            .map(|s| s.name)
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn no_call_that_is_refused_has_a_handler() {
        // A refused multiplexer may offer single commands.
        let offers = |s: &&rxbox_wire::kind::Syscall| {
            s.args
                .iter()
                .any(|a| matches!(a.kind, Kind::Command(c) if c.rows.iter().any(|r| r.route.is_some())))
        };
        let wrong: Vec<_> = table::SYSCALLS
            .iter()
            .filter(|s| matches!(s.route, Route::Refuse { .. }) && handled(s.nr) && !offers(s))
            .map(|s| s.name)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn handlers_are_named_as_in_the_table_and_only_once() {
        let mut names: Vec<_> = handlers::ALL.iter().copied().flatten().map(|(name, _)| *name).collect();
        for name in &names {
            assert!(table::by_name(name).is_some(), "{name}");
        }
        names.sort_unstable();
        assert!(names.windows(2).all(|w| w[0] != w[1]));
    }
}
