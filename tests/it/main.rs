//! All tests.

mod accuracy;
mod aot;
mod diagnostics;
mod graph;
mod loops;
mod passes;
mod roundtrip;
mod syntax;
