//! The front door: text in, kernels of this process out.

use std::io::Read as _;
use std::path::Path;

use act_runtime::Module;

use crate::diag::{Diagnostics, FileId, Source, Sources, render};
use crate::emit::{self, CompiledKernel, EmitError};
use crate::pipeline::{self, Blind, CompileError, Options};
use crate::syntax::MAX_FILE;
use crate::syntax::uses::{self, Loader};

/// Why a text does not become kernels, or a call not results. Displays as the compiler's messages, with the places in the
/// text.
#[derive(Debug)]
pub enum Error {
    /// Mistakes in the text.
    Text {
        /// What is wrong, with places in `sources`.
        diagnostics: Diagnostics,
        /// The text.
        sources: Sources,
    },
    /// The file can't be read; its name and why.
    File(String),
    /// This machine or the target can't run the kernels; in a sentence.
    Target(String),
    /// A kernel that is not there, or a call that does not fit; for programs that have one error type for both.
    Call(act_runtime::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Text { diagnostics, sources } => {
                f.write_str(render(diagnostics, sources, false).trim_end())
            }
            Error::File(message) | Error::Target(message) => f.write_str(message),
            Error::Call(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<EmitError> for Error {
    fn from(error: EmitError) -> Error {
        Error::Target(error.message)
    }
}

impl From<act_runtime::Error> for Error {
    fn from(error: act_runtime::Error) -> Error {
        Error::Call(error)
    }
}

/// Compiles every kernel of a text for this machine. Warnings are dropped.
pub fn compile(text: &str) -> Result<Module, Error> {
    compile_with(text, &Options::default())
}

/// The same with options.
pub fn compile_with(text: &str, options: &Options) -> Result<Module, Error> {
    compile_named("kernel.act", text, options)
}

/// The same for a text with a name, which messages show.
pub fn compile_named(name: &str, text: &str, options: &Options) -> Result<Module, Error> {
    let mut sources = Sources::new();
    let file = sources.add(Source::new(name, text));
    let kernels = compile_sources(sources, file, options)?;
    Ok(emit::jit::load(kernels)?.with_threads(options.threads))
}

/// Compiles every kernel of a file for this machine, with the files that it uses.
pub fn compile_file(path: impl AsRef<Path>, options: &Options) -> Result<Module, Error> {
    let name = path.as_ref().display().to_string();
    compile_files(&name, options, &mut |path| read(path).map_err(|error| error.to_string()))
}

/// Reads a file, or a little more of it than a file may have.
fn read(path: &str) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// The same for texts that are had in another way, such as by `include_str!`: `loader` gives the text of a path, first that
/// of `name`. A path in `use "path";` is taken from the folder of the file that says so.
///
/// ```
/// let module = act::compile_files("net/main.act", &act::Options::default(), &mut |path| match path {
///     "net/main.act" => Ok("use \"shared/scale.act\"; kernel k(x: f32[..]) -> f32[..] { scaled(x) }".into()),
///     "net/shared/scale.act" => Ok("fn scaled(x) = 2 * x;".into()),
///     other => Err(format!("there is no {other}")),
/// })?;
/// assert_eq!(module.kernels().len(), 1);
/// # Ok::<(), act::Error>(())
/// ```
pub fn compile_files(name: &str, options: &Options, loader: &mut Loader<'_>) -> Result<Module, Error> {
    let text = loader(name).map_err(|reason| Error::File(format!("{name}: {reason}")))?;
    let mut sources = Sources::new();
    let file = sources.add(Source::new(name, text));
    uses::load(&mut sources, file, loader);
    let kernels = compile_sources(sources, file, options)?;
    Ok(emit::jit::load(kernels)?.with_threads(options.threads))
}

/// Compiles every kernel of a text for any machine: what [`emit::object()`] makes an object file of.
pub fn compile_kernels(name: &str, text: &str, options: &Options) -> Result<Vec<CompiledKernel>, Error> {
    let mut sources = Sources::new();
    let file = sources.add(Source::new(name, text));
    let kernels = compile_sources(sources, file, options)?;
    let complete = kernels.into_iter().map(CompiledKernel::complete).collect::<Result<_, _>>();
    complete.map_err(|error| Error::Target(error.message))
}

fn compile_sources(sources: Sources, file: FileId, options: &Options) -> Result<Vec<CompiledKernel>, Error> {
    match pipeline::compile(&sources, file, options, &mut Blind) {
        Ok((kernels, _)) => Ok(kernels),
        Err(CompileError::Text(diagnostics)) => Err(Error::Text { diagnostics, sources }),
        Err(CompileError::Target(error)) => Err(Error::Target(error.message)),
    }
}
