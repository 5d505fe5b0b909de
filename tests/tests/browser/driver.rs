//! A browser: Chromium without a window, driven over WebDriver. It does what a person does, and finds what it needs by the words that a
//! person reads: a field by its label, a button or a link by its text.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postrider_tests::{Server, within};
use serde_json::{Value, json};
use ureq::Agent;

/// How long something on a page may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);
/// The member that names an element in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One window, its cookies its own. It closes when this is dropped.
pub struct Browser {
    agent: Agent,
    driver: Child,
    session: String,
    base: String,
}

/// An element of the page that is shown.
#[derive(Clone)]
pub struct Element(Value);

/// Where Chromium and its driver lie; `None`, and why, where they are not to be used.
pub fn tools() -> Option<(PathBuf, PathBuf)> {
    static SAID: Once = Once::new();
    let wish = std::env::var("POSTRIDER_BROWSER").unwrap_or_default();
    let find = |name: &str| {
        std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|at| at.is_file())
    };
    let found = find("chromium").zip(find("chromedriver"));
    assert!(found.is_some() || wish != "must", "chromium and chromedriver are not on the PATH");
    let why = match &found {
        Some(_) if wish != "no" => return found,
        Some(_) => "POSTRIDER_BROWSER=no",
        None => "chromium and chromedriver are not on the PATH; `make browser` installs them",
    };
    // Not by the macro, whose words the harness keeps to itself while a test passes.
    SAID.call_once(|| drop(writeln!(std::io::stderr(), "SKIPPED: the dashboard's tests in a browser: {why}")));
    None
}

/// Where what a test leaves to be looked at lies.
pub fn output() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder").join("browser");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

impl Browser {
    /// Opens one for a server's pages; `None` where there is no browser.
    pub fn open(server: &Server) -> Option<Browser> {
        Browser::open_with(server, true)
    }

    /// The same, in which pages run no scripts.
    pub fn open_without_scripts(server: &Server) -> Option<Browser> {
        Browser::open_with(server, false)
    }

    fn open_with(server: &Server, has_scripts: bool) -> Option<Browser> {
        let (chromium, chromedriver) = tools()?;
        let mut driver = Command::new(chromedriver)
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            Some(line.split_once("started successfully on port ")?.1.trim_end_matches('.').to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let session = format!("http://127.0.0.1:{}/session", port.expect("chromedriver says where it listens"));
        let mut browser = Browser { agent, driver, session, base: server.base().trim_end_matches('/').to_owned() };
        let scripts = if has_scripts { 1 } else { 2 };
        let options = json!({
            "binary": chromium,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,900"],
            "prefs": { "profile.managed_default_content_settings.javascript": scripts },
        });
        let asked = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let begun = browser.ask("POST", "", &asked);
        let id = begun["sessionId"].as_str().unwrap_or_else(|| panic!("a session, not {begun}"));
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    /// One command, refused or not.
    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let url = format!("{}{path}", self.session);
        let answer = match method {
            "GET" => self.agent.get(&url).call(),
            "DELETE" => self.agent.delete(&url).call(),
            _ => self.agent.post(&url).content_type("application/json").send(body.to_string()),
        };
        let mut answer = answer.expect("chromedriver answers");
        let mut said: Value =
            answer.body_mut().with_config().limit(64 << 20).read_json().expect("chromedriver speaks JSON");
        let value = said["value"].take();
        if answer.status() == 200 { Ok(value) } else { Err(value) }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_ask(method, path, body)
            .unwrap_or_else(|said| panic!("{method} {path} {body}: {} {}", said["error"], said["message"]))
    }

    /// Goes to a page of the server.
    pub fn go(&self, path: &str) {
        self.go_out(&format!("{}{path}", self.base));
    }

    /// Goes anywhere.
    pub fn go_out(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// Path and query of the page that is shown.
    pub fn path(&self) -> String {
        let url = self.ask("GET", "/url", &Value::Null);
        let url = url.as_str().unwrap_or_default();
        url.strip_prefix(&*self.base).unwrap_or(url).to_owned()
    }

    /// Loads the page anew.
    pub fn reload(&self) {
        self.ask("POST", "/refresh", &json!({}));
    }

    /// What stands on the page and can be seen.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText", &[]).as_str().unwrap_or_default().to_owned()
    }

    /// Runs a function's body with these arguments; what it returns. Works also where pages run no scripts.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// A command to Chromium itself.
    pub fn command(&self, name: &str, parameters: &Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    /// The first element that a selector finds, at once.
    #[track_caller]
    pub fn find(&self, selector: &str) -> Element {
        Element(self.ask("POST", "/element", &json!({ "using": "css selector", "value": selector })))
    }

    /// How many elements a selector finds.
    pub fn count(&self, selector: &str) -> usize {
        self.run("return document.querySelectorAll(arguments[0]).length", &[selector.into()]).as_u64().unwrap_or(0)
            as usize
    }

    /// An element's text.
    pub fn text_of(&self, selector: &str) -> String {
        self.run("return document.querySelector(arguments[0])?.innerText ?? ''", &[selector.into()])
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the page says this.
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        self.wait(words, || self.text().contains(words).then_some(()));
    }

    /// Waits until there is something to see.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(std::time::Instant::now() < deadline, "{what} did not appear on {}:\n{}", self.path(), self.text());
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    /// The field with this label: it begins with these words.
    #[track_caller]
    pub fn field(&self, label: &str) -> Element {
        let script = "const words = arguments[0];
            const begins = (text) => text.trim().startsWith(words);
            const own = (label) => [...label.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join(' ');
            const labels = [...document.querySelectorAll('label')].filter((label) => begins(own(label)) || begins(label.innerText));
            return labels.map((label) => label.control).find((field) => field) ?? null";
        let found = self.run(script, &[label.into()]);
        assert!(found.get(ELEMENT).is_some(), "there is no field {label} on {}:\n{}", self.path(), self.text());
        Element(found)
    }

    /// Types into the field with this label, in the place of what stood there.
    #[track_caller]
    pub fn fill(&self, label: &str, text: &str) {
        let field = self.field(label);
        self.ask("POST", &format!("/element/{}/clear", field.id()), &json!({}));
        self.send_keys(&field, text);
    }

    /// Chooses from the list with this label, or sets a field for times, which no keys reach in every language.
    #[track_caller]
    pub fn choose(&self, label: &str, value: &str) {
        let field = self.field(label);
        let set = self.run("arguments[0].value = arguments[1]; return arguments[0].value", &[field.0, value.into()]);
        // A time without seconds is written without them.
        let set = set.as_str().unwrap_or_default();
        assert!(set == value || format!("{set}:00") == value, "{label} takes {value}, not {set}");
    }

    /// Ticks the box with this label, or takes the tick away.
    #[track_caller]
    pub fn tick(&self, label: &str) {
        self.click(&self.field(label));
    }

    /// Clicks the button, link or summary with this text.
    #[track_caller]
    pub fn press(&self, words: &str) {
        let script = "const seen = (element) => element.checkVisibility() && element.innerText.trim() === arguments[0];
            return [...document.querySelectorAll('button, a, summary')].find(seen) ?? null";
        // A part of a live page may be renewed between the look and the click.
        self.wait(words, || {
            let found = self.run(script, &[words.into()]);
            let click = |id: &str| self.try_ask("POST", &format!("/element/{id}/click"), &json!({}));
            match click(found.get(ELEMENT)?.as_str()?) {
                Err(said) if said["error"] == "stale element reference" => None,
                clicked => {
                    Some(clicked.unwrap_or_else(|said| panic!("{words} cannot be pressed: {}", said["message"])))
                }
            }
        });
    }

    /// Clicks what leads to another page, and waits until that page is there: what is typed into one that is being
    /// replaced is lost with it.
    #[track_caller]
    pub fn follow(&self, words: &str) {
        self.run("window.isThePageBefore = true", &[]);
        self.press(words);
        self.wait("the next page", || {
            let there = "return !window.isThePageBefore && document.readyState === 'complete'";
            (self.run(there, &[]) == Value::Bool(true)).then_some(())
        });
    }

    /// Clicks an element.
    #[track_caller]
    pub fn click(&self, element: &Element) {
        self.ask("POST", &format!("/element/{}/click", element.id()), &json!({}));
    }

    /// Types while an element has the focus.
    #[track_caller]
    pub fn send_keys(&self, element: &Element, text: &str) {
        self.ask("POST", &format!("/element/{}/value", element.id()), &json!({ "text": text }));
    }

    /// Types to whatever has the focus.
    pub fn type_keys(&self, text: &str) {
        let keys: Vec<_> = text
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        self.ask("POST", "/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": keys }] }));
    }

    /// The cookies that pages are given, also those that no script sees.
    pub fn cookies(&self) -> Value {
        self.ask("GET", "/cookie", &Value::Null)
    }

    /// The text of a dialog that a page has opened, if one has.
    pub fn dialog(&self) -> Option<String> {
        self.try_ask("GET", "/alert/text", &Value::Null).ok().map(|text| text.to_string())
    }

    /// Signs in, and waits for the first page.
    #[track_caller]
    pub fn sign_in(&self, key: &str) {
        self.go("/");
        self.fill("Key", key);
        self.press("Sign in");
        self.wait_for("Sign out");
    }

    /// A picture of the whole page, kept as a file.
    pub fn picture(&self, name: &str) {
        let size = &self.command("Page.getLayoutMetrics", &json!({}))["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let taken = self.command("Page.captureScreenshot", &json!({ "captureBeyondViewport": true, "clip": clip }));
        let bytes = STANDARD.decode(taken["data"].as_str().unwrap_or_default()).expect("a picture is base64");
        std::fs::write(output().join(format!("{name}.png")), bytes).expect("the target folder can be written");
    }

    /// Light or dark, as a person has set it.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// As wide as this, and a phone if that is narrow.
    pub fn widen(&self, width: u32) {
        let size = json!({ "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", &size);
    }
}

impl From<Element> for Value {
    fn from(element: Element) -> Value {
        element.0
    }
}

impl Element {
    fn id(&self) -> &str {
        self.0[ELEMENT].as_str().unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; a test that panics ends it, too.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Looks until there is something to see beside the page.
#[track_caller]
pub fn soon<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}
