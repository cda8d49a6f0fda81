//! The address parser: a network on the first line, an address after it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vconnpool_fuzz::address::run(data));
