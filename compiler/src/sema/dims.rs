//! The dimensions of a kernel: from its declared types, their sizes and their canonical order.

use cranelift_entity::{EntityRef, PrimaryMap};
use rustc_hash::FxHashMap;

use super::lower::Value;
use super::number::Number;
use super::{MAX_SIZE, Options, Session, list, suggest};
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, AxisKind, GenericKind, SizeKind, SizeOp};
use crate::types::{Dim, DimId, DimKind, MAX_DIMS, SizeExpr};

/// The name of the leading axes.
pub(super) const REST: &str = "..";

/// The dimensions of one kernel.
pub(super) struct Dims<'a> {
    /// In canonical order.
    pub(super) dims: PrimaryMap<DimId, Dim>,
    /// By name; the leading axes as `..`.
    pub(super) names: FxHashMap<&'a str, DimId>,
    /// Dimension parameters with their sizes, in the order of the text.
    pub(super) params: Vec<(String, i64)>,
}

impl Dims<'_> {
    /// The axes of a declared type.
    pub(super) fn axes(&self, ty: &ast::Type) -> Option<Vec<Vec<DimId>>> {
        let axes = ty.axes.as_ref()?;
        let id = |name: &str| self.names[name];
        let axis = |axis: &ast::Axis| match &axis.kind {
            AxisKind::Rest => vec![id(REST)],
            AxisKind::Dim(name) | AxisKind::Sized(name, _) => vec![id(&name.name)],
            AxisKind::Group(parts) => parts.iter().map(|part| id(&part.name.name)).collect(),
        };
        Some(axes.iter().map(axis).collect())
    }
}

/// Works out the dimensions of a kernel. None where that makes no sense; the messages are given.
pub(super) fn declare<'a>(
    session: &mut Session<'a>,
    kernel: &'a ast::Kernel,
    options: &Options,
) -> Option<Dims<'a>> {
    let mut table =
        Table { session, kernel, entries: Vec::new(), by_name: FxHashMap::default(), lists: Vec::new() };
    let whole = table.collect() && table.add_generics(options);
    if !whole {
        return None;
    }
    table.resolve_sizes();
    table.check_known();
    Some(table.finish())
}

/// One dimension while it is worked out.
struct Entry<'a> {
    name: &'a str,
    span: Span,
    /// What the types say about its size.
    sizes: Vec<&'a ast::SizeExpr>,
    kind: DimKind,
    /// Whether a shape gives its size alone: it is an axis of a parameter.
    is_axis: bool,
    /// Whether a parameter has it.
    in_param: bool,
}

struct Table<'s, 'a> {
    session: &'s mut Session<'a>,
    kernel: &'a ast::Kernel,
    entries: Vec<Entry<'a>>,
    by_name: FxHashMap<&'a str, usize>,
    /// The dimensions of each declared array type, in order.
    lists: Vec<Vec<usize>>,
}

impl<'a> Table<'_, 'a> {
    fn types(&self) -> impl Iterator<Item = (&'a ast::Type, bool)> + use<'a> {
        let params = self.kernel.params.iter().map(|param| (&param.ty, true));
        let results: Vec<&'a ast::Type> = match &self.kernel.results {
            ast::Results::One(ty) => vec![ty],
            ast::Results::Named(results) => results.iter().map(|result| &result.ty).collect(),
        };
        params.chain(results.into_iter().map(|ty| (ty, false)))
    }

    /// Reads all types; false if there are too many dimensions.
    fn collect(&mut self) -> bool {
        let mut whole = true;
        for (ty, is_param) in self.types() {
            let mut seen: Vec<usize> = Vec::new();
            for (at, axis) in ty.axes.iter().flatten().enumerate() {
                whole &= self.collect_axis(axis, at == 0, is_param, &mut seen);
                if self.entries.len() > MAX_DIMS {
                    return self.too_many();
                }
            }
            self.lists.push(seen);
        }
        whole
    }

    fn collect_axis(
        &mut self,
        axis: &'a ast::Axis,
        first: bool,
        is_param: bool,
        seen: &mut Vec<usize>,
    ) -> bool {
        match &axis.kind {
            AxisKind::Rest => {
                if !first {
                    self.session.report(
                        Diagnostic::error(codes::REST_PLACE, axis.span, "`..` is not the first axis")
                            .with_note("`..` stands for any number of leading axes"),
                    );
                    return false;
                }
                self.add(REST, axis.span, None, is_param, true, seen)
            }
            AxisKind::Dim(name) => self.add(&name.name, name.span, None, is_param, true, seen),
            AxisKind::Sized(name, size) => self.add(&name.name, name.span, Some(size), is_param, true, seen),
            AxisKind::Group(parts) => {
                let alone = parts.len() == 1;
                let mut whole = true;
                for part in parts {
                    whole &=
                        self.add(&part.name.name, part.name.span, part.size.as_ref(), is_param, alone, seen);
                }
                whole
            }
        }
    }

    /// Notes one mention of a dimension; false if the type has it already.
    fn add(
        &mut self,
        name: &'a str,
        span: Span,
        size: Option<&'a ast::SizeExpr>,
        is_param: bool,
        is_axis: bool,
        seen: &mut Vec<usize>,
    ) -> bool {
        let index = self.entry(name, span);
        let entry = &mut self.entries[index];
        entry.sizes.extend(size);
        entry.in_param |= is_param;
        entry.is_axis |= is_param && is_axis;
        if seen.contains(&index) {
            let message = format!("this type has the dimension `{name}` twice");
            let error = Diagnostic::error(codes::REPEATED_DIM, span, message).with_help(
                "two axes of one array are two dimensions, also where they have the same size: `j = i`",
            );
            self.session.report(error);
            return false;
        }
        seen.push(index);
        true
    }

    fn entry(&mut self, name: &'a str, span: Span) -> usize {
        let entries = &mut self.entries;
        *self.by_name.entry(name).or_insert_with(|| {
            let kind = if name == REST { DimKind::Leading } else { DimKind::Free };
            entries.push(Entry { name, span, sizes: Vec::new(), kind, is_axis: false, in_param: false });
            entries.len() - 1
        })
    }

    fn too_many(&mut self) -> bool {
        let name = &self.kernel.name;
        let message = format!("kernel `{}` has more than {MAX_DIMS} dimensions", name.name);
        self.session.report(Diagnostic::error(codes::TOO_MANY_DIMS, name.span, message));
        false
    }

    /// Reads `<g = 32>`; false if a size is missing.
    fn add_generics(&mut self, options: &Options) -> bool {
        let mut whole = true;
        let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
        for generic in &self.kernel.generics {
            let name = generic.name.as_str();
            let GenericKind::Dim { default } = &generic.kind else { continue };
            if let Some(first) = seen.insert(name, generic.name.span) {
                let message = format!("there are two dimension parameters `{name}`");
                let error = Diagnostic::error(codes::DUPLICATE_PARAM, generic.name.span, message)
                    .with_other(first, "the first one");
                self.session.report(error);
                continue;
            }
            let index = self.entry(name, generic.name.span);
            if self.entries.len() > MAX_DIMS {
                return self.too_many();
            }
            let chosen = options.dims.iter().rfind(|(option, _)| option == name).map(|(_, size)| *size);
            let size = match (chosen, default) {
                (Some(size), _) => Some(size).filter(|size| (1..=MAX_SIZE).contains(size)),
                (None, Some(default)) => self.generic_default(default),
                (None, None) => self.missing_size(&generic.name),
            };
            match size {
                Some(size) => self.entries[index].kind = DimKind::Fixed(size),
                None => whole = false,
            }
        }
        whole
    }

    fn missing_size(&mut self, name: &ast::Ident) -> Option<i64> {
        let message = format!("the dimension parameter `{}` has no size", name.name);
        let error = Diagnostic::error(codes::UNKNOWN_SIZE, name.span, message).with_help(format!(
            "give it one with the option `--dim {0}=4`, or a default: `<{0} = 4>`",
            name.name
        ));
        self.session.report(error);
        None
    }

    /// A default is made of integers, constants and dimension parameters before it.
    fn generic_default(&mut self, default: &'a ast::SizeExpr) -> Option<i64> {
        let size = self.size(default)?;
        let value = self.fixed_value(&size);
        if value.is_none() {
            let message = "the size of a dimension parameter is not known while compiling";
            let error = Diagnostic::error(codes::BAD_SIZE, default.span, message)
                .with_note("it is made of integers, constants and dimension parameters before it");
            self.session.report(error);
        }
        self.in_range(value?, default.span)
    }

    /// Gives every dimension with a stated size its kind.
    fn resolve_sizes(&mut self) {
        let mut stated: Vec<(usize, SizeExpr, Span)> = Vec::new();
        for index in 0..self.entries.len() {
            for size in self.entries[index].sizes.clone() {
                if let Some(value) = self.size(size) {
                    stated.push((index, value, size.span));
                }
            }
        }
        self.fix_sizes(&stated);
        if self.report_cycles(&stated) {
            return;
        }
        for (index, size, _) in &stated {
            if self.entries[*index].kind == DimKind::Free {
                self.entries[*index].kind = DimKind::Computed(size.clone());
            }
        }
        for (index, size, span) in &stated {
            self.check_same_size(*index, size, *span);
        }
    }

    /// Sizes that are known while compiling. Each round knows at least one more, or it is the last.
    fn fix_sizes(&mut self, stated: &[(usize, SizeExpr, Span)]) {
        let mut bad = vec![false; stated.len()];
        loop {
            let mut progress = false;
            for (at, (index, size, span)) in stated.iter().enumerate() {
                if self.entries[*index].kind != DimKind::Free || bad[at] || !self.is_fixed(size) {
                    continue;
                }
                match self.fixed_value(size).and_then(|value| self.in_range(value, *span)) {
                    Some(value) => {
                        self.entries[*index].kind = DimKind::Fixed(value);
                        progress = true;
                    }
                    None => bad[at] = true,
                }
            }
            if !progress {
                return;
            }
        }
    }

    /// Two stated sizes of one dimension must be the same.
    fn check_same_size(&mut self, index: usize, size: &SizeExpr, span: Span) {
        let entry = &self.entries[index];
        let (name, first) = (entry.name, entry.sizes.first().map_or(entry.span, |size| size.span));
        let known = match &entry.kind {
            DimKind::Fixed(value) => {
                let other = self.is_fixed(size).then(|| self.fixed_value(size)).flatten();
                if other.is_none() || other == Some(*value) {
                    return;
                }
                format!("{value}")
            }
            DimKind::Computed(other) if other == size => return,
            DimKind::Computed(_) => self.session.sources.snippet(first).to_owned(),
            DimKind::Free | DimKind::Leading => return,
        };
        let other = self.session.sources.snippet(span);
        let message = format!("the dimension `{name}` has two sizes, `{known}` and `{other}`");
        let place = if first == span { self.entries[index].span } else { first };
        let error = Diagnostic::error(codes::SIZE_CONFLICT, span, message).with_other(place, "the other one");
        self.session.report(error);
    }

    /// A size in terms of the table's indices, with everything known computed. None if it is wrong.
    fn size(&mut self, expr: &'a ast::SizeExpr) -> Option<SizeExpr> {
        match &expr.kind {
            SizeKind::Int(value) => Some(SizeExpr::Const(i64::try_from(*value).unwrap_or(i64::MAX))),
            SizeKind::Name(name) => self.named_size(name),
            SizeKind::Binary(op, left, right) => {
                let (left, right) = (self.size(left), self.size(right));
                let (left, right) = (left?, right?);
                let constant = matches!((&left, &right), (SizeExpr::Const(_), SizeExpr::Const(_)));
                let (left, right) = (Box::new(left), Box::new(right));
                let size = match op {
                    SizeOp::Add => SizeExpr::Add(left, right),
                    SizeOp::Sub => SizeExpr::Sub(left, right),
                    SizeOp::Mul => SizeExpr::Mul(left, right),
                    SizeOp::Div => SizeExpr::Div(left, right),
                };
                if !constant {
                    return Some(size);
                }
                let value = size.eval(&[]);
                if value.is_none() {
                    self.bad_size("it is too large, or a division does not come out even", expr.span);
                }
                value.map(SizeExpr::Const)
            }
        }
    }

    fn named_size(&mut self, name: &'a ast::Ident) -> Option<SizeExpr> {
        if let Some(&index) = self.by_name.get(name.as_str()) {
            return Some(match self.entries[index].kind {
                DimKind::Fixed(value) => SizeExpr::Const(value),
                _ => SizeExpr::Dim(index as u32),
            });
        }
        match self.session.consts.get(name.as_str()) {
            Some(Value::Number(Number::Int(value))) => return Some(SizeExpr::Const(*value)),
            Some(Value::Poison) => return None,
            Some(_) => {
                let message = format!("the constant `{}` is not an integer", name.name);
                self.session.report(Diagnostic::error(codes::BAD_SIZE, name.span, message));
                return None;
            }
            None => {}
        }
        let known = self.by_name.keys().chain(self.session.consts.keys()).copied();
        let near = suggest::nearest(&name.name, known);
        let message = format!("there is no dimension and no constant `{}`", name.name);
        let mut error = Diagnostic::error(codes::UNKNOWN_DIM, name.span, message);
        if let Some(near) = near {
            error = error.with_fix(format!("did you mean `{near}`?"), name.span, near);
        }
        self.session.report(error);
        None
    }

    fn bad_size(&mut self, why: &str, span: Span) {
        let text = self.session.sources.snippet(span);
        let message = format!("`{text}` is not a size: {why}");
        self.session.report(Diagnostic::error(codes::BAD_SIZE, span, message));
    }

    fn in_range(&mut self, value: i64, span: Span) -> Option<i64> {
        if (1..=MAX_SIZE).contains(&value) {
            return Some(value);
        }
        let is = match self.session.sources.snippet(span).parse() {
            Ok(written) if value == written => String::new(),
            _ => format!("it is {value}, and "),
        };
        self.bad_size(&format!("{is}sizes are from 1 to {MAX_SIZE}"), span);
        None
    }

    /// The dimensions that a size is made of.
    fn uses(size: &SizeExpr) -> u64 {
        match size {
            SizeExpr::Const(_) => 0,
            SizeExpr::Dim(index) => 1 << index,
            SizeExpr::Add(a, b)
            | SizeExpr::Sub(a, b)
            | SizeExpr::Mul(a, b)
            | SizeExpr::Div(a, b)
            | SizeExpr::CeilDiv(a, b) => Self::uses(a) | Self::uses(b),
        }
    }

    fn is_fixed(&self, size: &SizeExpr) -> bool {
        let uses = Self::uses(size);
        let fixed = |index: usize| matches!(self.entries[index].kind, DimKind::Fixed(_));
        (0..self.entries.len()).all(|index| uses >> index & 1 == 0 || fixed(index))
    }

    /// The value of a size made of known sizes; none also where it cannot be computed.
    fn fixed_value(&self, size: &SizeExpr) -> Option<i64> {
        if !self.is_fixed(size) {
            return None;
        }
        let value = |entry: &Entry<'_>| if let DimKind::Fixed(value) = entry.kind { value } else { 0 };
        let sizes: Vec<i64> = self.entries.iter().map(value).collect();
        Some(size.eval(&sizes).unwrap_or(-1))
    }

    /// Whether a dimension's size is made of itself.
    fn report_cycles(&mut self, stated: &[(usize, SizeExpr, Span)]) -> bool {
        let mut reach = vec![0u64; self.entries.len()];
        for (index, size, _) in stated {
            if self.entries[*index].kind == DimKind::Free {
                reach[*index] |= Self::uses(size);
            }
        }
        for middle in 0..reach.len() {
            let through = reach[middle];
            for mask in &mut reach {
                if *mask >> middle & 1 == 1 {
                    *mask |= through;
                }
            }
        }
        let found = (0..reach.len()).find(|&index| reach[index] >> index & 1 == 1);
        if let Some(index) = found {
            let Entry { name, span, .. } = self.entries[index];
            let message = format!("the size of `{name}` is made of itself");
            self.session.report(Diagnostic::error(codes::SIZE_CYCLE, span, message));
        }
        found.is_some()
    }

    /// Every size must follow from the shapes of the arguments.
    fn check_known(&mut self) {
        let mut known = 0u64;
        for (index, entry) in self.entries.iter().enumerate() {
            let from_shape = entry.is_axis && matches!(entry.kind, DimKind::Free | DimKind::Leading);
            if from_shape || matches!(entry.kind, DimKind::Fixed(_)) {
                known |= 1 << index;
            }
        }
        let groups = self.param_groups();
        loop {
            let before = known;
            for &group in &groups {
                if (group & !known).count_ones() == 1 {
                    known |= group;
                }
            }
            for (index, entry) in self.entries.iter().enumerate() {
                if let DimKind::Computed(size) = &entry.kind
                    && Self::uses(size) & !known == 0
                {
                    known |= 1 << index;
                }
            }
            if known == before {
                break;
            }
        }
        let failed = self.session.diagnostics.has_errors();
        let mut reported = 0;
        for index in 0..self.entries.len() {
            // One message for all dimensions of a group.
            if groups.iter().any(|group| group >> index & 1 == 1 && group & reported != 0) {
                continue;
            }
            let hopeless = failed && !self.entries[index].sizes.is_empty();
            if known >> index & 1 == 0 && !hopeless {
                reported |= 1 << index;
                self.report_unknown_size(index, known);
            }
        }
    }

    /// The dimensions that share an axis of a parameter, as sets.
    fn param_groups(&self) -> Vec<u64> {
        let axes = self.kernel.params.iter().flat_map(|param| param.ty.axes.iter().flatten());
        let mut groups: Vec<u64> = Vec::new();
        for axis in axes {
            if let AxisKind::Group(parts) = &axis.kind {
                let set = parts.iter().fold(0, |set, part| set | 1 << self.by_name[part.name.as_str()]);
                if !groups.contains(&set) {
                    groups.push(set);
                }
            }
        }
        groups
    }

    fn report_unknown_size(&mut self, index: usize, known: u64) {
        let Entry { name, span, in_param, .. } = self.entries[index];
        let mut error = if name == REST {
            let message = "no parameter has leading axes `..`";
            Diagnostic::error(codes::UNKNOWN_SIZE, span, message)
        } else if in_param {
            let message = format!("the size of `{name}` does not follow from the shapes of the arguments");
            Diagnostic::error(codes::UNKNOWN_SIZE, span, message).with_help(format!(
                "only the product of the sizes in a group is known; make one a parameter of the kernel: `kernel {}<{name} = 4>(…)`",
                self.kernel.name.name
            ))
        } else {
            let message = format!("no parameter has the dimension `{name}`, so its size is not known");
            Diagnostic::error(codes::UNKNOWN_SIZE, span, message)
        };
        if !in_param && name != REST {
            let others = self.entries.iter().enumerate().filter(|(other, _)| known >> other & 1 == 1);
            let names: Vec<&str> =
                others.map(|(_, entry)| entry.name).filter(|other| *other != REST).collect();
            error = match suggest::nearest(name, names.iter().copied()) {
                Some(near) => error.with_fix(format!("did you mean `{near}`?"), span, near),
                None if names.is_empty() => error,
                None => error.with_note(format!("the parameters have {}", list(names.into_iter()))),
            };
        }
        self.session.report(error);
    }

    fn finish(self) -> Dims<'a> {
        let order = canonical_order(&self.lists, self.entries.len());
        let mut place = vec![0u32; order.len()];
        for (at, &index) in order.iter().enumerate() {
            place[index] = at as u32;
        }
        let mut dims = PrimaryMap::new();
        for &index in &order {
            let entry = &self.entries[index];
            let kind = match &entry.kind {
                DimKind::Computed(size) => DimKind::Computed(renumber(size, &place)),
                kind => kind.clone(),
            };
            dims.push(Dim { name: entry.name.to_owned(), kind });
        }
        let names =
            self.by_name.iter().map(|(name, &index)| (*name, DimId::new(place[index] as usize))).collect();
        let mut params: Vec<(String, i64)> = Vec::new();
        for generic in &self.kernel.generics {
            let entry = self.by_name.get(generic.name.as_str()).map(|&index| &self.entries[index].kind);
            let new = params.iter().all(|(name, _)| *name != generic.name.name);
            if let (Some(DimKind::Fixed(size)), true) = (entry, new) {
                params.push((generic.name.name.clone(), *size));
            }
        }
        Dims { dims, names, params }
    }
}

/// A size with every dimension numbered anew.
pub(super) fn renumber(size: &SizeExpr, place: &[u32]) -> SizeExpr {
    let both = |a: &SizeExpr, b: &SizeExpr| (Box::new(renumber(a, place)), Box::new(renumber(b, place)));
    match size {
        SizeExpr::Const(value) => SizeExpr::Const(*value),
        SizeExpr::Dim(index) => SizeExpr::Dim(place[*index as usize]),
        SizeExpr::Add(a, b) => {
            let (a, b) = both(a, b);
            SizeExpr::Add(a, b)
        }
        SizeExpr::Sub(a, b) => {
            let (a, b) = both(a, b);
            SizeExpr::Sub(a, b)
        }
        SizeExpr::Mul(a, b) => {
            let (a, b) = both(a, b);
            SizeExpr::Mul(a, b)
        }
        SizeExpr::Div(a, b) => {
            let (a, b) = both(a, b);
            SizeExpr::Div(a, b)
        }
        SizeExpr::CeilDiv(a, b) => {
            let (a, b) = both(a, b);
            SizeExpr::CeilDiv(a, b)
        }
    }
}

/// The canonical order of `count` dimensions (at most 64), numbered by first appearance.
///
/// `lists` are the declared types, parameters first, each as its dimensions from the outermost to the innermost. Each
/// type, in turn, asks for every pair of its dimensions to stand in its order; a wish that contradicts the wishes
/// granted so far is dropped (a result that is written transposed, say). Among the dimensions that could come next,
/// the one that appeared first does.
fn canonical_order(lists: &[Vec<usize>], count: usize) -> Vec<usize> {
    assert!(count <= MAX_DIMS);
    // Bit `a` of `before[b]`: `a` stands before `b`. Transitive at all times.
    let mut before = vec![0u64; count];
    for list in lists {
        for (at, &first) in list.iter().enumerate() {
            for &second in &list[at + 1..] {
                let contradicts = first == second || before[first] >> second & 1 == 1;
                if !contradicts {
                    let gained = before[first] | 1 << first;
                    for (later, those) in before.iter_mut().enumerate() {
                        if later == second || *those >> second & 1 == 1 {
                            *those |= gained;
                        }
                    }
                }
            }
        }
    }
    let mut order = Vec::with_capacity(count);
    let mut placed = 0u64;
    while order.len() < count {
        let free = |dim: &usize| placed >> dim & 1 == 0 && before[*dim] & !placed == 0;
        let next = (0..count).find(free).expect("wishes without contradiction can all be met");
        placed |= 1 << next;
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::canonical_order;

    #[test]
    fn follows_the_first_type() {
        assert_eq!(canonical_order(&[vec![0, 1, 2]], 3), [0, 1, 2]);
    }

    #[test]
    fn later_types_order_what_earlier_ones_leave_open() {
        // w: [d], x: [n, d]: `d` appears first, but the second type puts `n` before it.
        assert_eq!(canonical_order(&[vec![0], vec![1, 0]], 2), [1, 0]);
        // q: [i, d], k: [j, d], v: [j, e]
        assert_eq!(canonical_order(&[vec![0, 1], vec![2, 1], vec![2, 3], vec![0, 3]], 4), [0, 2, 1, 3]);
    }

    #[test]
    fn a_contradicting_type_keeps_the_rest_of_its_wishes() {
        // x: [n, d] -> [d, n, k]
        assert_eq!(canonical_order(&[vec![0, 1], vec![1, 0, 2]], 3), [0, 1, 2]);
        // A longer cycle: [a, b], [b, c], [c, a].
        assert_eq!(canonical_order(&[vec![0, 1], vec![1, 2], vec![2, 0]], 3), [0, 1, 2]);
    }

    #[test]
    fn dimensions_without_a_type_come_by_appearance() {
        assert_eq!(canonical_order(&[vec![1], vec![0]], 3), [0, 1, 2]);
        let all: Vec<usize> = (0..64).rev().collect();
        assert_eq!(canonical_order(std::slice::from_ref(&all), 64), all);
    }
}
