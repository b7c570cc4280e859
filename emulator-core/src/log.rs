//! `--log`: the stages of translation and the events of the cpu loop as text, as QEMU's `-d` prints them.
//!
//! The log is a descriptor that was open before confinement; one line or one block of lines is one `write`,
//! so threads and processes do not mix.

use crate::host::fatal::write_all;
use rxbox_translate::Stages;
use rxbox_translate::decode::{DecodeError, decode, text};
use rxbox_translate::ir::block::Block;
use rxbox_wire::boot::LOG_FD;
use rxbox_wire::log::{LogItem, LogItems};
use std::fmt::Write;

/// The log of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log {
    /// What goes to the log, as declared in [`rxbox_wire::log`]. There is a log descriptor if anything does.
    pub items: LogItems,
}

impl Log {
    /// Writes one line.
    pub fn line(&self, line: &str) {
        self.write(&format!("{line}\n"));
    }

    fn write(&self, text: &str) {
        if !self.items.is_empty() {
            write_all(LOG_FD, text.as_bytes());
        }
    }

    /// Whether exits may be chained: a log of every block needs every block to come from the cpu loop.
    pub fn allows_chaining(&self) -> bool {
        !self.items.has(LogItem::Exec)
    }

    /// The cpu loop enters the block at `pc`.
    pub fn entering(&self, pc: u64) {
        if self.items.has(LogItem::Exec) {
            self.line(&format!("EXEC {pc:#018x}"));
        }
    }

    /// An instruction that is valid but not carried, or not valid at all: bytes and pc.
    pub fn unsupported(&self, pc: u64, bytes: &[u8], e: &DecodeError) {
        let mut hex = String::new();
        for b in bytes {
            let _ = write!(hex, " {b:02x}");
        }
        self.line(&format!("SIGILL at {pc:#x}: {e}; bytes{hex}"));
    }

    /// An instruction that the runtime does not carry out.
    pub fn unsupported_text(&self, pc: u64, text: &str) {
        self.line(&format!("SIGILL at {pc:#x}: unsupported instruction: {text}"));
    }

    /// The log of a block's stages.
    pub fn stages<'a>(&'a self, pc: u64, code: &'a [u8]) -> BlockLog<'a> {
        BlockLog { log: self, pc, code }
    }

    /// Logs the host code of a block that was just added: its address and bytes.
    pub fn emitted(&self, host_code: impl FnOnce() -> (u64, Vec<u8>)) {
        if self.items.has(LogItem::OutAsm) {
            let (at, hot) = host_code();
            self.write(&format!("OUT: [size={}]\n{}\n", hot.len(), disassemble(at, &hot)));
        }
    }

    /// The guest's map changed: its text.
    pub fn pages(&self, maps_text: impl FnOnce() -> Vec<u8>) {
        if self.items.has(LogItem::Page) {
            self.write(&format!("PAGES:\n{}\n", String::from_utf8_lossy(&maps_text())));
        }
    }
}

/// Logs the stages of one block.
#[derive(Debug)]
pub struct BlockLog<'a> {
    log: &'a Log,
    pc: u64,
    code: &'a [u8],
}

impl BlockLog<'_> {
    fn instruction(&self, block: &Block, i: usize) -> String {
        block.insns.get(i).map_or_else(String::new, |&(at, _)| {
            let bytes = self.code.get(at as usize..).unwrap_or(&[]);
            text(bytes, self.pc.wrapping_add(at.into()))
        })
    }
}

impl Stages for BlockLog<'_> {
    fn built(&mut self, block: &Block) {
        if self.log.items.has(LogItem::InAsm) {
            let code = &self.code[..self.code.len().min(block.len as usize)];
            self.log.write(&format!("IN: {:#x}\n{}\n", self.pc, disassemble(self.pc, code)));
        }
        if self.log.items.has(LogItem::Op) {
            self.log.write(&format!("OP:\n{}\n", block.text(|i| self.instruction(block, i))));
        }
    }

    fn optimised(&mut self, block: &Block) {
        if self.log.items.has(LogItem::OpOpt) {
            self.log
                .write(&format!("OP after optimization:\n{}\n", block.text(|i| self.instruction(block, i))));
        }
    }
}

/// Code as text, an instruction a line; bytes that do not decode one by one.
pub fn disassemble(at: u64, code: &[u8]) -> String {
    let mut out = String::new();
    let mut offset = 0;
    while offset < code.len() {
        let rest = &code[offset..];
        let pc = at + offset as u64;
        let (n, line) = match decode(rest) {
            Ok(insn) => (usize::from(insn.len).max(1), text(rest, pc)),
            Err(_) => (1, format!(".byte {:#04x}", rest[0])),
        };
        let mut hex = String::new();
        for b in &rest[..n.min(rest.len())] {
            let _ = write!(hex, "{b:02x}");
        }
        let _ = writeln!(out, "{pc:#018x}:  {hex:<30} {line}");
        offset += n;
    }
    out
}
