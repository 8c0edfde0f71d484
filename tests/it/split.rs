//! The form of kernels in which threads share what is in a row: it gives the bits of the ordinary form, on the interpreter and
//! as machine code, however its phases are cut, around the borders of blocks, for all kernels of the suite and all examples.

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
    let known: Vec<(&str, i64)> = dims.iter().enumerate().map(|(at, name)| (name.as_str(), size(at))).collect();
    subject.sizes(&known)
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
    assert!(split_kernels > 200, "only {split_kernels} kernels have such a form");
}
