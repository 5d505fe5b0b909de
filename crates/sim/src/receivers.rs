//! Virtual receivers: hosts that answer, fail, hang, flap, or take a request and lose the answer.

use postrider_core::Millis;
use postrider_core::attempt::{ErrorKind, Exchange, Failure};
use postrider_core::machine::Entropy;

use crate::chance::Chance;
use crate::trouble::{Trouble, Troubles};

/// How a host treats requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 at once.
    Up,
    /// 200 after seconds.
    Slow,
    /// 500.
    Failing,
    /// Refuses connections.
    Down,
    /// Never answers.
    Hanging,
    /// Up and down by turns of some minutes.
    Flapping,
    /// Takes the request, then breaks the connection.
    LosingAnswers,
    /// 429 or 503 with `Retry-After`.
    Busy,
    /// 410.
    Gone,
}

const ALL: [Behaviour; 9] = [
    Behaviour::Up,
    Behaviour::Slow,
    Behaviour::Failing,
    Behaviour::Down,
    Behaviour::Hanging,
    Behaviour::Flapping,
    Behaviour::LosingAnswers,
    Behaviour::Busy,
    Behaviour::Gone,
];

/// All hosts by their numbers, with chance of their own: how long one stays as it is does not depend on who asks.
#[derive(Clone, Debug)]
pub struct Receivers {
    hosts: Vec<Host>,
    chance: Chance,
    phase_max: u64,
    is_quiet: bool,
}

/// One host, and until when it stays as it is.
#[derive(Clone, Copy, Debug)]
struct Host {
    behaviour: Behaviour,
    until: Millis,
}

/// How many hosts there are.
pub const HOSTS: u64 = 6;

const SECOND: u64 = 1000;
const DAY: u64 = 86_400 * SECOND;

impl Receivers {
    /// Hosts of all kinds, or such as always are up.
    pub fn new(troubles: Troubles, chance: &mut Chance) -> Receivers {
        let up = Host { behaviour: Behaviour::Up, until: Millis(0) };
        let phase_max = if troubles.has(Trouble::LongPhases) { 10 * DAY } else { DAY / 4 };
        let chance = Chance::new(chance.next_u64());
        Receivers { hosts: vec![up; HOSTS as usize], chance, phase_max, is_quiet: !troubles.has(Trouble::Receivers) }
    }

    /// All hosts behave alike from now on.
    pub fn settle(&mut self, behaviour: Behaviour) {
        self.hosts.iter_mut().for_each(|host| host.behaviour = behaviour);
        self.is_quiet = true;
    }

    /// How the host behaves at `at`, since the world began.
    fn behaviour(&mut self, host: usize, at: Millis) -> Behaviour {
        while !self.is_quiet && self.hosts[host].until <= at {
            let chance = &mut self.chance;
            let behaviour = if chance.one_in(2) { Behaviour::Up } else { ALL[chance.below(ALL.len() as u64) as usize] };
            // Seconds are as likely as minutes, hours and days.
            let doublings = (self.phase_max / SECOND).ilog2();
            let span = (SECOND << chance.below(u64::from(doublings) + 1)) + chance.below(SECOND);
            let until = Millis(self.hosts[host].until.0 + span.min(self.phase_max));
            self.hosts[host] = Host { behaviour, until };
        }
        self.hosts[host].behaviour
    }

    /// What a request to `url` comes to.
    pub fn answer(&mut self, url: &str, at: Millis, timeout: Millis, chance: &mut Chance) -> Exchange {
        let behaviour = match self.behaviour(host_number(url), at) {
            Behaviour::Flapping if (at.0 / 240_000).is_multiple_of(2) => Behaviour::Up,
            Behaviour::Flapping => Behaviour::Down,
            steady => steady,
        };
        let quick = chance.within(1, 80);
        let failed = |kind: ErrorKind, status, duration: u64| Exchange {
            duration: Millis(duration),
            status_code: status,
            failure: Some(Failure { kind, message: kind.as_str().into() }),
            retry_after: None,
        };
        let answered = |duration| Exchange {
            duration: Millis(duration),
            status_code: Some(200),
            failure: None,
            retry_after: None,
        };
        match behaviour {
            Behaviour::Up | Behaviour::Flapping => answered(quick),
            Behaviour::Slow => match chance.within(500, 9_000) {
                late if late >= timeout.0 => failed(ErrorKind::Timeout, None, timeout.0),
                late => answered(late),
            },
            Behaviour::Failing => failed(ErrorKind::HttpStatus, Some(500), quick),
            Behaviour::Down => failed(ErrorKind::Connect, None, quick),
            Behaviour::Hanging => failed(ErrorKind::Timeout, None, timeout.0),
            Behaviour::LosingAnswers => failed(ErrorKind::Reset, None, quick),
            Behaviour::Busy => Exchange {
                retry_after: Some(Millis(chance.within(0, 200_000))),
                ..failed(ErrorKind::HttpStatus, Some(503), quick)
            },
            Behaviour::Gone => failed(ErrorKind::HttpStatus, Some(410), quick),
        }
    }
}

/// A URL at a host.
pub fn url_of(host: u64) -> Box<str> {
    format!("https://h{host}.example.com/hook").into()
}

fn host_number(url: &str) -> usize {
    let digit = url.bytes().find(u8::is_ascii_digit).expect("each simulated URL names its host by a digit");
    usize::from(digit - b'0')
}
