//! Shells with job control on a terminal, natively and in rxbox: the same keys have the same effect.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::terminal::Terminal;
use rxbox_tests::{Program, Scratch, guest, guest_is_the_same, processes, rxbox, same};
use std::process::Command;

const BASH: [&str; 5] = ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"];
const DASH: [&str; 2] = ["/bin/dash", "-i"];
const INTERRUPT: &str = "\x03";
const QUIT: &str = "\x1c";
const STOP: &str = "\x1a";
const END: &str = "\x04";
const PROMPT: &str = "ready> ";

/// A program on a terminal, natively or in rxbox.
fn start(boxed: bool, argv: &[&str]) -> Terminal {
    let rxbox = rxbox().to_string_lossy();
    let front = [&*rxbox, "--profile", "permissive", "--env", "PS1=ready> ", "--"];
    Terminal::start(&if boxed { [&front[..], argv].concat() } else { argv.to_vec() })
}

/// Stops what is in the foreground; the shell says so and is ready.
fn is_stopped_by_its_key(terminal: &mut Terminal) {
    terminal.press(STOP);
    terminal.expect("Stopped");
    terminal.expect(PROMPT);
}

/// Runs a shell both ways.
fn both(shell: &[&str], session: impl Fn(&mut Terminal)) {
    for boxed in [false, true] {
        let mut terminal = start(boxed, shell);
        terminal.expect(PROMPT);
        keep_output(&mut terminal);
        session(&mut terminal);
        terminal.line("exit 7");
        assert_eq!(terminal.end(), 7, "{shell:?}, in rxbox: {boxed}");
    }
}

/// When a key raises a signal the kernel throws away what is not read of the output, which may be that of a
/// shell that has got the signal already.
fn keep_output(terminal: &mut Terminal) {
    asks(terminal, "stty noflsh", "");
}

/// A line and the text that comes of it, which must not be in the line itself, and the prompt.
fn asks(terminal: &mut Terminal, line: &str, answer: &str) {
    terminal.line(line);
    terminal.expect("\n");
    terminal.expect(answer);
    terminal.expect(PROMPT);
}

/// A command that says that it runs and runs until it is stopped or ended, in the foreground.
fn occupy(terminal: &mut Terminal) {
    terminal.line("/bin/sh -c 'echo up$((41+1)); exec sleep 1000'");
    terminal.expect("up42");
}

/// What is typed appears twice if cat(1) is in the foreground.
fn is_read_by_cat(terminal: &mut Terminal, words: &str) {
    terminal.line(words);
    terminal.expect(words);
    terminal.expect(words);
}

fn keys_reach_the_foreground_and_jobs_are_moved(terminal: &mut Terminal) {
    asks(terminal, "sleep 1000 &", "");
    asks(terminal, "jobs", "Running");
    for (key, status) in [(INTERRUPT, "is130"), (QUIT, "is131")] {
        occupy(terminal);
        terminal.press(key);
        terminal.expect(PROMPT);
        asks(terminal, "echo is$?", status);
    }
    asks(terminal, "jobs", "Running");
    // A shell's child ignores SIGTERM, as the shell does, until it has got to be the job; on a busy machine
    // that may take longer than all of the above.
    asks(terminal, "kill -KILL %1", "");
    asks(terminal, "wait", "");
    occupy(terminal);
    is_stopped_by_its_key(terminal);
    asks(terminal, "jobs", "Stopped");
    asks(terminal, "bg", "sleep 1000");
    asks(terminal, "jobs", "Running");
    terminal.line("/bin/sh -c 'echo up$((41+1)); exec cat'");
    terminal.expect("up42");
    for words in ["some words", "other words"] {
        is_read_by_cat(terminal, words);
        is_stopped_by_its_key(terminal);
        terminal.line("fg %2");
    }
    is_read_by_cat(terminal, "last words");
    terminal.press(INTERRUPT);
    terminal.expect(PROMPT);
    asks(terminal, "echo is$?", "is130");
    asks(terminal, "kill %1", "");
}

#[test]
fn keys_reach_the_foreground_and_jobs_are_moved_in_bash() {
    both(&BASH, keys_reach_the_foreground_and_jobs_are_moved);
}

#[test]
fn keys_reach_the_foreground_and_jobs_are_moved_in_dash() {
    both(&DASH, keys_reach_the_foreground_and_jobs_are_moved);
}

#[test]
fn a_process_in_the_background_is_stopped_when_it_reads_or_changes_the_terminal() {
    both(&BASH, |t| {
        asks(t, "cat & until jobs | grep -q Stop; do :; done; echo re$((1+1))", "re2");
        t.line("fg");
        t.expect("cat");
        is_read_by_cat(t, "some words");
        t.press(END);
        t.expect(PROMPT);
        asks(t, "stty -echo & until jobs | grep -q Stop; do :; done; echo ch$((1+1))", "ch2");
        asks(t, "kill -KILL %+; disown -a; echo ki$((1+1))", "ki2");
        asks(t, "(trap '' TTIN; cat; echo no$((1+1))) & wait; echo af$((1+1))", "af2");
        asks(t, "stty tostop; echo hidden & until jobs | grep -q Stop; do :; done; echo wr$((1+1))", "wr2");
        asks(t, "stty -tostop; fg", "hidden");
    });
}

#[test]
fn pipelines_are_stopped_and_continued_as_one_job() {
    both(&BASH, |t| {
        t.line("/bin/sh -c 'echo up$((41+1)) >&2; exec sleep 1000' | cat | cat");
        t.expect("up42");
        is_stopped_by_its_key(t);
        asks(t, "jobs -l | grep -c Stopped", "1");
        asks(t, "kill -TERM %1; kill -CONT %1; wait; echo en$((1+1))", "en2");
        asks(t, "set -m; (sleep 1000 & kill -TERM $!; wait $!; echo st$?)", "st143");
    });
}

/// A shell in a program that makes a terminal for it.
fn in_terminals_of(front: &[&str]) {
    both(&[front, &[&BASH.join(" ")]].concat(), keys_reach_the_foreground_and_jobs_are_moved);
}

#[test]
fn a_shell_on_a_terminal_that_script_makes_has_job_control() {
    in_terminals_of(&["/usr/bin/script", "--quiet", "--return", "/dev/null", "--command"]);
}

#[test]
fn a_shell_on_a_terminal_that_python_makes_has_job_control() {
    let program = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1].split())))";
    in_terminals_of(&["/usr/bin/python3", "-c", program]);
}

/// What expect(1) types and waits for: interrupts, stops, the terminal's own name.
#[test]
fn expect_leads_a_shell_on_a_terminal_of_its_own() {
    let scratch = Scratch::new("expect");
    let script = scratch.file("script", EXPECT);
    same("permissive", &[], &["/usr/bin/expect", &script.to_string_lossy()], |_| {}, b"");
}

const EXPECT: &str = r#"
log_user 0
set timeout 60
set env(PS1) "ready> "
spawn -noecho /bin/bash --norc --noprofile --noediting -i
proc asks {line answer} {
    send "$line\r"
    expect -ex $answer
    expect "ready> "
    puts "$line: $answer"
}
expect "ready> "
asks "stty noflsh" "\n"
send "/bin/sh -c 'echo up\$((41+1)); exec sleep 1000'\r"
expect "up42"
send "\003"
expect "ready> "
asks "echo is\$?" "is130"
send "/bin/sh -c 'echo up\$((41+1)); exec cat'\r"
expect "up42"
send "\032"
expect "Stopped"
expect "ready> "
asks "jobs" "Stopped"
send "fg\r"
expect "exec cat"
send "words\r"
expect "words"
expect "words"
send "\004"
expect "ready> "
asks "echo named >/dev/tty" "named"
send "exit 5\r"
expect eof
puts "ended [lrange [wait] 2 5]"
"#;

/// A shell in a window of tmux(1), which is led through the server's socket.
#[test]
fn tmux_leads_a_shell_in_a_window() {
    let scratch = Scratch::new("tmux");
    let script = scratch.file("script", TMUX);
    same("permissive", &[], &["/bin/sh", &script.to_string_lossy()], |_| {}, b"");
}

const TMUX: &str = r#"
export TMUX_TMPDIR=$PWD LC_ALL=C.UTF-8
t() { tmux -f /dev/null "$@"; }
shows() {
    n=0
    until t capture-pane -p | grep -q "$1"; do
        n=$((n+1))
        if [ $n -gt 1200 ]; then echo "$1 does not appear"; t capture-pane -p; t kill-server; exit 1; fi
        sleep 0.05
    done
    echo "$1"
}
keys() { t send-keys "$@"; }
t new-session -d -x 80 -y 24 'PS1="ready> " exec bash --norc --noprofile'
shows '^ready>'
keys "sh -c 'echo up\$((41+1)); exec sleep 1000'" Enter; shows up42
keys C-c; keys 'echo is$?' Enter; shows is130
keys "sh -c 'echo cat\$((41+1)); exec cat'" Enter; shows cat42
keys C-z; shows Stopped
keys 'fg; echo re$?' Enter; keys words Enter C-d; shows re0
t resize-window -x 100 -y 40
keys 'stty size' Enter; shows '40 100'
keys "sh -c 'trap \"exit 9\" WINCH; echo tr\$((1+1)); while :; do sleep 0.1; done'; echo si\$?" Enter
shows tr2
t resize-window -x 90 -y 30; shows si9
keys 'exit' Enter
while t has-session 2>/dev/null; do sleep 0.05; done
echo over
"#;

#[test]
fn what_a_terminal_does_for_its_session_is_the_same() {
    guest_is_the_same("terminals", &["permissive"]);
}

/// The program that a shell outside runs is rxbox or not; the shell's view of it is the same.
#[test]
fn a_shell_outside_stops_continues_and_ends_rxbox_as_it_does_the_program() {
    let boxed = format!("{} --profile permissive -- ", rxbox().to_string_lossy());
    for front in ["", &boxed] {
        let mut t = start(false, &BASH);
        t.expect(PROMPT);
        keep_output(&mut t);
        asks(&mut t, &format!("p() {{ {front}/bin/sh -c 'echo up$((41+1)); exec sleep 1000'; }}"), "");
        asks(&mut t, &format!("q() {{ {front}/bin/cat; }}"), "");
        t.line(&format!("{front}/bin/sh -c 'echo up$((41+1)); exec sleep 1000'"));
        t.expect("up42");
        is_stopped_by_its_key(&mut t);
        asks(&mut t, "bg", "sleep 1000");
        asks(&mut t, "jobs", "Running");
        asks(&mut t, "kill %1; wait; echo te$((1+1))", "te2");
        t.line(&format!("{front}/bin/cat"));
        for words in ["some words", "other words"] {
            is_read_by_cat(&mut t, words);
            is_stopped_by_its_key(&mut t);
            t.line("fg");
        }
        is_read_by_cat(&mut t, "last words");
        t.press(INTERRUPT);
        t.expect(PROMPT);
        asks(&mut t, "echo is$?", "is130");
        // A loop ends if its command died of the key, not if it ended with a status.
        t.line("for i in 1 2 3; do p; done; echo no$((1+1))");
        t.expect("up42");
        t.press(INTERRUPT);
        let between = t.expect(PROMPT);
        assert!(!between.contains("up42") && !between.contains("no2"), "{front}: {between}");
        // In the background a program that reads the terminal is stopped.
        asks(&mut t, "q & until jobs | grep -q Stop; do :; done; echo re$((1+1))", "re2");
        asks(&mut t, "kill -KILL %1; disown -a; echo ki$((1+1))", "ki2");
        t.line("exit 7");
        assert_eq!(t.end(), 7);
    }
}

#[test]
fn a_changed_window_size_is_told_to_the_foreground() {
    let scratch = Scratch::new("winch");
    let program = guest(&scratch, "job_window").to_string_lossy().into_owned();
    for boxed in [false, true] {
        let mut t = start(boxed, &[&program]);
        t.expect("24 200");
        t.resize(30, 100);
        t.expect("30 100");
        t.press("q\n");
        assert_eq!(t.end(), 0);
    }
}

#[test]
fn a_terminal_that_hangs_up_ends_what_runs_on_it() {
    for boxed in [false, true] {
        let mut t = start(boxed, &["/bin/sh", "-c", "echo up$((41+1)); exec sleep 1000"]);
        t.expect("up42");
        assert_eq!(t.hang_up(), 128 + libc::SIGHUP, "in rxbox: {boxed}");
    }
}

#[test]
fn groups_and_sessions_are_made_joined_waited_for_and_orphaned_as_natively() {
    let scratch = Scratch::new("groups");
    let program = guest(&scratch, "groups");
    let program = Program::new(scratch.path(), &[&program.to_string_lossy()]);
    let (native, boxed) = (program.native(), program.boxed("permissive"));
    assert_eq!(native.status, 0);
    assert_eq!((native.out(), native.status), (boxed.out(), boxed.status), "{}", boxed.err());
}

#[test]
fn a_shell_without_a_terminal_can_have_job_control() {
    let script = "set -m; sleep 1000 & kill -STOP %1; until jobs | grep -q Stop; do :; done; jobs | sed \
        's/[0-9]//g'; \
        kill -CONT %1; kill %1; wait %1; echo $?; (exit 3) & wait $!; echo $?; sleep 0 | cat & wait; echo \
        over";
    same("permissive", &[], &["/bin/bash", "-c", script], |_| {}, b"");
}

/// A shell outside has the terminal again, as it was.
#[test]
fn a_terminal_is_its_shells_again_whichever_process_of_rxbox_is_killed() {
    let scratch = Scratch::new("terminal");
    let modes = |name: &str| format!("stty -a >{}/{name}; echo st$((1+1))", scratch.path().display());
    for who in ["job", "supervisor", "init", "guest"] {
        let mut t = start(false, &BASH);
        t.expect(PROMPT);
        asks(&mut t, &modes("before"), "st2");
        t.line(&format!("{} --profile permissive -- {}", rxbox().display(), BASH.join(" ")));
        occupy(&mut t);
        let job = processes::below(t.pid())[0];
        let all = processes::below(job);
        let named = |name: &str| all.iter().copied().find(|&pid| processes::name(pid) == name).unwrap();
        let victim = match who {
            "job" => job,
            "supervisor" => all[0],
            "init" => named("rxbox-init"),
            _ => processes::below(named("rxbox-init"))[0],
        };
        assert!(Command::new("/bin/kill").args(["-9", &victim.to_string()]).status().unwrap().success());
        t.expect(PROMPT);
        asks(&mut t, &format!("echo {who}$((1+1))"), &format!("{who}2"));
        t.line("/bin/cat");
        is_read_by_cat(&mut t, "some words");
        t.press(INTERRUPT);
        t.expect(PROMPT);
        asks(&mut t, &modes("after"), "st2");
        let read = |name: &str| std::fs::read_to_string(scratch.path().join(name)).unwrap();
        assert_eq!(read("before"), read("after"), "{who}");
        t.line("exit 7");
        assert_eq!(t.end(), 7, "{who}");
    }
}
