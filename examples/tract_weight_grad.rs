//! TrAct: the gradient of a first layer as if its pre-activations were trained, G = dz^T X (X^T X / b + lambda I)^-1 (Petersen
//! et al., "TrAct: Making First-layer Pre-Activations Trainable", 2024).
//!
//! A program around kernels: the two products are kernels, the dense solve is Rust, a Cholesky factorisation in f64. (As one
//! kernel, with conjugate gradients in place of the factorisation: `kernels/learning/tract.act`.)

use act::{Error, Kernel};

const PRODUCTS: &str = "
/// X^T X / b + lambda I.
kernel gram(x: f32[b, i], lam: f64 = 0.1) -> f64[i, j = i] {
    let moment = mean[b](f64(x) * f64(x[i = index(j)]));
    if index(i) == index(j) { moment + lam } else { moment }
}

/// dz^T X.
kernel product(dz: f32[b, o], x: f32[b, i]) -> f64[o, i] { sum[b](f64(dz) * f64(x)) }
";

/// The kernels, compiled.
pub struct Tract {
    gram: Kernel,
    product: Kernel,
}

impl Tract {
    /// Compiles them.
    pub fn new() -> Result<Tract, Error> {
        let module = act::compile(PRODUCTS)?;
        Ok(Tract { gram: module.kernel("gram")?, product: module.kernel("product")? })
    }

    /// G, row-major `[outputs, inputs]`, for a batch of `dz: [batch, outputs]` and `x: [batch, inputs]`.
    pub fn weight_grad(
        &self,
        dz: &[f32],
        x: &[f32],
        [batch, outputs, inputs]: [usize; 3],
        lam: f64,
    ) -> Result<Vec<f64>, Error> {
        let mut gram = vec![0.0f64; inputs * inputs];
        self.gram.call(
            &[act::view(x, [batch, inputs])],
            &mut [act::view_mut(&mut gram, [inputs, inputs])],
            &[lam],
        )?;
        let mut grad = vec![0.0f64; outputs * inputs];
        self.product.call(
            &[act::view(dz, [batch, outputs]), act::view(x, [batch, inputs])],
            &mut [act::view_mut(&mut grad, [outputs, inputs])],
            &[],
        )?;
        factor(&mut gram, inputs);
        grad.chunks_exact_mut(inputs).for_each(|row| solve(&gram, inputs, row));
        Ok(grad)
    }
}

/// Overwrites the lower triangle of a symmetric positive definite matrix with its Cholesky factor.
fn factor(a: &mut [f64], n: usize) {
    for j in 0..n {
        for i in j..n {
            let inner: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - inner;
            a[i * n + j] = if i == j { rest.sqrt() } else { rest / a[j * n + j] };
        }
    }
}

/// Overwrites `b` with the solution of L L^T y = b.
fn solve(l: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        let inner: f64 = (0..i).map(|k| l[i * n + k] * b[k]).sum();
        b[i] = (b[i] - inner) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let inner: f64 = (i + 1..n).map(|k| l[k * n + i] * b[k]).sum();
        b[i] = (b[i] - inner) / l[i * n + i];
    }
}

fn main() -> Result<(), Error> {
    let (batch, outputs, inputs) = (6, 2, 3);
    let wave = |step: usize, i: usize| ((i * step) % 17) as f32 / 8.0 - 1.0;
    let x: Vec<f32> = (0..batch * inputs).map(|i| wave(5, i)).collect();
    let dz: Vec<f32> = (0..batch * outputs).map(|i| wave(3, i)).collect();
    let grad = Tract::new()?.weight_grad(&dz, &x, [batch, outputs, inputs], 0.1)?;
    grad.chunks(inputs).for_each(|row| println!("{row:.4?}"));
    Ok(())
}
