//! Questions to the address space that change nothing.

use super::area::{Area, Role};
use super::layout::{PAGE, Span};
use super::space::AddressSpace;

impl AddressSpace {
    /// The area that holds `addr`.
    pub fn query(&self, addr: u64) -> Option<&Area> {
        self.areas.find(addr)
    }

    /// All areas, ascending.
    pub fn areas(&self) -> impl Iterator<Item = &Area> {
        self.areas.iter()
    }

    /// The areas that share bytes with `span`, ascending.
    pub fn areas_in(&self, span: Span) -> impl Iterator<Item = &Area> {
        self.areas.overlapping(span)
    }

    /// Whether all of `span` is mapped, whatever the protection.
    pub fn is_mapped(&self, span: Span) -> bool {
        self.areas.covers(span)
    }

    /// The executable range around `pc`, which the translator may read; `None` if an instruction fetch there
    /// faults. It starts with the area of `pc`, and ends with the first area that is not executable or, so
    /// that the answer costs little in a space with many adjacent areas, with the first that ends a page or
    /// more beyond `pc`.
    pub fn exec_span(&self, pc: u64) -> Option<Span> {
        let mut span = self.areas.find(pc).filter(|area| area.prot.exec)?.span;
        while span.end - pc < PAGE {
            let Some(next) = self.areas.find(span.end).filter(|area| area.prot.exec) else { break };
            span.end = next.span.end;
        }
        Some(span)
    }

    /// The other places that show the shared memory that lies in `span`.
    pub fn aliases(&self, span: Span) -> Vec<Span> {
        let mut aliases = Vec::new();
        for area in self.areas.overlapping(span).filter(|area| area.shared) {
            let (Some(part), Some(own)) = (area.span.intersect(span), &area.backing) else { continue };
            let offset = own.offset + (part.start - area.span.start);
            for other in self.areas.iter().filter(|other| other.shared) {
                let Some(backing) = &other.backing else { continue };
                if (backing.file.dev, backing.file.ino) != (own.file.dev, own.file.ino) {
                    continue;
                }
                // Where the part would lie if all of the file were mapped as this area is.
                let start = other.span.start.wrapping_sub(backing.offset).wrapping_add(offset);
                let shown = Span::at(start, part.len()).and_then(|place| place.intersect(other.span));
                aliases.extend(shown.filter(|&alias| alias != part));
            }
        }
        aliases
    }

    /// Bytes mapped: the size that `RLIMIT_AS` limits.
    pub fn total_bytes(&self) -> u64 {
        self.areas.total()
    }

    /// Bytes of private writable memory: the size that `RLIMIT_DATA` limits.
    pub fn data_bytes(&self) -> u64 {
        self.areas.data()
    }

    /// The text of `/proc/self/maps`, byte for byte as the kernel writes it. Raw bytes, since paths are.
    pub fn maps_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for area in self.areas.iter() {
            area.write_maps_line(&mut text, self.label(area).as_bytes());
            text.push(b'\n');
        }
        text
    }

    /// The name of an area that has no file.
    fn label(&self, area: &Area) -> &'static str {
        match area.role {
            Role::Special(name) => name,
            Role::Stack => "[stack]",
            Role::Plain if area.span.start <= self.heap.end && area.span.end >= self.heap.start => {
                if self.heap.is_empty() { "" } else { "[heap]" }
            }
            Role::Plain => "",
        }
    }

    /// The guest's child after fork(2): areas marked `MADV_DONTFORK` are gone, on the host already.
    pub fn after_fork(&mut self) {
        let gone: Vec<Span> = self.areas.iter().filter(|area| area.dont_fork).map(|area| area.span).collect();
        gone.into_iter().for_each(|span| self.areas.remove(span));
    }
}
