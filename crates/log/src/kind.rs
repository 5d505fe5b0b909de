//! Which of the logs on disk a data folder holds. Its `HEAD` says so, whatever is configured: a log is never opened as the other kind.

use crate::journal::OpenError;
use crate::sled_log;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;

/// A log on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogKind {
    /// Segment files: see [`journal`](crate::journal).
    #[default]
    Journal,
    /// All of it in one sled database: see [`sled_log`](crate::sled_log).
    Sled,
}

impl LogKind {
    /// The kind of the log in the data folder `data`; `None` when there is none, or something that is neither.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn of(data: &Path) -> io::Result<Option<LogKind>> {
        let file = match File::open(data.join("log").join("HEAD")) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            file => file?,
        };
        let begins = |offset, magic: &[u8; 8]| -> io::Result<bool> {
            let mut bytes = [0; 8];
            match file.read_exact_at(&mut bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
                read => read.map(|()| bytes == *magic),
            }
        };
        if begins(0, &crate::journal::HEAD_MAGIC)? {
            return Ok(Some(LogKind::Journal));
        }
        for slot in sled_log::HEAD_SLOTS {
            if begins(slot, &sled_log::HEAD_MAGIC)? {
                return Ok(Some(LogKind::Sled));
            }
        }
        Ok(None)
    }

    /// The kind of the log that is to be opened in `data`: the one that is there, else the one that was asked for, else a journal.
    ///
    /// # Errors
    /// When the one that is there is not the one that was asked for.
    pub fn choose(data: &Path, asked: Option<LogKind>) -> Result<LogKind, OpenError> {
        match (LogKind::of(data)?, asked) {
            (Some(found), Some(asked)) if found != asked => {
                Err(OpenError::OtherKind { folder: data.display().to_string(), found, asked })
            }
            (found, asked) => Ok(found.or(asked).unwrap_or_default()),
        }
    }

    /// Space that lets one more block be written when there is none left: see [`reserve`](crate::LogWriter::reserve).
    pub fn room_bytes(self, segment_bytes: u32) -> u64 {
        match self {
            LogKind::Journal => segment_bytes.into(),
            LogKind::Sled => sled_log::ROOM_MAX,
        }
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogKind::Journal => "journal",
            LogKind::Sled => "sled",
        })
    }
}

impl FromStr for LogKind {
    type Err = String;

    fn from_str(text: &str) -> Result<LogKind, String> {
        match text {
            "journal" => Ok(LogKind::Journal),
            "sled" => Ok(LogKind::Sled),
            _ => Err(format!("`{text}` is no log: journal or sled")),
        }
    }
}
