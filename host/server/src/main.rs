//! `connector-host`: see the library.
fn main() -> std::process::ExitCode {
    connector_host::run(std::env::args_os())
}
