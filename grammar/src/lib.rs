//! The grammar of the actlang kernel language (`.act`), for [pest](https://pest.rs).
//!
//! The grammar is `act.pest`, the reference of the language `README.md` beside it. [`ActParser`] turns a text into
//! pest's pairs:
//!
//! ```
//! use actlang_grammar::{ActParser, Rule};
//! use pest::Parser;
//!
//! let text = "kernel relu(x: f32[..]) -> f32[..] { max(x, 0) }";
//! let file = ActParser::parse(Rule::file, text).unwrap().next().unwrap();
//! assert_eq!(file.as_str(), text);
//! ```
//!
//! The parser recurses once for each bracket that is open, so a tool that reads unknown files should limit how deep
//! they nest first; the compiler does.

// The derive makes `Rule` and its documentation from the grammar; its other products carry none.
#![allow(missing_docs)]

use pest_derive::Parser;

/// The parser for a file: `ActParser::parse(Rule::file, text)`.
#[derive(Parser)]
#[grammar = "../act.pest"]
pub struct ActParser;
