//! Clocks and sleeping.

use super::structs::*;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Syscall;
use crate::kind::Timeout::*;
use crate::names::*;

const CLOCK: &str = "the clock is the whole machine's";

pub(super) const ROWS: &[Syscall] = calls! { Time:
    35 nanosleep Perform blocking (duration: In(Timeout(&TIMESPEC, FromNow)), rem: Out(Struct(&TIMESPEC)));
    96 gettimeofday Perform (tv: Out(Struct(&TIMEVAL)), tz: Out(Struct(&TIMEZONE)));
    100 times Emulate (buf: Out(Struct(&TMS)));
    159 adjtimex Refuse[EPERM CLOCK] (buf: Addr);
    164 settimeofday Refuse[EPERM CLOCK] (tv: Addr, tz: Addr);
    201 time Perform (tloc: Out(Fixed(8)));
    227 clock_settime Refuse[EPERM CLOCK] (clockid: Choice(&CLOCKS), tp: Addr);
    228 clock_gettime Perform (clockid: Choice(&CLOCKS), tp: Out(Struct(&TIMESPEC)));
    229 clock_getres Perform (clockid: Choice(&CLOCKS), res: Out(Struct(&TIMESPEC)));
    230 clock_nanosleep Perform blocking (clockid: Choice(&CLOCKS), flags: Flags(&TIMER),
        t: In(Timeout(&TIMESPEC, OnClock { clock: clockid, flags })), remain: Out(Struct(&TIMESPEC)));
    305 clock_adjtime Refuse[EPERM CLOCK] (clockid: Choice(&CLOCKS), buf: Addr);
};
