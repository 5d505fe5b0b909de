//! Bugs on purpose, in the driver around the shard: proof that the checker bites. Product code knows nothing of them.

/// What the driver does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Says 202 for a turn whose append failed.
    AckBeforeAppend,
    /// Loses an outcome now and then, so that its slot and its delivery hang.
    DropFinish,
    /// Runs the schedule two seconds ahead of the clock.
    RetryEarly,
    /// Sends a delivery again whose schedule is used up.
    OneAttemptTooMany,
    /// Sends a failed request again by itself, as an HTTP client may.
    HiddenResend,
    /// Does not ask whether the webhook has changed before it writes the request.
    IgnoreChange,
    /// Renders bodies by the webhook's newest fields.
    RenderNewest,
    /// Takes more permits than it was given.
    MorePermits,
    /// Leaves out a fact when it replays the log.
    SkipInReplay,
    /// Starts without the deliveries that are asleep.
    ForgetToResume,
    /// Looks at the schedule only every minute.
    Oversleep,
    /// Says that it has stopped while attempts are in flight.
    StopInFlight,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 12] = [
        Fault::AckBeforeAppend,
        Fault::DropFinish,
        Fault::RetryEarly,
        Fault::OneAttemptTooMany,
        Fault::HiddenResend,
        Fault::IgnoreChange,
        Fault::RenderNewest,
        Fault::MorePermits,
        Fault::SkipInReplay,
        Fault::ForgetToResume,
        Fault::Oversleep,
        Fault::StopInFlight,
    ];
}
