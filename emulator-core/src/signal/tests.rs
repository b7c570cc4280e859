//! The frame against the kernel's own, and against hostile ones.

use super::frame::{self, Frame, LastTrap, Registers, Returned};
use super::host::Legacy;
use super::info::SigInfo;
use super::stack::AlternateStack;
use super::xstate::{self, Bad, Layout};
use crate::base::sigset::SigSet;
use crate::host::cpu::VectorKind;
use crate::runtime::state::{CpuState, INITIAL_MXCSR};
use rxbox_tests::random::Random;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// The components that a guest may have.
const GUEST_FEATURES: u64 = 0xe7;
const MXCSR_MASK: u32 = 0xffff;
/// Where the area of the tests lies in a pretended guest memory.
const AT: u64 = 0x10_0000;

fn leaf(n: u32) -> [u32; 4] {
    let r = __cpuid_count(0xd, n);
    [r.eax, r.ebx, r.ecx, r.edx]
}

fn host_features() -> u64 {
    // SAFETY: the runtime needs FSGSBASE, and processors with it have XSAVE.
    unsafe { xgetbv() & GUEST_FEATURES }
}

#[target_feature(enable = "xsave")]
unsafe fn xgetbv() -> u64 {
    // SAFETY: the caller knows that the processor has it.
    unsafe { _xgetbv(0) }
}

fn host_layout() -> Layout {
    Layout::new(host_features(), leaf)
}

/// A layout with everything, wherever the tests run: the offsets of a Zen 4.
fn full_layout() -> Layout {
    Layout::new(GUEST_FEATURES, |n| match n {
        2 => [256, 576, 0, 0],
        5 => [64, 832, 0, 0],
        6 => [512, 896, 0, 0],
        7 => [1024, 1408, 0, 0],
        _ => [0; 4],
    })
}

fn fill(random: &mut Random, bytes: &mut [u8]) {
    bytes.fill_with(|| random.byte());
}

/// A state with random content everywhere.
fn any_cpu(random: &mut Random) -> CpuState {
    let mut cpu = CpuState::new();
    cpu.vector_kind = VectorKind::Avx512 as u32;
    cpu.vectors.iter_mut().for_each(|v| fill(random, v));
    cpu.opmasks = std::array::from_fn(|_| random.next());
    cpu.mxcsr = random.next() as u32 & MXCSR_MASK;
    cpu.in_use = GUEST_FEATURES;
    cpu
}

fn any_x87(random: &mut Random) -> Legacy {
    let mut image = Legacy([0; 512]);
    fill(random, &mut image.0);
    image
}

/// Reads pretended guest memory that holds `area` at [`AT`] and nothing else.
fn reader(area: &[u8], base: u64) -> impl FnMut(u64, &mut [u8]) -> Result<(), Bad> {
    move |at, to| {
        let from = usize::try_from(at.wrapping_sub(base)).map_err(|_| Bad)?;
        let end = from.checked_add(to.len()).ok_or(Bad)?;
        to.copy_from_slice(area.get(from..end).ok_or(Bad)?);
        Ok(())
    }
}

fn decode(cpu: &mut CpuState, layout: &Layout, area: &[u8]) -> Result<Legacy, Bad> {
    xstate::decode(cpu, layout, AT, MXCSR_MASK, reader(area, AT))
}

#[derive(Clone)]
struct Captured {
    frame: [u8; frame::SIZE],
    at: u64,
    xstate: Vec<u8>,
}

/// Lets the kernel deliver a signal to a plain handler and gives the frame that it built.
fn kernels_frame() -> Captured {
    struct Shared(UnsafeCell<([u8; frame::SIZE], u64, [u8; 16384])>);
    // SAFETY: written by a handler on one thread, and read there once `DONE` says so.
    unsafe impl Sync for Shared {}
    static FRAME: Shared = Shared(UnsafeCell::new(([0; frame::SIZE], 0, [0; 16384])));
    static DONE: AtomicBool = AtomicBool::new(false);

    extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        let start = context as u64 - frame::UCONTEXT as u64;
        // SAFETY: the kernel's frame lies around the context, and the handler runs once at a time.
        unsafe {
            let shared = &mut *FRAME.0.get();
            let context = &*context.cast::<libc::ucontext_t>();
            shared.0 = (start as *const [u8; frame::SIZE]).read();
            shared.1 = start;
            let xstate = context.uc_mcontext.fpregs.cast::<u8>();
            let size = xstate.byte_add(468).cast::<u32>().read_unaligned() as usize;
            std::ptr::copy_nonoverlapping(xstate, shared.2.as_mut_ptr(), size.min(16384));
        }
        DONE.store(true, Ordering::SeqCst);
    }

    let signal = libc::SIGRTMIN() + 7;
    // SAFETY: installs a handler that only copies memory, and raises its signal in this thread.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
        assert_eq!(libc::raise(signal), 0);
        assert!(DONE.load(Ordering::SeqCst));
        let shared = &*FRAME.0.get();
        let size = u32::from_le_bytes(std::array::from_fn(|i| shared.2[468 + i])) as usize;
        Captured { frame: shared.0, at: shared.1, xstate: shared.2[..size].to_vec() }
    }
}

/// The kernel's area without components that lie behind all of a guest's: where the processor has such, the
/// area is longer than any that a guest gets.
fn as_for_a_guest(mut area: Vec<u8>, layout: &Layout) -> Vec<u8> {
    let size = layout.frame_size();
    if area.len() > size {
        area.truncate(size);
        area[468..472].copy_from_slice(&(size as u32).to_le_bytes());
        area[480..484].copy_from_slice(&(size as u32 - 4).to_le_bytes());
        area[size - 4..].copy_from_slice(&0x4650_5845u32.to_le_bytes());
        for at in [472, 512] {
            let set = u64::from_le_bytes(std::array::from_fn(|i| area[at + i])) & GUEST_FEATURES;
            area[at..at + 8].copy_from_slice(&set.to_le_bytes());
        }
    }
    area
}

#[test]
fn frame_and_extended_state_are_laid_out_as_the_kernel_does() {
    /// What stays as the stack was: `__reserved1` of the kernel's `struct sigcontext_64`, and what is behind
    /// `ss_flags` of the `stack_t`.
    const RESERVED: std::ops::Range<usize> = frame::UCONTEXT + 232..frame::UCONTEXT + 296;
    const PADDING: std::ops::Range<usize> = frame::UCONTEXT + 28..frame::UCONTEXT + 32;
    let mut kernel = kernels_frame();
    kernel.frame[RESERVED].fill(0);
    kernel.frame[PADDING].fill(0);
    let uc: &[u8; frame::UCONTEXT_SIZE] = kernel.frame[frame::UCONTEXT..frame::INFO].try_into().unwrap();
    let returned = Returned::decode(uc);
    assert!(returned.segments_valid);
    assert_eq!(kernel.at % 16, 8);
    assert_eq!(returned.xstate % 64, 0);
    assert!(kernel.at < returned.registers.gpr[4] && returned.xstate > kernel.at);

    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| uc[at + i]));
    let info = SigInfo::received(kernel.frame[frame::INFO..].try_into().unwrap());
    let frame = Frame {
        restorer: u64::from_le_bytes(std::array::from_fn(|i| kernel.frame[i])),
        registers: &returned.registers,
        stack: returned.stack,
        trap: LastTrap { number: word(200), error_code: word(192), cr2: word(216) },
        mask: returned.mask,
        xstate: returned.xstate,
        info: &info,
    };
    assert_eq!(frame.encode(), kernel.frame);

    let layout = host_layout();
    let mut cpu = CpuState::new();
    cpu.vector_kind = VectorKind::Avx512 as u32;
    let mask = xstate::mxcsr_mask(&Legacy::save());
    let shown = as_for_a_guest(kernel.xstate.clone(), &layout);
    let x87 = xstate::decode(&mut cpu, &layout, AT, mask, reader(&shown, AT)).unwrap();
    let mut mine = xstate::encode(&cpu, &x87, &layout);
    let mut theirs = kernel.xstate.clone();
    // The address of the last x87 instruction is hidden, the processor's MXCSR mask and the unused bytes are
    // not restored.
    for area in [&mut mine, &mut theirs] {
        area[8..16].fill(0);
        area[28..32].fill(0);
        area[416..464].fill(0);
    }
    // This machine may have more components than a guest knows; the sizes then differ, and with them the end.
    if theirs[472..480] == mine[472..480] {
        assert_eq!(mine[464..484], theirs[464..484]);
        assert_eq!(mine.len(), theirs.len());
        assert_eq!(mine[mine.len() - 4..], theirs[theirs.len() - 4..]);
    }
    assert_eq!(mine[..464], theirs[..464]);
    let end = layout.frame_size() - 4;
    let present = u64::from_le_bytes(std::array::from_fn(|i| mine[512 + i]));
    assert_eq!(present, u64::from(theirs[512]) & GUEST_FEATURES);
    assert_eq!(mine[576..end], theirs[576..end]);
}

#[test]
fn every_register_comes_back_as_it_went() {
    let mut random = Random::new(1);
    for _ in 0..64 {
        let registers = Registers {
            gpr: std::array::from_fn(|_| random.next()),
            pc: random.next(),
            rflags: random.next(),
        };
        let info = SigInfo::fault(libc::SIGSEGV, 1, random.next());
        let stack = AlternateStack { base: random.next(), flags: random.next() as u32, size: random.next() };
        let mask = SigSet(random.next()).minus(SigSet::UNBLOCKABLE);
        let trap = LastTrap { number: 14, error_code: 6, cr2: random.next() };
        let xstate = random.next();
        let bytes =
            Frame { restorer: 1, registers: &registers, stack, trap, mask, xstate, info: &info }.encode();
        let returned = Returned::decode(bytes[frame::UCONTEXT..frame::INFO].try_into().unwrap());
        assert_eq!(returned, Returned { registers, stack, mask, xstate, segments_valid: true });
    }
}

#[test]
fn vector_and_x87_state_come_back_as_they_went() {
    let mut random = Random::new(2);
    for layout in [host_layout(), full_layout()] {
        for _ in 0..32 {
            let (cpu, x87) = (any_cpu(&mut random), any_x87(&mut random));
            let area = xstate::encode(&cpu, &x87, &layout);
            let mut back = any_cpu(&mut random);
            let x87_back = decode(&mut back, &layout, &area).unwrap();
            for part in [0..8, 16..24, 32..160] {
                assert_eq!(x87_back.0[part.clone()], x87.0[part]);
            }
            assert_eq!(back.mxcsr, cpu.mxcsr);
            assert_eq!(xstate::encode(&back, &x87, &layout), area);
            if layout == full_layout() {
                assert_eq!((back.vectors, back.opmasks), (cpu.vectors, cpu.opmasks));
            }
        }
    }
}

#[test]
fn stale_upper_halves_are_neither_shown_nor_kept() {
    let mut random = Random::new(4);
    let layout = full_layout();
    let mut cpu = any_cpu(&mut random);
    cpu.in_use = 3;
    let area = xstate::encode(&cpu, &any_x87(&mut random), &layout);
    assert_eq!(area[512..520], 3u64.to_le_bytes());
    assert!(area[576..layout.frame_size() - 4].iter().all(|&b| b == 0));
    let mut back = any_cpu(&mut random);
    decode(&mut back, &layout, &area).unwrap();
    for (back, gone) in back.vectors.iter().zip(&cpu.vectors).take(16) {
        assert_eq!((&back[..16], &back[16..]), (&gone[..16], &[0; 48][..]));
    }
    assert_eq!((&back.vectors[16..], back.opmasks), (&[[0; 64]; 16][..], [0; 8]));
}

/// Damages a valid area.
type Spoil = fn(&mut Vec<u8>);

/// An area that is valid but for what `spoil` does to it.
fn spoiled(spoil: impl FnOnce(&mut Vec<u8>)) -> (CpuState, Result<Legacy, Bad>) {
    let mut random = Random::new(5);
    let mut area = xstate::encode(&any_cpu(&mut random), &any_x87(&mut random), &full_layout());
    spoil(&mut area);
    let mut cpu = any_cpu(&mut random);
    let result = decode(&mut cpu, &full_layout(), &area);
    (cpu, result)
}

#[test]
fn what_xrstor_would_refuse_is_refused_and_changes_nothing() {
    let bad: [(&str, Spoil); 7] = [
        ("unknown component", |a| a[513] = 0x02),
        ("system component", |a| a[512] |= 0x08),
        ("compacted form", |a| a[527] = 0x80),
        ("reserved header bytes", |a| a[530] = 1),
        ("reserved MXCSR bit", |a| a[26] = 1),
        ("cut off after the header", |a| a.truncate(600)),
        ("cut off in the legacy part", |a| a.truncate(500)),
    ];
    for (what, spoil) in bad {
        let (cpu, result) = spoiled(spoil);
        assert_eq!(result.err(), Some(Bad), "{what}");
        let (untouched, _) = spoiled(|a| a.clear());
        assert_eq!((cpu.vectors, cpu.mxcsr), (untouched.vectors, untouched.mxcsr), "{what}");
    }
}

#[test]
fn without_valid_marks_the_legacy_part_alone_is_taken() {
    let spoils: [Spoil; 6] = [
        |a| a[464] ^= 1,
        |a| a[480..484].copy_from_slice(&100u32.to_le_bytes()),
        |a| a[480..484].copy_from_slice(&0x10_0000u32.to_le_bytes()),
        |a| a[468..472].copy_from_slice(&600u32.to_le_bytes()),
        |a| *a.last_mut().unwrap() ^= 1,
        |a| {
            a[464] = 0;
            a.truncate(512);
        },
    ];
    for spoil in spoils {
        let (cpu, result) = spoiled(spoil);
        assert!(result.is_ok());
        assert!(cpu.vectors.iter().all(|v| v[16..] == [0; 48]), "only the legacy part");
        assert!(cpu.vectors[..16].iter().all(|v| v[..16] != [0; 16]));
    }
}

#[test]
fn components_that_are_not_asked_for_or_not_there_get_their_initial_state() {
    let (cpu, result) = spoiled(|a| a[472..480].copy_from_slice(&(0x83u64).to_le_bytes()));
    assert!(result.is_ok());
    assert_eq!((&cpu.vectors[0][16..], cpu.opmasks), (&[0; 48][..], [0; 8]));
    assert_ne!(cpu.vectors[16], [0; 64]);
    let (cpu, result) = spoiled(|a| a[512] = 0);
    assert_eq!(cpu.vectors, [[0; 64]; 32]);
    assert_eq!(result.unwrap().0[..2], 0x37fu16.to_le_bytes());
    let (cpu, _) = spoiled(|a| a[472..480].copy_from_slice(&1u64.to_le_bytes()));
    assert_eq!(cpu.mxcsr, INITIAL_MXCSR);
}

#[test]
fn misaligned_state_is_refused_as_the_processor_does() {
    let mut random = Random::new(6);
    let area = xstate::encode(&any_cpu(&mut random), &any_x87(&mut random), &full_layout());
    let mut cpu = any_cpu(&mut random);
    for offset in 1..64 {
        let at = AT + offset;
        let result = xstate::decode(&mut cpu, &full_layout(), at, MXCSR_MASK, reader(&area, at));
        assert_eq!(result.err(), Some(Bad), "offset {offset}");
        let result = xstate::decode(&mut cpu, &full_layout(), at, MXCSR_MASK, reader(&area[..512], at));
        assert_eq!(result.err(), Some(Bad), "offset {offset}, no second mark to read");
    }
    let mut plain = area.clone();
    plain[464..484].fill(0);
    for (offset, taken) in [(0, true), (8, false), (16, true), (17, false), (48, true)] {
        let at = AT + offset;
        let result = xstate::decode(&mut cpu, &full_layout(), at, MXCSR_MASK, reader(&plain, at));
        assert_eq!(result.is_ok(), taken, "offset {offset}");
    }
}

#[test]
fn random_areas_at_random_addresses_never_leave_invalid_state() {
    let mut random = Random::new(7);
    let valid = xstate::encode(&any_cpu(&mut random), &any_x87(&mut random), &full_layout());
    for round in 0..4000 {
        let mut area = valid.clone();
        let spread = if round % 2 == 0 { area.len() as u64 } else { 80 };
        for _ in 0..random.next() % 12 {
            let at = if spread == 80 { 464 + random.next() % spread } else { random.next() % spread };
            area[at as usize] = random.byte();
        }
        area.truncate(random.index(4000));
        let mut cpu = any_cpu(&mut random);
        let at = if round % 5 == 0 { random.next() } else { AT };
        let _ = xstate::decode(&mut cpu, &full_layout(), at, MXCSR_MASK, reader(&area, at));
        assert_eq!(cpu.mxcsr & !MXCSR_MASK, 0);
    }
}

#[test]
fn foreign_segments_do_not_come_back() {
    let registers = Registers::default();
    let info = SigInfo::fault(1, 0, 0);
    let frame = Frame {
        restorer: 0,
        registers: &registers,
        stack: AlternateStack::default(),
        trap: LastTrap::default(),
        mask: SigSet::EMPTY,
        xstate: 0,
        info: &info,
    };
    let with = |cs: u16, ss: u16, flags: u8| {
        let mut uc: [u8; frame::UCONTEXT_SIZE] =
            frame.encode()[frame::UCONTEXT..frame::INFO].try_into().unwrap();
        uc[0] = flags;
        uc[184..186].copy_from_slice(&cs.to_le_bytes());
        uc[190..192].copy_from_slice(&ss.to_le_bytes());
        Returned::decode(&uc).segments_valid
    };
    assert!(with(0x33, 0x2b, 7) && with(0x30, 0x28, 7), "the privilege level is forced");
    assert!(with(0x33, 0, 3), "a stack segment is only looked at if asked for");
    for (cs, ss) in [(0x23, 0x2b), (0x10, 0x2b), (0, 0x2b), (0x33, 0), (0x33, 0x33), (0xffff, 0xffff)] {
        assert!(!with(cs, ss, 7), "{cs:#x} {ss:#x}");
    }
}
