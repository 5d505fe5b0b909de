//! See `src/responses.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| postrider_fuzz::RESPONSES.run(bytes));
