//! Checks the rules that the module `loops` lists: one function per rule. Leaves the function as it is and
//! collects every violation, which a [`Report`] prints inside the function.

use std::collections::BTreeMap;
use std::fmt;

use cranelift_entity::EntityRef;

use super::print::{Line, with_notes};
use super::{
    Access, Block, BufferKind, Carry, Elem, FoldDecl, FoldUse, For, Func, If, Inst, Lift, LoopKind, Order,
    Phase, Reduce, Stmt, Type, Value, Verified,
};
use crate::ops::{Class, Prim, Reduction, Typing};
use crate::types::SizeExpr;

/// Violations of the rules, in the function where they are. Always a mistake of the compiler, never of its user.
#[derive(Clone, Debug)]
pub struct Report {
    /// The violations, in the order of the function's text.
    pub errors: Vec<Error>,
    text: String,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where it is.
    pub at: Line,
    /// The number of the rule.
    pub rule: u32,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Report {}

/// Checks rules 1 to 5.
pub fn verify(func: &Func) -> Result<(), Report> {
    check(func, &[definitions, types, accesses, loops, reductions])
}

/// Checks all rules, and numbers the values in the order of their definitions. Panics with the report where a rule
/// is violated.
pub fn finish(mut func: Func) -> Verified {
    if let Err(report) = check(&func, &[definitions, types, accesses, loops, reductions, core_only]) {
        panic!("a pass left a malformed function:\n{report}");
    }
    func.renumber();
    Verified(func)
}

type Rule = fn(&Func, &mut Errors);

fn check(func: &Func, rules: &[Rule]) -> Result<(), Report> {
    let mut errors = Errors::default();
    entities(func, &mut errors);
    if errors.list.is_empty() {
        rules.iter().for_each(|rule| rule(func, &mut errors));
    }
    let mut list = errors.list;
    if list.is_empty() {
        return Ok(());
    }
    list.sort_by_key(|error| (order_in_text(error.at), error.rule));
    let mut notes: BTreeMap<Line, Vec<String>> = BTreeMap::new();
    for error in &list {
        notes.entry(error.at).or_default().push(format!("error, rule {}: {}", error.rule, error.message));
    }
    Err(Report { text: with_notes(func, &notes), errors: list })
}

/// Sorts the heads before the statements; among statements, their numbers decide.
fn order_in_text(line: Line) -> (usize, usize, Line) {
    match line {
        Line::Func => (0, 0, line),
        Line::Size(number) => (1, number, line),
        Line::Buffer(number) => (2, number, line),
        Line::Scalar(number) => (3, number, line),
        Line::Fold(number) => (4, number, line),
        Line::Phase(number) => (5, number, line),
        Line::Stmt(number) | Line::Yield(number, _) => (6, number, line),
    }
}

#[derive(Default)]
struct Errors {
    rule: u32,
    list: Vec<Error>,
}

impl Errors {
    fn add(&mut self, at: Line, message: impl Into<String>) {
        self.list.push(Error { at, rule: self.rule, message: message.into() });
    }

    fn note(&mut self, at: Line, result: Result<(), String>) {
        if let Err(message) = result {
            self.add(at, message);
        }
    }
}

/// Returns the message as an error unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

// ------------------------------------------------------------------------------------------------ walking

/// Visits every statement with its number (in the order of the text) and the lanes of the lane loop or row
/// reduction around it.
fn walk<'a>(func: &'a Func, visit: &mut dyn FnMut(usize, Option<u32>, &'a Stmt)) {
    let mut next = 0;
    for phase in &func.phases {
        walk_body(&phase.body, None, &mut next, visit);
    }
}

fn walk_body<'a>(
    body: &'a [Stmt],
    around: Option<u32>,
    next: &mut usize,
    visit: &mut dyn FnMut(usize, Option<u32>, &'a Stmt),
) {
    for stmt in body {
        visit(*next, around, stmt);
        *next += 1;
        let inside = lanes_of(stmt).or(around);
        for body in stmt.bodies() {
            walk_body(body, inside, next, visit);
        }
    }
}

/// The lanes that a statement gives to its body.
fn lanes_of(stmt: &Stmt) -> Option<u32> {
    match stmt {
        Stmt::For(node) => match node.kind {
            LoopKind::Seq => None,
            LoopKind::Lanes(lanes) => Some(lanes),
        },
        Stmt::Reduce(node) => match node.order {
            Order::Row(lanes) => Some(lanes),
            Order::Column => None,
        },
        Stmt::Let(..) | Stmt::Store(..) | Stmt::If(_) => None,
    }
}

// ------------------------------------------------------------------------------------------------ rule 1

/// Rule 1, first part: everything that is named exists. Without that the other rules cannot be asked.
fn entities(func: &Func, errors: &mut Errors) {
    errors.rule = 1;
    for (number, phase) in func.phases.iter().enumerate() {
        for value in [phase.lo, phase.hi] {
            errors.note(Line::Phase(number), value_exists(func, value));
        }
    }
    for (number, decl) in func.folds.values().enumerate() {
        errors.note(Line::Fold(number), fold_exists(func, decl));
    }
    walk(func, &mut |number, _, stmt| {
        let at = Line::Stmt(number);
        let mut value = |value: &Value| errors.note(at, value_exists(func, *value));
        stmt.operands(&mut value);
        stmt.results(&mut value);
        stmt.variables(&mut value);
        stmt.yields(&mut value);
        errors.note(at, tables_exist(func, stmt));
    });
}

fn value_exists(func: &Func, value: Value) -> Result<(), String> {
    ensure!(func.values.is_valid(value), "there is no value {value}");
    Ok(())
}

/// Everything that a part of a fold names exists.
fn fold_exists(func: &Func, decl: &FoldDecl) -> Result<(), String> {
    for (_, part) in decl.parts() {
        let mut all = Ok(());
        let mut value = |value: &Value| {
            if let Err(message) = value_exists(func, *value) {
                all = Err(message);
            }
        };
        part.params.iter().chain(&part.block.yields).for_each(&mut value);
        for stmt in &part.block.stmts {
            ensure!(matches!(stmt, Stmt::Let(..)), "a part of a fold has only definitions of values");
            stmt.operands(&mut value);
            stmt.results(&mut value);
        }
        all?;
        part.block.stmts.iter().try_for_each(|stmt| tables_exist(func, stmt))?;
    }
    Ok(())
}

fn tables_exist(func: &Func, stmt: &Stmt) -> Result<(), String> {
    match stmt {
        Stmt::Let(_, Inst::Load(access) | Inst::Gather(access)) | Stmt::Store(access, _) => {
            ensure!(func.buffers.is_valid(access.buffer), "there is no buffer {}", access.buffer);
        }
        Stmt::Let(_, Inst::Size(size)) => {
            ensure!(func.sizes.is_valid(*size), "there is no size {size}");
        }
        Stmt::Let(_, Inst::Scalar(scalar)) => {
            ensure!(func.scalars.is_valid(*scalar), "there is no scalar {scalar}");
        }
        Stmt::Let(..) | Stmt::For(_) | Stmt::If(_) => {}
        Stmt::Reduce(node) => {
            for (_, size) in node.outer.iter().chain([&node.inner]) {
                ensure!(func.sizes.is_valid(*size), "there is no size {size}");
            }
            for used in &node.folds {
                ensure!(func.folds.is_valid(used.fold), "there is no fold {}", used.fold);
            }
        }
    }
    Ok(())
}

/// Rule 1: every value is defined once and before its uses, in scope.
fn definitions(func: &Func, errors: &mut Errors) {
    errors.rule = 1;
    let count = func.values.len();
    let mut scopes = Scopes {
        defined: vec![false; count],
        visible: vec![false; count],
        trail: Vec::new(),
        next: 0,
        errors,
    };
    for (number, phase) in func.phases.iter().enumerate() {
        scopes.define(Line::Phase(number), phase.lo);
        scopes.define(Line::Phase(number), phase.hi);
        scopes.body(&phase.body);
        scopes.leave(0);
    }
}

struct Scopes<'a> {
    defined: Vec<bool>,
    visible: Vec<bool>,
    /// What is visible, in the order of definition.
    trail: Vec<Value>,
    next: usize,
    errors: &'a mut Errors,
}

impl Scopes<'_> {
    fn define(&mut self, at: Line, value: Value) {
        if self.defined[value.index()] {
            self.errors.add(at, format!("{value} is defined twice"));
        }
        self.defined[value.index()] = true;
        self.visible[value.index()] = true;
        self.trail.push(value);
    }

    fn check(&mut self, at: Line, value: Value) {
        if !self.visible[value.index()] {
            let why = if self.defined[value.index()] { "is out of scope" } else { "is not defined before" };
            self.errors.add(at, format!("{value} {why}"));
        }
    }

    fn leave(&mut self, mark: usize) {
        for value in self.trail.drain(mark..) {
            self.visible[value.index()] = false;
        }
    }

    fn body(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            let number = self.next;
            self.next += 1;
            self.stmt(number, stmt);
        }
    }

    fn stmt(&mut self, number: usize, stmt: &Stmt) {
        let at = Line::Stmt(number);
        stmt.operands(&mut |value| self.check(at, *value));
        let mark = self.trail.len();
        stmt.variables(&mut |value| self.define(at, *value));
        match stmt {
            Stmt::Let(..) | Stmt::Store(..) => {}
            Stmt::For(node) => self.block(Line::Yield(number, 0), &node.body),
            Stmt::If(node) => {
                self.block(Line::Yield(number, 0), &node.then);
                self.block(Line::Yield(number, 1), &node.otherwise);
            }
            Stmt::Reduce(node) => {
                self.body(&node.body);
                stmt.yields(&mut |value| self.check(Line::Yield(number, 0), *value));
            }
        }
        self.leave(mark);
        stmt.results(&mut |value| self.define(at, *value));
    }

    fn block(&mut self, end: Line, block: &Block) {
        let mark = self.trail.len();
        self.body(&block.stmts);
        block.yields.iter().for_each(|value| self.check(end, *value));
        self.leave(mark);
    }
}

// ------------------------------------------------------------------------------------------------ rule 2

/// Rule 2: types follow the rows of the functions.
fn types(func: &Func, errors: &mut Errors) {
    errors.rule = 2;
    for (number, phase) in func.phases.iter().enumerate() {
        for value in [phase.lo, phase.hi] {
            errors.note(Line::Phase(number), has_type(func, value, Type::INDEX, "a bound"));
        }
    }
    let consts = constants(func);
    walk(func, &mut |number, _, stmt| errors.note(Line::Stmt(number), stmt_types(func, &consts, stmt)));
}

/// The constants' bits, by value.
fn constants(func: &Func) -> Vec<Option<u64>> {
    let mut consts = vec![None; func.values.len()];
    for stmt in func.folds.values().flat_map(FoldDecl::parts).flat_map(|(_, part)| &part.block.stmts) {
        if let Stmt::Let(value, Inst::Const(bits)) = stmt {
            consts[value.index()] = Some(*bits);
        }
    }
    walk(func, &mut |_, _, stmt| {
        if let Stmt::Let(value, Inst::Const(bits)) = stmt {
            consts[value.index()] = Some(*bits);
        }
    });
    consts
}

fn has_type(func: &Func, value: Value, wanted: Type, what: &str) -> Result<(), String> {
    let ty = func.values[value];
    ensure!(ty == wanted, "{what} must be {wanted}, and {value} is {ty}");
    Ok(())
}

fn stmt_types(func: &Func, consts: &[Option<u64>], stmt: &Stmt) -> Result<(), String> {
    let mut lanes = Ok(());
    stmt.results(&mut |value| {
        let ty = func.values[*value];
        if ty.elem.in_memory_only() {
            lanes = Err(format!("{value} is {ty}: only memory holds {}", ty.elem.name()));
        }
        if !ty.lanes.is_power_of_two() {
            lanes = Err(format!("{value} is {ty}: the number of lanes must be a power of two"));
        }
    });
    lanes?;
    match stmt {
        Stmt::Let(value, inst) => inst_types(func, consts, func.values[*value], inst),
        Stmt::Store(access, value) => access_types(func, access, func.values[*value]),
        Stmt::For(node) => {
            has_type(func, node.var, Type::INDEX, "a loop variable")?;
            has_type(func, node.lo, Type::INDEX, "a bound")?;
            has_type(func, node.hi, Type::INDEX, "a bound")
        }
        Stmt::If(node) => choice_types(func, node),
        Stmt::Reduce(node) => {
            let mut variables = node.outer.iter().chain([&node.inner]);
            variables.try_for_each(|(var, _)| has_type(func, *var, Type::INDEX, "a loop variable"))
        }
    }
}

fn choice_types(func: &Func, node: &If) -> Result<(), String> {
    let If { cond, then, otherwise, results } = node;
    has_type(func, *cond, Type::scalar(Elem::Bool), "a condition")?;
    for (name, block) in [("first", then), ("second", otherwise)] {
        let (have, want) = (block.yields.len(), results.len());
        ensure!(have == want, "the {name} block yields {have} values for {want} results");
        for (value, result) in block.yields.iter().zip(results) {
            has_type(func, *value, func.values[*result], "what a block yields")?;
        }
    }
    Ok(())
}

fn access_types(func: &Func, access: &Access, ty: Type) -> Result<(), String> {
    positions_have_types(func, access, ty, |_| false)
}

/// A gather has computed positions, too: of one lane, or of those of the result.
fn gather_types(func: &Func, access: &Access, ty: Type) -> Result<(), String> {
    positions_have_types(func, access, ty, |position| {
        position.elem == Elem::I32 && (position.lanes == 1 || position.lanes == ty.lanes)
    })
}

fn positions_have_types(
    func: &Func,
    access: &Access,
    ty: Type,
    computed: impl Fn(Type) -> bool,
) -> Result<(), String> {
    let elem = func.buffers[access.buffer].elem;
    ensure!(ty.elem == elem.loaded(), "{} holds {}, not {}", access.buffer, elem.name(), ty.elem.name());
    for value in access.index.iter().filter(|value| !computed(func.values[**value])) {
        has_type(func, *value, Type::INDEX, "a position")?;
    }
    access.active.map_or(Ok(()), |active| has_type(func, active, Type::INDEX, "a number of active lanes"))
}

fn inst_types(func: &Func, consts: &[Option<u64>], ty: Type, inst: &Inst) -> Result<(), String> {
    match inst {
        Inst::Const(bits) => {
            let width = if ty.elem == Elem::Bool { 1 } else { 8 * ty.elem.bytes() };
            ensure!(
                width == 64 || bits >> width == 0,
                "the bits {bits:#x} are not those of a {}",
                ty.elem.name()
            );
        }
        Inst::Scalar(scalar) => {
            let wanted = Type::scalar(func.scalars[*scalar].elem.loaded());
            ensure!(ty == wanted, "{scalar} is {wanted}, not {ty}");
        }
        Inst::Size(_) => ensure!(ty == Type::INDEX, "a size is i64, not {ty}"),
        Inst::Prim(prim, args) => return prim_types(func, consts, ty, *prim, args),
        Inst::Convert(arg) => {
            let from = func.values[*arg];
            ensure!(from.lanes == ty.lanes, "{from} and {ty} have different numbers of lanes");
        }
        Inst::Bitcast(arg) => {
            let from = func.values[*arg];
            let fits = from.lanes == ty.lanes && from.elem.bytes() == ty.elem.bytes();
            ensure!(fits, "{from} and {ty} have different widths or numbers of lanes");
        }
        Inst::Splat(arg) => has_type(func, *arg, Type::scalar(ty.elem), "what is splatted")?,
        Inst::Iota(arg) => {
            has_type(func, *arg, Type::INDEX, "where an iota starts")?;
            ensure!(
                matches!(ty.elem, Elem::I32 | Elem::F64),
                "an iota is i32 or f64, not {}",
                ty.elem.name()
            );
        }
        Inst::Load(access) => access_types(func, access, ty)?,
        Inst::Shift(before, value, by) => {
            has_type(func, *before, ty, "what is shifted in")?;
            has_type(func, *value, ty, "what is shifted")?;
            ensure!(0 < *by && *by < ty.lanes, "a shift of {ty} by {by} lanes");
            ensure!(ty.elem != Elem::Bool, "conditions are not shifted");
        }
        Inst::Gather(access) => gather_types(func, access, ty)?,
        Inst::Fold(reduction, arg) => {
            let from = func.values[*arg];
            ensure!(ty == from.with_lanes(1), "the fold of {from} is {}, not {ty}", from.with_lanes(1));
            ensure!(ty.elem != Elem::Bool, "{reduction} is of numbers, not of bool");
        }
    }
    Ok(())
}

fn prim_types(
    func: &Func,
    consts: &[Option<u64>],
    ty: Type,
    prim: Prim,
    args: &[Value],
) -> Result<(), String> {
    ensure!(prim.class() != Class::Graph, "{prim} is a function of the graph");
    ensure!(args.len() == prim.arity(), "{prim} takes {} operands, not {}", prim.arity(), args.len());
    for arg in args {
        let lanes = func.values[*arg].lanes;
        ensure!(lanes == ty.lanes, "{arg} has {lanes} lanes, the result {}", ty.lanes);
    }
    let alike = |args: &[Value], elem: Elem| {
        args.iter().try_for_each(|arg| has_type(func, *arg, ty.with_elem(elem), "this operand"))
    };
    let first = func.values[args[0]].elem;
    match prim.typing() {
        Typing::Number => {
            ensure!(ty.elem != Elem::Bool, "{prim} is of numbers, not of bool");
            alike(args, ty.elem)
        }
        Typing::Float => {
            ensure!(ty.elem.is_float(), "{prim} is of floats, not of {}", ty.elem.name());
            alike(args, ty.elem)
        }
        Typing::Compare => {
            ensure!(ty.elem == Elem::Bool, "{prim} gives bool, not {}", ty.elem.name());
            ensure!(first != Elem::Bool, "{prim} is of numbers, not of bool");
            alike(args, first)
        }
        Typing::Logic => {
            ensure!(ty.elem == Elem::Bool, "{prim} is of bool, not of {}", ty.elem.name());
            alike(args, Elem::Bool)
        }
        Typing::Encode => {
            ensure!(ty.elem == Elem::I32, "{prim} gives i32, not {}", ty.elem.name());
            ensure!(first.is_float(), "{prim} is of floats, not of {}", first.name());
            Ok(())
        }
        Typing::Decode => {
            ensure!(ty.elem == Elem::F32, "{prim} gives f32, not {}", ty.elem.name());
            alike(args, Elem::I32)
        }
        Typing::Select => {
            alike(&args[..1], Elem::Bool)?;
            alike(&args[1..], ty.elem)
        }
        Typing::Integer => {
            ensure!(
                matches!(ty.elem, Elem::I32 | Elem::I64),
                "{prim} is of integers, not of {}",
                ty.elem.name()
            );
            alike(args, ty.elem)?;
            integer_operands(consts, ty, prim, args)
        }
    }
}

/// What the rows of integer functions demand beyond types.
fn integer_operands(consts: &[Option<u64>], ty: Type, prim: Prim, args: &[Value]) -> Result<(), String> {
    if matches!(prim, Prim::Shl | Prim::ShrU | Prim::ShrS) {
        let width = u64::from(8 * ty.elem.bytes());
        let fits = consts[args[1].index()].map_or(ty.lanes == 1, |count| count < width);
        ensure!(fits, "{prim} of lanes shifts by a constant below the width, and {} is none", args[1]);
    }
    if matches!(prim, Prim::IDiv | Prim::IRem | Prim::Ctz | Prim::Clz) {
        ensure!(ty.lanes == 1, "{prim} has one lane, not {}", ty.lanes);
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ rule 3

/// Rule 3: accesses fit their buffers, and declarations are of their kind.
fn accesses(func: &Func, errors: &mut Errors) {
    errors.rule = 3;
    names(func, errors);
    for (number, decl) in func.buffers.values().enumerate() {
        errors.note(Line::Buffer(number), declaration(decl));
    }
    walk(func, &mut |number, _, stmt| {
        let at = Line::Stmt(number);
        match stmt {
            Stmt::Let(value, Inst::Load(access)) => errors.note(at, access_fits(func, access, *value)),
            Stmt::Let(value, Inst::Gather(access)) => errors.note(at, gather_fits(func, access, *value)),
            Stmt::Store(access, value) => {
                errors.note(at, access_fits(func, access, *value));
                if let BufferKind::Param(_) = func.buffers[access.buffer].kind {
                    errors.add(at, format!("{} is an input", access.buffer));
                }
            }
            Stmt::Let(..) | Stmt::For(_) | Stmt::If(_) | Stmt::Reduce(_) => {}
        }
    });
}

fn names(func: &Func, errors: &mut Errors) {
    if func.name.is_empty() || func.name.contains(char::is_whitespace) {
        errors.add(Line::Func, "a function's name is one word");
    }
    for (param, result) in &func.in_place {
        let declared = |kind: &BufferKind| func.buffers.values().any(|decl| decl.kind == *kind);
        if !declared(&BufferKind::Param(*param)) || !declared(&BufferKind::Result(*result)) {
            errors.add(Line::Func, format!("in place: there is no parameter {param} or no result {result}"));
        }
    }
}

fn declaration(decl: &super::BufferDecl) -> Result<(), String> {
    let name = &decl.name;
    ensure!(
        !name.contains(char::is_whitespace) && name != ":",
        "the name of a buffer is one word or nothing"
    );
    let constant = decl.axes.iter().all(|axis| matches!(axis, SizeExpr::Const(0..)));
    match decl.kind {
        BufferKind::Param(_) | BufferKind::Result(_) => {
            let (groups, axes) = (decl.groups.len(), decl.axes.len());
            ensure!(groups == axes, "{groups} groups of dimensions for {axes} axes");
        }
        BufferKind::Shared | BufferKind::Scratch | BufferKind::Local => {
            ensure!(decl.groups.is_empty(), "only parameters and results have groups of dimensions");
        }
    }
    ensure!(decl.kind != BufferKind::Local || constant, "the axes of a local buffer are constants");
    Ok(())
}

fn access_fits(func: &Func, access: &Access, value: Value) -> Result<(), String> {
    let Access { buffer, index, lane_axis, active } = access;
    let (axes, lanes) = (func.buffers[*buffer].axes.len(), func.values[value].lanes);
    ensure!(index.len() == axes, "{} positions, and {buffer} has {axes} axes", index.len());
    match lane_axis {
        Some(axis) => {
            ensure!(lanes > 1, "a lane axis, and {value} has one lane");
            ensure!((*axis as usize) < axes, "there is no axis {axis} for the lanes");
        }
        None => {
            ensure!(lanes == 1, "{value} has {lanes} lanes, and there is no lane axis");
            ensure!(active.is_none(), "a number of active lanes, and {value} has one lane");
        }
    }
    Ok(())
}

fn gather_fits(func: &Func, access: &Access, value: Value) -> Result<(), String> {
    let Access { buffer, index, lane_axis, active } = access;
    let (decl, lanes) = (&func.buffers[*buffer], func.values[value].lanes);
    let axes = decl.axes.len();
    ensure!(index.len() == axes, "{} positions, and {buffer} has {axes} axes", index.len());
    let computed = |axis: usize| func.values[index[axis]].elem == Elem::I32;
    ensure!((0..axes).any(computed), "no position is computed: this is a load");
    for axis in (0..axes).filter(|&axis| computed(axis)) {
        let size = &decl.axes[axis];
        let listed = matches!(size, SizeExpr::Const(_)) || func.sizes.values().any(|known| known == size);
        ensure!(listed, "the size of axis {axis} of {buffer} is not listed");
    }
    match lane_axis {
        Some(axis) => {
            ensure!(lanes > 1, "a lane axis, and {value} has one lane");
            ensure!((*axis as usize) < axes, "there is no axis {axis} for the lanes");
            ensure!(!computed(*axis as usize), "the positions along the lane axis are computed");
        }
        None => {
            let varies = index.iter().any(|&position| func.values[position].lanes == lanes);
            ensure!(varies, "{value} has {lanes} lanes, and nothing has as many");
            ensure!(active.is_none(), "a number of active lanes, and there is no lane axis");
        }
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ rule 4

/// Rule 4: loops hand on what they carry; lane loops step by their lanes and don't nest.
fn loops(func: &Func, errors: &mut Errors) {
    errors.rule = 4;
    for (number, Phase { grain, .. }) in func.phases.iter().enumerate() {
        if *grain < 1 {
            errors.add(Line::Phase(number), format!("the grain is {grain}, not at least 1"));
        }
    }
    walk(func, &mut |number, around, stmt| {
        let at = Line::Stmt(number);
        if around.is_some() && lanes_of(stmt).is_some() {
            errors.add(at, "lane loops don't nest, and this one is inside another");
        }
        if let Stmt::For(node) = stmt {
            errors.note(at, for_loop(func, node));
        }
    });
}

fn for_loop(func: &Func, node: &For) -> Result<(), String> {
    let For { step, kind, carry, body, .. } = node;
    ensure!(*step >= 1, "the step is {step}, not at least 1");
    if let LoopKind::Lanes(lanes) = kind {
        ensure!(lanes.is_power_of_two(), "{lanes} lanes: not a power of two");
        ensure!(*step == i64::from(*lanes), "the step is {step}, and there are {lanes} lanes");
    }
    let (yields, variables) = (body.yields.len(), carry.len());
    ensure!(yields == variables, "the body yields {yields} values for {variables} carried variables");
    for (Carry { var, init, result }, next) in carry.iter().zip(&body.yields) {
        let ty = func.values[*var];
        for other in [init, result, next] {
            has_type(func, *other, ty, "what this loop carries")?;
        }
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ rule 5

/// Rule 5: a reduction has one lifted value and one result for each state, of fitting types.
fn reductions(func: &Func, errors: &mut Errors) {
    errors.rule = 5;
    let consts = constants(func);
    for (number, decl) in func.folds.values().enumerate() {
        errors.note(Line::Fold(number), fold(func, &consts, decl));
    }
    walk(func, &mut |number, around, stmt| {
        if let Stmt::Reduce(node) = stmt {
            errors.note(Line::Stmt(number), reduce(func, around, node));
        }
    });
}

fn reduce(func: &Func, around: Option<u32>, node: &Reduce) -> Result<(), String> {
    let Reduce { order, states, lifts, results, folds, .. } = node;
    ensure!(!states.is_empty() || !folds.is_empty(), "a reduction without states");
    ensure!(lifts.len() == states.len(), "{} lifted values for {} states", lifts.len(), states.len());
    ensure!(results.len() == states.len(), "{} results for {} states", results.len(), states.len());
    if let Order::Row(lanes) = order {
        ensure!(lanes.is_power_of_two() && *lanes > 1, "{lanes} lanes: not a power of two above 1");
    }
    for ((state, lift), result) in states.iter().zip(lifts).zip(results) {
        let ty = lift_type(func, *state, lift)?;
        let wanted = match order {
            Order::Row(lanes) => {
                ensure!(ty.lanes == *lanes, "a lifted value is {ty}, and there are {lanes} lanes");
                ty.with_lanes(1)
            }
            Order::Column => {
                let fits = ty.lanes == 1 || Some(ty.lanes) == around;
                ensure!(fits, "a lifted value is {ty}, and the loop around has other lanes");
                ty
            }
        };
        has_type(func, *result, wanted, "this result")?;
    }
    let staged = folds.iter().filter(|used| !func.folds[used.fold].stages.is_empty());
    for used in staged {
        let alone = folds.len() == 1 && states.is_empty() && used.cond.is_none();
        ensure!(alone, "{} has stages, and is not alone in its loop", used.fold);
    }
    folds.iter().try_for_each(|used| fold_use(func, around, *order, used))
}

/// A fold in a reduction: operands, condition and results are as its definition says.
fn fold_use(func: &Func, around: Option<u32>, order: Order, used: &FoldUse) -> Result<(), String> {
    let decl = &func.folds[used.fold];
    let lanes = used.args.first().map_or(1, |arg| func.values[*arg].lanes);
    match order {
        Order::Row(wanted) => ensure!(lanes == wanted, "an operand has {lanes} lanes, not {wanted}"),
        Order::Column => {
            ensure!(
                lanes == 1 || Some(lanes) == around,
                "an operand has {lanes} lanes, the loop around others"
            );
        }
    }
    let (have, want) = (used.args.len(), decl.lift.params.len());
    ensure!(have == want, "{} has {want} operands, not {have}", used.fold);
    for (arg, param) in used.args.iter().zip(&decl.lift.params) {
        has_type(func, *arg, func.values[*param].with_lanes(lanes), "an operand")?;
    }
    if let Some(cond) = used.cond {
        has_type(func, cond, Type { elem: Elem::Bool, lanes }, "a condition")?;
    }
    let (have, want) = (used.results.len(), decl.states.len());
    ensure!(have == want, "{} has {want} results, not {have}", used.fold);
    let lanes = if order == Order::Column { lanes } else { 1 };
    for (result, &(elem, _)) in used.results.iter().zip(&decl.states) {
        has_type(func, *result, Type { elem, lanes }, "this result")?;
    }
    Ok(())
}

/// A definition: parts of one lane, defined before used, of the types of operands and states.
fn fold(func: &Func, consts: &[Option<u64>], decl: &FoldDecl) -> Result<(), String> {
    ensure!(!decl.states.is_empty(), "a fold without states");
    let states: Vec<Type> = decl.states.iter().map(|&(elem, _)| Type::scalar(elem)).collect();
    for &(elem, bits) in &decl.states {
        ensure!(elem != Elem::Bool, "a state is a number, not bool");
        inst_types(func, consts, Type::scalar(elem), &Inst::Const(bits))?;
    }
    let operands: Vec<Type> = decl.lift.params.iter().map(|param| func.values[*param]).collect();
    let types = |values: &[Value]| values.iter().map(|value| func.values[*value]).collect::<Vec<_>>();
    let mut wanted = vec![
        (operands.clone(), states.clone()),
        ([&states[..], &operands].concat(), states.clone()),
        ([&states[..], &states].concat(), states.clone()),
    ];
    let mut before = Vec::new();
    for (at, stage) in decl.stages.iter().enumerate() {
        let factors = types(&stage.each.block.yields);
        let mut terms = Vec::new();
        let mut rest = &factors[..];
        for term in &stage.terms {
            let (own, after) = rest.split_at(term.factors().min(rest.len()));
            let fits = own.len() == term.factors() && own.iter().all(|ty| *ty == own[0]);
            ensure!(fits, "a stage does not yield what its terms take");
            ensure!(own[0].elem != Elem::Bool, "a term is of numbers, not of bool");
            terms.extend(own.first());
            rest = after;
        }
        ensure!(rest.is_empty(), "a stage yields more than its terms take");
        wanted.push(([&operands[..], &before].concat(), factors));
        let last = at + 1 == decl.stages.len();
        let closed = if last { states.clone() } else { types(&stage.close.block.yields) };
        wanted.push(([&states[..1], &before, &terms].concat(), closed.clone()));
        before = closed;
    }
    for ((name, part), (params, yields)) in decl.parts().into_iter().zip(wanted) {
        ensure!(types(&part.params) == params, "`{name}` has parameters of other types");
        ensure!(types(&part.block.yields) == yields, "`{name}` yields other types than it should");
        let mut visible: Vec<Value> = part.params.clone();
        for stmt in &part.block.stmts {
            stmt_types(func, consts, stmt)?;
            let Stmt::Let(value, inst) = stmt else { return Err(format!("a statement in `{name}`")) };
            ensure!(func.values[*value].lanes == 1, "{value} in `{name}` has several lanes");
            let mut hidden = None;
            inst.operands(&mut |arg| hidden = hidden.or((!visible.contains(arg)).then_some(*arg)));
            ensure!(hidden.is_none(), "{hidden:?} in `{name}` is not defined before");
            ensure!(!visible.contains(value), "{value} in `{name}` is defined twice");
            visible.push(*value);
        }
        let seen = part.block.yields.iter().all(|value| visible.contains(value));
        ensure!(seen, "`{name}` yields what it does not define");
    }
    Ok(())
}

fn lift_type(func: &Func, state: Reduction, lift: &Lift) -> Result<Type, String> {
    match lift {
        Lift::Value(value) => {
            let ty = func.values[*value];
            ensure!(ty.elem != Elem::Bool, "{state} is of numbers, not of bool");
            Ok(ty)
        }
        Lift::Product(a, b) => {
            let ty = func.values[*a];
            has_type(func, *b, ty, "the second factor")?;
            ensure!(ty.elem.is_float(), "a lifted product is of floats, not of {}", ty.elem.name());
            ensure!(state == Reduction::Sum, "a lifted product is added, and this is {state}");
            Ok(ty)
        }
    }
}

// ------------------------------------------------------------------------------------------------ rule 6

/// Rule 6: what the numeric passes and `vectorize` remove is gone.
fn core_only(func: &Func, errors: &mut Errors) {
    errors.rule = 6;
    if !func.folds.is_empty() {
        errors.add(Line::Func, "definitions of folds are left");
    }
    walk(func, &mut |number, _, stmt| {
        let at = Line::Stmt(number);
        match stmt {
            Stmt::Let(_, Inst::Prim(prim, _)) if prim.class() != Class::Core => {
                errors.add(at, format!("{prim} is not a core function"));
            }
            Stmt::For(node) if node.kind != LoopKind::Seq => errors.add(at, "a lane loop is left"),
            Stmt::Reduce(_) => errors.add(at, "a reduction is left"),
            Stmt::Let(..) | Stmt::Store(..) | Stmt::For(_) | Stmt::If(_) => {}
        }
    });
}
