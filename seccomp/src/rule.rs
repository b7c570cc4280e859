//! What a list says: calls, conditions on their arguments, and what becomes of them.

use libc::*;

/// A condition on one argument. It compares what the kernel looks at: 32 bits where the call takes an `int`,
/// all 64 where it takes a `long` or a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The low 32 bits are this.
    Int(u32),
    /// The low 32 bits are not this.
    NotInt(u32),
    /// The low 32 bits, taken without sign, are this or less.
    AtMost(u32),
    /// Of these of the low 32 bits, exactly those of the second are set.
    IntMasked(u32, u32),
    /// All 64 bits are this.
    Long(u64),
    /// No other bits than these are set.
    Within(u64),
    /// Of these bits, exactly those of the second are set.
    Masked(u64, u64),
}

impl Test {
    /// Whether it holds of an argument.
    pub const fn holds(self, value: u64) -> bool {
        let int = value as u32;
        match self {
            Test::Int(n) => int == n,
            Test::NotInt(n) => int != n,
            Test::AtMost(n) => int <= n,
            Test::IntMasked(mask, bits) => int & mask == bits,
            Test::Long(n) => value == n,
            Test::Within(bits) => value | bits == bits,
            Test::Masked(mask, bits) => value & mask == bits,
        }
    }

    /// As text, about an argument of this name.
    pub fn text(self, name: &str) -> String {
        match self {
            Test::Int(n) => format!("int {name} == {n:#x}"),
            Test::NotInt(n) => format!("int {name} != {n:#x}"),
            Test::AtMost(n) => format!("int {name} <= {n:#x}"),
            Test::IntMasked(mask, bits) => format!("int {name} & {mask:#x} == {bits:#x}"),
            Test::Long(n) => format!("{name} == {n:#x}"),
            Test::Within(bits) => format!("{name} within {bits:#x}"),
            Test::Masked(mask, bits) => format!("{name} & {mask:#x} == {bits:#x}"),
        }
    }
}

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It carries it out.
    Allow,
    /// It fails with this errno.
    Errno(u16),
    /// The process ends by SIGSYS.
    KillProcess,
}

impl Action {
    /// The number by which a filter says so.
    pub const fn answer(self) -> u32 {
        match self {
            Action::Allow => SECCOMP_RET_ALLOW,
            Action::Errno(code) => SECCOMP_RET_ERRNO | code as u32,
            Action::KillProcess => SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// A rule of a list: the first of a call whose conditions all hold decides.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// The call's number.
    pub call: c_long,
    /// Index of the argument and condition.
    pub when: &'a [(u8, Test)],
    /// What becomes of the call.
    pub action: Action,
}

/// The flags of clone(2) by which pthread_create(3) of glibc makes a thread.
pub const THREAD: Test = Test::Long(
    (CLONE_VM
        | CLONE_FS
        | CLONE_FILES
        | CLONE_SIGHAND
        | CLONE_THREAD
        | CLONE_SYSVSEM
        | CLONE_SETTLS
        | CLONE_PARENT_SETTID
        | CLONE_CHILD_CLEARTID) as u64,
);

/// The call's name in the name of its number, as libc has it.
pub const fn name(constant: &'static str) -> &'static str {
    constant.split_at("SYS_".len()).1
}
