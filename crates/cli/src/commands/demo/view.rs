//! How it looks: figures in, lines out. Reads no clock, no terminal, no API.

mod text;
mod webhooks;

use std::fmt::Write as _;
use std::time::Duration;

use super::board::{Board, Finished};
use super::scenario::SCENES;
use crate::clock;
use crate::table::Size;
use text::{Paint, fit, paint};

/// Attempts shown below the table at the most.
const ATTEMPTS_SHOWN_MAX: usize = 8;
/// With fewer rows for attempts than this there are no empty lines between the parts.
const AIRY_FROM: usize = 8;
/// From so many columns on the table has its long form.
const WIDE_FROM: u16 = 116;
/// Columns of a wide attempt's line before its message.
const BEFORE_MESSAGE: usize = 87;
/// From so many rows on there is room for the admin key.
const TALL_FROM: u16 = 30;

/// What stays the same: where everything is.
pub struct Head {
    pub server: String,
    /// Whether the server shows a page to browsers.
    pub has_dashboard: bool,
    pub receiver: String,
    pub admin_key: String,
    /// By the name of the scene.
    pub keys: Vec<(&'static str, String)>,
}

/// Where the demo stands.
pub struct Progress {
    /// Deliveries that will be there, by the answers to what was published.
    pub deliveries: u64,
    /// Requests counted by the receiver.
    pub requests: u64,
    pub elapsed: Duration,
    /// After the first round: what came of it.
    pub first_round: Option<String>,
}

/// What the lines are for.
#[derive(Clone, Copy)]
pub struct Look {
    pub size: Size,
    pub colour: bool,
}

/// The whole block: head, table, attempts, progress, and after the first round what to try.
pub fn block(head: &Head, board: &Board, progress: &Progress, look: Look, now_ms: i64) -> Vec<String> {
    let top = top(head, look);
    let table = webhooks::table(&board.rows, look, now_ms);
    let foot = foot(board, progress, look);
    let fixed = 1 + top.len() + table.len() + foot.len();
    let room = usize::from(look.size.rows).saturating_sub(fixed);
    let airy = room >= AIRY_FROM;
    let shown = if airy { room - 4 } else { room }.min(ATTEMPTS_SHOWN_MAX);
    let gap = || airy.then(String::new);
    let mut lines = top;
    lines.extend(gap());
    lines.extend(table);
    lines.extend(gap());
    lines.extend(airy.then(|| paint("last attempts", Paint::Dim, look.colour)));
    let skipped = board.attempts.len().saturating_sub(shown);
    let last = board.attempts.iter().skip(skipped).map(|finished| attempt(finished, look));
    // The part keeps its height, or everything below would jump.
    lines.extend(last.chain(std::iter::repeat_with(String::new)).take(shown));
    lines.extend(gap());
    lines.extend(foot);
    lines
}

/// What this is and where; the assignments can be pasted into a shell.
pub fn top(head: &Head, look: Look) -> Vec<String> {
    let title = "Postrider demo: a real server and a real receiver on this machine";
    let what = if head.has_dashboard { "server and dashboard" } else { "server" };
    let mut lines = vec![
        paint(title, Paint::Bold, look.colour),
        format!("URL=http://{}   # {}; receiver {}", head.server, what, head.receiver),
    ];
    for (name, key) in &head.keys {
        lines.push(format!("{name}={key}   # key of the {} workspace", name.to_lowercase()));
    }
    if look.size.rows >= TALL_FROM {
        lines.push(format!("ADMIN={}   # the admin key", head.admin_key));
    }
    let cut: Vec<String> = SCENES.iter().map(|scene| format!("{} to {}", scene.published, scene.shortened)).collect();
    lines.push(format!("Delays cut: {}", cut.join(", ")));
    lines
}

/// Commands to look around with, once there is something to see.
pub fn hints(board: &Board) -> Vec<String> {
    let troubled = board.rows.iter().find(|row| row.ended[1] > 0).or(board.rows.first());
    let id = troubled.map_or(1, |row| row.id);
    vec![
        "^C ends it. Until then paste URL, GENESY and SNAILY elsewhere, and try:".to_owned(),
        format!("  curl -s -H \"x-api-key: $GENESY\" \"$URL/v1/webhooks/{id}/logs?pageSize=4\""),
        "  curl -s -H \"x-api-key: $SNAILY\" \"$URL/v1/deliveries?status=removed\"".to_owned(),
        "  curl -s \"$URL/v1/events\" -H \"x-api-key: $GENESY\" \\".to_owned(),
        "    -H content-type:application/json -d '{\"type\":\"EMAIL_SENT\",\"data\":{}}'".to_owned(),
    ]
}

/// One attempt, by the time of its end: `12:00:00.000 Old intranet EMAIL_SENT 2 of 4 503 retrying`, in columns.
pub fn attempt(finished: &Finished, look: Look) -> String {
    let Finished { webhook, entry, attempts_max } = finished;
    let ended = clock::rfc3339(entry.ended_ms());
    let time = ended.split_once('T').map_or(&*ended, |(_, time)| time);
    let number = match entry.attempt_number as usize {
        // After a retry by hand numbers go on beyond the schedule.
        n if n > *attempts_max => format!("{n:>2}"),
        n => format!("{n:>2} of {attempts_max}"),
    };
    let status = entry.status_code.map_or("---".to_owned(), |code| code.to_string());
    let colour = match entry.outcome.as_str() {
        "succeeded" => Paint::Green,
        "retrying" => Paint::Yellow,
        _ => Paint::Red,
    };
    let outcome = paint(&fit(&entry.outcome, 9, false), colour, look.colour);
    let mut line = [
        fit(time.trim_end_matches('Z'), 12, false),
        fit(webhook, 12, false),
        fit(&entry.event_type, 27, false),
        fit(&number, 8, false),
        fit(&status, 3, false),
        outcome,
    ]
    .join(" ");
    if look.size.columns >= WIDE_FROM {
        let _ = write!(line, " {:>5} ms", entry.duration_ms);
        let message = entry.error_message.as_deref().unwrap_or_default();
        // With a status that goes without saying.
        let message = message.strip_prefix("http_status: ").unwrap_or(message);
        let room = usize::from(look.size.columns).saturating_sub(BEFORE_MESSAGE);
        let _ = write!(line, "  {}", paint(&short(message, room), Paint::Dim, look.colour));
    }
    line.trim_end().to_owned()
}

/// All of a message, or what it says before its advice, or the beginning of that.
fn short(message: &str, room: usize) -> String {
    let whole = message.chars().count() <= room;
    let text = if whole { message } else { message.split(';').next().unwrap_or_default() };
    fit(text, room, false).trim_end().to_owned()
}

fn foot(board: &Board, progress: &Progress, look: Look) -> Vec<String> {
    let (there, ended) = board.deliveries();
    let all = progress.deliveries.max(there);
    let bar_width = if look.size.columns >= WIDE_FROM { 30 } else { 10 };
    let full = (ended * bar_width).checked_div(all).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(0);
    let rest = usize::try_from(bar_width).unwrap_or(0).saturating_sub(full);
    let bar = paint(&"#".repeat(full), Paint::Green, look.colour);
    let line = format!(
        "[{bar}{}] {ended} of {all} deliveries ended, {} attempts, {} received, {:.1} s",
        ".".repeat(rest),
        board.attempts_total(),
        progress.requests,
        progress.elapsed.as_secs_f64()
    );
    let Some(first_round) = &progress.first_round else {
        return vec![line];
    };
    let mut lines = vec![line, paint(first_round, Paint::Bold, look.colour)];
    lines.extend(hints(board));
    lines
}

#[cfg(test)]
mod tests;
