//! Kernels that divide rows by one of their moments.

use std::arch::x86_64::*;

use super::vector::{V, accumulate, aligned, fence, fill, load, splat, sum, total};
use super::{Args, check, math};

macro_rules! rows {
    ($(#[$doc:meta] $name:ident by $row:ident;)*) => {$(
        #[$doc]
        pub fn $name<const U: usize, const STREAM: bool>(args: &Args<'_>, y: &mut [f32]) {
            #[target_feature(enable = "avx2,fma")]
            fn run<const U: usize, const STREAM: bool>(args: &Args<'_>, y: &mut [f32]) {
                let d = args.d;
                for (x, y) in args.x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
                    $row::<U, STREAM>(args, x, y);
                }
                fence::<STREAM>();
            }
            check();
            aligned::<STREAM>(y);
            assert!(args.x.len() == y.len() && y.len().is_multiple_of(args.d) && args.d.is_multiple_of(8));
            assert!(args.gamma.len() >= args.d && args.beta.len() >= args.d);
            // SAFETY: checked.
            unsafe { run::<U, STREAM>(args, y) }
        }
    )*};
}

rows! {
    /// x / sqrt(mean x^2 + 1e-6) gamma.
    rms_norm by rms_norm_row;
    /// (x - mean) / sqrt(var + 1e-5) gamma + beta, the variance from deviations.
    layer_norm by layer_norm_row;
    /// The sum of rms-normalised x^3, x^2 and x, weighted by the first numbers of gamma.
    polynorm by polynorm_row;
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn square_sum<const U: usize>(n: usize, f: impl Fn(usize) -> V) -> f32 {
    let sums = accumulate::<U>(n, splat(0.0), |i, sum| {
        let value = f(i);
        _mm256_fmadd_ps(value, value, sum)
    });
    sum(total(sums))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn rms_norm_row<const U: usize, const STREAM: bool>(args: &Args<'_>, x: &[f32], y: &mut [f32]) {
    let squares = square_sum::<U>(x.len(), |i| load(x, i));
    let by = splat(1.0 / (squares / x.len() as f32 + 1e-6).sqrt());
    fill::<U, STREAM>(y, 0, x.len(), |i| _mm256_mul_ps(_mm256_mul_ps(load(x, i), by), load(args.gamma, i)));
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn layer_norm_row<const U: usize, const STREAM: bool>(args: &Args<'_>, x: &[f32], y: &mut [f32]) {
    let n = x.len() as f32;
    let sums = accumulate::<U>(x.len(), splat(0.0), |i, sum| _mm256_add_ps(load(x, i), sum));
    let mean = splat(sum(total(sums)) / n);
    let squares = square_sum::<U>(x.len(), |i| _mm256_sub_ps(load(x, i), mean));
    let by = splat(1.0 / (squares / n + 1e-5).sqrt());
    fill::<U, STREAM>(y, 0, x.len(), |i| {
        let value = _mm256_mul_ps(_mm256_sub_ps(load(x, i), mean), by);
        _mm256_fmadd_ps(value, load(args.gamma, i), load(args.beta, i))
    });
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn polynorm_row<const U: usize, const STREAM: bool>(args: &Args<'_>, x: &[f32], y: &mut [f32]) {
    let mut sums = [[splat(0.0); 3]; U];
    let mut i = 0;
    while i < x.len() {
        let vectors = U.min((x.len() - i) / 8);
        for (k, [one, two, three]) in sums.iter_mut().enumerate().take(vectors) {
            let a = load(x, i + 8 * k);
            let b = _mm256_mul_ps(a, a);
            let c = _mm256_mul_ps(a, b);
            *one = _mm256_fmadd_ps(a, a, *one);
            *two = _mm256_fmadd_ps(b, b, *two);
            *three = _mm256_fmadd_ps(c, c, *three);
        }
        i += 8 * vectors;
    }
    let scale = |power: usize| {
        let squares = sum(total(sums.map(|sums| sums[power])));
        1.0 / (squares / x.len() as f32 + 1e-6).sqrt()
    };
    let [one, two, three] = [2, 1, 0].map(|weight| splat(scale(2 - weight) * args.gamma[weight]));
    fill::<U, STREAM>(y, 0, x.len(), |i| {
        let a = load(x, i);
        let inner = _mm256_fmadd_ps(_mm256_fmadd_ps(three, a, two), a, one);
        _mm256_mul_ps(inner, a)
    });
}

/// x sigmoid(v x) / sqrt(var + 1e-5) gamma + beta; the variance over groups of 2 of 64 channels, `d` pixels each.
pub fn evonorm_s0<const U: usize, const STREAM: bool>(args: &Args<'_>, y: &mut [f32]) {
    const CHANNELS: usize = 64;
    const GROUP: usize = 2;
    #[target_feature(enable = "avx2,fma")]
    fn run<const U: usize, const STREAM: bool>(args: &Args<'_>, y: &mut [f32]) {
        let d = args.d;
        let groups = args.x.chunks_exact(GROUP * d).zip(y.chunks_exact_mut(GROUP * d));
        for (number, (x, y)) in groups.enumerate() {
            let n = x.len() as f32;
            let sums = accumulate::<U>(x.len(), splat(0.0), |i, sum| _mm256_add_ps(load(x, i), sum));
            let mean = splat(sum(total(sums)) / n);
            let squares = square_sum::<U>(x.len(), |i| _mm256_sub_ps(load(x, i), mean));
            let by = 1.0 / (squares / n + 1e-5).sqrt();
            for inside in 0..GROUP {
                let channel = (number * GROUP + inside) % CHANNELS;
                let (v, beta) = (splat(args.v[channel]), splat(args.beta[channel]));
                let by = splat(by * args.gamma[channel]);
                let x = &x[inside * d..][..d];
                fill::<U, STREAM>(y, inside * d, d, |i| {
                    let value = load(x, i);
                    let gate = math::sigmoid(_mm256_mul_ps(v, value));
                    _mm256_fmadd_ps(_mm256_mul_ps(value, gate), by, beta)
                });
            }
        }
        fence::<STREAM>();
    }
    check();
    aligned::<STREAM>(y);
    assert!(args.x.len() == y.len() && y.len().is_multiple_of(GROUP * args.d) && args.d.is_multiple_of(8));
    assert!(args.gamma.len() >= CHANNELS && args.beta.len() >= CHANNELS && args.v.len() >= CHANNELS);
    // SAFETY: checked.
    unsafe { run::<U, STREAM>(args, y) }
}
