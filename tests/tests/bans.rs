//! That what `clippy.toml` forbids is refused: a path that names nothing is passed over by clippy without a word. Each banned function is used
//! here once, where the ban is *expected*: `make clippy` fails where it is not heard. And the places where a ban is lifted are these alone.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

macro_rules! banned {
    ($($path:literal => $function:expr,)*) => {
        const BANNED: &[&str] = &[$($path),*];
        $(
            const _: () = {
                #[expect(clippy::disallowed_methods, reason = $path)]
                fn _named() {
                    let _ = $function;
                }
            };
        )*
    };
}

banned! {
    "std::net::TcpStream::connect" => std::net::TcpStream::connect::<SocketAddr>,
    "std::net::TcpStream::connect_timeout" => std::net::TcpStream::connect_timeout,
    "std::net::UdpSocket::connect" => std::net::UdpSocket::connect::<SocketAddr>,
    "tokio::net::TcpStream::connect" => tokio::net::TcpStream::connect::<SocketAddr>,
    "tokio::net::TcpSocket::connect" => tokio::net::TcpSocket::connect,
    "tokio::net::UdpSocket::connect" => tokio::net::UdpSocket::connect::<SocketAddr>,
    "std::net::ToSocketAddrs::to_socket_addrs" => <(&str, u16) as std::net::ToSocketAddrs>::to_socket_addrs,
    "tokio::net::lookup_host" => tokio::net::lookup_host::<(&str, u16)>,
    "std::time::SystemTime::now" => std::time::SystemTime::now,
    "std::time::SystemTime::elapsed" => std::time::SystemTime::elapsed,
    "jiff::Timestamp::now" => jiff::Timestamp::now,
    "jiff::Zoned::now" => jiff::Zoned::now,
    "getrandom::fill" => getrandom::fill,
    "getrandom::u32" => getrandom::u32,
    "getrandom::u64" => getrandom::u64,
}

/// Where a ban is lifted in what is shipped, and from what.
const LIFTED: [&str; 6] = [
    // Connects to addresses that were judged.
    "crates/dispatch/src/connect.rs",
    // A client of the command line, which goes where its user says.
    "crates/cli/src/client/connection.rs",
    // The clock.
    "crates/engine/src/clock.rs",
    // When a request came, for people to read.
    "crates/cli/src/clock.rs",
    // Randomness.
    "crates/engine/src/entropy.rs",
    // A name for a salvaged log.
    "crates/postrider/src/salvage.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_ban_is_heard() {
    let text = fs::read_to_string(root().join("clippy.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    let listed = settings["disallowed-methods"].as_array().unwrap();
    let listed: Vec<_> = listed.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(listed, BANNED);
}

#[test]
fn no_crate_has_a_list_of_its_own() {
    let manifests: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifests["workspace"]["lints"]["clippy"]["disallowed_methods"].as_str(), Some("deny"));
    for folder in fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap().path();
        // It would replace the list of the whole.
        assert!(!folder.join("clippy.toml").exists() && !folder.join(".clippy.toml").exists(), "{}", folder.display());
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{}", folder.display());
    }
}

#[test]
fn bans_are_lifted_only_where_it_is_known() {
    let mut lifted = BTreeSet::new();
    let mut folders: Vec<_> =
        fs::read_dir(root().join("crates")).unwrap().map(|e| e.unwrap().path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                if text.contains("disallowed_methods") || text.contains("allow(clippy::all") {
                    lifted.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
    }
    assert_eq!(lifted, LIFTED.map(str::to_owned).into());
}
