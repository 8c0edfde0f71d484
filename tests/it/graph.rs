//! The graph IR: its verifiers and its evaluator.

use act::graph::eval::{all_sizes, default_input, eval, eval_wide};
use act::graph::regions::{self, Place, Region, RegionKind, Regions, Step};
use act::graph::wide::Wide;
use act::graph::{Form, Graph, NodeId, parse, verify};
use cranelift_entity::EntityRef;

fn graph(text: &str) -> Graph {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(&graph).unwrap_or_else(|report| panic!("{report}"));
    graph
}

/// The first result, rounded.
fn run(graph: &Graph, known: &[(&str, i64)], inputs: &[&[f64]]) -> Vec<f64> {
    let sizes = all_sizes(graph, known).expect("all sizes");
    eval(graph, &sizes, inputs)[0].iter().map(|value| value.to_f64()).collect()
}

#[test]
fn a_breach_of_a_rule_is_reported_at_its_node() {
    let header =
        "graph f(%0 x: f32[n, d], %1 i: i32[d]) -> (y: f32[n] = %2)\n  dims n = free, d = free, p = 2\n";
    let cases = [
        // 1: operands come first.
        ("%2 = exp %3 : f32[n]", "its operand %3 does not come before it"),
        // 2: dimensions follow.
        ("%2 = exp %0 : f32[n]", "its dimensions are [n, d], not [n]"),
        ("%2 = broadcast %0 : f32[n, d]", "adds no dimension to [n, d]"),
        // 3: dtypes follow.
        ("%2 = add %0, %1 : f32[n, d]", "`add` does not take (f32, i32) to f32"),
        ("%2 = add %0 : f32[n, d]", "`add` takes 2 operands"),
        ("%2 = sqrt %1 : i32[d]", "`sqrt` does not take (i32) to i32"),
        ("%2 = lt %0, %0 : f32[n, d]", "`lt` does not take (f32, f32) to f32"),
        ("%2 = iand %1, %1 : i32[d]", "`iand` does not take (i32, i32) to i32"),
        ("%2 = convert %0 : f32[n, d]", "its operand is f32 already"),
        ("%2 = const 0x2 (true) : bool", "its bits do not fit bool"),
        ("%2 = index d : f32[d]", "a position is i32"),
        ("%2 = size d : bool", "a size is a number"),
        ("%2 = param 1 : i32[d]", "parameter 1 stands at %2"),
        // 4: reductions.
        ("%2 = sum %1 over n : i32[d]", "reduces [n], which no operand has"),
        ("%2 = max %0 * %0 over d : f32[n]", "`max` of 2 f32 operands"),
        ("%2 = sum %1 over d : f32", "an operand is not f32"),
        // 5: fixed-size dimensions.
        ("%2 = slice %0 d=0 : f32[n]", "the size of `d` is not fixed"),
        ("%2 = slice %0 p=0 : f32[n, d]", "%0 does not have the dimension"),
        ("%2 = stack p(%0) : f32[n, d, p]", "`p` has 2 positions, not 1"),
        // 6: results.
        ("%2 = max %1 over d : i32", "result `y` is f32"),
        ("%2 = size d : f32", "result `y` has the dimensions [n]"),
    ];
    for (line, message) in cases {
        let text = format!("{header}  {line}\n");
        let graph = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let report = verify(&graph).expect_err(line);
        let found = report.violations.iter().any(|violation| violation.message == message);
        assert!(found, "no `{message}` in\n{report}");
        assert!(report.to_string().contains(&format!("  {line}\n  # %2: error: ")), "{report}");
    }
}

#[test]
fn softmax_as_in_the_textbook_does_not_overflow() {
    let graph = graph(
        "\
graph softmax(%0 x: f32[.., d]) -> (y: f32[.., d] = %3)
  dims .. = leading, d = free
  %1 = exp %0 : f32[.., d]
  %2 = sum %1 over d : f32[..]
  %3 = div %1, %2 : f32[.., d]
",
    );
    let rows = [1e4, 1e4, -1e9, 1e4, 0.0, 0.0, 0.0, 1e300];
    let y = run(&graph, &[("..", 2), ("d", 4)], &[&rows]);
    assert_eq!(&y[..4], [1.0 / 3.0, 1.0 / 3.0, 0.0, 1.0 / 3.0]);
    assert!(y[7].is_nan(), "beyond the exponent range");
    assert_eq!(run(&graph, &[("..", 0), ("d", 4)], &[&[]]), Vec::<f64>::new());
    assert_eq!(run(&graph, &[("..", 2), ("d", 0)], &[&[]]), Vec::<f64>::new());
}

#[test]
fn arrays_lie_in_their_declared_order() {
    let graph = graph(
        "\
graph transpose(%0 x: f32[(a b), n], %1 w: f32[n]) -> (y: f32[n, (b a)] = %2, s: f32[n] = %3, p: f32 = %5)
  dims n = free, a = 2, b = free
  %2 = mul %0, %1 : f32[n, a, b]
  %3 = max %0 over a, b : f32[n]
  %4 = broadcast %1 : f32[n, a]
  %5 = prod %4 over n, a : f32
",
    );
    let sizes = all_sizes(&graph, &[("n", 2), ("b", 3)]).expect("all sizes");
    let x: Vec<f64> = (0..12).map(f64::from).collect();
    let results = eval(&graph, &sizes, &[&x, &[1.0, 10.0]]);
    let rounded: Vec<Vec<f64>> =
        results.iter().map(|result| result.iter().map(|value| value.to_f64()).collect()).collect();
    assert_eq!(rounded[0], [0.0, 6.0, 2.0, 8.0, 4.0, 10.0, 10.0, 70.0, 30.0, 90.0, 50.0, 110.0]);
    assert_eq!(rounded[1], [10.0, 11.0]);
    assert_eq!(rounded[2], [100.0]);
    // One number stands everywhere.
    assert_eq!(eval(&graph, &sizes, &[&x, &[1.0]])[0][6].to_f64(), 1.0);
}

#[test]
fn contraction_slice_stack_and_positions() {
    let graph = graph(
        "\
graph f(%0 q: f32[h, e], %1 k: f32[t, e]) -> (y: f32[h, t, p] = %7)
  dims h = free, t = free, e = 2, p = 2
  %2 = sum %0 * %1 over e : f32[h, t]
  %3 = slice %0 e=1 : f32[h]
  %4 = index t : i32[t]
  %5 = convert %4 : f32[t]
  %6 = add %3, %5 : f32[h, t]
  %7 = stack p(%2, %6) : f32[h, t, p]
",
    );
    let y = run(&graph, &[("h", 1), ("t", 2)], &[&[2.0, 3.0], &[10.0, 20.0, 30.0, 40.0]]);
    assert_eq!(y, [80.0, 3.0, 180.0, 4.0]);
}

#[test]
fn integers_wrap_and_conversions_saturate() {
    let graph = graph(
        "\
graph f(%0 i: i32[d], %1 x: f64[d]) -> (a: i32[d] = %3, b: i32 = %4, c: i32[d] = %5, e: f32[d] = %6, g: bool[d] = %7, h: i32 = %8)
  dims d = free
  %2 = const 0x7fffffff (2147483647) : i32
  %3 = add %0, %2 : i32[d]
  %4 = prod %3 over d : i32
  %5 = convert %1 : i32[d]
  %6 = convert %1 : f32[d]
  %7 = convert %1 : bool[d]
  %8 = max %0 over d : i32
",
    );
    let results = eval(&graph, &[3], &[&[0.0, 1.0, 2.0], &[2.5, f64::NAN, -1e40]]);
    let rounded: Vec<Vec<f64>> =
        results.iter().map(|result| result.iter().map(|value| value.to_f64()).collect()).collect();
    let least = f64::from(i32::MIN);
    assert_eq!(rounded[0], [-(least + 1.0), least, least + 1.0]);
    assert_eq!(rounded[1], [least]);
    assert_eq!(rounded[2], [2.0, 0.0, least]);
    assert!(rounded[3][0] == 2.5 && rounded[3][1].is_nan() && rounded[3][2] == f64::NEG_INFINITY);
    assert_eq!(rounded[4], [1.0, 1.0, 1.0]);
    assert_eq!(rounded[5], [2.0]);
    assert_eq!(eval(&graph, &[0], &[&[], &[]])[5][0].to_f64(), least, "over nothing");
}

#[test]
fn defaults_are_in_their_dtype_and_sizes_follow() {
    let graph = graph(
        "\
graph f(%0 x: f32[j, k], %1 eps: f32 = 0.1) -> (y: f32[j, k] = %2)
  dims j = ((k + 1) * 2), k = free
  %2 = add %0, %1 : f32[j, k]
",
    );
    assert_eq!(all_sizes(&graph, &[("k", 2)]), Some(vec![6, 2]));
    assert_eq!(all_sizes(&graph, &[]), None);
    let eps = default_input(&graph.params[1]).expect("a default");
    assert_eq!(eps, f64::from(0.1f32));
    let third = Wide::ONE / Wide::from(3.0);
    let results = eval_wide(&graph, &[6, 2], &[vec![third], vec![Wide::from(eps)]]);
    assert_eq!(results[0], vec![third + Wide::from(0.1f32); 12]);
}

/// `y = x - max x`, as a reduction and a map.
fn two_regions() -> (Graph, Regions) {
    let graph = graph(
        "\
graph f(%0 x: f32[n, d]) -> (y: f32[n, d] = %2)
  dims n = free, d = free
  %1 = max %0 over d : f32[n]
  %2 = sub %0, %1 : f32[n, d]
",
    );
    let node = NodeId::new;
    let row = RegionKind::Reduce { form: Form::Row, outer: vec![], inner: vec![1], reduces: vec![node(1)] };
    let maximum = Region { kept: vec![], kind: row, nodes: vec![], keeps: vec![], packed: vec![] };
    let keeps = vec![(node(2), Place::Result(0))];
    let map = Region { kept: vec![1], kind: RegionKind::Map, nodes: vec![node(2)], keeps, packed: vec![] };
    let regions = Regions {
        groups: graph.dims.keys().map(|dim| vec![dim]).collect(),
        parallel: vec![0],
        body: vec![Step::Region(maximum), Step::Region(map)],
        ..Regions::default()
    };
    (graph, regions)
}

#[test]
fn regions_are_checked() {
    let (graph, regions) = two_regions();
    assert_eq!(regions::verify(&graph, &regions), Ok(()));
    let breach = |change: fn(&mut Regions), message: &str| {
        let mut changed = regions.clone();
        change(&mut changed);
        let report = regions::verify(&graph, &changed).expect_err(message);
        assert!(report.lines().any(|line| line == message), "no `{message}` in\n{report}");
    };
    breach(|regions| regions.body.swap(0, 1), "%2 needs %1, which is not there");
    breach(|regions| drop(regions.body.pop()), "result `y` is not stored");
    breach(|regions| regions.parallel = vec![], "no loop over a dimension of %2");
    breach(|regions| regions.parallel = vec![0, 1], "two loops over one group, around []");
    breach(|regions| regions.groups[0].clear(), "group 0 is empty");
    breach(|regions| regions.groups[0] = regions.groups[1].clone(), "dim1 is in two groups");
    breach(|regions| regions.parallel = vec![7], "a loop over a group that does not exist");
    let early = |regions: &mut Regions| regions.body.insert(0, Step::Values(vec![NodeId::new(2)]));
    breach(early, "%2 is not the same all over a place");
}
