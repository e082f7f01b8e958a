//! The gate: how many guests may work at the same time, of those that run.
//!
//! Many runs can be under way, since most of them wait for a vendor; the processor has few cores. A call is polled only with
//! a place at the gate, and gives it back whenever it waits or has worked for a tick: so no guest holds up another for long,
//! and whatever else the process does is never behind more guests than there are places.

use super::meter::{Meter, Wait};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for guests that work; clones share them.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A gate with so many places, and never less than one.
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            places.clamp(1, Semaphore::MAX_PERMITS),
        )))
    }

    /// A gate with as many places as there are cores.
    pub fn of_cores() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }
}

/// One call on its way through a gate, again and again. Without a gate it is always through.
pub(super) struct Turns<'a> {
    gate: Option<&'a Gate>,
    /// Its time at the gate is not its own.
    meter: Option<&'a Arc<Meter>>,
    asked: Option<Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>>,
    waiting: Option<Wait>,
}

impl<'a> Turns<'a> {
    pub(super) fn new(gate: Option<&'a Gate>, meter: Option<&'a Arc<Meter>>) -> Self {
        Self {
            gate,
            meter,
            asked: None,
            waiting: None,
        }
    }

    /// Ready with a place, which is given back by dropping it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        let Some(Gate(places)) = self.gate else {
            return Poll::Ready(None);
        };
        let mut asked = match self.asked.take() {
            Some(asked) => asked,
            // Nobody is overtaken: a place that others wait for is never free.
            None => match Arc::clone(places).try_acquire_owned() {
                Ok(place) => return Poll::Ready(Some(place)),
                Err(_) => {
                    self.waiting = self.meter.map(|meter| meter.wait(Duration::MAX));
                    let places = Arc::clone(places);
                    // It is never closed.
                    Box::pin(async move { places.acquire_owned().await.ok() })
                }
            },
        };
        match asked.as_mut().poll(context) {
            Poll::Ready(place) => {
                self.waiting = None;
                Poll::Ready(place)
            }
            Poll::Pending => {
                self.asked = Some(asked);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cpu::Stopwatch;
    use super::*;
    use crate::Clock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const TICK: Duration = Duration::from_millis(10);

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_guests_work_at_a_time_than_there_are_places() {
        let gate = Gate::new(2);
        let inside = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let guests = (0..8).map(|_| {
            let (gate, inside) = (gate.clone(), Arc::clone(&inside));
            tokio::spawn(async move {
                let work = async {
                    for _ in 0..50 {
                        let now = inside.0.fetch_add(1, Ordering::SeqCst) + 1;
                        inside.1.fetch_max(now, Ordering::SeqCst);
                        (0..20).for_each(|_| std::thread::yield_now());
                        inside.0.fetch_sub(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                    }
                };
                Stopwatch::new(TICK, Some(gate)).run(None, work).await;
            })
        });
        for guest in guests.collect::<Vec<_>>() {
            guest.await.unwrap();
        }
        let most = inside.1.load(Ordering::SeqCst);
        assert!((1..=2).contains(&most), "{most}");
    }

    #[tokio::test]
    async fn a_guest_that_waits_gives_its_place_to_another_and_its_time_at_the_gate_is_not_its_own()
    {
        let clock = Clock::simulated(0);
        let gate = Gate::new(1);
        let meter = Arc::new(Meter::new(clock.clone()));
        let (first, second) = (
            Stopwatch::new(TICK, Some(gate.clone())),
            Stopwatch::new(TICK, Some(gate.clone())),
        );
        let (tell, told) = tokio::sync::oneshot::channel();
        // The first waits for what only the second can do.
        let waits = first.run(None, told);
        let works = second.run(None, async { tell.send(7) });
        let (heard, sent) = tokio::join!(waits, works);
        assert_eq!(heard, Ok(7));
        assert!(sent.is_ok());

        let place = gate.0.try_acquire().unwrap();
        let held_up = first.run(Some(&meter), async {});
        let leaves = async {
            clock.sleep(Duration::from_secs(9)).await;
            drop(place);
        };
        tokio::join!(held_up, leaves);
        assert_eq!(meter.waited(), Duration::from_secs(9));
    }
}
