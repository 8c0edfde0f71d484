//! Kernels that make each element of one.

use std::arch::x86_64::*;

use super::vector::{aligned, fence, fill, load, splat};
use super::{Args, check, math};

macro_rules! elementwise {
    ($(#[$doc:meta] $name:ident($v:ident) = $value:expr;)*) => {$(
        #[$doc]
        pub fn $name<const U: usize, const STREAM: bool>(args: &Args<'_>, y: &mut [f32]) {
            #[target_feature(enable = "avx2,fma")]
            fn run<const U: usize, const STREAM: bool>(x: &[f32], y: &mut [f32]) {
                let n = y.len();
                fill::<U, STREAM>(y, 0, n, |i| {
                    let $v = load(x, i);
                    $value
                });
                fence::<STREAM>();
            }
            check();
            aligned::<STREAM>(y);
            assert!(args.x.len() == y.len() && y.len().is_multiple_of(8));
            // SAFETY: checked.
            unsafe { run::<U, STREAM>(args.x, y) }
        }
    )*};
}

elementwise! {
    /// max(x, 0), NaN kept.
    relu(x) = _mm256_max_ps(splat(0.0), x);
    /// e^x.
    exp(x) = math::exp(x);
    /// x sigmoid(x).
    silu(x) = _mm256_mul_ps(x, math::sigmoid(x));
    /// x/2 (1 + erf(x / sqrt 2)).
    gelu(x) = math::gelu(x);
    /// tanh x.
    tanh(x) = math::tanh(x);
}

/// silu(first half of a row) times the second half.
pub fn swiglu<const U: usize, const STREAM: bool>(args: &Args<'_>, y: &mut [f32]) {
    #[target_feature(enable = "avx2,fma")]
    fn run<const U: usize, const STREAM: bool>(x: &[f32], y: &mut [f32], d: usize) {
        for row in 0..y.len() / d {
            let x = &x[2 * row * d..][..2 * d];
            fill::<U, STREAM>(y, row * d, d, |i| {
                let gate = load(x, i);
                _mm256_mul_ps(_mm256_mul_ps(gate, math::sigmoid(gate)), load(x, d + i))
            });
        }
        fence::<STREAM>();
    }
    check();
    aligned::<STREAM>(y);
    assert!(args.x.len() == 2 * y.len() && y.len().is_multiple_of(args.d) && args.d.is_multiple_of(8));
    // SAFETY: checked.
    unsafe { run::<U, STREAM>(args.x, y, args.d) }
}

/// The library's copy of as many numbers as the result has.
pub fn copy(args: &Args<'_>, y: &mut [f32]) {
    y.copy_from_slice(&args.x[..y.len()]);
}

/// The same with streaming stores.
pub fn copy_streaming(args: &Args<'_>, y: &mut [f32]) {
    #[target_feature(enable = "avx2,fma")]
    fn run(x: &[f32], y: &mut [f32]) {
        let n = y.len();
        fill::<4, true>(y, 0, n, |i| load(x, i));
        fence::<true>();
    }
    check();
    aligned::<true>(y);
    assert!(args.x.len() >= y.len() && y.len().is_multiple_of(8));
    // SAFETY: checked.
    unsafe { run(args.x, y) }
}
