//! Log filters in a run of the real component: what they drop is counted, and the assets still hear of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::interflow::{Condition, Filter};
use connector_runtime::runs::RunOutcome;
use serde_json::{Value, json};
use tests::Vendor;

fn filter(name: &str, conditions: &Value) -> Filter {
    let conditions: Vec<Condition> = serde_json::from_value(conditions.clone()).unwrap();
    Filter::new(name, 3, conditions).unwrap()
}

#[tokio::test]
async fn a_dropped_finding_is_counted_leaves_no_record_and_is_noted_for_the_assets() {
    let options = "--hosts 20 --detections 10";
    let all = {
        let mut bench = Vendor::with(options).bench().open().await.unwrap();
        bench.collect().await.unwrap();
        bench.records().unwrap()
    };
    let status = |record: &Value| {
        record["vulnerability"]["status"]
            .as_str()
            .map(str::to_owned)
    };
    let first = all.iter().find_map(status).unwrap();
    let expected = all
        .iter()
        .filter(|record| status(record).as_ref() == Some(&first))
        .count();
    assert!(expected > 0 && expected < all.len());

    let status_is = json!([{"field": "vulnerability.status", "operator": "is", "values": [first]}]);
    let never = json!([{"field": "qualys_cloud_platform.NOTHING", "operator": "exists"}]);
    let filters = vec![filter("never", &never), filter("by status", &status_is)];
    let mut bench = Vendor::with(options)
        .bench()
        .filters(filters)
        .open()
        .await
        .unwrap();
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Done, "{}", ledger.to_json());
    let records = bench.records().unwrap();
    assert_eq!(records.len() + expected, all.len());
    assert!(
        records
            .iter()
            .all(|record| status(record).as_ref() != Some(&first))
    );
    assert_eq!(ledger.records, records.len() as u64);

    let hosts = ledger.content("hosts").unwrap();
    assert!(hosts.filtered.iter().all(|filtered| filtered.dropped == 0));
    let found = ledger.content("vulnerabilities").unwrap();
    let counts: Vec<_> = found
        .filtered
        .iter()
        .map(|filtered| {
            (
                filtered.filter.as_str(),
                filtered.revision,
                filtered.dropped,
            )
        })
        .collect();
    assert_eq!(counts, [("never", 3, 0), ("by status", 3, expected as u64)]);
    assert!(found.equations.iter().all(|equation| equation.holds));

    let notes: Vec<Value> = bench
        .notes()
        .unwrap()
        .iter()
        .flat_map(|notes| notes.as_array().unwrap().clone())
        .collect();
    let dropped: Vec<_> = notes
        .iter()
        .map(|note| &note["dropped"])
        .filter(|dropped| !dropped.is_null())
        .collect();
    assert_eq!(dropped.len(), expected);
    assert!(
        dropped
            .iter()
            .all(|note| note["vulnerability.status"] == *first
                && note["host.id"].is_string()
                && note["vulnerability.severity"].is_string())
    );
    assert!(
        notes.iter().any(|note| note["object"].is_string()),
        "what was seen is noted as ever"
    );

    // What was dropped is not forgotten by the position: the same state does not come again.
    let again = bench.collect().await.unwrap();
    assert_eq!(again.records, 0, "{}", again.to_json());
}
