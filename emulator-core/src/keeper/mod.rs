//! The keeper: translates code of program files to be kept, and runs none of it.
//!
//! After a run, the program is executed once more in this role, with the folder of the cache and a socket
//! from which it receives what the run suggests: files, and points at which their code was entered. Whatever
//! goes into the cache is translated here, from the bytes of a file; a child's word decides only where
//! translation begins. The keeper reads files that are hostile, so it is confined before it opens the first
//! message: it can name nothing but the cache's folder, and make a handful of calls.
//!
//! It may be killed at any time: a file gets its name when it is whole. One keeper at a time works on a
//! folder; what another run suggests meanwhile is suggested again by the next.

mod confine;
mod folder;
mod order;

use crate::host::{call, parcel};
use folder::Folder;
use nix::fcntl::{Flock, FlockArg};
use order::keep;
use rxbox_wire::kept::suggestion;
use rxbox_wire::kept::{CACHE_FD, PARCEL_FD};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

/// Most bytes of a list.
const LONGEST: u64 = 64 << 20;

/// The main function of the keeper's role.
pub fn keeper_main() -> ! {
    // Nobody waits for it and nobody reads what it says: what was not kept is suggested again.
    call::exit_process(i32::from(work().is_err()))
}

fn work() -> Result<(), Box<dyn std::error::Error>> {
    let [cache, socket] = [CACHE_FD, PARCEL_FD].map(parcel::inherited);
    confine::enclose(&cache)?;
    let Ok(cache) = Flock::lock(File::from(cache), FlockArg::LockExclusiveNonblock) else { return Ok(()) };
    let folder = Folder::open(&cache)?;
    loop {
        let mut files = parcel::received(socket.as_fd())?.into_iter().map(File::from);
        let Some(list) = files.next() else { break };
        let mut bytes = Vec::new();
        list.take(LONGEST).read_to_end(&mut bytes)?;
        for (suggestion, file) in suggestion::decode(&bytes).iter().zip(files) {
            // What is wrong with one file is nothing to the next.
            let _ = keep(&folder, suggestion, &file);
        }
    }
    Ok(folder.evict()?)
}
