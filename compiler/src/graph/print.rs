//! The graph's text form; see the documentation of [`crate::graph`]. Prints every graph, also one that breaks the rules.

use std::fmt::{self, Write as _};

use super::{Constant, Decl, Fold, FoldId, Graph, Node, NodeId, Op, Steps};
use crate::directives::Directives;
use crate::types::{DType, DimId, DimKind, DimSet, SizeExpr};

/// The text form; what [`parse`](super::parse::parse) reads.
pub fn print(graph: &Graph) -> String {
    print_with_notes(graph, |_| Vec::new())
}

/// The text form with a comment below each node for each of its notes.
pub fn print_with_notes(graph: &Graph, notes: impl Fn(NodeId) -> Vec<String>) -> String {
    let names = DimNames::of_graph(graph);
    let mut out = String::new();
    print_doc(&mut out, "///", &graph.doc);
    print_header(&mut out, graph, &names);
    print_dims(&mut out, graph, &names);
    for (decl, kind) in graph
        .params
        .iter()
        .map(|decl| (decl, "param"))
        .chain(graph.results.iter().map(|(decl, _)| (decl, "result")))
    {
        print_doc(&mut out, &format!("  doc {kind} {}:", decl.name), &decl.doc);
    }
    for (id, fold) in &graph.folds {
        print_fold(&mut out, id, fold);
    }
    for (id, node) in &graph.nodes {
        if !is_header_param(graph, id, node) {
            let _ = writeln!(out, "  {id} = {}", NodeText { node, names: &names });
        }
        for note in notes(id) {
            let _ = writeln!(out, "  # {id}: {note}");
        }
    }
    out
}

/// Whether the header says all of this node.
fn is_header_param(graph: &Graph, id: NodeId, node: &Node) -> bool {
    let index = id.as_u32();
    node.op == Op::Param(index)
        && graph
            .params
            .get(index as usize)
            .is_some_and(|decl| decl.dtype == node.dtype && decl.dims() == node.dims)
}

fn print_doc(out: &mut String, prefix: &str, doc: &str) {
    if doc.is_empty() {
        return;
    }
    for line in doc.split('\n') {
        let gap = if line.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{prefix}{gap}{line}");
    }
}

fn print_fold(out: &mut String, id: FoldId, fold: &Fold) {
    let empty = fold.empty.iter().map(|constant| bits_text(*constant));
    let _ = writeln!(out, "  fold {} empty {} # {id}", fold.name, join(empty));
    for (at, (name, part)) in fold.parts().into_iter().enumerate() {
        if name == "each" {
            let terms = fold.stages[(at - 3) / 2].terms.iter().map(|term| term.name().to_owned());
            let _ = writeln!(out, "    stage {}", join(terms));
        }
        let names = DimNames::of_graph(part);
        let _ = write!(out, "    {name}");
        print_signature(out, part, &names);
        for (id, node) in &part.nodes {
            if !is_header_param(part, id, node) {
                let _ = writeln!(out, "      {id} = {}", NodeText { node, names: &names });
            }
        }
    }
    let _ = writeln!(out, "    end");
}

fn print_header(out: &mut String, graph: &Graph, names: &DimNames) {
    let _ = write!(out, "graph {}", graph.name);
    print_signature(out, graph, names);
}

fn print_signature(out: &mut String, graph: &Graph, names: &DimNames) {
    let params = graph.params.iter().enumerate().map(|(index, decl)| {
        let default = decl.default.map(|value| format!(" = {value:?}")).unwrap_or_default();
        let range = decl.range.map(|(low, high)| format!(" in {low:?} to {high:?}")).unwrap_or_default();
        format!("%{index} {}{range}{default}", decl_text(decl, names))
    });
    let results = graph.results.iter().map(|(decl, value)| format!("{} = {value}", decl_text(decl, names)));
    let _ = writeln!(out, "({}) -> ({})", join(params), join(results));
}

fn print_dims(out: &mut String, graph: &Graph, names: &DimNames) {
    if !graph.dims.is_empty() {
        let dims =
            graph.dims.iter().map(|(id, dim)| format!("{} = {}", names.get(id), kind_text(&dim.kind, names)));
        let _ = writeln!(out, "  dims {}", join(dims));
    }
    if !graph.dim_params.is_empty() {
        let values = graph.dim_params.iter().map(|(name, value)| format!("{name} = {value}"));
        let _ = writeln!(out, "  with {}", join(values));
    }
    if graph.directives != Directives::default() {
        let _ = writeln!(out, "  schedule {}", join(graph.directives.texts()));
    }
    if !graph.repeats.is_empty() {
        let steps = graph.repeats.iter().map(|(id, steps)| match steps {
            Steps::Number(steps) => format!("{id} = {steps}"),
            Steps::Size(dim) => format!("{id} = size {}", names.get(*dim)),
        });
        let _ = writeln!(out, "  repeats {}", join(steps));
    }
}

fn decl_text(decl: &Decl, names: &DimNames) -> String {
    let Some(axes) = &decl.axes else { return format!("{}: {}", decl.name, decl.dtype) };
    let axes = axes.iter().map(|axis| match axis.as_slice() {
        [dim] => names.get(*dim).to_owned(),
        dims => format!("({})", dims.iter().map(|&dim| names.get(dim)).collect::<Vec<_>>().join(" ")),
    });
    format!("{}: {}[{}]", decl.name, decl.dtype, join(axes))
}

fn kind_text(kind: &DimKind, names: &DimNames) -> String {
    match kind {
        DimKind::Free => "free".to_owned(),
        DimKind::Leading => "leading".to_owned(),
        DimKind::Fixed(size) => size.to_string(),
        // In parentheses, so that neither a number nor a dimension called `free` is taken for the above.
        DimKind::Computed(size) => format!("({})", size_text(size, names)),
    }
}

/// A size; an operand that is itself an operation is in parentheses.
fn size_text(size: &SizeExpr, names: &DimNames) -> String {
    let operand = |size: &SizeExpr| match size {
        SizeExpr::Const(_) | SizeExpr::Dim(_) => size_text(size, names),
        SizeExpr::Add(..)
        | SizeExpr::Sub(..)
        | SizeExpr::Mul(..)
        | SizeExpr::Div(..)
        | SizeExpr::CeilDiv(..) => format!("({})", size_text(size, names)),
    };
    match size {
        SizeExpr::Const(value) => value.to_string(),
        SizeExpr::Dim(dim) => names.get(DimId::from_u32(*dim)).to_owned(),
        SizeExpr::Add(a, b) => format!("{} + {}", operand(a), operand(b)),
        SizeExpr::Sub(a, b) => format!("{} - {}", operand(a), operand(b)),
        SizeExpr::Mul(a, b) => format!("{} * {}", operand(a), operand(b)),
        SizeExpr::Div(a, b) => format!("{} / {}", operand(a), operand(b)),
        SizeExpr::CeilDiv(a, b) => format!("{} /^ {}", operand(a), operand(b)),
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// A name for each dimension that no other one has: the second `d` of a graph is `d'2`.
pub struct DimNames(Vec<String>);

impl DimNames {
    /// The names in `graph`.
    pub fn of_graph(graph: &Graph) -> DimNames {
        let mut seen = rustc_hash::FxHashMap::default();
        let name = |name: &str| {
            let count = seen.entry(name.to_owned()).or_insert(0);
            *count += 1;
            if *count == 1 { name.to_owned() } else { format!("{name}'{count}") }
        };
        DimNames(graph.dims.values().map(|dim| dim.name.as_str()).map(name).collect())
    }

    /// The name of a dimension; `?` where the graph has no such dimension.
    pub fn get(&self, dim: DimId) -> &str {
        self.0.get(dim.as_u32() as usize).map_or("?", String::as_str)
    }

    /// The names of several, with commas.
    pub fn list(&self, dims: impl IntoIterator<Item = DimId>) -> String {
        dims.into_iter().map(|dim| self.get(dim)).collect::<Vec<_>>().join(", ")
    }
}

/// `exp %2 : f32[.., d]`.
struct NodeText<'a> {
    node: &'a Node,
    names: &'a DimNames,
}

impl fmt::Display for NodeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names;
        match &self.node.op {
            Op::Param(index) => write!(f, "param {index}")?,
            Op::Const(constant) => write!(f, "const {}", bits_text(*constant))?,
            Op::Index(dim) => write!(f, "index {}", names.get(*dim))?,
            Op::Size(dims) => write!(f, "size {}", names.list(dims.iter()))?,
            Op::Prim(prim, args) => write!(f, "{prim} {}", list(args, ", "))?,
            Op::Convert(value) => write!(f, "convert {value}")?,
            Op::Reduce { reduction, args, dims } => {
                write!(f, "{reduction} {} over {}", list(args, " * "), names.list(dims.iter()))?
            }
            Op::Fold { fold, state, args, dims } => {
                write!(f, "{fold}.{state} {} over {}", list(args, ", "), names.list(dims.iter()))?
            }
            Op::Scan { scan, value, dim } => {
                let flag = |set: bool, word| if set { word } else { "" };
                let (reverse, exclusive) =
                    (flag(scan.reverse, " reverse"), flag(scan.exclusive, " exclusive"));
                write!(f, "{} {value} along {}{reverse}{exclusive}", scan.name(), names.get(*dim))?
            }
            Op::KthLargest { args, dim } => {
                write!(f, "kth_largest {} along {}", list(args, ", "), names.get(*dim))?
            }
            Op::Slice { value, dim, at } => write!(f, "slice {value} {}={at}", names.get(*dim))?,
            Op::Stack { dim, values } => write!(f, "stack {}({})", names.get(*dim), list(values, ", "))?,
            Op::Broadcast(value) => write!(f, "broadcast {value}")?,
            Op::Rename { value, names: pairs } => {
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(from, to)| format!("{}={}", names.get(*from), names.get(*to)))
                    .collect();
                write!(f, "rename {value} {}", pairs.join(", "))?
            }
            Op::Carry { repeat, index, init } => write!(f, "carry {repeat}.{index} {init}")?,
            Op::Step(repeat) => write!(f, "step {repeat}")?,
            Op::Final { repeat, index, values } => {
                write!(f, "final {repeat}.{index} {}", list(values, ", "))?
            }
            Op::Gather { dims, args } => {
                let pairs: Vec<String> = dims
                    .iter()
                    .zip(&args[1..])
                    .map(|(dim, at)| format!("{}={at}", names.get(*dim)))
                    .collect();
                write!(f, "gather {} {}", args[0], pairs.join(", "))?
            }
        }
        write!(f, " : {}", type_text(self.node.dtype, self.node.dims, names))
    }
}

/// `f32[.., d]`, or `f32` for one number.
fn type_text(dtype: DType, dims: DimSet, names: &DimNames) -> String {
    if dims.is_empty() { dtype.to_string() } else { format!("{dtype}[{}]", names.list(dims.iter())) }
}

fn list(values: &[NodeId], separator: &str) -> String {
    values.iter().map(NodeId::to_string).collect::<Vec<_>>().join(separator)
}

/// `0x3f800000 (1.0)`.
fn bits_text(constant: Constant) -> String {
    let Constant { dtype, bits } = constant;
    match dtype {
        DType::F32 => format!("{bits:#010x} ({:?})", f32::from_bits(bits as u32)),
        DType::F64 => format!("{bits:#018x} ({:?})", f64::from_bits(bits)),
        DType::F16 | DType::BF16 => format!("{bits:#06x} ({:?})", constant.value()),
        DType::I32 | DType::I8 | DType::U8 => format!("{bits:#x} ({})", constant.value()),
        DType::Bool => format!("{bits:#x} ({})", bits != 0),
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self))
    }
}
