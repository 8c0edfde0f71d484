//! The Cranelift back end: the loop IR as Cranelift's IR (CLIF), and that as bytes.
//!
//! Cranelift's optimiser is off: the loop passes have ordered the statements for the registers, and it would undo that. So
//! what is emitted here is what runs, and it has to be good: addresses are split into a part computed outside of the loop and
//! one that an instruction's address mode computes (`address`); constants are memory operands, or in registers where
//! there is room in the loop (`constants`, and `facts` beside this); loops test at the bottom (`control`).
//!
//! - `control`: phases, loops and choices.
//! - `insts`: everything that computes.
//! - `address`, `memory`: accesses.

mod address;
mod constants;
mod control;
mod gather;
mod insts;
mod memory;

use act_runtime::abi;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::{CodegenError, CompiledCode, Context, FinalizedMachReloc};

use self::constants::Pool;
use super::{BackendError, MachineCode, MachineFunction, phase_symbol};
use crate::loops::Verified;
use crate::target::Target;

/// Instructions of a phase beyond which its registers are allocated in one pass. The time of the better allocator grows
/// with more than the square of the length; no kernel that is written by hand comes near.
const LARGE: usize = 20_000;

/// A kernel in CLIF.
pub struct Code {
    target: Target,
    isa: OwnedTargetIsa,
    kernel: String,
    variant: abi::Variant,
    phases: Vec<PhaseCode>,
}

/// A phase in CLIF, and the constants that its function reads.
struct PhaseCode {
    symbol: String,
    clif: Function,
    pool: Pool,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").field("kernel", &self.kernel).finish_non_exhaustive()
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, phase) in self.phases.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "; {} for {}", phase.symbol, self.target)?;
            phase.pool.fmt(f)?;
            write!(f, "{}", phase.clif)?;
        }
        Ok(())
    }
}

/// Turns the function into CLIF.
pub fn select(func: &Verified, target: &Target) -> Result<Code, BackendError> {
    if !target.has_fma() {
        return Err(BackendError::new(format!(
            "kernels need fused multiply-add, which {target} does not have; the lowest x86 level with it is x86-64-v3"
        )));
    }
    let isa = target.isa().map_err(BackendError::new)?;
    let func = func.func();
    let layout = super::layout::Layout::new(func);
    let mut phases = Vec::new();
    for (index, phase) in func.phases.iter().enumerate() {
        let (clif, pool) = control::emit_phase(func, phase, index, &layout, &*isa);
        phases.push(PhaseCode { symbol: phase_symbol(&func.name, 0, index), clif, pool });
    }
    let symbols = phases.iter().map(|phase| phase.symbol.clone());
    let variant = layout.into_variant(func, symbols);
    Ok(Code { target: target.clone(), isa, kernel: func.name.clone(), variant, phases })
}

/// Places the values in registers and writes the bytes.
pub fn encode(code: Code) -> Result<MachineCode, BackendError> {
    let mut context = Context::new();
    let mut registers = regalloc2::Ctx::default();
    let mut functions = Vec::new();
    for phase in code.phases {
        context.clear();
        context.func = phase.clif;
        let quick = (context.func.dfg.num_insts() > LARGE).then(|| code.target.quick_isa());
        let quick = quick.transpose().map_err(BackendError::new)?;
        match compile(&mut context, &mut registers, quick.as_deref().unwrap_or(&*code.isa)) {
            Ok(compiled) => functions.push(finish(phase.symbol, &compiled, &phase.pool)),
            Err(error) => return Err(compile_error(&code.kernel, &error, &context.func)),
        }
    }
    Ok(MachineCode { target: code.target, kernel: code.kernel, variant: code.variant, functions })
}

/// What [`Context::compile`] does, without its removal of block parameters that have one value: they are what keeps
/// memory operands (see `Emitter::fence`).
fn compile(
    context: &mut Context,
    registers: &mut regalloc2::Ctx,
    isa: &dyn TargetIsa,
) -> Result<CompiledCode, CodegenError> {
    context.verify_if(isa)?;
    context.compute_cfg();
    context.compute_domtree();
    context.eliminate_unreachable_code(isa)?;
    context.func.dfg.resolve_all_aliases();
    let control = &mut ControlPlane::default();
    let stencil = isa.compile_function(&context.func, &context.domtree, registers, false, control)?;
    Ok(stencil.apply_params(&context.func.params))
}

/// A kernel can be too large for Cranelift; everything else is our mistake.
fn compile_error(kernel: &str, error: &CodegenError, clif: &Function) -> BackendError {
    match error {
        CodegenError::ImplLimitExceeded | CodegenError::CodeTooLarge => super::too_large(kernel),
        CodegenError::Verifier(_)
        | CodegenError::Unsupported(_)
        | CodegenError::RegisterMappingError(_)
        | CodegenError::Regalloc(_) => panic!("no code for kernel `{kernel}`: {error}\n{clif}"),
    }
}

/// Puts the constants behind the instructions and fills in how far away they are.
fn finish(symbol: String, compiled: &CompiledCode, pool: &Pool) -> MachineFunction {
    let mut bytes = compiled.code_buffer().to_vec();
    let alignment = u64::from(compiled.buffer.alignment).max(Pool::ALIGNMENT as u64);
    bytes.resize(bytes.len().next_multiple_of(Pool::ALIGNMENT), 0);
    let pool_start = bytes.len();
    bytes.extend(pool.bytes());
    for reloc in compiled.buffer.relocs() {
        resolve(&mut bytes, reloc, pool_start);
    }
    MachineFunction { symbol, bytes, alignment }
}

/// The one kind of reference that phases have: the address of their constants, relative to the instruction.
fn resolve(bytes: &mut [u8], reloc: &FinalizedMachReloc, pool_start: usize) {
    assert_eq!(reloc.kind, Reloc::X86CallPCRel4, "phases refer to nothing but their constants: {reloc:?}");
    let at = reloc.offset as usize;
    let distance = pool_start as i64 + reloc.addend - at as i64;
    let distance = i32::try_from(distance).expect("a function is smaller than 2 GiB");
    bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
}
