//! What the core functions do in one lane, on bits: IEEE 754 as the hardware has it, wrapping integers.
//!
//! Nothing here calls the platform's mathematical library for a value that could depend on it: square root, fused
//! multiply-add and rounding to whole numbers are exactly defined.

use crate::loops::Elem;
use crate::ops::{Prim, Reduction};

/// A lane's bits as a number.
pub(super) trait Lane: Copy {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}

/// What floats and integers have in common.
trait Number: Lane + PartialOrd {
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn neg(self) -> Self;
    fn abs(self) -> Self;
}

trait Float: Number {
    fn div(self, other: Self) -> Self;
    fn fma(self, factor: Self, term: Self) -> Self;
    fn sqrt(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn trunc(self) -> Self;
    fn round(self) -> Self;
    fn copysign(self, sign: Self) -> Self;
}

trait Integer: Number {
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn shl(self, count: Self) -> Self;
    fn shru(self, count: Self) -> Self;
    fn shrs(self, count: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn rem(self, other: Self) -> Self;
    fn ctz(self) -> Self;
    fn clz(self) -> Self;
}

macro_rules! floats {
    ($($float:ident $word:ident)*) => {$(
        impl Lane for $float {
            fn of(bits: u64) -> $float { $float::from_bits(bits as $word) }
            fn bits(self) -> u64 { u64::from(self.to_bits()) }
        }
        impl Number for $float {
            fn add(self, other: $float) -> $float { self + other }
            fn sub(self, other: $float) -> $float { self - other }
            fn mul(self, other: $float) -> $float { self * other }
            fn neg(self) -> $float { -self }
            fn abs(self) -> $float { $float::abs(self) }
        }
        impl Float for $float {
            fn div(self, other: $float) -> $float { self / other }
            fn fma(self, factor: $float, term: $float) -> $float { self.mul_add(factor, term) }
            fn sqrt(self) -> $float { $float::sqrt(self) }
            fn floor(self) -> $float { $float::floor(self) }
            fn ceil(self) -> $float { $float::ceil(self) }
            fn trunc(self) -> $float { $float::trunc(self) }
            fn round(self) -> $float { self.round_ties_even() }
            fn copysign(self, sign: $float) -> $float { $float::copysign(self, sign) }
        }
    )*};
}

macro_rules! integers {
    ($($int:ident $word:ident)*) => {$(
        impl Lane for $int {
            fn of(bits: u64) -> $int { bits as $int }
            fn bits(self) -> u64 { u64::from(self as $word) }
        }
        impl Number for $int {
            fn add(self, other: $int) -> $int { self.wrapping_add(other) }
            fn sub(self, other: $int) -> $int { self.wrapping_sub(other) }
            fn mul(self, other: $int) -> $int { self.wrapping_mul(other) }
            fn neg(self) -> $int { self.wrapping_neg() }
            fn abs(self) -> $int { self.wrapping_abs() }
        }
        impl Integer for $int {
            fn and(self, other: $int) -> $int { self & other }
            fn or(self, other: $int) -> $int { self | other }
            fn xor(self, other: $int) -> $int { self ^ other }
            fn shl(self, count: $int) -> $int { self << below(count as i64, $int::BITS) }
            fn shru(self, count: $int) -> $int { (self as $word >> below(count as i64, $int::BITS)) as $int }
            fn shrs(self, count: $int) -> $int { self >> below(count as i64, $int::BITS) }
            fn div(self, other: $int) -> $int {
                assert!(self >= 0 && other >= 0, "idiv of {self} and {other}");
                self.checked_div(other).unwrap_or($int::of(GARBAGE))
            }
            fn rem(self, other: $int) -> $int {
                assert!(self >= 0 && other >= 0, "irem of {self} and {other}");
                self.checked_rem(other).unwrap_or($int::of(GARBAGE))
            }
            fn ctz(self) -> $int { self.trailing_zeros() as $int }
            fn clz(self) -> $int { self.leading_zeros() as $int }
        }
    )*};
}

floats! { f32 u32 f64 u64 }
integers! { i32 u32 i64 u64 }

impl Lane for bool {
    fn of(bits: u64) -> bool {
        bits != 0
    }
    fn bits(self) -> u64 {
        u64::from(self)
    }
}

/// An integer that nobody may look at.
const GARBAGE: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// A shift count, which must be below the width.
fn below(count: i64, width: u32) -> u32 {
    u32::try_from(count).ok().filter(|count| *count < width).expect("a shift is below the width")
}

/// Where operands and result of an instruction are among the registers.
pub(super) struct Slots<'a> {
    /// The registers: one word for each lane.
    pub(super) regs: &'a mut [u64],
    /// First lane of the result.
    pub(super) out: usize,
    /// First lanes of the operands.
    pub(super) args: [usize; 3],
    /// How many lanes.
    pub(super) lanes: usize,
}

impl Slots<'_> {
    fn map1<A: Lane, R: Lane>(self, f: impl Fn(A) -> R) {
        let Slots { regs, out, args: [a, ..], lanes } = self;
        for lane in 0..lanes {
            regs[out + lane] = f(A::of(regs[a + lane])).bits();
        }
    }

    fn map2<A: Lane, R: Lane>(self, f: impl Fn(A, A) -> R) {
        let Slots { regs, out, args: [a, b, _], lanes } = self;
        for lane in 0..lanes {
            regs[out + lane] = f(A::of(regs[a + lane]), A::of(regs[b + lane])).bits();
        }
    }

    fn map3<A: Lane, R: Lane>(self, f: impl Fn(A, A, A) -> R) {
        let Slots { regs, out, args: [a, b, c], lanes } = self;
        for lane in 0..lanes {
            regs[out + lane] = f(A::of(regs[a + lane]), A::of(regs[b + lane]), A::of(regs[c + lane])).bits();
        }
    }

    fn select(self) {
        let Slots { regs, out, args: [cond, yes, no], lanes } = self;
        for lane in 0..lanes {
            regs[out + lane] = if regs[cond + lane] != 0 { regs[yes + lane] } else { regs[no + lane] };
        }
    }
}

/// Computes a core function on operands of type `elem` (for `select`, whatever it chooses from).
pub(super) fn prim(prim: Prim, elem: Elem, slots: Slots<'_>) {
    if prim == Prim::Select {
        return slots.select();
    }
    match elem {
        Elem::F32 => float::<f32>(prim, slots),
        Elem::F64 => float::<f64>(prim, slots),
        Elem::I32 => integer::<i32>(prim, slots),
        Elem::I64 => integer::<i64>(prim, slots),
        Elem::Bool => logic(prim, slots),
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => no_value(elem),
    }
}

fn float<T: Float>(prim: Prim, slots: Slots<'_>) {
    match prim {
        Prim::Div => slots.map2(T::div),
        Prim::Fma => slots.map3(T::fma),
        Prim::Sqrt => slots.map1(T::sqrt),
        Prim::Floor => slots.map1(T::floor),
        Prim::Ceil => slots.map1(T::ceil),
        Prim::Trunc => slots.map1(T::trunc),
        Prim::Round => slots.map1(T::round),
        Prim::CopySign => slots.map2(T::copysign),
        _ => number::<T>(prim, slots),
    }
}

fn integer<T: Integer>(prim: Prim, slots: Slots<'_>) {
    match prim {
        Prim::IAnd => slots.map2(T::and),
        Prim::IOr => slots.map2(T::or),
        Prim::IXor => slots.map2(T::xor),
        Prim::Shl => slots.map2(T::shl),
        Prim::ShrU => slots.map2(T::shru),
        Prim::ShrS => slots.map2(T::shrs),
        Prim::IDiv => slots.map2(T::div),
        Prim::IRem => slots.map2(T::rem),
        Prim::Ctz => slots.map1(T::ctz),
        Prim::Clz => slots.map1(T::clz),
        _ => number::<T>(prim, slots),
    }
}

fn number<T: Number>(prim: Prim, slots: Slots<'_>) {
    match prim {
        Prim::Add => slots.map2(T::add),
        Prim::Sub => slots.map2(T::sub),
        Prim::Mul => slots.map2(T::mul),
        Prim::Neg => slots.map1(T::neg),
        Prim::Abs => slots.map1(T::abs),
        Prim::SelMax => slots.map2(selmax::<T>),
        Prim::SelMin => slots.map2(selmin::<T>),
        Prim::Eq => slots.map2(|a: T, b| a == b),
        Prim::Ne => slots.map2(|a: T, b| a != b),
        Prim::Lt => slots.map2(|a: T, b| a < b),
        Prim::Le => slots.map2(|a: T, b| a <= b),
        Prim::Gt => slots.map2(|a: T, b| a > b),
        Prim::Ge => slots.map2(|a: T, b| a >= b),
        _ => panic!("{prim} on numbers: no core function (run `expand_math` first)"),
    }
}

fn logic(prim: Prim, slots: Slots<'_>) {
    match prim {
        Prim::And => slots.map2(|a: bool, b| a && b),
        Prim::Or => slots.map2(|a: bool, b| a || b),
        Prim::Not => slots.map1(|a: bool| !a),
        _ => panic!("{prim} on bool: no core function"),
    }
}

fn selmax<T: Number>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

fn selmin<T: Number>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

/// Whether it is a NaN.
#[expect(clippy::eq_op, reason = "the one number that is not equal to itself")]
fn is_nan<T: Number>(a: T) -> bool {
    a != a
}

/// Combines an element, or the state of a higher lane or later block, with a state.
pub(super) type Combine = fn(u64, u64) -> u64;

/// How a reduction combines.
pub(super) fn combine(reduction: Reduction, elem: Elem) -> Combine {
    match elem {
        Elem::F32 => combine_numbers::<f32>(reduction),
        Elem::F64 => combine_numbers::<f64>(reduction),
        Elem::I32 => combine_numbers::<i32>(reduction),
        Elem::I64 => combine_numbers::<i64>(reduction),
        Elem::Bool => panic!("{reduction} of bool"),
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => no_value(elem),
    }
}

fn combine_numbers<T: Number>(reduction: Reduction) -> Combine {
    match reduction {
        Reduction::Sum => |a, b| T::of(a).add(T::of(b)).bits(),
        Reduction::Prod => |a, b| T::of(a).mul(T::of(b)).bits(),
        Reduction::Max => |a, b| if is_nan(T::of(a)) { a } else { selmax(T::of(a), T::of(b)).bits() },
        Reduction::Min => |a, b| if is_nan(T::of(a)) { a } else { selmin(T::of(a), T::of(b)).bits() },
        Reduction::SelMax => |a, b| selmax(T::of(a), T::of(b)).bits(),
        Reduction::SelMin => |a, b| selmin(T::of(a), T::of(b)).bits(),
    }
}

/// What a reduction's states start with.
pub(super) fn identity(reduction: Reduction, elem: Elem) -> u64 {
    let identity = reduction.identity();
    match elem {
        Elem::F32 => (identity as f32).bits(),
        Elem::F64 => identity.bits(),
        Elem::I32 => (identity as i32).bits(),
        Elem::I64 => (identity as i64).bits(),
        Elem::Bool => panic!("{reduction} of bool"),
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => no_value(elem),
    }
}

/// `a * b + c`, rounded once.
pub(super) fn fma(elem: Elem, a: u64, b: u64, c: u64) -> u64 {
    match elem {
        Elem::F32 => f32::of(a).fma(f32::of(b), f32::of(c)).bits(),
        Elem::F64 => f64::of(a).fma(f64::of(b), f64::of(c)).bits(),
        _ => panic!("a lifted product of {}", elem.name()),
    }
}

/// A lane's value in another type.
pub(super) fn convert(from: Elem, to: Elem, bits: u64) -> u64 {
    match from {
        Elem::F32 => from_float(f64::from(f32::of(bits)), to),
        Elem::F64 => from_float(f64::of(bits), to),
        Elem::I32 => from_integer(i64::from(i32::of(bits)), to),
        Elem::I64 => from_integer(i64::of(bits), to),
        Elem::Bool => from_integer(i64::from(bits != 0), to),
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => no_value(from),
    }
}

/// `x` is the number, exactly. A NaN becomes a NaN.
fn from_float(x: f64, to: Elem) -> u64 {
    match to {
        Elem::F32 => (x as f32).bits(),
        Elem::F64 => x.bits(),
        Elem::I32 => (x.round_ties_even() as i32).bits(),
        Elem::I64 => (x.round_ties_even() as i64).bits(),
        Elem::Bool => (x != 0.0).bits(),
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => no_value(to),
    }
}

fn from_integer(x: i64, to: Elem) -> u64 {
    match to {
        Elem::F32 => (x as f32).bits(),
        Elem::F64 => (x as f64).bits(),
        Elem::I32 => (x as i32).bits(),
        Elem::I64 => x.bits(),
        Elem::Bool => (x != 0).bits(),
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => no_value(to),
    }
}

/// `start + lane` in the result's type.
pub(super) fn iota(elem: Elem, start: i64, lane: usize) -> u64 {
    from_integer(start.wrapping_add(lane as i64), elem)
}

/// Whether two lanes or elements hold the same: equal bits, or two NaNs.
pub fn same_bits(elem: Elem, a: u64, b: u64) -> bool {
    let nan = |bits| match elem {
        Elem::F32 => f32::of(bits).is_nan(),
        Elem::F64 => f64::of(bits).is_nan(),
        Elem::F16 => bits & 0x7FFF > 0x7C00,
        Elem::BF16 => bits & 0x7FFF > 0x7F80,
        Elem::I32 | Elem::I64 | Elem::Bool | Elem::I8 | Elem::U8 => false,
    };
    a == b || nan(a) && nan(b)
}

/// What stands in a lane that nobody may look at.
pub(super) fn garbage(elem: Elem) -> u64 {
    match elem {
        Elem::F32 => f32::NAN.bits(),
        Elem::F64 => f64::NAN.bits(),
        Elem::I32 => i32::of(GARBAGE).bits(),
        Elem::I64 => GARBAGE,
        Elem::Bool => 1,
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => no_value(elem),
    }
}

/// No value has a type that is in memory only.
fn no_value(elem: Elem) -> ! {
    panic!("a value of {}", elem.name())
}

/// What a load gives of an element with these bits.
pub(super) fn loaded(elem: Elem, bits: u64) -> u64 {
    match elem {
        Elem::I8 => i32::from(bits as i8).bits(),
        Elem::U8 | Elem::F16 | Elem::BF16 | Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64 | Elem::Bool => {
            bits
        }
    }
}

/// The bits of the element that a store makes of a value, which must be in the range of the type.
pub(super) fn stored(elem: Elem, value: u64) -> u64 {
    let within = |least: i32, most: i32| {
        let number = i32::of(value);
        assert!(least <= number && number <= most, "{number} is stored as {}", elem.name());
        value & ((1 << (8 * elem.bytes())) - 1)
    };
    match elem {
        Elem::I8 => within(i32::from(i8::MIN), i32::from(i8::MAX)),
        Elem::U8 => within(0, i32::from(u8::MAX)),
        Elem::F16 | Elem::BF16 => within(0, i32::from(u16::MAX)),
        Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64 | Elem::Bool => value,
    }
}
