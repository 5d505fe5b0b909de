//! A whole life of a server, and then a search for every secret that was used: in all files of the data folder, in what the processes said,
//! in metrics, pages and answers. Where an answer has to show a secret, once, it alone is let through there.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use postrider_tests::{Answer, Client, Reaction, Receiver, Request, binary, within};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const ADMIN_KEY: &str = "admin-key-that-nobody-may-see";
const HEADER_SECRETS: [&str; 3] = ["first-secret-of-the-crm", "second-secret-of-the-crm", "secret-typed-into-the-form"];
const HEADER_VALUES: [&str; 2] = ["Bearer header-value-one", "Bearer header-value-two"];
const OWN_SIGNING: &str = "whsec_c2VjcmV0LW9mLXRoZS1zdGFuZGFyZC1ob29rcy0wMTI=";
/// Refused, and not to be repeated for that.
const REFUSED: [&str; 2] = ["no-secret-\u{1}-at-all", "whsec_not+base64+but+a+secret!"];

/// Secrets by name, and everything that was said where none of them belongs.
#[derive(Default)]
struct Search {
    secrets: RefCell<Vec<(String, Vec<u8>)>>,
    told: RefCell<Vec<(String, Vec<u8>)>>,
}

impl Search {
    fn secret(&self, name: &str, secret: &str) {
        let mut secrets = self.secrets.borrow_mut();
        secrets.push((name.to_owned(), secret.into()));
        secrets.push((format!("{name} in base64"), BASE64.encode(secret).trim_end_matches('=').into()));
        let key = ["whsec_", "whsk_"].iter().find_map(|prefix| BASE64.decode(secret.strip_prefix(prefix)?).ok());
        secrets.extend(key.map(|bytes| (format!("{name} as bytes"), bytes)));
    }

    fn tell(&self, where_: &str, bytes: impl Into<Vec<u8>>) {
        self.told.borrow_mut().push((where_.to_owned(), bytes.into()));
    }

    /// Keeps an answer to be searched.
    fn answer(&self, where_: &str, answer: Answer) -> Answer {
        self.tell(where_, &*answer.text);
        answer
    }

    /// An answer that shows this member, which is a secret from here on and shown in no other; the rest is searched.
    fn shows(&self, where_: &str, answer: &Answer, member: &str) -> String {
        let shown = answer.data()[member].as_str().unwrap_or_else(|| panic!("{member} in {}", answer.text)).to_owned();
        self.secret(&format!("{member} of {where_}"), &shown);
        self.tell(where_, answer.text.replacen(&shown, "", 1));
        shown
    }

    fn files(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => self.files(&entry.path()),
                false => self.tell(&entry.path().display().to_string(), fs::read(entry.path()).unwrap()),
            }
        }
    }

    fn holds(&self, needle: &[u8]) -> Vec<String> {
        let has = |bytes: &[u8]| memchr_find(bytes, needle);
        self.told.borrow().iter().filter(|(_, bytes)| has(bytes)).map(|(where_, _)| where_.clone()).collect()
    }

    fn found(&self) -> Vec<String> {
        let secrets = self.secrets.borrow();
        secrets
            .iter()
            .flat_map(|(name, s)| self.holds(s).into_iter().map(move |at| format!("{name} in {at}")))
            .collect()
    }
}

fn memchr_find(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| *byte == first) {
        at += next;
        if bytes[at..].starts_with(needle) {
            return true;
        }
        at += 1;
    }
    false
}

/// A server whose every word is kept.
struct Server {
    child: Child,
    base: String,
    said: [PathBuf; 2],
}

fn serve(folder: &Path, run: &str, environment: &[(&str, &str)]) -> Server {
    let said = ["out", "err"].map(|stream| folder.join(format!("{run}.{stream}")));
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "debug", "--allow", "loopback"]);
    command.args(["--rate-limit", "0", "--data"]).arg(folder.join("data")).env("POSTRIDER_ADMIN_KEY", ADMIN_KEY);
    command.envs(environment.iter().copied());
    command.stdout(File::create(&said[0]).unwrap()).stderr(File::create(&said[1]).unwrap());
    let child = command.spawn().unwrap();
    let base = within(Duration::from_secs(30), "it is ready", || {
        let text = fs::read_to_string(&said[0]).unwrap();
        let line = text.lines().find(|line| line.contains("ready at"))?.to_owned();
        Some(line.split([' ', ',']).find(|word| word.starts_with("http://"))?.to_owned())
    });
    Server { child, base, said }
}

impl Server {
    fn end(mut self, signal: Signal, search: &Search) {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), signal).unwrap();
        self.child.wait().unwrap();
        self.said.iter().for_each(|path| search.tell(&path.display().to_string(), fs::read(path).unwrap()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tool's output is searched as well.
fn tool(search: &Search, data: &Path, args: &[&str], environment: &[(&str, &str)]) {
    let mut command = Command::new(binary());
    command.args(args).arg("--data").arg(data).env("POSTRIDER_ADMIN_KEY", ADMIN_KEY);
    let output = command.envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {err}");
    search.tell(&format!("{args:?}"), [output.stdout, output.stderr].concat());
}

/// Everything there is to read with this key.
fn read_all(search: &Search, client: &Client, webhooks: &[u64]) {
    let mut paths: Vec<String> = ["webhooks", "events", "deliveries", "event-types", "egress"]
        .iter()
        .map(|name| format!("/v1/{name}"))
        .collect();
    for webhook in webhooks {
        paths.extend(["", "/logs", "/health"].map(|part| format!("/v1/webhooks/{webhook}{part}")));
    }
    for (list, parts) in [("/v1/deliveries", &[""][..]), ("/v1/events", &["", "/explain"])] {
        for entry in client.get(list).expect(200).data().as_array().unwrap() {
            paths.extend(parts.iter().map(|part| format!("{list}/{}{part}", entry["id"].as_str().unwrap())));
        }
    }
    paths.extend(["/metrics", "/openapi.json", "/healthz", "/readyz"].map(str::to_owned));
    for path in paths {
        search.answer(&path, client.get(&path)).expect(200);
    }
}

/// Every page of the dashboard that leads from the first one, as whoever has this key.
fn read_pages(search: &Search, client: &Client) {
    let form = |path: &str, cookie: &str, body: String| {
        let origin = client.base().trim_end_matches('/').to_owned();
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", &origin), ("cookie", cookie)];
        client.send("POST", path, &headers, body.as_bytes())
    };
    let encoded =
        |fields: &[(&str, &str)]| form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let signed_in = form("/dashboard/sign-in", "", encoded(&[("key", client.key())]));
    let cookie = signed_in.set_cookie.clone().unwrap().split(';').next().unwrap().to_owned();
    search.secret("the session", cookie.split_once('=').unwrap().1);
    let mut paths = vec!["/".to_owned()];
    let mut next = 0;
    while next < paths.len() && next < 60 {
        let page = search.answer(&paths[next], client.send("GET", &paths[next], &[("cookie", &cookie)], b""));
        let links = page.text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for link in links.filter(|link| link.starts_with("/dashboard/")).map(|link| link.replace("&amp;", "&")) {
            if !paths.contains(&link) {
                paths.push(link);
            }
        }
        next += 1;
    }
    assert!(next > 2, "{paths:?}");
    if client.key() == ADMIN_KEY {
        return;
    }
    // A form that is refused comes back with what was typed, but for the secret.
    let page = client.send("GET", "/", &[("cookie", &cookie)], b"").text;
    let token =
        page.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let typed = [("token", &*token), ("name", "typed-name"), ("url", "not a url"), ("secret", HEADER_SECRETS[2])];
    let refused = search.answer("the form", form("/dashboard/webhooks/new", &cookie, encoded(&typed)));
    assert!(refused.text.contains("typed-name"), "{}", refused.text);
}

#[test]
fn no_secret_is_anywhere_it_does_not_belong() {
    let (folder, search) = (tempfile::tempdir().unwrap(), Search::default());
    let data = folder.path().join("data");
    let masters = ["a1".repeat(32), "b2".repeat(32)];
    for (number, master) in masters.iter().enumerate() {
        search.secret(&format!("master key {number}"), master);
    }
    let bytes = [[0xa1; 32], [0xb2; 32]].map(|key| ("a master key as bytes".to_owned(), key.to_vec()));
    search.secrets.borrow_mut().extend(bytes);
    search.secret("the admin key", ADMIN_KEY);
    for secret in HEADER_SECRETS.iter().chain(&HEADER_VALUES).chain(&REFUSED).chain(&[OWN_SIGNING]) {
        search.secret("a given secret", secret);
    }
    let receiver = Receiver::reacting(|request: &Request| match request.path.as_str() {
        "/fails" => Reaction::Status(500),
        _ => Reaction::Status(200),
    });
    let environment = [("POSTRIDER_MASTER_KEY", &*masters[0])];
    let server = serve(folder.path(), "first", &environment);
    let admin = Client::new(&server.base, ADMIN_KEY);

    let new = |profile: &str| admin.post("/v1/workspaces", &json!({ "name": profile, "profile": profile })).expect(201);
    let (made, other) = (new("genesy"), new("standard"));
    let genesy = admin.with_key(&search.shows("the workspace", &made, "apiKey"));
    let standard = admin.with_key(&search.shows("the other workspace", &other, "apiKey"));
    let doomed = format!("/v1/workspaces/{}", other.data()["id"].as_str().unwrap());
    let keys = format!("/v1/workspaces/{}/keys", made.data()["id"].as_str().unwrap());
    let key = admin.post(&keys, &json!({ "name": "reader", "scopes": ["READ"] })).expect(201);
    let member = if key.data()["key"].is_string() { "key" } else { "apiKey" };
    search.shows("the key", &key, member);
    search.answer("the keys", admin.get(&keys)).expect(200);

    let webhook = |client: &Client, path: &str, more: Value| {
        let mut body = json!({ "name": "crm-in-clear", "url": receiver.url(path), "retryPolicy": { "delays": ["50ms", "1s", "5s"] } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post("/v1/webhooks", &body)
    };
    let headers = json!({ "Authorization": HEADER_VALUES[0] });
    let of_genesy = json!({ "events": ["EMAIL_SENT"], "secret": HEADER_SECRETS[0], "headers": headers });
    let crm =
        search.answer("create", webhook(&genesy, "/", of_genesy.clone())).expect(201).data()["id"].as_u64().unwrap();
    let failing =
        search.answer("create", webhook(&genesy, "/fails", of_genesy)).expect(201).data()["id"].as_u64().unwrap();
    let signing =
        webhook(&genesy, "/", json!({ "events": ["EMAIL_SENT"], "signing": { "scheme": "v1a" } })).expect(201);
    let signing = {
        if signing.data()["signingSecret"].is_string() {
            search.shows("signing", &signing, "signingSecret");
        }
        signing.data()["id"].as_u64().unwrap()
    };
    let own = json!({ "events": ["invoice.paid"], "secret": OWN_SIGNING });
    let own = webhook(&standard, "/", own).expect(201);
    search.tell("create with a signing secret", own.text.replacen(OWN_SIGNING, "", 1));
    let own = own.data()["id"].as_u64().unwrap();
    for secret in REFUSED {
        let wish = json!({ "events": ["a"], "secret": secret, "signing": { "scheme": "v1" } });
        search.answer("refused", webhook(&standard, "/", wish)).expect(422);
    }
    // As a secret and as a header's value, which may not have control characters.
    let wish = json!({ "events": ["EMAIL_SENT"], "secret": REFUSED[0], "headers": { "X-A": REFUSED[0] } });
    search.answer("refused", webhook(&genesy, "/", wish)).expect(422);

    let changed = json!({ "secret": HEADER_SECRETS[1], "headers": { "Authorization": HEADER_VALUES[1] } });
    search.answer("patch", genesy.patch(&format!("/v1/webhooks/{crm}"), &changed)).expect(200);
    for (client, webhook) in [(&standard, own), (&genesy, signing)] {
        let rotated = client.post(&format!("/v1/webhooks/{webhook}/rotate-secret"), &json!({})).expect(200);
        search.shows("rotated", &rotated, "signingSecret");
    }
    for (client, webhook) in [(&genesy, crm), (&genesy, failing), (&genesy, signing), (&standard, own)] {
        search.answer("test", client.post(&format!("/v1/webhooks/{webhook}/test"), &json!({}))).expect(200);
    }
    let event = json!({ "id": "event-in-clear", "type": "EMAIL_SENT", "data": { "contact": { "id": 1 } } });
    search.answer("publish", genesy.post("/v1/events", &event)).expect(202);
    let invoice = json!({ "id": "i1", "type": "invoice.paid", "data": {} });
    search.answer("publish", standard.post("/v1/events", &invoice)).expect(202);
    let ended = |client: &Client, status: &str, n: u64| {
        let path = format!("/v1/deliveries?status={status}");
        let total = || (client.get(&path).expect(200).body["meta"]["total"] == n).then_some(());
        within(Duration::from_secs(90), &format!("{n} are {status}"), total);
    };
    ended(&genesy, "succeeded", 2);
    ended(&genesy, "exhausted", 1);
    ended(&standard, "succeeded", 1);
    let replay = json!({ "since": "2000-01-01T00:00:00Z", "only": "all" });
    search.answer("replay", genesy.post(&format!("/v1/webhooks/{failing}/replay"), &replay)).expect(202);
    let received = receiver.requests();
    assert!(received.iter().any(|request| request.header("x-webhook-secret") == HEADER_SECRETS[1]), "it was used");
    assert!(received.iter().any(|request| request.header("authorization") == HEADER_VALUES[1]), "it was used");

    read_all(&search, &genesy, &[crm, failing, signing]);
    read_all(&search, &standard, &[own]);
    read_pages(&search, &genesy);
    read_pages(&search, &admin);
    genesy.delete(&format!("/v1/webhooks/{signing}")).expect(204);
    let wrapped = || fs::read_dir(data.join("keys")).unwrap().count();
    assert_eq!(wrapped(), 2);
    admin.delete(&doomed).expect(204);
    within(Duration::from_secs(5), "the key of a deleted workspace is destroyed", || (wrapped() == 1).then_some(()));
    server.end(Signal::KILL, &search);
    search.files(&data);

    // Another master key, given as well; then one in the folder.
    tool(&search, &data, &["keys", "rotate-master"], &[environment[0], ("POSTRIDER_NEW_MASTER_KEY", &masters[1])]);
    let server = serve(folder.path(), "second", &[("POSTRIDER_MASTER_KEY", &masters[1])]);
    let genesy = Client::new(&server.base, genesy.key());
    search
        .answer("publish", genesy.post("/v1/events", &json!({ "id": "e2", "type": "EMAIL_SENT", "data": {} })))
        .expect(202);
    ended(&genesy, "succeeded", 3);
    let by_secret = |request: &&Request| request.header("x-webhook-secret") == HEADER_SECRETS[1];
    assert!(
        receiver.requests().iter().filter(by_secret).count() >= 3,
        "test, delivery, and delivery by the new master key"
    );
    server.end(Signal::TERM, &search);
    search.files(&data);
    tool(&search, &data, &["keys", "rotate-master"], &[("POSTRIDER_MASTER_KEY", &masters[1])]);
    for args in [&["log", "cat"][..], &["log", "cat", "--json"], &["log", "verify"], &["log", "stats"]] {
        tool(&search, &data, args, &[]);
    }
    tool(&search, &data, &["config", "show"], &environment);
    search.files(&data);

    // What is in clear is found, so the search would find a secret.
    assert!(
        search.holds(b"crm-in-clear").iter().any(|at| at.contains("/log/")) && search.holds(b"crm-in-clear").len() > 5
    );
    assert!(search.holds(b"event-in-clear").iter().any(|at| at.starts_with("/dashboard/")));
    let found = search.found();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
