//! A Rust file beside an object file: one function per kernel that gives an [`act_runtime::Kernel`], by way of
//! [`act_runtime::object::LinkedKernel`]. It needs the crate `actlang-runtime` and nothing of the compiler.

use std::fmt::{Display, Formatter, Result, Write};

use act_runtime::abi::{
    ABI_VERSION, DType, DimKind, NUMERICS_VERSION, ParamDecl, ParamKind, Phase, Signature, SizeExpr, Variant,
};

use super::{CompiledKernel, interface};
use crate::backend::MachineCode;

/// The Rust file of the object file that [`object()`](super::object()) makes of these kernels.
pub fn rust_stub(kernels: &[CompiledKernel]) -> String {
    let mut text = "// Kernels compiled ahead of time by actlang".to_owned();
    if let Some(code) = kernels.iter().flat_map(|kernel| &kernel.variants).next() {
        let _ = write!(text, ", for {} ({})", code.target, code.target.triple());
    }
    text.push_str(".\n// Made by a program: changes will be lost.\n");
    for kernel in kernels {
        let _ = write!(text, "\n{}", Function(kernel));
    }
    text
}

/// The function of a kernel.
struct Function<'a>(&'a CompiledKernel);

impl Display for Function<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let CompiledKernel { signature, variants, most_threads, .. } = self.0;
        let isa = variants.first().map_or("other", |code| code.target.name());
        for line in signature.doc.lines() {
            writeln!(f, "{}", format!("/// {line}").trim_end())?;
        }
        if signature.doc.is_empty() {
            writeln!(f, "/// The kernel `{}`.", signature.name)?;
        }
        for decl in &signature.params {
            if let Some(range) = interface::range(decl) {
                writeln!(f, "///\n/// `{}` must be in `{range}`.", decl.name)?;
            }
        }
        let name = identifier(&signature.name);
        writeln!(f, "#[allow(clippy::all, non_snake_case)]")?;
        writeln!(f, "pub fn {name}() -> Result<::act_runtime::Kernel, ::act_runtime::Error> {{")?;
        writeln!(f, "    use ::act_runtime::abi::*;")?;
        writeln!(f, "    unsafe extern \"C\" {{")?;
        for (number, code) in variants.iter().enumerate() {
            for (index, function) in code.functions.iter().enumerate() {
                writeln!(f, "        #[link_name = {:?}]", function.symbol)?;
                writeln!(
                    f,
                    "        fn {}(args: *const KernelArgs, scratch: *mut u8, lo: i64, hi: i64);",
                    phase_name(number, index)
                )?;
            }
        }
        writeln!(f, "    }}")?;
        writeln!(
            f,
            "    let isa = ::act_runtime::Isa::from_name({isa:?}).expect(\"the runtime knows the level\");"
        )?;
        writeln!(f, "    let linked = ::act_runtime::object::LinkedKernel {{")?;
        writeln!(f, "        abi_version: {ABI_VERSION},")?;
        writeln!(f, "        numerics_version: {NUMERICS_VERSION},")?;
        writeln!(f, "        isa,")?;
        write_signature(f, signature)?;
        write_abi(f, variants)?;
        writeln!(f, "    }};")?;
        writeln!(f, "    // SAFETY: the functions were compiled together with this description.")?;
        let bounded = most_threads.map(|most| format!(".map(|kernel| kernel.with_most_threads({most}))"));
        writeln!(f, "    unsafe {{ linked.load() }}{}", bounded.unwrap_or_default())?;
        writeln!(f, "}}")
    }
}

/// Words that can't be the name of a function as they are.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The name of a kernel as a name in Rust.
fn identifier(name: &str) -> String {
    match name {
        "self" | "Self" | "super" | "crate" | "_" => format!("{name}_"),
        name if KEYWORDS.contains(&name) => format!("r#{name}"),
        name => name.to_owned(),
    }
}

fn phase_name(variant: usize, phase: usize) -> String {
    format!("phase_{variant}_{phase}")
}

fn write_signature(f: &mut Formatter<'_>, signature: &Signature) -> Result {
    writeln!(f, "        signature: Signature {{")?;
    writeln!(f, "            name: {},", text(&signature.name))?;
    writeln!(f, "            doc: {},", text(&signature.doc))?;
    writeln!(f, "            dims: vec![")?;
    for dim in &signature.dims {
        let kind = match &dim.kind {
            DimKind::Free => "DimKind::Free".to_owned(),
            DimKind::Leading => "DimKind::Leading".to_owned(),
            DimKind::Fixed(size) => format!("DimKind::Fixed({size})"),
            DimKind::Computed(formula) => format!("DimKind::Computed({})", size(formula)),
        };
        writeln!(f, "                DimDecl {{ name: {}, kind: {kind} }},", text(&dim.name))?;
    }
    writeln!(f, "            ],")?;
    for (field, decls) in [("params", &signature.params), ("results", &signature.results)] {
        writeln!(f, "            {field}: vec![")?;
        for decl in decls {
            write_decl(f, decl)?;
        }
        writeln!(f, "            ],")?;
    }
    let dims = signature.dim_params.iter().map(|(name, value)| format!("({}, {value})", text(name)));
    writeln!(f, "            dim_params: {},", list(dims))?;
    writeln!(f, "        }},")
}

fn write_decl(f: &mut Formatter<'_>, decl: &ParamDecl) -> Result {
    let kind = match &decl.kind {
        ParamKind::Array { axes, default } => {
            format!("ParamKind::Array {{ axes: {}, default: {} }}", nested(axes), number(*default))
        }
        ParamKind::Scalar { default } => format!("ParamKind::Scalar {{ default: {} }}", number(*default)),
    };
    let dtype = match decl.dtype {
        DType::F32 => "F32",
        DType::F64 => "F64",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I32 => "I32",
        DType::I8 => "I8",
        DType::U8 => "U8",
        DType::Bool => "Bool",
    };
    writeln!(f, "                ParamDecl {{")?;
    writeln!(f, "                    name: {},", text(&decl.name))?;
    writeln!(f, "                    dtype: DType::{dtype},")?;
    writeln!(f, "                    kind: {kind},")?;
    let range = match decl.range {
        Some((low, high)) => format!("Some(({}, {}))", float(low), float(high)),
        None => "None".to_owned(),
    };
    writeln!(f, "                    range: {range},")?;
    writeln!(f, "                    doc: {},", text(&decl.doc))?;
    writeln!(f, "                }},")
}

fn write_abi(f: &mut Formatter<'_>, variants: &[MachineCode]) -> Result {
    writeln!(f, "        abi: Abi {{")?;
    writeln!(f, "            variants: vec![")?;
    for code in variants {
        write_variant(f, &code.variant)?;
    }
    writeln!(f, "            ],")?;
    writeln!(f, "        }},")?;
    let functions = variants.iter().enumerate().map(|(number, code)| {
        list((0..code.functions.len()).map(|index| format!("{} as PhaseFn", phase_name(number, index))))
    });
    writeln!(f, "        functions: {},", list(functions))
}

fn write_variant(f: &mut Formatter<'_>, variant: &Variant) -> Result {
    let guard = match &variant.guard {
        Some((expr, most)) => format!("Some(({}, {most}))", size(expr)),
        None => "None".to_owned(),
    };
    writeln!(f, "                Variant {{")?;
    writeln!(f, "                    guard: {guard},")?;
    writeln!(f, "                    sizes: {},", list(variant.sizes.iter().map(size)))?;
    writeln!(f, "                    tensors: vec![")?;
    for tensor in &variant.tensors {
        let source = match tensor.source {
            Ok(param) => format!("Ok({param})"),
            Err(result) => format!("Err({result})"),
        };
        let groups = nested(&tensor.groups);
        writeln!(f, "                        TensorLayout {{ source: {source}, groups: {groups} }},")?;
    }
    writeln!(f, "                    ],")?;
    writeln!(f, "                    scalars: {},", list(&variant.scalars))?;
    writeln!(f, "                    shared: {},", size(&variant.shared))?;
    writeln!(f, "                    phases: vec![")?;
    for phase in &variant.phases {
        write_phase(f, phase)?;
    }
    writeln!(f, "                    ],")?;
    let pairs = variant.in_place.iter().map(|(param, result)| format!("({param}, {result})"));
    writeln!(f, "                    in_place: {},", list(pairs))?;
    writeln!(f, "                }},")
}

fn write_phase(f: &mut Formatter<'_>, phase: &Phase) -> Result {
    writeln!(f, "                        Phase {{")?;
    writeln!(f, "                            symbol: {},", text(&phase.symbol))?;
    writeln!(f, "                            extent: {},", size(&phase.extent))?;
    writeln!(f, "                            grain: {},", phase.grain)?;
    writeln!(f, "                            scratch: {},", size(&phase.scratch))?;
    writeln!(f, "                            work: {},", size(&phase.work))?;
    writeln!(f, "                        }},")
}

fn text(text: &str) -> String {
    if text.is_empty() { "String::new()".to_owned() } else { format!("String::from({text:?})") }
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("vec![{}]", items.join(", "))
}

fn nested(lists: &[Vec<u32>]) -> String {
    list(lists.iter().map(list))
}

/// A default.
fn number(value: Option<f64>) -> String {
    value.map_or("None".to_owned(), |value| format!("Some({})", float(value)))
}

/// A number; what is none as its bits.
fn float(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { format!("f64::from_bits({:#x})", value.to_bits()) }
}

fn size(expr: &SizeExpr) -> String {
    let both = |name: &str, a: &SizeExpr, b: &SizeExpr| {
        format!("SizeExpr::{name}(Box::new({}), Box::new({}))", size(a), size(b))
    };
    match expr {
        SizeExpr::Const(value) => format!("SizeExpr::Const({value})"),
        SizeExpr::Dim(dim) => format!("SizeExpr::Dim({dim})"),
        SizeExpr::Add(a, b) => both("Add", a, b),
        SizeExpr::Sub(a, b) => both("Sub", a, b),
        SizeExpr::Mul(a, b) => both("Mul", a, b),
        SizeExpr::Div(a, b) => both("Div", a, b),
        SizeExpr::CeilDiv(a, b) => both("CeilDiv", a, b),
    }
}
