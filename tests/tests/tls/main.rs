//! TLS on the server's own port: what it says and serves with a certificate, how another takes its place without anybody being cut off, and that
//! whoever is slow to shake hands holds up nobody.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod client;
mod http2;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use client::{Authority, DAY_SECONDS, Secure, now, plain};
use postrider_tests::{Server, binary, within};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server with a certificate, and all of what it has said in its log.
struct Stage {
    authority: Authority,
    server: Server,
    folder: TempDir,
}

impl Stage {
    fn new() -> Stage {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        authority.issue().write(folder.path());
        std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (certificate, key) = (file("cert.pem"), file("key.pem"));
        let options = ["--tls-certificate", &certificate, "--tls-key", &key, "--init", "genesy", "--log-level", "info"];
        let log = File::create(folder.path().join("log")).unwrap();
        let server = Server::start_telling(&folder.path().join("data"), &options, log);
        Stage { authority, server, folder }
    }

    fn port(&self) -> u16 {
        self.server.base().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// A new connection, of a client that has never been there.
    fn connect(&self) -> Secure {
        Secure::open(&self.authority.trusting(&[b"http/1.1"]), self.port())
    }

    fn hangup(&self) {
        let pid = Pid::from_raw(self.server.pid() as i32).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    /// Waits for a line of the log, which is not shown before it is there.
    fn wait_for_line(&self, part: &str) {
        let log = self.folder.path().join("log");
        within(Duration::from_secs(30), part, || std::fs::read_to_string(&log).unwrap().contains(part).then_some(()));
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .env("POSTRIDER_URL", self.server.base())
            .env("POSTRIDER_ADMIN_KEY", self.server.admin().key());
        command.args(arguments).output().unwrap()
    }
}

#[test]
fn what_is_served_is_https_alone() {
    let stage = Stage::new();
    assert!(stage.server.base().starts_with("https://127.0.0.1:"), "{}", stage.server.base());
    let mut connection = stage.connect();
    assert_eq!(connection.protocol(), Some(&b"http/1.1"[..]));
    let chosen = |protocols: &[&[u8]]| {
        let mut connection = Secure::open(&stage.authority.trusting(protocols), stage.port());
        let protocol = connection.protocol().map(<[u8]>::to_vec);
        if protocol.as_deref() != Some(b"h2") {
            assert!(connection.get("/healthz").starts_with("HTTP/1.1 200 "));
        }
        protocol
    };
    assert_eq!(chosen(&[b"http/1.1", b"h2"]).as_deref(), Some(&b"h2"[..]), "of two");
    assert_eq!(chosen(&[]), None, "who does not say speaks HTTP/1.1");
    assert!(connection.get("/healthz").starts_with("HTTP/1.1 200 "));
    // The same connection, and a cookie that never goes out in the clear.
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let sign_in = format!("key={}", stage.server.admin().key());
    let answer = connection.ask("POST", "/dashboard/sign-in", form, &sign_in);
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie: ")).unwrap_or_else(|| panic!("{answer}"));
    assert!(cookie.contains("; HttpOnly") && cookie.ends_with("; Secure"), "{cookie}");

    // Whoever takes it for plain http is told so, and that is all.
    let mut plain = plain(stage.port());
    write!(plain, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https_required"), "{answer}");
}

#[test]
fn the_command_line_goes_there_and_verifies() {
    let stage = Stage::new();
    let ca = stage.folder.path().join("ca.pem");
    let list = stage.command(&["workspace", "list", "--ca-file", ca.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&list.stdout);
    assert!(list.status.success() && said.contains("genesy"), "{said}{}", String::from_utf8_lossy(&list.stderr));

    let failed = |arguments: &[&str], code: i32, part: &str| {
        let output = stage.command(arguments);
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert!(line.contains(part) && line.lines().count() == 1, "{part}: {line}");
    };
    failed(&["workspace", "list"], 1, "invalid peer certificate: UnknownIssuer");
    failed(&["workspace", "list", "--ca-file", "/no/such/file"], 2, "--ca-file /no/such/file");
    failed(
        &["workspace", "list", "--ca-file", stage.folder.path().join("key.pem").to_str().unwrap()],
        2,
        "no certificate",
    );
    let plain = stage.server.base().replace("https:", "http:");
    failed(&["workspace", "list", "--url", &plain], 1, "use https://");
}

#[test]
fn a_new_certificate_counts_for_new_connections_and_cuts_none_off() {
    let stage = Stage::new();
    let mut open = stage.connect();
    let first = open.certificate();
    assert!(open.get("/healthz").starts_with("HTTP/1.1 200 "));

    let second = stage.authority.issue();
    second.write(stage.folder.path());
    stage.hangup();
    within(Duration::from_secs(5), "at once when told", || {
        (stage.connect().certificate() == second.der()).then_some(())
    });
    assert!(open.get("/readyz").starts_with("HTTP/1.1 200 "), "the connection of before goes on");
    assert_ne!(first, second.der());

    // Without being told; and a client that could resume its session gets the new one as well.
    let resuming = stage.authority.trusting(&[b"http/1.1"]);
    Secure::open(&resuming, stage.port()).get("/healthz");
    let third = stage.authority.issue();
    third.write(stage.folder.path());
    within(Duration::from_secs(30), "by itself", || (stage.connect().certificate() == third.der()).then_some(()));
    assert_eq!(Secure::open(&resuming, stage.port()).certificate(), third.der());
    assert!(open.get("/readyz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_bad_new_certificate_is_told_and_the_old_one_stays() {
    let stage = Stage::new();
    let first = stage.connect().certificate();
    let other = stage.authority.issue();
    let key = stage.folder.path().join("key.pem");
    for (text, told) in [
        (&*other.key, "the key belongs to another certificate"),
        ("not a key", "there is no private key in the key's PEM"),
    ] {
        std::fs::write(&key, text).unwrap();
        stage.hangup();
        stage.wait_for_line(told);
        assert_eq!(stage.connect().certificate(), first);
    }
    std::fs::remove_file(&key).unwrap();
    stage.hangup();
    stage.wait_for_line("No such file");
    assert_eq!(stage.connect().certificate(), first);
    let log = std::fs::read_to_string(stage.folder.path().join("log")).unwrap();
    assert!(log.contains("WARN") && log.contains("the certificate of before stays"), "{log}");
    assert!(!log.contains("not a key") && !log.contains("PRIVATE KEY"), "{log}");

    other.write(stage.folder.path());
    stage.hangup();
    within(Duration::from_secs(5), "the good one", || (stage.connect().certificate() == other.der()).then_some(()));
}

#[test]
fn a_certificate_that_ends_soon_is_told_and_so_is_the_one_that_takes_its_place() {
    let stage = Stage::new();
    stage.wait_for_line("the certificate is good until then");
    let left = || {
        let text = stage.connect().get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix("postrider_certificate_expiry_seconds "));
        line.unwrap_or_else(|| panic!("{text}")).parse::<f64>().unwrap()
    };
    let year = 365.0 * DAY_SECONDS as f64;
    assert!((year - 600.0..=year).contains(&left()), "{}", left());

    let put = |days: u64, line: &str| {
        stage.authority.issue_until(now() + Duration::from_secs(days * DAY_SECONDS + 3600)).write(stage.folder.path());
        stage.hangup();
        stage.wait_for_line(line);
    };
    put(20, "the certificate expires soon");
    let day = DAY_SECONDS as f64;
    assert!((20.0 * day..20.1 * day).contains(&left()), "{}", left());
    put(5, "days=5");
    // One that is over already is served as well: nothing better is there.
    stage.authority.issue_until(now() - Duration::from_secs(60)).write(stage.folder.path());
    stage.hangup();
    stage.wait_for_line("the certificate has expired");
    put(90, "days=90");
    assert!(left() > 89.0 * day);
}

#[test]
fn whoever_is_slow_to_shake_hands_holds_up_nobody_and_is_let_go() {
    let stage = Stage::new();
    let began = Instant::now();
    let mut silent: Vec<_> = (0..100).map(|_| plain(stage.port())).collect();
    // The beginning of a ClientHello, and no more.
    for stream in silent.iter_mut().step_by(2) {
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    }
    for _ in 0..20 {
        assert!(stage.connect().get("/healthz").starts_with("HTTP/1.1 200 "));
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    for stream in &mut silent {
        // The end of the connection, with or without an alert before it.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let ended = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(18)).contains(&ended), "{ended:?}");

    // Nor do they hold up the end.
    let (_silent, began) = (plain(stage.port()), Instant::now());
    assert!(stage.server.terminate().success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// The one line of a server that does not start.
fn refused(folder: &Path, options: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.env_clear().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.join("data")).args(options);
    let output = command.output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    assert!(!folder.join("data").exists(), "nothing was begun");
    line
}

#[test]
fn a_bad_certificate_at_the_start_is_one_line_and_exit_code_2() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (pair, other) = (authority.issue(), authority.issue());
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (write("a.pem", &pair.certificate), write("a.key", &pair.key));
    let (empty, other) = (write("empty.pem", ""), write("other.key", &other.key));
    let broken = write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let missing = folder.path().join("none").to_str().unwrap().to_owned();
    for (certificate, key, told) in [
        (&missing, &key, "tls.certificate: "),
        (&certificate, &missing, "tls.key: "),
        (&empty, &key, "there is no certificate in the certificate's PEM"),
        (&broken, &key, "tls.certificate: "),
        (&certificate, &certificate, "there is no private key in the key's PEM"),
        (&certificate, &other, "the key belongs to another certificate"),
        (&certificate, &"/dev/null".to_owned(), "is not a file"),
    ] {
        let line = refused(folder.path(), &["--tls-certificate", certificate, "--tls-key", key]);
        assert!(line.contains(told), "{told}: {line}");
    }
    assert!(refused(folder.path(), &["--tls-certificate", &certificate]).contains("tls.key: is missing"));
    assert!(refused(folder.path(), &["--tls-key", &key]).contains("tls.certificate: is missing"));
}
