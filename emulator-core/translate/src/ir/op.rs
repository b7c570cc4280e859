//! The operations: one table of names, operands, effects and texts. From it come the type [`Op`], what the
//! verifier demands of the operands, what the passes know of an operation ([`Op::effect`]), and the printed
//! form. How an operation becomes host code is in [`crate::emit`].

use super::effect::Effect;
pub use super::operand::{Cond, Mem, Reason};
use super::operand::{Const, In, InsnIndex, Insns, Kind, Out, Target};
use super::var::{Var, VarSet};
use crate::decode::MemOperand;

/// A guest address.
type Pc = Const<u64>;
/// A 64-bit constant.
type Word = Const<u64>;
/// A number of bytes.
type Bytes = Const<u32>;

const RSP: VarSet = VarSet::of(Var::RSP);

/// Defines the operations. A row is: what it does; its name and operands, each with its kind ([`Kind`]); the
/// effect, to which the operands add theirs; the text, with the operands in braces.
macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ident),* } $effect:expr, $text:literal;)*) => {
        /// An operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "an operand's kind says what it is")]
        pub enum Op {
            $($(#[$doc])* $name { $($field: <$kind as Kind>::Value),* },)*
        }

        impl Op {
            /// What the operation reads, writes and may do. `insns` are the block's.
            #[inline]
            pub fn effect(&self, insns: &Insns) -> Effect {
                match *self {
                    $(Op::$name { $($field),* } => {
                        const OWN: Effect = $effect;
                        OWN$(.and(<$kind as Kind>::effect($field, insns)))*
                    })*
                }
            }

            /// Whether the block ends here.
            pub fn is_end(&self) -> bool {
                match self {
                    $(Op::$name { .. } => const { $effect.end },)*
                }
            }

            /// The variable with the guest address that an indirect branch goes to.
            pub fn target(&self) -> Option<Var> {
                match *self {
                    $(Op::$name { $($field),* } => None$(.or(<$kind as Kind>::target($field)))*,)*
                }
            }

            /// An operand that the operation cannot work on.
            pub fn misfit(&self) -> Option<Var> {
                match *self {
                    $(Op::$name { $($field),* } => None$(.or(<$kind as Kind>::misfit($field)))*,)*
                }
            }

            /// As text; `insns` renders the block's instruction with a number.
            pub fn text(&self, insns: &dyn Fn(usize) -> String) -> String {
                match *self {
                    $(Op::$name { $($field),* } => {
                        $(let $field = <$kind as Kind>::text($field, insns);)*
                        format!($text)
                    })*
                }
            }
        }
    };
}

ops! {
    /// What follows belongs to the guest instruction at `pc`.
    Start { pc: Pc } Effect::KEPT, "---- {pc}";
    /// A guest instruction that runs as it is but for its memory operand.
    Native { insn: InsnIndex, mem: Mem } Effect::PURE, "native {insn}{mem}";

    /// `dst = value`.
    Const { dst: Out, value: Word } Effect::PURE, "{dst} = {value}";
    /// `dst = src`, 64 bits.
    Mov { dst: Out, src: In } Effect::PURE, "{dst} = {src}";
    /// `dst = zero-extended low half of src`.
    Zext32 { dst: Out, src: In } Effect::PURE, "{dst} = zext32 {src}";
    /// `dst = a + b`, 64 bits, flags untouched.
    Add { dst: Out, a: In, b: In } Effect::PURE, "{dst} = add {a}, {b}";
    /// `dst = effective address of mem` (without a segment base), which may wrap at 32 bits; flags untouched.
    Lea { dst: Out, mem: MemOperand } Effect::PURE, "{dst} = lea {mem}";
    /// `dst = 64 bits of guest memory at the operand`; an fs override is honoured.
    Load { dst: Out, mem: MemOperand } Effect::EXACT, "{dst} = load {mem}";
    /// `dst = 64 bits of guest memory at the address in addr`.
    LoadAt { dst: Out, addr: In } Effect::EXACT, "{dst} = load [{addr}]";

    /// Pushes a constant on the guest's stack.
    PushConst { value: Word } Effect::EXACT.changing(RSP), "push {value}";
    /// Pops from the guest's stack.
    Pop { dst: Out } Effect::EXACT.changing(RSP), "{dst} = pop";
    /// Adds to rsp, flags untouched.
    AddSp { bytes: Bytes } Effect::KEPT.changing(RSP), "rsp = add rsp, {bytes}";

    /// Calls the block at `pc`: pushes `next` on the guest's stack. The block goes on where the callee
    /// returns to, which may have changed anything.
    Call { pc: Pc, next: Pc } Effect::EXACT.changing(VarSet::GLOBALS), "call {pc}, return to {next}";
    /// Calls the block whose guest address is in `target`, as `Call` does.
    CallIndirect { target: Target, next: Pc }
        Effect::EXACT.changing(VarSet::GLOBALS), "call_indirect {target}, return to {next}";
    /// Goes to the block at `pc` if the condition holds.
    ExitIf { cond: Cond, pc: Pc } Effect::EXACT, "exit_if {cond} {pc}";
    /// Goes to the block at `pc`.
    Goto { pc: Pc } Effect::END, "goto {pc}";
    /// Goes to the block whose guest address is in `target`.
    GotoPtr { target: Target } Effect::END, "goto_ptr {target}";
    /// Leaves to the cpu loop for the reason, which is about the guest address `pc`.
    ExitTb { reason: Reason, pc: Pc } Effect::END, "exit_tb {reason} {pc}";
}
