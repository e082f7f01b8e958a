//! The host, for tests that need it as a process of its own.

fn main() -> std::process::ExitCode {
    connector_host::run(std::env::args_os())
}
