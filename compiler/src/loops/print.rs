//! The text form of a [`Func`], described in the module `loops`. [`parse`](super::parse()) reads it back.
//!
//! Takes functions that are not well-formed as well: the verifier prints its errors inside them.

use std::collections::BTreeMap;
use std::fmt::{self, Arguments, Write as _};

use super::{
    Access, Block, BufferDecl, BufferKind, Elem, FoldUse, For, Func, If, Inst, Lift, LoopKind, Order, Phase,
    Reduce, Size, Stmt, Type, Value,
};
use crate::types::SizeExpr;

/// A line of the text form. Statements are counted over the whole function, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// The first line.
    Func,
    /// The declaration of a size, by its number.
    Size(usize),
    /// The declaration of a buffer, by its number.
    Buffer(usize),
    /// The declaration of a scalar, by its number.
    Scalar(usize),
    /// The definition of a fold, by its number.
    Fold(usize),
    /// The first line of a phase.
    Phase(usize),
    /// The first line of a statement.
    Stmt(usize),
    /// The last line of a body of a statement: what it yields.
    Yield(usize, usize),
}

impl fmt::Display for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_notes(self, &BTreeMap::new()))
    }
}

/// The text form of `func` with notes below the lines that they belong to.
pub(super) fn with_notes(func: &Func, notes: &BTreeMap<Line, Vec<String>>) -> String {
    let mut printer = Printer { func, notes, out: String::new(), stmts: 0 };
    printer.func();
    printer.out
}

/// A size in the text form.
pub(super) fn size_text(expr: &SizeExpr) -> String {
    let operation = |a: &SizeExpr, sign: &str, b: &SizeExpr, level: u8| {
        format!("{} {sign} {}", size_operand(a, level), size_operand(b, level + 1))
    };
    match expr {
        SizeExpr::Const(value) => value.to_string(),
        SizeExpr::Dim(dim) => format!("dim{dim}"),
        SizeExpr::Add(a, b) => operation(a, "+", b, 0),
        SizeExpr::Sub(a, b) => operation(a, "-", b, 0),
        SizeExpr::Mul(a, b) => operation(a, "*", b, 1),
        SizeExpr::Div(a, b) => operation(a, "/", b, 1),
        SizeExpr::CeilDiv(a, b) => format!("ceildiv({}, {})", size_text(a), size_text(b)),
    }
}

/// An operand: in parentheses if it binds less tightly than `level`.
fn size_operand(expr: &SizeExpr, level: u8) -> String {
    let own = match expr {
        SizeExpr::Add(..) | SizeExpr::Sub(..) => 0,
        SizeExpr::Mul(..) | SizeExpr::Div(..) => 1,
        SizeExpr::Const(_) | SizeExpr::Dim(_) | SizeExpr::CeilDiv(..) => 2,
    };
    let text = size_text(expr);
    if own < level { format!("({text})") } else { text }
}

/// A constant of a type in the text form: a number, with its bits where it is a float.
pub(super) fn const_text(elem: Elem, bits: u64) -> String {
    match elem {
        Elem::F32 => format!("{:?} ({bits:#010x})", f32::from_bits(bits as u32)),
        Elem::F64 => format!("{:?} ({bits:#018x})", f64::from_bits(bits)),
        Elem::I32 => (bits as u32 as i32).to_string(),
        Elem::I64 => (bits as i64).to_string(),
        Elem::Bool => (bits != 0).to_string(),
        // No value has it; for dumps of what is wrong.
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => format!("{bits:#x}"),
    }
}

/// Displays the items with commas between them.
fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    texts.join(", ")
}

fn lift_text(lift: &Lift) -> String {
    match lift {
        Lift::Value(value) => value.to_string(),
        Lift::Product(a, b) => format!("{a} * {b}"),
    }
}

fn fold_text(fold: &FoldUse) -> String {
    let mut text = format!("{}({})", fold.fold, list(&fold.args));
    if let Some(cond) = fold.cond {
        let _ = write!(text, " where {cond}");
    }
    text
}

fn access_text(access: &Access) -> String {
    let mut text = format!("{}[{}]", access.buffer, list(&access.index));
    if let Some(axis) = access.lane_axis {
        let _ = write!(text, " lanes {axis}");
    }
    if let Some(active) = access.active {
        let _ = write!(text, " active {active}");
    }
    text
}

fn buffer_text(decl: &BufferDecl) -> String {
    let mut text = match decl.kind {
        BufferKind::Param(number) => format!("param {number}"),
        BufferKind::Result(number) => format!("result {number}"),
        BufferKind::Shared => "shared".to_owned(),
        BufferKind::Scratch => "scratch".to_owned(),
        BufferKind::Local => "local".to_owned(),
    };
    if !decl.name.is_empty() {
        let _ = write!(text, " {}", decl.name);
    }
    let _ = write!(text, " : {}[{}]", decl.elem.name(), list(decl.axes.iter().map(size_text)));
    for (number, group) in decl.groups.iter().enumerate() {
        let dims: Vec<String> = group.iter().map(u32::to_string).collect();
        let _ = write!(text, "{}({})", if number == 0 { " groups " } else { " " }, dims.join(" "));
    }
    text
}

struct Printer<'a> {
    func: &'a Func,
    notes: &'a BTreeMap<Line, Vec<String>>,
    out: String,
    stmts: usize,
}

impl Printer<'_> {
    fn func(&mut self) {
        let func = self.func;
        self.line(0, Line::Func, format_args!("func {}", func.name));
        for (number, (size, expr)) in func.sizes.iter().enumerate() {
            self.line(1, Line::Size(number), format_args!("size {size} = {}", size_text(expr)));
        }
        for (number, (buffer, decl)) in func.buffers.iter().enumerate() {
            self.line(1, Line::Buffer(number), format_args!("buffer {buffer} = {}", buffer_text(decl)));
        }
        for (number, (scalar, decl)) in func.scalars.iter().enumerate() {
            let line = format_args!("scalar {scalar} = param {} : {}", decl.param, decl.elem.name());
            self.line(1, Line::Scalar(number), line);
        }
        self.folds();
        for (param, result) in &func.in_place {
            self.text(1, format_args!("in_place param {param}, result {result}"));
        }
        self.unused();
        for (number, phase) in func.phases.iter().enumerate() {
            self.phase(number, phase);
        }
    }

    /// The definitions of folds: no statements of the function, so they are not counted, and have no notes.
    fn folds(&mut self) {
        let func = self.func;
        for (number, (fold, decl)) in func.folds.iter().enumerate() {
            let empty =
                decl.states.iter().map(|&(elem, bits)| format!("{} {}", elem.name(), const_text(elem, bits)));
            let line = format_args!("fold {fold} = {} empty {}", decl.name, list(empty));
            self.line(1, Line::Fold(number), line);
            let none = BTreeMap::new();
            let mut inner = Printer { func, notes: &none, out: String::new(), stmts: 0 };
            for (at, (name, part)) in decl.parts().into_iter().enumerate() {
                if name == "each" {
                    let terms = list(decl.stages[(at - 3) / 2].terms.iter().map(|term| term.name()));
                    inner.text(2, format_args!("stage {terms}"));
                }
                let params = list(part.params.iter().map(|value| inner.typed(*value)));
                inner.text(2, format_args!("{name} {params}"));
                inner.block(3, Line::Fold(number), &part.block);
            }
            self.out += &inner.out;
        }
    }

    /// The values without a definition, so that the others keep their numbers when the text is read back.
    fn unused(&mut self) {
        let unused = self.func.unused();
        let follows = |a: &Value, b: &Value| {
            a.as_u32() + 1 == b.as_u32() && self.func.values[*a] == self.func.values[*b]
        };
        let runs = unused.chunk_by(follows).map(|run| {
            let ty = self.ty(run[0]);
            match run {
                [first, .., last] => format!("{first}..{last} : {ty}"),
                _ => format!("{} : {ty}", run[0]),
            }
        });
        let text = list(runs);
        if !text.is_empty() {
            self.text(1, format_args!("unused {text}"));
        }
    }

    fn phase(&mut self, number: usize, phase: &Phase) {
        let Phase { lo, hi, extent, grain, work, cost, body } = phase;
        let (extent, work) = (size_text(extent), size_text(work));
        let cost = if *cost == 1 { String::new() } else { format!(" cost {cost}") };
        let line = format_args!("phase {lo}..{hi} extent {extent} grain {grain} work {work}{cost}");
        self.line(1, Line::Phase(number), line);
        self.body(2, body);
    }

    fn body(&mut self, depth: usize, stmts: &[Stmt]) {
        for stmt in stmts {
            let number = self.stmts;
            self.stmts += 1;
            self.stmt(depth, number, stmt);
        }
    }

    fn stmt(&mut self, depth: usize, number: usize, stmt: &Stmt) {
        match stmt {
            Stmt::Let(value, inst) => {
                let line = format!("{} = {}", self.typed(*value), self.inst(*value, inst));
                self.line(depth, Line::Stmt(number), format_args!("{line}"));
            }
            Stmt::Store(access, value) => {
                let line = format_args!("store {}, {value}", access_text(access));
                self.line(depth, Line::Stmt(number), line);
            }
            Stmt::For(node) => self.for_loop(depth, number, node),
            Stmt::If(node) => self.choice(depth, number, node),
            Stmt::Reduce(node) => self.reduce(depth, number, node),
        }
    }

    fn for_loop(&mut self, depth: usize, number: usize, node: &For) {
        let For { var, lo, hi, step, kind, unroll, carry, body } = node;
        let mut line = format!("for {var} in {lo}..{hi} step {step}");
        if let LoopKind::Lanes(lanes) = kind {
            let _ = write!(line, " lanes {lanes}");
        }
        if *unroll != 1 {
            let _ = write!(line, " unroll {unroll}");
        }
        for (place, carry) in carry.iter().enumerate() {
            let before = if place == 0 { " carry " } else { ", " };
            let _ = write!(line, "{before}{} = {} -> {}", self.typed(carry.var), carry.init, carry.result);
        }
        self.line(depth, Line::Stmt(number), format_args!("{line}"));
        self.block(depth + 1, Line::Yield(number, 0), body);
    }

    fn choice(&mut self, depth: usize, number: usize, node: &If) {
        let If { cond, then, otherwise, results } = node;
        let mut line = format!("if {cond}");
        if !results.is_empty() {
            let _ = write!(line, " -> {}", list(results.iter().map(|value| self.typed(*value))));
        }
        self.line(depth, Line::Stmt(number), format_args!("{line}"));
        self.block(depth + 1, Line::Yield(number, 0), then);
        if *otherwise != Block::default() {
            self.text(depth, format_args!("else"));
            self.block(depth + 1, Line::Yield(number, 1), otherwise);
        }
    }

    fn block(&mut self, depth: usize, end: Line, block: &Block) {
        self.body(depth, &block.stmts);
        if !block.yields.is_empty() {
            self.line(depth, end, format_args!("yield {}", list(&block.yields)));
        }
    }

    fn reduce(&mut self, depth: usize, number: usize, node: &Reduce) {
        let Reduce { order, outer, inner, states, body, lifts, results, folds } = node;
        let order = match order {
            Order::Row(lanes) => format!("row {lanes}"),
            Order::Column => "column".to_owned(),
        };
        let over = |&(value, size): &(Value, Size)| format!("{value} in {size}");
        let results = results.iter().chain(folds.iter().flat_map(|fold| &fold.results));
        let names = states.iter().map(|state| state.to_string());
        let line = format!(
            "{} = reduce {} {order} over {}",
            list(results.map(|value| self.typed(*value))),
            list(names.chain(folds.iter().map(|fold| fold.fold.to_string()))),
            list(outer.iter().chain([inner]).map(over)),
        );
        self.line(depth, Line::Stmt(number), format_args!("{line}"));
        self.body(depth + 1, body);
        let lifts = list(lifts.iter().map(lift_text).chain(folds.iter().map(fold_text)));
        self.line(depth + 1, Line::Yield(number, 0), format_args!("lift {lifts}"));
    }

    fn inst(&self, value: Value, inst: &Inst) -> String {
        match inst {
            Inst::Const(bits) => match self.func.values.get(value) {
                Some(ty) => format!("const {}", const_text(ty.elem, *bits)),
                None => format!("const {bits:#x}"),
            },
            Inst::Scalar(scalar) => format!("scalar {scalar}"),
            Inst::Size(size) => format!("size {size}"),
            Inst::Prim(prim, args) => format!("{prim} {}", list(args)),
            Inst::Convert(arg) => format!("convert {arg}"),
            Inst::Bitcast(arg) => format!("bitcast {arg}"),
            Inst::Splat(arg) => format!("splat {arg}"),
            Inst::Iota(arg) => format!("iota {arg}"),
            Inst::Load(access) => format!("load {}", access_text(access)),
            Inst::Shift(before, value, by) => format!("shift {before}, {value} by {by}"),
            Inst::Gather(access) => format!("gather {}", access_text(access)),
            Inst::Fold(reduction, arg) => format!("fold {reduction} {arg}"),
        }
    }

    /// The type of a value; `?` where it is not a value of the function.
    fn ty(&self, value: Value) -> String {
        self.func.values.get(value).map_or_else(|| "?".to_owned(), Type::to_string)
    }

    fn typed(&self, value: Value) -> String {
        format!("{value} : {}", self.ty(value))
    }

    fn line(&mut self, depth: usize, at: Line, text: Arguments<'_>) {
        self.text(depth, text);
        let notes = self.notes;
        for note in notes.get(&at).into_iter().flatten() {
            self.text(depth, format_args!("^ {note}"));
        }
    }

    fn text(&mut self, depth: usize, text: Arguments<'_>) {
        let _ = writeln!(self.out, "{:indent$}{text}", "", indent = 2 * depth);
    }
}
