//! Servers and their clients, natively and in rxbox: they start, serve, reload, save and stop the same.

use rxbox_tests::{Program, Scratch, free_port, same_words, source};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn script(scratch: &Scratch, name: &str) -> Program {
    Program::new(&scratch.path().join("w"), &["/bin/bash", &source(name)])
}

/// With leave to read the script and to write its folder.
fn tight(program: &Program, scratch: &Scratch) -> Program {
    let dir = scratch.path().join("w");
    program.clone().options(&["--allow-read", &source(""), "--allow-write", &dir.to_string_lossy()])
}

/// Files to serve.
fn files(dir: &Path) {
    std::fs::create_dir(dir.join("www")).unwrap();
    std::fs::write(dir.join("www/small"), "hi\n").unwrap();
    std::fs::write(dir.join("www/big"), "0123456789".repeat(300_000)).unwrap();
}

/// A process of the host's that ends with the test.
struct Outside(Child);

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn python_serves_files_to_curl() {
    let scratch = Scratch::new("http");
    same_words("permissive", &script(&scratch, "http.sh"), files);
}

#[test]
fn curl_fetches_from_a_server_outside() {
    let scratch = Scratch::new("curl");
    files(scratch.path());
    let port = free_port().to_string();
    let arguments = ["-m", "http.server", "-b", "127.0.0.1", "-d", "www", &port];
    let mut server = Command::new("/usr/bin/python3");
    server.current_dir(scratch.path()).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Outside(server.spawn().unwrap());
    while std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let dir = scratch.path().join("w");
    let program = Program::new(&dir, &["/bin/bash", &source("http.sh"), &port]);
    same_words("permissive", &program, files);
    let server = format!("tcp:127.0.0.1:{port}");
    same_words("untrusted", &tight(&program, &scratch).options(&["--allow-net", &server]), files);
}

#[test]
fn redis_serves_saves_and_recovers() {
    let scratch = Scratch::new("redis");
    let program = script(&scratch, "redis.sh");
    same_words("permissive", &program, |_| ());
    // Its folder and its socket are all that it needs.
    let socket = format!("unix:{}?", scratch.path().join("w/sock").display());
    same_words(
        "untrusted",
        &tight(&program, &scratch).options(&["--allow-net", &socket, "--allow-bind", &socket]),
        |_| (),
    );
}

#[test]
fn nginx_serves_under_load_and_reloads() {
    let scratch = Scratch::new("nginx");
    let program = script(&scratch, "nginx.sh").env("PORT", &free_port().to_string());
    same_words("permissive", &program.clone().unprivileged(), |_| ());
    // As root its workers become somebody else.
    same_words("permissive", &program, |_| ());
}

#[test]
fn postgres_is_made_asked_in_parallel_and_recovers() {
    let scratch = Scratch::new("postgres");
    same_words("permissive", &script(&scratch, "postgres.sh").unprivileged(), |_| ());
}
