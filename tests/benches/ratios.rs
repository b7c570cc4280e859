//! How much slower a program is in rxbox than natively: `cargo bench -p rxbox-tests [-- FILTER]`.
//!
//! Each workload runs natively and in rxbox in turn, several rounds, so that what else the machine does falls
//! on both alike. What is printed is the median of each and their ratio, and the geometric mean of the ratios
//! of each group. A workload whose output differs from the native one is a failure. Programs that are not
//! installed are named and left out.
//!
//! The system-call workloads measure themselves: the guest times a loop of calls with its own clock.

use rxbox_tests::{Program, Ran, Scratch, compile_guest};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Rounds of each workload.
const ROUNDS: usize = 5;

/// What is measured.
struct Workload {
    group: &'static str,
    name: &'static str,
    argv: Vec<String>,
    /// The program prints nanoseconds per operation; otherwise the whole run is timed.
    own_clock: bool,
}

fn workloads(dir: &Path) -> Vec<Workload> {
    let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let text: String =
        (0..400_000u64).map(|i| format!("{:x} ", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect();
    std::fs::write(dir.join("text"), text).unwrap();
    std::fs::write(dir.join("big.c"), source()).unwrap();
    compile_guest("calls_per_second", &dir.join("calls"), &["-O2"]);
    let cc1 = Command::new("gcc").arg("-print-prog-name=cc1").output().unwrap();
    let cc1 = String::from_utf8_lossy(&cc1.stdout).trim().to_owned();
    let mut out = Vec::new();
    let mut add = |group, name, own_clock, argv: &[&str]| {
        out.push(Workload { group, name, own_clock, argv: argv.iter().map(ToString::to_string).collect() });
    };
    add("compute", "zstd -19", false, &["/usr/bin/zstd", "-19", "-T1", "-q", "-c", &at("text")]);
    add("compute", "xz -6", false, &["/usr/bin/xz", "-6", "-T1", "-c", &at("text")]);
    let sql = "with recursive n(i) as (select 1 union all select i+1 from n where i<600000) select \
        sum(i*i%97), count(distinct i%1009) from n";
    add("compute", "sqlite3", false, &["/usr/bin/sqlite3", ":memory:", sql]);
    add(
        "compute",
        "python3",
        false,
        &[
            "/usr/bin/python3",
            "-c",
            "d={}\nfor i in range(900000):\n d[i%977]=d.get(i%977,0)+i*3\nprint(sum(d.values()))",
        ],
    );
    add(
        "compute",
        "perl",
        false,
        &[
            "/usr/bin/perl",
            "-e",
            "my %h; for (1..1500000) { $h{$_ % 977} += $_ } print scalar(keys %h), \"\\n\"",
        ],
    );
    add(
        "compute",
        "lua",
        false,
        &[
            "/usr/bin/lua5.4",
            "-e",
            "local t={} for i=1,6000000 do t[i%997]=(t[i%997] or 0)+i end print(t[5])",
        ],
    );
    add("compute", "cc1 -O2", false, &[&cc1, "-quiet", "-O2", "-o", "-", &at("big.c")]);
    for call in ["getppid", "read", "pread4k", "stat", "open"] {
        add("call", call, true, &[&at("calls"), call, &at("text")]);
    }
    add("start", "true", false, &["/bin/true"]);
    add("start", "python3 -c pass", false, &["/usr/bin/python3", "-c", "pass"]);
    out
}

/// C that keeps an optimising compiler busy for about a second.
fn source() -> String {
    (0..400).fold(String::new(), |mut c, i| {
        let _ = writeln!(
            c,
            "int f{i}(int *p, int n) {{ int r = {i}; for (int k = 0; k < n; k++) {{ r += p[k] * {i} ^ p[k >> \
                1]; \
             switch (r % 7) {{ case 0: r++; break; case 1: r *= 3; break; case 2: r -= *p; break; default: r \
             ^= k; }} }} return r; }}"
        );
        c
    })
}

/// Seconds of one run.
fn seconds(workload: &Workload, run: impl Fn() -> Ran) -> (f64, Ran) {
    let start = Instant::now();
    let ran = run();
    let wall = start.elapsed().as_secs_f64();
    assert_eq!(ran.status, 0, "{}: {}", workload.name, ran.err());
    let own = ran.out().trim().parse::<f64>().map(|ns| ns * 1e-9);
    (if workload.own_clock { own.expect("nanoseconds") } else { wall }, ran)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let scratch = Scratch::new("bench");
    let mut ratios: Vec<(&str, f64)> = Vec::new();
    println!("{:<8} {:<18} {:>12} {:>12} {:>7}", "group", "workload", "native", "rxbox", "ratio");
    for w in workloads(scratch.path()).iter().filter(|w| format!("{}/{}", w.group, w.name).contains(&filter))
    {
        if !Path::new(&w.argv[0]).exists() {
            println!("{:<8} {:<18} {} is not installed", w.group, w.name, w.argv[0]);
            continue;
        }
        let words: Vec<&str> = w.argv.iter().map(String::as_str).collect();
        let program = Program::new(scratch.path(), &words);
        let (mut native, mut boxed) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (n, expected) = seconds(w, || program.native());
            let (b, got) = seconds(w, || program.boxed("permissive"));
            assert!(w.own_clock || expected.stdout == got.stdout, "{}: output differs", w.name);
            native.push(n);
            boxed.push(b);
        }
        let (n, b) = (median(native), median(boxed));
        let unit =
            |s: f64| if s < 1e-3 { format!("{:.2} us", s * 1e6) } else { format!("{:.1} ms", s * 1e3) };
        println!("{:<8} {:<18} {:>12} {:>12} {:>7.2}", w.group, w.name, unit(n), unit(b), b / n);
        ratios.push((w.group, b / n));
    }
    for group in ["compute", "call", "start"] {
        let logs: Vec<f64> = ratios.iter().filter(|(g, _)| *g == group).map(|(_, r)| r.ln()).collect();
        if !logs.is_empty() {
            println!(
                "{group:<8} geometric mean {:>42.2}",
                (logs.iter().sum::<f64>() / logs.len() as f64).exp()
            );
        }
    }
}
