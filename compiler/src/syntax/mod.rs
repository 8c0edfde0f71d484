//! Text ↔ syntax tree.
//!
//! `parse` reads a file into an [`ast::File`] or says what is wrong with it; `print` writes a tree in its canonical
//! layout. Needs `diag` and the grammar, knows nothing of what the text means.

pub mod ast;
mod dump;

/// The largest file in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// How deep a file may nest, in brackets as well as in the height of its syntax tree.
pub const MAX_DEPTH: usize = 200;
