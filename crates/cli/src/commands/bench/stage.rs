//! What is there while it is measured: a temporary folder, a sink, and a server, or the library in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use hyper::StatusCode;
use hyper::header::HeaderValue;
use postrider::{CampaignId, Engine, ExposeSecret, Field, Stopped, WebhookDraft, WorkspaceId};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::events::{EVENT_TYPE, Events, PROFILE, path};
use super::lanes::Publisher;
use super::{Args, Mode};
use crate::client::{Address, Client, Trust};
use crate::limits::CHILD_END_MAX;
use crate::process::{Process, Usage, own_usage};

/// Webhooks are made by so many clients at a time.
const MAKERS: u64 = 32;
/// Where the sink writes its authority, in the temporary folder.
const SINK_CA: &str = "sink-ca.pem";

/// Whatever has been started so far. To be struck, whatever becomes of the run.
pub struct Stage {
    folder: TempDir,
    sink: Option<Process>,
    server: Option<Process>,
    engine: Option<Engine>,
}

impl Stage {
    /// A folder and nothing else yet.
    ///
    /// # Errors
    /// No folder.
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("postrider-bench-");
        let folder = match &args.folder {
            Some(folder) => builder.tempdir_in(folder).with_context(|| folder.display().to_string()),
            None => builder.tempdir().context("no temporary folder"),
        };
        Ok(Self { folder: folder?, sink: None, server: None, engine: None })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a sink and says where it is.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_sink(&mut self, args: &Args) -> anyhow::Result<Sink> {
        let latency = crate::args::duration_text(args.latency);
        let threads = args.threads().to_string();
        let mut arguments = vec![
            "sink",
            "--listen",
            "127.0.0.1:0",
            "--quiet",
            "--measure",
            "--threads",
            &threads,
            "--latency",
            &latency,
        ];
        let authority = args.tls.then(|| self.folder.path().join(SINK_CA));
        if authority.is_some() {
            arguments.extend(["--tls", "--tls-ca", SINK_CA]);
        }
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let sink = Process::start("sink", &arguments, self.folder.path())?;
        let address = self.sink.insert(sink).address().await?;
        let url = format!("{}://{address}", if args.tls { "https" } else { "http" });
        Ok(Sink { url, authority })
    }

    /// Starts what is measured, with a workspace and all webhooks, and says how to publish to it.
    ///
    /// # Errors
    /// It does not start, or a webhook is refused.
    pub async fn start_subject(&mut self, args: &Args, events: &Events, sink: &Sink) -> anyhow::Result<Publisher> {
        match args.mode {
            Mode::Http => self.start_server(args, events, sink).await,
            Mode::Embedded => self.start_engine(args, events, sink).await,
        }
    }

    async fn start_server(&mut self, args: &Args, events: &Events, sink: &Sink) -> anyhow::Result<Publisher> {
        let admin_key = postrider::new_admin_key();
        let mut arguments: Vec<String> =
            ["serve", "--listen", "127.0.0.1:0", "--data", "data", "--log-level", "error", "--allow", "loopback"]
                .map(str::to_owned)
                .into();
        arguments.extend(["--rate-limit".into(), "0".into()]);
        if sink.authority.is_some() {
            arguments.extend(["--ca-file".into(), SINK_CA.into()]);
        }
        arguments.extend(["--admin-key".into(), admin_key.expose_secret().to_owned()]);
        arguments.extend(args.serve.iter().cloned());
        let server = Process::start("server", &arguments, self.folder.path())?;
        let address = self.server.insert(server).address().await?;
        let key = workspace(address, admin_key.expose_secret()).await?;
        let mut makers = JoinSet::new();
        for maker in 0..MAKERS.min(args.webhooks) {
            let wishes: Vec<(u64, u64)> = (maker..args.webhooks)
                .step_by(MAKERS as usize)
                .map(|webhook| (webhook, events.campaign_of(webhook)))
                .collect();
            let (mut client, sink) = (Client::new(address, &key)?, sink.url.clone());
            makers.spawn(async move {
                for (webhook, campaign) in wishes {
                    let wish = json!({
                        "name": format!("webhook {webhook}"),
                        "url": format!("{sink}{}", path(webhook)),
                        "events": [EVENT_TYPE],
                        "campaignIds": [campaign],
                    });
                    client.post::<serde_json::Value>("/v1/webhooks", wish.to_string(), StatusCode::CREATED).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(made) = makers.join_next().await {
            made??;
        }
        let mut key = HeaderValue::from_str(&key)?;
        key.set_sensitive(true);
        Ok(Publisher::Http { address: address.into(), key, format: args.format })
    }

    async fn start_engine(&mut self, args: &Args, events: &Events, sink: &Sink) -> anyhow::Result<Publisher> {
        let mut engine = Engine::builder().data(self.folder.path().join("data")).allow("loopback");
        if let Some(authority) = &sink.authority {
            engine = engine.trust(std::fs::read_to_string(authority)?);
        }
        let handle = self.engine.insert(engine.open()?).handle();
        let (workspace, _) = handle.create_workspace("bench", PROFILE).await?;
        let workspace: WorkspaceId = workspace.id;
        let mut made = JoinSet::new();
        for webhook in 0..args.webhooks {
            let draft = WebhookDraft {
                name: Field::Set(format!("webhook {webhook}")),
                url: Field::Set(format!("{}{}", sink.url, path(webhook))),
                events: Field::Set(vec![EVENT_TYPE.into()]),
                campaign_ids: Field::Set(vec![campaign(events.campaign_of(webhook))]),
                ..WebhookDraft::default()
            };
            let handle = handle.clone();
            if made.len() as u64 >= MAKERS {
                made.join_next().await.transpose()?.transpose()?;
            }
            made.spawn(async move { handle.create_webhook(workspace, draft).await });
        }
        while let Some(made) = made.join_next().await {
            made??;
        }
        Ok(Publisher::Embedded { handle, workspace })
    }

    /// What server and sink have used so far. The library's share is in this process, with the load's.
    ///
    /// # Errors
    /// One of them is gone.
    pub fn usage(&self) -> anyhow::Result<Used> {
        let of = |process: &Option<Process>| process.as_ref().map(Process::usage).transpose();
        let (own, server) = (own_usage()?, of(&self.server)?);
        Ok(Used { subject: server.unwrap_or(own), sink: of(&self.sink)?.unwrap_or_default(), load: own })
    }

    /// Ends server and sink and removes the folder. Only a run that has `ended_well` lets the server end by itself.
    ///
    /// # Errors
    /// The server does not end well.
    pub async fn strike(self, ended_well: bool) -> anyhow::Result<()> {
        let ended = match self.server {
            Some(server) if ended_well => server.end(CHILD_END_MAX).await,
            Some(server) => {
                server.kill().await;
                Ok(ExitStatus::default())
            }
            None => Ok(ExitStatus::default()),
        };
        let stopped = match self.engine {
            Some(engine) => engine.shutdown(Duration::from_secs(5)).await,
            None => Stopped::Clean,
        };
        if let Some(sink) = self.sink {
            sink.kill().await;
        }
        self.folder.close().context("the temporary folder cannot be removed")?;
        let status = ended?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        match stopped {
            Stopped::Clean => Ok(()),
            Stopped::Poisoned(reason) => Err(anyhow!(reason)),
        }
    }
}

/// Where deliveries go.
pub struct Sink {
    /// Without a path.
    url: String,
    /// A file with the authority that has signed its certificate, with https.
    authority: Option<PathBuf>,
}

impl Sink {
    /// For a client of this process.
    ///
    /// # Errors
    /// Its authority cannot be read.
    pub fn address(&self) -> anyhow::Result<Address> {
        let trust = Trust::of(self.authority.iter().cloned().collect());
        Address::parse(&self.url, &trust).map_err(anyhow::Error::msg)
    }
}

/// By each of the three.
#[derive(Clone, Copy)]
pub struct Used {
    pub subject: Usage,
    pub sink: Usage,
    pub load: Usage,
}

impl Used {
    pub fn since(self, before: Used) -> Used {
        Used {
            subject: self.subject.since(before.subject),
            sink: self.sink.since(before.sink),
            load: self.load.since(before.load),
        }
    }
}

fn campaign(number: u64) -> CampaignId {
    CampaignId { text: number.to_string().into(), is_number: true }
}

/// Makes a workspace and gives its key.
async fn workspace(server: SocketAddr, admin_key: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Workspace {
        api_key: String,
    }
    let wish = json!({"name": "bench", "profile": PROFILE}).to_string();
    let made: Workspace = Client::new(server, admin_key)?.post("/v1/workspaces", wish, StatusCode::CREATED).await?;
    Ok(made.api_key)
}
