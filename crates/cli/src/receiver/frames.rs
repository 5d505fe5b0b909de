//! HTTP/2 frame by frame, for what no server of it does. Heads are not decoded, so nothing is known of a request but that it came.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::script::{EVER, repeat};
use super::stats::End;
use super::wire::Wire;

/// What is done to every request of a connection.
#[derive(Debug)]
pub struct Speech {
    /// How the request counts.
    pub end: End,
    /// The settings that the connection begins with.
    pub settings: &'static [u8],
    /// What is sent once a request has come whole.
    pub answer: &'static [Frame],
}

/// One frame, or the same over and over.
#[derive(Debug)]
pub struct Frame {
    kind: u8,
    flags: u8,
    /// On the request's stream, or about the connection.
    is_of_stream: bool,
    payload: &'static [u8],
    times: u64,
}

/// No window for the body of any request.
pub const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];
/// An answer of 200 without a body; the status is in HPACK's own table.
pub const OK: Frame = of_stream(HEADERS, END_STREAM | END_HEADERS, &[0x88]);
/// The connection ends, and no request was looked at.
pub const GONE: Frame = of_connection(GOAWAY, &[0, 0, 0, 0, 0, 0, 0, 0]);
/// The same after the first request, which was.
pub const GONE_AFTER_FIRST: Frame = of_connection(GOAWAY, &[0, 0, 0, 1, 0, 0, 0, 0]);
/// The stream ends with INTERNAL_ERROR.
pub const RESET: Frame = of_stream(RST_STREAM, 0, &[0, 0, 0, 2]);
/// The stream ends with REFUSED_STREAM.
pub const REFUSED: Frame = of_stream(RST_STREAM, 0, &[0, 0, 0, 7]);
/// Are you there?
pub const PINGS: Frame = Frame { times: EVER, ..of_connection(PING, &[0; 8]) };

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The most that a frame may have where nothing else was agreed on.
const PAYLOAD_MAX: u32 = 16 * 1024;

const fn of_stream(kind: u8, flags: u8, payload: &'static [u8]) -> Frame {
    Frame { kind, flags, is_of_stream: true, payload, times: 1 }
}

const fn of_connection(kind: u8, payload: &'static [u8]) -> Frame {
    Frame { kind, flags: 0, is_of_stream: false, payload, times: 1 }
}

/// The head of a frame that came.
struct Came {
    kind: u8,
    flags: u8,
    stream: u32,
    length: u32,
}

/// Speaks until the client hangs up. `arrived` hears of each request when its head comes.
///
/// # Errors
/// The connection broke, or what came is not HTTP/2.
pub async fn speak(speech: &Speech, mut wire: Wire, arrived: impl Fn()) -> io::Result<()> {
    let mut preface = [0; PREFACE.len()];
    wire.read_exact(&mut preface).await?;
    if preface != *PREFACE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    say(&mut wire, SETTINGS, 0, 0, speech.settings).await?;
    loop {
        let Came { kind, flags, stream, length } = next(&mut wire).await?;
        match kind {
            HEADERS => arrived(),
            SETTINGS if flags & ACK == 0 => say(&mut wire, SETTINGS, ACK, 0, &[]).await?,
            DATA if length > 0 => {
                say(&mut wire, WINDOW_UPDATE, 0, 0, &length.to_be_bytes()).await?;
                say(&mut wire, WINDOW_UPDATE, 0, stream, &length.to_be_bytes()).await?;
            }
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            answer(speech, &mut wire, stream).await?;
        }
    }
}

async fn answer(speech: &Speech, wire: &mut Wire, stream: u32) -> io::Result<()> {
    for frame in speech.answer {
        let stream = if frame.is_of_stream { stream } else { 0 };
        repeat(wire, &bytes(frame.kind, frame.flags, stream, frame.payload), frame.times).await?;
    }
    wire.flush().await
}

async fn next(wire: &mut Wire) -> io::Result<Came> {
    let mut head = [0; 9];
    wire.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let length = u32::from_be_bytes([0, a, b, c]);
    if length > PAYLOAD_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    wire.read_exact(&mut vec![0; length as usize]).await?;
    Ok(Came { kind, flags, stream: u32::from_be_bytes(stream), length })
}

async fn say(wire: &mut Wire, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
    wire.write_all(&bytes(kind, flags, stream, payload)).await?;
    wire.flush().await
}

fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
