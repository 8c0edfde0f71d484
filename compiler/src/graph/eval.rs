//! The reference evaluator: what a graph means, computed as its nodes say, one after another, in [`Wide`] numbers.
//! The oracle for accuracy; it rewrites nothing and cares little for speed.
//!
//! Needs a graph that [`verify`](super::verify::verify) accepts, of any stage. Sums run in canonical order. Integers wrap at
//! 32 bits. Where the graph converts to `f32` or less (or an integer), the value is rounded, as `Convert` says; nowhere else.

use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashMap;

use super::repeats::Nesting;
use super::wide::Wide;
use super::{Constant, Decl, Fold, Graph, Node, NodeId, Op, RepeatId, Steps};
use crate::ops::{Prim, Reduction, Scan};
use crate::types::{DType, DimId, DimKind, DimSet};

/// The results of `graph`, each row-major in the order of its declaration.
///
/// `sizes` holds the size of every dimension, in order (see [`all_sizes`]). `inputs` holds each parameter's elements,
/// row-major in the order of its declaration; a single element stands everywhere, as a default does. Elements of `i32` and
/// `bool` are given as numbers, too. Panics where the lengths do not fit.
pub fn eval(graph: &Graph, sizes: &[i64], inputs: &[&[f64]]) -> Vec<Vec<Wide>> {
    let inputs: Vec<Vec<Wide>> =
        inputs.iter().map(|input| input.iter().map(|&x| Wide::from(x)).collect()).collect();
    eval_wide(graph, sizes, &inputs)
}

/// As [`eval`], with inputs that are no `f64`.
pub fn eval_wide(graph: &Graph, sizes: &[i64], inputs: &[Vec<Wide>]) -> Vec<Vec<Wide>> {
    assert_eq!(sizes.len(), graph.dims.len(), "a size for each dimension");
    assert_eq!(inputs.len(), graph.params.len(), "an input for each parameter");
    let sizes: Vec<usize> =
        sizes.iter().map(|&size| usize::try_from(size).expect("sizes are not negative")).collect();
    let nesting = Nesting::of(graph);
    let mut run =
        Run { graph, sizes: &sizes, inputs, values: SecondaryMap::new(), states: FxHashMap::default() };
    let mut uses = graph.use_counts();
    for (id, node) in &graph.nodes {
        // What belongs to a loop is computed where the loop ends.
        if !nesting.open(id).is_empty() {
            continue;
        }
        if uses[id] > 0 {
            run.node(id, &nesting);
        }
        for &arg in node.op.args() {
            uses[arg] -= 1;
            if uses[arg] == 0 {
                run.values[arg] = Vec::new();
            }
        }
    }
    graph.results.iter().map(|(decl, value)| run.in_declared_order(decl, *value)).collect()
}

/// The size of every dimension, where `known` gives those of the free and leading ones by name. None where one is missing or a
/// computed size has no value.
pub fn all_sizes(graph: &Graph, known: &[(&str, i64)]) -> Option<Vec<i64>> {
    let mut sizes = vec![-1; graph.dims.len()];
    for (id, dim) in &graph.dims {
        sizes[id.as_u32() as usize] = match dim.kind {
            DimKind::Free | DimKind::Leading => known.iter().find(|(name, _)| *name == dim.name)?.1,
            DimKind::Fixed(size) => size,
            DimKind::Computed(_) => continue,
        };
    }
    // A computed size may be made of others that stand anywhere.
    for _ in 0..graph.dims.len() {
        for (id, dim) in &graph.dims {
            if let DimKind::Computed(size) = &dim.kind {
                let value = size.eval(&sizes).filter(|&size| size >= 0);
                sizes[id.as_u32() as usize] = value.unwrap_or(-1);
            }
        }
    }
    sizes.iter().all(|&size| size >= 0).then_some(sizes)
}

/// The elements of a parameter that is left out: its default in its dtype.
pub fn default_input(decl: &Decl) -> Option<f64> {
    decl.default.map(|value| Constant::new(decl.dtype, value).value())
}

/// What a scalar function gives; `dtype` is that of the result.
pub fn apply(prim: Prim, dtype: DType, x: &[Wide]) -> Wide {
    let value = match prim {
        Prim::Add => x[0] + x[1],
        Prim::Sub => x[0] - x[1],
        Prim::Mul => x[0] * x[1],
        Prim::Div => x[0] / x[1],
        Prim::Fma => x[0].fma(x[1], x[2]),
        Prim::Neg => -x[0],
        Prim::Abs => x[0].abs(),
        Prim::Sqrt => x[0].sqrt(),
        Prim::Floor => x[0].floor(),
        Prim::Ceil => x[0].ceil(),
        Prim::Trunc => x[0].trunc(),
        Prim::Round => x[0].round(),
        Prim::CopySign => x[0].copysign(x[1]),
        // Which of +0 and -0 is taken depends on the order of the operands, which passes change. This evaluator
        // ranks them, so that graphs before and after such a pass are equal.
        Prim::SelMax | Prim::SelMin if x[0].is_nan() || x[1].is_nan() => x[1],
        Prim::Max | Prim::SelMax => x[0].max(x[1]),
        Prim::Min | Prim::SelMin => x[0].min(x[1]),
        Prim::Eq => Wide::from(x[0] == x[1]),
        Prim::Ne => Wide::from(x[0] != x[1]),
        Prim::Lt => Wide::from(x[0] < x[1]),
        Prim::Le => Wide::from(x[0] <= x[1]),
        Prim::Gt => Wide::from(x[0] > x[1]),
        Prim::Ge => Wide::from(x[0] >= x[1]),
        Prim::And => Wide::from(holds(x[0]) && holds(x[1])),
        Prim::Or => Wide::from(holds(x[0]) || holds(x[1])),
        Prim::Not => Wide::from(!holds(x[0])),
        Prim::Select => {
            if holds(x[0]) {
                x[1]
            } else {
                x[2]
            }
        }
        Prim::Exp => x[0].exp(),
        Prim::ExpNonpos => flushed(x[0].exp(), dtype),
        Prim::Exp2 => x[0].exp2(),
        Prim::Expm1 => x[0].expm1(),
        Prim::Log => x[0].log(),
        Prim::Log2 => x[0].log2(),
        Prim::Log10 => x[0].log10(),
        Prim::Log1p => x[0].log1p(),
        Prim::Pow => x[0].pow(x[1]),
        Prim::Cbrt => x[0].cbrt(),
        Prim::Rsqrt => x[0].rsqrt(),
        Prim::Tanh => x[0].tanh(),
        Prim::Sigmoid => x[0].sigmoid(),
        Prim::Erf => x[0].erf(),
        Prim::Erfc => x[0].erfc(),
        Prim::OnePlusErf => (-x[0]).erfc(),
        Prim::Gelu => x[0] * Wide::from(0.5) * (-x[0] * Wide::from(0.5).sqrt()).erfc(),
        Prim::Sin => x[0].sin(),
        Prim::Cos => x[0].cos(),
        Prim::Tan => x[0].tan(),
        Prim::Asin => x[0].asin(),
        Prim::Acos => x[0].acos(),
        Prim::Atan => x[0].atan(),
        Prim::Atan2 => x[0].atan2(x[1]),
        Prim::Sinh => x[0].sinh(),
        Prim::Cosh => x[0].cosh(),
        Prim::Asinh => x[0].asinh(),
        Prim::Acosh => x[0].acosh(),
        Prim::Atanh => x[0].atanh(),
        Prim::Hypot => x[0].hypot(x[1]),
        Prim::FrexpMantissa => x[0].frexp().0,
        Prim::FrexpExponent => x[0].frexp().1,
        Prim::Ldexp => x[0].ldexp(x[1]),
        Prim::NextUp if dtype == DType::F32 => Wide::from(x[0].to_f32().next_up()),
        Prim::NextUp => Wide::from(x[0].to_f64().next_up()),
        Prim::IAnd
        | Prim::IOr
        | Prim::IXor
        | Prim::Shl
        | Prim::ShrU
        | Prim::ShrS
        | Prim::IDiv
        | Prim::IRem
        | Prim::Ctz
        | Prim::Clz
        | Prim::ToF16
        | Prim::ToBf16
        | Prim::OfF16
        | Prim::OfBf16 => unreachable!("`{prim}` is of the loop IR only"),
    };
    if dtype == DType::I32 { wrapped(value) } else { value }
}

/// `value` in another dtype, as [`Op::Convert`] says.
pub fn convert(value: Wide, to: DType) -> Wide {
    match to {
        DType::F32 => Wide::from(value.to_f32()),
        // From `f32`, whose values may be more exact here, and from integers, nothing is rounded.
        DType::F64 => value,
        DType::F16 => Wide::from(value.to_f16()),
        DType::BF16 => Wide::from(value.to_bf16()),
        DType::I32 => Wide::from(value.to_i64().clamp(i64::from(i32::MIN), i64::from(i32::MAX))),
        DType::I8 => Wide::from(value.to_i64().clamp(i64::from(i8::MIN), i64::from(i8::MAX))),
        DType::U8 => Wide::from(value.to_i64().clamp(0, i64::from(u8::MAX))),
        DType::Bool => Wide::from(holds(value)),
    }
}

/// Whether a bool holds; and whether a number is not zero.
fn holds(value: Wide) -> bool {
    !value.is_zero()
}

/// An integer modulo 2^32. The product of two of 32 bits is exact before.
fn wrapped(value: Wide) -> Wide {
    Wide::from(i64::from(value.to_i64() as i32))
}

/// Zero where `value` is below the normal numbers of `dtype`.
fn flushed(value: Wide, dtype: DType) -> Wide {
    let least = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    if value < Wide::from(least) { Wide::ZERO } else { value }
}

/// The results of a part of a fold.
fn part(part: &Graph, args: &[Wide]) -> Vec<Wide> {
    let mut values: Vec<Wide> = Vec::with_capacity(part.nodes.len());
    let value = |values: &[Wide], node: &NodeId| values[node.as_u32() as usize];
    for node in part.nodes.values() {
        values.push(match &node.op {
            Op::Param(param) => args[*param as usize],
            Op::Const(constant) => Wide::from(constant.value()),
            Op::Prim(prim, operands) => {
                let operands: Vec<Wide> = operands.iter().map(|node| value(&values, node)).collect();
                apply(*prim, node.dtype, &operands)
            }
            Op::Convert(operand) => convert(value(&values, operand), node.dtype),
            op => unreachable!("{op:?} in a part of a fold"),
        });
    }
    part.results.iter().map(|(_, node)| value(&values, node)).collect()
}

/// The state of an evaluation.
struct Run<'a> {
    graph: &'a Graph,
    sizes: &'a [usize],
    inputs: &'a [Vec<Wide>],
    /// The elements of each node that is still needed, row-major over its dimensions in canonical order.
    values: SecondaryMap<NodeId, Vec<Wide>>,
    /// The state of each loop that has come to its end.
    states: FxHashMap<RepeatId, Vec<Vec<Wide>>>,
}

impl Run<'_> {
    /// Computes a node, and first the loop that it is the end of.
    fn node(&mut self, id: NodeId, nesting: &Nesting) {
        let node = &self.graph.nodes[id];
        self.values[id] = match node.op {
            Op::Final { repeat, index, .. } => {
                if !self.states.contains_key(&repeat) {
                    self.repeat(repeat, nesting);
                }
                self.states[&repeat][index as usize].clone()
            }
            _ => self.value(node),
        };
    }

    /// All steps of a loop.
    fn repeat(&mut self, id: RepeatId, nesting: &Nesting) {
        let repeat = &nesting.repeats[&id];
        let steps = match self.graph.repeats[id] {
            Steps::Number(steps) => i64::from(steps),
            Steps::Size(dim) => self.size(dim) as i64,
        };
        let init = |&carry: &NodeId| match self.graph.nodes[carry].op {
            Op::Carry { init, .. } => self.values[init].clone(),
            ref op => unreachable!("{carry} is {op:?}, not carried"),
        };
        let mut state: Vec<Vec<Wide>> = repeat.carries.iter().map(init).collect();
        for step in 0..steps {
            for (&carry, value) in repeat.carries.iter().zip(state) {
                self.values[carry] = value;
            }
            // The loops inside run anew.
            self.states.retain(|inner, _| !nesting.repeats[inner].around.contains(&id));
            for &node in &repeat.nodes {
                match self.graph.nodes[node].op {
                    Op::Carry { repeat, .. } if repeat == id => {}
                    Op::Step(repeat) if repeat == id => self.values[node] = vec![Wide::from(step)],
                    _ if nesting.innermost(node) == Some(id) => self.node(node, nesting),
                    _ => {}
                }
            }
            state = repeat.nexts.iter().map(|&next| self.values[next].clone()).collect();
        }
        self.states.insert(id, state);
    }

    fn value(&self, node: &Node) -> Vec<Wide> {
        match &node.op {
            Op::Param(index) => self.param(*index as usize),
            Op::Const(constant) => vec![Wide::from(constant.value())],
            Op::Index(dim) => (0..self.size(*dim) as i64).map(Wide::from).collect(),
            Op::Size(dims) => {
                let size = dims.iter().fold(Wide::ONE, |size, dim| size * Wide::from(self.size(dim) as i64));
                vec![convert(size, node.dtype)]
            }
            Op::Prim(prim, args) => {
                self.for_each_place(node.dims, args, |values| apply(*prim, node.dtype, values))
            }
            Op::Convert(value) => {
                self.values[*value].iter().map(|&value| convert(value, node.dtype)).collect()
            }
            Op::Reduce { reduction, args, dims } => self.reduce(*reduction, args, *dims, node),
            Op::Fold { fold, state, args, dims } => {
                self.fold(&self.graph.folds[*fold], *state as usize, args, *dims, node)
            }
            Op::Scan { scan, value, dim } => self.scan(*scan, *value, *dim, node),
            Op::KthLargest { args: [value, k], dim } => self.kth_largest(*value, *k, *dim, node),
            Op::Slice { value, dim, at } => self.slice(*value, *dim, *at as usize, node),
            Op::Stack { dim, values } => self.stack(*dim, values, node),
            Op::Broadcast(value) => self.for_each_place(node.dims, &[*value], |values| values[0]),
            Op::Rename { value, names } => self.rename(*value, names),
            Op::Carry { .. } | Op::Step(_) | Op::Final { .. } => unreachable!("loops are run as a whole"),
            Op::Gather { dims, args } => self.gather(dims, args, node),
        }
    }

    fn size(&self, dim: DimId) -> usize {
        self.sizes[dim.as_u32() as usize]
    }

    fn canonical(&self, dims: DimSet) -> Vec<DimId> {
        dims.iter().collect()
    }

    /// For each dimension of the graph, how far apart neighbours along it lie in an array over `order`; 0 for
    /// dimensions that the array lacks.
    fn strides_in(&self, order: &[DimId]) -> Vec<usize> {
        let mut strides = vec![0; self.sizes.len()];
        let mut stride = 1;
        for &dim in order.iter().rev() {
            strides[dim.as_u32() as usize] = stride;
            stride *= self.size(dim);
        }
        strides
    }

    fn strides(&self, dims: DimSet) -> Vec<usize> {
        self.strides_in(&self.canonical(dims))
    }

    /// Calls `visit` for each place along `order`, the last dimension fastest, with the offset in each of several arrays.
    fn walk(&self, order: &[DimId], strides: &[&[usize]], mut visit: impl FnMut(&[usize])) {
        let mut offsets = vec![0; strides.len()];
        if order.iter().any(|&dim| self.size(dim) == 0) {
            return;
        }
        let mut place = vec![0; order.len()];
        loop {
            visit(&offsets);
            // The next place: as an odometer counts.
            let mut axis = order.len();
            loop {
                let Some(next) = axis.checked_sub(1) else { return };
                axis = next;
                let dim = order[axis].as_u32() as usize;
                place[axis] += 1;
                let wraps = place[axis] == self.sizes[dim];
                for (offset, strides) in offsets.iter_mut().zip(strides) {
                    if wraps {
                        *offset -= strides[dim] * (place[axis] - 1);
                    } else {
                        *offset += strides[dim];
                    }
                }
                if !wraps {
                    break;
                }
                place[axis] = 0;
            }
        }
    }

    /// An array over `dims`, made of the operands' elements at each place.
    fn for_each_place(
        &self,
        dims: DimSet,
        args: &[NodeId],
        mut element: impl FnMut(&[Wide]) -> Wide,
    ) -> Vec<Wide> {
        let strides: Vec<Vec<usize>> =
            args.iter().map(|&arg| self.strides(self.graph.nodes[arg].dims)).collect();
        let strides: Vec<&[usize]> = strides.iter().map(Vec::as_slice).collect();
        let arrays: Vec<&[Wide]> = args.iter().map(|&arg| self.values[arg].as_slice()).collect();
        let mut operands = vec![Wide::ZERO; args.len()];
        let mut out = Vec::new();
        self.walk(&self.canonical(dims), &strides, |offsets| {
            for ((operand, array), &offset) in operands.iter_mut().zip(&arrays).zip(offsets) {
                *operand = array[offset];
            }
            out.push(element(&operands));
        });
        out
    }

    fn param(&self, index: usize) -> Vec<Wide> {
        let (decl, input) = (&self.graph.params[index], &self.inputs[index]);
        let order: Vec<DimId> = decl.dim_list().collect();
        let count: usize = order.iter().map(|&dim| self.size(dim)).product();
        if let &[everywhere] = input.as_slice() {
            return vec![everywhere; count];
        }
        assert_eq!(input.len(), count, "elements of `{}`", decl.name);
        self.reordered(input, &order, &self.canonical(decl.dims()))
    }

    fn in_declared_order(&self, decl: &Decl, value: NodeId) -> Vec<Wide> {
        let order: Vec<DimId> = decl.dim_list().collect();
        self.reordered(&self.values[value], &self.canonical(decl.dims()), &order)
    }

    /// An array that lies in the order `from`, in the order `to`.
    fn reordered(&self, array: &[Wide], from: &[DimId], to: &[DimId]) -> Vec<Wide> {
        let mut out = Vec::with_capacity(array.len());
        self.walk(to, &[&self.strides_in(from)], |offsets| out.push(array[offsets[0]]));
        out
    }

    fn reduce(&self, reduction: Reduction, args: &[NodeId], dims: DimSet, node: &Node) -> Vec<Wide> {
        let identity = Wide::from(Constant::new(node.dtype, reduction.identity()).value());
        let count = node.dims.iter().map(|dim| self.size(dim)).product();
        let mut states = vec![identity; count];
        let mut strides: Vec<Vec<usize>> =
            args.iter().map(|&arg| self.strides(self.graph.nodes[arg].dims)).collect();
        strides.push(self.strides(node.dims));
        let strides: Vec<&[usize]> = strides.iter().map(Vec::as_slice).collect();
        let arrays: Vec<&[Wide]> = args.iter().map(|&arg| self.values[arg].as_slice()).collect();
        // Every result's elements come in canonical order.
        let order = self.canonical(self.graph.operand_dims(args).union(dims));
        self.walk(&order, &strides, |offsets| {
            let state = &mut states[offsets[arrays.len()]];
            *state = match arrays.as_slice() {
                [array] => apply(reduction.combine(), node.dtype, &[array[offsets[0]], *state]),
                [a, b] => a[offsets[0]].fma(b[offsets[1]], *state),
                _ => unreachable!("a reduction of {} operands", arrays.len()),
            };
        });
        states
    }

    /// One number of the state of a fold: element after element, in canonical order.
    fn fold(&self, fold: &Fold, state: usize, args: &[NodeId], dims: DimSet, node: &Node) -> Vec<Wide> {
        let count = node.dims.iter().map(|dim| self.size(dim)).product();
        let mut states: Vec<Option<Vec<Wide>>> = vec![None; count];
        let mut strides: Vec<Vec<usize>> =
            args.iter().map(|&arg| self.strides(self.graph.nodes[arg].dims)).collect();
        strides.push(self.strides(node.dims));
        let strides: Vec<&[usize]> = strides.iter().map(Vec::as_slice).collect();
        let arrays: Vec<&[Wide]> = args.iter().map(|&arg| self.values[arg].as_slice()).collect();
        let operands = fold.operands().len();
        let mut element = vec![Wide::ZERO; args.len()];
        let order = self.canonical(self.graph.operand_dims(args).union(dims));
        self.walk(&order, &strides, |offsets| {
            for ((value, array), &offset) in element.iter_mut().zip(&arrays).zip(offsets) {
                *value = array[offset];
            }
            let (own, cond) = element.split_at(operands);
            if cond.iter().any(|&cond| !holds(cond)) {
                return;
            }
            let state = &mut states[offsets[arrays.len()]];
            *state = Some(match state {
                None => part(&fold.lift, own),
                Some(before) => part(&fold.step, &[&before[..], own].concat()),
            });
        });
        let empty = Wide::from(fold.empty[state].value());
        states.into_iter().map(|states| states.map_or(empty, |states| states[state])).collect()
    }

    /// Calls `visit` for each line along `dim` of an array, with the offset of its first element, the distance of its elements and
    /// their number.
    fn lines(&self, value: NodeId, dim: DimId, mut visit: impl FnMut(usize, usize, usize)) {
        let dims = self.graph.nodes[value].dims;
        let strides = self.strides(dims);
        let (step, count) = (strides[dim.as_u32() as usize], self.size(dim));
        self.walk(&self.canonical(dims.without(dim)), &[&strides], |offsets| visit(offsets[0], step, count));
    }

    fn scan(&self, scan: Scan, value: NodeId, dim: DimId, node: &Node) -> Vec<Wide> {
        let array = &self.values[value];
        let mut out = array.clone();
        self.lines(value, dim, |start, step, count| {
            let mut state = Wide::from(Constant::new(node.dtype, scan.start()).value());
            for number in 0..count {
                let at = start + step * if scan.reverse { count - 1 - number } else { number };
                let next = apply(scan.reduction.combine(), node.dtype, &[array[at], state]);
                out[at] = if scan.exclusive { state } else { next };
                state = next;
            }
        });
        out
    }

    fn kth_largest(&self, value: NodeId, k: NodeId, dim: DimId, node: &Node) -> Vec<Wide> {
        let (array, k) = (&self.values[value], self.values[k][0].to_i64());
        let over_nothing = if node.dtype == DType::I32 { f64::from(i32::MIN) } else { f64::NAN };
        let mut out = Vec::new();
        self.lines(value, dim, |start, step, count| {
            let mut line: Vec<Wide> = (0..count).map(|number| array[start + step * number]).collect();
            // NaN above all numbers.
            line.sort_by(|a, b| {
                let numbers = || b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal);
                b.is_nan().cmp(&a.is_nan()).then_with(numbers)
            });
            let place = usize::try_from(k.min(count as i64) - 1).unwrap_or(0);
            out.push(
                line.get(place)
                    .map_or(Wide::from(over_nothing), |&x| if x.is_zero() { Wide::ZERO } else { x }),
            );
        });
        out
    }

    fn slice(&self, value: NodeId, dim: DimId, at: usize, node: &Node) -> Vec<Wide> {
        let (strides, array) = (self.strides(self.graph.nodes[value].dims), &self.values[value]);
        let start = at * strides[dim.as_u32() as usize];
        let mut out = Vec::new();
        self.walk(&self.canonical(node.dims), &[&strides], |offsets| out.push(array[start + offsets[0]]));
        out
    }

    /// The operand's array is one over the new names, in the order of the old ones.
    fn rename(&self, value: NodeId, names: &[(DimId, DimId)]) -> Vec<Wide> {
        let new = |dim: DimId| names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to);
        let from: Vec<DimId> = self.graph.nodes[value].dims.iter().map(new).collect();
        let to = self.canonical(from.iter().copied().collect());
        self.reordered(&self.values[value], &from, &to)
    }

    /// The leaf's elements at the positions that the other operands give.
    fn gather(&self, dims: &[DimId], args: &[NodeId], node: &Node) -> Vec<Wide> {
        let leaf = self.graph.nodes[args[0]].dims;
        let own = self.strides(leaf);
        // What is gathered along does not go with the place, even if an index has that dimension, too.
        let mut fixed = own.clone();
        for dim in dims {
            fixed[dim.as_u32() as usize] = 0;
        }
        let mut strides = vec![fixed];
        strides.extend(args[1..].iter().map(|&index| self.strides(self.graph.nodes[index].dims)));
        let strides: Vec<&[usize]> = strides.iter().map(Vec::as_slice).collect();
        let mut out = Vec::new();
        self.walk(&self.canonical(node.dims), &strides, |offsets| {
            let mut at = Some(offsets[0]);
            for ((dim, index), offset) in dims.iter().zip(&args[1..]).zip(&offsets[1..]) {
                let position = usize::try_from(self.values[*index][*offset].to_i64());
                let inside = position.ok().filter(|&position| position < self.size(*dim));
                at = at.zip(inside).map(|(at, position)| at + position * own[dim.as_u32() as usize]);
            }
            out.push(at.map_or(Wide::ZERO, |at| self.values[args[0]][at]));
        });
        out
    }

    fn stack(&self, dim: DimId, values: &[NodeId], node: &Node) -> Vec<Wide> {
        let to = self.strides(node.dims);
        let count = node.dims.iter().map(|dim| self.size(dim)).product();
        let mut out = vec![Wide::ZERO; count];
        for (at, &value) in values.iter().enumerate() {
            let start = at * to[dim.as_u32() as usize];
            let (from, array) = (self.strides(self.graph.nodes[value].dims), &self.values[value]);
            let rest = self.canonical(node.dims.without(dim));
            self.walk(&rest, &[&from, &to], |offsets| out[start + offsets[1]] = array[offsets[0]]);
        }
        out
    }
}
