//! What the pages say to the customers of each product: the words of their own documentation, where it has them.
//!
//! Words only. Which fields a form has and what a failure leads to are the profile's data; a profile that is not listed gets plain words.

use postrider_core::attempt::{ErrorKind, Exchange};

/// The words of one profile.
pub struct Words {
    pub name_help: &'static str,
    pub url_label: &'static str,
    pub url_help: &'static str,
    pub events_help: &'static str,
    pub secret_label: &'static str,
    pub secret_help: &'static str,
    pub campaigns_help: &'static str,
    pub custom_fields_help: &'static str,
    /// The receiver can't be reached, or what it answers is no answer.
    unreachable: Trouble,
    timeout: Trouble,
    /// 401 or 403.
    unauthorised: Trouble,
    /// Any other status that is no success.
    failing: Trouble,
    /// What no attempt shows.
    others: &'static [Trouble],
}

/// A line of a troubleshooting table.
#[derive(Clone, Copy)]
pub struct Trouble {
    pub issue: &'static str,
    pub checks: &'static [&'static str],
}

impl Words {
    /// Those of a profile.
    pub fn of(profile: &str) -> &'static Words {
        let known = [("genesy", &GENESY), ("snaily", &SNAILY)];
        known.iter().find(|(name, _)| *name == profile).map_or(&PLAIN, |(_, words)| words)
    }

    /// What to check after an attempt; `None` when it succeeded.
    pub fn trouble(&self, exchange: &Exchange) -> Option<&Trouble> {
        let failure = exchange.failure.as_ref()?;
        Some(match (failure.kind, exchange.status_code) {
            (ErrorKind::Timeout, _) => &self.timeout,
            (ErrorKind::HttpStatus, Some(401 | 403)) => &self.unauthorised,
            (ErrorKind::HttpStatus, _) => &self.failing,
            _ => &self.unreachable,
        })
    }

    /// The whole table.
    pub fn table(&self) -> Vec<&Trouble> {
        let mut table: Vec<&Trouble> = Vec::new();
        for trouble in
            [&self.unreachable, &self.timeout, &self.unauthorised, &self.failing].into_iter().chain(self.others)
        {
            if table.iter().all(|known| known.issue != trouble.issue) {
                table.push(trouble);
            }
        }
        table
    }
}

const GENESY_UNREACHABLE: Trouble = Trouble {
    issue: "Not receiving webhooks",
    checks: &["Check delivery logs, verify your URL is publicly accessible"],
};

static GENESY: Words = Words {
    name_help: "Identifier for your webhook subscription.",
    url_label: "URL",
    url_help: "Your endpoint URL where webhooks will be sent.",
    events_help: "The event types to subscribe to.",
    secret_label: "Secret",
    secret_help: "A secret key that will be sent in the X-Webhook-Secret header for authentication.",
    campaigns_help: "Only receive events from specific campaigns. If empty, you’ll receive events from all campaigns.",
    custom_fields_help: "Additional contact/company fields to include in the webhook payload.",
    unreachable: GENESY_UNREACHABLE,
    timeout: Trouble {
        issue: "Webhooks timing out",
        checks: &["Respond with 200 immediately, process data asynchronously"],
    },
    unauthorised: Trouble {
        issue: "Unknown webhook source",
        checks: &["Verify X-Webhook-Secret header matches your secret"],
    },
    failing: GENESY_UNREACHABLE,
    others: &[
        Trouble {
            issue: "Duplicate events",
            checks: &["Implement idempotency using event timestamp + type as unique key"],
        },
        Trouble { issue: "Missing data", checks: &["Add customFields to your subscription"] },
    ],
};

const SNAILY_FAILED: Trouble = Trouble {
    issue: "Failed Webhook Retries",
    checks: &[
        "Server availability and uptime",
        "Network connectivity",
        "SSL certificate validity (for HTTPS endpoints)",
        "Error logs for specific failure reasons",
    ],
};

static SNAILY: Words = Words {
    name_help: "What this list calls it; the URL’s host if left empty.",
    url_label: "Endpoint URL",
    url_help: "Where you want to receive notifications.",
    events_help: "Choose the events you want to receive.",
    secret_label: "Secret verification token",
    secret_help: "Optional. If provided, it is sent in the X-Snaily-Token HTTP header with every webhook request to your endpoint. \
                  We recommend setting such a token.",
    campaigns_help: "Only events of these campaigns; all of them if left empty.",
    custom_fields_help: "",
    unreachable: SNAILY_FAILED,
    timeout: Trouble {
        issue: "Timeout Errors",
        checks: &[
            "Respond to webhook requests quickly (within a few seconds)",
            "Move heavy processing to background jobs",
            "Increase your server’s timeout settings if necessary",
        ],
    },
    unauthorised: Trouble {
        issue: "Authentication Failures",
        checks: &[
            "Verify that the X-Snaily-Token header matches what you configured",
            "Check that your webhook handler is reading the X-Snaily-Token header",
            "Ensure there are no extra spaces or characters in the secret token",
        ],
    },
    failing: SNAILY_FAILED,
    others: &[Trouble {
        issue: "Webhook Not Receiving Events",
        checks: &[
            "Verify that your webhook is enabled",
            "Check that you’ve subscribed to the correct event types",
            "Ensure your endpoint URL is accessible and returns 2xx status codes",
            "Check your server logs for incoming requests",
            "Verify that your firewall allows incoming connections from the servers that deliveries come from",
        ],
    }],
};

static PLAIN: Words = Words {
    name_help: "What this list calls it.",
    url_label: "URL",
    url_help: "Where requests are sent.",
    events_help: "The event types that are sent.",
    secret_label: "Secret",
    secret_help: "What requests are signed with. Made for you, and shown once, if left empty.",
    campaigns_help: "Only events of these campaigns; all of them if left empty.",
    custom_fields_help: "Members to send beside the usual ones.",
    unreachable: Trouble {
        issue: "The receiver cannot be reached",
        checks: &["Check that the URL is right and the server runs", "Check firewalls and the certificate"],
    },
    timeout: Trouble { issue: "No answer in time", checks: &["Answer with a 2xx at once, and work afterwards"] },
    unauthorised: Trouble {
        issue: "The receiver refuses the request",
        checks: &["Check that it verifies with the secret of this webhook, on the bytes of the body as they came"],
    },
    failing: Trouble { issue: "The receiver answers with an error", checks: &["Look for the request in its own logs"] },
    others: &[Trouble { issue: "An event came twice", checks: &["Deduplicate by the event’s id"] }],
};

#[cfg(test)]
mod tests {
    use postrider_core::Millis;
    use postrider_core::attempt::Failure;

    use super::*;

    fn exchange(kind: ErrorKind, status_code: Option<u16>) -> Exchange {
        let failure = Some(Failure { kind, message: "x".into() });
        Exchange { duration: Millis(1), status_code, failure, retry_after: None }
    }

    #[test]
    fn a_failure_leads_to_the_line_of_its_own_table() {
        for (profile, kind, status, issue) in [
            ("genesy", ErrorKind::Timeout, None, "Webhooks timing out"),
            ("genesy", ErrorKind::Dns, None, "Not receiving webhooks"),
            ("genesy", ErrorKind::HttpStatus, Some(401), "Unknown webhook source"),
            ("genesy", ErrorKind::HttpStatus, Some(500), "Not receiving webhooks"),
            ("snaily", ErrorKind::Timeout, None, "Timeout Errors"),
            ("snaily", ErrorKind::HttpStatus, Some(403), "Authentication Failures"),
            ("snaily", ErrorKind::Tls, None, "Failed Webhook Retries"),
            ("other", ErrorKind::Connect, None, "The receiver cannot be reached"),
        ] {
            let trouble = Words::of(profile).trouble(&exchange(kind, status));
            assert_eq!(trouble.map(|trouble| trouble.issue), Some(issue), "{profile} {kind:?}");
        }
        let good = Exchange { duration: Millis(1), status_code: Some(200), failure: None, retry_after: None };
        assert!(Words::of("genesy").trouble(&good).is_none());
    }

    #[test]
    fn the_table_names_each_issue_once() {
        let issues: Vec<_> = Words::of("genesy").table().iter().map(|trouble| trouble.issue).collect();
        let expected = [
            "Not receiving webhooks",
            "Webhooks timing out",
            "Unknown webhook source",
            "Duplicate events",
            "Missing data",
        ];
        assert_eq!(issues, expected);
    }
}
