//! Compiles `softmax.act` to an object file and links it to the program. Beside it lies the Rust file that describes
//! its kernels to the runtime.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use act::{Options, Target, emit};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=softmax.act");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let level = Target::named("x86-64-v3").ok_or("there is no such level")?;
    let options = Options { target: level.on_platform(&env::var("TARGET")?)?, ..Options::default() };
    let kernels = act::compile_kernels("softmax.act", &fs::read_to_string("softmax.act")?, &options)?;

    let object = out.join("softmax.o");
    fs::write(&object, emit::object(&kernels, &emit::ObjectOptions::default())?)?;
    fs::write(out.join("softmax.rs"), emit::rust_stub(&kernels))?;
    println!("cargo::rustc-link-arg-bins={}", object.display());
    Ok(())
}
