//! What is emulated arrives as the provider sends it, is retried, and is judged by how the receiver answers.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;

use crate::support::{Sink, postrider, stderr};

/// Against a sink, with retries that come at once.
fn emulate(provider: &str, sink: &Sink, args: &[&str]) -> (Output, String) {
    let to = format!("http://{}/hook", sink.addr);
    let output =
        postrider(&[&["emulate", provider, "--to", &to, "--delay-max", "20ms"], args].concat()).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    (output, told)
}

/// What the sink has kept, oldest first.
fn requests(sink: &Sink) -> Vec<Value> {
    let mut data = sink.get("/requests")["data"].as_array().unwrap().clone();
    data.reverse();
    data
}

fn ids(requests: &[Value]) -> Vec<&str> {
    requests.iter().map(|request| request["headers"]["postrider-event-id"].as_str().unwrap()).collect()
}

#[test]
fn every_type_of_both_providers_comes_with_its_secret() {
    for (provider, header, types) in [("genesy", "x-webhook-secret", 8), ("snaily", "x-snaily-token", 3)] {
        let sink = Sink::start(&["--quiet"]);
        let (output, told) = emulate(provider, &sink, &["--secret", "correct horse"]);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.contains("instead of") && told.contains(&format!("{types} of {types} deliveries delivered")));
        let requests = requests(&sink);
        assert!(requests.iter().all(|request| request["headers"][header] == "correct horse"));
        assert_eq!((requests.len(), ids(&requests).iter().collect::<BTreeSet<_>>().len()), (types, types));
        assert!(!told.contains("correct horse"));
    }
}

#[test]
fn a_failing_receiver_gets_the_whole_schedule_and_the_exit_code_says_so() {
    let sink = Sink::start(&["--quiet", "--status", "503"]);
    let (output, told) = emulate("snaily", &sink, &["--types", "contact.replied", "--show"]);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("retries after 14 x 20ms instead of 14 x 12h"), "{told}");
    assert!(told.contains("15 requests, 0 of 1 deliveries delivered") && told.contains("removed"), "{told}");
    assert!(told.contains("    postrider-attempt: 14\n") && told.contains("    {\"events\":[{\"id\":"), "{told}");
    assert_eq!(requests(&sink).len(), 15);
}

#[test]
fn faults_are_those_that_providers_have() {
    let sink = Sink::start(&["--quiet"]);
    let types = ["--types", "EMAIL_SENT,POST_LIKED,MESSAGE_REPLIED", "--count", "40"];
    let of = |scenario: &str| {
        let before = requests(&sink).len();
        let (output, told) = emulate("genesy", &sink, &[&types[..], &["--scenario", scenario]].concat());
        assert_eq!(output.status.code(), Some(0), "{scenario}: {told}");
        requests(&sink).split_off(before)
    };

    let again = of("retry");
    let (mut first, mut second) = (ids(&again[..3]), ids(&again[3..]));
    first.sort_unstable();
    second.sort_unstable();
    assert_eq!(first, second, "each delivery once more");
    assert!(again[3..].iter().all(|request| request["headers"]["postrider-attempt"] == "2"));

    let twice = of("duplicate");
    let deliveries: BTreeSet<_> = twice.iter().map(|r| r["headers"]["postrider-delivery-id"].to_string()).collect();
    assert_eq!((twice.len(), deliveries.len(), ids(&twice).into_iter().collect::<BTreeSet<_>>().len()), (6, 6, 3));

    assert_eq!(of("burst").len(), 40);

    let late = of("out-of-order");
    let body = |request: &Value| serde_json::from_str::<Value>(request["body"].as_str().unwrap()).unwrap();
    let times: Vec<String> = late.iter().map(|request| body(request)["timestamp"].to_string()).collect();
    assert!(times.len() == 3 && times.is_sorted_by(|a, b| a > b), "{times:?}");
}

#[test]
fn forged_requests_are_to_be_refused() {
    let wise = Sink::start(&["--quiet", "--status", "401"]);
    let args = ["--scenario", "wrong-secret,no-secret", "--secret", "correct horse", "--types", "EMAIL_SENT"];
    let (output, told) = emulate("genesy", &wise, &args);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told.matches("1 requests, 1 of 1 deliveries refused").count(), 2, "{told}");
    let requests = requests(&wise);
    let secret = |request: &Value| request["headers"].get("x-webhook-secret").cloned();
    assert!(secret(&requests[0]).is_some_and(|secret| secret != "correct horse"));
    assert_eq!((requests.len(), secret(&requests[1])), (2, None));

    let naive = Sink::start(&["--quiet"]);
    let (output, told) = emulate("genesy", &naive, &args);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("TAKEN"), "{told}");
}
