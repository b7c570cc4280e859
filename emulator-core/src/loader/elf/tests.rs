//! Headers made to measure: one right, and then one thing wrong at a time.

use super::*;

const PF_RX: u32 = PF_R | PF_X;

/// A program header by its fields in the order of elf(5), without the physical address.
#[derive(Clone, Copy)]
struct Entry(u32, u32, u64, u64, u64, u64, u64);

/// Offsets of fields in the ELF header.
const E_TYPE: usize = 16;
const E_MACHINE: usize = 18;
const E_PHOFF: usize = 32;
const E_PHENTSIZE: usize = 54;
const E_PHNUM: usize = 56;

fn text() -> Entry {
    Entry(PT_LOAD, PF_RX, 0, 0x40_0000, 0x1800, 0x1800, PAGE)
}

fn data() -> Entry {
    Entry(PT_LOAD, PF_R | PF_W, 0x1800, 0x40_2800, 0x100, 0x5000, PAGE)
}

/// A file of 0x2000 bytes: header, these program headers, zeroes.
fn file(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![0; 0x2000];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(E_TYPE, &ET_EXEC.to_le_bytes());
    put(E_MACHINE, &EM_X86_64.to_le_bytes());
    put(24, &0x40_1000u64.to_le_bytes());
    put(E_PHOFF, &64u64.to_le_bytes());
    put(E_PHENTSIZE, &56u16.to_le_bytes());
    put(E_PHNUM, &(entries.len() as u16).to_le_bytes());
    for (n, &Entry(kind, flags, offset, vaddr, filesz, memsz, align)) in entries.iter().enumerate() {
        let at = 64 + 56 * n;
        put(at, &kind.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        for (k, field) in [offset, vaddr, vaddr, filesz, memsz, align].iter().enumerate() {
            put(at + 8 + 8 * k, &field.to_le_bytes());
        }
    }
    bytes
}

fn parse(entries: &[Entry]) -> Result<ElfImage, LoadError> {
    ElfImage::parse(&file(entries).as_slice())
}

fn patched(at: usize, bytes: &[u8]) -> Result<ElfImage, LoadError> {
    let mut file = file(&[text(), data()]);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    ElfImage::parse(&file.as_slice())
}

/// The name of the field that is found wrong.
fn wrong(result: Result<ElfImage, LoadError>) -> &'static str {
    match result {
        Err(LoadError::BadField { field, .. }) => field,
        other => panic!("a bad field expected: {other:?}"),
    }
}

#[test]
fn a_sound_program_is_described_in_full() {
    let image = parse(&[text(), data(), Entry(PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 16)]).unwrap();
    assert_eq!(image.kind, Kind::Static);
    assert_eq!(image.span, Span { start: 0x40_0000, end: 0x40_8000 });
    assert_eq!(image.entry, 0x40_1000);
    assert_eq!((image.program_headers, image.program_header_count), (Some(0x40_0040), 3));
    assert_eq!((image.align, image.executable_stack, image.interpreter), (PAGE, false, None));
    let Span { start, end } = image.segments[1].memory;
    assert_eq!((start, end, image.segments[1].file_end()), (0x40_2800, 0x40_7800, 0x40_2900));
    assert_eq!(image.segments[0].prot, Prot::READ_EXEC);
    assert_eq!(image.segments[1].prot, Prot::READ_WRITE);
}

#[test]
fn the_stack_is_executable_only_on_demand() {
    assert!(parse(&[text(), Entry(PT_GNU_STACK, 7, 0, 0, 0, 0, 16)]).unwrap().executable_stack);
    assert!(!parse(&[text()]).unwrap().executable_stack);
}

#[test]
fn kinds_follow_type_and_interpreter() {
    let mut bytes = file(&[text(), Entry(PT_INTERP, PF_R, 0x1000, 0x40_1000, 8, 8, 1)]);
    bytes[0x1000..0x1008].copy_from_slice(b"/ld.so\0\0");
    let image = ElfImage::parse(&bytes.as_slice()).unwrap();
    assert_eq!((image.kind, image.interpreter), (Kind::Dynamic, Some(b"/ld.so".to_vec())));
    bytes[E_TYPE] = ET_DYN as u8;
    assert_eq!(ElfImage::parse(&bytes.as_slice()).unwrap().kind, Kind::DynamicPie);
    assert_eq!(patched(E_TYPE, &[ET_DYN as u8]).unwrap().kind, Kind::StaticPie);
}

#[test]
fn foreign_machines_are_named() {
    for (machine, name) in [(183u16, "aarch64"), (243, "riscv"), (3, "i386"), (0xfefe, "machine 65278")] {
        let result = patched(E_MACHINE, &machine.to_le_bytes());
        assert_eq!(result, Err(LoadError::Foreign(name.into())));
    }
    assert!(matches!(patched(EI_CLASS, &[1]), Err(LoadError::Foreign(name)) if name.starts_with("x32")));
    assert!(matches!(patched(EI_DATA, &[2]), Err(LoadError::Foreign(_))));
}

#[test]
fn what_is_not_elf_is_told_from_what_is_cut_off() {
    for bytes in [&b""[..], b"\x7fEL", b"#!/bin/sh\n", b"MZ"] {
        assert_eq!(ElfImage::parse(&bytes), Err(LoadError::NotElf));
    }
    let bytes = file(&[text(), data()]);
    for (len, what) in [
        (5, "the ELF header"),
        (63, "the ELF header"),
        (64, "the program header table"),
        (175, "the program header table"),
        (0x1800, "a loadable segment"),
    ] {
        match ElfImage::parse(&&bytes[..len]) {
            Err(LoadError::Truncated { what: said, need, have }) => {
                assert_eq!((said, have), (what, len as u64));
                assert!(need > have);
            }
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[test]
fn impossible_header_fields_are_named() {
    assert_eq!(wrong(patched(EI_CLASS, &[9])), "e_ident[EI_CLASS]");
    assert_eq!(wrong(patched(EI_DATA, &[9])), "e_ident[EI_DATA]");
    assert_eq!(wrong(patched(E_TYPE, &[1])), "e_type");
    assert_eq!(wrong(patched(E_TYPE, &[4])), "e_type");
    assert_eq!(wrong(patched(E_PHENTSIZE, &[32])), "e_phentsize");
    assert_eq!(wrong(patched(E_PHNUM, &[0, 0])), "e_phnum");
    assert_eq!(wrong(patched(E_PHNUM, &[0xff, 0xff])), "e_phnum");
    assert_eq!(wrong(parse(&[Entry(PT_GNU_STACK, 6, 0, 0, 0, 0, 0)])), "e_phnum");
    assert!(matches!(patched(E_PHOFF, &[0xff; 8]), Err(LoadError::Truncated { .. })));
}

#[test]
fn impossible_segments_are_named_by_their_field() {
    let Entry(kind, flags, offset, vaddr, filesz, memsz, align) = data();
    let entry = |offset, vaddr, filesz, memsz, align| {
        wrong(parse(&[text(), Entry(kind, flags, offset, vaddr, filesz, memsz, align)]))
    };
    assert_eq!(entry(offset, vaddr, filesz, filesz - 1, align), "p_filesz");
    assert_eq!(entry(offset, vaddr, filesz, u64::MAX, align), "p_memsz");
    assert_eq!(entry(offset, vaddr, filesz, TASK_SIZE, align), "p_memsz");
    assert_eq!(entry(offset, u64::MAX - 0xfff, filesz, memsz, align), "p_memsz");
    assert_eq!(entry(u64::MAX - 7, vaddr, filesz, memsz, align), "p_offset");
    assert_eq!(entry(offset + 1, vaddr, filesz, memsz, align), "p_offset");
    assert_eq!(entry(offset, vaddr, filesz, memsz, 3 * PAGE), "p_align");
    assert_eq!(entry(offset, 0x40_0800, filesz, memsz, align), "p_vaddr");
    assert_eq!(entry(offset, 0x3f_0800, filesz, memsz, align), "p_vaddr");
}

#[test]
fn segments_may_share_a_page_but_no_byte() {
    let adjacent = Entry(PT_LOAD, PF_R, 0x1800, 0x40_1800, 0x100, 0x100, PAGE);
    assert_eq!(parse(&[text(), adjacent]).unwrap().segments.len(), 2);
    let overlapping = Entry(PT_LOAD, PF_R, 0x17ff, 0x40_17ff, 0x100, 0x100, PAGE);
    assert_eq!(wrong(parse(&[text(), overlapping])), "p_vaddr");
}

#[test]
fn an_interpreter_must_be_a_path() {
    let interp = |path: &[u8], len: u64| {
        let mut bytes = file(&[text(), Entry(PT_INTERP, PF_R, 0x1000, 0, len, len, 1)]);
        bytes[0x1000..0x1000 + path.len()].copy_from_slice(path);
        ElfImage::parse(&bytes.as_slice())
    };
    assert_eq!(interp(b"/a\0", 3).unwrap().interpreter.unwrap(), b"/a");
    for (path, len) in [(&b"/a"[..], 2), (b"\0\0", 2), (b"", 0), (b"\0", 1), (b"/a\0", 5000), (b"", 4096)] {
        assert_eq!(wrong(interp(path, len)), "p_filesz of PT_INTERP", "{path:?}");
    }
}
