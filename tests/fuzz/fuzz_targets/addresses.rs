//! See `src/addresses.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| postrider_fuzz::ADDRESSES.run(bytes));
