//! `schedule` items: they are followed, and what is chosen outside counts more.

use act::{Module, Normalizer, Options, view, view_mut};

const PLAIN: &str = "kernel k(x: f32[.., d]) -> f32[.., d] { exp(x) / sum[d](exp(x)) }\n";

fn compiled(text: &str, normalizer: Normalizer, threads: usize) -> Module {
    let options = Options { normalizer, threads, ..Options::default() };
    act::compile_with(text, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// The bits that the kernel `k` of a module gives for a row.
pub fn bits_of_row(module: &Module, x: &[f32]) -> Vec<u32> {
    let mut y = vec![0.0f32; x.len()];
    let shape = [1, x.len()];
    let kernel = module.kernel("k").expect("the kernel");
    kernel.call(&[view(x, shape)], &mut [view_mut(&mut y, shape)], &[]).expect("a call");
    y.iter().map(|y| y.to_bits()).collect()
}

/// Those of a row that tells the ways apart.
fn bits(module: &Module) -> Vec<u32> {
    let x = (0..20_000).map(|at| (at * 7919 % 4001) as f32 / 300.0 + at as f32 / 5000.0);
    bits_of_row(module, &x.collect::<Vec<f32>>())
}

#[test]
fn the_text_chooses_how_normalisers_are_computed() {
    let ways = [Normalizer::Reload, Normalizer::Online, Normalizer::TwoPass];
    let by_option = ways.map(|way| bits(&compiled(PLAIN, way, 1)));
    assert!(
        by_option[0] != by_option[1] && by_option[1] != by_option[2],
        "the row tells no way from another"
    );
    for (way, expected) in ways.into_iter().zip(&by_option) {
        let text = format!("{PLAIN}schedule k {{ normalizer = {}; }}", way.name());
        assert_eq!(&bits(&compiled(&text, Normalizer::Auto, 1)), expected, "{}", way.name());
        let over = bits(&compiled(&text, Normalizer::Online, 1));
        assert_eq!(over, by_option[1], "an option counts more than {}", way.name());
    }
}

#[test]
fn the_text_bounds_threads() {
    let threads =
        |text: &str, offered: usize| compiled(text, Normalizer::Auto, offered).kernels()[0].threads();
    let bounded = format!("{PLAIN}schedule k {{ threads = 2; }}");
    assert_eq!((threads(PLAIN, 4), threads(&bounded, 4), threads(&bounded, 1)), (4, 2, 1));
    assert!((1..=2).contains(&threads(&bounded, 0)), "as many as there are, at most two");
    let expected = bits(&compiled(PLAIN, Normalizer::Auto, 1));
    assert_eq!(bits(&compiled(&bounded, Normalizer::Auto, 16)), expected);
}

/// Also of a kernel that is linked.
#[test]
fn the_text_bounds_threads_in_the_rust_file() {
    let stub = |text: &str| {
        let kernels = act::compile_kernels("k.act", text, &Options::default());
        act::emit::rust_stub(&kernels.unwrap_or_else(|error| panic!("{error}")))
    };
    let bounded = stub(&format!("{PLAIN}schedule k {{ threads = 2; }}"));
    assert!(bounded.contains("linked.load() }.map(|kernel| kernel.with_most_threads(2))\n"), "{bounded}");
    assert!(!stub(PLAIN).contains("most_threads"));
}

/// What can't be had is found with the passes that the schedule asks for.
#[test]
fn directives_are_checked_together() {
    for normalizer in ["online", "two_pass"] {
        let text = format!("{PLAIN}schedule k {{ accuracy = strict; normalizer = {normalizer}; }}");
        let strict = bits(&compiled(&text, Normalizer::Auto, 1));
        let plain = format!("{PLAIN}schedule k {{ normalizer = {normalizer}; }}");
        assert_eq!(strict, bits(&compiled(&plain, Normalizer::Auto, 1)), "a shifted row stays in f32");
    }
}
