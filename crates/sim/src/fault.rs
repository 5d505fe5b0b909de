//! Bugs on purpose, in the driver around the shard, in its clock and in its disk: proof that the checker bites. Product code knows
//! nothing of them.

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Says 202 for a turn whose append failed.
    AckBeforeAppend,
    /// Says 202 for what a full log has refused.
    AckWhenFull,
    /// Says that a full log has refused what is then taken.
    KeepWhenFull,
    /// Forgets who asked while the log was full.
    DropWhenFull,
    /// Loses an outcome now and then, so that its slot and its delivery hang.
    DropFinish,
    /// Gives the slot back before the outcome is durable.
    SlotBeforeDurable,
    /// Runs the schedule two seconds ahead of the clock.
    RetryEarly,
    /// Takes jitter off the delay.
    EarlyByJitter,
    /// Empties the wheel's slots one late when a level's border is passed.
    WheelBorder,
    /// After downtime makes up for the attempts that were missed, all at once.
    CatchUpBurst,
    /// Looks at the schedule only every minute.
    Oversleep,
    /// Sends a delivery again whose schedule is used up.
    OneAttemptTooMany,
    /// Sends a failed request again by itself, as an HTTP client may.
    HiddenResend,
    /// Does not ask whether the webhook has changed before it writes the request.
    IgnoreChange,
    /// Takes a webhook that is gone for one that has not changed.
    SendAfterDelete,
    /// Signs with the secret that the webhook had when it was first sent to.
    OldSecret,
    /// Renders bodies by the webhook's newest fields.
    RenderNewest,
    /// Takes more permits than it was given.
    MorePermits,
    /// Leaves out a fact when it replays the log.
    SkipInReplay,
    /// Forgets the ids of events without deliveries at a start.
    IdsForgotten,
    /// Starts without the deliveries that are asleep.
    ForgetToResume,
    /// Starts without the deliveries that were in flight at the end.
    SnapshotMissesInFlight,
    /// Forgets at a start what was carried to a newer part of the log.
    CarriedForgotten,
    /// Forgets at a start how far replays have come.
    ReplayForgotten,
    /// Decides by what was read for a command before the store moved on, as if it had been read since.
    StalePrefetch,
    /// Loses the last block that the store took in, and says that it is covered.
    CoversTooMuch,
    /// Moves sleepers to the backlogs before the horizon has met them.
    SweepsTooFar,
    /// Lets the store forget what the log still has.
    ForgetsTooEarly,
    /// Loses a delivery that comes back from the store.
    RecallLosesOne,
    /// Loses the first of an ordered webhook's deliveries that were read from the store.
    LineLosesFirst,
    /// Asks for one turn after another though there is nothing to do.
    NeverRests,
    /// Tries what is off since it fails every second.
    TriedTooOften,
    /// Lets the overlay go of what the store does not have yet.
    LetsGoAboveW,
    /// Restates one more as pending than there are.
    PendingMiscounted,
    /// Does not ask at a start for the zeros that a crash may have kept from the disk.
    EraseNotRepeated,
    /// Says that it has stopped while attempts are in flight.
    StopInFlight,
    /// Lets engine time follow the wall clock.
    FollowWall,
    /// Lets engine time stand still while the machine is suspended.
    StopInSuspend,
    /// Lets engine time begin at the wall clock, though records are later.
    StartBehindLog,
    /// Does not sync what it appends.
    NoSync,
    /// Does not sync the names of files.
    NamesUnsynced,
    /// Tries a failed sync again and believes it.
    SyncRetried,
    /// Takes a damaged block for the end of the log.
    DamageIsTheEnd,
    /// Does not look at a payload's checksum.
    ChecksumUnchecked,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 44] = [
        Fault::AckBeforeAppend,
        Fault::AckWhenFull,
        Fault::KeepWhenFull,
        Fault::DropWhenFull,
        Fault::DropFinish,
        Fault::SlotBeforeDurable,
        Fault::RetryEarly,
        Fault::EarlyByJitter,
        Fault::WheelBorder,
        Fault::CatchUpBurst,
        Fault::Oversleep,
        Fault::OneAttemptTooMany,
        Fault::HiddenResend,
        Fault::IgnoreChange,
        Fault::SendAfterDelete,
        Fault::OldSecret,
        Fault::RenderNewest,
        Fault::MorePermits,
        Fault::SkipInReplay,
        Fault::IdsForgotten,
        Fault::ForgetToResume,
        Fault::SnapshotMissesInFlight,
        Fault::CarriedForgotten,
        Fault::ReplayForgotten,
        Fault::StalePrefetch,
        Fault::CoversTooMuch,
        Fault::SweepsTooFar,
        Fault::ForgetsTooEarly,
        Fault::RecallLosesOne,
        Fault::LineLosesFirst,
        Fault::NeverRests,
        Fault::TriedTooOften,
        Fault::LetsGoAboveW,
        Fault::PendingMiscounted,
        Fault::EraseNotRepeated,
        Fault::StopInFlight,
        Fault::FollowWall,
        Fault::StopInSuspend,
        Fault::StartBehindLog,
        Fault::NoSync,
        Fault::NamesUnsynced,
        Fault::SyncRetried,
        Fault::DamageIsTheEnd,
        Fault::ChecksumUnchecked,
    ];

    /// Whether it is one of the engine's copies of the replay, which know of no store.
    pub fn is_in_replay(self) -> bool {
        matches!(
            self,
            Fault::SkipInReplay
                | Fault::IdsForgotten
                | Fault::CarriedForgotten
                | Fault::ReplayForgotten
                | Fault::PendingMiscounted
        )
    }
}
