//! The documentation holds together: links and their anchors lead somewhere, the book lists every page, and what stands beside the pages (a
//! dashboard, a unit of systemd) names what the program really has.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use postrider_tests::{Receiver, Server, binary, within};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Pages below a folder, relative to the root.
fn pages(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root()).unwrap().to_owned();
        if path.is_dir() {
            found.extend(pages(relative.to_str().unwrap()));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(relative);
        }
    }
    found.sort();
    found
}

fn all_pages() -> Vec<PathBuf> {
    let top = ["README.md", "CHANGELOG.md"].map(PathBuf::from);
    top.into_iter().chain(pages("docs")).collect()
}

/// Without what stands in blocks of code, where nothing is a link or a heading.
fn prose(text: &str) -> String {
    let mut in_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    };
    text.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
}

/// The targets of a page's links and pictures.
fn links(prose: &str) -> Vec<&str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors that a page's headings get, as hosts of repositories and mdBook make them.
fn anchors(prose: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::new();
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let slug: String =
            heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect();
        let times = seen.entry(slug.clone()).and_modify(|n| *n += 1).or_insert(0);
        if *times == 0 { slug } else { format!("{slug}-{times}") }
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in all_pages() {
        let text = prose(&read(page.to_str().unwrap()));
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            if file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let target =
                if file.is_empty() { root().join(&page) } else { root().join(&page).parent().unwrap().join(file) };
            if !target.exists() {
                wrong.push(format!("{}: {link}: there is no such file", page.display()));
            } else if let Some(anchor) = anchor
                && !anchors(&prose(&std::fs::read_to_string(&target).unwrap())).contains(anchor)
            {
                wrong.push(format!("{}: {link}: there is no such heading", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// In the book there is nothing outside of its folder.
#[test]
fn no_page_of_the_book_leads_out_of_it() {
    let mut wrong = Vec::new();
    for page in pages("docs") {
        for link in links(&prose(&read(page.to_str().unwrap()))) {
            let steps_up = link.split('/').take_while(|step| *step == "..").count();
            if steps_up >= page.components().count() - 1 {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_book_repeats_what_the_readme_begins_with() {
    let section = |page: &str, heading: &str| -> String {
        let below = read(page).split(&format!("\n## {heading}\n")).nth(1).unwrap().to_owned();
        below.split("\n## ").next().unwrap().trim().to_owned()
    };
    let readme = section("README.md", "Five minutes").replace("](docs/", "](");
    assert_eq!(section("docs/start.md", "Five minutes"), readme);
    let own = section("README.md", "In your own program");
    let program = own.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(read("docs/embedding.md").contains(program), "docs/embedding.md has the program of the README");
}

#[test]
fn the_reference_is_made_of_the_description() {
    let document = serde_json::from_str(&read("docs/openapi.json")).unwrap();
    let is_same = postrider_tests::reference::page(&document) == read("docs/api.md");
    assert!(is_same, "refresh the page with `make api-reference`");
}

#[test]
fn the_book_lists_every_page_once() {
    let summary = read("docs/SUMMARY.md");
    let mut listed: Vec<PathBuf> = links(&summary).iter().map(|link| Path::new("docs").join(link)).collect();
    listed.sort();
    let mut there = pages("docs");
    there.retain(|page| page != Path::new("docs/SUMMARY.md"));
    assert_eq!(listed, there);
}

/// Words that begin like a metric's name.
fn metric_names(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("postrider_"));
    words
        .map(|word| word.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned())
        .collect()
}

const CERTIFICATE: &str = "postrider_certificate_expiry_seconds";

/// The names in the table of the page about metrics.
fn documented() -> BTreeSet<String> {
    let page = read("docs/metrics.md");
    let rows: String = page.lines().filter(|line| line.starts_with("| `postrider_")).collect();
    assert!(rows.contains("postrider_inflight"), "{rows}");
    metric_names(&rows)
}

#[test]
fn the_dashboard_of_grafana_shows_every_metric_and_none_that_is_not_there() {
    let text = read("docs/operations/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut expressions = String::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "a panel's id is its own: {panel}");
        assert!(panel["title"].is_string() && panel["description"].is_string(), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let balanced = |open, close| expression.matches(open).count() == expression.matches(close).count();
            assert!(balanced('(', ')') && balanced('{', '}') && balanced('[', ']'), "{expression}");
            expressions.push_str(expression);
        }
    }
    let mut shown = metric_names(&expressions);
    // Told by a server with a certificate alone, which this is not; `tls` asks one.
    assert!(shown.remove(CERTIFICATE) && read("docs/metrics.md").contains(CERTIFICATE));
    assert_eq!(shown, documented(), "on the dashboard, and in docs/metrics.md");
    let labels = ["outcome", "error_kind", "tier"];
    assert!(labels.iter().all(|label| expressions.contains(label)));

    // The running server tells each of them, before anything has failed.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.workspace("genesy");
    let receiver = Receiver::answering(200);
    client
        .post("/v1/webhooks", &json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"] }))
        .expect(201);
    let told = |text: &str| {
        metric_names(text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").as_str())
    };
    let scrape = || client.send("GET", "/metrics", &[], b"").expect(200).text;
    let zero = "postrider_attempts_total{outcome=\"exhausted\"} 0";
    within(Duration::from_secs(5), "counters begin at zero", || {
        scrape().lines().any(|line| line == zero).then_some(())
    });
    client.post("/v1/events", &json!({ "type": "EMAIL_SENT", "data": {} })).expect(202);
    // The last ones come with the first commit of the store, which waits for a disk that others may be using.
    within(Duration::from_secs(60), "each is told", || {
        let missing: Vec<_> = documented().difference(&told(&scrape())).cloned().collect();
        missing.is_empty().then_some(())
    });
    let text = scrape();
    assert_eq!(told(&text), documented(), "and no other");
    for kind in ["outcome", "error_kind"] {
        let values = text.lines().filter_map(|line| line.split(&format!("{kind}=\"")).nth(1)?.split('"').next());
        let page = read("docs/metrics.md");
        for value in values {
            assert!(page.contains(&format!("`{value}`")), "{kind} {value} in docs/metrics.md");
        }
    }
}

#[test]
fn the_unit_starts_the_program_as_it_takes_its_options() {
    let unit = read("docs/operations/postrider.service");
    let of = |name: &str| {
        let mut lines = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        lines.next_back().unwrap_or_else(|| panic!("{name} in the unit")).to_owned()
    };
    let start = of("ExecStart");
    let mut words = start.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words[0], "serve");
    // The same options, with a file that is there, to the command that only reads them.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postrider.toml");
    let example = read("docs/configuration.md");
    let example = example.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    std::fs::write(&file, example).unwrap();
    words.splice(0..1, ["config".to_owned(), "show".to_owned()]);
    for word in &mut words {
        if word == "/etc/postrider/postrider.toml" {
            *word = file.display().to_string();
        }
    }
    let output = Command::new(binary()).env_clear().args(&words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let state = format!("/var/lib/{}", of("StateDirectory"));
    assert!(
        start.ends_with(&format!("--data {state}")),
        "the folder that the unit makes is the one that is written to"
    );
    assert!(of("TimeoutStopSec").parse::<u64>().unwrap() > 60, "longer than the longest timeout of a webhook");

    // What systemd says of it, where there is one.
    let copy = folder.path().join("postrider.service");
    std::fs::write(&copy, unit.replace("/usr/local/bin/postrider", binary().to_str().unwrap())).unwrap();
    match Command::new("systemd-analyze").arg("verify").arg(&copy).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && !said.contains("postrider.service"), "{said}");
        }
        Err(_) => eprintln!("systemd-analyze is not installed: the unit was not verified"),
    }
}
