//! The kernel's vsyscall page: three entries at fixed addresses in its own half, which old static programs
//! call. Nothing is mapped there for the guest; that the pc is there is seen when no code is found
//! (`emulate_vsyscall` of the kernel).

use super::system_call::perform;
use crate::base::result::SyscallResult;
use crate::guest::access;
use crate::guest::layout::PAGE;
use crate::signal::deliver;
use crate::thread::Thread;
use rxbox_wire::table;

/// Where the page lies.
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;
/// Its entries: offset and call, which returns to where it was called from.
const ENTRIES: [(u64, i64); 3] =
    [(0, libc::SYS_gettimeofday), (0x400, libc::SYS_time), (0x800, libc::SYS_getcpu)];

/// If the pc is in the page, does what the kernel does; whether it is.
pub(super) fn called(thread: &mut Thread) -> bool {
    let state = thread.state();
    let offset = state.pc.wrapping_sub(VSYSCALL);
    if offset >= PAGE {
        return false;
    }
    let args = [state.gpr[7], state.gpr[6], 0, 0, 0, 0];
    let sp = state.gpr[4];
    let entry = ENTRIES.iter().find(|entry| entry.0 == offset);
    let call = entry.and_then(|&(_, nr)| table::row(nr as u32));
    let (Some(call), Ok(back)) = (call, access::read_u64(sp)) else {
        deliver::force_sigsegv(thread);
        return true;
    };
    match perform(thread, call, args) {
        SyscallResult::Value(value) if value != -i64::from(libc::EFAULT) => {
            let state = thread.state();
            state.gpr[0] = value as u64;
            (state.pc, state.gpr[4]) = (back, sp.wrapping_add(8));
        }
        _ => deliver::force_sigsegv(thread),
    }
    true
}
