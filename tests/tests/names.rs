//! Names under rules: a rule holds for a name as it is written and for the place that it leads to, whatever a
//! guest does to the names on the way, in this run and in the next one.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Program, Ran, Scratch, guest, rxbox};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// A folder in which the guest `names` runs, beside its program and its profile.
struct Field {
    scratch: Scratch,
    program: PathBuf,
}

impl Field {
    fn new() -> Field {
        let scratch = Scratch::new("names");
        let program = guest(&scratch, "names");
        fs::create_dir(scratch.path().join("d")).unwrap();
        Field { scratch, program }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join("d").join(name)
    }

    /// Runs the guest's tries under a profile with these sections, in which `@` stands for the folder.
    fn tries(&self, what: &str, sections: &str) -> Ran {
        let folder = self.at("").to_string_lossy().trim_end_matches('/').to_owned();
        let text = format!("version = 1\nextends = [\"base\"]\n{}\n", sections.replace('@', &folder));
        let profile = self.scratch.file("profile.toml", text);
        let program = self.program.to_string_lossy();
        Program::new(&self.at(""), &[&program, what]).boxed(profile)
    }

    /// The same; none of the tries succeeds.
    fn held(&self, what: &str, sections: &str) -> Ran {
        let ran = self.tries(what, sections);
        assert!(!ran.out().contains("ESCAPED"), "{}{}", ran.out(), ran.err());
        assert!(ran.out().contains("held") && ran.status == 0, "{}{}", ran.out(), ran.err());
        ran
    }
}

#[test]
fn a_denial_with_wildcards_holds_where_links_lead() {
    let field = Field::new();
    for folder in ["home", "data/alice/.ssh", "srv/a"] {
        fs::create_dir_all(field.at(folder)).unwrap();
    }
    fs::write(field.at("data/alice/.ssh/id"), "secret").unwrap();
    fs::write(field.at("data/key"), "secret").unwrap();
    symlink("../data/alice", field.at("home/alice")).unwrap();
    symlink("../../data/key", field.at("srv/a/secret.key")).unwrap();
    field.held(
        "wildcards",
        "[filesystem]\nread = [\"@\"]\ndeny = [\"@/home/*/.ssh\", \"@/srv/*/secret.key\"]",
    );
}

const HOOKS: &str = "[filesystem]\nwrite = [\"@\"]\ndeny_write = [\"@/.git/hooks?\"]";

#[test]
fn a_denied_name_is_made_through_no_link() {
    let field = Field::new();
    field.held("guarded", HOOKS);
    assert!(fs::symlink_metadata(field.at(".git")).is_err());
}

#[test]
fn what_changes_places_during_a_rename_does_not_get_a_name_above_a_denied_one() {
    let field = Field::new();
    field.held("race", HOOKS);
    assert!(!field.at(".git/hooks").exists());
}

#[test]
fn a_socket_is_not_reached_by_a_name_that_it_gets() {
    let field = Field::new();
    for folder in ["open", "agents"] {
        fs::create_dir(field.at(folder)).unwrap();
    }
    let names = ["app.sock", "agent", "agents/one", "open/friend", "open/docker"];
    let _listeners = names.map(|name| UnixListener::bind(field.at(name)).unwrap());
    field.held(
        "sockets",
        "[filesystem]\nwrite = [\"@\"]\n[network]\nallow = [\"unix:@/app.sock\", \"unix:@/open\"]\n\
         deny = [\"unix:@/open/docker\"]",
    );
}

/// The guest may write to the folder in which they all are.
#[test]
fn files_of_rxbox_s_own_are_not_the_guest_s() {
    let field = Field::new();
    let text = "version = 1\nextends = [\"base\", \"./included.toml\"]\n[filesystem]\nwrite = [\"${CWD}\"]\n";
    let config = field.at("config/rxbox");
    fs::create_dir_all(&config).unwrap();
    symlink(&field.program, field.at("start")).unwrap();
    for (name, text) in [("profile.toml", text), ("included.toml", "version = 1\n")] {
        fs::write(field.at(name), text).unwrap();
    }
    let run = |what: &str, options: &str| {
        let script = format!("exec \"$@\" {options} --log syscall -- ./start {what} 3>report");
        let rxbox = rxbox().to_string_lossy();
        let argv =
            ["/bin/sh", "-c", &script, "sh", &rxbox, "--profile", "./profile.toml", "--status-fd", "3"];
        let config = config.with_file_name("").to_string_lossy().into_owned();
        Program::new(&field.at(""), &argv).env("XDG_CONFIG_HOME", &config).native()
    };
    let ran = run("own", "--log-file rx.log");
    assert!(!ran.out().contains("ESCAPED") && ran.status == 0, "{}{}", ran.out(), ran.err());
    assert_eq!(ran.out().matches("held").count(), 5 * 11 + 5, "{}", ran.out());
    assert_eq!(fs::read_to_string(field.at("profile.toml")).unwrap(), text);
    assert!(fs::read_to_string(field.at("rx.log")).unwrap().contains("renameat2"));
    assert!(fs::read_to_string(field.at("report")).unwrap().contains("\"cause\""));
    assert_eq!(run("plant", "--log-file rx.log").status, 0);
    let ran = run("plant", "--log-file later.log");
    assert!(ran.status == 125 && ran.err().contains("is a link that the program can make"), "{}", ran.err());
    assert!(!field.scratch.path().join("outside").exists());
}

/// Each try alone would let the next run of the same command line write to `target`.
#[test]
fn what_an_entry_names_is_the_same_in_the_next_run() {
    let field = Field::new();
    for folder in ["w", "beside", "target"] {
        fs::create_dir(field.at(folder)).unwrap();
    }
    fs::write(field.at("beside/file"), "x").unwrap();
    field.held(
        "roots",
        "[filesystem]\nread = [\"@/target\"]\n\
         write = [\"@/w\", \"@/beside\", \"@/beside/later?\", \"@/beside/file\"]",
    );
    assert!(field.at("w").is_dir() && field.at("beside/later").symlink_metadata().unwrap().is_dir());
}
