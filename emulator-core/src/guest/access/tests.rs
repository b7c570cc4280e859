//! Faults are real here: a handler of the tests' own for SIGSEGV and SIGBUS does what the process's does.

use std::cell::Cell;
use std::sync::Once;

use super::*;
use crate::guest::layout::PAGE;
use crate::guest::{HostMap, HostRequest, Prot, Source};
use crate::host::map::HostMemory;

thread_local! {
    /// Faults that this thread had.
    static FAULTS: Cell<u32> = const { Cell::new(0) };
}

extern "C" fn on_fault(signal: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    FAULTS.set(FAULTS.get() + 1);
    // SAFETY: the kernel passes a valid context to a handler installed with SA_SIGINFO.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let pc = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
    match fixup(*pc as usize) {
        Some(landing) => *pc = landing as i64,
        // SAFETY: restores the default action, so that the fault, now repeated, kills.
        None => unsafe {
            libc::signal(signal, libc::SIG_DFL);
        },
    }
}

fn catch_faults() {
    static ONCE: Once = Once::new();
    // SAFETY: the action is fully initialised and its handler async-signal-safe.
    ONCE.call_once(|| unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
        }
    });
}

/// Two pages of guest memory with nothing after them. Each test has an address of its own.
fn two_pages(start: u64) -> u64 {
    catch_faults();
    let request = HostRequest {
        span: Span { start, end: start + 2 * PAGE },
        prot: Prot::READ_WRITE,
        source: Source::Anonymous,
        shared: false,
        noreserve: false,
        populate: false,
        locked: false,
        replace: false,
    };
    HostMemory.map(&request).unwrap();
    start
}

#[test]
fn a_word_is_exchanged_only_if_it_has_the_value() {
    let at = two_pages(0x1_2348_0000);
    write_u32(at + 4, 7).unwrap();
    assert_eq!(compare_exchange_u32(at + 4, 8, 9), Ok(7));
    assert_eq!(compare_exchange_u32(at + 4, 7, 9), Ok(7));
    assert_eq!(read_u32(at + 4), Ok(9));
    assert!(compare_exchange_u32(at + 2, 0, 1).is_err(), "not aligned");
    assert!(compare_exchange_u32(at + 2 * PAGE, 0, 1).is_err(), "not there");
    assert!(compare_exchange_u32(8, 0, 1).is_err(), "not the guest's");
}

#[test]
fn bytes_written_are_read_back() {
    let at = two_pages(0x1_2340_0000);
    copy_out(at + PAGE - 3, b"across the pages").unwrap();
    let mut back = [0; 16];
    copy_in(&mut back, at + PAGE - 3).unwrap();
    assert_eq!(&back, b"across the pages");
    write_u32(at, 0xdead_beef).unwrap();
    write_u64(at + 8, 0x0123_4567_89ab_cdef).unwrap();
    assert_eq!(read_u32(at), Ok(0xdead_beef));
    assert_eq!(read_u64(at + 8), Ok(0x0123_4567_89ab_cdef));
}

#[test]
fn a_copy_that_runs_off_mapped_memory_reports_the_exact_count() {
    let at = two_pages(0x1_2350_0000);
    let end = at + 2 * PAGE;
    copy_out(end - 5, b"hello").unwrap();
    let mut back = [b'?'; 9];
    assert_eq!(copy_in(&mut back, end - 5), Err(Fault { addr: end, done: 5 }));
    assert_eq!(&back, b"hello????");
    assert_eq!(copy_out(end - 2, b"abc"), Err(Fault { addr: end, done: 2 }));
    assert_eq!(copy_in(&mut back, end), Err(Fault { addr: end, done: 0 }));
    assert_eq!(read_u64(end - 4), Err(Fault { addr: end - 4, done: 0 }));
    assert!(write_u64(end - 4, 0).is_err() && read_u32(end).is_err() && write_u32(end, 0).is_err());
}

#[test]
fn a_read_only_page_can_be_read_and_not_written() {
    let at = two_pages(0x1_2360_0000);
    write_u32(at + PAGE, 7).unwrap();
    HostMemory.protect(Span { start: at + PAGE, end: at + 2 * PAGE }, Prot::READ).unwrap();
    assert_eq!(read_u32(at + PAGE), Ok(7));
    assert!(write_u32(at + PAGE, 8).is_err());
    assert_eq!(copy_out(at + PAGE - 1, b"xyz"), Err(Fault { addr: at + PAGE, done: 1 }));
}

#[test]
fn the_runtime_is_out_of_reach_even_where_it_is_mapped() {
    catch_faults();
    let mut own = 0x005e_c2e7_u64;
    let addr = std::ptr::from_mut(&mut own).addr() as u64;
    assert_eq!(read_u64(addr), Err(Fault { addr, done: 0 }));
    assert_eq!(write_u64(addr, 0), Err(Fault { addr, done: 0 }));
    assert_eq!(copy_in(&mut [0; 8], addr), Err(Fault { addr, done: 0 }));
    assert_eq!(copy_out(addr, &[0; 8]), Err(Fault { addr, done: 0 }));
    assert_eq!(own, 0x005e_c2e7);
}

#[test]
fn wrapping_and_null_addresses_are_faults() {
    catch_faults();
    for addr in [0, 1, 0xffff, u64::MAX, u64::MAX - 3, 0x8000_0000_0000, 0x7000_0000] {
        assert_eq!(copy_in(&mut [0; 16], addr), Err(Fault { addr, done: 0 }), "{addr:#x}");
        assert_eq!(copy_out(addr, &[0; 16]), Err(Fault { addr, done: 0 }), "{addr:#x}");
        assert_eq!(copy_str(addr, 16), Err(Errno::EFAULT), "{addr:#x}");
    }
    assert_eq!(copy_in(&mut [], 0), Ok(()));
}

#[test]
fn a_string_may_end_at_the_end_of_memory_but_not_beyond() {
    let at = two_pages(0x1_2370_0000);
    let end = at + 2 * PAGE;
    copy_out(end - 6, b"/etc/\0").unwrap();
    let faults = FAULTS.get();
    assert_eq!(copy_str(end - 6, 4096).unwrap(), b"/etc/");
    assert_eq!(FAULTS.get(), faults, "touched what lies behind the string's page");
    assert_eq!(copy_str(end - 6, 5), Err(Errno::ENAMETOOLONG));
    assert_eq!(copy_str(end - 6, 6).unwrap(), b"/etc/");
    copy_out(end - 1, b"x").unwrap();
    assert_eq!(copy_str(end - 6, 4096), Err(Errno::EFAULT));
    copy_out(at, &[b'y'; 1000]).unwrap();
    assert_eq!(copy_str(at, 4096).unwrap(), vec![b'y'; 1000]);
    assert_eq!(copy_str(at, 999), Err(Errno::ENAMETOOLONG));
}

#[test]
fn lent_pages_can_be_read_but_not_written() {
    catch_faults();
    // SAFETY: asks for a word of the auxiliary vector; no preconditions.
    let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    assert_ne!(vdso, 0, "this host has a vDSO");
    assert!(read_u32(vdso).is_err());
    lend(Span { start: vdso, end: vdso + PAGE });
    assert_eq!(read_u32(vdso).map(u32::to_le_bytes), Ok(*b"\x7fELF"));
    assert!(write_u32(vdso, 0).is_err());
    lend(Span { start: 0, end: 0 });
}

#[test]
fn no_other_instruction_is_fixed_up() {
    assert_eq!(fixup(fixup as *const () as usize), None);
    assert_eq!(fixup(std::ptr::from_ref(&rxbox_access_copy_landing).addr()), None);
    let copy = std::ptr::from_ref(&rxbox_access_copy_at).addr();
    assert_eq!(fixup(copy), Some(std::ptr::from_ref(&rxbox_access_copy_landing).addr()));
}
