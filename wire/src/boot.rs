//! What the supervisor tells an emulator child before the guest runs: descriptors by number, and the boot
//! block.
//!
//! The child is started as a fresh program with an empty environment and these descriptors; 0, 1 and 2 lead
//! to an empty file. The boot block comes over the control socket: one message with its length (eight bytes),
//! then messages of at most [`PIECE`] bytes each until it is whole.

use crate::log::LogItems;

/// The channel's memory.
pub const CHANNEL_FD: i32 = 3;
/// The control socket.
pub const CONTROL_FD: i32 = 4;
/// The log, if [`Boot::log`] is not empty.
pub const LOG_FD: i32 = 5;
/// Most bytes of the boot block in one message.
pub const PIECE: usize = 32 * 1024;
/// `argv[0]` by which the program knows that it is to be an emulator child.
pub const ROLE: &str = "rxbox-emulator";

bitflags::bitflags! {
    /// What is in force around the first child besides its filter. The host may not offer it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Layers: u32 {
        /// User, mount, network, IPC and UTS namespaces of its own, with an empty root.
        const NAMESPACES = 1;
        /// A Landlock ruleset that grants nothing.
        const LANDLOCK = 2;
    }
}

/// The boot block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// Path of the program, as the guest is to see it.
    pub program: Vec<u8>,
    /// The guest's arguments.
    pub argv: Vec<Vec<u8>>,
    /// The guest's environment.
    pub envp: Vec<Vec<u8>>,
    /// What to log on [`LOG_FD`]; that is open if there is anything.
    pub log: LogItems,
    /// Whether the guest gets a vDSO.
    pub vdso: bool,
    /// Real and effective user id, real and effective group id.
    pub ids: [u32; 4],
    /// Signals that are ignored from the start, bit n - 1 for signal n.
    pub ignored: u64,
    /// Signals that are blocked from the start.
    pub blocked: u64,
    /// Soft limits in bytes: RLIMIT_STACK, RLIMIT_DATA, RLIMIT_AS.
    pub limits: [u64; 3],
    /// Random bytes: for the places of things in memory, and the guest's AT_RANDOM.
    pub random: [u8; 32],
    /// Where the code cache and images lie, if translations are [kept](crate::kept): words that are the same
    /// in each run of the user.
    pub places: Option<[u64; 2]>,
}

/// The first bytes of a boot block: a name and the version of its form.
const MAGIC: &[u8; 8] = b"rxboot\0\x03";

/// The bytes do not form a boot block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the boot block is malformed")]
pub struct Malformed;

impl Boot {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut b = MAGIC.to_vec();
        for id in self.ids {
            b.extend(id.to_le_bytes());
        }
        for word in [self.ignored, self.blocked].into_iter().chain(self.limits) {
            b.extend(word.to_le_bytes());
        }
        b.extend(self.random);
        b.extend([self.log.to_byte(), u8::from(self.vdso), u8::from(self.places.is_some())]);
        self.places.unwrap_or_default().iter().for_each(|word| b.extend(word.to_le_bytes()));
        put(&mut b, &self.program);
        for list in [&self.argv, &self.envp] {
            b.extend((list.len() as u64).to_le_bytes());
            list.iter().for_each(|item| put(&mut b, item));
        }
        b
    }

    /// From bytes.
    ///
    /// # Errors
    /// They are not what [`Boot::encode`] gives.
    pub fn decode(bytes: &[u8]) -> Result<Boot, Malformed> {
        let mut rest = Rest(bytes.strip_prefix(MAGIC).ok_or(Malformed)?);
        let boot = Boot {
            ids: [rest.u32()?, rest.u32()?, rest.u32()?, rest.u32()?],
            ignored: rest.u64()?,
            blocked: rest.u64()?,
            limits: [rest.u64()?, rest.u64()?, rest.u64()?],
            random: rest.take()?,
            log: rest.take().and_then(|[byte]| LogItems::from_byte(byte).ok_or(Malformed))?,
            vdso: rest.flag()?,
            places: {
                let (kept, words) = (rest.flag()?, [rest.u64()?, rest.u64()?]);
                kept.then_some(words)
            },
            program: rest.bytes()?,
            argv: rest.list()?,
            envp: rest.list()?,
        };
        if rest.0.is_empty() { Ok(boot) } else { Err(Malformed) }
    }
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u64).to_le_bytes());
    to.extend(bytes);
}

/// What is still to be decoded.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }
    fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }
    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed),
        }
    }
    fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let n = usize::try_from(self.u64()?).map_err(|_| Malformed)?;
        let (head, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head.to_vec())
    }
    fn list(&mut self) -> Result<Vec<Vec<u8>>, Malformed> {
        (0..self.u64()?).map(|_| self.bytes()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogItem;

    fn boot() -> Boot {
        Boot {
            program: b"/bin/true".to_vec(),
            argv: vec![b"true".to_vec(), b"".to_vec(), b"\xff".to_vec()],
            envp: vec![b"A=b".to_vec()],
            log: [LogItem::Exec, LogItem::Op].into_iter().collect(),
            ids: [1, 2, 3, 4],
            vdso: false,
            ignored: 1 << 12,
            blocked: u64::MAX,
            limits: [8 << 20, u64::MAX, 0],
            random: std::array::from_fn(|i| i as u8),
            places: Some([1 << 40, 7]),
        }
    }

    #[test]
    fn a_boot_block_comes_back_as_it_was() {
        for b in [boot(), Boot::default()] {
            assert_eq!(Boot::decode(&b.encode()), Ok(b));
        }
    }

    #[test]
    fn a_cut_or_lengthened_block_is_refused() {
        let bytes = boot().encode();
        for n in 0..bytes.len() {
            assert_eq!(Boot::decode(&bytes[..n]), Err(Malformed), "{n} bytes");
        }
        assert_eq!(Boot::decode(&[&bytes[..], b"x"].concat()), Err(Malformed));
    }

    #[test]
    fn no_byte_can_be_changed_into_a_panic() {
        let bytes = boot().encode();
        for i in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[i] = value;
                let _ = Boot::decode(&bytes);
            }
        }
    }
}
