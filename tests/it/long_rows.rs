//! Rows of 2^24 elements: what is promised of their sums and normalisers, on one thread and on several, which share the row.

use act::{Kernel, Tensor, view};

use crate::subject::Numbers;

const LEN: usize = 1 << 24;

/// Half a unit in the last place of 1.
const UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// Additions that an element goes through: steps of a block, folds of lanes, pairs of blocks.
const S: f64 = 256.0 + 24.0;

fn kernel(text: &str) -> Kernel {
    act::compile(text).unwrap_or_else(|error| panic!("{error}")).kernels()[0].clone()
}

/// Numbers between 0 and 1.
fn uniform(seed: u64) -> Vec<f32> {
    let mut numbers = Numbers::new(seed);
    (0..LEN).map(|_| numbers.below(1 << 24) as f32 / (1 << 24) as f32).collect()
}

/// The result on one thread, having looked whether four give the same bits.
fn run(kernel: &Kernel, x: &[f32]) -> Vec<f32> {
    let call = |threads| {
        let kernel = kernel.clone().with_threads(threads);
        let mut results: Vec<Tensor> = kernel.run_alloc(&[view(x, [x.len()])], &[]).expect("a good call");
        results.remove(0).as_slice::<f32>().expect("floats").to_vec()
    };
    let (one, four) = (call(1), call(4));
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    assert!(bits(&one) == bits(&four), "threads show in the bits");
    one
}

#[test]
fn sums_of_many_numbers() {
    let sum = kernel("kernel k(x: f32[d]) -> f32 { sum[d](x) }");
    for seed in 0..2 {
        let x = uniform(seed);
        let exact: f64 = x.iter().map(|&x| f64::from(x)).sum();
        let error = (f64::from(run(&sum, &x)[0]) - exact).abs() / exact;
        assert!(error < 5e-7, "off by {error:e}");
    }
    // Equal numbers, whose roundings all go the same way.
    let x = vec![0.1f32; LEN];
    let exact = f64::from(0.1f32) * LEN as f64;
    let error = (f64::from(run(&sum, &x)[0]) - exact).abs() / exact;
    assert!(error <= (S + 2.0) * UNIT, "off by {error:e}");
    // One large number first: the others must not be lost one by one.
    let mut x = vec![1f32; LEN];
    x[0] = 1e8;
    let exact = 1e8 + (LEN - 1) as f64;
    let error = (f64::from(run(&sum, &x)[0]) - exact).abs() / exact;
    assert!(error <= (S + 2.0) * UNIT, "off by {error:e}");
}

#[test]
fn softmax_of_many_logits() {
    let softmax = kernel("kernel k(x: f32[d]) -> f32[d] { softmax[d](x) }");
    for scale in [1.0, 40.0] {
        let x: Vec<f32> = uniform(7).into_iter().map(|x| (x - 0.5) * scale).collect();
        let y = run(&softmax, &x);
        let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let terms: Vec<f64> = x.iter().map(|&x| libm::exp(f64::from(x) - f64::from(most))).collect();
        let all: f64 = terms.iter().sum();
        let total: f64 = y.iter().map(|&y| f64::from(y)).sum();
        assert!((total - 1.0).abs() < 1e-6, "the row sums to {total}");
        for ((&x, &y), term) in x.iter().zip(&y).zip(&terms) {
            let exact = term / all;
            let allowed = (S + 6.0 + f64::from((x - most).abs())) * UNIT * exact;
            assert!((f64::from(y) - exact).abs() <= allowed, "{y:e} for {exact:e}, at {x}");
        }
    }
}

#[test]
fn other_statistics_of_many_numbers() {
    let x: Vec<f32> = uniform(3).into_iter().map(|x| x + 1000.0).collect();
    let exact: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let mean = exact.iter().sum::<f64>() / LEN as f64;
    let var = exact.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / LEN as f64;
    let found =
        |body: &str| f64::from(run(&kernel(&format!("kernel k(x: f32[d]) -> f32 {{ {body} }}")), &x)[0]);
    assert!((found("mean[d](x)") - mean).abs() <= (S + 2.0) * UNIT * mean);
    // The mean is off by S units of 1000, and its square is in the variance.
    let off = (S + 2.0) * UNIT * mean;
    assert!((found("var[d](x)") - var).abs() <= (S + 4.0) * UNIT * var + off * off);
    let norm = exact.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((found("norm2[d](x)") - norm).abs() <= (S + 2.0) * UNIT * norm);
    let largest = exact.iter().copied().fold(0.0, f64::max);
    let lse = largest + libm::log(exact.iter().map(|x| libm::exp(x - largest)).sum::<f64>());
    assert!((found("logsumexp[d](x)") - lse).abs() <= (S + 6.0) * UNIT * largest);
    assert!(found("max[d](x)") == largest);
}
