//! Cuts the input into batches, a bounded part of it in memory at a time.
//!
//! From a file a batch is as full as it may be. From a pipe a batch also ends when nothing more is there to read and
//! the sender is idle, so that events go out as they come. Blank lines are skipped; line numbers count them.

use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::limits::BATCH_BYTES_MAX;

const READ_BUFFER: usize = 256 * 1024;

/// Whole lines, each with its line feed.
#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    /// The number of each line in the input, from 1.
    pub lines: Vec<u64>,
    /// Every line has an `id`, or is not an event that could be accepted.
    pub all_have_ids: bool,
    /// Input bytes read when this batch was cut: at most one line beyond its end.
    pub read: u64,
}

impl Batch {
    /// `lines 1-500`, for messages.
    pub fn span(&self) -> String {
        match (self.lines.first(), self.lines.last()) {
            (Some(first), Some(last)) if first != last => format!("lines {first}-{last}"),
            (Some(first), _) => format!("line {first}"),
            _ => "no lines".to_owned(),
        }
    }
}

/// What the input consists of.
#[derive(Debug)]
pub enum Piece {
    Batch(Batch),
    /// A line that no batch may hold; skipped.
    TooLong {
        line: u64,
    },
}

/// Reads on a thread of its own, one batch ahead. The thread may outlive its use, blocked on stdin, until the process
/// ends.
pub fn read_on_thread(
    input: impl Read + Send + 'static,
    lines_max: usize,
    bytes_max: usize,
    eager: bool,
) -> mpsc::Receiver<io::Result<Piece>> {
    let (sender, pieces) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut batcher = Batcher::new(input, lines_max, bytes_max);
        while let Some(piece) = batcher.next(|| eager && sender.capacity() > 0).transpose() {
            let last = piece.is_err();
            if sender.blocking_send(piece).is_err() || last {
                return;
            }
        }
    });
    pieces
}

struct Batcher<R> {
    input: BufReader<R>,
    lines_max: usize,
    bytes_max: usize,
    line_number: u64,
    read: u64,
    /// A line already read that did not fit the last batch, or the report of one too long.
    carried: Option<Line>,
}

struct Line {
    number: u64,
    /// None: too long.
    bytes: Option<Vec<u8>>,
}

impl<R: Read> Batcher<R> {
    fn new(input: R, lines_max: usize, bytes_max: usize) -> Self {
        let input = BufReader::with_capacity(READ_BUFFER, input);
        Self { input, lines_max, bytes_max, line_number: 0, read: 0, carried: None }
    }

    /// The next piece; `early` says whether a batch may end before it is full because more would have to be waited for.
    fn next(&mut self, early: impl Fn() -> bool) -> io::Result<Option<Piece>> {
        let mut batch = Batch { all_have_ids: true, ..Batch::default() };
        while batch.lines.len() < self.lines_max {
            if !batch.lines.is_empty() && self.carried.is_none() && self.input.buffer().is_empty() && early() {
                break;
            }
            let Some(line) = self.line()? else { break };
            let Some(bytes) = &line.bytes else {
                if batch.lines.is_empty() {
                    return Ok(Some(Piece::TooLong { line: line.number }));
                }
                self.carried = Some(line);
                break;
            };
            if !batch.lines.is_empty() && batch.bytes.len() + bytes.len() > self.bytes_max {
                self.carried = Some(line);
                break;
            }
            batch.all_have_ids &= has_id(bytes);
            batch.bytes.extend_from_slice(bytes);
            batch.lines.push(line.number);
        }
        batch.read = self.read;
        Ok((!batch.lines.is_empty()).then_some(Piece::Batch(batch)))
    }

    /// The next line that is not blank, ending in one line feed.
    fn line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.carried.take() {
            return Ok(Some(line));
        }
        loop {
            let mut bytes = Vec::new();
            let (length, fits) = self.raw_line(&mut bytes)?;
            if length == 0 {
                return Ok(None);
            }
            self.line_number += 1;
            self.read += length;
            let number = self.line_number;
            if !fits {
                return Ok(Some(Line { number, bytes: None }));
            }
            let end = bytes.trim_ascii_end().len();
            if end > 0 {
                bytes.truncate(end);
                bytes.push(b'\n');
                return Ok(Some(Line { number, bytes: Some(bytes) }));
            }
        }
    }

    /// Reads through the next line feed: its length (0: the input has ended), and whether it may be sent. What is
    /// longer than a batch is passed over, not held.
    fn raw_line(&mut self, line: &mut Vec<u8>) -> io::Result<(u64, bool)> {
        let mut length = 0;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let feed = available.iter().position(|byte| *byte == b'\n');
            let taken = feed.map_or(available.len(), |at| at + 1);
            if line.len() + taken <= BATCH_BYTES_MAX {
                line.extend_from_slice(&available[..taken]);
            }
            length += taken as u64;
            self.input.consume(taken);
            if feed.is_some() || taken == 0 {
                return Ok((length, length < BATCH_BYTES_MAX as u64));
            }
        }
    }
}

/// Whether sending this line twice accepts it once at most. What does not parse is refused each time.
fn has_id(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    serde_json::from_slice::<Event<'_>>(line).map_or(true, |event| event.id.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(input: &[u8], lines_max: usize, bytes_max: usize) -> Vec<Piece> {
        let mut batcher = Batcher::new(input, lines_max, bytes_max);
        std::iter::from_fn(|| batcher.next(|| false).unwrap()).collect()
    }

    fn lines(pieces: &[Piece]) -> Vec<Vec<u64>> {
        let of = |piece: &Piece| match piece {
            Piece::Batch(batch) => batch.lines.clone(),
            Piece::TooLong { line } => vec![*line; 2],
        };
        pieces.iter().map(of).collect()
    }

    #[test]
    fn batches_are_cut_by_lines_and_by_bytes() {
        let input = b"{1}\n\n{2}\r\n  \n{3}\n{4}";
        assert_eq!(lines(&pieces(input, 2, 1_000)), [[1, 3], [5, 6]]);
        assert_eq!(lines(&pieces(input, 9, 8)), [[1, 3], [5, 6]]);
        assert_eq!(lines(&pieces(input, 9, 1)), [[1], [3], [5], [6]]);
        assert!(pieces(b"\n \n", 9, 9).is_empty());
    }

    #[test]
    fn every_line_ends_in_one_line_feed_and_all_input_is_counted() {
        let Some(Piece::Batch(batch)) = pieces(b"{1}\r\n{2}", 9, 1_000).pop() else { panic!("no batch") };
        assert_eq!((batch.bytes.as_slice(), batch.read), (b"{1}\n{2}\n".as_slice(), 8));
    }

    #[test]
    fn a_line_too_long_is_passed_over_in_its_place() {
        let mut input = b"{1}\n".to_vec();
        input.resize(input.len() + BATCH_BYTES_MAX + 1, b'x');
        input.extend_from_slice(b"\n{3}\n");
        assert_eq!(lines(&pieces(&input, 9, 1_000)), [vec![1], vec![2, 2], vec![3]]);
    }

    #[test]
    fn a_pipe_that_runs_dry_ends_a_batch() {
        let mut batcher = Batcher::new(b"{1}\n".chain(b"{2}\n".as_slice()), 9, 1_000);
        let Ok(Some(Piece::Batch(batch))) = batcher.next(|| true) else { panic!("no batch") };
        assert_eq!(batch.lines, [1]);
    }

    #[test]
    fn a_missing_id_is_noticed() {
        assert!(has_id(br#"{"id":"a","type":"t","data":{}}"#) && has_id(b"not json"));
        assert!(!has_id(br#"{"type":"t"}"#) && !has_id(br#"{"id":null}"#));
    }
}
