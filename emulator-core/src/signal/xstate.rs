//! Extended state in a signal frame: XSAVE's standard form with the kernel's marks (Intel SDM 1, 13.4;
//! `arch/x86/include/uapi/asm/sigcontext.h`).
//!
//! The x87 part comes from the processor, which has kept the guest's all along; vector registers, opmasks and
//! MXCSR come from the CPU state. What comes back was in guest memory and is checked as the processor and the
//! kernel check it: what XRSTOR would refuse is refused, so that nothing reaches the processor that it would
//! fault on later.

use super::host::Legacy;
use crate::guest::access::Fault;
use crate::host::cpu::VectorKind;
use crate::runtime::state::{CpuState, INITIAL_MXCSR};
use nix::errno::Errno;

/// x87 and SSE, which every frame has.
const LEGACY: u64 = 3;
const AVX: u32 = 2;
const OPMASK: u32 = 5;
const ZMM_LOW: u32 = 6;
const ZMM_HIGH: u32 = 7;
/// The components that the runtime keeps besides, with their bytes.
const COMPONENTS: [(u32, usize); 4] = [(AVX, 256), (OPMASK, 64), (ZMM_LOW, 512), (ZMM_HIGH, 1024)];

/// Offset of the XSAVE header, behind the FXSAVE part.
const HEADER: usize = 512;
/// Smallest XSAVE area: FXSAVE part and header.
const SMALLEST: usize = HEADER + 64;
/// Offset of the 48 bytes for software in the FXSAVE part.
const SOFTWARE: usize = 464;
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
const ST: usize = 32;
const XMM: usize = 160;
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;
const MAGIC2_SIZE: usize = 4;
/// MXCSR bits of a processor that does not tell.
const DEFAULT_MXCSR_MASK: u32 = 0xffbf;
/// x87 control word of a process that starts.
const INITIAL_FCW: u16 = 0x37f;

/// Where the components lie, as the guest's cpuid says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    features: u64,
    offsets: [usize; 4],
    size: usize,
}

/// The extended state of a frame that comes back cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bad;

impl From<Fault> for Bad {
    fn from(_: Fault) -> Bad {
        Bad
    }
}

impl From<Errno> for Bad {
    fn from(_: Errno) -> Bad {
        Bad
    }
}

impl Layout {
    /// The layout of a processor with these features (XCR0); `leaf` gives sub-leaves of cpuid leaf 0xd.
    pub(super) fn new(xcr0: u64, leaf: impl Fn(u32) -> [u32; 4]) -> Layout {
        let mut layout = Layout { features: LEGACY, offsets: [0; 4], size: SMALLEST };
        for (slot, (n, bytes)) in layout.offsets.iter_mut().zip(COMPONENTS) {
            let [size, offset, ..] = leaf(n).map(|v| v as usize);
            if xcr0 >> n & 1 != 0 && size == bytes && (SMALLEST..0x1_0000).contains(&offset) {
                *slot = offset;
                layout.features |= 1 << n;
                layout.size = layout.size.max(offset + bytes);
            }
        }
        layout
    }

    /// Bytes in a frame.
    pub(super) fn frame_size(&self) -> usize {
        self.size + MAGIC2_SIZE
    }

    /// The components besides the legacy ones: number, offset, bytes.
    fn components(&self) -> impl Iterator<Item = (u32, usize, usize)> {
        let features = self.features;
        let all = COMPONENTS.into_iter().zip(self.offsets).map(|((n, bytes), at)| (n, at, bytes));
        all.filter(move |(n, ..)| features >> n & 1 != 0)
    }
}

/// The bytes for a frame.
pub(super) fn encode(cpu: &CpuState, x87: &Legacy, layout: &Layout) -> Vec<u8> {
    let mut area = vec![0; layout.frame_size()];
    area[..SOFTWARE].copy_from_slice(&x87.0[..SOFTWARE]);
    area[MXCSR..MXCSR + 4].copy_from_slice(&cpu.mxcsr.to_le_bytes());
    for (xmm, register) in area[XMM..XMM + 256].chunks_exact_mut(16).zip(&cpu.vectors) {
        xmm.copy_from_slice(&register[..16]);
    }
    let in_use = if cpu.vector_kind == VectorKind::Avx512 as u32 { cpu.in_use } else { u64::MAX };
    let mut present = LEGACY;
    for (n, at, bytes) in layout.components().filter(|(n, ..)| in_use >> n & 1 != 0) {
        present |= 1 << n;
        store(cpu, n, &mut area[at..at + bytes]);
    }
    area[HEADER..HEADER + 8].copy_from_slice(&present.to_le_bytes());
    let software = Software { magic: MAGIC1, features: layout.features, size: layout.size as u32 };
    area[SOFTWARE..HEADER].copy_from_slice(&software.encode());
    area[layout.size..].copy_from_slice(&MAGIC2.to_le_bytes());
    area
}

/// The bytes of NT_X86_XSTATE: as in a frame, with the features alone in the place of the marks (the kernel's
/// `xstate_fx_sw_bytes`).
pub(super) fn register_set(cpu: &CpuState, x87: &Legacy, layout: &Layout) -> Vec<u8> {
    let mut area = encode(cpu, x87, layout);
    area.truncate(layout.size);
    area[SOFTWARE..HEADER].fill(0);
    area[SOFTWARE..SOFTWARE + 8].copy_from_slice(&layout.features.to_le_bytes());
    area
}

/// Takes such bytes into the CPU state; the x87 part, unless the processor would not take them.
pub(super) fn take_register_set(
    cpu: &mut CpuState,
    layout: &Layout,
    bytes: &[u8],
    saved: &Legacy,
) -> Option<Legacy> {
    let mut area = bytes.get(..layout.size)?.to_vec();
    let software = Software { magic: MAGIC1, features: layout.features, size: layout.size as u32 };
    area[SOFTWARE..HEADER].copy_from_slice(&software.encode());
    area.extend(MAGIC2.to_le_bytes());
    let read = |at: u64, to: &mut [u8]| {
        let from = area.get(at as usize..).and_then(|rest| rest.get(..to.len())).ok_or(Bad)?;
        to.copy_from_slice(from);
        Ok(())
    };
    decode(cpu, layout, 0, mxcsr_mask(saved), read).ok()
}

/// Copies one component out of the CPU state.
fn store(cpu: &CpuState, n: u32, area: &mut [u8]) {
    match n {
        OPMASK => {
            for (word, mask) in area.chunks_exact_mut(8).zip(cpu.opmasks) {
                word.copy_from_slice(&mask.to_le_bytes());
            }
        }
        _ => {
            let (first, part) = registers(n);
            for (to, register) in area.chunks_exact_mut(part.len()).zip(&cpu.vectors[first..]) {
                to.copy_from_slice(&register[part.clone()]);
            }
        }
    }
}

/// Copies one component into the CPU state.
fn load(cpu: &mut CpuState, n: u32, area: &[u8]) {
    match n {
        OPMASK => {
            for (mask, word) in cpu.opmasks.iter_mut().zip(area.chunks_exact(8)) {
                *mask = u64_at(word, 0);
            }
        }
        _ => {
            let (first, part) = registers(n);
            for (register, from) in cpu.vectors[first..].iter_mut().zip(area.chunks_exact(part.len())) {
                register[part.clone()].copy_from_slice(from);
            }
        }
    }
}

/// First vector register and part of each register of a component.
fn registers(n: u32) -> (usize, std::ops::Range<usize>) {
    match n {
        AVX => (0, 16..32),
        ZMM_LOW => (0, 32..64),
        _ => (16, 0..64),
    }
}

/// Gives the CPU state the vector state of a program that starts.
pub(super) fn clear_vectors(cpu: &mut CpuState) {
    cpu.vectors = [[0; 64]; 32];
    cpu.opmasks = [0; 8];
    cpu.in_use = 0;
    cpu.mxcsr = INITIAL_MXCSR;
}

/// The x87 state of a program that starts, in an image whose other parts mean nothing.
pub(super) fn initial_x87() -> Legacy {
    let mut image = Legacy([0; 512]);
    image.0[0..2].copy_from_slice(&INITIAL_FCW.to_le_bytes());
    image
}

/// Reads the state at guest address `at` into the CPU state; returns the x87 part. `read` reads guest memory;
/// `mxcsr_mask` says which bits of MXCSR the processor has. The CPU state is unchanged unless all of it can
/// be taken.
///
/// # Errors
/// [`Bad`] where the kernel's sigreturn would fail.
pub(super) fn decode(
    cpu: &mut CpuState,
    layout: &Layout,
    at: u64,
    mxcsr_mask: u32,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), Bad>,
) -> Result<Legacy, Bad> {
    let mut legacy = [0; HEADER];
    read(at, &mut legacy)?;
    let Some(wanted) = Software::decode(&legacy).wanted(layout, at, &mut read)? else {
        return legacy_only(cpu, at, &legacy, mxcsr_mask);
    };
    // What follows is XRSTOR on the user's area; it raises #GP where this returns.
    if !at.is_multiple_of(64) {
        return Err(Bad);
    }
    let mut header = [0; 64];
    read(at.wrapping_add(HEADER as u64), &mut header)?;
    let present = u64_at(&header, 0);
    if present & !layout.features != 0 || header[8..24] != [0; 16] {
        return Err(Bad);
    }
    let vectors = wanted & (1 << 1 | 1 << AVX) != 0;
    let mxcsr = if vectors { mxcsr(&legacy, mxcsr_mask)? } else { INITIAL_MXCSR };
    let mut areas = [[0; 1024]; COMPONENTS.len()];
    let taken = present & wanted;
    for ((n, offset, bytes), area) in layout.components().zip(&mut areas) {
        if taken >> n & 1 != 0 {
            read(at.wrapping_add(offset as u64), &mut area[..bytes])?;
        }
    }
    clear_vectors(cpu);
    cpu.mxcsr = mxcsr;
    cpu.in_use = taken;
    if taken & 1 << 1 != 0 {
        load_xmm(cpu, &legacy);
    }
    for ((n, _, bytes), area) in layout.components().zip(&areas) {
        if taken >> n & 1 != 0 {
            load(cpu, n, &area[..bytes]);
        }
    }
    Ok(if taken & 1 != 0 { x87_of(&legacy) } else { initial_x87() })
}

/// A frame without valid marks is taken for the FXSAVE part alone.
fn legacy_only(cpu: &mut CpuState, at: u64, legacy: &[u8; HEADER], mxcsr_mask: u32) -> Result<Legacy, Bad> {
    if !at.is_multiple_of(16) {
        return Err(Bad);
    }
    let mxcsr = mxcsr(legacy, mxcsr_mask)?;
    clear_vectors(cpu);
    cpu.mxcsr = mxcsr;
    cpu.in_use = LEGACY;
    load_xmm(cpu, legacy);
    Ok(x87_of(legacy))
}

fn load_xmm(cpu: &mut CpuState, legacy: &[u8; HEADER]) {
    for (register, xmm) in cpu.vectors.iter_mut().zip(legacy[XMM..XMM + 256].chunks_exact(16)) {
        register[..16].copy_from_slice(xmm);
    }
}

/// The x87 part of an image.
fn x87_of(legacy: &[u8; HEADER]) -> Legacy {
    let mut image = Legacy([0; 512]);
    image.0[..MXCSR].copy_from_slice(&legacy[..MXCSR]);
    image.0[ST..XMM].copy_from_slice(&legacy[ST..XMM]);
    image
}

fn mxcsr(legacy: &[u8; HEADER], mask: u32) -> Result<u32, Bad> {
    let mxcsr = u32_at(legacy, MXCSR);
    if mxcsr & !mask == 0 { Ok(mxcsr) } else { Err(Bad) }
}

/// The MXCSR bits that the processor has, as it says in an image that it saved.
pub(super) fn mxcsr_mask(saved: &Legacy) -> u32 {
    match u32_at(&saved.0, MXCSR_MASK) {
        0 => DEFAULT_MXCSR_MASK,
        mask => mask,
    }
}

/// The kernel's `struct _fpx_sw_bytes`.
struct Software {
    magic: u32,
    features: u64,
    size: u32,
}

impl Software {
    fn encode(&self) -> [u8; HEADER - SOFTWARE] {
        let mut b = [0; HEADER - SOFTWARE];
        b[0..4].copy_from_slice(&self.magic.to_le_bytes());
        b[4..8].copy_from_slice(&(self.size + MAGIC2_SIZE as u32).to_le_bytes());
        b[8..16].copy_from_slice(&self.features.to_le_bytes());
        b[16..20].copy_from_slice(&self.size.to_le_bytes());
        b
    }

    fn decode(legacy: &[u8; HEADER]) -> Software {
        Software {
            magic: u32_at(legacy, SOFTWARE),
            features: u64_at(legacy, SOFTWARE + 8),
            size: u32_at(legacy, SOFTWARE + 16),
        }
        .if_consistent(u32_at(legacy, SOFTWARE + 4))
    }

    /// Without its magic if the sizes contradict each other.
    fn if_consistent(mut self, extended: u32) -> Software {
        if self.size > extended {
            self.magic = 0;
        }
        self
    }

    /// The components to restore, or `None` for the FXSAVE part alone.
    fn wanted(
        &self,
        layout: &Layout,
        at: u64,
        read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), Bad>,
    ) -> Result<Option<u64>, Bad> {
        if self.magic != MAGIC1 || !(SMALLEST..=layout.size).contains(&(self.size as usize)) {
            return Ok(None);
        }
        let mut magic = [0; MAGIC2_SIZE];
        read(at.wrapping_add(self.size.into()), &mut magic)?;
        Ok((u32::from_le_bytes(magic) == MAGIC2).then_some(self.features & layout.features))
    }
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| b[at + i]))
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| b[at + i]))
}
