//! Reads the graph's text form; see the documentation of [`crate::graph`].
//!
//! Checks the form only; what a graph must hold besides, [`verify`](super::verify::verify) checks. Spans are
//! [`Span::NONE`]. Blank lines are skipped, and what follows a `#` (in documentation it is text).

use std::fmt;

use super::folds::Stage;
use super::{Constant, Decl, Fold, FoldId, Graph, Node, NodeId, Op, RepeatId, Steps, folds};
use crate::diag::Span;
use crate::directives::{self, Value};
use crate::ops::{Prim, Reduction, Scan, Term};
use crate::types::{DType, Dim, DimId, DimKind, DimSet, MAX_DIMS, SizeExpr};

/// Parentheses in the size of a dimension may be nested this deep.
const MAX_DEPTH: u32 = 100;

/// Why a text is no graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

/// The one graph of `text`.
pub fn parse(text: &str) -> Result<Graph, ParseError> {
    let mut graphs = parse_all(text)?;
    match (graphs.pop(), graphs.is_empty()) {
        (Some(graph), true) => Ok(graph),
        (Some(_), false) => Err(ParseError { line: 1, message: "more than one `graph`".to_owned() }),
        (None, _) => Err(ParseError { line: 1, message: "no `graph`".to_owned() }),
    }
}

/// All graphs of `text`.
pub fn parse_all(text: &str) -> Result<Vec<Graph>, ParseError> {
    blocks(text)?.into_iter().map(Block::graph).collect()
}

type Result<T, E = String> = std::result::Result<T, E>;

/// A line that says something, and its number.
type Line<'a> = (usize, &'a str);

/// The lines of one graph.
struct Block<'a> {
    doc: String,
    header: Line<'a>,
    body: Vec<Line<'a>>,
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>, ParseError> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut doc: Vec<&str> = Vec::new();
    for (index, raw) in text.split('\n').enumerate() {
        let number = index + 1;
        if let Some(rest) = raw.strip_prefix("///") {
            doc.push(rest.strip_prefix(' ').unwrap_or(rest));
            continue;
        }
        let line = raw.trim_start();
        let line =
            if line.starts_with("doc ") { line } else { line.split('#').next().unwrap_or("").trim_end() };
        if line.is_empty() {
            continue;
        }
        if line.starts_with("graph ") {
            blocks.push(Block { doc: doc.join("\n"), header: (number, line), body: Vec::new() });
            doc.clear();
        } else if let Some(block) = blocks.last_mut() {
            block.body.push((number, line));
        } else {
            return Err(ParseError { line: number, message: "expected `graph`".to_owned() });
        }
    }
    Ok(blocks)
}

impl Block<'_> {
    fn graph(self) -> Result<Graph, ParseError> {
        let mut graph = Graph { doc: self.doc, ..Graph::new("") };
        // The header speaks of dimensions by name, so the line that names them is read first.
        let (dims, rest): (Vec<Line<'_>>, Vec<Line<'_>>) =
            self.body.into_iter().partition(|(_, text)| text.starts_with("dims "));
        let mut reader = Reader { graph: &mut graph, names: Vec::new(), fold: None };
        let mut last = self.header.0;
        for (number, text) in dims.into_iter().chain([self.header]).chain(rest) {
            reader.line(text).map_err(|message| ParseError { line: number, message })?;
            last = number;
        }
        match reader.fold {
            Some(_) => Err(ParseError { line: last, message: "a `fold` without `end`".to_owned() }),
            None => Ok(graph),
        }
    }
}

/// Takes line after line into a graph.
struct Reader<'g> {
    graph: &'g mut Graph,
    /// The names of the dimensions in the text, in order.
    names: Vec<String>,
    /// The fold that is being read.
    fold: Option<OpenFold>,
}

/// A fold on the way: its head, and its parts as far as they are read. While one is read, it is the reader's graph, and the
/// graph itself waits here.
struct OpenFold {
    name: String,
    empty: Vec<Constant>,
    parts: Vec<Graph>,
    /// What stages make, as far as their heads are read.
    terms: Vec<Vec<Term>>,
    waiting: Option<Graph>,
}

impl Reader<'_> {
    fn line(&mut self, text: &str) -> Result<()> {
        if let Some(doc) = text.strip_prefix("doc ") {
            return self.doc(doc);
        }
        let mut tokens = Tokens::of(text)?;
        if tokens.eat("%") {
            self.node(&mut tokens)?;
        } else {
            match tokens.word()? {
                "graph" => self.header(&mut tokens)?,
                "dims" => self.dims(&mut tokens)?,
                "with" => self.dim_params(&mut tokens)?,
                "fold" => self.fold(&mut tokens)?,
                word @ ("lift" | "step" | "merge" | "stage" | "each" | "close" | "end")
                    if self.fold.is_some() =>
                {
                    self.part(word, &mut tokens)?;
                }
                "schedule" => self.directives(&mut tokens)?,
                "repeats" => self.repeats(&mut tokens)?,
                other => {
                    let message = "expected a node, `dims`, `with`, `repeats` or `doc`";
                    return Err(format!("{message}, not `{other}`"));
                }
            }
        }
        tokens.end()
    }

    /// `param x: text`, without the word `doc`.
    fn doc(&mut self, text: &str) -> Result<()> {
        let (whose, line) = text.split_once(':').ok_or("expected `:`")?;
        let graph = &mut *self.graph;
        let decl = match whose.split_once(' ') {
            Some(("param", name)) => graph.params.iter_mut().find(|decl| decl.name == name),
            Some(("result", name)) => {
                graph.results.iter_mut().map(|(decl, _)| decl).find(|decl| decl.name == name)
            }
            _ => return Err("expected `param` or `result` and a name".to_owned()),
        };
        let doc = &mut decl.ok_or_else(|| format!("there is no {whose}"))?.doc;
        if !doc.is_empty() {
            doc.push('\n');
        }
        doc.push_str(line.strip_prefix(' ').unwrap_or(line));
        Ok(())
    }

    /// `.. = leading, d = free, half = 2, j = (d + 1)`, after the word `dims`.
    fn dims(&mut self, tokens: &mut Tokens<'_>) -> Result<()> {
        if !self.names.is_empty() {
            return Err("a second `dims`".to_owned());
        }
        self.names = tokens.clone().names_before_equals()?;
        if self.names.len() > MAX_DIMS {
            return Err(format!("more than {MAX_DIMS} dimensions"));
        }
        for index in 0..self.names.len() {
            tokens.word()?;
            tokens.mark("=")?;
            let kind = self.dim_kind(tokens)?;
            // `d'2` is the second dimension called `d`.
            let name = self.names[index].split('\'').next().unwrap_or_default().to_owned();
            self.graph.dims.push(Dim { name, kind });
            if index + 1 < self.names.len() {
                tokens.mark(",")?;
            }
        }
        Ok(())
    }

    fn dim_kind(&self, tokens: &mut Tokens<'_>) -> Result<DimKind> {
        if tokens.eat("(") {
            let size = self.size(tokens, MAX_DEPTH)?;
            tokens.mark(")")?;
            return Ok(DimKind::Computed(size));
        }
        Ok(match tokens.word()? {
            "free" => DimKind::Free,
            "leading" => DimKind::Leading,
            size => DimKind::Fixed(number(size)?),
        })
    }

    fn size(&self, tokens: &mut Tokens<'_>, depth: u32) -> Result<SizeExpr> {
        let a = self.size_operand(tokens, depth)?;
        let make = match tokens.peek() {
            "+" => SizeExpr::Add,
            "-" => SizeExpr::Sub,
            "*" => SizeExpr::Mul,
            "/" => SizeExpr::Div,
            "/^" => SizeExpr::CeilDiv,
            _ => return Ok(a),
        };
        tokens.next();
        let b = self.size_operand(tokens, depth)?;
        Ok(make(Box::new(a), Box::new(b)))
    }

    fn size_operand(&self, tokens: &mut Tokens<'_>, depth: u32) -> Result<SizeExpr> {
        if tokens.eat("(") {
            let depth = depth.checked_sub(1).ok_or("a size is nested too deep")?;
            let size = self.size(tokens, depth)?;
            tokens.mark(")")?;
            return Ok(size);
        }
        let word = tokens.word()?;
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Ok(SizeExpr::Const(number(word)?));
        }
        Ok(SizeExpr::Dim(self.dim_named(word)?.as_u32()))
    }

    /// `g = 32, k = 4`, after the word `with`.
    fn dim_params(&mut self, tokens: &mut Tokens<'_>) -> Result<()> {
        loop {
            let name = tokens.word()?.to_owned();
            tokens.mark("=")?;
            self.graph.dim_params.push((name, number(tokens.word()?)?));
            if !tokens.eat(",") {
                return Ok(());
            }
        }
    }

    /// `normalizer = online, threads = 1`, after the word `schedule`.
    fn directives(&mut self, tokens: &mut Tokens<'_>) -> Result<()> {
        loop {
            let name = tokens.word()?;
            let row = directives::row(name).ok_or_else(|| format!("there is no directive `{name}`"))?;
            tokens.mark("=")?;
            let word = tokens.word()?;
            let value = word.parse().map_or(Value::Word(word), Value::Number);
            if !(row.set)(&mut self.graph.directives, value, Span::NONE) {
                return Err(format!("`{name}` can't be `{word}`"));
            }
            if !tokens.eat(",") {
                return Ok(());
            }
        }
    }

    /// `online_normalizer empty 0xff800000 (-inf), 0x00000000 (0.0)`, after the word `fold`.
    fn fold(&mut self, tokens: &mut Tokens<'_>) -> Result<()> {
        if self.fold.is_some() {
            return Err("a `fold` inside another".to_owned());
        }
        let name = tokens.word()?.to_owned();
        if tokens.word()? != "empty" {
            return Err("expected `empty`".to_owned());
        }
        let mut empty = vec![constant(tokens)?];
        while tokens.eat(",") {
            empty.push(constant(tokens)?);
        }
        self.fold = Some(OpenFold { name, empty, parts: Vec::new(), terms: Vec::new(), waiting: None });
        Ok(())
    }

    /// The head of a part, or the end of a fold; what was being read is done.
    fn part(&mut self, word: &str, tokens: &mut Tokens<'_>) -> Result<()> {
        let Some(mut fold) = self.fold.take() else { return Err("there is no `fold`".to_owned()) };
        if let Some(graph) = fold.waiting.take() {
            fold.parts.push(std::mem::replace(self.graph, graph));
        }
        // After the three parts of every fold come stages of two.
        let (known, begun) = (fold.parts.len(), fold.parts.len() < 3 + 2 * fold.terms.len());
        let fits = match word {
            "lift" | "step" | "merge" => ["lift", "step", "merge"].get(known) == Some(&word),
            "each" | "close" => begun && known >= 3 && word == ["close", "each"][known % 2],
            _ => known >= 3 && !begun,
        };
        if !fits {
            return Err(format!("`{word}` does not stand here"));
        }
        if word == "stage" {
            let mut terms = Vec::new();
            loop {
                let name = tokens.word()?;
                let term = Term::from_name(name);
                terms.push(term.ok_or_else(|| format!("there is no reduction `{name}`"))?);
                if !tokens.eat(",") {
                    break;
                }
            }
            fold.terms.push(terms);
            self.fold = Some(fold);
            return Ok(());
        }
        if word == "end" {
            let OpenFold { name, mut empty, parts, terms, .. } = fold;
            let mut parts = parts.into_iter();
            let mut next = || parts.next().ok_or("expected a part");
            let (lift, step, merge) = (next()?, next()?, next()?);
            let mut stages = Vec::new();
            for terms in terms {
                stages.push(Stage { terms, each: next()?, close: next()? });
            }
            for (constant, (decl, _)) in empty.iter_mut().zip(&lift.results) {
                constant.dtype = decl.dtype;
            }
            self.graph.folds.push(Fold { name, empty, lift, step, merge, stages });
            return Ok(());
        }
        fold.waiting = Some(std::mem::replace(self.graph, folds::part(word)));
        self.fold = Some(fold);
        self.signature(tokens)
    }

    /// `r0 = 64, r1 = size n`, after the word `repeats`.
    fn repeats(&mut self, tokens: &mut Tokens<'_>) -> Result<()> {
        loop {
            let (name, next) = (tokens.word()?, self.graph.repeats.next_key());
            if name != next.to_string() {
                return Err(format!("the next loop is {next}, not {name}"));
            }
            tokens.mark("=")?;
            let steps = match tokens.word()? {
                "size" => Steps::Size(self.dim(tokens)?),
                steps => Steps::Number(number(steps)?),
            };
            self.graph.repeats.push(steps);
            if !tokens.eat(",") {
                return Ok(());
            }
        }
    }

    /// `softmax(%0 x: f32[.., d]) -> (y: f32[.., d] = %4)`, after the word `graph`.
    fn header(&mut self, tokens: &mut Tokens<'_>) -> Result<()> {
        self.graph.name = tokens.word()?.to_owned();
        self.signature(tokens)
    }

    fn signature(&mut self, tokens: &mut Tokens<'_>) -> Result<()> {
        tokens.mark("(")?;
        while !tokens.eat(")") {
            tokens.mark("%")?;
            let index = self.next_number(tokens)?;
            let mut decl = self.decl(tokens)?;
            if tokens.eat("in") {
                let low = number(tokens.word()?)?;
                tokens.mark("to")?;
                decl.range = Some((low, number(tokens.word()?)?));
            }
            if tokens.eat("=") {
                decl.default = Some(number(tokens.word()?)?);
            }
            let (dtype, dims) = (decl.dtype, decl.dims());
            self.graph.params.push(decl);
            self.graph.add_with_dims(Op::Param(index), dtype, dims, Span::NONE);
            tokens.comma_unless(")")?;
        }
        tokens.mark("->")?;
        tokens.mark("(")?;
        while !tokens.eat(")") {
            let decl = self.decl(tokens)?;
            tokens.mark("=")?;
            let value = tokens.node()?;
            self.graph.results.push((decl, value));
            tokens.comma_unless(")")?;
        }
        Ok(())
    }

    /// The number of the next node.
    fn next_number(&self, tokens: &mut Tokens<'_>) -> Result<u32> {
        let (found, next) = (number::<u32>(tokens.word()?)?, self.graph.nodes.next_key().as_u32());
        if found == next { Ok(found) } else { Err(format!("the next node is %{next}, not %{found}")) }
    }

    /// `x: f32[n, (g k)]`.
    fn decl(&self, tokens: &mut Tokens<'_>) -> Result<Decl> {
        let name = tokens.word()?.to_owned();
        tokens.mark(":")?;
        let dtype = dtype(tokens.word()?)?;
        let mut decl = Decl { name, dtype, axes: None, default: None, range: None, doc: String::new() };
        if tokens.eat("[") {
            let axes = decl.axes.insert(Vec::new());
            while !tokens.eat("]") {
                axes.push(self.axis(tokens)?);
                tokens.comma_unless("]")?;
            }
        }
        Ok(decl)
    }

    fn axis(&self, tokens: &mut Tokens<'_>) -> Result<Vec<DimId>> {
        if !tokens.eat("(") {
            return Ok(vec![self.dim(tokens)?]);
        }
        let mut dims = Vec::new();
        while !tokens.eat(")") {
            dims.push(self.dim(tokens)?);
        }
        Ok(dims)
    }

    /// `1 = max %0 over d : f32[..]`, after the `%`.
    fn node(&mut self, tokens: &mut Tokens<'_>) -> Result<()> {
        self.next_number(tokens)?;
        tokens.mark("=")?;
        let mut op = self.op(tokens)?;
        tokens.mark(":")?;
        let dtype = dtype(tokens.word()?)?;
        if let Op::Const(constant) = &mut op {
            constant.dtype = dtype;
        }
        let mut dims = DimSet::EMPTY;
        if tokens.eat("[") {
            dims = self.dim_set(tokens)?;
            tokens.mark("]")?;
        }
        self.graph.nodes.push(Node { op, dtype, dims, span: Span::NONE });
        Ok(())
    }

    fn op(&self, tokens: &mut Tokens<'_>) -> Result<Op> {
        Ok(match tokens.word()? {
            "param" => Op::Param(number(tokens.word()?)?),
            "const" => Op::Const(constant(tokens)?),
            "index" => Op::Index(self.dim(tokens)?),
            "size" if tokens.peek() == ":" => Op::Size(DimSet::EMPTY),
            "size" => Op::Size(self.dim_set(tokens)?),
            "convert" => Op::Convert(tokens.node()?),
            "broadcast" => Op::Broadcast(tokens.node()?),
            "slice" => {
                let (value, dim) = (tokens.node()?, self.dim(tokens)?);
                tokens.mark("=")?;
                Op::Slice { value, dim, at: number(tokens.word()?)? }
            }
            "gather" => {
                let (mut dims, mut args) = (Vec::new(), vec![tokens.node()?]);
                loop {
                    dims.push(self.dim(tokens)?);
                    tokens.mark("=")?;
                    args.push(tokens.node()?);
                    if !tokens.eat(",") {
                        break Op::Gather { dims, args };
                    }
                }
            }
            "rename" => {
                let (value, mut names) = (tokens.node()?, Vec::new());
                loop {
                    let from = self.dim(tokens)?;
                    tokens.mark("=")?;
                    names.push((from, self.dim(tokens)?));
                    if !tokens.eat(",") {
                        break Op::Rename { value, names };
                    }
                }
            }
            "carry" => {
                let (repeat, index) = part(tokens.word()?)?;
                Op::Carry { repeat, index, init: tokens.node()? }
            }
            "step" => Op::Step(repeat(tokens.word()?)?),
            "final" => {
                let (repeat, index) = part(tokens.word()?)?;
                let mut values = vec![tokens.node()?];
                while tokens.eat(",") {
                    values.push(tokens.node()?);
                }
                Op::Final { repeat, index, values }
            }
            "stack" => {
                let dim = self.dim(tokens)?;
                tokens.mark("(")?;
                let mut values = Vec::new();
                while !tokens.eat(")") {
                    values.push(tokens.node()?);
                    tokens.comma_unless(")")?;
                }
                Op::Stack { dim, values }
            }
            "kth_largest" => {
                let value = tokens.node()?;
                tokens.mark(",")?;
                let args = [value, tokens.node()?];
                tokens.mark("along")?;
                Op::KthLargest { args, dim: self.dim(tokens)? }
            }
            name => match Scan::from_name(name) {
                Some(reduction) => {
                    let value = tokens.node()?;
                    tokens.mark("along")?;
                    let dim = self.dim(tokens)?;
                    let (reverse, exclusive) = (tokens.eat("reverse"), tokens.eat("exclusive"));
                    Op::Scan { scan: Scan { reduction, reverse, exclusive }, value, dim }
                }
                None => self.function(name, tokens)?,
            },
        })
    }

    /// `add %1, %2`, `sum %1 over d` or `sum %1 * %2 over d`, after the name.
    fn function(&self, name: &str, tokens: &mut Tokens<'_>) -> Result<Op> {
        if let Some((fold, state)) = name.strip_prefix("fold").and_then(|name| name.split_once('.')) {
            return self.fold_node(number(fold)?, number(state)?, tokens);
        }
        let mut args = vec![tokens.node()?];
        if tokens.eat("*") {
            args.push(tokens.node()?);
        }
        if tokens.peek() == "over" {
            tokens.next();
            let reduction = Reduction::from_name(name).ok_or_else(|| format!("`{name}` is no reduction"))?;
            return Ok(Op::Reduce { reduction, args, dims: self.dim_set(tokens)? });
        }
        if args.len() > 1 {
            return Err("expected `over`".to_owned());
        }
        while tokens.eat(",") {
            args.push(tokens.node()?);
        }
        let prim = Prim::from_name(name).ok_or_else(|| format!("`{name}` is no function"))?;
        Ok(Op::Prim(prim, args))
    }

    /// `fold0.1 %1, %2 over d`, after the name.
    fn fold_node(&self, fold: u32, state: u32, tokens: &mut Tokens<'_>) -> Result<Op> {
        if fold as usize >= self.graph.folds.len() {
            return Err(format!("there is no fold{fold}"));
        }
        let mut args = vec![tokens.node()?];
        while tokens.eat(",") {
            args.push(tokens.node()?);
        }
        if tokens.word()? != "over" {
            return Err("expected `over`".to_owned());
        }
        Ok(Op::Fold { fold: FoldId::from_u32(fold), state, args, dims: self.dim_set(tokens)? })
    }

    fn dim(&self, tokens: &mut Tokens<'_>) -> Result<DimId> {
        self.dim_named(tokens.word()?)
    }

    fn dim_named(&self, name: &str) -> Result<DimId> {
        let index = self.names.iter().position(|known| known == name);
        let index = index.ok_or_else(|| format!("there is no dimension `{name}`"))?;
        Ok(DimId::from_u32(index as u32))
    }

    /// One name or several with commas.
    fn dim_set(&self, tokens: &mut Tokens<'_>) -> Result<DimSet> {
        let mut dims = DimSet::one(self.dim(tokens)?);
        while tokens.eat(",") {
            dims = dims.with(self.dim(tokens)?);
        }
        Ok(dims)
    }
}

/// `r0`.
fn repeat(word: &str) -> Result<RepeatId> {
    let digits = word.strip_prefix('r').ok_or_else(|| format!("expected a loop such as r0, not `{word}`"))?;
    match number(digits)? {
        u32::MAX => Err("the number of a loop is too large".to_owned()),
        index => Ok(RepeatId::from_u32(index)),
    }
}

/// `r0.1`.
fn part(word: &str) -> Result<(RepeatId, u32)> {
    let (name, index) = word
        .split_once('.')
        .ok_or_else(|| format!("expected a part of a state such as r0.1, not `{word}`"))?;
    Ok((repeat(name)?, number(index)?))
}

/// `0x3f800000 (1)`; the dtype follows from the node's type.
fn constant(tokens: &mut Tokens<'_>) -> Result<Constant> {
    let word = tokens.word()?;
    let digits = word.strip_prefix("0x").ok_or_else(|| format!("expected bits such as 0x0, not `{word}`"))?;
    let bits = u64::from_str_radix(digits, 16).map_err(|_| format!("`{word}` is not 64 bits"))?;
    tokens.mark("(")?;
    tokens.word()?;
    tokens.mark(")")?;
    Ok(Constant { dtype: DType::F32, bits })
}

fn dtype(word: &str) -> Result<DType> {
    DType::from_name(word).ok_or_else(|| format!("`{word}` is no dtype"))
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T> {
    word.parse().map_err(|_| format!("`{word}` is not a number that can stand here"))
}

/// The words and marks of one line.
#[derive(Clone)]
struct Tokens<'a> {
    list: Vec<&'a str>,
    at: usize,
}

/// Marks, the longer ones first.
const MARKS: [&str; 12] = ["->", "/^", "(", ")", "[", "]", ",", ":", "=", "%", "*", "/"];

/// What a mark is made of may not begin a word; `-` and `+` may.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_.'+-".contains(c)
}

impl<'a> Tokens<'a> {
    fn of(line: &'a str) -> Result<Tokens<'a>> {
        let (mut list, mut rest) = (Vec::new(), line.trim_start());
        while let Some(first) = rest.chars().next() {
            let mark = MARKS.iter().find(|mark| rest.starts_with(**mark)).map(|mark| mark.len());
            let length = mark.unwrap_or_else(|| rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
            if length == 0 {
                return Err(format!("unexpected `{}`", first.escape_default()));
            }
            let (token, after) = rest.split_at(length);
            list.push(token);
            rest = after.trim_start();
        }
        Ok(Tokens { list, at: 0 })
    }

    /// The token that comes next; empty at the end.
    fn peek(&self) -> &'a str {
        self.list.get(self.at).copied().unwrap_or("")
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn word(&mut self) -> Result<&'a str> {
        match self.next() {
            token if token.starts_with(is_word) && token != "->" => Ok(token),
            other => Err(format!("expected a word, not {}", shown(other))),
        }
    }

    fn mark(&mut self, mark: &str) -> Result<()> {
        match self.next() {
            token if token == mark => Ok(()),
            other => Err(format!("expected `{mark}`, not {}", shown(other))),
        }
    }

    fn eat(&mut self, mark: &str) -> bool {
        let found = self.peek() == mark;
        self.at += usize::from(found);
        found
    }

    /// Between the entries of a list that `close` ends.
    fn comma_unless(&mut self, close: &str) -> Result<()> {
        if self.peek() == close { Ok(()) } else { self.mark(",") }
    }

    fn node(&mut self) -> Result<NodeId> {
        self.mark("%")?;
        match number(self.word()?)? {
            u32::MAX => Err("the number of a node is too large".to_owned()),
            index => Ok(NodeId::from_u32(index)),
        }
    }

    fn end(&mut self) -> Result<()> {
        match self.next() {
            "" => Ok(()),
            other => Err(format!("expected the end of the line, not {}", shown(other))),
        }
    }

    /// The words that stand before a `=`.
    fn names_before_equals(self) -> Result<Vec<String>> {
        let pairs = self.list.windows(2).filter(|pair| pair[1] == "=");
        let names: Vec<String> = pairs.map(|pair| pair[0].to_owned()).collect();
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            Some((_, twice)) => Err(format!("two dimensions `{twice}`")),
            None => Ok(names),
        }
    }
}

fn shown(token: &str) -> String {
    if token.is_empty() { "the end of the line".to_owned() } else { format!("`{token}`") }
}
