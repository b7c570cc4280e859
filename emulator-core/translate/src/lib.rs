//! Translator from guest x86-64 code to host x86-64 code: pure functions, no unsafe.
#![forbid(unsafe_code)]

pub mod decode;
pub mod ir;
