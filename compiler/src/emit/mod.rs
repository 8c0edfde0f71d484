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

use act_runtime::abi::{Abi, Signature};
use cranelift_codegen::ir::{AbiParam, types};
use cranelift_module::{FuncId, Linkage, Module, ModuleError};

use crate::backend::{MachineCode, MachineFunction};

/// A kernel after compilation: what it takes and gives, and the code of its variants.
#[derive(Clone, Debug)]
pub struct CompiledKernel {
    /// What it takes and gives.
    pub signature: Signature,
    /// Its variants, in the order in which they are tried; the last has no guard.
    pub variants: Vec<MachineCode>,
}

impl CompiledKernel {
    /// A kernel of these variants.
    pub fn new(signature: Signature, mut variants: Vec<MachineCode>) -> CompiledKernel {
        let last = variants.last().expect("a kernel has a variant");
        assert!(last.variant.guard.is_none(), "the last variant has no guard");
        for (number, variant) in variants.iter_mut().enumerate() {
            variant.set_variant(number);
        }
        CompiledKernel { signature, variants }
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
