//! A client of the API: one key, and answers as status and JSON.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Request, Response};

/// Speaks to one server with one key.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    key: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; `Null` when there was none.
    pub body: Value,
    /// `Retry-After`, if there was one.
    pub retry_after: Option<String>,
    /// `Content-Type`, empty when there was none.
    pub content_type: String,
    /// `Set-Cookie`, if there was one.
    pub set_cookie: Option<String>,
    /// The body as it came.
    pub text: String,
    /// By name in lower case.
    headers: Vec<(String, String)>,
}

impl Answer {
    /// The `data` of the body.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The fields that a validation error names.
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }

    /// Itself, if the status is the expected one.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

impl Client {
    /// A client of the server at `base`.
    pub fn new(base: &str, key: &str) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(70)))
            .build();
        Client { agent: config.into(), base: base.to_owned(), key: key.to_owned() }
    }

    /// The same server with another key.
    pub fn with_key(&self, key: &str) -> Client {
        Client { key: key.to_owned(), ..self.clone() }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        answer(self.agent.get(self.url(path)).header("x-api-key", &self.key).call())
    }

    /// A number that the server tells of itself, by the name of a metric without labels. `None`: the engine has just started and has not
    /// said it yet.
    ///
    /// # Panics
    /// When it is not a number.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let text = self.get("/metrics").expect(200).text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(value.parse::<f64>().expect("a metric is a number") as u64)
    }

    /// GET of an answer that has no end: its lines as they come.
    ///
    /// # Panics
    /// When the answer is not a 200, or a line does not come.
    pub fn watch(&self, path: &str) -> impl Iterator<Item = String> + use<> {
        let answer = self.agent.get(self.url(path)).header("x-api-key", &self.key).call().expect("the server answers");
        assert_eq!(answer.status(), 200);
        BufReader::new(answer.into_body().into_reader()).lines().map_while(Result::ok)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Answer {
        answer(self.agent.delete(self.url(path)).header("x-api-key", &self.key).call())
    }

    /// POST with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_raw(path, "application/json", body.to_string().as_bytes())
    }

    /// POST with any body.
    pub fn post_raw(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        answer(self.try_post(path, content_type, body))
    }

    /// POST, when the server may be gone.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn try_post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Response<ureq::Body>, ureq::Error> {
        self.agent.post(self.url(path)).header("x-api-key", &self.key).content_type(content_type).send(body)
    }

    /// PATCH with a JSON body.
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        let request = self.agent.patch(self.url(path)).header("x-api-key", &self.key);
        answer(request.content_type("application/json").send(body.to_string().as_bytes()))
    }

    /// Any request, with these headers and no key but the one that is among them.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let unsendable = "a test sends what can be sent";
        if body.is_empty() && !matches!(method, "POST" | "PATCH" | "PUT") {
            return answer(self.agent.run(request.body(()).expect(unsendable)));
        }
        answer(self.agent.run(request.body(body).expect(unsendable)))
    }

    /// The server that it speaks to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The key that it sends.
    pub fn key(&self) -> &str {
        &self.key
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn answer(response: Result<Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.unwrap_or_else(|e| panic!("the server should have answered: {e}"));
    let text = response.body_mut().read_to_string().unwrap_or_default();
    let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (retry_after, content_type) = (header("retry-after"), header("content-type").unwrap_or_default());
    let set_cookie = header("set-cookie");
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let headers = headers.collect();
    let body =
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text.clone())) };
    Answer { status: response.status().as_u16(), body, retry_after, content_type, set_cookie, text, headers }
}
