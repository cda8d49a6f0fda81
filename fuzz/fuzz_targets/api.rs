//! Sequences of calls, written as bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vconnpool_fuzz::api::run(data));
