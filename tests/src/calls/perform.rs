//! Making the calls of a sequence and telling what they gave.

use super::arena::Arena;
use super::arguments::Sources;
use super::descriptors::Descriptors;
use super::memory::{ALL_PLACES, Call};
use super::shown;
use crate::random::Random;
use rxbox_wire::names;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// The largest file that a sequence may make, in bytes.
const FILE_SIZE: u64 = 1 << 20;
/// How many descriptors it may have.
const DESCRIPTORS: u64 = 256;
/// Seconds after which a sequence that waits is ended.
const PATIENCE: u32 = 3;
/// Signals that calls cause: they are counted.
const COUNTED: [i32; 4] = [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGIO, libc::SIGURG];

static COUNTS: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// Makes so many calls in the current folder, which is empty, and prints each with what it gave.
///
/// # Panics
/// If the sequence cannot be set up.
pub fn perform(seed: u64, count: usize) {
    bound();
    let arena = Arena::map(ALL_PLACES);
    let mut descriptors = Descriptors::prepare();
    let mut random = Random::seeded(seed);
    for number in 0..count {
        let call =
            Sources { random: &mut random, arena: &arena, descriptors: &descriptors, wrong: false }.call();
        let arguments: Vec<&str> = call.arguments.iter().map(|argument| argument.text.as_str()).collect();
        tell(&format!("{number} {}({}) = ", call.name, arguments.join(", ")));
        let result = make(&call);
        tell(&format!("{}\n", outcome(&call, result, &arena)));
        note(&call, result, &arena, &mut descriptors);
    }
    tell(&left(Path::new("."), &descriptors));
}

/// Writes a line; whoever reads it may have gone.
fn tell(text: &str) {
    // SAFETY: the bytes of a string.
    unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
}

extern "C" fn count_signal(signal: i32) {
    if let Some(at) = COUNTED.iter().position(|counted| *counted == signal) {
        COUNTS[at].fetch_add(1, Ordering::Relaxed);
    }
}

/// Bounds what the calls may do.
fn bound() {
    for (resource, limit) in
        [(libc::RLIMIT_FSIZE, FILE_SIZE), (libc::RLIMIT_NOFILE, DESCRIPTORS), (libc::RLIMIT_CORE, 0)]
    {
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: a limit that lives as long as the call.
        assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0, "a limit");
    }
    // SAFETY: the handler only counts; the other calls change what belongs to this process.
    unsafe {
        for signal in COUNTED {
            libc::signal(signal, count_signal as extern "C" fn(i32) as usize);
        }
        libc::umask(0o22);
        libc::alarm(PATIENCE);
    }
}

/// The result, or the error as a negative number.
fn make(call: &Call) -> i64 {
    let mut registers = [0; 6];
    for (register, argument) in registers.iter_mut().zip(&call.arguments) {
        *register = argument.register;
    }
    let [a, b, c, d, e, f] = registers;
    // SAFETY: the calls that are drawn change nothing that this program relies on: memory of the arena,
    // descriptors of the sequence, files of the current folder.
    match unsafe { libc::syscall(i64::from(call.row.nr), a, b, c, d, e, f) } {
        -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        result => result,
    }
}

/// What a call gave, as text.
fn outcome(call: &Call, result: i64, arena: &Arena) -> String {
    let error = || i32::try_from(-result).ok().and_then(names::errno).map(|(name, _)| name);
    let hidden = shown::NUMBERS.contains(&call.name.as_str());
    let mut text = match error().filter(|_| result < 0) {
        Some(name) => name.to_owned(),
        None if hidden => "…".to_owned(),
        None => result.to_string(),
    };
    for (at, len) in &call.written {
        let _ = write!(text, " {}", shown::of_memory(&call.name, &arena.get(*at, *len)));
    }
    for (signal, count) in COUNTED.iter().zip(&COUNTS) {
        match count.swap(0, Ordering::Relaxed) {
            0 => {}
            times => _ = write!(text, " signal {signal} {times} times"),
        }
    }
    text
}

/// Remembers the descriptors that a call has opened.
fn note(call: &Call, result: i64, arena: &Arena, descriptors: &mut Descriptors) {
    descriptors.note(result);
    if result == 0 && matches!(call.row.name, "pipe2" | "socketpair") {
        for (at, len) in &call.written {
            for number in arena.get(*at, *len).chunks_exact(4) {
                descriptors.note(i64::from(i32::from_le_bytes(number.try_into().expect("four bytes"))));
            }
        }
    }
}

/// What is left in a folder, and where the descriptors stand.
fn left(folder: &Path, descriptors: &Descriptors) -> String {
    let mut text = String::new();
    for number in descriptors.all() {
        // SAFETY: calls on numbers.
        let (at, flags) =
            unsafe { (libc::lseek(number, 0, libc::SEEK_CUR), libc::fcntl(number, libc::F_GETFL)) };
        let is_folder = fs::metadata(format!("/proc/self/fd/{number}")).is_ok_and(|status| status.is_dir());
        // Where a listing stands is the file system's affair.
        let at = if is_folder { 0 } else { at };
        let _ = writeln!(text, "descriptor {number} at {at} flags {flags:#x}");
    }
    files(folder, &mut text);
    text
}

fn files(folder: &Path, text: &mut String) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(status) = fs::symlink_metadata(&path) else { continue };
        let kind = status.file_type();
        let mode = status.permissions().mode();
        let content = match () {
            () if kind.is_file() => {
                fs::read(&path).map_or_else(|e| e.kind().to_string(), |bytes| shown::of_memory("", &bytes))
            }
            () if kind.is_symlink() => fs::read_link(&path).unwrap_or_default().display().to_string(),
            () if kind.is_fifo() || kind.is_socket() => "special".to_owned(),
            () => String::new(),
        };
        let _ = writeln!(text, "{} {mode:o} {content}", path.display());
        if kind.is_dir() {
            files(&path, text);
        }
    }
}
