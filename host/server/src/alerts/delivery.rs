//! Delivery: every destination at its own pace, from a queue that survives restarts.
//!
//! One message at a time goes to a destination; one that fails is tried again after a minute, then after two, four and so
//! on up to an hour, for three days. After a failure the destination is left alone for a minute. A destination that answers
//! 410 (gone) is sent nothing any more until its address changes.

use super::message;
use super::webhook::{Attempt, Webhook};
use crate::connectors::Catalogue;
use crate::connectors::alert::{Delivery, StoredAlert};
use crate::connectors::error::CatalogueError;
use connector_runtime::Clock;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Before the second attempt, and after any that failed.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Between attempts, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// After so long, a message is given up.
const GIVEN_UP_MS: u64 = 3 * 24 * 3_600_000;

/// A destination, and whether anything is to go there.
struct Destination {
    webhook: Webhook,
    is_closed: AtomicBool,
    wake: Notify,
}

/// See the module.
pub(crate) struct Outbox {
    catalogue: Arc<Catalogue>,
    clock: Clock,
    destinations: Vec<Destination>,
}

impl Outbox {
    /// The queues of these destinations.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn new(
        catalogue: Arc<Catalogue>,
        clock: Clock,
        webhooks: Vec<Webhook>,
    ) -> Result<Self, CatalogueError> {
        let destination = |webhook: Webhook| {
            let closed = catalogue.is_webhook_closed(&webhook.name, &webhook.address_digest())?;
            Ok(Destination {
                is_closed: AtomicBool::new(closed),
                wake: Notify::new(),
                webhook,
            })
        };
        let destinations: Result<_, CatalogueError> =
            webhooks.into_iter().map(destination).collect();
        Ok(Self {
            destinations: destinations?,
            catalogue,
            clock,
        })
    }

    /// What is to be delivered about an alert, to each destination that is to hear of it.
    pub(crate) fn compose(&self, alert: &StoredAlert, now: u64) -> Vec<Delivery> {
        self.destinations
            .iter()
            .filter(|destination| !destination.is_closed.load(Ordering::Relaxed))
            .filter(|destination| {
                let scope = &destination.webhook.scope;
                scope.covers(alert.tenant.as_deref(), &alert.kind)
            })
            .map(|destination| Delivery {
                id: format!("msg_{}", Uuid::new_v4().simple()),
                webhook: destination.webhook.name.clone(),
                body: message::body(alert),
                attempts: 0,
                created: now,
            })
            .collect()
    }

    /// Something may have been queued.
    pub(crate) fn wake(&self) {
        for destination in &self.destinations {
            destination.wake.notify_one();
        }
    }

    /// Delivers until it is dropped.
    pub(crate) async fn deliver(&self) {
        let names = self.destinations.iter();
        let names = names.map(|destination| destination.webhook.name.clone());
        match self.catalogue.keep_deliveries_to(names.collect()).await {
            Ok(0) => {}
            Ok(dropped) => tracing::warn!(
                "alerts: {dropped} messages to webhooks that host.toml no longer names were dropped"
            ),
            Err(error) => tracing::warn!("alerts: {error}"),
        }
        join_all(self.destinations.iter().map(|to| self.serve(to))).await;
    }

    /// Delivers to one destination.
    async fn serve(&self, to: &Destination) {
        while !to.is_closed.load(Ordering::Relaxed) {
            let pause = match self.step(to).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!("alerts: webhook {}: {error}", to.webhook.name);
                    Some(FIRST_PAUSE)
                }
            };
            match pause {
                Some(Duration::ZERO) => {}
                Some(pause) => self.clock.sleep(pause).await,
                None => to.wake.notified().await,
            }
        }
    }

    /// Makes the attempt that is due, and tells after which time to look again; none if there is nothing to deliver.
    async fn step(&self, to: &Destination) -> Result<Option<Duration>, CatalogueError> {
        let name = &to.webhook.name;
        let Some((due, delivery)) = self.catalogue.next_delivery(name)? else {
            return Ok(None);
        };
        let early = due.saturating_sub(self.clock.now_ms());
        if early > 0 {
            // Something that is due earlier may come meanwhile.
            let pause = Duration::from_millis(early);
            tokio::select! {
                biased;
                () = to.wake.notified() => {}
                () = self.clock.sleep(pause) => {}
            }
            return Ok(Some(Duration::ZERO));
        }
        let Delivery { id, body, .. } = &delivery;
        match to.webhook.send(&self.clock, id, body).await {
            Attempt::Arrived => {
                self.catalogue.delivered(id).await?;
                Ok(Some(Duration::ZERO))
            }
            Attempt::Failed(why) => {
                self.failed(to, &delivery, &why).await?;
                Ok(Some(FIRST_PAUSE))
            }
            Attempt::Gone => {
                tracing::warn!(
                    "alerts: webhook {name} ({}) answered 410 and is sent nothing any more, until its url changes in host.toml",
                    to.webhook.host()
                );
                let address = to.webhook.address_digest();
                let now = self.clock.now_ms();
                // Before the queue is emptied: what is queued from now on would stay there.
                to.is_closed.store(true, Ordering::Relaxed);
                let closed = self.catalogue.close_webhook(name, &address, now).await;
                if closed.is_err() {
                    to.is_closed.store(false, Ordering::Relaxed);
                }
                closed.map(|()| None)
            }
        }
    }

    async fn failed(
        &self,
        to: &Destination,
        delivery: &Delivery,
        why: &str,
    ) -> Result<(), CatalogueError> {
        let name = &to.webhook.name;
        let Delivery { id, attempts, .. } = delivery;
        let now = self.clock.now_ms();
        if now.saturating_sub(delivery.created) >= GIVEN_UP_MS {
            let text = format!(
                "webhook {name} took message {id} in none of {} attempts in three days, and it was given up: {why}",
                attempts + 1
            );
            tracing::warn!("alerts: {text}");
            return self.catalogue.give_delivery_up(id, &text).await;
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1_u32.checked_shl(*attempts).unwrap_or(u32::MAX))
            .min(LONGEST_PAUSE);
        tracing::warn!(
            "alerts: webhook {name} did not take message {id}, and is asked again in {} min: {why}",
            pause.as_secs() / 60
        );
        let due = now.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.catalogue.put_off_delivery(id, due).await
    }
}
