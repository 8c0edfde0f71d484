//! The wide back end: vectors of 256 bits for x86-64-v3 and above, in the calling convention of System V.
//!
//! Takes the loop IR for vectors of 32 bytes and goes by way of [`vcode`], instructions on registers without number, to which
//! regalloc2 assigns the machine's; iced writes the bytes. What it has no instructions for is a [`BackendError`]; the pipeline
//! then takes Cranelift.
//!
//! - `control`: phases, loops and choices.
//! - `insts`, `convert`: everything that computes.
//! - `address`, `memory`, `gather`: accesses.
//! - `codes`: tables of instructions.
//! - `allocate`, `encode`: registers and bytes.

mod address;
mod allocate;
mod codes;
mod control;
mod convert;
mod encode;
mod gather;
mod insts;
mod memory;
mod pairs;
mod vcode;

use act_runtime::abi;
use target_lexicon::OperatingSystem;

use self::vcode::Function;
use super::layout::Layout;
use super::{BackendError, MachineCode, MachineFunction, phase_symbol};
use crate::loops::Verified;
use crate::target::Target;

/// Instructions of a phase beyond which its registers are assigned in one pass.
const LARGE: usize = 20_000;

/// Instructions of a kernel at most, so that the time is bounded.
const MAX_LENGTH: usize = 600_000;

/// A kernel in VCode.
#[derive(Debug)]
pub struct Code {
    target: Target,
    kernel: String,
    variant: abi::Variant,
    phases: Vec<(String, Function)>,
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (symbol, function)) in self.phases.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "vcode {symbol} for {}", self.target)?;
            function.fmt(f)?;
        }
        Ok(())
    }
}

/// Whether code can be made for a target at all.
pub fn serves(target: &Target) -> bool {
    target.has_wide_vectors() && target.triple().operating_system != OperatingSystem::Windows
}

/// Picks instructions. The function's vectors must be of 32 bytes.
pub fn select(func: &Verified, target: &Target) -> Result<Code, BackendError> {
    if !serves(target) {
        return Err(BackendError::new(format!(
            "the wide back end makes code for x86-64-v3 and above and not for Windows, not for {target} on {}",
            target.triple()
        )));
    }
    let func = func.func();
    let layout = Layout::new(func);
    let (mut phases, mut length) = (Vec::new(), 0);
    for (index, phase) in func.phases.iter().enumerate() {
        let mut function = control::emit_phase(func, phase, &layout)?;
        length += function.len();
        if length > MAX_LENGTH {
            return Err(BackendError::new(format!("the code of kernel `{}` is too large", func.name)));
        }
        function.remove_dead();
        allocate::split_edges(&mut function);
        phases.push((phase_symbol(&func.name, 0, index), function));
    }
    let symbols = phases.iter().map(|(symbol, _)| symbol.clone());
    let variant = layout.into_variant(func, symbols);
    Ok(Code { target: target.clone(), kernel: func.name.clone(), variant, phases })
}

/// Assigns registers and writes the bytes.
pub fn encode(code: Code) -> Result<MachineCode, BackendError> {
    let mut context = regalloc2::Ctx::default();
    let mut functions = Vec::new();
    for (symbol, function) in code.phases {
        let flat = allocate::Flat::new(&function);
        let output = allocate::allocate(&flat, function.len() > LARGE, &mut context);
        let bytes = encode::encode(&flat, &output);
        functions.push(MachineFunction { symbol, bytes, alignment: u64::from(encode::ALIGNMENT) });
    }
    Ok(MachineCode { target: code.target, kernel: code.kernel, variant: code.variant, functions })
}
