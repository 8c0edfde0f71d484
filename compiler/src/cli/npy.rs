//! Arrays in files: numpy's `.npy`, and `.npz`, which is a zip archive of them.
//!
//! A file is somebody else's: nothing in it is believed before it is checked. The header is read here and not by the crate
//! npyz, which recurses for each bracket of a header and multiplies sizes without a look at the file's length; npyz writes,
//! and opens archives.

use std::fs::File;
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use act::{DType, Data, Tensor};
use act_runtime::{MAX_AXES, small};
use npyz::zip::CompressionMethod;
use npyz::zip::result::ZipError;
use npyz::zip::write::FileOptions;
use npyz::{AutoSerialize, Serialize, WriterBuilder};

use super::engine::{bf16_of, f16_of};
use super::files::Staged;
use super::inputs::Place;
use super::{Failure, Outcome};

/// The longest header read. Those of numpy have some hundred bytes.
const MAX_HEADER: usize = 1 << 16;

/// The largest number of elements.
const MAX_ELEMENTS: u64 = 1 << 48;

/// An array as a file has it, in row-major order.
#[derive(Debug)]
pub struct Array {
    shape: Vec<usize>,
    values: Values,
}

/// Elements in one of the types that hold all that are read.
#[derive(Debug)]
enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>, u8),
    Uint(Vec<u64>, u8),
    F16(Vec<f32>),
    BF16(Vec<f32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Reads the array of that place.
pub fn read(place: &Place) -> Outcome<Array> {
    let fail = |problem: String| Failure::Message(format!("{place}: {problem}"));
    let file = open(&place.path).map_err(fail)?;
    if place.is_archive() {
        return read_member(std::io::BufReader::new(file), place.member()).map_err(fail);
    }
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|known| known.len());
    read_array(&mut std::io::BufReader::new(file), length).map_err(fail)
}

fn open(path: &Path) -> Result<File, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    match file.metadata() {
        Ok(known) if known.is_dir() => Err("is a directory, not a file".to_owned()),
        Ok(_) | Err(_) => Ok(file),
    }
}

fn read_member(file: impl Read + Seek, member: &str) -> Result<Array, String> {
    let broken = |error: &dyn std::fmt::Display| format!("is not a .npz archive: {error}");
    let mut archive = npyz::npz::NpzArchive::new(file).map_err(|error| broken(&error))?;
    let known: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let entry = npyz::npz::file_name_from_array_name(member);
    let mut entry = match archive.zip_archive().by_name(&entry) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => {
            let mut known: Vec<String> = known.into_iter().take(20).collect();
            known.sort();
            return Err(format!("the archive has no array `{member}`; it has {}", known.join(", ")));
        }
        Err(error) => return Err(broken(&error)),
    };
    let length = entry.size();
    read_array(&mut entry, Some(length))
}

/// Reads a `.npy` of that many bytes (if it is known).
fn read_array(reader: &mut dyn Read, length: Option<u64>) -> Result<Array, String> {
    let (header, start) = read_header(reader)?;
    let count = header.shape.iter().try_fold(1_u64, |count, &size| count.checked_mul(size));
    let count = count.filter(|count| *count < MAX_ELEMENTS);
    let Some(count) = count else {
        return Err(format!("an array of the shape {:?} is too large", header.shape));
    };
    let wanted = count * header.elem.bytes();
    if let Some(given) = length.map(|length| length.saturating_sub(start)) {
        check_length(&header, wanted, given)?;
    }
    let mut bytes = Vec::new();
    reader.take(wanted + 1).read_to_end(&mut bytes).map_err(|error| format!("can't be read: {error}"))?;
    check_length(&header, wanted, bytes.len() as u64)?;
    let shape = header.shape.iter().map(|&size| size as usize).collect();
    let mut array = Array { shape, values: header.elem.decode(&bytes, header.big_endian) };
    if header.fortran_order {
        array.transpose();
    }
    Ok(array)
}

fn check_length(header: &Header, wanted: u64, given: u64) -> Result<(), String> {
    let what = match given {
        _ if given == wanted => return Ok(()),
        _ if given < wanted => "is truncated",
        _ => "is longer than its array",
    };
    Err(format!(
        "{what}: {:?} elements of {} bytes are {wanted} bytes, and the file has {given} after its header",
        header.shape,
        header.elem.bytes()
    ))
}

/// What the header of a `.npy` says.
#[derive(Debug, PartialEq)]
struct Header {
    elem: Elem,
    big_endian: bool,
    fortran_order: bool,
    shape: Vec<u64>,
}

/// Reads a header, and says how many bytes it has.
fn read_header(reader: &mut dyn Read) -> Result<(Header, u64), String> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(|_| "is not a .npy file: it is too short".to_owned())?;
    if &start[..6] != b"\x93NUMPY" {
        return Err("is not a .npy file: it does not begin as one".to_owned());
    }
    let width = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(format!("is a .npy file of version {version}; 1, 2 and 3 are read")),
    };
    let mut length = [0; 4];
    let truncated = |_| "is truncated in its header".to_owned();
    reader.read_exact(&mut length[..width]).map_err(truncated)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(format!("has a header of {length} bytes; at most {MAX_HEADER} are read"));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(truncated)?;
    let text = str::from_utf8(&text).map_err(|_| "has a header that is not text".to_owned())?;
    let header = Literal { rest: text }.header()?;
    Ok((header, (8 + width + length) as u64))
}

/// Reads a Python dictionary of the three entries that a header has.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn header(&mut self) -> Result<Header, String> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.eat('}') {
            let key = self.string()?;
            self.expect(':')?;
            match key {
                "descr" if self.peek() == Some('[') => return Err("holds records, not numbers".to_owned()),
                "descr" => descr = Some(self.string()?),
                "fortran_order" => fortran_order = Some(self.truth()?),
                "shape" => shape = Some(self.sizes()?),
                _ => return Err(self.broken()),
            }
            if !self.eat(',') {
                self.expect('}')?;
                break;
            }
        }
        let (Some(descr), Some(fortran_order), Some(shape)) = (descr, fortran_order, shape) else {
            return Err("has a header without one of descr, fortran_order and shape".to_owned());
        };
        if self.peek().is_some() {
            return Err(self.broken());
        }
        let (elem, big_endian) = Elem::from_descr(descr)?;
        Ok(Header { elem, big_endian, fortran_order, shape })
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.eat(wanted) { Ok(()) } else { Err(self.broken()) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = self.peek().filter(|quote| matches!(quote, '\'' | '"')).ok_or_else(|| self.broken())?;
        let inner = &self.rest[1..];
        let (text, rest) = inner.split_once(quote).ok_or_else(|| self.broken())?;
        self.rest = rest;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool, String> {
        self.peek();
        for (word, truth) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(truth);
            }
        }
        Err(self.broken())
    }

    fn sizes(&mut self) -> Result<Vec<u64>, String> {
        let mut sizes = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            self.peek();
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (size, rest) = self.rest.split_at(digits);
            sizes.push(size.parse().map_err(|_| self.broken())?);
            if sizes.len() > MAX_AXES {
                return Err(format!("has more than {MAX_AXES} axes"));
            }
            self.rest = rest;
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }

    fn broken(&self) -> String {
        let rest: String = self.rest.chars().take(20).collect();
        format!("has a header that can't be read, at {rest:?}")
    }
}

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elem {
    Bool,
    Int(u8),
    Uint(u8),
    Float(u8),
    /// Two bytes without a meaning: as which numpy writes a `bfloat16`, which is none of its own dtypes.
    Raw,
}

impl Elem {
    /// From numpy's name, `<f4`: the type, and whether its bytes are turned round.
    fn from_descr(descr: &str) -> Result<(Elem, bool), String> {
        let mut rest = descr.chars();
        let big_endian = rest.next() == Some('>');
        let elem = match rest.as_str() {
            "b1" | "?" => Elem::Bool,
            "i1" => Elem::Int(1),
            "i2" => Elem::Int(2),
            "i4" => Elem::Int(4),
            "i8" => Elem::Int(8),
            "u1" => Elem::Uint(1),
            "u2" => Elem::Uint(2),
            "u4" => Elem::Uint(4),
            "u8" => Elem::Uint(8),
            "f2" => Elem::Float(2),
            "f4" => Elem::Float(4),
            "f8" => Elem::Float(8),
            "V2" => Elem::Raw,
            name if name.starts_with('O') => {
                return Err("holds Python objects, which are not read".to_owned());
            }
            name if name.starts_with('c') => {
                return Err("holds complex numbers, which are not read".to_owned());
            }
            name if name.starts_with(['S', 'U', 'a']) => return Err("holds strings, not numbers".to_owned()),
            _ => return Err(format!("has the dtype {descr:?}, which is not read")),
        };
        Ok((elem, big_endian))
    }

    fn bytes(self) -> u64 {
        match self {
            Elem::Bool => 1,
            Elem::Raw => 2,
            Elem::Int(bytes) | Elem::Uint(bytes) | Elem::Float(bytes) => u64::from(bytes),
        }
    }

    fn decode(self, bytes: &[u8], big_endian: bool) -> Values {
        let width = self.bytes() as usize;
        let words = bytes.chunks_exact(width).map(|element| {
            let mut word = [0; 8];
            word[..width].copy_from_slice(element);
            if big_endian {
                word[..width].reverse();
            }
            u64::from_le_bytes(word)
        });
        let unused = 64 - 8 * width as u32;
        match self {
            Elem::Bool => Values::Bool(words.map(|word| word != 0).collect()),
            Elem::Int(bytes) => {
                Values::Int(words.map(|word| ((word << unused) as i64) >> unused).collect(), bytes)
            }
            Elem::Uint(bytes) => Values::Uint(words.collect(), bytes),
            Elem::Float(2) => Values::F16(words.map(|word| small::f16_value(word as u16) as f32).collect()),
            Elem::Raw => Values::BF16(words.map(|word| small::bf16_value(word as u16) as f32).collect()),
            Elem::Float(4) => Values::F32(words.map(|word| f32::from_bits(word as u32)).collect()),
            Elem::Float(_) => Values::F64(words.map(f64::from_bits).collect()),
        }
    }
}

impl Array {
    /// The same array in the given dtype. If it has another one it must be cast; says why not.
    pub fn into_tensor(self, dtype: DType, cast: bool) -> Result<Tensor, String> {
        let same = self.dtype() == Some(dtype);
        if !same && !cast {
            return Err(format!("holds {}; --cast converts", self.dtype_name()));
        }
        let shape = self.shape;
        let tensor = match dtype {
            DType::F32 => Tensor::from_vec(self.values.f32s(), &shape),
            DType::F64 => Tensor::from_vec(self.values.f64s(), &shape),
            DType::F16 => Tensor::from_vec(self.values.f64s().into_iter().map(f16_of).collect(), &shape),
            DType::BF16 => Tensor::from_vec(self.values.f64s().into_iter().map(bf16_of).collect(), &shape),
            DType::I32 => Tensor::from_vec(self.values.whole::<i32>(dtype)?, &shape),
            DType::I8 => Tensor::from_vec(self.values.whole::<i8>(dtype)?, &shape),
            DType::U8 => Tensor::from_vec(self.values.whole::<u8>(dtype)?, &shape),
            DType::Bool => Tensor::from_vec(self.values.bools(), &shape),
        };
        tensor.ok_or_else(|| format!("has a shape that is too large: {shape:?}"))
    }

    fn dtype(&self) -> Option<DType> {
        match self.values {
            Values::Bool(_) => Some(DType::Bool),
            Values::Int(_, 4) => Some(DType::I32),
            Values::F32(_) => Some(DType::F32),
            Values::F64(_) => Some(DType::F64),
            Values::F16(_) => Some(DType::F16),
            Values::BF16(_) => Some(DType::BF16),
            Values::Int(_, 1) => Some(DType::I8),
            Values::Uint(_, 1) => Some(DType::U8),
            Values::Int(..) | Values::Uint(..) => None,
        }
    }

    fn dtype_name(&self) -> String {
        match self.values {
            Values::Bool(_) => "bool".to_owned(),
            Values::Int(_, bytes) => format!("i{}", 8 * bytes),
            Values::Uint(_, bytes) => format!("u{}", 8 * bytes),
            Values::F16(_) => "f16".to_owned(),
            Values::BF16(_) => "bf16".to_owned(),
            Values::F32(_) => "f32".to_owned(),
            Values::F64(_) => "f64".to_owned(),
        }
    }

    /// From the order of Fortran, first axis fastest, to row-major.
    fn transpose(&mut self) {
        let shape = &self.shape;
        match &mut self.values {
            Values::Bool(values) => *values = transposed(values, shape),
            Values::Int(values, _) => *values = transposed(values, shape),
            Values::Uint(values, _) => *values = transposed(values, shape),
            Values::F16(values) | Values::BF16(values) | Values::F32(values) => {
                *values = transposed(values, shape)
            }
            Values::F64(values) => *values = transposed(values, shape),
        }
    }
}

fn transposed<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut place = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let at = place.iter().zip(shape).rev().fold(0, |at, (&place, &size)| at * size + place);
        out.push(values[at]);
        for (place, &size) in place.iter_mut().zip(shape).rev() {
            *place += 1;
            if *place < size {
                break;
            }
            *place = 0;
        }
    }
    out
}

impl Values {
    fn f32s(self) -> Vec<f32> {
        match self {
            Values::Bool(values) => values.into_iter().map(|value| f32::from(u8::from(value))).collect(),
            Values::Int(values, _) => values.into_iter().map(|value| value as f32).collect(),
            Values::Uint(values, _) => values.into_iter().map(|value| value as f32).collect(),
            Values::F16(values) | Values::BF16(values) | Values::F32(values) => values,
            Values::F64(values) => values.into_iter().map(|value| value as f32).collect(),
        }
    }

    fn f64s(self) -> Vec<f64> {
        match self {
            Values::Bool(values) => values.into_iter().map(|value| f64::from(u8::from(value))).collect(),
            Values::Int(values, _) => values.into_iter().map(|value| value as f64).collect(),
            Values::Uint(values, _) => values.into_iter().map(|value| value as f64).collect(),
            Values::F16(values) | Values::BF16(values) | Values::F32(values) => {
                values.into_iter().map(f64::from).collect()
            }
            Values::F64(values) => values,
        }
    }

    fn bools(self) -> Vec<bool> {
        match self {
            Values::Bool(values) => values,
            Values::Int(values, _) => values.into_iter().map(|value| value != 0).collect(),
            Values::Uint(values, _) => values.into_iter().map(|value| value != 0).collect(),
            Values::F16(values) | Values::BF16(values) | Values::F32(values) => {
                values.into_iter().map(|value| value != 0.0).collect()
            }
            Values::F64(values) => values.into_iter().map(|value| value != 0.0).collect(),
        }
    }

    /// As integers: whole numbers must fit; others are rounded to nearest even, and must fit then.
    fn whole<T: TryFrom<i64>>(self, dtype: DType) -> Result<Vec<T>, String> {
        let misfit = |i: usize, value: &dyn std::fmt::Display| {
            format!("has {value} as element {i}, which is no {dtype}")
        };
        fn one<T: TryFrom<i64>>(value: Option<i64>) -> Option<T> {
            value.and_then(|value| T::try_from(value).ok())
        }
        let floats = match self {
            Values::Int(values, _) => {
                let each = values.iter().enumerate();
                return each.map(|(i, value)| one(Some(*value)).ok_or_else(|| misfit(i, value))).collect();
            }
            Values::Uint(values, _) => {
                let each = values.iter().enumerate();
                let one = |value: &u64| one(i64::try_from(*value).ok());
                return each.map(|(i, value)| one(value).ok_or_else(|| misfit(i, value))).collect();
            }
            others => others.f64s(),
        };
        let rounded = |value: f64| Some(libm::rint(value)).filter(|whole| whole.abs() < 9e15);
        let each = floats.iter().enumerate();
        each.map(|(i, value)| one(rounded(*value).map(|whole| whole as i64)).ok_or_else(|| misfit(i, value)))
            .collect()
    }
}

/// Writes arrays beside the places they go to; those of one archive together.
pub fn stage(outputs: &[(Place, &Tensor)]) -> Outcome<Vec<Staged>> {
    let mut staged = Vec::new();
    for (index, (place, tensor)) in outputs.iter().enumerate() {
        let same_file = |(other, _): &&(Place, &Tensor)| other.path == place.path;
        let earlier = outputs[..index].iter().find(same_file);
        if !place.is_archive() {
            if earlier.is_some() {
                return Err(Failure::Message(format!(
                    "{place}: two results can't go to one .npy; a .npz holds several"
                )));
            }
            let mut bytes = Vec::new();
            write_array(&mut bytes, tensor).expect("memory can be written");
            staged.push(Staged::new(&place.path, &bytes)?);
        } else if earlier.is_none() {
            let together: Vec<_> = outputs.iter().filter(same_file).collect();
            staged.push(Staged::new(&place.path, &archive(&together)?)?);
        }
    }
    Ok(staged)
}

/// The bytes of an archive; the same for the same arrays.
fn archive(members: &[&(Place, &Tensor)]) -> Outcome<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    {
        let mut writer = npyz::npz::NpzWriter::new(&mut bytes);
        for (index, (place, tensor)) in members.iter().enumerate() {
            if members[..index].iter().any(|(other, _)| other.member() == place.member()) {
                return Err(Failure::Message(format!("{place}: two results can't have one name")));
            }
            let options = FileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .last_modified_time(npyz::zip::DateTime::default())
                .large_file(true);
            let name = npyz::npz::file_name_from_array_name(place.member());
            let entry = writer.zip_writer().start_file(name, options);
            entry.map_err(|error| Failure::Message(format!("{place}: {error}")))?;
            write_array(writer.zip_writer(), tensor).expect("memory can be written");
        }
        writer.zip_writer().finish().map_err(|error| Failure::Message(error.to_string()))?;
    }
    Ok(bytes.into_inner())
}

/// Writes a `.npy`.
fn write_array(out: &mut dyn Write, tensor: &Tensor) -> std::io::Result<()> {
    let shape: Vec<u64> = tensor.shape().iter().map(|&size| size as u64).collect();
    match tensor.data() {
        Data::F32(values) => write_values(out, values, &shape),
        Data::F64(values) => write_values(out, values, &shape),
        Data::F16(values) => write_bits(out, "<f2", values.iter().map(|value| value.to_bits()), &shape),
        Data::BF16(values) => write_bits(out, "<V2", values.iter().map(|value| value.to_bits()), &shape),
        Data::I32(values) => write_values(out, values, &shape),
        Data::I8(values) => write_values(out, values, &shape),
        Data::U8(values) => write_values(out, values, &shape),
        Data::Bool(values) => write_values(out, values, &shape),
    }
}

/// Elements of two bytes, with numpy's name for them.
fn write_bits(
    out: &mut dyn Write,
    descr: &str,
    bits: impl Iterator<Item = u16>,
    shape: &[u64],
) -> std::io::Result<()> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    // What comes before the elements fills whole lines of a cache.
    let start = 10;
    let padding = (start + header.len() + 1).next_multiple_of(64) - start - header.len() - 1;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    let bytes: Vec<u8> = bits.flat_map(u16::to_le_bytes).collect();
    out.write_all(&bytes)
}

fn write_values<T: AutoSerialize + Serialize + Copy>(
    out: &mut dyn Write,
    values: &[T],
    shape: &[u64],
) -> std::io::Result<()> {
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).writer(out);
    let mut writer = options.begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{archive, read_array, read_member, write_array};
    use act::{DType, Tensor};
    use act_runtime::{bf16, f16};

    /// A `.npy` of version 1 with this header and these bytes.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<super::Array, String> {
        read_array(&mut &bytes[..], Some(bytes.len() as u64))
    }

    #[test]
    fn arrays_come_back() {
        let tensor =
            Tensor::from_vec(vec![1.5_f32, -0.0, f32::MAX, f32::MIN_POSITIVE, 3.0, 4.0], &[2, 3]).unwrap();
        let mut bytes = Vec::new();
        write_array(&mut bytes, &tensor).unwrap();
        assert_eq!(read(&bytes).unwrap().into_tensor(DType::F32, false), Ok(tensor));
    }

    #[test]
    fn orders_and_dtypes() {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }";
        let bytes = file(header, &[0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 255, 255]);
        assert_eq!(
            read(&bytes).unwrap().into_tensor(DType::F32, false),
            Err("holds i16; --cast converts".to_owned())
        );
        let cast = read(&bytes).unwrap().into_tensor(DType::I32, true).unwrap();
        assert_eq!(cast.as_slice::<i32>(), Some(&[1, 3, 5, 2, 4, -1][..]));
    }

    /// Numbers of 16 and 8 bits are read and written as they are; numpy has no bf16 and calls it two bytes.
    #[test]
    fn small_dtypes_come_back() {
        let tensors = [
            Tensor::from_vec([0x3c00, 0x0001, 0xfbff, 0x7c00, 0x8000].map(f16::from_bits).to_vec(), &[5]),
            Tensor::from_vec([0x3f80, 0x0001, 0xff7f, 0x7f80, 0x8000].map(bf16::from_bits).to_vec(), &[5, 1]),
            Tensor::from_vec(vec![-128_i8, 127, 0], &[1, 3]),
            Tensor::from_vec(vec![255_u8], &[]),
        ];
        for tensor in tensors.map(Option::unwrap) {
            let mut bytes = Vec::new();
            write_array(&mut bytes, &tensor).unwrap();
            let back = read(&bytes).unwrap().into_tensor(tensor.dtype(), false);
            assert_eq!(back.as_ref(), Ok(&tensor));
            assert!(read(&bytes).unwrap().into_tensor(DType::F32, false).is_err());
            assert!(read(&bytes).unwrap().into_tensor(DType::F64, true).is_ok());
        }
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
        let numbers: Vec<u8> =
            [65519.9_f64, 1.0 + 2f64.powi(-11) + 2f64.powi(-52)].map(f64::to_le_bytes).concat();
        let cast = read(&file(header, &numbers)).unwrap().into_tensor(DType::F16, true).unwrap();
        assert_eq!(cast.as_slice(), Some(&[0x7bff, 0x3c01].map(f16::from_bits)[..]));
        let small = |dtype| read(&file(header, &numbers)).unwrap().into_tensor(dtype, true).map(|_| ());
        assert_eq!(small(DType::U8), Err("has 65519.9 as element 0, which is no u8".to_owned()));
    }

    #[test]
    fn damage_is_told_and_costs_nothing() {
        let good = file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", &[0; 16]);
        assert!(read(&good).is_ok());
        for end in 0..good.len() {
            assert!(read(&good[..end]).is_err(), "{end}");
        }
        for at in 0..good.len() {
            for byte in [0, b'9', b'(', b'\'', 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                let _ = read(&bad);
            }
        }
        let headers = [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 16), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), }",
            "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f4', 'shape': (2,), }",
            "((((((((",
        ];
        for header in headers {
            assert!(read(&file(header, &[])).is_err(), "{header}");
        }
    }

    #[test]
    fn damaged_archives_are_told() {
        let tensor = Tensor::from_vec(vec![1_i32, 2, 3], &[3]).unwrap();
        let place = |text: &str| text.parse::<super::Place>().unwrap();
        let members = [(place("a=all.npz"), &tensor), (place("b=all.npz:other"), &tensor)];
        let good = archive(&members.iter().collect::<Vec<_>>()).unwrap();
        let read = |bytes: &[u8], name: &str| read_member(Cursor::new(bytes.to_vec()), name);
        for name in ["a", "other"] {
            assert_eq!(read(&good, name).unwrap().into_tensor(DType::I32, false).as_ref(), Ok(&tensor));
        }
        assert_eq!(read(&good, "b").unwrap_err(), "the archive has no array `b`; it has a, other");
        for end in 0..good.len() {
            assert!(read(&good[..end], "a").is_err(), "{end}");
        }
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                let _ = read(&bad, "other");
            }
        }
    }
}
