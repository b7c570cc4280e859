//! A program on a terminal of its own, with somebody who types: no wait is for a time, but for what is to
//! appear. Only a failure takes as long as the bound.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);

/// A program whose controlling terminal is a pseudo-terminal.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    /// The program's words, for messages.
    words: String,
    keyboard: File,
    shown: Vec<u8>,
    /// Up to where [`Terminal::expect`] has come.
    seen: usize,
}

impl Terminal {
    /// Starts a program as the leader of a session on a new terminal.
    ///
    /// # Panics
    /// If the host has no terminal left, or no setsid(1).
    pub fn start(argv: &[&str]) -> Terminal {
        let (mut master, mut slave) = (0, 0);
        let (name, modes) = (std::ptr::null_mut(), std::ptr::null());
        let size = libc::winsize { ws_row: 24, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: two numbers are written, which live here; the size is only read.
        assert_eq!(unsafe { libc::openpty(&mut master, &mut slave, name, modes, &raw const size) }, 0);
        // SAFETY: the call has just made both descriptors for this process.
        let (master, slave) = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        // SAFETY: only numbers. A program that is started meanwhile must not hold the terminal open.
        unsafe {
            libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(slave.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC);
        }
        let end = || Stdio::from(slave.try_clone().expect("a copy"));
        // setsid(1) executes the program in its own place, since what starts it does not lead a group.
        let mut command = Command::new("/usr/bin/setsid");
        command.arg("--ctty").args(argv).stdin(end()).stdout(end()).stderr(end()).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", "/root").env("LANG", "C").env("TERM", "dumb");
        command.env("PS1", "ready> ");
        let child = command.spawn().expect("setsid runs");
        Terminal { child, words: argv.join(" "), keyboard: master.into(), shown: Vec::new(), seen: 0 }
    }

    /// The process id of the program.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Types keys; control characters as they are.
    ///
    /// # Panics
    /// If the terminal takes no more.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Types a line.
    pub fn line(&mut self, text: &str) {
        self.press(text);
        self.press("\n");
    }

    /// Waits until a text appears behind what was waited for before; gives what came in front of it.
    ///
    /// # Panics
    /// If it does not appear, with all that did.
    pub fn expect(&mut self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let rest = &self.shown[self.seen..];
            if let Some(at) = (0..=rest.len()).find(|&at| rest[at..].starts_with(text.as_bytes())) {
                let before = String::from_utf8_lossy(&rest[..at]).into_owned();
                self.seen += at + text.len();
                return before;
            }
            let left = BOUND.saturating_sub(start.elapsed());
            if !self.read_some(left) {
                let shown = String::from_utf8_lossy(&self.shown);
                panic!("{}: {text:?} does not appear; so far:\n{shown}", self.words);
            }
        }
    }

    /// Reads what appears within a time; false if nothing does.
    fn read_some(&mut self, limit: Duration) -> bool {
        let mut ready = libc::pollfd { fd: self.keyboard.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives here.
        if unsafe { libc::poll(&mut ready, 1, limit.as_millis() as i32) } != 1 {
            return false;
        }
        let mut bytes = [0; 4096];
        // Once nobody has the terminal open any more reading it is an error.
        let n = self.keyboard.read(&mut bytes).unwrap_or(0);
        self.shown.extend(&bytes[..n]);
        n > 0
    }

    /// Changes the size of the window.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: one structure is read, which lives here.
        unsafe { libc::ioctl(self.keyboard.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }

    /// Takes the terminal away, and waits as [`Terminal::end`].
    ///
    /// # Panics
    /// If there is no /dev/null.
    pub fn hang_up(mut self) -> i32 {
        self.keyboard = File::open("/dev/null").expect("/dev/null");
        self.end()
    }

    /// Waits until the program has ended: its status, or 128 and the signal.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(mut self) -> i32 {
        let start = Instant::now();
        loop {
            // What is not read could keep it from ending.
            self.read_some(Duration::from_millis(10));
            std::thread::sleep(Duration::from_millis(1));
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            let text = String::from_utf8_lossy(&self.shown);
            assert!(start.elapsed() < BOUND, "{} does not end; so far:\n{text}", self.words);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
