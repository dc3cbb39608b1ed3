//! ONNX Runtime by its C API: the one module with unsafe code, and its values.
//!
//! The library is the one that the `onnxruntime` wheel ships; which build that is (CPU, CUDA) makes no difference here.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use ort_sys::{
    ONNXTensorElementDataType, OrtAllocatorType, OrtApi, OrtApiBase, OrtEnv, OrtErrorCode, OrtLoggingLevel, OrtMemType,
    OrtMemoryInfo, OrtSession, OrtStatusPtr, OrtTensorTypeAndShapeInfo, OrtTypeInfo, OrtValue,
};

use crate::tensor::{Datatype, Dim, Spec, Tensor};

mod options;
mod value;

use options::Options;
pub use options::{Provider, available};
use value::{Fed, Value};

/// What the C API is asked to be; a newer library has it too.
const API_VERSION: u32 = 17;

/// Why the runtime did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    pub message: String,
}

/// Who or what is to blame, by what the runtime says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Request,
    /// There was no memory for what the model makes of it.
    Memory,
    Model,
}

impl Cause {
    fn of(code: OrtErrorCode, message: &str) -> Cause {
        const OF_MEMORY: [&str; 3] = ["Failed to allocate memory", "bad_alloc", "bad allocation"];
        if OF_MEMORY.iter().any(|words| message.contains(words)) {
            Cause::Memory
        } else if code == OrtErrorCode::ORT_INVALID_ARGUMENT {
            Cause::Request
        } else {
            Cause::Model
        }
    }
}

impl Failure {
    pub(crate) fn ours(message: impl Into<String>) -> Failure {
        Failure { cause: Cause::Model, message: message.into() }
    }
}

/// The library with its environment, of which a process has one. It is never unloaded.
#[derive(Clone, Copy)]
struct Runtime {
    api: &'static OrtApi,
    env: *mut OrtEnv,
    memory: *const OrtMemoryInfo,
}

// SAFETY: the API is a table of functions that may be called from any thread, as may those that take the environment.
unsafe impl Send for Runtime {}
// SAFETY: see above; nothing in it is changed after it was made.
unsafe impl Sync for Runtime {}

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    fn get(library: &Path) -> Result<Runtime, Failure> {
        let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = *runtime {
            return Ok(found);
        }
        let found = Runtime::open(library)?;
        *runtime = Some(found);
        Ok(found)
    }

    fn open(library: &Path) -> Result<Runtime, Failure> {
        let failed =
            |error: libloading::Error| Failure::ours(format!("{}: can't be opened: {error}", library.display()));
        // SAFETY: the file is ONNX Runtime's library; opening it runs its initialisers.
        let library = Box::leak(Box::new(unsafe { libloading::Library::new(library) }.map_err(failed)?));
        // SAFETY: this is the function's type in every version of the C API.
        let base = unsafe { library.get::<unsafe extern "system" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0") };
        let base = base.map_err(failed)?;
        // SAFETY: it takes nothing and gives a table that lives as long as the library, which is leaked.
        let api = unsafe { ((*base()).GetApi)(API_VERSION).as_ref() };
        let api = api.ok_or_else(|| {
            Failure::ours(format!("ONNX Runtime is too old: it lacks version {API_VERSION} of its API"))
        })?;
        let (mut env, mut memory) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the name is a C string, and the places to write to are ours.
        check(api, unsafe {
            (api.CreateEnv)(OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR, c"modelcycle".as_ptr(), &mut env)
        })?;
        // SAFETY: as above.
        check(api, unsafe {
            (api.CreateCpuMemoryInfo)(OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault, &mut memory)
        })?;
        Ok(Runtime { api, env, memory })
    }
}

/// Turns a status into a result, and frees it.
fn check(api: &OrtApi, status: OrtStatusPtr) -> Result<(), Failure> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: the status is one that the API gave, and is not used after its release; its message is a C string.
    unsafe {
        let code = (api.GetErrorCode)(status.0);
        let message = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
        (api.ReleaseStatus)(status.0);
        Err(Failure { cause: Cause::of(code, &message), message })
    }
}

/// A loaded model; it may be run from several threads at once.
pub struct Engine {
    runtime: Runtime,
    session: *mut OrtSession,
    pub inputs: Vec<Spec>,
    pub outputs: Vec<Spec>,
    input_names: Vec<CString>,
    output_names: Vec<CString>,
}

// SAFETY: a session may be run from any thread, and from several at once.
unsafe impl Send for Engine {}
// SAFETY: see above; the rest is not changed after it was made.
unsafe impl Sync for Engine {}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: the session is ours, and nobody runs it any more.
        unsafe { (self.runtime.api.ReleaseSession)(self.session) }
    }
}

impl Engine {
    /// Loads `model` with `threads` threads for one run, on `providers` as far as they go.
    pub fn load(library: &Path, model: &Path, threads: usize, providers: &[Provider]) -> Result<Engine, Failure> {
        let runtime = Runtime::get(library)?;
        let api = runtime.api;
        let path = c_string(&model.to_string_lossy())?;
        let options = Options::new(api, threads, providers)?;
        let mut session = ptr::null_mut();
        // SAFETY: environment and options are live, the path is a C string.
        check(api, unsafe { (api.CreateSession)(runtime.env, path.as_ptr(), options.raw, &mut session) })?;
        let mut engine = Engine {
            runtime,
            session,
            inputs: Vec::new(),
            outputs: Vec::new(),
            input_names: Vec::new(),
            output_names: Vec::new(),
        };
        engine.inputs = engine.specs(Side::Input)?;
        engine.outputs = engine.specs(Side::Output)?;
        let names = |specs: &[Spec]| specs.iter().map(|spec| c_string(&spec.name)).collect::<Result<Vec<_>, _>>();
        engine.input_names = names(&engine.inputs)?;
        engine.output_names = names(&engine.outputs)?;
        Ok(engine)
    }

    fn specs(&self, side: Side) -> Result<Vec<Spec>, Failure> {
        let api = self.runtime.api;
        let mut count = 0;
        // SAFETY: the session is live.
        check(api, unsafe {
            match side {
                Side::Input => (api.SessionGetInputCount)(self.session, &mut count),
                Side::Output => (api.SessionGetOutputCount)(self.session, &mut count),
            }
        })?;
        (0..count).map(|place| self.spec(side, place)).collect()
    }

    fn spec(&self, side: Side, place: usize) -> Result<Spec, Failure> {
        let name = self.name(side, place)?;
        let api = self.runtime.api;
        let mut info: *mut OrtTypeInfo = ptr::null_mut();
        // SAFETY: the session is live and has so many.
        check(api, unsafe {
            match side {
                Side::Input => (api.SessionGetInputTypeInfo)(self.session, place, &mut info),
                Side::Output => (api.SessionGetOutputTypeInfo)(self.session, place, &mut info),
            }
        })?;
        let mut tensor: *const OrtTensorTypeAndShapeInfo = ptr::null();
        // SAFETY: the info is the one just got; what the cast gives belongs to it, and is used before its release.
        let found = check(api, unsafe { (api.CastTypeInfoToTensorInfo)(info, &mut tensor) }).and_then(|()| {
            if tensor.is_null() {
                return Err(Failure::ours(cannot_be_served(&name, "no tensor")));
            }
            let datatype = element_type(api, tensor)?;
            let datatype = datatype_of(datatype).ok_or_else(|| {
                Failure::ours(cannot_be_served(&name, &format!("a tensor of ONNX's type {datatype}")))
            })?;
            Ok(Spec { name, datatype, dims: dims(api, tensor)? })
        });
        // SAFETY: it is ours.
        unsafe { (api.ReleaseTypeInfo)(info) };
        found
    }

    fn name(&self, side: Side, place: usize) -> Result<String, Failure> {
        let api = self.runtime.api;
        let (mut allocator, mut name) = (ptr::null_mut(), ptr::null_mut::<c_char>());
        // SAFETY: the default allocator is not ours to free; the name is, by that allocator.
        unsafe {
            check(api, (api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
            check(
                api,
                match side {
                    Side::Input => (api.SessionGetInputName)(self.session, place, allocator, &mut name),
                    Side::Output => (api.SessionGetOutputName)(self.session, place, allocator, &mut name),
                },
            )?;
            let found = CStr::from_ptr(name).to_string_lossy().into_owned();
            check(api, (api.AllocatorFree)(allocator, name.cast()))?;
            Ok(found)
        }
    }

    /// Answers, one tensor for each of `outputs`; their bytes are the runtime's own memory, not copied.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let api = self.runtime.api;
        debug_assert_eq!(inputs.len(), self.inputs.len());
        let fed = inputs.iter().map(|tensor| Fed::new(self.runtime, tensor)).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<*const OrtValue> = fed.iter().map(Fed::raw).collect();
        let names = |names: &[CString]| names.iter().map(|name| name.as_ptr()).collect::<Vec<_>>();
        let (input_names, output_names) = (names(&self.input_names), names(&self.output_names));
        let mut answers: Vec<*mut OrtValue> = vec![ptr::null_mut(); output_names.len()];
        // SAFETY: the arrays are as long as said, names are C strings, the values and their memory outlive the call.
        let done = check(api, unsafe {
            (api.Run)(
                self.session,
                ptr::null(),
                input_names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                answers.as_mut_ptr(),
            )
        });
        let answers: Vec<Value> = answers.into_iter().map(|raw| Value::of(api, raw)).collect();
        done?;
        self.outputs.iter().zip(answers).map(|(spec, value)| value.tensor(spec)).collect()
    }
}

#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

fn cannot_be_served(name: &str, what: &str) -> String {
    format!("{name} is {what}, which can't be served; export it as tensors (for scikit-learn: zipmap=False)")
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::ours(format!("{text:?} has a NUL in it")))
}

/// ONNX's number of the type of a tensor's elements.
fn element_type(api: &OrtApi, info: *const OrtTensorTypeAndShapeInfo) -> Result<i32, Failure> {
    let mut found = 0i32;
    // SAFETY: the info is live. It is read as a number, since a newer library may know more types than the enum has.
    check(api, unsafe { (api.GetTensorElementType)(info, (&raw mut found).cast()) })?;
    Ok(found)
}

fn dims(api: &OrtApi, info: *const OrtTensorTypeAndShapeInfo) -> Result<Vec<Dim>, Failure> {
    let sizes = sizes(api, info)?;
    let mut names: Vec<*const c_char> = vec![ptr::null(); sizes.len()];
    // SAFETY: the array is as long as the shape; the names belong to the info, which is live.
    check(api, unsafe { (api.GetSymbolicDimensions)(info, names.as_mut_ptr(), names.len()) })?;
    let named = |name: *const c_char| {
        // SAFETY: it is null or a C string of the info's.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
    };
    Ok(sizes
        .into_iter()
        .zip(names)
        .map(|(size, name)| match named(name).filter(|name| !name.is_empty()) {
            _ if size >= 0 => Dim::Fixed(size),
            Some(name) => Dim::Named(name),
            None => Dim::Free,
        })
        .collect())
}

fn sizes(api: &OrtApi, info: *const OrtTensorTypeAndShapeInfo) -> Result<Vec<i64>, Failure> {
    let mut rank = 0;
    // SAFETY: the info is live, and the array as long as the rank.
    unsafe {
        check(api, (api.GetDimensionsCount)(info, &mut rank))?;
        let mut sizes = vec![0; rank];
        check(api, (api.GetDimensions)(info, sizes.as_mut_ptr(), rank))?;
        Ok(sizes)
    }
}

fn datatype_of(onnx: i32) -> Option<Datatype> {
    Datatype::ALL.into_iter().find(|one| onnx_type(*one) as i32 == onnx)
}

fn onnx_type(datatype: Datatype) -> ONNXTensorElementDataType {
    use ONNXTensorElementDataType as Onnx;
    match datatype {
        Datatype::Bool => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        Datatype::Uint8 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        Datatype::Uint16 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        Datatype::Uint32 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        Datatype::Uint64 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        Datatype::Int8 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        Datatype::Int16 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        Datatype::Int32 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        Datatype::Int64 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        Datatype::Fp16 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        Datatype::Bf16 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        Datatype::Fp32 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        Datatype::Fp64 => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        Datatype::Bytes => Onnx::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
    }
}
