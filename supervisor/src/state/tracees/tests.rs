//! A tracer and its tracee, without a child: the tests play the worker of the traced thread.

use super::requests::StoppedTracee;
use super::{Going, Report, SigInfo, Step, Tracees, WaitFor, Waiter, Whom, Wish, own_signal};
use nix::errno::Errno;
use rxbox_wire::ptrace::{EXTENDED, EXTENDED_MIN, Mode, Order, StopKind, WaitAnswer};

const TRACER: i32 = 10;
const TRACEE: i32 = 20;

fn wish(seized: bool) -> Wish {
    Wish { tracer: TRACER, seized, options: 0, signal: None, trap: false }
}

fn traced(seized: bool) -> Tracees {
    let tracees = Tracees::default();
    tracees.add(TRACEE, TRACEE, wish(seized), || true).unwrap();
    tracees
}

fn report(kind: StopKind, value: u64) -> Report {
    let info = (kind == StopKind::Signal).then(|| own_signal(value as i32, 0, 1));
    Report { kind, value, info, state: vec![0; EXTENDED + EXTENDED_MIN] }
}

/// The thread says that it may stop; whether it does.
fn stops(tracees: &Tracees, kind: StopKind, value: u64) -> bool {
    tracees.report(TRACEE, report(kind, value)).unwrap().0.is_some()
}

fn next(tracees: &Tracees) -> Order {
    match tracees.next(TRACEE, || true) {
        Step::Order(order) => order,
        Step::Tell(_) => panic!("somebody is told"),
    }
}

fn found(tracees: &Tracees) -> WaitAnswer {
    let wait = WaitFor { whom: Whom::Any, ends: true, keeps: false, blocks: false, clones: true };
    tracees.wait(Waiter { tracer: TRACER, process: TRACER, tid: TRACER }, &wait)
}

fn go_on(tracees: &Tracees, tracer: i32, mode: Mode, signal: Option<SigInfo>) -> Result<(), Errno> {
    tracees.at_stop(tracer, TRACEE, |stopped| stopped.go_on(Going { mode, signal }))
}

#[test]
fn a_stop_is_shown_once_and_ends_when_the_tracer_wants() {
    let tracees = traced(false);
    assert_eq!(found(&tracees), WaitAnswer::Tracees);
    assert!(stops(&tracees, StopKind::Signal, 11));
    assert_eq!(found(&tracees), WaitAnswer::Event { tid: TRACEE, status: 0x0b7f });
    assert_eq!(found(&tracees), WaitAnswer::Tracees);
    assert_eq!(go_on(&tracees, TRACER + 1, Mode::TRACED, None), Err(Errno::ESRCH));
    tracees.at_stop(TRACER, TRACEE, |stopped| stopped.state_mut().map(|state| state[0] = 7)).unwrap();
    go_on(&tracees, TRACER, Mode::TRACED | Mode::CALLS, None).unwrap();
    assert_eq!(go_on(&tracees, TRACER, Mode::TRACED, None), Err(Errno::ESRCH));
    let Order::Resume { mode, signal: None, state: Some(state) } = next(&tracees) else { panic!() };
    assert_eq!((mode, state[0]), (Mode::TRACED | Mode::CALLS, 7));
}

#[test]
fn only_events_that_were_asked_for_stop() {
    let tracees = traced(false);
    let fork = (libc::PTRACE_EVENT_FORK as u64) << 32 | 33;
    assert!(!stops(&tracees, StopKind::Event, fork));
    assert_eq!(next(&tracees), Order::go_on(Mode::TRACED));
    assert!(stops(&tracees, StopKind::CallExit, 0));
    let options = 1 << libc::PTRACE_EVENT_FORK | libc::PTRACE_O_TRACESYSGOOD as u32;
    let set = |stopped: &mut StoppedTracee<'_>| {
        stopped.set_options(options);
        Ok(())
    };
    tracees.at_stop(TRACER, TRACEE, set).unwrap();
    go_on(&tracees, TRACER, Mode::TRACED, None).unwrap();
    next(&tracees);
    assert!(stops(&tracees, StopKind::Event, fork));
    assert_eq!(found(&tracees), WaitAnswer::Event { tid: TRACEE, status: 0x1057f });
    assert_eq!(tracees.at_stop(TRACER, TRACEE, |stopped| stopped.message()), Ok(33));
    let forked = tracees.inherited(TRACEE, libc::PTRACE_EVENT_FORK as u32);
    assert!(forked.is_some_and(|wish| wish.signal.is_some()));
    assert!(tracees.inherited(TRACEE, libc::PTRACE_EVENT_CLONE as u32).is_none());
}

#[test]
fn nothing_is_left_of_a_tracer_or_a_tracee_that_has_ended() {
    let tracees = traced(false);
    assert!(stops(&tracees, StopKind::Signal, 5));
    let (notices, killed) = tracees.process_ended(TRACER, 1);
    assert!(notices.is_empty() && killed.is_empty());
    // The signal is delivered, and nobody traces the thread any more.
    let Order::Resume { mode, signal: Some(_), state: None } = next(&tracees) else { panic!() };
    assert_eq!(mode, Mode::empty());
    assert!(!stops(&tracees, StopKind::Signal, 5));
    assert_eq!(next(&tracees), Order::go_on(Mode::empty()));
    let tracees = traced(true);
    assert_eq!(tracees.add(TRACEE, TRACEE, wish(false), || true), Err(Errno::EPERM));
    assert!(!stops(&tracees, StopKind::Ending, 0x300));
    // Its parent is somebody else, so the kernel tells the tracer nothing.
    let (notices, _) = tracees.process_ended(TRACEE, 1);
    assert_eq!((notices.len(), notices[0].tracer), (1, TRACER));
    assert_eq!(found(&tracees), WaitAnswer::Event { tid: TRACEE, status: 0x300 });
    assert_eq!(found(&tracees), WaitAnswer::Plain);
}

#[test]
fn a_seized_thread_listens_until_its_process_is_continued() {
    let tracees = traced(true);
    assert!(stops(&tracees, StopKind::Group, libc::SIGSTOP as u64));
    assert_eq!(found(&tracees), WaitAnswer::Event { tid: TRACEE, status: 0x80_137f });
    tracees.at_stop(TRACER, TRACEE, |stopped| stopped.listen()).unwrap();
    assert_eq!(go_on(&tracees, TRACER, Mode::TRACED, None), Err(Errno::ESRCH));
    tracees.continued(TRACEE);
    assert!(matches!(tracees.next(TRACEE, || true), Step::Tell(notice) if notice.tracer == TRACER));
    assert_eq!(found(&tracees), WaitAnswer::Event { tid: TRACEE, status: 0x80_057f });
}

#[test]
fn a_question_is_answered_by_the_thread_or_by_its_end() {
    let tracees = traced(false);
    assert_eq!(tracees.ask(TRACER, TRACEE, Order::Read { addr: 0, len: 8 }), Err(Errno::ESRCH));
    assert!(stops(&tracees, StopKind::Signal, 5));
    let ask = || tracees.ask(TRACER, TRACEE, Order::Read { addr: 64, len: 8 });
    std::thread::scope(|s| {
        let asks = s.spawn(ask);
        assert!(matches!(tracees.next(TRACEE, || false), Step::Order(Order::Read { addr: 64, len: 8 })));
        tracees.obeyed(TRACEE, Ok(vec![1, 2, 3]));
        assert_eq!(asks.join().unwrap(), Ok(vec![1, 2, 3]));
        let asks = s.spawn(ask);
        assert!(matches!(tracees.next(TRACEE, || false), Step::Order(Order::Read { .. })));
        tracees.process_ended(TRACEE, TRACER);
        assert_eq!(asks.join().unwrap(), Err(Errno::ESRCH));
    });
    // An answer that nobody waits for is nobody's.
    tracees.obeyed(TRACEE, Ok(vec![9]));
}

#[test]
fn a_state_that_is_none_stops_nobody() {
    let tracees = traced(false);
    for size in [0, EXTENDED, 1 << 16] {
        let report = Report { state: vec![0; size], ..report(StopKind::Signal, 5) };
        assert_eq!(tracees.report(TRACEE, report).map(drop), Err(Errno::EINVAL));
    }
    let unknown = Report { info: None, ..report(StopKind::Signal, 5) };
    assert!(tracees.report(TRACEE, unknown).unwrap().0.is_none());
}

#[test]
fn a_companion_is_a_child_that_its_process_waits_for() {
    let tracees = Tracees::default();
    tracees.add_companion(TRACER, 11);
    assert_eq!(found(&tracees), WaitAnswer::Tracees);
    tracees.add(TRACEE, TRACEE, Wish { tracer: 11, ..wish(false) }, || true).unwrap();
    assert!(stops(&tracees, StopKind::Signal, 5));
    tracees.companion_exits(11, 0x900);
    assert!(tracees.thread_ended(TRACER, 11).is_some_and(|notice| notice.tracer == TRACER));
    assert!(matches!(next(&tracees), Order::Resume { signal: Some(_), .. }));
    assert_eq!(found(&tracees), WaitAnswer::Event { tid: 11, status: 0x900 });
    assert_eq!(found(&tracees), WaitAnswer::Plain);
}

#[test]
fn who_has_ended_meanwhile_is_not_traced() {
    let tracees = Tracees::default();
    assert_eq!(tracees.add(TRACEE, TRACEE, wish(false), || false), Err(Errno::ESRCH));
    assert_eq!(found(&tracees), WaitAnswer::Plain);
}
