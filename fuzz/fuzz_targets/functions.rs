#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sipwarden_fuzz::targets::functions::run(data));
