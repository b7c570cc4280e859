//! Memory for the pointers of calls: places whose ends are known to fault.

use std::ptr;

const PAGE: u64 = 4096;
/// Pages of a place that can be written; then come one that faults, one that can only be read, and two that
/// fault.
const WRITABLE: u64 = 4;
const PAGES: u64 = WRITABLE + 4;
/// The most bytes that a place has room for.
pub const ROOM: usize = (WRITABLE * PAGE) as usize;
/// Pages of the playground.
pub const PLAYGROUND: u64 = 32;

/// The places, and behind them a playground for calls that change mappings.
#[derive(Debug)]
pub struct Arena {
    base: u64,
    places: u64,
}

impl Arena {
    /// Maps so many places.
    ///
    /// # Panics
    /// If there is no memory.
    pub fn map(places: u64) -> Arena {
        let len = ((places * PAGES + PLAYGROUND) * PAGE) as usize;
        let (flags, all) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, all, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED, "memory");
        let arena = Arena { base: base as u64, places };
        for place in 0..places {
            let end = arena.end(place);
            for (page, protection) in
                [(0, libc::PROT_NONE), (1, libc::PROT_READ), (2, libc::PROT_NONE), (3, libc::PROT_NONE)]
            {
                // SAFETY: pages of the mapping above, which nothing uses yet.
                let done =
                    unsafe { libc::mprotect((end + page * PAGE) as *mut _, PAGE as usize, protection) };
                assert_eq!(done, 0, "protection");
            }
        }
        arena
    }

    /// Where the writable part of a place ends.
    fn end(&self, place: u64) -> u64 {
        assert!(place < self.places, "no such place");
        self.base + (place * PAGES + WRITABLE) * PAGE
    }

    /// Puts bytes where they end with the memory.
    ///
    /// # Panics
    /// If they are more than [`ROOM`].
    pub fn put(&self, place: u64, bytes: &[u8]) -> u64 {
        assert!(bytes.len() <= ROOM, "too much for a place");
        let at = self.end(place) - bytes.len() as u64;
        // SAFETY: within the writable part of the place.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) }
        at
    }

    /// Memory of which only the first half of so many bytes can be accessed.
    pub fn split(&self, place: u64, len: usize) -> u64 {
        self.put(place, &vec![0xa5; len.min(ROOM) / 2])
    }

    /// Memory that can only be read.
    pub fn read_only(&self, place: u64) -> u64 {
        self.end(place) + PAGE
    }

    /// What lies at an address that [`Arena::put`] gave.
    ///
    /// # Panics
    /// If it is none of a place.
    pub fn get(&self, at: u64, len: usize) -> Vec<u8> {
        let offset = at.checked_sub(self.base).expect("an address of the arena") % (PAGES * PAGE);
        assert!(offset + len as u64 <= ROOM as u64, "beyond the place");
        let mut bytes = vec![0; len];
        // SAFETY: within the writable part of a place.
        unsafe { ptr::copy_nonoverlapping(at as *const u8, bytes.as_mut_ptr(), len) }
        bytes
    }

    /// A page of the playground, whose mappings calls may change.
    pub fn playground(&self, page: u64) -> u64 {
        self.base + (self.places * PAGES + page) * PAGE
    }
}
