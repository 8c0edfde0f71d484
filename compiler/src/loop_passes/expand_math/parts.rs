//! Small pieces that several expansions share: constants beside operands, Horner's scheme, signs.

use super::core::{Core, FloatTy};

/// Shorthand for core operations with a constant operand.
pub(super) trait CoreExt: Core {
    /// `a + k`.
    fn add_k(&mut self, a: Self::F, k: f64) -> Self::F {
        let k = self.float(k);
        self.add(a, k)
    }
    /// `k - a`.
    fn k_sub(&mut self, k: f64, a: Self::F) -> Self::F {
        let k = self.float(k);
        self.sub(k, a)
    }
    /// `a * k`.
    fn mul_k(&mut self, a: Self::F, k: f64) -> Self::F {
        let k = self.float(k);
        self.mul(a, k)
    }
    /// `k / a`.
    fn k_div(&mut self, k: f64, a: Self::F) -> Self::F {
        let k = self.float(k);
        self.div(k, a)
    }
    /// `a * k + b`.
    fn fma_k(&mut self, a: Self::F, k: f64, b: Self::F) -> Self::F {
        let k = self.float(k);
        self.fma(a, k, b)
    }
    /// `a * b + k`.
    fn fma_add_k(&mut self, a: Self::F, b: Self::F, k: f64) -> Self::F {
        let k = self.float(k);
        self.fma(a, b, k)
    }
    /// `a * k + l`.
    fn fma_kk(&mut self, a: Self::F, k: f64, l: f64) -> Self::F {
        let (k, l) = (self.float(k), self.float(l));
        self.fma(a, k, l)
    }
    /// The larger of `k` and `a`; a NaN in `a` stays.
    fn at_least(&mut self, a: Self::F, k: f64) -> Self::F {
        let k = self.float(k);
        self.max(k, a)
    }
    /// The smaller of `k` and `a`; a NaN in `a` stays.
    fn at_most(&mut self, a: Self::F, k: f64) -> Self::F {
        let k = self.float(k);
        self.min(k, a)
    }
    /// `a < k`.
    fn lt_k(&mut self, a: Self::F, k: f64) -> Self::M {
        let k = self.float(k);
        self.lt(a, k)
    }
    /// `a > k`.
    fn gt_k(&mut self, a: Self::F, k: f64) -> Self::M {
        let k = self.float(k);
        self.gt(a, k)
    }
    /// `a == k`.
    fn eq_k(&mut self, a: Self::F, k: f64) -> Self::M {
        let k = self.float(k);
        self.eq(a, k)
    }
    /// `m ? a : k`.
    fn select_or_k(&mut self, m: Self::M, a: Self::F, k: f64) -> Self::F {
        let k = self.float(k);
        self.select(m, a, k)
    }
    /// `m ? k : a`.
    fn select_k(&mut self, m: Self::M, k: f64, a: Self::F) -> Self::F {
        let k = self.float(k);
        self.select(m, k, a)
    }
    /// `m ? k : l`.
    fn select_kk(&mut self, m: Self::M, k: f64, l: f64) -> Self::F {
        let (k, l) = (self.float(k), self.float(l));
        self.select(m, k, l)
    }
    /// `a + k` on integers.
    fn iadd_k(&mut self, a: Self::I, k: i64) -> Self::I {
        let k = self.int(k);
        self.iadd(a, k)
    }
    /// `a & k`.
    fn iand_k(&mut self, a: Self::I, k: i64) -> Self::I {
        let k = self.int(k);
        self.iand(a, k)
    }
    /// The sign bit of `a` alone.
    fn sign_bit(&mut self, a: Self::F) -> Self::I {
        let bits = self.bits(a);
        let mask = self.float(-0.0);
        let mask = self.bits(mask);
        self.iand(bits, mask)
    }
    /// `a` with the bits of `sign` set as well: its sign, where `a` is known to be positive or of that sign.
    fn with_sign(&mut self, a: Self::F, sign: Self::I) -> Self::F {
        let bits = self.bits(a);
        let bits = self.ior(bits, sign);
        self.float_from_bits(bits)
    }
    /// `a`, its sign flipped where `sign` has the sign bit.
    fn flip_sign(&mut self, a: Self::F, sign: Self::I) -> Self::F {
        let bits = self.bits(a);
        let bits = self.ixor(bits, sign);
        self.float_from_bits(bits)
    }
    /// Bits of the fraction of the type: 23 or 52.
    fn fraction_bits(&self) -> u32 {
        match self.ty() {
            FloatTy::F32 => 23,
            FloatTy::F64 => 52,
        }
    }
    /// Bias of the exponent: 127 or 1023.
    fn bias(&self) -> i64 {
        match self.ty() {
            FloatTy::F32 => 127,
            FloatTy::F64 => 1023,
        }
    }
    /// One of two constants by type.
    fn by_type<T>(&self, f32: T, f64: T) -> T {
        match self.ty() {
            FloatTy::F32 => f32,
            FloatTy::F64 => f64,
        }
    }
}

impl<C: Core> CoreExt for C {}

/// `c[0] + c[1] x + c[2] x^2 + …`, lowest first, one fma for each coefficient after the first.
pub(super) fn horner<C: Core>(c: &mut C, x: C::F, coefficients: &[f64]) -> C::F {
    let (last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
    let last = c.float(*last);
    rest.iter().rev().fold(last, |sum, &k| c.fma_add_k(sum, x, k))
}

/// The polynomial of [`horner`] at `-x`.
pub(super) fn horner_neg<C: Core>(c: &mut C, x: C::F, coefficients: &[f64]) -> C::F {
    let flipped: Vec<f64> =
        coefficients.iter().enumerate().map(|(k, &v)| if k % 2 == 0 { v } else { -v }).collect();
    horner(c, x, &flipped)
}

/// `factor` times pi as a sum of two values of the type; `factor` is a power of two.
pub(super) fn pi<C: Core>(c: &C, factor: f64) -> (f64, f64) {
    let (high, low) = c.by_type(
        (3.141_592_741_012_573_2, -8.742_277_657_347_586e-8),
        (std::f64::consts::PI, 1.224_646_799_147_353_2e-16),
    );
    (high * factor, low * factor)
}
