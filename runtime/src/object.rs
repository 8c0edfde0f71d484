//! Kernels in an object file that was built ahead of time and linked into the program.
//!
//! `actc build --rust` writes a Rust file beside the object: the functions of the object as `extern "C"`
//! declarations, and one function per kernel that fills in a [`LinkedKernel`] and loads it. Everything in
//! [`crate::abi`] has public fields, so that such a file is plain expressions:
//!
//! ```
//! # use act_runtime::{Error, Isa, Kernel, abi::*, object::LinkedKernel};
//! # unsafe extern "C" fn relu_0(_: *const KernelArgs, _: *mut u8, _: i64, _: i64) {}
//! // unsafe extern "C" {
//! //     fn relu_0(args: *const KernelArgs, scratch: *mut u8, lo: i64, hi: i64);
//! // }
//! pub fn relu() -> Result<Kernel, Error> {
//!     let array = |name: &str| ParamDecl {
//!         name: name.into(),
//!         dtype: DType::F32,
//!         kind: ParamKind::Array { axes: vec![vec![0]], default: None },
//!         range: None,
//!         doc: String::new(),
//!     };
//!     let linked = LinkedKernel {
//!         abi_version: 1,
//!         numerics_version: 1,
//!         isa: Isa::V1,
//!         signature: Signature {
//!             name: "relu".into(),
//!             doc: String::new(),
//!             dims: vec![DimDecl { name: "..".into(), kind: DimKind::Leading }],
//!             params: vec![array("x")],
//!             results: vec![array("y")],
//!             dim_params: vec![],
//!         },
//!         abi: Abi {
//!             variants: vec![Variant {
//!                 guard: None,
//!                 sizes: vec![],
//!                 tensors: vec![
//!                     TensorLayout { source: Ok(0), groups: vec![vec![0]] },
//!                     TensorLayout { source: Err(0), groups: vec![vec![0]] },
//!                 ],
//!                 scalars: vec![],
//!                 shared: SizeExpr::Const(0),
//!                 phases: vec![Phase {
//!                     symbol: "relu_0".into(),
//!                     extent: SizeExpr::Dim(0),
//!                     grain: 32,
//!                     scratch: SizeExpr::Const(0),
//!                     work: SizeExpr::Const(1),
//!                 }],
//!                 in_place: vec![(0, 0)],
//!             }],
//!         },
//!         functions: vec![vec![relu_0]],
//!     };
//!     // SAFETY: compiled together with this description.
//!     unsafe { linked.load() }
//! }
//! # #[cfg(target_arch = "x86_64")]
//! # relu().unwrap();
//! ```

use crate::abi::{ABI_VERSION, Abi, PhaseFn, Signature};
use crate::cpu::Isa;
use crate::error::Error;
use crate::kernel::Kernel;
use std::sync::Arc;

/// A kernel whose code is part of the program.
#[derive(Clone, Debug)]
pub struct LinkedKernel {
    /// [`ABI_VERSION`] when it was compiled.
    pub abi_version: u32,
    /// [`crate::abi::NUMERICS_VERSION`] when it was compiled.
    pub numerics_version: u32,
    /// The machine it was compiled for.
    pub isa: Isa,
    /// What it takes and gives.
    pub signature: Signature,
    /// How its code wants its arguments.
    pub abi: Abi,
    /// Its code: one function per phase of each variant.
    pub functions: Vec<Vec<PhaseFn>>,
}

impl LinkedKernel {
    /// The kernel, ready to call, unless this machine or this version of the runtime can't.
    ///
    /// # Safety
    /// As for [`Kernel::from_raw`]; what this machine has is checked here.
    pub unsafe fn load(self) -> Result<Kernel, Error> {
        if self.abi_version != ABI_VERSION {
            return Err(Error::AbiVersion { kernel: self.signature.name, version: self.abi_version });
        }
        Kernel::check_isa(&self.signature.name, self.isa)?;
        // SAFETY: the code is linked, so it lives as long as the program; the rest is the caller's promise.
        let kernel = unsafe { Kernel::from_raw(self.signature, self.abi, self.functions, Arc::new(())) }?;
        Ok(kernel.with_numerics_version(self.numerics_version))
    }
}
