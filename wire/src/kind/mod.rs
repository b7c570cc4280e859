//! The vocabulary of the system-call table.
//!
//! * [`shape`]: layouts and names of data;
//! * [`extent`]: how many bytes a pointer stands for;
//! * [`travel`]: how bulk data travel;
//! * [`how`]: who carries a call out, and how long it may wait;
//! * [`argument`]: what an argument is, a command of a multiplexer among them;
//! * [`row`]: a system call.

mod argument;
mod extent;
mod how;
mod row;
mod shape;
mod travel;

pub use argument::{Arg, Command, Commands, Kind};
pub use extent::{Extent, Presence, Timeout};
pub use how::{Class, Restart, Route, Wait};
pub use row::Syscall;
pub use shape::{Field, Names, Scalar, Struct};
pub use travel::{Bulk, Pieces, Splice};
