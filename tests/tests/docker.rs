//! rxbox in containers of a real Docker with what it does by default: its seccomp profile, its capabilities,
//! no user namespaces. There are fewer layers there, said so, and the rest is as everywhere.

use rxbox_tests::console::steps;
use rxbox_tests::docker::Docker;
use rxbox_tests::{Scratch, host_offers, rxbox, static_rxbox};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the image has of this machine, beside rxbox and the libraries.
const PROGRAMS: [&str; 7] = [
    "/bin/bash",
    "/usr/bin/cat",
    "/usr/bin/env",
    "/usr/bin/id",
    "/usr/bin/seq",
    "/usr/bin/sha256sum",
    "/usr/bin/sort",
];
const IMAGE: &str = "rxbox-test:1";
/// The options of `docker run`: as they are by default, and for an ordinary user without any privilege.
const WAYS: [&[&str]; 2] = [&[], &["-u", "1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The libraries of a program, its loader among them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let told = text(&Command::new("ldd").arg(program).output().expect("ldd").stdout);
    told.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Copies a file of this machine to where it has the same name below another root directory.
fn copy_below(root: &Path, file: &Path) {
    let to = root.join(file.strip_prefix("/").expect("an absolute path"));
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    fs::copy(file, &to).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

/// Makes an image of some programs of this machine, with rxbox and a file that no profile speaks of.
fn make_image(docker: &Docker) {
    let scratch = Scratch::new("image");
    let root = scratch.path();
    let needed = PROGRAMS.iter().map(Path::new).chain([rxbox()]).flat_map(libraries);
    let files: BTreeSet<PathBuf> = needed.chain(PROGRAMS.iter().map(PathBuf::from)).collect();
    files.iter().for_each(|file| copy_below(root, file));
    fs::copy(rxbox(), root.join("rxbox")).expect("rxbox");
    fs::write(root.join("secret"), "secret\n").expect("a file");
    symlink("bash", root.join("bin/sh")).expect("a shell");
    for folder in ["tmp", "work"] {
        fs::create_dir(root.join(folder)).expect("a folder");
        let open = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(root.join(folder), open).expect("a folder of one's own");
    }
    docker.import(root, IMAGE);
}

const SCRIPT: &str = r#"
seq 100000 | sort -r | sha256sum
id -u
x=0; for i in $(seq 2000); do x=$((x + i)); done; echo $x
(exit 3); echo $?
echo written >/work/file && cat /work/file
"#;

#[test]
fn in_a_container_of_docker_programs_run_as_natively_and_are_denied_the_same() {
    let Some(docker) = Docker::start() else { return };
    make_image(&docker);
    let run =
        |options: &[&str], words: &[&str]| docker.run(&[&["-w", "/work"], options, &[IMAGE], words].concat());
    let boxed = ["/rxbox", "--profile", "untrusted", "--allow-write", "/work", "--status-fd", "2", "--"];
    for options in WAYS {
        let native = run(options, &["/bin/bash", "-c", SCRIPT]);
        assert!(native.status.success(), "{options:?}: {}", text(&native.stderr));
        let ours = run(options, &[&boxed[..], &["/bin/bash", "-c", SCRIPT]].concat());
        let told = text(&ours.stderr);
        assert_eq!(
            (text(&ours.stdout), ours.status.code()),
            (text(&native.stdout), native.status.code()),
            "{options:?}: {told}"
        );
        let layers = told.lines().find(|line| line.contains("\"event\":\"layers\"")).expect("layers");
        let (in_force, missing) = layers.split_once("\"missing\"").expect("what is missing");
        for layer in ["seccomp", "capabilities", "no_new_privs", "rlimits", "fork_gate"] {
            assert!(in_force.contains(&format!("\"{layer}\"")), "{options:?}: {layers}");
        }
        assert!(missing.contains("\"namespaces\""), "{options:?}: {layers}");
        let doctor = text(&run(options, &["/rxbox", "doctor"]).stdout);
        let namespaces = doctor.lines().find(|line| line.starts_with("namespaces")).expect("a line");
        assert!(namespaces.contains("a container engine allows them"), "{options:?}: {doctor}");
        let secret = ["/bin/bash", "-c", "cat /secret || exit 9"];
        assert_eq!(text(&run(options, &secret).stdout), "secret\n", "{options:?}");
        let denied = run(options, &[&boxed[..], &secret].concat());
        let told = text(&denied.stderr);
        assert_eq!((text(&denied.stdout).as_str(), denied.status.code()), ("", Some(9)), "{options:?}");
        assert!(told.contains("denied read /secret"), "{options:?}: {told}");
    }
}

const PAGE: &str = include_str!("../../docs/containers.md");

/// What lies in a page between this line and the end of the block.
fn block(page: &str, start: &str) -> String {
    let (_, rest) = page.split_once(&format!("{start}\n")).expect("the block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// Why there are no namespaces in containers, as the page says.
const WHY: &str = "what rxbox runs in refuses user namespaces";

#[test]
fn the_image_and_the_sessions_of_the_page_on_containers_are_as_it_says() {
    let Some(docker) = Docker::start() else { return };
    let scratch = Scratch::new("context");
    scratch.file("Dockerfile", block(PAGE, "```dockerfile"));
    fs::copy(static_rxbox(), scratch.path().join("rxbox")).expect("rxbox");
    let program = scratch.file("program.c", "#include <stdio.h>\nint main() { puts(\"it runs\"); }\n");
    fs::create_dir(scratch.path().join("app")).expect("a folder");
    let mut gcc = Command::new("gcc");
    gcc.args(["-static", "-o"]).arg(scratch.path().join("app/program")).arg(program);
    assert!(gcc.status().expect("gcc").success());
    for step in steps(PAGE) {
        let mut shell = docker.on(Command::new("/bin/sh"));
        shell.args(["-c", &step.command]).current_dir(scratch.path()).stdin(Stdio::null());
        let ran = shell.output().expect("a shell");
        assert_eq!(text(&ran.stdout), step.output, "$ {}\n{}", step.command, text(&ran.stderr));
    }
    let rows = PAGE.lines().filter(|line| line.starts_with("| `-") || line.starts_with("| none "));
    let mut without = BTreeSet::new();
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        match columns[2] {
            "the same" => {}
            "none" => without.clear(),
            list => without = list.split(", ").map(|layer| layer.trim_matches('`').to_owned()).collect(),
        }
        let options = columns[1].trim_matches('`').split(' ').filter(|word| *word != "none");
        let options: Vec<&str> = options.chain(["--entrypoint", "/rxbox", "boxed", "doctor"]).collect();
        let told = text(&docker.run(&options).stdout);
        let missing: Vec<(&str, &str)> =
            told.lines().filter_map(|line| line.split_once(" missing ")).collect();
        let names: BTreeSet<String> = missing.iter().map(|(layer, _)| layer.trim_end().to_owned()).collect();
        let lacks_always = |layer: &&String| *layer == "cgroup" || !host_offers(layer);
        let names: BTreeSet<String> = names.into_iter().filter(|layer| !lacks_always(&layer)).collect();
        let without: BTreeSet<String> =
            without.iter().filter(|layer| !lacks_always(layer)).cloned().collect();
        assert_eq!(names, without, "{row}\n{told}");
        assert!(
            missing.iter().all(|(layer, why)| !names.contains(layer.trim_end()) || why.contains(WHY)),
            "{told}"
        );
    }
}
