//! Folders that cannot be used: one clear line, exit code 1, and nothing is changed.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use postrider_tests::{Server, binary};

fn postrider(args: &[&str], data: &Path) -> Output {
    Command::new(binary()).args(args).arg("--data").arg(data).output().unwrap()
}

/// The one line of a failure.
fn complaint(output: &Output, code: i32) -> String {
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), line.lines().count()), (Some(code), 1), "{line}");
    assert!(line.starts_with("postrider: ") && output.stdout.is_empty(), "{line}");
    line.trim_start_matches("postrider: ").trim_end().to_owned()
}

fn serve(data: &Path) -> Output {
    postrider(&["serve", "--listen", "127.0.0.1:0"], data)
}

fn start(data: &Path) -> Server {
    Server::start_with(data, &["--segment", "4MiB"], &[])
}

/// A server with a workspace was here.
fn used(data: &Path) {
    let server = start(data);
    server.workspace("genesy");
    server.kill();
}

/// Every folder and file, with what is in it.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            all.insert(path.clone(), (!path.is_dir()).then(|| fs::read(&path).unwrap()));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    all
}

/// The server's line about `data`; nothing in `folder`, in which it lies, is changed.
fn refused(data: &Path, folder: &Path) -> String {
    let before = contents(folder);
    let line = complaint(&serve(data), 1);
    assert!(contents(folder) == before, "nothing is changed: {line}");
    line
}

#[test]
fn a_file_is_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "hello").unwrap();
    let line = refused(&file, folder.path());
    assert_eq!(line, format!("the log cannot be opened: {} is not a folder", file.display()));
    for name in ["log", "LOCK"] {
        let data = folder.path().join(format!("with-{name}"));
        fs::create_dir(&data).unwrap();
        if name == "log" {
            fs::write(data.join(name), "in the way").unwrap();
        } else {
            used(&data);
            fs::remove_file(data.join(name)).unwrap();
            fs::create_dir(data.join(name)).unwrap();
        }
        let line = refused(&data, folder.path());
        assert!(line.starts_with(&format!("{}: the log cannot be opened: ", data.display())), "{line}");
        assert_eq!(line.matches("directory").count(), 1, "the cause is told once: {line}");
    }
    let line = complaint(&postrider(&["log", "verify"], &file), 1);
    assert_eq!(line.matches("directory").count(), 1, "{line}");
}

#[test]
fn a_folder_that_cannot_be_made() {
    let data = Path::new("/proc/postrider-data");
    let line = complaint(&serve(data), 1);
    assert!(line.starts_with("/proc/postrider-data: the log cannot be opened: "), "{line}");
}

#[test]
fn a_read_only_folder_can_be_looked_at_only() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk);
        command.output().is_ok_and(|output| output.status.success())
    };
    if !mount("size=32m") {
        println!("left out: this user may not mount a file system");
        return;
    }
    used(&disk.join("data"));
    let read_only = mount("remount,ro,size=32m");
    // All that is asked of it comes before the asserts, so that it is unmounted in any case.
    let before = contents(&disk);
    let [old, new] = ["data", "new"].map(|name| serve(&disk.join(name)));
    let verified = postrider(&["log", "verify"], &disk.join("data"));
    let after = contents(&disk);
    Command::new("umount").arg("-l").arg(&disk).status().unwrap();
    assert!(read_only && before == after);
    for (output, name) in [(old, "data"), (new, "new")] {
        let line = complaint(&output, 1);
        let folder = disk.join(name);
        assert!(line.starts_with(&format!("{}: the log cannot be opened: Read-only", folder.display())), "{line}");
        assert_eq!(line.matches("Read-only").count(), 1, "the cause is told once: {line}");
    }
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_folder_of_someone_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("documents");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("letter.txt"), "dear").unwrap();
    let line = refused(&data, folder.path());
    assert_eq!(line, format!("{} is not empty and holds no Postrider log", data.display()));
    // The same within the folder of the log.
    let data = folder.path().join("logs");
    fs::create_dir_all(data.join("log")).unwrap();
    fs::write(data.join("log/syslog"), "a line").unwrap();
    let line = refused(&data, folder.path());
    assert_eq!(line, format!("{} is not empty and holds no Postrider log", data.display()));
    fs::write(data.join("log/HEAD"), "ref: refs/heads/main").unwrap();
    let line = refused(&data, folder.path());
    assert_eq!(line, format!("{} is not empty and holds no Postrider log", data.display()));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for look in ["cat", "verify", "stats"] {
        let line = complaint(&postrider(&["log", look], &empty), 1);
        assert_eq!(line, format!("{} holds no log", empty.display()), "{look}");
    }
    assert!(contents(&empty).is_empty());
    // An empty folder is no one's.
    assert!(start(&empty).terminate().success());
}

#[test]
fn a_log_of_a_newer_version() {
    let folder = tempfile::tempdir().unwrap();
    used(folder.path());
    let head = folder.path().join("log/HEAD");
    let mut bytes = fs::read(&head).unwrap();
    bytes[8] += 1;
    fs::write(&head, bytes).unwrap();
    let expected = format!("the log in {} has format version 2; this program reads up to 1", folder.path().display());
    assert_eq!(refused(folder.path(), folder.path()), expected);
    assert_eq!(complaint(&postrider(&["log", "verify"], folder.path()), 1), expected);
}

#[test]
fn a_folder_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let began = Instant::now();
    let line = complaint(&serve(folder.path()), 1);
    let waited = began.elapsed();
    assert_eq!(line, format!("{} is in use by another process", folder.path().display()));
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    server.workspace("genesy");
    assert!(server.terminate().success(), "the first one goes on");
}

#[test]
fn sealing_keys_without_their_log() {
    let folder = tempfile::tempdir().unwrap();
    let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
    used(&data);
    fs::rename(data.join("log"), &elsewhere).unwrap();
    let line = refused(&data, folder.path());
    assert!(line.starts_with(&format!("{}: the folder has sealing keys but no log", data.display())), "{line}");
    fs::rename(&elsewhere, data.join("log")).unwrap();
    assert!(start(&data).terminate().success());
}

#[test]
fn a_profile_that_does_not_exist_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = postrider(&["serve", "--listen", "127.0.0.1:0", "--init", "genesis"], &data);
    assert_eq!(complaint(&output, 2), "init: must be one of genesy, snaily, standard, operator");
    assert!(contents(folder.path()).is_empty());
}
