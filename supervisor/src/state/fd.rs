//! A guest process's descriptors.
//!
//! A guest descriptor is a number in its process's [`FdTable`]; it never names a host descriptor, so no
//! number that a guest makes up can reach anything of the supervisor's. An entry is a [`File`] with a host
//! descriptor of its own. Duplicates share the open file description on the host, as in the kernel, and the
//! state that the supervisor keeps beside it.
//!
//! All guest processes share the supervisor's host descriptors, within a budget ([`crate::state::budget`]).

use crate::host::command;
use crate::host::number::{self, NewFd, Wait, new_fd};
use crate::state::apart::StandIn;
use crate::state::budget::Budget;
use crate::state::memory_files::Measure;
use crate::state::ranks::{Guard, Lock, Rank, ReadGuard, SharedLock, WriteGuard};
use crate::state::sockets::{Internet, Local};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::{FileStat, SFlag, fstat};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    Regular,
    /// Directory.
    Directory,
    /// Pipe or FIFO.
    Pipe,
    /// Socket.
    Socket,
    /// Terminal.
    Terminal,
    /// Character device other than a terminal.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// eventfd(2), inotify(7).
    Event,
    /// signalfd(2); on the host an eventfd that is readable while a signal of the set waits
    /// ([`crate::handlers::signalfd`]).
    Signals,
    /// timerfd_create(2).
    Timer,
    /// epoll(7).
    Epoll,
    /// POSIX message queue (mq_overview(7)).
    Queue,
    /// memfd_create(2).
    Memory,
    /// Opened with `O_PATH`: names an object, gives no access to its contents.
    Path,
    /// A file or directory of the guest's `/proc`, made up by the supervisor.
    View,
    /// Anything else.
    Other,
}

/// What the supervisor keeps of an open file description beside the host's.
#[derive(Debug, Default)]
pub enum Extra {
    /// Nothing.
    #[default]
    None,
    /// The content of a view, taken when it was opened, and the offset of the description in it.
    View {
        /// The text, or for a directory its entries as getdents64(2) returns them.
        content: Vec<u8>,
        /// Where the next read starts.
        offset: u64,
    },
    /// The memory of a process (`/proc/N/mem`), and the offset of the description in it.
    Memory {
        /// The process.
        of: i32,
        /// Where the next transfer starts.
        offset: u64,
    },
    /// The signals of a signal descriptor.
    Signals {
        /// The set, which processes that inherited the descriptor share.
        set: Arc<AtomicU64>,
        /// Whether the host's eventfd is readable.
        readable: bool,
    },
    /// What has been judged of a socket of the internet.
    Internet(Internet),
    /// What has been judged of a unix socket.
    Local(Local),
    /// Where its own locks are taken, if not on the file ([`crate::state::apart::Apart`]).
    LockedApart(StandIn),
}

/// An open file.
#[derive(Debug)]
pub struct File {
    /// Looks once more how large a file that is memory is, before it is closed: so it stands before `host`.
    measure: Option<Measure>,
    /// The supervisor's descriptor of it. For a view, of a stand-in without content.
    pub host: OwnedFd,
    /// What it is.
    pub kind: Kind,
    /// The absolute resolved name when it was opened, if it had one.
    pub path: Option<Box<[u8]>>,
    /// The bits of `FIXED` that the guest opened it with.
    access: i32,
    extra: Arc<Lock<Extra>>,
}

/// What a file is that exists only in the supervisor's own records.
#[derive(Clone, Debug)]
pub struct MadeUp {
    kind: Kind,
    path: Option<Box<[u8]>>,
    access: i32,
    /// `O_NONBLOCK`, of a signal descriptor.
    nonblocking: bool,
    extra: Arc<Lock<Extra>>,
}

impl MadeUp {
    /// Bytes of text that it keeps in memory.
    pub fn bytes(&self) -> usize {
        match &*self.extra.lock() {
            Extra::View { content, .. } => content.len(),
            _ => 0,
        }
    }
}

/// Flags of a description that never change. How the supervisor came by the host's description is its own
/// affair: it follows no link where the guest would have.
const FIXED: i32 = libc::O_ACCMODE | libc::O_PATH | libc::O_NOFOLLOW;

fn extra(extra: Extra) -> Arc<Lock<Extra>> {
    Arc::new(Lock::new(Rank::File, extra))
}

impl File {
    /// A file that just came to be: readable and writable, without a name.
    pub fn new(host: OwnedFd, kind: Kind) -> File {
        File { measure: None, host, kind, path: None, access: libc::O_RDWR, extra: extra(Extra::None) }
    }

    /// A file opened by name, with the flags of open(2).
    pub fn opened(host: OwnedFd, kind: Kind, flags: i32, path: Option<Box<[u8]>>) -> File {
        File { path, access: flags & FIXED, ..File::new(host, kind) }
    }

    /// Whether names can be looked up in it.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn is_directory(&self) -> Result<bool, Errno> {
        match self.kind {
            Kind::Path => {
                Ok(SFlag::from_bits_truncate(fstat(&self.host)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
            }
            kind => Ok(kind == Kind::Directory),
        }
    }

    /// A socket that was made with these arguments of socket(2).
    pub fn socket(host: OwnedFd, domain: i32, kind: i32, protocol: i32) -> File {
        let internet = Internet::made(domain, kind, protocol).map(Extra::Internet);
        let judged = internet.or_else(|| Local::made(domain, kind).map(Extra::Local)).unwrap_or_default();
        File::new(host, Kind::Socket).with_record(extra(judged))
    }

    /// A socket of which nothing has been judged but what the kernel says of it.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn found_socket(host: OwnedFd) -> Result<File, Errno> {
        let judged = match Internet::found(&host)? {
            Some(internet) => Extra::Internet(internet),
            None => Local::found(&host)?.map(Extra::Local).unwrap_or_default(),
        };
        Ok(File::new(host, Kind::Socket).with_record(extra(judged)))
    }

    /// A connection that accept(2) took from a socket.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn accepted(host: OwnedFd, from: &File) -> Result<File, Errno> {
        if from.is_internet() {
            let judged = Extra::Internet(Internet::default());
            return Ok(File::new(host, Kind::Socket).with_record(extra(judged)));
        }
        File::found_socket(host)
    }

    /// Whether it is a socket of the internet.
    pub fn is_internet(&self) -> bool {
        matches!(&*self.extra(), Extra::Internet(_))
    }

    /// A file of which only the descriptor is known; the host is asked what it is.
    pub fn made(host: OwnedFd) -> Result<File, Errno> {
        let flags = fcntl(&host, FcntlArg::F_GETFL)?;
        let kind = if flags & libc::O_PATH != 0 { Kind::Path } else { kind_of(&host, &fstat(&host)?) };
        if kind == Kind::Socket {
            return File::found_socket(host);
        }
        Ok(File::opened(host, kind, flags, None))
    }

    /// As one that the user gave to the guest: a socket as it is bound or not.
    pub fn given(self) -> File {
        match &mut *self.extra() {
            Extra::Internet(internet) => internet.bound = true,
            Extra::Local(local) => local.named = true,
            _ => {}
        }
        self
    }

    /// A text of the supervisor's making. `host` is only asked for its status.
    pub fn view(host: OwnedFd, path: Box<[u8]>, content: Vec<u8>) -> File {
        let extra = extra(Extra::View { content, offset: 0 });
        File { measure: None, host, kind: Kind::View, path: Some(path), access: libc::O_RDONLY, extra }
    }

    /// The memory of a process.
    pub fn memory_of(host: OwnedFd, path: Box<[u8]>, of: i32) -> File {
        let extra = extra(Extra::Memory { of, offset: 0 });
        File { extra, ..File::view(host, path, Vec::new()) }
    }

    /// Whose memory it is, if it is that of a process, and where the description stands in it.
    pub fn memory(&self) -> Option<(i32, u64)> {
        match *self.extra() {
            Extra::Memory { of, offset } => Some((of, offset)),
            _ => None,
        }
    }

    /// A signal descriptor for `set`; `host` is an eventfd that nobody else reads or writes.
    pub fn signals(host: OwnedFd, set: Arc<AtomicU64>) -> File {
        let extra = extra(Extra::Signals { set, readable: false });
        File { extra, ..File::new(host, Kind::Signals) }
    }

    /// The set of a signal descriptor; EINVAL for any other.
    pub fn signal_set(&self) -> Result<Arc<AtomicU64>, Errno> {
        match &*self.extra() {
            Extra::Signals { set, .. } => Ok(set.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// As opened with these flags of open(2).
    pub fn with_flags(self, flags: i32) -> File {
        File { access: flags & FIXED, ..self }
    }

    /// As a file that is memory if there is a measure of it.
    pub fn with_measure(self, measure: Option<Measure>) -> File {
        File { measure, ..self }
    }

    /// The bytes of memory that the kernel keeps for it alone, as far as it tells: what is in a pipe or a
    /// socket. Of a file that is memory, takes the measure.
    pub fn kept(&self) -> u64 {
        match (&self.measure, self.kind) {
            (Some(measure), _) => {
                measure.take();
                0
            }
            (None, Kind::Pipe) => in_pipe(self.host.as_fd()).unwrap_or(0),
            (None, Kind::Socket) => in_socket(self.host.as_fd()).unwrap_or(0),
            _ => 0,
        }
    }

    /// As a file of another kind, where the caller knows better than [`File::made`].
    pub fn with_kind(self, kind: Kind) -> File {
        File { kind, ..self }
    }

    /// A second descriptor of the same open file description (dup(2)).
    pub fn duplicate(&self) -> Result<File, Errno> {
        let host =
            self.host.try_clone().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EMFILE)))?;
        Ok(File {
            measure: self.measure.as_ref().map(|measure| measure.by(host.as_fd())),
            host,
            kind: self.kind,
            path: self.path.clone(),
            access: self.access,
            extra: self.extra.clone(),
        })
    }

    /// The same open file in a forked process.
    fn inherited(&self) -> Result<File, Errno> {
        match self.made_up()? {
            Some(signals) if self.kind == Kind::Signals => File::of_made_up(signals, || Err(Errno::EBADF)),
            _ => self.duplicate(),
        }
    }

    /// Whether it was opened for reading.
    pub fn readable(&self) -> bool {
        self.access & libc::O_PATH == 0 && self.access & libc::O_ACCMODE != libc::O_WRONLY
    }
    /// Whether it was opened for writing.
    pub fn writable(&self) -> bool {
        self.access & libc::O_PATH == 0 && self.access & libc::O_ACCMODE != libc::O_RDONLY
    }
    /// How long a transfer on it may wait.
    pub fn wait(&self) -> Wait {
        match self.kind {
            Kind::Regular | Kind::Directory | Kind::BlockDevice | Kind::Memory | Kind::View | Kind::Path => {
                Wait::Short
            }
            _ => Wait::Long,
        }
    }
    /// Whether closing it may wait for somebody: for a peer to take what a socket still has (SO_LINGER,
    /// socket(7)), or for a device or a file server to write what is left. File systems that keep all that
    /// they have on this host do nothing when a file is closed.
    pub fn closing_may_wait(&self) -> bool {
        use nix::sys::socket::{getsockopt, sockopt::Linger};
        use nix::sys::statfs::{
            BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, PROC_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC, fstatfs,
        };
        /// Major number of the devices without hardware (null(4)).
        const MEMORY: u64 = 1;
        const LOCAL: [nix::sys::statfs::FsType; 5] =
            [BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, PROC_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC];
        match self.kind {
            Kind::Socket => getsockopt(&self.host, Linger).is_ok_and(|l| l.l_onoff != 0 && l.l_linger > 0),
            Kind::Regular => !fstatfs(&self.host).is_ok_and(|fs| LOCAL.contains(&fs.filesystem_type())),
            Kind::CharDevice => !fstat(&self.host).is_ok_and(|s| nix::sys::stat::major(s.st_rdev) == MEMORY),
            Kind::BlockDevice | Kind::Terminal | Kind::Other => true,
            _ => false,
        }
    }
    /// The access mode and status flags it has now (F_GETFL).
    pub fn status_flags(&self) -> Result<i32, Errno> {
        // The kernel adds O_LARGEFILE to whatever is opened by a name, which the guest did not do with a
        // queue.
        const LARGE: i32 = 0o100_000;
        if self.kind == Kind::View {
            // The kernel knows only what stands in for it.
            return Ok(self.access | if self.access & libc::O_PATH == 0 { LARGE } else { 0 });
        }
        let own = if self.kind == Kind::Queue { LARGE } else { 0 };
        let host = fcntl(&self.host, FcntlArg::F_GETFL)? & !own;
        // How the name was looked up the guest has said otherwise than the supervisor.
        let lookup =
            if self.kind == Kind::Path { libc::O_NOFOLLOW | libc::O_DIRECTORY } else { libc::O_NOFOLLOW };
        Ok(host & !lookup | self.access & lookup)
    }
    /// Whether every write goes to the end.
    pub fn append(&self) -> bool {
        self.status_flags().is_ok_and(|f| f & libc::O_APPEND != 0)
    }
    /// What it is beside the host's description, if it exists only in the supervisor's own records: a view,
    /// or a signal descriptor.
    pub fn made_up(&self) -> Result<Option<MadeUp>, Errno> {
        if !matches!(self.kind, Kind::View | Kind::Signals) {
            return Ok(None);
        }
        let nonblocking = self.kind == Kind::Signals && self.status_flags()? & libc::O_NONBLOCK != 0;
        let (kind, path, access, extra) = (self.kind, self.path.clone(), self.access, self.extra.clone());
        Ok(Some(MadeUp { kind, path, access, nonblocking, extra }))
    }

    /// The same in another process. Which signals wait is every process's own affair, so a signal descriptor
    /// gets an eventfd of its own; `stand_in` is for a view.
    pub fn of_made_up(
        from: MadeUp,
        stand_in: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<File, Errno> {
        let MadeUp { kind, path, access, nonblocking, extra } = from;
        if let Extra::Signals { set, .. } = &*extra.lock() {
            let flags = if nonblocking { libc::O_NONBLOCK } else { 0 };
            let host = new_fd(NewFd::Eventfd, [0, (flags | libc::O_CLOEXEC) as u64, 0])?;
            return Ok(File::signals(host, set.clone()));
        }
        Ok(File { measure: None, host: stand_in()?, kind, path, access, extra })
    }

    /// The state beside the description, which outlives this descriptor of it.
    pub fn record(&self) -> Arc<Lock<Extra>> {
        self.extra.clone()
    }

    /// As another descriptor of the description with this state.
    pub fn with_record(self, record: Arc<Lock<Extra>>) -> File {
        File { extra: record, ..self }
    }

    /// The state beside the description.
    pub fn extra(&self) -> Guard<'_, Extra> {
        self.extra.lock()
    }

    /// Reads a view: at `offset`, or where the description stands. EINVAL if it is none.
    pub fn read_view(&self, to: &mut [u8], at: Option<i64>) -> Result<usize, Errno> {
        let mut extra = self.extra();
        let Extra::View { content, offset } = &mut *extra else { return Err(Errno::EINVAL) };
        let from = match at {
            Some(at) => u64::try_from(at).map_err(|_| Errno::EINVAL)?,
            None => *offset,
        };
        let rest = usize::try_from(from).ok().and_then(|from| content.get(from..)).unwrap_or_default();
        let n = rest.len().min(to.len());
        to[..n].copy_from_slice(&rest[..n]);
        if at.is_none() {
            *offset = from + n as u64;
        }
        Ok(n)
    }

    /// Moves the offset of a view (lseek(2)).
    pub fn seek_view(&self, offset: i64, whence: i32) -> Result<i64, Errno> {
        let mut extra = self.extra();
        let (at, end) = match &mut *extra {
            Extra::View { content, offset } => (offset, Some(content.len() as i64)),
            Extra::Memory { offset, .. } => (offset, None),
            _ => return Err(Errno::EINVAL),
        };
        let base = match whence {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => *at as i64,
            libc::SEEK_END => end.ok_or(Errno::EINVAL)?,
            _ => return Err(Errno::EINVAL),
        };
        // Addresses of memory take all 64 bits.
        let new = base.wrapping_add(offset);
        if end.is_some() && base.checked_add(offset).is_none_or(|n| n < 0) {
            return Err(Errno::EINVAL);
        }
        *at = new as u64;
        Ok(new)
    }
}

/// All that a pipe can hold if there is anything in it: each byte may be on a page of its own.
fn in_pipe(pipe: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut memory = [0; command::IOCTL_MAX];
    command::ioctl(Wait::Short, pipe, libc::FIONREAD as u32, 0, &mut memory)?;
    if memory[..4] == [0; 4] {
        return Ok(0);
    }
    number::fcntl(pipe, number::Fcntl::GetPipeSize, 0).map(|size| size as u64)
}

/// What a socket has received, what it has sent that is on its way, and what it has set aside
/// (`SK_MEMINFO_*`, linux/sock_diag.h).
fn in_socket(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    const RECEIVED: usize = 0;
    const SENT: usize = 2;
    const AHEAD: usize = 4;
    const OPTIONS: usize = 6;
    let mut info = [0; 36];
    command::get_option(socket, libc::SOL_SOCKET as u32, libc::SO_MEMINFO as u32, &mut info)?;
    let word = |n: usize| u64::from(u32::from_le_bytes(std::array::from_fn(|k| info[4 * n + k])));
    Ok([RECEIVED, SENT, AHEAD, OPTIONS].map(word).into_iter().sum())
}

/// What kind of file a descriptor is, from its status.
fn kind_of(host: &OwnedFd, status: &FileStat) -> Kind {
    match SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Kind::Regular,
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFIFO => Kind::Pipe,
        SFlag::S_IFSOCK => Kind::Socket,
        SFlag::S_IFBLK => Kind::BlockDevice,
        SFlag::S_IFCHR if nix::unistd::isatty(host).unwrap_or(false) => Kind::Terminal,
        SFlag::S_IFCHR => Kind::CharDevice,
        _ => anonymous_kind(host),
    }
}

/// Objects without an inode type are told apart by what the kernel calls them.
fn anonymous_kind(host: &OwnedFd) -> Kind {
    use std::os::fd::AsRawFd;
    let name = std::fs::read_link(format!("/proc/self/fd/{}", host.as_raw_fd()));
    match name.as_deref().map(|n| n.as_os_str().as_encoded_bytes()) {
        Ok(b"anon_inode:[eventpoll]") => Kind::Epoll,
        Ok(b"anon_inode:[timerfd]") => Kind::Timer,
        Ok(b"anon_inode:[eventfd]" | b"anon_inode:inotify") => Kind::Event,
        _ => Kind::Other,
    }
}

/// Files that were taken out of a table. They are closed, and their share of the budget is free, when this is
/// dropped.
#[derive(Debug)]
pub struct Released {
    files: Vec<Arc<File>>,
    budget: Arc<Budget>,
}

impl Released {
    /// The files.
    pub fn files(&self) -> &[Arc<File>] {
        &self.files
    }

    /// Takes those out whose closing may wait.
    pub fn split_off_waiting(&mut self) -> Option<Released> {
        let (waiting, rest) = std::mem::take(&mut self.files).into_iter().partition(|f| f.closing_may_wait());
        self.files = rest;
        Some(Released { files: waiting, budget: self.budget.clone() }).filter(|r| !r.files.is_empty())
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        let n = self.files.len();
        self.files.clear();
        self.budget.give(n);
    }
}

#[derive(Clone, Debug)]
struct Entry {
    file: Arc<File>,
    cloexec: bool,
}

/// Numbers with their files.
#[derive(Debug, Default)]
struct Entries {
    by_number: BTreeMap<i32, Entry>,
    /// No number below is free, so that finding the lowest free one costs nothing while numbers are only
    /// given out.
    lowest: i32,
}

impl Entries {
    /// The lowest free number from `min` on.
    fn free_from(&self, min: i32) -> i32 {
        let mut n = min.max(self.lowest);
        for (&used, _) in self.by_number.range(n..) {
            if used != n {
                break;
            }
            n += 1;
        }
        n
    }

    fn insert(&mut self, n: i32, entry: Entry) -> Option<Entry> {
        if n == self.lowest {
            self.lowest += 1;
        }
        self.by_number.insert(n, entry)
    }

    fn remove(&mut self, n: i32) -> Option<Entry> {
        self.lowest = self.lowest.min(n.max(0));
        self.by_number.remove(&n)
    }
}

/// The open descriptors of one guest process.
#[derive(Debug)]
pub struct FdTable {
    entries: SharedLock<Entries>,
    /// Numbers from here on are not given out: the guest's soft RLIMIT_NOFILE.
    limit: AtomicU64,
    /// Whether there ever was a signal descriptor, so that waiting costs nothing to programs that have none.
    signals: AtomicBool,
    budget: Arc<Budget>,
}

impl FdTable {
    /// What its descriptors count against.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// An empty table for numbers below `limit`.
    pub fn new(limit: u64, budget: Arc<Budget>) -> FdTable {
        FdTable {
            entries: SharedLock::new(Rank::Descriptors, Entries::default()),
            limit: AtomicU64::new(limit),
            signals: AtomicBool::new(false),
            budget,
        }
    }

    fn read(&self) -> ReadGuard<'_, Entries> {
        self.entries.read()
    }
    fn write(&self) -> WriteGuard<'_, Entries> {
        self.entries.write()
    }
    fn limit(&self) -> i32 {
        self.limit.load(Ordering::Relaxed).min(i32::MAX as u64) as i32
    }
    /// Takes over a new soft RLIMIT_NOFILE. Numbers already given out stay, as in the kernel.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The file with number `n`, or EBADF.
    pub fn get(&self, n: i32) -> Result<Arc<File>, Errno> {
        self.read().by_number.get(&n).map(|e| e.file.clone()).ok_or(Errno::EBADF)
    }

    /// The file of a descriptor, for what takes access to it: EBADF also for one opened with `O_PATH`, which
    /// only names an object (open(2)).
    pub fn accessible(&self, n: i32) -> Result<Arc<File>, Errno> {
        self.get(n).and_then(|file| if file.kind == Kind::Path { Err(Errno::EBADF) } else { Ok(file) })
    }

    /// Gives `file` the lowest free number from `min` on. EMFILE beyond the guest's limit, ENFILE beyond the
    /// sandbox's.
    pub fn insert(&self, file: impl Into<Arc<File>>, cloexec: bool, min: i32) -> Result<i32, Errno> {
        let mut entries = self.write();
        let file = file.into();
        let n = entries.free_from(min);
        if n >= self.limit() {
            return Err(Errno::EMFILE);
        }
        self.budget.take(1).map_err(|short| self.full(&entries).unwrap_or(short))?;
        if file.kind == Kind::Signals {
            self.signals.store(true, Ordering::Release);
        }
        entries.insert(n, Entry { file, cloexec });
        if min <= entries.lowest {
            entries.lowest = n + 1;
        }
        Ok(n)
    }

    /// EMFILE if most of what guests may have together is this process's: to it its own limit is what it
    /// meets.
    fn full(&self, entries: &Entries) -> Option<Errno> {
        (entries.by_number.len() > self.budget.most() / 2).then_some(Errno::EMFILE)
    }

    /// Whether there is a number to give out now; the error of [`FdTable::insert`] if not. For calls that
    /// must not take what they then cannot give.
    pub fn room(&self) -> Result<(), Errno> {
        let entries = self.read();
        if entries.free_from(0) >= self.limit() {
            return Err(Errno::EMFILE);
        }
        self.budget.room().map_err(|short| self.full(&entries).unwrap_or(short))
    }

    /// The numbers that the next two files would get, or the error of [`FdTable::insert`].
    pub fn next_two(&self) -> Result<[i32; 2], Errno> {
        self.room()?;
        let entries = self.read();
        let first = entries.free_from(0);
        let second = entries.free_from(first + 1);
        if second >= self.limit() { Err(Errno::EMFILE) } else { Ok([first, second]) }
    }

    /// Gives `file` the number `n`; what had it is returned. EBADF beyond the guest's limit.
    pub fn insert_at(
        &self,
        n: i32,
        file: impl Into<Arc<File>>,
        cloexec: bool,
    ) -> Result<Option<Arc<File>>, Errno> {
        if !(0..self.limit()).contains(&n) {
            return Err(Errno::EBADF);
        }
        let mut entries = self.write();
        if !entries.by_number.contains_key(&n) {
            self.budget.take(1)?;
        }
        Ok(entries.insert(n, Entry { file: file.into(), cloexec }).map(|e| e.file))
    }

    /// Takes number `n` away. The host descriptor is closed when the last user of the returned file is done.
    pub fn remove(&self, n: i32) -> Result<Arc<File>, Errno> {
        let entry = self.write().remove(n).ok_or(Errno::EBADF)?;
        self.budget.give(1);
        Ok(entry.file)
    }

    /// Whether `n` is closed by execve(2).
    pub fn cloexec(&self, n: i32) -> Result<bool, Errno> {
        self.read().by_number.get(&n).map(|e| e.cloexec).ok_or(Errno::EBADF)
    }

    /// Sets whether `n` is closed by execve(2).
    pub fn set_cloexec(&self, n: i32, cloexec: bool) -> Result<(), Errno> {
        self.write().by_number.get_mut(&n).map(|e| e.cloexec = cloexec).ok_or(Errno::EBADF)
    }

    /// Takes away what execve(2) closes, and returns it.
    pub fn close_on_exec(&self) -> Released {
        self.retain(|e| !e.cloexec)
    }

    /// Takes away everything: the process has ended.
    pub fn clear(&self) -> Released {
        self.retain(|_| false)
    }

    fn retain(&self, keep: impl Fn(&Entry) -> bool) -> Released {
        let mut files = Vec::new();
        let mut entries = self.write();
        entries.by_number.retain(|_, e| {
            keep(e) || {
                files.push(e.file.clone());
                false
            }
        });
        entries.lowest = 0;
        drop(entries);
        Released { files, budget: self.budget.clone() }
    }

    /// The table of a forked child: the same numbers, each with a host descriptor of its own on the same
    /// description.
    pub fn clone_for_fork(&self) -> Result<FdTable, Errno> {
        let entries = self.read();
        let mut copy = Entries { lowest: entries.lowest, ..Entries::default() };
        for (&n, e) in &entries.by_number {
            copy.by_number.insert(n, Entry { file: Arc::new(e.file.inherited()?), cloexec: e.cloexec });
        }
        self.budget.take(copy.by_number.len())?;
        Ok(FdTable {
            entries: SharedLock::new(Rank::Descriptors, copy),
            limit: AtomicU64::new(self.limit.load(Ordering::Relaxed)),
            signals: AtomicBool::new(self.signals.load(Ordering::Relaxed)),
            budget: self.budget.clone(),
        })
    }

    /// The signal descriptors.
    pub fn signals(&self) -> Vec<Arc<File>> {
        if !self.signals.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.read()
            .by_number
            .values()
            .filter(|e| e.file.kind == Kind::Signals)
            .map(|e| e.file.clone())
            .collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.read().by_number.len()
    }

    /// All numbers with their files and close-on-exec flags, ascending.
    pub fn iter(&self) -> Vec<(i32, Arc<File>, bool)> {
        self.read().by_number.iter().map(|(&n, e)| (n, e.file.clone(), e.cloexec)).collect()
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
#[path = "fd_tests.rs"]
mod tests;
