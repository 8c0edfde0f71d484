//! Checks the rules of [`crate::graph`]: one function for each, run on every node; all that is wrong is reported, printed
//! inside the graph.

use std::fmt;

use super::print::{DimNames, print_with_notes};
use super::repeats::Nesting;
use super::{Constant, Decl, FoldId, Graph, Node, NodeId, Op, renamed};
use crate::ops::{Prim, Reduction, Scan, Typing};
use crate::types::{DType, DimId, DimKind, DimSet, MAX_DIMS, SizeExpr};

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The node that breaks it; none for the graph's header.
    pub node: Option<NodeId>,
    /// What is wrong.
    pub message: String,
}

/// Everything that is wrong with a graph. Displays as the graph with the messages in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The breaches, in the order of the nodes.
    pub violations: Vec<Violation>,
    text: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Report {}

/// Whether `graph` keeps all rules.
pub fn verify(graph: &Graph) -> Result<(), Report> {
    let mut check = Check { graph, names: DimNames::of_graph(graph), node: None, violations: Vec::new() };
    check.header();
    check.folds();
    for (id, node) in &graph.nodes {
        check.node = Some(id);
        // The other rules look at operands and dimensions, which must exist for that.
        if check.operands_come_first(id, node) && check.dims_exist(node) {
            check.params_come_first(id, node);
            check.dims_follow(node);
            check.dtypes_follow(node);
            check.reductions_are_sound(node);
            check.fixed_dims_are_sound(node);
            check.loops_are_sound(node);
            check.scans_are_sound(node);
        }
    }
    check.node = None;
    check.loops_nest();
    check.results_match();
    let violations = check.violations;
    if violations.is_empty() { Ok(()) } else { Err(report(graph, violations)) }
}

fn report(graph: &Graph, violations: Vec<Violation>) -> Report {
    let of = |node: Option<NodeId>| {
        violations
            .iter()
            .filter(move |violation| violation.node == node)
            .map(|violation| format!("error: {}", violation.message))
    };
    let mut text: String = of(None).map(|message| format!("# {message}\n")).collect();
    text += &print_with_notes(graph, |id| of(Some(id)).collect());
    Report { violations, text }
}

struct Check<'g> {
    graph: &'g Graph,
    names: DimNames,
    /// The node that is being checked.
    node: Option<NodeId>,
    violations: Vec<Violation>,
}

impl Check<'_> {
    fn error(&mut self, message: String) {
        self.violations.push(Violation { node: self.node, message });
    }

    fn require(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.error(message());
        }
    }

    fn shown(&self, dims: DimSet) -> String {
        format!("[{}]", self.names.list(dims.iter()))
    }

    fn dtype(&self, node: NodeId) -> DType {
        self.graph.nodes[node].dtype
    }

    /// The parameters are there, and all that the header speaks of exists.
    fn header(&mut self) {
        let graph = self.graph;
        self.require(graph.dims.len() <= MAX_DIMS, || format!("more than {MAX_DIMS} dimensions"));
        let params = graph.nodes.values().take_while(|node| matches!(node.op, Op::Param(_))).count();
        self.require(params == graph.params.len(), || {
            format!("{} parameters, but {params} nodes for them", graph.params.len())
        });
        for dim in graph.dims.values() {
            match &dim.kind {
                DimKind::Free | DimKind::Leading => {}
                DimKind::Fixed(size) => {
                    self.require(*size >= 0, || format!("`{}` has the size {size}", dim.name));
                }
                DimKind::Computed(size) => {
                    let exist = all_dims(size, graph.dims.len() as u32);
                    self.require(exist, || format!("the size of `{}` has no meaning", dim.name));
                }
            }
        }
        let decls = graph.params.iter().chain(graph.results.iter().map(|(decl, _)| decl));
        for decl in decls {
            let known = decl.dim_list().all(|dim| (dim.as_u32() as usize) < graph.dims.len());
            self.require(known, || format!("`{}` has an unknown dimension", decl.name));
            let twice = known && decl.dim_list().count() != decl.dims().len();
            self.require(!twice, || format!("`{}` has a dimension twice", decl.name));
        }
    }

    /// Rule 1.
    fn operands_come_first(&mut self, id: NodeId, node: &Node) -> bool {
        let late: Vec<NodeId> = node.op.args().iter().copied().filter(|&arg| arg >= id).collect();
        for arg in &late {
            self.error(format!("its operand {arg} does not come before it"));
        }
        late.is_empty()
    }

    /// Part of rule 2: no dimension is outside the graph's list.
    fn dims_exist(&mut self, node: &Node) -> bool {
        let named = match &node.op {
            Op::Index(dim)
            | Op::Slice { dim, .. }
            | Op::Stack { dim, .. }
            | Op::Scan { dim, .. }
            | Op::KthLargest { dim, .. } => Some(*dim),
            Op::Size(dims) | Op::Reduce { dims, .. } | Op::Fold { dims, .. } => dims.last(),
            Op::Rename { names, .. } => names.iter().map(|(from, to)| *from.max(to)).max(),
            Op::Gather { dims, .. } => dims.iter().copied().max(),
            Op::Param(_)
            | Op::Const(_)
            | Op::Prim(..)
            | Op::Convert(_)
            | Op::Broadcast(_)
            | Op::Carry { .. }
            | Op::Step(_)
            | Op::Final { .. } => None,
        };
        let count = self.graph.dims.len();
        let exist = named.into_iter().chain(node.dims.last()).all(|dim| (dim.as_u32() as usize) < count);
        self.require(exist, || "a dimension that the graph does not have".to_owned());
        exist
    }

    /// Parameters are the first nodes, in order.
    fn params_come_first(&mut self, id: NodeId, node: &Node) {
        if let Op::Param(index) = node.op {
            self.require(index == id.as_u32(), || format!("parameter {index} stands at {id}"));
        }
    }

    /// Rule 2.
    fn dims_follow(&mut self, node: &Node) {
        let natural = match &node.op {
            Op::Param(index) => match self.graph.params.get(*index as usize) {
                Some(decl) => decl.dims(),
                None => return self.error(format!("there is no parameter {index}")),
            },
            op => self.graph.natural_dims(op),
        };
        if let Op::Broadcast(_) = node.op {
            let adds = natural.is_subset(node.dims) && natural != node.dims;
            let shown = self.shown(natural);
            self.require(adds, || format!("adds no dimension to {shown}"));
        } else if natural != node.dims {
            self.error(format!("its dimensions are {}, not {}", self.shown(natural), self.shown(node.dims)));
        }
    }

    /// Rule 3.
    fn dtypes_follow(&mut self, node: &Node) {
        let dtype = node.dtype;
        match &node.op {
            Op::Param(index) => {
                let declared = self.graph.params.get(*index as usize).map(|decl| decl.dtype);
                self.require(declared == Some(dtype), || "not the parameter's dtype".to_owned());
            }
            Op::Const(constant) => {
                self.require(constant.dtype == dtype, || format!("the constant is {}", constant.dtype));
                self.require(bits_fit(*constant), || format!("its bits do not fit {}", constant.dtype));
            }
            Op::Index(_) => self.require(dtype == DType::I32, || "a position is i32".to_owned()),
            Op::Step(_) => self.require(dtype == DType::I32, || "the number of a step is i32".to_owned()),
            Op::Final { index, values, .. } => {
                let same = values.get(*index as usize).is_some_and(|&carry| self.dtype(carry) == dtype);
                self.require(same, || format!("its part of the state is not {dtype}"));
            }
            Op::Size(_) => {
                let number = dtype != DType::Bool && !dtype.is_storage();
                self.require(number, || "a size is a number".to_owned());
            }
            Op::Prim(prim, args) => self.prim_is_typed(*prim, args, dtype),
            Op::Convert(value) => {
                let from = self.dtype(*value);
                self.require(from != dtype, || format!("its operand is {dtype} already"));
                self.require(converts(from, dtype), || format!("{from} does not become {dtype} in one step"));
            }
            Op::Reduce { args, .. } | Op::Stack { values: args, .. } => {
                let same = args.iter().all(|&arg| self.dtype(arg) == dtype);
                self.require(same, || format!("an operand is not {dtype}"));
            }
            Op::Fold { fold, state, args, .. } => self.fold_is_typed(*fold, *state, args, dtype),
            Op::Gather { args, .. } => {
                self.require(self.dtype(args[0]) == dtype, || format!("its leaf is not {dtype}"));
                let whole = args[1..].iter().all(|&index| self.dtype(index) == DType::I32);
                self.require(whole, || "a position is no i32".to_owned());
            }
            Op::Slice { value, .. }
            | Op::Broadcast(value)
            | Op::Carry { init: value, .. }
            | Op::Rename { value, .. }
            | Op::Scan { value, .. }
            | Op::KthLargest { args: [value, _], .. } => {
                self.require(self.dtype(*value) == dtype, || format!("its operand is not {dtype}"));
                let computes = matches!(node.op, Op::Carry { .. } | Op::Scan { .. } | Op::KthLargest { .. });
                self.require(!computes || !dtype.is_storage(), || format!("nothing is computed in {dtype}"));
            }
        }
    }

    /// Rule 3 for functions: the row's number of operands and its types.
    fn prim_is_typed(&mut self, prim: Prim, args: &[NodeId], dtype: DType) {
        if args.len() != prim.arity() {
            return self.error(format!("`{prim}` takes {} operands", prim.arity()));
        }
        let types: Vec<DType> = args.iter().map(|&arg| self.dtype(arg)).collect();
        let all = |want: DType| types.iter().all(|&dtype| dtype == want);
        let holds = match prim.typing() {
            _ if types.iter().any(|dtype| dtype.is_storage()) => false,
            Typing::Number => dtype != DType::Bool && all(dtype),
            Typing::Float => dtype.is_float() && all(dtype),
            Typing::Compare => dtype == DType::Bool && types[0] != DType::Bool && all(types[0]),
            Typing::Logic => dtype == DType::Bool && all(DType::Bool),
            Typing::Select => types == [DType::Bool, dtype, dtype],
            Typing::Integer | Typing::Encode | Typing::Decode => false,
        };
        let types = types.iter().map(DType::to_string).collect::<Vec<_>>().join(", ");
        self.require(holds, || format!("`{prim}` does not take ({types}) to {dtype}"));
    }

    /// Rule 7 for nodes.
    fn fold_is_typed(&mut self, fold: FoldId, state: u32, args: &[NodeId], dtype: DType) {
        let Some(fold) = self.graph.folds.get(fold) else {
            return self.error(format!("there is no {fold}"));
        };
        let own = fold.states().nth(state as usize);
        self.require(own == Some(dtype), || format!("number {state} of the state is not {dtype}"));
        let given: Vec<DType> = args.iter().map(|&arg| self.dtype(arg)).collect();
        let mut wanted: Vec<DType> = fold.operands().collect();
        if given.len() > wanted.len() {
            wanted.push(DType::Bool);
        }
        self.require(given == wanted, || format!("the operands are {given:?}, not {wanted:?}"));
    }

    /// Rule 7 for definitions.
    fn folds(&mut self) {
        for (id, fold) in &self.graph.folds {
            let states: Vec<DType> = fold.states().collect();
            let operands: Vec<DType> = fold.operands().collect();
            let number = |dtype: &DType| *dtype != DType::Bool && !dtype.is_storage();
            let numbers = states.iter().all(number) && !states.is_empty();
            self.require(numbers, || format!("{id}: a state is not a number"));
            let fits = fold.empty.iter().all(|constant| bits_fit(*constant));
            self.require(fits, || format!("{id}: bits of `empty` do not fit"));
            let of = |decls: Vec<&Decl>| decls.iter().map(|decl| decl.dtype).collect::<Vec<_>>();
            let given = |part: &Graph| of(part.results.iter().map(|(decl, _)| decl).collect());
            let mut wanted = vec![
                (operands.clone(), states.clone()),
                ([&states[..], &operands].concat(), states.clone()),
                ([&states[..], &states].concat(), states.clone()),
            ];
            let mut before = Vec::new();
            for (at, stage) in fold.stages.iter().enumerate() {
                let factors = given(&stage.each);
                let mut terms = Vec::new();
                let mut rest = &factors[..];
                for term in &stage.terms {
                    let (own, after) = rest.split_at(term.factors().min(rest.len()));
                    let fits = own.len() == term.factors() && own.iter().all(|dtype| *dtype == own[0]);
                    self.require(fits, || format!("{id}: a stage does not give what its terms take"));
                    terms.extend(own.first());
                    rest = after;
                }
                self.require(rest.is_empty(), || format!("{id}: a stage gives more than its terms take"));
                wanted.push(([&operands[..], &before].concat(), factors.clone()));
                let last = at + 1 == fold.stages.len();
                let closed = if last { states.clone() } else { given(&stage.close) };
                wanted.push(([&states[..1], &before, &terms].concat(), closed.clone()));
                before = closed;
            }
            for ((name, part), (params, results)) in fold.parts().into_iter().zip(wanted) {
                let typed = of(part.params.iter().collect()) == params && given(part) == results;
                self.require(typed, || format!("{id}: `{name}` has other parameters or results"));
                let plain = part.nodes.values().all(|node| {
                    matches!(node.op, Op::Param(_) | Op::Const(_) | Op::Prim(..) | Op::Convert(_))
                });
                self.require(plain && part.dims.is_empty(), || {
                    format!("{id}: `{name}` is more than numbers")
                });
                if plain && let Err(report) = verify(part) {
                    self.error(format!("{id}: `{name}` breaks rules:\n{report}"));
                }
            }
        }
    }

    /// Rule 4.
    fn reductions_are_sound(&mut self, node: &Node) {
        if let Op::Fold { args, dims, .. } = &node.op {
            return self.reduces_what_is_there(args, *dims);
        }
        let Op::Reduce { reduction, args, dims } = &node.op else { return };
        let count_fits = match args.len() {
            1 => true,
            2 => *reduction == Reduction::Sum && node.dtype.is_float(),
            _ => false,
        };
        self.require(count_fits, || format!("`{reduction}` of {} {} operands", args.len(), node.dtype));
        let number = node.dtype != DType::Bool && !node.dtype.is_storage();
        self.require(number, || format!("{} is not reduced", node.dtype));
        self.reduces_what_is_there(args, *dims);
    }

    fn reduces_what_is_there(&mut self, args: &[NodeId], dims: DimSet) {
        self.require(!dims.is_empty(), || "reduces no dimension".to_owned());
        let missing = dims.difference(self.graph.operand_dims(args));
        let shown = self.shown(missing);
        self.require(missing.is_empty(), || format!("reduces {shown}, which no operand has"));
    }

    /// Rule 5.
    fn fixed_dims_are_sound(&mut self, node: &Node) {
        let (dim, positions) = match &node.op {
            Op::Slice { value, dim, at } => {
                let has = self.graph.nodes[*value].dims.contains(*dim);
                self.require(has, || format!("{value} does not have the dimension"));
                (*dim, i64::from(*at) + 1)
            }
            Op::Stack { dim, values } => {
                let free = !self.graph.operand_dims(values).contains(*dim);
                self.require(free, || "an operand has the dimension already".to_owned());
                (*dim, values.len() as i64)
            }
            Op::Param(_)
            | Op::Const(_)
            | Op::Index(_)
            | Op::Size(_)
            | Op::Prim(..)
            | Op::Convert(_)
            | Op::Reduce { .. }
            | Op::Fold { .. }
            | Op::Carry { .. }
            | Op::Step(_)
            | Op::Final { .. }
            | Op::Scan { .. }
            | Op::KthLargest { .. }
            | Op::Broadcast(_) => return,
            Op::Rename { value, names } => return self.renaming_is_sound(*value, names),
            Op::Gather { dims, args } => return self.gather_is_sound(dims, args),
        };
        let name = self.names.get(dim).to_owned();
        match self.graph.dims[dim].fixed() {
            None => self.error(format!("the size of `{name}` is not fixed")),
            Some(size) if matches!(node.op, Op::Slice { .. }) => {
                self.require(positions <= size, || format!("`{name}` has {size} positions"));
            }
            Some(size) => {
                self.require(positions == size, || format!("`{name}` has {size} positions, not {positions}"));
            }
        }
    }

    /// Rule 5 for `Rename`.
    fn renaming_is_sound(&mut self, value: NodeId, names: &[(DimId, DimId)]) {
        let operand = &self.graph.nodes[value];
        self.require(matches!(operand.op, Op::Param(_) | Op::Carry { .. }), || {
            format!("{value} is no parameter and not carried")
        });
        let from: DimSet = names.iter().map(|(from, _)| *from).collect();
        let has = from.is_subset(operand.dims) && from.len() == names.len() && !names.is_empty();
        self.require(has, || format!("{value} does not have the dimensions, or one stands here twice"));
        let after = renamed(operand.dims, names);
        self.require(after.len() == operand.dims.len(), || "two dimensions become one".to_owned());
        let changes = names.iter().all(|(from, to)| from != to) && names.is_sorted();
        self.require(changes, || "a dimension keeps its name, or the pairs are not in order".to_owned());
        for &(from, to) in names {
            let (a, b) = (self.graph.dims[from].fixed(), self.graph.dims[to].fixed());
            let shown = || format!("`{}` and `{}` differ in size", self.names.get(from), self.names.get(to));
            if a != b {
                self.error(shown());
            }
        }
    }

    /// Rule 5 for `Gather`.
    fn gather_is_sound(&mut self, dims: &[DimId], args: &[NodeId]) {
        let mut leaf = args[0];
        while let Op::Slice { value, .. } | Op::Rename { value, .. } = self.graph.nodes[leaf].op {
            leaf = value;
        }
        self.require(matches!(self.graph.nodes[leaf].op, Op::Param(_)), || format!("{} is no leaf", args[0]));
        let named: DimSet = dims.iter().copied().collect();
        let has = named.is_subset(self.graph.nodes[args[0]].dims);
        self.require(has, || format!("{} does not have the dimensions", args[0]));
        let ordered = !dims.is_empty() && dims.is_sorted() && named.len() == dims.len();
        self.require(ordered, || "the dimensions are not in order, or one stands here twice".to_owned());
    }

    /// Rule 8, for one node.
    fn loops_are_sound(&mut self, node: &Node) {
        let (Op::Carry { repeat, .. } | Op::Step(repeat) | Op::Final { repeat, .. }) = &node.op else {
            return;
        };
        let known = self.graph.repeats.get(*repeat).is_some();
        self.require(known, || format!("there is no loop {repeat}"));
        let Op::Final { values, .. } = &node.op else { return };
        self.require(values.len() % 2 == 0, || "as many values are carried as a step makes".to_owned());
        let (carries, nexts) = values.split_at(values.len() / 2);
        for (index, (&carry, &next)) in carries.iter().zip(nexts).enumerate() {
            let (from, to) = (&self.graph.nodes[carry], &self.graph.nodes[next]);
            let part = matches!(from.op, Op::Carry { repeat: of, index: at, .. } if of == *repeat && at as usize == index);
            self.require(part, || format!("{carry} is not part {index} of the state"));
            let same = from.dims == to.dims && from.dtype == to.dtype;
            self.require(same, || format!("{next} has not the type of {carry}"));
        }
    }

    /// The rest of rule 8.
    fn loops_nest(&mut self) {
        if !self.violations.is_empty() || self.graph.repeats.is_empty() {
            return;
        }
        let nesting = Nesting::of(self.graph);
        for (id, repeat) in &nesting.repeats {
            for &end in &repeat.finals {
                let args = self.graph.nodes[end].op.args();
                let same = args.iter().eq(repeat.carries.iter().chain(&repeat.nexts));
                self.require(same, || format!("{end} has other operands than {}", repeat.finals[0]));
            }
            for around in &repeat.around {
                let ends = nesting.repeats.get(around);
                let nested = ends.is_some_and(|outer| !outer.around.contains(id));
                self.require(nested, || format!("{id} is not wholly inside of {around}, or it has no end"));
            }
        }
        for (decl, value) in &self.graph.results {
            let outside = self.graph.nodes.get(*value).is_none() || nesting.open(*value).is_empty();
            self.require(outside, || format!("result `{}` is inside of a loop", decl.name));
        }
    }

    /// Rule 6.
    fn scans_are_sound(&mut self, node: &Node) {
        let (value, dim) = match &node.op {
            Op::Scan { scan, value, dim } => {
                let known = Scan::NAMES.iter().any(|(_, reduction)| *reduction == scan.reduction);
                self.require(known, || format!("there is no scan by `{}`", scan.reduction));
                (*value, *dim)
            }
            Op::KthLargest { args: [value, k], dim } => {
                let k = &self.graph.nodes[*k];
                let one = k.dtype == DType::I32 && k.dims.is_empty();
                self.require(one, || "its `k` is not one i32".to_owned());
                (*value, *dim)
            }
            _ => return,
        };
        let has = self.graph.nodes[value].dims.contains(dim);
        self.require(has, || format!("{value} does not have the dimension"));
        self.require(node.dtype != DType::Bool, || "bool is not scanned".to_owned());
        let small = self.graph.dims[dim].fixed().is_some_and(|size| (1..=64).contains(&size));
        let sorted = matches!(node.op, Op::Scan { .. }) || !small;
        self.require(sorted, || "a small fixed-size dimension is sorted, position by position".to_owned());
    }

    /// Rule 7.
    fn results_match(&mut self) {
        for (decl, value) in &self.graph.results {
            let Some(node) = self.graph.nodes.get(*value) else {
                self.error(format!("result `{}` is {value}, which is no node", decl.name));
                continue;
            };
            self.node = Some(*value);
            let (dtype, dims) = (decl.dtype, decl.dims());
            self.require(node.dtype == dtype, || format!("result `{}` is {dtype}", decl.name));
            let shown = self.shown(dims);
            self.require(node.dims == dims, || format!("result `{}` has the dimensions {shown}", decl.name));
            self.node = None;
        }
    }
}

/// Whether all dimensions of a size are below `count`.
fn all_dims(size: &SizeExpr, count: u32) -> bool {
    match size {
        SizeExpr::Const(_) => true,
        SizeExpr::Dim(dim) => *dim < count,
        SizeExpr::Add(a, b)
        | SizeExpr::Sub(a, b)
        | SizeExpr::Mul(a, b)
        | SizeExpr::Div(a, b)
        | SizeExpr::CeilDiv(a, b) => all_dims(a, count) && all_dims(b, count),
    }
}

/// Whether one conversion leads from a dtype to another. What memory holds becomes its arithmetic dtype and nothing else; it
/// is made of floats, and integers of 8 bits also of `i32`.
pub fn converts(from: DType, to: DType) -> bool {
    match (from.is_storage(), to.is_storage()) {
        (false, false) => true,
        (true, _) => to == from.arithmetic(),
        (false, true) => matches!(from, DType::F32 | DType::F64) || from == DType::I32 && !to.is_float(),
    }
}

fn bits_fit(constant: Constant) -> bool {
    match constant.dtype {
        DType::F32 | DType::I32 => constant.bits <= u64::from(u32::MAX),
        DType::F64 => true,
        DType::F16 | DType::BF16 => constant.bits <= u64::from(u16::MAX),
        DType::I8 | DType::U8 => constant.bits <= u64::from(u8::MAX),
        DType::Bool => constant.bits <= 1,
    }
}
