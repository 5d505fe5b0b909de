//! HTTP/2 as receivers misbehave in it, frame by frame.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_core::attempt::ErrorKind;
use postrider_dispatch::{Dispatched, limits};
use support::frames::*;
use support::secure::join;
use support::*;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test]
async fn a_receiver_that_goes_away_before_it_answers_is_a_reset_and_nothing_is_sent_again() {
    for (last, reason, words) in [
        (0, 0, "GOAWAY, NO_ERROR"),
        (0, 2, "GOAWAY, INTERNAL_ERROR"),
        // This request would still have been answered, but then the connection is closed.
        (1, 11, "closed the connection before a complete response head"),
    ] {
        let raw = Raw::new(move |mut frames, _| async move {
            frames.say(SETTINGS, 0, 0, &[]).await;
            frames.request().await;
            frames.go_away(last, reason).await;
            if last == 1 {
                return;
            }
            frames.until_closed().await;
        })
        .await;
        for n in 1..=2 {
            let answer = raw.send().await;
            let message = assert_unanswered(&answer, ErrorKind::Reset);
            assert!(message.contains(words), "{message}");
            assert_eq!(raw.seen(), (n, n));
        }
        assert_eq!(raw.dispatcher.idle_connections(), 0);
    }
}

#[tokio::test]
async fn a_receiver_that_goes_away_may_still_answer_and_the_next_request_has_a_new_connection() {
    // It says so before its answer, or after it.
    for before in [true, false] {
        let raw = Raw::new(move |mut frames, _| async move {
            frames.say(SETTINGS, 0, 0, &[]).await;
            let Some(stream) = frames.request().await else { return };
            if before {
                frames.go_away(stream, 0).await;
            }
            frames.answer(stream).await;
            frames.go_away(stream, 0).await;
            frames.until_closed().await;
        })
        .await;
        for n in 1..=5 {
            assert_success(&raw.send().await);
            assert_eq!(raw.seen(), (n, n));
            // What it says last is on its way.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_that_attempt_alone() {
    for (reason, words) in [
        (0, "closed the connection before a complete response head"),
        (2, "INTERNAL_ERROR); it may have processed the request"),
        (7, "REFUSED_STREAM); it did not process the request"),
        (8, "CANCEL"),
        (13, "HTTP_1_1_REQUIRED); it wants HTTP/1.1"),
    ] {
        let raw = Raw::new(move |mut frames, _| async move {
            frames.say(SETTINGS, 0, 0, &[]).await;
            let Some(first) = frames.request().await else { return };
            frames.say(RST_STREAM, 0, first, &u32::to_be_bytes(reason)).await;
            while let Some(stream) = frames.request().await {
                frames.answer(stream).await;
            }
        })
        .await;
        let answer = raw.send().await;
        let message = assert_unanswered(&answer, ErrorKind::Reset);
        assert!(message.contains(words), "{message}");
        assert_eq!(raw.seen(), (1, 1), "never sent again");
        assert_success(&raw.send().await);
        assert_eq!(raw.seen(), (1, 2));
    }
}

#[tokio::test]
async fn a_window_that_never_opens_ends_at_the_deadline_and_so_does_silence() {
    const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];
    for (settings, reads) in [(Some(NO_WINDOW), true), (Some(&[][..]), true), (None, true), (Some(NO_WINDOW), false)] {
        let raw = Raw::new(move |mut frames, _| async move {
            if let Some(settings) = settings {
                frames.say(SETTINGS, 0, 0, settings).await;
            }
            match reads {
                true => frames.until_closed().await,
                false => tokio::time::sleep(Duration::from_secs(5)).await,
            }
        })
        .await;
        for n in 1..=2 {
            let began = Instant::now();
            let answer = raw.send().await;
            let message = assert_unanswered(&answer, ErrorKind::Timeout);
            assert!(message.contains("within 0.5 s"), "{message}");
            assert!((SHORT..SHORT * 4).contains(&began.elapsed()), "{:?}", began.elapsed());
            // What did not answer once is not asked again.
            assert_eq!((raw.server.connections(), raw.dispatcher.idle_connections()), (n, 0));
        }
    }
}

#[tokio::test]
async fn a_large_body_waits_for_the_window_and_may_be_answered_before_it_is_read() {
    let raw = Raw::new(move |mut frames, _| async move {
        frames.say(SETTINGS, 0, 0, &[]).await;
        let Some(stream) = frames.until(HEADERS).await.map(|frame| frame.stream) else { return };
        frames.answer(stream).await;
        frames.say(RST_STREAM, 0, stream, &0_u32.to_be_bytes()).await;
        frames.until_closed().await;
    })
    .await;
    let target = target(&raw.server.url);
    let mut asked = request(&target, SHORT);
    asked.body = vec![b'x'; 1024 * 1024].into();
    let Dispatched::Done(answer) = raw.dispatcher.attempt(asked, || true).await else { panic!("withdrawn") };
    assert_success(&answer);
    assert_eq!(raw.seen(), (1, 1));
}

#[tokio::test]
async fn what_is_not_http2_and_what_never_ends_is_an_invalid_response_long_before_the_deadline() {
    let kinds: [(&str, Behaviour); 4] = [
        ("HTTP/1.1 instead", |mut frames| {
            Box::pin(async move {
                frames.session.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok();
                frames.session.flush().await.ok();
                frames.until_closed().await;
            })
        }),
        ("1xx without an end", |mut frames| {
            Box::pin(async move {
                frames.say(SETTINGS, 0, 0, &[]).await;
                let Some(stream) = frames.request().await else { return };
                while frames.say(HEADERS, END_HEADERS, stream, STATUS_100).await {}
            })
        }),
        ("pings without an end", |mut frames| {
            Box::pin(async move {
                frames.say(SETTINGS, 0, 0, &[]).await;
                frames.request().await;
                while frames.say(PING, 0, 0, &[0; 8]).await {}
            })
        }),
        ("a stream that nobody opened", |mut frames| {
            Box::pin(async move {
                frames.say(SETTINGS, 0, 0, &[]).await;
                frames.request().await;
                frames.say(HEADERS, END_HEADERS | END_STREAM, 77, STATUS_200).await;
                frames.until_closed().await;
            })
        }),
    ];
    for (name, behave) in kinds {
        let raw = Raw::new(move |frames, _| behave(frames)).await;
        for n in 1..=2 {
            let began = Instant::now();
            let answer = send_within(&raw.dispatcher, &raw.server.url, PATIENT).await;
            let failure = answer.exchange.failure.as_ref().expect(name);
            assert_eq!(failure.kind, ErrorKind::ResponseInvalid, "{name}: {}", failure.message);
            assert_unanswered(&answer, ErrorKind::ResponseInvalid);
            assert!(began.elapsed() < PATIENT / 2, "{name}: {:?}", began.elapsed());
            assert_eq!((raw.server.connections(), raw.dispatcher.idle_connections()), (n, 0), "{name}");
        }
    }
}

#[tokio::test]
async fn a_close_is_a_reset_and_one_while_idle_is_seen_before_anything_is_sent() {
    let raw = Raw::new(move |mut frames, _| async move {
        frames.say(SETTINGS, 0, 0, &[]).await;
        frames.request().await;
    })
    .await;
    assert_unanswered(&raw.send().await, ErrorKind::Reset);
    assert_eq!(raw.seen(), (1, 1));

    let (closed, mut was_closed) = unbounded_channel();
    let raw = Raw::new(move |mut frames, _| {
        let closed = closed.clone();
        async move {
            frames.say(SETTINGS, 0, 0, &[]).await;
            let Some(stream) = frames.request().await else { return };
            frames.answer(stream).await;
            drop(frames);
            closed.send(()).expect("the test listens");
        }
    })
    .await;
    for n in 1..=20 {
        assert_success(&raw.send().await);
        was_closed.recv().await.unwrap();
        assert_eq!(raw.seen(), (n, n));
    }
}

#[tokio::test]
async fn no_connection_has_more_requests_at_once_than_its_receiver_and_we_allow() {
    for (settings, at_once, connections) in [(&[0, 3, 0, 0, 0, 2][..], 6, 3), (&[][..], 2 * limits::STREAMS_MAX, 2)] {
        let raw = Raw::new(move |mut frames, _| async move {
            frames.say(SETTINGS, 0, 0, settings).await;
            let mut held = Vec::new();
            while let Some(stream) = frames.request().await {
                held.push(stream);
                // The first ones are answered at once, so that the settings are known by then.
                let most = if settings.is_empty() { limits::STREAMS_MAX } else { 2 };
                if held.len() == most || stream == 1 {
                    for stream in held.drain(..) {
                        frames.answer(stream).await;
                    }
                }
            }
        })
        .await;
        // One after the other, each connection makes itself known.
        assert_success(&raw.send().await);
        let (sending, mut waiting) = (Arc::new(raw), Vec::new());
        for _ in 0..at_once {
            waiting.push(send_within(&sending.dispatcher, &sending.server.url, PATIENT));
        }
        let answers = join(waiting).await;
        answers.iter().for_each(assert_success);
        assert!(sending.seen().0 >= connections, "{:?}", sending.seen());
        assert_eq!(sending.seen().1, at_once + 1);
    }
}

#[tokio::test]
async fn an_attempt_that_is_dropped_ends_its_stream_and_its_connection() {
    let (ended, mut was_ended) = unbounded_channel();
    let raw = Raw::new(move |mut frames, _| {
        let ended = ended.clone();
        async move {
            frames.say(SETTINGS, 0, 0, &[]).await;
            frames.request().await;
            frames.until_closed().await;
            ended.send(()).expect("the test listens");
        }
    })
    .await;
    let attempt = send_within(&raw.dispatcher, &raw.server.url, PATIENT);
    assert!(tokio::time::timeout(SHORT, attempt).await.is_err());
    // The pool lets go of it when it is next looked at.
    let until = Instant::now() + PATIENT;
    while was_ended.try_recv().is_err() {
        assert!(Instant::now() < until, "the connection is never closed");
        raw.dispatcher.close_idle();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
