//! The short way against the general one: the same calls, made both ways, give the code the same arguments or end in
//! the same error. And which calls take the short way, so that none is lost to the general one unnoticed.

use crate::abi::*;
use crate::kernel::{Numbers, Team};
use crate::shape::Asked;
use crate::tests::Maker;
use crate::{Error, Kernel, Tensor, TensorView, TensorViewMut, view, view_mut, view_strided};
use std::cell::RefCell;
use std::sync::Arc;

/// The calling thread only.
const ALONE: Team = Team { threads: 1, least_work: 1 };

/// What the code was called with: arrays, sizes, strides, scalars, and the extent of each phase.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    data: Vec<usize>,
    sizes: Vec<i64>,
    strides: Vec<i64>,
    scalars: Vec<u64>,
    extents: Vec<i64>,
}

thread_local! {
    /// How many of each there are.
    static COUNTS: RefCell<[usize; 4]> = const { RefCell::new([0; 4]) };
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// Notes what it is called with.
unsafe extern "C" fn note(args: *const KernelArgs, scratch: *mut u8, lo: i64, hi: i64) {
    /// Copies what an argument points to.
    ///
    /// # Safety
    /// There are so many.
    unsafe fn list<T: Copy>(ptr: *const T, count: usize) -> Vec<T> {
        // SAFETY: passed on. Where there are none the pointer is not looked at.
        (0..count).map(|index| unsafe { *ptr.add(index) }).collect()
    }
    assert_eq!(lo, 0);
    let [data, sizes, strides, scalars] = COUNTS.with_borrow(|counts| *counts);
    // SAFETY: the counts are those of the variant that is called.
    unsafe {
        let args = &*args;
        assert!((scratch as usize).is_multiple_of(64) && (args.shared as usize).is_multiple_of(64));
        SEEN.with_borrow_mut(|seen| {
            seen.data = list(args.data, data).into_iter().map(|ptr| ptr as usize).collect();
            seen.sizes = list(args.sizes, sizes);
            seen.strides = list(args.strides, strides);
            seen.scalars = list(args.scalars, scalars);
            seen.extents.push(hi);
        });
    }
}

fn kernel_of(signature: Signature, variants: Vec<Variant>) -> Kernel {
    let functions = variants.iter().map(|variant| vec![note as PhaseFn; variant.phases.len()]).collect();
    // SAFETY: `note` only reads its arguments.
    unsafe { Kernel::from_raw(signature, Abi { variants }, functions, Arc::new(())) }.unwrap()
}

fn kernel(maker: Maker) -> Kernel {
    let (signature, variant) = maker.describe();
    kernel_of(signature, vec![variant])
}

/// Makes the call both ways. Tells what the code saw, and whether the short way was taken.
fn both(
    kernel: &Kernel,
    inputs: &[TensorView<'_>],
    outputs: &mut [TensorViewMut<'_>],
    numbers: &[f64],
) -> (Result<Seen, Error>, bool) {
    let variant = &kernel.abi().variants[0];
    let strides = variant.tensors.iter().map(|tensor| tensor.groups.len()).sum();
    COUNTS.set([variant.tensors.len(), variant.sizes.len(), strides, variant.scalars.len()]);
    SEEN.take();
    let quick = kernel.runs_quickly(inputs, outputs, numbers);
    let seen = SEEN.take();
    let general = kernel.run_generally(inputs, outputs, Numbers::ByPlace(numbers), Asked::default(), ALONE);
    let general = general.map(|()| SEEN.take());
    if quick {
        assert_eq!(general.as_ref(), Ok(&seen));
    } else {
        assert_eq!(seen, Seen::default(), "something ran");
    }
    SEEN.take();
    let whole = kernel.call(inputs, outputs, numbers).map(|()| SEEN.take());
    match (&whole, &general) {
        // Arrays that the call makes are elsewhere each time.
        (Ok(a), Ok(b)) => assert_eq!((&a.sizes, &a.strides), (&b.sizes, &b.strides)),
        (a, b) => assert_eq!(a, b),
    }
    (general, quick)
}

/// As [`both`], with dense arrays of these shapes.
fn shapes(kernel: &Kernel, inputs: &[&[usize]], outputs: &[&[usize]]) -> (Result<Seen, Error>, bool) {
    let make = |shape: &&[usize]| Tensor::zeros(DType::F32, shape).unwrap();
    let inputs: Vec<_> = inputs.iter().map(make).collect();
    let mut outputs: Vec<_> = outputs.iter().map(make).collect();
    let inputs: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let mut outputs: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
    both(kernel, &inputs, &mut outputs, &[])
}

fn rms() -> Maker {
    Maker::default().takes("x: .., d").takes("w: d").gives("y: .., d").in_place(0, 0)
}

#[test]
fn dense_arrays_take_the_short_way() {
    let relu = || Maker::default().takes("x: ..").gives("y: ..");
    let swiglu =
        || Maker::default().dim("half", DimKind::Fixed(2)).takes("x: .., (half d)").gives("y: .., d");
    let groups =
        || Maker::default().dim("g", DimKind::Fixed(4)).takes("x: n, (g k), h").gives("y: n, (g k), h");
    let square = || Maker::default().takes("x: n, n").gives("y: n");
    let scalar = || Maker::default().takes("x: n").takes("s:").gives("y: n").gives("t:");
    let middle = || Maker::default().takes("x: a, .., b").takes("z: .., a").gives("y: b, ..");
    let split = || Maker::default().takes("x: n, (g k)").takes("v: g").gives("y: n");
    type Case<'a> = (Maker, &'a [&'a [usize]], &'a [&'a [usize]], &'a [i64], &'a [i64]);
    let cases: &[Case<'_>] = &[
        (relu(), &[&[]], &[&[]], &[1], &[1, 1]),
        (relu(), &[&[7]], &[&[7]], &[7], &[1, 1]),
        (relu(), &[&[2, 3, 1, 2, 5]], &[&[2, 3, 1, 2, 5]], &[60], &[1, 1]),
        (relu(), &[&[2; 8]], &[&[2; 8]], &[256], &[1, 1]),
        (rms(), &[&[5], &[5]], &[&[5]], &[1, 5], &[5, 1, 1, 5, 1]),
        (rms(), &[&[3, 5], &[5]], &[&[3, 5]], &[3, 5], &[5, 1, 1, 5, 1]),
        (rms(), &[&[1, 2, 3, 4, 5, 6], &[6]], &[&[1, 2, 3, 4, 5, 6]], &[120, 6], &[6, 1, 1, 6, 1]),
        (swiglu(), &[&[3, 10]], &[&[3, 5]], &[2, 3, 5], &[10, 1, 5, 1]),
        (groups(), &[&[2, 12, 5]], &[&[2, 12, 5]], &[4, 2, 3, 5], &[60, 5, 1, 60, 5, 1]),
        (square(), &[&[4, 4]], &[&[4]], &[4], &[4, 1, 1]),
        (scalar(), &[&[3], &[]], &[&[3], &[]], &[3], &[1, 1]),
        (middle(), &[&[2, 3, 4, 5], &[3, 4, 2]], &[&[5, 3, 4]], &[2, 12, 5], &[60, 5, 1, 2, 1, 12, 1]),
        (middle(), &[&[2, 5], &[2]], &[&[5]], &[2, 1, 5], &[5, 5, 1, 2, 1, 1, 1]),
        (split(), &[&[2, 12], &[3]], &[&[2]], &[2, 3, 4], &[12, 1, 1, 1]),
    ];
    for (maker, inputs, outputs, sizes, strides) in cases {
        let kernel = kernel(maker.clone());
        let (seen, quick) = shapes(&kernel, inputs, outputs);
        let seen = seen.unwrap();
        assert_eq!((&seen.sizes[..], &seen.strides[..]), (*sizes, *strides), "{inputs:?}");
        assert!(quick, "{inputs:?}");
    }
}

#[test]
fn other_arrays_are_left_to_the_general_way() {
    let plain = kernel(rms());
    let middle = kernel(Maker::default().takes("x: a, .., b").takes("z: .., a").gives("y: b, .."));
    let group = || Maker::default().dim("g", DimKind::Fixed(4)).takes("x: (g k)").takes("v: k").gives("y: k");
    type Case<'a> = (&'a Kernel, &'a [&'a [usize]], &'a [&'a [usize]], Option<&'a str>);
    let group = kernel(group());
    let cases: &[Case<'_>] = &[
        (&plain, &[&[0, 5], &[5]], &[&[0, 5]], None),
        (&plain, &[&[3, 0], &[0]], &[&[3, 0]], None),
        (
            &plain,
            &[&[3, 5], &[4]],
            &[&[3, 5]],
            Some("dimension `d` is 5 in `x` (axis 1) but 4 in `w` (axis 0)"),
        ),
        (
            &plain,
            &[&[3, 5], &[5]],
            &[&[3, 4]],
            Some("dimension `d` is 5 in `x` (axis 1) but 4 in `y` (axis 1)"),
        ),
        (&plain, &[&[3, 5], &[5]], &[&[4, 5]], Some("the leading axes `..` are [3] in `x` but [4] in `y`")),
        (
            &plain,
            &[&[2, 3, 5], &[5]],
            &[&[6, 5]],
            Some("the leading axes `..` are [2, 3] in `x` but [6] in `y`"),
        ),
        (
            &plain,
            &[&[2, 3, 5], &[5]],
            &[&[3, 2, 5]],
            Some("the leading axes `..` are [2, 3] in `x` but [3, 2] in `y`"),
        ),
        (&plain, &[&[], &[5]], &[&[5]], Some("`x` is `[.., d]`, but an array with 0 axes was given: []")),
        (&plain, &[&[5], &[5]], &[&[]], Some("`y` is `[.., d]`, but an array with 0 axes was given: []")),
        (&plain, &[&[5], &[1, 5]], &[&[5]], Some("`w` is `[d]`, but an array with 2 axes was given: [1, 5]")),
        (&middle, &[&[2], &[]], &[&[]], Some("`x` is `[a, .., b]`, but an array with 1 axis was given: [2]")),
        (
            &group,
            &[&[10], &[2]],
            &[&[2]],
            Some("axis 0 of `x` is `(g=4 k)` and has size 10, which can't be divided by `g` = 4"),
        ),
    ];
    for (kernel, inputs, outputs, expected) in cases {
        let (result, quick) = shapes(kernel, inputs, outputs);
        assert!(!quick, "{inputs:?}");
        match (result, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => assert_eq!(error.to_string(), *expected),
            (result, expected) => panic!("{inputs:?}: {result:?}, not {expected:?}"),
        }
    }
}

#[test]
fn other_views_are_left_to_the_general_way() {
    let kernel = kernel(Maker::default().takes("x: n, d").takes_or("w: d", 1.0).gives("y: n, d"));
    let (x, w, ints) = ([0.0f32; 12], [0.0f32; 3], [0i32; 3]);
    let mut y = [0.0f32; 6];
    let xv = || view(&x[..6], [2, 3]);
    let mut call = |x, w| both(&kernel, &[x, w], &mut [view_mut(&mut y, [2, 3])], &[]);
    assert!(call(xv(), view(&w, [3])).1);
    // Dense all the same.
    let (seen, quick) = call(view_strided(&x, [2, 3], [3, 1]), view_strided(&w, [3], [1]));
    assert!(seen.is_ok() && quick);
    let (seen, quick) = call(view_strided(&x, [2, 3], [6, 1]), view(&w, [3]));
    assert_eq!((seen.unwrap().strides, quick), (vec![6, 1, 1, 3, 1], false));
    let (seen, quick) = call(view_strided(&x, [2, 3], [1, 2]), view(&w, [3]));
    assert_eq!((seen.unwrap().strides, quick), (vec![3, 1, 1, 3, 1], false));
    let (seen, quick) = call(xv(), TensorView::absent());
    assert_eq!((seen.unwrap().strides, quick), (vec![3, 1, 1, 3, 1], false));
    let mut fails = |x, w, expected: &str| {
        let (seen, quick) = call(x, w);
        assert_eq!((seen.unwrap_err().to_string(), quick), (expected.to_owned(), false));
    };
    fails(TensorView::absent(), view(&w, [3]), "array parameter `x` was not given and has no default");
    fails(xv(), view(&ints, [3]), "`w` is f32, but i32 was given");
    fails(xv(), view(&w, [4]), "`w`: the shape has 4 elements, but the slice has 3");
    fails(view(&x, [1; 9]), view(&w, [3]), "`x`: 9 axes; the limit is 8");
    fails(view(&x, [usize::MAX, 3]), view(&w, [3]), &format!("`x`: {}", crate::ViewError::TooLarge));
}

#[test]
fn numbers_are_laid_out() {
    let maker = Maker::default().takes("x: n").number("a", DType::F32, Some(0.5));
    let maker = maker.number("m", DType::I32, Some(-3.0)).number("on", DType::Bool, Some(1.0)).gives("y: n");
    let (signature, mut variant) = maker.number("b", DType::F64, Some(2.0)).describe();
    let half = u64::from(0.5f32.to_bits());
    let three = u64::from(-3i32 as u32);
    // The code takes them in another order, and not all.
    variant.scalars = vec![4, 1, 2];
    let some = kernel_of(signature.clone(), vec![variant.clone()]);
    let x = [0.0f32; 2];
    let mut y = [0.0f32; 2];
    let mut call = |kernel: &Kernel, numbers: &[f64]| {
        let (seen, quick) = both(kernel, &[view(&x, [2])], &mut [view_mut(&mut y, [2])], numbers);
        (seen.map(|seen| seen.scalars).map_err(|error| error.to_string()), quick)
    };
    assert_eq!(call(&some, &[]), (Ok(vec![2f64.to_bits(), half, three]), true));
    let seven = u64::from(7f32.to_bits());
    assert_eq!(call(&some, &[7.0, 8.0, 0.0, 1.0]), (Ok(vec![1f64.to_bits(), seven, 8]), true));
    assert_eq!(call(&some, &[7.0, 8.5, 0.0, 1.0]), (Err("`m` is i32 and can't be 8.5".into()), false));
    assert_eq!(call(&some, &[7.0, 8.0, 2.0, 1.0]), (Err("`on` is bool and can't be 2".into()), false));
    variant.scalars = vec![1, 1];
    let twice = kernel_of(signature, vec![variant]);
    assert_eq!(call(&twice, &[]), (Ok(vec![half, half]), false));
    let needed = kernel(Maker::default().takes("x: n").number("a", DType::F32, None).gives("y: n"));
    let missing = "number `a` was not given and has no default".to_owned();
    assert_eq!(call(&needed, &[]), (Err(missing), false));
    assert_eq!(call(&needed, &[0.5]), (Ok(vec![half]), true));
}

#[test]
fn overlaps_are_refused_and_in_place_is_allowed() {
    let maker = || Maker::default().takes("x: n").takes("w: n").gives("y: n").gives("z: n").in_place(0, 1);
    let kernel = kernel(maker());
    let mut memory = [0.0f32; 16];
    let start = memory.as_mut_ptr().cast::<u8>();
    let call = |offsets: [usize; 4]| {
        // SAFETY: four elements inside `memory`, which is only used through these views.
        let input =
            |offset: usize| unsafe { TensorView::from_raw(DType::F32, start.add(4 * offset), &[4], &[1]) };
        // SAFETY: as above.
        let output =
            |offset: usize| unsafe { TensorViewMut::from_raw(DType::F32, start.add(4 * offset), &[4], &[1]) };
        let [x, w, y, z] = offsets;
        let (seen, quick) = both(&kernel, &[input(x), input(w)], &mut [output(y), output(z)], &[]);
        (seen.map(|_| ()).map_err(|error| error.to_string()), quick)
    };
    assert_eq!(call([0, 4, 8, 12]), (Ok(()), true));
    assert_eq!(call([12, 8, 4, 0]), (Ok(()), true));
    assert_eq!(call([0, 0, 8, 12]), (Ok(()), true));
    assert_eq!(call([0, 4, 8, 0]), (Ok(()), true));
    let shared = |a, b| Err(format!("`{a}` and `{b}` share memory, but are not the same array"));
    let same =
        |a, b| Err(format!("`{a}` and `{b}` are the same memory; the kernel can't run in place on them"));
    assert_eq!(call([0, 4, 0, 12]), (same("x", "y"), false));
    assert_eq!(call([0, 4, 8, 4]), (same("w", "z"), false));
    assert_eq!(call([0, 4, 8, 8]), (same("y", "z"), false));
    assert_eq!(call([0, 4, 8, 11]), (shared("y", "z"), false));
    assert_eq!(call([0, 4, 3, 12]), (shared("x", "y"), false));
    assert_eq!(call([5, 0, 8, 12]), (shared("x", "y"), false));
    assert_eq!(call([0, 8, 4, 1]), (shared("x", "z"), false));
    assert_eq!(call([0, 5, 8, 12]), (shared("w", "y"), false));
}

#[test]
fn room_is_limited() {
    let with = |arrays: usize| {
        let names = ["p", "q", "r", "s", "t", "u", "v", "w", "x"];
        let maker = names[..arrays]
            .iter()
            .fold(Maker::default(), |maker, name| maker.takes(&format!("{name}: a, b, c, d")));
        kernel(maker.gives("y: a, b, c, d"))
    };
    // Strides and sizes: 12, 24, 36 and more; the first two have room.
    for (arrays, expected) in [(1, true), (4, true), (7, false), (8, false), (9, false)] {
        let shape = [2usize, 3, 4, 5];
        let (seen, quick) = shapes(&with(arrays), &vec![&shape[..]; arrays], &[&shape]);
        let seen = seen.unwrap();
        assert_eq!((&seen.sizes[..], &seen.strides[..4]), (&[2, 3, 4, 5][..], &[60, 20, 5, 1][..]));
        assert_eq!(quick, expected, "{arrays}");
    }
    let vectors = |count: usize| {
        let names = ["p", "q", "r", "s", "t", "u", "v", "w", "x"];
        let maker =
            names[..count].iter().fold(Maker::default(), |maker, name| maker.takes(&format!("{name}: a")));
        kernel(maker.gives("y: a"))
    };
    for (count, expected) in [(7, true), (8, false), (9, false)] {
        let (seen, quick) = shapes(&vectors(count), &vec![&[4][..]; count], &[&[4]]);
        assert_eq!((seen.unwrap().strides, quick), (vec![1; count + 1], expected));
    }
    let numbers = |count: usize| {
        let maker = Maker::default().takes("x: n").gives("y: n");
        kernel(
            (0..count).fold(maker, |maker, index| maker.number(&format!("e{index}"), DType::F64, Some(1.0))),
        )
    };
    for (count, expected) in [(7, true), (8, false)] {
        let (seen, quick) = shapes(&numbers(count), &[&[4]], &[&[4]]);
        assert_eq!((seen.unwrap().scalars, quick), (vec![1f64.to_bits(); count], expected));
    }
    let computed = Maker::default().dim("k", DimKind::Free).dim("j", DimKind::Computed(SizeExpr::Dim(0)));
    let (seen, quick) = shapes(&kernel(computed.takes("x: k").gives("y: j")), &[&[3]], &[&[3]]);
    assert_eq!((seen.unwrap().sizes, quick), (vec![3, 3], false));
    let unknown = kernel(Maker::default().takes("x: n, (g k)").gives("y: n"));
    assert!(!shapes(&unknown, &[&[2, 6]], &[&[2]]).1);
}

fn two(make: fn(Box<SizeExpr>, Box<SizeExpr>) -> SizeExpr, a: SizeExpr, b: SizeExpr) -> SizeExpr {
    make(Box::new(a), Box::new(b))
}

#[test]
fn sizes_are_computed_and_refused_alike() {
    use SizeExpr::{Add, CeilDiv, Const, Dim, Div, Mul, Sub};
    let (signature, mut variant) = Maker::default().takes("x: n, d").gives("y: n, d").describe();
    let rows = two(Mul, Dim(0), two(CeilDiv, Dim(1), Const(4)));
    variant.sizes = vec![
        two(Div, two(Mul, Dim(0), Const(6)), Const(3)),
        rows.clone(),
        Const(9),
        two(Sub, Dim(1), Const(2)),
    ];
    variant.shared = two(Mul, Const(64), two(Sub, Dim(1), Const(3)));
    variant.phases.push(variant.phases[0].clone());
    variant.phases[0].extent = rows.clone();
    variant.phases[1].extent = two(Add, Dim(1), Const(-4));
    variant.phases[1].scratch = two(Mul, Const(4), Dim(1));
    let kernel = kernel_of(signature.clone(), vec![variant.clone()]);
    // On the stack, and lent.
    for (n, d) in [(2, 5), (3, 400), (2, 4)] {
        let (seen, quick) = shapes(&kernel, &[&[n, d]], &[&[n, d]]);
        let (n, d) = (n as i64, d as i64);
        let rows = n * ((d + 3) / 4);
        let extents = if d > 4 { vec![rows, d - 4] } else { vec![rows] };
        let seen = seen.unwrap();
        assert_eq!((seen.sizes, seen.extents, quick), (vec![2 * n, rows, 9, d - 2], extents, true));
    }
    let too_large = "the work of `k` is too large: the limit is 2^48 - 1 elements";
    for shape in [[2, 3], [2, 2], [2, 1]] {
        let (seen, quick) = shapes(&kernel, &[&shape], &[&shape]);
        assert_eq!((seen.unwrap_err().to_string(), quick), (too_large.to_owned(), false));
    }
    for wrong in
        [two(Div, Dim(0), Const(7)), two(Mul, Dim(0), Const(i64::MAX)), two(CeilDiv, Dim(0), Const(0))]
    {
        variant.sizes[0] = wrong;
        let kernel = kernel_of(signature.clone(), vec![variant.clone()]);
        let (seen, quick) = shapes(&kernel, &[&[2, 5]], &[&[2, 5]]);
        assert_eq!((seen.unwrap_err().to_string(), quick), (too_large.to_owned(), false));
    }
}

#[test]
fn guards_choose_the_variant() {
    let (signature, mut last) = Maker::default().takes("x: n").gives("y: n").describe();
    last.sizes = vec![SizeExpr::Const(2)];
    let mut variants = vec![last];
    for (most, mark) in [(8, 1), (4, 0)] {
        let mut first = variants[0].clone();
        first.guard = Some((SizeExpr::Dim(0), most));
        first.sizes = vec![SizeExpr::Const(mark)];
        variants.insert(0, first);
    }
    let kernel = kernel_of(signature, variants);
    for (n, mark) in [(4, 0), (5, 1), (8, 1), (9, 2)] {
        let (seen, quick) = shapes(&kernel, &[&[n]], &[&[n]]);
        assert_eq!((seen.unwrap().sizes, quick), (vec![mark], true));
    }
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// Axes of an array: at most one `..`, the other ones of one or two dimensions.
    fn axes(&mut self) -> Vec<String> {
        let names = ["a", "b", "c", "d"];
        let mut axes: Vec<String> = (0..self.below(4))
            .map(|_| {
                let first = names[self.below(4)];
                if self.chance(4) { format!("({first} {})", names[self.below(4)]) } else { first.to_owned() }
            })
            .collect();
        if self.chance(2) {
            axes.insert(self.below(axes.len() + 1), "..".to_owned());
        }
        axes
    }
}

#[test]
fn random_calls_agree() {
    let mut random = Random(1);
    let mut counts = [0; 3];
    for _ in 0..4000 {
        let inputs: Vec<Vec<String>> = (0..random.below(4)).map(|_| random.axes()).collect();
        let outputs: Vec<Vec<String>> = (0..1 + random.below(2)).map(|_| random.axes()).collect();
        let mut maker = Maker::default().dim("d", DimKind::Fixed(2));
        for (index, axes) in inputs.iter().enumerate() {
            maker = maker.takes(&format!("x{index}: {}", axes.join(", ")));
        }
        for (index, axes) in outputs.iter().enumerate() {
            maker = maker.gives(&format!("y{index}: {}", axes.join(", ")));
        }
        let kernel = kernel(maker);
        for _ in 0..3 {
            let sizes = [1 + random.below(3), 1 + random.below(3), random.below(6), 2];
            let leading: Vec<usize> = (0..random.below(3)).map(|_| 1 + random.below(3)).collect();
            let mut shape = |axes: &Vec<String>| {
                let mut shape = Vec::new();
                for axis in axes {
                    if axis == ".." {
                        shape.extend(&leading);
                    } else {
                        let dims = axis.bytes().filter(u8::is_ascii_lowercase);
                        shape.push(dims.map(|dim| sizes[usize::from(dim - b'a')]).product());
                    }
                }
                // Now and then wrong.
                match random.below(40) {
                    0 => shape.push(1),
                    1 => drop(shape.pop()),
                    2 => shape.iter_mut().take(1).for_each(|size| *size += 1),
                    3 => shape.reverse(),
                    _ => {}
                }
                shape
            };
            let inputs: Vec<Vec<usize>> = inputs.iter().map(&mut shape).collect();
            let outputs: Vec<Vec<usize>> = outputs.iter().map(&mut shape).collect();
            let inputs: Vec<&[usize]> = inputs.iter().map(Vec::as_slice).collect();
            let outputs: Vec<&[usize]> = outputs.iter().map(Vec::as_slice).collect();
            let (seen, quick) = shapes(&kernel, &inputs, &outputs);
            counts[usize::from(seen.is_ok()) + usize::from(quick)] += 1;
        }
    }
    // Enough of each: errors, the general way, the short way.
    assert!(counts.iter().all(|&count| count > 500), "{counts:?}");
}
