//! Clocks and sleeping.

use super::structs::*;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Syscall;
use crate::kind::Timeout::*;
use crate::names::*;

const CLOCK: &str = "the clock is the whole machine's";

pub(super) const ROWS: &[Syscall] = calls! { Time:
    35 nanosleep Perform blocking (duration: In(Needed, Timeout(&TIMESPEC, FromNow)),
        rem: Out(Optional, Struct(&TIMESPEC)));
    96 gettimeofday Perform (tv: Out(Optional, Struct(&TIMEVAL)), tz: Out(Optional, Struct(&TIMEZONE)));
    100 times Emulate (buf: Out(Optional, Struct(&TMS)));
    159 adjtimex Refuse[EPERM CLOCK] (buf: Addr);
    164 settimeofday Refuse[EPERM CLOCK] (tv: Addr, tz: Addr);
    201 time Perform (tloc: Out(Optional, Fixed(8)));
    227 clock_settime Emulate (clockid: Choice(&CLOCKS), tp: In(Needed, Struct(&TIMESPEC)));
    228 clock_gettime Perform (clockid: Choice(&CLOCKS), tp: Out(Needed, Struct(&TIMESPEC)));
    229 clock_getres Perform (clockid: Choice(&CLOCKS), res: Out(Optional, Struct(&TIMESPEC)));
    230 clock_nanosleep Perform blocking (clockid: Choice(&CLOCKS), flags: Flags(&TIMER),
        t: In(Needed, Timeout(&TIMESPEC, OnClock { clock: clockid, flags })),
        remain: Out(Optional, Struct(&TIMESPEC)));
    305 clock_adjtime Refuse[EPERM CLOCK] (clockid: Choice(&CLOCKS), buf: Addr);
};
