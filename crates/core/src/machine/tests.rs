//! Stories about the machine: given facts, when a command, then facts and effects; and properties against naive models.

mod attempts;
mod directory;
mod erasure;
mod properties;
mod publish;
mod replay;
mod retry;
mod signing;
mod story;
mod switching;
