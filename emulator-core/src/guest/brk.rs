//! The heap of brk(2): one area that starts at a fixed place and whose end the guest moves.

use nix::errno::Errno;

use super::area::{Area, Prot};
use super::hostmap::{HostMap, HostRequest, Source};
use super::layout::{Span, page_up, window_of};
use super::space::{AddressSpace, Change, Touched};

impl AddressSpace {
    /// Starts an empty heap at `start`, which need not be page aligned; the pages below belong to the image.
    pub fn set_heap_start(&mut self, start: u64) {
        self.heap = Span { start, end: start };
    }

    /// The heap: its start and its present end.
    pub fn heap(&self) -> Span {
        self.heap
    }

    /// brk(2) as the kernel has it: moves the end of the heap to `end` if that can be done, and gives the end
    /// that then holds. It has no errors; the C library compares.
    pub fn brk(&mut self, host: &mut impl HostMap, end: u64) -> Change<u64> {
        let moved = Change::of(|touched| self.move_heap_end(host, end, touched));
        if moved.result.is_ok() {
            self.heap.end = end;
        }
        Change { result: Ok(self.heap.end), touched: moved.touched }
    }

    fn move_heap_end(
        &mut self,
        host: &mut impl HostMap,
        end: u64,
        touched: &mut Touched,
    ) -> Result<(), Errno> {
        if end < self.heap.start || end - self.heap.start > self.limits.data {
            return Err(Errno::ENOMEM);
        }
        let (old, new) = (page_up(self.heap.end), page_up(end));
        let (old, new) = (old.ok_or(Errno::ENOMEM)?, new.ok_or(Errno::ENOMEM)?);
        if new < old {
            return self.unmap_span(host, Span { start: new, end: old }, touched);
        }
        if new == old {
            return Ok(());
        }
        let area = Area::anonymous(Span { start: old, end: new }, Prot::READ_WRITE);
        if window_of(area.span).is_none() || !self.is_free(area.span) {
            return Err(Errno::ENOMEM);
        }
        self.check_limits(&area, 0, 0)?;
        host.map(&HostRequest {
            span: area.span,
            prot: area.prot,
            source: Source::Anonymous,
            shared: false,
            noreserve: false,
            populate: false,
            locked: false,
            replace: false,
        })?;
        self.areas.insert(area);
        Ok(())
    }
}
