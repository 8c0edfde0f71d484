//! All tests.

mod graph;
mod roundtrip;
mod syntax;
