//! The way from guest bytes to host code, and its stages as text.

use crate::emit::{Code, EmitError, Placement, emit};
use crate::frontend::{Config, FetchFault, build};
use crate::ir::op::{Block, Op, Reason};
use crate::ir::verify::{Broken, verify};
use crate::opt::{dce::dead_code, liveness::liveness};
use crate::regalloc::allocate;

/// Why there is no translation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// The guest's fault: no whole instruction lies in the executable bytes.
    #[error("instruction fetch beyond the executable bytes")]
    Fetch,
    /// The translator's fault.
    #[error("translator: {0}")]
    Broken(#[from] Broken),
    /// The translator's fault.
    #[error("translator: {0}")]
    Emit(#[from] EmitError),
}

impl From<FetchFault> for TranslateError {
    fn from(_: FetchFault) -> TranslateError {
        TranslateError::Fetch
    }
}

/// Called with the intermediate code before and after optimisation; the log hooks in here.
pub trait Stages {
    /// As the front end made it.
    fn built(&mut self, _block: &Block) {}
    /// As the back end gets it.
    fn optimised(&mut self, _block: &Block) {}
}

impl Stages for () {}

/// Translates the block at guest address `pc`. `code` are the executable guest bytes from there on, as many as a block may
/// span. Returns the guest bytes covered and the code. An instruction that needs more registers than there are ends the
/// block before it, or is left to the runtime.
pub fn translate(
    pc: u64,
    code: &[u8],
    config: &Config,
    at: Placement,
    stages: &mut impl Stages,
) -> Result<(u32, Code), TranslateError> {
    let mut block = build(pc, code, config)?;
    stages.built(&block);
    if cfg!(debug_assertions) {
        verify(&block)?;
    }
    dead_code(&mut block);
    stages.optimised(&block);
    if cfg!(debug_assertions) {
        verify(&block)?;
    }
    let live = liveness(&block);
    let Ok(regs) = allocate(&block, &live) else {
        return translate_one(pc, code, config, at, stages);
    };
    let code = emit(&block, code, &regs, at)?;
    Ok((block.len, code))
}

/// The block was too greedy: takes its first instruction alone, and if that is the one, gives it to the runtime.
fn translate_one(
    pc: u64,
    code: &[u8],
    config: &Config,
    at: Placement,
    stages: &mut impl Stages,
) -> Result<(u32, Code), TranslateError> {
    if config.max_insns > 1 {
        return translate(pc, code, &Config { max_insns: 1, ..*config }, at, stages);
    }
    let ops = vec![Op::Start { pc }, Op::Leave { reason: Reason::Emulate, pc }];
    let block = Block { pc, len: 15, ops, ..Block::default() };
    let code = emit(&block, code, &[], at)?;
    Ok((block.len, code))
}
