//! The syntax tree as an indented text without places, for `actc dump --stage ast` and for comparing trees.
//!
//! One node on a line, its children two blanks further in. The text is stable: it depends on the tree alone.

use std::fmt::Write as _;

use super::ast::*;

/// Writes the tree of a file.
pub fn dump(file: &File) -> String {
    let mut out = Dumper { text: String::new(), depth: 0 };
    out.line("file");
    out.nested(|out| {
        out.docs(&file.docs);
        file.items.iter().for_each(|item| out.item(item));
    });
    out.text
}

struct Dumper {
    text: String,
    depth: usize,
}

impl Dumper {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{:width$}{text}", "", width = self.depth * 2);
    }

    fn nested(&mut self, body: impl FnOnce(&mut Dumper)) {
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    /// A line with something below it.
    fn node(&mut self, text: &str, body: impl FnOnce(&mut Dumper)) {
        self.line(text);
        self.nested(body);
    }

    fn docs(&mut self, docs: &[DocLine]) {
        docs.iter().for_each(|doc| self.line(&format!("doc {:?}", doc.text)));
    }

    fn item(&mut self, item: &Item) {
        match &item.kind {
            ItemKind::Kernel(kernel) => self.kernel(kernel, &item.docs),
            ItemKind::Derived(derived) => {
                let args = names(&derived.args);
                self.node(&format!("kernel {}", derived.name.name), |out| {
                    out.docs(&item.docs);
                    out.line(&format!("derived {}({args})", derived.transform.name));
                });
            }
            ItemKind::Fn(function) => self.function(function, &item.docs),
            ItemKind::Const(constant) => self.node(&format!("const {}", constant.name.name), |out| {
                out.docs(&item.docs);
                out.expr(&constant.value);
            }),
            ItemKind::Reduction(reduction) => {
                self.node(&format!("reduction {}", reduction.name.name), |out| {
                    out.docs(&item.docs);
                    for part in &reduction.parts {
                        out.node(&format!("{}({})", part.name.name, names(&part.params)), |out| {
                            out.body(&part.body)
                        });
                    }
                })
            }
            ItemKind::Schedule(schedule) => self.node(&format!("schedule {}", schedule.kernel.name), |out| {
                out.docs(&item.docs);
                for directive in &schedule.directives {
                    let value = match &directive.value {
                        DirectiveValue::Word(word) => &word.name,
                        DirectiveValue::Number(number, _) => &number.text,
                    };
                    out.line(&format!("{} = {value}", directive.name.name));
                }
            }),
            ItemKind::Example(example) => self.node(&format!("example {}", example.kernel.name), |out| {
                out.docs(&item.docs);
                for line in &example.lines {
                    out.node(&format!("{} {}", line.name.name, line.relation.symbol()), |out| {
                        out.expr(&line.value);
                        if let Some(within) = &line.within {
                            out.node("within", |out| out.expr(within));
                        }
                    });
                }
            }),
            ItemKind::Use(item_use) => {
                self.node(&format!("use {:?}", item_use.path), |out| out.docs(&item.docs))
            }
        }
    }

    fn kernel(&mut self, kernel: &Kernel, docs: &[DocLine]) {
        self.node(&format!("kernel {}", kernel.name.name), |out| {
            out.docs(docs);
            kernel.generics.iter().for_each(|generic| out.generic(generic));
            kernel.params.iter().for_each(|param| out.param(param));
            match &kernel.results {
                Results::One(ty) => out.line(&format!("result {}", type_text(ty))),
                Results::Named(results) => {
                    for result in results {
                        out.line(&format!("result {}: {}", result.name.name, type_text(&result.ty)));
                    }
                }
            }
            out.block(&kernel.body);
        });
    }

    fn generic(&mut self, generic: &Generic) {
        let name = &generic.name.name;
        match &generic.kind {
            GenericKind::Dim { default: None } => self.line(&format!("dimension {name}")),
            GenericKind::Dim { default: Some(size) } => {
                self.line(&format!("dimension {name} = {}", size_text(size)))
            }
            GenericKind::DType { class, default: None } => {
                self.line(&format!("dtype {name}: {}", class.name))
            }
            GenericKind::DType { class, default: Some(default) } => {
                self.line(&format!("dtype {name}: {} = {}", class.name, default.name));
            }
        }
    }

    fn param(&mut self, param: &Param) {
        self.node(&format!("param {}: {}", param.name.name, type_text(&param.ty)), |out| {
            if let Some(range) = &param.range {
                out.node("range", |out| {
                    out.expr(&range.low);
                    out.expr(&range.high);
                });
            }
            if let Some(default) = &param.default {
                out.node("default", |out| out.expr(default));
            }
        });
    }

    fn function(&mut self, function: &FnDecl, docs: &[DocLine]) {
        let head = match function.dims.as_slice() {
            [] => format!("fn {}", function.name.name),
            dims => format!("fn {}[{}]", function.name.name, names(dims)),
        };
        self.node(&head, |out| {
            out.docs(docs);
            for param in &function.params {
                out.node(&format!("param {}", param.name.name), |out| {
                    if let Some(default) = &param.default {
                        out.node("default", |out| out.expr(default));
                    }
                });
            }
            out.body(&function.body);
        });
    }

    fn body(&mut self, body: &Body) {
        match body {
            Body::Block(block) => self.block(block),
            Body::Expr(expr) => self.expr(expr),
        }
    }

    fn block(&mut self, block: &Block) {
        self.node("block", |out| {
            for stmt in &block.stmts {
                match &stmt.kind {
                    StmtKind::Let(name, value) => {
                        out.node(&format!("let {}", name.name), |out| out.expr(value))
                    }
                    StmtKind::Dim(name, size) => {
                        out.line(&format!("dim {} = {}", name.name, size_text(size)))
                    }
                }
            }
            out.expr(&block.value);
        });
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Number(number) => self.line(&number.text),
            ExprKind::Constant(constant) => self.line(constant.name()),
            ExprKind::Bool(value) => self.line(if *value { "true" } else { "false" }),
            ExprKind::Name(name) => self.line(&name.name),
            ExprKind::Unary(op, operand) => {
                self.node(&format!("unary {}", op.symbol()), |out| out.expr(operand))
            }
            ExprKind::Binary(op, binary) => self.node(&format!("binary {}", op.symbol()), |out| {
                out.expr(&binary.lhs);
                out.expr(&binary.rhs);
            }),
            ExprKind::If(choice) => self.choice(choice),
            ExprKind::Call(call) => self.call(call),
            ExprKind::Index(index) => self.index(index),
            ExprKind::Field(base, name) => self.node(&format!("field {}", name.name), |out| out.expr(base)),
            ExprKind::Tuple(fields) => self.node("tuple", |out| out.fields(fields)),
            ExprKind::Array(elements) => self.node("array", |out| elements.iter().for_each(|e| out.expr(e))),
            ExprKind::Iterate(iterate) => self.iterate(iterate),
        }
    }

    fn choice(&mut self, choice: &If) {
        self.node("if", |out| {
            for branch in &choice.branches {
                out.node("when", |out| out.expr(&branch.cond));
                out.block(&branch.body);
            }
            out.node("else", |out| out.block(&choice.otherwise));
        });
    }

    fn call(&mut self, call: &Call) {
        let head = match &call.dims {
            None => format!("call {}", call.callee.name),
            Some(dims) => format!("call {}[{}]", call.callee.name, dim_args(&dims.dims)),
        };
        self.node(&head, |out| {
            if let Some(filter) = call.dims.as_ref().and_then(|dims| dims.filter.as_ref()) {
                out.node("where", |out| out.expr(filter));
            }
            for arg in &call.args {
                match &arg.name {
                    None => out.expr(&arg.value),
                    Some(name) => out.node(&format!("{} =", name.name), |out| out.expr(&arg.value)),
                }
            }
        });
    }

    fn index(&mut self, index: &Index) {
        self.node("index", |out| {
            out.expr(&index.base);
            for entry in &index.entries {
                out.node(&format!("at {} =", entry.dim.name), |out| out.expr(&entry.position));
                if let Some(otherwise) = &entry.otherwise {
                    out.node("else", |out| out.expr(otherwise));
                }
            }
        });
    }

    fn iterate(&mut self, iterate: &Iterate) {
        let count = match &iterate.count {
            Count::Int(count, _) => count.to_string(),
            Count::Name(name) => name.name.clone(),
        };
        self.node(&format!("{} {count}", iterate.keep.keyword()), |out| {
            out.fields(&iterate.state);
            out.block(&iterate.body);
        });
    }

    fn fields(&mut self, fields: &[TupleField]) {
        for field in fields {
            self.node(&format!("{} =", field.name.name), |out| out.expr(&field.value));
        }
    }
}

/// Names with commas between them.
pub(super) fn names(list: &[Ident]) -> String {
    list.iter().map(Ident::as_str).collect::<Vec<_>>().join(", ")
}

/// The dimensions in the brackets of a call.
pub(super) fn dim_args(dims: &[DimArg]) -> String {
    let text = |dim: &DimArg| match dim {
        DimArg::Dim(name) => name.name.clone(),
        DimArg::Rest(_) => "..".to_owned(),
    };
    dims.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A type on one line, as it is written.
pub(super) fn type_text(ty: &Type) -> String {
    match &ty.axes {
        None => ty.dtype.name.clone(),
        Some(axes) => {
            format!("{}[{}]", ty.dtype.name, axes.iter().map(axis_text).collect::<Vec<_>>().join(", "))
        }
    }
}

/// One axis of a type, as it is written. A size of one word stands close to its `=`.
pub(super) fn axis_text(axis: &Axis) -> String {
    match &axis.kind {
        AxisKind::Rest => "..".to_owned(),
        AxisKind::Dim(name) => name.name.clone(),
        AxisKind::Sized(name, size) => match size.kind {
            SizeKind::Int(_) => format!("{}={}", name.name, size_text(size)),
            SizeKind::Name(_) | SizeKind::Binary(..) => format!("{} = {}", name.name, size_text(size)),
        },
        AxisKind::Group(parts) => {
            format!("({})", parts.iter().map(part_text).collect::<Vec<_>>().join(" "))
        }
    }
}

fn part_text(part: &GroupPart) -> String {
    match &part.size {
        None => part.name.name.clone(),
        Some(size) => format!("{}={}", part.name.name, size_text(size)),
    }
}

/// A size on one line, with the parentheses it needs.
pub(super) fn size_text(size: &SizeExpr) -> String {
    let mut out = String::new();
    write_size(size, 0, &mut out);
    out
}

/// Writes a size that stands where operators below `level` need parentheses.
fn write_size(size: &SizeExpr, level: u8, out: &mut String) {
    match &size.kind {
        SizeKind::Int(value) => {
            let _ = write!(out, "{value}");
        }
        SizeKind::Name(name) => out.push_str(&name.name),
        SizeKind::Binary(op, lhs, rhs) => {
            let own = match op {
                SizeOp::Add | SizeOp::Sub => 1,
                SizeOp::Mul | SizeOp::Div => 2,
            };
            let parens = own < level;
            if parens {
                out.push('(');
            }
            write_size(lhs, own, out);
            let _ = write!(out, " {} ", op.symbol());
            write_size(rhs, own + 1, out);
            if parens {
                out.push(')');
            }
        }
    }
}
