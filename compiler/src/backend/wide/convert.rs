//! Values in other types.

use iced_x86::Code;

use super::super::facts::splat;
use super::codes::{self, Bits, Float, Int, Shape};
use super::control::{Emitter, in_vector};
use super::insts::{predicate, shape, size};
use super::vcode::{Operand, Reg, Size};
use crate::loops::{Elem, Type, Value};

impl Emitter<'_> {
    /// The operand in the result's type.
    pub(super) fn convert_value(&mut self, operand: Value, to: Type) -> Reg {
        let from = self.func.values[operand];
        let value = self.reg(operand);
        self.convert(value, from, to)
    }

    /// The operand's bits in a type of the same width.
    pub(super) fn bitcast(&mut self, value: Reg, from: Type, to: Type) -> Reg {
        let double = to.elem.bytes() == 8;
        match (in_vector(from), in_vector(to)) {
            (true, true) | (false, false) => value,
            (false, true) if double => {
                self.make(Code::VEX_Vmovq_xmm_rm64, Size::X, &[Operand::Use(value, Size::Q)])
            }
            (false, true) => self.make(Code::VEX_Vmovd_xmm_rm32, Size::X, &[Operand::Use(value, Size::D)]),
            (true, false) if double => self.low_quad(value),
            (true, false) => self.low_double(value),
        }
    }

    /// The lowest 32 bits of a vector.
    pub(super) fn low_double(&mut self, value: Reg) -> Reg {
        self.make_general(Code::VEX_Vmovd_rm32_xmm, Size::D, &[Operand::Use(value, Size::X)])
    }

    /// The lowest 64 bits of a vector.
    fn low_quad(&mut self, value: Reg) -> Reg {
        self.make_general(Code::VEX_Vmovq_rm64_xmm, Size::Q, &[Operand::Use(value, Size::X)])
    }

    /// A value in another type, as [`crate::loops::Inst::Convert`] says.
    pub(super) fn convert(&mut self, value: Reg, from: Type, to: Type) -> Reg {
        match (from.elem, to.elem) {
            (from, to) if from == to => value,
            (_, _) if to.lanes == 1 => self.convert_scalar(value, from.elem, to.elem),
            (Elem::Bool, _) => {
                let one = match to.elem {
                    Elem::F32 => u64::from(1f32.to_bits()),
                    Elem::F64 => 1f64.to_bits(),
                    _ => 1,
                };
                let one = self.pattern_operand(splat(to.elem, one), Size::Y);
                self.bits(Bits::And, shape(to), value, one)
            }
            (Elem::F32 | Elem::F64, Elem::Bool) => {
                let zero = self.zeros();
                self.compare_floats(predicate::NE, shape(from), value, Operand::Use(zero, Size::Y))
            }
            (Elem::I32 | Elem::I64, Elem::Bool) => {
                let zero = self.zeros();
                let mask = self.int(Int::CmpEq, shape(from), value, Operand::Use(zero, Size::Y));
                let ones = self.pattern_operand([0xFF; 16], Size::Y);
                self.int(Int::Xor, shape(from), mask, ones)
            }
            (Elem::F32, Elem::I32) => self.round_to_ints(value, Shape::Yps),
            (Elem::I32, Elem::F32) => {
                self.make(Code::VEX_Vcvtdq2ps_ymm_ymmm256, Size::Y, &[Operand::Use(value, Size::Y)])
            }
            (Elem::F64, Elem::I64) | (Elem::I64, Elem::F64) => self.convert_lanes(value, from.elem, to.elem),
            (from, to) => {
                self.refuse(format_args!("vectors of {} from {}", to.name(), from.name()));
                value
            }
        }
    }

    /// The nearest `i32` of each `f32`. The machine gives the smallest number for all that does not fit.
    fn round_to_ints(&mut self, value: Reg, shape: Shape) -> Reg {
        let size = size(shape);
        let code = match size {
            Size::Y => Code::VEX_Vcvtps2dq_ymm_ymmm256,
            _ => Code::VEX_Vcvtps2dq_xmm_xmmm128,
        };
        let value_operand = Operand::Use(value, size);
        let rounded = self.make(code, size, &[value_operand]);
        let limit = self.pattern_operand(splat(Elem::F32, u64::from(2f32.powi(31).to_bits())), size);
        let large = self.compare_floats(predicate::GE, shape, value, limit);
        let rounded = self.int(Int::Xor, shape, rounded, Operand::Use(large, size));
        let number = self.compare_floats(predicate::ORDERED, shape, value, value_operand);
        self.int(Int::And, shape, rounded, Operand::Use(number, size))
    }

    fn convert_scalar(&mut self, value: Reg, from: Elem, to: Elem) -> Reg {
        match (from, to) {
            // As 0 or 1 a bool is an integer of any width.
            (Elem::Bool, Elem::I32 | Elem::I64) => value,
            (Elem::Bool | Elem::I32, Elem::F32) => {
                self.float_of(Code::VEX_Vcvtsi2ss_xmm_xmm_rm32, value, Size::D)
            }
            (Elem::Bool | Elem::I32, Elem::F64) => {
                self.float_of(Code::VEX_Vcvtsi2sd_xmm_xmm_rm32, value, Size::D)
            }
            (Elem::I64, Elem::F32) => self.float_of(Code::VEX_Vcvtsi2ss_xmm_xmm_rm64, value, Size::Q),
            (Elem::I64, Elem::F64) => self.float_of(Code::VEX_Vcvtsi2sd_xmm_xmm_rm64, value, Size::Q),
            (Elem::F32 | Elem::F64, Elem::Bool) => {
                let zero = self.zeros();
                let shape = shape(Type::scalar(from));
                let mask = self.compare_floats(predicate::NE, shape, value, Operand::Use(zero, Size::X));
                let word = self.low_double(mask);
                self.change(Code::And_rm32_imm32, Size::D, word, &[Operand::Imm(1)])
            }
            (Elem::I32 | Elem::I64, Elem::Bool) => {
                let (code, size) = match from {
                    Elem::I64 => (Code::Test_rm64_r64, Size::Q),
                    _ => (Code::Test_rm32_r32, Size::D),
                };
                self.op(code, &[Operand::Use(value, size), Operand::Use(value, size)]);
                self.bool_of(codes::Cond::Ne)
            }
            (Elem::F32, Elem::F64) => {
                self.make(Code::VEX_Vcvtss2sd_xmm_xmm_xmmm32, Size::X, &[Operand::Use(value, Size::X); 2])
            }
            (Elem::F64, Elem::F32) => {
                self.make(Code::VEX_Vcvtsd2ss_xmm_xmm_xmmm64, Size::X, &[Operand::Use(value, Size::X); 2])
            }
            (Elem::I32, Elem::I64) => {
                self.make_general(Code::Movsxd_r64_rm32, Size::Q, &[Operand::Use(value, Size::D)])
            }
            (Elem::I64, Elem::I32) => {
                self.make_general(Code::Mov_r32_rm32, Size::D, &[Operand::Use(value, Size::D)])
            }
            (Elem::F32, Elem::I32) => {
                let rounded = self.round_to_ints(value, Shape::Xps);
                self.low_double(rounded)
            }
            (Elem::F64, Elem::I32) => {
                let clamped = [(Float::Max, f64::from(i32::MIN)), (Float::Min, f64::from(i32::MAX))];
                let mut within = value;
                for (op, limit) in clamped {
                    let limit = self.pattern_operand(splat(Elem::F64, limit.to_bits()), Size::X);
                    let operands = [Operand::Use(within, Size::X), limit];
                    within = self.make(codes::float(op, Shape::Sd), Size::X, &operands);
                }
                let operands = [Operand::Use(within, Size::X)];
                let rounded = self.make_general(Code::VEX_Vcvtsd2si_r32_xmmm64, Size::D, &operands);
                let number = self.ordered(value, Shape::Sd);
                self.change(Code::And_r32_rm32, Size::D, rounded, &[Operand::Use(number, Size::D)])
            }
            (Elem::F32 | Elem::F64, Elem::I64) => {
                let (shape, code, limit) = match from {
                    Elem::F32 => {
                        (Shape::Ss, Code::VEX_Vcvtss2si_r64_xmmm32, u64::from(2f32.powi(63).to_bits()))
                    }
                    _ => (Shape::Sd, Code::VEX_Vcvtsd2si_r64_xmmm64, 2f64.powi(63).to_bits()),
                };
                // The machine gives the smallest number for all that does not fit.
                let rounded = self.make_general(code, Size::Q, &[Operand::Use(value, Size::X)]);
                let limit = self.pattern_operand(splat(from, limit), Size::X);
                let large = self.compare_floats(predicate::GE, shape, value, limit);
                let large = self.low_mask(large);
                let rounded =
                    self.change(Code::Xor_r64_rm64, Size::Q, rounded, &[Operand::Use(large, Size::Q)]);
                let number = self.ordered(value, shape);
                self.change(Code::And_r64_rm64, Size::Q, rounded, &[Operand::Use(number, Size::Q)])
            }
            (Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64 | Elem::Bool, _) => value,
            (Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8, _) => unreachable!("no value is of it"),
        }
    }

    /// A mask of 64 bits in a general register: whether a float is no NaN.
    fn ordered(&mut self, value: Reg, shape: Shape) -> Reg {
        let mask = self.compare_floats(predicate::ORDERED, shape, value, Operand::Use(value, Size::X));
        self.low_mask(mask)
    }

    /// The lowest mask of a vector, as 64 bits in a general register.
    fn low_mask(&mut self, mask: Reg) -> Reg {
        let word = self.low_double(mask);
        self.make_general(Code::Movsxd_r64_rm32, Size::Q, &[Operand::Use(word, Size::D)])
    }

    /// An integer as a float; the rest of the register comes from zeros, on which nothing waits.
    fn float_of(&mut self, code: Code, value: Reg, of: Size) -> Reg {
        let zero = self.zeros();
        self.make(code, Size::X, &[Operand::Use(zero, Size::X), Operand::Use(value, of)])
    }

    /// Converts four lanes of 64 bits one after another.
    fn convert_lanes(&mut self, value: Reg, from: Elem, to: Elem) -> Reg {
        let upper = self.upper_half(value);
        let halves = [value, upper].map(|half| {
            let mut lanes = [half; 2];
            for (number, lane) in lanes.iter_mut().enumerate() {
                let operands = [Operand::Use(half, Size::X), Operand::Imm(number as i64)];
                let word = self.make_general(Code::VEX_Vpextrq_rm64_xmm_imm8, Size::Q, &operands);
                let scalar = self.bitcast(word, Type::scalar(Elem::I64), Type::scalar(from));
                let made = self.convert_scalar(scalar, from, to);
                *lane = self.bitcast(made, Type::scalar(to), Type::scalar(Elem::I64));
            }
            self.join_quads(lanes)
        });
        self.join_halves(halves)
    }

    /// Two numbers of 64 bits as a vector.
    pub(super) fn join_quads(&mut self, [low, high]: [Reg; 2]) -> Reg {
        let low = self.make(Code::VEX_Vmovq_xmm_rm64, Size::X, &[Operand::Use(low, Size::Q)]);
        let operands = [Operand::Use(low, Size::X), Operand::Use(high, Size::Q), Operand::Imm(1)];
        self.make(Code::VEX_Vpinsrq_xmm_xmm_rm64_imm8, Size::X, &operands)
    }

    /// Two halves as a vector.
    pub(super) fn join_halves(&mut self, [low, high]: [Reg; 2]) -> Reg {
        let operands = [Operand::Use(low, Size::Y), Operand::Use(high, Size::X), Operand::Imm(1)];
        self.make(Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8, Size::Y, &operands)
    }
}
