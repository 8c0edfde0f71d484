//! The C header of an object file: how its functions are called, in declarations and comments.

use std::fmt::Write;

use act_runtime::abi::{DType, DimKind, ParamDecl, ParamKind, Signature};
use act_runtime::small;
use act_runtime::{AxesText, SizeText};

use super::interface::{self, Argument, Role, arguments, c_type};
use super::{CompiledKernel, ObjectOptions, errors};

/// The header of the object file that [`object()`](super::object()) makes of these kernels with these options.
pub fn header(kernels: &[CompiledKernel], options: &ObjectOptions) -> String {
    let mut text = "/*\n * Kernels compiled ahead of time by actlang".to_owned();
    if let Some(code) = kernels.iter().flat_map(|kernel| &kernel.variants).next() {
        let _ = write!(text, ", for {} ({})", code.target, code.target.triple());
    }
    text.push_str(".\n * Made by a program: changes will be lost.\n");
    text.push_str(INTRODUCTION);
    text.push_str(if options.assume_default_fp { DEFAULT_FP } else { ANY_FP });
    let decls = |kernel: &CompiledKernel| [kernel.signature.params.clone(), kernel.signature.results.clone()];
    if kernels.iter().flat_map(decls).flatten().any(|decl| matches!(decl.dtype, DType::F16 | DType::BF16)) {
        text.push_str(SIXTEEN_BITS);
    }
    text.push_str(" */\n#pragma once\n\n");
    text.push_str("#include <stdint.h>\n\n");
    error_codes(&mut text);
    text.push_str("#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    for kernel in kernels {
        text.push('\n');
        functions(&mut text, kernel);
    }
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n");
    text
}

const INTRODUCTION: &str = " *
 * For every kernel `k` there are two functions:
 *
 *   act_k            runs it on the calling thread. It returns 0, or an error code before anything is written.
 *   act_k_workspace  tells how many bytes of memory a call with these sizes needs for itself, if all arrays
 *                    that have a default are left out; or an error code, which is negative.
 *
 * Arrays are dense and row-major; the comment at a kernel gives their axes, outermost first. Several dimensions in
 * parentheses share one axis, whose size is their product. Sizes are numbers of positions; `leading` is the product
 * of the sizes of the leading axes `..`, of which there may be any number (1 if there are none). An array without
 * elements may be NULL, and so may an array with a default, which then is that number everywhere.
 *
 * A result may share no memory with another array, except where the comment says that it may be the same array.
 *
 * `workspace` is memory of `workspace_bytes` bytes, at any address, that no array shares. Where no memory is needed
 * it may be NULL. It holds nothing between calls. The functions allocate nothing and may run on several threads at
 * once, each with a workspace of its own.
";

const ANY_FP: &str = " *
 * The caller may flush subnormals to zero or round in another direction: the functions set that aside while they
 * run, so that the results are the same bits.
";

const SIXTEEN_BITS: &str = " *
 * C has no type for floats of 16 bits that is there everywhere: `f16` (IEEE 754 binary16) and `bf16` (the upper half of
 * a float) are uint16_t, their bits.
";

const DEFAULT_FP: &str = " *
 * The caller must compute in the default mode: subnormals are kept, and rounding is to nearest. In another mode the
 * results are other ones.
";

fn error_codes(text: &mut String) {
    text.push_str("#ifndef ACT_OK\n#define ACT_OK 0\n");
    for code in errors::ALL {
        let _ = writeln!(text, "/* {} */\n#define {} ({})", code.doc, code.name, code.number);
    }
    text.push_str("#endif\n\n");
}

/// The comment and the declarations of one kernel.
fn functions(text: &mut String, kernel: &CompiledKernel) {
    let signature = &kernel.signature;
    let arguments = arguments(signature);
    text.push_str("/*\n");
    let _ = writeln!(text, " * Kernel `{}`\n *", signature.name);
    if !signature.doc.is_empty() {
        comment(text, " ", &signature.doc);
        text.push_str(" *\n");
    }
    for argument in &arguments {
        describe(text, kernel, argument);
    }
    known_dims(text, signature);
    text.push_str(" */\n");
    let all = arguments.iter().map(|argument| c_declaration(signature, argument));
    declare(text, "int", &interface::entry_symbol(&signature.name), all.collect());
    let sizes = arguments.iter().filter(|argument| matches!(argument.role, Role::Size(_)));
    let sizes = sizes.map(|argument| c_declaration(signature, argument));
    declare(text, "int64_t", &interface::workspace_symbol(&signature.name), sizes.collect());
}

/// Lines of documentation as part of a comment.
fn comment(text: &mut String, indent: &str, doc: &str) {
    for line in doc.lines() {
        let line = line.replace("*/", "* /").replace("/*", "/ *");
        let _ = writeln!(text, "{}", format!(" *{indent}{}", line.trim_end()).trim_end());
    }
}

/// What an argument is.
fn describe(text: &mut String, kernel: &CompiledKernel, argument: &Argument) {
    let signature = &kernel.signature;
    let name = &argument.name;
    match argument.role {
        Role::Size(dim) => {
            let dim = &signature.dims[dim as usize];
            let what = match dim.kind {
                DimKind::Leading => "the product of the sizes of `..`".to_owned(),
                _ => format!("the size of `{}`", dim.name),
            };
            let _ = writeln!(text, " *   {name}: {what}");
        }
        Role::Workspace | Role::WorkspaceBytes => {}
        Role::Input(_) | Role::Number(_) | Role::Output(_) => {
            let decl =
                interface::declaration(signature, argument.role).expect("it is a parameter or a result");
            let _ = write!(text, " *   {name}: {}", type_text(signature, decl, argument.role));
            if let Some(range) = interface::range(decl) {
                let _ = write!(text, " in {range}");
            }
            if let Some(default) = default(decl) {
                let _ = write!(text, " = {default}");
            }
            if let Role::Output(result) = argument.role {
                text.push_str(" (result");
                let names = in_place(kernel, result);
                if !names.is_empty() {
                    let _ = write!(text, "; may be the same array as {}", names.join(" or "));
                }
                text.push(')');
            }
            text.push('\n');
            comment(text, "       ", &decl.doc);
        }
    }
}

/// `f32[.., d]`
fn type_text(signature: &Signature, decl: &ParamDecl, role: Role) -> String {
    let axes = interface::axes(decl);
    match (role, axes) {
        (Role::Output(_), []) => format!("{}, one element", decl.dtype),
        (_, []) => decl.dtype.to_string(),
        (_, axes) => format!("{}{}", decl.dtype, AxesText { axes, dims: &signature.dims }),
    }
}

/// The default, rounded to its type.
fn default(decl: &ParamDecl) -> Option<String> {
    let (ParamKind::Array { default, .. } | ParamKind::Scalar { default }) = &decl.kind;
    let value = (*default)?;
    Some(match decl.dtype {
        DType::F32 => format!("{:?}", value as f32),
        DType::F64 => format!("{value:?}"),
        DType::F16 | DType::BF16 => {
            let bits = small::element_bits(decl.dtype, value)?;
            format!("{:?}, as bits {bits:#06x}", small::element_value(decl.dtype, bits))
        }
        DType::I32 | DType::I8 | DType::U8 => format!("{}", value as i32),
        DType::Bool => format!("{}", value != 0.0),
    })
}

/// The names of the parameters that may be the same array as a result.
fn in_place(kernel: &CompiledKernel, result: u32) -> Vec<String> {
    let signature = &kernel.signature;
    let allowed = |param: u32| {
        interface::same_form(signature, param, result)
            && kernel.variants.iter().all(|code| code.variant.in_place.contains(&(param, result)))
    };
    let arguments = arguments(signature).into_iter();
    arguments
        .filter_map(|argument| match argument.role {
            Role::Input(param) if allowed(param) => Some(argument.name),
            _ => None,
        })
        .collect()
}

/// The dimensions whose sizes are no arguments.
fn known_dims(text: &mut String, signature: &Signature) {
    let mut lines: Vec<String> = Vec::new();
    for dim in &signature.dims {
        let line = match &dim.kind {
            DimKind::Free | DimKind::Leading => continue,
            DimKind::Fixed(size) => format!(" *   `{}` = {size}, fixed when this was compiled", dim.name),
            DimKind::Computed(size) => {
                let size = SizeText { size, dims: &signature.dims }.to_string();
                // Values read along other names have dimensions of these names.
                if size == dim.name {
                    continue;
                }
                format!(" *   `{}` = {size}, computed", dim.name)
            }
        };
        if !lines.contains(&line) {
            let _ = writeln!(text, "{line}");
            lines.push(line);
        }
    }
}

/// `const float *x`
fn c_declaration(signature: &Signature, argument: &Argument) -> String {
    let name = &argument.name;
    let ty = interface::declaration(signature, argument.role).map_or("", |decl| c_type(decl.dtype));
    match argument.role {
        Role::Input(_) => format!("const {ty} *{name}"),
        Role::Output(_) => format!("{ty} *{name}"),
        Role::Number(_) => format!("{ty} {name}"),
        Role::Size(_) | Role::WorkspaceBytes => format!("int64_t {name}"),
        Role::Workspace => format!("void *{name}"),
    }
}

/// A declaration, with as many arguments in a line as fit.
fn declare(text: &mut String, returns: &str, symbol: &str, arguments: Vec<String>) {
    let arguments = if arguments.is_empty() { vec!["void".to_owned()] } else { arguments };
    let mut line = format!("{returns} {symbol}(");
    let indent = " ".repeat(line.len().min(40));
    let last = arguments.len() - 1;
    for (index, argument) in arguments.into_iter().enumerate() {
        let piece = format!("{argument}{}", if index == last { ");" } else { "," });
        let starts = line.trim().is_empty() || line.ends_with('(');
        if !starts && line.len() + 1 + piece.len() > 100 {
            let _ = writeln!(text, "{line}");
            line = format!("{indent}{piece}");
        } else {
            if !starts {
                line.push(' ');
            }
            line.push_str(&piece);
        }
    }
    let _ = writeln!(text, "{line}");
}
