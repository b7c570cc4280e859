//! Arguments that are addresses of memory, and whole calls.

use super::arena::ROOM;
use super::arguments::{Argument, Sources};
use super::left_out::{is_command_drawn, is_drawn};
use rxbox_wire::kind::{Arg, Commands, Extent, Kind, Struct, Syscall};
use rxbox_wire::table;

/// Places that an argument may use: its own, and those that it points to.
const PLACES: u64 = 8;
/// Places that a call may use.
pub const ALL_PLACES: u64 = 6 * PLACES;
/// The most bytes of a buffer whose size a number says.
const MOST: u64 = 8192;

/// A call that is ready to be made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its row.
    pub row: &'static Syscall,
    /// Its name, with that of the command.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// The memory that it may write.
    pub written: Vec<(u64, usize)>,
}

/// What the call does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// It only reads it.
    Read,
    /// It may write it.
    Written,
}

/// What the arguments drawn so far say of the others.
#[derive(Debug)]
struct Known {
    registers: [u64; 6],
    kinds: [Arg; 6],
    /// What lies where an argument points at a length.
    lengths: [u32; 6],
}

impl Known {
    /// Whether the size of some memory depends on an argument.
    fn counts(&self, index: usize) -> bool {
        self.kinds.iter().any(|arg| match arg.kind {
            Kind::In(_, extent) | Kind::Out(_, extent) | Kind::InOut(_, extent) | Kind::Local(_, extent) => {
                counted_by(extent) == Some(index as u8)
            }
            Kind::IovecIn { count } | Kind::IovecOut { count } | Kind::Address { len: count, .. } => {
                usize::from(count) == index
            }
            _ => false,
        })
    }

    /// An argument that counts, as wide as it is, but never more than so many.
    fn count(&self, index: u8, most: u64) -> usize {
        let register = self.registers[usize::from(index)];
        (register & self.kinds[usize::from(index)].kind.significant().unwrap_or(u64::MAX)).min(most) as usize
    }

    /// The bytes that a pointer stands for.
    fn size(&self, extent: Extent) -> usize {
        match extent {
            Extent::Fixed(size) => size as usize,
            Extent::Struct(of) | Extent::Timeout(of, _) => of.size as usize,
            Extent::Elements { count, size } | Extent::Batch { count, size } => {
                self.count(count, MOST / u64::from(size)) * size as usize
            }
            Extent::Array { count, of } => self.count(count, MOST / u64::from(of.size)) * of.size as usize,
            Extent::Behind { pointer, cap } => self.lengths[usize::from(pointer)].min(cap).min(512) as usize,
            Extent::Within(most) => most.min(512) as usize,
            Extent::Message { count } => 8 + self.count(count, MOST),
            Extent::Bits { count } => self.count(count, MOST).div_ceil(64) * 8,
            _ => counted_by(extent).map_or(0, |count| self.count(count, MOST)),
        }
    }

    /// Whether an argument points at the length of what another one points at.
    fn is_length(&self, index: usize) -> bool {
        self.kinds.iter().any(|arg| match arg.kind {
            Kind::In(_, extent) | Kind::Out(_, extent) | Kind::InOut(_, extent) => {
                matches!(extent, Extent::Behind { pointer, .. } if usize::from(pointer) == index)
            }
            _ => false,
        })
    }
}

/// Which argument counts what lies there.
fn counted_by(extent: Extent) -> Option<u8> {
    match extent {
        Extent::Elements { count, .. }
        | Extent::Array { count, .. }
        | Extent::Batch { count, .. }
        | Extent::Bulk { count }
        | Extent::Transfer { count }
        | Extent::Payload { count }
        | Extent::Message { count }
        | Extent::Bits { count } => Some(count),
        _ => None,
    }
}

/// Whether an argument is a value and no address of memory that the call looks at.
fn is_value(kind: Kind) -> bool {
    kind.significant().is_some() || matches!(kind, Kind::Addr | Kind::Unused)
}

impl Sources<'_> {
    /// Draws a call.
    pub fn call(&mut self) -> Call {
        let drawn: Vec<&'static Syscall> = table::SYSCALLS.iter().filter(|call| is_drawn(call)).collect();
        let row = self.random.pick(&drawn);
        let mut fixed = [None; 6];
        for (i, arg) in row.args.iter().enumerate() {
            match arg.kind {
                Kind::Command(commands) => fixed[i] = Some(self.command(commands)),
                Kind::Level(commands) => {
                    let pair = self.command(commands);
                    (fixed[i], fixed[i + 1]) = (Some(pair >> 32), Some(pair & 0xffff_ffff));
                }
                _ => {}
            }
        }
        let registers = fixed.map(Option::unwrap_or_default);
        let (kinds, command) = table::kinds(row, &registers);
        let mut lengths = [0; 6];
        lengths.fill_with(|| self.random.pick(&[0, 1, 2, 4, 4, 8, 16, 64, 110, 128, 4096, u32::MAX]));
        let mut known = Known { registers, kinds, lengths };
        let mut call = Call {
            row,
            name: command.map_or(row.name.to_owned(), |command| format!("{} {}", row.name, command.name)),
            arguments: fixed.map(|fixed| fixed.map(Argument::of).unwrap_or_default()).to_vec(),
            written: Vec::new(),
        };
        let wrong = self.random.index(12);
        for i in (0..6).filter(|i| fixed[*i].is_none() && is_value(kinds[*i].kind)) {
            self.wrong = i == wrong;
            call.arguments[i] = self.value(row.name, &kinds[i], known.counts(i));
            known.registers[i] = call.arguments[i].register;
        }
        for i in (0..6).filter(|i| fixed[*i].is_none() && !is_value(kinds[*i].kind)) {
            self.wrong = i == wrong;
            if let Kind::Address { len, .. } = kinds[i].kind
                && usize::from(len) != wrong
            {
                let len = usize::from(len);
                (known.registers[len], call.arguments[len]) = (16, Argument::of(16));
            }
            call.arguments[i] = self.pointer(i, &known, &mut call.written);
        }
        let unused = kinds.iter().rev().take_while(|arg| arg.kind == Kind::Unused).count();
        call.arguments.truncate(6 - unused);
        call
    }

    /// A command: one of those with a row, now and then one without.
    fn command(&mut self, commands: &Commands) -> u64 {
        if self.random.one_in(40) {
            return self.random.next() & 0xffff;
        }
        let rows: Vec<u64> =
            commands.rows.iter().filter(|row| is_command_drawn(row)).map(|row| row.value).collect();
        self.random.pick(&rows)
    }

    fn pointer(&mut self, index: usize, known: &Known, written: &mut Vec<(u64, usize)>) -> Argument {
        let place = index as u64 * PLACES;
        match known.kinds[index].kind {
            Kind::Path(_) => self.path(place),
            Kind::Text(_) => {
                let text =
                    self.random.pick(&["user.a", "user.b", "name", "", "trusted.x", "system.x", "user."]);
                self.memory(place, Access::Read, [text.as_bytes(), b"\0"].concat(), text, written)
            }
            Kind::Address { len, .. } => {
                let len = known.count(len, 128);
                self.address_of_socket(place, len, written)
            }
            Kind::In(_, extent) => self.extent(place, Access::Read, extent, known, written),
            Kind::InOut(_, Extent::Fixed(4)) if known.is_length(index) => {
                let length = known.lengths[index];
                self.memory(
                    place,
                    Access::Written,
                    length.to_le_bytes().to_vec(),
                    &length.to_string(),
                    written,
                )
            }
            Kind::Out(_, extent) | Kind::InOut(_, extent) | Kind::Local(_, extent) => {
                self.extent(place, Access::Written, extent, known, written)
            }
            Kind::IovecIn { count } => self.vectors(place, known.count(count, 6), Access::Read, written),
            Kind::IovecOut { count } => self.vectors(place, known.count(count, 6), Access::Written, written),
            Kind::MsgIn => self.message(place, Access::Read, written),
            Kind::MsgOut => self.message(place, Access::Written, written),
            _ => Argument { register: 0, text: "NULL".to_owned() },
        }
    }

    /// Memory of the size that an extent says.
    fn extent(
        &mut self,
        place: u64,
        access: Access,
        extent: Extent,
        known: &Known,
        written: &mut Vec<(u64, usize)>,
    ) -> Argument {
        let size = known.size(extent);
        match extent {
            Extent::Timeout(of, _) => {
                let wrong = [(0, 1_000_000_000), (-1, 0), (0, -1_i64)];
                let right = [(0, 0), (0, 1000_i64)];
                let (seconds, fraction): (i64, i64) =
                    if self.wrong { self.random.pick(&wrong) } else { self.random.pick(&right) };
                let time = [seconds.to_le_bytes(), fraction.to_le_bytes()].concat();
                let at = self.arena.put(place, &time[..of.size as usize]);
                Argument { register: at, text: format!("{{{seconds}, {fraction}}}") }
            }
            Extent::Struct(of) => {
                let bytes = self.structure(of);
                self.memory(place, access, bytes, of.name, written)
            }
            Extent::Array { of, .. } => {
                let bytes: Vec<u8> = (0..size / of.size as usize).flat_map(|_| self.structure(of)).collect();
                self.memory(place, access, bytes, of.name, written)
            }
            _ => {
                let bytes = self.bytes(size);
                self.memory(place, access, bytes, "", written)
            }
        }
    }

    /// Bytes of one pattern.
    fn bytes(&mut self, size: usize) -> Vec<u8> {
        let (first, step) = self.random.pick(&[(0, 0), (0, 0), (1, 0), (0xff, 0), (b'a', 1)]);
        let mut bytes: Vec<u8> = (0..size).map(|i| (i % 26) as u8 * step + first).collect();
        if first == 1 {
            bytes.iter_mut().skip(1).for_each(|byte| *byte = 0);
        }
        bytes
    }

    /// A structure whose members are small numbers, and descriptors where the name says so.
    fn structure(&mut self, of: &Struct) -> Vec<u8> {
        let mut bytes = vec![0; of.size as usize];
        let all = self.descriptors.all();
        for field in of.fields {
            let value = match field.name {
                "fd" => self.random.pick(&all) as u64,
                _ => self.random.pick(&[0, 0, 0, 1, 2, 3, 16, 4096, u64::MAX]),
            };
            let (at, size) = (field.at as usize, field.scalar.size() as usize);
            bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
        }
        bytes
    }

    /// A pointer to memory with these bytes, or one that does not give access to all of it.
    fn memory(
        &mut self,
        place: u64,
        access: Access,
        bytes: Vec<u8>,
        what: &str,
        written: &mut Vec<(u64, usize)>,
    ) -> Argument {
        let size = bytes.len().min(ROOM);
        let (register, how) = match self.random.below(12) {
            0..=2 if self.wrong => (0, "NULL"),
            3 if self.wrong => (0x10, "low"),
            4 if self.wrong => (0xffff_8000_0000_0000, "kernel's"),
            5 if self.wrong => (u64::MAX - 7, "last"),
            6 | 7 if self.wrong => (self.arena.split(place, size), "half"),
            8 if self.wrong && access == Access::Written => (self.arena.read_only(place), "read-only"),
            _ => (self.arena.put(place, &bytes[..size]), ""),
        };
        if how.is_empty() && access == Access::Written {
            written.push((register, size));
        }
        let text = match how {
            "" if bytes.len() <= 16 => format!("{what}[{size}:{}]", hex(&bytes)),
            how => format!("{how}{what}[{size}]"),
        };
        Argument { register, text }
    }

    fn path(&mut self, place: u64) -> Argument {
        const PATHS: &[&str] = &[
            "f",
            "f",
            "g",
            "d",
            "d/f",
            "d/sub",
            "new",
            "new",
            "d/new",
            "missing/x",
            "f/x",
            "link",
            "dangling",
            "loop",
            "todir",
            "todir/f",
            "todir/",
            "d/",
            "f/",
            "./f",
            ".",
            "..",
            "",
            "socket",
            "d/../f",
        ];
        let long = |len: usize| "n".repeat(len);
        let path = match self.random.below(if self.wrong { 8 } else { 80 }) {
            0 => long(255),
            1 => long(256),
            2 => "./".repeat(2047) + "f",
            3 => "./".repeat(2048) + "f",
            _ => self.random.pick(PATHS).to_owned(),
        };
        let shown = if path.len() > 40 { format!("{} bytes", path.len()) } else { path.clone() };
        self.memory(
            place,
            Access::Read,
            [path.as_bytes(), b"\0"].concat(),
            &format!("'{shown}'"),
            &mut Vec::new(),
        )
    }

    fn address_of_socket(&mut self, place: u64, len: usize, written: &mut Vec<(u64, usize)>) -> Argument {
        let family = self.random.pick(&[libc::AF_UNIX, libc::AF_UNIX, libc::AF_INET, libc::AF_UNSPEC, 77]);
        let path = self.random.pick(&["socket", "named", "missing/socket", "f", ""]);
        let mut bytes = vec![0; 128];
        bytes[..2].copy_from_slice(&(family as u16).to_le_bytes());
        if family == libc::AF_UNIX {
            bytes[2..2 + path.len()].copy_from_slice(path.as_bytes());
        }
        bytes.truncate(len);
        self.memory(place, Access::Read, bytes, &format!("family {family} '{path}' "), written)
    }

    /// An array of vectors, each with memory of its own.
    fn vectors(
        &mut self,
        place: u64,
        count: usize,
        access: Access,
        written: &mut Vec<(u64, usize)>,
    ) -> Argument {
        let (mut array, mut text) = (Vec::new(), String::new());
        for i in 0..count as u64 {
            let size = self.random.pick(&[0, 1, 7, 64, 4096, 5000]);
            let bytes = self.bytes(size);
            let piece = self.memory(place + 1 + i, access, bytes, "", written);
            let len = if self.wrong && self.random.one_in(8) { u64::MAX } else { size as u64 };
            array.extend([piece.register.to_le_bytes(), len.to_le_bytes()].concat());
            text += &format!("{},{} ", piece.text, len as i64);
        }
        Argument { text, ..self.memory(place, Access::Read, array, "", &mut Vec::new()) }
    }

    /// A message's header, with what it points to.
    fn message(&mut self, place: u64, access: Access, written: &mut Vec<(u64, usize)>) -> Argument {
        let count = self.random.index(3);
        let vectors = self.vectors(place, count, access, written);
        let header = [0_u64, 0, vectors.register, count as u64, 0, 0, 0];
        let bytes: Vec<u8> = header.into_iter().flat_map(u64::to_le_bytes).collect();
        let at = self.arena.put(place + PLACES - 1, &bytes);
        Argument { register: at, text: format!("message {}", vectors.text) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
