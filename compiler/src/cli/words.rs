//! Kernels in words: what more than one command says about them.

use act_runtime::abi::{DType, DimKind, ParamDecl, ParamKind, Signature};
use act_runtime::{AxesText, SizeText};

use super::preview::short;

/// The kernel as its text declares it: `softmax(x: f32[.., d]) -> f32[.., d]`.
pub fn heading(signature: &Signature) -> String {
    let dims = signature.dim_params.iter().map(|(name, size)| format!("{name} = {size}"));
    let dims: Vec<String> = dims.collect();
    let dims = if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(", ")) };
    let params = signature.params.iter().map(|param| declaration(param, signature));
    let params: Vec<String> = params.collect();
    let results = match signature.results.as_slice() {
        [only] if only.name == "y" => type_of(only, signature),
        results => {
            let results = results.iter().map(|result| declaration(result, signature));
            format!("({})", results.collect::<Vec<_>>().join(", "))
        }
    };
    format!("{}{dims}({}) -> {results}", signature.name, params.join(", "))
}

/// `x: f32[.., d] = 1`, `tau: f32 in 1e-6..1e6`.
pub fn declaration(param: &ParamDecl, signature: &Signature) -> String {
    let default = match param.kind {
        ParamKind::Array { default, .. } | ParamKind::Scalar { default } => default,
    };
    let default = default.map_or_else(String::new, |value| format!(" = {}", number(param.dtype, value)));
    let range = match param.range {
        Some((low, high)) => format!(" in {}..{}", number(param.dtype, low), number(param.dtype, high)),
        None => String::new(),
    };
    format!("{}: {}{range}{default}", param.name, type_of(param, signature))
}

/// A default, as the dtype has it.
fn number(dtype: DType, value: f64) -> String {
    match dtype {
        DType::Bool => (value != 0.0).to_string(),
        _ => short(value),
    }
}

/// `f32[.., d]`.
pub fn type_of(param: &ParamDecl, signature: &Signature) -> String {
    match &param.kind {
        ParamKind::Array { axes, .. } if !axes.is_empty() => {
            format!("{}{}", param.dtype, AxesText { axes, dims: &signature.dims })
        }
        ParamKind::Array { .. } | ParamKind::Scalar { .. } => param.dtype.to_string(),
    }
}

/// Where the sizes of the dimensions come from, a line each.
pub fn dims(signature: &Signature) -> Vec<String> {
    let line = |dim: &act_runtime::abi::DimDecl| match &dim.kind {
        DimKind::Free => format!("{}: from the arrays", dim.name),
        DimKind::Leading => "..: the leading axes, any number of them".to_owned(),
        DimKind::Fixed(size) => format!("{} = {size}: fixed at compilation", dim.name),
        DimKind::Computed(size) => format!("{} = {}", dim.name, SizeText { size, dims: &signature.dims }),
    };
    let mut lines = Vec::new();
    for dim in &signature.dims {
        let line = line(dim);
        // Values read along other names have dimensions of these names.
        if !lines.contains(&line) && line != format!("{0} = {0}", dim.name) {
            lines.push(line);
        }
    }
    lines
}
