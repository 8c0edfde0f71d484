//! The two tables: scalar functions ([`Prim`]) and reductions ([`Reduction`]). All knowledge about one of them is
//! its row.

mod prim;
mod reduction;

pub use prim::{Class, Prim, Typing};
pub use reduction::Reduction;
