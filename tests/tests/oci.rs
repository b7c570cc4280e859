//! rxbox as a runtime of containers, driven by the command line of runc.

use rxbox_tests::containers::Bundle;
use rxbox_tests::eventually;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

const PROGRAMS: [&str; 12] = [
    "/bin/bash",
    "/usr/bin/cat",
    "/usr/bin/chown",
    "/usr/bin/echo",
    "/usr/bin/hostname",
    "/usr/bin/id",
    "/usr/bin/ls",
    "/usr/bin/mknod",
    "/usr/bin/sleep",
    "/usr/bin/touch",
    "/usr/bin/true",
    "/usr/bin/stat",
];

/// Nothing, with the assertion that the runtime says so, where this user can have no containers at all.
fn bundle() -> Option<Bundle> {
    let mounts = Command::new("unshare").args(["--mount", "true"]).output().expect("unshare");
    let bundle = Bundle::with(&PROGRAMS);
    if mounts.status.success() {
        return Some(bundle);
    }
    let (status, _, error) = bundle.run("true", |_| {});
    assert!(status == Some(1) && error.contains("namespaces"), "{error}");
    None
}

#[test]
fn a_program_runs_in_its_container_and_ends_as_it_ends() {
    let Some(bundle) = bundle() else { return };
    for (script, status, out) in [
        ("exit 0", 0, ""),
        ("echo hello; exit 7", 7, "hello\n"),
        ("kill -TERM $$", 143, ""),
        ("id -u; id -g; hostname; pwd; echo $HOME", 0, "0\n0\ncontained\n/\n/root\n"),
        ("ulimit -Sn; ulimit -Hn", 0, "512\n1024\n"),
        // Where there are no files of the host's, nor rxbox's own.
        ("ls /; ls /root /tmp", 0, "bin\ndev\netc\nlib\nlib64\nproc\nroot\nsys\ntmp\nusr\n/root:\n\n/tmp:\n"),
        ("echo /proc/[0-9]*", 0, "/proc/2\n"),
        ("cat /proc/kcore || echo none", 0, "none\n"),
        ("echo x >/dev/null && cat /dev/null && (echo x >/dev/full || echo full)", 0, "full\n"),
        ("touch /written && echo 1 >/etc/new && cat /etc/new", 0, "1\n"),
        ("mknod /tmp/disk b 8 0 || mknod /dev/disk c 1 1 || echo no", 0, "no\n"),
    ] {
        let (code, told, error) = bundle.run(script, |_| {});
        assert_eq!((code, &*told), (Some(status), out), "{script}: {error}");
        assert_eq!(bundle.left(), [""; 0], "{script}");
    }
    let rootfs = bundle.path().join("rootfs");
    assert!(rootfs.join("written").exists() && !rootfs.join("dev/null").exists());
}

#[test]
fn a_container_has_the_users_files_and_limits_that_its_configuration_says() {
    let Some(bundle) = bundle() else { return };
    let (code, out, error) = bundle.run("id; touch /x || echo denied; echo $HOME; pwd", |config| {
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [7, 8] });
        config["process"]["cwd"] = json!("/made/for/it");
    });
    let who = "uid=1000(user) gid=1000 groups=1000,7,8\ndenied\n/tmp\n/made/for/it\n";
    assert_eq!((code, &*out), (Some(0), who), "{error}");
    let volume = bundle.scratch.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "there\n").unwrap();
    let script =
        "cat /data/file; echo x >/data/x || echo ro; echo x >/in || echo ro; echo x >/tmp/x && echo rw";
    let (code, out, error) = bundle.run(script, |config| {
        config["root"]["readonly"] = json!(true);
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(
            json!({ "destination": "/data", "type": "bind", "source": volume, "options": ["rbind", "ro"] }),
        );
        mounts.push(
            json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"] }),
        );
    });
    assert_eq!((code, &*out), (Some(0), "there\nro\nro\nrw\n"), "{error}");
    assert!(error.contains("Read-only file system"), "{error}");
    // A rule of seccomp's.
    let (code, out, error) = bundle.run("hostname || echo denied", |config| {
        let rule = json!({ "names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22 });
        config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
    });
    assert_eq!((code, &*out), (Some(0), "denied\n"), "{error}");
    assert!(error.contains("Invalid argument"), "{error}");
    // A profile of rxbox's, by name, holds in the container.
    let (code, out, error) = bundle.run("cat /etc/passwd >/dev/null && touch /x || echo denied", |config| {
        config["annotations"] = json!({ "rxbox.profile": "untrusted" });
    });
    assert_eq!((code, &*out), (Some(0), "denied\n"), "{error}");
}

#[test]
fn a_container_is_made_started_signalled_and_deleted() {
    let Some(bundle) = bundle() else { return };
    let succeeds = |words: &[&str]| {
        let output = bundle.call(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let fails = |words: &[&str], why: &str| {
        let output = bundle.call(words);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(why), "{words:?}: {told}");
    };
    let status = |id: &str| bundle.state(id)["status"].as_str().unwrap().to_owned();
    bundle.configure(|config| config["process"]["args"] = json!(["sleep", "600"]));
    fails(&["state", "one"], "does not exist");
    succeeds(&["create", "--pid-file", "pid", "one"]);
    assert_eq!(status("one"), "created");
    let pid = bundle.state("one")["pid"].to_string();
    assert_eq!(fs::read_to_string(bundle.path().join("pid")).unwrap(), pid);
    fails(&["create", "one"], "exists");
    assert!(succeeds(&["list"]).contains("one") && succeeds(&["list", "-q"]) == "one\n");
    succeeds(&["start", "one"]);
    fails(&["start", "one"], "running");
    fails(&["delete", "one"], "not stopped");
    assert_eq!(status("one"), "running");
    assert!(succeeds(&["ps", "--format", "json", "one"]).contains(&pid));
    if bundle.call(&["pause", "one"]).status.success() {
        assert_eq!(status("one"), "paused");
        succeeds(&["resume", "one"]);
        succeeds(&["update", "--pids-limit", "100", "one"]);
    }
    succeeds(&["kill", "one", "TERM"]);
    eventually("the end of the container", || status("one") == "stopped");
    succeeds(&["delete", "one"]);
    // One that is not started ends by a signal, and one that runs goes by force.
    succeeds(&["create", "two"]);
    succeeds(&["kill", "two", "TERM"]);
    eventually("the end of the container", || status("two") == "stopped");
    succeeds(&["delete", "two"]);
    succeeds(&["create", "three"]);
    succeeds(&["start", "three"]);
    succeeds(&["delete", "--force", "three"]);
    succeeds(&["delete", "--force", "three"]);
    assert_eq!(bundle.left(), [""; 0]);
}

#[test]
fn what_is_not_offered_is_an_error_and_nothing_is_left_of_it() {
    let Some(bundle) = bundle() else { return };
    let fails = |change: &dyn Fn(&mut serde_json::Value), why: &str| {
        let (code, _, error) = bundle.run("true", change);
        assert!(code == Some(1) && error.contains(why), "{why}: {code:?} {error}");
        assert_eq!(bundle.left(), [""; 0], "{why}");
    };
    fails(&|config| config["process"]["args"] = json!(["/no/such/program"]), "no such file or directory");
    fails(&|config| config["process"]["args"] = json!([]), "process.args");
    fails(&|config| config["process"]["apparmorProfile"] = json!("docker-default"), "apparmorProfile");
    fails(&|config| config["linux"]["namespaces"][0]["path"] = json!("/proc/1/ns/pid"), "pid namespace");
    fails(&|config| config["hooks"]["createRuntime"] = json!([{ "path": "/bin/false" }]), "hook /bin/false");
    fails(&|config| config["annotations"] = json!({ "rxbox.profile": "none-of-this" }), "none-of-this");
    // A link in the root leads nowhere else.
    symlink("/tmp", bundle.path().join("rootfs/link")).unwrap();
    let add = |config: &mut serde_json::Value, to: &str| {
        let mount = json!({ "destination": to, "type": "tmpfs", "source": "tmpfs" });
        config["mounts"].as_array_mut().unwrap().push(mount);
    };
    let (code, out, error) = bundle.run("touch /link/x && ls /tmp", |config| add(config, "/link"));
    assert_eq!((code, &*out), (Some(0), "x\n"), "{error}");
    fs::remove_dir(bundle.path().join("rootfs/proc")).unwrap();
    symlink("/tmp", bundle.path().join("rootfs/proc")).unwrap();
    fails(&|_| {}, "/proc");
}

#[test]
fn another_process_runs_in_a_container_and_ends_as_it_ends() {
    let Some(bundle) = bundle() else { return };
    bundle.configure(|config| config["process"]["args"] = json!(["sleep", "600"]));
    let output = bundle.call(&["create", "container"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!bundle.call(&["exec", "container", "true"]).status.success());
    assert!(bundle.call(&["start", "container"]).status.success());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for (words, status, out) in [
        (&["exec", "container", "/bin/sh", "-c", "hostname; echo $(id -u); exit 9"][..], 9, "contained\n0\n"),
        (
            &["exec", "--user", "1000:1000", "--cwd", "/tmp", "container", "/bin/sh", "-c", "id -u; pwd"],
            0,
            "1000\n/tmp\n",
        ),
        (
            &["exec", "-e", "NEW=x", "container", "/bin/sh", "-c", "echo $NEW; cat /proc/2/comm"],
            0,
            "x\nsleep\n",
        ),
        (&["exec", "container", "/bin/sh", "-c", "kill -KILL $$"], 137, ""),
    ] {
        let output = bundle.call(words);
        let error = text(output.stderr);
        assert_eq!((output.status.code(), &*text(output.stdout)), (Some(status), out), "{words:?}: {error}");
    }
    let output = bundle.call(&["exec", "container", "no-such-program"]);
    let error = text(output.stderr);
    assert!(!output.status.success() && error.contains("not found"), "{error}");
    // Whoever stands for it passes signals on; if that is killed so is what it stands for.
    let pid = bundle.path().join("exec.pid");
    for signal in ["-TERM", "-KILL"] {
        let words = ["exec", "--detach", "--pid-file", "exec.pid", "container", "sleep", "500"];
        let output = bundle.call(&words);
        assert!(output.status.success(), "{}", text(output.stderr));
        let names = || {
            let script = "for p in /proc/[0-9]*; do read name < $p/comm; echo $name; done";
            text(bundle.call(&["exec", "container", "/bin/sh", "-c", script]).stdout)
        };
        let sleeping = || names().lines().filter(|name| *name == "sleep").count();
        assert_eq!(sleeping(), 2, "{signal}");
        let number = fs::read_to_string(&pid).unwrap();
        assert!(Command::new("kill").args([signal, &number]).status().unwrap().success());
        eventually("the end of the process", || sleeping() == 1);
    }
    // It does not live longer than the container.
    let output = bundle.call(&["exec", "--detach", "container", "sleep", "500"]);
    assert!(output.status.success(), "{}", text(output.stderr));
    assert!(bundle.call(&["delete", "--force", "container"]).status.success());
    assert_eq!(bundle.left(), [""; 0]);
}

#[test]
fn a_hundred_containers_leave_nothing() {
    let Some(bundle) = bundle() else { return };
    let succeeds = |words: &[&str]| {
        let output = bundle.call(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    bundle.configure(|config| config["process"]["args"] = json!(["sleep", "0"]));
    for _ in 0..50 {
        succeeds(&["run", "short"]);
    }
    bundle.configure(|config| config["process"]["args"] = json!(["sleep", "600"]));
    for _ in 0..50 {
        succeeds(&["create", "long"]);
        succeeds(&["start", "long"]);
        succeeds(&["delete", "--force", "long"]);
    }
    assert_eq!(bundle.left(), [""; 0]);
    let of_runtime = bundle.scratch.path().to_string_lossy().into_owned();
    let running = Command::new("pgrep").args(["-a", "-f", &of_runtime]).output().expect("pgrep");
    assert_eq!(String::from_utf8_lossy(&running.stdout), "");
}

#[test]
fn what_is_killed_is_stopped_and_can_be_deleted() {
    let Some(bundle) = bundle() else { return };
    bundle.configure(|config| config["process"]["args"] = json!(["sleep", "600"]));
    let kill = |pid: &str| assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    // Its process, the supervisor below that, and either before it is started.
    for (supervisor, started, delete) in [
        (false, true, &["delete", "container"][..]),
        (true, true, &["delete", "--force", "container"]),
        (false, false, &["delete", "--force", "container"]),
        (true, false, &["delete", "container"]),
    ] {
        assert!(bundle.call(&["create", "container"]).status.success());
        if started {
            assert!(bundle.call(&["start", "container"]).status.success());
        }
        let pid = bundle.state("container")["pid"].to_string();
        let below = Command::new("pgrep").args(["-P", &pid, "rxbox"]).output().expect("pgrep");
        let below = String::from_utf8(below.stdout).unwrap();
        kill(if supervisor { below.trim() } else { &pid });
        eventually("the end", || bundle.state("container")["status"] == "stopped");
        assert!(!bundle.call(&["exec", "container", "true"]).status.success());
        let deleted = bundle.call(delete);
        assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
        assert_eq!(bundle.left(), [""; 0], "{supervisor} {started}");
        eventually("the end of what was below", || {
            !std::path::Path::new("/proc").join(below.trim()).exists()
        });
    }
}
