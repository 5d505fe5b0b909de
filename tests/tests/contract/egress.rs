//! Addresses that are refused, at creation and at the connection.

use postrider_tests::Server;
use serde_json::{Value, json};

use crate::{Stage, email, error_shape, none_wrong};

const REFUSED: [&str; 62] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0X7F.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "0x0",
    "１２７.０.０.１",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "127.0.0.%31",
    "10.0.0.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.257",
    "3232235521",
    "169.254.169.254",
    "169.254.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a00:1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2002:c0a8:101::1]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[2001::1]",
    "[100::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[4000::1]",
];

#[test]
fn every_spelling_of_a_refused_address_is_a_422() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_bare(folder.path(), &["--rate-limit", "0"], &[]);
    let client = server.workspace("genesy");
    let good = client
        .post("/v1/webhooks", &json!({ "name": "n", "url": "https://example.com/", "events": ["EMAIL_SENT"] }))
        .expect(201);
    let path = format!("/v1/webhooks/{}", good.data()["id"]);
    let mut wrong = Vec::new();
    for host in REFUSED {
        for url in [format!("http://{host}/"), format!("https://{host}:8443/in")] {
            let posted = client.post("/v1/webhooks", &json!({ "name": "n", "url": url, "events": ["EMAIL_SENT"] }));
            let patched = client.patch(&path, &json!({ "url": url }));
            for answer in [posted, patched] {
                if error_shape(&answer, 422).is_err() || answer.fields() != ["url"] {
                    wrong.push(format!("{url}: {} {}", answer.status, answer.text));
                }
            }
        }
    }
    none_wrong(wrong);
}

#[test]
fn public_addresses_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_bare(folder.path(), &["--rate-limit", "0"], &[]);
    let client = server.workspace("genesy");
    let hosts = [
        "8.8.8.8",
        "172.32.0.1",
        "172.15.0.1",
        "100.128.0.1",
        "169.253.0.1",
        "11.0.0.1",
        "[2606:4700::1]",
        "[::ffff:8.8.8.8]",
    ];
    let mut wrong = Vec::new();
    for host in hosts {
        let answer = client
            .post("/v1/webhooks", &json!({ "name": "n", "url": format!("http://{host}/"), "events": ["EMAIL_SENT"] }));
        if answer.status != 201 {
            wrong.push(format!("{host}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_name_that_means_loopback_is_accepted_with_a_warning_and_then_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_bare(folder.path(), &["--rate-limit", "0"], &[]);
    let client = server.workspace("genesy");
    let receiver = postrider_tests::Receiver::answering(200);
    let url = receiver.url("/").replace("127.0.0.1", "localhost");
    let made = client
        .post(
            "/v1/webhooks",
            &json!({ "name": "n", "url": url, "events": ["EMAIL_SENT"], "retryPolicy": { "delays": [] } }),
        )
        .expect(201);
    assert!(!made.data()["warnings"].as_array().unwrap().is_empty(), "{}", made.text);
    let path = format!("/v1/webhooks/{}", made.data()["id"]);
    let tried = client.post(&format!("{path}/test"), &json!({})).expect(200);
    let data = tried.data();
    assert_eq!(
        (&data["success"], &data["errorKind"], &data["statusCode"], &data["response"]),
        (&json!(false), &json!("blocked_address"), &Value::Null, &Value::Null)
    );
    let message = data["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("blocked_address") && message.contains("--allow"), "{message}");
    client.post("/v1/events", &email("e1")).expect(202);
    let entry = postrider_tests::within(std::time::Duration::from_secs(5), "the attempt is logged", || {
        let list = client.get(&format!("{path}/logs?eventId=e1")).expect(200);
        list.data().get(0).cloned()
    });
    assert_eq!((&entry["errorKind"], &entry["outcome"]), (&json!("blocked_address"), &json!("exhausted")));
    assert!(entry["statusCode"].is_null());
    assert_eq!(receiver.count(), 0, "nothing reached it");
}

#[test]
fn an_opened_range_opens_that_range_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_bare(
        folder.path(),
        &["--rate-limit", "0", "--allow", "10.0.0.0/8", "--allow", "127.0.0.1/32"],
        &[],
    );
    let client = server.workspace("genesy");
    let post = |host: &str| {
        client
            .post("/v1/webhooks", &json!({ "name": "n", "url": format!("http://{host}/"), "events": ["EMAIL_SENT"] }))
            .status
    };
    assert_eq!(
        [post("10.1.2.3"), post("127.0.0.1"), post("127.0.0.2"), post("192.168.0.1"), post("[::1]")],
        [201, 201, 422, 422, 422]
    );
}

#[test]
fn a_metadata_address_stays_refused_when_loopback_is_open() {
    let stage = Stage::new("genesy");
    let answer = stage
        .client
        .post("/v1/webhooks", &json!({ "name": "n", "url": "http://169.254.169.254/", "events": ["EMAIL_SENT"] }));
    error_shape(&answer, 422).unwrap();
    let open = stage
        .client
        .post("/v1/webhooks", &json!({ "name": "n", "url": "http://[::1]:1/", "events": ["EMAIL_SENT"] }))
        .expect(201);
    assert!(open.data()["warnings"].as_array().is_none_or(Vec::is_empty), "{}", open.text);
}

#[test]
fn https_only_refuses_http() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--https-only"], &[]);
    let client = server.workspace("genesy");
    let answer = client
        .post("/v1/webhooks", &json!({ "name": "n", "url": "http://example.com/", "events": ["EMAIL_SENT"] }))
        .expect(422);
    assert_eq!(answer.fields(), ["url"]);
}

#[test]
fn the_addresses_for_firewalls_come_from_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--egress-address", "198.51.100.7"], &[]);
    let answer = server.workspace("snaily").get("/v1/egress").expect(200);
    assert_eq!(answer.data(), &json!({ "addresses": ["198.51.100.7"] }));
    let stage = Stage::new("genesy");
    assert_eq!(stage.client.get("/v1/egress").expect(200).data(), &json!({ "addresses": [] }));
}

#[test]
fn where_the_server_itself_listens_is_refused_whatever_is_open() {
    for (listen, ours) in [
        ("127.0.0.1:0", &["127.0.0.1", "127.1", "0.0.0.0", "[::ffff:127.0.0.1]"][..]),
        ("0.0.0.0:0", &["127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let options = ["--allow", "loopback", "--allow", "0.0.0.0/8", "--rate-limit", "0"];
        let server = Server::start_at(listen, folder.path(), &options, &[]);
        let client = server.workspace("genesy");
        let port = server.base().trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
        let hook = |host: &str, port: &str| {
            json!({ "name": "n", "url": format!("http://{host}:{port}/v1/events"), "events": ["EMAIL_SENT"],
                "retryPolicy": { "delays": [] } })
        };
        let elsewhere = client.post("/v1/webhooks", &hook("127.0.0.1", "9")).expect(201);
        let path = format!("/v1/webhooks/{}", elsewhere.data()["id"]);
        for host in ours {
            let posted = client.post("/v1/webhooks", &hook(host, &port));
            for answer in [posted, client.patch(&path, &json!({ "url": hook(host, &port)["url"] }))] {
                error_shape(&answer, 422).unwrap_or_else(|why| panic!("{listen}, {host}: {why} {}", answer.text));
                assert_eq!(answer.fields(), ["url"]);
                assert!(answer.text.contains("where this server itself listens"), "{}", answer.text);
            }
        }
        // By a name it is seen when it is resolved: a warning first, then at each attempt.
        let named = client.post("/v1/webhooks", &hook("localhost", &port)).expect(201);
        assert!(named.data()["warnings"][0].as_str().unwrap().contains("this server itself"), "{}", named.text);
        let tried = client.post(&format!("/v1/webhooks/{}/test", named.data()["id"]), &json!({})).expect(200);
        assert_eq!(tried.data()["errorKind"], json!("blocked_address"), "{}", tried.text);
        let message = tried.data()["errorMessage"].as_str().unwrap();
        assert!(message.contains("this server itself listens"), "{message}");
    }
}

#[test]
fn a_range_can_be_opened_at_one_port_alone() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = postrider_tests::Receiver::answering(200);
    let url = receiver.url("/");
    let port: u16 = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let open = format!("127.0.0.0/8:{port}");
    let options = ["--rate-limit", "0", "--allow", &open, "--allow", "[fd00::/8]:8443"];
    let server = Server::start_bare(folder.path(), &options, &[]);
    let client = server.workspace("genesy");
    let hook = |url: &str| client.post("/v1/webhooks", &json!({ "name": "n", "url": url, "events": ["EMAIL_SENT"] }));
    hook(&url).expect(201);
    hook("https://[fd00::7]:8443/").expect(201);
    for (url, way) in
        [("http://127.0.0.1:1/", "--allow 127.0.0.0/8:1"), ("https://[fd00::7]/", "--allow [fc00::/7]:443")]
    {
        let answer = hook(url);
        error_shape(&answer, 422).unwrap();
        assert!(answer.text.contains(way), "{}", answer.text);
    }
    client.post("/v1/events", &email("e1")).expect(202);
    postrider_tests::within(std::time::Duration::from_secs(5), "it arrives", || (receiver.count() == 1).then_some(()));
}
