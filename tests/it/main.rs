//! All tests.

mod diagnostics;
mod graph;
mod roundtrip;
mod syntax;
