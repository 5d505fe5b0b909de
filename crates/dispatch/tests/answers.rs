//! What a receiver can answer, and what it counts as.

mod support;

use std::time::Duration;

use postrider_core::attempt::ErrorKind;
use postrider_core::time::Millis;
use support::*;

#[tokio::test]
async fn the_request_is_one_post_with_host_first_and_a_length() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = serve(move |mut peer| {
        let tell = tell.clone();
        async move {
            tell.send(peer.request().await.unwrap()).unwrap();
            peer.say(OK).await;
        }
    })
    .await;
    let answer = send(&dispatcher(&["loopback"]), &server.url).await;
    assert_success(&answer);
    assert_eq!(&answer.body[..], b"ok");
    assert_eq!(answer.headers_text(), [("content-length".to_owned(), "2".to_owned())]);
    let host = server.url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    assert_eq!(
        told.recv().await.unwrap(),
        format!(
            "POST /hook?token=hidden HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             authorization: hidden\r\ncontent-length: 7\r\n\r\n{{\"a\":1}}"
        )
    );
}

#[tokio::test]
async fn any_2xx_is_a_success_and_any_other_status_is_not() {
    let dispatcher = dispatcher(&["loopback"]);
    for status in [200, 201, 202, 204, 226, 299] {
        let server = answering(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
        assert_success(&send(&dispatcher, &server.url).await);
    }
    for status in [300, 304, 400, 401, 404, 410, 413, 429, 499, 500, 503, 599] {
        let server = answering(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
        let answer = send(&dispatcher, &server.url).await;
        assert_eq!(answer.exchange.status_code, Some(status));
        let message = assert_failure(&answer, ErrorKind::HttpStatus);
        assert!(message.starts_with(&format!("http_status: {status}")), "{message}");
    }
}

#[tokio::test]
async fn a_status_that_ends_no_exchange_is_an_invalid_response() {
    let dispatcher = dispatcher(&["loopback"]);
    for status in ["99", "099", "600", "999", "1000", "2x0", "-20", ""] {
        let server = answering(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
        assert_unanswered(&send(&dispatcher, &server.url).await, ErrorKind::ResponseInvalid);
    }
    let server =
        answering("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n").await;
    assert_unanswered(&send(&dispatcher, &server.url).await, ErrorKind::ResponseInvalid);
    assert_eq!(dispatcher.idle_connections(), 0);
}

#[tokio::test]
async fn informational_heads_are_skipped() {
    let server =
        answering([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", OK].concat()).await;
    let dispatcher = dispatcher(&["loopback"]);
    assert_success(&send(&dispatcher, &server.url).await);
    assert_success(&send(&dispatcher, &server.url).await);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_is_not_http_is_an_invalid_response() {
    let dispatcher = dispatcher(&["loopback"]);
    for garbage in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\0\x01\x02\x03 garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/7.3 200 OK\r\n\r\n",
        "220 mail.example.com ESMTP\r\n",
    ] {
        let server = answering(garbage).await;
        assert_unanswered(&send(&dispatcher, &server.url).await, ErrorKind::ResponseInvalid);
    }
}

#[tokio::test]
async fn a_banner_or_an_answer_before_the_request_is_taken_for_the_answer() {
    let dispatcher = dispatcher(&["loopback"]);
    for (said, success) in [("SSH-2.0-OpenSSH_9.6\r\n", false), ("HTTP/1.0 200 OK\r\n\r\nhello", true)] {
        let server = serve(move |mut peer| async move {
            peer.say(said.as_bytes()).await;
            peer.request().await;
        })
        .await;
        let answer = send(&dispatcher, &server.url).await;
        if success {
            assert_success(&answer);
            assert_eq!(&answer.body[..], b"hello");
        } else {
            assert_unanswered(&answer, ErrorKind::ResponseInvalid);
        }
    }
}

#[tokio::test]
async fn a_head_may_have_64_kib_and_100_fields() {
    let dispatcher = dispatcher(&["loopback"]);
    let head = |fields: usize, bytes: usize| {
        let lines: String = (0..fields).map(|n| format!("x-{n}: {}\r\n", "v".repeat(bytes / fields))).collect();
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{lines}\r\n")
    };
    for (fields, bytes, fits) in [(99, 1_000, true), (100, 1_000, false), (10, 60_000, true), (10, 66_000, false)] {
        let server = answering(head(fields, bytes)).await;
        let answer = send(&dispatcher, &server.url).await;
        if fits {
            assert_success(&answer);
        } else {
            let message = assert_unanswered(&answer, ErrorKind::ResponseInvalid);
            assert!(message.contains("64 KiB or 100 fields"), "{message}");
        }
    }
    let endless = serve(|mut peer| async move {
        peer.request().await;
        peer.say(b"HTTP/1.1 200 OK\r\nx: ").await;
        while peer.say(&[b'v'; 4096]).await {}
    })
    .await;
    assert_unanswered(&send(&dispatcher, &endless.url).await, ErrorKind::ResponseInvalid);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_nobody_follows_it() {
    let elsewhere = answering(OK).await;
    let server = answering(format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url)).await;
    let answer = send(&dispatcher(&["loopback"]), &server.url).await;
    assert_eq!(answer.exchange.status_code, Some(307));
    assert!(assert_failure(&answer, ErrorKind::HttpStatus).contains("redirects are not followed"));
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_2xx_head_is_a_success_whatever_its_body_does() {
    let dispatcher = dispatcher(&["loopback"]);
    for head_and_body in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut off",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nnot gzip",
    ] {
        let server = serve(move |mut peer| async move {
            peer.request().await;
            peer.say(head_and_body.as_bytes()).await;
        })
        .await;
        assert_success(&send(&dispatcher, &server.url).await);
        assert_eq!(dispatcher.idle_connections(), 0, "{head_and_body}");
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_off_and_its_connection_closed() {
    let (closed, mut was_closed) = tokio::sync::mpsc::unbounded_channel();
    let server = serve(move |mut peer| {
        let closed = closed.clone();
        async move {
            peer.request().await;
            peer.say(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while peer.say(&[b'x'; 4096]).await {}
            closed.send(()).unwrap();
        }
    })
    .await;
    let dispatcher = dispatcher(&["loopback"]);
    let answer = send(&dispatcher, &server.url).await;
    assert_success(&answer);
    assert_eq!(answer.body, vec![b'x'; 4096]);
    was_closed.recv().await.unwrap();
    assert_eq!(dispatcher.idle_connections(), 0);
}

#[tokio::test]
async fn a_body_that_drips_past_the_deadline_ends_there_with_what_came() {
    for (status, kind) in [(200, None), (500, Some(ErrorKind::HttpStatus))] {
        let server = serve(move |mut peer| async move {
            peer.request().await;
            peer.say(format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\npart").as_bytes()).await;
            peer.until_closed().await;
        })
        .await;
        let answer = send_within(&dispatcher(&["loopback"]), &server.url, Duration::from_millis(300)).await;
        assert_eq!(answer.exchange.failure.as_ref().map(|failure| failure.kind), kind);
        assert_eq!(answer.exchange.status_code, Some(status));
        assert_eq!(&answer.body[..], b"part");
        assert!((300..2_000).contains(&answer.exchange.duration.0), "{:?}", answer.exchange.duration);
    }
}

#[tokio::test]
async fn the_excerpt_of_a_failure_is_kept() {
    let body = "e".repeat(5_000);
    let server = answering(format!("HTTP/1.1 500 X\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    let dispatcher = dispatcher(&["loopback"]);
    let answer = send(&dispatcher, &server.url).await;
    assert_eq!(answer.body, body.as_bytes()[..4_096]);
    assert_eq!(dispatcher.idle_connections(), 1);
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_or_as_a_date() {
    let dispatcher = dispatcher(&["loopback"]);
    // The date is two minutes after NOW; the attempt itself takes some of them.
    for (status, value, low, high) in [
        (429, "120", Some(120_000), 120_000),
        (503, "0", Some(0), 0),
        (429, " 7 ", Some(7_000), 7_000),
        (503, "Thu, 19 Feb 2026 10:32:00 GMT", Some(110_000), 120_000),
        (429, "Thursday, 19-Feb-26 10:32:00 GMT", Some(110_000), 120_000),
        (429, "Thu Feb 19 10:32:00 2026", Some(110_000), 120_000),
        (429, "Thu, 19 Feb 2026 10:29:00 GMT", Some(0), 0),
        (429, "99999999999999999999999", Some(u64::MAX), u64::MAX),
        (429, "soon", None, 0),
        (429, "-1", None, 0),
        (429, "1.5", None, 0),
        (429, "", None, 0),
        (500, "120", None, 0),
        (200, "120", None, 0),
    ] {
        let server =
            answering(format!("HTTP/1.1 {status} X\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n")).await;
        match (send(&dispatcher, &server.url).await.exchange.retry_after, low) {
            (Some(Millis(span)), Some(low)) => assert!((low..=high).contains(&span), "{value}: {span}"),
            (None, None) => {}
            (got, _) => panic!("{status} {value}: {got:?}"),
        }
    }
}
