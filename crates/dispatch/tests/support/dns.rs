//! A name server on loopback that says what a test wants, over UDP and TCP. Written from RFC 1035 alone: it shares no code with the
//! resolver that asks it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// What to say to a question.
#[derive(Clone, Debug)]
pub enum Say {
    /// These addresses, those of the family that was asked for, with a time to live in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// This response code and no record.
    Code(u8),
    Nothing,
}

pub const NO_ERROR: u8 = 0;
pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;
pub const REFUSED: u8 = 5;

/// One question.
pub struct Question {
    /// As asked, in lower case, without the root's dot.
    pub name: String,
    /// Whether it is for IPv6.
    pub is_v6: bool,
}

/// A running name server.
pub struct Dns {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Dns {
    /// Questions so far, of both families.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub async fn answering(say: impl Fn(&Question) -> Say + Send + Sync + 'static) -> Dns {
        // A port that is free for one protocol may be in use for the other.
        let (udp, tcp, address) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
            let address = udp.local_addr().expect("it is bound");
            if let Ok(tcp) = TcpListener::bind(address).await {
                break (udp, tcp, address);
            }
        };
        let (asked, say) = (Arc::new(AtomicUsize::new(0)), Arc::new(say));
        let (count, answer) = (Arc::clone(&asked), Arc::clone(&say));
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::SeqCst);
                if let Some(mut message) = reply(&buffer[..length], &*answer) {
                    if message.len() > 512 {
                        // Cut off: the header and the question, and the flag that says so.
                        message.truncate(length_of_question(&buffer[..length]));
                        message[2] |= 2;
                        message[6..8].fill(0);
                    }
                    let _ = udp.send_to(&message, from).await;
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let say = Arc::clone(&say);
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut question = vec![0; length.into()];
                        if stream.read_exact(&mut question).await.is_err() {
                            return;
                        }
                        if let Some(message) = reply(&question, &*say) {
                            let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
                            let _ = stream.write_all(&framed).await;
                        }
                    }
                });
            }
        });
        Dns { address, asked }
    }
}

/// Up to the end of the one question, without what follows it.
fn length_of_question(query: &[u8]) -> usize {
    let mut at = 12;
    while query[at] != 0 {
        at += 1 + usize::from(query[at]);
    }
    at + 5
}

fn reply(query: &[u8], say: &(impl Fn(&Question) -> Say + ?Sized)) -> Option<Vec<u8>> {
    let end = length_of_question(query);
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).to_lowercase());
        at += 1 + length;
    }
    let is_v6 = query[end - 3] == 28;
    let (code, addresses, ttl) = match say(&Question { name: labels.join("."), is_v6 }) {
        Say::Nothing => return None,
        Say::Code(code) => (code, Vec::new(), 0),
        Say::Addresses(addresses, ttl) => (NO_ERROR, addresses, ttl),
    };
    let records: Vec<_> = addresses.into_iter().filter(|address| address.is_ipv6() == is_v6).collect();
    let mut message = query[..end].to_vec();
    // An answer, recursion available; one question, the records, nothing else.
    (message[2], message[3]) = (0x81, 0x80 | code);
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    message[8..12].fill(0);
    for record in records {
        let bytes = match record {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        // The question's name by reference, its type and class.
        message.extend_from_slice(&[0xc0, 12]);
        message.extend_from_slice(&query[end - 4..end]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        message.extend_from_slice(&bytes);
    }
    Some(message)
}
