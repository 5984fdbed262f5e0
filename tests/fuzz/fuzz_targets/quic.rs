#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| softbus_fuzz::softbus::quic::run(data));
