//! Every bound of the domain in one place. What can be configured names its option; the rest is fixed.

/// An event's `data` in bytes, by default.
pub const EVENT_BYTES_DEFAULT: usize = 256 * 1024;
/// The most that an event's `data` can be configured to.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// A request body on `/v1/events`, in bytes.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events in one request.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// Nesting of a JSON document.
pub const JSON_DEPTH_MAX: usize = 64;
/// Webhooks of one workspace, so that one event's deliveries fit into one turn.
pub const WEBHOOKS_MAX: usize = 16_384;
/// New deliveries in one turn.
pub const TURN_DELIVERIES_MAX: usize = 16_384;
/// Bytes of a turn's facts and payloads after which it takes no further command. One command may go past it, so a block can reach
/// this plus the largest event with the largest fan-out.
pub const TURN_BYTES_TARGET: usize = 768 * 1024;
/// A block of the log, in bytes, at the most.
pub const BLOCK_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Replays of one workspace that have not ended.
pub const REPLAYS_OPEN_MAX: usize = 16;
/// Replays of one workspace that have ended and are still known; the oldest are forgotten.
pub const REPLAYS_ENDED_MAX: usize = 100;
/// Events that one step of a replay looks at.
pub const REPLAY_STEP_EVENTS: usize = 1_024;
/// A replay goes on only while fewer deliveries of its webhook wait for a slot.
pub const REPLAY_WAITING_MAX: usize = 64;
/// Attempts in flight at once over all webhooks.
pub const PERMITS_DEFAULT: u32 = 1024;
/// Attempts in flight at once to one webhook.
pub const PERMITS_PER_WEBHOOK_DEFAULT: u32 = 32;
/// Attempts in flight at once to one host.
pub const PERMITS_PER_HOST_DEFAULT: u32 = 64;
/// A webhook's `name` in characters.
pub const NAME_CHARS_MAX: usize = 255;
/// A webhook's `description` in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// A webhook's `url` in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// A webhook's own `headers`.
pub const HEADERS_MAX: usize = 20;
/// A header's value in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 4_096;
/// A webhook's `campaignIds`.
pub const CAMPAIGN_IDS_MAX: usize = 1_000;
/// A webhook's `customFields`.
pub const CUSTOM_FIELDS_MAX: usize = 100;
/// A webhook's `events`.
pub const EVENT_TYPES_MAX: usize = 100;
/// A campaign id or a custom field's name in characters.
pub const LABEL_CHARS_MAX: usize = 255;
/// An event type's name in characters.
pub const EVENT_TYPE_CHARS_MAX: usize = 128;
/// Keys of one webhook that were replaced and still sign along.
pub const SIGNING_KEYS_RETIRED_MAX: usize = 4;
/// Keys of one workspace.
pub const KEYS_MAX: usize = 1_000;
/// Workspaces of one engine.
pub const WORKSPACES_MAX: usize = 10_000;
/// Of a response's body this much is kept, in bytes.
pub const RESPONSE_KEPT_BYTES: usize = 4 * 1024;
