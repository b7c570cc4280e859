//! Containers on a terminal: somebody types, changes the size of the window, interrupts, stops.

use super::{Engines, IMAGE};
use rxbox_tests::terminal::Terminal;

pub(super) fn containers_have_terminals(engines: &Engines) {
    let docker = &engines.docker;
    let run = ["run", "--rm", "-it", "--network", "none", "--runtime", "rxbox"];
    for options in [&[][..], &["-u", "1000"]] {
        shell(&docker.docker_words(&[&run, options, &[IMAGE, "/bin/bash"]].concat()));
    }
    let detached = ["run", "-d", "--name", "terminal", "--network", "none", "--runtime", "rxbox"];
    let started = docker.call(&[&detached[..], &[IMAGE, "sleep", "600"]].concat());
    assert!(started.status.success(), "{}", super::error(&started));
    shell(&docker.docker_words(&["exec", "-it", "terminal", "/bin/bash"]));
    assert!(docker.call(&["rm", "-f", "terminal"]).status.success());
    let name = format!("terminal-{}", std::process::id());
    shell(&docker.ctr_words(&engines.ctr_run(&["--rm", "-t"], &[&name, "/bin/bash"])));
}

/// What somebody sees who works in a shell. Texts that are waited for are typed so that their echo is
/// another.
pub(super) fn shell(argv: &[String]) {
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut terminal = Terminal::start(&argv);
    terminal.line("test -t 0 && test -t 1 && test -t 2 && tty && echo al''l");
    assert!(terminal.expect("all").contains("/dev/pts/0"), "{argv:?}");
    // The engine may tell the first size only afterwards.
    let wait_for_size =
        |size: &str| format!("until [ \"$(stty size)\" = '{size}' ]; do sleep 0.05; done; echo siz''ed");
    terminal.line(&wait_for_size("24 200"));
    terminal.expect("sized");
    let wait = "trap 'echo wi''nch; exit' WINCH; echo tra''pped; while :; do sleep 0.05; done";
    terminal.line(&format!("sh -c \"{wait}\""));
    terminal.expect("trapped");
    terminal.resize(50, 132);
    terminal.expect("winch");
    terminal.line(&wait_for_size("50 132"));
    terminal.expect("sized");
    terminal.line("sh -c \"echo beg''un; exec sleep 600\"");
    terminal.expect("begun");
    terminal.press("\x03");
    terminal.line("echo status''=$?");
    terminal.expect("status=130");
    terminal.line("sh -c \"echo beg''un; exec sleep 600\"");
    terminal.expect("begun");
    terminal.press("\x1a");
    terminal.expect("Stopped");
    terminal.line("kill -9 %1; wait; echo ki''lled");
    terminal.expect("killed");
    terminal.line("(echo beg''un; exec cat; echo); echo en''ded=$?");
    terminal.expect("begun");
    terminal.line("by''hand");
    // Its echo, and what the program makes of it.
    terminal.expect("by''hand");
    terminal.expect("by''hand");
    terminal.press("\x04");
    terminal.expect("ended=0");
    terminal.line("exit 7");
    assert_eq!(terminal.end(), 7, "{argv:?}");
}
