//! The C functions of a kernel, in Cranelift's IR: they do what the runtime does at a call, for dense arrays and one
//! thread, without a library.
//!
//! [`entry`] checks sizes and pointers, picks the variant, lays out [`act_runtime::abi::KernelArgs`] on the stack and runs the
//! phases over their whole extents; [`workspace`] tells how much memory that takes. Both need the phases in the
//! module. Nothing is written before everything is checked.

use std::mem::{offset_of, size_of};

use act_runtime::abi::{Abi, DType, DimKind, KernelArgs, ParamKind, Signature, SizeExpr, Variant};
use act_runtime::small;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    self, AbiParam, Block, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Type, Value, types,
};
use cranelift_codegen::{CodegenError, Context};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{DataId, FuncId, Linkage, Module, ModuleError};
use rustc_hash::FxHashMap;

use super::EmitError;
use super::errors::{self, Code};
use super::interface::{self, Role, arguments};

/// Sizes end below this.
const DIM_LIMIT: i64 = 1 << 31;
/// Arrays have fewer elements.
const LEN_LIMIT: i64 = 1 << 48;
/// No amount of memory or work is larger, so that a few can be added.
const AMOUNT_LIMIT: i64 = 1 << 58;
/// What the kernel's own memory is aligned to.
const ALIGN: i64 = 64;

/// What the functions of a kernel refer to in their object.
pub(super) struct Parts<'a> {
    /// The functions of the phases, by variant.
    pub(super) phases: &'a [Vec<FuncId>],
    /// `u32 check()`: whether this machine will do; and a byte that is 1 once it is known to.
    pub(super) level: (FuncId, DataId),
    /// Reads and writes the control register of floating-point arithmetic; `None`: it is as it should be.
    pub(super) control: Option<(FuncId, FuncId)>,
}

/// Defines the function that runs a kernel.
pub(super) fn entry(
    module: &mut dyn Module,
    (signature, abi): (&Signature, &Abi),
    parts: &Parts<'_>,
) -> Result<(), EmitError> {
    let symbol = interface::entry_symbol(&signature.name);
    let params: Vec<Type> = arguments(signature).iter().map(|arg| clif_type(signature, arg.role)).collect();
    define(module, &symbol, &params, types::I32, signature, |emitter, args| {
        emitter.check_level(parts.level);
        let args: Vec<(Role, Value)> =
            arguments(signature).iter().map(|arg| arg.role).zip(args.iter().copied()).collect();
        emitter.bind(&args);
        emitter.check_pointers();
        emitter.check_ranges(&args);
        emitter.each_variant(abi, |emitter, index, variant| {
            emitter.run(&args, variant, &parts.phases[index], parts.control)
        });
    })
}

/// Defines the function that tells how many bytes of memory a call of these sizes needs.
pub(super) fn workspace(module: &mut dyn Module, signature: &Signature, abi: &Abi) -> Result<(), EmitError> {
    let symbol = interface::workspace_symbol(&signature.name);
    let roles = arguments(signature).into_iter().map(|arg| arg.role);
    let roles: Vec<Role> = roles.filter(|role| matches!(role, Role::Size(_))).collect();
    define(module, &symbol, &vec![types::I64; roles.len()], types::I64, signature, |emitter, args| {
        let args: Vec<(Role, Value)> = roles.iter().copied().zip(args.iter().copied()).collect();
        emitter.bind(&args);
        emitter.each_variant(abi, |emitter, _, variant| {
            let memory = emitter.memory(variant);
            let mut bytes = emitter.b.ins().iadd(memory.shared, memory.scratch);
            for slot in 0..emitter.slots.len() {
                if emitter.slots[slot].default.is_some() {
                    let room = emitter.room(slot);
                    bytes = emitter.b.ins().iadd(bytes, room);
                }
            }
            // Room to align what the caller gives.
            let aligned = emitter.b.ins().iadd_imm_s(bytes, ALIGN - 1);
            let none = emitter.b.ins().icmp_imm_s(IntCC::Equal, bytes, 0);
            let answer = emitter.b.ins().select(none, bytes, aligned);
            emitter.b.ins().return_(&[answer]);
        });
    })
}

/// Defines an exported function whose body `fill` writes.
fn define(
    module: &mut dyn Module,
    symbol: &str,
    params: &[Type],
    returns: Type,
    signature: &Signature,
    fill: impl FnOnce(&mut Emitter<'_, '_>, &[Value]),
) -> Result<(), EmitError> {
    let mut context = Context::new();
    context.func.signature = module.make_signature();
    context.func.signature.params.extend(params.iter().map(|&ty| AbiParam::new(ty)));
    context.func.signature.returns.push(AbiParam::new(returns));
    let id = module.declare_function(symbol, Linkage::Export, &context.func.signature)?;
    let frontend = module.target_config();
    let mut pool = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut context.func, &mut pool);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let args = b.block_params(block).to_vec();
    let mut emitter = Emitter {
        b,
        module: &mut *module,
        signature,
        returns,
        sizes: Vec::new(),
        slots: Vec::new(),
        known: FxHashMap::default(),
        failures: Vec::new(),
    };
    fill(&mut emitter, &args);
    emitter.finish_failures();
    let Emitter { mut b, .. } = emitter;
    b.seal_all_blocks();
    b.finalize(frontend);
    module.define_function(id, &mut context).map_err(|error| match error {
        ModuleError::Compilation(CodegenError::ImplLimitExceeded | CodegenError::CodeTooLarge) => {
            EmitError::new(format!("the code of `{symbol}` is too large"))
        }
        ModuleError::Compilation(error) => panic!("no code for `{symbol}`: {error}\n{}", context.func),
        error => EmitError::new(error),
    })
}

/// The type of an argument.
fn clif_type(signature: &Signature, role: Role) -> Type {
    match role {
        Role::Number(param) => match signature.params[param as usize].dtype {
            DType::F32 => types::F32,
            DType::F64 => types::F64,
            DType::I32 => types::I32,
            DType::F16 | DType::BF16 => types::I16,
            DType::I8 | DType::U8 | DType::Bool => types::I8,
        },
        Role::Input(_) | Role::Output(_) | Role::Size(_) | Role::Workspace | Role::WorkspaceBytes => {
            types::I64
        }
    }
}

/// A number, and whether it could not be computed.
#[derive(Clone, Copy)]
struct Checked {
    value: Value,
    bad: Option<Value>,
}

/// An array, of a parameter or a result.
struct Slot {
    /// As in [`act_runtime::abi::TensorLayout`].
    source: Result<u32, u32>,
    dtype: DType,
    default: Option<f64>,
    /// Its elements.
    count: Value,
    /// Where it is; none in the workspace function.
    pointer: Option<Value>,
}

/// What a variant needs besides arrays, in bytes.
struct Memory {
    shared: Value,
    scratch: Value,
}

/// Writes one function.
struct Emitter<'a, 'f> {
    b: FunctionBuilder<'f>,
    module: &'a mut dyn Module,
    signature: &'a Signature,
    returns: Type,
    /// The size of each dimension.
    sizes: Vec<Value>,
    slots: Vec<Slot>,
    /// Sizes computed in this block or before it.
    known: FxHashMap<SizeExpr, Checked>,
    /// The blocks that return an error.
    failures: Vec<(Code, Block)>,
}

impl Emitter<'_, '_> {
    // ---- errors ----

    /// Returns the error where the condition holds; goes on otherwise.
    fn fail_if(&mut self, condition: Value, code: Code) {
        let known = self.failures.iter().find(|(known, _)| *known == code).map(|(_, block)| *block);
        let failure = known.unwrap_or_else(|| {
            let block = self.b.create_block();
            self.failures.push((code, block));
            block
        });
        let next = self.b.create_block();
        self.b.ins().brif(condition, failure, &[], next, &[]);
        self.b.switch_to_block(next);
    }

    fn fail_if_any(&mut self, conditions: &[Value], code: Code) {
        if let Some(any) = self.any(conditions) {
            self.fail_if(any, code);
        }
    }

    fn any(&mut self, conditions: &[Value]) -> Option<Value> {
        conditions.iter().copied().reduce(|a, b| self.b.ins().bor(a, b))
    }

    fn finish_failures(&mut self) {
        for (code, block) in std::mem::take(&mut self.failures) {
            self.b.switch_to_block(block);
            self.b.set_cold_block(block);
            let code = self.b.ins().iconst(self.returns, i64::from(code.number));
            self.b.ins().return_(&[code]);
        }
    }

    fn number(&mut self, value: i64) -> Value {
        self.b.ins().iconst(types::I64, value)
    }

    fn call(&mut self, function: FuncId, args: &[Value]) -> ir::Inst {
        let function = self.module.declare_func_in_func(function, self.b.func);
        self.b.ins().call(function, args)
    }

    // ---- checks ----

    /// Asks the CPU once in the life of the program, unless it fails.
    fn check_level(&mut self, (check, answer): (FuncId, DataId)) {
        let answer = self.module.declare_data_in_func(answer, self.b.func);
        let answer = self.b.ins().symbol_value(types::I64, answer);
        let known = self.b.ins().load(types::I8, MemFlagsData::trusted(), answer, 0);
        let (ask, good) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(known, good, &[], ask, &[]);
        self.b.switch_to_block(ask);
        let call = self.call(check, &[]);
        let found = self.b.inst_results(call)[0];
        let missing = self.b.ins().icmp_imm_s(IntCC::Equal, found, 0);
        self.fail_if(missing, errors::CPU);
        let one = self.b.ins().iconst(types::I8, 1);
        self.b.ins().store(MemFlagsData::trusted(), one, answer, 0);
        self.b.ins().jump(good, &[]);
        self.b.switch_to_block(good);
    }

    /// Takes the sizes, computes those that are computed, and counts the elements of the arrays.
    fn bind(&mut self, args: &[(Role, Value)]) {
        let arg = |role| args.iter().find(|(known, _)| *known == role).map(|(_, value)| *value);
        let mut sizes: Vec<Option<Value>> = Vec::new();
        let mut bad = Vec::new();
        for (index, dim) in (0..).zip(&self.signature.dims) {
            sizes.push(match &dim.kind {
                DimKind::Free | DimKind::Leading => {
                    let size = arg(Role::Size(index)).expect("free dimensions are arguments");
                    bad.push(self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThanOrEqual, size, DIM_LIMIT));
                    Some(size)
                }
                DimKind::Fixed(size) => Some(self.number(*size)),
                DimKind::Computed(_) => None,
            });
        }
        self.fail_if_any(&bad, errors::SIZE);
        self.compute(sizes);
        self.count(&arg);
    }

    /// Computes sizes from other sizes.
    fn compute(&mut self, mut sizes: Vec<Option<Value>>) {
        let zero = self.number(0);
        let signature = self.signature;
        while sizes.contains(&None) {
            let ready = |formula: &SizeExpr| all_dims(formula, &|dim| sizes[dim as usize].is_some());
            let next = (0..).zip(&signature.dims).find_map(|(index, dim): (usize, _)| match &dim.kind {
                DimKind::Computed(formula) if sizes[index].is_none() && ready(formula) => {
                    Some((index, formula))
                }
                _ => None,
            });
            let (index, formula) =
                next.unwrap_or_else(|| panic!("sizes of `{}` are computed from each other", signature.name));
            self.sizes = sizes.iter().map(|size| size.unwrap_or(zero)).collect();
            let Checked { value, bad } = self.eval(formula);
            let outside = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThanOrEqual, value, DIM_LIMIT);
            let bad = bad.map_or(outside, |bad| self.b.ins().bor(bad, outside));
            self.fail_if(bad, errors::COMPUTED);
            sizes[index] = Some(value);
        }
        self.sizes = sizes.into_iter().flatten().collect();
    }

    /// Counts the elements of every array.
    fn count(&mut self, arg: &dyn Fn(Role) -> Option<Value>) {
        let signature = self.signature;
        let params = (0..).zip(&signature.params).map(|(index, decl)| (Ok(index), Role::Input(index), decl));
        let results =
            (0..).zip(&signature.results).map(|(index, decl)| (Err(index), Role::Output(index), decl));
        let mut bad = Vec::new();
        for (source, role, decl) in params.chain(results) {
            let ParamKind::Array { axes, default } = &decl.kind else { continue };
            let (count, too_large) = self.product(&axes.concat());
            bad.extend(too_large);
            let (dtype, default, pointer) = (decl.dtype, *default, arg(role));
            self.slots.push(Slot { source, dtype, default, count, pointer });
        }
        self.fail_if_any(&bad, errors::TOO_LARGE);
    }

    /// The product of sizes, and whether it reaches the limit.
    fn product(&mut self, dims: &[u32]) -> (Value, Option<Value>) {
        let sizes: Vec<Value> = dims.iter().map(|&dim| self.sizes[dim as usize]).collect();
        let Some((&first, rest)) = sizes.split_first() else { return (self.number(1), None) };
        let (mut product, mut lost) = (first, Vec::new());
        for &size in rest {
            let (next, overflow) = self.b.ins().umul_overflow(product, size);
            product = next;
            lost.push(overflow);
        }
        lost.push(self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThanOrEqual, product, LEN_LIMIT));
        // With an empty axis the product is 0, whatever was lost on the way.
        let lost = self.any(&lost).expect("there is one");
        let empty: Vec<Value> =
            sizes.iter().map(|&size| self.b.ins().icmp_imm_s(IntCC::Equal, size, 0)).collect();
        let empty = self.any(&empty).expect("there is one");
        (product, Some(self.b.ins().band_not(lost, empty)))
    }

    /// Arrays that have elements need memory, or a default.
    fn check_pointers(&mut self) {
        let mut bad = Vec::new();
        for slot in 0..self.slots.len() {
            if self.slots[slot].default.is_none() {
                let (null, empty) = (self.is_null(slot), self.is_empty(slot));
                bad.push(self.b.ins().band_not(null, empty));
            }
        }
        self.fail_if_any(&bad, errors::NULL);
    }

    /// Numbers lie in the ranges that they are declared with.
    fn check_ranges(&mut self, args: &[(Role, Value)]) {
        let mut bad = Vec::new();
        for (index, param) in self.signature.params.iter().enumerate() {
            let Some((low, high)) = param.range else { continue };
            let value = self.scalar(args, index as u32);
            let inside = match param.dtype {
                DType::F32 => {
                    let ends = [self.b.ins().f32const(low as f32), self.b.ins().f32const(high as f32)];
                    self.float_between(value, ends)
                }
                DType::F64 => {
                    let ends = [self.b.ins().f64const(low), self.b.ins().f64const(high)];
                    self.float_between(value, ends)
                }
                DType::I32 | DType::Bool => {
                    let ends = [low, high].map(|end| self.b.ins().iconst(types::I32, i64::from(end as i32)));
                    let above = self.b.ins().icmp(IntCC::SignedLessThanOrEqual, ends[0], value);
                    let below = self.b.ins().icmp(IntCC::SignedLessThanOrEqual, value, ends[1]);
                    self.b.ins().band(above, below)
                }
                DType::F16 | DType::BF16 | DType::I8 | DType::U8 => {
                    unreachable!("the text gives `{}` no range", param.name)
                }
            };
            bad.push(self.b.ins().icmp_imm_s(IntCC::Equal, inside, 0));
        }
        self.fail_if_any(&bad, errors::RANGE);
    }

    /// Whether a number lies between two, which NaN does not.
    fn float_between(&mut self, value: Value, [low, high]: [Value; 2]) -> Value {
        let above = self.b.ins().fcmp(FloatCC::LessThanOrEqual, low, value);
        let below = self.b.ins().fcmp(FloatCC::LessThanOrEqual, value, high);
        self.b.ins().band(above, below)
    }

    fn pointer(&self, slot: usize) -> Value {
        self.slots[slot].pointer.expect("the entry has pointers")
    }

    fn is_null(&mut self, slot: usize) -> Value {
        let pointer = self.pointer(slot);
        self.b.ins().icmp_imm_s(IntCC::Equal, pointer, 0)
    }

    fn is_empty(&mut self, slot: usize) -> Value {
        let count = self.slots[slot].count;
        self.b.ins().icmp_imm_s(IntCC::Equal, count, 0)
    }

    /// Refuses results that overlap another array, unless they are the same array and the variant allows it.
    fn check_overlaps(&mut self, variant: &Variant) {
        let mut bad = Vec::new();
        for result in 0..self.slots.len() {
            let Err(number) = self.slots[result].source else { continue };
            for other in 0..result {
                let mut shared = self.share(other, result);
                if let Ok(param) = self.slots[other].source
                    && variant.in_place.contains(&(param, number))
                    && interface::same_form(self.signature, param, number)
                {
                    let (a, b) = (self.pointer(other), self.pointer(result));
                    let differ = self.b.ins().icmp(IntCC::NotEqual, a, b);
                    shared = self.b.ins().band(shared, differ);
                }
                bad.push(shared);
            }
        }
        self.fail_if_any(&bad, errors::OVERLAP);
    }

    /// Whether two arrays have memory in common.
    fn share(&mut self, first: usize, second: usize) -> Value {
        let (first_start, second_start) = (self.pointer(first), self.pointer(second));
        let (first_end, second_end) = (self.end(first), self.end(second));
        let before = self.b.ins().icmp(IntCC::UnsignedLessThan, first_start, second_end);
        let after = self.b.ins().icmp(IntCC::UnsignedLessThan, second_start, first_end);
        let mut shared = self.b.ins().band(before, after);
        for slot in [first, second] {
            let empty = self.is_empty(slot);
            shared = self.b.ins().band_not(shared, empty);
            if self.slots[slot].default.is_some() {
                let missing = self.is_null(slot);
                shared = self.b.ins().band_not(shared, missing);
            }
        }
        shared
    }

    fn end(&mut self, slot: usize) -> Value {
        let bytes = self.bytes(slot);
        let pointer = self.pointer(slot);
        self.b.ins().iadd(pointer, bytes)
    }

    fn bytes(&mut self, slot: usize) -> Value {
        let Slot { count, dtype, .. } = self.slots[slot];
        self.b.ins().imul_imm_s(count, dtype.bytes() as i64)
    }

    // ---- sizes ----

    /// What [`SizeExpr::eval`] gives.
    fn eval(&mut self, expr: &SizeExpr) -> Checked {
        if let Some(&known) = self.known.get(expr) {
            return known;
        }
        let checked = match expr {
            SizeExpr::Const(value) => Checked { value: self.number(*value), bad: None },
            SizeExpr::Dim(dim) => return Checked { value: self.sizes[*dim as usize], bad: None },
            SizeExpr::Add(a, b) => self.both(a, b, |emitter, a, b| {
                let (value, overflow) = emitter.b.ins().sadd_overflow(a, b);
                (value, vec![overflow])
            }),
            SizeExpr::Sub(a, b) => self.both(a, b, |emitter, a, b| {
                let (value, overflow) = emitter.b.ins().ssub_overflow(a, b);
                (value, vec![overflow])
            }),
            SizeExpr::Mul(a, b) => self.both(a, b, |emitter, a, b| {
                let (value, overflow) = emitter.b.ins().smul_overflow(a, b);
                (value, vec![overflow])
            }),
            SizeExpr::Div(a, b) => self.both(a, b, |emitter, a, b| {
                let (quotient, rest, zero) = emitter.divide(a, b);
                (quotient, vec![zero, emitter.b.ins().icmp_imm_s(IntCC::NotEqual, rest, 0)])
            }),
            SizeExpr::CeilDiv(a, b) => self.both(a, b, |emitter, a, b| {
                let (quotient, rest, zero) = emitter.divide(a, b);
                let more = emitter.b.ins().icmp_imm_s(IntCC::NotEqual, rest, 0);
                let more = emitter.b.ins().uextend(types::I64, more);
                let negative = emitter.b.ins().icmp_imm_s(IntCC::SignedLessThan, a, 0);
                (emitter.b.ins().iadd(quotient, more), vec![zero, negative])
            }),
        };
        self.known.insert(expr.clone(), checked);
        checked
    }

    fn both(
        &mut self,
        a: &SizeExpr,
        b: &SizeExpr,
        op: impl FnOnce(&mut Self, Value, Value) -> (Value, Vec<Value>),
    ) -> Checked {
        let (a, b) = (self.eval(a), self.eval(b));
        let (value, bad) = op(self, a.value, b.value);
        let bad: Vec<Value> = bad.into_iter().chain(a.bad).chain(b.bad).collect();
        Checked { value, bad: self.any(&bad) }
    }

    /// Quotient, remainder, and whether the divisor is not positive, for which both are of no use.
    fn divide(&mut self, a: Value, b: Value) -> (Value, Value, Value) {
        let positive = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, b, 0);
        let one = self.number(1);
        let divisor = self.b.ins().select(positive, b, one);
        let (quotient, rest) = (self.b.ins().sdiv(a, divisor), self.b.ins().srem(a, divisor));
        (quotient, rest, self.b.ins().icmp_imm_s(IntCC::Equal, positive, 0))
    }

    /// A number of bytes, units or positions; an error where it can't be counted.
    fn amount(&mut self, expr: &SizeExpr) -> Value {
        let Checked { value, bad } = self.eval(expr);
        if matches!(expr, SizeExpr::Const(0..AMOUNT_LIMIT)) {
            return value;
        }
        let outside = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThanOrEqual, value, AMOUNT_LIMIT);
        let bad = bad.map_or(outside, |bad| self.b.ins().bor(bad, outside));
        self.fail_if(bad, errors::TOO_LARGE);
        value
    }

    /// The next multiple of [`ALIGN`].
    fn align(&mut self, value: Value) -> Value {
        let value = self.b.ins().iadd_imm_s(value, ALIGN - 1);
        self.b.ins().band_imm_s(value, -ALIGN)
    }

    /// The memory of a variant, in multiples of [`ALIGN`].
    fn memory(&mut self, variant: &Variant) -> Memory {
        let shared = self.amount(&variant.shared);
        let shared = self.align(shared);
        let mut scratch = self.number(0);
        let mut seen: Vec<&SizeExpr> = vec![&SizeExpr::Const(0)];
        for phase in &variant.phases {
            if !seen.contains(&&phase.scratch) {
                seen.push(&phase.scratch);
                let bytes = self.amount(&phase.scratch);
                let more = self.b.ins().icmp(IntCC::SignedGreaterThan, bytes, scratch);
                scratch = self.b.ins().select(more, bytes, scratch);
            }
        }
        Memory { shared, scratch: self.align(scratch) }
    }

    /// Bytes in which an array can be filled that is left out.
    fn room(&mut self, slot: usize) -> Value {
        let bytes = self.bytes(slot);
        self.align(bytes)
    }

    /// The first variant whose guard admits the sizes. `body` returns.
    fn each_variant(&mut self, abi: &Abi, mut body: impl FnMut(&mut Self, usize, &Variant)) {
        for (index, variant) in abi.variants.iter().enumerate() {
            let Some((size, most)) = &variant.guard else { return body(self, index, variant) };
            let Checked { value, bad } = self.eval(size);
            self.fail_if_any(bad.as_slice(), errors::TOO_LARGE);
            let fits = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, value, *most);
            let (this, next) = (self.b.create_block(), self.b.create_block());
            self.b.ins().brif(fits, this, &[], next, &[]);
            self.b.switch_to_block(this);
            let known = self.known.clone();
            body(self, index, variant);
            self.known = known;
            self.b.switch_to_block(next);
        }
        unreachable!("the last variant of `{}` has no guard", self.signature.name)
    }

    // ---- the call ----

    /// Runs the phases of a variant and returns 0.
    fn run(
        &mut self,
        args: &[(Role, Value)],
        variant: &Variant,
        phases: &[FuncId],
        control: Option<(FuncId, FuncId)>,
    ) {
        self.check_overlaps(variant);
        let sizes: Vec<Value> = variant.sizes.iter().map(|size| self.checked(size)).collect();
        let extents: Vec<Value> = variant.phases.iter().map(|phase| self.amount(&phase.extent)).collect();
        let memory = self.memory(variant);
        let start = self.take_workspace(args, &memory);
        let scratch = self.b.ins().iadd(start, memory.shared);
        let end = self.b.ins().iadd(scratch, memory.scratch);
        let pointers = self.fill(end);

        let data: Vec<Value> =
            variant.tensors.iter().map(|tensor| pointers[self.slot(tensor.source)]).collect();
        let strides = self.strides(variant);
        let numbers: Vec<Value> = variant.scalars.iter().map(|&param| self.scalar(args, param)).collect();
        let frame = self.slot_of(size_of::<KernelArgs>());
        let fields = [
            (offset_of!(KernelArgs, data), self.array(&data)),
            (offset_of!(KernelArgs, sizes), self.array(&sizes)),
            (offset_of!(KernelArgs, strides), self.array(&strides)),
            (offset_of!(KernelArgs, scalars), self.array(&numbers)),
            (offset_of!(KernelArgs, shared), start),
        ];
        for (offset, value) in fields {
            self.b.ins().store(MemFlagsData::trusted(), value, frame, offset as i32);
        }
        let saved = control.map(|control| (control.1, self.enter(control)));
        for ((&function, &extent), phase) in phases.iter().zip(&extents).zip(&variant.phases) {
            self.phase(function, [frame, scratch, extent], &phase.extent);
        }
        if let Some((write, (word, differs))) = saved {
            self.when(differs, |emitter| {
                emitter.call(write, &[word]);
            });
        }
        let fine = self.b.ins().iconst(types::I32, 0);
        self.b.ins().return_(&[fine]);
    }

    fn checked(&mut self, size: &SizeExpr) -> Value {
        let Checked { value, bad } = self.eval(size);
        self.fail_if_any(bad.as_slice(), errors::TOO_LARGE);
        value
    }

    fn slot(&self, source: Result<u32, u32>) -> usize {
        self.slots.iter().position(|slot| slot.source == source).expect("tensors are arrays of the signature")
    }

    /// Where the kernel's own memory starts, aligned.
    fn take_workspace(&mut self, args: &[(Role, Value)], memory: &Memory) -> Value {
        let arg = |role| args.iter().find(|(known, _)| *known == role).expect("every entry has it").1;
        let (given, bytes) = (arg(Role::Workspace), arg(Role::WorkspaceBytes));
        let mut needed = self.b.ins().iadd(memory.shared, memory.scratch);
        for slot in 0..self.slots.len() {
            if self.slots[slot].default.is_some() {
                let room = self.missing_room(slot);
                needed = self.b.ins().iadd(needed, room);
            }
        }
        let start = self.align(given);
        let slack = self.b.ins().isub(start, given);
        let left = self.b.ins().isub(bytes, slack);
        let bad = [
            self.b.ins().icmp_imm_s(IntCC::Equal, given, 0),
            self.b.ins().icmp_imm_s(IntCC::SignedLessThan, bytes, 0),
            self.b.ins().icmp(IntCC::SignedLessThan, left, needed),
        ];
        let bad = self.any(&bad).expect("there are three");
        let none = self.b.ins().icmp_imm_s(IntCC::Equal, needed, 0);
        let bad = self.b.ins().band_not(bad, none);
        self.fail_if(bad, errors::WORKSPACE);
        start
    }

    /// Bytes of the workspace that an array takes: none if it is given.
    fn missing_room(&mut self, slot: usize) -> Value {
        let (missing, room) = (self.is_null(slot), self.room(slot));
        let none = self.number(0);
        self.b.ins().select(missing, room, none)
    }

    /// Where each array is, those that are left out filled at `free` and after it.
    fn fill(&mut self, mut free: Value) -> Vec<Value> {
        let mut pointers = Vec::new();
        for slot in 0..self.slots.len() {
            let given = self.pointer(slot);
            let Some(default) = self.slots[slot].default else {
                pointers.push(given);
                continue;
            };
            let missing = self.is_null(slot);
            let (at, dtype, count) = (free, self.slots[slot].dtype, self.slots[slot].count);
            self.when(missing, |emitter| {
                let element = emitter.element(dtype, default);
                emitter.fill_array(at, element, (count, dtype.bytes() as i64));
            });
            pointers.push(self.b.ins().select(missing, at, given));
            let room = self.missing_room(slot);
            free = self.b.ins().iadd(free, room);
        }
        pointers
    }

    fn element(&mut self, dtype: DType, value: f64) -> Value {
        let ty = Type::int_with_byte_size(dtype.bytes() as u16).expect("elements have 1 to 8 bytes");
        let bits = small::element_bits(dtype, value).expect("a default is a number of its dtype");
        self.b.ins().iconst(ty, bits as i64)
    }

    /// Writes `count` elements of so many bytes.
    fn fill_array(&mut self, start: Value, element: Value, (count, bytes): (Value, i64)) {
        let (head, body, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let index = self.b.append_block_param(head, types::I64);
        let zero = self.number(0);
        self.b.ins().jump(head, &[zero.into()]);
        self.b.switch_to_block(head);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, index, count);
        self.b.ins().brif(more, body, &[], done, &[]);
        self.b.switch_to_block(body);
        let offset = self.b.ins().imul_imm_s(index, bytes);
        let at = self.b.ins().iadd(start, offset);
        self.b.ins().store(MemFlagsData::trusted(), element, at, 0);
        let next = self.b.ins().iadd_imm_s(index, 1);
        self.b.ins().jump(head, &[next.into()]);
        self.b.switch_to_block(done);
    }

    /// The strides of dense arrays.
    fn strides(&mut self, variant: &Variant) -> Vec<Value> {
        let mut strides = Vec::new();
        for tensor in &variant.tensors {
            let first = strides.len();
            let mut stride = self.number(1);
            for group in tensor.groups.iter().rev() {
                strides.insert(first, stride);
                for &dim in group {
                    // Wraps only where another axis is empty, and then no stride is used.
                    stride = self.b.ins().imul(stride, self.sizes[dim as usize]);
                }
            }
        }
        strides
    }

    fn scalar(&mut self, args: &[(Role, Value)], param: u32) -> Value {
        let found = args.iter().find(|(role, _)| *role == Role::Number(param));
        let value = found.expect("scalars of a variant are numbers of the signature").1;
        match self.signature.params[param as usize].dtype {
            DType::Bool => self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0),
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::I32 | DType::I8 | DType::U8 => value,
        }
    }

    /// Values on the stack, eight bytes each; the address of the first.
    fn array(&mut self, values: &[Value]) -> Value {
        let address = self.slot_of(8 * values.len().max(1));
        for (index, &value) in values.iter().enumerate() {
            self.b.ins().store(MemFlagsData::trusted(), value, address, 8 * index as i32);
        }
        address
    }

    /// The address of so many new bytes on the stack.
    fn slot_of(&mut self, bytes: usize) -> Value {
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 3);
        let slot = self.b.create_sized_stack_slot(slot);
        self.b.ins().stack_addr(types::I64, slot, 0)
    }

    /// Sets the control register of floating-point arithmetic if it is not as it should be: what it was, and whether
    /// it was another.
    fn enter(&mut self, (read, write): (FuncId, FuncId)) -> (Value, Value) {
        let call = self.call(read, &[]);
        let word = self.b.inst_results(call)[0];
        let modes = self.b.ins().band_imm_s(word, mxcsr::MODES);
        let differs = self.b.ins().icmp_imm_s(IntCC::NotEqual, modes, mxcsr::DEFAULT);
        self.when(differs, |emitter| {
            let default = emitter.b.ins().iconst(types::I32, mxcsr::DEFAULT);
            emitter.call(write, &[default]);
        });
        (word, differs)
    }

    /// Runs a phase over its whole extent, if there is any.
    fn phase(&mut self, function: FuncId, [frame, scratch, extent]: [Value; 3], size: &SizeExpr) {
        let run = |emitter: &mut Self| {
            let zero = emitter.number(0);
            emitter.call(function, &[frame, scratch, zero, extent]);
        };
        match size {
            SizeExpr::Const(0) => {}
            SizeExpr::Const(_) => run(self),
            _ => self.when(extent, run),
        }
    }

    /// Does something only where a number is not zero.
    fn when(&mut self, condition: Value, body: impl FnOnce(&mut Self)) {
        let (then, next) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, then, &[], next, &[]);
        self.b.switch_to_block(then);
        body(self);
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(next);
    }
}

/// The control register of vector arithmetic on x86-64.
mod mxcsr {
    /// Flush-to-zero, rounding, exception masks, denormals-are-zero; not the sticky flags.
    pub(super) const MODES: i64 = 0xFFC0;
    /// All exceptions masked, nothing else.
    pub(super) const DEFAULT: i64 = 0x1F80;
}

/// Whether all dimensions of a size are such.
fn all_dims(size: &SizeExpr, each: &dyn Fn(u32) -> bool) -> bool {
    match size {
        SizeExpr::Const(_) => true,
        SizeExpr::Dim(dim) => each(*dim),
        SizeExpr::Add(a, b)
        | SizeExpr::Sub(a, b)
        | SizeExpr::Mul(a, b)
        | SizeExpr::Div(a, b)
        | SizeExpr::CeilDiv(a, b) => all_dims(a, each) && all_dims(b, each),
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use act_runtime::abi::{Abi, DimDecl, DimKind, Phase, Signature, SizeExpr, Variant};
    use cranelift_jit::{JITBuilder, JITModule};
    use cranelift_module::{Linkage, Module, default_libcall_names};

    use super::{AMOUNT_LIMIT, DIM_LIMIT, workspace};
    use crate::emit::{errors, interface};
    use crate::target::Target;

    /// Numbers that look random, always the same.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 20) % end
        }

        fn size(&mut self, depth: u32) -> SizeExpr {
            const CONSTANTS: [i64; 7] = [-3, 0, 1, 2, 64, 1 << 20, i64::MAX];
            let kind = if depth == 0 { self.below(2) } else { self.below(7) };
            match kind {
                0 => return SizeExpr::Const(CONSTANTS[self.below(7) as usize]),
                1 => return SizeExpr::Dim(self.below(2) as u32),
                _ => {}
            }
            let (a, b) = (Box::new(self.size(depth - 1)), Box::new(self.size(depth - 1)));
            match kind {
                2 => SizeExpr::Add(a, b),
                3 => SizeExpr::Sub(a, b),
                4 => SizeExpr::Mul(a, b),
                5 => SizeExpr::Div(a, b),
                _ => SizeExpr::CeilDiv(a, b),
            }
        }
    }

    /// A kernel that needs `scratch` bytes, and has a dimension computed by `computed`.
    fn kernel(computed: SizeExpr, scratch: SizeExpr) -> (Signature, Abi) {
        let dim = |name: &str, kind| DimDecl { name: name.to_owned(), kind };
        let dims =
            vec![dim("a", DimKind::Free), dim("b", DimKind::Free), dim("c", DimKind::Computed(computed))];
        let signature = Signature {
            name: "k".to_owned(),
            doc: String::new(),
            dims,
            params: vec![],
            results: vec![],
            dim_params: vec![],
        };
        let one = SizeExpr::Const(1);
        let phase = Phase { symbol: String::new(), extent: one.clone(), grain: 1, scratch, work: one };
        let shared = SizeExpr::Const(0);
        let (tensors, sizes, scalars, in_place) = (vec![], vec![], vec![], vec![]);
        let phases = vec![phase];
        let variant = Variant { guard: None, sizes, tensors, scalars, shared, phases, in_place };
        (signature, Abi { variants: vec![variant] })
    }

    /// What the function must return, by the definition of sizes.
    fn wanted(computed: &SizeExpr, scratch: &SizeExpr, sizes: [i64; 2]) -> i64 {
        if !sizes.iter().all(|size| (0..DIM_LIMIT).contains(size)) {
            return i64::from(errors::SIZE.number);
        }
        if !computed.eval(&sizes).is_some_and(|size| (0..DIM_LIMIT).contains(&size)) {
            return i64::from(errors::COMPUTED.number);
        }
        match scratch.eval(&sizes) {
            Some(0) => 0,
            Some(bytes) if (0..AMOUNT_LIMIT).contains(&bytes) => {
                (bytes as u64).next_multiple_of(64) as i64 + 63
            }
            _ => i64::from(errors::TOO_LARGE.number),
        }
    }

    #[test]
    fn sizes_are_computed_as_they_are_defined() {
        const SIZES: [i64; 9] = [0, 1, 2, 3, 64, 1000, (1 << 31) - 1, 1 << 31, -1];
        let mut numbers = Numbers(0x1234_5678_9abc_def1);
        let mut good = 0;
        for round in 0..400 {
            let simple = SizeExpr::Dim(0);
            let size = numbers.size(3);
            let (computed, scratch) = if round % 2 == 0 { (size, simple) } else { (simple, size) };
            let (signature, abi) = kernel(computed.clone(), scratch.clone());
            let isa = Target::host().isa().expect("x86-64 is built in");
            let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
            workspace(&mut module, &signature, &abi).expect("it compiles");
            let mut ty = module.make_signature();
            ty.params.extend([super::AbiParam::new(super::types::I64); 2]);
            ty.returns.push(super::AbiParam::new(super::types::I64));
            let symbol = interface::workspace_symbol("k");
            let id = module.declare_function(&symbol, Linkage::Export, &ty).expect("declared before");
            module.finalize_definitions().expect("there is memory");
            let address = module.get_finalized_function(id);
            // SAFETY: the function was defined with these arguments; it only computes.
            let function =
                unsafe { std::mem::transmute::<*const u8, extern "C" fn(i64, i64) -> i64>(address) };
            for a in SIZES {
                for b in SIZES {
                    let wanted = wanted(&computed, &scratch, [a, b]);
                    assert_eq!(function(a, b), wanted, "{computed:?} {scratch:?} {a} {b}");
                    good += usize::from(wanted >= 0);
                }
            }
            // SAFETY: nothing of it runs any more.
            unsafe { module.free_memory() };
        }
        assert!(good > 1000, "{good}");
    }
}
