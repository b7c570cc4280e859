//! Who looks a name up and asks the policy about it: a guest thread in the middle of a call.

use crate::context::Call;
use crate::host::credentials::Credentials;
use crate::report::audit::Who;
use crate::sandbox::Sandbox;
use crate::state::fd::File;
use crate::state::names::name_of;
use crate::state::process::Process;
use nix::errno::Errno;
use rxbox_policy::{Access, Decision, DeniedWhat, Digest, Make, Verdict};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Who looks up and asks.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Policy, audit, processes.
    pub sandbox: &'a Sandbox,
    /// The guest process.
    pub process: &'a Arc<Process>,
    /// The guest thread.
    pub tid: i32,
    /// The call it makes, for the audit.
    pub call: &'static str,
}

impl<'a> Caller<'a> {
    /// The caller of a system call.
    pub fn of(call: &Call<'a>) -> Caller<'a> {
        Caller { sandbox: call.sandbox, process: call.process, tid: call.tid, call: call.checked.call.name }
    }

    /// The credentials of the thread.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.process.credentials_of_thread(self.tid)
    }

    /// The policy's decision on `access` to the resolved name `path`; a denial is audited.
    pub fn check(&self, access: Access, path: &[u8]) -> Result<(), Errno> {
        self.enforce(&self.sandbox.policy.path(access, path), &DeniedWhat::Path(access, path))
    }

    /// The policy's decision for a program that only asks whether it could (access(2) with `W_OK`). Many ask
    /// at their start for whatever they could write, and do without: what no rule speaks of is counted and
    /// told when it is done.
    pub fn check_probe(&self, access: Access, path: &[u8]) -> Result<(), Errno> {
        let decision = self.sandbox.policy.path(access, path);
        match decision.verdict {
            Verdict::Deny { errno } if decision.rule.is_default() => {
                self.sandbox.audit.count(&decision);
                Err(Errno::from_raw(errno))
            }
            _ => self.enforce(&decision, &DeniedWhat::Path(access, path)),
        }
    }

    /// Judges a file that is to run, or to be mapped as code, by its contents if the policy pins them: then a
    /// copy of them, which nobody can change, has to take its place. A denial is audited.
    pub fn check_contents(&self, path: &[u8], file: BorrowedFd<'_>) -> Result<Option<Arc<OwnedFd>>, Errno> {
        let policy = &self.sandbox.policy;
        if !policy.is_pinned(path) {
            return Ok(None);
        }
        let wanted = |contents: &Digest| policy.program(path, contents).allowed();
        let (contents, copy) = self.sandbox.pinned.copy(file, wanted)?;
        self.enforce(&policy.program(path, &contents), &DeniedWhat::Program(path, &contents))?;
        copy.map(Some).ok_or(Errno::EACCES)
    }

    /// The policy's decision on making the name `path`; a denial is audited.
    pub fn check_make(&self, what: Make, path: &[u8]) -> Result<(), Errno> {
        self.enforce(&self.sandbox.policy.make(what, path), &DeniedWhat::Make(what, path))
    }

    /// The policy's decision on a rename; a denial is audited, but for EXDEV, after which programs copy and
    /// are judged for that.
    pub fn check_rename(&self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        let decision = self.sandbox.policy.rename(from, to);
        match decision.verdict {
            Verdict::Deny { errno: libc::EXDEV } => Err(Errno::EXDEV),
            _ => self.enforce(&decision, &DeniedWhat::Rename(from, to)),
        }
    }

    fn enforce(&self, decision: &Decision<'_>, what: &DeniedWhat<'_>) -> Result<(), Errno> {
        let who = || Who { call: self.call, pid: self.process.pid, name: self.process.name() };
        self.sandbox.audit.enforce(decision, what, who)
    }

    /// Whether the policy allows it; asks without a trace, to choose between answers.
    pub fn allows(&self, access: Access, path: &[u8]) -> bool {
        self.sandbox.policy.path(access, path).allowed()
    }

    /// Whether the policy makes this name look missing.
    pub fn hides(&self, path: &[u8]) -> bool {
        self.sandbox.policy.path(Access::Metadata, path).verdict == Verdict::Hide
    }

    /// Whether the policy hides anything at all.
    pub fn hides_any(&self) -> bool {
        self.sandbox.policy.hides_any_below(b"/")
    }

    /// [`Caller::check`] on the name that an open file has now. A file that has none any more (deleted, a
    /// pipe, memory) is out of everybody's reach but through descriptors: those who can write to it have it
    /// for themselves.
    pub fn check_open(&self, access: Access, file: &File) -> Result<(), Errno> {
        match name_of(file.host.as_fd()) {
            Ok(path) => self.check(access, &path),
            Err(_) if file.writable() => Ok(()),
            Err(_) => Err(Errno::EACCES),
        }
    }
}
