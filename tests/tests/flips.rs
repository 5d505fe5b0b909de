//! One flipped bit in a folder at rest: the start is refused with the place named and nothing changed, or what is read is what was
//! acknowledged, or the one payload that it hit is refused where it is read. Nothing is lost or altered in silence.
//!
//! `POSTRIDER_FLIPS` says how many bits of the log's segments are flipped, in each of two folders; 10,000 is the long run, in which
//! every bit of the small files has its turn, too.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use postrider::inspect::LogFolder;
use postrider::{
    DeliveryFilter, Engine, EventFilter, Handle, LogFilter, PageQuery, Refused, StartError, Stopped, WorkspaceId,
};
use postrider_tests::{Client, Reaction, Receiver, Server, within};
use serde_json::{Value, json};

const FLIPS_DEFAULT: u64 = 150;
/// From here on, every bit of the small files.
const FLIPS_LONG: u64 = 2_000;
/// Of sled's files, in each of two folders: each costs an opening, and sled goes through its whole file.
const FLIPS_IN_SLED_DEFAULT: u64 = 60;
/// Of `POSTRIDER_FLIPS`, one in so many.
const FLIPS_IN_SLED_SHARE: u64 = 10;
/// Of the store's files, in each of two folders: whatever becomes of them, nothing is lost.
const FLIPS_IN_STORE: usize = 60;
const SEGMENT: u32 = 4 << 20;
/// Accepted in the last block of the killed server, chosen for no webhook.
const LAST: &str = "the-last-one";

/// Counts what the engine complains of: as an error a payload that cannot be read, as a warning a last block that is dropped.
struct Complaints;

static ERRORS: AtomicUsize = AtomicUsize::new(0);
static WARNINGS: AtomicUsize = AtomicUsize::new(0);

impl tracing::Subscriber for Complaints {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let is_error = *event.metadata().level() == tracing::Level::ERROR;
        if is_error { &ERRORS } else { &WARNINGS }.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Evenly spread, the same in every run.
struct Lot(u64);

impl Lot {
    /// SplitMix64.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A data folder at rest: every file but the ballast, which is empty space. Only what was written is kept of a segment.
struct Image {
    files: BTreeMap<PathBuf, (Vec<u8>, u64)>,
    ballast: u64,
}

impl Image {
    fn of(data: &Path) -> Image {
        let mut image = Image { files: BTreeMap::new(), ballast: 0 };
        for path in files(data) {
            let name = path.strip_prefix(data).unwrap().to_owned();
            let size = fs::metadata(&path).unwrap().len();
            if name.as_os_str() == "ballast" {
                image.ballast = size;
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if name.extension().is_some_and(|e| e == "seg") {
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(512));
                bytes.truncate(used);
            }
            image.files.insert(name, (bytes, size));
        }
        image
    }

    /// Makes the folder anew.
    fn lay(&self, data: &Path) {
        let _ = fs::remove_dir_all(data);
        for (name, (bytes, size)) in &self.files {
            let path = data.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            if *size > bytes.len() as u64 {
                fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(*size).unwrap();
            }
        }
        fs::File::create(data.join("ballast")).unwrap().set_len(self.ballast).unwrap();
    }

    /// The flips: half of them evenly over the bytes of the segments, half evenly over the blocks; some in the last block, all over its beginning, and in space that
    /// holds nothing; and one bit of each byte of the small files, or every bit.
    fn flips(&self, count: u64, lot: &mut Lot) -> Vec<Flip> {
        let blocks: Vec<_> = self.blocks().collect();
        let used: u64 = blocks.iter().map(|block| block.bytes).sum();
        let mut flips = Vec::new();
        for n in 0..count / 2 {
            // One place in each of as many equal parts.
            let mut at = (n * used + lot.below(used)) / (count / 2);
            let block = blocks.iter().find(|block| at < block.bytes || (at -= block.bytes, false).1).unwrap();
            flips.push(block.flip(at, lot));
            let block = &blocks[(n * blocks.len() as u64 / (count / 2)) as usize];
            flips.push(block.flip(lot.below(block.bytes), lot));
        }
        let last = blocks.last().unwrap();
        flips.extend((0..count / 16).map(|_| last.flip(lot.below(last.bytes), lot)));
        // Where it says that it is the next block.
        flips.extend((0..40).map(|at| last.flip(at, lot)));
        for (name, (bytes, size)) in self.files.iter().filter(|(name, _)| is_segment(name)) {
            let free = Block { file: name, at: bytes.len() as u64, bytes: size - bytes.len() as u64 };
            flips.extend((0..4).map(|_| free.flip(lot.below(free.bytes), lot)));
        }
        for (name, (bytes, _)) in self.files.iter().filter(|(name, _)| !is_segment(name) && !is_of_store(name)) {
            let bits = |at: u64| if count >= FLIPS_LONG { 0..8 } else { (at % 8) as u8..(at % 8) as u8 + 1 };
            let flip = |at| bits(at).map(move |bit| Flip { file: name.clone(), at, bit });
            flips.extend((0..bytes.len() as u64).flat_map(flip));
        }
        let in_store: Vec<_> =
            self.files.iter().filter(|(name, (bytes, _))| is_of_store(name) && !bytes.is_empty()).collect();
        for n in 0..FLIPS_IN_STORE {
            let (name, (bytes, _)) = in_store[n % in_store.len()];
            flips.push(Flip { file: name.clone(), at: lot.below(bytes.len() as u64), bit: lot.below(8) as u8 });
        }
        flips.extend((0..4).map(|_| Flip { file: "ballast".into(), at: lot.below(self.ballast), bit: 0 }));
        flips
    }

    /// All blocks, oldest first.
    fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        self.files.iter().filter(|(name, _)| is_segment(name)).flat_map(|(file, (bytes, _))| {
            let begins = |sector: &[u8]| sector.starts_with(b"PRblock\n");
            let starts = bytes.chunks(512).enumerate().filter(move |(_, sector)| begins(sector));
            let mut starts = starts.map(|(n, _)| n as u64 * 512).peekable();
            std::iter::from_fn(move || {
                let at = starts.next()?;
                Some(Block { file, at, bytes: starts.peek().unwrap_or(&(bytes.len() as u64)) - at })
            })
        })
    }
}

/// A part of a segment.
struct Block<'a> {
    file: &'a Path,
    at: u64,
    bytes: u64,
}

impl Block<'_> {
    fn flip(&self, at: u64, lot: &mut Lot) -> Flip {
        Flip { file: self.file.to_owned(), at: self.at + at, bit: lot.below(8) as u8 }
    }
}

fn is_segment(name: &Path) -> bool {
    name.extension().is_some_and(|e| e == "seg")
}

fn is_of_store(name: &Path) -> bool {
    name.starts_with("store")
}

#[derive(Clone, Debug)]
struct Flip {
    file: PathBuf,
    at: u64,
    bit: u8,
}

impl Flip {
    fn make(&self, data: &Path) {
        let file = fs::OpenOptions::new().read(true).write(true).open(data.join(&self.file)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << self.bit], self.at).unwrap();
    }
}

/// Every file, but for the folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut all): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    folders.iter().for_each(|folder| all.extend(files(folder)));
    all.sort();
    all
}

/// Every file with its bytes; of the ballast its size.
fn contents(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u64)> {
    let read = |path: &Path| if path.ends_with("ballast") { Vec::new() } else { fs::read(path).unwrap() };
    files(folder).into_iter().map(|path| (path.clone(), (read(&path), fs::metadata(path).unwrap().len()))).collect()
}

/// A server with some of everything that can be in a folder, and nothing that falls due within the hour.
fn fill(server: &Server, receiver: &Receiver) -> (Client, Client) {
    let (genesy, snaily) = (server.workspace("genesy"), server.workspace("snaily"));
    let hook = |name: &str, path: &str, policy: Value| {
        json!({ "name": name, "url": receiver.url(path), "events": ["EMAIL_SENT"], "secret": "correct horse",
                "headers": { "X-Team": "sales" }, "customFields": ["industry"], "retryPolicy": { "delays": policy } })
    };
    let up = genesy.post("/v1/webhooks", &hook("up", "/up", json!(["1h"]))).expect(201).data()["id"].clone();
    genesy.post("/v1/webhooks", &hook("down", "/down", json!(["1h"]))).expect(201);
    genesy.post("/v1/webhooks", &hook("gone", "/down", json!(["10ms", "10ms"]))).expect(201);
    let url = receiver.url("/down");
    let down = json!({ "url": url, "events": ["contact.replied"], "secret": "hunter2hunter2" });
    snaily.post("/v1/webhooks", &down).expect(201);
    for n in 0..20 {
        let contact =
            json!({ "id": n, "fullName": "Ada Lovelace, Countess", "industry": "looms", "note": "x".repeat(n * 40) });
        publish(&genesy, &format!("e{n}"), "EMAIL_SENT", &json!({ "contact": contact }));
    }
    let types = snaily.get("/v1/event-types").expect(200);
    let sample = types.data().as_array().unwrap().iter().find(|t| t["name"] == "contact.replied").unwrap();
    (0..4).for_each(|n| publish(&snaily, &format!("s{n}"), "contact.replied", &sample["sample"]));

    genesy.patch(&format!("/v1/webhooks/{up}"), &json!({ "description": "of the sales team" })).expect(200);
    genesy.post(&format!("/v1/webhooks/{up}/test"), &json!({ "eventType": "EMAIL_SENT" }));
    let total = |client: &Client, query: &str| {
        let found = client.get(&format!("/v1/deliveries?pageSize=1&{query}")).expect(200);
        found.body["meta"]["total"].as_u64().unwrap()
    };
    within(Duration::from_secs(20), "what succeeds has, what fails to the end has, and the rest sleeps", || {
        let is_settled = total(&genesy, "status=succeeded") == 20 && total(&genesy, "status=exhausted") == 20;
        // Each of the others is filed once before it sleeps.
        (is_settled && receiver.count() >= 20 + 20 + 60 + 4).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    genesy.delete("/v1/events/e7").expect(204);
    snaily.delete("/v1/events/s1").expect(204);
    (genesy, snaily)
}

fn publish(client: &Client, id: &str, event_type: &str, data: &Value) {
    client.post("/v1/events", &json!({ "id": id, "type": event_type, "data": data })).expect(202);
}

fn receiver() -> Receiver {
    Receiver::reacting(|request| match &*request.path {
        "/up" => Reaction::Status(200),
        _ => Reaction::Raw("HTTP/1.1 500 X\r\ncontent-length: 42\r\n\r\nwhat the receiver said about what it was sent"),
    })
}

/// All that can be read, in parts: what a payload lies behind is a part of its own, marked `payload`.
type Read = BTreeMap<String, String>;

const EVERYTHING: PageQuery = PageQuery { page: 1, page_size: 200, cursor: None };

/// # Errors
/// While something is read that is being gathered from the log again.
async fn read(handle: &Handle) -> Result<Read, Refused> {
    let mut read = Read::new();
    for workspace in handle.workspaces() {
        let id = workspace.id;
        read.insert(format!("workspace {id}"), format!("{workspace:?}"));
        for webhook in handle.webhooks(id) {
            let logs = handle.logs(id, webhook.id, LogFilter::default(), EVERYTHING).await?;
            assert!(logs.items.len() < EVERYTHING.page_size);
            read.insert(format!("webhook {}", webhook.id), format!("{webhook:?} {}", logs.items.len()));
            for entry in logs.items {
                let at = entry.entry.position;
                read.insert(format!("log entry {at}"), format!("{:?}", entry.entry));
                read.insert(format!("payload of log entry {at}"), show(Some(&entry.response_body)));
            }
        }
        read_events(handle, id, &mut read).await?;
        read_deliveries(handle, id, &mut read).await?;
    }
    Ok(read)
}

async fn read_events(handle: &Handle, workspace: WorkspaceId, read: &mut Read) -> Result<(), Refused> {
    let events = handle.events(workspace, EventFilter::default(), EVERYTHING).await?;
    assert!(events.items.len() < EVERYTHING.page_size);
    for event in events.items.into_iter().map(|summary| summary.event) {
        let name = format!("{workspace} {}", event.id);
        let detail = handle.event(workspace, event.id.clone()).await?.unwrap();
        let explained = handle.explain(workspace, event.id.clone(), None).await?;
        let rows: Vec<_> = detail.deliveries.iter().map(|d| (&d.row, d.status)).collect();
        read.insert(format!("event {name}"), format!("{:?} {:?} {rows:?}", detail.event, detail.erased_at));
        read.insert(format!("explanation of {name}"), format!("{:?}", explained.is_some()));
        read.insert(format!("payload of event {name}"), show(detail.data.as_deref()));
    }
    Ok(())
}

async fn read_deliveries(handle: &Handle, workspace: WorkspaceId, read: &mut Read) -> Result<(), Refused> {
    let deliveries = handle.deliveries(workspace, DeliveryFilter::default(), EVERYTHING).await?;
    assert!(deliveries.items.len() < EVERYTHING.page_size);
    for delivery in deliveries.items {
        let key = delivery.row.cell.key;
        let detail = handle.delivery(workspace, key).await?.unwrap();
        read.insert(format!("delivery {key}"), format!("{:?} {:?}", detail.row, detail.status));
        for attempt in detail.attempts {
            let name = format!("{key} {}", attempt.entry.attempt.number);
            let headers = attempt.request.as_ref().map(|request| &request.headers);
            read.insert(format!("attempt {name}"), format!("{:?} {headers:?}", attempt.entry));
            read.insert(format!("payload of response {name}"), show(Some(&attempt.response_body)));
            let body = attempt.request.and_then(|request| request.body);
            read.insert(format!("payload of request {name}"), show(body.as_deref()));
        }
    }
    Ok(())
}

/// A payload's text, or what stands for a long one.
fn show(payload: Option<&[u8]>) -> String {
    let Some(bytes) = payload else { return "None".to_owned() };
    if bytes.len() <= 2_000 {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} bytes with hash {:x}", bytes.len(), hasher.finish())
}

fn open(data: &Path) -> Result<Read, StartError> {
    let engine = Engine::builder().data(data).allow("loopback").segment_bytes(SEGMENT).workers(1).open()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Ok(runtime.block_on(async {
        let handle = engine.handle();
        let read = loop {
            match read(&handle).await {
                Err(Refused::Unreadable) => tokio::time::sleep(Duration::from_millis(20)).await,
                read => break read.unwrap(),
            }
        };
        assert_eq!(engine.shutdown(Duration::from_secs(1)).await, Stopped::Clean);
        read
    }))
}

/// In RAM where there is such a folder: it is about what is read, not about what a power cut leaves.
fn fast_folder() -> tempfile::TempDir {
    if Path::new("/dev/shm").is_dir() { tempfile::tempdir_in("/dev/shm") } else { tempfile::tempdir() }.unwrap()
}

/// What became of a flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// The start was refused.
    Refused,
    /// Started, and everything is there.
    Harmless,
    /// Started; one payload is refused where it is read, and `verify` names it.
    PayloadRefused,
    /// Started; the block behind which nothing came was taken for a write that a power cut tore, and reported as that.
    TornTail,
}

/// A folder and what is in it.
struct Subject {
    name: &'static str,
    image: Image,
    expected: Read,
    /// Where the last block lies.
    last: (PathBuf, u64),
}

impl Subject {
    fn new(name: &'static str, data: &Path) -> Subject {
        let image = Image::of(data);
        let last = image.blocks().last().map(|block| (block.file.to_owned(), block.at)).unwrap();
        let expected = open(data).unwrap();
        let found = |what: &str| expected.keys().filter(|key| key.starts_with(what)).count();
        let counts = (found("workspace"), found("webhook"), found("delivery"), found("attempt"));
        assert_eq!(counts, (2, 4, 64, 104), "the folder holds what it was filled with");
        Subject { name, image, expected, last }
    }

    /// # Panics
    /// When something was lost or altered in silence.
    fn try_out(&self, flip: &Flip, data: &Path) -> Verdict {
        self.image.lay(data);
        flip.make(data);
        let before = contents(data);
        let verified = LogFolder::open(data).map_err(|e| e.to_string()).and_then(|log| {
            let stats = log.verify(|_| ()).map_err(|e| e.to_string())?;
            Ok(stats.torn.map(|torn| (torn.file, torn.offset)))
        });
        assert!(contents(data) == before, "{flip:?}: verify changes nothing");
        let (errors, warnings) = (ERRORS.load(Ordering::Relaxed), WARNINGS.load(Ordering::Relaxed));
        let read = match open(data) {
            Ok(read) => read,
            Err(error) => {
                let error = error.to_string();
                assert!(self.is_named(flip, &error, data), "{flip:?}: {error}");
                assert!(contents(data) == before, "{}: {flip:?}: refused ({error}), and yet changed", self.name);
                return Verdict::Refused;
            }
        };
        let lost: Vec<_> = self.expected.keys().filter(|key| read.get(*key) != self.expected.get(*key)).collect();
        let is_more = read.keys().any(|key| !self.expected.contains_key(key));
        let silent = || {
            let lost: Vec<_> = lost.iter().map(|key| (key, &self.expected[*key], read.get(*key))).collect();
            format!("{}: {flip:?}: {verified:?}: lost or altered in silence: {lost:#?}", self.name)
        };
        assert!(!is_more, "{}", silent());
        if let Ok(Some((file, offset))) = &verified {
            assert_eq!((Path::new(file), *offset), (&*self.last.0, self.last.1), "{flip:?}: only the last block");
            assert!(flip.file == self.last.0 && flip.at >= self.last.1, "{}", silent());
            assert!(lost.iter().all(|key| key.ends_with(LAST)), "{}", silent());
            assert!(WARNINGS.load(Ordering::Relaxed) > warnings, "the start says so: {}", silent());
            return Verdict::TornTail;
        }
        if lost.is_empty() {
            return Verdict::Harmless;
        }
        let named = verified.as_ref().err().is_some_and(|error| self.is_named(flip, error, data));
        let is_missing = |key: &String| matches!(read.get(key).map(|v| &**v), Some("None" | ""));
        assert!(named && ERRORS.load(Ordering::Relaxed) > errors, "{}", silent());
        assert!(lost.iter().all(|key| key.starts_with("payload") && is_missing(key)), "{}", silent());
        Verdict::PayloadRefused
    }

    /// Whether a refusal names the place: the file, and in a segment the block.
    fn is_named(&self, flip: &Flip, error: &str, data: &Path) -> bool {
        let name = flip.file.to_str().unwrap();
        if is_segment(&flip.file) {
            let Some((_, rest)) = error.split_once(&format!("{name} at byte ")) else { return false };
            let offset: u64 = rest.split(':').next().unwrap().parse().unwrap();
            return offset <= flip.at;
        }
        // Without magic it is no log, and of a newer version it is for another program: the folder is named.
        let is_folder_named = name == "log/HEAD" && flip.at < 10 && error.contains(&data.display().to_string());
        error.contains(name) || is_folder_named || (name == "master.key" && error.contains("keys/"))
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    // Whichever test of this file comes first.
    let _ = tracing::subscriber::set_global_default(Complaints);
    let flips = std::env::var("POSTRIDER_FLIPS").map_or(FLIPS_DEFAULT, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver();

    // One that was stopped, and ends with a seal; one that was killed right after an answer, in its second segment.
    let stopped = folder.path().join("stopped");
    let server = Server::start_with(&stopped, &["--segment", "4MiB"], &[]);
    fill(&server, &receiver);
    assert!(server.terminate().success());
    let killed = folder.path().join("killed");
    let server = Server::start_with(&killed, &["--segment", "4MiB"], &[]);
    let (genesy, _) = fill(&server, &receiver);
    for n in 0..20 {
        publish(
            &genesy,
            &format!("large{n}"),
            "MESSAGE_REPLIED",
            &json!({ "contact": { "id": n }, "note": "x".repeat(250_000) }),
        );
    }
    publish(&genesy, LAST, "MESSAGE_REPLIED", &json!({ "contact": { "id": 1 } }));
    server.kill();
    assert!(killed.join("log").read_dir().unwrap().count() > 2, "there is a second segment");

    let fast = fast_folder();
    let data = fast.path().join("data");
    for (seed, subject) in [Subject::new("stopped", &stopped), Subject::new("killed", &killed)].iter().enumerate() {
        let (began, mut verdicts) = (Instant::now(), BTreeMap::new());
        let all = subject.image.flips(flips, &mut Lot(seed as u64));
        for flip in &all {
            *verdicts.entry(subject.try_out(flip, &data)).or_insert(0) += 1;
        }
        println!("{}: {} flips in {:?}: {verdicts:?}", subject.name, all.len(), began.elapsed());
    }
}

/// The same of a sled log. What is not the same: sled writes to its files when it opens them, so a refused start does not leave them as
/// they were; and no block is ever taken for torn, since `HEAD` knows the last one.
#[test]
fn a_flipped_bit_in_a_sled_log_is_noticed_or_harmless() {
    let _ = tracing::subscriber::set_global_default(Complaints);
    let flips = std::env::var("POSTRIDER_FLIPS")
        .map_or(FLIPS_IN_SLED_DEFAULT, |text| text.parse::<u64>().unwrap() / FLIPS_IN_SLED_SHARE);
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver();
    let fast = fast_folder();
    let data = fast.path().join("data");
    for (seed, name) in ["stopped", "killed"].into_iter().enumerate() {
        let at_rest = folder.path().join(name);
        let server = Server::start_with(&at_rest, &["--log", "sled"], &[]);
        fill(&server, &receiver);
        if name == "killed" {
            server.kill()
        } else {
            assert!(server.terminate().success())
        }
        let image = Image::of(&at_rest);
        let expected = open(&at_rest).unwrap();
        let (began, mut verdicts) = (Instant::now(), BTreeMap::new());
        let mut lot = Lot(seed as u64);
        for flip in image.flips_in_sled(flips, &mut lot) {
            image.lay(&data);
            flip.make(&data);
            *verdicts.entry(try_out_in_sled(&flip, &data, &expected)).or_insert(0) += 1;
        }
        println!("sled, {name}: {:?}: {verdicts:?}", began.elapsed());
        assert!(verdicts[&Verdict::Refused] > 0);
    }
}

impl Image {
    /// Flips evenly over what sled's file holds, over its small files, and over `HEAD`.
    fn flips_in_sled(&self, count: u64, lot: &mut Lot) -> Vec<Flip> {
        let of_log = self.files.iter().filter(|(name, (bytes, _))| name.starts_with("log") && !bytes.is_empty());
        let mut flips = Vec::new();
        for (file, (bytes, _)) in of_log {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last as u64 + 1);
            let count = if file.ends_with("db") { count } else { (count / 4).min(used) };
            // One place in each of as many equal parts.
            flips.extend((0..count).map(|n| {
                let at = (n * used + lot.below(used)) / count;
                Flip { file: file.clone(), at, bit: lot.below(8) as u8 }
            }));
        }
        flips
    }
}

/// # Panics
/// When something was lost or altered in silence.
fn try_out_in_sled(flip: &Flip, data: &Path, expected: &Read) -> Verdict {
    let before = contents(data);
    let verified =
        LogFolder::open(data).map_err(|e| e.to_string()).and_then(|log| log.verify(|_| ()).map_err(|e| e.to_string()));
    assert!(contents(data) == before, "{flip:?}: verify changes nothing");
    let read = match open(data) {
        Ok(read) => read,
        Err(StartError::Open(error)) => {
            assert!(verified.is_err(), "{flip:?}: {error}, and verify found nothing");
            return Verdict::Refused;
        }
        Err(error) => panic!("{flip:?}: {error}"),
    };
    let lost: Vec<_> = expected.keys().filter(|key| read.get(*key) != expected.get(*key)).collect();
    let silent = || format!("{flip:?}: {verified:?}: lost or altered in silence: {lost:?}");
    assert!(read.keys().all(|key| expected.contains_key(key)), "{}", silent());
    if lost.is_empty() {
        return Verdict::Harmless;
    }
    let is_missing = |key: &String| matches!(read.get(key).map(|v| &**v), Some("None" | ""));
    assert!(verified.is_err() && lost.iter().all(|key| key.starts_with("payload") && is_missing(key)), "{}", silent());
    Verdict::PayloadRefused
}
