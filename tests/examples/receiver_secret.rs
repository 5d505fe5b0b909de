//! A receiver that checks a secret in a header. It stands in docs/receivers.md as it stands here.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing::post};
use subtle::ConstantTimeEq;

struct Receiver {
    header: String,
    secret: String,
    seen: Mutex<HashSet<String>>,
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let given = |name: &str| headers.get(name).map_or(&b""[..], |value| value.as_bytes());
    if !bool::from(given(&receiver.header).ct_eq(receiver.secret.as_bytes())) {
        return StatusCode::UNAUTHORIZED;
    }
    let event = String::from_utf8_lossy(given("postrider-event-id")).into_owned();
    if receiver.seen.lock().expect("nobody panics with it").insert(event.clone()) {
        println!("got {event} {}", String::from_utf8_lossy(&body));
    }
    StatusCode::NO_CONTENT
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (header, secret) = (std::env::var("HEADER")?, std::env::var("SECRET")?);
    let receiver = Arc::new(Receiver { header, secret, seen: Mutex::default() });
    let port = std::env::var("PORT").unwrap_or("3000".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, Router::new().route("/", post(receive)).with_state(receiver)).await?)
}
