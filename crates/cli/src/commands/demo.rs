//! `postrider demo`: the whole job on one machine: server, receiver, two workspaces, events of every type, failures and retries, live.
//!
//! Everything in it is real and is spoken to as from outside: the engine writes its journal, the API answers over HTTP, the receiver
//! counts for itself. The table shows what the API says; at the end of the first round both sides are held against what had to happen.

mod board;
mod customer;
mod evidence;
mod scenario;
mod screen;
mod stage;
mod verdict;
mod view;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::builder::BoolishValueParser;
use hyper::{Method, StatusCode};
use postrider::ExposeSecret;

use board::Board;
use customer::Customer;
use screen::Screen;
use stage::Stage;
use verdict::Verdict;
use view::{Head, Progress};

use super::signals;
use crate::client::Client;

/// Between two looks at the API.
const TICK: Duration = Duration::from_millis(120);
/// The first round has to be over by then.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// When every delivery has ended: for so long nothing more may come.
const SETTLE: Duration = Duration::from_millis(500);
/// Between two events after the first round.
const PAUSE: Duration = Duration::from_secs(4);
/// Looks in a row that may fail after the first round, when people may be changing things.
const FAILED_LOOKS_MAX: u32 = 20;

/// See the whole job on this machine: a server, a receiver, events of every type, failures and retries.
///
/// Ports are free ones and the data goes to a temporary folder that is removed at the end. The retries' delays are cut short.
#[derive(clap::Args)]
pub struct Args {
    /// End after one round: exit 0 if every delivery ended as it has to, else 1
    #[arg(long, env = "POSTRIDER_DEMO_ONCE", value_parser = BoolishValueParser::new())]
    once: bool,
}

/// # Errors
/// The server or the receiver cannot be had, or the API answers otherwise than documented.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(demo(args.once))
}

async fn demo(once: bool) -> anyhow::Result<ExitCode> {
    let interrupted = signals()?;
    let mut screen = Screen::new();
    let stage = Stage::set().await?;
    let played = tokio::select! {
        played = Round::play(&stage, &mut screen, once) => played.map(Some),
        () = interrupted => Ok(None),
    };
    screen.finish();
    let struck = stage.strike().await;
    let verdict = played?;
    struck?;
    match verdict {
        Some(verdict) => {
            screen.say(&verdict.lines());
            Ok(if verdict.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        None if once => Err(anyhow!("interrupted before the round was over")),
        None => {
            screen.stopped();
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The customers and what is known of them.
struct Round<'a> {
    stage: &'a Stage,
    screen: &'a mut Screen,
    head: Head,
    customers: Vec<Customer>,
    board: Board,
    began: Instant,
    /// After the first round.
    first_round: Option<String>,
}

impl<'a> Round<'a> {
    /// The first round, and with `once` its verdict; without, it goes on and on.
    async fn play(stage: &'a Stage, screen: &'a mut Screen, once: bool) -> anyhow::Result<Verdict> {
        let mut round = Self::open(stage, screen).await?;
        let verdict = round.first().await?;
        if once {
            return Ok(verdict);
        }
        round.first_round = Some(format!("{} Now one event every {} s.", verdict.headline(), PAUSE.as_secs()));
        round.screen.say(&verdict.lines());
        round.screen.first_round_over(&round.board);
        round.go_on().await
    }

    async fn open(stage: &'a Stage, screen: &'a mut Screen) -> anyhow::Result<Self> {
        let (server, receiver) = (stage.server.address, stage.receiver.addr());
        let mut admin = Client::new(server, stage.server.admin_key.expose_secret())?;
        let mut customers = Vec::new();
        for scene in &scenario::SCENES {
            customers.push(Customer::arrive(scene, &mut admin, server, receiver).await?);
        }
        let head = Head {
            server: server.to_string(),
            has_dashboard: admin.status_of(Method::GET, "/").await? == StatusCode::OK,
            receiver: receiver.to_string(),
            admin_key: stage.server.admin_key.expose_secret().to_owned(),
            keys: customers.iter().map(|customer| (customer.scene.name, customer.key.clone())).collect(),
        };
        screen.begin(&head);
        Ok(Self { stage, screen, head, customers, board: Board::default(), began: Instant::now(), first_round: None })
    }

    /// Publishes one event of every type, waits for the end of every delivery, and judges.
    async fn first(&mut self) -> anyhow::Result<Verdict> {
        let types: Vec<usize> = self.customers.iter().map(|customer| customer.types.len()).collect();
        for nth in 0..types.iter().copied().max().unwrap_or(0) {
            for (customer, types) in self.customers.iter_mut().zip(&types) {
                if nth < *types {
                    let event = customer.publish_next().await?;
                    customer.published.push(event);
                }
            }
            self.look(TICK).await?;
        }
        for customer in &mut self.customers {
            customer.publish_again().await?;
        }
        let on_time = self.wait_for_the_end().await?;
        let evidence = evidence::gather(&mut self.customers, &self.stage.receiver).await?;
        let mut verdict = verdict::judge(&evidence);
        verdict.took = self.began.elapsed();
        if !on_time {
            let late = format!("not every delivery has ended within {} s", ROUND_MAX.as_secs());
            verdict.failures.insert(0, late);
        }
        Ok(verdict)
    }

    /// Whether every delivery has ended in time, and nothing came after.
    async fn wait_for_the_end(&mut self) -> anyhow::Result<bool> {
        let mut quiet_since: Option<Instant> = None;
        while self.began.elapsed() < ROUND_MAX {
            let fresh = self.look(TICK).await?;
            let (there, ended) = self.board.deliveries();
            let over = there == self.deliveries() && there == ended && fresh == 0;
            match quiet_since.filter(|_| over) {
                Some(since) if since.elapsed() >= SETTLE => return Ok(true),
                Some(_) => {}
                None => quiet_since = over.then(Instant::now),
            }
        }
        Ok(false)
    }

    /// An event now and then, until this is dropped.
    async fn go_on(&mut self) -> anyhow::Result<Verdict> {
        let mut published = Instant::now();
        let mut failed = 0;
        for nth in 0_usize.. {
            while published.elapsed() < PAUSE {
                failed = match self.look(TICK).await {
                    Err(error) if failed >= FAILED_LOOKS_MAX => return Err(error),
                    Err(_) => {
                        tokio::time::sleep(TICK).await;
                        failed + 1
                    }
                    Ok(_) => 0,
                };
            }
            published = Instant::now();
            let whose = nth % self.customers.len();
            self.customers[whose].publish_next().await?;
        }
        Err(anyhow!("out of numbers"))
    }

    /// Reads the API, draws, waits; how many attempts are new.
    async fn look(&mut self, wait: Duration) -> anyhow::Result<usize> {
        let fresh = self.board.refresh(&mut self.customers).await?;
        let progress = Progress {
            deliveries: self.deliveries(),
            requests: self.stage.receiver.stats().requests,
            elapsed: self.began.elapsed(),
            first_round: self.first_round.clone(),
        };
        self.screen.draw(&self.head, &self.board, &progress, &fresh);
        tokio::time::sleep(wait).await;
        Ok(fresh.len())
    }

    /// Deliveries that were made, by the answers to what was published.
    fn deliveries(&self) -> u64 {
        self.customers.iter().map(|customer| customer.deliveries).sum()
    }
}
