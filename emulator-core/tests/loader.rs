//! The loader on the system's own programs, mapped for real.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use nix::errno::Errno;
use rxbox_emulator_core::guest::layout::{LOW, PAGE, Span, high, page_down, page_up};
use rxbox_emulator_core::guest::{AddressSpace, Limits, access};
use rxbox_emulator_core::host::map::HostMemory;
use rxbox_emulator_core::loader::elf::{ElfImage, Kind};
use rxbox_emulator_core::loader::stack::{Auxiliary, Strings};
use rxbox_emulator_core::loader::vdso::Vdso;
use rxbox_emulator_core::loader::{Executable, ImageFile, LoadError, Program, Start, load, resolve_scripts};

const LINKER: &str = "/lib64/ld-linux-x86-64.so.2";

fn open(path: impl AsRef<Path>) -> Result<ImageFile, Errno> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    let file = std::fs::File::open(&path).map_err(errno)?;
    ImageFile::new(OwnedFd::from(file), path.as_ref().as_os_str().as_encoded_bytes().to_vec())
}

fn open_bytes(path: &[u8]) -> Result<ImageFile, Errno> {
    open(std::str::from_utf8(path).map_err(|_| Errno::ENOENT)?)
}

/// A file with these bytes and no name.
fn anonymous_file(bytes: &[u8]) -> ImageFile {
    use std::io::Write;
    let fd = nix::sys::memfd::memfd_create("test", nix::sys::memfd::MFdFlags::empty()).unwrap();
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).unwrap();
    ImageFile::new(OwnedFd::from(file), b"/memfd:test".to_vec()).unwrap()
}

fn auxiliary() -> Auxiliary {
    Auxiliary { min_signal_stack: 2048, clock_ticks: 100, random: [7; 16], ..Auxiliary::default() }
}

fn start(space: &mut AddressSpace, file: ImageFile, seed: u64) -> Result<Start, LoadError> {
    let argv = [b"prog".to_vec(), b"arg".to_vec()];
    let envp = [b"A=b".to_vec()];
    let strings = Strings { argv: &argv, envp: &envp, path: b"/bin/prog" };
    let executable = Executable::check(file, open_bytes)?;
    load(space, &mut HostMemory, &Program { executable, strings, auxiliary: auxiliary(), seed })
}

/// A program in this process's own memory. Only one at a time, since fixed programs share addresses.
struct Loaded {
    space: AddressSpace,
    start: Start,
    _alone: MutexGuard<'static, ()>,
}

impl Loaded {
    fn new(path: &str) -> Loaded {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut space = AddressSpace::new(Limits::DEFAULT, 11);
        let start = start(&mut space, open(path).unwrap(), 42).unwrap();
        Loaded { space, start, _alone: alone }
    }

    /// The auxiliary vector.
    fn auxiliary(&self, key: u64) -> u64 {
        let span = self.start.auxiliary;
        let mut pairs = (span.start..span.end).step_by(16);
        let at = pairs.find(|&at| access::read_u64(at) == Ok(key)).unwrap();
        access::read_u64(at + 8).unwrap()
    }

    /// What the image of `path` must be in memory when it was moved by `bias`.
    fn check_image(&self, path: &str, bias: u64) {
        let file = std::fs::read(path).unwrap();
        let image = ElfImage::parse(&file.as_slice()).unwrap();
        for segment in &image.segments {
            let memory = segment.memory;
            let mut found = vec![0xaa; memory.len() as usize];
            access::copy_in(&mut found, memory.start.wrapping_add(bias)).unwrap();
            let mut wanted = vec![0; memory.len() as usize];
            let part = &file[segment.offset as usize..][..segment.file_len as usize];
            wanted[..part.len()].copy_from_slice(part);
            assert!(found == wanted, "{path} {memory:?}");
            for page in (page_down(memory.start)..memory.end).step_by(PAGE as usize) {
                let area = self.space.query(page.wrapping_add(bias)).unwrap();
                assert_eq!(area.prot, segment.prot);
            }
            if segment.prot.write && memory.len() > segment.file_len {
                let end = page_up(memory.end).unwrap();
                let mut rest = vec![0xaa; (end - memory.end) as usize];
                access::copy_in(&mut rest, memory.end.wrapping_add(bias)).unwrap();
                assert!(rest.iter().all(|&byte| byte == 0), "the last page is zero to its end");
            }
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let spans: Vec<Span> = self.space.areas().map(|area| area.span).collect();
        for span in spans {
            let change = self.space.unmap(&mut HostMemory, span.start, span.len());
            assert_eq!(change.result, Ok(()));
        }
    }
}

/// Host mappings in the guest's windows that can be executed.
fn executable_host_mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let lines = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|flags| flags.contains('x')));
    let starts = lines.filter_map(|line| u64::from_str_radix(line.split('-').next()?, 16).ok());
    starts.filter(|&start| LOW.contains(start) || high().contains(start)).count()
}

#[test]
fn a_dynamic_position_independent_program_is_loaded_low_with_its_linker() {
    let loaded = Loaded::new("/bin/true");
    let linker = ElfImage::parse(&std::fs::read(LINKER).unwrap().as_slice()).unwrap();
    let program = ElfImage::parse(&std::fs::read("/bin/true").unwrap().as_slice()).unwrap();
    assert_eq!(program.kind, Kind::DynamicPie);
    let base = loaded.auxiliary(libc::AT_BASE);
    assert_eq!(loaded.start.entry, base + linker.entry);
    let bias = loaded.auxiliary(libc::AT_ENTRY) - program.entry;
    loaded.check_image("/bin/true", bias);
    loaded.check_image(LINKER, base);
    assert!(LOW.encloses(loaded.start.image) && LOW.contains(base));
    assert_eq!(loaded.start.image.start, bias);
    assert_eq!(loaded.auxiliary(libc::AT_PHDR), bias + 64);
    assert_eq!(executable_host_mappings(), 0);
    assert!(loaded.space.exec_span(loaded.start.entry).is_some());
}

#[test]
fn a_static_program_is_loaded_at_its_own_addresses() {
    let loaded = Loaded::new("/usr/bin/busybox");
    let program = ElfImage::parse(&std::fs::read("/usr/bin/busybox").unwrap().as_slice()).unwrap();
    assert_eq!(program.kind, Kind::Static);
    assert_eq!((loaded.start.entry, loaded.start.image), (program.entry, program.span));
    assert_eq!(loaded.auxiliary(libc::AT_BASE), 0);
    loaded.check_image("/usr/bin/busybox", 0);
    assert_eq!(executable_host_mappings(), 0);
}

#[test]
fn a_dynamic_linker_is_a_program_too() {
    let loaded = Loaded::new(LINKER);
    loaded.check_image(LINKER, loaded.start.image.start);
    assert_eq!(loaded.auxiliary(libc::AT_BASE), 0);
}

#[test]
fn a_heap_starts_beyond_the_image_and_can_grow() {
    let mut loaded = Loaded::new("/bin/true");
    let heap = loaded.space.brk(&mut HostMemory, 0).result.unwrap();
    assert!(heap >= loaded.start.image.end);
    let wanted = heap + (64 << 20);
    assert_eq!(loaded.space.brk(&mut HostMemory, wanted).result, Ok(wanted));
    access::write_u64(wanted - 8, 5).unwrap();
}

#[test]
fn the_stack_holds_what_the_program_was_given_and_is_writable_far_down() {
    let loaded = Loaded::new("/bin/true");
    let sp = loaded.start.sp;
    assert_eq!(sp % 16, 0);
    assert_eq!(access::read_u64(sp), Ok(2));
    for (at, text) in [(sp + 8, &b"prog\0"[..]), (sp + 16, b"arg\0"), (sp + 32, b"A=b\0")] {
        let mut found = vec![0xaa; text.len()];
        access::copy_in(&mut found, access::read_u64(at).unwrap()).unwrap();
        assert_eq!(found, text);
    }
    assert_eq!(access::read_u64(sp + 24), Ok(0));
    access::write_u64(loaded.start.stack.start, 1).unwrap();
    assert_eq!(loaded.start.stack.len(), Limits::DEFAULT.stack);
    let maps = String::from_utf8(loaded.space.maps_text()).unwrap();
    assert!(maps.ends_with(" [stack]\n"), "{maps}");
}

#[test]
fn a_program_without_its_linker_says_which_is_missing() {
    let mut bytes = std::fs::read("/bin/true").unwrap();
    let at = bytes.windows(LINKER.len()).position(|window| window == LINKER.as_bytes()).unwrap();
    bytes[at + 1..at + 4].copy_from_slice(b"nix");
    let mut space = AddressSpace::new(Limits::DEFAULT, 0);
    let error = start(&mut space, anonymous_file(&bytes), 0).unwrap_err();
    assert_eq!(error.errno(), Errno::ENOENT);
    assert!(error.to_string().contains("/nix64/ld-linux-x86-64.so.2"), "{error}");
    assert_eq!(space.areas().count(), 0, "nothing was mapped");
}

#[test]
fn scripts_lead_to_their_interpreters_and_no_deeper_than_the_kernel_goes() {
    let chain = |depth: usize| {
        let opener = move |path: &[u8]| match path.strip_prefix(b"/s") {
            Some(digit) if digit == b"1" => open("/bin/true"),
            Some(digit) => Ok(anonymous_file(format!("#!/s{} -o\n", digit[0] - b'0' - 1).as_bytes())),
            None => Err(Errno::ENOENT),
        };
        let file = anonymous_file(format!("#!/s{depth}\n").as_bytes());
        resolve_scripts(file, b"./script", vec![b"x".to_vec(), b"arg".to_vec()], opener)
    };
    let one = chain(1).unwrap();
    assert_eq!(one.argv, [&b"/s1"[..], b"./script", b"arg"]);
    assert!(ElfImage::parse(&one.file).is_ok());
    assert_eq!(chain(2).unwrap().argv, [&b"/s1"[..], b"-o", b"/s2", b"./script", b"arg"]);
    assert!(chain(5).is_ok());
    assert_eq!(chain(6).unwrap_err(), LoadError::ScriptDepth);
    let missing = resolve_scripts(anonymous_file(b"#!/nowhere\n"), b"p", vec![], open_bytes);
    assert!(missing.unwrap_err().to_string().contains("/nowhere"));
}

#[test]
fn the_hosts_vdso_is_within_reach_of_guest_pointers_once_lent_and_stays_read_only() {
    let auxiliary = std::fs::read("/proc/self/auxv").unwrap();
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let mut pairs = auxiliary.chunks_exact(16).map(|pair| (word(&pair[..8]), word(&pair[8..])));
    let (_, header) = pairs.find(|&(key, _)| key == libc::AT_SYSINFO_EHDR).unwrap();
    let vdso = Vdso::find(&std::fs::read_to_string("/proc/self/maps").unwrap(), header).unwrap();
    let mut space = AddressSpace::new(Limits::DEFAULT, 0);
    assert!(access::read_u32(header).is_err());
    vdso.lend(&mut space).unwrap();
    assert_eq!(access::read_u32(header).map(u32::to_le_bytes), Ok(*b"\x7fELF"));
    assert!(access::write_u32(header, 0).is_err());
    assert!(space.exec_span(header).is_some());
    assert!(vdso.span().start < header, "its data come first");
    assert_eq!(vdso.lend(&mut space), Err(Errno::EINVAL));
}
