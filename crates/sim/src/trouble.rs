//! What makes a world hard, one name each: a seed draws the ones that it has (a swarm), and a failing one can be run without some.

use crate::chance::Chance;

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Trouble {
    /// The log is the real journal on a disk that fails, and not the log in memory.
    Journal,
    /// The power fails between two steps of the engine.
    PowerCut,
    /// The power fails during a sync: unsynced writes are lost, reordered or torn.
    CutInSync,
    /// The process is killed; what the system has in its cache stays.
    Kill,
    /// A write fails halfway.
    FailWrite,
    /// A sync fails.
    FailSync,
    /// The disk is full for a while.
    FullDisk,
    /// A sync takes up to seconds.
    SlowSync,
    /// A bit flips while no process runs.
    BitFlip,
    /// The wall clock steps by 13 hours, also while a process runs.
    WallHours,
    /// The wall clock steps by a year.
    WallYears,
    /// The wall clock is in 1970, behind all records.
    In1970,
    /// The machine is suspended.
    Suspend,
    /// The machine is off for days.
    LongDowntime,
    /// Receivers fail in all ways.
    Receivers,
    /// Receivers stay as they are for up to ten days.
    LongPhases,
    /// Publishers send an event again.
    Repost,
    /// Publishers use an id again for another event.
    OtherBody,
    /// Publishers send many events at once.
    Burst,
    /// Operators make workspaces and webhooks.
    Create,
    /// Operators change webhooks.
    Patch,
    /// Operators switch webhooks on and off.
    Switch,
    /// Operators delete webhooks.
    Delete,
    /// Operators delete workspaces.
    DeleteWorkspace,
    /// Operators send deliveries again.
    Retry,
    /// Operators erase events.
    Erase,
    /// Operators stop the process and start it again.
    Stop,
    /// Hours and days pass between two actions.
    LongWait,
    /// Little of the log is kept.
    Retention,
    /// Operators have past events sent again.
    Replay,
    /// The engine relies on a store, and has little in RAM.
    Store,
}

impl Trouble {
    /// All of them with their names on the command line.
    pub const ALL: [(Trouble, &'static str); 31] = [
        (Trouble::Journal, "journal"),
        (Trouble::PowerCut, "power-cut"),
        (Trouble::CutInSync, "cut-in-sync"),
        (Trouble::Kill, "kill"),
        (Trouble::FailWrite, "fail-write"),
        (Trouble::FailSync, "fail-sync"),
        (Trouble::FullDisk, "full-disk"),
        (Trouble::SlowSync, "slow-sync"),
        (Trouble::BitFlip, "bit-flip"),
        (Trouble::WallHours, "wall-hours"),
        (Trouble::WallYears, "wall-years"),
        (Trouble::In1970, "in-1970"),
        (Trouble::Suspend, "suspend"),
        (Trouble::LongDowntime, "long-downtime"),
        (Trouble::Receivers, "receivers"),
        (Trouble::LongPhases, "long-phases"),
        (Trouble::Repost, "repost"),
        (Trouble::OtherBody, "other-body"),
        (Trouble::Burst, "burst"),
        (Trouble::Create, "create"),
        (Trouble::Patch, "patch"),
        (Trouble::Switch, "switch"),
        (Trouble::Delete, "delete"),
        (Trouble::DeleteWorkspace, "delete-workspace"),
        (Trouble::Retry, "retry"),
        (Trouble::Erase, "erase"),
        (Trouble::Stop, "stop"),
        (Trouble::LongWait, "long-wait"),
        (Trouble::Retention, "retention"),
        (Trouble::Replay, "replay"),
        (Trouble::Store, "store"),
    ];

    fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// A set of troubles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Troubles(u32);

impl Troubles {
    /// Those of a seed.
    pub fn of(seed: u64) -> Troubles {
        Troubles::draw(&mut Chance::new(!seed))
    }

    /// Each with two chances in three.
    fn draw(chance: &mut Chance) -> Troubles {
        let mut drawn = Troubles::default();
        for (trouble, _) in Trouble::ALL {
            if !chance.one_in(3) {
                drawn = drawn.with(trouble);
            }
        }
        drawn
    }

    /// Those of a comma-separated list; `None` when a name is not known.
    pub fn parse(list: &str) -> Option<Troubles> {
        let mut named = Troubles::default();
        for name in list.split(',').filter(|name| !name.is_empty()) {
            let (trouble, _) = Trouble::ALL.into_iter().find(|(_, known)| *known == name)?;
            named = named.with(trouble);
        }
        Some(named)
    }

    /// These and one more.
    pub fn with(self, trouble: Trouble) -> Troubles {
        Troubles(self.0 | trouble.bit())
    }

    /// These, less those of `others`.
    pub fn less(self, others: Troubles) -> Troubles {
        Troubles(self.0 & !others.0)
    }

    /// Whether it is one of them.
    pub fn has(self, trouble: Trouble) -> bool {
        self.0 & trouble.bit() != 0
    }

    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = Trouble> {
        Trouble::ALL.into_iter().map(|(trouble, _)| trouble).filter(move |trouble| self.has(*trouble))
    }
}

impl std::fmt::Display for Troubles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> =
            Trouble::ALL.into_iter().filter(|(trouble, _)| self.has(*trouble)).map(|(_, name)| name).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let drawn = Troubles::of(3);
        assert_eq!(Troubles::parse(&drawn.to_string()), Some(drawn));
        assert_eq!(Troubles::parse(""), Some(Troubles::default()));
        assert_eq!(Troubles::parse("kill,no-such"), None);
        assert!(!drawn.less(drawn).has(Trouble::Kill));
    }
}
