//! One guest process: what its threads share.
//!
//! | part | what it holds |
//! | --- | --- |
//! | [`memory`] | guest memory: the map and its host side |
//! | [`stores`] | stores into guest memory, and what a change of memory means for translations |
//! | [`threads`] | the list of threads |
//! | [`translate`] | from a guest pc to translated code |
//! | [`vfork`] | what the child of a vfork(2) has changed |
//! | [`exec_state`] | the next program, while threads end for it |
//!
//! The locks are taken in the order of [`crate::base::sync`].

pub mod exec_state;
pub mod memory;
pub mod stores;
pub mod threads;
pub mod translate;
pub mod vfork;

use crate::base::sync::{Lock, Rank};
use crate::channel::Channel;
use crate::guest::AddressSpace;
use crate::host::cpu;
use crate::log::Log;
use crate::runtime::blocks::Blocks;
use crate::runtime::cpu::ThreadHandle;
use crate::runtime::translator;
use crate::signal::action::Actions;
use crate::signal::state::DescriptorSignals;
use exec_state::{ExecState, Machine};
use memory::Memory;
use rxbox_translate::cpuid::CpuidTable;
use rxbox_translate::frontend::Config;
use std::sync::OnceLock;

/// What all threads of a guest process share.
#[derive(Debug)]
pub struct Process {
    /// Guest memory.
    pub memory: Lock<Memory>,
    /// Translations.
    pub blocks: Lock<Blocks>,
    /// How blocks are shaped.
    pub config: Config,
    /// What cpuid answers.
    pub cpuid: CpuidTable,
    /// How much vector state there is.
    pub vectors: cpu::VectorKind,
    /// The channel.
    pub channel: Channel,
    /// Signal actions.
    pub actions: Lock<Actions>,
    /// What is logged, and where.
    pub log: Log,
    /// Threads that may be in translated code.
    pub threads: Lock<Vec<ThreadHandle>>,
    /// Held while a descriptor is awaited on the control socket, so that each thread gets its own.
    pub control: Lock<()>,
    /// Held by the thread that does exclusive work.
    pub exclusive: Lock<()>,
    /// What the process has signal descriptors for.
    pub watched: DescriptorSignals,
    /// Which thread replaces the program, if one does.
    pub exec: ExecState,
    /// Whether translations are kept.
    pub keeps: bool,
    /// What programs are told of the machine; set before the first one runs.
    pub machine: OnceLock<Machine>,
}

impl Process {
    /// A process without threads, on this host's processor.
    pub fn new(space: AddressSpace, blocks: Blocks, channel: Channel, log: Log) -> Process {
        let cpuid = CpuidTable::new(cpu::leaves(), cpu::xcr0());
        Process {
            memory: Lock::new(Rank::Memory, Memory::new(space)),
            blocks: Lock::new(Rank::Blocks, blocks),
            config: translator::config(&cpuid),
            cpuid,
            vectors: cpu::vector_kind(),
            channel,
            actions: Lock::new(Rank::Actions, Actions::default()),
            log,
            threads: Lock::new(Rank::Threads, Vec::new()),
            control: Lock::new(Rank::Control, ()),
            exclusive: Lock::new(Rank::Exclusive, ()),
            watched: DescriptorSignals::default(),
            exec: ExecState::default(),
            keeps: false,
            machine: OnceLock::new(),
        }
    }
}
