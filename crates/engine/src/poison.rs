//! The end of an engine that may not go on: set once, with the reason, and seen by everyone.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::shared::Shared;

/// Whether, and why, the engine is poisoned.
pub struct Poison {
    reason: Mutex<Option<String>>,
    is_set: watch::Sender<bool>,
}

impl Poison {
    /// Not poisoned.
    pub fn new() -> Poison {
        Poison { reason: Mutex::new(None), is_set: watch::Sender::new(false) }
    }

    /// Poisons the engine; the first reason stays.
    pub fn set(&self, reason: impl Into<String>) {
        self.reason.lock().get_or_insert_with(|| reason.into());
        self.is_set.send_replace(true);
    }

    /// The reason, once poisoned.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }

    /// Waits until the engine is poisoned, and says why.
    pub async fn wait(&self) -> String {
        let mut seen = self.is_set.subscribe();
        // The sender lives in `self`, so this ends only when it is set.
        let _ = seen.wait_for(|is_set| *is_set).await;
        self.reason().unwrap_or_default()
    }
}

impl Default for Poison {
    fn default() -> Self {
        Poison::new()
    }
}

/// Poisons the engine when the thread that holds it panics: a failed assertion must not leave a server that answers and does nothing.
pub struct PoisonOnPanic(pub Arc<Shared>);

impl Drop for PoisonOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current().name().unwrap_or("engine").to_owned();
            self.0.poison.set(format!("the thread {thread} has panicked"));
        }
    }
}
