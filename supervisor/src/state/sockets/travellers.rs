//! Sockets that travel between guest processes in messages (SCM_RIGHTS).
//!
//! On its way only the kernel holds such a socket, and who receives it gets a new descriptor. What is kept of
//! it is found again by the cookie that the kernel gives to each socket and never again to another.

use crate::host::command::get_option;
use crate::state::fd::{Extra, File};
use crate::state::ranks::Lock;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Sockets that are remembered. Beyond, all are forgotten, rather than that a guest fills the supervisor's
/// memory; of one that is forgotten nothing has been judged.
const MOST: usize = 1 << 14;

/// The records of sockets that have been sent.
#[derive(Debug, Default)]
pub struct Travellers(Mutex<HashMap<[u8; 8], Arc<Lock<Extra>>>>);

fn cookie(file: &File) -> Option<[u8; 8]> {
    let mut cookie = [0; 8];
    let name = (libc::SOL_SOCKET as u32, libc::SO_COOKIE as u32);
    get_option(file.host.as_fd(), name.0, name.1, &mut cookie).ok().map(|_| cookie)
}

impl Travellers {
    /// A file is sent.
    pub fn leaves(&self, file: &File) {
        if !matches!(&*file.extra(), Extra::Internet(_)) {
            return;
        }
        let Some(cookie) = cookie(file) else { return };
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= MOST {
            records.clear();
        }
        records.insert(cookie, file.record());
    }

    /// A file that was received, with what is kept of it.
    pub fn arrives(&self, file: File) -> File {
        if !matches!(&*file.extra(), Extra::Internet(_)) {
            return file;
        }
        let known = cookie(&file).and_then(|cookie| {
            let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            records.get(&cookie).cloned()
        });
        match known {
            Some(record) => file.with_record(record),
            None => file,
        }
    }
}
