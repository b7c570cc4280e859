//! From the bytes of an ELF file to what has to be mapped.
//!
//! The bytes are hostile. Everything that later stages compute with is checked here once, so that an
//! [`ElfImage`] can be placed without further doubt:
//! - segments ascend and do not overlap, and lie in user space with their ends, so no sum of their fields
//!   wraps;
//! - each segment's file part is within the file and no longer than its memory;
//! - address and file offset agree modulo the page, so that the file can be mapped;
//! - the alignment is a power of two.
//!
//! What the kernel leaves to the program is left here too: an entry point in nowhere is a fault of the
//! guest's.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{
    EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, ET_DYN, ET_EXEC, Header, machine_to_str,
};
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD};
use goblin::elf::{Elf, ProgramHeader};

use super::error::LoadError;
use super::file::ReadAt;
use crate::guest::Prot;
use crate::guest::layout::{PAGE, Span, TASK_SIZE, page_down, page_up};

/// Size of a 64-bit ELF header.
pub(super) const HEADER_LEN: usize = 64;
/// Size of a 64-bit program header.
const PROGRAM_HEADER_LEN: u16 = 56;
/// Longest table of program headers that Linux reads.
const MAX_PROGRAM_HEADERS: u64 = 65536;
/// Longest path of a dynamic linker, NUL included (`PATH_MAX`).
const MAX_PATH: u64 = 4096;

/// How a program is linked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Fixed addresses, no dynamic linker.
    Static,
    /// Any address, no dynamic linker. Dynamic linkers are of this kind themselves.
    StaticPie,
    /// Fixed addresses, with a dynamic linker.
    Dynamic,
    /// Any address, with a dynamic linker.
    DynamicPie,
}

impl Kind {
    /// Whether it can be placed anywhere.
    pub fn is_relocatable(self) -> bool {
        matches!(self, Kind::StaticPie | Kind::DynamicPie)
    }
}

/// A loadable segment, not empty. Addresses are as in the file, before relocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its memory.
    pub memory: Span,
    /// Bytes of it that come from the file; the rest is zero.
    pub file_len: u64,
    /// Where they are in the file; equal to the address modulo the page size.
    pub offset: u64,
    /// Protection.
    pub prot: Prot,
}

impl Segment {
    /// End of what comes from the file.
    pub fn file_end(&self) -> u64 {
        self.memory.start + self.file_len
    }
}

/// A program as its ELF file describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElfImage {
    /// How it is linked.
    pub kind: Kind,
    /// What to map, ascending.
    pub segments: Vec<Segment>,
    /// All pages of the segments.
    pub span: Span,
    /// Largest alignment of a segment in bytes, at least a page.
    pub align: u64,
    /// Where it starts.
    pub entry: u64,
    /// Where the program headers are in memory, if a segment has them.
    pub program_headers: Option<u64>,
    /// Their number.
    pub program_header_count: u16,
    /// Path of the dynamic linker.
    pub interpreter: Option<Vec<u8>>,
    /// Whether it asks for an executable stack.
    pub executable_stack: bool,
}

/// Bytes of a program header in memory.
pub(super) const PROGRAM_HEADER_SIZE: u64 = PROGRAM_HEADER_LEN as u64;

fn bad<T>(field: &'static str, value: u64, why: &'static str) -> Result<T, LoadError> {
    Err(LoadError::BadField { field, value, why })
}

impl ElfImage {
    /// Reads and checks headers.
    ///
    /// # Errors
    /// Says which field of the file is wrong, and why.
    pub fn parse(file: &impl ReadAt) -> Result<ElfImage, LoadError> {
        let header = read_header(file)?;
        let table = read_program_headers(file, &header)?;
        let segments = load_segments(&table, file.size())?;
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
            return bad("e_phnum", header.e_phnum.into(), "no loadable segment");
        };
        // Segments end in user space, so rounding up cannot wrap.
        let span =
            Span { start: page_down(first.memory.start), end: page_up(last.memory.end).unwrap_or(TASK_SIZE) };
        let interpreter = match table.iter().find(|entry| entry.p_type == PT_INTERP) {
            Some(entry) => Some(read_interpreter(file, entry)?),
            None => None,
        };
        let kind = match (header.e_type == ET_DYN, interpreter.is_some()) {
            (false, false) => Kind::Static,
            (true, false) => Kind::StaticPie,
            (false, true) => Kind::Dynamic,
            (true, true) => Kind::DynamicPie,
        };
        let holds_table = |s: &&Segment| s.offset <= header.e_phoff && header.e_phoff < s.offset + s.file_len;
        let program_headers =
            segments.iter().find(holds_table).map(|s| s.memory.start + (header.e_phoff - s.offset));
        let loads = table.iter().filter(|entry| entry.p_type == PT_LOAD);
        let stack = table.iter().find(|entry| entry.p_type == PT_GNU_STACK);
        Ok(ElfImage {
            kind,
            span,
            align: loads.map(|entry| entry.p_align).fold(PAGE, u64::max),
            entry: header.e_entry,
            program_headers,
            program_header_count: header.e_phnum,
            interpreter,
            executable_stack: stack.is_some_and(|entry| entry.p_flags & PF_X != 0),
            segments,
        })
    }
}

fn read_header(file: &impl ReadAt) -> Result<Header, LoadError> {
    let mut magic = [0; ELFMAG.len()];
    let got = file.read_at(0, &mut magic).map_err(|errno| LoadError::Host { what: "read", errno })?;
    if got < magic.len() || magic != *ELFMAG {
        return Err(LoadError::NotElf);
    }
    let bytes = file.read_exact_at("the ELF header", 0, HEADER_LEN)?;
    if !matches!(bytes[EI_DATA], ELFDATA2LSB | 2) {
        return bad("e_ident[EI_DATA]", bytes[EI_DATA].into(), "neither little nor big endian");
    }
    let Ok(header) = Elf::parse_header(&bytes) else {
        return bad("e_ident[EI_CLASS]", bytes[EI_CLASS].into(), "neither 32 nor 64 bits");
    };
    if header.e_machine != EM_X86_64 || bytes[EI_CLASS] != ELFCLASS64 || bytes[EI_DATA] != ELFDATA2LSB {
        return Err(LoadError::Foreign(describe_machine(&header)));
    }
    let header_field = |wrong: bool, field, value, why| if wrong { bad(field, value, why) } else { Ok(()) };
    let kind = header.e_type;
    header_field(kind != ET_EXEC && kind != ET_DYN, "e_type", kind.into(), "not an executable program")?;
    let entry_len = header.e_phentsize;
    header_field(entry_len != PROGRAM_HEADER_LEN, "e_phentsize", entry_len.into(), "must be 56")?;
    Ok(header)
}

/// A machine's name as in `uname -m` where it has a common one.
fn describe_machine(header: &Header) -> String {
    use goblin::elf::header as elf;
    let name = match header.e_machine {
        elf::EM_AARCH64 => "aarch64",
        elf::EM_ARM => "arm",
        elf::EM_RISCV => "riscv",
        elf::EM_PPC64 => "ppc64",
        elf::EM_S390 => "s390",
        elf::EM_MIPS => "mips",
        elf::EM_386 => "i386",
        // x32: 64-bit instructions with 32-bit pointers.
        EM_X86_64 => "x32 (x86-64 with 32-bit pointers)",
        machine => match machine_to_str(machine) {
            "EM_UNKNOWN" => return format!("machine {machine}"),
            known => known,
        },
    };
    name.to_owned()
}

fn read_program_headers(file: &impl ReadAt, header: &Header) -> Result<Vec<ProgramHeader>, LoadError> {
    let len = u64::from(header.e_phnum) * u64::from(PROGRAM_HEADER_LEN);
    if len == 0 || len > MAX_PROGRAM_HEADERS {
        return bad("e_phnum", header.e_phnum.into(), "no program headers, or more than 64 KiB of them");
    }
    let bytes = file.read_exact_at("the program header table", header.e_phoff, len as usize)?;
    let context = Ctx::new(Container::Big, Endian::Little);
    ProgramHeader::parse(&bytes, 0, header.e_phnum.into(), context)
        .or_else(|_| bad("e_phnum", header.e_phnum.into(), "the program header table cannot be decoded"))
}

/// The segments with memory, each sound in itself and above the one before.
fn load_segments(table: &[ProgramHeader], file_size: u64) -> Result<Vec<Segment>, LoadError> {
    let mut segments: Vec<Segment> = Vec::new();
    for entry in table.iter().filter(|entry| entry.p_type == PT_LOAD) {
        let segment = check_segment(entry, file_size)?;
        if segments.last().is_some_and(|below| segment.memory.start < below.memory.end) {
            return bad("p_vaddr", entry.p_vaddr, "segments overlap or do not ascend");
        }
        if !segment.memory.is_empty() {
            segments.push(segment);
        }
    }
    Ok(segments)
}

fn check_segment(entry: &ProgramHeader, file_size: u64) -> Result<Segment, LoadError> {
    let &ProgramHeader { p_vaddr, p_memsz, p_filesz, p_offset, p_align, p_flags, .. } = entry;
    let Some(memory) = Span::at(p_vaddr, p_memsz).filter(|memory| memory.end <= TASK_SIZE) else {
        return bad("p_memsz", p_memsz, "the segment ends beyond user space");
    };
    if p_filesz > p_memsz {
        return bad("p_filesz", p_filesz, "more bytes in the file than in memory");
    }
    let Some(file_end) = p_offset.checked_add(p_filesz) else {
        return bad("p_offset", p_offset, "the segment's place in the file wraps");
    };
    if p_filesz != 0 && file_end > file_size {
        return Err(LoadError::Truncated { what: "a loadable segment", need: file_end, have: file_size });
    }
    if p_align > 1 && !p_align.is_power_of_two() {
        return bad("p_align", p_align, "not a power of two");
    }
    if p_filesz != 0 && p_offset % PAGE != p_vaddr % PAGE {
        return bad("p_offset", p_offset, "differs from p_vaddr within the page");
    }
    let has = |flag| p_flags & flag != 0;
    let prot = Prot { read: has(PF_R), write: has(PF_W), exec: has(PF_X) };
    Ok(Segment { memory, file_len: p_filesz, offset: p_offset, prot })
}

fn read_interpreter(file: &impl ReadAt, entry: &ProgramHeader) -> Result<Vec<u8>, LoadError> {
    let len = entry.p_filesz;
    if !(2..=MAX_PATH).contains(&len) {
        return bad("p_filesz of PT_INTERP", len, "not the length of a path");
    }
    let mut path = file.read_exact_at("the path of the dynamic linker", entry.p_offset, len as usize)?;
    if path.last() != Some(&0) {
        return bad("p_filesz of PT_INTERP", len, "the path does not end with NUL");
    }
    path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(0));
    if path.is_empty() { bad("p_filesz of PT_INTERP", len, "the path is empty") } else { Ok(path) }
}

#[cfg(test)]
mod tests;
