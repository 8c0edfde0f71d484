//! `schedule` items: they are followed, and what is chosen outside counts more.

use act::{Module, Normalizer, Options, view, view_mut};

const PLAIN: &str = "kernel k(x: f32[.., d]) -> f32[.., d] { exp(x) / sum[d](exp(x)) }\n";

fn compiled(text: &str, normalizer: Normalizer, threads: usize) -> Module {
    let options = Options { normalizer, threads, ..Options::default() };
    act::compile_with(text, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// The bits of a row that tells the ways apart.
fn bits(module: &Module) -> Vec<u32> {
    let x: Vec<f32> = (0..20_000).map(|at| (at * 7919 % 4001) as f32 / 300.0 + at as f32 / 5000.0).collect();
    let mut y = vec![0.0f32; x.len()];
    let shape = [1, x.len()];
    let kernel = module.kernel("k").expect("the kernel");
    kernel.call(&[view(&x, shape)], &mut [view_mut(&mut y, shape)], &[]).expect("a call");
    y.iter().map(|y| y.to_bits()).collect()
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
