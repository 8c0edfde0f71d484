//! What may stand behind `--in`, `--out`, `--set`, `--shape` and `--dim`, and the arrays and numbers that a call gets.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::engine::{bf16_of, f16_of};
use act::graph::{Graph, NodeId, Op};
use act::ops::Prim;
use act::types::{DimId, DimKind};
use act::{DType, Data, Kernel, Signature, Tensor};
use act_runtime::abi::{Abi, ParamDecl, ParamKind, SizeExpr, Variant};
use act_runtime::small;
use act_runtime::{Bind, Error, Shapes};

use super::fill::Source;
use super::{Failure, Outcome, npy};

/// `x=a.npy` or `x=data.npz:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The parameter or result.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// For a `.npz`: the array in it; that of `name` if none is given.
    pub member: Option<String>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let (name, file) = equation(text)?;
        let (path, member) = match file.rsplit_once(".npz:") {
            Some((start, member)) if !member.is_empty() => (format!("{start}.npz"), Some(member.to_owned())),
            _ => (file.to_owned(), None),
        };
        if !path.ends_with(".npy") && !path.ends_with(".npz") {
            return Err("the file must be a .npy or a .npz".to_owned());
        }
        Ok(Place { name, path: PathBuf::from(path), member })
    }
}

impl Place {
    /// Whether the file holds several arrays.
    pub fn is_archive(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "npz")
    }

    /// The name of the array in the file.
    pub fn member(&self) -> &str {
        self.member.as_deref().unwrap_or(&self.name)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_archive() {
            true => write!(f, "{}:{}", self.path.display(), self.member()),
            false => write!(f, "{}", self.path.display()),
        }
    }
}

/// `eps=1e-6` or `a=[0.5, 0.25]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The parameter.
    pub name: String,
    /// The sizes of the array's axes; none for a number.
    pub shape: Vec<usize>,
    /// The number, or the array's elements.
    pub values: Vec<f64>,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let (name, value) = equation(text)?;
        let mut setting = Setting { name, shape: Vec::new(), values: Vec::new() };
        setting.read(value.trim(), 0)?;
        Ok(setting)
    }
}

impl Setting {
    /// Reads a number or a list in brackets; lists at one depth must be equally long.
    fn read(&mut self, text: &str, depth: usize) -> Result<(), String> {
        let Some(inner) = text.strip_prefix('[') else {
            if depth < self.shape.len() {
                return Err("numbers and lists are mixed".to_owned());
            }
            self.values.push(number(text)?);
            return Ok(());
        };
        let inner = inner.strip_suffix(']').ok_or("a `]` is missing")?;
        if depth >= act_runtime::MAX_AXES {
            return Err(format!("an array has at most {} axes", act_runtime::MAX_AXES));
        }
        let entries = entries(inner)?;
        match self.shape.get(depth) {
            Some(&known) if known != entries.len() => return Err("the lists differ in length".to_owned()),
            Some(_) => {}
            None if !self.values.is_empty() => return Err("numbers and lists are mixed".to_owned()),
            None => self.shape.push(entries.len()),
        }
        entries.into_iter().try_for_each(|entry| self.read(entry, depth + 1))
    }
}

/// The entries of a list, without those inside further brackets.
fn entries(text: &str) -> Result<Vec<&str>, String> {
    let (mut entries, mut start, mut open) = (Vec::new(), 0, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => open += 1,
            b']' => open = open.checked_sub(1).ok_or("there is a `]` too many")?,
            b',' if open == 0 => {
                entries.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        entries.push(last);
    }
    Ok(entries)
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "true" => Ok(1.0),
        "false" => Ok(0.0),
        _ => text.parse().map_err(|_| format!("`{text}` is not a number")),
    }
}

/// `n=4,d=8`, with the leading axes as `..=64` or `..=8x16`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Sizes by the names of dimensions.
    pub dims: Vec<(String, i64)>,
    /// The leading axes.
    pub leading: Option<Vec<usize>>,
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        let mut sizes = Sizes::default();
        for part in text.split(',') {
            let (name, size) = equation(part)?;
            if name == ".." {
                let axes = size.split('x').map(|axis| whole(axis).map(|size| size as usize));
                if sizes.leading.replace(axes.collect::<Result<_, _>>()?).is_some() {
                    return Err("`..` is given twice".to_owned());
                }
            } else if sizes.dims.iter().any(|(known, _)| *known == name) {
                return Err(format!("`{name}` is given twice"));
            } else {
                sizes.dims.push((name, whole(size)?));
            }
        }
        Ok(sizes)
    }
}

/// `g=4`.
pub fn dim(text: &str) -> Result<(String, i64), String> {
    let (name, size) = equation(text)?;
    Ok((name, whole(size)?))
}

/// `T=f64`
pub fn dtype(text: &str) -> Result<(String, DType), String> {
    let (name, dtype) = equation(text)?;
    match DType::from_name(dtype.trim()) {
        Some(dtype) => Ok((name, dtype)),
        None => Err(format!("`{dtype}` is no dtype; there are f32, f64, i32 and bool")),
    }
}

fn whole(text: &str) -> Result<i64, String> {
    let size = text.trim().parse::<u32>().ok().map(i64::from);
    size.filter(|size| *size <= i64::from(i32::MAX)).ok_or_else(|| format!("`{text}` is not a size"))
}

fn equation(text: &str) -> Result<(String, &str), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.is_empty() => {
            Ok((name.trim().to_owned(), value))
        }
        _ => Err(format!("`{text}` is not of the form name=value")),
    }
}

/// What a user gives for a call.
#[derive(Debug)]
pub struct Request<'a> {
    /// Files.
    pub places: &'a [Place],
    /// Numbers and small arrays.
    pub settings: &'a [Setting],
    /// Sizes.
    pub sizes: Sizes,
    /// Whether dtypes are converted.
    pub cast: bool,
    /// For what is made up.
    pub seed: u64,
    /// After so many elements what is made up comes again.
    pub period: usize,
}

/// What a call gets.
#[derive(Debug)]
pub struct Call {
    /// For each parameter of the signature: the array; `None` for numbers and for what is left out.
    pub arrays: Vec<Option<Tensor>>,
    /// For each parameter: where its array or number comes from, in words; `None` where it is left out.
    pub origins: Vec<Option<String>>,
    /// For each parameter: the number, if it is one and not left out.
    pub numbers: Vec<Option<f64>>,
    /// All shapes.
    pub shapes: Shapes,
    /// Dimensions whose size nobody gave, with the size chosen.
    pub chosen: Vec<(String, i64)>,
    /// The sizes that were asked for or chosen.
    asked: Sizes,
}

/// A kernel without code, for binding: what it takes and gives is all there is to it.
pub fn binder(signature: &Signature) -> Outcome<Kernel> {
    let numbers = signature.params.iter().enumerate();
    let numbers = numbers.filter(|(_, param)| matches!(param.kind, ParamKind::Scalar { .. }));
    let variant = Variant {
        guard: None,
        sizes: Vec::new(),
        tensors: Vec::new(),
        scalars: numbers.map(|(index, _)| index as u32).collect(),
        shared: SizeExpr::Const(0),
        phases: Vec::new(),
        in_place: Vec::new(),
    };
    let abi = Abi { variants: vec![variant] };
    // SAFETY: there are no functions that could do anything.
    let kernel =
        unsafe { Kernel::from_raw(signature.clone(), abi, vec![Vec::new()], std::sync::Arc::new(())) };
    Ok(kernel?)
}

impl Call {
    /// Reads the files, binds the dimensions, and makes up what is missing.
    pub fn prepare(graph: &Graph, signature: &Signature, request: &Request<'_>) -> Outcome<Call> {
        let count = signature.params.len();
        let mut call = Call {
            arrays: vec![None; count],
            origins: vec![None; count],
            numbers: vec![None; count],
            shapes: Shapes { params: Vec::new(), results: Vec::new(), dims: Vec::new() },
            chosen: Vec::new(),
            asked: request.sizes.clone(),
        };
        let mut everywhere = vec![None; count];
        for place in request.places {
            call.read(signature, place, request.cast)?;
        }
        for setting in request.settings {
            call.set(signature, setting, &mut everywhere)?;
        }
        let binder = binder(signature)?;
        call.shapes = call.bind_sizes(&binder)?;
        call.make_up(graph, signature, request, &everywhere)?;
        // Tells of wrong numbers before anything is done.
        call.bind(&binder).run_alloc().map(drop)?;
        Ok(call)
    }

    /// A call of the kernel with all this.
    pub fn bind<'a>(&'a self, kernel: &'a Kernel) -> Bind<'a> {
        let mut bind = kernel.bind();
        for (index, param) in kernel.signature().params.iter().enumerate() {
            if let Some(array) = &self.arrays[index] {
                bind = bind.input(&param.name, array.view());
            }
            if let Some(number) = self.numbers[index] {
                bind = bind.set(&param.name, number);
            }
        }
        for (name, size) in &self.asked.dims {
            bind = bind.dim(name, *size);
        }
        match &self.asked.leading {
            Some(leading) => bind.leading(leading),
            None => bind,
        }
    }

    fn read(&mut self, signature: &Signature, place: &Place, cast: bool) -> Outcome {
        let index = self.vacant(signature, &place.name)?;
        let param = &signature.params[index];
        if matches!(param.kind, ParamKind::Scalar { .. }) {
            let message = format!("`{}` is a number: give it with --set {}=…", param.name, param.name);
            return Err(Failure::Message(message));
        }
        let array = npy::read(place)?;
        let tensor = array.into_tensor(param.dtype, cast).map_err(|problem| {
            Failure::Message(format!("`{}` is {}, but {place} {problem}", param.name, param.dtype))
        })?;
        self.arrays[index] = Some(tensor);
        self.origins[index] = Some(place.to_string());
        Ok(())
    }

    fn set(&mut self, signature: &Signature, setting: &Setting, everywhere: &mut [Option<f64>]) -> Outcome {
        let index = self.vacant(signature, &setting.name)?;
        if everywhere[index].is_some() {
            return Err(twice(&setting.name));
        }
        let param = &signature.params[index];
        let is_number = setting.shape.is_empty();
        match (&param.kind, is_number) {
            (ParamKind::Scalar { .. }, true) => self.numbers[index] = Some(setting.values[0]),
            (ParamKind::Array { axes, .. }, true) if !axes.is_empty() => {
                everywhere[index] = Some(setting.values[0])
            }
            (ParamKind::Array { .. }, _) => {
                self.arrays[index] = Some(tensor(param, &setting.values, &setting.shape)?);
            }
            (ParamKind::Scalar { .. }, false) => {
                return Err(Failure::Message(format!("`{}` is a number, not an array", param.name)));
            }
        }
        self.origins[index] = Some("given".to_owned());
        Ok(())
    }

    /// The parameter of that name, if nothing is given for it yet.
    fn vacant(&self, signature: &Signature, name: &str) -> Outcome<usize> {
        let Some(index) = signature.params.iter().position(|param| param.name == name) else {
            let kernel = signature.name.clone();
            let known = signature.params.iter().map(|param| param.name.clone()).collect();
            return Err(Error::UnknownName { kernel, what: "parameter", name: name.to_owned(), known }.into());
        };
        if self.arrays[index].is_some() || self.numbers[index].is_some() {
            return Err(twice(name));
        }
        Ok(index)
    }

    /// Binds all dimensions; those that nothing tells get a size that makes a readable preview.
    fn bind_sizes(&mut self, binder: &Kernel) -> Outcome<Shapes> {
        let signature = binder.signature();
        loop {
            let error = match self.bind(binder).shapes() {
                Ok(shapes) => return Ok(shapes),
                Err(error) => error,
            };
            if let Error::DimParam { name, given, .. } = &error {
                return Err(Failure::Message(format!("{error}: give --dim {name}={given}")));
            }
            let Error::Unbound { dims } = &error else { return Err(error.into()) };
            let free = signature
                .dims
                .iter()
                .find(|dim| dims.contains(&dim.name) && matches!(dim.kind, DimKind::Free | DimKind::Leading));
            let Some(dim) = free else { return Err(error.into()) };
            let before = self.chosen.len();
            if dim.kind == DimKind::Leading && self.asked.leading.is_none() {
                self.asked.leading = Some(vec![4]);
                self.chosen.push((dim.name.clone(), 4));
            } else if !self.asked.dims.iter().any(|(known, _)| *known == dim.name) {
                self.asked.dims.push((dim.name.clone(), 8));
                self.chosen.push((dim.name.clone(), 8));
            }
            if self.chosen.len() == before {
                return Err(error.into());
            }
        }
    }

    /// Arrays and numbers that are not given and have no default.
    fn make_up(
        &mut self,
        graph: &Graph,
        signature: &Signature,
        request: &Request<'_>,
        everywhere: &[Option<f64>],
    ) -> Outcome {
        for (index, param) in signature.params.iter().enumerate() {
            let given = self.arrays[index].is_some() || self.numbers[index].is_some();
            match (&param.kind, &self.shapes.params[index]) {
                _ if given => {}
                (ParamKind::Scalar { default: None }, _) => {
                    self.numbers[index] =
                        Some(param.range.map_or(1.0, |(low, high)| 1.0_f64.clamp(low, high)));
                    self.origins[index] = Some("made up".to_owned());
                }
                (ParamKind::Array { default, .. }, Some(shape)) => match everywhere[index] {
                    Some(value) => {
                        check_number(param, value)?;
                        let count = Tensor::zeros(param.dtype, shape)?.data().len();
                        self.arrays[index] = Some(tensor(param, &vec![value; count], shape)?);
                    }
                    None if default.is_some() => {}
                    None => {
                        let source = Source {
                            seed: request.seed,
                            stream: &param.name,
                            labels: labels(graph, index, &self.shapes),
                            positive: is_under_a_root(graph, index),
                            period: request.period,
                        };
                        self.origins[index] = Some(source.describe(param.dtype));
                        self.arrays[index] = Some(source.tensor(param.dtype, shape)?);
                    }
                },
                (ParamKind::Scalar { .. } | ParamKind::Array { .. }, _) => {}
            }
        }
        Ok(())
    }
}

/// How many elements.
pub trait Len {
    /// How many elements.
    fn len(&self) -> usize;
}

impl Len for Data {
    fn len(&self) -> usize {
        match self {
            Data::F32(vec) => vec.len(),
            Data::F64(vec) => vec.len(),
            Data::F16(vec) => vec.len(),
            Data::BF16(vec) => vec.len(),
            Data::I32(vec) => vec.len(),
            Data::I8(vec) => vec.len(),
            Data::U8(vec) => vec.len(),
            Data::Bool(vec) => vec.len(),
        }
    }
}

/// Numbers as an array of the parameter's dtype.
fn tensor(param: &ParamDecl, values: &[f64], shape: &[usize]) -> Outcome<Tensor> {
    values.iter().try_for_each(|&value| check_number(param, value))?;
    let tensor = match param.dtype {
        DType::F32 => Tensor::from_vec(values.iter().map(|&value| value as f32).collect(), shape),
        DType::F64 => Tensor::from_vec(values.to_vec(), shape),
        DType::F16 => Tensor::from_vec(values.iter().map(|&value| f16_of(value)).collect(), shape),
        DType::BF16 => Tensor::from_vec(values.iter().map(|&value| bf16_of(value)).collect(), shape),
        DType::I32 => Tensor::from_vec(values.iter().map(|&value| value as i32).collect(), shape),
        DType::I8 => Tensor::from_vec(values.iter().map(|&value| value as i8).collect(), shape),
        DType::U8 => Tensor::from_vec(values.iter().map(|&value| value as u8).collect(), shape),
        DType::Bool => Tensor::from_vec(values.iter().map(|&value| value != 0.0).collect(), shape),
    };
    tensor.ok_or_else(|| {
        Failure::Message(format!("`{}`: {} elements do not fill {shape:?}", param.name, values.len()))
    })
}

/// Whole numbers stay what they are.
fn check_number(param: &ParamDecl, value: f64) -> Outcome {
    match small::element_bits(param.dtype, value).is_some() {
        true => Ok(()),
        false => Err(Error::Number { name: param.name.clone(), dtype: param.dtype, value }.into()),
    }
}

fn twice(name: &str) -> Failure {
    Error::Twice { name: name.to_owned() }.into()
}

/// If the kernel compares the parameter with the position along a dimension, or reads at it along one: how many positions there are.
fn labels(graph: &Graph, param: usize, shapes: &Shapes) -> Option<i32> {
    let is_param = |node| root(graph, node) == Some(param);
    let size = |dim: DimId| shapes.dims.get(dim.as_u32() as usize).copied();
    let sizes = graph.nodes.values().flat_map(|node| match &node.op {
        Op::Prim(Prim::Eq | Prim::Ne, args) if args.iter().any(|&arg| is_param(arg)) => {
            let along = args.iter().find_map(|&arg| match graph.nodes[arg].op {
                Op::Index(dim) => Some(dim),
                _ => None,
            });
            along.and_then(size).into_iter().collect()
        }
        Op::Gather { dims, args } => {
            let read = dims.iter().zip(&args[1..]).filter(|(_, position)| is_param(**position));
            read.filter_map(|(dim, _)| size(*dim)).collect::<Vec<i64>>()
        }
        _ => Vec::new(),
    });
    i32::try_from(sizes.min()?).ok()
}

/// The parameter whose elements a node has, as they are.
fn root(graph: &Graph, mut node: NodeId) -> Option<usize> {
    loop {
        node = match &graph.nodes[node].op {
            Op::Param(param) => return Some(*param as usize),
            Op::Convert(value)
            | Op::Slice { value, .. }
            | Op::Rename { value, .. }
            | Op::Broadcast(value) => *value,
            _ => return None,
        }
    }
}

/// Whether the kernel takes a root or a logarithm of the parameter, or of a sum with it: negative numbers would only
/// give NaN.
fn is_under_a_root(graph: &Graph, param: usize) -> bool {
    let mut operands: Vec<NodeId> = Vec::new();
    for node in graph.nodes.values() {
        if let Op::Prim(Prim::Sqrt | Prim::Rsqrt | Prim::Log | Prim::Log2 | Prim::Log10, args) = &node.op {
            operands.extend(args);
        }
    }
    operands.into_iter().any(|operand| match &graph.nodes[operand].op {
        Op::Param(index) => *index as usize == param,
        Op::Prim(Prim::Add, args) => args.iter().any(|arg| arg.as_u32() as usize == param),
        _ => false,
    })
}
