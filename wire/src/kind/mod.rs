//! The vocabulary of the system-call table.
//!
//! * [`argument`]: what an argument is, and how many bytes a pointer stands for;
//! * [`shape`]: layouts and names of data;
//! * [`travel`]: how bulk data travel;
//! * [`row`]: a system call, or a command of one that has many.

mod argument;
mod row;
mod shape;
mod travel;

pub use argument::{Extent, Kind, Presence, Timeout};
pub use row::{Arg, Class, Command, Commands, Restart, Route, Syscall, Wait};
pub use shape::{Field, Names, Scalar, Struct};
pub use travel::{Bulk, Pieces, Splice};
