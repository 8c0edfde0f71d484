//! All tests.

mod graph;
mod passes;
mod roundtrip;
