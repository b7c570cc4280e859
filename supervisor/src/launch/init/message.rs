//! What the init process reports to the supervisor: a kind and a number.

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The first child runs: its process id.
    Started(i32),
    /// It could not be started: the step ([`super::exec::STEPS`]) and the errno.
    Failed(u8, i32),
    /// It has ended: exit status.
    Exited(i32),
    /// It has ended: signal.
    Signaled(i32),
    /// It was stopped: signal.
    Stopped(i32),
    /// It was continued.
    Continued,
}

impl Message {
    /// Bytes of a message.
    pub(super) const SIZE: usize = 9;

    pub(super) fn encode(self) -> [u8; Message::SIZE] {
        let (kind, step, number) = match self {
            Message::Started(pid) => (0u32, 0, pid),
            Message::Failed(step, errno) => (1, step, errno),
            Message::Exited(status) => (2, 0, status),
            Message::Signaled(signal) => (3, 0, signal),
            Message::Stopped(signal) => (4, 0, signal),
            Message::Continued => (5, 0, 0),
        };
        let mut b = [0; Message::SIZE];
        b[..4].copy_from_slice(&kind.to_le_bytes());
        b[4] = step;
        b[5..].copy_from_slice(&number.to_le_bytes());
        b
    }

    /// `None`: the bytes are no message.
    pub(super) fn decode(b: &[u8]) -> Option<Message> {
        let b: &[u8; Message::SIZE] = b.try_into().ok()?;
        let number = i32::from_le_bytes([b[5], b[6], b[7], b[8]]);
        Some(match b[0] {
            0 => Message::Started(number),
            1 => Message::Failed(b[4], number),
            2 => Message::Exited(number),
            3 => Message::Signaled(number),
            4 => Message::Stopped(number),
            5 => Message::Continued,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were_and_other_bytes_are_refused() {
        for word in [
            Message::Started(7),
            Message::Failed(3, 12),
            Message::Exited(255),
            Message::Signaled(9),
            Message::Stopped(19),
            Message::Continued,
        ] {
            assert_eq!(Message::decode(&word.encode()), Some(word));
        }
        assert_eq!(Message::decode(&[9; 9]), None);
        assert_eq!(Message::decode(&[]), None);
    }
}
