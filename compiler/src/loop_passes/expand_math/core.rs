//! The core operations that an expansion may use, and the plain scalar form of them.
//!
//! Every elementary function is written once over [`Core`]. Emitted into the loop IR it becomes machine code; run on
//! [`Scalar32`] or [`Scalar64`] it is an ordinary Rust function with the same bits, which is what the accuracy tests measure.

/// The float types that expansions exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FloatTy {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

/// The core operations at one float type and any lane count.
///
/// Integers have the width of the float (i32 beside f32, i64 beside f64) and wrap. Nothing here has a side effect, and no
/// operation depends on another lane.
pub trait Core {
    /// A float value.
    type F: Copy;
    /// An integer value of the same width.
    type I: Copy;
    /// The result of a comparison.
    type M: Copy;

    /// The float type.
    fn ty(&self) -> FloatTy;
    /// The constant `c`, rounded to the float type.
    fn float(&mut self, c: f64) -> Self::F;
    /// The constant `c`, which must fit the integer type.
    fn int(&mut self, c: i64) -> Self::I;

    /// `a + b`.
    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c` with one rounding.
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `-a`: flips the sign bit.
    fn neg(&mut self, a: Self::F) -> Self::F;
    /// Clears the sign bit.
    fn abs(&mut self, a: Self::F) -> Self::F;
    /// Square root, correctly rounded.
    fn sqrt(&mut self, a: Self::F) -> Self::F;
    /// Largest whole number not above `a`.
    fn floor(&mut self, a: Self::F) -> Self::F;
    /// Smallest whole number not below `a`.
    fn ceil(&mut self, a: Self::F) -> Self::F;
    /// Whole part, rounded towards zero.
    fn trunc(&mut self, a: Self::F) -> Self::F;
    /// Nearest whole number, ties to even.
    fn round_even(&mut self, a: Self::F) -> Self::F;
    /// `a > b ? a : b`, so `b` if either is a NaN or both are zeros.
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a < b ? a : b`, so `b` if either is a NaN or both are zeros.
    fn min(&mut self, a: Self::F, b: Self::F) -> Self::F;

    /// `a < b`, false if unordered.
    fn lt(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a <= b`, false if unordered.
    fn le(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a > b`, false if unordered.
    fn gt(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a >= b`, false if unordered.
    fn ge(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a == b`, false if unordered.
    fn eq(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a != b`, true if unordered.
    fn ne(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// Whether `a` is a NaN.
    fn is_nan(&mut self, a: Self::F) -> Self::M;
    /// `m ? a : b`.
    fn select(&mut self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;
    /// `m ? a : b` on integers.
    fn select_int(&mut self, m: Self::M, a: Self::I, b: Self::I) -> Self::I;
    /// Both.
    fn mask_and(&mut self, a: Self::M, b: Self::M) -> Self::M;
    /// Either.
    fn mask_or(&mut self, a: Self::M, b: Self::M) -> Self::M;
    /// The opposite.
    fn mask_not(&mut self, a: Self::M) -> Self::M;

    /// The bits of `a`.
    fn bits(&mut self, a: Self::F) -> Self::I;
    /// The float with the bits `a`.
    fn float_from_bits(&mut self, a: Self::I) -> Self::F;
    /// `a + b`, wrapping.
    fn iadd(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// `a - b`, wrapping.
    fn isub(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise and.
    fn iand(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise or.
    fn ior(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise exclusive or.
    fn ixor(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// `a << n`, `n` below the width.
    fn shl(&mut self, a: Self::I, n: u32) -> Self::I;
    /// `a >> n` with zeros shifted in.
    fn shr_u(&mut self, a: Self::I, n: u32) -> Self::I;
    /// `a >> n` with the sign shifted in. Slow on 64-bit lanes of AVX2: f64 expansions avoid it.
    fn shr_s(&mut self, a: Self::I, n: u32) -> Self::I;
    /// Signed `a < b`.
    fn ilt(&mut self, a: Self::I, b: Self::I) -> Self::M;
    /// `a == b`.
    fn ieq(&mut self, a: Self::I, b: Self::I) -> Self::M;
    /// Signed integer to float, exact below 2^24. f64 expansions avoid it: AVX2 has no such instruction for 64-bit lanes.
    fn to_float(&mut self, a: Self::I) -> Self::F;
}

/// [`Core`] on single f32 values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar32;

/// [`Core`] on single f64 values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar64;

macro_rules! scalar_core {
    ($name:ident, $float:ty, $int:ty, $ty:expr) => {
        impl Core for $name {
            type F = $float;
            type I = $int;
            type M = bool;

            fn ty(&self) -> FloatTy {
                $ty
            }
            #[allow(clippy::unnecessary_cast)]
            fn float(&mut self, c: f64) -> $float {
                c as $float
            }
            #[allow(clippy::unnecessary_fallible_conversions)]
            fn int(&mut self, c: i64) -> $int {
                <$int>::try_from(c).expect("an integer constant of an expansion fits its lane")
            }
            fn add(&mut self, a: $float, b: $float) -> $float {
                a + b
            }
            fn sub(&mut self, a: $float, b: $float) -> $float {
                a - b
            }
            fn mul(&mut self, a: $float, b: $float) -> $float {
                a * b
            }
            fn div(&mut self, a: $float, b: $float) -> $float {
                a / b
            }
            fn fma(&mut self, a: $float, b: $float, c: $float) -> $float {
                a.mul_add(b, c)
            }
            fn neg(&mut self, a: $float) -> $float {
                -a
            }
            fn abs(&mut self, a: $float) -> $float {
                a.abs()
            }
            fn sqrt(&mut self, a: $float) -> $float {
                a.sqrt()
            }
            fn floor(&mut self, a: $float) -> $float {
                a.floor()
            }
            fn ceil(&mut self, a: $float) -> $float {
                a.ceil()
            }
            fn trunc(&mut self, a: $float) -> $float {
                a.trunc()
            }
            fn round_even(&mut self, a: $float) -> $float {
                a.round_ties_even()
            }
            fn max(&mut self, a: $float, b: $float) -> $float {
                if a > b { a } else { b }
            }
            fn min(&mut self, a: $float, b: $float) -> $float {
                if a < b { a } else { b }
            }
            fn lt(&mut self, a: $float, b: $float) -> bool {
                a < b
            }
            fn le(&mut self, a: $float, b: $float) -> bool {
                a <= b
            }
            fn gt(&mut self, a: $float, b: $float) -> bool {
                a > b
            }
            fn ge(&mut self, a: $float, b: $float) -> bool {
                a >= b
            }
            fn eq(&mut self, a: $float, b: $float) -> bool {
                a == b
            }
            fn ne(&mut self, a: $float, b: $float) -> bool {
                a != b
            }
            fn is_nan(&mut self, a: $float) -> bool {
                a.is_nan()
            }
            fn select(&mut self, m: bool, a: $float, b: $float) -> $float {
                if m { a } else { b }
            }
            fn select_int(&mut self, m: bool, a: $int, b: $int) -> $int {
                if m { a } else { b }
            }
            fn mask_and(&mut self, a: bool, b: bool) -> bool {
                a && b
            }
            fn mask_or(&mut self, a: bool, b: bool) -> bool {
                a || b
            }
            fn mask_not(&mut self, a: bool) -> bool {
                !a
            }
            fn bits(&mut self, a: $float) -> $int {
                a.to_bits().cast_signed()
            }
            fn float_from_bits(&mut self, a: $int) -> $float {
                <$float>::from_bits(a.cast_unsigned())
            }
            fn iadd(&mut self, a: $int, b: $int) -> $int {
                a.wrapping_add(b)
            }
            fn isub(&mut self, a: $int, b: $int) -> $int {
                a.wrapping_sub(b)
            }
            fn iand(&mut self, a: $int, b: $int) -> $int {
                a & b
            }
            fn ior(&mut self, a: $int, b: $int) -> $int {
                a | b
            }
            fn ixor(&mut self, a: $int, b: $int) -> $int {
                a ^ b
            }
            fn shl(&mut self, a: $int, n: u32) -> $int {
                a << n
            }
            fn shr_u(&mut self, a: $int, n: u32) -> $int {
                (a.cast_unsigned() >> n).cast_signed()
            }
            fn shr_s(&mut self, a: $int, n: u32) -> $int {
                a >> n
            }
            fn ilt(&mut self, a: $int, b: $int) -> bool {
                a < b
            }
            fn ieq(&mut self, a: $int, b: $int) -> bool {
                a == b
            }
            fn to_float(&mut self, a: $int) -> $float {
                a as $float
            }
        }
    };
}

scalar_core!(Scalar32, f32, i32, FloatTy::F32);
scalar_core!(Scalar64, f64, i64, FloatTy::F64);
