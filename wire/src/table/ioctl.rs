//! Requests of ioctl(2): terminals (ioctl_tty(2)), files (ioctl_fs(2)), sockets (netdevice(7)).
//!
//! Only the low 32 bits of a request count, as in the kernel, so high bits do not smuggle a refused one past.
//! Requests that hand out descriptors or follow pointers inside their structure are refused.

use super::structs::*;
use crate::effect::Effect::*;
use crate::effect::Named::*;
use crate::kind::Commands;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;

const INJECTION: &str = "puts input into a terminal that others read";
const CONTROLLING: &str = "takes a terminal from others; needs a capability";
const DESCRIPTOR: &str = "hands out a descriptor";
const POINTERS: &str = "follows pointers inside its structure";
const INODE: &str = "attributes that outlive the sandbox; programs go on without";

/// Requests of ioctl(2).
pub(super) static IOCTL: Commands = Commands {
    title: "ioctl request",
    mask: u32::MAX,
    options: None,
    unknown: libc::ENOTTY,
    rows: command_rows! { (fd, request)
        // Terminals. `struct termios` of the kernel has 36 bytes, `termios2` 44. The window size anybody may
        // change.
        TCGETS [Harmless] => (argp: Out(Needed, Fixed(36)));
        TCSETS [Terminal] => (argp: In(Needed, Fixed(36)));
        TCSETSW [Terminal, Block] => (argp: In(Needed, Fixed(36)));
        TCSETSF [Terminal, Block] => (argp: In(Needed, Fixed(36)));
        TCGETS2 [Harmless] => (argp: Out(Needed, Fixed(44)));
        TCSETS2 [Terminal] => (argp: In(Needed, Fixed(44)));
        TCSETSW2 [Terminal, Block] => (argp: In(Needed, Fixed(44)));
        TCSETSF2 [Terminal, Block] => (argp: In(Needed, Fixed(44)));
        TCGETA [Harmless] => (argp: Out(Needed, Fixed(18)));
        TCSETA [Terminal] => (argp: In(Needed, Fixed(18)));
        TCSETAW [Terminal, Block] => (argp: In(Needed, Fixed(18)));
        TCSETAF [Terminal, Block] => (argp: In(Needed, Fixed(18)));
        TCSBRK [Terminal, Block] => (arg: I32);
        TCSBRKP [Terminal, Block] => (arg: I32);
        TIOCSBRK [Harmless];
        TIOCCBRK [Harmless];
        TCXONC [Terminal] => (arg: I32);
        TCFLSH [Terminal] => (arg: I32);
        TIOCGWINSZ [Harmless] => (argp: Out(Needed, Struct(&WINSIZE)));
        TIOCSWINSZ [Harmless] => (argp: In(Needed, Struct(&WINSIZE)));
        // Job control: the child's, as its session is, but on the terminal that rxbox was started on.
        TIOCGPGRP [Harmless], Grant => (argp: Out(Needed, Fixed(4)));
        TIOCSPGRP [Harmless], Grant => (argp: In(Needed, Fixed(4)));
        TIOCGSID [Harmless], Grant => (argp: Out(Needed, Fixed(4)));
        TIOCSCTTY [Harmless], Grant => (arg: I32);
        TIOCNOTTY [Harmless], Grant;
        TIOCOUTQ [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCEXCL [Harmless];
        TIOCNXCL [Harmless];
        TIOCGEXCL [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCGETD [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCPKT [Harmless] => (argp: In(Needed, Fixed(4)));
        TIOCGPKT [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCMGET [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCMBIS [Harmless] => (argp: In(Needed, Fixed(4)));
        TIOCMBIC [Harmless] => (argp: In(Needed, Fixed(4)));
        TIOCMSET [Harmless] => (argp: In(Needed, Fixed(4)));
        TIOCGSOFTCAR [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCSSOFTCAR [Harmless] => (argp: In(Needed, Fixed(4)));
        TIOCGDEV [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCGPTN [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCSPTLCK [Harmless] => (argp: In(Needed, Fixed(4)));
        TIOCGPTLCK [Harmless] => (argp: Out(Needed, Fixed(4)));
        TIOCGPTPEER, Refuse[EINVAL DESCRIPTOR] => (flags: U32);
        TIOCSTI, Refuse[EPERM INJECTION] => (argp: In(Needed, Fixed(1)));
        TIOCLINUX, Refuse[EPERM INJECTION] => (argp: In(Needed, Fixed(1)));
        TIOCCONS, Refuse[EPERM "takes the console's output"];
        TIOCSETD, Refuse[EPERM "loads kernel modules"] => (argp: In(Needed, Fixed(4)));
        TIOCVHANGUP = 0x5437, Refuse[EPERM CONTROLLING];

        // Every kind of descriptor.
        FIONREAD [Harmless] => (argp: Out(Needed, Fixed(4)));
        FIONBIO [Harmless] => (argp: In(Needed, Fixed(4)));
        FIONCLEX [Harmless];
        FIOCLEX [Harmless];
        FIOQSIZE = 0x5460 [Harmless] => (argp: Out(Needed, Fixed(8)));
        FIOASYNC [Harmless] => (argp: In(Needed, Fixed(4)));
        FIOSETOWN = 0x8901 [Harmless] => (argp: In(Needed, Fixed(4)));
        SIOCSPGRP = 0x8902 [Harmless] => (argp: In(Needed, Fixed(4)));
        FIOGETOWN = 0x8903 [Harmless] => (argp: Out(Needed, Fixed(4)));
        SIOCGPGRP = 0x8904 [Harmless] => (argp: Out(Needed, Fixed(4)));

        // Files and block devices.
        FIGETBSZ = 2 [Harmless] => (argp: Out(Needed, Fixed(4)));
        FICLONE [Harmless] => (src_fd: Fd);
        FICLONERANGE, Refuse[EOPNOTSUPP "holds a descriptor inside its structure"] => (argp: In(Needed,
        Fixed(32)));
        FIDEDUPERANGE = 0xc018_9436u32, Refuse[EOPNOTSUPP "holds descriptors inside its structure"];
        FIBMAP = 1, Refuse[EPERM "places on the device"] => (argp: InOut(Needed, Fixed(4)));
        FIFREEZE = 0xc004_5877u32, Refuse[EPERM "stops the file system"];
        FITHAW = 0xc004_5878u32, Refuse[EPERM "stops the file system"];
        FITRIM = 0xc018_5879u32, Refuse[EPERM "changes the device"];
        FS_IOC_FIEMAP = 0xc020_660bu32, Refuse[EOPNOTSUPP "places on the device"];
        FS_IOC_GETFLAGS [Harmless] => (argp: Out(Needed, Fixed(4)));
        FS_IOC_SETFLAGS, Refuse[EOPNOTSUPP INODE] => (argp: In(Needed, Fixed(4)));
        FS_IOC_GETVERSION [Harmless] => (argp: Out(Needed, Fixed(4)));
        FS_IOC_SETVERSION, Refuse[EOPNOTSUPP INODE] => (argp: In(Needed, Fixed(4)));
        FS_IOC_FSGETXATTR = 0x801c_581fu32 [Harmless] => (argp: Out(Needed, Fixed(28)));
        FS_IOC_FSSETXATTR = 0x401c_5820, Refuse[EOPNOTSUPP INODE] => (argp: In(Needed, Fixed(28)));
        FS_IOC_ADD_ENCRYPTION_KEY = 0xc050_6617u32, Refuse[EPERM "keys are the user's"];
        FS_IOC_ENABLE_VERITY = 0x4080_6685, Refuse[EOPNOTSUPP INODE];
        BLKROGET = 0x125e [Harmless] => (argp: Out(Needed, Fixed(4)));
        BLKGETSIZE = 0x1260 [Harmless] => (argp: Out(Needed, Fixed(8)));
        BLKSSZGET = 0x1268 [Harmless] => (argp: Out(Needed, Fixed(4)));
        BLKPBSZGET = 0x127b [Harmless] => (argp: Out(Needed, Fixed(4)));
        BLKGETSIZE64 = 0x8008_1272u32 [Harmless] => (argp: Out(Needed, Fixed(8)));
        RNDGETENTCNT = 0x8004_5200u32 [Harmless] => (argp: Out(Needed, Fixed(4)));
        NS_GET_USERNS = 0xb701, Refuse[EPERM DESCRIPTOR];
        NS_GET_PARENT = 0xb702, Refuse[EPERM DESCRIPTOR];

        // Sockets. `struct ifreq` has 40 bytes.
        SIOCATMARK = 0x8905 [Harmless] => (argp: Out(Needed, Fixed(4)));
        SIOCGSTAMP = 0x8906 [Harmless] => (argp: Out(Needed, Struct(&TIMEVAL)));
        SIOCGSTAMPNS = 0x8907 [Harmless] => (argp: Out(Needed, Struct(&TIMESPEC)));
        SIOCGIFNAME [Interface(Number)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFFLAGS [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFADDR [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFDSTADDR [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFBRDADDR [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFNETMASK [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFMETRIC [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFMTU [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFHWADDR [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFINDEX [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFTXQLEN [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        SIOCGIFMAP [Interface(Name)] => (argp: InOut(Needed, Fixed(40)));
        // Of /dev/vsock: the machine's own address (vsock(7)).
        IOCTL_VM_SOCKETS_GET_LOCAL_CID = 0x7b9 [Harmless] => (argp: Out(Needed, Fixed(4)));
        SIOCGIFCONF = 0x8912 [Interfaces] => (argp: InterfaceList);
        SIOCETHTOOL, Refuse[EOPNOTSUPP POINTERS];
    },
};
