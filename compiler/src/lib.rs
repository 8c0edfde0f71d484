//! The compiler of the actlang kernel language: from the text of an `.act` file to machine code that runs on arrays.
//!
//! [`compile`] makes kernels that this process can call:
//!
//! ```
//! let module = act::compile("kernel softmax(x: f32[.., d]) -> f32[.., d] { softmax[d](x) }")?;
//! let softmax = module.kernel("softmax")?;
//! let (x, mut y) = ([1.0f32, 2.0, 3.0], [0.0f32; 3]);
//! softmax.call(&[act::view(&x, [1, 3])], &mut [act::view_mut(&mut y, [1, 3])], &[])?;
//! assert!((y[2] - 0.66524).abs() < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way of a kernel
//!
//! | stage | from → to | module |
//! |---|---|---|
//! | parse | text → syntax tree | [`syntax`] |
//! | lower names and dimensions; all mistakes of the user end here | syntax tree → graph | [`sema`] |
//! | better graphs | graph → graph | [`graph_passes`], over [`graph`] |
//! | group nodes into loop nests | graph → regions | [`graph_passes::fuse()`] |
//! | decide how the nests run on a machine | regions → schedule | [`schedule`] |
//! | write the loops | graph, regions, schedule → loop IR | [`lower`] |
//! | fix every bit, then fit it to the machine | loop IR → loop IR | [`loop_passes`], over [`loops`] |
//! | choose instructions, place registers | loop IR → machine code | [`backend`] |
//! | into memory, or into an object file | machine code → kernels | [`emit`], `act_runtime` |
//!
//! [`pipeline`] calls them in that order, and `ARCHITECTURE.md` says more.

pub mod backend;
pub mod diag;
pub mod directives;
pub mod emit;
pub mod graph;
pub mod graph_passes;
pub mod loop_passes;
pub mod loops;
pub mod lower;
pub mod ops;
pub mod pipeline;
pub mod schedule;
pub mod sema;
pub mod syntax;
pub mod target;
pub mod types;

mod front;

pub use act_runtime::{
    Bind, DType, Data, Element, Kernel, Module, Signature, Tensor, TensorView, TensorViewMut, view, view_mut,
    view_mut_strided, view_strided,
};
pub use backend::Engine;
pub use directives::{Accuracy, Normalizer};
pub use front::{Error, compile, compile_file, compile_files, compile_kernels, compile_named, compile_with};
pub use pipeline::Options;
pub use target::Target;
