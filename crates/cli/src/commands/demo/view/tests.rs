//! The block at the sizes that terminals have: nothing wider, nothing taller, numbers below each other.

use super::*;
use crate::client::wire::LogEntry;
use crate::commands::demo::board::Row;

const NOW_MS: i64 = 1_700_000_000_000;

fn head() -> Head {
    let key = |name: &str| format!("{name}_{}", "x".repeat(32));
    Head {
        server: "127.0.0.1:40123".to_owned(),
        has_dashboard: true,
        receiver: "127.0.0.1:40124".to_owned(),
        admin_key: key("pra"),
        keys: SCENES.iter().map(|scene| (scene.name, key("prk"))).collect(),
    }
}

fn board() -> Board {
    let hooks = SCENES.iter().flat_map(|scene| scene.hooks.iter().map(move |hook| (scene, hook)));
    let mut board = Board::default();
    for (id, (scene, hook)) in (1..).zip(hooks) {
        board.rows.push(Row {
            id,
            profile: scene.profile,
            name: hook.name.to_owned(),
            path: hook.path.to_owned(),
            pending: id,
            ended: [10 * id, u64::from(id == 3) * 2, u64::from(id == 7), 0],
            attempts: 100 * id,
            next_ms: [None, Some(NOW_MS - 1), Some(NOW_MS + 340)][id as usize % 3],
        });
    }
    for number in 1..=30 {
        let entry = LogEntry {
            id: number,
            event_type: "CONNECTION_REQUEST_ACCEPTED".to_owned(),
            status_code: (number % 2 == 0).then_some(503),
            error_message: Some("http_status: 503 Service Unavailable; look at the receiver's own logs".to_owned()),
            attempt_number: number as u32,
            duration_ms: 12,
            created_at: "2026-01-31T12:00:00.000Z".to_owned(),
            outcome: "retrying".to_owned(),
        };
        let webhook = "Old intranet".to_owned();
        board.attempts.push_back(Finished { webhook, entry, attempts_max: 15 });
    }
    board
}

fn progress(first_round: Option<&str>) -> Progress {
    Progress {
        deliveries: 320,
        requests: 2_801,
        elapsed: Duration::from_millis(3_240),
        first_round: first_round.map(str::to_owned),
    }
}

fn draw(columns: u16, rows: u16, colour: bool, first_round: Option<&str>) -> Vec<String> {
    let look = Look { size: Size { columns, rows }, colour };
    block(&head(), &board(), &progress(first_round), look, NOW_MS)
}

/// Without colours.
fn bare(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn it_fits_terminals_of_80_by_24_and_more() {
    let after = "Every delivery ended as it has to, in 5.0 s. Now one event every 4 s.";
    for (columns, rows) in [(80, 24), (80, 30), (120, 40), (200, 60)] {
        for first_round in [None, Some(after)] {
            let lines = draw(columns, rows, true, first_round);
            assert!(lines.len() < usize::from(rows), "{} lines in {rows} rows", lines.len());
            for line in lines.iter().map(|line| bare(line)) {
                assert!(line.chars().count() <= usize::from(columns), "{columns}: {line}");
            }
        }
    }
}

#[test]
fn the_table_at_80_columns() {
    let lines = draw(80, 24, false, None);
    assert_eq!(
        lines[6..14],
        [
            "profil webhook      path     receiver answers    pend succ exh rem  att   next",
            "genesy CRM          /crm     200 at once            1   10   0   0  100    now",
            "genesy Sales alerts /sales   500 twice, then 200    2   20   0   0  200  0.3 s",
            "genesy Old intranet /old     503 every time         3   30   2   0  300      -",
            "genesy Archive      /archive 200 after 1.2 s        4   40   0   0  400    now",
            "snaily Lead board   /leads   200 at once            5   50   0   0  500  0.3 s",
            "snaily Team chat    /chat    502 twice, then 200    6   60   0   0  600      -",
            "snaily Closed shop  /closed  404 every time         7   70   0   1  700    now",
        ]
    );
    assert_eq!(
        lines.last().map(String::as_str),
        Some("[########..] 283 of 320 deliveries ended, 2800 attempts, 2801 received, 3.2 s")
    );
}

#[test]
fn an_attempt_is_told_by_the_time_of_its_end() {
    let lines = draw(80, 24, false, None);
    let line = "12:00:00.012 Old intranet CONNECTION_REQUEST_ACCEPTED 30       503 retrying";
    assert!(lines.iter().any(|shown| shown == line), "{lines:#?}");
    let look = Look { size: Size { columns: 80, rows: 24 }, colour: false };
    let line = "12:00:00.012 Old intranet CONNECTION_REQUEST_ACCEPTED 14 of 15 503 retrying";
    assert_eq!(attempt(&board().attempts[13], look), line);
    let wide = draw(120, 40, false, None).join("\n");
    assert!(wide.contains("30       503 retrying     12 ms  503 Service Unavailable"), "{wide}");
}

#[test]
fn colour_changes_no_width() {
    let plain = draw(120, 40, false, None);
    let coloured: Vec<String> = draw(120, 40, true, None).iter().map(|line| bare(line)).collect();
    assert_eq!(plain, coloured);
}

#[test]
fn a_name_from_elsewhere_breaks_no_line() {
    let mut board = board();
    board.rows[0].name = "a\nb\u{1b}[2J and much longer than its column".to_owned();
    board.rows[0].path = "/not-in-the-scenario".to_owned();
    let look = Look { size: Size { columns: 80, rows: 24 }, colour: false };
    let lines = block(&head(), &board, &progress(None), look, NOW_MS);
    assert!(lines[7].starts_with("genesy a?b?[2J and  /not-in-"), "{}", lines[7]);
    assert_eq!(lines[7].len(), lines[8].len());
}
