//! Floats of 16 bits and integers of 8, through machine code, against other code: every value, and every place where rounding
//! or saturation might go wrong; arrays of them in C.

use std::fs;
use std::process::Command;

use act::emit::{self, ObjectOptions};
use act::types::small::{self, bf16_bits, f16_bits};
use act::{Kernel, Options, Tensor, view, view_mut};
use act_runtime::{bf16, f16};

use crate::aot;
use crate::subject::Numbers;

fn kernel(text: &str) -> Kernel {
    let module = act::compile_with(text, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    module.kernels()[0].clone()
}

fn results(kernel: &Kernel, inputs: &[act::TensorView<'_>]) -> Vec<Tensor> {
    kernel.run_alloc(inputs, &[]).expect("a good call")
}

/// Equal, or both NaN.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

#[test]
fn every_value_is_read_and_written() {
    let text = "kernel k(x: f16[n], y: bf16[n]) -> (a: f32[n], b: f32[n], c: f16[n], d: bf16[n]) {
        (a = x, b = y, c = x * 1, d = y * 1)
    }";
    let x: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let y: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    let found = results(&kernel(text), &[view(&x, [1 << 16]), view(&y, [1 << 16])]);
    let (a, b) = (found[0].as_slice::<f32>().expect("f32"), found[1].as_slice::<f32>().expect("f32"));
    let (c, d) = (found[2].as_slice::<f16>().expect("f16"), found[3].as_slice::<bf16>().expect("bf16"));
    for bits in 0..=u16::MAX {
        let at = usize::from(bits);
        assert!(same(a[at], x[at].to_f32()), "f16 {bits:#x} is {:e}", a[at]);
        assert!(same(b[at], y[at].to_f32()), "bf16 {bits:#x} is {:e}", b[at]);
        assert!(c[at].to_bits() == bits || x[at].is_nan() && c[at].is_nan(), "f16 {bits:#x}: {:#x}", c[at]);
        assert!(d[at].to_bits() == bits || y[at].is_nan() && d[at].is_nan(), "bf16 {bits:#x}: {:#x}", d[at]);
    }
}

/// For each value of either format: itself, the middle to the next, and what lies beside them in `f64`.
fn hard_numbers() -> Vec<f64> {
    let mut numbers = Vec::new();
    for bits in 0..=u16::MAX {
        for value in [small::f16_value, small::bf16_value] {
            let (low, high) = (value(bits), value(bits.wrapping_add(1)));
            for x in [low, low / 2.0 + high / 2.0] {
                let bits = x.to_bits();
                numbers.extend([
                    x,
                    f64::from_bits(bits.wrapping_sub(1)),
                    f64::from_bits(bits.wrapping_add(1)),
                ]);
            }
        }
    }
    numbers.extend([65519.99, 65520.0, 65520.01, 3.4e38, 3.39e38, 1e39, 1e300, 5e-324, 2f64.powi(-150)]);
    let mut random = Numbers::new(3);
    numbers.extend((0..1 << 16).map(|_| {
        let bits = random.below(1 << 31) << 33 | random.below(1 << 31) << 2 | random.below(4);
        // Mostly of exponents that the formats have.
        let exponent = 1023 - 160 + random.below(320);
        if random.below(8) == 0 {
            f64::from_bits(bits)
        } else {
            f64::from_bits(bits & !(0x7ff << 52) | exponent << 52)
        }
    }));
    numbers
}

#[test]
fn rounding_happens_once() {
    let text = |dtype: &str| {
        format!(
            "kernel k(x: {dtype}[n]) -> (a: f16[n], b: bf16[n], c: f64[n], d: f64[n]) {{
                (a = f16(x), b = bf16(x), c = f16(x), d = bf16(x))
            }}"
        )
    };
    let wide = hard_numbers();
    let narrow: Vec<f32> = wide.iter().map(|&x| x as f32).collect();
    let widened: Vec<f64> = narrow.iter().map(|&x| f64::from(x)).collect();
    let calls = [
        (results(&kernel(&text("f64")), &[view(&wide, [wide.len()])]), &wide),
        (results(&kernel(&text("f32")), &[view(&narrow, [narrow.len()])]), &widened),
    ];
    for (found, inputs) in calls {
        let (a, b) = (found[0].as_slice::<f16>().expect("f16"), found[1].as_slice::<bf16>().expect("bf16"));
        let (c, d) = (found[2].as_slice::<f64>().expect("f64"), found[3].as_slice::<f64>().expect("f64"));
        for (at, &x) in inputs.iter().enumerate() {
            if x.is_nan() {
                assert!(a[at].is_nan() && b[at].is_nan() && c[at].is_nan() && d[at].is_nan(), "{at}");
                continue;
            }
            assert_eq!(a[at].to_bits(), f16_bits(x), "f16 of {x:e}");
            assert_eq!(b[at].to_bits(), bf16_bits(x), "bf16 of {x:e}");
            if f64::from(x as f32) == x {
                assert_eq!(a[at], f16::from_f32(x as f32), "f16 of {x:e}");
                assert_eq!(b[at], bf16::from_f32(x as f32), "bf16 of {x:e}");
            }
            // On the way, too.
            assert_eq!(c[at].to_bits(), small::f16_value(f16_bits(x)).to_bits(), "f16 of {x:e}");
            assert_eq!(d[at].to_bits(), small::bf16_value(bf16_bits(x)).to_bits(), "bf16 of {x:e}");
        }
    }
}

#[test]
fn integers_saturate() {
    let text = "kernel k(x: f32[n], k: i32[n]) -> (a: i8[n], b: u8[n], c: i8[n], d: u8[n]) {
        (a = i8(x), b = u8(x), c = i8(k), d = u8(k))
    }";
    let x = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        127.5,
        126.5,
        -128.5,
        -129.0,
        0.5,
        1.5,
        -0.5,
        255.5,
        254.5,
    ];
    let k = [0, i32::MAX, i32::MIN, 127, 128, -128, -129, 255, 256, -1, 1, 200];
    let found = results(&kernel(text), &[view(&x, [12]), view(&k, [12])]);
    assert_eq!(found[0].as_slice(), Some(&[0i8, 127, -128, 127, 126, -128, -128, 0, 2, 0, 127, 127][..]));
    assert_eq!(found[1].as_slice(), Some(&[0u8, 255, 0, 128, 126, 0, 0, 0, 2, 0, 255, 254][..]));
    assert_eq!(found[2].as_slice(), Some(&[0i8, 127, -128, 127, 127, -128, -128, 127, 127, -1, 1, 127][..]));
    assert_eq!(found[3].as_slice(), Some(&[0u8, 255, 0, 127, 128, 0, 0, 255, 255, 0, 1, 200][..]));
}

/// The arithmetic of a kernel that is generic in its dtype is in f32: literals are not rounded to 16 bits.
#[test]
fn literals_meet_f32() {
    let text = "kernel k<T: float = bf16>(x: T[n]) -> (y: T[n], z: f32[n]) { (y = x * 0.1, z = x * 0.1) }";
    for (dtype, option) in [("bf16", act::DType::BF16), ("f16", act::DType::F16), ("f32", act::DType::F32)] {
        let options = Options { dtypes: vec![("T".to_owned(), option)], ..Options::default() };
        let module = act::compile_with(text, &options).unwrap_or_else(|error| panic!("{error}"));
        let kernel = module.kernel("k").expect("the kernel");
        let mut z = [0f32; 1];
        let one = [1f32];
        let (half, brain) = ([f16::from_f32(1.0)], [bf16::from_f32(1.0)]);
        let (mut half_y, mut brain_y, mut y) = ([f16::ZERO], [bf16::ZERO], [0f32]);
        let (input, output) = match option {
            act::DType::F16 => (view(&half, [1]), view_mut(&mut half_y, [1])),
            act::DType::BF16 => (view(&brain, [1]), view_mut(&mut brain_y, [1])),
            _ => (view(&one, [1]), view_mut(&mut y, [1])),
        };
        kernel.call(&[input], &mut [output, view_mut(&mut z, [1])], &[]).expect("a good call");
        assert_eq!(z, [0.1f32], "{dtype}");
    }
}

/// 16 bits are `uint16_t` in C, also for a number; what is left out has its default.
#[test]
fn called_from_c() {
    let host = act::Target::named("v3").expect("a level");
    if !host.runs_here() {
        println!("skipped dtypes::called_from_c: this machine is not x86-64-v3");
        return;
    }
    let text =
        "kernel small(x: bf16[n, d], w: f16[d] = 1.5, q: i8[d] = -7, u: u8[d], a: bf16 = 0.5, k: i8 = -2)
        -> (y: bf16[n, d], z: i8[n, d], s: u8) {
        (y = x * w * a + q, z = i8(x + q * k), s = u8(sum[d](i32(u))))
    }";
    let kernels = aot::compiled(text, host);
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    fs::write(path("kernels.o"), emit::object(&kernels, &ObjectOptions::default()).expect("an object file"))
        .expect("written");
    let header = emit::header(&kernels, &ObjectOptions::default());
    aot::snapshot("small.h", &header);
    fs::write(path("kernels.h"), header).expect("written");
    if !aot::build(dir.path(), &aot::suite("small.c")) {
        println!("skipped dtypes::called_from_c: there is no C compiler `cc` on this machine");
        return;
    }
    let output = Command::new(path("main")).output().expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    aot::snapshot("small", &String::from_utf8_lossy(&output.stdout));
}
