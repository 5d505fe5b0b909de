//! A simulator over the real turn: virtual clocks, disks, receivers, people and crashes; and a judge who knows only the laws.
//!
//! It drives exactly what the server runs: [`postrider_engine::shard::Shard`] with machine and scheduler, the replay of
//! [`postrider_engine::recovery`], [`postrider_engine::EngineClock`], and either the log in memory or the journal on a disk that fails. It
//! takes the places of the writer's and the workers' threads, of entropy, network, publishers, operators, clocks and power supply.
//! Everything is drawn from one seed: the same seed gives the same trace. Each seed has some of the [`trouble`]s and not others.
//!
//! It promises to find a broken law by what it looks like from outside, and proves that by bugs made on purpose ([`fault`]). It has no
//! thread, no socket and no real clock while it runs a seed.
//!
//! # The laws and where they are judged
//!
//! | law | judged in |
//! |---|---|
//! | 1 durable before 202, nothing acknowledged is absent | `checker::answers` for what is said, `checker` (`reread`) for what a start finds, `checker::places` one by one; `world::power` for flipped bits, which are never silent; `checker::erasure`; `checker::retention` (nothing unfinished or too young is let go) |
//! | 2 replay gives the same | `process::start` (the kernel of the run before, and of a second replay), `checker::places` (each cell), `checker::facts` (each fact follows from the one before), `checker::retention` (what is carried and restated is as it was) |
//! | 3 one place in RAM | `checker::places`, counts as it goes and one by one at each start |
//! | 4 attempts as scheduled, numbered densely, no hidden resend | `checker::attempts`, `checker::sends` |
//! | 5 never early, within a second of due, no timer moved by a clock | `checker::sends`, `checker::places` (`sleeps`), `checker::attempts` for the next due time, `checker` (`read`) for engine time |
//! | 6 dense blocks, times never decrease | `checker` (`block`) |
//! | 7 permits | `checker::sends` |
//! | 8 nothing after DELETE, off, or PATCH was answered; current URL and secret | `checker::sends` (`written`), `checker::answers` |
//! | 9 duplicates | `checker::sends` |
//! | 10 the same body | `checker::sends`, against a body rendered when the event was accepted |
//! | 11 every delivery ends | `checker` (`settled`), after the quiet phase; `world::time` (what works without end in one moment never comes to them) |
//! | 12 refused before it is acknowledged | `checker::facts` (nothing comes of what was refused), `checker::places` (whoever waits for an answer gets one) |
//! | 13 a replay misses none and doubles none | `checker::replays` |
//!
//! A panic of the product, such as an assertion, counts as law 0.
//!
//! # What is not judged
//!
//! - The bounds of law 7's queues and of law 12's inbox, and `Retry-After`: they lie before the writer, in threads that are not run here.
//! - The real store: what the shard reads comes from a model of it (`store`), which is torn, stale and lost as the real one can be. That one
//!   is compared with the log in tests of its own. Queries are fed by the replay and not asked.
//! - A last block without a seal behind it whose bits flip after a crash: nothing can tell it from a torn one, so bits of it are not
//!   flipped.
//! - Bytes on the wire, TLS, names and deadlines: a request here is an attempt, a URL, a secret, a body and an answer.
//! - How late a retry is while the disk syncs, the machine sleeps or nothing runs: what was due meanwhile has a second from then on.

pub mod chance;
pub mod checker;
mod clocks;
pub mod fault;
mod medium;
mod operators;
mod plan;
mod process;
mod publishers;
mod receivers;
mod regressions;
mod shrink;
mod store;
pub mod trouble;
mod world;

pub use fault::Fault;
pub use plan::{Failure, Plan, Summary, run};
pub use regressions::regressions;
pub use shrink::shrink;
pub use trouble::{Trouble, Troubles};
