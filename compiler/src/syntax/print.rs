//! Syntax tree → canonical text (`actc fmt`).
//!
//! Lines are broken at 100 columns; parentheses are those that precedence needs; blank lines stay where they were
//! between items, statements and comments, at most one. Printing what was printed changes nothing.
//!
//! Comments have no place in the tree. The printer walks the tree in the order of the text and, before each thing that
//! can begin a line, puts out the comments that stood before it: one that followed something on its line goes to the end
//! of the line, the others get lines of their own.

use super::ast::*;
use super::dump::{dim_args, names, size_text, type_text};
use super::layout::{Doc, layout};

/// Writes a file in its canonical layout.
pub fn print(file: &File) -> String {
    let mut printer = Printer { comments: file.comments.iter().peekable(), blank_lines: &file.blank_lines };
    layout(&printer.file(file))
}

/// How tightly the operand of an operator must bind: [`BinaryOp::level`], and these.
mod level {
    /// Anything, also `if` and `iterate`.
    pub const WHOLE: u8 = 0;
    /// A unary operator or tighter.
    pub const UNARY: u8 = 6;
    /// `^` or tighter.
    pub const POWER: u8 = 7;
    /// What `^` can follow.
    pub const POSTFIX: u8 = 8;
    /// What `.name` and `[…]` can follow.
    pub const BASE: u8 = 9;
}

struct Printer<'a> {
    comments: std::iter::Peekable<std::slice::Iter<'a, Comment>>,
    blank_lines: &'a [u32],
}

/// Whether something begins its block.
#[derive(Clone, Copy, PartialEq)]
enum Position {
    First,
    Later,
}

impl<'a> Printer<'a> {
    // ------------------------------------------------------------------------------------------------ comments

    /// The comments not yet put out that stand before `offset`.
    fn comments_before(&mut self, offset: u32) -> Vec<&'a Comment> {
        std::iter::from_fn(|| self.comments.next_if(|comment| comment.span.start < offset)).collect()
    }

    fn has_comments_before(&mut self, offset: u32) -> bool {
        self.comments.peek().is_some_and(|comment| comment.span.start < offset)
    }

    /// The line break before what stood at `offset`, with a blank line if it had one.
    fn break_before(&self, offset: u32, position: Position) -> Doc {
        let blank = position == Position::Later && self.blank_lines.binary_search(&offset).is_ok();
        if blank { Doc::blank() } else { Doc::hard() }
    }

    /// The comments before `offset`, and the line break before what stood there.
    fn lead(&mut self, out: &mut Vec<Doc>, offset: u32, position: Position) {
        let position = self.comment_lines(out, offset, position);
        out.push(self.break_before(offset, position));
    }

    /// The comments before `offset`, each on a line of its own but for one that ends a line.
    fn comment_lines(&mut self, out: &mut Vec<Doc>, offset: u32, mut position: Position) -> Position {
        for (count, comment) in self.comments_before(offset).into_iter().enumerate() {
            if count == 0 && !comment.own_line {
                out.push(Doc::suffix(&format!(" {}", comment.text)));
                continue;
            }
            out.push(self.break_before(comment.span.start, position));
            out.push(Doc::text(&*comment.text));
            position = Position::Later;
        }
        position
    }

    /// The comments before `offset` in the middle of a line, which goes on below them.
    fn inner_comments(&mut self, out: &mut Vec<Doc>, offset: u32) {
        let comments = self.comments_before(offset);
        if let Some(first) = comments.first() {
            if first.own_line {
                out.push(Doc::hard());
            }
            for (count, comment) in comments.iter().enumerate() {
                let ends_line = count == 0 && !comment.own_line;
                out.push(if ends_line {
                    Doc::suffix(&format!(" {}", comment.text))
                } else {
                    Doc::text(&*comment.text)
                });
                out.push(Doc::hard());
            }
        }
    }

    // ------------------------------------------------------------------------------------------------ items

    fn file(&mut self, file: &File) -> Doc {
        let mut out = Vec::new();
        let mut first = true;
        for doc in &file.docs {
            self.top_level(&mut out, doc.span.start, &mut first);
            out.push(doc_line("//!", doc));
        }
        for item in &file.items {
            for doc in &item.docs {
                self.top_level(&mut out, doc.span.start, &mut first);
                out.push(doc_line("///", doc));
            }
            self.top_level(&mut out, item.span.start, &mut first);
            out.push(self.item(item));
        }
        self.top_level(&mut out, u32::MAX, &mut first);
        Doc::concat(out)
    }

    /// The comments before `offset`, and the line break before what stood there, unless it begins the file.
    fn top_level(&mut self, out: &mut Vec<Doc>, offset: u32, first: &mut bool) {
        let mut lines = Vec::new();
        self.comment_lines(&mut lines, offset, Position::Later);
        // Nothing comes before the first line of the file.
        let skip = usize::from(*first && !lines.is_empty());
        *first &= lines.is_empty();
        out.extend(lines.into_iter().skip(skip));
        if offset != u32::MAX && !std::mem::take(first) {
            out.push(self.break_before(offset, Position::Later));
        }
    }

    fn item(&mut self, item: &Item) -> Doc {
        match &item.kind {
            ItemKind::Kernel(kernel) => self.kernel(kernel),
            ItemKind::Derived(derived) => {
                let (name, transform, args) =
                    (&derived.name.name, &derived.transform.name, names(&derived.args));
                Doc::text(format!("kernel {name} = {transform}({args});"))
            }
            ItemKind::Fn(function) => self.function(function),
            ItemKind::Const(constant) => {
                let head = Doc::text(format!("const {} = ", constant.name.name));
                Doc::concat(vec![head, self.expr(&constant.value), Doc::text(";")])
            }
            ItemKind::Reduction(reduction) => {
                let head = format!("reduction {} ", reduction.name.name);
                let parts: Vec<_> = reduction.parts.iter().map(|part| (part.span.start, part)).collect();
                self.braces(head, &parts, item.span.end, Printer::reduction_part)
            }
            ItemKind::Schedule(schedule) => {
                let head = format!("schedule {} ", schedule.kernel.name);
                let wishes: Vec<_> = schedule.directives.iter().map(|wish| (wish.span.start, wish)).collect();
                self.braces(head, &wishes, item.span.end, |_, wish| directive(wish))
            }
            ItemKind::Example(example) => {
                let head = format!("example {} ", example.kernel.name);
                let lines: Vec<_> = example.lines.iter().map(|line| (line.span.start, line)).collect();
                self.braces(head, &lines, item.span.end, Printer::example_line)
            }
            ItemKind::Use(path) => Doc::text(format!("use \"{}\";", path.path)),
        }
    }

    /// `head { … }` with each part on its own line.
    fn braces<T>(
        &mut self,
        head: String,
        parts: &[(u32, &T)],
        end: u32,
        each: impl Fn(&mut Printer<'a>, &T) -> Doc,
    ) -> Doc {
        let mut inner = Vec::new();
        let mut position = Position::First;
        for (start, part) in parts {
            self.lead(&mut inner, *start, position);
            inner.push(each(self, part));
            position = Position::Later;
        }
        self.comment_lines(&mut inner, end, position);
        if inner.is_empty() {
            return Doc::text(format!("{head}{{}}"));
        }
        Doc::concat(vec![
            Doc::text(format!("{head}{{")),
            Doc::concat(inner).indent(),
            Doc::hard(),
            Doc::text("}"),
        ])
    }

    fn kernel(&mut self, kernel: &Kernel) -> Doc {
        let mut out = vec![Doc::text(format!("kernel {}", kernel.name.name))];
        // Always on one line: if the head of a kernel is too long, its parameters break.
        if !kernel.generics.is_empty() {
            let generics: Vec<_> = kernel.generics.iter().map(generic).collect();
            out.push(Doc::text(format!("<{}>", generics.join(", "))));
        }
        let end = match &kernel.results {
            Results::One(ty) => ty.span.start,
            Results::Named(results) => {
                results.first().map_or(kernel.body.span.start, |result| result.span.start)
            }
        };
        out.push(self.list("(", ")", &kernel.params, end, |param| param.span.start, Printer::param));
        out.push(Doc::text(" -> "));
        out.push(match &kernel.results {
            Results::One(ty) => Doc::text(type_text(ty)),
            Results::Named(results) => {
                let each = |_: &mut Printer<'a>, result: &NamedResult| {
                    Doc::text(format!("{}: {}", result.name.name, type_text(&result.ty)))
                };
                self.list("(", ")", results, kernel.body.span.start, |result| result.span.start, each)
            }
        });
        out.push(Doc::text(" "));
        out.push(self.block(&kernel.body, true));
        Doc::concat(out)
    }

    fn param(&mut self, param: &Param) -> Doc {
        let mut out = vec![Doc::text(format!("{}: {}", param.name.name, type_text(&param.ty)))];
        if let Some(range) = &param.range {
            out.push(Doc::text(" in "));
            out.push(self.expr(&range.low));
            out.push(Doc::text(".."));
            out.push(self.expr(&range.high));
        }
        if let Some(default) = &param.default {
            out.push(Doc::text(" = "));
            out.push(self.expr(default));
        }
        Doc::concat(out)
    }

    fn function(&mut self, function: &FnDecl) -> Doc {
        let dims = match function.dims.as_slice() {
            [] => String::new(),
            dims => format!("[{}]", names(dims)),
        };
        let head = Doc::text(format!("fn {}{dims}", function.name.name));
        let end = match &function.body {
            Body::Block(block) => block.span.start,
            Body::Expr(expr) => expr.span.start,
        };
        let params = self.list("(", ")", &function.params, end, |param| param.span.start, Printer::fn_param);
        Doc::concat(vec![head, params, self.body(&function.body, true)])
    }

    fn fn_param(&mut self, param: &FnParam) -> Doc {
        let name = Doc::text(&*param.name.name);
        match &param.default {
            None => name,
            Some(default) => Doc::concat(vec![name, Doc::text(" = "), self.expr(default)]),
        }
    }

    fn body(&mut self, body: &Body, broken: bool) -> Doc {
        match body {
            Body::Block(block) => Doc::concat(vec![Doc::text(" "), self.block(block, broken).group()]),
            Body::Expr(expr) => Doc::concat(vec![Doc::text(" = "), self.expr(expr), Doc::text(";")]),
        }
    }

    fn reduction_part(&mut self, part: &ReductionPart) -> Doc {
        let params = match part.params.as_slice() {
            [] => String::new(),
            params => format!("({})", names(params)),
        };
        let head = Doc::text(format!("{}{params}", part.name.name));
        Doc::concat(vec![head, self.body(&part.body, false)])
    }

    fn example_line(&mut self, line: &ExampleLine) -> Doc {
        let head = Doc::text(format!("{} {} ", line.name.name, line.relation.symbol()));
        let mut out = vec![head, self.expr(&line.value)];
        if let Some(within) = &line.within {
            out.push(Doc::text(" within "));
            out.push(self.expr(within));
        }
        out.push(Doc::text(";"));
        Doc::concat(out)
    }

    // ------------------------------------------------------------------------------------------------ blocks

    /// A block; with `broken`, or with statements, each of its parts on a line of its own. The caller groups it.
    fn block(&mut self, block: &Block, broken: bool) -> Doc {
        let on_one_line = !broken && block.stmts.is_empty();
        let mut inner = Vec::new();
        let mut position = Position::First;
        for stmt in &block.stmts {
            self.lead(&mut inner, stmt.span.start, position);
            inner.push(self.stmt(stmt));
            position = Position::Later;
        }
        if on_one_line && !self.has_comments_before(block.value.span.start) {
            inner.push(Doc::line());
        } else {
            self.lead(&mut inner, block.value.span.start, position);
        }
        inner.push(self.expr(&block.value));
        self.comment_lines(&mut inner, block.span.end, Position::Later);
        let end = if on_one_line { Doc::line() } else { Doc::hard() };
        Doc::concat(vec![Doc::text("{"), Doc::concat(inner).indent(), end, Doc::text("}")])
    }

    fn stmt(&mut self, stmt: &Stmt) -> Doc {
        match &stmt.kind {
            StmtKind::Let(name, value) => {
                let head = Doc::text(format!("let {} = ", name.name));
                Doc::concat(vec![head, self.expr(value), Doc::text(";")])
            }
            StmtKind::Dim(name, size) => Doc::text(format!("dim {} = {};", name.name, size_text(size))),
        }
    }

    // ------------------------------------------------------------------------------------------------ lists

    /// `open a, b, c close`, on one line or each part on its own. `end` is a place after the last part.
    fn list<T>(
        &mut self,
        open: &'static str,
        close: &'static str,
        parts: &[T],
        end: u32,
        start: impl Fn(&T) -> u32,
        each: impl Fn(&mut Printer<'a>, &T) -> Doc,
    ) -> Doc {
        let mut inner = Vec::new();
        for (count, part) in parts.iter().enumerate() {
            if count > 0 {
                inner.push(Doc::text(","));
            }
            self.part_comments(
                &mut inner,
                start(part),
                if count > 0 { Doc::line() } else { Doc::softline() },
            );
            inner.push(each(self, part));
        }
        if !parts.is_empty() {
            inner.push(Doc::if_broken(","));
        }
        self.comment_lines(&mut inner, end, Position::First);
        Doc::concat(vec![Doc::text(open), Doc::concat(inner).indent(), Doc::softline(), Doc::text(close)])
            .group()
    }

    /// The comments before a part of a list, around the line break before it. Blank lines are not kept.
    fn part_comments(&mut self, out: &mut Vec<Doc>, offset: u32, line: Doc) {
        let mut comments = self.comments_before(offset).into_iter().peekable();
        if let Some(comment) = comments.next_if(|comment| !comment.own_line) {
            out.push(Doc::suffix(&format!(" {}", comment.text)));
        }
        out.push(line);
        for comment in comments {
            out.push(Doc::text(&*comment.text));
            out.push(Doc::hard());
        }
    }

    // ------------------------------------------------------------------------------------------------ expressions

    fn expr(&mut self, expr: &Expr) -> Doc {
        self.operand(expr, level::WHOLE)
    }

    /// An expression where something that binds at least as tightly as `least` must stand.
    fn operand(&mut self, expr: &Expr, least: u8) -> Doc {
        let mut out = Vec::new();
        self.inner_comments(&mut out, expr.span.start);
        let commented = !out.is_empty();
        let parens = expr_level(expr) < least;
        if parens {
            out.push(Doc::text("("));
        }
        out.push(self.bare(expr));
        if parens {
            out.push(Doc::text(")"));
        }
        let doc = Doc::concat(out);
        if commented { doc.indent() } else { doc }
    }

    fn bare(&mut self, expr: &Expr) -> Doc {
        match &expr.kind {
            ExprKind::Number(number) => Doc::text(&*number.text),
            ExprKind::Constant(constant) => Doc::text(constant.name()),
            ExprKind::Bool(value) => Doc::text(value.to_string()),
            ExprKind::Name(name) => Doc::text(&*name.name),
            ExprKind::Unary(op, operand) => {
                let least =
                    if matches!(operand.kind, ExprKind::Unary(..)) { level::UNARY } else { level::POWER };
                Doc::concat(vec![Doc::text(op.symbol()), self.operand(operand, least)])
            }
            ExprKind::Binary(BinaryOp::Pow, power) => self.power(power),
            ExprKind::Binary(op, binary) => self.chain(*op, binary),
            ExprKind::If(choice) => self.choice(choice),
            ExprKind::Call(call) => self.call(call, expr.span.end),
            ExprKind::Index(index) => {
                let base = self.operand(&index.base, level::BASE);
                let end = index.brackets.end;
                let entries =
                    self.list("[", "]", &index.entries, end, |entry| entry.span.start, Printer::entry);
                Doc::concat(vec![base, entries])
            }
            ExprKind::Field(base, name) => {
                Doc::concat(vec![self.operand(base, level::BASE), Doc::text(format!(".{}", name.name))])
            }
            ExprKind::Tuple(fields) => self.tuple(fields, expr.span.end),
            ExprKind::Array(elements) => self.array(elements),
            ExprKind::Iterate(iterate) => self.iterate(iterate),
        }
    }

    /// `x^2` when the exponent is one word, `x ^ (a + b)` otherwise.
    fn power(&mut self, power: &Binary) -> Doc {
        let symbol = if is_short_exponent(&power.rhs) { "^" } else { " ^ " };
        let base = self.operand(&power.lhs, level::POSTFIX);
        Doc::concat(vec![base, Doc::text(symbol), self.operand(&power.rhs, level::UNARY)])
    }

    /// A chain of operators of one level: one line, or a line for each operator.
    fn chain(&mut self, op: BinaryOp, binary: &Binary) -> Doc {
        let own = op.level();
        let mut links = vec![(op, &binary.rhs)];
        let mut first = &binary.lhs;
        while let ExprKind::Binary(op, binary) = &first.kind {
            if op.level() != own || op.is_comparison() {
                break;
            }
            links.push((*op, &binary.rhs));
            first = &binary.lhs;
        }
        let least = if op.is_comparison() { own + 1 } else { own };
        let head = self.operand(first, least);
        let mut tail = Vec::new();
        for (op, operand) in links.into_iter().rev() {
            self.part_comments(&mut tail, operand.span.start, Doc::line());
            tail.push(Doc::text(format!("{} ", op.symbol())));
            tail.push(self.operand(operand, own + 1));
        }
        Doc::concat(vec![head, Doc::concat(tail).indent()]).group()
    }

    fn choice(&mut self, choice: &If) -> Doc {
        let mut out = Vec::new();
        for branch in &choice.branches {
            out.push(Doc::text("if "));
            out.push(self.expr(&branch.cond));
            out.push(Doc::text(" "));
            out.push(self.block(&branch.body, false));
            out.push(Doc::text(" else "));
        }
        out.push(self.block(&choice.otherwise, false));
        Doc::concat(out).group()
    }

    fn call(&mut self, call: &Call, end: u32) -> Doc {
        let mut out = vec![Doc::text(&*call.callee.name)];
        if let Some(dims) = &call.dims {
            out.push(Doc::text(format!("[{}", dim_args(&dims.dims))));
            if let Some(filter) = &dims.filter {
                out.push(Doc::text(" where "));
                out.push(self.expr(filter));
            }
            out.push(Doc::text("]"));
        }
        let start = |arg: &Arg| arg.name.as_ref().map_or(arg.value.span.start, |name| name.span.start);
        out.push(self.list("(", ")", &call.args, end, start, Printer::arg));
        Doc::concat(out)
    }

    fn arg(&mut self, arg: &Arg) -> Doc {
        match &arg.name {
            None => self.expr(&arg.value),
            Some(name) => Doc::concat(vec![Doc::text(format!("{} = ", name.name)), self.expr(&arg.value)]),
        }
    }

    fn entry(&mut self, entry: &IndexEntry) -> Doc {
        // As in types: `half=0`, but `d = label`.
        let number = matches!(entry.position.kind, ExprKind::Number(_)) && entry.otherwise.is_none();
        let equals = if number { "=" } else { " = " };
        let mut out = vec![Doc::text(format!("{}{equals}", entry.dim.name)), self.expr(&entry.position)];
        if let Some(otherwise) = &entry.otherwise {
            out.push(Doc::text(" else "));
            out.push(self.expr(otherwise));
        }
        Doc::concat(out)
    }

    fn tuple(&mut self, fields: &[TupleField], end: u32) -> Doc {
        let each = |printer: &mut Printer<'a>, field: &TupleField| {
            Doc::concat(vec![Doc::text(format!("{} = ", field.name.name)), printer.expr(&field.value)])
        };
        self.list("(", ")", fields, end, |field| field.span.start, each)
    }

    /// An array: as many elements on a line as fit.
    fn array(&mut self, elements: &[Expr]) -> Doc {
        let mut inner = Vec::new();
        for (count, element) in elements.iter().enumerate() {
            if count > 0 {
                inner.push(Doc::text(","));
                inner.push(Doc::fill());
            }
            inner.push(self.expr(element));
        }
        Doc::concat(vec![Doc::text("["), Doc::concat(inner).indent(), Doc::text("]")])
    }

    fn iterate(&mut self, iterate: &Iterate) -> Doc {
        let count = match &iterate.count {
            Count::Int(count, _) => count.to_string(),
            Count::Name(name) => name.name.clone(),
        };
        let head = Doc::text(format!("{} {count} ", iterate.keep.keyword()));
        let state = self.tuple(&iterate.state, iterate.body.span.start);
        Doc::concat(vec![head, state, Doc::text(" "), self.block(&iterate.body, false).group()])
    }
}

fn doc_line(marker: &str, doc: &DocLine) -> Doc {
    Doc::text(if doc.text.is_empty() { marker.to_owned() } else { format!("{marker} {}", doc.text) })
}

fn generic(generic: &Generic) -> String {
    let name = &generic.name.name;
    match &generic.kind {
        GenericKind::Dim { default: None } => name.clone(),
        GenericKind::Dim { default: Some(size) } => format!("{name} = {}", size_text(size)),
        GenericKind::DType { class, default: None } => format!("{name}: {}", class.name),
        GenericKind::DType { class, default: Some(default) } => {
            format!("{name}: {} = {}", class.name, default.name)
        }
    }
}

fn directive(directive: &Directive) -> Doc {
    let value = match &directive.value {
        DirectiveValue::Word(word) => &word.name,
        DirectiveValue::Number(number, _) => &number.text,
    };
    Doc::text(format!("{} = {value};", directive.name.name))
}

/// How tightly an expression binds.
fn expr_level(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::If(_) | ExprKind::Iterate(_) => level::WHOLE,
        ExprKind::Binary(op, _) => op.level(),
        ExprKind::Unary(..) => level::UNARY,
        // `1.lo` would not be read as `(1).lo`.
        ExprKind::Number(_) => level::POSTFIX,
        ExprKind::Constant(_)
        | ExprKind::Bool(_)
        | ExprKind::Name(_)
        | ExprKind::Call(_)
        | ExprKind::Index(_)
        | ExprKind::Field(..)
        | ExprKind::Tuple(_)
        | ExprKind::Array(_) => level::BASE,
    }
}

/// Whether an exponent reads well without blanks: a word or a number, also with a sign or an exponent of its own.
fn is_short_exponent(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Constant(_) | ExprKind::Name(_) => true,
        ExprKind::Unary(UnaryOp::Neg, operand) => is_short_exponent(operand),
        ExprKind::Binary(BinaryOp::Pow, power) => {
            is_short_exponent(&power.lhs) && is_short_exponent(&power.rhs)
        }
        _ => false,
    }
}
