//! Analysis: how each value scales, that is, which of them are products and sums of exponentials.
//!
//! With respect to a number `m` that is the same all along a row, `exp(u)` is `exp(m) * exp(u - m)`: it has *degree* 1. Sums
//! keep the degree, products add it, quotients subtract it, powers multiply it, and `log` makes `m` a term. So where the degrees
//! of what is divided are equal, or a logarithm is taken, `m` may be chosen freely, and with the maximum of `u` nothing
//! overflows. The analysis says of each node of which form it is; the pass `stabilise` uses that.
//!
//! A [`Form`] is `exp(lin) * weight * sum1^p1 * …`. `lin` adds up nodes, each some times. A sum is one of [`Term`]s
//! `weight * exp(lin)`, each over some dimensions or none, so that `1 + sum[d](exp(x))` is one, too. What has a divisor with a sum is
//! *settled*: `stabilise` has made it safe, and in a sum it is an ordinary number. A value with exponentials in a form that is none of these is
//! *lost*, unless their arguments are proven to be moderate: dividing by it may give NaN where the formula has a number.
//!
//! Sums of `exp(u - max(u))` are ordinary numbers here, since they are safe as they stand.
//!
//! Needs nothing, better after cse (equal operands are one node). Text form: the graph's, with a note for each node that is not an ordinary
//! number: `# %4: sum over d (exp(%1)), degree 1`.

use std::fmt::Write as _;
use std::rc::Rc;

use cranelift_entity::{EntityRef, PrimaryMap};

use super::ranges::{Ranges, is_shifted_exp_sum};
use super::rewrite::constant;
use crate::graph::print::print_with_notes;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::ops::{Prim, Reduction, Typing};
use crate::types::DimSet;

/// A sum has no more terms than that.
const MAX_TERMS: usize = 8;
/// A form has no more factors than that.
const MAX_FACTORS: usize = 8;
/// No more choices are in one another.
const MAX_DEPTH: u32 = 3;
/// Exponentials of arguments up to this, and sums and products of few of them, don't overflow.
const MODERATE: f64 = 40.0;

/// A part of an exponent.
#[derive(Clone, Debug, PartialEq)]
pub enum Atom {
    /// A node.
    Node(NodeId),
    /// One of two sums, by a condition; `None` is `-inf`.
    Choice {
        /// The condition.
        test: NodeId,
        /// Where it holds.
        yes: Option<Rc<Lin>>,
        /// Where it does not.
        no: Option<Rc<Lin>>,
        /// How many choices are in one another.
        depth: u32,
    },
}

/// An exponent: how often each part is added.
pub type Lin = Vec<(Atom, f64)>;

/// A factor that is no exponential.
#[derive(Clone, Debug, PartialEq)]
pub enum Factor {
    /// A node.
    Node(NodeId),
    /// One of two products, by a condition.
    Choice {
        /// The condition.
        test: NodeId,
        /// Where it holds.
        yes: Rc<Weight>,
        /// Where it does not.
        no: Rc<Weight>,
        /// How many choices are in one another.
        depth: u32,
    },
}

/// A product of factors and divisors, in the order in which they were met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weight {
    /// Whether it has a minus sign.
    pub negative: bool,
    /// Each factor, and whether it divides.
    pub factors: Vec<(Factor, bool)>,
}

impl Weight {
    /// A node.
    fn node(node: NodeId) -> Weight {
        Weight { negative: false, factors: vec![(Factor::Node(node), false)] }
    }

    /// Whether it is 1.
    pub fn is_one(&self) -> bool {
        !self.negative && self.factors.is_empty()
    }

    fn depth(&self) -> u32 {
        let depth = |(factor, _): &(Factor, bool)| match factor {
            Factor::Node(_) => 0,
            Factor::Choice { depth, .. } => *depth,
        };
        self.factors.iter().map(depth).max().unwrap_or(0)
    }

    /// The product with another, or with its inverse.
    fn times(&self, other: &Weight, inverse: bool) -> Weight {
        let mut out = self.clone();
        out.negative ^= other.negative;
        for (factor, divides) in &other.factors {
            out.factors.push((factor.clone(), divides ^ inverse));
        }
        out
    }
}

/// `weight * exp(lin)`, summed over dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The exponent.
    pub lin: Lin,
    /// The factor before the exponential.
    pub weight: Weight,
    /// The dimensions that are summed over.
    pub over: DimSet,
}

/// `exp(lin) * weight`, times powers of sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    /// The exponent.
    pub lin: Lin,
    /// What is no exponential.
    pub weight: Weight,
    /// Sums of exponentials, and their powers.
    pub sums: Vec<(Rc<Vec<Term>>, f64)>,
}

impl Form {
    /// An ordinary number.
    pub fn plain(node: NodeId) -> Form {
        Form { weight: Weight::node(node), ..Form::default() }
    }

    /// One sum.
    pub fn sum(terms: Vec<Term>) -> Form {
        Form { sums: vec![(Rc::new(terms), 1.0)], ..Form::default() }
    }

    /// Whether something is divided by a sum in it.
    pub fn is_settled(&self) -> bool {
        self.sums.iter().any(|&(_, power)| power < 0.0)
    }

    /// The product with another form, or with its inverse.
    pub fn times(&self, other: &Form, inverse: bool) -> Form {
        let sign = if inverse { -1.0 } else { 1.0 };
        let mut out = self.clone();
        for (atom, count) in &other.lin {
            add_atom(&mut out.lin, atom, count * sign);
        }
        out.weight = out.weight.times(&other.weight, inverse);
        for (terms, power) in &other.sums {
            match out.sums.iter_mut().find(|(own, _)| own == terms) {
                Some((_, own)) => *own += power * sign,
                None => out.sums.push((terms.clone(), power * sign)),
            }
        }
        out.sums.retain(|&(_, power)| power != 0.0);
        out
    }

    /// A power of it, where it has no weight and the power of a power is one: `sqrt(s^2)` is `s` only where `s` is positive.
    pub fn power(&self, power: f64) -> Option<Form> {
        let whole = |number: f64| number.fract() == 0.0;
        let joins = |(terms, own): &(Rc<Vec<Term>>, f64)| {
            own.abs() == 1.0 || (whole(*own) && whole(power)) || terms.iter().all(|term| term.weight.is_one())
        };
        if !self.weight.is_one() || power == 0.0 || !self.sums.iter().all(joins) {
            return None;
        }
        let lin = self.lin.iter().map(|(atom, count)| (atom.clone(), count * power)).collect();
        let sums = self.sums.iter().map(|(terms, count)| (terms.clone(), count * power)).collect();
        Some(Form { lin, weight: Weight::default(), sums })
    }

    /// The degree: how often the exponential of a shift is a factor.
    pub fn degree(&self) -> f64 {
        let sums: f64 = self.sums.iter().map(|&(_, power)| power).sum();
        self.lin.iter().map(|&(_, count)| count).sum::<f64>() + sums
    }

    fn factors(&self) -> usize {
        self.lin.len() + self.weight.factors.len() + self.sums.len()
    }
}

/// Adds an atom to an exponent some times.
pub fn add_atom(lin: &mut Lin, atom: &Atom, count: f64) {
    match lin.iter_mut().find(|(own, _)| own == atom) {
        Some((_, own)) => *own += count,
        None => lin.push((atom.clone(), count)),
    }
    lin.retain(|&(_, count)| count != 0.0);
}

fn lin_depth(lin: &Option<Rc<Lin>>) -> u32 {
    let depth = |(atom, _): &(Atom, f64)| match atom {
        Atom::Node(_) => 0,
        Atom::Choice { depth, .. } => *depth,
    };
    lin.iter().flat_map(|lin| lin.iter()).map(depth).max().unwrap_or(0)
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Scale {
    /// An ordinary number.
    Plain,
    /// Made of exponentials.
    Form(Rc<Form>),
    /// Made of exponentials in a way that is not followed, since the node that is named.
    Lost(NodeId),
}

/// What each node of a graph is.
#[derive(Debug, Default)]
pub struct Scales {
    map: PrimaryMap<NodeId, Scale>,
    ranges: Ranges,
}

impl Scales {
    /// Of every node.
    pub fn new(graph: &Graph) -> Scales {
        let mut scales = Scales::default();
        scales.extend(graph);
        scales
    }

    /// Of the nodes that were added since.
    pub fn extend(&mut self, graph: &Graph) {
        self.ranges.extend(graph);
        for index in self.map.len()..graph.nodes.len() {
            let id = NodeId::new(index);
            let scale = self.transfer(graph, id, &graph.nodes[id]);
            self.map.push(scale);
        }
    }

    /// Of which form a node is, if it is made of exponentials.
    pub fn form(&self, node: NodeId) -> Option<&Rc<Form>> {
        match &self.map[node] {
            Scale::Form(form) => Some(form),
            Scale::Plain | Scale::Lost(_) => None,
        }
    }

    /// Since which node it is not known how a node scales.
    pub fn lost(&self, node: NodeId) -> Option<NodeId> {
        match self.map[node] {
            Scale::Lost(since) => Some(since),
            Scale::Plain | Scale::Form(_) => None,
        }
    }

    /// Whether a node has been looked at.
    pub fn knows(&self, node: NodeId) -> bool {
        node.index() < self.map.len()
    }

    /// The ranges of the nodes.
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// Says what a node is: it computes what a node of that form does.
    pub fn set(&mut self, node: NodeId, scale: Scale) {
        self.map[node] = scale;
    }

    /// The text form: the graph, with a note below every node that is no ordinary number.
    pub fn print(&self, graph: &Graph) -> String {
        print_with_notes(graph, |id| match &self.map[id] {
            Scale::Plain => Vec::new(),
            Scale::Form(form) => vec![format!("{}, degree {}", form_text(graph, form), form.degree())],
            Scale::Lost(since) => vec![format!("exponentials, not followed since {since}")],
        })
    }

    /// A node as a form, if that is possible.
    pub fn as_form(&self, graph: &Graph, node: NodeId) -> Option<Form> {
        match &self.map[node] {
            Scale::Plain => match constant(graph, node).map(|number| number.value()) {
                Some(1.0) => Some(Form::default()),
                Some(-1.0) => Some(negated(Form::default())),
                _ => Some(Form::plain(node)),
            },
            Scale::Form(form) => Some((**form).clone()),
            Scale::Lost(_) => None,
        }
    }

    /// Whether no exponential of a form has an argument that may be large.
    fn is_moderate(&self, form: &Form) -> bool {
        let sums = form.sums.iter().flat_map(|(terms, _)| terms.iter().map(|term| &term.lin));
        sums.chain([&form.lin]).all(|lin| self.largest(lin) <= MODERATE)
    }

    /// Whether the exponentials of a sum are neither large nor small: it is as good as one of other numbers.
    fn is_ordinary(&self, form: &Form) -> bool {
        form.sums.iter().flat_map(|(terms, _)| terms.iter()).all(|term| {
            let minus: Lin = term.lin.iter().map(|(atom, count)| (atom.clone(), -count)).collect();
            self.largest(&term.lin) <= MODERATE && self.largest(&minus) <= MODERATE
        })
    }

    fn largest(&self, lin: &Lin) -> f64 {
        lin.iter().map(|(atom, count)| self.atom_bound(atom, *count)).sum()
    }

    fn atom_bound(&self, atom: &Atom, count: f64) -> f64 {
        let side = |lin: &Option<Rc<Lin>>| lin.as_ref().map_or(f64::NEG_INFINITY, |lin| self.largest(lin));
        match atom {
            Atom::Node(node) => {
                let range = self.ranges[*node];
                (range.lo * count).max(range.hi * count)
            }
            Atom::Choice { yes, no, .. } if count > 0.0 => side(yes).max(side(no)) * count,
            Atom::Choice { .. } => f64::INFINITY,
        }
    }

    fn transfer(&self, graph: &Graph, id: NodeId, node: &Node) -> Scale {
        if !node.dtype.is_float() {
            return Scale::Plain;
        }
        if let Op::Prim(Prim::Exp, args) = &node.op {
            // What is moderate with certainty may still be too small to be seen in a sum: it is followed all the same.
            let (argument, count) = match graph.nodes[args[0]].op {
                Op::Prim(Prim::Neg, ref inner) => (inner[0], -1.0),
                _ => (args[0], 1.0),
            };
            let lin = vec![(Atom::Node(argument), count)];
            return Scale::Form(Rc::new(Form { lin, ..Form::default() }));
        }
        let args = node.op.args();
        if args.iter().all(|&arg| matches!(self.map[arg], Scale::Plain)) || ends(&node.op) {
            return Scale::Plain;
        }
        if let Some(since) = args.iter().find_map(|&arg| self.lost(arg)) {
            return Scale::Lost(since);
        }
        match self.followed(graph, node) {
            Some(Scale::Form(form)) if form.factors() > MAX_FACTORS => Scale::Lost(id),
            Some(scale) => scale,
            None if args
                .iter()
                .all(|&arg| self.form(arg).is_none_or(|f| f.is_settled() || self.is_moderate(f))) =>
            {
                Scale::Plain
            }
            None => Scale::Lost(id),
        }
    }

    /// What becomes of forms that a node takes.
    fn followed(&self, graph: &Graph, node: &Node) -> Option<Scale> {
        let form = match &node.op {
            Op::Prim(prim, args) => match (prim, &args[..]) {
                (Prim::Mul, &[a, b]) => self.as_form(graph, a)?.times(&self.as_form(graph, b)?, false),
                (Prim::Div, &[a, b]) => self.as_form(graph, a)?.times(&self.as_form(graph, b)?, true),
                (Prim::Neg, &[a]) => negated(self.as_form(graph, a)?),
                (Prim::Abs, &[a]) => Some(self.as_form(graph, a)?).filter(is_positive)?,
                (Prim::Add, &[a, b]) => self.added(graph, a, b, false)?,
                (Prim::Sub, &[a, b]) => self.added(graph, a, b, true)?,
                (Prim::Select, &[test, a, b]) => self.selected(graph, test, a, b)?,
                (Prim::Sqrt, &[a]) => self.as_form(graph, a)?.power(0.5)?,
                (Prim::Rsqrt, &[a]) => self.as_form(graph, a)?.power(-0.5)?,
                (Prim::Pow, &[a, b]) => self.as_form(graph, a)?.power(constant(graph, b)?.value())?,
                _ => return None,
            },
            Op::Reduce { reduction: Reduction::Sum, args, dims } => {
                let [arg] = args[..] else { return None };
                if is_shifted_exp_sum(graph, &node.op) {
                    return Some(Scale::Plain);
                }
                let form = self.summed(graph, arg, *dims)?;
                if self.is_ordinary(&form) {
                    return Some(Scale::Plain);
                }
                form
            }
            _ => return None,
        };
        Some(Scale::Form(Rc::new(form)))
    }

    /// A sum or a difference.
    fn added(&self, graph: &Graph, a: NodeId, b: NodeId, minus: bool) -> Option<Form> {
        let mut terms = self.terms(graph, a)?;
        terms.extend(self.terms(graph, b)?.into_iter().map(|mut term| {
            term.weight.negative ^= minus;
            term
        }));
        (terms.len() <= MAX_TERMS).then(|| Form::sum(terms))
    }

    /// A node as the terms of a sum.
    fn terms(&self, graph: &Graph, node: NodeId) -> Option<Vec<Term>> {
        let single = |form: Form| Term { lin: form.lin, weight: form.weight, over: DimSet::EMPTY };
        match &self.map[node] {
            Scale::Form(form) if !form.is_settled() => {
                let form = (**form).clone();
                match &form.sums[..] {
                    [] => Some(vec![single(form)]),
                    [(terms, 1.0)] => terms.iter().map(|term| distributed(graph, &form, term)).collect(),
                    _ => None,
                }
            }
            Scale::Form(_) | Scale::Plain => match constant(graph, node).map(|number| number.value()) {
                Some(0.0) => Some(Vec::new()),
                Some(1.0) => Some(vec![single(Form::default())]),
                Some(-1.0) => Some(vec![single(negated(Form::default()))]),
                _ => Some(vec![single(Form::plain(node))]),
            },
            Scale::Lost(_) => None,
        }
    }

    /// The sum of a node.
    fn summed(&self, graph: &Graph, arg: NodeId, over: DimSet) -> Option<Form> {
        let form = self.form(arg)?;
        if form.is_settled() {
            return settled_sum(graph, form, over);
        }
        let mut terms = self.terms(graph, arg)?;
        for term in &mut terms {
            let dims = lin_dims(graph, &term.lin).union(weight_dims(graph, &term.weight));
            let own = dims.difference(term.over);
            if !over.is_subset(own) || !over.intersection(term.over).is_empty() {
                return None;
            }
            term.over = term.over.union(over);
        }
        Some(Form::sum(terms))
    }

    /// A selection. A side that is 0 has the exponent `-inf`; one that is an ordinary number has the exponent 0.
    fn selected(&self, graph: &Graph, test: NodeId, a: NodeId, b: NodeId) -> Option<Form> {
        let side = |node: NodeId| {
            if constant(graph, node).is_some_and(|number| number.value() == 0.0) {
                return Some((None, Weight::default()));
            }
            let form = self.as_form(graph, node)?;
            form.sums.is_empty().then(|| (Some(Rc::new(form.lin)), form.weight))
        };
        // A quotient, and 0 elsewhere, keeps its divisor.
        let settled = |node: NodeId| self.form(node).filter(|form| form.is_settled() && !form.lin.is_empty());
        let is_zero = |node: NodeId| constant(graph, node).is_some_and(|number| number.value() == 0.0);
        let quotient = match (settled(a), settled(b)) {
            (Some(form), None) if is_zero(b) && form.weight.is_one() => Some((form, true)),
            (None, Some(form)) if is_zero(a) && form.weight.is_one() => Some((form, false)),
            _ => None,
        };
        if let Some((form, first)) = quotient {
            let lin = Some(Rc::new(form.lin.clone()));
            let depth = lin_depth(&lin) + 1;
            let (yes, no) = if first { (lin, None) } else { (None, lin) };
            let lin = vec![(Atom::Choice { test, yes, no, depth }, 1.0)];
            let form = Form { lin, weight: Weight::default(), sums: form.sums.clone() };
            return (depth <= MAX_DEPTH).then_some(form);
        }
        let ((yes, own), (no, other)) = (side(a)?, side(b)?);
        let weight = if own == other {
            own
        } else {
            let depth = own.depth().max(other.depth()) + 1;
            let choice = Factor::Choice { test, yes: Rc::new(own), no: Rc::new(other), depth };
            Weight { negative: false, factors: vec![(choice, false)] }
        };
        let depth = lin_depth(&yes).max(lin_depth(&no)).max(weight.depth()) + 1;
        let lin = vec![(Atom::Choice { test, yes, no, depth }, 1.0)];
        (depth <= MAX_DEPTH).then_some(Form { lin, weight, sums: Vec::new() })
    }
}

/// The sum of quotients whose divisors are the same for all of them, which may be looked at as one quotient.
fn settled_sum(graph: &Graph, form: &Form, over: DimSet) -> Option<Form> {
    let shared = form.sums.iter().all(|(terms, power)| {
        let apart = |term: &Term| {
            let dims = lin_dims(graph, &term.lin).union(weight_dims(graph, &term.weight));
            dims.difference(term.over).intersection(over).is_empty()
        };
        *power < 0.0 && terms.iter().all(apart)
    });
    let dims = lin_dims(graph, &form.lin);
    if !shared || form.lin.is_empty() || !over.is_subset(dims) {
        return None;
    }
    let term = Term { lin: form.lin.clone(), weight: form.weight.clone(), over };
    let mut sums = vec![(Rc::new(vec![term]), 1.0)];
    sums.extend(form.sums.iter().cloned());
    Some(Form { lin: Lin::new(), weight: Weight::default(), sums })
}

/// Whether nothing of what an operand overflows to is left in the result: it is bounded, or a truth.
fn ends(op: &Op) -> bool {
    match op {
        Op::Prim(prim, _) => {
            matches!(prim.typing(), Typing::Compare | Typing::Logic)
                || matches!(
                    prim,
                    Prim::Tanh
                        | Prim::Sigmoid
                        | Prim::Erf
                        | Prim::Erfc
                        | Prim::OnePlusErf
                        | Prim::Atan
                        | Prim::Sin
                        | Prim::Cos
                        | Prim::Log
                        | Prim::Log2
                        | Prim::Log10
                        | Prim::Log1p
                )
        }
        Op::Index(_) | Op::Size(_) | Op::Const(_) | Op::Param(_) => true,
        _ => false,
    }
}

fn negated(mut form: Form) -> Form {
    form.weight.negative ^= true;
    form
}

/// Whether a form is above 0 for certain, where it is a number.
fn is_positive(form: &Form) -> bool {
    form.weight.is_one() && form.sums.iter().all(|(terms, _)| terms.iter().all(|term| term.weight.is_one()))
}

/// A term of a sum times what stands before the sum.
fn distributed(graph: &Graph, form: &Form, term: &Term) -> Option<Term> {
    let dims = lin_dims(graph, &form.lin).union(weight_dims(graph, &form.weight));
    if !dims.intersection(term.over).is_empty() {
        return None;
    }
    let mut lin = term.lin.clone();
    form.lin.iter().for_each(|(atom, count)| add_atom(&mut lin, atom, *count));
    Some(Term { lin, weight: term.weight.times(&form.weight, false), over: term.over })
}

/// The dimensions of an exponent.
pub fn lin_dims(graph: &Graph, lin: &Lin) -> DimSet {
    let side = |lin: &Option<Rc<Lin>>| lin.as_ref().map_or(DimSet::EMPTY, |lin| lin_dims(graph, lin));
    lin.iter().fold(DimSet::EMPTY, |dims, (atom, _)| {
        dims.union(match atom {
            Atom::Node(node) => graph.nodes[*node].dims,
            Atom::Choice { test, yes, no, .. } => graph.nodes[*test].dims.union(side(yes)).union(side(no)),
        })
    })
}

/// The dimensions of a weight.
pub fn weight_dims(graph: &Graph, weight: &Weight) -> DimSet {
    weight.factors.iter().fold(DimSet::EMPTY, |dims, (factor, _)| {
        dims.union(match factor {
            Factor::Node(node) => graph.nodes[*node].dims,
            Factor::Choice { test, yes, no, .. } => {
                graph.nodes[*test].dims.union(weight_dims(graph, yes)).union(weight_dims(graph, no))
            }
        })
    })
}

// ---- text ----

fn form_text(graph: &Graph, form: &Form) -> String {
    let mut out = String::new();
    let sign = if form.weight.negative { "-" } else { "" };
    let mut push = |text: String, divides: bool| {
        let join = match (out.is_empty(), divides) {
            (true, false) => "",
            (true, true) => "1 / ",
            (false, false) => " * ",
            (false, true) => " / ",
        };
        let _ = write!(out, "{join}{text}");
    };
    if !form.lin.is_empty() {
        push(format!("exp({})", lin_text(&form.lin)), false);
    }
    for (factor, divides) in &form.weight.factors {
        push(factor_text(factor), *divides);
    }
    for (terms, power) in &form.sums {
        let terms: Vec<String> = terms.iter().map(|term| term_text(graph, term)).collect();
        let power_text = if power.abs() == 1.0 { String::new() } else { format!("^{}", power.abs()) };
        push(format!("({}){power_text}", terms.join(" + ")), *power < 0.0);
    }
    format!("{sign}{}", if out.is_empty() { "1" } else { &out })
}

fn term_text(graph: &Graph, term: &Term) -> String {
    let form = Form { lin: term.lin.clone(), weight: term.weight.clone(), sums: Vec::new() };
    let text = form_text(graph, &form);
    if term.over.is_empty() {
        return text;
    }
    let names: Vec<&str> = term.over.iter().map(|dim| graph.dims[dim].name.as_str()).collect();
    format!("sum over {} of {text}", names.join(", "))
}

fn lin_text(lin: &Lin) -> String {
    let mut out = String::new();
    for (atom, count) in lin {
        let join = match (out.is_empty(), *count < 0.0) {
            (true, false) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (false, true) => " - ",
        };
        let times = if count.abs() == 1.0 { String::new() } else { format!("{} ", count.abs()) };
        let _ = write!(out, "{join}{times}{}", atom_text(atom));
    }
    if out.is_empty() { "0".to_owned() } else { out }
}

fn atom_text(atom: &Atom) -> String {
    let side = |lin: &Option<Rc<Lin>>| lin.as_ref().map_or("-inf".to_owned(), |lin| lin_text(lin));
    match atom {
        Atom::Node(node) => node.to_string(),
        Atom::Choice { test, yes, no, .. } => format!("({test} ? {} : {})", side(yes), side(no)),
    }
}

fn factor_text(factor: &Factor) -> String {
    let weight = |weight: &Weight| {
        let factors: Vec<String> = weight
            .factors
            .iter()
            .map(|(factor, divides)| format!("{}{}", if *divides { "1 / " } else { "" }, factor_text(factor)))
            .collect();
        let sign = if weight.negative { "-" } else { "" };
        format!("{sign}{}", if factors.is_empty() { "1".to_owned() } else { factors.join(" * ") })
    };
    match factor {
        Factor::Node(node) => node.to_string(),
        Factor::Choice { test, yes, no, .. } => format!("({test} ? {} : {})", weight(yes), weight(no)),
    }
}
