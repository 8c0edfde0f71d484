//! The two tables: scalar functions ([`Prim`]) and reductions ([`Reduction`]). All knowledge about one of them is
//! its row. And [`Scan`], which runs a reduction along a dimension;
//! [`Term`], a reduction inside of a block.

mod prim;
mod reduction;
mod scan;
mod term;

pub use prim::{Class, Prim, Typing};
pub use reduction::Reduction;
pub use scan::Scan;
pub use term::Term;
