//! Virtual receivers: hosts that answer, fail, hang, flap, or take a request and lose the answer.

use postrider_core::attempt::{ErrorKind, Exchange, Failure};
use postrider_core::{Millis, Time};

use crate::chance::Chance;

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

/// All hosts by their numbers.
#[derive(Clone, Debug)]
pub struct Receivers(Vec<Behaviour>);

/// How many hosts there are.
pub const HOSTS: u64 = 6;

impl Receivers {
    /// Hosts of all kinds.
    pub fn new(chance: &mut Chance) -> Receivers {
        let mut receivers = Receivers(vec![Behaviour::Up; HOSTS as usize]);
        (0..HOSTS / 2).for_each(|_| receivers.change_one(chance));
        receivers
    }

    /// One host behaves differently from now on; half of the time it comes up.
    pub fn change_one(&mut self, chance: &mut Chance) {
        let behaviour = if chance.one_in(2) { Behaviour::Up } else { ALL[chance.below(ALL.len() as u64) as usize] };
        let host = chance.below(HOSTS) as usize;
        self.0[host] = behaviour;
    }

    /// All hosts behave alike from now on.
    pub fn set_all(&mut self, behaviour: Behaviour) {
        self.0.fill(behaviour);
    }

    /// What a request to `url` comes to.
    pub fn answer(&self, url: &str, now: Time, timeout: Millis, chance: &mut Chance) -> Exchange {
        let behaviour = match self.0[host_number(url)] {
            Behaviour::Flapping if (now.0 / 240_000).is_multiple_of(2) => Behaviour::Up,
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
