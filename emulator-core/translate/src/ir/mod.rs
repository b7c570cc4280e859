//! The intermediate representation: operations over variables.
//!
//! The shape is TCG's: guest state is global variables, an instruction's intermediate results are
//! temporaries, and a block is a straight line of operations with conditional exits. One operation is ours:
//! [`op::Op::Native`] carries a guest instruction that the host can run as it is, with the sets of variables
//! that it reads and writes.

pub mod block;
pub mod effect;
pub mod op;
pub mod operand;
pub mod var;
pub mod verify;
