//! Machine code into an object file: kernels that a program calls without this compiler.
//!
//! The file holds, for each kernel, its phases (for the Rust runtime: see [`rust_stub()`](super::rust_stub())) and two C
//! functions (see [`header()`](super::header())), and refers to nothing outside of itself.

use std::collections::BTreeSet;

use cranelift_codegen::ir::{AbiParam, types};
use cranelift_codegen::isa::CallConv;
use cranelift_module::{DataDescription, FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};

use super::entry::{self, Parts};
use super::{CompiledKernel, EmitError, define, interface, x86};

/// What may be chosen for an object file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectOptions {
    /// The C functions don't look whether the caller flushes subnormals or rounds in another direction; if it does,
    /// results differ.
    pub assume_default_fp: bool,
}

/// The object file of kernels that were compiled for one target.
pub fn object(kernels: &[CompiledKernel], options: &ObjectOptions) -> Result<Vec<u8>, EmitError> {
    assert!(kernels.iter().all(|kernel| kernel.later.is_none()), "a kernel that is not complete");
    let mut codes = kernels.iter().flat_map(|kernel| &kernel.variants);
    let Some(target) = codes.next().map(|code| &code.target) else {
        return Err(EmitError::new("there are no kernels to put into an object file"));
    };
    assert!(codes.all(|code| code.target == *target), "kernels for several targets in one object file");
    let level = x86::check_level(target.name());
    let level = level.ok_or_else(|| EmitError::new(format!("there are no object files for {target} yet")))?;
    check_symbols(kernels)?;
    let isa = target.linked_isa().map_err(EmitError::new)?;
    let builder = ObjectBuilder::new(isa, "kernels.act", default_libcall_names());
    let mut module = ObjectModule::new(builder.map_err(EmitError::new)?);
    define_all(&mut module, kernels, &level, options)?;
    module.finish().emit().map_err(EmitError::new)
}

/// Names that are different in the text may give one symbol.
fn check_symbols(kernels: &[CompiledKernel]) -> Result<(), EmitError> {
    let mut symbols = BTreeSet::new();
    for kernel in kernels {
        let name = &kernel.signature.name;
        for symbol in [interface::entry_symbol(name), interface::workspace_symbol(name)] {
            if !symbols.insert(symbol.clone()) {
                return Err(EmitError::new(format!(
                    "two functions of the object file would be called `{symbol}`; rename kernel `{name}`"
                )));
            }
        }
    }
    Ok(())
}

fn define_all(
    module: &mut ObjectModule,
    kernels: &[CompiledKernel],
    level: &[u8],
    options: &ObjectOptions,
) -> Result<(), EmitError> {
    let check = helper(module, "act.check", (&[], &[types::I32]), level)?;
    let answer = module.declare_data("act.checked", Linkage::Local, true, false)?;
    let mut byte = DataDescription::new();
    byte.define_zeroinit(1);
    module.define_data(answer, &byte)?;
    let control = if options.assume_default_fp { None } else { Some(control(module)?) };
    for kernel in kernels {
        let mut phases = Vec::new();
        for code in &kernel.variants {
            let functions = code.functions.iter();
            let functions: Result<Vec<FuncId>, EmitError> =
                functions.map(|function| define(module, function, Linkage::Hidden)).collect();
            phases.push(functions?);
        }
        let abi = kernel.abi();
        let parts = Parts { phases: &phases, level: (check, answer), control };
        entry::entry(module, (&kernel.signature, &abi), &parts)?;
        entry::workspace(module, &kernel.signature, &abi)?;
    }
    Ok(())
}

/// The functions that read and write the control register of floating-point arithmetic.
fn control(module: &mut ObjectModule) -> Result<(FuncId, FuncId), EmitError> {
    let write = match module.isa().default_call_conv() {
        CallConv::WindowsFastcall => x86::SET_MXCSR_WINDOWS,
        _ => x86::SET_MXCSR,
    };
    Ok((
        helper(module, "act.mxcsr.get", (&[], &[types::I32]), x86::GET_MXCSR)?,
        helper(module, "act.mxcsr.set", (&[types::I32], &[]), write)?,
    ))
}

/// A function that only this object sees.
fn helper(
    module: &mut ObjectModule,
    symbol: &str,
    (params, returns): (&[types::Type], &[types::Type]),
    bytes: &[u8],
) -> Result<FuncId, EmitError> {
    let mut signature = module.make_signature();
    signature.params.extend(params.iter().map(|&ty| AbiParam::new(ty)));
    signature.returns.extend(returns.iter().map(|&ty| AbiParam::new(ty)));
    let id = module.declare_function(symbol, Linkage::Local, &signature)?;
    module.define_function_bytes(id, 16, bytes, &[])?;
    Ok(id)
}
