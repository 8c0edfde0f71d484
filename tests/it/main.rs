//! All tests.

mod diagnostics;
mod graph;
mod library;
mod loops;
mod passes;
mod roundtrip;
mod syntax;
