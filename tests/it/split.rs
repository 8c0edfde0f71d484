//! The form of kernels in which threads share what is in a row: it gives the bits of the ordinary form, on the interpreter and
//! as machine code, however its phases are cut, around the borders of blocks, for all kernels of the suite and all examples.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use act::loops::interp;

use crate::inputs;
use crate::subject::{Data, How, Kind, Spacing, Split, Subject, assert_same, subjects};

/// The split form on every engine, against the interpreter's run of the ordinary form.
fn same_as_whole(subject: &Subject, split: &Split, data: &Data) {
    let expected = subject.interpret(&subject.numeric, data, &interp::Options::default());
    same_as(subject, split, data, &expected);
}

fn same_as(subject: &Subject, split: &Split, data: &Data, expected: &[interp::Array]) {
    let same = |what: &str, found: &[interp::Array]| assert_same(subject, data, what, expected, found);
    for (cuts, backwards) in [(&[][..], false), (&[1, 2, 5, 8, 20, 36][..], true)] {
        let options = interp::Options { cuts, backwards, in_place: &[] };
        same("split, numeric", &subject.interpret(&split.numeric, data, &options));
        same("split, layout", &subject.interpret(&split.layout, data, &options));
    }
    for threads in [1, 3] {
        let how = How { threads, split: true, ..How::PLAIN };
        same("split, machine code", &subject.execute(data, &how));
    }
    let how = How { spacing: Spacing::Padded, threads: 2, split: true, ..How::PLAIN };
    same("split, machine code, padded", &subject.execute(data, &how));
    for &pair in &split.numeric.in_place {
        let in_place = &[pair];
        let options = interp::Options { cuts: &[1, 2, 5, 8], backwards: true, in_place };
        same("split, numeric, in place", &subject.interpret(&split.numeric, data, &options));
        let how = How { threads: 3, in_place: vec![pair], split: true, ..How::PLAIN };
        same("split, in place", &subject.execute(data, &how));
    }
}

/// Sizes of all dimensions, one of which is so long.
fn sizes_with(subject: &Subject, long: usize, length: i64, others: i64) -> Option<Vec<i64>> {
    let dims = subject.free_dims();
    let size = |at: usize| if at == long { length } else { others };
    let known: Vec<(&str, i64)> =
        dims.iter().enumerate().map(|(at, name)| (name.as_str(), size(at))).collect();
    subject.sizes(&known)
}

/// A kernel of the suite.
fn kernel(file: &str, name: &str) -> Subject {
    let input = inputs::suite().into_iter().find(|input| input.name == file).expect("it is in the suite");
    let subject = subjects(&input).into_iter().find(|subject| subject.source.name == name);
    subject.unwrap_or_else(|| panic!("{file} has no kernel {name}"))
}

#[test]
fn split_rows_give_the_same_bits() {
    let mut split_kernels = 0;
    for input in inputs::kernels() {
        for subject in subjects(&input) {
            let Some(split) = subject.split() else { continue };
            split_kernels += 1;
            let dims = subject.free_dims().len();
            for turn in 0..dims.max(1) {
                for (length, others) in [(3, 2), (70, 3), (0, 2), (1, 1), (300, 1)] {
                    let Some(sizes) = sizes_with(&subject, turn, length, others) else { continue };
                    if subject.largest(&sizes) > 5_000 {
                        continue;
                    }
                    let kind = Kind::ALL[(turn + length as usize) % 3];
                    let data = subject.data(sizes, kind, turn as u64);
                    same_as_whole(&subject, &split, &data);
                }
            }
        }
    }
    assert!(split_kernels > 150, "only {split_kernels} kernels have such a form");
}

/// Several blocks for every kernel, on machine code; whether that is what the interpreter gives, others ask.
#[test]
fn several_blocks_give_the_same_bits() {
    for input in inputs::kernels() {
        for subject in subjects(&input) {
            if subject.split().is_none() {
                continue;
            }
            for turn in 0..subject.free_dims().len() {
                for (length, others) in [(17_000, 1), (600, 45), (16_384, 3)] {
                    let Some(sizes) = sizes_with(&subject, turn, length, others) else { continue };
                    if subject.largest(&sizes) > 100_000 {
                        continue;
                    }
                    let kind = Kind::ALL[(turn + length as usize) % 3];
                    let data = subject.data(sizes, kind, turn as u64);
                    let expected = subject.execute(&data, &How::PLAIN);
                    let how = How { threads: 3, split: true, ..How::PLAIN };
                    assert_same(
                        &subject,
                        &data,
                        "split, 3 threads",
                        &expected,
                        &subject.execute(&data, &how),
                    );
                }
            }
        }
    }
}

/// Kernels with every form of reduction, and which of their dimensions is long.
const LONG: [(&str, &str, &str); 17] = [
    ("reduce-orders", "vector", "d"),
    ("reduce-orders", "four", "d"),
    ("reduce-orders", "weighted", "n"),
    ("reduce-orders", "trailing_pair", "a"),
    ("reduce-orders", "ends", "b"),
    ("softmax-rows", "safe", "d"),
    ("norm-rows", "layer", "d"),
    ("types-mixed", "double_layer", "d"),
    ("types-mixed", "double_columns", "d"),
    ("types-mixed", "whole_numbers", "d"),
    ("reduce-orders", "nested", "n"),
    ("softmax-columns", "first", "d"),
    ("reduction-online", "logsumexp_online", "d"),
    ("reduction-online", "softmax_columns", "d"),
    ("reduction-online", "filtered", "d"),
    ("reduction-states", "variance", "d"),
    ("reduction-positions", "largest", "d"),
];

#[test]
fn blocks_have_the_same_borders() {
    for (file, name, long) in LONG {
        let subject = kernel(file, name);
        let split = subject.split().expect("it has reductions");
        let at = subject.free_dims().iter().position(|dim| dim == long).expect("a dimension of the kernel");
        for (number, length) in [255, 256, 257, 8191, 8192, 8193, 24_577].into_iter().enumerate() {
            let sizes = sizes_with(&subject, at, length, 1).expect("sizes of a long row");
            let data = subject.data(sizes, Kind::ALL[number % 2], number as u64);
            same_as_whole(&subject, &split, &data);
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for (file, name, long) in LONG {
        let subject = kernel(file, name);
        let at = subject.free_dims().iter().position(|dim| dim == long).expect("a dimension of the kernel");
        for (number, length) in [8193, (1 << 18) + 5].into_iter().enumerate() {
            let sizes = sizes_with(&subject, at, length, 1).expect("sizes of a long row");
            let data = subject.data(sizes, Kind::ALL[number % 2], number as u64);
            let expected = subject.execute(&data, &How::PLAIN);
            for threads in (1..=16).chain([0]) {
                for split in [false, true] {
                    let how = How { threads, split, ..How::PLAIN };
                    let found = subject.execute(&data, &how);
                    assert_same(&subject, &data, &format!("{threads} threads"), &expected, &found);
                }
            }
        }
    }
}

/// The form is made by the first call that it pays for, and by no other.
#[test]
fn the_form_is_made_when_it_pays() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    let (whole, mut subject) = (kernel("softmax-rows", "safe"), kernel("softmax-rows", "safe"));
    let form = subject.kernel.clone();
    subject.kernel = subject.kernel.with_split(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        form.split().cloned()
    });
    let call = |rows: i64, d: i64, threads: usize| {
        let dims = subject.free_dims();
        let sizes = subject.sizes(&[(&dims[0], rows), ("d", d)]).expect("sizes of rows");
        let data = subject.data(sizes, Kind::Ordinary, 1);
        let expected = whole.execute(&data, &How::PLAIN);
        let how = How { threads, eager: false, ..How::PLAIN };
        assert_same(&subject, &data, "as called", &expected, &subject.execute(&data, &how));
        made.load(Ordering::Relaxed)
    };
    assert_eq!(call(1, 1 << 18, 1), 0, "one thread has nothing to share");
    assert_eq!(call(1, 10_000, 4), 0, "there is too little to do");
    assert_eq!(call(64, 1 << 13, 4), 0, "there are rows enough");
    assert_eq!(call(1, 1 << 18, 4), 1, "threads share the row");
    assert_eq!(call(2, (1 << 18) + 5, 4), 1, "it is made once");
}
