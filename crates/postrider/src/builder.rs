//! How an engine is to run: every choice with a default.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use postrider_core::Millis;
use postrider_engine::{ClockMode, EngineOptions, FailingRules, MasterKey, Retention, StartError};
use postrider_log::LogKind;

use crate::{Engine, folder};

/// Collects choices, then opens the engine.
#[derive(Clone, Debug, Default)]
pub struct EngineBuilder {
    options: EngineOptions,
}

impl EngineBuilder {
    /// The folder for log and keys. Without one everything is in memory, for as long as the process lives.
    pub fn data(mut self, folder: impl AsRef<Path>) -> EngineBuilder {
        self.options.data = Some(folder.as_ref().to_owned());
        self
    }

    /// What the keys of the data folder are wrapped by: the same at each start, and in no file. Without it the folder has a master key of its
    /// own; [`keys::rotate_master`](crate::keys::rotate_master) goes from one to the other.
    pub fn master_key(mut self, key: MasterKey) -> EngineBuilder {
        self.options.master_key = Some(key);
        self
    }

    /// Opens an address range that is refused by default: a CIDR, `loopback` or `private`. With a port behind it (`10.0.0.0/8:8443`,
    /// `[fd00::/8]:8443`, `loopback:8443`) at that port alone.
    pub fn allow(mut self, range: impl Into<String>) -> EngineBuilder {
        self.options.egress_allow.push(range.into());
        self
    }

    /// Says where this process listens: nothing is delivered there, whatever is open. What `http::serve` listens at is known by itself, but
    /// only from then on; an engine begins with what is due when it is opened.
    pub fn listens_at(mut self, listener: SocketAddr) -> EngineBuilder {
        self.options.listeners.push(listener);
        self
    }

    /// Refuses plain http.
    pub fn https_only(mut self, https_only: bool) -> EngineBuilder {
        self.options.https_only = https_only;
        self
    }

    /// Whether https receivers are asked to choose between HTTP/2 and HTTP/1.1 (the default), or get HTTP/1.1.
    pub fn http2(mut self, http2: bool) -> EngineBuilder {
        self.options.http2 = http2;
        self
    }

    /// Trusts a certificate authority, given as PEM, beside the public ones.
    pub fn trust(mut self, pem: impl Into<String>) -> EngineBuilder {
        self.options.extra_roots.push(pem.into());
        self
    }

    /// Attempts in flight at the most: in all (default 1,024), to one webhook (32), to one host (64).
    pub fn permits(mut self, global: u32, per_webhook: u32, per_host: u32) -> EngineBuilder {
        let limits = &mut self.options.permits;
        (limits.global, limits.per_webhook, limits.per_host) = (global, per_webhook, per_host);
        self
    }

    /// The most bytes of an event's `data`; default 256 KiB, at most 1 MiB.
    pub fn event_bytes_max(mut self, bytes: usize) -> EngineBuilder {
        self.options.event_bytes_max = bytes.min(postrider_core::limits::EVENT_BYTES_MAX);
        self
    }

    /// Threads that send; default one for two cores.
    pub fn workers(mut self, workers: usize) -> EngineBuilder {
        self.options.workers = workers;
        self
    }

    /// What a new log is kept as; default a journal. A log that is there stays what it is: another kind is refused at [`open`](Self::open).
    pub fn log(mut self, kind: LogKind) -> EngineBuilder {
        self.options.log = Some(kind);
        self
    }

    /// Bytes of one file of the log; default 64 MiB. Of a sled log, bytes of events and facts after which it can be made to begin later.
    pub fn segment_bytes(mut self, bytes: u32) -> EngineBuilder {
        self.options.segment_bytes = bytes;
        self
    }

    /// How long what is finished is kept (default 30 days), and how many bytes the log may have (default: no bound); what is unfinished
    /// stays. The log gives back whole files, so a little more is kept.
    pub fn retention(mut self, age: Duration, bytes: Option<u64>) -> EngineBuilder {
        self.options.retention = Retention { age: millis(age), bytes: bytes.unwrap_or(u64::MAX) };
        self
    }

    /// What becomes of webhooks of which all attempts fail: workspaces with the profile `operator` are told after `warn_after`, it is
    /// switched off after `off_after` (default: neither, ever), and tried every `probe_every` (default an hour) with one delivery that
    /// waits, which switches it on again when it arrives.
    pub fn failing(
        mut self,
        warn_after: Option<Duration>,
        off_after: Option<Duration>,
        probe_every: Duration,
    ) -> EngineBuilder {
        let (warn_after, off_after) = (warn_after.map(millis), off_after.map(millis));
        self.options.failing = FailingRules { warn_after, off_after, probe_every: millis(probe_every) };
        self
    }

    /// What engine time goes on with; default the boot clock.
    pub fn clock(mut self, mode: ClockMode) -> EngineBuilder {
        self.options.clock = mode;
        self
    }

    /// Opens the log, replays it, and begins to deliver what is due.
    ///
    /// # Errors
    /// When the folder is another process's, is damaged, holds something else, or can't be written; or a choice can't be meant.
    pub fn open(self) -> Result<Engine, StartError> {
        if let Some(data) = &self.options.data {
            folder::check(data)?;
        }
        postrider_engine::Engine::start(self.options).map(Engine)
    }
}

fn millis(duration: Duration) -> Millis {
    Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
