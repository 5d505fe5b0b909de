//! What no HTTP server would do, as a list of steps on the wire. A script ends with its last step, which closes the connection
//! unless it is [`Step::Serve`], or when the client hangs up.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::wire::Wire;

/// One thing to do.
#[derive(Debug)]
pub enum Step {
    /// Write these bytes.
    Say(&'static [u8]),
    /// Write them so many times.
    Repeat(&'static [u8], u64),
    /// Write a field with this number in its name, for each number below the bound.
    Fields(u32, &'static [u8]),
    /// Write them one byte at a time, with a pause of so many milliseconds after each.
    Drip(&'static [u8], u64),
    /// The same, over and over.
    DripOn(&'static [u8], u64),
    /// Wait so many milliseconds.
    Pause(u64),
    /// Read one byte.
    ReadOne,
    /// Read what comes first.
    ReadSome,
    /// Read until the client hangs up.
    Listen,
    /// Neither read nor write. Ends by itself after `DEAF_FOR`, since a client that hangs up is not noticed.
    Deaf,
    /// Close with a reset.
    Reset,
    /// Go on as an HTTP server.
    Serve,
}

/// For as long as the client reads.
pub const EVER: u64 = u64::MAX;
/// Longer than any attempt may take.
const DEAF_FOR: Duration = Duration::from_secs(120);

/// Does the steps. The connection comes back where it is to be served on.
///
/// # Errors
/// The client hung up, or the connection broke.
pub async fn play(steps: &[Step], mut stream: Wire) -> io::Result<Option<Wire>> {
    for step in steps {
        match step {
            Step::Say(bytes) => say(&mut stream, bytes).await?,
            Step::Repeat(bytes, times) => repeat(&mut stream, bytes, *times).await?,
            Step::Fields(count, value) => fields(&mut stream, *count, value).await?,
            Step::Drip(bytes, pause_ms) => drip(&mut stream, bytes, *pause_ms).await?,
            Step::DripOn(bytes, pause_ms) => loop {
                drip(&mut stream, bytes, *pause_ms).await?;
            },
            Step::Pause(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::ReadOne => drop(stream.read_u8().await?),
            Step::ReadSome => drop(stream.read(&mut [0; 4096]).await?),
            Step::Listen => while stream.read(&mut [0; 4096]).await? > 0 {},
            Step::Deaf => tokio::time::sleep(DEAF_FOR).await,
            Step::Reset => stream.reset_at_close()?,
            Step::Serve => return Ok(Some(stream)),
        }
    }
    Ok(None)
}

/// A session keeps what it could not write at once, until it is flushed.
async fn say(stream: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Written at once of what is made of small parts, so that these do not cost a system call each.
const PIECE: usize = 8 * 1024;

/// In pieces.
pub async fn repeat(stream: &mut Wire, bytes: &[u8], times: u64) -> io::Result<()> {
    let at_once = (PIECE / bytes.len()).max(1) as u64;
    let piece = bytes.repeat(at_once as usize);
    for _ in 0..times / at_once {
        stream.write_all(&piece).await?;
    }
    say(stream, &bytes.repeat((times % at_once) as usize)).await
}

async fn fields(stream: &mut Wire, count: u32, value: &[u8]) -> io::Result<()> {
    let mut piece = Vec::with_capacity(PIECE);
    for number in 0..count {
        piece.extend_from_slice(format!("X-Field-{number}: ").as_bytes());
        piece.extend_from_slice(value);
        piece.extend_from_slice(b"\r\n");
        if piece.len() >= PIECE {
            stream.write_all(&piece).await?;
            piece.clear();
        }
    }
    say(stream, &piece).await
}

async fn drip(stream: &mut Wire, bytes: &[u8], pause_ms: u64) -> io::Result<()> {
    for byte in bytes {
        say(stream, &[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    Ok(())
}
