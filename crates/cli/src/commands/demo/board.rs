//! What the API says of every webhook at the moment: the figures of the table and the attempts below it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::customer::Customer;
use crate::client::List;
use crate::client::wire::{Delivery, LogEntry, Webhook};
use crate::clock;
use crate::limits::DEMO_ATTEMPTS_KEPT_MAX;

/// Statuses in which a delivery has ended, in the order of [`Row::ended`].
pub const ENDS: [&str; 4] = ["succeeded", "exhausted", "removed", "cancelled"];

/// All webhooks, and the attempts that ended last.
#[derive(Default)]
pub struct Board {
    pub rows: Vec<Row>,
    /// Oldest first.
    pub attempts: VecDeque<Finished>,
    seen: BTreeMap<u64, Seen>,
}

/// One webhook.
#[derive(Clone)]
pub struct Row {
    pub id: u64,
    pub profile: &'static str,
    pub name: String,
    pub path: String,
    pub pending: u64,
    /// Deliveries by how they ended: [`ENDS`].
    pub ended: [u64; 4],
    pub attempts: u64,
    /// The earliest attempt that is due, in milliseconds since 1970.
    pub next_ms: Option<i64>,
}

/// One attempt, as its webhook's log has it.
#[derive(Clone)]
pub struct Finished {
    pub webhook: String,
    pub entry: LogEntry,
    /// By the webhook's retry policy.
    pub attempts_max: usize,
}

/// Of one webhook when it was last read. While this stays the same its deliveries have not changed.
struct Seen {
    newest: Option<u64>,
    attempts: u64,
    pending: u64,
    ended: [u64; 4],
    /// On the log's first page.
    page: BTreeSet<u64>,
}

impl Board {
    /// Reads everything anew; returns the attempts that were not there before, oldest first.
    ///
    /// # Errors
    /// The API answers otherwise than documented.
    pub async fn refresh(&mut self, customers: &mut [Customer]) -> anyhow::Result<Vec<Finished>> {
        let (mut rows, mut fresh) = (Vec::new(), Vec::new());
        for customer in customers {
            let mut webhooks: List<Webhook> = customer.client.list("/v1/webhooks?pageSize=200").await?;
            webhooks.data.sort_by_key(|webhook| webhook.id);
            for webhook in webhooks.data {
                let (row, new) = self.read(customer, &webhook).await?;
                rows.push(row);
                let finished = |entry| Finished {
                    webhook: webhook.name.clone(),
                    entry,
                    attempts_max: webhook.retry_policy.attempts_max(),
                };
                fresh.extend(new.into_iter().map(finished));
            }
        }
        fresh.sort_by_key(|finished| finished.entry.ended_ms());
        self.rows = rows;
        self.attempts.extend(fresh.iter().cloned());
        let surplus = self.attempts.len().saturating_sub(DEMO_ATTEMPTS_KEPT_MAX);
        self.attempts.drain(..surplus);
        Ok(fresh)
    }

    /// Deliveries, and those of them that have ended.
    pub fn deliveries(&self) -> (u64, u64) {
        let pending: u64 = self.rows.iter().map(|row| row.pending).sum();
        let ended: u64 = self.rows.iter().flat_map(|row| row.ended).sum();
        (pending + ended, ended)
    }

    pub fn attempts_total(&self) -> u64 {
        self.rows.iter().map(|row| row.attempts).sum()
    }

    async fn read(&mut self, customer: &mut Customer, webhook: &Webhook) -> anyhow::Result<(Row, Vec<LogEntry>)> {
        let (id, client) = (webhook.id, &mut customer.client);
        let logs: List<LogEntry> = client.list(&format!("/v1/webhooks/{id}/logs?pageSize=100")).await?;
        let of = |status: &str, size: u32| format!("/v1/deliveries?webhookId={id}&status={status}&pageSize={size}");
        let pending: List<Delivery> = client.list(&of("pending", 200)).await?;
        let newest = logs.data.first().map(|entry| entry.id);
        let now = (newest, logs.meta.total, pending.meta.total);
        let before = self.seen.remove(&id);
        let ended = match &before {
            Some(seen) if (seen.newest, seen.attempts, seen.pending) == now => seen.ended,
            _ => {
                let mut ended = [0; ENDS.len()];
                for (count, status) in ended.iter_mut().zip(ENDS) {
                    *count = client.list::<Delivery>(&of(status, 1)).await?.meta.total;
                }
                ended
            }
        };
        let known = before.map(|seen| seen.page).unwrap_or_default();
        let page = logs.data.iter().map(|entry| entry.id).collect();
        self.seen.insert(id, Seen { newest, attempts: logs.meta.total, pending: pending.meta.total, ended, page });
        let row = Row {
            id,
            profile: customer.scene.profile,
            name: webhook.name.clone(),
            path: path_of(&webhook.url),
            pending: pending.meta.total,
            ended,
            attempts: logs.meta.total,
            next_ms: next(&pending.data),
        };
        let new = logs.data.into_iter().filter(|entry| !known.contains(&entry.id)).collect();
        Ok((row, new))
    }
}

fn next(pending: &[Delivery]) -> Option<i64> {
    let due = |delivery: &Delivery| clock::parse(delivery.next_attempt_at.as_deref()?);
    pending.iter().filter_map(due).min()
}

/// What stands after scheme and authority.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |slash| &rest[slash..]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_follows_the_authority() {
        assert_eq!(path_of("http://127.0.0.1:1/crm?x=1"), "/crm?x=1");
        assert_eq!(path_of("http://127.0.0.1:1"), "/");
    }
}
