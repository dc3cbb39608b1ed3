//! How a session is made: threads, and where its nodes run.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr;

use ort_sys::{ExecutionMode, OrtApi, OrtCUDAProviderOptionsV2, OrtSessionOptions, OrtTensorRTProviderOptionsV2};

use super::{Failure, Runtime, c_string, check};

/// An execution provider by ONNX Runtime's name, with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    pub name: String,
    pub options: Vec<(String, String)>,
}

/// Names of the providers that `library` was built with.
pub fn available(library: &Path) -> Result<Vec<String>, Failure> {
    let api = Runtime::get(library)?.api;
    let (mut names, mut count) = (ptr::null_mut::<*mut c_char>(), 0);
    // SAFETY: the places to write to are ours.
    check(api, unsafe { (api.GetAvailableProviders)(&mut names, &mut count) })?;
    let found = (0..usize::try_from(count).unwrap_or_default()).map(|place| {
        // SAFETY: there are so many names, each a C string, until they are released.
        unsafe { CStr::from_ptr(*names.add(place)) }.to_string_lossy().into_owned()
    });
    let found = found.collect();
    // SAFETY: they are those just got, and not used after this.
    check(api, unsafe { (api.ReleaseAvailableProviders)(names, count) })?;
    Ok(found)
}

pub struct Options {
    api: &'static OrtApi,
    pub raw: *mut OrtSessionOptions,
}

impl Options {
    /// With `threads` threads for one run; a node runs by the first of `providers` that can run it, or else on the CPU.
    pub fn new(api: &'static OrtApi, threads: usize, providers: &[Provider]) -> Result<Options, Failure> {
        let mut options = Options { api, raw: ptr::null_mut() };
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        // SAFETY: the options are the ones just made; keys and values are C strings.
        unsafe {
            check(api, (api.CreateSessionOptions)(&mut options.raw))?;
            check(api, (api.SetIntraOpNumThreads)(options.raw, threads))?;
            check(api, (api.SetInterOpNumThreads)(options.raw, 1))?;
            check(api, (api.SetSessionExecutionMode)(options.raw, ExecutionMode::ORT_SEQUENTIAL))?;
            check(api, (api.SetSessionLogSeverityLevel)(options.raw, 3))?;
            // A thread that spins for the next request takes the CPU time of a pod that has a limit.
            let spinning = c"session.intra_op.allow_spinning";
            check(api, (api.AddSessionConfigEntry)(options.raw, spinning.as_ptr(), c"0".as_ptr()))?;
        }
        providers.iter().try_for_each(|provider| options.append(provider))?;
        Ok(options)
    }

    fn append(&self, provider: &Provider) -> Result<(), Failure> {
        let texts = |pick: fn(&(String, String)) -> &String| {
            provider.options.iter().map(|option| c_string(pick(option))).collect::<Result<Vec<CString>, _>>()
        };
        let (keys, values) = (texts(|option| &option.0)?, texts(|option| &option.1)?);
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let (keys, values) = (pointers(&keys), pointers(&values));
        let failed =
            |failure: Failure| Failure { message: format!("{}: {}", provider.name, failure.message), ..failure };
        match provider.name.as_str() {
            "CUDAExecutionProvider" => self.append_cuda(&keys, &values),
            "TensorrtExecutionProvider" => self.append_tensorrt(&keys, &values),
            "CPUExecutionProvider" => Ok(()),
            other => Err(Failure::ours(format!("{other} is not known here"))),
        }
        .map_err(failed)
    }

    fn append_cuda(&self, keys: &[*const c_char], values: &[*const c_char]) -> Result<(), Failure> {
        let api = self.api;
        let mut options: *mut OrtCUDAProviderOptionsV2 = ptr::null_mut();
        // SAFETY: the place to write to is ours; keys and values are C strings, as many as said, and outlive the calls.
        // The provider's options are ours, and released after their last use.
        unsafe {
            check(api, (api.CreateCUDAProviderOptions)(&mut options))?;
            let update = (api.UpdateCUDAProviderOptions)(options, keys.as_ptr(), values.as_ptr(), keys.len());
            let done = check(api, update)
                .and_then(|()| check(api, (api.SessionOptionsAppendExecutionProvider_CUDA_V2)(self.raw, options)));
            (api.ReleaseCUDAProviderOptions)(options);
            done
        }
    }

    fn append_tensorrt(&self, keys: &[*const c_char], values: &[*const c_char]) -> Result<(), Failure> {
        let api = self.api;
        let mut options: *mut OrtTensorRTProviderOptionsV2 = ptr::null_mut();
        // SAFETY: as above.
        unsafe {
            check(api, (api.CreateTensorRTProviderOptions)(&mut options))?;
            let update = (api.UpdateTensorRTProviderOptions)(options, keys.as_ptr(), values.as_ptr(), keys.len());
            let done = check(api, update)
                .and_then(|()| check(api, (api.SessionOptionsAppendExecutionProvider_TensorRT_V2)(self.raw, options)));
            (api.ReleaseTensorRTProviderOptions)(options);
            done
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: they are ours; the session keeps its own copy.
        unsafe { (self.api.ReleaseSessionOptions)(self.raw) }
    }
}
