//! A row of the table: a system call.

use super::argument::Arg;
use super::how::{Class, Restart, Route, Wait};
use super::travel::Bulk;

/// One system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// x86-64 number.
    pub nr: u32,
    /// The kernel's name.
    pub name: &'static str,
    /// Its arguments, at most six.
    pub args: &'static [Arg],
    /// Where it is carried out.
    pub route: Route,
    /// What it lacks of the kernel's call, if it is offered in part; else nothing.
    pub lacks: &'static str,
    /// What area it belongs to.
    pub class: Class,
    /// Whether it may wait for long.
    pub wait: Wait,
    /// What a signal does to it while it waits.
    pub restart: Restart,
    /// Whether an argument, or one of some command, limits its time; read off their kinds.
    pub timed: bool,
    /// How its bulk data travel at most, read off the kinds of its arguments; see [`Syscall::bulk`].
    pub travel: Bulk,
}
