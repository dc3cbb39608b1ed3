//! Tensors as the runtime's values: inputs lie where they came, outputs where the runtime has put them.

use std::ffi::{CString, c_char};
use std::ptr;

use bytes::Bytes;
use ort_sys::{OrtApi, OrtTensorTypeAndShapeInfo, OrtValue};

use super::{Cause, Failure, Runtime, check, datatype_of, element_type, onnx_type, sizes};
use crate::tensor::{Data, Spec, Tensor, elements};

/// A value of the runtime's that is ours to free; null where a run gave none.
pub struct Value {
    api: &'static OrtApi,
    raw: *mut OrtValue,
}

impl Drop for Value {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: it is ours.
            unsafe { (self.api.ReleaseValue)(self.raw) }
        }
    }
}

/// An input with the memory that it lies in.
pub struct Fed<'a> {
    value: Value,
    _memory: Memory<'a>,
}

enum Memory<'a> {
    Lent(&'a [u8]),
    /// Of what came at an address where its elements can't lie.
    Copied(Vec<u64>),
    Texts,
}

impl<'a> Fed<'a> {
    pub fn raw(&self) -> *const OrtValue {
        self.value.raw.cast_const()
    }

    pub fn new(runtime: Runtime, tensor: &'a Tensor) -> Result<Fed<'a>, Failure> {
        let api = runtime.api;
        let mut value = Value { api, raw: ptr::null_mut() };
        let kind = onnx_type(tensor.datatype);
        let (memory, length) = match (&tensor.data, tensor.datatype.size()) {
            (Data::Fixed(raw), Some(size)) if elements(&tensor.shape).map(|count| count * size) == Some(raw.len()) => {
                (aligned(raw, size), raw.len())
            }
            (Data::Texts(texts), None) if elements(&tensor.shape) == Some(texts.len()) => {
                Fed::fill(runtime, tensor, texts, &mut value)?;
                return Ok(Fed { value, _memory: Memory::Texts });
            }
            _ => return Err(Failure::ours("a tensor whose data does not fit its shape")),
        };
        let address = match &memory {
            Memory::Lent(raw) => raw.as_ptr(),
            Memory::Copied(words) => words.as_ptr().cast(),
            Memory::Texts => ptr::null(),
        };
        // SAFETY: the memory has as many bytes as shape and type need, is aligned for them, and lives as long as the
        // value does. The runtime takes a mutable pointer and reads.
        check(api, unsafe {
            (api.CreateTensorWithDataAsOrtValue)(
                runtime.memory,
                address.cast_mut().cast(),
                length,
                tensor.shape.as_ptr(),
                tensor.shape.len(),
                kind,
                &mut value.raw,
            )
        })?;
        Ok(Fed { value, _memory: memory })
    }

    fn fill(runtime: Runtime, tensor: &Tensor, texts: &[Bytes], value: &mut Value) -> Result<(), Failure> {
        let api = runtime.api;
        let texts = texts
            .iter()
            .map(|text| CString::new(text.as_ref()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Failure { cause: Cause::Request, message: "a text has a NUL in it".to_owned() })?;
        let pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        let mut allocator = ptr::null_mut();
        // SAFETY: the texts are C strings, as many as the shape has elements; the runtime copies them.
        unsafe {
            check(api, (api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
            let kind = onnx_type(tensor.datatype);
            let shape = &tensor.shape;
            check(api, (api.CreateTensorAsOrtValue)(allocator, shape.as_ptr(), shape.len(), kind, &mut value.raw))?;
            check(api, (api.FillStringTensor)(value.raw, pointers.as_ptr(), pointers.len()))
        }
    }
}

/// The bytes where they are, or copied to where elements of `size` bytes may lie.
fn aligned(raw: &[u8], size: usize) -> Memory<'_> {
    if raw.as_ptr().addr().is_multiple_of(size) {
        return Memory::Lent(raw);
    }
    let words = raw.chunks(8).map(|chunk| {
        let mut eight = [0; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(eight)
    });
    Memory::Copied(words.collect())
}

impl Value {
    /// Takes over what a run gave, which may be null.
    pub fn of(api: &'static OrtApi, raw: *mut OrtValue) -> Value {
        Value { api, raw }
    }

    /// The tensor of an output. Its bytes stay where they are, and free the value with the last of them.
    pub fn tensor(self, spec: &Spec) -> Result<Tensor, Failure> {
        let api = self.api;
        if self.raw.is_null() {
            return Err(Failure::ours(format!("the model gives no {}", spec.name)));
        }
        let mut info: *mut OrtTensorTypeAndShapeInfo = ptr::null_mut();
        // SAFETY: the value is live; the info is ours, and freed below.
        check(api, unsafe { (api.GetTensorTypeAndShape)(self.raw, &mut info) })?;
        let found = element_type(api, info).and_then(|kind| Ok((kind, sizes(api, info)?)));
        // SAFETY: it is ours.
        unsafe { (api.ReleaseTensorTypeAndShapeInfo)(info) };
        let (kind, shape) = found?;
        if datatype_of(kind) != Some(spec.datatype) {
            return Err(Failure::ours(format!("the model gives {} in another type than it says", spec.name)));
        }
        let count =
            elements(&shape).ok_or_else(|| Failure::ours(format!("the model gives {} in no shape", spec.name)))?;
        let data = match spec.datatype.size() {
            Some(size) => Data::Fixed(self.bytes(count * size)?),
            None => Data::Texts(self.texts(count)?),
        };
        Ok(Tensor { datatype: spec.datatype, shape, data })
    }

    fn bytes(self, length: usize) -> Result<Bytes, Failure> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let mut address = ptr::null_mut();
        // SAFETY: the value is a live tensor.
        check(self.api, unsafe { (self.api.GetTensorMutableData)(self.raw, &mut address) })?;
        Ok(Bytes::from_owner(Answered { _value: self, address: address.cast(), length }))
    }

    fn texts(&self, count: usize) -> Result<Vec<Bytes>, Failure> {
        let mut length = 0;
        let mut offsets = vec![0usize; count];
        // SAFETY: the value is a live text tensor; buffer and offsets are as long as said.
        let buffer = unsafe {
            check(self.api, (self.api.GetStringTensorDataLength)(self.raw, &mut length))?;
            let mut buffer = vec![0u8; length];
            let (to, places) = (buffer.as_mut_ptr().cast(), offsets.as_mut_ptr());
            check(self.api, (self.api.GetStringTensorContent)(self.raw, to, length, places, count))?;
            Bytes::from(buffer)
        };
        let ends = offsets.iter().skip(1).copied().chain([length]);
        Ok(offsets.iter().zip(ends).map(|(start, end)| buffer.slice(*start..end)).collect())
    }
}

/// An output's memory.
struct Answered {
    _value: Value,
    address: *const u8,
    length: usize,
}

// SAFETY: nobody writes to an output any more, and it may be freed from any thread.
unsafe impl Send for Answered {}
// SAFETY: see above.
unsafe impl Sync for Answered {}

impl AsRef<[u8]> for Answered {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the value has so many bytes there, and lives as long as this does.
        unsafe { std::slice::from_raw_parts(self.address, self.length) }
    }
}
