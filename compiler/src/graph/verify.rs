//! Checks the rules of [`crate::graph`]: one function for each, run on every node; all that is wrong is reported, printed
//! inside the graph.

use std::fmt;

use super::print::{DimNames, print_with_notes};
use super::{Constant, Decl, FoldId, Graph, Node, NodeId, Op, renamed};
use crate::ops::{Prim, Reduction, Typing};
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
        }
    }
    check.node = None;
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
            Op::Index(dim) | Op::Slice { dim, .. } | Op::Stack { dim, .. } => Some(*dim),
            Op::Size(dims) | Op::Reduce { dims, .. } | Op::Fold { dims, .. } => dims.last(),
            Op::Rename { names, .. } => names.iter().map(|(from, to)| *from.max(to)).max(),
            Op::Param(_) | Op::Const(_) | Op::Prim(..) | Op::Convert(_) | Op::Broadcast(_) => None,
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
            Op::Size(_) => self.require(dtype != DType::Bool, || "a size is a number".to_owned()),
            Op::Prim(prim, args) => self.prim_is_typed(*prim, args, dtype),
            Op::Convert(value) => {
                self.require(self.dtype(*value) != dtype, || format!("its operand is {dtype} already"));
            }
            Op::Reduce { args, .. } | Op::Stack { values: args, .. } => {
                let same = args.iter().all(|&arg| self.dtype(arg) == dtype);
                self.require(same, || format!("an operand is not {dtype}"));
            }
            Op::Fold { fold, state, args, .. } => self.fold_is_typed(*fold, *state, args, dtype),
            Op::Slice { value, .. } | Op::Broadcast(value) | Op::Rename { value, .. } => {
                self.require(self.dtype(*value) == dtype, || format!("its operand is not {dtype}"));
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
            Typing::Number => dtype != DType::Bool && all(dtype),
            Typing::Float => dtype.is_float() && all(dtype),
            Typing::Compare => dtype == DType::Bool && types[0] != DType::Bool && all(types[0]),
            Typing::Logic => dtype == DType::Bool && all(DType::Bool),
            Typing::Select => types == [DType::Bool, dtype, dtype],
            Typing::Integer => false,
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
            let numbers = states.iter().all(|dtype| *dtype != DType::Bool) && !states.is_empty();
            self.require(numbers, || format!("{id}: a state is not a number"));
            let fits = fold.empty.iter().all(|constant| bits_fit(*constant));
            self.require(fits, || format!("{id}: bits of `empty` do not fit"));
            let params =
                [operands.clone(), [&states[..], &operands].concat(), [&states[..], &states].concat()];
            for ((name, part), params) in fold.parts().into_iter().zip(params) {
                let of = |decls: Vec<&Decl>| decls.iter().map(|decl| decl.dtype).collect::<Vec<_>>();
                let typed = of(part.params.iter().collect()) == params
                    && of(part.results.iter().map(|(decl, _)| decl).collect()) == states;
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
        self.require(node.dtype != DType::Bool, || "bool is not reduced".to_owned());
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
            | Op::Broadcast(_) => return,
            Op::Rename { value, names } => return self.renaming_is_sound(*value, names),
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
        self.require(matches!(operand.op, Op::Param(_)), || format!("{value} is no parameter"));
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

    /// Rule 6.
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

fn bits_fit(constant: Constant) -> bool {
    match constant.dtype {
        DType::F32 | DType::I32 => constant.bits <= u64::from(u32::MAX),
        DType::F64 => true,
        DType::Bool => constant.bits <= 1,
    }
}
