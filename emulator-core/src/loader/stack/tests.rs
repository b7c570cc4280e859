//! A stack is read back as a program's start-up code reads it.

use super::*;

const TOP: u64 = 0x4fff_ffff_f000;
const ROOM: u64 = 8 << 20;

fn auxiliary() -> Auxiliary {
    Auxiliary {
        vdso: Some(0x7fff_0000),
        min_signal_stack: 3632,
        hwcap: 0x178b_fbff,
        hwcap2: 2,
        clock_ticks: 100,
        ids: [1000, 1001, 1002, 1003],
        secure: false,
        random: *b"0123456789abcdef",
    }
}

const PROGRAM: ProgramInfo = ProgramInfo {
    program_headers: 0x40_0040,
    program_header_size: 56,
    program_header_count: 9,
    base: 0x6fff_0000,
    entry: 0x40_1000,
};

fn strings(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn build_with(argv: &[Vec<u8>], envp: &[Vec<u8>], limit: u64, jitter: u64) -> Result<Stack, LoadError> {
    let strings = Strings { argv, envp, path: b"/bin/prog" };
    build(TOP, ROOM, limit, &strings, &PROGRAM, &auxiliary(), jitter)
}

/// The stack as memory.
struct Memory(Stack);

impl Memory {
    fn word(&self, at: u64) -> u64 {
        let from = (at - self.0.sp) as usize;
        u64::from_le_bytes(self.0.bytes[from..from + 8].try_into().unwrap())
    }

    fn text(&self, at: u64) -> Vec<u8> {
        let from = (at - self.0.sp) as usize;
        self.0.bytes[from..].iter().copied().take_while(|&byte| byte != 0).collect()
    }

    fn bytes(&self, span: Span) -> &[u8] {
        &self.0.bytes[(span.start - self.0.sp) as usize..(span.end - self.0.sp) as usize]
    }

    /// Strings behind pointers from `at` to a null, and the address after that.
    fn list(&self, mut at: u64) -> (Vec<Vec<u8>>, u64) {
        let mut found = Vec::new();
        while self.word(at) != 0 {
            found.push(self.text(self.word(at)));
            at += 8;
        }
        (found, at + 8)
    }

    fn vector(&self, at: u64) -> Vec<(u64, u64)> {
        let pairs = (at..).step_by(16).map(|at| (self.word(at), self.word(at + 8)));
        let mut pairs: Vec<_> = pairs.take_while(|&(key, _)| key != 0).collect();
        pairs.push((0, 0));
        pairs
    }
}

#[test]
fn a_program_finds_arguments_environment_and_vector() {
    let (argv, envp) = (strings(&["./prog", "", "-x"]), strings(&["A=1", "PATH=/bin"]));
    for jitter in [0, 1, 17, 8191, 8192, u64::MAX] {
        let memory = Memory(build_with(&argv, &envp, ROOM, jitter).unwrap());
        let sp = memory.0.sp;
        assert_eq!(sp % 16, 0);
        assert_eq!(sp + memory.0.bytes.len() as u64, TOP);
        assert_eq!(memory.word(sp), 3);
        let (found, next) = memory.list(sp + 8);
        assert_eq!(found, argv);
        let (found, next) = memory.list(next);
        assert_eq!(found, envp);
        assert_eq!(memory.0.auxiliary.start, next);
        let vector = memory.vector(next);
        assert_eq!(memory.0.auxiliary.len(), vector.len() as u64 * 16);
        let value = |key| vector.iter().find(|pair| pair.0 == key).unwrap().1;
        assert_eq!(memory.text(value(libc::AT_EXECFN)), b"/bin/prog");
        assert_eq!(memory.text(value(libc::AT_PLATFORM)), b"x86_64");
        let random = value(libc::AT_RANDOM);
        assert_eq!(memory.bytes(Span { start: random, end: random + 16 }), b"0123456789abcdef");
        assert_eq!(value(libc::AT_PHDR), 0x40_0040);
        assert_eq!(value(libc::AT_BASE), 0x6fff_0000);
        assert_eq!([value(libc::AT_UID), value(libc::AT_EGID)], [1000, 1003]);
    }
}

#[test]
fn proc_files_show_the_strings_in_one_piece() {
    let memory = Memory(build_with(&strings(&["a", "bc"]), &strings(&["X=y"]), ROOM, 5).unwrap());
    assert_eq!(memory.bytes(memory.0.arguments), b"a\0bc\0");
    assert_eq!(memory.bytes(memory.0.environment), b"X=y\0");
    assert_eq!(memory.0.environment.end, TOP - 8 - 10);
    assert_eq!(memory.word(TOP - 8), 0);
}

#[test]
fn the_vector_has_the_kernels_keys_in_the_kernels_order() {
    /// `AT_RSEQ_FEATURE_SIZE`, `AT_RSEQ_ALIGN`: restartable sequences are not offered.
    const RSEQ: [u64; 2] = [27, 28];
    let kernel = std::fs::read("/proc/self/auxv").unwrap();
    let keys = kernel.chunks_exact(16).map(|pair| u64::from_le_bytes(pair[..8].try_into().unwrap()));
    // Newer kernels add keys at the end of theirs.
    let known = auxiliary_vector(&PROGRAM, &auxiliary(), 1, 2, 3);
    let kernel: Vec<u64> = keys.filter(|key| !RSEQ.contains(key)).collect();
    let known: Vec<u64> = known.iter().map(|pair| pair.0).filter(|key| kernel.contains(key)).collect();
    let kernel: Vec<u64> = kernel.into_iter().filter(|key| known.contains(key)).collect();
    assert_eq!(known, kernel);
    assert!(known.len() >= 18);
}

#[test]
fn a_withheld_vdso_has_no_key() {
    let withheld = Auxiliary { vdso: None, ..auxiliary() };
    let vector = auxiliary_vector(&PROGRAM, &withheld, 1, 2, 3);
    assert!(vector.iter().all(|&(key, _)| key != libc::AT_SYSINFO_EHDR));
}

#[test]
fn no_arguments_become_one_empty_one() {
    let memory = Memory(build_with(&[], &[], ROOM, 0).unwrap());
    assert_eq!(memory.word(memory.0.sp), 1);
    assert_eq!(memory.list(memory.0.sp + 8).0, [b""]);
}

#[test]
fn limits_are_those_of_execve() {
    let too_long = |argv: &[Vec<u8>], limit| build_with(argv, &[], limit, 0).is_err();
    assert!(!too_long(&[vec![b'a'; MAX_STRING - 1]], ROOM));
    assert!(too_long(&[vec![b'a'; MAX_STRING]], ROOM));
    let many = |kib: usize| vec![vec![b'a'; 1023 - 8]; kib];
    assert!(!too_long(&many(2047), ROOM));
    assert!(too_long(&many(2048), ROOM), "a quarter of the stack, pointers included");
    assert!(!too_long(&many(127), 4096), "128 KiB always");
    assert!(too_long(&many(129), 4096));
    assert!(!too_long(&many(6143), u64::MAX));
    assert!(too_long(&many(6145), u64::MAX), "6 MiB at most");
}

#[test]
fn strings_that_do_not_fit_into_the_memory_there_is_are_refused() {
    let argv = vec![vec![b'a'; 1000]; 200];
    let strings = Strings { argv: &argv, envp: &[], path: b"p" };
    let result = build(TOP, 128 << 10, ROOM, &strings, &PROGRAM, &auxiliary(), 0);
    assert_eq!(result, Err(LoadError::ArgumentsTooLong));
}
