//! Everything that computes, one instruction for each operation where the machine has one.

use iced_x86::Code;

use super::super::facts::{Pattern, sign_bit, splat};
use super::codes::{self, Bits, Cond, Float, Form, Int, Shape};
use super::control::{Emitter, in_vector};
use super::vcode::{Base, Mem, Operand, Reg, Size};
use crate::loops::{Elem, Inst, Type, Value};
use crate::ops::{Prim, Reduction};

/// Predicates of comparisons of floats: equal, …; none of them complains of a NaN.
pub(super) mod predicate {
    pub(in super::super) const EQ: i64 = 0x00;
    pub(in super::super) const UNORDERED: i64 = 0x03;
    pub(in super::super) const NE: i64 = 0x04;
    pub(in super::super) const ORDERED: i64 = 0x07;
    pub(in super::super) const LT: i64 = 0x11;
    pub(in super::super) const LE: i64 = 0x12;
    pub(in super::super) const GE: i64 = 0x1D;
    pub(in super::super) const GT: i64 = 0x1E;
}

/// The shape of values of a type; a vector of `bool` is masks that fill a register.
pub(super) fn shape(ty: Type) -> Shape {
    let double = match ty.elem {
        Elem::Bool => ty.lanes == 4,
        elem => elem.bytes() == 8,
    };
    match (ty.lanes, double) {
        (1, false) => Shape::Ss,
        (1, true) => Shape::Sd,
        (_, false) => Shape::Yps,
        (_, true) => Shape::Ypd,
    }
}

/// The part of a register that values of a shape take.
pub(super) fn size(shape: Shape) -> Size {
    match shape {
        Shape::Ss | Shape::Sd | Shape::Xps | Shape::Xpd => Size::X,
        Shape::Yps | Shape::Ypd => Size::Y,
    }
}

/// Whether there are registers and instructions for values of a type.
pub(super) fn is_supported(ty: Type) -> bool {
    match (ty.lanes, ty.elem) {
        (1, _) => true,
        (lanes, Elem::Bool) => lanes == 8 || lanes == 4,
        (lanes, elem) => lanes * elem.bytes() == 32,
    }
}

impl Emitter<'_> {
    /// Emits an instruction with a result of type `ty`.
    pub(super) fn inst(&mut self, ty: Type, inst: &Inst) -> Reg {
        match inst {
            Inst::Const(_) | Inst::Scalar(_) | Inst::Size(_) => unreachable!("these are values without code"),
            Inst::Prim(prim, operands) => self.prim(*prim, ty, operands),
            Inst::Convert(operand) => self.convert_value(*operand, ty),
            Inst::Bitcast(operand) => {
                let from = self.func.values[*operand];
                let value = self.reg(*operand);
                self.bitcast(value, from, ty)
            }
            Inst::Splat(operand) => self.splat(*operand, ty),
            Inst::Iota(operand) => self.iota(*operand, ty),
            Inst::Load(access) => self.load(access, ty),
            Inst::Shift(before, operand, by) => {
                let (before, value) = (self.reg(*before), self.reg(*operand));
                self.window(before, value, by * 32 / ty.lanes)
            }
            Inst::Gather(access) => self.gather(access, ty),
            Inst::Fold(reduction, operand) => {
                let from = self.func.values[*operand];
                let value = self.reg(*operand);
                self.fold(*reduction, value, from)
            }
        }
    }

    // ---- instructions by their operands ----

    /// An instruction with a new vector as its result.
    pub(super) fn make(&mut self, code: Code, size: Size, operands: &[Operand]) -> Reg {
        let to = self.vector();
        let mut all = vec![Operand::Def(to, size)];
        all.extend(operands);
        self.op(code, &all);
        to
    }

    /// The same with a new general register.
    pub(super) fn make_general(&mut self, code: Code, size: Size, operands: &[Operand]) -> Reg {
        let to = self.general();
        let mut all = vec![Operand::Def(to, size)];
        all.extend(operands);
        self.op(code, &all);
        to
    }

    /// An instruction that overwrites its first operand, a general register.
    pub(super) fn change(&mut self, code: Code, size: Size, from: Reg, operands: &[Operand]) -> Reg {
        let to = self.general();
        let mut all = vec![Operand::Mod(to, from, size)];
        all.extend(operands);
        self.op(code, &all);
        to
    }

    /// A function of the bits of two vectors.
    pub(super) fn bits(&mut self, op: Bits, shape: Shape, a: Reg, b: Operand) -> Reg {
        self.make(codes::bits(op, shape), size(shape), &[Operand::Use(a, size(shape)), b])
    }

    /// A function of two vectors of integers.
    pub(super) fn int(&mut self, op: Int, shape: Shape, a: Reg, b: Operand) -> Reg {
        let bytes = if matches!(shape, Shape::Sd | Shape::Xpd | Shape::Ypd) { 8 } else { 4 };
        let code = codes::int(op, bytes, size(shape) == Size::Y);
        self.make(code, size(shape), &[Operand::Use(a, size(shape)), b])
    }

    // ---- constants ----

    /// A number in a general register.
    pub(super) fn integer(&mut self, number: i64) -> Reg {
        let (code, size) = match number {
            0..=0xFFFF_FFFF => (Code::Mov_r32_imm32, Size::D),
            _ if i32::try_from(number).is_ok() => (Code::Mov_rm64_imm32, Size::Q),
            _ => (Code::Mov_r64_imm64, Size::Q),
        };
        self.make_general(code, size, &[Operand::Imm(number)])
    }

    /// A constant in a register, for one use.
    pub(super) fn constant(&mut self, ty: Type, bits: u64) -> Reg {
        match (in_vector(ty), ty.elem) {
            (true, elem) => self.vector_constant(splat(elem, bits)),
            (false, Elem::I32) => self.integer(i64::from(bits as u32)),
            (false, Elem::Bool) => self.integer(i64::from(bits != 0)),
            (false, _) => self.integer(bits as i64),
        }
    }

    /// A constant as the last operand of an instruction on vector registers.
    pub(super) fn constant_operand(&mut self, ty: Type, bits: u64, size: Size) -> Operand {
        let pattern = splat(ty.elem, bits);
        if self.is_constant_in_memory(ty, bits) {
            return Operand::Mem(self.pool(pattern));
        }
        Operand::Use(self.vector_constant(pattern), size)
    }

    /// Whether a constant is read from memory where an instruction allows it.
    pub(super) fn is_constant_in_memory(&self, ty: Type, bits: u64) -> bool {
        let pattern = splat(ty.elem, bits);
        in_vector(ty) && !is_made(pattern) && self.resident(pattern).is_none()
    }

    /// A constant of a pattern as the last operand.
    pub(super) fn pattern_operand(&mut self, pattern: Pattern, size: Size) -> Operand {
        match self.resident(pattern) {
            Some(reg) => Operand::Use(reg, size),
            None if is_made(pattern) => Operand::Use(self.load_constant(pattern), size),
            None => Operand::Mem(self.pool(pattern)),
        }
    }

    /// A vector constant in a register. The last ones are remembered: alternating vectors use the same few constants one
    /// after another.
    fn vector_constant(&mut self, pattern: Pattern) -> Reg {
        if let Some(reg) = self.resident(pattern).or_else(|| self.remembered(pattern)) {
            return reg;
        }
        let reg = self.load_constant(pattern);
        self.remember(pattern, reg);
        reg
    }

    /// A constant in a register of its own, to be overwritten.
    fn fresh_constant(&mut self, value: Value) -> Option<Reg> {
        let bits = self.facts.constant(value)?;
        let pattern = splat(self.func.values[value].elem, bits);
        self.resident(pattern).is_none().then(|| self.load_constant(pattern))
    }

    /// Where a constant is.
    pub(super) fn pool(&mut self, pattern: Pattern) -> Mem {
        let mut whole = [0; 32];
        whole[..16].copy_from_slice(&pattern);
        whole[16..].copy_from_slice(&pattern);
        Mem::at(Base::Pool(self.code.constant(whole)))
    }

    /// Brings a vector constant into a register.
    pub(super) fn load_constant(&mut self, pattern: Pattern) -> Reg {
        if pattern == [0; 16] {
            let again = [Operand::Again(Size::X); 2];
            return self.make(Code::VEX_Vxorps_xmm_xmm_xmmm128, Size::X, &again);
        }
        if pattern == [0xFF; 16] {
            let again = [Operand::Again(Size::Y); 2];
            return self.make(Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, Size::Y, &again);
        }
        let at = self.pool(pattern);
        self.make(Code::VEX_Vmovaps_ymm_ymmm256, Size::Y, &[Operand::Mem(at)])
    }

    /// A vector of zeros.
    pub(super) fn zeros(&mut self) -> Reg {
        self.vector_constant([0; 16])
    }

    // ---- general registers ----

    /// A number times a number.
    pub(super) fn times(&mut self, value: Reg, by: i64) -> Reg {
        match (by, i32::try_from(by)) {
            (1, _) => value,
            (2.., _) if by.count_ones() == 1 => {
                self.change(Code::Shl_rm64_imm8, Size::Q, value, &[Operand::Imm(by.trailing_zeros().into())])
            }
            (_, Ok(_)) => {
                let operands = [Operand::Use(value, Size::Q), Operand::Imm(by)];
                self.make_general(Code::Imul_r64_rm64_imm32, Size::Q, &operands)
            }
            (_, Err(_)) => {
                let by = self.integer(by);
                self.product(value, by)
            }
        }
    }

    /// A product.
    pub(super) fn product(&mut self, a: Reg, b: Reg) -> Reg {
        self.change(Code::Imul_r64_rm64, Size::Q, a, &[Operand::Use(b, Size::Q)])
    }

    /// A function of one `i32`, `i64` or `bool`.
    fn scalar_prim(&mut self, prim: Prim, ty: Type, operands: &[Value]) -> Reg {
        let wide = ty.elem == Elem::I64;
        let size = if wide { Size::Q } else { Size::D };
        match prim {
            Prim::Select => {
                let (then, otherwise) = (self.reg(operands[1]), self.reg(operands[2]));
                let cond = self.flags_now(operands[0]);
                return self.choose(cond, then, otherwise, wide);
            }
            Prim::SelMax | Prim::SelMin => {
                let (a, b) = (self.reg(operands[0]), self.reg(operands[1]));
                let code = if wide { Code::Cmp_r64_rm64 } else { Code::Cmp_r32_rm32 };
                self.op(code, &[Operand::Use(a, size), Operand::Use(b, size)]);
                let cond = if prim == Prim::SelMax { Cond::Gt } else { Cond::Lt };
                return self.choose(cond, a, b, wide);
            }
            Prim::IDiv | Prim::IRem => return self.divide(prim, wide, operands),
            _ => {}
        }
        let a = self.reg(operands[0]);
        let b = operands.get(1).copied();
        let number = b.and_then(|b| self.facts.constant(b));
        let number = number.map(|bits| if wide { bits as i64 } else { i64::from(bits as i32) });
        let fits = number.filter(|&number| i32::try_from(number).is_ok());
        let lea = |disp: i64, index| Mem { base: Base::Reg(a), index, disp: disp as i32 };
        let lea_code = if wide { Code::Lea_r64_m } else { Code::Lea_r32_m };
        macro_rules! two {
            ($by:ident) => {{
                let (small, large, number) = match prim {
                    Prim::Sub => {
                        (Code::Sub_r32_rm32, Code::Sub_r64_rm64, (Code::Sub_rm32_imm32, Code::Sub_rm64_imm32))
                    }
                    Prim::IAnd | Prim::And => {
                        (Code::And_r32_rm32, Code::And_r64_rm64, (Code::And_rm32_imm32, Code::And_rm64_imm32))
                    }
                    Prim::IOr | Prim::Or => {
                        (Code::Or_r32_rm32, Code::Or_r64_rm64, (Code::Or_rm32_imm32, Code::Or_rm64_imm32))
                    }
                    _ => {
                        (Code::Xor_r32_rm32, Code::Xor_r64_rm64, (Code::Xor_rm32_imm32, Code::Xor_rm64_imm32))
                    }
                };
                match fits {
                    Some(value) => {
                        let code = if wide { number.1 } else { number.0 };
                        self.change(code, size, a, &[Operand::Imm(value)])
                    }
                    None => {
                        let b = self.reg($by.expect("two operands"));
                        self.change(if wide { large } else { small }, size, a, &[Operand::Use(b, size)])
                    }
                }
            }};
        }
        match (prim, fits) {
            (Prim::Add, Some(number)) => {
                self.make_general(lea_code, size, &[Operand::Mem(lea(number, None))])
            }
            (Prim::Add, None) => {
                let b = self.reg(b.expect("two operands"));
                self.make_general(lea_code, size, &[Operand::Mem(lea(0, Some((b, 1))))])
            }
            (Prim::Sub, Some(number)) if number != i64::from(i32::MIN) => {
                self.make_general(lea_code, size, &[Operand::Mem(lea(-number, None))])
            }
            (Prim::Sub | Prim::IAnd | Prim::IOr | Prim::IXor | Prim::And | Prim::Or, _) => two!(b),
            (Prim::Mul, Some(number)) if wide => self.times(a, number),
            (Prim::Mul, Some(number)) => {
                let operands = [Operand::Use(a, size), Operand::Imm(number)];
                self.make_general(Code::Imul_r32_rm32_imm32, size, &operands)
            }
            (Prim::Mul, None) => {
                let b = self.reg(b.expect("two operands"));
                let code = if wide { Code::Imul_r64_rm64 } else { Code::Imul_r32_rm32 };
                self.change(code, size, a, &[Operand::Use(b, size)])
            }
            (Prim::Neg, _) => self.negative(a, wide),
            (Prim::Abs, _) => {
                let negative = self.negative(a, wide);
                self.choose(Cond::Negative, a, negative, wide)
            }
            (Prim::Not, _) => self.change(Code::Xor_rm32_imm32, Size::D, a, &[Operand::Imm(1)]),
            (Prim::Ctz | Prim::Clz, _) => {
                let code = match (prim, wide) {
                    (Prim::Ctz, false) => Code::Tzcnt_r32_rm32,
                    (Prim::Ctz, true) => Code::Tzcnt_r64_rm64,
                    (_, false) => Code::Lzcnt_r32_rm32,
                    (_, true) => Code::Lzcnt_r64_rm64,
                };
                self.make_general(code, size, &[Operand::Use(a, size)])
            }
            (Prim::Shl | Prim::ShrU | Prim::ShrS, Some(by)) => {
                let code = match (prim, wide) {
                    (Prim::Shl, false) => Code::Shl_rm32_imm8,
                    (Prim::Shl, true) => Code::Shl_rm64_imm8,
                    (Prim::ShrU, false) => Code::Shr_rm32_imm8,
                    (Prim::ShrU, true) => Code::Shr_rm64_imm8,
                    (_, false) => Code::Sar_rm32_imm8,
                    (_, true) => Code::Sar_rm64_imm8,
                };
                self.change(code, size, a, &[Operand::Imm(by & 63)])
            }
            (Prim::Shl | Prim::ShrU | Prim::ShrS, None) => {
                let code = match (prim, wide) {
                    (Prim::Shl, false) => Code::VEX_Shlx_r32_rm32_r32,
                    (Prim::Shl, true) => Code::VEX_Shlx_r64_rm64_r64,
                    (Prim::ShrU, false) => Code::VEX_Shrx_r32_rm32_r32,
                    (Prim::ShrU, true) => Code::VEX_Shrx_r64_rm64_r64,
                    (_, false) => Code::VEX_Sarx_r32_rm32_r32,
                    (_, true) => Code::VEX_Sarx_r64_rm64_r64,
                };
                let by = self.reg(b.expect("two operands"));
                self.make_general(code, size, &[Operand::Use(a, size), Operand::Use(by, size)])
            }
            _ => panic!("`{prim}` is not a core operation on {ty}"),
        }
    }

    /// The negative, and flags of it.
    fn negative(&mut self, value: Reg, wide: bool) -> Reg {
        let (code, size) = if wide { (Code::Neg_rm64, Size::Q) } else { (Code::Neg_rm32, Size::D) };
        self.change(code, size, value, &[])
    }

    /// The first where flags say so, else the second.
    pub(super) fn choose(&mut self, cond: Cond, then: Reg, otherwise: Reg, wide: bool) -> Reg {
        let (code, size) = if wide { (cond.move64(), Size::Q) } else { (cond.move32(), Size::D) };
        self.change(code, size, otherwise, &[Operand::Use(then, size)])
    }

    /// Quotient and remainder. What is divided by is a size; where it is 0 nothing uses the result, but the instruction would trap.
    fn divide(&mut self, prim: Prim, wide: bool, operands: &[Value]) -> Reg {
        let (code, size) = if wide { (Code::Div_rm64, Size::Q) } else { (Code::Div_rm32, Size::D) };
        let (a, mut b) = (self.reg(operands[0]), self.reg(operands[1]));
        if self.facts.constant(operands[1]).is_none_or(|bits| bits == 0) {
            let one = self.integer(1);
            let test = if wide { Code::Test_rm64_r64 } else { Code::Test_rm32_r32 };
            self.op(test, &[Operand::Use(b, size), Operand::Use(b, size)]);
            b = self.choose(Cond::Eq, one, b, wide);
        }
        let upper = self.integer(0);
        let (quotient, remainder) = (self.general(), self.general());
        let [rax, rdx] = [0, 2].map(super::allocate::gpr);
        self.op(
            code,
            &[
                Operand::Use(b, size),
                Operand::FixedUse(a, rax),
                Operand::FixedUse(upper, rdx),
                Operand::FixedDef(quotient, rax),
                Operand::FixedDef(remainder, rdx),
            ],
        );
        if prim == Prim::IDiv { quotient } else { remainder }
    }

    /// A byte of flags as a `bool`.
    pub(super) fn bool_of(&mut self, cond: Cond) -> Reg {
        let byte = self.make_general(cond.set(), Size::B, &[]);
        self.make_general(Code::Movzx_r32_rm8, Size::D, &[Operand::Use(byte, Size::B)])
    }

    // ---- vectors ----

    fn prim(&mut self, prim: Prim, ty: Type, operands: &[Value]) -> Reg {
        let of = operands.last().map_or(ty, |&operand| self.func.values[operand]);
        if let Prim::Eq | Prim::Ne | Prim::Lt | Prim::Le | Prim::Gt | Prim::Ge = prim {
            return self.compare(prim, of, operands);
        }
        if !in_vector(ty) {
            return self.scalar_prim(prim, ty, operands);
        }
        match prim {
            Prim::Select => self.select(ty, operands),
            Prim::And | Prim::Or | Prim::IAnd | Prim::IOr | Prim::IXor => {
                let op = match prim {
                    Prim::And | Prim::IAnd => Int::And,
                    Prim::Or | Prim::IOr => Int::Or,
                    _ => Int::Xor,
                };
                let (a, b) = self.commuting(operands, Size::Y);
                self.int(op, shape(ty), a, b)
            }
            Prim::Not => {
                let a = self.reg(operands[0]);
                let ones = self.pattern_operand([0xFF; 16], Size::Y);
                self.int(Int::Xor, shape(ty), a, ones)
            }
            _ if ty.elem.is_float() => self.float_prim(prim, ty, operands),
            _ => self.int_prim(prim, ty, operands),
        }
    }

    /// Two operands of a function for which their order makes no difference: the one in memory comes last.
    fn commuting(&mut self, operands: &[Value], size: Size) -> (Reg, Operand) {
        let (mut a, mut b) = (operands[0], operands[1]);
        if self.is_in_memory(a) && !self.is_in_memory(b) && a != b {
            std::mem::swap(&mut a, &mut b);
        }
        let a = self.reg(a);
        (a, self.operand(b, size))
    }

    fn float_prim(&mut self, prim: Prim, ty: Type, operands: &[Value]) -> Reg {
        let shape = shape(ty);
        let size = size(shape);
        match prim {
            Prim::Add | Prim::Mul => {
                let op = if prim == Prim::Add { Float::Add } else { Float::Mul };
                let (a, b) = self.commuting(operands, size);
                self.make(codes::float(op, shape), size, &[Operand::Use(a, size), b])
            }
            Prim::Sub | Prim::Div | Prim::SelMax | Prim::SelMin => {
                // The machine's maximum is `a > b ? a : b`.
                let op = match prim {
                    Prim::Sub => Float::Sub,
                    Prim::Div => Float::Div,
                    Prim::SelMax => Float::Max,
                    _ => Float::Min,
                };
                let a = self.reg(operands[0]);
                let b = self.operand(operands[1], size);
                self.make(codes::float(op, shape), size, &[Operand::Use(a, size), b])
            }
            Prim::Fma => self.fma(shape, operands),
            Prim::Neg => {
                let a = self.reg(operands[0]);
                let sign = self.pattern_operand(splat(ty.elem, sign_bit(ty.elem)), size);
                self.bits(Bits::Xor, shape, a, sign)
            }
            Prim::Abs => {
                let a = self.reg(operands[0]);
                let mask = self.pattern_operand(splat(ty.elem, sign_bit(ty.elem) - 1), size);
                self.bits(Bits::And, shape, a, mask)
            }
            Prim::CopySign => {
                let mask = splat(ty.elem, sign_bit(ty.elem) - 1);
                let mask = self.vector_constant(mask);
                let number = self.reg(operands[0]);
                let number = self.bits(Bits::And, shape, mask, Operand::Use(number, size));
                let sign = self.operand(operands[1], size);
                let sign = self.bits(Bits::AndNot, shape, mask, sign);
                self.bits(Bits::Or, shape, number, Operand::Use(sign, size))
            }
            Prim::Sqrt => {
                let code = codes::sqrt(shape);
                self.unary(code, shape, operands[0], None)
            }
            Prim::Floor | Prim::Ceil | Prim::Trunc | Prim::Round => {
                let mode = match prim {
                    Prim::Round => 8,
                    Prim::Floor => 9,
                    Prim::Ceil => 10,
                    _ => 11,
                };
                self.unary(codes::round(shape), shape, operands[0], Some(mode))
            }
            _ => panic!("`{prim}` is not a core operation on {ty}"),
        }
    }

    /// A function of one float. On scalars the upper part of the register comes from one more operand.
    fn unary(&mut self, code: Code, shape: Shape, value: Value, number: Option<i64>) -> Reg {
        let mut operands = Vec::new();
        if size(shape) == Size::X {
            let a = self.reg(value);
            operands.extend([Operand::Use(a, Size::X); 2]);
        } else {
            operands.push(self.operand(value, Size::Y));
        }
        operands.extend(number.map(Operand::Imm));
        self.make(code, size(shape), &operands)
    }

    /// A fused multiply-add. Negated operands become another instruction, one operand may be in memory, and the register
    /// of one that is not needed any more holds the result.
    fn fma(&mut self, shape: Shape, operands: &[Value]) -> Reg {
        let size = size(shape);
        let mut negate = [false; 3];
        let mut values = [operands[0], operands[1], operands[2]];
        for (value, negate) in values.iter_mut().zip(&mut negate) {
            if let Some(inner) = self.facts.negated(*value) {
                (*value, *negate) = (inner, true);
            }
        }
        let negate = (negate[0] != negate[1], negate[2]);
        let (form, [first, second, third]) = self.fma_form(values);
        let first = self.fresh_constant(first).unwrap_or_else(|| self.reg(first));
        let second = self.reg(second);
        let third = self.operand(third, size);
        let to = self.vector();
        let code = codes::fma(form, negate, shape);
        self.op(code, &[Operand::Mod(to, first, size), Operand::Use(second, size), third]);
        to
    }

    /// What of `a * b + c` is overwritten, what stays, and what may be in memory.
    fn fma_form(&self, [mut a, mut b, c]: [Value; 3]) -> (Form, [Value; 3]) {
        let memory = |value| self.is_in_memory(value);
        if memory(a) && !memory(b) {
            std::mem::swap(&mut a, &mut b);
        }
        match (memory(b), memory(c)) {
            // A constant that is loaded anyway is overwritten rather than a copy of something.
            (true, true) if !self.dies(a) && self.facts.constant(b).is_some() => (Form::F213, [b, a, c]),
            (_, true) | (false, false) if !self.dies(a) && self.dies(b) => (Form::F213, [b, a, c]),
            (_, true) => (Form::F213, [a, b, c]),
            (true, false) if self.dies(c) => (Form::F231, [c, a, b]),
            (true, false) if self.dies(a) => (Form::F132, [a, c, b]),
            (true, false) if self.facts.constant(b).is_some() => (Form::F213, [b, a, c]),
            (true, false) => (Form::F231, [c, a, b]),
            (false, false) if self.dies(a) && !self.dies(c) => (Form::F213, [a, b, c]),
            (false, false) => (Form::F231, [c, a, b]),
        }
    }

    /// The second operand where the first holds, else the third.
    fn select(&mut self, ty: Type, operands: &[Value]) -> Reg {
        let shape = shape(ty);
        let size = size(shape);
        let mask = if ty.lanes > 1 { self.reg(operands[0]) } else { self.scalar_mask(operands[0]) };
        let is_zero = |emitter: &Self, value| {
            emitter.facts.constant(value).is_some_and(|bits| splat(ty.elem, bits) == [0; 16])
        };
        if is_zero(self, operands[2]) {
            let kept = self.operand(operands[1], size);
            return self.bits(Bits::And, shape, mask, kept);
        }
        if is_zero(self, operands[1]) {
            let kept = self.operand(operands[2], size);
            return self.bits(Bits::AndNot, shape, mask, kept);
        }
        let otherwise = self.reg(operands[2]);
        let then = self.operand(operands[1], size);
        self.blend(shape, mask, then, otherwise)
    }

    /// `then` where the mask is set, else `otherwise`.
    pub(super) fn blend(&mut self, shape: Shape, mask: Reg, then: Operand, otherwise: Reg) -> Reg {
        let size = size(shape);
        let operands = [Operand::Use(otherwise, size), then, Operand::Use(mask, size)];
        self.make(codes::blend(shape), size, &operands)
    }

    /// A `bool` of one lane as a mask of 64 bits in a vector register.
    fn scalar_mask(&mut self, cond: Value) -> Reg {
        if self.is_flags_only(cond) {
            let cond = self.flags_now(cond);
            let value = self.bool_of(cond);
            return self.mask_of_bool(value);
        }
        let value = self.reg(cond);
        self.mask_of_bool(value)
    }

    fn mask_of_bool(&mut self, value: Reg) -> Reg {
        let mask = self.change(Code::Neg_rm64, Size::Q, value, &[]);
        self.make(Code::VEX_Vmovq_xmm_rm64, Size::X, &[Operand::Use(mask, Size::Q)])
    }

    /// A comparison of values of type `of`.
    fn compare(&mut self, prim: Prim, of: Type, operands: &[Value]) -> Reg {
        if of.elem.is_float() {
            let (mut a, mut b, mut prim) = (operands[0], operands[1], prim);
            if self.is_in_memory(a) && !self.is_in_memory(b) {
                std::mem::swap(&mut a, &mut b);
                prim = match prim {
                    Prim::Lt => Prim::Gt,
                    Prim::Le => Prim::Ge,
                    Prim::Gt => Prim::Lt,
                    Prim::Ge => Prim::Le,
                    other => other,
                };
            }
            let predicate = match prim {
                Prim::Eq => predicate::EQ,
                Prim::Ne => predicate::NE,
                Prim::Lt => predicate::LT,
                Prim::Le => predicate::LE,
                Prim::Gt => predicate::GT,
                _ => predicate::GE,
            };
            let shape = shape(of);
            let a = self.reg(a);
            let b = self.operand(b, size(shape));
            let mask = self.compare_floats(predicate, shape, a, b);
            return if of.lanes == 1 { self.bool_of_mask(mask) } else { mask };
        }
        if of.lanes == 1 {
            let (a, b) = (self.reg(operands[0]), self.reg(operands[1]));
            let (code, size) = match of.elem {
                Elem::I64 => (Code::Cmp_r64_rm64, Size::Q),
                _ => (Code::Cmp_r32_rm32, Size::D),
            };
            self.op(code, &[Operand::Use(a, size), Operand::Use(b, size)]);
            return self.bool_of(match prim {
                Prim::Eq => Cond::Eq,
                Prim::Ne => Cond::Ne,
                Prim::Lt => Cond::Lt,
                Prim::Le => Cond::Le,
                Prim::Gt => Cond::Gt,
                _ => Cond::Ge,
            });
        }
        let (op, swap, negate) = match prim {
            Prim::Eq => (Int::CmpEq, false, false),
            Prim::Ne => (Int::CmpEq, false, true),
            Prim::Gt => (Int::CmpGt, false, false),
            Prim::Le => (Int::CmpGt, false, true),
            Prim::Lt => (Int::CmpGt, true, false),
            _ => (Int::CmpGt, true, true),
        };
        let (a, b) = if swap { (operands[1], operands[0]) } else { (operands[0], operands[1]) };
        let a = self.reg(a);
        let b = self.operand(b, Size::Y);
        let shape = shape(of);
        let mask = self.int(op, shape, a, b);
        if !negate {
            return mask;
        }
        let ones = self.pattern_operand([0xFF; 16], Size::Y);
        self.int(Int::Xor, shape, mask, ones)
    }

    /// A comparison, as a mask.
    pub(super) fn compare_floats(&mut self, predicate: i64, shape: Shape, a: Reg, b: Operand) -> Reg {
        let operands = [Operand::Use(a, size(shape)), b, Operand::Imm(predicate)];
        self.make(codes::compare(shape), size(shape), &operands)
    }

    /// The mask in the lowest lane as a `bool`.
    fn bool_of_mask(&mut self, mask: Reg) -> Reg {
        let word = self.make_general(Code::VEX_Vmovd_rm32_xmm, Size::D, &[Operand::Use(mask, Size::X)]);
        self.change(Code::And_rm32_imm32, Size::D, word, &[Operand::Imm(1)])
    }

    fn int_prim(&mut self, prim: Prim, ty: Type, operands: &[Value]) -> Reg {
        let (shape, double) = (shape(ty), ty.elem == Elem::I64);
        match prim {
            Prim::Add => {
                let (a, b) = self.commuting(operands, Size::Y);
                self.int(Int::Add, shape, a, b)
            }
            Prim::Sub => {
                let a = self.reg(operands[0]);
                let b = self.operand(operands[1], Size::Y);
                self.int(Int::Sub, shape, a, b)
            }
            Prim::Mul if double => self.product_of_longs(operands),
            Prim::Mul => {
                let (a, b) = self.commuting(operands, Size::Y);
                self.int(Int::Mul, shape, a, b)
            }
            Prim::SelMax | Prim::SelMin if double => {
                let (a, b) = (self.reg(operands[0]), self.reg(operands[1]));
                self.pick_longs(prim == Prim::SelMax, a, b)
            }
            Prim::SelMax | Prim::SelMin => {
                let op = if prim == Prim::SelMax { Int::Max } else { Int::Min };
                let (a, b) = self.commuting(operands, Size::Y);
                self.int(op, shape, a, b)
            }
            Prim::Neg => {
                let zero = self.zeros();
                let a = self.operand(operands[0], Size::Y);
                self.int(Int::Sub, shape, zero, a)
            }
            Prim::Abs => {
                let a = self.reg(operands[0]);
                let zero = self.zeros();
                let negative = self.int(Int::Sub, shape, zero, Operand::Use(a, Size::Y));
                // By the sign of each lane.
                self.blend(shape, a, Operand::Use(negative, Size::Y), a)
            }
            Prim::Shl | Prim::ShrU | Prim::ShrS => self.shift(prim, ty, operands),
            _ => panic!("`{prim}` is not a core operation on {ty}"),
        }
    }

    /// A shift by a constant.
    fn shift(&mut self, prim: Prim, ty: Type, operands: &[Value]) -> Reg {
        let Some(by) = self.facts.constant(operands[1]) else {
            self.refuse("shift of vectors by something that is not a constant");
            return self.vector();
        };
        let bytes = ty.elem.bytes();
        let by = (if bytes == 4 { by & 0xFFFF_FFFF } else { by }) as i64;
        let value = self.reg(operands[0]);
        let operands = [Operand::Use(value, Size::Y), Operand::Imm(by)];
        if (prim, bytes) != (Prim::ShrS, 8) {
            return self.make(codes::shift(prim, bytes), Size::Y, &operands);
        }
        // The sign, moved down, taken from both sides.
        let moved = self.make(codes::shift(Prim::ShrU, 8), Size::Y, &operands);
        let sign = splat(ty.elem, 1 << (63 - by));
        let sign = self.vector_constant(sign);
        let flipped = self.int(Int::Xor, Shape::Ypd, moved, Operand::Use(sign, Size::Y));
        self.int(Int::Sub, Shape::Ypd, flipped, Operand::Use(sign, Size::Y))
    }

    /// The lower halves of the products of lanes of 64 bits.
    fn product_of_longs(&mut self, operands: &[Value]) -> Reg {
        let [a, b] = [self.reg(operands[0]), self.reg(operands[1])].map(|reg| Operand::Use(reg, Size::Y));
        let upper = |emitter: &mut Self, of| {
            let operands = [of, Operand::Imm(32)];
            let upper = emitter.make(codes::shift(Prim::ShrU, 8), Size::Y, &operands);
            Operand::Use(upper, Size::Y)
        };
        let product =
            |emitter: &mut Self, a, b| emitter.make(Code::VEX_Vpmuludq_ymm_ymm_ymmm256, Size::Y, &[a, b]);
        let (upper_a, upper_b) = (upper(self, a), upper(self, b));
        let low = product(self, a, b);
        let (first, second) = (product(self, upper_a, b), product(self, a, upper_b));
        let cross = self.int(Int::Add, Shape::Ypd, first, Operand::Use(second, Size::Y));
        let operands = [Operand::Use(cross, Size::Y), Operand::Imm(32)];
        let cross = self.make(codes::shift(Prim::Shl, 8), Size::Y, &operands);
        self.int(Int::Add, Shape::Ypd, low, Operand::Use(cross, Size::Y))
    }

    fn pick_longs(&mut self, largest: bool, a: Reg, b: Reg) -> Reg {
        let (large, small) = if largest { (a, b) } else { (b, a) };
        let mask = self.int(Int::CmpGt, Shape::Ypd, large, Operand::Use(small, Size::Y));
        self.blend(Shape::Ypd, mask, Operand::Use(a, Size::Y), b)
    }

    // ---- lanes ----

    /// One lane in all lanes.
    fn splat(&mut self, operand: Value, ty: Type) -> Reg {
        let from = self.func.values[operand];
        let double = shape(ty) == Shape::Ypd;
        if in_vector(from) {
            if self.facts.constant(operand).is_none() && self.is_in_memory(operand) {
                let mem = self.operand(operand, Size::X);
                let code =
                    if double { Code::VEX_Vbroadcastsd_ymm_m64 } else { Code::VEX_Vbroadcastss_ymm_m32 };
                return self.make(code, Size::Y, &[mem]);
            }
            let value = self.reg(operand);
            let code = if double { Code::VEX_Vbroadcastsd_ymm_xmm } else { Code::VEX_Vbroadcastss_ymm_xmm };
            return self.make(code, Size::Y, &[Operand::Use(value, Size::X)]);
        }
        let mut value = self.reg(operand);
        if from.elem == Elem::Bool {
            value = self.change(Code::Neg_rm64, Size::Q, value, &[]);
        }
        self.spread(value, double)
    }

    /// A number in a general register in all lanes.
    pub(super) fn spread(&mut self, value: Reg, double: bool) -> Reg {
        let (to_vector, size, code) = if double {
            (Code::VEX_Vmovq_xmm_rm64, Size::Q, Code::VEX_Vpbroadcastq_ymm_xmmm64)
        } else {
            (Code::VEX_Vmovd_xmm_rm32, Size::D, Code::VEX_Vpbroadcastd_ymm_xmmm32)
        };
        let low = self.make(to_vector, Size::X, &[Operand::Use(value, size)]);
        self.make(code, Size::Y, &[Operand::Use(low, Size::X)])
    }

    /// A position plus the lane's number.
    fn iota(&mut self, operand: Value, ty: Type) -> Reg {
        if ty.lanes == 1 {
            return self.convert_value(operand, ty);
        }
        let value = self.reg(operand);
        let numbers = Operand::Mem(self.lane_numbers(ty.elem));
        match ty.elem {
            Elem::F64 => {
                let first = self.convert(value, Type::INDEX, Type::scalar(Elem::F64));
                let first = [Operand::Use(first, Size::X)];
                let first = self.make(Code::VEX_Vbroadcastsd_ymm_xmm, Size::Y, &first);
                let operands = [Operand::Use(first, Size::Y), numbers];
                self.make(codes::float(Float::Add, Shape::Ypd), Size::Y, &operands)
            }
            elem => {
                let first = self.spread(value, elem == Elem::I64);
                self.int(Int::Add, shape(ty), first, numbers)
            }
        }
    }

    /// Each lane's number, among the constants.
    pub(super) fn lane_numbers(&mut self, elem: Elem) -> Mem {
        let mut pattern = [0; 32];
        for (lane, bytes) in pattern.chunks_mut(elem.bytes() as usize).enumerate() {
            match elem {
                Elem::F64 => bytes.copy_from_slice(&(lane as f64).to_le_bytes()),
                _ => bytes[0] = lane as u8,
            }
        }
        Mem::at(Base::Pool(self.code.constant(pattern)))
    }

    /// The lanes of two vectors one after the other's, from `32 - bytes` bytes on.
    fn window(&mut self, before: Reg, value: Reg, bytes: u32) -> Reg {
        let [before, value] = [before, value].map(|reg| Operand::Use(reg, Size::Y));
        let halves = [before, value, Operand::Imm(0x21)];
        let middle = self.make(Code::VEX_Vperm2i128_ymm_ymm_ymmm256_imm8, Size::Y, &halves);
        let middle_operand = Operand::Use(middle, Size::Y);
        let operands = match bytes {
            16 => return middle,
            0..16 => [value, middle_operand, Operand::Imm(i64::from(16 - bytes))],
            _ => [middle_operand, before, Operand::Imm(i64::from(32 - bytes))],
        };
        self.make(Code::VEX_Vpalignr_ymm_ymm_ymmm256_imm8, Size::Y, &operands)
    }

    /// The upper half of a vector.
    pub(super) fn upper_half(&mut self, value: Reg) -> Reg {
        let operands = [Operand::Use(value, Size::Y), Operand::Imm(1)];
        self.make(Code::VEX_Vextractf128_xmmm128_ymm_imm8, Size::X, &operands)
    }

    /// The lanes combined, the higher half into the lower one each time.
    fn fold(&mut self, reduction: Reduction, value: Reg, from: Type) -> Reg {
        let double = from.elem.bytes() == 8;
        let upper = self.upper_half(value);
        let mut value = self.combine(reduction, upper, value, from.elem);
        // Lanes 2 and 3 of four words to 0 and 1, then lane 1 to 0.
        let shuffles: &[i64] = if double { &[0b1110] } else { &[0b1110, 0b0101] };
        for &shuffle in shuffles {
            let operands = [Operand::Use(value, Size::X), Operand::Imm(shuffle)];
            let upper = self.make(Code::VEX_Vpshufd_xmm_xmmm128_imm8, Size::X, &operands);
            value = self.combine(reduction, upper, value, from.elem);
        }
        match from.elem {
            Elem::I32 => {
                self.make_general(Code::VEX_Vmovd_rm32_xmm, Size::D, &[Operand::Use(value, Size::X)])
            }
            Elem::I64 => {
                self.make_general(Code::VEX_Vmovq_rm64_xmm, Size::Q, &[Operand::Use(value, Size::X)])
            }
            _ => value,
        }
    }

    /// A reduction's function, on the lanes of xmm registers.
    fn combine(&mut self, reduction: Reduction, a: Reg, b: Reg, elem: Elem) -> Reg {
        let shape = if elem.bytes() == 8 { Shape::Xpd } else { Shape::Xps };
        let second = Operand::Use(b, Size::X);
        if elem.is_float() {
            let op = match reduction.combine() {
                Prim::Add => Float::Add,
                Prim::Mul => Float::Mul,
                Prim::SelMax | Prim::Max => Float::Max,
                _ => Float::Min,
            };
            let made = self.make(codes::float(op, shape), Size::X, &[Operand::Use(a, Size::X), second]);
            if !matches!(reduction.combine(), Prim::Max | Prim::Min) {
                return made;
            }
            let nan = self.compare_floats(predicate::UNORDERED, shape, a, Operand::Use(a, Size::X));
            return self.blend(shape, nan, Operand::Use(a, Size::X), made);
        }
        match (reduction.combine(), elem) {
            (Prim::Add, _) => self.int(Int::Add, shape, a, second),
            (Prim::Mul, Elem::I32) => self.int(Int::Mul, shape, a, second),
            (Prim::SelMax | Prim::Max, Elem::I32) => self.int(Int::Max, shape, a, second),
            (Prim::SelMin | Prim::Min, Elem::I32) => self.int(Int::Min, shape, a, second),
            (prim @ (Prim::SelMax | Prim::Max | Prim::SelMin | Prim::Min), Elem::I64) => {
                let largest = matches!(prim, Prim::SelMax | Prim::Max);
                let (large, small) = if largest { (a, b) } else { (b, a) };
                let mask = self.int(Int::CmpGt, shape, large, Operand::Use(small, Size::X));
                self.blend(shape, mask, Operand::Use(a, Size::X), b)
            }
            (prim, elem) => {
                self.refuse(format_args!("fold by `{prim}` of {}", elem.name()));
                a
            }
        }
    }
}

/// Whether a constant is made without memory.
fn is_made(pattern: Pattern) -> bool {
    pattern == [0; 16] || pattern == [0xFF; 16]
}
