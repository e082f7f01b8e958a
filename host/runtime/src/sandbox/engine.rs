//! One engine for all plugins: compiled code cached on disk, interruptible; of what is optional in WebAssembly, several
//! memories and SIMD.

use super::bindings::{Plugin as World, PluginPre};
use super::clocks::Monotonic;
use super::compiler::{Compilation, CompileError, Compiler, Notes};
use super::dump::CoreDumps;
use super::errors::{Errors, ErrorsView};
use super::fault::{Broken, Fault, FaultKind};
use super::gate::Gate;
use super::instance::{Instance, Session};
use super::state::{Own, State};
use crate::limits::Limit;
use crate::{Clock, Limits};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Component, HasData, Linker, ResourceTable};
use wasmtime::{Cache, CacheConfig, Config, Store, UpdateDeadline};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi_io::bindings::wasi::io;

/// The unit in which CPU time is counted, and how often a busy guest lets others run.
const TICK: Duration = Duration::from_millis(10);

/// What a fault calls the time before the first call.
const START: &str = "start";
/// Stack of host functions, at least.
const HOST_STACK: usize = 1024 * 1024;
/// CPU time of `describe`, the start included.
const DESCRIBE: Duration = Duration::from_secs(10);

/// Compiles and instantiates plugins. Clones share one engine.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<State>>,
    limits: Arc<Limits>,
    clock: Clock,
    cache: Option<Arc<CompiledFolder>>,
    compiler: Option<Arc<Compiler>>,
    core_dumps: Option<CoreDumps>,
    gate: Option<Gate>,
}

/// Where compiled code is kept.
struct CompiledFolder {
    /// wasmtime's; it removes whatever it does not know there.
    code: PathBuf,
    notes: Notes,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder for compiled code cannot be used.
    #[error("{}: cannot hold compiled plugins ({message}). It must be a folder that only the host's user can write.", path.display())]
    Cache {
        /// The folder.
        path: std::path::PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// wasmtime refused its configuration, or the ticker's thread could not start.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
}

impl Engine {
    /// Starts an engine. Compiled code is kept in `compiled`, if given: a folder of the host's own (mode 0700), since code
    /// that is found there is run without being compiled again.
    ///
    /// # Errors
    /// If that folder cannot be used or the engine cannot start.
    pub fn new(compiled: Option<&Path>, limits: Limits, clock: Clock) -> Result<Self, EngineError> {
        Self::start(compiled, limits, clock, None)
    }

    /// Like [`Engine::new`]; whenever a guest traps, its whole memory is kept in `core_dumps`. For the bench alone: a host
    /// must not keep what a vendor has sent.
    pub(crate) fn with_core_dumps(
        compiled: Option<&Path>,
        limits: Limits,
        clock: Clock,
        core_dumps: CoreDumps,
    ) -> Result<Self, EngineError> {
        Self::start(compiled, limits, clock, Some(core_dumps))
    }

    fn start(
        compiled: Option<&Path>,
        limits: Limits,
        clock: Clock,
        core_dumps: Option<CoreDumps>,
    ) -> Result<Self, EngineError> {
        let wrong = |error: wasmtime::Error| EngineError::Engine(format!("{error:#}"));
        let cache = match compiled {
            Some(directory) => {
                own_folder(directory)?;
                for inner in ["code", "notes"] {
                    own_folder(&directory.join(inner))?;
                }
                let unusable = |error: std::io::Error| EngineError::Cache {
                    path: directory.to_owned(),
                    message: error.to_string(),
                };
                Some(Arc::new(CompiledFolder {
                    code: directory.join("code"),
                    notes: Notes::new(&directory.join("notes")).map_err(unusable)?,
                }))
            }
            None => None,
        };
        let mut config = configuration(cache.as_ref().map(|cache| cache.code.as_path()))?;
        let stack = limits.stack_bytes;
        config
            .coredump_on_trap(core_dumps.is_some())
            .max_wasm_stack(stack)
            // Host functions have the same again, and never less than a mebibyte.
            .async_stack_size(stack + stack.max(HOST_STACK));
        let engine = wasmtime::Engine::new(&config).map_err(wrong)?;
        let linker = link(&engine).map_err(wrong)?;
        let ticker = engine.weak();
        std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                // Ends with the last strong handle.
                while let Some(engine) = ticker.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|error| EngineError::Engine(error.to_string()))?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            limits: Arc::new(limits),
            clock,
            cache,
            compiler: None,
            core_dumps,
            gate: None,
        })
    }

    /// Lets a child process compile what was never compiled before, within [`Limits::compile_time`] and
    /// [`Limits::compile_memory_bytes`]. Without a folder for compiled code there is nowhere for a child to leave it, and
    /// everything is compiled in this process, as it is without a compiler.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(Arc::new(compiler));
        self
    }

    /// Lets no more guests work at the same time than the gate has places.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// The limits of everything that this engine runs.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The clock that guests see.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Another one for whatever may change what becomes of a component: how its code is made, and what it may spend.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        // Every limit, those of later versions included.
        format!("{:?}", self.limits).hash(&mut hasher);
        hasher.finish()
    }

    /// Compiles, or loads what was compiled before. Takes a while; not for a thread that serves others.
    pub(crate) fn compile(&self, bytes: &[u8]) -> Result<Component, CompileError> {
        // Text, modules and precompiled code are not plugins: a component's header is `\0asm`, version 13, layer 1.
        if !bytes.starts_with(b"\0asm\x0d\0\x01\0") {
            return Err(CompileError::Refused(
                "its header is not that of a component".into(),
            ));
        }
        if let (Some(cache), Some(compiler)) = (&self.cache, &self.compiler) {
            let limits = &self.limits;
            let task = Compilation::new(
                &cache.code,
                limits.compile_time,
                limits.compile_memory_bytes,
            );
            cache.notes.ensure(&self.engine, compiler, &task, bytes)?;
        }
        Component::from_binary(&self.engine, bytes)
            .map_err(|error| CompileError::Refused(format!("{error:#}")))
    }

    pub(crate) fn exports(&self, component: &Component) -> Vec<String> {
        component
            .component_type()
            .exports(&self.engine)
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    pub(crate) fn imports(&self, component: &Component) -> Vec<String> {
        component
            .component_type()
            .imports(&self.engine)
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    pub(crate) fn prepare(&self, component: &Component) -> wasmtime::Result<Prepared> {
        let pre = PluginPre::new(self.linker.instantiate_pre(component)?)?;
        let required = component.resources_required();
        Ok(Prepared {
            pre,
            parts: required.map_or(0, |needs| needs.num_memories.max(needs.num_tables)),
            engine: self.clone(),
        })
    }
}

/// The reusable half of an instance: compiled and linked.
#[derive(Clone)]
pub(crate) struct Prepared {
    pre: PluginPre<State>,
    /// Memories or tables of one instance, whichever are more.
    parts: u32,
    engine: Engine,
}

impl Prepared {
    pub(crate) async fn open(&self, session: Session) -> Result<Instance, Fault> {
        let meter = Arc::clone(&session.egress.meter);
        let mut state = State::new(
            session,
            &self.engine.limits,
            self.engine.clock.clone(),
            TICK,
            self.engine.gate.clone(),
        );
        state.spending.note(Limit::Instances, u64::from(self.parts));
        state.core_dumps = self.engine.core_dumps.clone();
        let mut store = Store::new(&self.engine.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(self.engine.limits.hostcall_bytes);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            // One for the epoch that has passed; more if functions of the host took them.
            let ticks = state.stopwatch.ticks(1);
            let cpu = &mut state.cpu;
            if !cpu.spend(ticks) {
                return Err(Broken::Limit(format!(
                    "one call may use {} ms of CPU (`call_cpu_seconds`)",
                    cpu.limit_ticks * u64::try_from(TICK.as_millis()).unwrap_or(1)
                ))
                .into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        // Before instantiation: a start function is the guest's code, too.
        store.set_epoch_deadline(1);
        let limit = self.engine.limits.call_wall;
        let stopwatch = Arc::clone(&store.data().stopwatch);
        let started = stopwatch.run(Some(&meter), self.pre.instantiate_async(&mut store));
        let Some(started) = self.engine.clock.timeout(limit, started).await else {
            return Err(Fault::new(
                FaultKind::Limit,
                START,
                format!(
                    "The plugin was stopped: it may take {} s to start (`call_seconds`).",
                    limit.as_secs_f32()
                ),
            ));
        };
        match started {
            Ok(world) => Ok(Instance::new(
                store,
                world,
                Arc::clone(&self.engine.limits),
                self.engine.clock.clone(),
                meter,
                TICK,
            )),
            Err(error) => {
                let refused = store.data_mut().limiter.refused.take();
                let state = store.data();
                let stderr = state.stderr.text(&state.redactor);
                Err(Fault::of_call(
                    START,
                    &error,
                    &stderr,
                    refused,
                    &state.redactor,
                ))
            }
        }
    }

    /// Asks the plugin what it is. It has less time for that than for its work: a file that never answers is looked at by
    /// every command.
    pub(crate) async fn describe(&self) -> Result<String, Fault> {
        let mut limits = Limits::clone(&self.engine.limits);
        limits.call_cpu = limits.call_cpu.min(DESCRIBE);
        limits.call_wall = limits.call_wall.min(2 * DESCRIBE);
        let hurried = Self {
            pre: self.pre.clone(),
            parts: self.parts,
            engine: Engine {
                limits: Arc::new(limits),
                ..self.engine.clone()
            },
        };
        let mut instance = hurried.open(Session::closed(&self.engine.clock)).await?;
        instance.describe().await
    }
}

/// The engine of a child that compiles for the host.
pub(super) fn compiling_engine(code: &Path) -> Result<wasmtime::Engine, EngineError> {
    wasmtime::Engine::new(&configuration(Some(code))?)
        .map_err(|error| EngineError::Engine(format!("{error:#}")))
}

/// All that decides about the code that comes out of compiling: the host and its child must have the same, or the code that
/// the child left is not found.
fn configuration(code: Option<&Path>) -> Result<Config, EngineError> {
    let wrong = |error: wasmtime::Error| EngineError::Engine(format!("{error:#}"));
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .coredump_on_trap(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_multi_memory(true)
        .wasm_memory64(false);
    if let Some(directory) = code {
        let mut cache = CacheConfig::new();
        cache.with_directory(directory);
        config.cache(Some(Cache::new(cache).map_err(wrong)?));
    }
    Ok(config)
}

/// Links exactly the interfaces of `plugins::imports::OFFERED`.
fn link(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    World::add_to_linker::<State, Own>(l, |state| state)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)?;
    io::error::add_to_linker::<State, Errors>(l, |state| ErrorsView(state.ctx().table))?;
    io::poll::add_to_linker::<State, Table>(l, |state| state.ctx().table)?;
    io::streams::add_to_linker::<State, Table>(l, |state| state.ctx().table)?;
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    Monotonic::add_to_linker(l)?;
    random::random::add_to_linker::<State, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<State, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    Ok(linker)
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Makes sure that `directory` exists, belongs to this user, could be written by nobody else, and can be entered by nobody else.
fn own_folder(directory: &Path) -> Result<(), EngineError> {
    let wrong = |message: String| EngineError::Cache {
        path: directory.to_owned(),
        message,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| wrong(error.to_string()))?;
        let metadata =
            std::fs::symlink_metadata(directory).map_err(|error| wrong(error.to_string()))?;
        if !metadata.is_dir() {
            return Err(wrong("it is not a folder".into()));
        }
        // A file of our own shows which user we are without asking the system through unsafe code.
        let probe = tempfile::tempfile_in(directory).map_err(|error| wrong(error.to_string()))?;
        let user = probe
            .metadata()
            .map_err(|error| wrong(error.to_string()))?
            .uid();
        if metadata.uid() != user {
            return Err(wrong("it belongs to another user".into()));
        }
        let mut permissions = metadata.permissions();
        if permissions.mode() & 0o022 != 0 {
            return Err(wrong(
                "others may write to it, so what lies there could be anybody's; remove it, the host makes it anew".into(),
            ));
        }
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o700);
            std::fs::set_permissions(directory, permissions)
                .map_err(|error| wrong(error.to_string()))?;
        }
    }
    #[cfg(not(unix))]
    std::fs::create_dir_all(directory).map_err(|error| wrong(error.to_string()))?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_for_compiled_code_is_the_hosts_own_and_one_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let compiled = folder.path().join("compiled");
        let start = || Engine::new(Some(&compiled), Limits::default(), Clock::simulated(0));
        assert!(start().is_ok());
        for opened in ["", "code", "notes"] {
            let path = compiled.join(opened);
            let set = |mode| std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, set(0o730)).unwrap();
            let refused = start().unwrap_err().to_string();
            assert!(refused.contains("others may write to it"), "{refused}");
            std::fs::set_permissions(&path, set(0o755)).unwrap();
            assert!(start().is_ok());
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{opened}");
        }
        assert!(start().is_ok());
    }
}
