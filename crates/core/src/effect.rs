//! What the shell must do once a fact is durable.

use std::sync::Arc;

use crate::delivery::Cell;
use crate::ids::{DeliveryKey, Position, WebhookId};
use crate::sealed::SealingKeyId;
use crate::time::Millis;
use crate::webhook::Webhook;

/// One instruction to the shell. Facts are durable when it is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Attempt it as soon as a slot is free.
    Deliver(Cell),
    /// The attempt is over: its slot, which it held for so long, is free.
    Free(DeliveryKey, Millis),
    /// Attempt it again at its due time.
    Sleep(Cell),
    /// Make it due now, wherever it waits.
    Hasten(Cell),
    /// Nothing more is attempted of it; an attempt in flight ends as it may.
    Forget(DeliveryKey),
    /// The payload beside the fact at this position is to become zeros.
    ErasePayload(Position),
    /// A webhook is new, or other than before: the next attempts use this one. Held while it is off.
    Webhook(Arc<Webhook>),
    /// A webhook is gone: nothing more is sent to it.
    ForgetWebhook(WebhookId),
    /// A workspace is gone: the key that its secrets were sealed with can be destroyed.
    DestroyKey(SealingKeyId),
}
