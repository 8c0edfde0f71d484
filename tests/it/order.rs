//! Scans and order operations on numbers where they are hard: ties, NaN, zeros of both signs, `k` outside the size, rows that fill no
//! group. Small whole numbers, so that every order of summation gives the same; on all engines.

use act::loops::interp::Array;

use crate::engines::same_bits;
use crate::inputs::{Input, root};
use crate::subject::{Data, subjects, value};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// Whether two numbers are the same, zeros of both signs apart and NaN alike.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

fn f32s(values: &[f64]) -> Array {
    Array::from(values.iter().map(|&x| x as f32).collect::<Vec<f32>>())
}

/// The results of the one kernel in a text: machine code and the interpreter agree on the bits, the evaluator on the numbers.
fn run(text: &str, sizes: &[i64], args: Vec<Array>) -> Vec<Vec<f64>> {
    let input = Input { path: root().join("order.act"), name: "order".to_owned(), text: text.to_owned() };
    let subject = subjects(&input).remove(0);
    let data = Data { sizes: sizes.to_vec(), args };
    let (found, exact) = (same_bits(&subject, &data), subject.exact(&data));
    let mut results = Vec::new();
    for (number, array) in found.iter().enumerate() {
        let dtype = subject.source.results[number].0.dtype;
        let values: Vec<f64> = array.bits.iter().map(|&bits| value(dtype, bits)).collect();
        for (value, exact) in values.iter().zip(&exact[number]) {
            let exact = exact.to_f64();
            assert!(
                *value == exact || value.is_nan() && exact.is_nan(),
                "{text}\n{values:?}, exactly {exact}"
            );
        }
        results.push(values);
    }
    results
}

fn check(text: &str, sizes: &[i64], args: Vec<Array>, wanted: &[&[f64]]) {
    let found = run(text, sizes, args);
    for (found, wanted) in found.iter().zip(wanted) {
        let alike = found.len() == wanted.len() && found.iter().zip(*wanted).all(|(a, b)| same(*a, *b));
        assert!(alike, "{text}\n  found {found:?}\n wanted {wanted:?}");
    }
}

/// Small whole numbers.
fn wholes(count: usize) -> Vec<f64> {
    (0..count).map(|at| ((at * 7 + 3) % 11) as f64 - 5.0).collect()
}

#[test]
fn scans_of_rows_of_any_length() {
    for length in [0usize, 1, 2, 15, 16, 17, 31, 32, 33, 50, 64] {
        let x = wholes(length);
        for reverse in [false, true] {
            for exclusive in [false, true] {
                for (name, start, combine) in [
                    ("cumsum", 0.0, (|a, b| a + b) as fn(f64, f64) -> f64),
                    ("cummax", -INF, |a, b| if b > a { b } else { a }),
                ] {
                    let mut wanted = vec![0.0; length];
                    let mut state: f64 = start;
                    for number in 0..length {
                        let at = if reverse { length - 1 - number } else { number };
                        let next = combine(state, x[at]);
                        wanted[at] = if exclusive { state } else { next };
                        state = next;
                    }
                    let call = format!("{name}[t](x, reverse = {reverse}, exclusive = {exclusive})");
                    let sizes = [length as i64];
                    let text = format!("kernel k(x: f32[t]) -> f32[t] {{ {call} }}");
                    check(&text, &sizes, vec![f32s(&x)], &[&wanted]);
                    // The same as a column, beside one of zeros.
                    let text = format!("kernel k(x: f32[t, d]) -> f32[t, d] {{ {call} }}");
                    let wide: Vec<f64> = x.iter().flat_map(|&x| [x, x]).collect();
                    let wanted: Vec<f64> = wanted.iter().flat_map(|&x| [x, x]).collect();
                    check(&text, &[length as i64, 2], vec![f32s(&wide)], &[&wanted]);
                }
            }
        }
    }
}

#[test]
fn scans_of_what_is_hard() {
    let sum = "kernel k(x: f32[t]) -> f32[t] { cumsum[t](x) }";
    // An element that is not there takes no part: -0 stays.
    check(sum, &[3], vec![f32s(&[-0.0, -0.0, 1.0])], &[&[-0.0, -0.0, 1.0]]);
    check(sum, &[4], vec![f32s(&[1.0, NAN, 2.0, INF])], &[&[1.0, NAN, NAN, NAN]]);
    let before = "kernel k(x: f32[t]) -> f32[t] { cumprod[t](x, exclusive = true) }";
    check(before, &[4], vec![f32s(&[2.0, 3.0, 0.0, NAN])], &[&[1.0, 2.0, 6.0, 0.0]]);
    let mut x = wholes(40);
    x[20] = NAN;
    let wanted: Vec<f64> =
        (0..40).map(|at| if at < 20 { if at < 2 { [-2.0, 5.0][at] } else { 5.0 } } else { NAN }).collect();
    check("kernel k(x: f32[t]) -> f32[t] { cummax[t](x) }", &[40], vec![f32s(&x)], &[&wanted]);
    let fixed = "kernel k(x: f32[i=4]) -> f32[i=4] { cumsum[i](x, reverse = true, exclusive = true) }";
    check(fixed, &[4], vec![f32s(&[1.0, 2.0, 3.0, 4.0])], &[&[9.0, 7.0, 4.0, 0.0]]);
    let counts = "kernel k(x: i32[t]) -> i32[t] { cumsum[t](x) }";
    check(
        counts,
        &[3],
        vec![Array::from(vec![i32::MAX, 1, 1])],
        &[&[2147483647.0, -2147483648.0, -2147483647.0]],
    );
}

#[test]
fn largest_elements() {
    let text = "kernel k(x: f32[d], k: i32) -> (y: f32[], m: bool[d]) { (y = kth_largest[d](x, k), m = topk_mask[d](x, k)) }";
    let text = &text.replace("f32[]", "f32");
    let with = |x: &[f64], k: i32| vec![f32s(x), Array::from(vec![k])];
    let x = [2.0, -1.0, 2.0, 0.0, 5.0, 2.0];
    check(text, &[6], with(&x, 1), &[&[5.0], &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]]);
    // Of equal elements the first ones.
    check(text, &[6], with(&x, 3), &[&[2.0], &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]]);
    check(text, &[6], with(&x, 6), &[&[-1.0], &[1.0; 6]]);
    // Outside the size: the nearest inside.
    check(text, &[6], with(&x, 0), &[&[5.0], &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]]);
    check(text, &[6], with(&x, 7), &[&[-1.0], &[1.0; 6]]);
    // NaN above infinity, and zeros alike.
    let x = [INF, NAN, -0.0, 0.0, NAN, -INF];
    check(text, &[6], with(&x, 1), &[&[NAN], &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]]);
    check(text, &[6], with(&x, 3), &[&[INF], &[1.0, 1.0, 0.0, 0.0, 1.0, 0.0]]);
    check(text, &[6], with(&x, 4), &[&[0.0], &[1.0, 1.0, 1.0, 0.0, 1.0, 0.0]]);
    check(text, &[6], with(&x, 6), &[&[-INF], &[1.0; 6]]);
    check(text, &[0], with(&[], 1), &[&[NAN], &[]]);
}

#[test]
fn largest_elements_of_other_types_and_forms() {
    let integers = "kernel k(x: i32[d]) -> i32 { kth_largest[d](x, 2) }";
    check(integers, &[4], vec![Array::from(vec![-7, i32::MIN, 3, i32::MAX])], &[&[3.0]]);
    let wide = "kernel k(x: f64[d], k: i32) -> f64 { kth_largest[d](x, k) }";
    let x = vec![1e300, -1e-300, 4.9e-324, NAN];
    for (k, wanted) in [(1, NAN), (2, 1e300), (3, 4.9e-324), (4, -1e-300)] {
        check(wide, &[4], vec![Array::from(x.clone()), Array::from(vec![k])], &[&[wanted]]);
    }
    let columns = "kernel k(x: f32[d, n], k: i32) -> f32[n] { kth_largest[d](x, k) }";
    let x = [1.0, -2.0, 3.0, NAN, 2.0, -2.0];
    check(columns, &[3, 2], vec![f32s(&x), Array::from(vec![2])], &[&[2.0, -2.0]]);
    let fixed = "kernel k(x: f32[i=5], k: i32) -> (a: f32, b: f32, m: bool[i=5]) {
        (a = kth_largest[i](x, 2), b = kth_largest[i](x, k), m = topk_mask[i](x, 3))
    }";
    let args = || vec![f32s(&[1.0, NAN, 3.0, 1.0, -1.0]), Array::from(vec![5])];
    check(fixed, &[5], args(), &[&[3.0], &[-1.0], &[1.0, 1.0, 1.0, 0.0, 0.0]]);
}

#[test]
fn sorted_elements() {
    let text = "kernel k(x: f32[i=7]) -> f32[i=7] { sort[i](x) }";
    let x = [3.0, NAN, -INF, 0.5, INF, -2.0, 3.0];
    check(text, &[7], vec![f32s(&x)], &[&[-INF, -2.0, 0.5, 3.0, 3.0, INF, NAN]]);
    for size in [1usize, 2, 3, 8, 33, 64] {
        let text = format!("kernel k(x: f32[i={size}]) -> f32[i={size}] {{ sort[i](x) }}");
        let x = wholes(size);
        let mut wanted = x.clone();
        wanted.sort_by(f64::total_cmp);
        check(&text, &[size as i64], vec![f32s(&x)], &[&wanted]);
    }
}
