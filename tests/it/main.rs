//! All tests.

mod graph;
mod roundtrip;
