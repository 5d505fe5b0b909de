//! What the demo sets up and what has to come of it, as data. Nothing here is shown as if it had happened: figures come from the API, and
//! the verdict holds them against this.

use std::time::Duration;

use hyper::StatusCode;

use crate::receiver::Answer;

/// One workspace.
pub struct Scene {
    pub profile: &'static str,
    /// The workspace's name, and what its key is called in the lines to paste.
    pub name: &'static str,
    /// The profile's own schedule, in words.
    pub published: &'static str,
    /// Instead of it here, as a webhook's `retryPolicy`.
    pub delays: &'static [&'static str],
    /// The same in words.
    pub shortened: &'static str,
    /// Where the secret goes, lower case.
    pub secret_header: &'static str,
    /// What the profile makes of a delivery whose attempts are all used up.
    pub given_up: &'static str,
    pub hooks: &'static [Hook],
}

/// One webhook and its receiver's manners.
pub struct Hook {
    pub name: &'static str,
    pub path: &'static str,
    /// Empty: every type of the profile.
    pub events: &'static [&'static str],
    pub secret: Option<&'static str>,
    pub manners: Manners,
}

/// How the receiver answers the n-th request for one event on one path.
#[derive(Clone, Copy)]
pub enum Manners {
    /// 200 at once.
    Good,
    /// This status so many times, then 200.
    Recovers { status: StatusCode, times: u32 },
    /// This status for ever.
    Fails(StatusCode),
    /// 200 after so long.
    Slow(Duration),
}

pub static SCENES: [Scene; 2] = [
    Scene {
        profile: "genesy",
        name: "GENESY",
        published: "Genesy 30s 5m 50m",
        delays: &["300ms", "600ms", "900ms"],
        shortened: "0.3s 0.6s 0.9s",
        secret_header: "x-webhook-secret",
        given_up: "exhausted",
        hooks: &[
            Hook { name: "CRM", path: "/crm", events: &[], secret: Some("genesy crm secret"), manners: Manners::Good },
            Hook {
                name: "Sales alerts",
                path: "/sales",
                events: &["MESSAGE_REPLIED", "CONNECTION_REQUEST_ACCEPTED"],
                secret: Some("genesy sales secret"),
                manners: Manners::Recovers { status: StatusCode::INTERNAL_SERVER_ERROR, times: 2 },
            },
            Hook {
                name: "Old intranet",
                path: "/old",
                events: &["EMAIL_SENT", "INMAIL_SENT"],
                secret: Some("genesy intranet secret"),
                manners: Manners::Fails(StatusCode::SERVICE_UNAVAILABLE),
            },
            Hook {
                name: "Archive",
                path: "/archive",
                events: &["LINKEDIN_MESSAGE_SENT", "POST_LIKED", "PROFILE_VISITED"],
                secret: None,
                manners: Manners::Slow(Duration::from_millis(1_200)),
            },
        ],
    },
    Scene {
        profile: "snaily",
        name: "SNAILY",
        published: "Snaily 14 x 12h",
        delays: &["200ms"; 14],
        shortened: "14 x 0.2s",
        secret_header: "x-snaily-token",
        given_up: "removed",
        hooks: &[
            Hook {
                name: "Lead board",
                path: "/leads",
                events: &[],
                secret: Some("snaily board token"),
                manners: Manners::Good,
            },
            Hook {
                name: "Team chat",
                path: "/chat",
                events: &["contact.connected", "invitation.sent"],
                secret: None,
                manners: Manners::Recovers { status: StatusCode::BAD_GATEWAY, times: 2 },
            },
            Hook {
                name: "Closed shop",
                path: "/closed",
                events: &["contact.replied"],
                secret: Some("snaily shop token"),
                manners: Manners::Fails(StatusCode::NOT_FOUND),
            },
        ],
    },
];

/// The webhook whose receiver is at this path.
pub fn hook_at(path: &str) -> Option<&'static Hook> {
    SCENES.iter().flat_map(|scene| scene.hooks).find(|hook| hook.path == path)
}

impl Hook {
    pub fn wants(&self, event_type: &str) -> bool {
        self.events.is_empty() || self.events.contains(&event_type)
    }

    /// How each of its deliveries has to end: attempts and status.
    pub fn expected(&self, scene: &Scene) -> (u32, &'static str) {
        match self.manners {
            Manners::Good | Manners::Slow(_) => (1, "succeeded"),
            Manners::Recovers { times, .. } => (times + 1, "succeeded"),
            Manners::Fails(_) => (scene.attempts_max(), scene.given_up),
        }
    }
}

impl Scene {
    /// With its retries.
    pub fn attempts_max(&self) -> u32 {
        u32::try_from(self.delays.len()).map_or(u32::MAX, |retries| retries + 1)
    }
}

impl Manners {
    /// The answer to the n-th request for an event, from 1.
    pub fn answer(self, nth: u32) -> Answer {
        match self {
            Manners::Recovers { status, times } if nth <= times => Answer::Reply(status, None),
            Manners::Fails(status) => Answer::Reply(status, None),
            Manners::Slow(wait) => Answer::Late(wait, StatusCode::OK),
            Manners::Good | Manners::Recovers { .. } => Answer::Reply(StatusCode::OK, None),
        }
    }

    /// For the table.
    pub fn words(self) -> String {
        match self {
            Manners::Good => "200 at once".to_owned(),
            Manners::Recovers { status, times: 2 } => format!("{} twice, then 200", status.as_u16()),
            Manners::Recovers { status, times } => format!("{} {times} times, then 200", status.as_u16()),
            Manners::Fails(status) => format!("{} every time", status.as_u16()),
            Manners::Slow(wait) => format!("200 after {:.1} s", wait.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_one_webhooks() {
        for hook in SCENES.iter().flat_map(|scene| scene.hooks) {
            assert!(std::ptr::eq(hook_at(hook.path).unwrap(), hook), "{}", hook.path);
        }
    }

    #[test]
    fn what_is_expected_follows_from_manners_and_profile() {
        let ends: Vec<_> =
            SCENES.iter().flat_map(|scene| scene.hooks.iter().map(|hook| hook.expected(scene))).collect();
        let genesy = [(1, "succeeded"), (3, "succeeded"), (4, "exhausted"), (1, "succeeded")];
        let snaily = [(1, "succeeded"), (3, "succeeded"), (15, "removed")];
        assert_eq!(ends, [&genesy[..], &snaily[..]].concat());
    }
}
