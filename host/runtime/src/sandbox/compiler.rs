//! Compilation in a child process: a component that takes too much to compile costs its child, not the host.
//!
//! Promised: with a [`Compiler`], bytes that were never compiled before are compiled by a child that has limited its own
//! CPU time and memory, that gets no variable of the host's environment, and that is ended when it takes too long by the
//! clock. It leaves the code in the cache of the [`Engine`](super::Engine), which then loads it. That a digest was compiled is
//! noted beside the cache; what the cache has dropped since is compiled in the host, as it has been shown to fit. What was
//! refused is for others to note ([`crate::plugins::Refusals`]).
//!
//! Never here: running any of the compiled code, or a look at what the component says about itself.

use super::engine::compiling_engine;
use crate::digest::sha256;
use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// The most threads that a child compiles with: each needs memory of its own.
const THREADS: usize = 4;
/// By the clock a child may take this many times its CPU time: other work may be going on, and waiting harms nobody.
const PATIENCE: u32 = 10;
/// The most that is read of what a child says.
const WORDS: u64 = 16 * 1024;
/// A child's exit code when the engine refuses the component; the reason stands on its standard output.
const REFUSED: u8 = 1;
/// A child's exit code when something else is wrong.
const FAILED: u8 = 2;

/// How to start this host's own program as a compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, up to those of [`Compilation::from_arguments`].
    pub arguments: Vec<OsString>,
}

impl Compiler {
    /// The running program itself, called with `arguments`. `None` if it cannot be told which one that is.
    pub fn of_this_program(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        // By this name also a program whose file has been replaced meanwhile starts as the version that is running.
        let running = Path::new("/proc/self/exe");
        let program = if running.exists() {
            running.to_owned()
        } else {
            std::env::current_exe().ok()?
        };
        Some(Self {
            program,
            arguments: arguments.into_iter().collect(),
        })
    }
}

/// Why bytes were not compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// The engine says why.
    #[error("{0}")]
    Refused(String),
    /// More than the limits allow, of CPU time, of memory, or of time by the clock.
    #[error("{0}")]
    Limit(String),
    /// The child could not do its work.
    #[error("{0}")]
    Child(String),
}

/// One child's task: component bytes on standard input, compiled into the cache in a folder.
#[derive(Clone, Debug)]
pub struct Compilation {
    folder: PathBuf,
    cpu: Duration,
    memory_bytes: u64,
}

impl Compilation {
    pub(super) fn new(folder: &Path, cpu: Duration, memory_bytes: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            cpu,
            memory_bytes,
        }
    }

    /// Reads what stands behind [`Compiler::arguments`]: the folder, seconds of CPU time, bytes of memory.
    ///
    /// # Errors
    /// In a sentence, if they are not those three.
    pub fn from_arguments(arguments: &[OsString]) -> Result<Self, String> {
        let wrong = || "takes a folder, seconds and bytes; the host itself calls it".to_owned();
        let [folder, seconds, bytes] = arguments else {
            return Err(wrong());
        };
        let number = |text: &OsString| text.to_str().and_then(|text| text.parse().ok());
        Ok(Self {
            folder: folder.into(),
            cpu: Duration::from_secs(number(seconds).ok_or_else(wrong)?),
            memory_bytes: number(bytes).ok_or_else(wrong)?,
        })
    }

    fn arguments(&self) -> [OsString; 3] {
        [
            self.folder.clone().into(),
            self.cpu.as_secs().to_string().into(),
            self.memory_bytes.to_string().into(),
        ]
    }

    /// The child's whole life: limits itself, reads `component`, compiles it. Returns the exit code; a reason goes to `said`.
    pub fn run(&self, mut component: impl Read, mut said: impl Write) -> u8 {
        let compiled = self
            .limit_this_process()
            .map_err(|error| (FAILED, format!("the compiler cannot limit itself: {error}")))
            .and_then(|()| {
                let mut bytes = Vec::new();
                component
                    .read_to_end(&mut bytes)
                    .map_err(|error| (FAILED, format!("the component did not arrive: {error}")))?;
                let engine =
                    compiling_engine(&self.folder).map_err(|error| (FAILED, error.to_string()))?;
                wasmtime::component::Component::from_binary(&engine, &bytes)
                    .map_err(|error| (REFUSED, format!("{error:#}")))
            });
        match compiled {
            Ok(_) => 0,
            Err((code, reason)) => {
                // If nobody listens, the code still says what kind of end it was.
                let _ = said.write_all(reason.as_bytes());
                code
            }
        }
    }

    #[cfg(unix)]
    fn limit_this_process(&self) -> std::io::Result<()> {
        use rlimit::Resource;
        // Whoever started the host may have set lower ones, which cannot be raised.
        let lower = |resource: Resource, soft: u64, hard: u64| {
            let (_, most) = resource.get()?;
            resource.set(soft.min(most), hard.min(most))
        };
        // The soft limit ends the process with SIGXCPU; the hard one is for whoever would ignore that.
        let seconds = self.cpu.as_secs();
        lower(Resource::CPU, seconds, seconds + 1)?;
        // Memory that can be written to, which reserved addresses are not: they cost nothing.
        lower(Resource::DATA, self.memory_bytes, self.memory_bytes)?;
        // A core of it is of no use to anybody.
        lower(Resource::CORE, 0, 0)
    }

    #[cfg(not(unix))]
    fn limit_this_process(&self) -> std::io::Result<()> {
        // Only the clock limits it here; its parent holds that.
        Ok(())
    }

    /// The parent's side: starts the child, hands it the bytes, and waits for its end.
    fn in_child(&self, compiler: &Compiler, bytes: &[u8]) -> Result<(), CompileError> {
        let failed = |error: std::io::Error| {
            CompileError::Child(format!(
                "the process that compiles plugins could not be started: {error}"
            ))
        };
        let mut errors = tempfile::tempfile_in(&self.folder).map_err(failed)?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut child = Command::new(&compiler.program)
            .args(&compiler.arguments)
            .args(self.arguments())
            // Secrets of connectors may stand in the environment.
            .env_clear()
            .env("RAYON_NUM_THREADS", threads.min(THREADS).to_string())
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone().map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let (status, said, late) =
            converse(&mut child, bytes, self.cpu * PATIENCE).map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let mut words = String::new();
        // Without its last words there is still the way it ended.
        let _ = errors.rewind().and_then(|()| {
            let mut tail = Vec::new();
            (&errors).take(WORDS).read_to_end(&mut tail)?;
            words = String::from_utf8_lossy(&tail).into_owned();
            Ok(())
        });
        Err(self.explain(status, late, &said, &words))
    }

    fn explain(&self, status: ExitStatus, late: bool, said: &str, errors: &str) -> CompileError {
        if status.code() == Some(REFUSED.into()) {
            return CompileError::Refused(said.to_owned());
        }
        if late {
            return CompileError::Limit(format!(
                "it was not compiled within {} s; it takes too much (`compile_seconds` in [limits]), or this machine was busy and `plugins list --recheck` tries once more",
                (self.cpu * PATIENCE).as_secs()
            ));
        }
        match signal(status) {
            Some(24) => {
                return CompileError::Limit(format!(
                    "to compile it takes more than {} s of CPU time (`compile_seconds` in [limits])",
                    self.cpu.as_secs()
                ));
            }
            // Nothing of ours sends that, and the file may be good: a system that is short of memory does.
            Some(9) => {
                return CompileError::Child(
                    "the process that compiles plugins was killed, as a system does that runs out of memory; the next command tries again".into(),
                );
            }
            // What the allocator does when it gets nothing; also the end of a stack.
            Some(6 | 11) => {
                return CompileError::Limit(format!(
                    "to compile it takes more than {} MiB of memory (`compile_memory_mib` in [limits])",
                    self.memory_bytes >> 20
                ));
            }
            _ => {}
        }
        let last = [said, errors]
            .into_iter()
            .filter_map(|text| text.lines().rfind(|line| !line.trim().is_empty()))
            .next()
            .unwrap_or("it said nothing");
        CompileError::Child(format!(
            "the process that compiles plugins ended with {status}: {last}"
        ))
    }
}

/// Writes the bytes to the child, reads what it says until it has ended, and ends it after `limit`.
fn converse(
    child: &mut Child,
    bytes: &[u8],
    limit: Duration,
) -> std::io::Result<(ExitStatus, String, bool)> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A child that ends before it has read everything says why by its end.
            let _ = stdin.map(|mut stdin| stdin.write_all(bytes));
        });
        let (sender, ended) = channel();
        scope.spawn(move || {
            let mut said = Vec::new();
            if let Some(stdout) = stdout {
                let _ = stdout.take(WORDS).read_to_end(&mut said);
            }
            // The other end waits until this has come.
            let _ = sender.send(said);
        });
        let (said, late) = match ended.recv_timeout(limit) {
            Ok(said) => (said, false),
            Err(_) => {
                child.kill()?;
                (ended.recv().unwrap_or_default(), true)
            }
        };
        let status = child.wait()?;
        Ok((status, String::from_utf8_lossy(&said).into_owned(), late))
    })
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// The notes beside a cache: which bytes were compiled within limits.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    folder: PathBuf,
}

impl Notes {
    pub(super) fn new(folder: &Path) -> std::io::Result<Self> {
        let folder = folder.to_owned();
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Makes sure that `bytes` have been compiled once within the limits of `task`.
    pub(super) fn ensure(
        &self,
        engine: &wasmtime::Engine,
        compiler: &Compiler,
        task: &Compilation,
        bytes: &[u8],
    ) -> Result<(), CompileError> {
        let compiled = self.folder.join(name_of(engine, bytes));
        if compiled.exists() {
            return Ok(());
        }
        task.in_child(compiler, bytes)?;
        if let Err(error) = std::fs::write(compiled, "") {
            tracing::warn!(
                "{}: cannot be written ({error}); plugins are compiled again at the next start",
                self.folder.display()
            );
        }
        Ok(())
    }
}

/// Names bytes as this engine compiles them: another version or other options make other code.
fn name_of(engine: &wasmtime::Engine, bytes: &[u8]) -> String {
    let mut options = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut options);
    format!("{}-{:016x}", sha256(bytes), options.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_a_child_are_read_as_they_were_written() {
        let task = Compilation::new(Path::new("/data/compiled"), Duration::from_secs(7), 1 << 20);
        let read = Compilation::from_arguments(&task.arguments()).unwrap();
        assert_eq!(read.folder, task.folder);
        assert_eq!((read.cpu, read.memory_bytes), (task.cpu, 1 << 20));
        assert!(Compilation::from_arguments(&["/data".into()]).is_err());
        assert!(Compilation::from_arguments(&["/".into(), "x".into(), "1".into()]).is_err());
    }

    #[test]
    fn a_program_that_cannot_be_started_is_a_reason_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = Compiler {
            program: folder.path().join("nobody"),
            arguments: Vec::new(),
        };
        let task = Compilation::new(folder.path(), Duration::from_secs(1), 1 << 20);
        let error = task.in_child(&compiler, b"").unwrap_err().to_string();
        assert!(error.contains("could not be started"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_child_that_does_not_end_is_ended_and_one_that_says_why_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let shell = |script: &str| Compiler {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
        };
        let task = Compilation::new(folder.path(), Duration::from_millis(50), 64 << 20);
        let run = |script: &str| task.in_child(&shell(script), &[0; 1 << 20]).unwrap_err();
        let late = run("exec sleep 600");
        assert!(
            matches!(&late, CompileError::Limit(said) if said.contains("--recheck")),
            "{late}"
        );
        let task = Compilation::new(folder.path(), Duration::from_secs(60), 64 << 20);
        let run = |script: &str| task.in_child(&shell(script), &[0; 1 << 20]).unwrap_err();
        assert!(matches!(run("echo no; exit 1"), CompileError::Refused(said) if said == "no\n"));
        assert!(matches!(run("kill -XCPU $$"), CompileError::Limit(said) if said.contains("CPU")));
        assert!(
            matches!(run("kill -ABRT $$"), CompileError::Limit(said) if said.contains("64 MiB"))
        );
        // Whoever is short of memory kills, and not only the file that takes too much: that says nothing about the file.
        let killed = run("kill -KILL $$");
        assert!(
            matches!(&killed, CompileError::Child(said) if said.contains("was killed")),
            "{killed}"
        );
        let other = run("echo oh >&2; exit 101").to_string();
        assert!(other.contains("101") && other.ends_with("oh"), "{other}");
        let clean = run("test -z \"$HOME\" && exit 1; exit 2");
        assert!(matches!(clean, CompileError::Refused(_)), "{clean}");
    }
}
