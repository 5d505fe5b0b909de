//! See `src/publish.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| postrider_fuzz::PUBLISH.run(bytes));
