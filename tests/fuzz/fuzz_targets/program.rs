#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| rxbox_emulator_core::loader::fuzz::program(input));
