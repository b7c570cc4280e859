//! The initial stack: what a program finds above its stack pointer.
//!
//! From high to low, as Linux lays it out (and `/proc/self/cmdline` readers, setproctitle and sanitizers rely
//! on it): a null word, the path of the program, the environment's strings, the arguments' strings, a random
//! gap, the platform's name, 16 random bytes, alignment, and at the stack pointer, 16-byte aligned: argc,
//! argv, NULL, envp, NULL, auxiliary vector.

use super::error::LoadError;
use crate::guest::layout::{PAGE, Span};

/// Longest argument or environment string, NUL included (`MAX_ARG_STRLEN`).
pub const MAX_STRING: usize = 128 * 1024;
/// Size of all arguments and environment that is allowed however small the stack is (`ARG_MAX`).
const MIN_STRINGS: u64 = 128 * 1024;
/// Their largest size however large the stack is: three quarters of the customary 8 MiB.
const MAX_STRINGS: u64 = 6 << 20;
/// Random gap between strings and vector, exclusive bound.
const MAX_JITTER: u64 = 8192;
/// `AT_PLATFORM`.
const PLATFORM: &[u8] = b"x86_64\0";
/// Bytes of a word.
const WORD: u64 = 8;

/// What the auxiliary vector says of identity and machine (getauxval(3)).
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Auxiliary {
    /// `AT_SYSINFO_EHDR`: address of the vDSO; `None` withholds it.
    pub vdso: Option<u64>,
    /// `AT_MINSIGSTKSZ`: bytes of a signal frame.
    pub min_signal_stack: u64,
    /// `AT_HWCAP`: cpuid leaf 1, edx.
    pub hwcap: u64,
    /// `AT_HWCAP2`.
    pub hwcap2: u64,
    /// `AT_CLKTCK`: units of times(2) per second.
    pub clock_ticks: u64,
    /// `AT_UID`, `AT_EUID`, `AT_GID`, `AT_EGID`.
    pub ids: [u32; 4],
    /// `AT_SECURE`: privileges were raised.
    pub secure: bool,
    /// `AT_RANDOM`: seed of stack protectors and the like.
    pub random: [u8; 16],
}

/// What the auxiliary vector says of the loaded program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProgramInfo {
    /// `AT_PHDR`, 0 if they are not in memory.
    pub program_headers: u64,
    /// `AT_PHENT`
    pub program_header_size: u64,
    /// `AT_PHNUM`
    pub program_header_count: u64,
    /// `AT_BASE`: where the dynamic linker is, 0 if there is none.
    pub base: u64,
    /// `AT_ENTRY`: the program's own entry.
    pub entry: u64,
}

/// Strings for the program.
#[derive(Clone, Copy, Debug)]
pub struct Strings<'a> {
    /// Arguments.
    pub argv: &'a [Vec<u8>],
    /// Environment.
    pub envp: &'a [Vec<u8>],
    /// `AT_EXECFN`: the path given to execve(2).
    pub path: &'a [u8],
}

/// A finished stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stack {
    /// The stack pointer.
    pub sp: u64,
    /// The bytes from `sp` to the top.
    pub bytes: Vec<u8>,
    /// Where the arguments' strings are: the contents of `/proc/self/cmdline`.
    pub arguments: Span,
    /// Where the environment's strings are: the contents of `/proc/self/environ`.
    pub environment: Span,
    /// Where the auxiliary vector is: the contents of `/proc/self/auxv`.
    pub auxiliary: Span,
}

/// Builds the stack below `top` (page aligned), which has `room` bytes of memory; `limit` is `RLIMIT_STACK`.
/// The low bits of `jitter` choose the random gap.
///
/// # Errors
/// [`LoadError::ArgumentsTooLong`] beyond the limits of execve(2): 128 KiB for a string, a quarter of the
/// stack for all.
pub fn build(
    top: u64,
    room: u64,
    limit: u64,
    strings: &Strings<'_>,
    program: &ProgramInfo,
    aux: &Auxiliary,
    jitter: u64,
) -> Result<Stack, LoadError> {
    let empty = [Vec::new()];
    // A program can rely on argv[0]: Linux makes an empty list into an empty string.
    let argv: &[Vec<u8>] = if strings.argv.is_empty() { &empty } else { strings.argv };
    let strings = Strings { argv, ..*strings };
    check_limits(&strings, room, limit)?;
    let path_at = top - WORD - strings.path.len() as u64 - 1;
    let environment = Span { start: path_at - size_of_strings(strings.envp), end: path_at };
    let arguments = Span { start: environment.start - size_of_strings(argv), end: environment.start };
    let platform_at = ((arguments.start - jitter % MAX_JITTER) & !15) - PLATFORM.len() as u64;
    let random_at = platform_at - aux.random.len() as u64;

    let vector = auxiliary_vector(program, aux, random_at, path_at, platform_at);
    let mut words = vec![argv.len() as u64];
    words.extend(addresses(argv, arguments.start).chain([0]));
    words.extend(addresses(strings.envp, environment.start).chain([0]));
    let vector_word = words.len() as u64;
    words.extend(vector.iter().flat_map(|&(key, value)| [key, value]));
    let sp = (random_at - words.len() as u64 * WORD) & !15;

    let mut bytes = vec![0; (top - sp) as usize];
    let mut put = |at: u64, text: &[u8]| {
        let from = (at - sp) as usize;
        bytes[from..from + text.len()].copy_from_slice(text);
    };
    words.iter().zip((sp..).step_by(WORD as usize)).for_each(|(word, at)| put(at, &word.to_le_bytes()));
    put(random_at, &aux.random);
    put(platform_at, PLATFORM);
    addresses(argv, arguments.start).zip(argv).for_each(|(at, text)| put(at, text));
    addresses(strings.envp, environment.start).zip(strings.envp).for_each(|(at, text)| put(at, text));
    put(path_at, strings.path);
    let auxiliary = Span { start: sp + vector_word * WORD, end: sp + words.len() as u64 * WORD };
    Ok(Stack { sp, bytes, arguments, environment, auxiliary })
}

fn size_of_strings(strings: &[Vec<u8>]) -> u64 {
    strings.iter().map(|text| text.len() as u64 + 1).sum()
}

/// Where each string is if they follow each other from `start`, NULs between.
fn addresses(strings: &[Vec<u8>], start: u64) -> impl Iterator<Item = u64> {
    strings.iter().scan(start, |next, text| {
        let at = *next;
        *next += text.len() as u64 + 1;
        Some(at)
    })
}

fn check_limits(strings: &Strings<'_>, room: u64, limit: u64) -> Result<(), LoadError> {
    let all = strings.argv.iter().chain(strings.envp);
    let too_long = all.clone().any(|text| text.len() >= MAX_STRING) || strings.path.len() >= PAGE as usize;
    let allowed = (limit / 4).clamp(MIN_STRINGS, MAX_STRINGS);
    let pointers = (strings.argv.len() + strings.envp.len()) as u64 * WORD;
    let text = size_of_strings(strings.argv) + size_of_strings(strings.envp) + strings.path.len() as u64 + 1;
    // Beside strings and pointers: the random gap, the vector, and a page for the program to start with.
    let needed = text + pointers + MAX_JITTER + 2 * PAGE;
    let too_much = pointers.saturating_add(text) > allowed || needed > room;
    if too_long || too_much { Err(LoadError::ArgumentsTooLong) } else { Ok(()) }
}

/// Keys and values in the kernel's order, the end mark included.
fn auxiliary_vector(
    program: &ProgramInfo,
    aux: &Auxiliary,
    random_at: u64,
    path_at: u64,
    platform_at: u64,
) -> Vec<(u64, u64)> {
    let [uid, euid, gid, egid] = aux.ids.map(u64::from);
    let vdso = aux.vdso.map(|address| (libc::AT_SYSINFO_EHDR, address));
    let rest = [
        (libc::AT_MINSIGSTKSZ, aux.min_signal_stack),
        (libc::AT_HWCAP, aux.hwcap),
        (libc::AT_PAGESZ, PAGE),
        (libc::AT_CLKTCK, aux.clock_ticks),
        (libc::AT_PHDR, program.program_headers),
        (libc::AT_PHENT, program.program_header_size),
        (libc::AT_PHNUM, program.program_header_count),
        (libc::AT_BASE, program.base),
        (libc::AT_FLAGS, 0),
        (libc::AT_ENTRY, program.entry),
        (libc::AT_UID, uid),
        (libc::AT_EUID, euid),
        (libc::AT_GID, gid),
        (libc::AT_EGID, egid),
        (libc::AT_SECURE, aux.secure.into()),
        (libc::AT_RANDOM, random_at),
        (libc::AT_HWCAP2, aux.hwcap2),
        (libc::AT_EXECFN, path_at),
        (libc::AT_PLATFORM, platform_at),
        (libc::AT_NULL, 0),
    ];
    vdso.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests;
