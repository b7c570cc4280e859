//! The front end: guest instructions to intermediate code.
//!
//! A block is a straight line: it follows the not-taken side of up to [`Config::max_exits`] conditional
//! branches, goes on behind calls, where they return to, and ends at the first instruction that always
//! transfers control, at one that needs the runtime, or at a limit. An instruction that cannot be decoded
//! ends the block before it; a block that begins with one leaves to the runtime, which decodes again and
//! knows what to raise.

use crate::decode::{Class, DecodeError, Decoder, Insn, MemOperand, SegmentOp, Space, Trap};
use crate::ir::block::Block;
use crate::ir::op::{Cond, Mem, Op, Reason};
use crate::ir::var::Var;
use crate::state;

/// What a block's shape depends on besides the code.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Guest instructions in a block at most.
    pub max_insns: u16,
    /// Conditional exits in a block at most.
    pub max_exits: u8,
    /// Translate one instruction and come back ([`Reason::Step`]): for a store into code that is being
    /// executed.
    pub step: bool,
    /// `rdtsc` and `rdtscp` are the runtime's.
    pub virtual_tsc: bool,
    /// A `66` prefix makes near branches 16 bits wide, as processors of AMD have it; those of Intel ignore
    /// it. No program has a use for addresses that small: they are left to the runtime, which refuses them.
    pub narrow_branches: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { max_insns: 64, max_exits: 3, step: false, virtual_tsc: false, narrow_branches: false }
    }
}

/// The guest bytes at the block's pc do not hold one whole instruction: the fetch of the byte at `pc +
/// readable` faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFault;

/// Builds the block at `pc` from `code`, the executable bytes that start there, in the place of what `block`
/// was.
pub fn build(
    block: &mut Block,
    pc: u64,
    code: &[u8],
    config: &Config,
    decoder: &mut Decoder,
) -> Result<(), FetchFault> {
    block.restart(pc);
    let mut b = Builder { block, exits: 0, config };
    loop {
        let at = b.block.len;
        let here = pc.wrapping_add(at.into());
        let full = b.block.insns.len() >= usize::from(config.max_insns);
        let insn = if full { None } else { Some(decoder.decode(code.get(at as usize..).unwrap_or(&[]))) };
        match insn {
            Some(Ok(insn)) => {
                b.block.len += u32::from(insn.len);
                if b.insn(here, at, insn) {
                    return Ok(());
                }
                if config.step {
                    b.stop_stepping(pc.wrapping_add(b.block.len.into()));
                    return Ok(());
                }
            }
            Some(Err(DecodeError::Truncated)) if at == 0 => return Err(FetchFault),
            Some(Err(_)) if at == 0 => {
                b.start(here);
                b.end(Op::ExitTb { reason: Reason::Emulate, pc: here });
                // The bytes that failed to decode belong to the block: changing them must drop it.
                b.block.len = code.len().min(15) as u32;
                return Ok(());
            }
            _ => {
                b.stop(here);
                return Ok(());
            }
        }
    }
}

const STACK_TOP: MemOperand = MemOperand {
    base: Some(4),
    index: None,
    disp: 0,
    rip_relative: false,
    vsib: false,
    segment: 0,
    addr32: false,
};

struct Builder<'a> {
    block: &'a mut Block,
    exits: u8,
    config: &'a Config,
}

impl Builder<'_> {
    fn push(&mut self, op: Op) {
        self.block.push(op);
    }

    fn start(&mut self, pc: u64) {
        self.block.vars.next_insn();
        self.push(Op::Start { pc });
    }

    fn end(&mut self, op: Op) {
        if self.block.ops.is_empty() {
            self.start(self.block.pc);
        }
        self.push(op);
    }

    /// Ends the block before the instruction at `here`. A call right before it must not come back to this
    /// block, of which there is nothing left.
    fn stop(&mut self, here: u64) {
        match self.block.ops.last() {
            Some(&Op::Call { pc, next }) => {
                self.block.pop();
                self.push(Op::PushConst { value: next });
                self.push(Op::Goto { pc });
            }
            Some(&Op::CallIndirect { target, next }) => {
                self.block.pop();
                self.push(Op::PushConst { value: next });
                self.push(Op::GotoPtr { target });
            }
            _ => self.end(Op::Goto { pc: here }),
        }
    }

    /// Ends a block of a single instruction, the next one being at `next`.
    fn stop_stepping(&mut self, next: u64) {
        match self.block.ops.last() {
            Some(Op::Call { .. } | Op::CallIndirect { .. }) => self.stop(next),
            _ => self.end(Op::ExitTb { reason: Reason::Step, pc: next }),
        }
    }

    /// Adds one guest instruction; true if the block ends with it.
    fn insn(&mut self, pc: u64, at: u32, insn: Insn) -> bool {
        let next = pc.wrapping_add(insn.len.into());
        let near = |disp: i64| next.wrapping_add_signed(disp);
        self.start(pc);
        if self.config.step && runtime_steps(&insn) || self.config.narrow_branches && is_narrow(&insn) {
            self.push(Op::ExitTb { reason: Reason::Emulate, pc });
            return true;
        }
        match insn.class {
            Class::Native | Class::FsBase => return !self.native(pc, at, insn),
            Class::Segment(op) if is_hosts(op) => return !self.native(pc, at, insn),
            Class::Rdtsc | Class::Rdtscp if !self.config.virtual_tsc => return !self.native(pc, at, insn),
            Class::FpuEnvStore(_) => {
                if self.native(pc, at, insn) {
                    // A signal that stops the thread here finds the instruction done: a second run would
                    // store what the first has set (fnstenv masks exceptions, fnsave clears the registers).
                    self.start(next);
                    self.push(Op::ExitTb { reason: Reason::FpuPointer, pc });
                }
            }
            Class::Trap(Trap::DebugTrap) => {
                if self.native(pc, at, insn) {
                    // The host reports this address, or that of the instruction itself. Were there more of
                    // the block, dead code at its front would make it a later one.
                    self.push(Op::Goto { pc: next });
                }
            }
            Class::Jcc { cc, disp } => {
                return self.conditional(Cond::Flags(cc), near(disp.into()), next);
            }
            Class::Loop { opcode, disp } => {
                let cond = Cond::Count { opcode, rep: insn.form.rep, addr32: insn.form.addr32 };
                return self.conditional(cond, near(disp.into()), next);
            }
            Class::Jmp { disp } => self.push(Op::Goto { pc: near(disp.into()) }),
            Class::Call { disp } => {
                self.push(Op::Call { pc: near(disp.into()), next });
                return false;
            }
            Class::JmpIndirect | Class::CallIndirect => return self.indirect(pc, next, &insn),
            Class::Ret { release } => {
                let target = self.block.vars.temp();
                if release == 0 {
                    self.push(Op::Pop { dst: target });
                } else {
                    // One operation must change rsp, or a signal between two would find it half changed.
                    self.push(Op::Load { dst: target, mem: STACK_TOP });
                    self.push(Op::AddSp { bytes: 8 + u32::from(release) });
                }
                self.push(Op::GotoPtr { target });
            }
            Class::Syscall => self.push(Op::ExitTb { reason: Reason::Syscall, pc: next }),
            Class::ReadGsBase { reg, wide } => {
                let dst = Var::gpr(reg & 15);
                self.push(Op::Mov { dst, src: Var::GS_BASE });
                if !wide {
                    self.push(Op::Zext32 { dst, src: dst });
                }
                return false;
            }
            Class::WriteGsBase { .. }
            | Class::Rdtsc
            | Class::Rdtscp
            | Class::Cpuid
            | Class::Xgetbv
            | Class::Popf
            | Class::Segment(_)
            | Class::Far(_)
            | Class::Trap(_) => self.push(Op::ExitTb { reason: Reason::Emulate, pc }),
        }
        true
    }

    /// A conditional exit; true if the block ends here because it has had enough of them.
    fn conditional(&mut self, cond: Cond, target: u64, next: u64) -> bool {
        self.push(Op::ExitIf { cond, pc: target });
        self.exits += 1;
        let done = self.exits >= self.config.max_exits || self.config.step;
        if done {
            self.push(Op::Goto { pc: next });
        }
        done
    }

    /// An instruction that runs as it is; false if it cannot and the block left to the runtime instead.
    fn native(&mut self, pc: u64, at: u32, insn: Insn) -> bool {
        let next = pc.wrapping_add(insn.len.into());
        let gs = insn.form.segment == 0x65;
        let Some(mem) = insn.mem else {
            if gs && addresses_data(&insn) {
                // There is no modrm byte to rewrite.
                self.push(Op::ExitTb { reason: Reason::Emulate, pc });
                return false;
            }
            self.push_native(at, insn, Mem::AsIs);
            return true;
        };
        let lea = insn.form.map == 0 && insn.form.opcode == 0x8d;
        if lea && mem.rip_relative && !insn.form.opsize {
            let dst = Var::gpr(insn.form.modrm >> 3 & 7 | insn.form.rex << 1 & 8);
            let mut value = absolute(&mem, next);
            if insn.form.rex & 8 == 0 {
                value &= 0xffff_ffff;
            }
            self.push(Op::Const { dst, value });
            return true;
        }
        let uses_gs = gs && insn.may_fault && !lea;
        let how = match (mem.rip_relative, uses_gs) {
            (false, false) => Mem::AsIs,
            (true, false) if reachable(absolute(&mem, next)) && !mem.addr32 => Mem::Rip(absolute(&mem, next)),
            (true, false) => {
                let t = self.block.vars.temp();
                self.push(Op::Const { dst: t, value: absolute(&mem, next) });
                Mem::At(t)
            }
            (_, true) if mem.vsib => {
                self.push(Op::ExitTb { reason: Reason::Emulate, pc });
                return false;
            }
            (_, true) => Mem::At(self.gs_address(&mem, next)),
        };
        self.push_native(at, insn, how);
        true
    }

    fn push_native(&mut self, at: u32, insn: Insn, mem: Mem) {
        let index = self.block.insns.len() as u16;
        self.block.insns.push((at, insn));
        self.push(Op::Native { insn: index, mem });
    }

    /// The linear address of a gs operand: the guest's gs base lies in the CPU state, since the host's points
    /// at that.
    fn gs_address(&mut self, mem: &MemOperand, next: u64) -> Var {
        // One register for both addresses: cmpxchg16b leaves no more than two free.
        let (address, base) = (self.block.vars.temp(), self.block.vars.temp());
        self.effective_address(address, mem, next);
        self.push(Op::Mov { dst: base, src: Var::GS_BASE });
        self.push(Op::Add { dst: address, a: address, b: base });
        address
    }

    fn effective_address(&mut self, dst: Var, mem: &MemOperand, next: u64) {
        if mem.rip_relative {
            self.push(Op::Const { dst, value: absolute(mem, next) });
        } else if mem.base.is_none() && mem.index.is_none() {
            self.push(Op::Const { dst, value: absolute(mem, 0) });
        } else {
            self.push(Op::Lea { dst, mem: MemOperand { segment: 0, ..*mem } });
        }
    }

    /// `jmp r/m64` and `call r/m64`: the target is read before the return address is pushed. True if the
    /// block ends here.
    fn indirect(&mut self, pc: u64, next: u64, insn: &Insn) -> bool {
        let target = self.block.vars.temp();
        match insn.mem {
            None => {
                let src = Var::gpr(insn.form.rm());
                self.push(Op::Mov { dst: target, src });
            }
            Some(mem) if mem.segment == 0x65 => {
                let addr = self.gs_address(&mem, next);
                self.push(Op::LoadAt { dst: target, addr });
            }
            Some(mem) if mem.rip_relative => {
                let addr = self.block.vars.temp();
                self.push(Op::Const { dst: addr, value: absolute(&mem, next) });
                if mem.segment == 0x64 {
                    self.push(Op::ExitTb { reason: Reason::Emulate, pc });
                    return true;
                }
                self.push(Op::LoadAt { dst: target, addr });
            }
            Some(mem) => self.push(Op::Load { dst: target, mem }),
        }
        let call = insn.class == Class::CallIndirect;
        self.push(if call { Op::CallIndirect { target, next } } else { Op::GotoPtr { target } });
        !call
    }
}

/// Whether a segment register is the guest's while it runs, so that the host's instruction does what the
/// guest's does: all are but gs. Loading ss is left to the runtime too, since the processor then holds
/// signals back for an instruction.
fn is_hosts(op: SegmentOp) -> bool {
    const GS: u8 = 5;
    match op {
        SegmentOp::Store(n) | SegmentOp::Push(n) | SegmentOp::Pop(n) => n != GS,
        SegmentOp::Load(n) | SegmentOp::FarPointer(n) => n != GS && n != 2,
    }
}

/// Whether it is a near branch with a `66` prefix that REX.W does not override.
pub fn is_narrow(insn: &Insn) -> bool {
    insn.form.opsize && insn.form.rex & 8 == 0 && insn.class.is_near_branch()
}

/// Whether the runtime carries an instruction out that stands alone: a block that jumps through the tables
/// would go on with other blocks, and the flags that the host would push are not all the guest's.
fn runtime_steps(insn: &Insn) -> bool {
    let pushf = insn.form.space == Space::Legacy && (insn.form.map, insn.form.opcode) == (0, 0x9c);
    pushf || matches!(insn.class, Class::JmpIndirect | Class::CallIndirect | Class::Ret { .. })
}

/// Whether an instruction without an explicit memory operand reads or writes in the data segment, which a
/// prefix can override (Intel SDM 1, 3.7.4): string sources, `xlat`, `maskmovq` and `maskmovdqu`, `clzero`.
/// Destinations of strings and the stack are where they are.
fn addresses_data(insn: &Insn) -> bool {
    match (insn.form.map, insn.form.opcode) {
        (0, 0xa4..=0xa7 | 0xac | 0xad | 0xd7) => true,
        (1, 0x01 | 0xf7) => insn.may_fault,
        _ => false,
    }
}

fn absolute(mem: &MemOperand, next: u64) -> u64 {
    let a = next.wrapping_add_signed(mem.disp);
    if mem.addr32 { a & 0xffff_ffff } else { a }
}

/// Whether code reaches the address with a 32-bit displacement, wherever the cache lies.
fn reachable(addr: u64) -> bool {
    addr < state::CACHE.end
}
