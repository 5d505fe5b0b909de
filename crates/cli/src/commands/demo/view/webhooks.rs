//! The table: a line for each webhook.

use super::text::{Paint, fit, paint};
use super::{Look, WIDE_FROM};
use crate::commands::demo::board::Row;
use crate::commands::demo::scenario;

/// One column: its heading in narrow and wide tables, and its width there. Numbers stand on the right.
struct Column {
    head: [&'static str; 2],
    width: [usize; 2],
    number: bool,
}

const fn words(narrow: &'static str, wide: &'static str, width: [usize; 2]) -> Column {
    Column { head: [narrow, wide], width, number: false }
}

const fn number(narrow: &'static str, wide: &'static str, width: [usize; 2]) -> Column {
    Column { head: [narrow, wide], width, number: true }
}

const COLUMNS: [Column; 10] = [
    words("profil", "profile", [6, 7]),
    words("webhook", "webhook", [12, 14]),
    words("path", "path", [8, 10]),
    words("receiver answers", "receiver answers", [19, 20]),
    number("pend", "pending", [4, 7]),
    number("succ", "succeeded", [4, 9]),
    number("exh", "exhausted", [3, 9]),
    number("rem", "removed", [3, 7]),
    number("att", "attempts", [4, 8]),
    number("next", "next retry in", [6, 13]),
];

/// The heading and a line for each webhook.
pub fn table(rows: &[Row], look: Look, now_ms: i64) -> Vec<String> {
    let wide = usize::from(look.size.columns >= WIDE_FROM);
    let heads: Vec<String> = COLUMNS.iter().map(|c| fit(c.head[wide], c.width[wide], c.number)).collect();
    let mut lines = vec![paint(&heads.join(" "), Paint::Dim, look.colour)];
    lines.extend(rows.iter().map(|row| {
        let cells = cells(row, now_ms);
        let fitted = COLUMNS
            .iter()
            .zip(&cells)
            .map(|(column, (text, colour))| paint(&fit(text, column.width[wide], column.number), *colour, look.colour));
        fitted.collect::<Vec<_>>().join(" ")
    }));
    lines
}

fn cells(row: &Row, now_ms: i64) -> [(String, Paint); COLUMNS.len()] {
    let answers = scenario::hook_at(&row.path).map_or(String::new(), |hook| hook.manners.words());
    let [succeeded, exhausted, removed, _] = row.ended;
    let count = |count: u64, colour| (count.to_string(), if count == 0 { Paint::Dim } else { colour });
    [
        (row.profile.to_owned(), Paint::Plain),
        (row.name.clone(), Paint::Bold),
        (row.path.clone(), Paint::Plain),
        (answers, Paint::Plain),
        count(row.pending, Paint::Yellow),
        count(succeeded, Paint::Green),
        count(exhausted, Paint::Red),
        count(removed, Paint::Red),
        count(row.attempts, Paint::Plain),
        match row.next_ms {
            None => ("-".to_owned(), Paint::Dim),
            Some(at) if at <= now_ms => ("now".to_owned(), Paint::Plain),
            Some(at) => (wait(at - now_ms), Paint::Plain),
        },
    ]
}

/// `0.3 s`, `45 s`, `12 m`, `11 h`.
fn wait(ms: i64) -> String {
    match ms {
        ..10_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        10_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} m", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}
