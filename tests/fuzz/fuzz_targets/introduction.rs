#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| softbus_fuzz::targets::introduction::run(data));
