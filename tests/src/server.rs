//! The real binary on a folder of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{Client, within};

/// A `postrider serve`. Killed when it is dropped.
pub struct Server {
    child: Child,
    base: String,
    data: PathBuf,
}

/// The key that the tests manage workspaces with.
const ADMIN_KEY: &str = "admin-key-of-the-tests";

impl Server {
    /// Starts the binary on a data folder and waits until it is ready. Loopback is open, the rate limit off.
    pub fn start(data: &Path) -> Server {
        Server::start_with(data, &[], &[])
    }

    /// The same with more options and environment.
    pub fn start_with(data: &Path, options: &[&str], environment: &[(&str, &str)]) -> Server {
        let options = [&["--allow", "loopback", "--rate-limit", "0"], options].concat();
        Server::start_bare(data, &options, environment)
    }

    /// With these options and environment alone: what is refused by default is refused, and requests are counted.
    pub fn start_bare(data: &Path, options: &[&str], environment: &[(&str, &str)]) -> Server {
        Server::start_at("127.0.0.1:0", data, options, environment)
    }

    /// The same at an address of one's choice.
    pub fn start_at(listen: &str, data: &Path, options: &[&str], environment: &[(&str, &str)]) -> Server {
        Server::launch(listen, data, options, environment, Stdio::inherit())
    }

    /// With these options alone, and its log in a file.
    pub fn start_telling(data: &Path, options: &[&str], log: File) -> Server {
        Server::launch("127.0.0.1:0", data, options, &[], log.into())
    }

    fn launch(listen: &str, data: &Path, options: &[&str], environment: &[(&str, &str)], log: Stdio) -> Server {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", listen]).stderr(log);
        if !options.contains(&"--log-level") {
            command.args(["--log-level", "warn"]);
        }
        command.arg("--data").arg(data).args(["--admin-key", ADMIN_KEY]).args(options);
        command.envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ready = lines.by_ref().map_while(Result::ok).find(|line| line.contains("ready at"));
        let ready = ready.unwrap_or_else(|| panic!("the server ended before it was ready: {:?}", child.wait()));
        // What it says later is read, so that it never waits for us.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let base = ready.split([' ', ',']).find(|word| word.contains("://")).expect("the line names the address");
        Server { child, base: base.to_owned(), data: data.to_owned() }
    }

    /// A client with the admin key.
    pub fn admin(&self) -> Client {
        Client::new(&self.base, ADMIN_KEY)
    }

    /// Makes a workspace; a client with its key.
    pub fn workspace(&self, profile: &str) -> Client {
        let made = self.admin().post("/v1/workspaces", &json!({ "name": "acme", "profile": profile })).expect(201);
        self.admin().with_key(made.data()["apiKey"].as_str().expect("a new workspace shows its key"))
    }

    /// A client of this server with the key of another start's client.
    pub fn client(&self, key: &str) -> Client {
        self.admin().with_key(key)
    }

    /// Where it listens.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a warning.
    pub fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Asks it to end, and waits.
    pub fn terminate(mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process has an id");
        kill_process(pid, Signal::TERM).expect("it is ours");
        within(Duration::from_secs(90), "the server ends", || self.child.try_wait().expect("it is ours"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Cargo, as it runs outside of a test. What it tells a test in the environment makes build scripts that look there run anew, and everything
/// above them be built anew, each time that a build within a test follows one outside.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        cargo.env_remove(name);
    }
    cargo
}

/// The binary of this build, built if it is not there or not new.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        let built = cargo().args(["build", "--quiet", "-p", "postrider-cli", "--profile", profile]).status();
        assert!(built.is_ok_and(|status| status.success()), "the binary can be built");
        let test = std::env::current_exe().expect("a test runs from a file");
        let folder = test.parent().and_then(Path::parent).expect("tests lie in deps beside the binaries");
        folder.join("postrider")
    })
}
