//! What is measured: kernels of `examples/kernels`, each with the loop that a person would write first.

#![expect(clippy::disallowed_methods, reason = "a person would write the functions of the standard library")]

use act::Kernel;

use crate::limit::{self, Args};

/// A kernel and what it is compared with.
pub struct Case {
    /// Its name in `limit::variants` and in the tables.
    pub name: &'static str,
    /// The text.
    pub text: &'static str,
    /// What is given to it.
    pub inputs: Inputs,
    /// The loop that a person would write first.
    pub plain: limit::Kernel,
    /// How far results of the same contract may lie apart, relative to the largest.
    pub tolerance: f32,
}

/// Which arrays a kernel takes, by its shape.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// `x: [n]`.
    Elements,
    /// `x: [rows, d]`.
    Rows,
    /// `x: [rows, 2 d]`.
    Halves,
    /// `x: [rows, d], gamma: [d]`, and a second result `[rows]`.
    Scaled,
    /// `x: [rows, d], gamma: [d], beta: [d]`.
    Affine,
    /// `x: [rows, d], w: [3]`.
    Weighted,
    /// `x: [n, 64, 28, 28]` and three numbers for each channel; a row is a channel.
    Images,
}

macro_rules! text {
    ($file:literal) => {
        include_str!(concat!("../../examples/kernels/", $file))
    };
}

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "relu",
        text: "kernel relu(x: f32[..]) -> f32[..] { relu(x) }",
        inputs: Inputs::Elements,
        plain: |args, y| map(args, y, |x| x.max(0.0)),
        tolerance: 0.0,
    },
    Case {
        name: "exp",
        text: "kernel exp(x: f32[..]) -> f32[..] { exp(x) }",
        inputs: Inputs::Elements,
        plain: |args, y| map(args, y, f32::exp),
        tolerance: 1e-6,
    },
    Case {
        name: "tanh",
        text: "kernel tanh(x: f32[..]) -> f32[..] { tanh(x) }",
        inputs: Inputs::Elements,
        plain: |args, y| map(args, y, f32::tanh),
        tolerance: 1e-6,
    },
    Case {
        name: "silu",
        text: text!("silu.act"),
        inputs: Inputs::Elements,
        plain: |args, y| map(args, y, |x| x * sigmoid(x)),
        tolerance: 1e-6,
    },
    Case {
        name: "gelu",
        text: text!("gelu.act"),
        inputs: Inputs::Elements,
        plain: |args, y| {
            map(args, y, |x| {
                let wide = f64::from(x) * std::f64::consts::FRAC_1_SQRT_2;
                0.5 * x * (1.0 + libm::erf(wide) as f32)
            });
        },
        tolerance: 1e-6,
    },
    Case {
        name: "swiglu",
        text: text!("swiglu.act"),
        inputs: Inputs::Halves,
        plain: |args, y| {
            for (x, y) in args.x.chunks_exact(2 * args.d).zip(y.chunks_exact_mut(args.d)) {
                let (gates, values) = x.split_at(args.d);
                for ((y, gate), value) in y.iter_mut().zip(gates).zip(values) {
                    *y = gate * sigmoid(*gate) * value;
                }
            }
        },
        tolerance: 1e-6,
    },
    Case {
        name: "softmax",
        text: text!("softmax.act"),
        inputs: Inputs::Rows,
        plain: |args, y| {
            for (x, y) in args.x.chunks_exact(args.d).zip(y.chunks_exact_mut(args.d)) {
                let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                for (y, x) in y.iter_mut().zip(x) {
                    *y = (x - most).exp();
                }
                let sum: f32 = y.iter().sum();
                for y in y {
                    *y /= sum;
                }
            }
        },
        tolerance: 3e-6,
    },
    Case {
        name: "rms_norm",
        text: text!("rms_norm.act"),
        inputs: Inputs::Scaled,
        plain: |args, y| {
            for (x, y) in args.x.chunks_exact(args.d).zip(y.chunks_exact_mut(args.d)) {
                let squares: f32 = x.iter().map(|x| x * x).sum();
                let by = 1.0 / (squares / args.d as f32 + 1e-6).sqrt();
                for ((y, x), gamma) in y.iter_mut().zip(x).zip(args.gamma) {
                    *y = x * by * gamma;
                }
            }
        },
        tolerance: 1e-5,
    },
    Case {
        name: "layer_norm",
        text: text!("layer_norm.act"),
        inputs: Inputs::Affine,
        plain: |args, y| {
            for (x, y) in args.x.chunks_exact(args.d).zip(y.chunks_exact_mut(args.d)) {
                let mean = x.iter().sum::<f32>() / args.d as f32;
                let squares: f32 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
                let by = 1.0 / (squares / args.d as f32 + 1e-5).sqrt();
                for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(args.gamma).zip(args.beta) {
                    *y = (x - mean) * by * gamma + beta;
                }
            }
        },
        tolerance: 1e-5,
    },
    Case {
        name: "polynorm",
        text: text!("polynorm.act"),
        inputs: Inputs::Weighted,
        plain: |args, y| {
            for (x, y) in args.x.chunks_exact(args.d).zip(y.chunks_exact_mut(args.d)) {
                let scale = |power: i32| {
                    let squares: f32 = x.iter().map(|x| x.powi(power).powi(2)).sum();
                    1.0 / (squares / args.d as f32 + 1e-6).sqrt()
                };
                let by = [3, 2, 1].map(|power| args.gamma[3 - power as usize] * scale(power));
                for (y, x) in y.iter_mut().zip(x) {
                    *y = ((by[0] * x + by[1]) * x + by[2]) * x;
                }
            }
        },
        tolerance: 1e-5,
    },
    Case {
        name: "evonorm_s0",
        text: text!("evonorm_s0.act"),
        inputs: Inputs::Images,
        plain: |args, y| {
            let size = 2 * args.d;
            for (number, (x, y)) in args.x.chunks_exact(size).zip(y.chunks_exact_mut(size)).enumerate() {
                let mean = x.iter().sum::<f32>() / size as f32;
                let squares: f32 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
                let by = 1.0 / (squares / size as f32 + 1e-5).sqrt();
                for (at, (y, x)) in y.iter_mut().zip(x).enumerate() {
                    let channel = (number * 2 + at / args.d) % 64;
                    let gate = sigmoid(args.v[channel] * x);
                    *y = x * gate * by * args.gamma[channel] + args.beta[channel];
                }
            }
        },
        tolerance: 1e-5,
    },
];

fn map(args: &Args<'_>, y: &mut [f32], f: impl Fn(f32) -> f32) {
    for (y, x) in y.iter_mut().zip(args.x) {
        *y = f(*x);
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Arrays at multiples of 64 bytes, with room for the largest shape.
pub struct Arrays {
    x: Vec<Line>,
    y: Vec<Line>,
    small: Vec<Line>,
    rows: Vec<f32>,
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

fn lines(count: usize, mut value: impl FnMut() -> f32) -> Vec<Line> {
    (0..count.div_ceil(16)).map(|_| Line(std::array::from_fn(|_| value()))).collect()
}

impl Arrays {
    /// For results of that many elements: numbers around 0, most of them between -4 and 4.
    pub fn new(elements: usize) -> Arrays {
        let mut state = 1u64;
        let mut normal = move || {
            let mut uniform = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 24) as f32
            };
            3.0 * ((0..4).map(|_| uniform()).sum::<f32>() - 2.0)
        };
        let x = lines(2 * elements, &mut normal);
        let y = lines(elements, || 0.0);
        let small = lines(elements.max(64), || 0.5 + normal().abs() / 4.0);
        Arrays { x, y, small, rows: vec![0.0; elements] }
    }

    /// A kernel at a shape: what compiled and hand-written code work on.
    pub fn at(&mut self, inputs: Inputs, rows: usize, d: usize) -> Work<'_> {
        let n = rows * d;
        let read = if inputs == Inputs::Halves { 2 * n } else { n };
        let small = self.small.as_flattened_floats();
        let args = Args {
            x: &self.x.as_flattened_floats()[..read],
            gamma: small,
            beta: &small[16..],
            v: &small[32..],
            d,
        };
        Work {
            inputs,
            args,
            rows,
            y: &mut self.y.as_flattened_floats_mut()[..n],
            per_row: &mut self.rows[..rows],
        }
    }
}

/// Lines as numbers.
trait Floats {
    fn as_flattened_floats(&self) -> &[f32];
    fn as_flattened_floats_mut(&mut self) -> &mut [f32];
}

impl Floats for Vec<Line> {
    fn as_flattened_floats(&self) -> &[f32] {
        // SAFETY: a line is sixteen numbers without padding.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), 16 * self.len()) }
    }

    fn as_flattened_floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: likewise.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), 16 * self.len()) }
    }
}

/// A kernel at a shape.
pub struct Work<'a> {
    inputs: Inputs,
    args: Args<'a>,
    rows: usize,
    /// The result.
    pub y: &'a mut [f32],
    per_row: &'a mut [f32],
}

impl Work<'_> {
    /// Calls the compiled kernel.
    pub fn ours(&mut self, kernel: &Kernel) {
        let Work { inputs, args, rows, y, per_row } = self;
        let (rows, d) = (*rows, args.d);
        let (x, gamma, beta) = (args.x, args.gamma, args.beta);
        let shape = [rows, d];
        let call = match inputs {
            Inputs::Elements => {
                kernel.call(&[act::view(x, [x.len()])], &mut [act::view_mut(y, [rows * d])], &[])
            }
            Inputs::Rows => kernel.call(&[act::view(x, shape)], &mut [act::view_mut(y, shape)], &[]),
            Inputs::Halves => {
                kernel.call(&[act::view(x, [rows, 2 * d])], &mut [act::view_mut(y, shape)], &[])
            }
            Inputs::Scaled => kernel.call(
                &[act::view(x, shape), act::view(&gamma[..d], [d])],
                &mut [act::view_mut(y, shape), act::view_mut(per_row, [rows])],
                &[],
            ),
            Inputs::Affine => kernel.call(
                &[act::view(x, shape), act::view(&gamma[..d], [d]), act::view(&beta[..d], [d])],
                &mut [act::view_mut(y, shape)],
                &[],
            ),
            Inputs::Weighted => kernel.call(
                &[act::view(x, shape), act::view(&gamma[..3], [3])],
                &mut [act::view_mut(y, shape)],
                &[],
            ),
            Inputs::Images => {
                let shape = [rows / 64, 64, 28, 28];
                let (v, gamma, beta) = (&args.v[..64], &gamma[..64], &beta[..64]);
                let channels = [act::view(v, [64]), act::view(gamma, [64]), act::view(beta, [64])];
                let [v, gamma, beta] = channels;
                kernel.call(&[act::view(x, shape), v, gamma, beta], &mut [act::view_mut(y, shape)], &[])
            }
        };
        call.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Panics unless the hand-written kernels compute what the compiled one does.
    pub fn check(&mut self, case: &Case, kernel: &Kernel) {
        self.ours(kernel);
        let ours = self.y.to_vec();
        let largest = ours.iter().fold(0f32, |most, y| most.max(y.abs()));
        for &(name, variant) in limit::variants(case.name) {
            self.theirs(variant);
            let apart = ours.iter().zip(&*self.y).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(apart <= case.tolerance * largest, "{name}: {apart} of {largest} from {}", case.name);
        }
    }

    /// Calls a hand-written one.
    pub fn theirs(&mut self, kernel: limit::Kernel) {
        kernel(&self.args, self.y);
    }
}
