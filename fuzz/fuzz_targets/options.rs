//! Structs of options of every size and content.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vconnpool_fuzz::options::run(data));
