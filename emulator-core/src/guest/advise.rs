//! madvise(2): mostly the host's business, but some advice changes contents, and some the map.

use nix::errno::Errno;

use super::area::Area;
use super::hostmap::HostMap;
use super::layout::{Span, is_page_aligned, page_up, windows};
use super::space::{AddressSpace, Change, MAX_AREAS, Touched};

/// `MADV_GUARD_INSTALL` of Linux 6.13.
const GUARD_INSTALL: i32 = 102;
/// `MADV_GUARD_REMOVE` of Linux 6.13.
const GUARD_REMOVE: i32 = 103;

/// What an advice does to memory.
enum Effect {
    /// Changes no contents.
    Hint,
    /// Is not passed on: the time of a store to a merged page tells what others have in memory.
    Merge,
    /// Drops or replaces contents: code translated from there is stale, and special areas refuse it.
    Destroys,
    /// Changes whether a child gets the area.
    Inherit { dont_fork: bool },
}

fn effect(advice: i32) -> Result<Effect, Errno> {
    Ok(match advice {
        libc::MADV_DONTNEED
        | libc::MADV_DONTNEED_LOCKED
        | libc::MADV_FREE
        | libc::MADV_REMOVE
        | libc::MADV_WIPEONFORK
        | GUARD_INSTALL => Effect::Destroys,
        libc::MADV_DONTFORK => Effect::Inherit { dont_fork: true },
        libc::MADV_DOFORK => Effect::Inherit { dont_fork: false },
        libc::MADV_NORMAL
        | libc::MADV_RANDOM
        | libc::MADV_SEQUENTIAL
        | libc::MADV_WILLNEED
        | libc::MADV_HUGEPAGE
        | libc::MADV_NOHUGEPAGE
        | libc::MADV_DONTDUMP
        | libc::MADV_DODUMP
        | libc::MADV_KEEPONFORK
        | libc::MADV_COLD
        | libc::MADV_PAGEOUT
        | libc::MADV_POPULATE_READ
        | libc::MADV_POPULATE_WRITE
        | libc::MADV_COLLAPSE
        | GUARD_REMOVE => Effect::Hint,
        libc::MADV_MERGEABLE | libc::MADV_UNMERGEABLE => Effect::Merge,
        libc::MADV_HWPOISON | libc::MADV_SOFT_OFFLINE => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    })
}

impl AddressSpace {
    /// madvise(2). Applies to what is mapped in the range and fails with `ENOMEM` if that was not all.
    pub fn advise(&mut self, host: &mut impl HostMap, addr: u64, len: u64, advice: i32) -> Change<()> {
        Change::of(|touched| {
            let effect = effect(advice)?;
            let end = page_up(len).and_then(|len| addr.checked_add(len)).ok_or(Errno::EINVAL)?;
            if !is_page_aligned(addr) {
                return Err(Errno::EINVAL);
            }
            if len == 0 {
                return Ok(());
            }
            self.advise_span(host, Span { start: addr, end }, advice, &effect, touched)
        })
    }

    fn advise_span(
        &mut self,
        host: &mut impl HostMap,
        span: Span,
        advice: i32,
        effect: &Effect,
        touched: &mut Touched,
    ) -> Result<(), Errno> {
        if !matches!(effect, Effect::Hint | Effect::Merge)
            && self.areas.overlapping(span).any(Area::is_special)
        {
            return Err(Errno::EPERM);
        }
        if matches!(effect, Effect::Inherit { .. }) && self.areas.len() + 2 > MAX_AREAS {
            return Err(Errno::ENOMEM);
        }
        let complete = self.areas.covers(span);
        for window in windows().into_iter().filter_map(|window| window.intersect(span)) {
            let parts: Vec<Span> = self.areas.parts(window).map(|part| part.span).collect();
            for part in parts {
                if !matches!(effect, Effect::Merge) {
                    host.advise(part, advice)?;
                }
                match *effect {
                    Effect::Hint | Effect::Merge => {}
                    Effect::Destroys => self.touch(part, touched),
                    Effect::Inherit { dont_fork } => {
                        self.areas.update(part, |area| area.dont_fork = dont_fork)
                    }
                }
            }
        }
        if complete { Ok(()) } else { Err(Errno::ENOMEM) }
    }
}
