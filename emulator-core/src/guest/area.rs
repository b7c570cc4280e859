//! One mapping of the guest: what `/proc/self/maps` shows as a line.

use std::fmt;
use std::sync::Arc;

use super::layout::Span;

/// What the guest may do with a page. The host's view differs in one point: it never grants execution.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Prot {
    /// Loads are allowed.
    pub read: bool,
    /// Stores are allowed.
    pub write: bool,
    /// Instruction fetch is allowed: the translator may read code here.
    pub exec: bool,
}

impl Prot {
    /// No access.
    pub const NONE: Prot = Prot { read: false, write: false, exec: false };
    /// `r--`
    pub const READ: Prot = Prot { read: true, write: false, exec: false };
    /// `rw-`
    pub const READ_WRITE: Prot = Prot { read: true, write: true, exec: false };
    /// `r-x`
    pub const READ_EXEC: Prot = Prot { read: true, write: false, exec: true };

    /// From the `PROT_` bits of mmap(2); bits other than read, write and exec are ignored, as the kernel
    /// does.
    pub fn from_bits(bits: u64) -> Prot {
        let has = |bit: i32| bits & bit as u64 != 0;
        Prot { read: has(libc::PROT_READ), write: has(libc::PROT_WRITE), exec: has(libc::PROT_EXEC) }
    }

    /// The `PROT_` bits for the host. Execution never; a page that the guest may execute is readable instead,
    /// which on x86 without protection keys it is anyway, and which the translator needs.
    pub fn host_bits(self) -> i32 {
        let bit = |on: bool, bit: i32| if on { bit } else { libc::PROT_NONE };
        bit(self.read || self.exec, libc::PROT_READ) | bit(self.write, libc::PROT_WRITE)
    }
}

/// The file behind a mapping, as the guest is to see it.
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct MappedFile {
    /// Path for `/proc/self/maps`, raw bytes.
    pub path: Vec<u8>,
    /// Device number in the encoding of `st_dev`.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// A file and the place in it that the start of an area shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backing {
    /// The file.
    pub file: Arc<MappedFile>,
    /// Offset in bytes, page aligned.
    pub offset: u64,
}

/// What an area is for, where that changes how it is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// An ordinary mapping.
    #[default]
    Plain,
    /// The initial stack.
    Stack,
    /// A page range of the host's kernel, lent to the guest outside the windows (vDSO, vvar) under this name.
    /// It behaves like a mapping sealed by mseal(2): it cannot be unmapped, moved, or re-protected.
    Special(&'static str),
}

/// A range of guest pages with equal attributes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Area {
    /// Its addresses, page aligned, not empty.
    pub span: Span,
    /// Protection as the guest sees it.
    pub prot: Prot,
    /// `MAP_SHARED`.
    pub shared: bool,
    /// `MAP_GROWSDOWN`: a fault below extends it.
    pub grows_down: bool,
    /// `MAP_NORESERVE`.
    pub noreserve: bool,
    /// `MADV_DONTFORK`: absent in a child made by fork(2).
    pub dont_fork: bool,
    /// What it is for.
    pub role: Role,
    /// The file, unless private anonymous memory.
    pub backing: Option<Backing>,
}

impl Area {
    /// A private anonymous area.
    pub fn anonymous(span: Span, prot: Prot) -> Area {
        Area {
            span,
            prot,
            shared: false,
            grows_down: false,
            noreserve: false,
            dont_fork: false,
            role: Role::Plain,
            backing: None,
        }
    }

    /// Whether the guest may not change it.
    pub fn is_special(&self) -> bool {
        matches!(self.role, Role::Special(_))
    }

    /// Whether it counts against `RLIMIT_DATA`: private, writable, not a stack (setrlimit(2)).
    pub fn is_data(&self) -> bool {
        self.prot.write && !self.shared && !self.grows_down
    }

    /// Distance that other mappings keep below it.
    pub fn guard(&self) -> u64 {
        if self.grows_down { super::layout::STACK_GUARD } else { 0 }
    }

    /// The part of the area in `part`, which must lie within it, with the file offset moved along.
    pub fn slice(&self, part: Span) -> Area {
        debug_assert!(self.span.encloses(part));
        let skipped = part.start - self.span.start;
        let backing =
            self.backing.as_ref().map(|b| Backing { file: b.file.clone(), offset: b.offset + skipped });
        Area { span: part, backing, ..self.clone() }
    }

    /// Whether `next`, which starts where this ends, continues it so that both can be one area.
    pub fn continues_in(&self, next: &Area) -> bool {
        let same_file = match (&self.backing, &next.backing) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                a.offset + self.span.len() == b.offset && (Arc::ptr_eq(&a.file, &b.file) || a.file == b.file)
            }
            _ => false,
        };
        let attributes = |a: &Area| {
            (a.prot, a.shared, a.grows_down, a.noreserve, a.dont_fork, a.role, a.backing.is_some())
        };
        self.span.end == next.span.start && attributes(self) == attributes(next) && same_file
    }

    /// Writes the area's line of `/proc/self/maps` (proc_pid_maps(5)) without the newline. `label` names an
    /// area without a file.
    pub fn write_maps_line(&self, out: &mut Vec<u8>, label: &[u8]) {
        /// Column at which the kernel starts names on 64-bit machines.
        const NAME_COLUMN: usize = 73;
        let start = out.len();
        let (dev, ino, offset, name) = match &self.backing {
            Some(b) => (b.file.dev, b.file.ino, b.offset, b.file.path.as_slice()),
            None => (0, 0, 0, label),
        };
        let (major, minor) = (libc::major(dev), libc::minor(dev));
        let Span { start: from, end: to } = self.span;
        out.extend_from_slice(
            format!("{from:08x}-{to:08x} {self} {offset:08x} {major:02x}:{minor:02x} {ino} ").as_bytes(),
        );
        if name.is_empty() {
            return;
        }
        out.resize(out.len().max(start + NAME_COLUMN), b' ');
        for &byte in name {
            match byte {
                // The only byte that would break the line structure; the kernel escapes no other.
                b'\n' => out.extend_from_slice(br"\012"),
                byte => out.push(byte),
            }
        }
    }
}

/// The four permission letters, such as `r-xp`.
impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |on: bool, letter: char| if on { letter } else { '-' };
        let Prot { read, write, exec } = self.prot;
        let sharing = if self.shared { 's' } else { 'p' };
        write!(f, "{}{}{}{sharing}", letter(read, 'r'), letter(write, 'w'), letter(exec, 'x'))
    }
}
