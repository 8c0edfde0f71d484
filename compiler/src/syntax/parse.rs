//! Text → syntax tree.
//!
//! Three steps: `tokens` splits the text and checks its limits, pest parses it, and this file turns pest's pairs into the
//! tree. pest stops at the first mistake, so there is one syntax error at most; `explain` words it. The shapes that the
//! functions below take for granted are those of `act.pest`: a pair that does not fit is our bug and panics.
//!
//! The height of the tree is limited while it is built (see [`Tall`]), before anything recursive meets it.

use std::cell::Cell;
use std::iter::{Filter, Peekable};
use std::sync::LazyLock;

use actlang_grammar::{ActParser, Rule};
use pest::Parser;
use pest::iterators::{Pair, Pairs};
use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::ast::*;
use super::tokens::{self, Tokens, too_deep};
use super::{MAX_FILE, MAX_HEIGHT, explain};
use crate::diag::{Diagnostic, Diagnostics, FileId, Span, codes};

/// Reads a file; `file` is the number under which its spans refer to it. One syntax error at most.
pub fn parse(text: &str, file: FileId) -> Result<File, Diagnostics> {
    parse_file(text, file).map_err(|diagnostic| Diagnostics::from(*diagnostic))
}

type Fallible<T> = Result<T, Box<Diagnostic>>;

fn parse_file(text: &str, file: FileId) -> Fallible<File> {
    if text.len() > MAX_FILE {
        return Err(Box::new(file_too_long(text, file)));
    }
    let mut tokens = tokens::split(text, file);
    tokens.check_depth()?;
    let mut pairs = ActParser::parse(Rule::file, text).map_err(|error| explain::explain(&error, &tokens))?;
    let lower = Lower { tokens: &tokens, tallest: Cell::new(0) };
    let (docs, items) = lower.file(pairs.next().expect("`file` is one pair"))?;
    let span = tokens.span(0, text.len());
    let comments = std::mem::take(&mut tokens.comments);
    Ok(File { docs, items, comments, blank_lines: tokens.blank_lines, span })
}

fn file_too_long(text: &str, file: FileId) -> Diagnostic {
    let message = format!("the file has {} bytes; at most {MAX_FILE} can be compiled", text.len());
    Diagnostic::error(codes::FILE_TOO_LONG, Span::new(file, 0, 0), message)
}

/// How tightly operators bind, loosest first.
static PRATT: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::or))
        .op(left(Rule::and))
        .op(left(Rule::eq)
            | left(Rule::ne)
            | left(Rule::lt)
            | left(Rule::le)
            | left(Rule::gt)
            | left(Rule::ge))
        .op(left(Rule::add) | left(Rule::sub))
        .op(left(Rule::mul) | left(Rule::div))
        .op(Op::prefix(Rule::neg) | Op::prefix(Rule::not))
        .op(Op::infix(Rule::pow, Assoc::Right))
        .op(Op::postfix(Rule::index) | Op::postfix(Rule::field))
});

/// An expression on its way into the tree.
struct Tall {
    expr: Expr,
    /// The number of expressions on the longest way down.
    height: usize,
    /// Whether it stands in parentheses of its own.
    parens: bool,
}

struct Lower<'a> {
    tokens: &'a Tokens<'a>,
    /// The greatest height of an expression or a size lowered since this was last set to zero.
    tallest: Cell<usize>,
}

/// The children of a pair that mean something: keywords and punctuation are left out.
struct Parts<'a>(Peekable<Filter<Pairs<'a, Rule>, Test<'a>>>);

type Test<'a> = fn(&Pair<'a, Rule>) -> bool;

impl<'a> Parts<'a> {
    fn of(pair: Pair<'a, Rule>) -> Parts<'a> {
        let means_something: Test<'a> = |pair| !is_punctuation(pair.as_rule());
        Parts(pair.into_inner().filter(means_something).peekable())
    }

    /// The next child, which there must be.
    fn one(&mut self) -> Pair<'a, Rule> {
        self.0.next().expect("the grammar has another part here")
    }

    /// The next child if it is of that rule.
    fn maybe(&mut self, rule: Rule) -> Option<Pair<'a, Rule>> {
        self.0.next_if(|pair| pair.as_rule() == rule)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Pair<'a, Rule>;
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

fn is_punctuation(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        open | close
            | open_bracket
            | close_bracket
            | open_brace
            | close_brace
            | less
            | greater
            | comma
            | colon
            | semi
            | assign
            | arrow
            | rest
            | dot
            | kw_kernel
            | kw_fn
            | kw_const
            | kw_reduction
            | kw_schedule
            | kw_example
            | kw_use
            | kw_let
            | kw_dim
            | kw_if
            | kw_else
            | kw_iterate
            | kw_unfold
            | kw_where
            | kw_in
            | kw_within
            | EOI
    )
}

fn unknown(pair: &Pair<'_, Rule>) -> ! {
    panic!("the grammar has `{:?}` where the tree has no place for it: {}", pair.as_rule(), pair.as_str())
}

impl Lower<'_> {
    /// The place of a pair; pest counts blanks and comments after it as part of it, this does not.
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        let end = self.tokens.end_before(span.end());
        self.tokens.span(span.start(), end.clamp(span.start(), span.end()))
    }

    fn text(&self, span: Span) -> &str {
        &self.tokens.text[span.start as usize..span.end as usize]
    }

    fn ident(&self, pair: Pair<'_, Rule>) -> Ident {
        Ident { name: pair.as_str().to_owned(), span: self.span(&pair) }
    }

    fn idents<'p>(&self, pairs: impl Iterator<Item = Pair<'p, Rule>>) -> Vec<Ident> {
        pairs.map(|pair| self.ident(pair)).collect()
    }

    /// Lowers all of `pairs` with one function.
    fn all<'p, T>(
        &self,
        pairs: impl Iterator<Item = Pair<'p, Rule>>,
        lower: impl Fn(&Self, Pair<'p, Rule>) -> Fallible<T>,
    ) -> Fallible<Vec<T>> {
        pairs.map(|pair| lower(self, pair)).collect()
    }

    // ------------------------------------------------------------------------------------------------ items

    fn file(&self, pair: Pair<'_, Rule>) -> Fallible<(Vec<DocLine>, Vec<Item>)> {
        let (mut docs, mut items) = (Vec::new(), Vec::new());
        for part in Parts::of(pair) {
            match part.as_rule() {
                Rule::file_doc => docs.push(self.doc(&part)),
                Rule::item => items.push(self.item(part)?),
                _ => unknown(&part),
            }
        }
        Ok((docs, items))
    }

    fn doc(&self, pair: &Pair<'_, Rule>) -> DocLine {
        let text = &pair.as_str()["///".len()..];
        let text = text.strip_prefix(' ').unwrap_or(text).trim_end().to_owned();
        DocLine { text, span: self.span(pair) }
    }

    fn item(&self, pair: Pair<'_, Rule>) -> Fallible<Item> {
        let mut parts = Parts::of(pair);
        let mut docs = Vec::new();
        while let Some(doc) = parts.maybe(Rule::doc) {
            docs.push(self.doc(&doc));
        }
        let pair = parts.one();
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::kernel => self.kernel(pair)?,
            Rule::function => ItemKind::Fn(self.function(pair)?),
            Rule::constant => ItemKind::Const(self.constant(pair)?),
            Rule::reduction => ItemKind::Reduction(self.reduction(pair)?),
            Rule::schedule => ItemKind::Schedule(self.schedule(pair)?),
            Rule::example => ItemKind::Example(self.example(pair)?),
            Rule::import => ItemKind::Use(self.import(pair)),
            _ => unknown(&pair),
        };
        Ok(Item { docs, kind, span })
    }

    fn kernel(&self, pair: Pair<'_, Rule>) -> Fallible<ItemKind> {
        let mut parts = Parts::of(pair);
        let name = self.ident(parts.one());
        if let Some(derivation) = parts.maybe(Rule::derivation) {
            let mut parts = Parts::of(derivation);
            let transform = self.ident(parts.one());
            return Ok(ItemKind::Derived(Derived { name, transform, args: self.idents(parts) }));
        }
        let generics = match parts.maybe(Rule::generics) {
            Some(generics) => self.all(Parts::of(generics), Lower::generic)?,
            None => Vec::new(),
        };
        let params = self.all(Parts::of(parts.one()), Lower::param)?;
        let results = self.results(parts.one())?;
        let body = self.block(parts.one())?;
        Ok(ItemKind::Kernel(Kernel { name, generics, params, results, body }))
    }

    fn generic(&self, pair: Pair<'_, Rule>) -> Fallible<Generic> {
        let span = self.span(&pair);
        let is_dtype = pair.as_rule() == Rule::generic_dtype;
        let mut parts = Parts::of(pair);
        let name = self.ident(parts.one());
        let kind = if is_dtype {
            let class = self.ident(parts.one());
            GenericKind::DType { class, default: parts.next().map(|default| self.ident(default)) }
        } else {
            GenericKind::Dim { default: parts.next().map(|default| self.size(default)).transpose()? }
        };
        Ok(Generic { name, kind, span })
    }

    fn param(&self, pair: Pair<'_, Rule>) -> Fallible<Param> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.ident(parts.one());
        let ty = self.ty(parts.one())?;
        let range = parts.maybe(Rule::range).map(|range| self.range(range)).transpose()?;
        let default =
            parts.maybe(Rule::default).map(|default| self.expr(Parts::of(default).one())).transpose()?;
        Ok(Param { name, ty, range, default, span })
    }

    fn range(&self, pair: Pair<'_, Rule>) -> Fallible<ValueRange> {
        let mut bounds = Parts::of(pair);
        let low = self.bound(bounds.one())?;
        let high = self.bound(bounds.one())?;
        let span = low.span.to(high.span);
        Ok(ValueRange { low, high, span })
    }

    fn bound(&self, pair: Pair<'_, Rule>) -> Fallible<Expr> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let negative = parts.maybe(Rule::neg).is_some();
        let value = parts.one();
        let value_span = self.span(&value);
        let kind = match value.as_rule() {
            Rule::number => ExprKind::Number(self.number(&value)?),
            Rule::named_number => ExprKind::Constant(named_number(&value)),
            Rule::ident => ExprKind::Name(self.ident(value)),
            _ => unknown(&value),
        };
        let value = Expr { kind, span: value_span };
        let kind = if negative { ExprKind::Unary(UnaryOp::Neg, Box::new(value)) } else { return Ok(value) };
        Ok(Expr { kind, span })
    }

    fn results(&self, pair: Pair<'_, Rule>) -> Fallible<Results> {
        let results = Parts::of(pair).one();
        if results.as_rule() == Rule::type_ {
            return Ok(Results::One(self.ty(results)?));
        }
        let named = |lower: &Self, pair: Pair<'_, Rule>| {
            let span = lower.span(&pair);
            let mut parts = Parts::of(pair);
            let name = lower.ident(parts.one());
            Ok(NamedResult { name, ty: lower.ty(parts.one())?, span })
        };
        Ok(Results::Named(self.all(Parts::of(results), named)?))
    }

    fn function(&self, pair: Pair<'_, Rule>) -> Fallible<FnDecl> {
        let mut parts = Parts::of(pair);
        let name = self.ident(parts.one());
        let dims = parts.maybe(Rule::fn_dims).map_or(Vec::new(), |dims| self.idents(Parts::of(dims)));
        let params = self.all(Parts::of(parts.one()), Lower::fn_param)?;
        Ok(FnDecl { name, dims, params, body: self.body(parts.one())? })
    }

    fn fn_param(&self, pair: Pair<'_, Rule>) -> Fallible<FnParam> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.ident(parts.one());
        let default =
            parts.maybe(Rule::default).map(|default| self.expr(Parts::of(default).one())).transpose()?;
        Ok(FnParam { name, default, span })
    }

    fn body(&self, pair: Pair<'_, Rule>) -> Fallible<Body> {
        match pair.as_rule() {
            Rule::block => Ok(Body::Block(self.block(pair)?)),
            _ => Ok(Body::Expr(self.expr(pair)?)),
        }
    }

    fn constant(&self, pair: Pair<'_, Rule>) -> Fallible<Const> {
        let mut parts = Parts::of(pair);
        let name = self.ident(parts.one());
        Ok(Const { name, value: self.expr(parts.one())? })
    }

    fn reduction(&self, pair: Pair<'_, Rule>) -> Fallible<ReductionDecl> {
        let mut parts = Parts::of(pair);
        let name = self.ident(parts.one());
        let part = |lower: &Self, pair: Pair<'_, Rule>| {
            let span = lower.span(&pair);
            let mut parts = Parts::of(pair);
            let name = lower.ident(parts.one());
            let params = parts.maybe(Rule::reduction_names);
            let params = params.map_or(Vec::new(), |params| lower.idents(Parts::of(params)));
            Ok(ReductionPart { name, params, body: lower.body(parts.one())?, span })
        };
        Ok(ReductionDecl { name, parts: self.all(parts, part)? })
    }

    fn schedule(&self, pair: Pair<'_, Rule>) -> Fallible<ScheduleDecl> {
        let mut parts = Parts::of(pair);
        let kernel = self.ident(parts.one());
        let directive = |lower: &Self, pair: Pair<'_, Rule>| {
            let span = lower.span(&pair);
            let mut parts = Parts::of(pair);
            let name = lower.ident(parts.one());
            let value = parts.one();
            let value = match value.as_rule() {
                Rule::number => DirectiveValue::Number(lower.number(&value)?, lower.span(&value)),
                _ => DirectiveValue::Word(lower.ident(value)),
            };
            Ok(Directive { name, value, span })
        };
        Ok(ScheduleDecl { kernel, directives: self.all(parts, directive)? })
    }

    fn example(&self, pair: Pair<'_, Rule>) -> Fallible<ExampleDecl> {
        let mut parts = Parts::of(pair);
        let kernel = self.ident(parts.one());
        let line = |lower: &Self, pair: Pair<'_, Rule>| {
            let span = lower.span(&pair);
            let symbol = pair.clone().into_inner().nth(1).expect("a relation follows the name");
            let relation_span = lower.span(&symbol);
            let mut parts = Parts::of(pair);
            let name = lower.ident(parts.one());
            let relation = if parts.maybe(Rule::near).is_some() {
                Relation::Near
            } else if parts.maybe(Rule::eq).is_some() {
                Relation::Exact
            } else {
                Relation::Given
            };
            let value = lower.expr_or_array(parts.one())?;
            let within = parts.next().map(|within| lower.expr(Parts::of(within).one())).transpose()?;
            Ok(ExampleLine { name, relation, relation_span, value, within, span })
        };
        Ok(ExampleDecl { kernel, lines: self.all(parts, line)? })
    }

    fn import(&self, pair: Pair<'_, Rule>) -> Use {
        let path = Parts::of(pair).one();
        Use { path: path.as_str().trim_matches('"').to_owned(), path_span: self.span(&path) }
    }

    // ------------------------------------------------------------------------------------------------ types

    fn ty(&self, pair: Pair<'_, Rule>) -> Fallible<Type> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let dtype = self.ident(parts.one());
        let axes = parts.next().map(|axes| self.all(Parts::of(axes), Lower::axis)).transpose()?;
        Ok(Type { dtype, axes, span })
    }

    fn axis(&self, pair: Pair<'_, Rule>) -> Fallible<Axis> {
        let span = self.span(&pair);
        let kind = match Parts::of(pair).next() {
            None => AxisKind::Rest,
            Some(part) => match part.as_rule() {
                Rule::ident => AxisKind::Dim(self.ident(part)),
                Rule::group => AxisKind::Group(self.all(Parts::of(part), Lower::group_part)?),
                Rule::sized_axis => {
                    let mut parts = Parts::of(part);
                    let name = self.ident(parts.one());
                    AxisKind::Sized(name, self.size(parts.one())?)
                }
                _ => unknown(&part),
            },
        };
        Ok(Axis { kind, span })
    }

    fn group_part(&self, pair: Pair<'_, Rule>) -> Fallible<GroupPart> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.ident(parts.one());
        let size = parts.next().map(|size| self.size_leaf(size)).transpose()?;
        Ok(GroupPart { name, size, span })
    }

    fn size_leaf(&self, pair: Pair<'_, Rule>) -> Fallible<SizeExpr> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::int => SizeKind::Int(self.int(&pair)?),
            Rule::ident => SizeKind::Name(self.ident(pair)),
            _ => unknown(&pair),
        };
        Ok(SizeExpr { kind, span })
    }

    /// A size: sums of products, both from the left.
    fn size(&self, pair: Pair<'_, Rule>) -> Fallible<SizeExpr> {
        let outer = self.tallest.take();
        let mut parts = Parts::of(pair);
        let (mut sum, mut product) = (None, self.size_term(parts.one())?);
        let mut height = self.tallest.get() + 1;
        while let Some(op) = parts.next() {
            let op = size_op(&op);
            let term = self.size_term(parts.one())?;
            height = height.max(self.tallest.get()) + 1;
            if height > MAX_HEIGHT {
                return Err(Box::new(too_deep(term.span)));
            }
            match op {
                SizeOp::Mul | SizeOp::Div => product = join_sizes(op, product, term),
                SizeOp::Add | SizeOp::Sub => {
                    let left = add_size(sum, product);
                    (sum, product) = (Some((left, op)), term);
                }
            }
        }
        self.tallest.set(outer.max(height));
        Ok(add_size(sum, product))
    }

    fn size_term(&self, pair: Pair<'_, Rule>) -> Fallible<SizeExpr> {
        let span = self.span(&pair);
        let inner = Parts::of(pair).one();
        match inner.as_rule() {
            Rule::size => Ok(SizeExpr { span, ..self.size(inner)? }),
            _ => self.size_leaf(inner),
        }
    }

    // ------------------------------------------------------------------------------------------------ blocks

    fn block(&self, pair: Pair<'_, Rule>) -> Fallible<Block> {
        let span = self.span(&pair);
        let mut stmts = Vec::new();
        for part in Parts::of(pair) {
            let part_span = self.span(&part);
            let rule = part.as_rule();
            if rule == Rule::expr {
                return Ok(Block { stmts, value: Box::new(self.expr(part)?), span });
            }
            let mut parts = Parts::of(part);
            let name = self.ident(parts.one());
            let kind = match rule {
                Rule::let_stmt => StmtKind::Let(name, self.expr(parts.one())?),
                _ => StmtKind::Dim(name, self.size(parts.one())?),
            };
            stmts.push(Stmt { kind, span: part_span });
        }
        panic!("the grammar ends a block with its value")
    }

    // ------------------------------------------------------------------------------------------------ expressions

    fn expr(&self, pair: Pair<'_, Rule>) -> Fallible<Expr> {
        Ok(self.tall(pair)?.expr)
    }

    fn expr_or_array(&self, pair: Pair<'_, Rule>) -> Fallible<Expr> {
        if pair.as_rule() != Rule::array {
            return self.expr(pair);
        }
        let span = self.span(&pair);
        let outer = self.tallest.take();
        let elements = self.all(Parts::of(pair), Lower::expr_or_array)?;
        let array = self.raise(ExprKind::Array(elements), span, self.tallest.get())?;
        self.tallest.set(outer.max(array.height));
        Ok(array.expr)
    }

    /// An expression with its height, from the flat list of its operands and operators.
    fn tall(&self, pair: Pair<'_, Rule>) -> Fallible<Tall> {
        let outer = self.tallest.take();
        let pairs = pair.into_inner();
        self.check_right_nesting(pairs.clone())?;
        let tall = PRATT
            .map_primary(|primary| self.primary(primary))
            .map_prefix(|op, operand| self.prefix(&op, operand?))
            .map_postfix(|base, postfix| self.postfix(base?, postfix))
            .map_infix(|lhs, op, rhs| self.infix(lhs?, &op, rhs?))
            .parse(pairs)?;
        self.tallest.set(outer.max(tall.height));
        Ok(tall)
    }

    /// Refuses long runs of prefix operators and `^`, for which the Pratt parser recurses.
    fn check_right_nesting(&self, pairs: Pairs<'_, Rule>) -> Fallible<()> {
        let mut run = 0;
        for pair in pairs {
            match pair.as_rule() {
                Rule::neg | Rule::not | Rule::pow => run += 1,
                Rule::or | Rule::and | Rule::eq | Rule::ne | Rule::lt | Rule::le | Rule::gt | Rule::ge => {
                    run = 0
                }
                Rule::add | Rule::sub | Rule::mul | Rule::div => run = 0,
                _ => {}
            }
            if run > MAX_HEIGHT {
                return Err(Box::new(too_deep(self.span(&pair))));
            }
        }
        Ok(())
    }

    /// Puts a node over parts of at most that height.
    fn raise(&self, kind: ExprKind, span: Span, below: usize) -> Fallible<Tall> {
        if below >= MAX_HEIGHT {
            return Err(Box::new(too_deep(span)));
        }
        Ok(Tall { expr: Expr { kind, span }, height: below + 1, parens: false })
    }

    fn primary(&self, pair: Pair<'_, Rule>) -> Fallible<Tall> {
        let span = self.span(&pair);
        if pair.as_rule() == Rule::parens {
            let inner = self.tall(Parts::of(pair).one())?;
            return Ok(Tall { expr: Expr { span, ..inner.expr }, parens: true, ..inner });
        }
        self.tallest.set(0);
        let kind = match pair.as_rule() {
            Rule::number => ExprKind::Number(self.number(&pair)?),
            Rule::named_number => ExprKind::Constant(named_number(&pair)),
            Rule::boolean => ExprKind::Bool(pair.as_str() == "true"),
            Rule::name => ExprKind::Name(self.ident(Parts::of(pair).one())),
            Rule::tuple => ExprKind::Tuple(self.fields(pair)?),
            Rule::call => ExprKind::Call(Box::new(self.call(pair)?)),
            Rule::choice => ExprKind::If(Box::new(self.choice(pair)?)),
            Rule::repeat => ExprKind::Iterate(Box::new(self.repeat(pair)?)),
            _ => unknown(&pair),
        };
        self.raise(kind, span, self.tallest.get())
    }

    fn prefix(&self, op: &Pair<'_, Rule>, operand: Tall) -> Fallible<Tall> {
        let span = self.span(op).to(operand.expr.span);
        let op = if op.as_rule() == Rule::neg { UnaryOp::Neg } else { UnaryOp::Not };
        self.raise(ExprKind::Unary(op, Box::new(operand.expr)), span, operand.height)
    }

    fn postfix(&self, base: Tall, pair: Pair<'_, Rule>) -> Fallible<Tall> {
        self.tallest.set(base.height);
        let brackets = self.span(&pair);
        let span = base.expr.span.to(brackets);
        let kind = if pair.as_rule() == Rule::field {
            ExprKind::Field(Box::new(base.expr), self.ident(Parts::of(pair).one()))
        } else {
            let entries = self.all(Parts::of(pair), Lower::entry)?;
            ExprKind::Index(Box::new(Index { base: base.expr, entries, brackets }))
        };
        self.raise(kind, span, self.tallest.get())
    }

    fn infix(&self, lhs: Tall, op: &Pair<'_, Rule>, rhs: Tall) -> Fallible<Tall> {
        let op_span = self.span(op);
        let op = binary_op(op);
        self.check_chain(&lhs, op, op_span, &rhs)?;
        let span = lhs.expr.span.to(rhs.expr.span);
        let below = lhs.height.max(rhs.height);
        let binary = Binary { lhs: lhs.expr, rhs: rhs.expr, op_span };
        self.raise(ExprKind::Binary(op, Box::new(binary)), span, below)
    }

    /// Refuses `a < b < c`.
    fn check_chain(&self, lhs: &Tall, op: BinaryOp, op_span: Span, rhs: &Tall) -> Fallible<()> {
        let ExprKind::Binary(first, ref left) = lhs.expr.kind else { return Ok(()) };
        if lhs.parens || !first.is_comparison() || !op.is_comparison() {
            return Ok(());
        }
        let (low, middle, high) =
            (self.text(lhs.expr.span), self.text(left.rhs.span), self.text(rhs.expr.span));
        let span = lhs.expr.span.to(rhs.expr.span);
        let both = format!("{low} && {middle} {} {high}", op.symbol());
        let error = Diagnostic::error(codes::CHAINED_COMPARISON, op_span, "comparisons don't chain")
            .with_label("a second comparison")
            .with_other(left.op_span, "the first one");
        Err(Box::new(error.with_fix("compare twice", span, both)))
    }

    fn fields(&self, tuple: Pair<'_, Rule>) -> Fallible<Vec<TupleField>> {
        let field = |lower: &Self, pair: Pair<'_, Rule>| {
            let span = lower.span(&pair);
            let mut parts = Parts::of(pair);
            let name = lower.ident(parts.one());
            Ok(TupleField { name, value: lower.expr(parts.one())?, span })
        };
        self.all(Parts::of(tuple), field)
    }

    fn call(&self, pair: Pair<'_, Rule>) -> Fallible<Call> {
        let mut parts = Parts::of(pair);
        let callee = self.ident(parts.one());
        let dims = parts.maybe(Rule::call_dims).map(|dims| self.call_dims(dims)).transpose()?;
        let args = self.all(Parts::of(parts.one()), Lower::arg)?;
        self.check_argument_order(&args)?;
        Ok(Call { callee, dims, args })
    }

    fn call_dims(&self, pair: Pair<'_, Rule>) -> Fallible<CallDims> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let mut dims = Vec::new();
        while let Some(dim) = parts.maybe(Rule::dim_arg) {
            let dim_span = self.span(&dim);
            dims.push(match Parts::of(dim).next() {
                Some(name) => DimArg::Dim(self.ident(name)),
                None => DimArg::Rest(dim_span),
            });
        }
        let filter = parts.next().map(|filter| self.expr(Parts::of(filter).one())).transpose()?;
        Ok(CallDims { dims, filter, span })
    }

    fn arg(&self, pair: Pair<'_, Rule>) -> Fallible<Arg> {
        let mut parts = Parts::of(pair);
        let name = parts.maybe(Rule::ident).map(|name| self.ident(name));
        Ok(Arg { name, value: self.expr_or_array(parts.one())? })
    }

    fn check_argument_order(&self, args: &[Arg]) -> Fallible<()> {
        let Some(first) = args.iter().position(|arg| arg.name.is_some()) else { return Ok(()) };
        let Some(late) = args[first..].iter().find(|arg| arg.name.is_none()) else { return Ok(()) };
        let name = args[first].name.as_ref().map_or(Span::NONE, |name| name.span);
        let message = "an argument without a name follows one with a name";
        let error = Diagnostic::error(codes::ARGUMENT_ORDER, late.value.span, message)
            .with_label("needs a name")
            .with_other(name, "the first argument by name")
            .with_help("put arguments by place before those by name, or name this one too");
        Err(Box::new(error))
    }

    fn entry(&self, pair: Pair<'_, Rule>) -> Fallible<IndexEntry> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let dim = self.ident(parts.one());
        let position = self.expr(parts.one())?;
        let otherwise = parts.next().map(|otherwise| self.expr(otherwise)).transpose()?;
        Ok(IndexEntry { dim, position, otherwise, span })
    }

    fn choice(&self, pair: Pair<'_, Rule>) -> Fallible<If> {
        let mut parts = Parts::of(pair);
        let mut branches = Vec::new();
        while let Some(cond) = parts.maybe(Rule::expr) {
            let cond = self.expr(cond)?;
            branches.push(Branch { cond, body: self.block(parts.one())? });
        }
        Ok(If { branches, otherwise: self.block(parts.one())? })
    }

    fn repeat(&self, pair: Pair<'_, Rule>) -> Fallible<Iterate> {
        let keep = if pair.as_str().starts_with("iterate") { Keep::Last } else { Keep::All };
        let mut parts = Parts::of(pair);
        let count = parts.one();
        let count = match count.as_rule() {
            Rule::int => Count::Int(self.int(&count)?, self.span(&count)),
            _ => Count::Name(self.ident(count)),
        };
        let state = self.fields(parts.one())?;
        Ok(Iterate { keep, count, state, body: self.block(parts.one())? })
    }

    // ------------------------------------------------------------------------------------------------ numbers

    fn int(&self, pair: &Pair<'_, Rule>) -> Fallible<u64> {
        let value = pair.as_str().parse::<u64>().ok().filter(|value| *value <= i64::MAX as u64);
        value.ok_or_else(|| {
            let error =
                Diagnostic::error(codes::NUMBER_TOO_LARGE, self.span(pair), "this whole number is too large")
                    .with_label("more than 2^63 - 1")
                    .with_help("a number with a point or an exponent (`1e30`) may be larger");
            Box::new(error)
        })
    }

    fn number(&self, pair: &Pair<'_, Rule>) -> Fallible<Number> {
        let text = pair.as_str();
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Number { text: text.to_owned(), value: NumberValue::Int(self.int(pair)?) });
        }
        let value: f64 = text.parse().expect("a `number` of the grammar is one of Rust");
        if value.is_infinite() {
            let span = self.span(pair);
            let error = Diagnostic::error(codes::NUMBER_TOO_LARGE, span, "this number is too large")
                .with_label("more than the largest f64, about 1.8e308")
                .with_fix("infinity has a name", span, "inf");
            return Err(Box::new(error));
        }
        Ok(Number { text: text.to_owned(), value: NumberValue::Float(value) })
    }
}

fn named_number(pair: &Pair<'_, Rule>) -> Constant {
    match pair.as_str() {
        "inf" => Constant::Inf,
        "nan" => Constant::Nan,
        "pi" => Constant::Pi,
        _ => unknown(pair),
    }
}

fn size_op(pair: &Pair<'_, Rule>) -> SizeOp {
    match pair.as_str() {
        "+" => SizeOp::Add,
        "-" => SizeOp::Sub,
        "*" => SizeOp::Mul,
        "/" => SizeOp::Div,
        _ => unknown(pair),
    }
}

/// The sum so far, with the product that comes last.
fn add_size(sum: Option<(SizeExpr, SizeOp)>, product: SizeExpr) -> SizeExpr {
    match sum {
        None => product,
        Some((sum, op)) => join_sizes(op, sum, product),
    }
}

fn join_sizes(op: SizeOp, lhs: SizeExpr, rhs: SizeExpr) -> SizeExpr {
    let span = lhs.span.to(rhs.span);
    SizeExpr { kind: SizeKind::Binary(op, Box::new(lhs), Box::new(rhs)), span }
}

fn binary_op(pair: &Pair<'_, Rule>) -> BinaryOp {
    match pair.as_rule() {
        Rule::or => BinaryOp::Or,
        Rule::and => BinaryOp::And,
        Rule::eq => BinaryOp::Eq,
        Rule::ne => BinaryOp::Ne,
        Rule::lt => BinaryOp::Lt,
        Rule::le => BinaryOp::Le,
        Rule::gt => BinaryOp::Gt,
        Rule::ge => BinaryOp::Ge,
        Rule::add => BinaryOp::Add,
        Rule::sub => BinaryOp::Sub,
        Rule::mul => BinaryOp::Mul,
        Rule::div => BinaryOp::Div,
        Rule::pow => BinaryOp::Pow,
        _ => unknown(pair),
    }
}
