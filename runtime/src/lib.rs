//! Calls kernels compiled by actlang: tensor views, binding of named dimensions, threads.
//! Needs no compiler: programs that link kernels built ahead of time depend on this crate alone.
//!
//! A [`Kernel`] is a description of what it takes and gives ([`Signature`]), how its code wants its arguments
//! ([`abi::Abi`]), and the code. The compiler makes kernels; so does a linked object file (see [`object`]). What a
//! call does:
//!
//! 1. binds the named dimensions from the shapes of the arrays and checks them against each other;
//! 2. refuses results that overlap other arrays, except in place where the kernel allows that;
//! 3. lays out pointers, strides and sizes as the code wants them, with a dense copy of an array where its strides
//!    do not fit;
//! 4. runs the phases, on several threads if asked.
//!
//! Bits of the results depend on neither strides nor threads.
//!
//! ```
//! use act_runtime::abi::{Abi, DType, DimDecl, DimKind, KernelArgs, ParamDecl, ParamKind};
//! use act_runtime::abi::{Phase, Signature, SizeExpr, TensorLayout, Variant};
//! use act_runtime::{Kernel, view, view_mut};
//! use std::sync::Arc;
//!
//! /// `y[i] = 2 x[i]`, by hand; otherwise the compiler writes this.
//! unsafe extern "C" fn twice(args: *const KernelArgs, _scratch: *mut u8, lo: i64, hi: i64) {
//!     for i in lo as usize..hi as usize {
//!         // SAFETY: the runtime calls with two dense arrays of at least `hi` floats.
//!         unsafe {
//!             let data = (*args).data;
//!             let (x, y) = (*data.cast::<*const f32>(), *data.add(1).cast::<*mut f32>());
//!             *y.add(i) = 2.0 * *x.add(i);
//!         }
//!     }
//! }
//!
//! // kernel twice(x: f32[n]) -> f32[n]
//! let array = |name: &str| ParamDecl {
//!     name: name.into(),
//!     dtype: DType::F32,
//!     kind: ParamKind::Array { axes: vec![vec![0]], default: None },
//!     range: None,
//!     doc: String::new(),
//! };
//! let signature = Signature {
//!     name: "twice".into(),
//!     doc: String::new(),
//!     dims: vec![DimDecl { name: "n".into(), kind: DimKind::Free }],
//!     params: vec![array("x")],
//!     results: vec![array("y")],
//!     dim_params: vec![],
//! };
//! let variant = Variant {
//!     guard: None,
//!     sizes: vec![],
//!     tensors: vec![
//!         TensorLayout { source: Ok(0), groups: vec![vec![0]] },
//!         TensorLayout { source: Err(0), groups: vec![vec![0]] },
//!     ],
//!     scalars: vec![],
//!     shared: SizeExpr::Const(0),
//!     phases: vec![Phase {
//!         symbol: "twice".into(),
//!         extent: SizeExpr::Dim(0),
//!         grain: 1,
//!         scratch: SizeExpr::Const(0),
//!         work: SizeExpr::Const(1),
//!     }],
//!     in_place: vec![(0, 0)],
//! };
//! let abi = Abi { variants: vec![variant] };
//! // SAFETY: `twice` does what the description says.
//! let kernel = unsafe { Kernel::from_raw(signature, abi, vec![vec![twice]], Arc::new(())) }?;
//!
//! let (x, mut y) = ([1.0f32, 2.0, 3.0], [0.0f32; 3]);
//! kernel.call(&[view(&x, [3])], &mut [view_mut(&mut y, [3])], &[])?;
//! assert_eq!(y, [2.0, 4.0, 6.0]);
//!
//! kernel.bind().inout("x", "y", view_mut(&mut y, [3])).run()?;
//! assert_eq!(y, [4.0, 8.0, 12.0]);
//!
//! let error = kernel.call(&[view(&x, [3])], &mut [view_mut(&mut y[..2], [2])], &[]).unwrap_err();
//! assert_eq!(error.to_string(), "dimension `n` is 3 in `x` (axis 0) but 2 in `y` (axis 0)");
//! # Ok::<(), act_runtime::Error>(())
//! ```

pub mod abi;
mod bind;
mod cpu;
mod error;
mod fpenv;
mod kernel;
mod layout;
mod memory;
pub mod object;
mod plan;
mod pool;
mod quick;
mod shape;
pub mod small;
mod tensor;
#[cfg(test)]
mod tests;

pub use abi::{DType, Signature};
pub use bind::{Bind, Shapes};
pub use cpu::Isa;
pub use error::{DimConflict, Error, GroupMismatch, Origin, ViewError};
pub use half::{bf16, f16};
pub use kernel::{Kernel, Module};
pub use shape::{AxesText, SizeText};
pub use tensor::{Data, Element, MAX_AXES, Tensor, TensorView, TensorViewMut};
pub use tensor::{view, view_mut, view_mut_strided, view_strided};
