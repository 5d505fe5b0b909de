//! *gone*: webhooks that were deleted. What was pending for them is cancelled lazily: no reader sees it, and it goes when its bucket is
//! written anew.

use postrider_core::WebhookId;

use super::Entry;
use crate::coding::{Input, put_difference};

/// Webhook ±.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gone(pub WebhookId);

impl Entry for Gone {
    const TAG: u8 = b'g';
    type Key = WebhookId;

    fn zero() -> Gone {
        Gone(WebhookId(0))
    }

    fn key(&self) -> WebhookId {
        self.0
    }

    fn write(&self, previous: &Gone, out: &mut Vec<u8>) {
        put_difference(out, previous.0.0, self.0.0);
    }

    fn read(previous: &Gone, input: &mut Input<'_>) -> Option<Gone> {
        input.difference(previous.0.0).map(|id| Gone(WebhookId(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_this() {
        crate::entry::golden(&[Gone(WebhookId(3)), Gone(WebhookId(5))], &[6, 4]);
    }
}
