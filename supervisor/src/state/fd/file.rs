//! An open file.

use super::kind::{Kind, kind_of};
use crate::host::command;
use crate::host::number::{self, Wait};
use crate::state::apart::StandIn;
use crate::state::memory_files::Measure;
use crate::state::ranks::{Guard, Lock, Rank};
use crate::state::sockets::{Internet, Local};
use crate::state::traffic::{Count, Traffic};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::{SFlag, fstat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
    pub(super) measure: Option<Measure>,
    /// Counts what it carries, if it is a connection that is counted; also before `host`.
    pub(super) count: Option<Count>,
    /// The supervisor's descriptor of it. For a view, of a stand-in without content.
    pub host: OwnedFd,
    /// What it is.
    pub kind: Kind,
    /// The absolute resolved name when it was opened, if it had one.
    pub path: Option<Box<[u8]>>,
    /// The bits of `FIXED` that the guest opened it with.
    pub(super) access: i32,
    pub(super) extra: Arc<Lock<Extra>>,
}

/// Flags of a description that never change. How the supervisor came by the host's description is its own
/// affair: it follows no link where the guest would have.
const FIXED: i32 = libc::O_ACCMODE | libc::O_PATH | libc::O_NOFOLLOW;

pub(super) fn extra(extra: Extra) -> Arc<Lock<Extra>> {
    Arc::new(Lock::new(Rank::File, extra))
}

impl File {
    /// A file that just came to be: readable and writable, without a name.
    pub fn new(host: OwnedFd, kind: Kind) -> File {
        File {
            measure: None,
            count: None,
            host,
            kind,
            path: None,
            access: libc::O_RDWR,
            extra: extra(Extra::None),
        }
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

    /// As opened with these flags of open(2).
    pub fn with_flags(self, flags: i32) -> File {
        File { access: flags & FIXED, ..self }
    }

    /// As a file that is memory if there is a measure of it.
    pub fn with_measure(self, measure: Option<Measure>) -> File {
        File { measure, ..self }
    }

    /// As a socket whose connections are counted.
    pub fn counted(self, traffic: Arc<Traffic>) -> File {
        File { count: Some(Count::new(traffic, self.host.as_fd())), ..self }
    }

    /// What counts what it carries.
    pub fn count(&self) -> Option<&Count> {
        self.count.as_ref()
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
            count: self.count.as_ref().map(|count| count.by(&host)),
            host,
            kind: self.kind,
            path: self.path.clone(),
            access: self.access,
            extra: self.extra.clone(),
        })
    }

    /// The same open file in a forked process.
    pub(super) fn inherited(&self) -> Result<File, Errno> {
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
