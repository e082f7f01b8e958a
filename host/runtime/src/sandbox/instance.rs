//! One instance of a plugin, and its calls.
//!
//! A call ends in one of three ways: it returns; it returns the plugin's own error ([`PluginFailure`], a fact for `runs` to
//! decide upon); or it faults, and the instance cannot be used again.

use super::bindings::Plugin as World;
use super::bindings::exports::interflow::connector::connector as exports;
use super::cache::{CacheStore, CacheWrites};
use super::calls::{BatchRequest, Check, Collected, Outcome, Remark, Report, Split};
use super::failure::{CallFailure, PluginFailure};
use super::fault::{Fault, FaultKind};
use super::limiter::{Usage, host_memory_peak};
use super::log::{Listener, LogLine};
use super::meter::Meter;
use super::state::State;
use crate::clock::milliseconds;
use crate::egress::EgressSession;
use crate::limits::Limit;
use crate::{Clock, Limits};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::Store;

/// The call that a broken contract is found in.
const COLLECT: &str = "collect-batch";

/// What an instance is given for its life.
pub struct Session {
    pub(crate) egress: EgressSession,
    pub(crate) log: Listener,
    pub(crate) cache: Arc<dyn CacheStore>,
}

impl Session {
    /// A session with a way out, a listener for log lines, and a cache.
    pub fn new(
        egress: EgressSession,
        cache: Arc<dyn CacheStore>,
        log: impl Fn(LogLine) + Send + Sync + 'static,
    ) -> Self {
        Self {
            egress,
            log: Arc::new(log),
            cache,
        }
    }

    /// A session in which nothing can be reached and nothing is stored: for `describe`.
    pub(crate) fn closed(clock: &Clock) -> Self {
        Self::new(
            EgressSession::closed(clock.clone()),
            Arc::new(NoCache),
            |_| {},
        )
    }
}

/// A cache that holds nothing: for calls that may not keep anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

impl CacheStore for NoCache {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, String> {
        Ok(vec![None; keys.len()])
    }

    fn bytes(&self) -> Result<u64, String> {
        Ok(0)
    }
}

/// A running plugin. Calls are serial by construction.
pub struct Instance {
    store: Store<State>,
    world: World,
    limits: Arc<Limits>,
    clock: Clock,
    meter: Arc<Meter>,
    tick: Duration,
    gone: bool,
}

impl Instance {
    pub(super) fn new(
        store: Store<State>,
        world: World,
        limits: Arc<Limits>,
        clock: Clock,
        meter: Arc<Meter>,
        tick: Duration,
    ) -> Self {
        Self {
            store,
            world,
            limits,
            clock,
            meter,
            tick,
            gone: false,
        }
    }

    /// Whether a fault has ended this instance.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let state = self.store.data();
        Usage {
            memory_peak_bytes: state.limiter.memory_peak as u64,
            cpu_ms: state.cpu.total_ticks * u64::try_from(self.tick.as_millis()).unwrap_or(1),
            host_memory_peak_bytes: host_memory_peak(),
        }
    }

    /// Log lines that were dropped because there were too many, since this was last asked.
    pub fn take_dropped_log_lines(&mut self) -> u64 {
        std::mem::take(&mut self.store.data_mut().log.dropped)
    }

    /// The writes of a batch whose commit is on its way: reads see them from now on.
    pub(crate) fn set_in_flight(&mut self, writes: Arc<CacheWrites>) {
        self.store.data_mut().cache.in_flight = writes;
    }

    async fn call<R>(
        &mut self,
        name: &'static str,
        call: impl AsyncFnOnce(&World, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        if self.gone {
            return Err(Fault::new(
                FaultKind::Host,
                name,
                "The plugin's instance has ended; a new one is needed.",
            ));
        }
        let state = self.store.data_mut();
        state.cpu.call_ticks = 0;
        state.limiter.refused = None;
        state.log.begin_call();
        state.cache.begin_call();
        state.hooks.begin_call();
        self.store.set_epoch_deadline(1);
        // Gone until it has returned: a caller that drops this future leaves the store in the middle of a call.
        self.gone = true;
        let limit = self.limits.call_wall;
        let (clock, meter) = (self.clock.clone(), Arc::clone(&self.meter));
        let (started, waited) = (clock.elapsed(), meter.waited());
        let overrun = async move {
            loop {
                let in_egress = meter.waited() - waited;
                let own = (clock.elapsed() - started).saturating_sub(in_egress);
                if own >= limit {
                    return;
                }
                clock.watch(limit - own).await;
            }
        };
        let stopwatch = Arc::clone(&self.store.data().stopwatch);
        let result = tokio::select! {
            biased;
            result = stopwatch.run(Some(&self.meter), call(&self.world, &mut self.store)) => Some(result),
            () = overrun => None,
        };
        let in_egress = self.meter.waited() - waited;
        let own = (self.clock.elapsed() - started).saturating_sub(in_egress);
        // What came after the last tick: too late to end the call, and used all the same.
        let state = self.store.data_mut();
        state.cpu.spend(state.stopwatch.ticks(0));
        let cpu = self.tick * u32::try_from(state.cpu.call_ticks).unwrap_or(u32::MAX);
        self.store.data_mut().note_call(cpu, own);
        match result {
            Some(Ok(value)) => {
                self.gone = false;
                Ok(value)
            }
            Some(Err(error)) => {
                if let Some(core_dumps) = &self.store.data().core_dumps {
                    core_dumps.keep(&error, &self.store);
                }
                let state = self.store.data_mut();
                state.sink.discard();
                let refused = state.limiter.refused.take();
                let stderr = state.stderr.text(&state.redactor);
                Err(Fault::of_call(
                    name,
                    &error,
                    &stderr,
                    refused,
                    &state.redactor,
                ))
            }
            None => Err(Fault::new(
                FaultKind::Limit,
                name,
                format!(
                    "The plugin was stopped: one call may take {} s, waiting for the vendor not counted (`call_seconds`).",
                    limit.as_secs_f32()
                ),
            )),
        }
    }

    /// Notes what a batch used, whether or not it is kept.
    fn note_batch(&self, taken: Duration) {
        let state = self.store.data();
        let spending = &state.spending;
        spending.note(Limit::BatchItems, state.sink.emitted);
        spending.note(Limit::BatchBytes, state.sink.bytes);
        spending.note_time(Limit::BatchTime, taken);
        spending.note(Limit::CacheBatchBytes, state.cache.current_bytes as u64);
    }

    fn broken(&mut self, call: &'static str, message: impl Into<String>) -> Fault {
        self.gone = true;
        Fault::contract(call, &message.into(), &self.store.data().redactor)
    }

    /// Ends the instance with a trap, so that its memory can be looked at. Does nothing without an engine that keeps core
    /// dumps.
    pub(crate) async fn leave_core_dump(&mut self) {
        let state = self.store.data_mut();
        if self.gone || state.core_dumps.is_none() {
            return;
        }
        state.cpu.limit_ticks = 0;
        // The call is ended by its first instruction, whatever the plugin is, before it can change anything.
        let ended = self
            .call("describe", async |world, store| {
                store.set_epoch_deadline(0);
                world
                    .interflow_connector_connector()
                    .call_describe(store)
                    .await
            })
            .await;
        self.gone = ended.is_err() || self.gone;
    }

    /// Refuses a list that is longer than `limit`.
    fn bounded(
        &mut self,
        call: &'static str,
        what: &str,
        length: usize,
        limit: usize,
    ) -> Result<(), Fault> {
        if length <= limit {
            return Ok(());
        }
        let message = format!("The plugin returned {length} {what}, at most {limit} are allowed.");
        Err(self.broken(call, message))
    }

    pub(crate) async fn describe(&mut self) -> Result<String, Fault> {
        self.call("describe", async |world, store| {
            world
                .interflow_connector_connector()
                .call_describe(store)
                .await
        })
        .await
    }

    /// Hands the settings over, secrets left out. `Ok` with warnings if they can be used.
    ///
    /// # Errors
    /// A fault; mistakes in the settings are the inner `Err`.
    pub async fn configure(
        &mut self,
        settings: &serde_json::Value,
    ) -> Result<Result<Vec<Remark>, Vec<Remark>>, Fault> {
        let settings = settings.to_string();
        let result = self
            .call("configure", async |world, store| {
                world
                    .interflow_connector_connector()
                    .call_configure(store, &settings)
                    .await
            })
            .await?;
        let (Ok(list) | Err(list)) = &result;
        let spending = &self.store.data().spending;
        spending.note(Limit::Remarks, list.len() as u64);
        self.bounded("configure", "remarks", list.len(), self.limits.remarks)?;
        let redactor = &self.store.data().redactor;
        let remarks = |list: Vec<exports::SettingRemark>| {
            list.into_iter()
                .map(|remark| Remark {
                    pointer: redactor.line(&remark.pointer, 256),
                    message: redactor.line(&remark.message, 600),
                })
                .collect()
        };
        Ok(match result {
            Ok(warnings) => Ok(remarks(warnings)),
            Err(mistakes) => Err(remarks(mistakes)),
        })
    }

    /// Checks authentication and connectivity.
    ///
    /// # Errors
    /// A fault.
    pub async fn test(&mut self) -> Result<Vec<Check>, Fault> {
        let checks = self
            .call("test", async |world, store| {
                world.interflow_connector_connector().call_test(store).await
            })
            .await?;
        self.bounded("test", "checks", checks.len(), self.limits.remarks)?;
        let redactor = &self.store.data().redactor;
        let failure = |error| PluginFailure::heard(&error, redactor);
        Ok(checks
            .into_iter()
            .map(|check| Check {
                id: redactor.line(&check.id, 64),
                label: redactor.line(&check.label, 200),
                outcome: match check.outcome {
                    exports::Outcome::Passed => Outcome::Passed,
                    exports::Outcome::Busy => Outcome::Busy,
                    exports::Outcome::Failed => Outcome::Failed,
                    exports::Outcome::NotTried => Outcome::NotTried,
                },
                error: check.error.map(failure),
            })
            .collect())
    }

    /// Asks for walks that may run at the same time.
    ///
    /// # Errors
    /// The plugin's error, or a fault.
    pub async fn plan(
        &mut self,
        content_type: &str,
        cursor: Option<&str>,
        max_parts: u32,
    ) -> Result<Option<Split>, CallFailure> {
        let cursor = cursor.map(str::to_owned);
        let result = self
            .call("plan", async |world, store| {
                world
                    .interflow_connector_connector()
                    .call_plan(store, content_type, cursor.as_ref(), max_parts)
                    .await
            })
            .await?;
        let redactor = &self.store.data().redactor;
        let split =
            result.map_err(|error| CallFailure::Plugin(PluginFailure::heard(&error, redactor)))?;
        if let Some(split) = &split {
            let most = usize::try_from(max_parts).unwrap_or(usize::MAX);
            self.bounded("plan", "parts", split.parts.len(), most)?;
            let cursors = split.parts.iter().chain([&split.then]);
            let longest = cursors.map(String::len).max().unwrap_or(0);
            let limit = self.limits.cursor_bytes;
            self.bounded("plan", "bytes of a cursor", longest, limit)?;
        }
        Ok(split.map(|split| Split {
            parts: split.parts,
            then: split.then,
        }))
    }

    /// Collects one batch.
    ///
    /// # Errors
    /// The plugin's error, or a fault. Nothing of the batch is kept then.
    pub async fn collect_batch(
        &mut self,
        request: &BatchRequest,
    ) -> Result<Collected, CallFailure> {
        let wire = exports::BatchRequest {
            content_type: request.content_type.clone(),
            cursor: request.cursor.clone(),
            max_items: self.limits.batch_items,
            max_bytes: self.limits.batch_bytes,
            soft_deadline_ms: milliseconds(self.limits.batch_soft_deadline),
            attempt: request.attempt,
            options: request.options.to_string(),
        };
        self.store.data_mut().sink.begin_batch();
        let started = self.clock.elapsed();
        let result = self
            .call(COLLECT, async |world, store| {
                world
                    .interflow_connector_connector()
                    .call_collect_batch(store, &wire)
                    .await
            })
            .await?;
        let taken = self.clock.elapsed().saturating_sub(started);
        self.note_batch(taken);
        let batch = match result {
            Ok(batch) => batch,
            Err(error) => {
                let state = self.store.data_mut();
                state.sink.discard();
                let failure = PluginFailure::heard(&error, &state.redactor);
                return Err(CallFailure::Plugin(failure));
            }
        };
        let spending = &self.store.data().spending;
        spending.note(Limit::CursorBytes, batch.next.len() as u64);
        spending.note(Limit::ReportBytes, batch.report.len() as u64);
        let emitted = self.store.data().sink.emitted;
        if batch.emitted != emitted {
            return Err(self
                .broken(COLLECT, format!(
                    "The plugin reported {} items but emitted {emitted}; the batch was discarded.",
                    batch.emitted
                ))
                .into());
        }
        for (what, size, limit) in [
            ("cursor", batch.next.len(), self.limits.cursor_bytes),
            ("report", batch.report.len(), self.limits.report_bytes),
        ] {
            if size > limit {
                return Err(self
                    .broken(COLLECT, format!(
                        "The plugin returned a {what} of {size} bytes, at most {limit} are allowed; the batch was discarded."
                    ))
                    .into());
            }
        }
        let mut report = match Report::read(&batch.report) {
            Ok(report) => report,
            Err(error) => {
                return Err(self
                    .broken(COLLECT, format!(
                        "The plugin returned a report that cannot be read ({error}); the batch was discarded."
                    ))
                    .into());
            }
        };
        let state = self.store.data_mut();
        report.redact(&state.redactor);
        Ok(Collected {
            next: batch.next,
            more: batch.more,
            complete: batch.complete,
            report,
            repeated: state.sink.repeated,
            items: state.sink.take(),
            cache: state.cache.take_writes(),
        })
    }
}
