//! Where it is shown: a block redrawn in place on a terminal, else lines that only ever follow each other.

use std::io::{IsTerminal, Stdout, stdout};
use std::time::Instant;

use super::board::{Board, Finished};
use super::view::{self, Head, Look, Progress};
use crate::clock;
use crate::table::{LiveTable, Size, terminal_size};

/// Wide and tall: nothing is cut where there is no terminal.
const PAGE: Size = Size { columns: 160, rows: 100 };

/// Standard output. A reader of it that has gone away is no reason to stop: what cannot be written is not.
pub struct Screen {
    table: LiveTable<Stdout>,
    live: bool,
    colour: bool,
}

impl Screen {
    pub fn new() -> Self {
        let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|set| set == value);
        let live = stdout().is_terminal() && !is("TERM", "dumb");
        Self {
            table: LiveTable::new(stdout(), live.then(terminal_size)),
            live,
            // https://no-color.org: any value but an empty one.
            colour: live && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
        }
    }

    /// Says where everything is, where it does not stand above the table anyway.
    pub fn begin(&mut self, head: &Head) {
        if !self.live {
            self.say(&view::top(head, self.look()));
        }
    }

    /// Shows how things stand, and without a terminal the attempts that are new.
    pub fn draw(&mut self, head: &Head, board: &Board, progress: &Progress, fresh: &[Finished]) {
        let look = self.look();
        if !self.live {
            let lines: Vec<String> = fresh.iter().map(|finished| view::attempt(finished, look)).collect();
            return self.say(&lines);
        }
        self.table.resize(look.size);
        let lines = view::block(head, board, progress, look, clock::now_ms());
        let _ = self.table.draw(Instant::now(), lines);
    }

    /// Without a terminal the hints come once.
    pub fn first_round_over(&mut self, board: &Board) {
        if !self.live {
            self.say(&view::hints(board));
        }
    }

    /// Lines that stay.
    pub fn say(&mut self, lines: &[String]) {
        for line in lines {
            let _ = self.table.note(line);
        }
    }

    /// Leaves the block as it stands; what is said from here on comes below.
    pub fn finish(&mut self) {
        let _ = self.table.finish();
    }

    /// The last line after ^C, whose echo stands where the cursor is.
    pub fn stopped(&mut self) {
        if self.live {
            self.say(&[String::new()]);
        }
        self.say(&["Stopped: server and receiver have ended, the temporary folder is removed.".to_owned()]);
    }

    fn look(&self) -> Look {
        Look { size: if self.live { terminal_size() } else { PAGE }, colour: self.colour }
    }
}
