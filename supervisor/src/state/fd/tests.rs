use super::*;
use crate::state::budget::Budget;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

fn file() -> File {
    File::made(nix::unistd::pipe().unwrap().0).unwrap()
}

fn table(limit: u64, budget: usize) -> FdTable {
    FdTable::new(limit, Budget::new(budget))
}

#[test]
fn the_lowest_free_number_is_given_out() {
    let t = table(64, 100);
    for n in 0..4 {
        assert_eq!(t.insert(file(), false, 0), Ok(n));
    }
    t.remove(1).unwrap();
    assert_eq!(t.insert(file(), false, 0), Ok(1));
    assert_eq!(t.insert(file(), false, 2), Ok(4));
    assert_eq!(t.insert(file(), false, 10), Ok(10));
    assert_eq!(t.insert(file(), false, -5), Ok(5));
}

#[test]
fn beyond_the_guests_limit_there_is_emfile_and_for_a_chosen_number_ebadf() {
    let t = table(2, 100);
    t.insert(file(), false, 0).unwrap();
    t.insert(file(), false, 0).unwrap();
    assert_eq!(t.insert(file(), false, 0), Err(Errno::EMFILE));
    for n in [-1, 2, i32::MAX] {
        assert_eq!(t.insert_at(n, file(), false).unwrap_err(), Errno::EBADF);
    }
}

#[test]
fn beyond_the_sandboxs_budget_there_is_enfile_until_something_is_closed() {
    let budget = Budget::new(2);
    let (a, b) = (FdTable::new(64, budget.clone()), FdTable::new(64, budget));
    a.insert(file(), false, 0).unwrap();
    b.insert(file(), false, 0).unwrap();
    assert_eq!(b.insert(file(), false, 0), Err(Errno::ENFILE));
    assert_eq!(b.clone_for_fork().unwrap_err(), Errno::ENFILE);
    drop(a);
    assert_eq!(b.insert(file(), false, 0), Ok(1));
}

#[test]
fn a_replaced_file_is_handed_back_and_costs_no_second_share_of_the_budget() {
    let t = table(64, 1);
    assert!(t.insert_at(3, file(), false).unwrap().is_none());
    let old = t.get(3).unwrap();
    assert!(Arc::ptr_eq(&t.insert_at(3, file(), true).unwrap().unwrap(), &old));
    assert_eq!(t.cloexec(3), Ok(true));
}

#[test]
fn exec_closes_what_is_marked_and_nothing_else() {
    let t = table(64, 100);
    t.insert(file(), false, 0).unwrap();
    t.insert(file(), true, 0).unwrap();
    t.insert(file(), false, 0).unwrap();
    t.set_cloexec(2, true).unwrap();
    assert_eq!(t.close_on_exec().files().len(), 2);
    assert_eq!(t.iter().iter().map(|(n, ..)| *n).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_forked_table_has_the_same_numbers_on_host_descriptors_of_its_own() {
    let t = table(64, 100);
    t.insert(file(), false, 0).unwrap();
    t.insert(file(), true, 7).unwrap();
    let child = t.clone_for_fork().unwrap();
    for n in [0, 7] {
        assert_ne!(t.get(n).unwrap().host.as_raw_fd(), child.get(n).unwrap().host.as_raw_fd());
        assert_eq!(t.cloexec(n), child.cloexec(n));
    }
    t.remove(0).unwrap();
    assert!(child.get(0).is_ok());
}

#[test]
fn numbers_never_given_out_are_ebadf() {
    let t = table(64, 100);
    t.insert(file(), false, 0).unwrap();
    for n in [-1, 1, 3, 20, i32::MIN, i32::MAX] {
        assert_eq!(t.get(n).unwrap_err(), Errno::EBADF);
        assert_eq!(t.remove(n).unwrap_err(), Errno::EBADF);
        assert_eq!(t.set_cloexec(n, true), Err(Errno::EBADF));
    }
}

#[test]
fn duplicates_of_a_view_share_its_offset() {
    let a = File::view(file().host, b"/proc/self/comm".as_slice().into(), b"abcdef".to_vec());
    let b = a.duplicate().unwrap();
    let mut buf = [0; 4];
    assert_eq!(a.read_view(&mut buf, None), Ok(4));
    assert_eq!((b.read_view(&mut buf, None), &buf[..2]), (Ok(2), b"ef".as_slice()));
    assert_eq!(a.read_view(&mut buf, Some(1)), Ok(4));
    assert_eq!(b.seek_view(-1, libc::SEEK_END), Ok(5));
    assert_eq!(a.read_view(&mut buf, None), Ok(1));
    assert_eq!(a.read_view(&mut buf, Some(i64::MAX)), Ok(0));
    assert_eq!(a.read_view(&mut buf, Some(-1)), Err(Errno::EINVAL));
    assert_eq!(a.seek_view(-7, libc::SEEK_END), Err(Errno::EINVAL));
    assert_eq!(a.seek_view(i64::MAX, libc::SEEK_CUR), Err(Errno::EINVAL));
}

#[test]
fn kinds_are_told_from_the_descriptor() {
    use nix::sys::epoll::{Epoll, EpollCreateFlags};
    use std::fs::File as Host;
    let kind = |fd: OwnedFd| File::made(fd).unwrap().kind;
    assert_eq!(kind(Host::open("/proc/self/exe").unwrap().into()), Kind::Regular);
    assert_eq!(kind(Host::open("/").unwrap().into()), Kind::Directory);
    assert_eq!(kind(Host::open("/dev/null").unwrap().into()), Kind::CharDevice);
    assert_eq!(kind(nix::unistd::pipe().unwrap().0), Kind::Pipe);
    assert_eq!(kind(std::os::unix::net::UnixStream::pair().unwrap().0.into()), Kind::Socket);
    assert_eq!(kind(Epoll::new(EpollCreateFlags::empty()).unwrap().0), Kind::Epoll);
}

#[test]
fn the_access_mode_is_that_of_the_description() {
    let (r, w) = nix::unistd::pipe().unwrap();
    let (r, w) = (File::made(r).unwrap(), File::made(w).unwrap());
    assert_eq!((r.readable(), r.writable()), (true, false));
    assert_eq!((w.readable(), w.writable()), (false, true));
    let path = File::opened(w.host, Kind::Path, libc::O_PATH | libc::O_RDWR, None);
    assert_eq!((path.readable(), path.writable()), (false, false));
}

#[test]
fn what_is_in_a_pipe_or_a_socket_is_kept_for_it() {
    let (read, write) = nix::unistd::pipe().unwrap();
    nix::unistd::write(&write, b"x").unwrap();
    assert!(File::made(read).unwrap().kept() >= 4096 && File::made(write).unwrap().kept() >= 4096);
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    let sent = File::made(a.into()).unwrap();
    assert_eq!(sent.kept(), 0);
    nix::unistd::write(&sent.host, &[1; 10_000]).unwrap();
    assert!(sent.kept() >= 10_000);
    drop(b);
}
