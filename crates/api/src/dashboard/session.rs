//! Sessions: who is signed in. They are in RAM only and bounded in number; a restart ends them all.
//!
//! A session is no key and holds none: it names the key that it began with, and whoever uses it asks each time whether that key still may.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;
use postrider_core::{KeyId, WorkspaceId};
use postrider_engine::new_session_token;
use secrecy::{ExposeSecret, SecretString};

use crate::limits::{SESSION_AGE_MAX, SESSION_IDLE_MAX, SESSIONS_MAX, SESSIONS_OF_ONE_MAX};

/// What was signed in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The admin key.
    Admin,
    /// A workspace's key.
    Key(WorkspaceId, KeyId),
}

/// A session as a request sees it.
#[derive(Clone)]
pub struct Session {
    /// The cookie's value.
    pub token: String,
    /// What it began with.
    pub who: Who,
    /// What every form of the session has to bring along.
    pub form_token: String,
}

/// Said once, on the page of this path.
#[derive(Clone)]
pub struct Notice {
    pub path: String,
    pub text: &'static str,
    /// What was made just now and is not shown again.
    pub secret: Option<SecretString>,
}

/// All sessions.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Entry>>);

struct Entry {
    who: Who,
    form_token: String,
    began: Instant,
    used: Instant,
    notice: Option<Notice>,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= SESSION_AGE_MAX || now.duration_since(self.used) >= SESSION_IDLE_MAX
    }
}

impl Sessions {
    /// Begins a session. Where there are too many, with this key or at all, the one that was not used for longest ends.
    pub fn begin(&self, who: Who, now: Instant) -> Session {
        let text = || new_session_token().expose_secret().to_owned();
        let (token, form_token) = (text(), text());
        let mut sessions = self.0.lock();
        sessions.retain(|_, entry| !entry.is_over(now));
        let of_one = sessions.values().filter(|entry| entry.who == who).count();
        if of_one >= SESSIONS_OF_ONE_MAX {
            end_oldest(&mut sessions, |entry| entry.who == who);
        } else if sessions.len() >= SESSIONS_MAX {
            end_oldest(&mut sessions, |_| true);
        }
        let entry = Entry { who, form_token: form_token.clone(), began: now, used: now, notice: None };
        sessions.insert(token.clone(), entry);
        Session { token, who, form_token }
    }

    /// The session of this token, which counts as used now.
    pub fn find(&self, token: &str, now: Instant) -> Option<Session> {
        let mut sessions = self.0.lock();
        let entry = sessions.get_mut(token).filter(|entry| !entry.is_over(now))?;
        entry.used = now;
        Some(Session { token: token.to_owned(), who: entry.who, form_token: entry.form_token.clone() })
    }

    /// Whether the session goes on; asking is not using it.
    pub fn is_open(&self, token: &str, now: Instant) -> bool {
        self.0.lock().get(token).is_some_and(|entry| !entry.is_over(now))
    }

    /// Ends a session.
    pub fn end(&self, token: &str) {
        self.0.lock().remove(token);
    }

    /// Leaves something to be said on the page of `notice.path`.
    pub fn leave(&self, token: &str, notice: Notice) {
        if let Some(entry) = self.0.lock().get_mut(token) {
            entry.notice = Some(notice);
        }
    }

    /// What is to be said on the page of this path.
    pub fn take_notice(&self, token: &str, path: &str) -> Option<Notice> {
        self.0.lock().get_mut(token)?.notice.take_if(|notice| notice.path == path)
    }
}

fn end_oldest(sessions: &mut HashMap<String, Entry>, is_meant: impl Fn(&Entry) -> bool) {
    let meant = sessions.iter().filter(|(_, entry)| is_meant(entry));
    let oldest = meant.min_by_key(|(_, entry)| entry.used).map(|(token, _)| token.clone());
    if let Some(token) = oldest {
        sessions.remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postrider_core::Position;

    use super::*;

    fn key(n: u64) -> Who {
        let at = Position::from_u64(n);
        Who::Key(WorkspaceId(at), KeyId(at))
    }

    #[test]
    fn a_session_ends_when_it_is_old_or_was_not_used() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let token = sessions.begin(Who::Admin, start).token;
        let mut last = start;
        // Used every hour it lasts until its age ends it.
        for hour in 1..12 {
            last = start + Duration::from_secs(hour * 3600);
            assert!(sessions.find(&token, last).is_some(), "{hour}");
        }
        assert!(sessions.is_open(&token, last));
        assert!(sessions.find(&token, start + SESSION_AGE_MAX).is_none());
        let idle = sessions.begin(Who::Admin, start).token;
        assert!(sessions.find(&idle, start + SESSION_IDLE_MAX - Duration::from_secs(1)).is_some());
        assert!(!sessions.is_open(&idle, start + SESSION_IDLE_MAX * 2));
    }

    #[test]
    fn one_key_has_so_many_sessions_and_takes_nobody_elses() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let other = sessions.begin(key(1), start).token;
        let first = sessions.begin(key(2), start + Duration::from_secs(1)).token;
        for n in 0..SESSIONS_OF_ONE_MAX as u64 {
            sessions.begin(key(2), start + Duration::from_secs(2 + n));
        }
        let now = start + Duration::from_secs(60);
        assert!(sessions.is_open(&other, now));
        assert!(!sessions.is_open(&first, now));
        assert_eq!(sessions.0.lock().len(), SESSIONS_OF_ONE_MAX + 1);
    }

    #[test]
    fn all_of_them_together_are_bounded() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let first = sessions.begin(key(0), start).token;
        for n in 1..=SESSIONS_MAX as u64 {
            sessions.begin(key(n), start + Duration::from_millis(n));
        }
        assert_eq!(sessions.0.lock().len(), SESSIONS_MAX);
        assert!(!sessions.is_open(&first, start + Duration::from_secs(60)));
    }

    #[test]
    fn a_notice_is_said_once_and_where_it_belongs() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let token = sessions.begin(Who::Admin, now).token;
        sessions.leave(&token, Notice { path: "/a".into(), text: "Done.", secret: None });
        assert!(sessions.take_notice(&token, "/b").is_none());
        assert_eq!(sessions.take_notice(&token, "/a").map(|notice| notice.text), Some("Done."));
        assert!(sessions.take_notice(&token, "/a").is_none());
    }
}
