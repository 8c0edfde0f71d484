//! From the loop IR to machine code: [`select`] picks instructions, [`encode`] places them in registers and writes bytes.
//!
//! Takes a [`Verified`] function (core operations only, vectors that fit the target's registers) and a target. Leaves
//! [`MachineCode`]: for each phase one function in bytes that need nothing around them, neither relocation nor library,
//! so that they run from executable memory and from an object file alike.

pub mod cranelift;
mod facts;
mod layout;
mod order;
pub mod wide;

use act_runtime::abi;

use crate::loops::{Stmt, Verified};
use crate::target::Target;

/// Which back end makes the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The wide one where it can, else Cranelift.
    #[default]
    Auto,
    /// The wide one, or an error.
    Wide,
    /// Cranelift.
    Cranelift,
}

impl Engine {
    /// What is tried for a target, in this order: whether the wide back end makes the code.
    pub fn attempts(self, target: &Target) -> &'static [bool] {
        match self {
            Engine::Auto if wide::serves(target) => &[true, false],
            Engine::Auto | Engine::Cranelift => &[false],
            Engine::Wide => &[true],
        }
    }
}

/// A kernel as instructions of a back end.
#[derive(Debug)]
pub enum Code {
    /// Cranelift's IR: every target, vectors of 128 bits.
    Cranelift(Box<cranelift::Code>),
    /// Instructions of x86-64 on registers without number, vectors of 256 bits.
    Wide(Box<wide::Code>),
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Code::Cranelift(code) => code.fmt(f),
            Code::Wide(code) => code.fmt(f),
        }
    }
}

/// The machine code of one variant of a kernel.
#[derive(Clone, Debug)]
pub struct MachineCode {
    /// What it was compiled for.
    pub target: Target,
    /// The kernel's name.
    pub kernel: String,
    /// What the code expects of its caller; its phases name the functions.
    pub variant: abi::Variant,
    /// One function for each phase, in order.
    pub functions: Vec<MachineFunction>,
}

impl MachineCode {
    /// Renames the functions, for a kernel of several variants: the phases of variant `number`.
    pub fn set_variant(&mut self, number: usize) {
        let functions = self.functions.iter_mut().zip(&mut self.variant.phases);
        for (index, (function, phase)) in functions.enumerate() {
            function.symbol = phase_symbol(&self.kernel, number, index);
            phase.symbol.clone_from(&function.symbol);
        }
    }
}

/// One function: of type [`abi::PhaseFn`], in the C calling convention of the target's platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFunction {
    /// Its name, unique among the kernels of a file.
    pub symbol: String,
    /// Instructions, and after them the constants that they read, wherever it is put.
    pub bytes: Vec<u8>,
    /// A multiple of this many bytes is where it must be put.
    pub alignment: u64,
}

/// Why a target cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendError {
    /// In a sentence.
    pub message: String,
}

impl BackendError {
    pub(crate) fn new(message: impl Into<String>) -> BackendError {
        BackendError { message: message.into() }
    }
}

impl std::fmt::Display for BackendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BackendError {}

/// The symbol of a phase. No kernel's name has a dot, so it is nobody else's.
pub fn phase_symbol(kernel: &str, variant: usize, phase: usize) -> String {
    format!("act.{kernel}.{variant}.{phase}")
}

/// Statements of a kernel that are made into code at most, so that the time is bounded: some ten thousand exponentials one
/// after another.
const MAX_LENGTH: usize = 300_000;

/// How many statements there are.
fn length(stmts: &[Stmt]) -> usize {
    stmts.iter().map(|stmt| 1 + stmt.bodies().into_iter().map(|body| length(body)).sum::<usize>()).sum()
}

fn too_large(kernel: &str) -> BackendError {
    BackendError::new(format!("the code of kernel `{kernel}` is too large"))
}

/// Picks instructions: of the wide back end for a function with vectors of [`Target::wide`], of Cranelift for one with
/// vectors of 16 bytes.
pub fn select(func: &Verified, target: &Target, wide: bool) -> Result<Code, BackendError> {
    let name = &func.func().name;
    if func.func().phases.iter().map(|phase| length(&phase.body)).sum::<usize>() > MAX_LENGTH {
        return Err(too_large(name));
    }
    if wide {
        return Ok(Code::Wide(Box::new(wide::select(func, target)?)));
    }
    Ok(Code::Cranelift(Box::new(cranelift::select(func, target)?)))
}

/// Writes bytes.
pub fn encode(code: Code) -> Result<MachineCode, BackendError> {
    match code {
        Code::Cranelift(code) => cranelift::encode(*code),
        Code::Wide(code) => wide::encode(*code),
    }
}
