//! *gone*: webhooks that were deleted. What was pending for them is cancelled lazily: no reader sees it, and it goes when its bucket is
//! written anew.

use postrider_core::WebhookId;

use super::Entry;
use crate::coding::{Input, put_difference};

/// Webhook ±, block ±.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gone {
    pub webhook: WebhookId,
    /// Where the fact lies that says so, or further on: once the log begins behind it, no fact names the webhook any more.
    pub block: u64,
}

impl Entry for Gone {
    const TAG: u8 = b'g';
    type Key = WebhookId;

    fn zero() -> Gone {
        Gone { webhook: WebhookId(0), block: 0 }
    }

    fn key(&self) -> WebhookId {
        self.webhook
    }

    fn write(&self, previous: &Gone, out: &mut Vec<u8>) {
        put_difference(out, previous.webhook.0, self.webhook.0);
        put_difference(out, previous.block, self.block);
    }

    fn read(previous: &Gone, input: &mut Input<'_>) -> Option<Gone> {
        let webhook = WebhookId(input.difference(previous.webhook.0)?);
        Some(Gone { webhook, block: input.difference(previous.block)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_this() {
        let gone = |webhook, block| Gone { webhook: WebhookId(webhook), block };
        crate::entry::golden(&[gone(3, 7), gone(5, 7)], &[6, 14, 4, 0]);
    }
}
