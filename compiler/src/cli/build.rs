//! `actc build`: kernels compiled ahead of time, into an object file and what a program needs to call it.

use std::path::{Path, PathBuf};

use act::emit::{self, ObjectOptions};
use act::pipeline::Blind;
use act::{Accuracy, DType, Normalizer, Options, Target};

use super::engine::Backend;
use super::files::{Staged, commit};
use super::source::Text;
use super::{Failure, Outcome, Session, inputs};

/// What may be given to `actc build`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  actc build kernels.act -o kernels.o --header kernels.h        for C and everything that speaks it
  actc build kernels.act -o kernels.o --rust kernels.rs         for Rust, with the crate actlang-runtime
  actc build kernels.act -o kernels.o --target x86_64-unknown-linux-gnu --cpu v3")]
pub struct Args {
    /// A file of kernels; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The object file
    #[arg(short, value_name = "OUT.o")]
    output: PathBuf,
    /// Also writes a C header; beside the object file if no name is given
    #[arg(long, value_name = "OUT.h")]
    header: Option<Option<PathBuf>>,
    /// Also writes a Rust file; beside the object file if no name is given
    #[arg(long, value_name = "OUT.rs")]
    rust: Option<Option<PathBuf>>,
    /// Only this kernel of the file
    #[arg(short, long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// The size of a dimension parameter of the kernels
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = inputs::dim)]
    dims: Vec<(String, i64)>,
    /// The dtype of a dtype parameter of the kernels
    #[arg(long = "dtype", value_name = "NAME=DTYPE", value_parser = inputs::dtype)]
    dtypes: Vec<(String, DType)>,
    /// The platform, as x86_64-unknown-linux-gnu; this one if it is not given
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// The lowest CPU that the code shall run on: x86-64-v3, x86-64-v4 (v3, v4), or host
    #[arg(long, value_name = "CPU", value_parser = super::target, default_value = "x86-64-v3")]
    cpu: Target,
    #[command(flatten)]
    backend: Backend,
    /// How maxima and the sums of exponentials that they shift are computed: auto, reload, recompute, online, two_pass
    #[arg(long, value_name = "WAY", default_value = "auto", value_parser = super::normalizer)]
    normalizer: Normalizer,
    /// How accurate functions of single places are: default, or strict: to the last digits of the result
    #[arg(long, value_name = "CLASS", default_value = "default", value_parser = super::accuracy_class)]
    accuracy: Accuracy,
    /// Trust callers not to have changed rounding or the handling of subnormals, and don't look
    #[arg(long)]
    assume_default_fp: bool,
}

/// Compiles all kernels, then writes all files or none.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let target = match &args.target {
        Some(triple) => args.cpu.on_platform(triple)?,
        None => args.cpu.clone(),
    };
    let text = Text::read(&args.file)?;
    let options = Options {
        target,
        dims: args.dims.clone(),
        dtypes: args.dtypes.clone(),
        kernel: args.kernel.clone(),
        engine: args.backend.engine(),
        normalizer: args.normalizer,
        accuracy: args.accuracy,
        ..Options::default()
    };
    let kernels = text.compile(&options, &mut Blind, session)?;
    let kernels: Result<Vec<_>, _> = kernels.into_iter().map(emit::CompiledKernel::complete).collect();
    let kernels = kernels.map_err(|error| Failure::Message(error.to_string()))?;
    let choice = ObjectOptions { assume_default_fp: args.assume_default_fp };
    let object = emit::object(&kernels, &choice).map_err(|error| Failure::Message(error.to_string()))?;
    let mut staged = vec![Staged::new(&args.output, &object)?];
    if let Some(path) = &args.header {
        staged.push(Staged::new(
            &beside(path.as_deref(), &args.output, "h"),
            emit::header(&kernels, &choice).as_bytes(),
        )?);
    }
    if let Some(path) = &args.rust {
        staged.push(Staged::new(
            &beside(path.as_deref(), &args.output, "rs"),
            emit::rust_stub(&kernels).as_bytes(),
        )?);
    }
    commit(staged)
}

/// The path given, or that of the object file with another extension.
fn beside(path: Option<&Path>, object: &Path, extension: &str) -> PathBuf {
    path.map_or_else(|| object.with_extension(extension), Path::to_owned)
}
