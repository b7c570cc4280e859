//! What a process has read and written (`/proc/PID/io`, proc_pid_io(5)): what the kernel would count of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes and calls of a process and of its children that were waited for.
#[derive(Debug, Default)]
pub struct Transfers {
    /// Bytes read.
    read: AtomicU64,
    /// Bytes written.
    written: AtomicU64,
    /// Calls that read.
    reads: AtomicU64,
    /// Calls that write.
    writes: AtomicU64,
}

impl Transfers {
    /// A call that reads has ended, with so many bytes or an error.
    pub fn read(&self, bytes: Option<i64>) {
        self.read.fetch_add(bytes.map_or(0, |n| n.max(0) as u64), Relaxed);
        self.reads.fetch_add(1, Relaxed);
    }

    /// A call that writes has ended, with so many bytes or an error.
    pub fn written(&self, bytes: Option<i64>) {
        self.written.fetch_add(bytes.map_or(0, |n| n.max(0) as u64), Relaxed);
        self.writes.fetch_add(1, Relaxed);
    }

    /// Takes over those of a child.
    pub fn add(&self, child: &Transfers) {
        let own = [&self.read, &self.written, &self.reads, &self.writes];
        for (own, more) in own.into_iter().zip(child.all()) {
            own.fetch_add(more, Relaxed);
        }
    }

    fn all(&self) -> [u64; 4] {
        [&self.read, &self.written, &self.reads, &self.writes].map(|count| count.load(Relaxed))
    }

    /// The text of the file. How much of it reached the storage is not known.
    pub fn text(&self) -> String {
        let [read, written, reads, writes] = self.all();
        format!(
            "rchar: {read}\nwchar: {written}\nsyscr: {reads}\nsyscw: {writes}\nread_bytes: 0\n\
             write_bytes: 0\ncancelled_write_bytes: 0\n"
        )
    }
}
