//! Counting of slots: what is in flight, against what may be.
//!
//! Promises, with asserts that stay on in release: no permit is given above a cap, and none returns that was not given. A broken
//! count must stop the engine before it floods a receiver.

/// The caps on attempts in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Over all webhooks.
    pub global: u32,
    /// To one webhook.
    pub per_webhook: u32,
    /// To one host (`host:port`), over all its webhooks.
    pub per_host: u32,
}

impl Default for Limits {
    fn default() -> Self {
        use postrider_core::limits::{PERMITS_DEFAULT, PERMITS_PER_HOST_DEFAULT, PERMITS_PER_WEBHOOK_DEFAULT};
        Limits { global: PERMITS_DEFAULT, per_webhook: PERMITS_PER_WEBHOOK_DEFAULT, per_host: PERMITS_PER_HOST_DEFAULT }
    }
}

/// One count under one cap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    held: u32,
    max: u32,
}

impl Slots {
    pub(crate) fn new(max: u32) -> Slots {
        Slots { held: 0, max }
    }

    pub(crate) fn held(&self) -> u32 {
        self.held
    }

    pub(crate) fn has_free(&self) -> bool {
        self.held < self.max
    }

    pub(crate) fn take(&mut self) {
        assert!(self.held < self.max, "a permit is taken only below its cap");
        self.held += 1;
    }

    pub(crate) fn give_back(&mut self) {
        assert!(self.held > 0, "a permit is given back only once");
        self.held -= 1;
    }

    pub(crate) fn set_max(&mut self, max: u32) {
        self.max = max;
    }
}

/// The counts over all webhooks.
pub(crate) struct Permits {
    global: Slots,
    retry: Slots,
    slow: Slots,
}

impl Permits {
    /// A class gets at least one permit, else a tiny engine would never retry.
    pub(crate) fn new(global: u32) -> Permits {
        assert!(global > 0, "without permits nothing is ever sent");
        let three_quarters = (u64::from(global) * 3 / 4) as u32;
        Permits {
            global: Slots::new(global),
            retry: Slots::new((global / 2).max(1)),
            slow: Slots::new(three_quarters.max(1)),
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.global.held()
    }

    pub(crate) fn retries(&self) -> u32 {
        self.retry.held()
    }

    pub(crate) fn slow(&self) -> u32 {
        self.slow.held()
    }

    pub(crate) fn any_free(&self) -> bool {
        self.global.has_free()
    }

    pub(crate) fn retry_free(&self) -> bool {
        self.retry.has_free()
    }

    pub(crate) fn slow_free(&self) -> bool {
        self.slow.has_free()
    }

    pub(crate) fn take(&mut self, retry: bool, slow: bool) {
        self.global.take();
        if retry {
            self.retry.take();
        }
        if slow {
            self.slow.take();
        }
    }

    pub(crate) fn give_back(&mut self, retry: bool, slow: bool) {
        self.global.give_back();
        if retry {
            self.retry.give_back();
        }
        if slow {
            self.slow.give_back();
        }
    }

    /// A webhook with `held` permits has become slow or quick, and what it holds changes class with it. This is the one way above a
    /// cap: its attempts are already on their way. Until enough have returned, no slow one is picked.
    pub(crate) fn reclass(&mut self, held: u32, slow: bool) {
        match slow {
            true => self.slow.held += held,
            false => {
                assert!(self.slow.held >= held, "a slow webhook's permits are counted as slow");
                self.slow.held -= held;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "below its cap")]
    fn a_permit_above_the_cap_stops_the_engine() {
        let mut slots = Slots::new(1);
        slots.take();
        slots.take();
    }

    #[test]
    #[should_panic(expected = "only once")]
    fn a_permit_given_back_twice_stops_the_engine() {
        let mut permits = Permits::new(4);
        permits.take(false, false);
        permits.give_back(false, false);
        permits.give_back(false, false);
    }

    #[test]
    fn retries_hold_half_and_slow_webhooks_three_quarters() {
        for (global, retries, slow) in [(1, 1, 1), (2, 1, 1), (8, 4, 6), (1024, 512, 768)] {
            let mut permits = Permits::new(global);
            (0..retries).for_each(|_| permits.take(true, false));
            assert!(!permits.retry_free(), "{global}");
            (0..retries).for_each(|_| permits.give_back(true, false));
            (0..slow).for_each(|_| permits.take(false, true));
            assert!(!permits.slow_free(), "{global}");
        }
    }

    #[test]
    fn a_webhook_that_turns_slow_takes_what_it_holds_with_it() {
        let mut permits = Permits::new(4);
        (0..4).for_each(|_| permits.take(false, false));
        permits.reclass(4, true);
        assert_eq!(permits.slow(), 4);
        permits.give_back(false, true);
        assert!(permits.any_free() && !permits.slow_free());
        permits.reclass(3, false);
        assert!(permits.slow_free());
    }
}
