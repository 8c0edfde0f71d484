//! The limit: kernels written by hand with AVX2 and FMA, as a yardstick for what the compiler makes.
//!
//! The contract is that of the compiled kernels: the same class of accuracy, subnormal numbers kept, a NaN in the input
//! seen in the result, true divisions and square roots. Lengths of rows are multiples of 8. Every kernel comes with ordinary stores and with
//! ones that pass by the cache (`STREAM`; the result begins at a multiple of 32 bytes then), and in several unrollings.

mod elementwise;
mod math;
mod moments;
mod softmax;
mod vector;

pub use elementwise::{copy, copy_streaming};

/// What a kernel works on. Arrays that it doesn't use are empty.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    /// `[rows, d]`, or twice as long for the two halves of a gated unit.
    pub x: &'a [f32],
    /// `[d]`, or one number for each channel.
    pub gamma: &'a [f32],
    /// Likewise.
    pub beta: &'a [f32],
    /// Likewise.
    pub v: &'a [f32],
    /// Length of a row.
    pub d: usize,
}

/// A kernel: reads its arguments, writes the result.
pub type Kernel = fn(&Args<'_>, &mut [f32]);

/// The variants of the kernel of that name, each with its own; none if there is no such kernel.
pub fn variants(name: &str) -> &'static [(&'static str, Kernel)] {
    macro_rules! each {
        ($($module:ident::$kernel:ident),*; $($unroll:literal)*) => {
            each!(@ [$($module::$kernel),*] [$($unroll)*])
        };
        (@ [$($module:ident::$kernel:ident),*] $unrolls:tt) => {
            &[$(each!(@@ $module $kernel $unrolls)),*]
        };
        (@@ $module:ident $kernel:ident [$a:literal $b:literal]) => {
            [
                (concat!(stringify!($kernel), " x", $a), $module::$kernel::<$a, false> as Kernel),
                (concat!(stringify!($kernel), " x", $b), $module::$kernel::<$b, false> as Kernel),
                (concat!(stringify!($kernel), " x", $a, " streaming"), $module::$kernel::<$a, true> as Kernel),
                (concat!(stringify!($kernel), " x", $b, " streaming"), $module::$kernel::<$b, true> as Kernel),
            ]
        };
    }
    const fn flat<const N: usize>(
        groups: &'static [[(&'static str, Kernel); 4]; N],
    ) -> &'static [(&'static str, Kernel)] {
        groups.as_flattened()
    }
    match name {
        "relu" => flat(each!(elementwise::relu; 1 4)),
        "exp" => flat(each!(elementwise::exp; 1 4)),
        "silu" => flat(each!(elementwise::silu; 1 4)),
        "gelu" => flat(each!(elementwise::gelu; 1 4)),
        "tanh" => flat(each!(elementwise::tanh; 1 4)),
        "swiglu" => flat(each!(elementwise::swiglu; 1 4)),
        "softmax" => {
            flat(each!(softmax::reload, softmax::recompute, softmax::online, softmax::two_pass; 2 4))
        }
        "rms_norm" => flat(each!(moments::rms_norm; 2 4)),
        "layer_norm" => flat(each!(moments::layer_norm; 2 4)),
        "polynorm" => flat(each!(moments::polynorm; 2 4)),
        "evonorm_s0" => flat(each!(moments::evonorm_s0; 2 4)),
        _ => &[],
    }
}

/// Whether the machine can run them.
pub fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

/// Panics unless [`available`].
fn check() {
    assert!(available(), "the machine has AVX2 and FMA");
}
