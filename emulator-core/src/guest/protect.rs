//! mprotect(2).

use nix::errno::Errno;

use super::area::{Area, Prot};
use super::hostmap::HostMap;
use super::layout::{Span, is_page_aligned, page_up};
use super::space::{AddressSpace, Change, MAX_AREAS, Touched};

impl AddressSpace {
    /// mprotect(2) with the raw protection bits. Works its way up and stops at a hole with `ENOMEM`, having
    /// changed what lies below, as the kernel does.
    pub fn protect(&mut self, host: &mut impl HostMap, addr: u64, len: u64, bits: u64) -> Change<()> {
        Change::of(|touched| self.try_protect(host, addr, len, bits, touched))
    }

    fn try_protect(
        &mut self,
        host: &mut impl HostMap,
        addr: u64,
        len: u64,
        bits: u64,
        touched: &mut Touched,
    ) -> Result<(), Errno> {
        /// `PROT_SEM`, which means nothing on x86 but is accepted.
        const PROT_SEM: u64 = 8;
        let grows_down = bits & libc::PROT_GROWSDOWN as u64 != 0;
        let grows_up = bits & libc::PROT_GROWSUP as u64 != 0;
        if grows_down && grows_up || !is_page_aligned(addr) {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        let mut span = page_up(len)
            .and_then(|len| Span::at(addr, len))
            .filter(|s| !s.is_empty())
            .ok_or(Errno::ENOMEM)?;
        let plain = bits & !((libc::PROT_GROWSDOWN | libc::PROT_GROWSUP) as u32 as u64);
        if plain & !(PROT_SEM | (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64) != 0 {
            return Err(Errno::EINVAL);
        }
        if grows_down || grows_up {
            // "Down to the start of the growing area" (mprotect(2)); nothing grows up on x86.
            let area = self.areas.find(addr).ok_or(Errno::ENOMEM)?;
            if grows_up || !area.grows_down {
                return Err(Errno::EINVAL);
            }
            span.start = area.span.start;
        }
        self.protect_span(host, span, Prot::from_bits(plain), touched)
    }

    fn protect_span(
        &mut self,
        host: &mut impl HostMap,
        span: Span,
        prot: Prot,
        touched: &mut Touched,
    ) -> Result<(), Errno> {
        let mut at = span.start;
        while at < span.end {
            let area = self.areas.find(at).ok_or(Errno::ENOMEM)?;
            if area.is_special() {
                return Err(Errno::EPERM);
            }
            let part = area.slice(Span { start: at, end: area.span.end.min(span.end) });
            let changed = Area { prot, ..part.clone() };
            let becomes_data = changed.is_data() && !part.is_data();
            if becomes_data && self.areas.data() + part.span.len() > self.limits.data {
                return Err(Errno::ENOMEM);
            }
            if part.prot != prot && part.span != area.span && self.areas.len() + 2 > MAX_AREAS {
                return Err(Errno::ENOMEM);
            }
            // Also when nothing changes: the host's page may be write protected because code was translated
            // from it.
            host.protect(part.span, prot)?;
            self.touch(part.span, touched);
            self.areas.replace(changed);
            at = part.span.end;
        }
        Ok(())
    }
}
