//! What may be looked up at all, judged before a file system is asked.
//!
//! A look-up tells: the guest, whether there is something, and a file server behind the file system, what the
//! guest asked for. So a name is looked up in a directory only if the guest may list that, or if the name
//! itself is one that it may see, as are the directories on the way to what is allowed. Anything else is
//! answered by the policy alone, the same whether it is there or not.

use crate::caller::Caller;
use crate::state::names::in_proc;
use nix::errno::Errno;
use rxbox_policy::{Access, Verdict};

/// Whether `name` may be looked up in `dir`; both are names without links and dots.
pub(super) fn may_look(caller: &Caller<'_>, dir: &[u8], name: &[u8]) -> bool {
    match caller.sandbox.policy.path(Access::Metadata, name).verdict {
        Verdict::Allow => true,
        Verdict::Hide | Verdict::Kill => false,
        Verdict::Deny { .. } => in_proc(name) || caller.allows(Access::List, dir),
    }
}

/// Whether all look-ups on the way of a name may be made. Who may see what a name leads to may also see each
/// directory on the way, so that for nearly every name one question is enough.
pub(super) fn may_walk(caller: &Caller<'_>, name: &[u8]) -> bool {
    if caller.allows(Access::Metadata, name) {
        return true;
    }
    let ends = name.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let mut dir: &[u8] = b"/";
    for end in ends.chain([name.len()]) {
        if !may_look(caller, dir, &name[..end]) {
            return false;
        }
        dir = &name[..end];
    }
    true
}

/// The policy's answer to a `name` that is not looked up, since `from` there on the guest may not look. It is
/// audited; but programs look for many things in many places, as a shell does along its `PATH`, and that they
/// are not told is no news: what is only looked for is counted, unless a rule speaks of it, and so is what is
/// hidden, which is not there.
pub(super) fn refusal(caller: &Caller<'_>, want: Access, (from, name): (&[u8], &[u8])) -> Errno {
    let decision = caller.sandbox.policy.path(Access::Metadata, from);
    let hidden = decision.verdict == Verdict::Hide || caller.hides(name);
    let counted = match want {
        Access::Metadata => hidden || decision.rule.is_default(),
        Access::Execute => decision.rule.is_default() && caller.sandbox.search.lacks(name),
        Access::Connect => hidden,
        _ => false,
    };
    if counted {
        caller.sandbox.audit.count(&decision);
        let errno = if hidden { Some(libc::ENOENT) } else { decision.verdict.errno() };
        return errno.map_or(Errno::EACCES, Errno::from_raw);
    }
    let refused = match want {
        Access::Metadata => caller.check(want, from),
        _ => caller.check(want, name).and_then(|()| caller.check(Access::Metadata, from)),
    };
    refused.err().unwrap_or(Errno::EACCES)
}

/// What the components of `rest` come to from `dir` on, if no link is among them. `dir` has neither links nor
/// dots.
pub(super) fn lexical(dir: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(dir.len() + 1 + rest.len());
    name.extend_from_slice(dir.strip_suffix(b"/").unwrap_or(dir));
    for component in rest.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => name.truncate(name.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
            component => {
                name.push(b'/');
                name.extend_from_slice(component);
            }
        }
    }
    if name.is_empty() {
        name.push(b'/');
    }
    name
}
