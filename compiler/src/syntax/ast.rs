//! The syntax tree of one `.act` file: what was written, with the place of every part.
//!
//! Needs nothing but [`Span`]; made by `parse`, read by `print` and by `sema`. Names are not looked up
//! and types are not worked out here: a name is the text between its boundaries, and `max`, `f32` or `index` are names
//! like any other. Blanks are gone, comments are kept beside the tree in [`File::comments`].
//!
//! An expression is never higher than [`super::MAX_HEIGHT`] expressions, whatever the input, so that recursive functions
//! over it need no care about the stack. Lists (parameters, entries, statements, `else if` branches) are flat and may be long.

use crate::diag::Span;

pub use super::dump::dump;

/// A name with its place.
#[derive(Clone, Debug)]
pub struct Ident {
    /// The name as written.
    pub name: String,
    /// Where it was written.
    pub span: Span,
}

impl Ident {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// One line of documentation (`/// text` or `//! text`).
#[derive(Clone, Debug)]
pub struct DocLine {
    /// The text behind the marker, without the one blank after it and without trailing blanks.
    pub text: String,
    /// The whole line from its marker on.
    pub span: Span,
}

/// A comment that is not documentation, from its `//` to the end of its line.
#[derive(Clone, Debug)]
pub struct Comment {
    /// The comment with its slashes, without trailing blanks.
    pub text: String,
    /// Whether it is the first thing on its line.
    pub own_line: bool,
    /// Where it was written.
    pub span: Span,
}

/// A whole file.
#[derive(Clone, Debug)]
pub struct File {
    /// The lines of `//!` documentation at the head.
    pub docs: Vec<DocLine>,
    /// The items in the order of the text.
    pub items: Vec<Item>,
    /// All comments in the order of the text.
    pub comments: Vec<Comment>,
    /// Places where the text has one or more blank lines, as the offset of the first thing after them, ascending.
    pub blank_lines: Vec<u32>,
    /// The whole text.
    pub span: Span,
}

/// An item with its documentation.
#[derive(Clone, Debug)]
pub struct Item {
    /// The lines of `///` documentation before it.
    pub docs: Vec<DocLine>,
    /// What it is.
    pub kind: ItemKind,
    /// From its keyword to its end, without the documentation.
    pub span: Span,
}

impl Item {
    /// The name that the item declares; none for `use`, and for `schedule` and `example`, which only speak of a kernel.
    pub fn name(&self) -> Option<&Ident> {
        match &self.kind {
            ItemKind::Kernel(kernel) => Some(&kernel.name),
            ItemKind::Derived(derived) => Some(&derived.name),
            ItemKind::Fn(function) => Some(&function.name),
            ItemKind::Const(constant) => Some(&constant.name),
            ItemKind::Reduction(reduction) => Some(&reduction.name),
            ItemKind::Schedule(_) | ItemKind::Example(_) | ItemKind::Use(_) => None,
        }
    }
}

/// The kinds of item.
#[derive(Clone, Debug)]
pub enum ItemKind {
    /// `kernel name(…) -> … { … }`
    Kernel(Kernel),
    /// `kernel name = grad(other, x);`
    Derived(Derived),
    /// `fn name[d](x) { … }`
    Fn(FnDecl),
    /// `const NAME = expr;`
    Const(Const),
    /// `reduction name { … }`
    Reduction(ReductionDecl),
    /// `schedule kernel { … }`
    Schedule(ScheduleDecl),
    /// `example kernel { … }`
    Example(ExampleDecl),
    /// `use "file.act";`
    Use(Use),
}

/// `kernel softmax<g = 32>(x: f32[.., d]) -> f32[.., d] { … }`
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its name.
    pub name: Ident,
    /// What stands between `<` and `>`.
    pub generics: Vec<Generic>,
    /// Its parameters in order.
    pub params: Vec<Param>,
    /// What it returns.
    pub results: Results,
    /// Its body.
    pub body: Block,
}

/// `kernel softmax_backward = grad(softmax, x);`
#[derive(Clone, Debug)]
pub struct Derived {
    /// The name of the new kernel.
    pub name: Ident,
    /// How it is derived (`grad`).
    pub transform: Ident,
    /// The kernel it comes from, then names of its parameters.
    pub args: Vec<Ident>,
}

/// One entry between `<` and `>` of a kernel.
#[derive(Clone, Debug)]
pub struct Generic {
    /// Its name.
    pub name: Ident,
    /// A dimension or a dtype.
    pub kind: GenericKind,
    /// The whole entry.
    pub span: Span,
}

/// What a generic entry of a kernel stands for.
#[derive(Clone, Debug)]
pub enum GenericKind {
    /// `g = 32`: a dimension whose size is fixed when the kernel is compiled.
    Dim {
        /// Its size where no option gives another.
        default: Option<SizeExpr>,
    },
    /// `T: float = f32`: a dtype.
    DType {
        /// The class it must belong to (`float`).
        class: Ident,
        /// The dtype where no option gives another.
        default: Option<Ident>,
    },
}

/// `eps: f32 in 1e-9..1 = 1e-5`
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// The range that its values are promised, and checked, to lie in.
    pub range: Option<ValueRange>,
    /// Its value where the caller gives none.
    pub default: Option<Expr>,
    /// The whole parameter.
    pub span: Span,
}

/// `1e-6..1e6`, both ends included.
#[derive(Clone, Debug)]
pub struct ValueRange {
    /// The lower end.
    pub low: Expr,
    /// The upper end.
    pub high: Expr,
    /// Both ends.
    pub span: Span,
}

/// What a kernel returns.
#[derive(Clone, Debug)]
pub enum Results {
    /// One result without a name.
    One(Type),
    /// `(y: f32[.., d], rstd: f32[..])`
    Named(Vec<NamedResult>),
}

/// `y: f32[.., d]`
#[derive(Clone, Debug)]
pub struct NamedResult {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// The whole entry.
    pub span: Span,
}

/// `f32` or `f32[n, (g k), h, w]`
#[derive(Clone, Debug)]
pub struct Type {
    /// The name of the dtype, or of a dtype parameter.
    pub dtype: Ident,
    /// The axes, outermost first; `None` for a scalar. Never empty.
    pub axes: Option<Vec<Axis>>,
    /// The whole type.
    pub span: Span,
}

/// One axis of an array type.
#[derive(Clone, Debug)]
pub struct Axis {
    /// How it is described.
    pub kind: AxisKind,
    /// The whole axis.
    pub span: Span,
}

/// The forms of an axis.
#[derive(Clone, Debug)]
pub enum AxisKind {
    /// `..`: any number of axes.
    Rest,
    /// `d`: a dimension, its size bound at the call.
    Dim(Ident),
    /// `i = 4`, `j = k + 1`: a dimension of a given size.
    Sized(Ident, SizeExpr),
    /// `(g k)`, `(half=2 d)`: one axis seen as several dimensions, outermost first. At least one part.
    Group(Vec<GroupPart>),
}

/// One dimension inside `(g k)`.
#[derive(Clone, Debug)]
pub struct GroupPart {
    /// The dimension.
    pub name: Ident,
    /// Its size: an integer or a name.
    pub size: Option<SizeExpr>,
    /// The whole part.
    pub span: Span,
}

/// A size: integers and names under `+ - * /`.
#[derive(Clone, Debug)]
pub struct SizeExpr {
    /// What it is.
    pub kind: SizeKind,
    /// Where it was written, with its parentheses if it has any.
    pub span: Span,
}

/// The forms of a size.
#[derive(Clone, Debug)]
pub enum SizeKind {
    /// `32`
    Int(u64),
    /// A dimension or a constant.
    Name(Ident),
    /// `k + 1`
    Binary(SizeOp, Box<SizeExpr>, Box<SizeExpr>),
}

/// The operators of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`; must divide.
    Div,
}

impl SizeOp {
    /// The operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            SizeOp::Add => "+",
            SizeOp::Sub => "-",
            SizeOp::Mul => "*",
            SizeOp::Div => "/",
        }
    }
}

/// `fn name[d](x, eps = 1e-5) { … }`
#[derive(Clone, Debug)]
pub struct FnDecl {
    /// Its name.
    pub name: Ident,
    /// The dimensions in its brackets; empty without brackets.
    pub dims: Vec<Ident>,
    /// Its parameters.
    pub params: Vec<FnParam>,
    /// Its value.
    pub body: Body,
}

/// `x` or `eps = 1e-5`
#[derive(Clone, Debug)]
pub struct FnParam {
    /// Its name.
    pub name: Ident,
    /// Its value where the caller gives none.
    pub default: Option<Expr>,
    /// The whole parameter.
    pub span: Span,
}

/// The two ways to write a body.
#[derive(Clone, Debug)]
pub enum Body {
    /// `{ … }`
    Block(Block),
    /// `= expr;`
    Expr(Expr),
}

/// `const NAME = expr;`
#[derive(Clone, Debug)]
pub struct Const {
    /// Its name.
    pub name: Ident,
    /// Its value.
    pub value: Expr,
}

/// `reduction name { empty = …; lift(x) = …; merge(a, b) { … } }`
#[derive(Clone, Debug)]
pub struct ReductionDecl {
    /// Its name.
    pub name: Ident,
    /// Its parts in the order of the text; which there must be is for `sema` to say.
    pub parts: Vec<ReductionPart>,
}

/// `lift(x) = (m = x, s = 1);`
#[derive(Clone, Debug)]
pub struct ReductionPart {
    /// `empty`, `lift`, `merge` or `step`.
    pub name: Ident,
    /// The names in parentheses; empty without them.
    pub params: Vec<Ident>,
    /// The value.
    pub body: Body,
    /// The whole part.
    pub span: Span,
}

/// `schedule softmax { unroll = 4; }`
#[derive(Clone, Debug)]
pub struct ScheduleDecl {
    /// The kernel it speaks of.
    pub kernel: Ident,
    /// Its wishes in the order of the text.
    pub directives: Vec<Directive>,
}

/// `stores = streaming;`
#[derive(Clone, Debug)]
pub struct Directive {
    /// What is chosen.
    pub name: Ident,
    /// The choice.
    pub value: DirectiveValue,
    /// The whole directive.
    pub span: Span,
}

/// The choice of a directive.
#[derive(Clone, Debug)]
pub enum DirectiveValue {
    /// `streaming`
    Word(Ident),
    /// `4`
    Number(Number, Span),
}

/// `example softmax { x = [1, 2, 3]; y ~= [0.0900, 0.2447, 0.6652]; }`
#[derive(Clone, Debug)]
pub struct ExampleDecl {
    /// The kernel it is an example of.
    pub kernel: Ident,
    /// Its lines in the order of the text.
    pub lines: Vec<ExampleLine>,
}

/// `y ~= [0.0900, 0.2447];`
#[derive(Clone, Debug)]
pub struct ExampleLine {
    /// A parameter, a dimension or dtype parameter, or a result.
    pub name: Ident,
    /// What stands between name and value.
    pub relation: Relation,
    /// Where that stands.
    pub relation_span: Span,
    /// The value; arrays may be nested.
    pub value: Expr,
    /// What follows `within`.
    pub within: Option<Expr>,
    /// The whole line.
    pub span: Span,
}

/// What a line of an example says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `=`: it is given.
    Given,
    /// `==`: it comes out so, to the bit.
    Exact,
    /// `~=`: it comes out about so.
    Near,
}

impl Relation {
    /// The relation as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Relation::Given => "=",
            Relation::Exact => "==",
            Relation::Near => "~=",
        }
    }
}

/// `use "file.act";`
#[derive(Clone, Debug)]
pub struct Use {
    /// The path between the quotes.
    pub path: String,
    /// The path with its quotes.
    pub path_span: Span,
}

/// `{ let …; expr }`
#[derive(Clone, Debug)]
pub struct Block {
    /// What comes before the value.
    pub stmts: Vec<Stmt>,
    /// The value of the block.
    pub value: Box<Expr>,
    /// With its braces.
    pub span: Span,
}

/// A statement of a block.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// With its semicolon.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `let name = expr;`
    Let(Ident, Expr),
    /// `dim name = size;`
    Dim(Ident, SizeExpr),
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it was written, with its parentheses if it has any.
    pub span: Span,
}

/// The forms of an expression. Parentheses leave no node.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `1`, `1e-5`
    Number(Number),
    /// `inf`, `nan`, `pi`
    Constant(Constant),
    /// `true`, `false`
    Bool(bool),
    /// A parameter, `let`, `const`; or the dimension in `size(d)` and `index(d)`, which look like any argument.
    Name(Ident),
    /// `-x`, `!c`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`
    Binary(BinaryOp, Box<Binary>),
    /// `if c { a } else { b }`
    If(Box<If>),
    /// `f(x)`, `sum[j where c](x)`
    Call(Box<Call>),
    /// `x[d = label else 0]`
    Index(Box<Index>),
    /// `r.lo`
    Field(Box<Expr>, Ident),
    /// `(y = a, rstd = b)`. At least one field.
    Tuple(Vec<TupleField>),
    /// `[1, 0.5]`, only as an argument and in an `example`.
    Array(Vec<Expr>),
    /// `iterate 3 (…) { … }`, `unfold j (…) { … }`
    Iterate(Box<Iterate>),
}

/// A literal number without sign.
#[derive(Clone, Debug)]
pub struct Number {
    /// The digits as written, for a later rounding to the dtype it meets.
    pub text: String,
    /// Its value.
    pub value: NumberValue,
}

/// The value of a literal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NumberValue {
    /// Digits only; at most `i64::MAX`.
    Int(u64),
    /// With a point or an exponent; finite, rounded to nearest.
    Float(f64),
}

/// Numbers with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// `inf`
    Inf,
    /// `nan`
    Nan,
    /// `pi`
    Pi,
}

impl Constant {
    /// The constant as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Constant::Inf => "inf",
            Constant::Nan => "nan",
            Constant::Pi => "pi",
        }
    }
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
}

impl UnaryOp {
    /// The operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "!",
        }
    }
}

/// The parts of `a + b`.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The left operand.
    pub lhs: Expr,
    /// The right operand.
    pub rhs: Expr,
    /// Where the operator stands.
    pub op_span: Span,
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `^`
    Pow,
}

impl BinaryOp {
    /// The operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Pow => "^",
        }
    }

    /// Whether it is one of `== != < <= > >=`.
    pub fn is_comparison(self) -> bool {
        self.level() == 3
    }

    /// How tightly it binds, 1 loosest. Unary operators stand between `*` (5) and `^` (7), at 6.
    pub fn level(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And => 2,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 3,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div => 5,
            BinaryOp::Pow => 7,
        }
    }
}

/// `if c { a } else if d { b } else { c }`
#[derive(Clone, Debug)]
pub struct If {
    /// `if` and each `else if`, in order. At least one.
    pub branches: Vec<Branch>,
    /// The last `else`.
    pub otherwise: Block,
}

/// `if c { a }`
#[derive(Clone, Debug)]
pub struct Branch {
    /// The condition.
    pub cond: Expr,
    /// The value where it holds.
    pub body: Block,
}

/// `name[dims](args)`
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called: a function, a built-in, a reduction or a dtype.
    pub callee: Ident,
    /// What stands in brackets before the arguments.
    pub dims: Option<CallDims>,
    /// The arguments.
    pub args: Vec<Arg>,
}

/// `[n, h where c]`
#[derive(Clone, Debug)]
pub struct CallDims {
    /// The dimensions. At least one.
    pub dims: Vec<DimArg>,
    /// What follows `where`.
    pub filter: Option<Expr>,
    /// With the brackets.
    pub span: Span,
}

/// One dimension in the brackets of a call.
#[derive(Clone, Debug)]
pub enum DimArg {
    /// `d`
    Dim(Ident),
    /// `..`
    Rest(Span),
}

impl DimArg {
    /// Where it was written.
    pub fn span(&self) -> Span {
        match self {
            DimArg::Dim(name) => name.span,
            DimArg::Rest(span) => *span,
        }
    }
}

/// `x` or `eps = 1e-6`
#[derive(Clone, Debug)]
pub struct Arg {
    /// The parameter, if the argument is by name.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// `base[entries]`
#[derive(Clone, Debug)]
pub struct Index {
    /// What is indexed.
    pub base: Expr,
    /// The entries. At least one.
    pub entries: Vec<IndexEntry>,
    /// The brackets and what is between them.
    pub brackets: Span,
}

/// `d = i else v`
#[derive(Clone, Debug)]
pub struct IndexEntry {
    /// The dimension that goes.
    pub dim: Ident,
    /// The position taken.
    pub position: Expr,
    /// The value where the position lies outside.
    pub otherwise: Option<Expr>,
    /// The whole entry.
    pub span: Span,
}

/// `y = a`
#[derive(Clone, Debug)]
pub struct TupleField {
    /// Its name.
    pub name: Ident,
    /// Its value.
    pub value: Expr,
    /// The whole field.
    pub span: Span,
}

/// `iterate 40 (lo = a, hi = b) { … }`
#[derive(Clone, Debug)]
pub struct Iterate {
    /// `iterate`, or `unfold`, which keeps every state.
    pub keep: Keep,
    /// How often, or over which dimension.
    pub count: Count,
    /// The state before the first step. At least one field.
    pub state: Vec<TupleField>,
    /// One step.
    pub body: Block,
}

/// Which states a repetition yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// `iterate`: the last one.
    Last,
    /// `unfold`: the one before each step, along the dimension.
    All,
}

impl Keep {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Keep::Last => "iterate",
            Keep::All => "unfold",
        }
    }
}

/// How often a repetition is done.
#[derive(Clone, Debug)]
pub enum Count {
    /// `40`
    Int(u64, Span),
    /// A `const` or a dimension.
    Name(Ident),
}

impl Count {
    /// Where it was written.
    pub fn span(&self) -> Span {
        match self {
            Count::Int(_, span) => *span,
            Count::Name(name) => name.span,
        }
    }
}
