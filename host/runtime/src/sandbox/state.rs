//! What one store holds: WASI with nothing in it, and the host's side of the contract.

use super::bindings::interflow::connector::types;
use super::cache::Cache;
use super::clocks::Wall;
use super::cpu::{Cpu, Stopwatch};
use super::dump::CoreDumps;
use super::gate::Gate;
use super::instance::Session;
use super::limiter::Limiter;
use super::log::Log;
use super::sink::Sink;
use super::stderr::Tail;
use crate::egress::Hooks;
use crate::limits::{Limit, Spending};
use crate::redaction::Redactor;
use crate::{Clock, Limits};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{HasSelf, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(super) table: ResourceTable,
    pub(super) hooks: Hooks,
    pub(super) limiter: Limiter,
    pub(super) clock: Clock,
    pub(super) cpu: Cpu,
    pub(super) stopwatch: Arc<Stopwatch>,
    pub(super) log: Log,
    pub(super) cache: Cache,
    pub(super) sink: Sink,
    pub(super) stderr: Tail,
    pub(super) spending: Arc<Spending>,
    /// Every text of the guest goes through this.
    pub(super) redactor: Arc<Redactor>,
    /// Where a core dump goes when the guest traps; tests have it.
    pub(super) core_dumps: Option<CoreDumps>,
}

impl State {
    pub(super) fn new(
        session: Session,
        limits: &Limits,
        clock: Clock,
        tick: Duration,
        gate: Option<Gate>,
    ) -> Self {
        let spending = Arc::clone(session.egress.spending());
        let redactor = Arc::clone(session.egress.redactor());
        let stderr = Tail::new(limits.stderr_bytes, redactor.widest());
        let wasi = WasiCtx::builder()
            .stderr(stderr.clone())
            .stdout(Tail::new(0, 0))
            .wall_clock(Wall(clock.clone()))
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits.header_bytes);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        Self {
            wasi,
            http,
            table,
            hooks: Hooks::new(session.egress),
            limiter: Limiter::new(limits, Arc::clone(&spending)),
            cpu: Cpu::new(limits.call_cpu, tick),
            stopwatch: Arc::new(Stopwatch::new(tick, gate)),
            log: Log::new(session.log, limits, Arc::clone(&spending)),
            cache: Cache::new(session.cache, limits),
            sink: Sink::new(limits),
            clock,
            stderr,
            spending,
            redactor,
            core_dumps: None,
        }
    }

    /// Notes what one host call copied out of the guest.
    pub(super) fn note_copied(&self, bytes: usize) {
        self.spending.note(Limit::HostcallBytes, bytes as u64);
    }

    /// Notes what can be seen at the end of a call.
    pub(super) fn note_call(&mut self, cpu: Duration, own_time: Duration) {
        self.hooks.end_call();
        let open = self.table.iter_mut().count();
        let spending = &self.spending;
        spending.note(Limit::Handles, open as u64);
        spending.note_time(Limit::CallCpu, cpu);
        spending.note_time(Limit::CallWall, own_time);
        spending.note(Limit::LogLines, self.log.lines());
        spending.note(Limit::StderrBytes, self.stderr.take_written());
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl types::Host for State {}

pub(crate) type Own = HasSelf<State>;
