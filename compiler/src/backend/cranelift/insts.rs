//! Everything that computes: one CLIF pattern for each operation, chosen so that instruction selection makes one machine
//! instruction of it where there is one.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, ConstantData, Endianness, InstBuilder, MemFlagsData, types};

use super::super::facts::{Pattern, sign_bit, splat};
use super::control::{Emitter, clif_type, ins, plain};
use crate::loops::{Elem, Inst, Type, Value};
use crate::ops::{Prim, Reduction};

/// So many constants that were loaded for their use are taken from the registers if they are needed again soon.
const REMEMBERED: usize = 2;

impl Emitter<'_> {
    /// Emits an instruction with a result of type `ty`.
    pub(super) fn inst(&mut self, ty: Type, inst: &Inst) -> ir::Value {
        match inst {
            Inst::Const(_) | Inst::Scalar(_) | Inst::Size(_) => unreachable!("these are values without code"),
            Inst::Prim(prim, operands) => self.prim(*prim, ty, operands),
            Inst::Convert(operand) => {
                let from = self.func.values[*operand];
                let value = self.value(*operand);
                self.convert(value, from, ty)
            }
            Inst::Bitcast(operand) => {
                let value = self.value(*operand);
                self.bitcast(clif_type(ty), value)
            }
            Inst::Splat(operand) => {
                let value = self.value(*operand);
                self.splat(value, ty)
            }
            Inst::Iota(operand) => {
                let value = self.value(*operand);
                self.iota(value, ty)
            }
            Inst::Load(access) => self.load(access, ty),
            Inst::Shift(before, operand, by) => {
                let (before, value) = (self.value(*before), self.value(*operand));
                let words = u8::try_from(by * ty.elem.bytes() / 4).expect("a vector has 4 words");
                self.shuffle_words(before, value, [0, 1, 2, 3].map(|word| word + 4 - words))
            }
            Inst::Gather(access) => self.gather(access, ty),
            Inst::Fold(reduction, operand) => {
                let from = self.func.values[*operand];
                let value = self.value(*operand);
                self.fold(*reduction, value, from)
            }
        }
    }

    /// A constant, for one use.
    pub(super) fn constant(&mut self, ty: Type, bits: u64) -> ir::Value {
        if ty.lanes > 1 {
            let value = self.vector_constant(splat(ty.elem, bits));
            return self.bitcast(clif_type(ty), value);
        }
        match ty.elem {
            Elem::F32 => ins!(self).f32const(ir::immediates::Ieee32::with_bits(bits as u32)),
            Elem::F64 => ins!(self).f64const(ir::immediates::Ieee64::with_bits(bits)),
            Elem::I32 => ins!(self).iconst(types::I32, i64::from(bits as u32)),
            Elem::I64 => ins!(self).iconst(types::I64, bits as i64),
            Elem::Bool => ins!(self).iconst(types::I8, i64::from(bits != 0)),
            Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => unreachable!("no value is of it"),
        }
    }

    /// A vector constant, of any vector type.
    fn vector_constant(&mut self, pattern: Pattern) -> ir::Value {
        let resident =
            self.scopes.iter().rev().flat_map(|scope| &scope.residents).find(|(known, _)| *known == pattern);
        if let Some(&(_, value)) = resident {
            return value;
        }
        // Alternating vectors use the same few constants one after another.
        if let Some(at) = self.last_constants.iter().position(|(known, _)| *known == pattern) {
            return self.last_constants[at].1;
        }
        let value = self.load_constant(pattern);
        if self.last_constants.len() == REMEMBERED {
            self.last_constants.remove(0);
        }
        self.last_constants.push((pattern, value));
        value
    }

    /// Brings a vector constant into a register, or, for its one use, into an operand.
    pub(super) fn load_constant(&mut self, pattern: Pattern) -> ir::Value {
        if pattern == [0; 16] || pattern == [0xFF; 16] {
            let data = self.clif.dfg.constants.insert(ConstantData::from(&pattern[..]));
            return ins!(self).vconst(types::F32X4, data);
        }
        let offset = self.pool.offset(pattern);
        let pool = self.pool_address();
        self.foldable = true;
        ins!(self).load(types::F32X4, plain(), pool, offset)
    }

    /// The same bits as another type.
    pub(super) fn bitcast(&mut self, to: ir::Type, value: ir::Value) -> ir::Value {
        if self.clif.dfg.value_type(value) == to {
            return value;
        }
        let flags = if to.is_vector() {
            MemFlagsData::new().with_endianness(Endianness::Little)
        } else {
            MemFlagsData::new()
        };
        ins!(self).bitcast(to, flags, value)
    }

    fn prim(&mut self, prim: Prim, ty: Type, operands: &[Value]) -> ir::Value {
        match prim {
            Prim::Fma => return self.fma(operands),
            Prim::Shl | Prim::ShrU | Prim::ShrS => return self.shift(prim, ty, operands),
            Prim::Select => return self.select(ty, operands),
            Prim::SelMax | Prim::SelMin => {
                let [a, b] = [self.value(operands[0]), self.value(operands[1])];
                return self.pick(prim == Prim::SelMax, a, b, ty);
            }
            Prim::IDiv | Prim::IRem => return self.divide(prim, operands),
            _ => {}
        }
        let args: Vec<ir::Value> = operands.iter().map(|&operand| self.value(operand)).collect();
        let of = operands.first().map_or(ty, |&operand| self.func.values[operand]);
        let float = of.elem.is_float();
        match (prim, float) {
            (Prim::Add, true) => ins!(self).fadd(args[0], args[1]),
            (Prim::Add, false) => ins!(self).iadd(args[0], args[1]),
            (Prim::Sub, true) => ins!(self).fsub(args[0], args[1]),
            (Prim::Sub, false) => ins!(self).isub(args[0], args[1]),
            (Prim::Mul, true) => ins!(self).fmul(args[0], args[1]),
            (Prim::Mul, false) => ins!(self).imul(args[0], args[1]),
            (Prim::Div, _) => ins!(self).fdiv(args[0], args[1]),
            (Prim::Neg, true) if ty.lanes > 1 => self.with_sign_mask(args[0], ty, Sign::Flip),
            (Prim::Neg, true) => ins!(self).fneg(args[0]),
            (Prim::Neg, false) => ins!(self).ineg(args[0]),
            (Prim::Abs, true) if ty.lanes > 1 => self.with_sign_mask(args[0], ty, Sign::Clear),
            (Prim::Abs, true) => ins!(self).fabs(args[0]),
            (Prim::Abs, false) => ins!(self).iabs(args[0]),
            (Prim::CopySign, _) if ty.lanes > 1 => self.copy_sign(args[0], args[1], ty),
            (Prim::CopySign, _) => ins!(self).fcopysign(args[0], args[1]),
            (Prim::Sqrt, _) => ins!(self).sqrt(args[0]),
            (Prim::Floor, _) => ins!(self).floor(args[0]),
            (Prim::Ceil, _) => ins!(self).ceil(args[0]),
            (Prim::Trunc, _) => ins!(self).trunc(args[0]),
            (Prim::Round, _) => ins!(self).nearest(args[0]),
            (Prim::Eq | Prim::Ne | Prim::Lt | Prim::Le | Prim::Gt | Prim::Ge, _) => {
                self.compare(prim, args[0], args[1], of)
            }
            (Prim::And | Prim::IAnd, _) => ins!(self).band(args[0], args[1]),
            (Prim::Or | Prim::IOr, _) => ins!(self).bor(args[0], args[1]),
            (Prim::IXor, _) => ins!(self).bxor(args[0], args[1]),
            (Prim::Not, _) if ty.lanes > 1 => ins!(self).bnot(args[0]),
            (Prim::Not, _) => ins!(self).bxor_imm_u(args[0], 1),
            (Prim::Ctz, _) => ins!(self).ctz(args[0]),
            (Prim::Clz, _) => ins!(self).clz(args[0]),
            _ => panic!("`{prim}` is not a core operation on {of}"),
        }
    }

    /// A fused multiply-add. Negated operands become another instruction.
    fn fma(&mut self, operands: &[Value]) -> ir::Value {
        let args: Vec<ir::Value> = operands
            .iter()
            .map(|&operand| match self.facts.negated(operand) {
                Some(inner) => {
                    let inner = self.value(inner);
                    ins!(self).fneg(inner)
                }
                None => self.value(operand),
            })
            .collect();
        ins!(self).fma(args[0], args[1], args[2])
    }

    /// A shift by a constant.
    fn shift(&mut self, prim: Prim, ty: Type, operands: &[Value]) -> ir::Value {
        let value = self.value(operands[0]);
        let by = match self.facts.constant(operands[1]) {
            Some(bits) => {
                let bits = if ty.elem.bytes() == 4 { bits & 0xFFFF_FFFF } else { bits };
                ins!(self).iconst(types::I32, bits as i64)
            }
            None if ty.lanes == 1 => self.value(operands[1]),
            None => panic!("`{prim}` of vectors by something that is not a constant"),
        };
        match prim {
            Prim::Shl => ins!(self).ishl(value, by),
            Prim::ShrU => ins!(self).ushr(value, by),
            _ => ins!(self).sshr(value, by),
        }
    }

    /// Quotient and remainder. What is divided by is a size; where it is 0 nothing uses the result, but the instruction would trap.
    fn divide(&mut self, prim: Prim, operands: &[Value]) -> ir::Value {
        let [a, mut b] = [self.value(operands[0]), self.value(operands[1])];
        if self.facts.constant(operands[1]).is_none_or(|bits| bits == 0) {
            let ty = self.clif.dfg.value_type(b);
            let one = ins!(self).iconst(ty, 1);
            b = ins!(self).umax(b, one);
        }
        if prim == Prim::IDiv { ins!(self).udiv(a, b) } else { ins!(self).urem(a, b) }
    }

    /// `a > b ? a : b`, or `a < b ? a : b`.
    fn pick(&mut self, largest: bool, a: ir::Value, b: ir::Value, ty: Type) -> ir::Value {
        match (ty.elem.is_float(), ty.lanes > 1) {
            (true, vector) => {
                // The machine's max and min, if compared by "less than".
                let less = if largest {
                    ins!(self).fcmp(FloatCC::LessThan, b, a)
                } else {
                    ins!(self).fcmp(FloatCC::LessThan, a, b)
                };
                if vector {
                    let less = self.bitcast(clif_type(ty), less);
                    ins!(self).bitselect(less, a, b)
                } else {
                    ins!(self).select(less, a, b)
                }
            }
            (false, _) if largest => ins!(self).smax(a, b),
            (false, _) => ins!(self).smin(a, b),
        }
    }

    /// A comparison of values of type `of`.
    fn compare(&mut self, prim: Prim, a: ir::Value, b: ir::Value, of: Type) -> ir::Value {
        let mask = if of.elem.is_float() {
            let cc = match prim {
                Prim::Eq => FloatCC::Equal,
                Prim::Ne => FloatCC::NotEqual,
                Prim::Lt => FloatCC::LessThan,
                Prim::Le => FloatCC::LessThanOrEqual,
                Prim::Gt => FloatCC::GreaterThan,
                _ => FloatCC::GreaterThanOrEqual,
            };
            ins!(self).fcmp(cc, a, b)
        } else {
            let cc = match prim {
                Prim::Eq => IntCC::Equal,
                Prim::Ne => IntCC::NotEqual,
                Prim::Lt => IntCC::SignedLessThan,
                Prim::Le => IntCC::SignedLessThanOrEqual,
                Prim::Gt => IntCC::SignedGreaterThan,
                _ => IntCC::SignedGreaterThanOrEqual,
            };
            ins!(self).icmp(cc, a, b)
        };
        self.canonical_mask(mask, of)
    }

    /// The mask of a comparison as a `bool`: two lanes of 32 bits become two of 64.
    fn canonical_mask(&mut self, mask: ir::Value, of: Type) -> ir::Value {
        if of.lanes == 2 && of.elem.bytes() == 4 { ins!(self).swiden_low(mask) } else { mask }
    }

    /// A `bool` as a mask for lanes of that type.
    fn mask_for(&mut self, mask: ir::Value, ty: Type) -> ir::Value {
        if ty.lanes == 2 && ty.elem.bytes() == 4 {
            let mask = self.bitcast(types::I32X4, mask);
            return self.shuffle_pairs(mask);
        }
        mask
    }

    /// The second operand where the first holds, else the third.
    fn select(&mut self, ty: Type, operands: &[Value]) -> ir::Value {
        if ty.lanes == 1 {
            let args: Vec<ir::Value> = operands.iter().map(|&operand| self.value(operand)).collect();
            return ins!(self).select(args[0], args[1], args[2]);
        }
        let cond = self.value(operands[0]);
        let mask = self.mask_for(cond, ty);
        let zero = |emitter: &Self, value| {
            emitter.facts.constant(value).is_some_and(|bits| splat(ty.elem, bits) == [0; 16])
        };
        let (then_zero, else_zero) = (zero(self, operands[1]), zero(self, operands[2]));
        let vector = clif_type(ty);
        if else_zero || then_zero {
            let kept = self.value(if else_zero { operands[1] } else { operands[2] });
            let mask = self.bitcast(vector, mask);
            return if else_zero { ins!(self).band(mask, kept) } else { ins!(self).band_not(kept, mask) };
        }
        // Blends look at the sign of each lane, and exist for integers.
        let lanes = if vector.lane_bits() == 32 { types::I32X4 } else { types::I64X2 };
        let args = [operands[1], operands[2]].map(|operand| self.value(operand));
        let [then, otherwise] = args.map(|value| self.bitcast(lanes, value));
        let mask = self.bitcast(lanes, mask);
        let blended = ins!(self).blendv(mask, then, otherwise);
        self.bitcast(vector, blended)
    }

    fn with_sign_mask(&mut self, value: ir::Value, ty: Type, sign: Sign) -> ir::Value {
        let bits = match sign {
            Sign::Flip => sign_bit(ty.elem),
            Sign::Clear => sign_bit(ty.elem) - 1,
        };
        let mask = self.vector_constant(splat(ty.elem, bits));
        let mask = self.bitcast(clif_type(ty), mask);
        match sign {
            Sign::Flip => ins!(self).bxor(value, mask),
            Sign::Clear => ins!(self).band(value, mask),
        }
    }

    /// The size of the first with the sign of the second.
    fn copy_sign(&mut self, size: ir::Value, sign: ir::Value, ty: Type) -> ir::Value {
        let mask = self.vector_constant(splat(ty.elem, sign_bit(ty.elem) - 1));
        let mask = self.bitcast(clif_type(ty), mask);
        let size = ins!(self).band(size, mask);
        let sign = ins!(self).band_not(sign, mask);
        ins!(self).bor(size, sign)
    }

    /// One lane in all lanes.
    fn splat(&mut self, value: ir::Value, ty: Type) -> ir::Value {
        match ty.elem {
            Elem::Bool => {
                let mask = ins!(self).bmask(clif_type(ty).lane_type(), value);
                ins!(self).splat(clif_type(ty), mask)
            }
            _ => ins!(self).splat(clif_type(ty), value),
        }
    }

    /// A position plus the lane's number.
    fn iota(&mut self, value: ir::Value, ty: Type) -> ir::Value {
        let lane = Type::scalar(ty.elem);
        let first = self.convert(value, Type::INDEX, lane);
        if ty.lanes == 1 {
            return first;
        }
        let numbers = self.vector_constant(lane_numbers(ty.elem));
        let numbers = self.bitcast(clif_type(ty), numbers);
        let first = ins!(self).splat(clif_type(ty), first);
        if ty.elem.is_float() { ins!(self).fadd(first, numbers) } else { ins!(self).iadd(first, numbers) }
    }

    /// The lanes combined, the higher half into the lower one each time.
    fn fold(&mut self, reduction: Reduction, value: ir::Value, from: Type) -> ir::Value {
        let mut value = value;
        let mut half = from.lanes / 2;
        while half > 0 {
            let high = self.shift_lanes(value, half, from);
            value = self.combine(reduction, high, value, from);
            half /= 2;
        }
        match (from.lanes, from.elem) {
            (1, _) => value,
            (_, Elem::Bool) => {
                let lane = ins!(self).extractlane(value, 0);
                ins!(self).icmp_imm_s(IntCC::NotEqual, lane, 0)
            }
            _ => ins!(self).extractlane(value, 0),
        }
    }

    /// Lane `l + by` in lane `l`; what comes into the highest lanes is of no account.
    fn shift_lanes(&mut self, value: ir::Value, by: u32, ty: Type) -> ir::Value {
        let words = match (clif_type(ty).lane_bits(), by) {
            (32, 1) => [1, 1, 3, 3],
            _ => [2, 3, 2, 3],
        };
        self.shuffle_words(value, value, words)
    }

    /// The lower words of two double words.
    pub(super) fn shuffle_pairs(&mut self, words: ir::Value) -> ir::Value {
        self.shuffle_words(words, words, [0, 2, 0, 2])
    }

    /// Words of `a` (0 to 3) and `b` (4 to 7).
    fn shuffle_words(&mut self, a: ir::Value, b: ir::Value, words: [u8; 4]) -> ir::Value {
        let ty = self.clif.dfg.value_type(a);
        let bytes: Vec<u8> = words.iter().flat_map(|word| (0..4).map(move |byte| word * 4 + byte)).collect();
        let (a, b) = (self.bitcast(types::I8X16, a), self.bitcast(types::I8X16, b));
        let mask = self.clif.dfg.immediates.push(ConstantData::from(&bytes[..]));
        let shuffled = ins!(self).shuffle(a, b, mask);
        self.bitcast(ty, shuffled)
    }

    /// A reduction's function.
    fn combine(&mut self, reduction: Reduction, a: ir::Value, b: ir::Value, ty: Type) -> ir::Value {
        match reduction.combine() {
            Prim::Add if ty.elem.is_float() => ins!(self).fadd(a, b),
            Prim::Add => ins!(self).iadd(a, b),
            Prim::Mul if ty.elem.is_float() => ins!(self).fmul(a, b),
            Prim::Mul => ins!(self).imul(a, b),
            Prim::SelMax => self.pick(true, a, b, ty),
            Prim::SelMin => self.pick(false, a, b, ty),
            Prim::And => ins!(self).band(a, b),
            Prim::Or => ins!(self).bor(a, b),
            prim @ (Prim::Max | Prim::Min) => {
                let picked = self.pick(prim == Prim::Max, a, b, ty);
                if ty.elem.is_float() { self.first_if_nan(a, picked, ty) } else { picked }
            }
            prim => panic!("`{prim}` combines no reduction"),
        }
    }

    /// The first where it is NaN, else the second.
    fn first_if_nan(&mut self, first: ir::Value, second: ir::Value, ty: Type) -> ir::Value {
        let nan = ins!(self).fcmp(FloatCC::Unordered, first, first);
        if ty.lanes == 1 {
            return ins!(self).select(nan, first, second);
        }
        let nan = self.bitcast(clif_type(ty), nan);
        ins!(self).bitselect(nan, first, second)
    }

    /// A value in another type, as [`Inst::Convert`] says.
    pub(super) fn convert(&mut self, value: ir::Value, from: Type, to: Type) -> ir::Value {
        if from.elem == to.elem {
            return value;
        }
        if to.lanes == 1 {
            self.convert_scalar(value, from.elem, to.elem)
        } else {
            self.convert_vector(value, from, to)
        }
    }

    fn convert_scalar(&mut self, value: ir::Value, from: Elem, to: Elem) -> ir::Value {
        let ty = clif_type(Type::scalar(to));
        match (from, to) {
            (Elem::Bool, Elem::I32 | Elem::I64) => ins!(self).uextend(ty, value),
            (Elem::Bool, _) => {
                let number = ins!(self).uextend(types::I32, value);
                ins!(self).fcvt_from_sint(ty, number)
            }
            (Elem::F32 | Elem::F64, Elem::Bool) => {
                let zero = self.constant(Type::scalar(from), 0);
                ins!(self).fcmp(FloatCC::NotEqual, value, zero)
            }
            (Elem::I32 | Elem::I64, Elem::Bool) => ins!(self).icmp_imm_s(IntCC::NotEqual, value, 0),
            (Elem::F32, Elem::F64) => ins!(self).fpromote(ty, value),
            (Elem::F64, Elem::F32) => ins!(self).fdemote(ty, value),
            (Elem::F32 | Elem::F64, _) => {
                let whole = ins!(self).nearest(value);
                ins!(self).fcvt_to_sint_sat(ty, whole)
            }
            (Elem::I32, Elem::I64) => ins!(self).sextend(ty, value),
            (Elem::I64, Elem::I32) => ins!(self).ireduce(ty, value),
            (Elem::I32 | Elem::I64, _) => ins!(self).fcvt_from_sint(ty, value),
            (Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8, _) => unreachable!("no value is of it"),
        }
    }

    fn convert_vector(&mut self, value: ir::Value, from: Type, to: Type) -> ir::Value {
        let ty = clif_type(to);
        match (from.elem, to.elem) {
            (Elem::Bool, _) => {
                let mask = self.mask_for(value, to);
                let one = match to.elem {
                    Elem::F32 => u64::from(1f32.to_bits()),
                    Elem::F64 => 1f64.to_bits(),
                    _ => 1,
                };
                let mask = self.bitcast(ty, mask);
                let one = self.constant(to, one);
                ins!(self).band(mask, one)
            }
            (Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64, Elem::Bool) => {
                let zero = self.constant(from, 0);
                self.compare(Prim::Ne, value, zero, from)
            }
            (Elem::F32, Elem::I32) => {
                let whole = ins!(self).nearest(value);
                ins!(self).fcvt_to_sint_sat(types::I32X4, whole)
            }
            (Elem::I32, Elem::F32) => ins!(self).fcvt_from_sint(types::F32X4, value),
            (Elem::F32, Elem::F64) => ins!(self).fvpromote_low(value),
            (Elem::F64, Elem::F32) => ins!(self).fvdemote(value),
            (Elem::I32, Elem::I64) => ins!(self).swiden_low(value),
            (Elem::I64, Elem::I32) => {
                let words = self.bitcast(types::I32X4, value);
                self.shuffle_pairs(words)
            }
            (Elem::I32, Elem::F64) => {
                let wide = ins!(self).swiden_low(value);
                ins!(self).fcvt_from_sint(types::F64X2, wide)
            }
            // Two lanes, one after another: no kernel does much of these.
            (Elem::F64, Elem::I32 | Elem::I64)
            | (Elem::F32, Elem::I64)
            | (Elem::I64, Elem::F32 | Elem::F64) => self.convert_lanes(value, from, to),
            (Elem::F32, Elem::F32)
            | (Elem::F64, Elem::F64)
            | (Elem::I32, Elem::I32)
            | (Elem::I64, Elem::I64) => value,
            (Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8, _)
            | (_, Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8) => unreachable!("no value is of it"),
        }
    }

    /// Converts lane by lane.
    fn convert_lanes(&mut self, value: ir::Value, from: Type, to: Type) -> ir::Value {
        let mut result = self.constant(to, 0);
        for lane in 0..from.lanes as u8 {
            let one = ins!(self).extractlane(value, lane);
            let one = self.convert_scalar(one, from.elem, to.elem);
            result = ins!(self).insertlane(result, one, lane);
        }
        result
    }
}

/// What to do with the signs of a vector.
#[derive(Clone, Copy)]
enum Sign {
    Flip,
    Clear,
}

/// Each lane's number.
fn lane_numbers(elem: Elem) -> Pattern {
    let mut pattern = [0; 16];
    let width = elem.bytes() as usize;
    for (lane, bytes) in pattern.chunks_mut(width).enumerate() {
        match elem {
            Elem::F32 => bytes.copy_from_slice(&(lane as f32).to_le_bytes()),
            Elem::F64 => bytes.copy_from_slice(&(lane as f64).to_le_bytes()),
            _ => bytes[0] = lane as u8,
        }
    }
    pattern
}
