//! Loads, stores and folds of eight numbers. The unsafe part of the yardstick.

use std::arch::x86_64::*;

/// Eight numbers.
pub type V = __m256;

/// `s[i..i + 8]`.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn load(s: &[f32], i: usize) -> V {
    debug_assert!(i + 8 <= s.len());
    // SAFETY: every kernel checks the lengths of its arrays against what it loops over; the debug build asserts it.
    unsafe { _mm256_loadu_ps(s.as_ptr().add(i)) }
}

/// `s[i..i + 8] = v`; with `STREAM` past the cache: the place begins at a multiple of 32 bytes.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn store<const STREAM: bool>(s: &mut [f32], i: usize, v: V) {
    debug_assert!(i + 8 <= s.len());
    // SAFETY: as in `load`; `aligned` has checked the alignment of what is streamed to.
    unsafe {
        let at = s.as_mut_ptr().add(i);
        if STREAM { _mm256_stream_ps(at, v) } else { _mm256_storeu_ps(at, v) }
    }
}

/// Panics unless a result may be streamed to, if it is.
pub fn aligned<const STREAM: bool>(y: &[f32]) {
    assert!(!STREAM || y.as_ptr().addr().is_multiple_of(32), "the result begins at a multiple of 32 bytes");
}

/// Ends a kernel that has streamed.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn fence<const STREAM: bool>() {
    if STREAM {
        _mm_sfence();
    }
}

/// The same number eight times.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn splat(a: f32) -> V {
    _mm256_set1_ps(a)
}

/// The eight numbers.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn lanes(v: V) -> [f32; 8] {
    let mut lanes = [0.0; 8];
    // SAFETY: there is room for eight.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), v) };
    lanes
}

/// The sum of the eight.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn sum(v: V) -> f32 {
    let half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)))
}

/// The largest of the eight, if none is NaN.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn largest(v: V) -> f32 {
    let half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    let quarter = _mm_max_ps(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(_mm_max_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)))
}

/// The sum of several.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn total<const U: usize>(parts: [V; U]) -> V {
    let mut all = parts[0];
    for part in &parts[1..] {
        all = _mm256_add_ps(all, *part);
    }
    all
}

/// `y[i..] = f(i)` for whole steps of `U` vectors below `n`, then for single vectors.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn fill<const U: usize, const STREAM: bool>(
    y: &mut [f32],
    from: usize,
    n: usize,
    f: impl Fn(usize) -> V,
) {
    let mut i = 0;
    while i + 8 * U <= n {
        let mut values = [splat(0.0); U];
        for (k, value) in values.iter_mut().enumerate() {
            *value = f(i + 8 * k);
        }
        for (k, value) in values.iter().enumerate() {
            store::<STREAM>(y, from + i + 8 * k, *value);
        }
        i += 8 * U;
    }
    while i < n {
        store::<STREAM>(y, from + i, f(i));
        i += 8;
    }
}

/// The sums, over all `i` below `n` in steps of eight, of what `f(i, sum)` makes of a sum.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn accumulate<const U: usize>(n: usize, start: V, f: impl Fn(usize, V) -> V) -> [V; U] {
    let mut sums = [start; U];
    let mut i = 0;
    while i + 8 * U <= n {
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum = f(i + 8 * k, *sum);
        }
        i += 8 * U;
    }
    while i < n {
        sums[0] = f(i, sums[0]);
        i += 8;
    }
    sums
}
