//! What `postrider log verify` says of the store beside the log.

use postrider::inspect::{Compared, Difference};
use serde_json::{Value, json};

/// What the store says otherwise than the log, if anything.
pub fn difference(compared: &Compared) -> Option<&Difference> {
    match compared {
        Compared::Differs(_, difference) => Some(difference),
        _ => None,
    }
}

/// In a sentence, of a store in which no difference was found.
pub fn told(compared: &Compared) -> String {
    match compared {
        Compared::Missing => "there is no store: the next start builds it from the log".to_owned(),
        Compared::InUse => "the store is in use by another process and was not compared".to_owned(),
        Compared::OfNoUse(reason) => {
            format!("the store is of no use and is built anew from the log at a start: {reason}")
        }
        Compared::Agrees(at) => format!("the store says what the log says, below block {}", at.replay_from()),
        Compared::Differs(_, difference) => difference.to_string(),
    }
}

pub fn to_json(compared: &Compared) -> Value {
    match compared {
        Compared::Missing => json!({ "state": "missing" }),
        Compared::InUse => json!({ "state": "in-use" }),
        Compared::OfNoUse(reason) => json!({ "state": "of-no-use", "reason": reason.to_string() }),
        Compared::Agrees(at) => json!({ "state": "agrees", "covered": at.replay_from() }),
        Compared::Differs(at, Difference { database, list, log, store }) => json!({
            "state": "differs",
            "covered": at.replay_from(),
            "database": database,
            "list": list,
            "log": log,
            "store": store,
        }),
    }
}
