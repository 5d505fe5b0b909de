//! What a shard would have read from the store, how it is read, and what it is told then.

use postrider_core::command::Command;
use postrider_core::replay::Wish;
use postrider_core::{DeliveryKey, EventId, Position, ReplayId, Time, WebhookId, WorkspaceId};
use postrider_store::{Asleep, Lane};

use crate::overlay::Recalled;
use crate::past::Reach;

/// What is to be read from the store.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// What is due next.
    Due {
        /// Behind this one.
        after: Option<Asleep>,
        /// And due before this time.
        until: Time,
        /// So many at the most.
        max: usize,
        /// Webhooks with full queues: of theirs only the places are wanted.
        full: Vec<WebhookId>,
    },
    /// One lane of a webhook's backlog.
    Backlog {
        /// Whose.
        webhook: WebhookId,
        /// Which of its lanes.
        lane: Lane,
        /// Behind this one.
        after: Option<Asleep>,
        /// So many at the most.
        max: usize,
    },
    /// The unfinished deliveries of an ordered webhook, in the order of their events.
    Line {
        /// Whose.
        webhook: WebhookId,
        /// Behind this one.
        after: Option<DeliveryKey>,
        /// So many at the most.
        max: usize,
    },
    /// An event with all of its deliveries.
    Whole(Position),
    /// Events for the next step of a replay.
    Replay {
        /// Which.
        replay: (WorkspaceId, ReplayId),
        /// With their deliveries to this webhook.
        webhook: WebhookId,
        /// What lies outside of its times need not be read.
        wish: Wish,
        /// From this position on.
        from: Position,
        /// And before this one.
        to: Position,
        /// So many at the most.
        max: usize,
    },
    /// Unfinished events, with all of their deliveries, that are kept in some part of the log.
    Unfinished {
        /// From here on.
        from: Position,
        /// In blocks below this one.
        below: u64,
        /// So many at the most.
        max: usize,
    },
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The store's position when the reading began.
    pub covered: u64,
    /// By what was wanted.
    pub found: Found,
}

/// See [`Wanted`].
#[derive(Clone, Debug)]
pub enum Found {
    /// What is due next, in order.
    Due {
        /// As it was wanted.
        until: Time,
        /// With what is needed to send them, but for those of full webhooks.
        deliveries: Vec<(Asleep, Option<Recalled>)>,
        /// There was no more of it, and the next one after it is due then.
        all: Option<Option<Time>>,
    },
    /// In order.
    Backlog {
        /// As it was wanted.
        webhook: WebhookId,
        /// As it was wanted.
        lane: Lane,
        /// With what is needed to send them.
        deliveries: Vec<(Asleep, Option<Recalled>)>,
        /// There was no more of it.
        is_all: bool,
        /// All that was due before this was in the backlog.
        swept: Time,
    },
    /// In the order of their events.
    Line {
        /// As it was wanted.
        webhook: WebhookId,
        /// As it was wanted.
        after: Option<DeliveryKey>,
        /// With what is needed to send them.
        deliveries: Vec<(DeliveryKey, Option<Recalled>)>,
        /// There was no more of it.
        is_all: bool,
    },
    /// The event, if there is such a one.
    Whole(Position, Option<Recalled>),
    /// For the next step of a replay.
    Replay {
        /// As it was wanted.
        replay: (WorkspaceId, ReplayId),
        /// As it was wanted.
        from: Position,
        /// In the order of the log.
        events: Vec<Recalled>,
        /// How far it was read.
        read_to: Position,
    },
    /// In the order of the log.
    Unfinished {
        /// With all of their deliveries.
        events: Vec<Recalled>,
        /// Where to go on; `None` at the end.
        next: Option<Position>,
    },
}

/// What was read for a command.
#[derive(Clone, Debug)]
pub struct Prefetch {
    /// The store's position when the reading began.
    pub covered: u64,
    /// The event that the command is about, with the deliveries that it is about, if there is such a one.
    pub found: Option<Recalled>,
}

/// What can be read below the store's position. Each answer is as of the position that [`Below::covered`] gave before, or of a later one.
pub trait Below {
    /// Why it can't be read.
    type Error;

    /// The first block that is not covered.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn covered(&self) -> Result<u64, Self::Error>;

    /// As [`postrider_store::Reader::due`].
    ///
    /// # Errors
    /// When it can't be read; so for all of these.
    fn due(&self, after: Option<Asleep>, until: Time, max: usize) -> Result<Vec<Asleep>, Self::Error>;

    /// As [`postrider_store::Reader::backlog`], and with up to when everything due is in it.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn backlog(
        &self,
        webhook: WebhookId,
        lane: Lane,
        after: Option<Asleep>,
        max: usize,
    ) -> Result<(Vec<Asleep>, Time), Self::Error>;

    /// The first `max` unfinished deliveries of a webhook behind one of them, in the order of their events; all of one moment.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn in_order(
        &self,
        webhook: WebhookId,
        after: Option<DeliveryKey>,
        max: usize,
    ) -> Result<Vec<DeliveryKey>, Self::Error>;

    /// An event with one of its deliveries.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn delivery(&self, key: DeliveryKey) -> Result<Option<Recalled>, Self::Error>;

    /// An event with all of its deliveries.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn whole(&self, event: Position) -> Result<Option<Recalled>, Self::Error>;

    /// The event of this id, with all of its deliveries.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn named(&self, workspace: WorkspaceId, id: &EventId) -> Result<Option<Recalled>, Self::Error>;

    /// Events of a workspace from a position on and before another, in the order of the log, each with its delivery to a webhook if it has one;
    /// no more than `max` are looked at. And how far that went. What was accepted outside of these times may be left out.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn events(&self, reach: Reach<'_>, max: usize) -> Result<(Vec<Recalled>, Position), Self::Error>;

    /// Events, of which a delivery is pending, that are kept in blocks below `below`, from `from` on; and where to go on if there may be more.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn unfinished(
        &self,
        from: Position,
        below: u64,
        max: usize,
    ) -> Result<(Vec<Recalled>, Option<Position>), Self::Error>;
}

/// Reads what is wanted.
///
/// # Errors
/// When it can't be read.
pub fn load<B: Below + ?Sized>(below: &B, wanted: &Wanted) -> Result<Loaded, B::Error> {
    let covered = below.covered()?;
    let with_event = |asleep: Asleep| Ok((asleep, below.delivery(asleep.key)?));
    let found = match wanted {
        Wanted::Due { after, until, max, full } => {
            let due = below.due(*after, *until, *max)?;
            let last = due.last().copied().or(*after);
            let all = match due.len() < *max {
                true => Some(below.due(last, Time(u64::MAX), 1)?.first().map(|asleep| asleep.due)),
                false => None,
            };
            let of_full = |asleep: &Asleep| full.binary_search(&asleep.webhook).is_ok();
            let deliveries = due.into_iter();
            let deliveries =
                deliveries.map(|asleep| if of_full(&asleep) { Ok((asleep, None)) } else { with_event(asleep) });
            Found::Due { until: *until, deliveries: deliveries.collect::<Result<_, _>>()?, all }
        }
        Wanted::Backlog { webhook, lane, after, max } => {
            let (backlog, swept) = below.backlog(*webhook, *lane, *after, *max)?;
            let is_all = backlog.len() < *max;
            let deliveries = backlog.into_iter().map(with_event).collect::<Result<_, _>>()?;
            Found::Backlog { webhook: *webhook, lane: *lane, deliveries, is_all, swept }
        }
        Wanted::Line { webhook, after, max } => {
            let keys = below.in_order(*webhook, *after, *max)?;
            let is_all = keys.len() < *max;
            let deliveries = keys.into_iter().map(|key| Ok((key, below.delivery(key)?)));
            let deliveries = deliveries.collect::<Result<_, _>>()?;
            Found::Line { webhook: *webhook, after: *after, deliveries, is_all }
        }
        Wanted::Whole(event) => Found::Whole(*event, below.whole(*event)?),
        Wanted::Replay { replay, webhook, wish, from, to, max } => {
            let reach = Reach { workspace: replay.0, webhook: *webhook, wish, from: *from, to: *to };
            let (events, read_to) = below.events(reach, *max)?;
            Found::Replay { replay: *replay, from: *from, events, read_to }
        }
        Wanted::Unfinished { from, below: end, max } => {
            let (events, next) = below.unfinished(*from, *end, *max)?;
            Found::Unfinished { events, next }
        }
    };
    Ok(Loaded { covered, found })
}

/// Reads what a command is about; `covered` is the store's position, asked for before.
///
/// # Errors
/// When it can't be read.
pub fn prefetch<B: Below + ?Sized>(below: &B, covered: u64, command: &Command) -> Result<Prefetch, B::Error> {
    let found = match command {
        Command::Publish { workspace, event } => match &event.id {
            Some(id) => below.named(*workspace, id)?,
            None => None,
        },
        Command::EraseEvent { workspace, id } => below.named(*workspace, id)?,
        Command::Retry { key, .. } => below.delivery(*key)?,
        _ => None,
    };
    Ok(Prefetch { covered, found })
}
