//! Text forms: what is printed reads back as the same thing, and what is malformed is refused with its line.

use act::graph::{parse, parse::parse_all, verify};

/// Graphs that between them use every form of the text.
const GRAPHS: [&str; 6] = [
    "\
/// Softmax over `d`.
///
/// As in the # textbook.
graph softmax(%0 x: f32[.., d]) -> (y: f32[.., d] = %4)
  dims .. = leading, d = free
  doc param x: The logits,
  doc param x:
  doc param x: any number # of them.
  doc result y: Weights.
  %1 = max %0 over d : f32[..]
  %2 = sub %0, %1 : f32[.., d]
  %3 = exp %2 : f32[.., d]
  %4 = add %3, %2 : f32[.., d]
",
    "\
graph layouts(%0 x: f32[n, (g k), h], %1 eps: f32 = 1e-5, %2 w: f64[] = -inf, %3 b: bool[k]) -> (y: f32[h, n] = %5)
  dims n = free, g = 32, k = free, h = free
  with g = 32, depth = -1
  %4 = sum %0 over g, k : f32[n, h]
  %5 = div %4, %1 : f32[n, h]
",
    "\
graph computed(%0 x: f32[i, j]) -> ()
  dims i = free, j = (i + 1), j'2 = (i), j'3 = (3), k = ((j / 2) * (i - -1)), free = ((i * j) /^ 16)
",
    "\
graph fixed(%0 x: f32[.., (half d)]) -> (y: f32[.., (half d)] = %8, s: f32 = %7)
  dims .. = leading, half = 2, d = free
  %1 = slice %0 half=0 : f32[.., d]
  %2 = slice %0 half=1 : f32[.., d]
  %3 = const 0x3f800000 (1.0) : f32
  %4 = broadcast %3 : f32[.., d]
  %5 = mul %1, %4 : f32[.., d]
  %6 = sum %1 * %2 over .., d : f32
  %7 = fma %6, %3, %3 : f32
  %8 = stack half(%5, %2) : f32[.., half, d]
",
    "\
graph numbers() -> (y: bool[d] = %8)
  dims d = free
  %0 = index d : i32[d]
  %1 = size d : f64
  %2 = size  : i32
  %3 = convert %0 : f64[d]
  %4 = lt %3, %1 : bool[d]
  %5 = const 0x1 (true) : bool
  %6 = const 0xffffffff (-1) : i32
  %7 = const 0x7ff0000000000000 (inf) : f64
  %8 = select %5, %4, %5 : bool[d]
",
    "graph empty() -> ()\n",
];

#[test]
fn graphs_print_as_they_were_read() {
    for text in GRAPHS {
        let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(graph.to_string(), text);
        assert_eq!(parse(&graph.to_string()).as_ref(), Ok(&graph));
        verify(&graph).unwrap_or_else(|report| panic!("{report}"));
    }
    let all = parse_all(&GRAPHS.join("\n")).expect("a file of several graphs");
    assert_eq!(all.iter().map(ToString::to_string).collect::<String>(), GRAPHS.concat());
}

#[test]
fn malformed_graphs_are_refused() {
    let cases = [
        ("", 1, "no `graph`"),
        ("graph a() -> ()\ngraph b() -> ()", 1, "more than one `graph`"),
        ("  %0 = size  : i32", 1, "expected `graph`"),
        ("graph f(%0 x: f32[d]) -> ()", 1, "there is no dimension `d`"),
        ("graph f(%1 x: f32) -> ()", 1, "the next node is %0, not %1"),
        ("graph f(%0 x: f33) -> ()", 1, "`f33` is no dtype"),
        ("graph f() -> (", 1, "expected a word, not the end of the line"),
        ("graph f() -> ()\n\n  %0 = foo %0 : f32", 3, "`foo` is no function"),
        ("graph f() -> ()\n  %0 = add %0 over : f32", 2, "`add` is no reduction"),
        ("graph f() -> ()\n  %0 = sum %0 * %0 : f32", 2, "expected `over`"),
        ("graph f() -> ()\n  %0 = convert %4294967295 : f32", 2, "the number of a node is too large"),
        ("graph f() -> ()\n  %0 = const 1 (1) : f32", 2, "expected bits such as 0x0, not `1`"),
        ("graph f() -> ()\n  %0 = size  : f32 f32", 2, "expected the end of the line, not `f32`"),
        ("graph f() -> ()\n  %0 = size & : f32", 2, "unexpected `&`"),
        ("graph f() -> ()\n  dims d = free, d = free", 2, "two dimensions `d`"),
        ("graph f() -> ()\n  doc param x: text", 2, "there is no param x"),
        ("graph f() -> ()\n  wish", 2, "expected a node, `dims`, `with`, `repeats` or `doc`, not `wish`"),
    ];
    for (text, line, message) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!((error.line, error.message.as_str()), (line, message), "{text}");
    }
    let deep = format!("graph f() -> ()\n  dims d = {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(parse(&deep).expect_err("deep").message, "a size is nested too deep");
    let many: Vec<String> = (0..65).map(|i| format!("d{i} = free")).collect();
    let many = parse(&format!("graph f() -> ()\n  dims {}", many.join(", ")));
    assert_eq!(many.expect_err("many").message, "more than 64 dimensions");
}
