//! The program `actc`.
fn main() {}
