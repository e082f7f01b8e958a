//! Metrics as they are read.

use super::families::FAMILIES;
use super::*;
use connector_runtime::runs::RunOutcome;

fn identity(number: u32, tenant: &str) -> Identity {
    Identity {
        tenant_id: format!("id-of-{tenant}"),
        tenant: tenant.into(),
        connector_id: format!("c{number}"),
        name: format!("scanner-{number}"),
        kind: "acme-scanner".into(),
    }
}

fn ledger(identity: &Identity) -> Ledger {
    let mut ledger = Ledger::scripted(identity, 1_000);
    ledger.ended = 43_500;
    ledger.records = 7;
    ledger.traffic.requests = 3;
    ledger.waited_ms = 1_500;
    ledger.usage.memory_peak_bytes = 4_096;
    ledger.usage.cpu_ms = 250;
    ledger
}

fn watching(connectors: &[&Identity]) -> Gauges {
    Gauges {
        journal_size: 8_192,
        journal_used: 4_096,
        journal_limit: 16_384,
        journal_oldest_ms: Some(1_772_442_000_500),
        skipped: [("index".to_owned(), 12)].into(),
        connectors: connectors
            .iter()
            .map(|identity| Watched {
                id: identity.connector_id.clone(),
                tenant: identity.tenant.clone(),
                name: identity.name.clone(),
                state: "healthy".into(),
            })
            .collect(),
        open_alerts: [("failing".to_owned(), 2)].into(),
    }
}

fn metrics() -> Metrics {
    Metrics::new(&Clock::simulated(1_772_442_900_000))
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|one| one == line), "{line}\nin\n{text}");
}

#[test]
fn a_run_is_counted_for_its_connector_and_in_the_sums() {
    let metrics = metrics();
    let (first, second) = (identity(1, "acme"), identity(2, "umbrella"));
    metrics.observe_run(&ledger(&first));
    let mut failed = ledger(&second);
    failed.outcome = RunOutcome::Failed;
    metrics.observe_run(&failed);
    metrics.observe_failure(&second, "held-back");
    let text = metrics.encode(true, watching(&[&first, &second]));
    let labels = "tenant=\"acme\",connector=\"scanner-1\",type=\"acme-scanner\"";
    for line in [
        format!("connector_host_runs_total{{{labels},outcome=\"done\"}} 1"),
        format!("connector_host_runs_total{{{labels},outcome=\"failed\"}} 0"),
        format!("connector_host_records_total{{{labels}}} 7"),
        format!("connector_host_calls_total{{{labels}}} 3"),
        format!("connector_host_waits_seconds_total{{{labels}}} 1.5"),
        format!("connector_host_guest_memory_peak_bytes{{{labels}}} 4096"),
        format!("connector_host_guest_cpu_seconds_total{{{labels}}} 0.25"),
        format!("connector_host_run_duration_seconds_sum{{{labels}}} 42.5"),
        "connector_host_connectors{tenant=\"acme\",state=\"healthy\"} 1".into(),
    ] {
        has(&text, &line);
    }
    let text = metrics.encode(false, watching(&[&first, &second]));
    for line in [
        "connector_host_runs_total{outcome=\"done\"} 1",
        "connector_host_runs_total{outcome=\"failed\"} 1",
        "connector_host_records_total 14",
        "connector_host_errors_total{code=\"held-back\"} 1",
        "connector_host_run_duration_seconds_bucket{le=\"15.0\"} 0",
        "connector_host_run_duration_seconds_bucket{le=\"60.0\"} 2",
        "connector_host_run_duration_seconds_bucket{le=\"+Inf\"} 2",
        "connector_host_run_duration_seconds_count 2",
        "connector_host_connectors{state=\"healthy\"} 2",
        "connector_host_open_alerts{kind=\"failing\"} 2",
        "connector_host_journal_size_bytes 8192",
        "connector_host_journal_used_bytes 4096",
        "connector_host_journal_size_limit_bytes 16384",
        "connector_host_journal_oldest_block_time_seconds 1772442000",
        "connector_host_consumer_skipped_records{consumer=\"index\"} 12",
        "process_start_time_seconds 1772442900.0",
        "# EOF",
    ] {
        has(&text, line);
    }
    for name in ["acme\"", "umbrella", "scanner-1"] {
        assert!(!text.contains(name), "{name}\nin\n{text}");
    }
}

#[test]
fn a_deleted_connectors_series_is_gone_and_the_sums_do_not_go_back() {
    let metrics = metrics();
    let (first, second) = (identity(1, "acme"), identity(2, "acme"));
    metrics.observe_run(&ledger(&first));
    metrics.observe_run(&ledger(&second));
    let text = metrics.encode(true, watching(&[&second]));
    assert!(!text.contains("scanner-1"), "{text}");
    assert!(text.contains("scanner-2"), "{text}");
    let text = metrics.encode(false, watching(&[&second]));
    has(&text, "connector_host_records_total 14");
}

#[test]
fn a_renamed_tenant_has_one_series_under_its_new_name() {
    let metrics = metrics();
    let mut known = identity(1, "acme");
    metrics.observe_run(&ledger(&known));
    known.tenant = "acme-2".into();
    metrics.observe_run(&ledger(&known));
    let text = metrics.encode(true, watching(&[&known]));
    assert!(!text.contains("tenant=\"acme\""), "{text}");
    has(
        &text,
        "connector_host_records_total{tenant=\"acme-2\",connector=\"scanner-1\",type=\"acme-scanner\"} 14",
    );
}

#[test]
fn a_run_is_under_way_until_it_is_over_however_it_ends() {
    let metrics = metrics();
    let known = identity(1, "acme");
    let under_way = metrics.begin_run(&known);
    let text = |metrics: &Metrics| metrics.encode(false, watching(&[&known]));
    has(&text(&metrics), "connector_host_runs_under_way 1");
    drop(under_way);
    has(&text(&metrics), "connector_host_runs_under_way 0");
}

#[test]
fn a_consumer_shows_how_far_behind_it_is() {
    let metrics = metrics();
    metrics.set_consumer_lag("index", 12);
    let text = metrics.encode(false, Gauges::default());
    has(
        &text,
        "connector_host_consumer_lag_blocks{consumer=\"index\"} 12",
    );
}

#[test]
fn what_is_written_is_what_the_table_says_and_the_readme_lists() {
    let text = metrics().encode(true, Gauges::default());
    let written: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let table: Vec<(&str, &str)> = FAMILIES
        .iter()
        .map(|family| {
            let name = family.name.strip_suffix("_total").unwrap_or(family.name);
            (name, family.kind)
        })
        .collect();
    assert_eq!(written, table);
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let rows: Vec<String> = readme
        .lines()
        .filter(|line| line.starts_with("| `connector_host_") || line.starts_with("| `process_"))
        .map(str::to_owned)
        .collect();
    let expected: Vec<String> = FAMILIES
        .iter()
        .map(|family| {
            let mut labels: Vec<&str> = match family.by_connector {
                true => vec!["tenant", "connector", "type"],
                false => Vec::new(),
            };
            if family.name == "connector_host_connectors" {
                labels.push("tenant");
            }
            labels.extend(family.labels);
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            format!(
                "| `{}` | {} | {} | {} |",
                family.name,
                family.kind,
                labels.join(", "),
                family.help
            )
        })
        .collect();
    assert_eq!(rows, expected, "the table of the README");
}
