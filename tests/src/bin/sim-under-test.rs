//! The simulator, for tests that need it as a process of its own.

fn main() -> std::process::ExitCode {
    qualys_sim::run(std::env::args_os())
}
