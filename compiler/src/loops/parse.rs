//! Reads the text form of a [`Func`], described in the module `loops`. Checks the form only: whether the function
//! is well-formed is for [`verify`](super::verify()) to say. No text makes it panic.

use std::fmt;
use std::str::FromStr;

use cranelift_entity::EntityRef;

use super::{
    Access, Block, Buffer, BufferDecl, BufferKind, Carry, Elem, Fold, FoldDecl, FoldUse, For, Func, If, Inst,
    Lift, LoopKind, Order, Part, Phase, Reduce, Scalar, ScalarDecl, Size, Stage, Stmt, Type, Value,
};
use crate::ops::{Prim, Reduction, Term};
use crate::types::SizeExpr;

/// Why a text is not that of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

type Parsed<T> = Result<T, ParseError>;

/// How deep statements may be nested.
const MAX_DEPTH: usize = 200;
/// How many operations and parentheses a size may have.
const MAX_OPERATIONS: usize = 500;
/// The numbers of values, buffers … are below it.
const MAX_NUMBER: u32 = 1_000_000;
/// How many lanes a value may have.
const MAX_LANES: u32 = 1024;

/// Reads a function. Values keep the numbers that the text gives them.
pub fn parse(text: &str) -> Parsed<Func> {
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start_matches(' ');
        if trimmed.trim().is_empty() || trimmed.starts_with("//") {
            continue;
        }
        let cursor = Cursor { line: number + 1, rest: trimmed.trim_end() };
        let indent = line.len() - trimmed.len();
        if !indent.is_multiple_of(2) || indent / 2 > MAX_DEPTH {
            return cursor
                .fail(format!("lines are indented by two spaces a level, {MAX_DEPTH} levels at most"));
        }
        rows.push((indent / 2, cursor));
    }
    Parser { rows, next: 0, func: Func::default(), types: Vec::new() }.func()
}

// ------------------------------------------------------------------------------------------------ a line

/// What is left of a line.
#[derive(Clone, Copy)]
struct Cursor<'t> {
    line: usize,
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError { line: self.line, message: message.into() })
    }

    /// Fails where the cursor stands.
    fn expected<T>(&self, what: &str) -> Parsed<T> {
        let found: String = self.rest.trim_start().chars().take(20).collect();
        if found.is_empty() {
            return self.fail(format!("expected {what}, found the end of the line"));
        }
        self.fail(format!("expected {what}, found `{found}`"))
    }

    /// Takes a word or sign if it comes next.
    fn eat(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.trim_start().strip_prefix(token) else { return false };
        if token.ends_with(is_word) && rest.starts_with(is_word) {
            return false;
        }
        self.rest = rest;
        true
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        if self.eat(token) { Ok(()) } else { self.expected(&format!("`{token}`")) }
    }

    fn end(&self) -> Parsed<()> {
        if self.rest.trim_start().is_empty() { Ok(()) } else { self.expected("the end of the line") }
    }

    /// Takes letters, digits and underscores, perhaps none.
    fn take_word(&mut self) -> &'t str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn word(&mut self, what: &str) -> Parsed<&'t str> {
        let before = *self;
        let word = self.take_word();
        if word.is_empty() { before.expected(what) } else { Ok(word) }
    }

    /// Takes everything up to white space.
    fn raw(&mut self, what: &str) -> Parsed<&'t str> {
        let rest = self.rest.trim_start();
        let (word, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        if word.is_empty() {
            return self.expected(what);
        }
        self.rest = rest;
        Ok(word)
    }

    /// A whole number, perhaps negative.
    fn int<T: FromStr>(&mut self, what: &str) -> Parsed<T> {
        let before = *self;
        let rest = self.rest.trim_start();
        let sign = usize::from(rest.starts_with('-'));
        let end = rest[sign..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| end + sign);
        self.rest = &rest[end..];
        rest[..end].parse().or_else(|_| before.expected(what))
    }

    /// The number of a value, buffer …: `v7`.
    fn entity(&mut self, prefix: &str, what: &str) -> Parsed<u32> {
        let before = *self;
        let number = self.take_word().strip_prefix(prefix).and_then(|digits| digits.parse().ok());
        match number {
            Some(number) if number < MAX_NUMBER => Ok(number),
            Some(_) => before.fail(format!("numbers of values are below {MAX_NUMBER}")),
            None => before.expected(what),
        }
    }

    fn value(&mut self) -> Parsed<Value> {
        self.entity("v", "a value").map(Value::from_u32)
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Cursor<'t>) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn elem(&mut self) -> Parsed<Elem> {
        let ty = self.ty()?;
        if ty.lanes == 1 { Ok(ty.elem) } else { self.fail("expected a type with one lane") }
    }

    fn ty(&mut self) -> Parsed<Type> {
        let before = *self;
        let word = self.take_word();
        let all = Elem::ALL;
        let found = all.into_iter().find_map(|elem| Some((elem, word.strip_prefix(elem.name())?)));
        let Some((elem, rest)) = found else { return before.expected("a type") };
        if rest.is_empty() {
            return Ok(Type::scalar(elem));
        }
        match rest.strip_prefix('x').and_then(|lanes| lanes.parse().ok()) {
            Some(lanes) if (2..=MAX_LANES).contains(&lanes) => Ok(Type { elem, lanes }),
            Some(_) | None => before.expected("a type"),
        }
    }

    // -------------------------------------------------------------------------------------------- sizes

    fn size_expr(&mut self) -> Parsed<SizeExpr> {
        self.sum(&mut MAX_OPERATIONS.clone())
    }

    fn sum(&mut self, budget: &mut usize) -> Parsed<SizeExpr> {
        let mut sum = self.product(budget)?;
        loop {
            let make = if self.eat("+") {
                SizeExpr::Add
            } else if self.eat("-") {
                SizeExpr::Sub
            } else {
                return Ok(sum);
            };
            self.spend(budget)?;
            sum = make(Box::new(sum), Box::new(self.product(budget)?));
        }
    }

    fn product(&mut self, budget: &mut usize) -> Parsed<SizeExpr> {
        let mut product = self.factor(budget)?;
        loop {
            let make = if self.eat("*") {
                SizeExpr::Mul
            } else if self.eat("/") {
                SizeExpr::Div
            } else {
                return Ok(product);
            };
            self.spend(budget)?;
            product = make(Box::new(product), Box::new(self.factor(budget)?));
        }
    }

    fn factor(&mut self, budget: &mut usize) -> Parsed<SizeExpr> {
        self.spend(budget)?;
        if self.eat("(") {
            let inner = self.sum(budget)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.eat("ceildiv") {
            self.expect("(")?;
            let a = self.sum(budget)?;
            self.expect(",")?;
            let b = self.sum(budget)?;
            self.expect(")")?;
            return Ok(SizeExpr::CeilDiv(Box::new(a), Box::new(b)));
        }
        if self.rest.trim_start().starts_with("dim") {
            return self.entity("dim", "a dimension").map(SizeExpr::Dim);
        }
        self.int("a size").map(SizeExpr::Const)
    }

    fn spend(&self, budget: &mut usize) -> Parsed<()> {
        if *budget == 0 {
            return self.fail(format!("a size has at most {MAX_OPERATIONS} operations"));
        }
        *budget -= 1;
        Ok(())
    }

    // -------------------------------------------------------------------------------------------- constants

    fn constant(&mut self, elem: Elem) -> Parsed<u64> {
        match elem {
            Elem::F32 => {
                self.float(32, |text| f32::from_str(text).ok().map(|x| (u64::from(x.to_bits()), x.is_nan())))
            }
            Elem::F64 => self.float(64, |text| f64::from_str(text).ok().map(|x| (x.to_bits(), x.is_nan()))),
            Elem::I32 => self.int::<i32>("an i32").map(|value| u64::from(value as u32)),
            Elem::I64 => self.int::<i64>("an i64").map(|value| value as u64),
            Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => self.expected("a type that values have"),
            Elem::Bool if self.eat("true") => Ok(1),
            Elem::Bool if self.eat("false") => Ok(0),
            Elem::Bool => self.expected("`true` or `false`"),
        }
    }

    /// A number, and perhaps its bits in parentheses. `read` gives a number's bits and whether it is a NaN.
    fn float(&mut self, width: u32, read: impl Fn(&str) -> Option<(u64, bool)>) -> Parsed<u64> {
        let before = *self;
        let Some((bits, nan)) = read(self.raw("a number")?) else { return before.expected("a number") };
        if !self.eat("(") {
            return Ok(bits);
        }
        let digits = self.take_word().strip_prefix("0x").unwrap_or_default();
        let given = u64::from_str_radix(digits, 16).ok().filter(|bits| width == 64 || bits >> width == 0);
        self.expect(")")?;
        let nan_bits = |bits: u64| match width {
            32 => f32::from_bits(bits as u32).is_nan(),
            _ => f64::from_bits(bits).is_nan(),
        };
        match given {
            Some(given) if given == bits || nan && nan_bits(given) => Ok(given),
            Some(_) | None => before.fail("the number and its bits don't agree"),
        }
    }

    fn access(&mut self) -> Parsed<Access> {
        let buffer = Buffer::from_u32(self.entity("b", "a buffer")?);
        self.expect("[")?;
        let index = if self.eat("]") { Vec::new() } else { self.list(Cursor::value)? };
        if !index.is_empty() {
            self.expect("]")?;
        }
        let lane_axis = if self.eat("lanes") { Some(self.int("an axis")?) } else { None };
        let active = if self.eat("active") { Some(self.value()?) } else { None };
        Ok(Access { buffer, index, lane_axis, active })
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

// ------------------------------------------------------------------------------------------------ a function

struct Parser<'t> {
    /// Depth and text of each line.
    rows: Vec<(usize, Cursor<'t>)>,
    next: usize,
    func: Func,
    /// By value.
    types: Vec<Option<Type>>,
}

impl<'t> Parser<'t> {
    fn func(mut self) -> Parsed<Func> {
        let Some((0, mut head)) = self.rows.first().copied() else {
            let line = self.rows.first().map_or(1, |(_, cursor)| cursor.line);
            return Err(ParseError { line, message: "expected `func`, not indented".to_owned() });
        };
        head.expect("func")?;
        self.func.name = head.raw("a name")?.to_owned();
        head.end()?;
        self.next = 1;
        while let Some((depth, row)) = self.rows.get(self.next).copied() {
            if depth != 1 {
                return row.fail("expected a declaration or a phase, indented by two spaces");
            }
            self.next += 1;
            self.declaration(row)?;
        }
        let end = self.rows.last().map_or(1, |(_, cursor)| cursor.line);
        for (number, ty) in self.types.iter().enumerate() {
            let Some(ty) = ty else {
                let message = format!("v{number} is neither defined nor listed as unused");
                return Err(ParseError { line: end, message });
            };
            self.func.values.push(*ty);
        }
        Ok(self.func)
    }

    fn declaration(&mut self, mut row: Cursor<'t>) -> Parsed<()> {
        let before = row;
        match row.take_word() {
            "size" => self.size(row),
            "buffer" => self.buffer(row),
            "scalar" => self.scalar(row),
            "fold" => self.fold(row),
            "in_place" => self.in_place(row),
            "unused" => self.unused(row),
            "phase" => self.phase(row),
            _ => before.expected("`size`, `buffer`, `scalar`, `fold`, `in_place`, `unused` or `phase`"),
        }
    }

    /// The number of a declaration, which must be the next one.
    fn declared(row: &mut Cursor<'t>, prefix: &str, next: usize) -> Parsed<()> {
        let before = *row;
        let number = row.entity(prefix, "a name")?;
        if number as usize != next {
            return before.fail(format!("declarations are numbered in order: this is {prefix}{next}"));
        }
        row.expect("=")
    }

    fn size(&mut self, mut row: Cursor<'t>) -> Parsed<()> {
        Self::declared(&mut row, "s", self.func.sizes.len())?;
        let expr = row.size_expr()?;
        self.func.sizes.push(expr);
        row.end()
    }

    fn buffer(&mut self, mut row: Cursor<'t>) -> Parsed<()> {
        Self::declared(&mut row, "b", self.func.buffers.len())?;
        let before = row;
        let kind = match row.take_word() {
            "param" => BufferKind::Param(row.int("a parameter's number")?),
            "result" => BufferKind::Result(row.int("a result's number")?),
            "shared" => BufferKind::Shared,
            "scratch" => BufferKind::Scratch,
            "local" => BufferKind::Local,
            _ => return before.expected("`param`, `result`, `shared`, `scratch` or `local`"),
        };
        let mut name = String::new();
        if !row.eat(":") {
            name = row.raw("a name")?.to_owned();
            row.expect(":")?;
        }
        let elem = row.elem()?;
        row.expect("[")?;
        let axes = if row.eat("]") { Vec::new() } else { row.list(Cursor::size_expr)? };
        if !axes.is_empty() {
            row.expect("]")?;
        }
        let mut groups = Vec::new();
        if row.eat("groups") {
            while row.eat("(") {
                let mut group = Vec::new();
                while !row.eat(")") {
                    group.push(row.int("the number of a dimension")?);
                }
                groups.push(group);
            }
        }
        self.func.buffers.push(BufferDecl { name, kind, elem, axes, groups });
        row.end()
    }

    fn scalar(&mut self, mut row: Cursor<'t>) -> Parsed<()> {
        Self::declared(&mut row, "a", self.func.scalars.len())?;
        row.expect("param")?;
        let param = row.int("a parameter's number")?;
        row.expect(":")?;
        let elem = row.elem()?;
        self.func.scalars.push(ScalarDecl { param, elem });
        row.end()
    }

    fn fold(&mut self, mut row: Cursor<'t>) -> Parsed<()> {
        Self::declared(&mut row, "f", self.func.folds.len())?;
        let name = row.raw("a name")?.to_owned();
        row.expect("empty")?;
        let states = row.list(|row| {
            let elem = row.elem()?;
            Ok((elem, row.constant(elem)?))
        })?;
        row.end()?;
        let (lift, step, merge) = (self.part("lift")?, self.part("step")?, self.part("merge")?);
        let mut stages = Vec::new();
        while let Some((2, mut row)) = self.rows.get(self.next).copied()
            && row.eat("stage")
        {
            self.next += 1;
            let terms = row.list(|row| {
                let before = *row;
                let term = Term::from_name(row.raw("a reduction")?);
                term.map_or_else(|| before.expected("a reduction"), Ok)
            })?;
            row.end()?;
            stages.push(Stage { terms, each: self.part("each")?, close: self.part("close")? });
        }
        self.func.folds.push(FoldDecl { name, states, lift, step, merge, stages });
        Ok(())
    }

    /// A part of a fold: its head and its statements.
    fn part(&mut self, name: &str) -> Parsed<Part> {
        let Some((2, mut row)) = self.rows.get(self.next).copied() else {
            let end = self.rows.get(self.next).or(self.rows.last());
            let line = end.map_or(1, |(_, cursor)| cursor.line);
            return Err(ParseError { line, message: format!("expected `{name}`, indented by four spaces") });
        };
        self.next += 1;
        row.expect(name)?;
        let params = row.list(|row| Ok(self.typed(row)?.0))?;
        row.end()?;
        Ok(Part { params, block: self.block(3)? })
    }

    fn in_place(&mut self, mut row: Cursor<'t>) -> Parsed<()> {
        row.expect("param")?;
        let param = row.int("a parameter's number")?;
        row.expect(",")?;
        row.expect("result")?;
        let result = row.int("a result's number")?;
        self.func.in_place.push((param, result));
        row.end()
    }

    fn unused(&mut self, mut row: Cursor<'t>) -> Parsed<()> {
        row.list(|row| {
            let first = row.value()?;
            let last = if row.eat("..") { row.value()? } else { first };
            row.expect(":")?;
            let ty = row.ty()?;
            (first.as_u32()..=last.as_u32())
                .try_for_each(|number| self.define(row, Value::from_u32(number), ty))
        })?;
        row.end()
    }

    fn phase(&mut self, mut row: Cursor<'t>) -> Parsed<()> {
        let lo = self.index(&mut row)?;
        row.expect("..")?;
        let hi = self.index(&mut row)?;
        row.expect("extent")?;
        let extent = row.size_expr()?;
        row.expect("grain")?;
        let grain = row.int("a number of units")?;
        row.expect("work")?;
        let work = row.size_expr()?;
        let cost = if row.eat("cost") { row.int("a number of operations")? } else { 1 };
        row.end()?;
        let body = self.body(2)?;
        if let Some(end) = self.end_of_body(2) {
            return end.fail("a phase yields nothing");
        }
        self.func.phases.push(Phase { lo, hi, extent, grain, work, cost, body });
        Ok(())
    }

    // -------------------------------------------------------------------------------------------- definitions

    fn define(&mut self, row: &Cursor<'t>, value: Value, ty: Type) -> Parsed<()> {
        if self.types.len() <= value.index() {
            self.types.resize(value.index() + 1, None);
        }
        match self.types[value.index()].replace(ty) {
            Some(other) if other != ty => row.fail(format!("{value} is {ty} here and {other} before")),
            Some(_) | None => Ok(()),
        }
    }

    /// A value that is defined here, an index by its place.
    fn index(&mut self, row: &mut Cursor<'t>) -> Parsed<Value> {
        let value = row.value()?;
        self.define(row, value, Type::INDEX)?;
        Ok(value)
    }

    /// A value that is defined here, with its type.
    fn typed(&mut self, row: &mut Cursor<'t>) -> Parsed<(Value, Type)> {
        let value = row.value()?;
        row.expect(":")?;
        let ty = row.ty()?;
        self.define(row, value, ty)?;
        Ok((value, ty))
    }

    // -------------------------------------------------------------------------------------------- statements

    /// The statements of a body, up to its last line if that says what it hands out.
    fn body(&mut self, depth: usize) -> Parsed<Vec<Stmt>> {
        let mut stmts = Vec::new();
        while let Some((own, mut row)) = self.rows.get(self.next).copied() {
            if own < depth || own == depth && is_end(row) {
                break;
            }
            if own > depth {
                return row.fail("this line is indented too far");
            }
            self.next += 1;
            stmts.push(self.stmt(depth, &mut row)?);
        }
        Ok(stmts)
    }

    /// The line at the end of a body that says what it hands out, if there is one.
    fn end_of_body(&mut self, depth: usize) -> Option<Cursor<'t>> {
        let (own, row) = self.rows.get(self.next).copied()?;
        if own != depth || !is_end(row) {
            return None;
        }
        self.next += 1;
        Some(row)
    }

    fn block(&mut self, depth: usize) -> Parsed<Block> {
        let stmts = self.body(depth)?;
        let mut yields = Vec::new();
        if let Some(mut row) = self.end_of_body(depth) {
            row.expect("yield")?;
            yields = row.list(Cursor::value)?;
            row.end()?;
        }
        Ok(Block { stmts, yields })
    }

    fn stmt(&mut self, depth: usize, row: &mut Cursor<'t>) -> Parsed<Stmt> {
        if row.eat("store") {
            let access = row.access()?;
            row.expect(",")?;
            let value = row.value()?;
            row.end()?;
            return Ok(Stmt::Store(access, value));
        }
        if row.eat("for") {
            return self.for_loop(depth, row);
        }
        if row.eat("if") {
            return self.choice(depth, row);
        }
        if row.eat("else") {
            return row.fail("`else` without `if`");
        }
        let start = *row;
        let results = row.list(|row| self.typed(row))?;
        row.expect("=")?;
        if row.eat("reduce") {
            return self.reduce(depth, row, results.into_iter().map(|(value, _)| value).collect());
        }
        let &[(value, ty)] = results.as_slice() else {
            return start.fail("only `reduce` defines several values");
        };
        let inst = inst(row, ty)?;
        row.end()?;
        Ok(Stmt::Let(value, inst))
    }

    fn for_loop(&mut self, depth: usize, row: &mut Cursor<'t>) -> Parsed<Stmt> {
        let var = self.index(row)?;
        row.expect("in")?;
        let lo = row.value()?;
        row.expect("..")?;
        let hi = row.value()?;
        row.expect("step")?;
        let step = row.int("a step")?;
        let kind = if row.eat("lanes") { LoopKind::Lanes(lanes(row)?) } else { LoopKind::Seq };
        let unroll = if row.eat("unroll") { lanes(row)? } else { 1 };
        let mut carry = Vec::new();
        if row.eat("carry") {
            carry = row.list(|row| {
                let (var, ty) = self.typed(row)?;
                row.expect("=")?;
                let init = row.value()?;
                row.expect("->")?;
                let result = row.value()?;
                self.define(row, result, ty)?;
                Ok(Carry { var, init, result })
            })?;
        }
        row.end()?;
        let body = self.block(depth + 1)?;
        Ok(Stmt::For(Box::new(For { var, lo, hi, step, kind, unroll, carry, body })))
    }

    fn choice(&mut self, depth: usize, row: &mut Cursor<'t>) -> Parsed<Stmt> {
        let cond = row.value()?;
        let mut results = Vec::new();
        if row.eat("->") {
            results = row.list(|row| Ok(self.typed(row)?.0))?;
        }
        row.end()?;
        let then = self.block(depth + 1)?;
        let mut otherwise = Block::default();
        if let Some((own, mut row)) = self.rows.get(self.next).copied()
            && own == depth
            && row.eat("else")
        {
            row.end()?;
            self.next += 1;
            otherwise = self.block(depth + 1)?;
        }
        Ok(Stmt::If(Box::new(If { cond, then, otherwise, results })))
    }

    fn reduce(&mut self, depth: usize, row: &mut Cursor<'t>, mut results: Vec<Value>) -> Parsed<Stmt> {
        let (mut states, mut uses) = (Vec::new(), Vec::new());
        row.list(|row| {
            let before = *row;
            match Reduction::from_name(row.take_word()) {
                Some(_) if !uses.is_empty() => before.fail("folds stand after the other reductions"),
                Some(state) => {
                    states.push(state);
                    Ok(())
                }
                None => {
                    *row = before;
                    uses.push(Fold::from_u32(row.entity("f", "a reduction")?));
                    Ok(())
                }
            }
        })?;
        let order = if row.eat("row") {
            Order::Row(lanes(row)?)
        } else {
            row.expect("column")?;
            Order::Column
        };
        row.expect("over")?;
        let mut outer = row.list(|row| {
            let var = self.index(row)?;
            row.expect("in")?;
            Ok((var, Size::from_u32(row.entity("s", "a size")?)))
        })?;
        row.end()?;
        let Some(inner) = outer.pop() else { return row.fail("a reduction is over something") };
        let body = self.body(depth + 1)?;
        let Some(mut end) = self.end_of_body(depth + 1) else {
            return row.fail("the body of this reduction has no `lift` at its end");
        };
        end.expect("lift")?;
        let (mut lifts, mut folds) = (Vec::new(), Vec::new());
        // Without folds it is for the verifier to count the results.
        let plain = if uses.is_empty() { results.len() } else { states.len().min(results.len()) };
        let mut own = results.split_off(plain).into_iter();
        end.list(|row| {
            if !row.rest.trim_start().starts_with('f') {
                let value = row.value()?;
                lifts.push(if row.eat("*") {
                    Lift::Product(value, row.value()?)
                } else {
                    Lift::Value(value)
                });
                return Ok(());
            }
            let before = *row;
            let fold = Fold::from_u32(row.entity("f", "a value or a fold")?);
            let Some(decl) = self.func.folds.get(fold) else { return before.fail("there is no such fold") };
            let results: Vec<Value> = own.by_ref().take(decl.states.len()).collect();
            row.expect("(")?;
            let args = row.list(Cursor::value)?;
            row.expect(")")?;
            let cond = if row.eat("where") { Some(row.value()?) } else { None };
            folds.push(FoldUse { fold, args, cond, results });
            Ok(())
        })?;
        end.end()?;
        let same = folds.iter().map(|fold| fold.fold).eq(uses) && own.next().is_none();
        if !same {
            return end
                .fail("other folds are lifted than the reduction names, or their results are not as many");
        }
        let reduce = Reduce { order, outer, inner, states, body, lifts, results, folds };
        Ok(Stmt::Reduce(Box::new(reduce)))
    }
}

/// Whether a line is the last of a body.
fn is_end(mut row: Cursor<'_>) -> bool {
    row.eat("yield") || row.eat("lift")
}

fn lanes(row: &mut Cursor<'_>) -> Parsed<u32> {
    let before = *row;
    let lanes = row.int("a number of lanes")?;
    if (1..=MAX_LANES).contains(&lanes) { Ok(lanes) } else { before.expected("a number of lanes") }
}

fn reduction(row: &mut Cursor<'_>) -> Parsed<Reduction> {
    let before = *row;
    let found = Reduction::from_name(row.take_word());
    found.map_or_else(|| before.expected("a reduction"), Ok)
}

/// An instruction whose result has the type `ty`.
fn inst(row: &mut Cursor<'_>, ty: Type) -> Parsed<Inst> {
    let before = *row;
    let name = row.word("an instruction")?;
    Ok(match name {
        "const" => Inst::Const(row.constant(ty.elem)?),
        "scalar" => Inst::Scalar(Scalar::from_u32(row.entity("a", "a scalar")?)),
        "size" => Inst::Size(Size::from_u32(row.entity("s", "a size")?)),
        "convert" => Inst::Convert(row.value()?),
        "bitcast" => Inst::Bitcast(row.value()?),
        "splat" => Inst::Splat(row.value()?),
        "iota" => Inst::Iota(row.value()?),
        "load" => Inst::Load(row.access()?),
        "shift" => {
            let before = row.value()?;
            row.expect(",")?;
            let value = row.value()?;
            row.expect("by")?;
            Inst::Shift(before, value, lanes(row)?)
        }
        "gather" => Inst::Gather(row.access()?),
        "fold" => Inst::Fold(reduction(row)?, row.value()?),
        _ => match Prim::from_name(name) {
            Some(prim) => Inst::Prim(prim, row.list(Cursor::value)?),
            None => return before.expected("an instruction"),
        },
    })
}
