//! A webhook's settings as options, and as the API takes them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::args;
use crate::commands::Usage;

/// What is named is set.
#[derive(clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// Where to deliver, such as https://crm.example.com/hooks
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// What it is called
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Event types, with commas
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    events: Vec<String>,
    /// Ids of campaigns, with commas; none is all of them
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    campaigns: Vec<String>,
    /// Further members of contact and company to send, with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    custom_fields: Vec<String>,
    /// Whether it gets new events and what is pending is sent
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
    /// Sent in the profile's secret header, or what requests are signed with; better in the environment than on a command line
    #[arg(long, env = "POSTRIDER_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// A header for every request, as `Name: value`; can be given several times
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Delays between attempts, with commas, such as 30s,5m,50m
    #[arg(long, value_name = "D", value_delimiter = ',')]
    retry: Vec<String>,
    /// Up to this share of a delay is added by chance: 0 to 1; with --retry
    #[arg(long, value_name = "SHARE", requires = "retry", value_parser = args::share)]
    jitter: Option<f64>,
    /// For a whole attempt, 1s to 60s
    #[arg(long, value_name = "D", value_parser = args::duration)]
    timeout: Option<Duration>,
    /// Attempts a second at the most, such as 10/s
    #[arg(long, value_name = "N/s", value_parser = args::rate)]
    rate: Option<u64>,
    /// Sign requests as Standard Webhooks: v1 or v1a
    #[arg(long, value_name = "SCHEME")]
    signing: Option<String>,
}

/// `Name: value`.
fn header(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    parts.filter(|(name, _)| !name.is_empty()).ok_or_else(|| "a header is `Name: value`".to_owned())
}

impl Settings {
    /// The members of a request's body.
    ///
    /// # Errors
    /// [`Usage`]: two headers of one name.
    pub fn members(&self) -> anyhow::Result<Map<String, Value>> {
        let mut members = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        let list = |list: &[String]| (!list.is_empty()).then(|| json!(list));
        set("url", text(&self.to));
        set("name", text(&self.name));
        set("description", text(&self.description));
        set("events", list(&self.events));
        set("campaignIds", list(&self.campaigns));
        set("customFields", list(&self.custom_fields));
        set("enabled", self.enabled.map(Value::Bool));
        set("secret", text(&self.secret));
        set("retryPolicy", (!self.retry.is_empty()).then(|| self.policy()));
        set("timeoutMs", self.timeout.map(|timeout| json!(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))));
        set("rateLimit", self.rate.map(|rate| json!({ "perSecond": rate })));
        set("signing", self.signing.as_ref().map(|scheme| json!({ "scheme": scheme })));
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            if headers.insert(name.clone(), json!(value)).is_some() {
                return Err(Usage(format!("--header {name} is given twice")).into());
            }
        }
        if !headers.is_empty() {
            members.insert("headers".to_owned(), Value::Object(headers));
        }
        Ok(members)
    }

    fn policy(&self) -> Value {
        let mut policy = json!({ "delays": self.retry });
        if let Some(jitter) = self.jitter {
            policy["jitter"] = json!(jitter);
        }
        policy
    }
}
