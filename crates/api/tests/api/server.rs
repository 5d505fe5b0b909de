//! The server on a real socket.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::{World, options};

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer, then the end");
    text
}

#[allow(clippy::disallowed_methods, reason = "a client of the server under test")]
#[tokio::test]
async fn a_client_that_sends_too_much_reads_why_and_a_shutdown_lets_what_has_begun_end() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(postrider_api::serve(listener, world.handle(), options(), async {
        let _ = stopped.await;
    }));

    let head = |length: usize| {
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        )
    };
    let mut large = TcpStream::connect(address).await.expect("connected");
    large.write_all(head(17 << 20).as_bytes()).await.expect("sent");
    large.write_all(&vec![b' '; 17 << 20]).await.expect("the server reads it away");
    assert!(read_all(large).await.starts_with("HTTP/1.1 413 "));

    let body = br#"{"type":"POST_LIKED","data":{}}"#;
    let mut begun = TcpStream::connect(address).await.expect("connected");
    begun.write_all(head(body.len()).as_bytes()).await.expect("sent");
    begun.write_all(&body[..5]).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.send(()).expect("the server runs");
    begun.write_all(&body[5..]).await.expect("sent");
    assert!(read_all(begun).await.starts_with("HTTP/1.1 202 "));
    tokio::time::timeout(Duration::from_secs(5), server).await.expect("in time").expect("no panic");
    assert!(TcpStream::connect(address).await.is_err());
}
