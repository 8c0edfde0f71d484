//! Machine code into executable memory of this process: kernels ready to be called.
//!
//! Memory is writable or executable, never both, and goes with the last handle of its kernels.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use act_runtime::abi::PhaseFn;
use act_runtime::{Kernel, Module};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, default_libcall_names};

use super::{CompiledKernel, EmitError, Later, define};
use crate::target::Target;

/// Executable memory, freed when it is dropped.
struct Memory(ManuallyDrop<JITModule>);

// SAFETY: `JITModule` may be sent to other threads, and a shared `Memory` lets nobody at it: all that is ever done
// with it is to drop it.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the module is taken once, here.
        let module = unsafe { ManuallyDrop::take(&mut self.0) };
        // SAFETY: the functions are only reachable through kernels that keep this memory alive, so none is running.
        unsafe { module.free_memory() };
    }
}

/// Loads kernels into memory.
pub fn load(kernels: Vec<CompiledKernel>) -> Result<Module, EmitError> {
    let code = kernels.iter().flat_map(|kernel| &kernel.variants).next();
    let Some(target) = code.map(|code| code.target.clone()) else {
        return Ok(Module::new([]));
    };
    check(&kernels, &target)?;
    let isa = target.isa().map_err(EmitError::new)?;
    let mut memory =
        Memory(ManuallyDrop::new(JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()))));
    let ids = define_all(&mut memory.0, &kernels)?;
    memory.0.finalize_definitions().map_err(EmitError::new)?;
    let functions = addresses(&memory.0, &ids);
    let memory = Arc::new(memory);
    let mut loaded = Vec::new();
    for (kernel, functions) in kernels.into_iter().zip(functions) {
        let (abi, split, later) = (kernel.abi(), kernel.split.clone(), kernel.later.clone());
        let most_threads = kernel.most_threads;
        // The functions were compiled for this description and for a level that this machine has (checked
        // above), and live in `memory`. They access what the accesses of the verified loop IR say.
        let kernel = match later {
            // SAFETY: as above.
            None => unsafe { Kernel::from_raw(kernel.signature, abi, functions, memory.clone()) },
            Some(later) => {
                let make = move || made(&later).map_err(|error| error.message);
                // SAFETY: as above.
                unsafe { Kernel::from_raw_open(kernel.signature, abi, functions, memory.clone(), make) }
            }
        };
        let mut kernel = kernel.map_err(EmitError::new)?;
        if let Some(threads) = most_threads {
            kernel = kernel.with_most_threads(threads as usize);
        }
        loaded.push(match split {
            None => kernel,
            Some(split) => kernel.with_split(move || {
                let module = load(vec![split.make().ok()?]).ok()?;
                module.kernels().first().cloned()
            }),
        });
    }
    Ok(Module::new(loaded))
}

/// The variant of a kernel that was left for later.
fn made(later: &Later) -> Result<Kernel, EmitError> {
    let kernel = later.make().map_err(EmitError::new)?;
    Ok(load(vec![kernel])?.kernels()[0].clone())
}

/// All code must be for one target, and this machine must run it.
fn check(kernels: &[CompiledKernel], target: &Target) -> Result<(), EmitError> {
    let mut codes = kernels.iter().flat_map(|kernel| &kernel.variants);
    assert!(codes.all(|code| code.target == *target), "kernels for several targets in one module");
    if target.runs_here() {
        return Ok(());
    }
    Err(EmitError::new(format!(
        "code for {target} does not run on this machine, which is {}",
        Target::host()
    )))
}

/// For each kernel, variant and phase its function.
type Functions<T> = Vec<Vec<Vec<T>>>;

fn define_all(module: &mut JITModule, kernels: &[CompiledKernel]) -> Result<Functions<FuncId>, EmitError> {
    let mut ids = Vec::new();
    for kernel in kernels {
        let mut variants = Vec::new();
        for code in &kernel.variants {
            let phases: Result<_, EmitError> =
                code.functions.iter().map(|function| define(module, function, Linkage::Local)).collect();
            variants.push(phases?);
        }
        ids.push(variants);
    }
    Ok(ids)
}

fn addresses(module: &JITModule, ids: &Functions<FuncId>) -> Functions<PhaseFn> {
    let function = |&id: &FuncId| {
        let address = module.get_finalized_function(id);
        // SAFETY: the code at this address is a function of that type: see `backend::MachineFunction`.
        unsafe { std::mem::transmute::<*const u8, PhaseFn>(address) }
    };
    let variants = |variants: &Vec<Vec<FuncId>>| {
        variants.iter().map(|phases| phases.iter().map(function).collect()).collect()
    };
    ids.iter().map(variants).collect()
}
