//! Variables of the intermediate representation and sets of them.
//!
//! A variable is a *global* (a piece of guest state that outlives the block: general register, flag, vector
//! register, ...), a *local* (lives for one block) or a *temporary* (lives for the translation of one guest
//! instruction). Globals that the host has too are *pinned*: while translated code runs, guest `rax` is host
//! `rax`.
//!
//! Every variable of a block fits in one 128-bit [`VarSet`], so the data-flow passes are plain word
//! operations.

use std::fmt;

/// Index of a variable within a block. The globals come first, in the order of the constants below.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Var(pub u8);

/// What lifetime a variable has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VarKind {
    /// Guest state, live at every exit of a block.
    Global,
    /// Lives from its definition to the end of the block.
    Local,
    /// Lives within the translation of one guest instruction.
    Temp,
}

impl Var {
    /// General registers, numbered as in the encoding: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15.
    pub const fn gpr(n: u8) -> Var {
        assert!(n < 16);
        Var(n)
    }
    /// Guest `rax`.
    pub const RAX: Var = Var(0);
    /// Guest `rcx`.
    pub const RCX: Var = Var(1);
    /// Guest `rdx`.
    pub const RDX: Var = Var(2);
    /// Guest `rbx`.
    pub const RBX: Var = Var(3);
    /// Guest `rsp`.
    pub const RSP: Var = Var(4);
    /// Guest `rbp`.
    pub const RBP: Var = Var(5);
    /// Guest `rsi`.
    pub const RSI: Var = Var(6);
    /// Guest `rdi`.
    pub const RDI: Var = Var(7);
    /// Guest `r11`.
    pub const R11: Var = Var(11);
    /// Carry flag.
    pub const CF: Var = Var(16);
    /// Parity flag.
    pub const PF: Var = Var(17);
    /// Auxiliary carry flag.
    pub const AF: Var = Var(18);
    /// Zero flag.
    pub const ZF: Var = Var(19);
    /// Sign flag.
    pub const SF: Var = Var(20);
    /// Overflow flag.
    pub const OF: Var = Var(21);
    /// Direction flag.
    pub const DF: Var = Var(22);
    /// The x87 and MMX state as a whole: registers, tags, status and control word.
    pub const X87: Var = Var(23);
    /// SSE control and status register.
    pub const MXCSR: Var = Var(24);
    /// FS segment base; live in the host's FS base while translated code runs.
    pub const FS_BASE: Var = Var(25);
    /// GS segment base; in the CPU state, since the host's GS base points at that.
    pub const GS_BASE: Var = Var(26);
    /// Vector registers at their full width (zmm0 to zmm31).
    pub const fn vec(n: u8) -> Var {
        assert!(n < 32);
        Var(32 + n)
    }
    /// Opmask registers k0 to k7.
    pub const fn opmask(n: u8) -> Var {
        assert!(n < 8);
        Var(64 + n)
    }
    /// The first variable that is not a global.
    pub const FIRST_LOCAL: u8 = 72;
    /// How many variables a block may have in all.
    pub const LIMIT: u8 = 128;

    /// The general register's number, if this is one.
    pub const fn as_gpr(self) -> Option<u8> {
        if self.0 < 16 { Some(self.0) } else { None }
    }
    /// Whether it holds 64 bits that integer operations can work on: a general register, the gs base (in the
    /// CPU state), a local or a temporary.
    pub const fn is_word(self) -> bool {
        self.0 < 16 || self.0 >= Self::FIRST_LOCAL || self.0 == Self::GS_BASE.0
    }
    /// Whether this is guest state.
    pub const fn is_global(self) -> bool {
        self.0 < Self::FIRST_LOCAL
    }
}

const GPR_NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];
const OTHER_NAMES: [&str; 11] =
    ["cf", "pf", "af", "zf", "sf", "of", "df", "x87", "mxcsr", "fsbase", "gsbase"];

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n @ 0..16 => f.write_str(GPR_NAMES[n as usize]),
            n @ 16..27 => f.write_str(OTHER_NAMES[n as usize - 16]),
            n @ 32..64 => write!(f, "v{}", n - 32),
            n @ 64..72 => write!(f, "k{}", n - 64),
            n => write!(f, "t{}", n.wrapping_sub(Self::FIRST_LOCAL)),
        }
    }
}

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A set of variables.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct VarSet(pub u128);

impl VarSet {
    /// The empty set.
    pub const EMPTY: VarSet = VarSet(0);
    /// All globals.
    pub const GLOBALS: VarSet = VarSet((1 << Var::FIRST_LOCAL) - 1);
    /// All sixteen general registers.
    pub const GPRS: VarSet = VarSet(0xffff);
    /// The six arithmetic flags (CF, PF, AF, ZF, SF, OF).
    pub const ARITH_FLAGS: VarSet = VarSet(0x3f << 16);

    /// The set with this one member.
    pub const fn of(v: Var) -> VarSet {
        // A shift of half the set, where nearly all members are, is a single instruction.
        if v.0 < 64 { VarSet((1u64 << v.0) as u128) } else { VarSet(((1u64 << (v.0 & 63)) as u128) << 64) }
    }
    /// The set with these members.
    pub const fn of_all(vs: &[Var]) -> VarSet {
        let mut bits = 0;
        let mut i = 0;
        while i < vs.len() {
            bits |= 1 << vs[i].0;
            i += 1;
        }
        VarSet(bits)
    }
    /// Members of either set.
    pub const fn union(self, o: VarSet) -> VarSet {
        VarSet(self.0 | o.0)
    }
    /// Members of both sets.
    pub const fn intersect(self, o: VarSet) -> VarSet {
        VarSet(self.0 & o.0)
    }
    /// Members of this set that are not in `o`.
    pub const fn minus(self, o: VarSet) -> VarSet {
        VarSet(self.0 & !o.0)
    }
    /// Whether `v` is a member.
    pub const fn has(self, v: Var) -> bool {
        self.0 & Self::of(v).0 != 0
    }
    /// The general registers in it, as a bit mask by their numbers.
    pub const fn gprs(self) -> u16 {
        self.0 as u16
    }
    /// Whether there is no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Adds a member.
    pub fn insert(&mut self, v: Var) {
        self.0 |= Self::of(v).0;
    }
    /// Takes a member out.
    pub fn remove(&mut self, v: Var) {
        self.0 &= !Self::of(v).0;
    }
    /// The members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Var> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            if bits == 0 {
                return None;
            }
            let v = Var(bits.trailing_zeros() as u8);
            bits &= bits - 1;
            Some(v)
        })
    }
}

impl fmt::Debug for VarSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
