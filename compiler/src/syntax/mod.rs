//! Text ↔ syntax tree.
//!
//! [`parse`] reads a file into an [`ast::File`] or says what is wrong with it; [`print()`] writes a tree in its canonical
//! layout. [`uses`] follows `use` to other files. Needs `diag` and the grammar, knows nothing of what the text means.

pub mod ast;
mod dump;
mod explain;
mod layout;
mod parse;
mod print;
mod tokens;
pub mod uses;

pub use parse::parse;
pub use print::print;

/// The largest file in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// How many brackets may be open at one place. The parser recurses for each; a thread of 2 MiB is enough by far.
pub const MAX_NESTING: usize = 100;

/// How high an expression may be as a tree: brackets nest, and each operator of a chain `a + b + c` is a level.
pub const MAX_HEIGHT: usize = 200;
