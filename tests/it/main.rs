//! All tests.

mod loops;
