//! Messages on the control socket, beside the channel: descriptors from the supervisor, and the child's
//! request to interrupt a call.
//!
//! The socket is AF_UNIX SEQPACKET, so messages keep their bounds. Child to supervisor: one `u32`, the number
//! of a slot whose call is to be interrupted. Supervisor to child: a descriptor with an [`About`].

/// What comes with a descriptor: what the guest is told about the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Device number of the file (`st_dev`).
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Path for `/proc/self/maps`, at most 4096 bytes.
    pub path: Vec<u8>,
}

impl About {
    /// Most bytes of a message.
    pub const MAX: usize = 16 + 4096;

    /// The bytes; the path is cut if it is too long.
    pub fn encode(&self) -> Vec<u8> {
        let mut b = Vec::with_capacity(16 + self.path.len());
        b.extend(self.dev.to_le_bytes());
        b.extend(self.ino.to_le_bytes());
        b.extend(&self.path[..self.path.len().min(Self::MAX - 16)]);
        b
    }

    /// From a message's bytes; `None` if there are too few.
    pub fn decode(b: &[u8]) -> Option<About> {
        let (dev, rest) = b.split_first_chunk::<8>()?;
        let (ino, path) = rest.split_first_chunk::<8>()?;
        Some(About { dev: u64::from_le_bytes(*dev), ino: u64::from_le_bytes(*ino), path: path.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was_and_a_short_one_is_refused() {
        let about = About { dev: 7, ino: 1 << 40, path: b"/usr/lib/x.so".to_vec() };
        assert_eq!(About::decode(&about.encode()), Some(about));
        assert_eq!(About::decode(&[0; 15]), None);
    }
}
