#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| rxbox_translate::fuzz::translate(input));
