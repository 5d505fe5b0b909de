//! Answers that no HTTP server would give, on the bare socket, after the request has been read. Each ends when it is
//! done or when the client hangs up.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Behaviour;

/// Between two bytes of a dripping head.
const DRIP: Duration = Duration::from_millis(100);
/// 64 lines of 16 KiB: below common limits on the number of headers, far above those on their bytes.
const HUGE_LINES: usize = 64;
const HUGE_LINE: usize = 16 * 1024;

/// # Errors
/// The client hung up, or the connection broke.
pub async fn misbehave(behaviour: Behaviour, stream: TcpStream) -> io::Result<()> {
    match behaviour {
        Behaviour::Reset => stream.set_zero_linger(),
        Behaviour::DripHead => drip(stream).await,
        Behaviour::EndlessBody => endless(stream).await,
        Behaviour::Garbage => garbage(stream).await,
        Behaviour::HugeHead => huge(stream).await,
        // These are answered in HTTP and never come here.
        Behaviour::Ok | Behaviour::Silent | Behaviour::Redirect | Behaviour::Gone | Behaviour::Busy => Ok(()),
    }
}

async fn drip(mut stream: TcpStream) -> io::Result<()> {
    let start = b"HTTP/1.1 200 OK\r\nX-Drip: ";
    for byte in start.iter().copied().chain(std::iter::repeat(b'a')) {
        stream.write_all(&[byte]).await?;
        tokio::time::sleep(DRIP).await;
    }
    Ok(())
}

async fn endless(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let mut chunk = b"2000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x2000, b'x');
    chunk.extend_from_slice(b"\r\n");
    loop {
        stream.write_all(&chunk).await?;
    }
}

async fn garbage(mut stream: TcpStream) -> io::Result<()> {
    let mut bytes = b"\x00\xffnot HTTP at all\r\n\r\n".to_vec();
    bytes.extend((0..=255_u8).rev());
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

async fn huge(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").await?;
    for number in 0..HUGE_LINES {
        let mut line = format!("X-Huge-{number}: ").into_bytes();
        line.resize(HUGE_LINE - 2, b'a');
        line.extend_from_slice(b"\r\n");
        stream.write_all(&line).await?;
    }
    stream.write_all(b"\r\nok").await?;
    stream.shutdown().await
}
