//! All tests.

mod accuracy;
mod aot;
mod cli;
mod diagnostics;
mod golden;
mod graph;
mod library;
mod loops;
mod passes;
mod reference;
mod roundtrip;
mod syntax;
