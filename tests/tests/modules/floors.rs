//! The floors of each crate, lowest first, and its circles.
//!
//! A file may use files of its own floor and of those below it.

use crate::rules::Rules;

/// The rules of all crates.
pub(crate) const CRATES: &[Rules] = &[WIRE, SECCOMP, POLICY, TRANSLATE, CHILD, SUPERVISOR];

const WIRE: Rules = Rules {
    name: "rxbox-wire",
    folder: "wire",
    floors: &[
        // Vocabulary: sizes, what a row can say, names of numbers.
        &[
            "sizes",
            "effect",
            "kind",
            "lock",
            "log",
            "names",
            "spin_policy",
            "handoff",
            "boot",
            "control",
            "relay",
            "space",
            "kept",
        ],
        // What is said with them.
        &["ptrace"],
        // The rows.
        &["table"],
        // The frames that they describe, and calls as text.
        &["frame", "text"],
        &["channel"],
        &["lib"],
    ],
    circles: &[],
    largest_circle: None,
};

const SECCOMP: Rules = Rules {
    name: "rxbox-seccomp",
    folder: "seccomp",
    floors: &[
        // What a rule can say.
        &["rule"],
        // The program that a list becomes.
        &["program"],
        &["lib"],
    ],
    circles: &[],
    largest_circle: None,
};

const POLICY: Rules = Rules {
    name: "rxbox-policy",
    folder: "policy",
    floors: &[
        // Words, globs, and how an error is shown.
        &["errno", "vocabulary", "pattern/glob", "report"],
        // What a question is about, and its answer.
        &["decision", "pattern"],
        &["report/ledger"],
        // What a profile may say, and the rules that come of it.
        &["profile", "rules"],
        // From files to rules.
        &["load", "compile"],
        &["policy"],
        &["hint"],
        &["learn", "inspect"],
        &["lib"],
    ],
    circles: &[],
    largest_circle: None,
};

const TRANSLATE: Rules = Rules {
    name: "rxbox-translate",
    folder: "emulator-core/translate",
    floors: &[
        // The guest's state and its variables.
        &["state", "cpuid", "ir/var", "ir/effect"],
        &["decode"],
        // Intermediate code, and what is done to it.
        &["ir", "opt", "regalloc"],
        &["emit"],
        &["frontend"],
        &["translate"],
        &["lib"],
    ],
    circles: &[],
    largest_circle: None,
};

const CHILD: Rules = Rules {
    name: "rxbox-emulator-core",
    folder: "emulator-core",
    floors: &[
        // Signal sets, locks, what a call comes to; guest memory and its map.
        &["base", "guest"],
        // Calls to the host's kernel.
        &["host"],
        // Code cache, CPU state, the way into translated code and out of it.
        &["runtime"],
        // The way to the supervisor, the filter, program files.
        &["channel", "confine", "loader", "log"],
        // What signals are, and the state of a process and of its threads.
        &["signal", "process", "thread"],
        // Stops for a tracer.
        &["signal/ptrace"],
        // The routes of system calls; what signals do.
        &[
            "syscall",
            "signal/calls",
            "signal/deliver",
            "signal/descriptor",
            "signal/lifecycle",
            "signal/timers",
        ],
        // How threads and processes begin, become another program, and end.
        &["lifecycle"],
        &["cpu_loop"],
        &["child", "keeper"],
        &["lib"],
    ],
    circles: &[],
    largest_circle: None,
};

const SUPERVISOR: Rules = Rules {
    name: "rxbox",
    folder: "supervisor",
    floors: &[
        // The host's kernel, and what the user gets to see.
        &["host", "report"],
        // What runs have changed in overlays, as it is kept; and their translations.
        &["changes", "translations"],
        // What the kernel would keep of guest processes.
        &["state"],
        // What all threads share; a call, and who makes it.
        &["sandbox"],
        &["context"],
        &["caller"],
        // Names of files, and the guest's own /proc.
        &["view", "path"],
        &["handlers"],
        // What is given up before the first request.
        &["confine"],
        // Serving a guest thread; launching; waiting for the end.
        &["worker"],
        &["launch"],
        // The command line, and whole runs.
        &["files", "monitor"],
        &["cli"],
        &["run"],
        // Containers, each of which is a run.
        &["oci"],
        &["lib", "main", "entry"],
    ],
    circles: &[],
    largest_circle: None,
};
