//! Calls of kernels written by hand: what is bound, refused, copied, split and restored.

use crate::abi::*;
use crate::object::LinkedKernel;
use crate::{Error, Isa, Kernel, Module, Tensor, TensorView, TensorViewMut};
use crate::{view, view_mut, view_mut_strided, view_strided};
use std::sync::Arc;

/// Makes descriptions from short texts.
#[derive(Clone, Default)]
pub(crate) struct Maker {
    dims: Vec<DimDecl>,
    params: Vec<ParamDecl>,
    results: Vec<ParamDecl>,
    dim_params: Vec<(String, i64)>,
    in_place: Vec<(u32, u32)>,
}

impl Maker {
    pub(crate) fn dim(mut self, name: &str, kind: DimKind) -> Maker {
        self.dims.push(DimDecl { name: name.into(), kind });
        self
    }

    pub(crate) fn index(&mut self, name: &str) -> u32 {
        if let Some(index) = self.dims.iter().position(|dim| dim.name == name) {
            return index as u32;
        }
        let kind = if name == ".." { DimKind::Leading } else { DimKind::Free };
        self.dims.push(DimDecl { name: name.into(), kind });
        self.dims.len() as u32 - 1
    }

    /// `x: n, (g k)`.
    pub(crate) fn array(&mut self, text: &str, dtype: DType, default: Option<f64>) -> ParamDecl {
        let (name, axes) = text.split_once(':').unwrap();
        let axes = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty());
        let axes: Vec<Vec<u32>> = axes
            .map(|axis| axis.trim_matches(['(', ')']).split(' ').map(|dim| self.index(dim)).collect())
            .collect();
        ParamDecl {
            name: name.into(),
            dtype,
            kind: ParamKind::Array { axes, default },
            range: None,
            doc: String::new(),
        }
    }

    pub(crate) fn takes(mut self, text: &str) -> Maker {
        let array = self.array(text, DType::F32, None);
        self.params.push(array);
        self
    }

    pub(crate) fn takes_or(mut self, text: &str, default: f64) -> Maker {
        let array = self.array(text, DType::F32, Some(default));
        self.params.push(array);
        self
    }

    pub(crate) fn gives(mut self, text: &str) -> Maker {
        let array = self.array(text, DType::F32, None);
        self.results.push(array);
        self
    }

    pub(crate) fn number(mut self, name: &str, dtype: DType, default: Option<f64>) -> Maker {
        let kind = ParamKind::Scalar { default };
        self.params.push(ParamDecl { name: name.into(), dtype, kind, range: None, doc: String::new() });
        self
    }

    pub(crate) fn in_place(mut self, param: u32, result: u32) -> Maker {
        self.in_place.push((param, result));
        self
    }

    pub(crate) fn describe(self) -> (Signature, Variant) {
        let layout =
            |(index, decl): (usize, &ParamDecl), source: fn(u32) -> Result<u32, u32>| match &decl.kind {
                ParamKind::Array { axes, .. } => {
                    Some(TensorLayout { source: source(index as u32), groups: axes.clone() })
                }
                ParamKind::Scalar { .. } => None,
            };
        let params = self.params.iter().enumerate().filter_map(|item| layout(item, Ok));
        let results = self.results.iter().enumerate().filter_map(|item| layout(item, Err));
        let scalars = self.params.iter().enumerate();
        let scalars = scalars.filter(|(_, decl)| matches!(decl.kind, ParamKind::Scalar { .. }));
        let variant = Variant {
            guard: None,
            sizes: (0..self.dims.len() as u32).map(SizeExpr::Dim).collect(),
            tensors: params.chain(results).collect(),
            scalars: scalars.map(|(index, _)| index as u32).collect(),
            shared: SizeExpr::Const(0),
            phases: vec![Phase {
                symbol: "k_0".into(),
                extent: SizeExpr::Dim(0),
                grain: 1,
                scratch: SizeExpr::Const(0),
                work: SizeExpr::Const(1 << 20),
            }],
            in_place: self.in_place,
        };
        let signature = Signature {
            name: "k".into(),
            doc: String::new(),
            dims: self.dims,
            params: self.params,
            results: self.results,
            dim_params: self.dim_params,
        };
        (signature, variant)
    }

    pub(crate) fn make(self, function: PhaseFn) -> Kernel {
        let (signature, variant) = self.describe();
        let abi = Abi { variants: vec![variant] };
        // SAFETY: the tests use functions that do what the description says.
        unsafe { Kernel::from_raw(signature, abi, vec![vec![function]], Arc::new(())) }.unwrap()
    }
}

unsafe extern "C" fn nothing(_: *const KernelArgs, _: *mut u8, _: i64, _: i64) {}

/// `y[i, j] = x[i, j] * w[j] + eps` for `x: n, d`, `w: d`, one group per axis; sizes are `n, d`.
unsafe extern "C" fn affine(args: *const KernelArgs, _: *mut u8, lo: i64, hi: i64) {
    // SAFETY: called with the layout of `affine_kernel`.
    unsafe {
        let args = &*args;
        let pointer = |index: usize| (*args.data.add(index)).cast::<f32>();
        let stride = |index: usize| *args.strides.add(index) as isize;
        let eps = f32::from_bits(*args.scalars as u32);
        assert_eq!([stride(1), stride(2), stride(4)], [1; 3]);
        for i in lo..hi {
            for j in 0..*args.sizes.add(1) as isize {
                let x = *pointer(0).offset(i as isize * stride(0) + j);
                *pointer(2).offset(i as isize * stride(3) + j) = x * *pointer(1).offset(j) + eps;
            }
        }
    }
}

fn affine_maker() -> Maker {
    let maker = Maker::default().takes("x: n, d").takes_or("w: d", 1.0);
    maker.number("eps", DType::F32, Some(0.5)).gives("y: n, d").in_place(0, 0)
}

fn affine_kernel() -> Kernel {
    affine_maker().make(affine)
}

fn message(result: Result<(), Error>) -> String {
    result.unwrap_err().to_string()
}

/// As `call`, with arrays of these shapes.
fn call_shapes(kernel: &Kernel, inputs: &[&[usize]], outputs: &[&[usize]]) -> Result<(), Error> {
    let make = |shape: &&[usize]| Tensor::zeros(DType::F32, shape).unwrap();
    let inputs: Vec<_> = inputs.iter().map(make).collect();
    let mut outputs: Vec<_> = outputs.iter().map(make).collect();
    let inputs: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let mut outputs: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
    kernel.call(&inputs, &mut outputs, &[])
}

#[test]
fn handles_are_shared_between_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<Kernel>();
    check::<Module>();
    fn check_error<T: Send + Sync + std::error::Error>() {}
    check_error::<Error>();
    assert!(size_of::<Error>() <= 128);
}

#[test]
fn calls_by_place_and_by_name() {
    let kernel = affine_kernel();
    let (x, w) = ([1.0f32, 2.0, 3.0, 4.0], [10.0f32, 20.0]);
    let mut y = [0.0f32; 4];
    kernel.call(&[view(&x, [2, 2]), view(&w, [2])], &mut [view_mut(&mut y, [2, 2])], &[]).unwrap();
    assert_eq!(y, [10.5, 40.5, 30.5, 80.5]);
    kernel.call(&[view(&x, [2, 2]), TensorView::absent()], &mut [view_mut(&mut y, [2, 2])], &[2.0]).unwrap();
    assert_eq!(y, [3.0, 4.0, 5.0, 6.0]);
    let bind = kernel.bind().input("x", view(&x, [2, 2])).output("y", view_mut(&mut y, [2, 2]));
    bind.set("eps", 0.0).dim("n", 2).run().unwrap();
    assert_eq!(y, x);
    kernel.bind().input("w", view(&w, [2])).inout("x", "y", view_mut(&mut y, [2, 2])).run().unwrap();
    assert_eq!(y, [10.5, 40.5, 30.5, 80.5]);
    let made = kernel.run_alloc(&[view(&x, [2, 2]), view(&w, [2])], &[]).unwrap();
    assert_eq!((made[0].shape(), made[0].as_slice::<f32>()), (&[2, 2][..], Some(&y[..])));
    let made = kernel.bind().input("x", view(&x, [2, 2])).set("eps", 0.0).run_alloc().unwrap();
    assert_eq!(made[0].as_slice::<f32>(), Some(&x[..]));
}

#[test]
fn binding_errors_name_dimension_parameters_and_sizes() {
    let plain = || Maker::default().takes("x: n, d").takes("weight: d").gives("y: n, d").make(nothing);
    let heads = || {
        Maker::default()
            .dim("g", DimKind::Fixed(4))
            .takes("x: .., (g k), h")
            .takes("v: (g k)")
            .gives("y: .., h")
            .make(nothing)
    };
    let split = || Maker::default().takes("x: n, (g k)").takes("v: g").gives("y: n").make(nothing);
    let next = |formula| {
        let computed = DimKind::Computed(formula);
        Maker::default().dim("k", DimKind::Free).dim("j", computed).takes("x: k").takes("z: j").gives("y: k")
    };
    let add = |a, b| SizeExpr::Add(Box::new(a), Box::new(b));
    let k = || SizeExpr::Dim(0);
    let plus_1 = || next(add(k(), SizeExpr::Const(1))).make(nothing);
    let minus_2 = || next(SizeExpr::Sub(Box::new(k()), Box::new(SizeExpr::Const(2)))).make(nothing);
    let half = || next(SizeExpr::Div(Box::new(k()), Box::new(SizeExpr::Const(2)))).make(nothing);
    let free = || Maker::default().takes("x: n, (g k)").gives("y: n").make(nothing);

    type Case<'a> = (Kernel, &'a [&'a [usize]], &'a [&'a [usize]], &'a str);
    let cases: &[Case<'_>] = &[
        (
            plain(),
            &[&[2, 768], &[512]],
            &[&[2, 768]],
            "dimension `d` is 768 in `x` (axis 1) but 512 in `weight` (axis 0)",
        ),
        (plain(), &[&[2, 3], &[3]], &[&[4, 3]], "dimension `n` is 2 in `x` (axis 0) but 4 in `y` (axis 0)"),
        (
            plain(),
            &[&[2, 3], &[3, 1]],
            &[&[2, 3]],
            "`weight` is `[d]`, but an array with 2 axes was given: [3, 1]",
        ),
        (plain(), &[&[2, 3]], &[&[2, 3]], "`k` takes 2 input arrays (`x`, `weight`), but 1 was given"),
        (plain(), &[&[2, 3], &[3]], &[], "`k` takes 1 output array (`y`), but 0 were given"),
        (
            heads(),
            &[&[30, 5], &[30]],
            &[&[5]],
            "axis 0 of `x` is `(g=4 k)` and has size 30, which can't be divided by `g` = 4",
        ),
        (
            heads(),
            &[&[2, 3, 8, 5], &[12]],
            &[&[2, 3, 5]],
            "axis 0 of `v` is `(g=4 k)` and has size 12, but `g` = 4 and `k` = 2 make 8",
        ),
        (
            heads(),
            &[&[2, 3, 8, 5], &[8]],
            &[&[2, 3, 7]],
            "dimension `h` is 5 in `x` (axis 3) but 7 in `y` (axis 2)",
        ),
        (
            heads(),
            &[&[2, 3, 8, 5], &[8]],
            &[&[6, 5]],
            "the leading axes `..` are [2, 3] in `x` but [6] in `y`",
        ),
        (
            heads(),
            &[&[8], &[8]],
            &[&[5]],
            "`x` is `[.., (g=4 k), h]`, but an array with 1 axis was given: [8]",
        ),
        (
            split(),
            &[&[2, 10], &[3]],
            &[&[2]],
            "axis 1 of `x` is `(g k)` and has size 10, which can't be divided by `g` = 3",
        ),
        (split(), &[&[2, 0], &[0]], &[&[2]], "the size of `k` is not given by the arrays"),
        (free(), &[&[2, 10]], &[&[2]], "the sizes of `g`, `k` are not given by the arrays"),
        (plus_1(), &[&[3], &[5]], &[&[3]], "dimension `j` is 5 in `z` (axis 0) but 4 as `k + 1`"),
        (minus_2(), &[&[1], &[5]], &[&[1]], "dimension `j` = `k - 2` would be -1 with `k` = 1"),
        (half(), &[&[3], &[1]], &[&[3]], "dimension `j` = `k / 2` is not a whole number with `k` = 3"),
    ];
    for (kernel, inputs, outputs, expected) in cases {
        assert_eq!(message(call_shapes(kernel, inputs, outputs)), *expected);
    }
    // Too many rows, without the memory for them.
    let rows = view(&[] as &[f32], [1 << 20, 1 << 12, 0, 5]);
    let mut empty: [f32; 0] = [];
    let out = view_mut(&mut empty, [1 << 20, 1 << 12, 0]);
    let error = message(heads().call(&[rows, view(&[] as &[f32], [0])], &mut [out], &[]));
    assert_eq!(error, "dimension `..` can't have 4294967296 positions; the limits are 0 and 2^31 - 1");
    // What binds.
    for (kernel, inputs, outputs) in [
        (split(), &[&[2, 12][..], &[3]][..], &[&[2][..]][..]),
        (plus_1(), &[&[3], &[4]], &[&[3]]),
        (heads(), &[&[8, 5], &[8]], &[&[5]]),
        (heads(), &[&[0, 2, 8, 5], &[8]], &[&[0, 2, 5]]),
    ] {
        assert_eq!(call_shapes(&kernel, inputs, outputs), Ok(()));
    }
}

#[test]
fn mistakes_by_name() {
    let kernel = affine_kernel();
    let x = [1.0f32; 4];
    let ints = [1i32; 4];
    let (mut y, mut z) = ([0.0f32; 4], [0.0f32; 4]);
    let xv = || view(&x, [2, 2]);
    assert_eq!(message(kernel.bind().input("x", xv()).run()), "result `y` was not given and has no default");
    let mut fails = |step: fn(crate::Bind<'_>) -> crate::Bind<'_>, expected: &str| {
        let bind = step(kernel.bind().output("y", view_mut(&mut y, [2, 2])));
        assert_eq!(message(bind.run()), expected);
    };
    fails(|bind| bind, "array parameter `x` was not given and has no default");
    fails(|bind| bind.set("tau", 1.0), "`k` has no number `tau`; there is `eps`");
    fails(|bind| bind.set("x", 1.0), "`k` has no number `x`; there is `eps`");
    fails(|bind| bind.set("eps", 1.0).set("eps", 1.0), "`eps` was given twice");
    fails(|bind| bind.dim("m", 1), "`k` has no dimension `m`; there are `n`, `d`");
    fails(|bind| bind.leading(&[1]), "`k` has no dimension `..`; there are `n`, `d`");
    fails(|bind| bind.input("v", TensorView::absent()), "`k` has no array parameter `v`; there are `x`, `w`");
    fails(|bind| bind.input("y", TensorView::absent()), "`k` has no array parameter `y`; there are `x`, `w`");
    fails(
        |bind| bind.dim("n", -1).input("x", view(&[1.0f32; 4], [2, 2])),
        "dimension `n` can't have -1 positions; the limits are 0 and 2^31 - 1",
    );
    let bind = kernel.bind().input("x", xv()).dim("n", 3).output("y", view_mut(&mut z, [2, 2]));
    assert_eq!(message(bind.run()), "dimension `n` is 3 as the call asks but 2 in `x` (axis 0)");
    let bind = kernel.bind().input("x", view(&ints, [2, 2])).output("y", view_mut(&mut z, [2, 2]));
    assert_eq!(message(bind.run()), "`x` is f32, but i32 was given");
    let bind = kernel.bind().input("x", view(&x, [2, 3])).output("y", view_mut(&mut z, [2, 2]));
    assert_eq!(message(bind.run()), "`x`: the shape has 6 elements, but the slice has 4");
    let bind = kernel.bind().input("x", xv()).output("z", view_mut(&mut z, [2, 2]));
    assert_eq!(message(bind.run()), "`k` has no result `z`; there is `y`");
    let bind = kernel.bind().inout("w", "y", view_mut(&mut z, [2, 2]));
    assert_eq!(message(bind.run()), "the kernel can't write `y` into the memory of `w`");
    let mut out = [view_mut(&mut z, [2, 2])];
    let two = kernel.call(&[xv(), TensorView::absent()], &mut out, &[1.0, 2.0]);
    assert_eq!(
        message(two),
        "`k` takes 1 number (`eps`), but 2 were given; none at all stand for the defaults"
    );
}

#[test]
fn numbers_are_checked() {
    let maker =
        Maker::default().takes("x: n").number("m", DType::I32, None).number("on", DType::Bool, Some(0.0));
    let mut maker = maker.dim("g", DimKind::Fixed(4)).gives("y: n");
    maker.dim_params.push(("g".into(), 4));
    let kernel = maker.make(nothing);
    let x = [1.0f32];
    let mut y = [0.0f32];
    let mut call = |numbers: &[f64]| kernel.call(&[view(&x, [1])], &mut [view_mut(&mut y, [1])], numbers);
    assert_eq!(call(&[3.0, 1.0]), Ok(()));
    assert_eq!(call(&[-3.0, 1.0, 4.0]), Ok(()));
    assert_eq!(message(call(&[])), "number `m` was not given and has no default");
    assert_eq!(message(call(&[2.5, 1.0])), "`m` is i32 and can't be 2.5");
    assert_eq!(message(call(&[f64::NAN, 1.0])), "`m` is i32 and can't be NaN");
    assert_eq!(message(call(&[2147483648.0, 1.0])), "`m` is i32 and can't be 2147483648");
    assert_eq!(message(call(&[1.0, 2.0])), "`on` is bool and can't be 2");
    let recompile = "`g` is 4 in this kernel; to call it with 8, compile it with `g` = 8";
    assert_eq!(message(call(&[1.0, 1.0, 8.0])), recompile);
    assert_eq!(message(kernel.bind().dim("g", 8).run()), recompile);
    assert!(kernel.bind().dim("g", 4).set("m", 1.0).input("x", view(&x, [1])).run_alloc().is_ok());
}

#[test]
fn strided_arrays_are_copied_where_they_do_not_fit() {
    let kernel = affine_kernel();
    // x is the transpose of a 3 x 2 array; y every second element of rows with a gap.
    let x = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let w = [1.0f32, 9.0, 10.0, 9.0, 100.0];
    let mut y = [-1.0f32; 16];
    let xt = view_strided(&x, [2, 3], [1, 2]);
    let wt = view_strided(&w, [3], [2]);
    kernel.call(&[xt, wt], &mut [view_mut_strided(&mut y, [2, 3], [8, 2])], &[0.0]).unwrap();
    let expected: [f32; 16] =
        [1.0, -1.0, 30.0, -1.0, 500.0, -1.0, -1.0, -1.0, 2.0, -1.0, 40.0, -1.0, 600.0, -1.0, -1.0, -1.0];
    assert_eq!(y, expected);
    // Rows with a gap fit as they are; a row repeated by stride zero too.
    let mut y = [-1.0f32; 8];
    let repeated = view_strided(&x, [2, 3], [0, 1]);
    let wide = view_mut_strided(&mut y, [2, 3], [4, 1]);
    kernel.call(&[repeated, TensorView::absent()], &mut [wide], &[0.0]).unwrap();
    assert_eq!(y, [1.0, 2.0, 3.0, -1.0, 1.0, 2.0, 3.0, -1.0]);
}

/// `y = x` for `x: .., (g k)` with one group `..` and one group `g k`.
unsafe extern "C" fn copy_rows(args: *const KernelArgs, _: *mut u8, lo: i64, hi: i64) {
    // SAFETY: called with the layout of the test below; sizes are `..`, `g`, `k`.
    unsafe {
        let args = &*args;
        let length = *args.sizes.add(1) * *args.sizes.add(2);
        for row in lo..hi {
            for j in 0..length {
                let x = (*args.data).cast::<f32>().offset((row * *args.strides + j) as isize);
                let y = (*args.data.add(1)).cast::<f32>();
                *y.offset((row * *args.strides.add(2) + j) as isize) = *x;
            }
        }
    }
}

#[test]
fn leading_axes_fold_and_come_back() {
    let maker =
        Maker::default().dim("..", DimKind::Leading).dim("g", DimKind::Fixed(2)).takes("x: .., (g k)");
    let kernel = maker.gives("y: .., (g k)").make(copy_rows);
    let x: Vec<f32> = (0..96).map(|i| i as f32).collect();
    let dense = kernel.run_alloc(&[view(&x, [2, 3, 16])], &[]).unwrap();
    assert_eq!((dense[0].shape(), dense[0].as_slice::<f32>()), (&[2, 3, 16][..], Some(&x[..])));
    // No leading axes at all: one row.
    let one = kernel.run_alloc(&[view(&x[..4], [4])], &[]).unwrap();
    assert_eq!((one[0].shape(), one[0].as_slice::<f32>()), (&[4][..], Some(&x[..4])));
    // Leading axes that collapse to one stride, that don't, and with rows backwards.
    for strides in [[48, 16, 1], [8, 32, 1], [16, 8, 2]] {
        let strided = view_strided(&x, [2, 3, 4], strides);
        let got = kernel.run_alloc(&[strided], &[]).unwrap();
        let [a, b, c] = strides.map(|stride| stride as usize);
        let position = |i: usize| (i / 12) * a + (i / 4 % 3) * b + (i % 4) * c;
        let expected: Vec<f32> = (0..24).map(|i| position(i) as f32).collect();
        assert_eq!(got[0].as_slice::<f32>(), Some(&expected[..]), "{strides:?}");
    }
    let shapes = kernel.bind().leading(&[5, 7]).dim("k", 3).shapes().unwrap();
    assert_eq!((shapes.params, shapes.results), (vec![Some(vec![5, 7, 6])], vec![vec![5, 7, 6]]));
    assert_eq!(shapes.dims, [35, 2, 3]);
    assert_eq!(kernel.result_shapes(&[view(&x[..0], [0, 6])]).unwrap(), [[0, 6]]);
}

#[test]
fn arrays_without_elements_are_not_touched() {
    let kernel = affine_kernel();
    let x: [f32; 0] = [];
    let mut y: [f32; 0] = [];
    let w = [1.0f32; 3];
    kernel.call(&[view(&x, [0, 3]), view(&w, [3])], &mut [view_mut(&mut y, [0, 3])], &[]).unwrap();
    kernel.call(&[view(&x, [3, 0]), view(&x, [0])], &mut [view_mut(&mut y, [3, 0])], &[]).unwrap();
    let nowhere = std::ptr::without_provenance_mut(4);
    // SAFETY: there are no positions.
    let (x, y) = unsafe {
        let x = TensorView::from_raw(DType::F32, nowhere, &[2, 0], &[7, 7]);
        (x, TensorViewMut::from_raw(DType::F32, nowhere, &[2, 0], &[7, 7]))
    };
    kernel.call(&[x, TensorView::absent()], &mut [y], &[]).unwrap();
}

#[test]
fn overlaps_are_refused() {
    let kernel = affine_kernel();
    let mut memory = [1.0f32; 10];
    let start = memory.as_mut_ptr().cast::<u8>();
    let raw = |offset: usize, strides: &[isize]| {
        // SAFETY: a view of 2 x 2 elements inside `memory`, which is only used through these views.
        unsafe { TensorView::from_raw(DType::F32, start.add(4 * offset), &[2, 2], strides) }
    };
    let out = |offset: usize| {
        // SAFETY: as above.
        unsafe { TensorViewMut::from_raw(DType::F32, start.add(4 * offset), &[2, 2], &[2, 1]) }
    };
    let none = TensorView::absent;
    let shifted = kernel.call(&[raw(1, &[2, 1]), none()], &mut [out(0)], &[]);
    assert_eq!(message(shifted), "`x` and `y` share memory, but are not the same array");
    let turned = kernel.call(&[raw(0, &[1, 2]), none()], &mut [out(0)], &[]);
    assert_eq!(message(turned), "`x` and `y` share memory, but are not the same array");
    assert_eq!(kernel.call(&[raw(4, &[2, 1]), none()], &mut [out(0)], &[]), Ok(()));
    assert_eq!(kernel.call(&[raw(0, &[2, 1]), none()], &mut [out(0)], &[]), Ok(()));
    let mut maker = affine_maker();
    maker.in_place.clear();
    let strict = maker.make(affine);
    let same = strict.call(&[raw(0, &[2, 1]), none()], &mut [out(0)], &[]);
    assert_eq!(message(same), "`x` and `y` are the same memory; the kernel can't run in place on them");
    let two =
        Maker::default().takes("x: n, d").gives("y: n, d").gives("z: n, d").in_place(0, 0).make(nothing);
    let both = two.call(&[raw(6, &[2, 1])], &mut [out(0), out(2)], &[]);
    assert_eq!(message(both), "`y` and `z` share memory, but are not the same array");
    assert!(two.in_place("x", "y") && !two.in_place("x", "z") && !two.in_place("q", "y"));
}

#[cfg(feature = "threads")]
#[test]
fn threads_give_the_same_result() {
    let kernel = affine_kernel();
    let x: Vec<f32> = (0..1001 * 7).map(|i| i as f32).collect();
    let one = kernel.run_alloc(&[view(&x, [1001, 7]), TensorView::absent()], &[]).unwrap();
    for threads in [0, 2, 3, 64, usize::MAX] {
        let many = kernel.clone().with_threads(threads);
        assert_eq!(many.run_alloc(&[view(&x, [1001, 7]), TensorView::absent()], &[]).unwrap(), one);
        let bind = kernel.bind().input("x", view(&x, [1001, 7])).threads(threads);
        assert_eq!(bind.run_alloc().unwrap(), one);
    }
}

/// Writes the control register of each row's thread to `y: n`, after a first phase that fills scratch and shared
/// memory; `y` is NaN where either was not there.
#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn modes(args: *const KernelArgs, scratch: *mut u8, lo: i64, hi: i64) {
    // SAFETY: called with the layout of the test below.
    unsafe {
        let args = &*args;
        scratch.write_bytes(1, 5000);
        let right = (scratch as usize | args.shared as usize).is_multiple_of(64);
        for row in lo..hi {
            let modes = crate::fpenv::control::read() & crate::fpenv::control::MODES;
            *(*args.data.add(1)).cast::<f32>().offset(row as isize) =
                if right { modes as f32 } else { f32::NAN };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn modes_are_the_default_inside_and_restored_after() {
    use crate::fpenv::control;
    let (signature, mut variant) = Maker::default().takes("x: n").gives("y: n").describe();
    variant.phases[0].scratch = SizeExpr::Const(5000);
    variant.shared = SizeExpr::Const(64);
    let abi = Abi { variants: vec![variant] };
    // SAFETY: `modes` does what the description says.
    let kernel = unsafe { Kernel::from_raw(signature, abi, vec![vec![modes]], Arc::new(())) }.unwrap();
    let x = vec![0.0f32; 4000];
    let before = control::read();
    for threads in [1, 4] {
        let mut y = vec![0.0f32; 4000];
        control::write(control::DEFAULT | 0x8040);
        let bind = kernel.bind().input("x", view(&x, [4000])).output("y", view_mut(&mut y, [4000]));
        let result = bind.threads(threads).run();
        let after = control::read();
        control::write(before);
        assert_eq!(result, Ok(()));
        assert_eq!(after & control::MODES, control::DEFAULT | 0x8040);
        assert!(y.iter().all(|&modes| modes == control::DEFAULT as f32));
    }
}

/// Writes 1 everywhere, or 2, so that a test sees which one ran.
unsafe extern "C" fn ones(args: *const KernelArgs, _: *mut u8, lo: i64, hi: i64) {
    // SAFETY: the result is tensor 0, of `n` floats.
    unsafe { (lo..hi).for_each(|i| *(*(*args).data).cast::<f32>().offset(i as isize) = 1.0) }
}

/// As [`ones`].
unsafe extern "C" fn twos(args: *const KernelArgs, _: *mut u8, lo: i64, hi: i64) {
    // SAFETY: the result is tensor 0, of `n` floats.
    unsafe { (lo..hi).for_each(|i| *(*(*args).data).cast::<f32>().offset(i as isize) = 2.0) }
}

#[test]
fn the_first_variant_whose_guard_admits_runs() {
    let (signature, last) = Maker::default().gives("y: n").describe();
    let first = Variant { guard: Some((SizeExpr::Dim(0), 3)), ..last.clone() };
    let abi = Abi { variants: vec![first, last] };
    let functions: Vec<Vec<PhaseFn>> = vec![vec![ones], vec![twos]];
    // SAFETY: the functions do what the description says.
    let kernel = unsafe { Kernel::from_raw(signature, abi, functions, Arc::new(())) }.unwrap();
    for (n, expected) in [(3, 1.0), (4, 2.0)] {
        let mut y = vec![0.0f32; n];
        kernel.call(&[], &mut [view_mut(&mut y, [n])], &[]).unwrap();
        assert_eq!(y, vec![expected; n]);
    }
}

#[test]
fn wrong_descriptions_are_errors() {
    let refused = |change: fn(&mut Signature, &mut Variant)| {
        let (mut signature, mut variant) = affine_maker().describe();
        change(&mut signature, &mut variant);
        let abi = Abi { variants: vec![variant] };
        // SAFETY: never called.
        unsafe { Kernel::from_raw(signature, abi, vec![vec![nothing]], Arc::new(())) }
            .unwrap_err()
            .to_string()
    };
    let wrong = |problem: &str| format!("the description of `k` is wrong: {problem}");
    assert_eq!(refused(|_, v| v.phases.clear()), wrong("there is not one function for each phase"));
    assert_eq!(refused(|_, v| v.phases[0].grain = 0), wrong("the grain of `k_0` is less than 1"));
    assert_eq!(refused(|_, v| v.shared = SizeExpr::Dim(9)), wrong("there is no dimension 9"));
    let guard = wrong("the last variant, and no other, has no guard");
    assert_eq!(refused(|_, v| v.guard = Some((SizeExpr::Const(1), 1))), guard);
    assert_eq!(
        refused(|_, v| v.tensors[0].groups.reverse()),
        wrong("the groups of Ok(0) are not its dimensions in order")
    );
    assert_eq!(refused(|_, v| v.scalars[0] = 0), wrong("parameter 0 is not a number"));
    assert_eq!(refused(|_, v| v.in_place.push((2, 0))), wrong("Ok(2) is not an array"));
    assert_eq!(
        refused(|s, _| s.results[0].kind = ParamKind::Scalar { default: None }),
        wrong("result `y` is not an array")
    );
}

#[test]
fn linked_kernels_are_checked() {
    let linked = |abi_version, isa| {
        let (signature, variant) = affine_maker().describe();
        let abi = Abi { variants: vec![variant] };
        let functions: Vec<Vec<PhaseFn>> = vec![vec![affine]];
        let linked = LinkedKernel { abi_version, numerics_version: 7, isa, signature, abi, functions };
        // SAFETY: `affine` does what the description says.
        unsafe { linked.load() }
    };
    assert_eq!(linked(ABI_VERSION, Isa::detect()).unwrap().numerics_version(), 7);
    assert!(matches!(linked(ABI_VERSION + 1, Isa::detect()), Err(Error::AbiVersion { .. })));
    let foreign = if Isa::detect() == Isa::Aarch64 { Isa::V1 } else { Isa::Aarch64 };
    let error = linked(ABI_VERSION, foreign).unwrap_err().to_string();
    assert_eq!(error, format!("`k` was compiled for {foreign}, but this machine is {}", Isa::detect()));
}

#[test]
fn modules_find_kernels_by_name() {
    let module = Module::new([affine_kernel()]);
    assert_eq!(module.kernel("k").unwrap().signature().params.len(), 3);
    assert_eq!(module.kernel("q").unwrap_err().to_string(), "there is no kernel `q`; there is `k`");
}

/// Prints what a call costs before and after the code. Run with
/// `cargo test --release -p actlang-runtime -- --ignored --nocapture overhead`.
#[test]
#[ignore = "a measurement, not a check"]
fn overhead() {
    let plain = Maker::default().takes("x: .., d").gives("y: .., d").make(nothing);
    let rows =
        Maker::default().takes("x: n, d").takes("w: d").number("e", DType::F32, Some(1.0)).gives("y: n, d");
    let rows = rows.make(nothing);
    let (x, w) = (vec![1.0f32; 1024], [1.0f32; 32]);
    let mut y = vec![0.0f32; 1024];
    let mut measure = |name: &str, call: &dyn Fn(&mut [f32])| {
        let best = (0..20).map(|_| {
            let start = std::time::Instant::now();
            (0..100_000).for_each(|_| call(std::hint::black_box(&mut y)));
            start.elapsed().as_nanos() as f64 / 1e5
        });
        println!("{name}: {:.1} ns", best.fold(f64::INFINITY, f64::min));
    };
    measure("2 tensors with ..", &|y| {
        plain.call(&[view(&x, [32, 32])], &mut [view_mut(y, [32, 32])], &[]).unwrap();
    });
    measure("3 tensors and a number", &|y| {
        rows.call(&[view(&x, [32, 32]), view(&w, [32])], &mut [view_mut(y, [32, 32])], &[]).unwrap();
    });
    measure("views alone", &|y| {
        std::hint::black_box((view(&x, [32, 32]), view_mut(y, [32, 32])));
    });
}
