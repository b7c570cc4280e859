//! What the init process reports to the supervisor (a kind and numbers), and what it is told to start: a
//! message for each descriptor that a further child gets.

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
    /// A further child has ended: its process id and its exit status.
    FurtherExited(i32, i32),
    /// The same: the signal.
    FurtherSignaled(i32, i32),
}

impl Message {
    /// Bytes of a message.
    pub(super) const SIZE: usize = 13;

    pub(super) fn encode(self) -> [u8; Message::SIZE] {
        let (kind, step, number, pid) = match self {
            Message::Started(pid) => (0u32, 0, pid, 0),
            Message::Failed(step, errno) => (1, step, errno, 0),
            Message::Exited(status) => (2, 0, status, 0),
            Message::Signaled(signal) => (3, 0, signal, 0),
            Message::Stopped(signal) => (4, 0, signal, 0),
            Message::Continued => (5, 0, 0, 0),
            Message::FurtherExited(pid, status) => (6, 0, status, pid),
            Message::FurtherSignaled(pid, signal) => (7, 0, signal, pid),
        };
        let mut b = [0; Message::SIZE];
        b[..4].copy_from_slice(&kind.to_le_bytes());
        b[4] = step;
        b[5..9].copy_from_slice(&number.to_le_bytes());
        b[9..].copy_from_slice(&pid.to_le_bytes());
        b
    }

    /// `None`: the bytes are no message.
    pub(super) fn decode(b: &[u8]) -> Option<Message> {
        let b: &[u8; Message::SIZE] = b.try_into().ok()?;
        let number = i32::from_le_bytes([b[5], b[6], b[7], b[8]]);
        let pid = i32::from_le_bytes([b[9], b[10], b[11], b[12]]);
        Some(match b[0] {
            0 => Message::Started(number),
            1 => Message::Failed(b[4], number),
            2 => Message::Exited(number),
            3 => Message::Signaled(number),
            4 => Message::Stopped(number),
            5 => Message::Continued,
            6 => Message::FurtherExited(pid, number),
            7 => Message::FurtherSignaled(pid, number),
            _ => return None,
        })
    }
}

/// What comes with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The memory of the channel of a child that is to be started.
    Channel,
    /// The terminal that it is to take.
    Terminal,
    /// Its end of the control socket: it is to be started.
    Start,
}

impl Order {
    /// All of them, by the byte that stands for each.
    const ALL: [Order; 3] = [Order::Channel, Order::Terminal, Order::Start];

    pub(super) fn encode(self) -> [u8; 1] {
        [self as u8]
    }

    pub(super) fn decode([byte]: [u8; 1]) -> Option<Order> {
        Order::ALL.get(usize::from(byte)).copied()
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
            Message::FurtherExited(9, 255),
            Message::FurtherSignaled(i32::MAX, 9),
        ] {
            assert_eq!(Message::decode(&word.encode()), Some(word));
        }
        assert_eq!(Message::decode(&[9; Message::SIZE]), None);
        assert!(Order::ALL.iter().all(|order| Order::decode(order.encode()) == Some(*order)));
        assert_eq!(Message::decode(&[]), None);
    }
}
