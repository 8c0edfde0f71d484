//! The machine's instructions by what they do and on what: tables of iced's names.

use iced_x86::Code;

/// What a vector instruction works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One f32, in an xmm register.
    Ss,
    /// One f64, in an xmm register.
    Sd,
    /// 32-bit lanes of an xmm register.
    Xps,
    /// 64-bit lanes of an xmm register.
    Xpd,
    /// 32-bit lanes of a ymm register.
    Yps,
    /// 64-bit lanes of a ymm register.
    Ypd,
}

/// A function of two floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// `a > b ? a : b`.
    Max,
    /// `a < b ? a : b`.
    Min,
}

/// Its instruction.
pub(super) fn float(op: Float, shape: Shape) -> Code {
    match (op, shape) {
        (Float::Add, Shape::Ss) => Code::VEX_Vaddss_xmm_xmm_xmmm32,
        (Float::Add, Shape::Sd) => Code::VEX_Vaddsd_xmm_xmm_xmmm64,
        (Float::Add, Shape::Xps) => Code::VEX_Vaddps_xmm_xmm_xmmm128,
        (Float::Add, Shape::Xpd) => Code::VEX_Vaddpd_xmm_xmm_xmmm128,
        (Float::Add, Shape::Yps) => Code::VEX_Vaddps_ymm_ymm_ymmm256,
        (Float::Add, Shape::Ypd) => Code::VEX_Vaddpd_ymm_ymm_ymmm256,
        (Float::Sub, Shape::Ss) => Code::VEX_Vsubss_xmm_xmm_xmmm32,
        (Float::Sub, Shape::Sd) => Code::VEX_Vsubsd_xmm_xmm_xmmm64,
        (Float::Sub, Shape::Xps) => Code::VEX_Vsubps_xmm_xmm_xmmm128,
        (Float::Sub, Shape::Xpd) => Code::VEX_Vsubpd_xmm_xmm_xmmm128,
        (Float::Sub, Shape::Yps) => Code::VEX_Vsubps_ymm_ymm_ymmm256,
        (Float::Sub, Shape::Ypd) => Code::VEX_Vsubpd_ymm_ymm_ymmm256,
        (Float::Mul, Shape::Ss) => Code::VEX_Vmulss_xmm_xmm_xmmm32,
        (Float::Mul, Shape::Sd) => Code::VEX_Vmulsd_xmm_xmm_xmmm64,
        (Float::Mul, Shape::Xps) => Code::VEX_Vmulps_xmm_xmm_xmmm128,
        (Float::Mul, Shape::Xpd) => Code::VEX_Vmulpd_xmm_xmm_xmmm128,
        (Float::Mul, Shape::Yps) => Code::VEX_Vmulps_ymm_ymm_ymmm256,
        (Float::Mul, Shape::Ypd) => Code::VEX_Vmulpd_ymm_ymm_ymmm256,
        (Float::Div, Shape::Ss) => Code::VEX_Vdivss_xmm_xmm_xmmm32,
        (Float::Div, Shape::Sd) => Code::VEX_Vdivsd_xmm_xmm_xmmm64,
        (Float::Div, Shape::Xps) => Code::VEX_Vdivps_xmm_xmm_xmmm128,
        (Float::Div, Shape::Xpd) => Code::VEX_Vdivpd_xmm_xmm_xmmm128,
        (Float::Div, Shape::Yps) => Code::VEX_Vdivps_ymm_ymm_ymmm256,
        (Float::Div, Shape::Ypd) => Code::VEX_Vdivpd_ymm_ymm_ymmm256,
        (Float::Max, Shape::Ss) => Code::VEX_Vmaxss_xmm_xmm_xmmm32,
        (Float::Max, Shape::Sd) => Code::VEX_Vmaxsd_xmm_xmm_xmmm64,
        (Float::Max, Shape::Xps) => Code::VEX_Vmaxps_xmm_xmm_xmmm128,
        (Float::Max, Shape::Xpd) => Code::VEX_Vmaxpd_xmm_xmm_xmmm128,
        (Float::Max, Shape::Yps) => Code::VEX_Vmaxps_ymm_ymm_ymmm256,
        (Float::Max, Shape::Ypd) => Code::VEX_Vmaxpd_ymm_ymm_ymmm256,
        (Float::Min, Shape::Ss) => Code::VEX_Vminss_xmm_xmm_xmmm32,
        (Float::Min, Shape::Sd) => Code::VEX_Vminsd_xmm_xmm_xmmm64,
        (Float::Min, Shape::Xps) => Code::VEX_Vminps_xmm_xmm_xmmm128,
        (Float::Min, Shape::Xpd) => Code::VEX_Vminpd_xmm_xmm_xmmm128,
        (Float::Min, Shape::Yps) => Code::VEX_Vminps_ymm_ymm_ymmm256,
        (Float::Min, Shape::Ypd) => Code::VEX_Vminpd_ymm_ymm_ymmm256,
    }
}

/// A function of the bits of floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bits {
    /// `a & b`.
    And,
    /// `a | b`.
    Or,
    /// `a ^ b`.
    Xor,
    /// `!a & b`.
    AndNot,
}

/// Its instruction.
pub(super) fn bits(op: Bits, shape: Shape) -> Code {
    match (op, shape) {
        (Bits::And, Shape::Ss) => Code::VEX_Vandps_xmm_xmm_xmmm128,
        (Bits::And, Shape::Sd) => Code::VEX_Vandpd_xmm_xmm_xmmm128,
        (Bits::And, Shape::Xps) => Code::VEX_Vandps_xmm_xmm_xmmm128,
        (Bits::And, Shape::Xpd) => Code::VEX_Vandpd_xmm_xmm_xmmm128,
        (Bits::And, Shape::Yps) => Code::VEX_Vandps_ymm_ymm_ymmm256,
        (Bits::And, Shape::Ypd) => Code::VEX_Vandpd_ymm_ymm_ymmm256,
        (Bits::Or, Shape::Ss) => Code::VEX_Vorps_xmm_xmm_xmmm128,
        (Bits::Or, Shape::Sd) => Code::VEX_Vorpd_xmm_xmm_xmmm128,
        (Bits::Or, Shape::Xps) => Code::VEX_Vorps_xmm_xmm_xmmm128,
        (Bits::Or, Shape::Xpd) => Code::VEX_Vorpd_xmm_xmm_xmmm128,
        (Bits::Or, Shape::Yps) => Code::VEX_Vorps_ymm_ymm_ymmm256,
        (Bits::Or, Shape::Ypd) => Code::VEX_Vorpd_ymm_ymm_ymmm256,
        (Bits::Xor, Shape::Ss) => Code::VEX_Vxorps_xmm_xmm_xmmm128,
        (Bits::Xor, Shape::Sd) => Code::VEX_Vxorpd_xmm_xmm_xmmm128,
        (Bits::Xor, Shape::Xps) => Code::VEX_Vxorps_xmm_xmm_xmmm128,
        (Bits::Xor, Shape::Xpd) => Code::VEX_Vxorpd_xmm_xmm_xmmm128,
        (Bits::Xor, Shape::Yps) => Code::VEX_Vxorps_ymm_ymm_ymmm256,
        (Bits::Xor, Shape::Ypd) => Code::VEX_Vxorpd_ymm_ymm_ymmm256,
        (Bits::AndNot, Shape::Ss) => Code::VEX_Vandnps_xmm_xmm_xmmm128,
        (Bits::AndNot, Shape::Sd) => Code::VEX_Vandnpd_xmm_xmm_xmmm128,
        (Bits::AndNot, Shape::Xps) => Code::VEX_Vandnps_xmm_xmm_xmmm128,
        (Bits::AndNot, Shape::Xpd) => Code::VEX_Vandnpd_xmm_xmm_xmmm128,
        (Bits::AndNot, Shape::Yps) => Code::VEX_Vandnps_ymm_ymm_ymmm256,
        (Bits::AndNot, Shape::Ypd) => Code::VEX_Vandnpd_ymm_ymm_ymmm256,
    }
}

/// Which operand of a fused multiply-add is where. The first operand is also the result; the last may be in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// First times third plus second.
    F132,
    /// Second times first plus third.
    F213,
    /// Second times third plus first.
    F231,
}

/// A fused multiply-add, by whether the product and the term are negated.
pub(super) fn fma(form: Form, negate: (bool, bool), shape: Shape) -> Code {
    match (form, negate, shape) {
        (Form::F132, (false, false), Shape::Ss) => Code::VEX_Vfmadd132ss_xmm_xmm_xmmm32,
        (Form::F132, (false, false), Shape::Sd) => Code::VEX_Vfmadd132sd_xmm_xmm_xmmm64,
        (Form::F132, (false, false), Shape::Xps) => Code::VEX_Vfmadd132ps_xmm_xmm_xmmm128,
        (Form::F132, (false, false), Shape::Xpd) => Code::VEX_Vfmadd132pd_xmm_xmm_xmmm128,
        (Form::F132, (false, false), Shape::Yps) => Code::VEX_Vfmadd132ps_ymm_ymm_ymmm256,
        (Form::F132, (false, false), Shape::Ypd) => Code::VEX_Vfmadd132pd_ymm_ymm_ymmm256,
        (Form::F132, (false, true), Shape::Ss) => Code::VEX_Vfmsub132ss_xmm_xmm_xmmm32,
        (Form::F132, (false, true), Shape::Sd) => Code::VEX_Vfmsub132sd_xmm_xmm_xmmm64,
        (Form::F132, (false, true), Shape::Xps) => Code::VEX_Vfmsub132ps_xmm_xmm_xmmm128,
        (Form::F132, (false, true), Shape::Xpd) => Code::VEX_Vfmsub132pd_xmm_xmm_xmmm128,
        (Form::F132, (false, true), Shape::Yps) => Code::VEX_Vfmsub132ps_ymm_ymm_ymmm256,
        (Form::F132, (false, true), Shape::Ypd) => Code::VEX_Vfmsub132pd_ymm_ymm_ymmm256,
        (Form::F132, (true, false), Shape::Ss) => Code::VEX_Vfnmadd132ss_xmm_xmm_xmmm32,
        (Form::F132, (true, false), Shape::Sd) => Code::VEX_Vfnmadd132sd_xmm_xmm_xmmm64,
        (Form::F132, (true, false), Shape::Xps) => Code::VEX_Vfnmadd132ps_xmm_xmm_xmmm128,
        (Form::F132, (true, false), Shape::Xpd) => Code::VEX_Vfnmadd132pd_xmm_xmm_xmmm128,
        (Form::F132, (true, false), Shape::Yps) => Code::VEX_Vfnmadd132ps_ymm_ymm_ymmm256,
        (Form::F132, (true, false), Shape::Ypd) => Code::VEX_Vfnmadd132pd_ymm_ymm_ymmm256,
        (Form::F132, (true, true), Shape::Ss) => Code::VEX_Vfnmsub132ss_xmm_xmm_xmmm32,
        (Form::F132, (true, true), Shape::Sd) => Code::VEX_Vfnmsub132sd_xmm_xmm_xmmm64,
        (Form::F132, (true, true), Shape::Xps) => Code::VEX_Vfnmsub132ps_xmm_xmm_xmmm128,
        (Form::F132, (true, true), Shape::Xpd) => Code::VEX_Vfnmsub132pd_xmm_xmm_xmmm128,
        (Form::F132, (true, true), Shape::Yps) => Code::VEX_Vfnmsub132ps_ymm_ymm_ymmm256,
        (Form::F132, (true, true), Shape::Ypd) => Code::VEX_Vfnmsub132pd_ymm_ymm_ymmm256,
        (Form::F213, (false, false), Shape::Ss) => Code::VEX_Vfmadd213ss_xmm_xmm_xmmm32,
        (Form::F213, (false, false), Shape::Sd) => Code::VEX_Vfmadd213sd_xmm_xmm_xmmm64,
        (Form::F213, (false, false), Shape::Xps) => Code::VEX_Vfmadd213ps_xmm_xmm_xmmm128,
        (Form::F213, (false, false), Shape::Xpd) => Code::VEX_Vfmadd213pd_xmm_xmm_xmmm128,
        (Form::F213, (false, false), Shape::Yps) => Code::VEX_Vfmadd213ps_ymm_ymm_ymmm256,
        (Form::F213, (false, false), Shape::Ypd) => Code::VEX_Vfmadd213pd_ymm_ymm_ymmm256,
        (Form::F213, (false, true), Shape::Ss) => Code::VEX_Vfmsub213ss_xmm_xmm_xmmm32,
        (Form::F213, (false, true), Shape::Sd) => Code::VEX_Vfmsub213sd_xmm_xmm_xmmm64,
        (Form::F213, (false, true), Shape::Xps) => Code::VEX_Vfmsub213ps_xmm_xmm_xmmm128,
        (Form::F213, (false, true), Shape::Xpd) => Code::VEX_Vfmsub213pd_xmm_xmm_xmmm128,
        (Form::F213, (false, true), Shape::Yps) => Code::VEX_Vfmsub213ps_ymm_ymm_ymmm256,
        (Form::F213, (false, true), Shape::Ypd) => Code::VEX_Vfmsub213pd_ymm_ymm_ymmm256,
        (Form::F213, (true, false), Shape::Ss) => Code::VEX_Vfnmadd213ss_xmm_xmm_xmmm32,
        (Form::F213, (true, false), Shape::Sd) => Code::VEX_Vfnmadd213sd_xmm_xmm_xmmm64,
        (Form::F213, (true, false), Shape::Xps) => Code::VEX_Vfnmadd213ps_xmm_xmm_xmmm128,
        (Form::F213, (true, false), Shape::Xpd) => Code::VEX_Vfnmadd213pd_xmm_xmm_xmmm128,
        (Form::F213, (true, false), Shape::Yps) => Code::VEX_Vfnmadd213ps_ymm_ymm_ymmm256,
        (Form::F213, (true, false), Shape::Ypd) => Code::VEX_Vfnmadd213pd_ymm_ymm_ymmm256,
        (Form::F213, (true, true), Shape::Ss) => Code::VEX_Vfnmsub213ss_xmm_xmm_xmmm32,
        (Form::F213, (true, true), Shape::Sd) => Code::VEX_Vfnmsub213sd_xmm_xmm_xmmm64,
        (Form::F213, (true, true), Shape::Xps) => Code::VEX_Vfnmsub213ps_xmm_xmm_xmmm128,
        (Form::F213, (true, true), Shape::Xpd) => Code::VEX_Vfnmsub213pd_xmm_xmm_xmmm128,
        (Form::F213, (true, true), Shape::Yps) => Code::VEX_Vfnmsub213ps_ymm_ymm_ymmm256,
        (Form::F213, (true, true), Shape::Ypd) => Code::VEX_Vfnmsub213pd_ymm_ymm_ymmm256,
        (Form::F231, (false, false), Shape::Ss) => Code::VEX_Vfmadd231ss_xmm_xmm_xmmm32,
        (Form::F231, (false, false), Shape::Sd) => Code::VEX_Vfmadd231sd_xmm_xmm_xmmm64,
        (Form::F231, (false, false), Shape::Xps) => Code::VEX_Vfmadd231ps_xmm_xmm_xmmm128,
        (Form::F231, (false, false), Shape::Xpd) => Code::VEX_Vfmadd231pd_xmm_xmm_xmmm128,
        (Form::F231, (false, false), Shape::Yps) => Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256,
        (Form::F231, (false, false), Shape::Ypd) => Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256,
        (Form::F231, (false, true), Shape::Ss) => Code::VEX_Vfmsub231ss_xmm_xmm_xmmm32,
        (Form::F231, (false, true), Shape::Sd) => Code::VEX_Vfmsub231sd_xmm_xmm_xmmm64,
        (Form::F231, (false, true), Shape::Xps) => Code::VEX_Vfmsub231ps_xmm_xmm_xmmm128,
        (Form::F231, (false, true), Shape::Xpd) => Code::VEX_Vfmsub231pd_xmm_xmm_xmmm128,
        (Form::F231, (false, true), Shape::Yps) => Code::VEX_Vfmsub231ps_ymm_ymm_ymmm256,
        (Form::F231, (false, true), Shape::Ypd) => Code::VEX_Vfmsub231pd_ymm_ymm_ymmm256,
        (Form::F231, (true, false), Shape::Ss) => Code::VEX_Vfnmadd231ss_xmm_xmm_xmmm32,
        (Form::F231, (true, false), Shape::Sd) => Code::VEX_Vfnmadd231sd_xmm_xmm_xmmm64,
        (Form::F231, (true, false), Shape::Xps) => Code::VEX_Vfnmadd231ps_xmm_xmm_xmmm128,
        (Form::F231, (true, false), Shape::Xpd) => Code::VEX_Vfnmadd231pd_xmm_xmm_xmmm128,
        (Form::F231, (true, false), Shape::Yps) => Code::VEX_Vfnmadd231ps_ymm_ymm_ymmm256,
        (Form::F231, (true, false), Shape::Ypd) => Code::VEX_Vfnmadd231pd_ymm_ymm_ymmm256,
        (Form::F231, (true, true), Shape::Ss) => Code::VEX_Vfnmsub231ss_xmm_xmm_xmmm32,
        (Form::F231, (true, true), Shape::Sd) => Code::VEX_Vfnmsub231sd_xmm_xmm_xmmm64,
        (Form::F231, (true, true), Shape::Xps) => Code::VEX_Vfnmsub231ps_xmm_xmm_xmmm128,
        (Form::F231, (true, true), Shape::Xpd) => Code::VEX_Vfnmsub231pd_xmm_xmm_xmmm128,
        (Form::F231, (true, true), Shape::Yps) => Code::VEX_Vfnmsub231ps_ymm_ymm_ymmm256,
        (Form::F231, (true, true), Shape::Ypd) => Code::VEX_Vfnmsub231pd_ymm_ymm_ymmm256,
    }
}

/// Square root; on scalars with one more operand, whose upper part it copies.
pub(super) fn sqrt(shape: Shape) -> Code {
    match shape {
        Shape::Ss => Code::VEX_Vsqrtss_xmm_xmm_xmmm32,
        Shape::Sd => Code::VEX_Vsqrtsd_xmm_xmm_xmmm64,
        Shape::Xps => Code::VEX_Vsqrtps_xmm_xmmm128,
        Shape::Xpd => Code::VEX_Vsqrtpd_xmm_xmmm128,
        Shape::Yps => Code::VEX_Vsqrtps_ymm_ymmm256,
        Shape::Ypd => Code::VEX_Vsqrtpd_ymm_ymmm256,
    }
}

/// Rounding to whole numbers; on scalars with one more operand, whose upper part it copies.
pub(super) fn round(shape: Shape) -> Code {
    match shape {
        Shape::Ss => Code::VEX_Vroundss_xmm_xmm_xmmm32_imm8,
        Shape::Sd => Code::VEX_Vroundsd_xmm_xmm_xmmm64_imm8,
        Shape::Xps => Code::VEX_Vroundps_xmm_xmmm128_imm8,
        Shape::Xpd => Code::VEX_Vroundpd_xmm_xmmm128_imm8,
        Shape::Yps => Code::VEX_Vroundps_ymm_ymmm256_imm8,
        Shape::Ypd => Code::VEX_Vroundpd_ymm_ymmm256_imm8,
    }
}

/// A comparison, which gives a mask.
pub(super) fn compare(shape: Shape) -> Code {
    match shape {
        Shape::Ss => Code::VEX_Vcmpss_xmm_xmm_xmmm32_imm8,
        Shape::Sd => Code::VEX_Vcmpsd_xmm_xmm_xmmm64_imm8,
        Shape::Xps => Code::VEX_Vcmpps_xmm_xmm_xmmm128_imm8,
        Shape::Xpd => Code::VEX_Vcmppd_xmm_xmm_xmmm128_imm8,
        Shape::Yps => Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8,
        Shape::Ypd => Code::VEX_Vcmppd_ymm_ymm_ymmm256_imm8,
    }
}

/// Third operand where the fourth is set, else the second.
pub(super) fn blend(shape: Shape) -> Code {
    match shape {
        Shape::Ss => Code::VEX_Vblendvps_xmm_xmm_xmmm128_xmm,
        Shape::Sd => Code::VEX_Vblendvpd_xmm_xmm_xmmm128_xmm,
        Shape::Xps => Code::VEX_Vblendvps_xmm_xmm_xmmm128_xmm,
        Shape::Xpd => Code::VEX_Vblendvpd_xmm_xmm_xmmm128_xmm,
        Shape::Yps => Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
        Shape::Ypd => Code::VEX_Vblendvpd_ymm_ymm_ymmm256_ymm,
    }
}

/// From memory.
pub(super) fn load(shape: Shape) -> Code {
    match shape {
        Shape::Ss => Code::VEX_Vmovss_xmm_m32,
        Shape::Sd => Code::VEX_Vmovsd_xmm_m64,
        Shape::Xps => Code::VEX_Vmovups_xmm_xmmm128,
        Shape::Xpd => Code::VEX_Vmovupd_xmm_xmmm128,
        Shape::Yps => Code::VEX_Vmovups_ymm_ymmm256,
        Shape::Ypd => Code::VEX_Vmovupd_ymm_ymmm256,
    }
}

/// To memory.
pub(super) fn store(shape: Shape) -> Code {
    match shape {
        Shape::Ss => Code::VEX_Vmovss_m32_xmm,
        Shape::Sd => Code::VEX_Vmovsd_m64_xmm,
        Shape::Xps => Code::VEX_Vmovups_xmmm128_xmm,
        Shape::Xpd => Code::VEX_Vmovupd_xmmm128_xmm,
        Shape::Yps => Code::VEX_Vmovups_ymmm256_ymm,
        Shape::Ypd => Code::VEX_Vmovupd_ymmm256_ymm,
    }
}

/// A function of two vectors of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Int {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// Whether they are equal.
    CmpEq,
    /// `a > b`.
    CmpGt,
    /// `a & b`.
    And,
    /// `a | b`.
    Or,
    /// `a ^ b`.
    Xor,
    /// The larger (32 bits).
    Max,
    /// The smaller (32 bits).
    Min,
    /// The lower half of the product (32 bits).
    Mul,
}

/// Its instruction for lanes of so many bytes; there is none for some of 64 bits.
pub(super) fn int(op: Int, bytes: u32, wide: bool) -> Code {
    match (op, bytes == 8, wide) {
        (Int::Add, false, false) => Code::VEX_Vpaddd_xmm_xmm_xmmm128,
        (Int::Add, false, true) => Code::VEX_Vpaddd_ymm_ymm_ymmm256,
        (Int::Add, true, false) => Code::VEX_Vpaddq_xmm_xmm_xmmm128,
        (Int::Add, true, true) => Code::VEX_Vpaddq_ymm_ymm_ymmm256,
        (Int::Sub, false, false) => Code::VEX_Vpsubd_xmm_xmm_xmmm128,
        (Int::Sub, false, true) => Code::VEX_Vpsubd_ymm_ymm_ymmm256,
        (Int::Sub, true, false) => Code::VEX_Vpsubq_xmm_xmm_xmmm128,
        (Int::Sub, true, true) => Code::VEX_Vpsubq_ymm_ymm_ymmm256,
        (Int::CmpEq, false, false) => Code::VEX_Vpcmpeqd_xmm_xmm_xmmm128,
        (Int::CmpEq, false, true) => Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256,
        (Int::CmpEq, true, false) => Code::VEX_Vpcmpeqq_xmm_xmm_xmmm128,
        (Int::CmpEq, true, true) => Code::VEX_Vpcmpeqq_ymm_ymm_ymmm256,
        (Int::CmpGt, false, false) => Code::VEX_Vpcmpgtd_xmm_xmm_xmmm128,
        (Int::CmpGt, false, true) => Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256,
        (Int::CmpGt, true, false) => Code::VEX_Vpcmpgtq_xmm_xmm_xmmm128,
        (Int::CmpGt, true, true) => Code::VEX_Vpcmpgtq_ymm_ymm_ymmm256,
        (Int::And, false, false) => Code::VEX_Vpand_xmm_xmm_xmmm128,
        (Int::And, false, true) => Code::VEX_Vpand_ymm_ymm_ymmm256,
        (Int::And, true, false) => Code::VEX_Vpand_xmm_xmm_xmmm128,
        (Int::And, true, true) => Code::VEX_Vpand_ymm_ymm_ymmm256,
        (Int::Or, false, false) => Code::VEX_Vpor_xmm_xmm_xmmm128,
        (Int::Or, false, true) => Code::VEX_Vpor_ymm_ymm_ymmm256,
        (Int::Or, true, false) => Code::VEX_Vpor_xmm_xmm_xmmm128,
        (Int::Or, true, true) => Code::VEX_Vpor_ymm_ymm_ymmm256,
        (Int::Xor, false, false) => Code::VEX_Vpxor_xmm_xmm_xmmm128,
        (Int::Xor, false, true) => Code::VEX_Vpxor_ymm_ymm_ymmm256,
        (Int::Xor, true, false) => Code::VEX_Vpxor_xmm_xmm_xmmm128,
        (Int::Xor, true, true) => Code::VEX_Vpxor_ymm_ymm_ymmm256,
        (Int::Max, false, false) => Code::VEX_Vpmaxsd_xmm_xmm_xmmm128,
        (Int::Max, false, true) => Code::VEX_Vpmaxsd_ymm_ymm_ymmm256,
        (Int::Min, false, false) => Code::VEX_Vpminsd_xmm_xmm_xmmm128,
        (Int::Min, false, true) => Code::VEX_Vpminsd_ymm_ymm_ymmm256,
        (Int::Mul, false, false) => Code::VEX_Vpmulld_xmm_xmm_xmmm128,
        (Int::Mul, false, true) => Code::VEX_Vpmulld_ymm_ymm_ymmm256,
        (Int::Max | Int::Min | Int::Mul, true, _) => unreachable!("{op:?} of 64 bits is made of others"),
    }
}

/// A shift by a constant, of lanes of so many bytes of a ymm register. (There is none to the right with the sign for 64 bits.)
pub(super) fn shift(prim: crate::ops::Prim, bytes: u32) -> Code {
    use crate::ops::Prim;
    match (prim, bytes) {
        (Prim::Shl, 4) => Code::VEX_Vpslld_ymm_ymm_imm8,
        (Prim::Shl, _) => Code::VEX_Vpsllq_ymm_ymm_imm8,
        (Prim::ShrU, 4) => Code::VEX_Vpsrld_ymm_ymm_imm8,
        (Prim::ShrU, _) => Code::VEX_Vpsrlq_ymm_ymm_imm8,
        (Prim::ShrS, 4) => Code::VEX_Vpsrad_ymm_ymm_imm8,
        (prim, bytes) => unreachable!("{prim} of {bytes} bytes is made of others"),
    }
}

/// A condition of the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cond {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Below, without signs.
    Below,
    /// Not below, without signs.
    NotBelow,
    /// Negative.
    Negative,
    /// Not negative.
    NotNegative,
}

impl Cond {
    /// The opposite.
    pub(super) fn not(self) -> Cond {
        match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::Lt => Cond::Ge,
            Cond::Le => Cond::Gt,
            Cond::Gt => Cond::Le,
            Cond::Ge => Cond::Lt,
            Cond::Below => Cond::NotBelow,
            Cond::NotBelow => Cond::Below,
            Cond::Negative => Cond::NotNegative,
            Cond::NotNegative => Cond::Negative,
        }
    }

    /// A byte that says whether it holds.
    pub(super) fn set(self) -> Code {
        match self {
            Cond::Eq => Code::Sete_rm8,
            Cond::Ne => Code::Setne_rm8,
            Cond::Lt => Code::Setl_rm8,
            Cond::Le => Code::Setle_rm8,
            Cond::Gt => Code::Setg_rm8,
            Cond::Ge => Code::Setge_rm8,
            Cond::Below => Code::Setb_rm8,
            Cond::NotBelow => Code::Setae_rm8,
            Cond::Negative => Code::Sets_rm8,
            Cond::NotNegative => Code::Setns_rm8,
        }
    }

    /// A move of 64 bits where it holds.
    pub(super) fn move64(self) -> Code {
        match self {
            Cond::Eq => Code::Cmove_r64_rm64,
            Cond::Ne => Code::Cmovne_r64_rm64,
            Cond::Lt => Code::Cmovl_r64_rm64,
            Cond::Le => Code::Cmovle_r64_rm64,
            Cond::Gt => Code::Cmovg_r64_rm64,
            Cond::Ge => Code::Cmovge_r64_rm64,
            Cond::Below => Code::Cmovb_r64_rm64,
            Cond::NotBelow => Code::Cmovae_r64_rm64,
            Cond::Negative => Code::Cmovs_r64_rm64,
            Cond::NotNegative => Code::Cmovns_r64_rm64,
        }
    }

    /// A move of 32 bits where it holds.
    pub(super) fn move32(self) -> Code {
        match self {
            Cond::Eq => Code::Cmove_r32_rm32,
            Cond::Ne => Code::Cmovne_r32_rm32,
            Cond::Lt => Code::Cmovl_r32_rm32,
            Cond::Le => Code::Cmovle_r32_rm32,
            Cond::Gt => Code::Cmovg_r32_rm32,
            Cond::Ge => Code::Cmovge_r32_rm32,
            Cond::Below => Code::Cmovb_r32_rm32,
            Cond::NotBelow => Code::Cmovae_r32_rm32,
            Cond::Negative => Code::Cmovs_r32_rm32,
            Cond::NotNegative => Code::Cmovns_r32_rm32,
        }
    }
}
