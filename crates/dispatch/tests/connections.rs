//! Reuse without a hidden resend, the deadline, the gate.

mod support;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

use postrider_core::attempt::ErrorKind;
use postrider_dispatch::Dispatched;
use support::*;
use tokio::net::TcpListener;

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let dispatcher = dispatcher(&["loopback"]);
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n3\r\nerr\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
    ] {
        let server = answering(answer).await;
        for _ in 0..20 {
            assert!(send(&dispatcher, &server.url).await.exchange.status_code.is_some());
        }
        assert_eq!((server.connections(), server.requests()), (1, 20), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_is_to_be_closed_is_not_kept() {
    let dispatcher = dispatcher(&["loopback"]);
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let server = answering(answer).await;
        for _ in 0..3 {
            assert_success(&send(&dispatcher, &server.url).await);
        }
        assert_eq!((server.connections(), dispatcher.idle_connections()), (3, 0), "{answer}");
    }
}

#[tokio::test]
async fn concurrent_requests_have_a_connection_each_and_leave_them_to_the_next() {
    let server = answering(OK).await;
    let dispatcher = dispatcher(&["loopback"]);
    for _ in 0..2 {
        let (a, b, c) = tokio::join!(
            send(&dispatcher, &server.url),
            send(&dispatcher, &server.url),
            send(&dispatcher, &server.url)
        );
        [a, b, c].iter().for_each(assert_success);
    }
    assert_eq!((server.connections(), server.requests(), dispatcher.idle_connections()), (3, 6, 3));
}

#[tokio::test]
async fn origins_do_not_share_connections() {
    let server = answering(OK).await;
    let dispatcher = dispatcher(&["loopback"]);
    let by_name = server.url.replace("127.0.0.1", "localhost");
    for url in [&server.url, &by_name, &server.url, &by_name] {
        assert_success(&send(&dispatcher, url).await);
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_or_has_stray_bytes_is_replaced_before_anything_is_sent() {
    for stray in ["", "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", "x"] {
        let (done, mut was_done) = tokio::sync::mpsc::unbounded_channel();
        let server = serve(move |mut peer| {
            let done = done.clone();
            async move {
                peer.request().await;
                peer.say(OK).await;
                if peer.number == 1 {
                    // The second write is an answer to nothing.
                    tokio::task::yield_now().await;
                    peer.say(stray.as_bytes()).await;
                }
                drop(peer);
                done.send(()).unwrap();
            }
        })
        .await;
        let dispatcher = dispatcher(&["loopback"]);
        assert_success(&send(&dispatcher, &server.url).await);
        was_done.recv().await.unwrap();
        assert_success(&send(&dispatcher, &server.url).await);
        assert_eq!((server.connections(), server.requests()), (2, 2), "{stray:?}");
    }
}

#[tokio::test]
async fn stray_bytes_with_the_answer_itself_close_the_connection() {
    let server = answering([OK, b"HTTP/1.1 200 OK\r\n"].concat()).await;
    let dispatcher = dispatcher(&["loopback"]);
    assert_success(&send(&dispatcher, &server.url).await);
    assert_eq!(dispatcher.idle_connections(), 0);
}

#[tokio::test]
async fn the_sweep_closes_what_the_receiver_closed() {
    let server = serve(|mut peer| async move {
        peer.request().await;
        peer.say(OK).await;
    })
    .await;
    let dispatcher = dispatcher(&["loopback"]);
    assert_success(&send(&dispatcher, &server.url).await);
    // The sweep comes at most once a second.
    let until = Instant::now() + PATIENT;
    while dispatcher.idle_connections() > 0 {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
        dispatcher.close_idle();
    }
}

#[tokio::test]
async fn a_connection_that_was_idle_too_long_or_is_too_old_is_not_used_again() {
    for (idle, times, connections) in [(54, 5, 1), (56, 1, 2), (50, 6, 2)] {
        let server = answering(OK).await;
        let dispatcher = dispatcher(&["loopback"]);
        assert_success(&send(&dispatcher, &server.url).await);
        for _ in 0..times {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(idle)).await;
            tokio::time::resume();
            assert_success(&send(&dispatcher, &server.url).await);
        }
        assert_eq!(server.connections(), connections, "{times} times {idle} s");
    }
}

#[tokio::test]
async fn many_attempts_in_one_task_all_end_and_the_next_as_many_have_their_connections() {
    let server = answering(OK).await;
    let dispatcher = dispatcher(&["loopback"]);
    for round in 1..=2 {
        // More of them than one turn of a task may do before tokio holds back its I/O.
        let mut attempts: Vec<_> = (0..100).map(|_| Box::pin(send(&dispatcher, &server.url))).collect();
        poll_fn(|cx| {
            attempts.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
                Poll::Ready(answer) => {
                    assert_success(&answer);
                    false
                }
                Poll::Pending => true,
            });
            if attempts.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!((server.requests(), server.connections()), (round * 100, 100));
    }
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let server = answering(OK).await;
    let dispatcher = dispatcher(&["loopback"]);
    let target = target(&server.url);
    for _ in 0..2 {
        let mut request = request(&target, PATIENT);
        request.body = vec![b'x'; 1024 * 1024].into();
        let Dispatched::Done(answer) = dispatcher.attempt(request, || true).await else { panic!("withdrawn") };
        assert_success(&answer);
    }
    assert_eq!((server.connections(), server.requests()), (1, 2));
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_never_sent_again() {
    // On a new connection, and on one that served before.
    for served_before in [0, 1] {
        let server = serve(move |mut peer| async move {
            for _ in 0..served_before {
                peer.request().await;
                peer.say(OK).await;
            }
            peer.request().await;
        })
        .await;
        let dispatcher = dispatcher(&["loopback"]);
        for _ in 0..served_before {
            assert_success(&send(&dispatcher, &server.url).await);
        }
        assert_unanswered(&send(&dispatcher, &server.url).await, ErrorKind::Reset);
        assert_eq!((server.connections(), server.requests()), (1, served_before + 1));
    }
}

#[tokio::test]
async fn a_close_that_races_the_next_request_makes_a_success_or_a_reset_but_never_two_requests() {
    let server = serve(|mut peer| async move {
        for _ in 0..2 {
            peer.request().await;
            peer.say(OK).await;
        }
        for _ in 0..peer.number % 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let dispatcher = dispatcher(&["loopback"]);
    let mut succeeded = 0;
    for attempt in 0..1000 {
        let answer = send(&dispatcher, &server.url).await;
        if answer.exchange.failure.is_some() {
            assert_unanswered(&answer, ErrorKind::Reset);
        } else {
            succeeded += 1;
        }
        for _ in 0..attempt % 5 {
            tokio::task::yield_now().await;
        }
    }
    assert!((succeeded..=1000).contains(&server.requests()), "{succeeded} of {}", server.requests());
}

#[tokio::test]
async fn a_half_head_is_a_reset_and_so_is_a_close_on_accept() {
    let dispatcher = dispatcher(&["loopback"]);
    for said in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nconte"] {
        let server = serve(move |mut peer| async move {
            peer.request().await;
            peer.say(said.as_bytes()).await;
        })
        .await;
        assert_unanswered(&send(&dispatcher, &server.url).await, ErrorKind::Reset);
    }
    let server = serve(|peer| async move { drop(peer) }).await;
    assert_unanswered(&send(&dispatcher, &server.url).await, ErrorKind::Reset);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_deadline_holds_for_silence_and_for_a_dripping_head() {
    let dispatcher = dispatcher(&["loopback"]);
    let silent = serve(|mut peer| async move { peer.until_closed().await }).await;
    let dripping = serve(|mut peer| async move {
        peer.say(b"HTTP/1.1 200 OK\r\nx: ").await;
        while peer.say(b"v").await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unaccepted = format!("http://{}/", listener.local_addr().unwrap());
    let early = serve(|mut peer| async move {
        while peer.say(b"HTTP/1.1 103 Early Hints\r\n\r\n").await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for url in [&silent.url, &dripping.url, &early.url, &unaccepted] {
        let answer = send_within(&dispatcher, url, SHORT).await;
        let message = assert_unanswered(&answer, ErrorKind::Timeout);
        assert_eq!(message, "timeout: no complete answer within 0.3 s; answer 2xx first and process afterwards");
        assert!((300..2_000).contains(&answer.exchange.duration.0), "{:?}", answer.exchange.duration);
    }
    drop(listener);
    assert_eq!(dispatcher.idle_connections(), 0);
}

#[tokio::test]
async fn tls_that_never_begins_ends_at_the_deadline() {
    let silent = serve(|mut peer| async move { peer.until_closed().await }).await;
    let url = silent.url.replace("http:", "https:");
    assert_unanswered(&send_within(&dispatcher(&["loopback"]), &url, SHORT).await, ErrorKind::Timeout);
}

#[tokio::test]
async fn nobody_listening_is_a_connect_failure() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let answer = send(&dispatcher(&["loopback"]), &format!("http://{free}/hook?token=hidden")).await;
    let message = assert_unanswered(&answer, ErrorKind::Connect);
    assert!(message.contains(&free.to_string()), "{message}");
}

#[tokio::test]
async fn a_name_that_is_not_there_is_a_dns_failure() {
    // `.invalid` is reserved; a machine without a resolver says the same.
    let answer = send(&dispatcher(&[]), "http://postrider.invalid/").await;
    let message = assert_unanswered(&answer, ErrorKind::Dns);
    assert!(message.contains("postrider.invalid"), "{message}");
}

#[tokio::test]
async fn a_withdrawn_request_sends_nothing_and_keeps_the_connection() {
    let server = answering(OK).await;
    let dispatcher = dispatcher(&["loopback"]);
    assert_success(&send(&dispatcher, &server.url).await);
    let target = target(&server.url);
    let asked = Cell::new(0);
    let dispatched = dispatcher.attempt(request(&target, PATIENT), || {
        asked.set(asked.get() + 1);
        false
    });
    assert!(matches!(dispatched.await, Dispatched::Withdrawn));
    assert_eq!((asked.get(), server.requests(), dispatcher.idle_connections()), (1, 1, 1));
    assert_success(&send(&dispatcher, &server.url).await);
    assert_eq!((server.connections(), server.requests()), (1, 2));
}

#[tokio::test]
async fn a_request_withdrawn_on_a_new_connection_sends_nothing() {
    let server = answering(OK).await;
    let dispatcher = dispatcher(&["loopback"]);
    let target = target(&server.url);
    assert!(matches!(dispatcher.attempt(request(&target, PATIENT), || false).await, Dispatched::Withdrawn));
    assert_success(&send(&dispatcher, &server.url).await);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_dropped_attempt_closes_its_connection() {
    let (closed, mut was_closed) = tokio::sync::mpsc::unbounded_channel();
    let server = serve(move |mut peer| {
        let closed = closed.clone();
        async move {
            peer.request().await;
            peer.until_closed().await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let dispatcher = dispatcher(&["loopback"]);
    let attempt = send(&dispatcher, &server.url);
    assert!(tokio::time::timeout(SHORT, attempt).await.is_err());
    was_closed.recv().await.unwrap();
    assert_eq!(dispatcher.idle_connections(), 0);
}

#[test]
fn attempts_can_be_spawned_on_any_runtime() {
    fn is_send(_: impl Send) {}
    let dispatcher = dispatcher(&[]);
    let target = target("http://example.com/");
    is_send(dispatcher.attempt(request(&target, PATIENT), || true));
}
