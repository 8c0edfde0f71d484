//! The two tables: scalar functions ([`Prim`]) and reductions ([`Reduction`]). All knowledge about one of them is
//! its row. And [`Scan`], which runs a reduction along a dimension.

mod prim;
mod reduction;
mod scan;

pub use prim::{Class, Prim, Typing};
pub use reduction::Reduction;
pub use scan::Scan;
