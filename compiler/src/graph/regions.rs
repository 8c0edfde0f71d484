//! Which nodes of a graph share a loop nest: the decision of the pass `fuse`, as data that can be printed, checked
//! and lowered.
//!
//! # Meaning
//!
//! Loops run over [groups](Regions::groups) of dimensions: neighbours that are together wherever they occur, so that one
//! loop and one stride serve them all; most groups are a single dimension. A [`Group`] is named by its number.
//!
//! A kernel is one parallel loop over [`Regions::parallel`] (groups that no reduction removes and that every result and
//! every reduction has; possibly none). For each place of it the steps of [`Regions::body`] run one after another;
//! [`Regions::prologue`] holds the steps that depend on no parallel group and runs once before. Where [`Regions::lanes`] is set, places
//! along the last parallel group are taken many at a time, as lanes of vectors, and the whole body works on vectors.
//!
//! A step is either a list of values that are the same all over a place ([`Step::Values`]: their dimensions are all
//! parallel), or a [`Region`]: one loop nest, with sequential loops over its kept groups and inside either one combined
//! reduction loop or a map that stores. The nodes of [`Region::nodes`] are computed inside it for each
//! place, in order; a node may be computed by several regions, with the same bits each time. What a region
//! needs and does not compute is a parameter, a value of an earlier step, or was *kept* in memory by an earlier region
//! ([`Region::keeps`]). Or it is a loop of the graph ([`Step::Repeat`]) with steps of its own; what they compute is there until
//! the end of the step.

mod verify;

use std::fmt;

use crate::graph::{Form, Graph, NodeId, RepeatId};
use crate::types::{DimId, DimSet};

pub use verify::verify;

/// A group of dimensions, by its number in [`Regions::groups`].
pub type Group = usize;

/// Where a region puts a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Result number `i` of the graph, for good.
    Result(usize),
    /// The memory of result `i`, until a later region overwrites it place by place with the result.
    Borrow(usize),
    /// A scratch array over the value's groups that are not parallel.
    Scratch,
    /// A copy over all groups of the value, parallel ones too, with this one innermost: for the regions that name it in
    /// [`Region::packed`], and no others.
    Packed(Group),
    /// The array of that carried value of a loop.
    State(NodeId),
}

/// What the innermost loops of a region are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// Reductions over the same groups.
    Reduce {
        /// In which order.
        form: Form,
        /// Reduced groups outside the innermost loop, in canonical order.
        outer: Vec<Group>,
        /// Reduced groups of the innermost loop: in row form the run (if it is several groups, its operands are kept
        /// values), in column form the last reduced group. Empty only if everything reduced has size 1 by declaration.
        inner: Vec<Group>,
        /// The reductions.
        reduces: Vec<NodeId>,
    },
    /// A scan or a k-th largest: in row form the operand is computed along the group, kept in memory of the region's own, worked on
    /// there, and a scan's elements are then stored; in column form it is one sequential loop over the group, with lanes across.
    Scan {
        /// In which order.
        form: Form,
        /// The group, of one dimension, along which it runs.
        along: Group,
        /// The node: `Op::Scan` or `Op::KthLargest`.
        node: NodeId,
    },
    /// Nothing is reduced; values are stored.
    Map,
}

/// One loop nest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Groups looped over one after another, outermost first. The last one carries the lanes in column form and in maps,
    /// unless a parallel group does.
    pub kept: Vec<Group>,
    /// The loop inside.
    pub kind: RegionKind,
    /// Nodes computed in the innermost loop, operands first (not the reductions).
    pub nodes: Vec<NodeId>,
    /// Values stored.
    pub keeps: Vec<(NodeId, Place)>,
    /// Values read from the copy that has the group innermost which carries the lanes here.
    pub packed: Vec<(NodeId, Group)>,
}

/// Part of what is done for one parallel place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Values that are the same all over the place, operands first.
    Values(Vec<NodeId>),
    /// A loop nest.
    Region(Region),
    /// A loop of the graph.
    Repeat(Repeat),
}

/// A loop whose steps are done one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Which.
    pub id: RepeatId,
    /// Its state, in order.
    pub states: Vec<State>,
    /// What is done in each step.
    pub steps: Vec<Step>,
}

/// A part of a loop's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What it is at the beginning of a step.
    pub carry: NodeId,
    /// What it is in the first one.
    pub init: NodeId,
    /// What it is at the end of a step.
    pub next: NodeId,
    /// What it is after the last one.
    pub ends: Vec<NodeId>,
    /// Whether it is an array ([`Place::State`]), filled before the loop and at the end of each step; otherwise it is
    /// the same all over a place.
    pub array: bool,
}

impl Step {
    /// Every step of a list in the order of execution, those inside of loops after the loop.
    pub fn flat(steps: &[Step]) -> Vec<&Step> {
        let mut all = Vec::new();
        for step in steps {
            all.push(step);
            if let Step::Repeat(repeat) = step {
                all.extend(Step::flat(&repeat.steps));
            }
        }
        all
    }
}

/// The loop nests of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// The groups, each in canonical order, themselves in the order of their first dimensions. Dimensions that
    /// `unroll` removed are in none.
    pub groups: Vec<Vec<DimId>>,
    /// Groups of the parallel loop, outermost first.
    pub parallel: Vec<Group>,
    /// Whether the last parallel group is taken as lanes.
    pub lanes: bool,
    /// What is done once for each range.
    pub prologue: Vec<Step>,
    /// What is done for each parallel place.
    pub body: Vec<Step>,
    /// Pairs (parameter, result) that may be the same memory.
    pub in_place: Vec<(u32, u32)>,
    /// Why it was decided so, for the reader; one line each.
    pub notes: Vec<String>,
}

impl Regions {
    /// The groups that make up `dims`, in order. Dimensions in no group are left out.
    pub fn groups_of(&self, dims: DimSet) -> Vec<Group> {
        (0..self.groups.len()).filter(|&group| dims.contains(self.groups[group][0])).collect()
    }

    /// The group of a dimension.
    pub fn group_of(&self, dim: DimId) -> Option<Group> {
        self.groups.iter().position(|group| group.contains(&dim))
    }

    /// Every region in the order of execution.
    pub fn all(&self) -> impl Iterator<Item = &Region> {
        let steps = Step::flat(&self.prologue).into_iter().chain(Step::flat(&self.body));
        steps.filter_map(|step| match step {
            Step::Region(region) => Some(region),
            Step::Values(_) | Step::Repeat(_) => None,
        })
    }

    /// Every node computed once for each parallel place and outside of regions.
    pub fn values(&self) -> impl Iterator<Item = NodeId> {
        Step::flat(&self.body)
            .into_iter()
            .flat_map(|step| match step {
                Step::Values(nodes) => nodes.as_slice(),
                Step::Region(_) | Step::Repeat(_) => &[],
            })
            .copied()
    }

    /// The text form, with the names of `graph`.
    pub fn display<'a>(&'a self, graph: &'a Graph) -> impl fmt::Display + 'a {
        Printer { regions: self, graph }
    }
}

struct Printer<'a> {
    regions: &'a Regions,
    graph: &'a Graph,
}

impl Printer<'_> {
    fn result(&self, index: usize) -> &str {
        self.graph.results.get(index).map_or("?", |(decl, _)| decl.name.as_str())
    }

    fn groups(&self, groups: &[Group]) -> String {
        let name = |&group: &Group| {
            let Some(dims) = self.regions.groups.get(group) else { return "?".to_string() };
            let name = |&dim: &DimId| self.graph.dims.get(dim).map_or("?", |dim| dim.name.as_str());
            let names: Vec<&str> = dims.iter().map(name).collect();
            if names.len() == 1 { names[0].to_string() } else { format!("({})", names.join(" ")) }
        };
        groups.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn steps(
        &self,
        f: &mut fmt::Formatter<'_>,
        steps: &[Step],
        first: &mut usize,
        depth: usize,
    ) -> fmt::Result {
        let indent = "  ".repeat(depth);
        for step in steps {
            match step {
                Step::Values(nodes) => writeln!(f, "    {indent}values {}", list(nodes))?,
                Step::Repeat(repeat) => {
                    write!(f, "    {indent}repeat {} carries", repeat.id)?;
                    for state in &repeat.states {
                        let place = if state.array { " in an array" } else { "" };
                        let State { carry, init, next, .. } = state;
                        write!(f, " {carry} = {init}, then {next}{place};")?;
                    }
                    writeln!(f)?;
                    self.steps(f, &repeat.steps, first, depth + 1)?;
                }
                Step::Region(region) => {
                    write!(f, "    {indent}region{first}")?;
                    *first += 1;
                    if !region.kept.is_empty() {
                        write!(f, " for [{}]", self.groups(&region.kept))?;
                    }
                    match &region.kind {
                        RegionKind::Reduce { form, outer, inner, reduces } => {
                            let form = if *form == Form::Row { "row" } else { "column" };
                            write!(f, " reduce {form} over [{}", self.groups(outer))?;
                            if !outer.is_empty() {
                                f.write_str("; ")?;
                            }
                            write!(f, "{}]: {}", self.groups(inner), list(reduces))?;
                        }
                        RegionKind::Scan { form, along, node } => {
                            let form = if *form == Form::Row { "row" } else { "column" };
                            write!(f, " scan {form} along [{}]: {node}", self.groups(&[*along]))?;
                        }
                        RegionKind::Map => f.write_str(" map:")?,
                    }
                    if !region.nodes.is_empty() {
                        write!(f, " computes {}", list(&region.nodes))?;
                    }
                    if !region.packed.is_empty() {
                        let nodes: Vec<NodeId> = region.packed.iter().map(|(node, _)| *node).collect();
                        write!(f, " reads {} packed", list(&nodes))?;
                    }
                    for (node, place) in &region.keeps {
                        match place {
                            Place::Result(i) => write!(f, ", stores {node} as {}", self.result(*i))?,
                            Place::Borrow(i) => {
                                write!(f, ", keeps {node} in the memory of {}", self.result(*i))?;
                            }
                            Place::Scratch => write!(f, ", keeps {node} in scratch")?,
                            Place::State(carry) => write!(f, ", keeps {node} as {carry}")?,
                            Place::Packed(group) => {
                                write!(f, ", packs {node} along {}", self.groups(&[*group]))?;
                            }
                        }
                    }
                    writeln!(f)?;
                }
            }
        }
        Ok(())
    }
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Printer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let regions = self.regions;
        let mut count = 0;
        writeln!(f, "regions {}", self.graph.name)?;
        if !regions.prologue.is_empty() {
            writeln!(f, "  once")?;
            self.steps(f, &regions.prologue, &mut count, 0)?;
        }
        let lanes = if regions.lanes { ", lanes along the last" } else { "" };
        writeln!(f, "  parallel [{}]{lanes}", self.groups(&regions.parallel))?;
        self.steps(f, &regions.body, &mut count, 0)?;
        for &(param, result) in &regions.in_place {
            let (param, result) =
                (&self.graph.params[param as usize], &self.graph.results[result as usize].0);
            writeln!(f, "  in place: {} -> {}", param.name, result.name)?;
        }
        for note in &regions.notes {
            writeln!(f, "  note: {note}")?;
        }
        Ok(())
    }
}
