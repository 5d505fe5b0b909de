//! What no HTTP server would do, as a list of steps on the bare socket. A script ends with its last step, which closes the connection
//! unless it is [`Step::Serve`], or when the client hangs up.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One thing to do.
#[derive(Debug)]
pub enum Step {
    /// Write these bytes.
    Say(&'static [u8]),
    /// Write them so many times.
    Repeat(&'static [u8], u64),
    /// Write a field with this number in its name, for each number below the bound.
    Fields(u32, &'static [u8]),
    /// Write them one byte at a time, with a pause after each.
    Drip(&'static [u8]),
    /// The same, over and over.
    DripOn(&'static [u8]),
    /// Wait so many milliseconds.
    Pause(u64),
    /// Read one byte.
    ReadOne,
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
/// Between two bytes that drip.
const DRIP: Duration = Duration::from_millis(100);
/// Longer than any attempt may take.
const DEAF_FOR: Duration = Duration::from_secs(120);

/// Does the steps. The connection comes back where it is to be served on.
///
/// # Errors
/// The client hung up, or the connection broke.
pub async fn play(steps: &[Step], mut stream: TcpStream) -> io::Result<Option<TcpStream>> {
    for step in steps {
        match step {
            Step::Say(bytes) => stream.write_all(bytes).await?,
            Step::Repeat(bytes, times) => repeat(&mut stream, bytes, *times).await?,
            Step::Fields(count, value) => fields(&mut stream, *count, value).await?,
            Step::Drip(bytes) => drip(&mut stream, bytes).await?,
            Step::DripOn(bytes) => loop {
                drip(&mut stream, bytes).await?;
            },
            Step::Pause(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::ReadOne => drop(stream.read_u8().await?),
            Step::Listen => while stream.read(&mut [0; 4096]).await? > 0 {},
            Step::Deaf => tokio::time::sleep(DEAF_FOR).await,
            Step::Reset => stream.set_zero_linger()?,
            Step::Serve => return Ok(Some(stream)),
        }
    }
    Ok(None)
}

/// In pieces of about 8 KiB, so that small patterns do not cost a system call each.
async fn repeat(stream: &mut TcpStream, bytes: &[u8], times: u64) -> io::Result<()> {
    let at_once = (8 * 1024 / bytes.len()).max(1) as u64;
    let piece = bytes.repeat(at_once as usize);
    for _ in 0..times / at_once {
        stream.write_all(&piece).await?;
    }
    stream.write_all(&bytes.repeat((times % at_once) as usize)).await
}

async fn fields(stream: &mut TcpStream, count: u32, value: &[u8]) -> io::Result<()> {
    for number in 0..count {
        let line = [format!("X-Field-{number}: ").as_bytes(), value, b"\r\n"].concat();
        stream.write_all(&line).await?;
    }
    Ok(())
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(DRIP).await;
    }
    Ok(())
}
