//! The clocks that a guest sees, on the host's one clock.
//!
//! wasmtime-wasi's monotonic clock sleeps on tokio's time whatever clock it is given, so this one is our own.

use super::state::State;
use crate::Clock;
use std::time::Duration;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::HostWallClock;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

/// `wasi:clocks/wall-clock`.
pub(crate) struct Wall(pub(crate) Clock);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0.since_epoch()
    }
}

/// `wasi:clocks/monotonic-clock`.
pub(crate) struct Monotonic;

pub(crate) struct MonotonicView<'a> {
    clock: &'a Clock,
    table: &'a mut ResourceTable,
}

impl HasData for Monotonic {
    type Data<'a> = MonotonicView<'a>;
}

impl Monotonic {
    pub(crate) fn add_to_linker(
        linker: &mut wasmtime::component::Linker<State>,
    ) -> wasmtime::Result<()> {
        monotonic_clock::add_to_linker::<State, Self>(linker, |state| MonotonicView {
            clock: &state.clock,
            table: &mut state.table,
        })
    }
}

impl MonotonicView<'_> {
    fn subscribe(&mut self, duration: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let alarm = Alarm {
            clock: self.clock.clone(),
            at: self.clock.elapsed().saturating_add(duration),
        };
        let alarm = self.table.push(alarm)?;
        subscribe(self.table, alarm)
    }
}

impl monotonic_clock::Host for MonotonicView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(nanoseconds(self.clock.elapsed()))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = nanoseconds(self.clock.elapsed());
        self.subscribe(Duration::from_nanos(when.saturating_sub(now)))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe(Duration::from_nanos(duration))
    }
}

struct Alarm {
    clock: Clock,
    at: Duration,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        let left = self.at.saturating_sub(self.clock.elapsed());
        if left.is_zero() {
            // A guest that polls in a loop with a zero time-out must not starve the sockets.
            tokio::task::yield_now().await;
        } else {
            self.clock.sleep(left).await;
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
