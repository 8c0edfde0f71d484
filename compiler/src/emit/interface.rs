//! The C functions of a kernel: their names, and their arguments in order. The one place where both the header and
//! the code take them from.

use std::collections::BTreeSet;

use act_runtime::abi::{DType, DimKind, ParamDecl, ParamKind, Signature};

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A pointer to the elements of this parameter.
    Input(u32),
    /// This parameter, a number.
    Number(u32),
    /// A pointer to the elements of this result.
    Output(u32),
    /// The size of this dimension.
    Size(u32),
    /// Memory for the kernel itself.
    Workspace,
    /// How many bytes of it there are.
    WorkspaceBytes,
}

/// An argument of a kernel's function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    /// What it is.
    pub(super) role: Role,
    /// Its name in the header.
    pub(super) name: String,
}

/// The name of the function that runs a kernel.
pub(super) fn entry_symbol(kernel: &str) -> String {
    format!("act_{kernel}")
}

/// The name of the function that tells how much memory a call needs.
pub(super) fn workspace_symbol(kernel: &str) -> String {
    format!("act_{kernel}_workspace")
}

/// The arguments of the function that runs a kernel: parameters and results in the order of the text, sizes in
/// canonical order, workspace. Those with the role [`Role::Size`] are all that the workspace function takes.
pub(super) fn arguments(signature: &Signature) -> Vec<Argument> {
    let mut names = Names::default();
    let mut arguments = Vec::new();
    for (index, param) in (0..).zip(&signature.params) {
        let role = match param.kind {
            ParamKind::Array { .. } => Role::Input(index),
            ParamKind::Scalar { .. } => Role::Number(index),
        };
        arguments.push(Argument { role, name: names.choose(&param.name, "_") });
    }
    for (index, result) in (0..).zip(&signature.results) {
        arguments.push(Argument { role: Role::Output(index), name: names.choose(&result.name, "_") });
    }
    for (index, dim) in (0..).zip(&signature.dims) {
        let name = match dim.kind {
            DimKind::Leading => "leading",
            DimKind::Free => &dim.name,
            DimKind::Fixed(_) | DimKind::Computed(_) => continue,
        };
        arguments.push(Argument { role: Role::Size(index), name: names.choose(name, "_size") });
    }
    for (role, name) in [(Role::Workspace, "workspace"), (Role::WorkspaceBytes, "workspace_bytes")] {
        arguments.push(Argument { role, name: names.choose(name, "_") });
    }
    arguments
}

/// The declaration of an array argument or a number.
pub(super) fn declaration(signature: &Signature, role: Role) -> Option<&ParamDecl> {
    match role {
        Role::Input(index) | Role::Number(index) => Some(&signature.params[index as usize]),
        Role::Output(index) => Some(&signature.results[index as usize]),
        Role::Size(_) | Role::Workspace | Role::WorkspaceBytes => None,
    }
}

/// `1e-6..1e6`: the numbers that a parameter may be, if that is declared.
pub(super) fn range(decl: &ParamDecl) -> Option<String> {
    let (low, high) = decl.range?;
    let end = |value: f64| match decl.dtype {
        DType::F32 => format!("{:?}", value as f32),
        _ if decl.dtype.is_float() => format!("{value:?}"),
        _ => format!("{value}"),
    };
    Some(format!("{}..{}", end(low), end(high)))
}

/// The C type of an element. C has no floats of 16 bits everywhere: their bits.
pub(super) const fn c_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::F16 | DType::BF16 => "uint16_t",
        DType::I32 => "int32_t",
        DType::I8 => "int8_t",
        DType::U8 | DType::Bool => "uint8_t",
    }
}

/// Whether the two have the same dtype and the same dimensions in the same order, so that they can be one array.
pub(super) fn same_form(signature: &Signature, param: u32, result: u32) -> bool {
    let (param, result) = (&signature.params[param as usize], &signature.results[result as usize]);
    let dims = |decl: &ParamDecl| axes(decl).concat();
    param.dtype == result.dtype && dims(param) == dims(result)
}

/// The axes of an array; none for a number.
pub(super) fn axes(decl: &ParamDecl) -> &[Vec<u32>] {
    match &decl.kind {
        ParamKind::Array { axes, .. } => axes,
        ParamKind::Scalar { .. } => &[],
    }
}

/// Names that are taken.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// The name itself, or with something behind it where it is taken or a word of C or C++.
    fn choose(&mut self, name: &str, suffix: &str) -> String {
        let mut name = name.to_owned();
        while WORDS.contains(&&*name) || self.0.contains(&name) {
            name.push_str(suffix);
        }
        self.0.insert(name.clone());
        name
    }
}

/// Words that can't name an argument: keywords of C and C++, the types that the header uses, and what the standard
/// headers define as macros in lower case.
const WORDS: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "complex",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "errno",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "imaginary",
    "inline",
    "int",
    "int32_t",
    "int64_t",
    "linux",
    "long",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "stderr",
    "stdin",
    "stdout",
    "struct",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "typeof_unqual",
    "uint8_t",
    "union",
    "unix",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
    // Macros of the standard headers in capitals.
    "NULL",
    "EOF",
    "I",
    "NAN",
    "INFINITY",
];
