//! mmap(2): choosing a place, replacing what is there; and the two mappings that the guest does not ask for
//! itself, the initial stack and the growth of stacks.

use std::sync::Arc;

use nix::errno::Errno;

use super::area::{Area, Backing, MappedFile, Prot, Role};
use super::hostmap::{HostMap, HostRequest, Source};
use super::layout::{LOW, STACK_GUARD, Span, TASK_SIZE, is_page_aligned, page_down, page_up, window_of};
use super::request::{MapRequest, Place};
use super::space::{AddressSpace, Change, Touched};

/// Longest private file mapping that is taken for a program image and placed low.
const MAX_IMAGE: u64 = 256 << 20;

impl AddressSpace {
    /// mmap(2). Gives the address.
    pub fn map(&mut self, host: &mut impl HostMap, request: &MapRequest<'_>) -> Change<u64> {
        Change::of(|touched| self.try_map(host, request, touched))
    }

    /// Extends the growing area above `addr`, where a fault happened, down to it. Gives whether the access
    /// can be tried again; if not, the fault is the guest's.
    pub fn grow_down(&mut self, host: &mut impl HostMap, addr: u64) -> bool {
        let Some(stack) = self.areas.next_from(addr).filter(|area| area.grows_down) else { return false };
        let added = Span { start: page_down(addr), end: stack.span.start };
        let grown = Area { span: added, ..stack.clone() };
        let too_close = self.areas.last_before(added.end).is_some_and(|below| {
            below.span.end > added.start
                || !below.grows_down && below.prot != Prot::NONE && added.start - below.span.end < STACK_GUARD
        });
        let fits = stack.span.end - added.start <= self.limits.stack && window_of(added).is_some();
        if too_close || !fits || self.check_limits(&grown, 0, 0).is_err() {
            return false;
        }
        let request = HostRequest {
            span: added,
            prot: grown.prot,
            source: Source::Anonymous,
            shared: false,
            noreserve: grown.noreserve,
            populate: false,
            locked: false,
            replace: false,
        };
        let mapped = host.map(&request).is_ok();
        if mapped {
            self.areas.insert(grown);
        }
        mapped
    }

    /// Maps the initial stack at exactly `span`, in full and without reservation: the host's memory is only
    /// taken where it is used, and no fault is needed to grow it.
    ///
    /// # Errors
    /// `ENOMEM` if the span is not free or beyond a limit; what the host says.
    pub fn map_stack(&mut self, host: &mut impl HostMap, span: Span, prot: Prot) -> Result<(), Errno> {
        let request = MapRequest {
            grows_down: true,
            noreserve: true,
            ..MapRequest::anonymous(Place::FixedNoReplace(span.start), span.len(), prot)
        };
        let change = self.map(host, &request);
        // The span was free, so it held no code.
        change.result?;
        self.areas.update(span, |area| area.role = Role::Stack);
        Ok(())
    }

    fn try_map(
        &mut self,
        host: &mut impl HostMap,
        request: &MapRequest<'_>,
        touched: &mut Touched,
    ) -> Result<u64, Errno> {
        if request.len == 0 {
            return Err(Errno::EINVAL);
        }
        let len = page_up(request.len).ok_or(Errno::ENOMEM)?;
        let offset = request.source.as_ref().map_or(0, |source| source.offset);
        if !is_page_aligned(offset) {
            return Err(Errno::EINVAL);
        }
        offset.checked_add(len).ok_or(Errno::EOVERFLOW)?;
        let span = self.choose(request, len)?;
        let area = self.describe(request, span);
        let replaced = || self.areas.parts(span);
        let (freed, freed_data) = replaced().fold((0, 0), |(all, data), part| {
            (all + part.span.len(), data + if part.is_data() { part.span.len() } else { 0 })
        });
        self.check_limits(&area, freed, freed_data)?;
        host.map(&HostRequest {
            span,
            prot: request.prot,
            source: request.source.as_ref().map_or(Source::Anonymous, |s| Source::File(s.fd, s.offset)),
            shared: request.shared,
            noreserve: request.noreserve,
            populate: request.populate,
            locked: request.locked,
            replace: freed != 0,
        })?;
        self.touch(span, touched);
        if area.shared && request.source.is_none() {
            self.next_ino += 1;
        }
        self.areas.replace(area);
        if let (Some(source), Place::Hint(0), true) = (&request.source, request.place, request.deny_write) {
            self.note_image(&source.file, span.start);
        }
        Ok(span.start)
    }

    /// Decides where `len` bytes go.
    fn choose(&self, request: &MapRequest<'_>, len: u64) -> Result<Span, Errno> {
        let at = |start| Span::at(start, len).filter(|span| span.end <= TASK_SIZE).ok_or(Errno::ENOMEM);
        let hinted = |hint: u64, limit: u64| {
            let start = page_up(hint).filter(|&start| start != 0)?.max(LOW.start);
            Span::at(start, len).filter(|&span| span.end <= limit && self.areas.is_free(span))
        };
        match request.place {
            Place::Fixed(addr) | Place::FixedNoReplace(addr) if !is_page_aligned(addr) => Err(Errno::EINVAL),
            Place::Fixed(addr) | Place::FixedNoReplace(addr) => {
                let span = at(addr)?;
                let no_replace = matches!(request.place, Place::FixedNoReplace(_));
                match window_of(span) {
                    _ if addr < LOW.start => Err(Errno::EPERM),
                    _ if no_replace && self.areas.overlapping(span).next().is_some() => Err(Errno::EEXIST),
                    // The runtime's memory: for the guest, address space that there is not.
                    None => Err(Errno::ENOMEM),
                    Some(_) => Ok(span),
                }
            }
            Place::Low(hint) => hinted(hint, LOW.end)
                .or_else(|| self.find_free(len, self.image_range()))
                .or_else(|| self.find_free(len, LOW))
                .ok_or(Errno::ENOMEM),
            Place::Hint(hint) => hinted(hint, TASK_SIZE)
                .or_else(|| {
                    let source = request.source.as_ref()?;
                    let image = !request.shared && hint == 0 && len <= MAX_IMAGE;
                    image.then(|| self.image_place(&source.file, len)).flatten()
                })
                .or_else(|| self.any_place(len))
                .ok_or(Errno::ENOMEM),
        }
    }

    fn describe(&self, request: &MapRequest<'_>, span: Span) -> Area {
        let backing = match &request.source {
            Some(source) => Some(Backing { file: source.file.clone(), offset: source.offset }),
            // The kernel shows shared anonymous memory as a deleted file of its internal file system.
            None if request.shared => Some(Backing {
                file: Arc::new(MappedFile {
                    path: b"/dev/zero (deleted)".to_vec(),
                    dev: libc::makedev(0, 1),
                    ino: self.next_ino,
                }),
                offset: 0,
            }),
            None => None,
        };
        Area {
            shared: request.shared,
            grows_down: request.grows_down,
            noreserve: request.noreserve,
            backing,
            ..Area::anonymous(span, request.prot)
        }
    }
}
