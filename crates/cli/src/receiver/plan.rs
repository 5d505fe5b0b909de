//! What a receiver answers to its n-th request. It can be changed while it runs; there is no chance in it: the n-th
//! request gets the same answer under the same plan.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

/// How one request is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A status, with one header where the status needs it.
    Reply(StatusCode, Option<(HeaderName, HeaderValue)>),
    /// A bare status, after a wait beside the plan's latency.
    Late(Duration, StatusCode),
    /// Nothing, for as long as the client waits.
    Hang,
}

impl Answer {
    /// A bare status; what is not one in HTTP becomes 500.
    pub fn status(code: u16) -> Self {
        Self::Reply(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), None)
    }
}

/// The status, the shares that fail or hang, and the wait before an answer.
pub struct Plan {
    status: AtomicU16,
    /// `f64` as bits, 0 to 1.
    fail_share: AtomicU64,
    hang_share: AtomicU64,
    latency_ms: AtomicU64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { status: AtomicU16::new(200), fail_share: 0.into(), hang_share: 0.into(), latency_ms: 0.into() }
    }
}

impl Plan {
    pub fn set_status(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    pub fn set_fail_share(&self, share: f64) {
        self.fail_share.store(share.to_bits(), Relaxed);
    }

    pub fn set_hang_share(&self, share: f64) {
        self.hang_share.store(share.to_bits(), Relaxed);
    }

    pub fn set_latency(&self, latency: Duration) {
        self.latency_ms.store(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms.load(Relaxed))
    }

    /// The answer to request `number`.
    pub fn answer(&self, number: u64) -> Answer {
        let hang = f64::from_bits(self.hang_share.load(Relaxed));
        let fail = f64::from_bits(self.fail_share.load(Relaxed));
        let place = place(number);
        if place < hang {
            Answer::Hang
        } else if place < hang + fail {
            Answer::status(500)
        } else {
            Answer::status(self.status.load(Relaxed))
        }
    }
}

/// The n-th place of the golden ratio's sequence in [0, 1): any stretch of numbers covers the interval evenly, so a
/// share is met within a few requests however many there are.
fn place(number: u64) -> f64 {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(plan: &Plan, requests: u64) -> (usize, usize, usize) {
        let answers: Vec<Answer> = (1..=requests).map(|number| plan.answer(number)).collect();
        let of = |wanted: Answer| answers.iter().filter(|answer| **answer == wanted).count();
        (of(Answer::status(200)), of(Answer::status(500)), of(Answer::Hang))
    }

    #[test]
    fn shares_are_met_closely_and_do_not_overlap() {
        let plan = Plan::default();
        plan.set_fail_share(0.3);
        plan.set_hang_share(0.1);
        let (ok, failed, hung) = count(&plan, 1_000);
        assert_eq!(ok + failed + hung, 1_000);
        assert!(failed.abs_diff(300) <= 5 && hung.abs_diff(100) <= 5, "{failed} failed, {hung} hung");
    }

    #[test]
    fn none_is_none_and_all_is_all() {
        let plan = Plan::default();
        assert_eq!(count(&plan, 1_000), (1_000, 0, 0));
        plan.set_fail_share(1.0);
        assert_eq!(count(&plan, 1_000), (0, 1_000, 0));
        plan.set_hang_share(1.0);
        assert_eq!(count(&plan, 1_000), (0, 0, 1_000));
    }
}
