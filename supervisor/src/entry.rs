//! Where the program begins: in the place of the standard library's own beginning, which opens closed
//! standard streams (and aborts where there is no `/dev/null`), ignores SIGPIPE and handles faults, all of it
//! before anybody could see what the process was really started with.

use std::ffi::c_int;

/// What the C library calls. Arguments and environment it has kept for [`std::env`].
// SAFETY: no other function of the program has this name.
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    std::process::exit(crate::program())
}
