//! `serve`: scheduler, consumers and REST API in one process, which owns the data directory.
//!
//! ```text
//! 127.0.0.1:8443 (TCP or TLS) ┐
//! <data directory>/serve.sock ┴▶ API ─▶ service ─▶ schedule ─▶ runs ─▶ journal ─▶ consumers
//! ```
//!
//! SIGTERM (or Ctrl-C) ends it: no new run begins, runs under way stop at their next safe point, within a bounded time.
//! SIGHUP takes up plugins that have come, changed or gone.
//!
//! Promises: nothing listens on an address that others can reach without TLS, unless a proxy in front of it was declared; the
//! socket in the data directory is its owner's alone, and whoever can open it is root.

mod address;
mod listener;
mod signals;

use address::Listening;

use crate::access::{self, AccessState};
use crate::alerts::Alerts;
use crate::answer::Answer;
use crate::api::metrics::Readable;
use crate::api::{self, ApiState};
use crate::arguments::{Global, Serve};
use crate::assets::AssetStore;
use crate::connectors::Catalogue;
use crate::consumers::{self, Registry};
use crate::failure::Failure;
use crate::forwarders;
use crate::host::Host;
use crate::metrics::Metrics;
use crate::plugins::SharedDirectory;
use crate::schedule::{HostRunner, Schedule};
use crate::search::searcher::Searcher;
use crate::service::Service;
use connector_runtime::runs::Stop;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The socket in the data directory.
pub(crate) const SOCKET: &str = "serve.sock";
/// How long connections that are being answered may hold up the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Runs until it is told to end.
///
/// # Errors
/// What keeps it from beginning.
pub(crate) async fn run(global: &Global, serve: &Serve) -> Result<Answer, Failure> {
    let listening = Listening::check(serve)?;
    let mut host = Host::assemble(global)?;
    let catalogue = Arc::new(Catalogue::open(host.data_directory())?);
    host.journal_options().bind(catalogue.journal());
    host.keep_quota_in(catalogue.journal());
    let host = Arc::new(host);
    let clock = host.clock().clone();
    let plugins = Arc::new(SharedDirectory::open(&host, catalogue.journal()).await?);
    let metrics = Metrics::new(&clock);
    let alerts = Alerts::new(
        Arc::clone(&catalogue),
        clock.clone(),
        host.alerts().rules.clone(),
        host.alerts().webhooks()?,
    )?;
    let runner = Arc::new(HostRunner::new(
        Arc::clone(&host),
        Arc::clone(&catalogue),
        Arc::clone(&plugins),
        metrics.clone(),
    ));
    let schedule = Arc::new(Schedule::new(
        Arc::clone(&catalogue),
        clock.clone(),
        runner,
        host.schedule_options().clone(),
    ));
    // Before anybody is told that this serves.
    schedule.check_device()?;
    let stop = Stop::default();
    forwarders::tidy(host.data_directory(), host.forwarders());
    let registrations = consumers::configured(&host, &stop)?;
    let registry = Registry::start(catalogue.journal(), registrations, &clock, &stop).await?;
    let searcher = Searcher::default()
        .with_index(host.data_directory(), host.search())
        .with_assets(Arc::new(AssetStore::new(host.data_directory())));
    let service = Service::new(
        Arc::clone(&host),
        Arc::clone(&catalogue),
        Arc::clone(&plugins),
        Arc::clone(&schedule),
    );
    let service = Arc::new(
        service
            .with_consumers(registry.consumers())
            .with_searcher(searcher),
    );
    let access = AccessState::new(Arc::clone(&catalogue), clock, listening.is_secure());
    let router = api::router(ApiState {
        service: Arc::clone(&service),
        access,
        readable: Readable {
            metrics,
            behind_proxy: listening.is_behind_proxy(),
        },
    });

    let bound = listening.bind(host.data_directory()).await?;
    // The signals are caught before anybody is told that this serves.
    let mut signals = signals::Signals::catch()?;
    announce(&bound.url)?;
    if let Some(advice) = access::first_steps(&catalogue)? {
        tracing::warn!("{advice}");
    }

    let mut scheduling = tokio::spawn({
        let (schedule, stop) = (Arc::clone(&schedule), stop.clone());
        async move { schedule.run(stop).await }
    });
    let watching = tokio::spawn({
        let consumers = registry.consumers();
        async move { alerts.watch(&consumers).await }
    });
    let trimming = tokio::spawn({
        let (host, catalogue) = (Arc::clone(&host), Arc::clone(&catalogue));
        async move { host.keep_trimmed(catalogue.journal()).await }
    });
    let answering = tokio::spawn(bound.serve(router, stop.clone()));
    loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            // It ends by itself only if it cannot do its work, and a host that collects nothing must not seem to serve.
            ended = &mut scheduling => {
                stop.request();
                return match ended {
                    Ok(Err(failure)) => Err(failure),
                    _ => Err(Failure::Serving(
                        "the schedule has broken off; its log says why. Start `serve` again: every run goes on where it was.".into(),
                    )),
                };
            }
        };
        match signal {
            signals::Signal::End => break,
            signals::Signal::Reload => match service.reload_plugins().await {
                Ok(changes) => tracing::info!(?changes, "plugins were looked at again"),
                Err(failure) => tracing::error!("plugins were not looked at again: {failure}"),
            },
        }
    }
    tracing::info!("ending: runs under way stop at their next safe point");
    stop.request();
    // A second signal ends at once.
    tokio::select! {
        _ = &mut scheduling => {}
        () = signals.end() => {}
    }
    // A message under way is sent again by the next process.
    watching.abort();
    trimming.abort();
    registry.finish().await;
    // Whoever has been answered is not waited for.
    let _ = tokio::time::timeout(LAST_ANSWERS, answering).await;
    Ok(Answer::given())
}

/// Says where it listens, as the only line on standard output.
fn announce(url: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {url}")
        .and_then(|()| out.flush())
        .map_err(|error| {
            Failure::Serving(format!(
                "standard output cannot be written to ({error}); let it go somewhere"
            ))
        })
}
