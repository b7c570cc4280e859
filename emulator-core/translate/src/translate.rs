//! The way from guest bytes to host code, and its stages as text.

use crate::decode::Decoder;
use crate::emit::{Code, EmitError, Placement, emit};
use crate::frontend::{Config, FetchFault, build};
use crate::ir::block::Block;
use crate::ir::op::{Op, Reason};
use crate::ir::verify::{Broken, verify};
use crate::opt::{dce::dead_code, liveness::Liveness};
use crate::regalloc::{Assignment, allocate};

/// Bytes of the longest instruction.
const LONGEST: usize = 15;

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

/// The translator, with the memory that it uses again for each block.
#[derive(Debug, Default)]
pub struct Translator {
    decoder: Decoder,
    block: Block,
    live: Liveness,
    regs: Vec<Assignment>,
    code: Code,
}

impl Translator {
    /// Translates the block at guest address `pc`. `code` are the executable guest bytes from there on, as
    /// many as a block may span. Returns the guest bytes covered and the code. An instruction that needs more
    /// registers than there are, or more than the host can reach, ends the block before it, or is left to the
    /// runtime.
    ///
    /// # Errors
    /// See [`TranslateError`].
    pub fn translate(
        &mut self,
        pc: u64,
        code: &[u8],
        config: &Config,
        at: Placement,
        stages: &mut impl Stages,
    ) -> Result<(u32, &Code), TranslateError> {
        let done = self.attempt(pc, code, config, at, stages)?
            || config.max_insns > 1
                && self.attempt(pc, code, &Config { max_insns: 1, ..*config }, at, stages)?;
        if !done {
            self.block.restart(pc);
            self.block.len = code.len().min(LONGEST) as u32;
            self.block.push(Op::Start { pc });
            self.block.push(Op::ExitTb { reason: Reason::Emulate, pc });
            emit(&self.block, code, &[], at, &mut self.code)?;
        }
        Ok((self.block.len, &self.code))
    }

    /// Translates as many instructions as `config` says; false if that was too much.
    fn attempt(
        &mut self,
        pc: u64,
        code: &[u8],
        config: &Config,
        at: Placement,
        stages: &mut impl Stages,
    ) -> Result<bool, TranslateError> {
        let Translator { decoder, block, live, regs, code: out } = self;
        build(block, pc, code, config, decoder)?;
        stages.built(block);
        if cfg!(debug_assertions) {
            verify(block)?;
        }
        live.compute(block);
        if dead_code(block, live) != 0 {
            live.compute(block);
        }
        stages.optimised(block);
        if cfg!(debug_assertions) {
            verify(block)?;
        }
        if allocate(block, live, regs).is_err() {
            return Ok(false);
        }
        match emit(block, code, regs, at, out) {
            Err(EmitError::Reach) => Ok(false),
            done => done.map(|()| true).map_err(TranslateError::from),
        }
    }
}
