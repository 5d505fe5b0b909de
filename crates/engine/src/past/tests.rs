//! Windows of any events, read step by step and against the slow way.

use postrider_core::EventId;
use postrider_core::event::Digest;
use postrider_core::replay::Only;
use proptest::prelude::*;

use super::*;

/// Events of two workspaces at any blocks, times in the order of positions.
fn events(gaps: &[(u64, u64, bool)]) -> BTreeMap<Position, Arc<Event>> {
    let (mut block, mut accepted) = (0, 1_000);
    let made = gaps.iter().map(|(blocks, span, other)| {
        block += blocks + 1;
        accepted += span;
        let at = Position::new(block, 3);
        let event = Event {
            at,
            accepted: Time(accepted),
            workspace: workspace(*other),
            id: EventId::generate(at, 1),
            event_type: "EMAIL_SENT".into(),
            created: "".into(),
            campaign: None,
            digest: Digest([0; 16]),
            payload_len: 2,
            profile: Position::default(),
            chosen: Arc::new([]),
        };
        (at, Arc::new(event))
    });
    made.collect()
}

fn workspace(other: bool) -> WorkspaceId {
    WorkspaceId(Position::new(0, u32::from(other)))
}

fn bare(event: &Arc<Event>) -> Candidate {
    Candidate { event: Arc::clone(event), delivery: None, added: 0, is_erased: false }
}

proptest! {
    /// Step by step all events of the window are read, in order, once, and none of another workspace.
    #[test]
    fn reading_on_in_steps_misses_nothing_and_repeats_nothing(
        gaps in prop::collection::vec((0u64..40, 0u64..50, any::<bool>()), 0..60),
        since in 0u64..3_000,
        until in prop::option::of(0u64..3_000),
        to in 0u64..1_500,
        max in 1usize..7,
    ) {
        let events = events(&gaps);
        let to = Position::new(to, 0);
        let wish = Wish { since: Time(since), until: until.map(Time), event_types: vec![], only: Only::All };
        let is_meant = |event: &&Arc<Event>| {
            let is_in_time = event.accepted >= wish.since && wish.until.is_none_or(|until| event.accepted < until);
            event.workspace == workspace(false) && event.at < to && is_in_time
        };
        let wanted: Vec<_> = events.values().filter(is_meant).map(|event| event.at).collect();
        let mut from = Position::default();
        let mut read = Vec::new();
        loop {
            let reach = Reach { workspace: workspace(false), webhook: WebhookId(1), wish: &wish, from, to };
            let ahead = read_in_order(&events, reach, max, bare);
            prop_assert!(ahead.candidates.len() <= max);
            read.extend(ahead.candidates.iter().map(|candidate| candidate.event.at));
            if ahead.read_to == to {
                break;
            }
            prop_assert!(ahead.read_to > from);
            from = ahead.read_to;
        }
        // Of those before the window's beginning some may be read, too: they are judged.
        read.retain(|at| events[at].accepted >= wish.since);
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn the_beginning_of_a_window_is_found_without_walking_there(
        gaps in prop::collection::vec((0u64..40, 0u64..50, Just(false)), 1..60),
        since in 0u64..4_000,
    ) {
        let events = events(&gaps);
        let first = first_since(&events, Time(since));
        prop_assert!(events.range(..first).all(|(_, event)| event.accepted < Time(since)));
        // At most the last event before it is walked over.
        prop_assert!(events.range(first..).filter(|(_, event)| event.accepted < Time(since)).count() <= 1);
    }
}
