//! The floors of each crate, lowest first, and its circles.
//!
//! A file may use files of its own floor and of those below it.

use crate::rules::Rules;

/// The rules of all crates.
pub(crate) const CRATES: &[Rules] = &[WIRE, POLICY, TRANSLATE, CHILD, SUPERVISOR];

const WIRE: Rules = Rules {
    name: "rxbox-wire",
    folder: "wire",
    floors: &[
        // Vocabulary: what a row can say, names of numbers.
        &["sizes", "kind", "log", "names", "patience", "boot", "control", "relay", "space"],
        // The table, and the frames that its rows describe.
        &["bell", "table", "frame", "channel"],
        // Calls as text.
        &["text"],
        &["lib"],
    ],
    circles: &[],
    largest_circle: Some(19),
};

const POLICY: Rules = Rules {
    name: "rxbox-policy",
    folder: "policy",
    floors: &[
        // What needs nothing of the rest.
        &["builtin", "diagnostic", "errno", "glob", "hardening", "limits", "suggest", "vocabulary"],
        &["decision", "variables"],
        // Rules, compiled, of each kind of object.
        &["ledger", "pattern", "files", "calls", "network", "tree", "environment"],
        // A profile as it is written, and on its way to a policy.
        &["draft", "overrides", "schema", "compile", "load"],
        &["policy"],
        &["hint"],
        &["lib"],
    ],
    circles: &[],
    largest_circle: Some(1),
};

const TRANSLATE: Rules = Rules {
    name: "rxbox-translate",
    folder: "emulator-core/translate",
    floors: &[
        // The guest's state and its variables.
        &["state", "cpuid", "ir/var"],
        &["decode"],
        // Intermediate code, and what is done to it.
        &["ir", "opt", "regalloc", "frontend"],
        &["emit"],
        &["translate"],
        &["lib"],
    ],
    circles: &[],
    largest_circle: Some(10),
};

const CHILD: Rules = Rules {
    name: "rxbox-emulator-core",
    folder: "emulator-core",
    floors: &[],
    circles: &[],
    largest_circle: Some(40),
};

const SUPERVISOR: Rules = Rules {
    name: "rxbox",
    folder: "supervisor",
    floors: &[
        // The host's kernel, and what the user gets to see.
        &["host", "report"],
        // What the kernel would keep of guest processes.
        &["state"],
        // What all threads share; a call, and who makes it.
        &["sandbox"],
        &["context"],
        &["caller"],
        // Names of files, and the guest's own /proc.
        &["view", "path"],
        &["handlers"],
        // Serving a guest thread; launching; waiting for the end.
        &["worker"],
        &["launch"],
        // The command line, and whole runs.
        &["files"],
        &["cli"],
        &["commands"],
        &["run"],
        &["lib", "main"],
    ],
    circles: &[],
    largest_circle: None,
};
