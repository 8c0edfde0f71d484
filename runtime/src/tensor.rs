//! Arrays as a call sees them: views of memory that the caller owns, and arrays that the runtime allocates.
//!
//! A view that was made wrongly (a shape that does not fit its slice, strides that lead out of it) keeps what is
//! wrong with it, touches no memory, and makes the call that uses it fail; so calls stay short.

use crate::abi::DType;
use crate::error::{Error, ViewError};
use half::{bf16, f16};
use std::marker::PhantomData;

/// The largest number of axes of a view.
pub const MAX_AXES: usize = 8;
/// The least size of an axis that is too large.
pub(crate) const DIM_LIMIT: i64 = 1 << 31;
/// The least number of elements of an array that is too large.
pub(crate) const LEN_LIMIT: u64 = 1 << 48;

mod sealed {
    pub trait Sealed {}
}

/// The Rust types of elements: `f32`, `f64`, [`f16`](struct@f16), [`bf16`], `i32`, `i8`, `u8`, `bool`.
pub trait Element: sealed::Sealed + Copy + Default + Send + Sync + 'static {
    /// The dtype.
    const DTYPE: DType;
    /// The elements of a tensor, if it is of this type.
    fn slice(data: &Data) -> Option<&[Self]>;
    /// The vector of a tensor, if it is of this type.
    fn vec(data: Data) -> Option<Vec<Self>>;
    /// The tensor's vector of this type.
    fn data(vec: Vec<Self>) -> Data;
}

macro_rules! elements {
    ($($rust:ty, $dtype:ident;)*) => { $(
        impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
            fn slice(data: &Data) -> Option<&[$rust]> {
                if let Data::$dtype(vec) = data { Some(vec) } else { None }
            }
            fn vec(data: Data) -> Option<Vec<$rust>> {
                if let Data::$dtype(vec) = data { Some(vec) } else { None }
            }
            fn data(vec: Vec<$rust>) -> Data {
                Data::$dtype(vec)
            }
        }
    )* };
}

elements! {
    f32, F32;
    f64, F64;
    f16, F16;
    bf16, BF16;
    i32, I32;
    i8, I8;
    u8, U8;
    bool, Bool;
}

/// A dense array with these axes, outermost first. The slice has as many elements as the shape.
#[inline]
pub fn view<'a, T: Element>(slice: &'a [T], shape: impl AsRef<[usize]>) -> TensorView<'a> {
    TensorView { raw: Raw::dense(T::DTYPE, ptr_of(slice), slice.len(), shape.as_ref()), life: PhantomData }
}

/// As [`view`], for writing.
#[inline]
pub fn view_mut<'a, T: Element>(slice: &'a mut [T], shape: impl AsRef<[usize]>) -> TensorViewMut<'a> {
    let (ptr, len) = (slice.as_mut_ptr().cast(), slice.len());
    TensorViewMut { raw: Raw::dense(T::DTYPE, ptr, len, shape.as_ref()), life: PhantomData }
}

/// An array whose position `[i, j, …]` is the element `i * strides[0] + j * strides[1] + …` of the slice.
/// A stride of zero repeats the array along that axis.
pub fn view_strided<'a, T: Element>(
    slice: &'a [T],
    shape: impl AsRef<[usize]>,
    strides: impl AsRef<[isize]>,
) -> TensorView<'a> {
    let raw = Raw::strided(T::DTYPE, ptr_of(slice), shape.as_ref(), strides.as_ref()).within(slice.len());
    TensorView { raw, life: PhantomData }
}

/// As [`view_strided`], for writing; no two positions may be the same element.
pub fn view_mut_strided<'a, T: Element>(
    slice: &'a mut [T],
    shape: impl AsRef<[usize]>,
    strides: impl AsRef<[isize]>,
) -> TensorViewMut<'a> {
    let (ptr, len) = (slice.as_mut_ptr().cast(), slice.len());
    let raw = Raw::strided(T::DTYPE, ptr, shape.as_ref(), strides.as_ref()).within(len).distinct();
    TensorViewMut { raw, life: PhantomData }
}

fn ptr_of<T>(slice: &[T]) -> *mut u8 {
    slice.as_ptr().cast_mut().cast()
}

/// An array to read.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    pub(crate) raw: Raw,
    life: PhantomData<&'a [u8]>,
}

/// An array to write.
#[derive(Debug)]
pub struct TensorViewMut<'a> {
    pub(crate) raw: Raw,
    life: PhantomData<&'a mut [u8]>,
}

// SAFETY: a TensorView is a `&[T]` of plain numbers with a shape.
unsafe impl Send for TensorView<'_> {}
// SAFETY: as above.
unsafe impl Sync for TensorView<'_> {}
// SAFETY: a TensorViewMut is a `&mut [T]` of plain numbers with a shape.
unsafe impl Send for TensorViewMut<'_> {}
// SAFETY: as above; a shared TensorViewMut only gives shared views.
unsafe impl Sync for TensorViewMut<'_> {}

impl<'a> TensorView<'a> {
    /// Stands for an array parameter that is left out; its default takes its place.
    pub const fn absent() -> TensorView<'a> {
        let raw = Raw::scalar(DType::F32, std::ptr::null_mut(), Form::Absent);
        TensorView { raw, life: PhantomData }
    }

    /// An array at an address, with strides in elements (of either sign).
    ///
    /// # Safety
    /// For the lifetime `'a` every position must be readable memory that holds an element of the dtype (any byte
    /// for `bool`), and nobody writes it, except the call that the view is given to.
    pub unsafe fn from_raw(
        dtype: DType,
        ptr: *const u8,
        shape: &[usize],
        strides: &[isize],
    ) -> TensorView<'a> {
        TensorView { raw: Raw::strided(dtype, ptr.cast_mut(), shape, strides).aligned(), life: PhantomData }
    }

    /// What is wrong with the view, if anything.
    pub fn check(&self) -> Result<(), ViewError> {
        self.raw.fault().map_or(Ok(()), Err)
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.raw.dtype
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[i64] {
        self.raw.shape()
    }

    /// Whether this is [`TensorView::absent`].
    pub fn is_absent(&self) -> bool {
        self.raw.absent()
    }
}

impl<'a> TensorViewMut<'a> {
    /// An array at an address, with strides in elements (of either sign).
    ///
    /// # Safety
    /// For the lifetime `'a` every position must be writable memory that holds an element of the dtype (any byte
    /// for `bool`), and nobody else reads or writes it, except the call that the view is given to.
    pub unsafe fn from_raw(
        dtype: DType,
        ptr: *mut u8,
        shape: &[usize],
        strides: &[isize],
    ) -> TensorViewMut<'a> {
        TensorViewMut {
            raw: Raw::strided(dtype, ptr, shape, strides).aligned().distinct(),
            life: PhantomData,
        }
    }

    /// What is wrong with the view, if anything.
    pub fn check(&self) -> Result<(), ViewError> {
        self.raw.fault().map_or(Ok(()), Err)
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.raw.dtype
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[i64] {
        self.raw.shape()
    }

    /// The same array, to write for a shorter time.
    pub fn reborrow(&mut self) -> TensorViewMut<'_> {
        TensorViewMut { raw: self.raw, life: PhantomData }
    }

    /// The same array, to read.
    pub fn as_view(&self) -> TensorView<'_> {
        TensorView { raw: self.raw, life: PhantomData }
    }

    /// The same array as an input of the very call that writes it; the call checks that the kernel can do that.
    pub(crate) fn as_input(&self) -> TensorView<'a> {
        TensorView { raw: self.raw, life: PhantomData }
    }
}

/// A view without its lifetime. Small, and cheap to make where the array is dense: calls are made with new views.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw {
    /// The element at position zero.
    pub(crate) ptr: *mut u8,
    /// Bytes of all elements.
    pub(crate) bytes: u64,
    shape: [i64; MAX_AXES],
    rank: u8,
    pub(crate) dtype: DType,
    pub(crate) kind: Kind,
    form: Form,
}

/// The element type of a view, its number of axes, and whether it is plain: dense and not empty. All in one number, so
/// that a call compares them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(u32);

impl Kind {
    const PLAIN: u32 = 1 << 31;

    #[inline(always)]
    const fn new(dtype: DType, rank: u8, plain: bool) -> Kind {
        Kind(dtype as u32 | (rank as u32) << 8 | if plain { Kind::PLAIN } else { 0 })
    }

    /// A plain array of this type with so many axes.
    pub(crate) const fn plain(dtype: DType, rank: u8) -> Kind {
        Kind::new(dtype, rank, true)
    }

    /// The same with more axes, up to [`MAX_AXES`].
    #[inline(always)]
    pub(crate) const fn and_axes(self, more: u32) -> Kind {
        Kind(self.0 + (more << 8))
    }
}

/// What a view can be used for, and how.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Row-major without gaps.
    Dense,
    /// Not dense, with these strides, in elements.
    Strided([i64; MAX_AXES]),
    /// Left out by the caller.
    Absent,
    /// It can't be used, for this reason. The pointer is not looked at.
    Faulty(ViewError),
}

impl Raw {
    /// An array without axes: one element.
    const fn scalar(dtype: DType, ptr: *mut u8, form: Form) -> Raw {
        let kind = Kind::new(dtype, 0, matches!(form, Form::Dense));
        Raw { ptr, bytes: dtype.bytes() as u64, shape: [0; MAX_AXES], rank: 0, dtype, kind, form }
    }

    #[inline]
    fn dense(dtype: DType, ptr: *mut u8, given: usize, shape: &[usize]) -> Raw {
        Raw::shaped(dtype, ptr, Some(given), shape)
    }

    /// Dense, or faulty; `given` is the number of elements that there are, if known.
    #[inline]
    fn shaped(dtype: DType, ptr: *mut u8, given: Option<usize>, shape: &[usize]) -> Raw {
        if shape.len() > MAX_AXES {
            return Raw::scalar(dtype, ptr, Form::Faulty(ViewError::TooManyAxes { axes: shape.len() }));
        }
        // Saturated, the product stays beyond the limit unless an axis is empty.
        let (mut product, mut large) = (1u64, false);
        let mut sizes = [0; MAX_AXES];
        for (to, &size) in sizes.iter_mut().zip(shape) {
            *to = size as i64;
            large |= size as u64 >= DIM_LIMIT as u64;
            product = product.saturating_mul(size as u64);
        }
        let form = match given {
            _ if large || product >= LEN_LIMIT => Form::Faulty(ViewError::TooLarge),
            Some(given) if given as u64 != product => {
                Form::Faulty(ViewError::Length { given, needed: product })
            }
            Some(_) | None => Form::Dense,
        };
        let rank = shape.len() as u8;
        let kind = Kind::new(dtype, rank, product != 0 && matches!(form, Form::Dense));
        let bytes = product.saturating_mul(dtype.bytes() as u64);
        Raw { ptr, bytes, shape: sizes, rank, dtype, kind, form }
    }

    /// The same, to be used in another way than dense.
    fn with(mut self, form: Form) -> Raw {
        self.kind = Kind::new(self.dtype, self.rank, false);
        self.form = form;
        self
    }

    fn strided(dtype: DType, ptr: *mut u8, shape: &[usize], strides: &[isize]) -> Raw {
        let raw = Raw::shaped(dtype, ptr, None, shape);
        if raw.fault().is_some() {
            return raw;
        }
        if shape.len() != strides.len() {
            let cause = ViewError::StrideCount { axes: shape.len(), strides: strides.len() };
            return raw.with(Form::Faulty(cause));
        }
        let mut own = [0; MAX_AXES];
        for (to, &stride) in own.iter_mut().zip(strides) {
            *to = stride as i64;
        }
        let (mut inner, mut dense) = (1i64, true);
        for axis in (0..shape.len()).rev() {
            dense &= raw.shape[axis] == 1 || own[axis] == inner;
            inner = inner.wrapping_mul(raw.shape[axis]);
        }
        if dense || raw.bytes == 0 {
            return raw;
        }
        let raw = raw.with(Form::Strided(own));
        let counts = raw.reach(dtype.bytes() as i64).is_some();
        if counts { raw } else { raw.with(Form::Faulty(ViewError::TooLarge)) }
    }

    /// With a fault if a position lies outside the `given` elements from the pointer on.
    fn within(self, given: usize) -> Raw {
        if self.fault().is_none() && self.bytes > 0 {
            let inside = self.reach(1).is_some_and(|(low, high)| low == 0 && (high as u64) < given as u64);
            if !inside {
                return self.with(Form::Faulty(ViewError::OutOfBounds { given }));
            }
        }
        self
    }

    /// With a fault if the pointer is not a multiple of the element size.
    fn aligned(self) -> Raw {
        let aligned = (self.ptr as usize).is_multiple_of(self.dtype.bytes());
        if self.fault().is_none() && self.bytes > 0 && !aligned {
            return self.with(Form::Faulty(ViewError::Misaligned));
        }
        self
    }

    /// With a fault if two positions might be the same element: in the order of their strides, each axis must step
    /// over all that the smaller ones reach. (Some harmless layouts with interleaved axes are refused with that.)
    fn distinct(self) -> Raw {
        let Form::Strided(strides) = self.form else { return self };
        let mut axes = [(0u64, 0u64); MAX_AXES];
        let rank = self.rank as usize;
        for (axis, to) in axes.iter_mut().enumerate().take(rank) {
            *to = (strides[axis].unsigned_abs(), self.shape[axis] as u64);
        }
        let axes = &mut axes[..rank];
        axes.sort_unstable();
        let mut reach = 0;
        for &(stride, size) in axes.iter().filter(|axis| axis.1 > 1) {
            if stride <= reach {
                return self.with(Form::Faulty(ViewError::SharedPositions));
            }
            reach += stride * (size - 1);
        }
        self
    }

    /// Why it can't be used, if it can't.
    #[inline]
    pub(crate) fn fault(&self) -> Option<ViewError> {
        match self.form {
            Form::Faulty(cause) => Some(cause),
            Form::Dense | Form::Strided(_) | Form::Absent => None,
        }
    }

    /// Whether it was left out by the caller.
    #[inline]
    pub(crate) fn absent(&self) -> bool {
        matches!(self.form, Form::Absent)
    }

    /// Whether it is an array, row-major without gaps.
    #[inline]
    pub(crate) fn is_dense(&self) -> bool {
        matches!(self.form, Form::Dense)
    }

    /// The least and the largest offset of an element from the pointer, in units of which an element has `unit`;
    /// `None` where that is beyond i64.
    fn reach(&self, unit: i64) -> Option<(i64, i64)> {
        let (mut low, mut high) = (0i64, 0i64);
        for axis in 0..self.rank as usize {
            if self.shape[axis] > 1 {
                let step = self.stride(axis).checked_mul(unit)?;
                let last = step.checked_mul(self.shape[axis] - 1)?;
                low = low.checked_add(last.min(0))?;
                high = high.checked_add(last.max(0))?;
            }
        }
        Some((low, high))
    }

    /// The addresses it covers: first byte, and one past the last. Empty for an array without elements.
    #[inline]
    pub(crate) fn span(&self) -> (usize, usize) {
        let start = self.ptr as usize;
        if self.is_dense() {
            return (start, start + self.bytes as usize);
        }
        let bytes = self.dtype.bytes();
        // A view where this overflows has a fault and never comes here.
        let (low, high) = self.reach(bytes as i64).unwrap_or((0, 0));
        (
            start.wrapping_add_signed(low as isize),
            start.wrapping_add_signed(high as isize).wrapping_add(bytes),
        )
    }

    /// Sizes of the axes.
    #[inline]
    pub(crate) fn shape(&self) -> &[i64] {
        &self.shape[..self.rank as usize]
    }

    /// How many axes there are.
    #[inline]
    pub(crate) fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// Size of an axis that there is. (The remainder spares a test.)
    #[inline]
    pub(crate) fn size(&self, axis: usize) -> i64 {
        self.shape[axis % MAX_AXES]
    }

    /// Stride of an axis, in elements. For dense views it is computed, so not for the hot path.
    pub(crate) fn stride(&self, axis: usize) -> i64 {
        match &self.form {
            Form::Strided(strides) => strides[axis],
            Form::Dense | Form::Absent | Form::Faulty(_) => {
                self.shape()[axis + 1..].iter().fold(1, |product: i64, &size| product.wrapping_mul(size))
            }
        }
    }

    /// Whether both are the same elements at the same positions.
    pub(crate) fn same_array(&self, other: &Raw) -> bool {
        self.ptr == other.ptr
            && self.dtype == other.dtype
            && self.shape() == other.shape()
            && (0..self.rank as usize)
                .all(|axis| self.shape[axis] == 1 || self.stride(axis) == other.stride(axis))
    }
}

/// The elements of a [`Tensor`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `f32`.
    F32(Vec<f32>),
    /// `f64`.
    F64(Vec<f64>),
    /// [`f16`](struct@f16).
    F16(Vec<f16>),
    /// [`bf16`].
    BF16(Vec<bf16>),
    /// `i32`.
    I32(Vec<i32>),
    /// `i8`.
    I8(Vec<i8>),
    /// `u8`.
    U8(Vec<u8>),
    /// `bool`.
    Bool(Vec<bool>),
}

impl Data {
    /// The elements as numbers, which hold each of them exactly; of `bool` 0 and 1.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Data::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Data::F64(values) => values.clone(),
            Data::F16(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Data::BF16(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Data::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Data::I8(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Data::U8(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Data::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
        }
    }
}

/// A dense array that owns its elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// All elements zero (or false).
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Tensor, Error> {
        let len = element_count(shape)?;
        let data = match dtype {
            DType::F32 => Data::F32(zeros(len)?),
            DType::F64 => Data::F64(zeros(len)?),
            DType::F16 => Data::F16(zeros(len)?),
            DType::BF16 => Data::BF16(zeros(len)?),
            DType::I32 => Data::I32(zeros(len)?),
            DType::I8 => Data::I8(zeros(len)?),
            DType::U8 => Data::U8(zeros(len)?),
            DType::Bool => Data::Bool(zeros(len)?),
        };
        Ok(Tensor { shape: shape.to_vec(), data })
    }

    /// These elements in this shape; `None` where their numbers differ.
    pub fn from_vec<T: Element>(vec: Vec<T>, shape: &[usize]) -> Option<Tensor> {
        let fits = element_count(shape).is_ok_and(|len| len == vec.len());
        fits.then(|| Tensor { shape: shape.to_vec(), data: T::data(vec) })
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::F16(_) => DType::F16,
            Data::BF16(_) => DType::BF16,
            Data::I32(_) => DType::I32,
            Data::I8(_) => DType::I8,
            Data::U8(_) => DType::U8,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, if they are of this type.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.data)
    }

    /// The vector, if it is of this type.
    pub fn into_vec<T: Element>(self) -> Option<Vec<T>> {
        T::vec(self.data)
    }

    /// The array, to read.
    pub fn view(&self) -> TensorView<'_> {
        match &self.data {
            Data::F32(vec) => view(vec, &self.shape),
            Data::F64(vec) => view(vec, &self.shape),
            Data::F16(vec) => view(vec, &self.shape),
            Data::BF16(vec) => view(vec, &self.shape),
            Data::I32(vec) => view(vec, &self.shape),
            Data::I8(vec) => view(vec, &self.shape),
            Data::U8(vec) => view(vec, &self.shape),
            Data::Bool(vec) => view(vec, &self.shape),
        }
    }

    /// The array, to write.
    pub fn view_mut(&mut self) -> TensorViewMut<'_> {
        match &mut self.data {
            Data::F32(vec) => view_mut(vec, &self.shape),
            Data::F64(vec) => view_mut(vec, &self.shape),
            Data::F16(vec) => view_mut(vec, &self.shape),
            Data::BF16(vec) => view_mut(vec, &self.shape),
            Data::I32(vec) => view_mut(vec, &self.shape),
            Data::I8(vec) => view_mut(vec, &self.shape),
            Data::U8(vec) => view_mut(vec, &self.shape),
            Data::Bool(vec) => view_mut(vec, &self.shape),
        }
    }
}

/// How many elements an array of this shape has, within the limits.
fn element_count(shape: &[usize]) -> Result<usize, Error> {
    // Of one byte each.
    let raw = Raw::shaped(DType::Bool, std::ptr::null_mut(), None, shape);
    match raw.fault() {
        None => usize::try_from(raw.bytes).map_err(|_| Error::TooLarge { what: format!("{shape:?}") }),
        Some(ViewError::TooManyAxes { axes }) => {
            Err(Error::View { name: format!("{shape:?}"), cause: ViewError::TooManyAxes { axes } })
        }
        Some(_) => Err(Error::TooLarge { what: format!("an array of shape {shape:?}") }),
    }
}

/// Zeroed without touching the pages, or [`Error::Memory`].
fn zeros<T: Element>(len: usize) -> Result<Vec<T>, Error> {
    let refused = Error::Memory { bytes: len.saturating_mul(size_of::<T>()) };
    // Where the memory can be had it comes back at once from `vec!`, which asks the system for zeroed pages.
    let mut probe: Vec<T> = Vec::new();
    probe.try_reserve_exact(len).map_err(|_| refused)?;
    drop(probe);
    Ok(vec![T::default(); len])
}

#[cfg(test)]
mod tests {
    use super::{
        MAX_AXES, Raw, Tensor, TensorView, TensorViewMut, view, view_mut, view_mut_strided, view_strided,
    };
    use crate::abi::DType;
    use crate::error::ViewError;

    #[test]
    fn shapes_may_be_arrays_slices_and_vectors() {
        let x = [0.0f32; 6];
        let shape: &[usize; 2] = &[2, 3];
        for view in [view(&x, [2, 3]), view(&x, &shape[..]), view(&x, vec![2, 3]), view(&x, shape)] {
            assert_eq!(view.check(), Ok(()));
            assert_eq!(view.shape(), [2, 3]);
        }
        assert_eq!(view(&x[..1], []).check(), Ok(()));
        assert_eq!(view(&[] as &[i32], [4, 0, usize::MAX >> 40]).check(), Ok(()));
    }

    #[test]
    fn wrong_views_say_what_is_wrong() {
        let x = [0.0f32; 6];
        let cases = [
            (view(&x, [2, 4]), ViewError::Length { given: 6, needed: 8 }),
            (view(&x, [2, 2]), ViewError::Length { given: 6, needed: 4 }),
            (view(&x, [1; MAX_AXES + 1]), ViewError::TooManyAxes { axes: 9 }),
            (view(&x, [1 << 31, 0]), ViewError::TooLarge),
            (view(&x, [1 << 20, 1 << 20, 1 << 20]), ViewError::TooLarge),
            (view(&x, [usize::MAX, usize::MAX, 2]), ViewError::TooLarge),
            (view_strided(&x, [2, 2], [3]), ViewError::StrideCount { axes: 2, strides: 1 }),
            (view_strided(&x, [2, 3], [4, 1]), ViewError::OutOfBounds { given: 6 }),
            (view_strided(&x, [2], [-1]), ViewError::OutOfBounds { given: 6 }),
            (view_strided(&x, [3], [isize::MAX]), ViewError::TooLarge),
        ];
        for (view, expected) in cases {
            assert_eq!(view.check(), Err(expected));
        }
    }

    #[test]
    fn strided_views_know_when_they_are_dense() {
        let x = [0.0f32; 12];
        assert!(view_strided(&x, [3, 4], [4, 1]).raw.is_dense());
        assert!(view_strided(&x, [3, 1, 4], [4, 99, 1]).raw.is_dense());
        assert!(!view_strided(&x, [3, 2], [4, 1]).raw.is_dense());
        assert!(!view_strided(&x, [4, 3], [1, 4]).raw.is_dense());
        assert!(view_strided(&x[..0], [4, 0], [9, 9]).raw.is_dense());
    }

    #[test]
    fn written_positions_are_distinct() {
        let mut x = [0.0f32; 12];
        let mut check =
            |shape: &[usize], strides: &[isize]| view_mut_strided(&mut x[..], shape, strides).check();
        assert_eq!(check(&[3, 4], &[1, 3]), Ok(()));
        assert_eq!(check(&[3, 2], &[4, 1]), Ok(()));
        assert_eq!(check(&[1, 2], &[0, 1]), Ok(()));
        assert_eq!(check(&[3, 2], &[0, 1]), Err(ViewError::SharedPositions));
        assert_eq!(check(&[3, 2], &[1, 1]), Err(ViewError::SharedPositions));
    }

    #[test]
    fn raw_views_check_alignment_and_span_negative_strides() {
        let x = [0.0f32; 4];
        let bytes = x.as_ptr().cast::<u8>();
        // SAFETY: never read.
        let odd = unsafe { TensorView::from_raw(DType::F32, bytes.wrapping_add(2), &[1], &[1]) };
        assert_eq!(odd.check(), Err(ViewError::Misaligned));
        // SAFETY: the four elements of `x`, last first.
        let back = unsafe { TensorView::from_raw(DType::F32, bytes.wrapping_add(12), &[4], &[-1]) };
        assert_eq!(back.check(), Ok(()));
        assert_eq!(back.raw.span(), (bytes as usize, bytes as usize + 16));
    }

    #[test]
    fn owned_tensors_convert() {
        let mut tensor = Tensor::zeros(DType::I32, &[2, 2]).unwrap();
        assert_eq!(tensor.as_slice::<i32>(), Some(&[0; 4][..]));
        assert_eq!(tensor.as_slice::<f32>(), None);
        assert_eq!(tensor.view_mut().shape(), [2, 2]);
        assert!(Tensor::from_vec(vec![1.0f32; 3], &[2, 2]).is_none());
        assert_eq!(Tensor::from_vec(vec![1.0f64; 3], &[3]).unwrap().into_vec::<f64>(), Some(vec![1.0; 3]));
        assert!(Tensor::zeros(DType::F64, &[1 << 40, 1 << 40]).is_err());
        assert!(Tensor::zeros(DType::F64, &[1 << 30, 1 << 17]).is_err());
    }

    #[test]
    fn views_cross_threads() {
        fn send<T: Send + Sync>() {}
        send::<TensorView<'_>>();
        send::<TensorViewMut<'_>>();
        assert!(size_of::<Raw>() <= 160);
        let mut x = [0u8 != 0; 2];
        assert_eq!(view_mut(&mut x, [2]).reborrow().dtype(), DType::Bool);
    }
}
