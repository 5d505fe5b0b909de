//! One flipped bit in a folder at rest: the start is refused with the place named and nothing changed, or what is read is what was
//! acknowledged, or the one payload that it hit is refused where it is read. Nothing is lost or altered in silence.
//!
//! `POSTRIDER_FLIPS` says how many bits of the log's segments are flipped, in each of two folders; 10,000 is the long run, in which
//! every bit of the small files has its turn, too.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod filled;
mod image;
mod reading;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use filled::{fill, publish, receiver};
use image::{Flip, Image, Lot, contents, is_segment};
use postrider::StartError;
use postrider::inspect::LogFolder;
use postrider_tests::Server;
use reading::{Read, open};
use serde_json::json;

const FLIPS_DEFAULT: u64 = 150;
/// Of sled's files, in each of two folders: each costs an opening, and sled goes through its whole file.
const FLIPS_IN_SLED_DEFAULT: u64 = 60;
/// Of `POSTRIDER_FLIPS`, one in so many.
const FLIPS_IN_SLED_SHARE: u64 = 10;
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
