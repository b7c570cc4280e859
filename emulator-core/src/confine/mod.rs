//! The child's seccomp filter: the boundary between guest code and the host's kernel.
//!
//! From the first guest instruction on, this process counts as hostile: guest code shares its address space and may make
//! it do anything that the filter lets. So the filter lets only what the runtime needs to run a guest whose every system
//! call is carried out elsewhere: memory without execution, threads, its own signals, waiting, and its two sockets to the
//! supervisor. Everything else ends the process ([`rules::ALLOWED`]); a few calls that the C library tries and can do
//! without fail with an errno ([`rules::ERRNO`]).
//!
//! Two filters are installed, since one can have one action for what it lists. Where both speak the kernel takes the
//! stricter answer: the first allows a call, the second turns it into an errno. Both check the architecture, so 32-bit
//! calls (`int 0x80`) end the process; so do numbers with the x32 bit, which no rule lists.
//!
//! Filters are inherited by fork and can never be taken off.

mod rules;

pub use rules::{ALLOWED, ERRNO, Rule, Test};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;

/// What the filter depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// There is a log on descriptor [`crate::channel::LOG_FD`].
    pub log: bool,
}

/// Puts the filters in force on all threads of this process, for good.
///
/// # Errors
/// The kernel has no seccomp filters or refuses them: the child must not run a guest then.
pub fn install(options: &Options) -> Result<(), seccompiler::Error> {
    let [allow, errno] = compile(options, std::process::id())?;
    // The stricter one last: it does not allow to install filters.
    for (_, program) in errno.iter().chain(&allow) {
        seccompiler::apply_filter_all_threads(program)?;
    }
    Ok(())
}

/// Programs with the errno they answer, 0 for the one that ends the process.
type Programs = Vec<(u32, BpfProgram)>;

/// The programs: the allow-list, and one for each errno. `pid` is the process that signals may go to.
fn compile(options: &Options, pid: u32) -> Result<[Programs; 2], seccompiler::Error> {
    let allow = program(ALLOWED.iter(), options, pid, SeccompAction::KillProcess, SeccompAction::Allow)?;
    let mut codes: Vec<u32> = ERRNO.iter().map(|(code, _)| *code).collect();
    codes.sort_unstable();
    codes.dedup();
    let errno = codes.into_iter().map(|code| {
        let rules = ERRNO.iter().filter(|(c, _)| *c == code).map(|(_, rule)| rule);
        Ok((code, program(rules, options, pid, SeccompAction::Allow, SeccompAction::Errno(code))?))
    });
    Ok([vec![(0, allow)], errno.collect::<Result<_, seccompiler::Error>>()?])
}

fn program<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    options: &Options,
    pid: u32,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<BpfProgram, seccompiler::Error> {
    let mut by_call: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for rule in rules.filter(|rule| options.log || !rule.log_only) {
        let entry = by_call.entry(rule.call).or_default();
        if !rule.when.is_empty() {
            let tests = rule.when.iter().map(|(arg, test)| condition(*arg, *test, pid));
            entry.push(SeccompRule::new(tests.collect::<Result<_, _>>()?)?);
        }
    }
    let filter = SeccompFilter::new(by_call, otherwise, matching, TargetArch::x86_64)?;
    Ok(filter.try_into()?)
}

fn condition(arg: u8, test: Test, pid: u32) -> Result<SeccompCondition, seccompiler::BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    let (length, op, value) = match test {
        Test::Int(value) => (Dword, SeccompCmpOp::Eq, value.into()),
        Test::Long(value) => (Qword, SeccompCmpOp::Eq, value),
        Test::Within(bits) => (Qword, SeccompCmpOp::MaskedEq(!bits), 0),
        Test::Pid => (Dword, SeccompCmpOp::Eq, pid.into()),
        Test::OtherPid => (Dword, SeccompCmpOp::Ne, pid.into()),
    };
    SeccompCondition::new(arg, length, op, value)
}

#[cfg(test)]
mod evaluator;
#[cfg(test)]
mod tests;
