//! A browser without a script: it keeps its cookie, sends the form token that pages carry, and follows redirects when told.

use axum::body::Body;
use axum::http::{Method, Request, header};

use crate::support::{Answer, World};

pub struct Browser<'a> {
    world: &'a World,
    pub cookie: String,
}

impl<'a> Browser<'a> {
    /// Nobody is signed in.
    pub fn new(world: &'a World) -> Browser<'a> {
        Browser { world, cookie: String::new() }
    }

    /// Signed in with this key.
    pub async fn with_key(world: &'a World, key: &str) -> Browser<'a> {
        let mut browser = Browser::new(world);
        let answer = browser.send_form("/dashboard/sign-in", &[("key", key)], &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        browser.cookie = cookie_of(&answer);
        browser
    }

    pub async fn open(&self, path: &str) -> Answer {
        let request = Request::builder().uri(path).header(header::COOKIE, &self.cookie);
        self.world.send(request.body(Body::empty()).unwrap()).await
    }

    /// Opens a page that has to be there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.open(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    /// Sends a form, with the token of the session, as a page of this server would.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token().await;
        let fields: Vec<_> = [("token", &*token)].into_iter().chain(fields.iter().copied()).collect();
        self.send_form(path, &fields, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Sends a form that is taken, and opens the page that it leads to.
    pub async fn do_form(&self, path: &str, fields: &[(&str, &str)]) -> (String, String) {
        let answer = self.submit(path, fields).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        let to = answer.headers[header::LOCATION].to_str().unwrap().to_owned();
        let page = self.page(&to).await;
        (to, page)
    }

    /// The token that the session's forms carry.
    pub async fn token(&self) -> String {
        let page = self.page("/").await;
        let (_, rest) = page.split_once(r#"name="token" value=""#).expect("a form of the session");
        rest.split('"').next().unwrap().to_owned()
    }

    pub async fn send_form(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = Request::builder().method(Method::POST).uri(path).header(header::COOKIE, &self.cookie);
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.world.send(request.body(Body::from(body)).unwrap()).await
    }
}

/// The cookie that an answer sets, as it is sent back.
pub fn cookie_of(answer: &Answer) -> String {
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}
