//! A block of lines on the terminal that is redrawn in place, for commands that show work as it goes on.
//!
//! On a terminal the block stays at the bottom and notes scroll by above it; elsewhere nothing moves: a line of the
//! block is written again, below, only when it has changed. Redraws are at most ten a second; what is skipped is drawn
//! by the next one or by [`LiveTable::finish`]. Reads no clock and no terminal size by itself: both are arguments.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crossterm::Command;
use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::terminal::{Clear, ClearType};

/// Between two redraws.
const REDRAW: Duration = Duration::from_millis(100);
const ESCAPE: char = '\u{1b}';
const STYLE_RESET: &str = "\u{1b}[0m";

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

/// The terminal's size now; 80 × 24 where it has none.
pub fn terminal_size() -> Size {
    let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
    Size { columns, rows }
}

/// The block and what is on the screen of it.
pub struct LiveTable<W: Write> {
    out: W,
    /// None: not a terminal.
    size: Option<Size>,
    drawn: Vec<String>,
    waiting: Option<Vec<String>>,
    drawn_at: Option<Instant>,
}

impl<W: Write> LiveTable<W> {
    /// Draws in place within `size`; append-only without one.
    pub fn new(out: W, size: Option<Size>) -> Self {
        Self { out, size, drawn: Vec::new(), waiting: None, drawn_at: None }
    }

    /// After the terminal was resized; no effect on what is append-only.
    pub fn resize(&mut self, size: Size) {
        self.size = self.size.map(|_| size);
    }

    /// Shows `lines` as the block, now or at the next redraw. Lines hold no line feed; colours (CSI … m) are kept.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn draw(&mut self, now: Instant, lines: Vec<String>) -> io::Result<()> {
        self.waiting = Some(lines);
        match self.drawn_at {
            Some(before) if now.saturating_duration_since(before) < REDRAW => Ok(()),
            _ => {
                self.drawn_at = Some(now);
                self.flush()
            }
        }
    }

    /// Writes a line that stays, above the block.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn note(&mut self, line: &str) -> io::Result<()> {
        let Some(size) = self.size else {
            return writeln!(self.out, "{line}");
        };
        let mut text = to_top(self.rows_drawn(size));
        put(&mut text, line);
        let block = self.waiting.take().unwrap_or_else(|| self.drawn.clone());
        self.show(text, &block, size)
    }

    /// Draws what is waiting, leaves it standing and gives the cursor back.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.size.is_some() {
            let mut text = String::new();
            ansi(&mut text, Show);
            self.out.write_all(text.as_bytes())?;
        }
        self.drawn.clear();
        self.out.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(lines) = self.waiting.take() else {
            return Ok(());
        };
        match self.size {
            Some(size) if lines != self.drawn => self.show(to_top(self.rows_drawn(size)), &lines, size),
            Some(_) => Ok(()),
            None => self.append(lines),
        }
    }

    /// Rows that the block takes now: a terminal that has become narrower has wrapped its lines.
    fn rows_drawn(&self, size: Size) -> usize {
        let columns = usize::from(size.columns.max(1));
        self.drawn.iter().map(|line| width(line).div_ceil(columns).max(1)).sum()
    }

    /// One write for the whole block, so that no half of it is ever seen.
    fn show(&mut self, mut text: String, lines: &[String], size: Size) -> io::Result<()> {
        // A line of the terminal stays free for the cursor, or the top of the block would scroll out of reach.
        let rows = usize::from(size.rows.max(2)) - 1;
        self.drawn = lines.iter().take(rows).map(|line| cut(line, usize::from(size.columns))).collect();
        ansi(&mut text, Hide);
        for line in &self.drawn {
            put(&mut text, line);
        }
        // What a taller block, or lines wrapped by a narrower terminal, have left.
        ansi(&mut text, Clear(ClearType::FromCursorDown));
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn append(&mut self, lines: Vec<String>) -> io::Result<()> {
        for (index, line) in lines.iter().enumerate() {
            if self.drawn.get(index) != Some(line) {
                writeln!(self.out, "{line}")?;
            }
        }
        self.drawn = lines;
        self.out.flush()
    }
}

impl<W: Write> Drop for LiveTable<W> {
    fn drop(&mut self) {
        // Whoever wants to hear of an error has called it already.
        let _ = self.finish();
    }
}

/// Back to the top of a block of `rows`. What stands there is written over, not erased first: that would flicker, and
/// some terminals keep an erased screen in their history.
fn to_top(rows: usize) -> String {
    let mut text = String::new();
    if let Ok(rows @ 1..) = u16::try_from(rows) {
        ansi(&mut text, MoveUp(rows));
        ansi(&mut text, MoveToColumn(0));
    }
    text
}

/// A line in place of whatever stood there.
fn put(text: &mut String, line: &str) {
    text.push_str(line);
    ansi(text, Clear(ClearType::UntilNewLine));
    text.push('\n');
}

fn ansi(text: &mut String, command: impl Command) {
    // Writing to a String does not fail.
    let _ = command.write_ansi(text);
}

/// Characters that take room.
fn width(line: &str) -> usize {
    let mut in_escape = false;
    let takes_room = |c: &char| {
        let shown = !in_escape && *c != ESCAPE;
        in_escape = if in_escape { !c.is_ascii_alphabetic() } else { *c == ESCAPE };
        shown
    };
    line.chars().filter(takes_room).count()
}

/// At most `columns` characters; escape sequences take no room. Wide characters are counted as one.
fn cut(line: &str, columns: usize) -> String {
    let mut text = String::with_capacity(line.len());
    let (mut used, mut in_escape, mut styled) = (0, false, false);
    for c in line.chars() {
        if in_escape {
            in_escape = !c.is_ascii_alphabetic();
        } else if c == ESCAPE {
            (in_escape, styled) = (true, true);
        } else if used == columns {
            continue;
        } else {
            used += 1;
        }
        let _ = text.write_char(c);
    }
    if styled && !text.ends_with(STYLE_RESET) {
        text.push_str(STYLE_RESET);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 10, rows: 4 };

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    /// What a terminal would show: just enough of one to follow the sequences used here.
    fn screen(bytes: &[u8]) -> Vec<String> {
        let (mut rows, mut row, mut column) = (vec![Vec::new()], 0_usize, 0_usize);
        let text = String::from_utf8_lossy(bytes);
        let mut rest = text.as_ref();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c == ESCAPE {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let (sequence, after) = rest.split_at(end + 1);
                rest = after;
                match sequence {
                    "[J" => {
                        rows.truncate(row + 1);
                        rows[row].truncate(column);
                    }
                    "[K" => rows[row].truncate(column),
                    "[1G" => column = 0,
                    up if up.ends_with('A') => row -= up[1..up.len() - 1].parse::<usize>().unwrap(),
                    _ => {}
                }
            } else if c == '\n' {
                (row, column) = (row + 1, 0);
                rows.resize(rows.len().max(row + 1), Vec::new());
            } else {
                match rows[row].get_mut(column) {
                    Some(cell) => *cell = c,
                    None => rows[row].push(c),
                }
                column += 1;
            }
        }
        rows.pop();
        rows.iter().map(|row| row.iter().collect()).collect()
    }

    #[test]
    fn a_block_is_redrawn_in_place_and_notes_stay_above() {
        let (mut out, start) = (Vec::new(), Instant::now());
        let mut table = LiveTable::new(&mut out, Some(SIZE));
        table.draw(start, lines(&["one", "two"])).unwrap();
        table.draw(start + REDRAW, lines(&["three"])).unwrap();
        table.note("a note").unwrap();
        table.draw(start + 2 * REDRAW, lines(&["four", "five"])).unwrap();
        drop(table);
        assert_eq!(screen(&out), ["a note", "four", "five"]);
        assert!(out.ends_with(b"\x1b[?25h"), "the cursor comes back");
    }

    #[test]
    fn redraws_are_at_most_ten_a_second_and_the_last_is_not_lost() {
        let (mut out, start) = (Vec::new(), Instant::now());
        let mut table = LiveTable::new(&mut out, None);
        for ms in 0..99 {
            table.draw(start + Duration::from_millis(ms), vec![format!("row {ms}")]).unwrap();
        }
        drop(table);
        assert_eq!(String::from_utf8(out).unwrap(), "row 0\nrow 98\n");
    }

    #[test]
    fn without_a_terminal_only_changed_lines_are_written() {
        let (mut out, start) = (Vec::new(), Instant::now());
        let mut table = LiveTable::new(&mut out, None);
        table.draw(start, lines(&["a 1", "b 1"])).unwrap();
        table.note("note").unwrap();
        table.draw(start + REDRAW, lines(&["a 1", "b 2"])).unwrap();
        table.finish().unwrap();
        drop(table);
        assert_eq!(String::from_utf8(out).unwrap(), "a 1\nb 1\nnote\nb 2\n");
    }

    #[test]
    fn a_block_never_outgrows_the_terminal() {
        let (mut out, start) = (Vec::new(), Instant::now());
        let mut table = LiveTable::new(&mut out, Some(SIZE));
        table.draw(start, lines(&["0123456789abc", "2", "3", "4", "5"])).unwrap();
        drop(table);
        assert_eq!(screen(&out), ["0123456789", "2", "3"]);
    }

    #[test]
    fn what_a_narrower_terminal_has_wrapped_is_written_over_whole() {
        let (mut out, start) = (Vec::new(), Instant::now());
        let mut table = LiveTable::new(&mut out, Some(SIZE));
        table.draw(start, lines(&["12345678", "\u{1b}[31m12345\u{1b}[0m"])).unwrap();
        table.resize(Size { columns: 5, rows: 4 });
        table.draw(start + REDRAW, lines(&["a"])).unwrap();
        drop(table);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\u{1b}[3A"), "two rows of the first line, one of the second: {text:?}");
    }

    #[test]
    fn colours_take_no_room_and_do_not_leak() {
        assert_eq!(cut("\u{1b}[31mabcdef\u{1b}[0m", 3), "\u{1b}[31mabc\u{1b}[0m");
        assert_eq!(cut("\u{1b}[31mab", 3), "\u{1b}[31mab\u{1b}[0m");
    }
}
