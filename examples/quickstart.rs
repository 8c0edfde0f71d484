//! Text → machine code → call, on one page.

const TEXT: &str = "
/// Softmax over the last axis, as in the textbook, at a temperature.
kernel attention_weights(x: f32[.., d], tau: f32 = 1.0) -> f32[.., d] {
    softmax[d](x / tau)
}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let module = act::compile(TEXT)?;
    let kernel = module.kernel("attention_weights")?;

    let x: Vec<f32> = (0..4 * 6).map(|i| (i * 37 % 24) as f32 * 8.0 - 96.0).collect();
    let mut y = vec![0.0f32; x.len()];

    // By name: dimensions are bound from the shapes and checked.
    kernel
        .bind()
        .input("x", act::view(&x, [4, 6]))
        .set("tau", 20.0)
        .output("y", act::view_mut(&mut y, [4, 6]))
        .run()?;
    for row in y.chunks(6) {
        println!("{row:.4?}  sum {:.6}", row.iter().sum::<f32>());
    }

    // By place, for hot paths: no allocation, no look-up of names.
    kernel.call(&[act::view(&x, [4, 6])], &mut [act::view_mut(&mut y, [4, 6])], &[20.0])?;

    // A shape that does not fit is an error that names the dimension.
    let error = kernel.call(&[act::view(&x, [4, 6])], &mut [act::view_mut(&mut y, [6, 4])], &[]).unwrap_err();
    println!("{error}");
    Ok(())
}
