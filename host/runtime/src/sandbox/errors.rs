//! `wasi:io/error`: what a guest may know of a stream that failed, which is one sentence.
//!
//! wasmtime would answer with the error's debug form. Where `RUST_BACKTRACE` is set that is a backtrace of the host, with
//! its functions and the paths of its source, which are none of a guest's business.

use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi_io::bindings::wasi::io::error::{Error, Host, HostError};

/// Marks [`ErrorsView`] for the linker.
pub(crate) struct Errors;

pub(crate) struct ErrorsView<'a>(pub(crate) &'a mut ResourceTable);

impl HasData for Errors {
    type Data<'a> = ErrorsView<'a>;
}

impl Host for ErrorsView<'_> {}

impl HostError for ErrorsView<'_> {
    fn drop(&mut self, error: Resource<Error>) -> wasmtime::Result<()> {
        self.0.delete(error)?;
        Ok(())
    }

    fn to_debug_string(&mut self, error: Resource<Error>) -> wasmtime::Result<String> {
        Ok(format!("{:#}", self.0.get(&error)?))
    }
}
