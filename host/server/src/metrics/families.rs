//! The families of metrics: their names, and how each is written.

use super::totals::{DURATIONS, OUTCOMES, Totals};
use super::{Gauges, Series, process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::collections::BTreeMap;
use std::fmt::Error;

/// A family, as it is written and as the README lists it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the README's table is compared with these by a test"
    )
)]
pub(crate) struct Family {
    /// As queries name it.
    pub(crate) name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: &'static str,
    /// Besides those of the connector, if it is [`Family::by_connector`].
    pub(crate) labels: &'static [&'static str],
    /// Whether it has the labels `tenant`, `connector` and `type` for those who may see them.
    pub(crate) by_connector: bool,
    pub(crate) help: &'static str,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind: "counter",
        labels,
        by_connector: true,
        help,
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family {
        name,
        kind: "gauge",
        labels,
        by_connector: false,
        help,
    }
}

const RUNS: Family = counter(
    "connector_host_runs_total",
    &["outcome"],
    "Runs that have ended",
);
const RUNS_UNDER_WAY: Family = Family {
    by_connector: true,
    ..gauge("connector_host_runs_under_way", &[], "Runs under way")
};
const RUN_DURATION: Family = Family {
    kind: "histogram",
    ..counter(
        "connector_host_run_duration_seconds",
        &[],
        "How long runs took, waits included",
    )
};
const RECORDS: Family = counter(
    "connector_host_records_total",
    &[],
    "Records that became durable",
);
const RECORD_BYTES: Family = counter(
    "connector_host_record_bytes_total",
    &[],
    "Their size as NDJSON",
);
const CALLS: Family = counter(
    "connector_host_calls_total",
    &[],
    "Requests sent to vendors",
);
const SENT_BYTES: Family = counter(
    "connector_host_sent_bytes_total",
    &[],
    "Bytes of their bodies",
);
const RECEIVED_BYTES: Family = counter(
    "connector_host_received_bytes_total",
    &[],
    "Bytes of the bodies of answers",
);
const WAITS: Family = counter(
    "connector_host_waits_seconds_total",
    &[],
    "Time that runs waited, for quota and between attempts",
);
const ERRORS: Family = counter(
    "connector_host_errors_total",
    &["code"],
    "Failures of vendors, plugins and runs",
);
const GUEST_MEMORY: Family = Family {
    by_connector: true,
    ..gauge(
        "connector_host_guest_memory_peak_bytes",
        &[],
        "The most memory that an instance of the plugin had",
    )
};
const GUEST_CPU: Family = counter(
    "connector_host_guest_cpu_seconds_total",
    &[],
    "CPU time of the plugin",
);
const CONNECTORS: Family = gauge(
    "connector_host_connectors",
    &["state"],
    "Connectors by state; by tenant, too, for those who may see them",
);
const ALERTS: Family = gauge("connector_host_open_alerts", &["kind"], "Open alerts");
const JOURNAL_SIZE: Family = gauge(
    "connector_host_journal_size_bytes",
    &[],
    "Size of the journal's file",
);
const JOURNAL_USED: Family = gauge(
    "connector_host_journal_used_bytes",
    &[],
    "What of it holds something",
);
const JOURNAL_LIMIT: Family = gauge(
    "connector_host_journal_size_limit_bytes",
    &[],
    "How much of it may hold something",
);
const JOURNAL_OLDEST: Family = gauge(
    "connector_host_journal_oldest_block_time_seconds",
    &[],
    "When the oldest block of the journal was written, since 1970",
);
const SKIPPED: Family = gauge(
    "connector_host_consumer_skipped_records",
    &["consumer"],
    "Records that a consumer has lost in the last 90 days because it was too far behind",
);
const LAG: Family = gauge(
    "connector_host_consumer_lag_blocks",
    &["consumer"],
    "Blocks of the journal that a consumer has not taken yet",
);
const BUILD: Family = gauge("connector_host_build_info", &["version"], "Always 1");
const PROCESS_CPU: Family = Family {
    by_connector: false,
    ..counter("process_cpu_seconds_total", &[], "CPU time of the process")
};
const PROCESS_MEMORY: Family = gauge(
    "process_resident_memory_bytes",
    &[],
    "Resident memory of the process",
);
const PROCESS_START: Family = gauge(
    "process_start_time_seconds",
    &[],
    "When the process began, since 1970",
);

/// Every family, in the order in which they are written.
#[cfg(test)]
pub(crate) const FAMILIES: [&Family; 24] = [
    &RUNS,
    &RUNS_UNDER_WAY,
    &RUN_DURATION,
    &RECORDS,
    &RECORD_BYTES,
    &CALLS,
    &SENT_BYTES,
    &RECEIVED_BYTES,
    &WAITS,
    &ERRORS,
    &GUEST_MEMORY,
    &GUEST_CPU,
    &CONNECTORS,
    &ALERTS,
    &JOURNAL_SIZE,
    &JOURNAL_USED,
    &JOURNAL_LIMIT,
    &JOURNAL_OLDEST,
    &LAG,
    &SKIPPED,
    &BUILD,
    &PROCESS_CPU,
    &PROCESS_MEMORY,
    &PROCESS_START,
];

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// All that is known at one moment, for one reader.
#[derive(Debug)]
pub(super) struct View {
    pub(super) sum: Totals,
    /// None for those who may not see them.
    pub(super) connectors: Option<Vec<Series>>,
    pub(super) lag: BTreeMap<String, u64>,
    pub(super) gauges: Gauges,
    /// In seconds since 1970.
    pub(super) started: f64,
}

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        self.totals(encoder, &RUNS, |totals, out| {
            for outcome in OUTCOMES.map(connector_runtime::runs::RunOutcome::as_str) {
                let runs = totals.runs.get(outcome).copied().unwrap_or(0);
                out.with("outcome", outcome).count(runs)?;
            }
            Ok(())
        })?;
        self.totals(encoder, &RUNS_UNDER_WAY, |totals, out| {
            out.level(totals.under_way)
        })?;
        self.totals(encoder, &RUN_DURATION, Totals::write_durations)?;
        self.totals(encoder, &RECORDS, |totals, out| out.count(totals.records))?;
        self.totals(encoder, &RECORD_BYTES, |totals, out| {
            out.count(totals.record_bytes)
        })?;
        self.totals(encoder, &CALLS, |totals, out| out.count(totals.calls))?;
        self.totals(encoder, &SENT_BYTES, |totals, out| {
            out.count(totals.bytes_sent)
        })?;
        self.totals(encoder, &RECEIVED_BYTES, |totals, out| {
            out.count(totals.bytes_received)
        })?;
        self.totals(encoder, &WAITS, |totals, out| {
            out.seconds(seconds(totals.waited))
        })?;
        self.totals(encoder, &ERRORS, |totals, out| {
            for (code, errors) in &totals.errors {
                out.with("code", code).count(*errors)?;
            }
            Ok(())
        })?;
        self.totals(encoder, &GUEST_MEMORY, |totals, out| {
            out.level(totals.memory_peak)
        })?;
        self.totals(encoder, &GUEST_CPU, |totals, out| {
            out.seconds(seconds(totals.cpu))
        })?;
        self.others(encoder)
    }
}

impl View {
    /// Writes a family that there is for each connector, or for all together.
    fn totals(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        family: &Family,
        write: impl Fn(&Totals, &mut Out<'_, '_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut metric = describe(encoder, family)?;
        let Some(connectors) = &self.connectors else {
            return write(&self.sum, &mut Out::new(&mut metric, Labels::new()));
        };
        for series in connectors {
            let labels = vec![
                ("tenant", series.tenant.as_str()),
                ("connector", series.name.as_str()),
                ("type", series.kind.as_str()),
            ];
            write(&series.totals, &mut Out::new(&mut metric, labels))?;
        }
        Ok(())
    }

    /// Writes what is no connector's.
    fn others(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut states: BTreeMap<Labels<'_>, u64> = BTreeMap::new();
        for watched in &self.gauges.connectors {
            let mut labels = vec![("state", watched.state.as_str())];
            if self.connectors.is_some() {
                labels.insert(0, ("tenant", watched.tenant.as_str()));
            }
            *states.entry(labels).or_default() += 1;
        }
        let mut metric = describe(encoder, &CONNECTORS)?;
        for (labels, connectors) in states {
            Out::new(&mut metric, labels).level(connectors)?;
        }
        let mut metric = describe(encoder, &ALERTS)?;
        for (kind, open) in &self.gauges.open_alerts {
            Out::new(&mut metric, vec![("kind", kind)]).level(*open)?;
        }
        let mut metric = describe(encoder, &JOURNAL_SIZE)?;
        Out::new(&mut metric, Labels::new()).level(self.gauges.journal_size)?;
        let mut metric = describe(encoder, &JOURNAL_USED)?;
        Out::new(&mut metric, Labels::new()).level(self.gauges.journal_used)?;
        let mut metric = describe(encoder, &JOURNAL_LIMIT)?;
        Out::new(&mut metric, Labels::new()).level(self.gauges.journal_limit)?;
        let mut metric = describe(encoder, &JOURNAL_OLDEST)?;
        if let Some(written_ms) = self.gauges.journal_oldest_ms {
            Out::new(&mut metric, Labels::new()).level(written_ms / 1_000)?;
        }
        let mut metric = describe(encoder, &LAG)?;
        for (consumer, blocks) in &self.lag {
            Out::new(&mut metric, vec![("consumer", consumer)]).level(*blocks)?;
        }
        let mut metric = describe(encoder, &SKIPPED)?;
        for (consumer, records) in &self.gauges.skipped {
            Out::new(&mut metric, vec![("consumer", consumer)]).level(*records)?;
        }
        let mut metric = describe(encoder, &BUILD)?;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        Out::new(&mut metric, version).level(1)?;
        let mut metric = describe(encoder, &PROCESS_CPU)?;
        if let Some(used) = process::cpu_seconds() {
            Out::new(&mut metric, Labels::new()).seconds(used)?;
        }
        let mut metric = describe(encoder, &PROCESS_MEMORY)?;
        if let Some(resident) = process::resident_bytes() {
            Out::new(&mut metric, Labels::new()).level(resident)?;
        }
        describe(encoder, &PROCESS_START)?.encode_gauge(&self.started)
    }
}

impl Totals {
    fn write_durations(&self, out: &mut Out<'_, '_>) -> Result<(), Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "bounds of a day and less are exact"
        )]
        let bounds = DURATIONS.iter().map(|bound| *bound as f64);
        let buckets: Vec<_> = bounds
            .chain([f64::INFINITY])
            .zip(self.durations.iter().copied())
            .collect();
        let runs = self.durations.iter().sum();
        let Out { metric, labels } = out;
        metric
            .encode_family(labels)?
            .encode_histogram::<NoLabelSet>(seconds(self.duration), runs, &buckets, None)
    }
}

/// One series: where it goes, and its labels.
struct Out<'a, 'e> {
    metric: &'a mut MetricEncoder<'e>,
    labels: Labels<'a>,
}

impl<'a, 'e> Out<'a, 'e> {
    fn new(metric: &'a mut MetricEncoder<'e>, labels: Labels<'a>) -> Self {
        Self { metric, labels }
    }

    /// The same series with one more label.
    fn with<'b>(&'b mut self, label: &'static str, value: &'b str) -> Out<'b, 'e>
    where
        'a: 'b,
    {
        let mut labels = self.labels.clone();
        labels.push((label, value));
        Out {
            metric: self.metric,
            labels,
        }
    }

    fn count(&mut self, value: u64) -> Result<(), Error> {
        let mut metric = self.metric.encode_family(&self.labels)?;
        metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
    }

    fn seconds(&mut self, value: f64) -> Result<(), Error> {
        let mut metric = self.metric.encode_family(&self.labels)?;
        metric.encode_counter::<NoLabelSet, f64, f64>(&value, None)
    }

    fn level(&mut self, value: u64) -> Result<(), Error> {
        self.metric
            .encode_family(&self.labels)?
            .encode_gauge(&value)
    }
}

/// Begins a family. The encoder puts a counter's ending there itself.
fn describe<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    family: &'s Family,
) -> Result<MetricEncoder<'s>, Error> {
    let kind = match family.kind {
        "counter" => MetricType::Counter,
        "histogram" => MetricType::Histogram,
        _ => MetricType::Gauge,
    };
    let name = family.name.strip_suffix("_total").unwrap_or(family.name);
    encoder.encode_descriptor(name, family.help, None, kind)
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}
