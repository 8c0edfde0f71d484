//! How the regions of a kernel become loops on a machine, as data: what may be printed, compared and overridden, and
//! what changes no bit.
//!
//! Needs the graph and its regions; leaves both as they are. [`plan`] makes the default choice.

use std::fmt;

use crate::graph::regions::{Region, RegionKind, Regions, Step};
use crate::graph::{Form, Graph};
use crate::graph_passes::fuse::cost;
use crate::target::Target;
use crate::types::DType;

/// A map loop takes so many vectors at a time that its body has about this many instructions.
const BODY: u32 = 96;

/// So many vectors at least, that alternate and hide each other's latency (see the pass `vectorize`).
const GROUP: u32 = 4;

/// A body with more instructions is not written out several times.
const LARGE: u32 = 200;

/// How the places that don't fill a step are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// One vector at a time, the last one with fewer active lanes.
    Masked,
    /// There are none: nothing has lanes.
    None,
}

impl Tail {
    /// Its name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Tail::Masked => "masked",
            Tail::None => "none",
        }
    }
}

/// How one loop nest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopPlan {
    /// Elements in a machine vector.
    pub lanes: u32,
    /// Vectors in one iteration.
    pub unroll: u32,
    /// What is left over.
    pub tail: Tail,
}

/// How a kernel runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The target's name.
    pub target: &'static str,
    /// If a parallel group carries the lanes: how that loop runs, and with it every region.
    pub parallel: Option<LoopPlan>,
    /// For each region in the order of [`Regions::all`].
    pub regions: Vec<LoopPlan>,
    /// Core operations of all of them on one vector: whether threads pay.
    pub cost: u32,
}

impl Schedule {
    /// The text form.
    pub fn display<'a>(&'a self, graph: &'a Graph, regions: &'a Regions) -> impl fmt::Display + 'a {
        Printer { schedule: self, graph, regions }
    }
}

/// The default choice for a target.
pub fn plan(graph: &Graph, regions: &Regions, target: &Target) -> Schedule {
    let parallel = regions.lanes.then(|| {
        let values = regions.values().map(|node| cost(graph, node)).sum::<u32>();
        let body = values + regions.all().map(|region| body_cost(graph, region)).sum::<u32>();
        let nested = regions.all().any(|region| !region.kept.is_empty() || region.kind != RegionKind::Map);
        let lanes = regions.all().map(|region| lanes(graph, region, target)).min().unwrap_or(1);
        LoopPlan { lanes, unroll: unroll(body, nested, lanes), tail: Tail::Masked }
    });
    let region_plan = |region: &Region| {
        if let Some(parallel) = parallel {
            return parallel;
        }
        let lanes = lanes(graph, region, target);
        match &region.kind {
            RegionKind::Reduce { form: Form::Row, reduces, .. } => {
                let state = graph.nodes[reduces[0]].dtype.bytes() as u32;
                let virtual_lanes = 32 * 4 / state.max(4);
                LoopPlan { lanes, unroll: virtual_lanes / lanes, tail: Tail::Masked }
            }
            RegionKind::Reduce { form: Form::Column, .. } | RegionKind::Map if region.kept.is_empty() => {
                LoopPlan { lanes: 1, unroll: 1, tail: Tail::None }
            }
            RegionKind::Reduce { form: Form::Column, .. } | RegionKind::Scan { form: Form::Column, .. } => {
                LoopPlan { lanes, unroll: unroll(body_cost(graph, region), true, lanes), tail: Tail::Masked }
            }
            RegionKind::Map | RegionKind::Scan { form: Form::Row, .. } => {
                LoopPlan { lanes, unroll: unroll(body_cost(graph, region), false, lanes), tail: Tail::Masked }
            }
        }
    };
    let values = regions.values().map(|node| cost(graph, node)).sum::<u32>();
    let cost = values + regions.all().map(|region| body_cost(graph, region)).sum::<u32>();
    Schedule { target: target.name(), parallel, regions: regions.all().map(region_plan).collect(), cost }
}

/// Elements in a vector: as many as fit where all have one width, one where widths mix.
fn lanes(graph: &Graph, region: &Region, target: &Target) -> u32 {
    let mut widths = [false; 2];
    let roots = region.keeps.iter().map(|&(node, _)| node);
    let reduces = match &region.kind {
        RegionKind::Reduce { reduces, .. } => reduces.as_slice(),
        RegionKind::Scan { node, .. } => std::slice::from_ref(node),
        RegionKind::Map => &[],
    };
    for node in region.nodes.iter().copied().chain(roots).chain(reduces.iter().copied()) {
        for value in graph.nodes[node].op.args().iter().copied().chain([node]) {
            match graph.nodes[value].dtype {
                DType::F32 | DType::I32 | DType::F16 | DType::BF16 | DType::I8 | DType::U8 => {
                    widths[0] = true;
                }
                DType::F64 => widths[1] = true,
                DType::Bool => {}
            }
        }
    }
    match widths {
        [true, true] => 1,
        [false, true] => target.lanes(8),
        _ => target.lanes(4),
    }
}

/// Core operations on one vector of a region's body.
fn body_cost(graph: &Graph, region: &Region) -> u32 {
    let nodes: u32 = region.nodes.iter().map(|&node| cost(graph, node)).sum();
    nodes + 2 * region.keeps.len() as u32
}

/// Vectors in one iteration, a power of two. A loop inside walks memory across the vectors: the more there are, the more
/// of each line is used at once.
fn unroll(body: u32, nested: bool, lanes: u32) -> u32 {
    let budget = if nested { 2 * BODY } else { BODY };
    let most = (32 / lanes).min(8);
    let least = if body <= LARGE { GROUP.min(most) } else { 1 };
    1 << (budget / body.max(1)).clamp(least, most).ilog2()
}

struct Printer<'a> {
    schedule: &'a Schedule,
    graph: &'a Graph,
    regions: &'a Regions,
}

impl fmt::Display for Printer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line =
            |plan: &LoopPlan| format!("{} x {} lanes, tail {}", plan.unroll, plan.lanes, plan.tail.name());
        writeln!(f, "schedule {} for {}", self.graph.name, self.schedule.target)?;
        if let Some(plan) = &self.schedule.parallel {
            return writeln!(f, "  parallel: {}", line(plan));
        }
        let once = Step::flat(&self.regions.prologue);
        let once = once.iter().filter(|step| matches!(step, Step::Region(_))).count();
        for (number, plan) in self.schedule.regions.iter().enumerate() {
            let when = if number < once { " (once)" } else { "" };
            writeln!(f, "  region{number}{when}: {}", line(plan))?;
        }
        Ok(())
    }
}
