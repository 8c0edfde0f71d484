//! Softmax over rows, in its four decompositions.

use std::arch::x86_64::*;

use super::vector::{V, accumulate, aligned, fence, fill, lanes, largest, load, splat, store, sum, total};
use super::{Args, check, math};

macro_rules! rows {
    ($(#[$doc:meta] $name:ident by $row:ident;)*) => {$(
        #[$doc]
        pub fn $name<const U: usize, const STREAM: bool>(args: &Args<'_>, y: &mut [f32]) {
            #[target_feature(enable = "avx2,fma")]
            fn run<const U: usize, const STREAM: bool>(x: &[f32], y: &mut [f32], d: usize) {
                for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
                    $row::<U, STREAM>(x, y);
                }
                fence::<STREAM>();
            }
            check();
            aligned::<STREAM>(y);
            assert!(args.x.len() == y.len() && y.len().is_multiple_of(args.d) && args.d.is_multiple_of(8));
            // SAFETY: checked.
            unsafe { run::<U, STREAM>(args.x, y, args.d) }
        }
    )*};
}

rows! {
    /// Maximum; exponentials, kept in the result, and their sum; scaling.
    reload by reload_row;
    /// Maximum; sum of exponentials; exponentials again.
    recompute by recompute_row;
    /// Maximum and sum in one pass, the sum rescaled where the maximum grows.
    online by online_row;
    /// The sum as mantissa and exponent in one pass (Dukhan and Ablavatski, 2020).
    two_pass by two_pass_row;
}

/// A NaN is passed over: it comes back by way of the sum.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn maximum<const U: usize>(x: &[f32]) -> V {
    let start = splat(f32::NEG_INFINITY);
    let parts = accumulate::<U>(x.len(), start, |i, most| _mm256_max_ps(load(x, i), most));
    let mut most = parts[0];
    for part in &parts[1..] {
        most = _mm256_max_ps(most, *part);
    }
    splat(largest(most))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn reload_row<const U: usize, const STREAM: bool>(x: &[f32], y: &mut [f32]) {
    let most = maximum::<U>(x);
    let mut sums = [splat(0.0); U];
    let mut i = 0;
    while i < x.len() {
        let vectors = U.min((x.len() - i) / 8);
        for (k, sum) in sums.iter_mut().enumerate().take(vectors) {
            let e = math::exp_nonpos(_mm256_sub_ps(load(x, i + 8 * k), most));
            store::<false>(y, i + 8 * k, e);
            *sum = _mm256_add_ps(*sum, e);
        }
        i += 8 * vectors;
    }
    let by = splat(1.0 / sum(total(sums)));
    let n = y.len();
    // In place: each vector is read before it is written.
    let mut i = 0;
    while i < n {
        let e = load(y, i);
        store::<STREAM>(y, i, _mm256_mul_ps(e, by));
        i += 8;
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn recompute_row<const U: usize, const STREAM: bool>(x: &[f32], y: &mut [f32]) {
    let most = maximum::<U>(x);
    let e = |i: usize| math::exp_nonpos(_mm256_sub_ps(load(x, i), most));
    let sums = accumulate::<U>(x.len(), splat(0.0), |i, sum| _mm256_add_ps(sum, e(i)));
    let by = splat(1.0 / sum(total(sums)));
    fill::<U, STREAM>(y, 0, x.len(), |i| _mm256_mul_ps(e(i), by));
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn online_row<const U: usize, const STREAM: bool>(x: &[f32], y: &mut [f32]) {
    let mut most = load(x, 0);
    let mut sums = [splat(0.0); U];
    let mut i = 0;
    while i < x.len() {
        let vectors = U.min((x.len() - i) / 8);
        let mut new = most;
        for k in 0..vectors {
            new = _mm256_max_ps(load(x, i + 8 * k), new);
        }
        if _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(new, most)) != 0 {
            let by = math::exp_nonpos(_mm256_sub_ps(most, new));
            for sum in &mut sums {
                *sum = _mm256_mul_ps(*sum, by);
            }
            most = new;
        }
        for (k, sum) in sums.iter_mut().enumerate().take(vectors) {
            *sum = _mm256_add_ps(*sum, math::exp_nonpos(_mm256_sub_ps(load(x, i + 8 * k), most)));
        }
        i += 8 * vectors;
    }
    let top = splat(largest(most));
    let all = _mm256_mul_ps(total(sums), math::exp_nonpos(_mm256_sub_ps(most, top)));
    let by = splat(1.0 / sum(all));
    fill::<U, STREAM>(y, 0, x.len(), |i| _mm256_mul_ps(math::exp_nonpos(_mm256_sub_ps(load(x, i), top)), by));
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn two_pass_row<const U: usize, const STREAM: bool>(x: &[f32], y: &mut [f32]) {
    let mut sums = [(splat(0.0), splat(f32::MIN)); U];
    let mut i = 0;
    while i < x.len() {
        let vectors = U.min((x.len() - i) / 8);
        for (k, (mantissa, exponent)) in sums.iter_mut().enumerate().take(vectors) {
            let (_, n, p) = math::exp_parts(load(x, i + 8 * k), 127.0);
            let most = _mm256_max_ps(n, *exponent);
            let own = _mm256_mul_ps(p, math::exp2_whole_nonpos(_mm256_sub_ps(n, most)));
            let old = math::exp2_whole_nonpos(_mm256_sub_ps(*exponent, most));
            *mantissa = _mm256_fmadd_ps(*mantissa, old, own);
            *exponent = most;
        }
        i += 8 * vectors;
    }
    let mut most = sums[0].1;
    for (_, exponent) in &sums[1..] {
        most = _mm256_max_ps(most, *exponent);
    }
    let most = splat(largest(most));
    let mut all = splat(0.0);
    for (mantissa, exponent) in sums {
        all = _mm256_fmadd_ps(mantissa, math::exp2_whole_nonpos(_mm256_sub_ps(exponent, most)), all);
    }
    let by = splat(1.0 / lanes(all).iter().sum::<f32>());
    fill::<U, STREAM>(y, 0, x.len(), |i| {
        let (_, n, p) = math::exp_parts(load(x, i), 127.0);
        _mm256_mul_ps(_mm256_mul_ps(p, by), math::exp2_whole_nonpos(_mm256_sub_ps(n, most)))
    });
}
