//! How the bulk data of calls travel.

/// How the bulk data of a call travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bulk {
    /// In the data area, with the request or the reply.
    AtOnce,
    /// In the data area, one piece after the other.
    Pieces(Pieces),
    /// A message (sendmsg(2)): in the data area, and what exceeds it, on a stream, in the pieces of a
    /// sendto(2).
    Message,
    /// As a file that the child maps: its descriptor comes over the control socket.
    Map {
        /// Index of the argument that has MAP_ANONYMOUS if there is no file.
        unless: Option<u8>,
    },
}

/// A transfer in pieces. The descriptor is argument 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Index of the argument that points at the bytes or, if [`Pieces::vectored`], at the vectors of them.
    pub buffer: u8,
    /// Index of the argument that counts bytes or vectors.
    pub count: u8,
    /// From guest memory to the descriptor.
    pub write: bool,
    /// The bytes lie in vectors.
    pub vectored: bool,
    /// Index of the file offset.
    pub offset: Option<u8>,
    /// Indices of a socket address and of its length. With one, the call is no mere transfer of bytes.
    pub address: Option<(u8, u8)>,
    /// A piece that was taken whole is followed by the next also where the reply does not say [`MORE`]: what
    /// a write(2) does in one go cannot be told from what it does in pieces.
    ///
    /// [`MORE`]: crate::frame::Reply::MORE
    pub persistent: bool,
}

/// What the supervisor says with the approval of a vmsplice(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Splice {
    /// It reads from a pipe.
    Read = 0,
    /// It writes to one.
    Write = 1,
    /// The file is no pipe, which is an error once there is something to move.
    Nothing = 2,
}
