//! Calls a kernel that was compiled when this program was built. At run time there is no compiler, only the runtime.
//!
//! `cargo run --manifest-path examples/aot/Cargo.toml`; `README.md` says how to call the same kernel from C.

use act_runtime::{view, view_mut};

mod kernels {
    include!(concat!(env!("OUT_DIR"), "/softmax.rs"));
}

fn main() -> Result<(), act_runtime::Error> {
    let softmax = kernels::softmax()?;
    let x = [1.0f32, 2.0, 3.0, 1000.0, 1000.0, 1000.0];
    let mut y = [0.0f32; 6];
    softmax.call(&[view(&x, [2, 3])], &mut [view_mut(&mut y, [2, 3])], &[])?;
    for row in y.chunks(3) {
        println!("{:.6} {:.6} {:.6}", row[0], row[1], row[2]);
    }
    Ok(())
}
