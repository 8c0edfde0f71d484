//! Ways for machine code to leave the compiler: into memory ([`jit`]), into an object file ([`object()`]) with a C header
//! ([`header()`]) and a Rust file ([`rust_stub()`]) beside it, and as text ([`listing()`]).
//!
//! All take [`CompiledKernel`]s. Nothing here looks at anything older than [`MachineCode`].

mod entry;
mod errors;
mod header;
mod interface;
pub mod jit;
mod listing;
mod object;
mod rust_stub;
mod x86;

pub use header::header;
pub use listing::listing;
pub use object::{ObjectOptions, object};
pub use rust_stub::rust_stub;

use std::sync::Arc;

use act_runtime::abi::{Abi, Signature};
use cranelift_codegen::ir::{AbiParam, types};
use cranelift_module::{FuncId, Linkage, Module, ModuleError};

use crate::backend::{BackendError, MachineCode, MachineFunction};

/// A kernel after compilation: what it takes and gives, and the code of its variants.
#[derive(Clone, Debug)]
pub struct CompiledKernel {
    /// What it takes and gives.
    pub signature: Signature,
    /// Its variants, in the order in which they are tried; the last has no guard.
    pub variants: Vec<MachineCode>,
    /// Makes the variant for calls that no other is for, where it is left for later; then every variant has a guard.
    pub later: Option<Later>,
    /// Makes the form in which threads share what is in a row, where there is one. Object files don't have it.
    pub split: Option<Split>,
    /// The most threads that its calls use, if its text says so.
    pub most_threads: Option<u32>,
}

/// Makes the last variant of a kernel when it is first needed.
#[derive(Clone)]
pub struct Later(Arc<dyn Fn() -> Result<CompiledKernel, BackendError> + Send + Sync>);

impl Later {
    /// What makes it: a kernel of one variant.
    pub fn new(make: impl Fn() -> Result<CompiledKernel, BackendError> + Send + Sync + 'static) -> Later {
        Later(Arc::new(make))
    }

    /// Makes it.
    pub fn make(&self) -> Result<CompiledKernel, BackendError> {
        (self.0)()
    }
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Later")
    }
}

/// Makes another form of a kernel when it is first needed.
#[derive(Clone)]
pub struct Split(Arc<dyn Fn() -> Result<CompiledKernel, BackendError> + Send + Sync>);

impl Split {
    /// What makes it.
    pub fn new(make: impl Fn() -> Result<CompiledKernel, BackendError> + Send + Sync + 'static) -> Split {
        Split(Arc::new(make))
    }

    /// Makes it.
    pub fn make(&self) -> Result<CompiledKernel, BackendError> {
        (self.0)()
    }
}

impl std::fmt::Debug for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Split")
    }
}

impl CompiledKernel {
    /// A kernel of these variants.
    pub fn new(signature: Signature, mut variants: Vec<MachineCode>) -> CompiledKernel {
        let last = variants.last().expect("a kernel has a variant");
        assert!(last.variant.guard.is_none(), "the last variant has no guard");
        for (number, variant) in variants.iter_mut().enumerate() {
            variant.set_variant(number);
        }
        CompiledKernel { signature, variants, later: None, split: None, most_threads: None }
    }

    /// A kernel of one variant for some calls, and another for all others, which is made when it is needed.
    pub fn open(signature: Signature, mut variant: MachineCode, later: Later) -> CompiledKernel {
        assert!(variant.variant.guard.is_some(), "a variant before another one has a guard");
        variant.set_variant(0);
        CompiledKernel {
            signature,
            variants: vec![variant],
            later: Some(later),
            split: None,
            most_threads: None,
        }
    }

    /// The kernel with all its variants made, as object files have it.
    pub fn complete(self) -> Result<CompiledKernel, BackendError> {
        let Some(later) = &self.later else { return Ok(self) };
        let variants = self.variants.into_iter().chain(later.make()?.variants);
        let CompiledKernel { split, most_threads, .. } = self;
        Ok(CompiledKernel { split, most_threads, ..CompiledKernel::new(self.signature, variants.collect()) })
    }

    /// What its code expects.
    pub fn abi(&self) -> Abi {
        Abi { variants: self.variants.iter().map(|code| code.variant.clone()).collect() }
    }
}

/// Why code cannot be put where it was to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmitError {
    /// In a sentence.
    pub message: String,
}

impl EmitError {
    pub(crate) fn new(message: impl std::fmt::Display) -> EmitError {
        EmitError { message: message.to_string() }
    }
}

impl std::fmt::Display for EmitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EmitError {}

impl From<ModuleError> for EmitError {
    fn from(error: ModuleError) -> EmitError {
        EmitError::new(error)
    }
}

/// Puts the function of a phase into a module, whatever becomes of it.
fn define(
    module: &mut dyn Module,
    function: &MachineFunction,
    linkage: Linkage,
) -> Result<FuncId, EmitError> {
    let mut signature = module.make_signature();
    signature.params.extend([AbiParam::new(types::I64); 4]);
    let id = module.declare_function(&function.symbol, linkage, &signature)?;
    module.define_function_bytes(id, function.alignment, &function.bytes, &[])?;
    Ok(id)
}
