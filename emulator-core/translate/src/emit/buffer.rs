//! Where host code is written: bytes that will lie at a known host address. Blocks have neither labels nor
//! relocations, so this is all that the assembler needs of its target, and the memory serves one block after
//! the other.

use dynasmrt::{AssemblyOffset, DynasmApi};
use std::ops::Deref;

/// Host code that is being written.
#[derive(Clone, Debug, Default)]
pub struct CodeBuffer {
    bytes: Vec<u8>,
    base: u64,
}

impl CodeBuffer {
    /// Starts again with code for host address `base`.
    pub fn restart(&mut self, base: u64) {
        self.bytes.clear();
        self.base = base;
    }

    /// Bytes so far.
    pub fn at(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// Host address of the next byte.
    pub fn here(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Adds bytes.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Replaces a byte that was written.
    pub fn set(&mut self, at: u32, value: u8) {
        if let Some(byte) = self.bytes.get_mut(at as usize) {
            *byte = value;
        }
    }
}

impl Deref for CodeBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Extend<u8> for CodeBuffer {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        self.bytes.extend(bytes);
    }
}

impl<'a> Extend<&'a u8> for CodeBuffer {
    fn extend<T: IntoIterator<Item = &'a u8>>(&mut self, bytes: T) {
        self.bytes.extend(bytes);
    }
}

impl DynasmApi for CodeBuffer {
    fn offset(&self) -> AssemblyOffset {
        AssemblyOffset(self.bytes.len())
    }

    fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn align(&mut self, alignment: usize, with: u8) {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), with);
    }
}
