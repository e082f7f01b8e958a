//! Every oddity of the vendor's data and transport, by its number, through the real component in the real host.
//!
//! The simulated server shows the oddity, and the records are compared with what its estate really holds, element by
//! element: nothing lost, nothing twice, every text intact, or repaired as documented and counted.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use connector_runtime::egress::UpstreamError;
use connector_runtime::runs::RunOutcome;
use connector_runtime::testing::{Bench, Script};
use serde_json::{Value, json};
use sha2::Digest;
use std::collections::{BTreeMap, BTreeSet};
use tests::Vendor;
use tests::estate::{calls, code, collect, field, open, run, scripted, sum, vendor, whole};
use tests::truth::{
    LABEL, Truth, balanced, done, everything_arrived, last_detections, last_hosts, nothing_twice,
};

/// Every text of an element, in all records of detections.
fn texts(bench: &Bench, name: &str) -> Vec<String> {
    let records = bench.records().unwrap();
    let texts = records
        .iter()
        .filter_map(|record| record[LABEL]["DETECTION"][name].as_str().map(str::to_owned));
    texts.collect()
}

const LIST: &str = "HOST_LIST_OUTPUT";
const DETECTIONS: &str = "HOST_LIST_VM_DETECTION_OUTPUT";

fn page(root: &str, hosts: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<{root}><RESPONSE><DATETIME>2026-03-02T09:15:00Z</DATETIME>\
         <HOST_LIST>{hosts}</HOST_LIST></RESPONSE></{root}>"
    )
}

async fn results_of(xml: &str) -> Value {
    let hosts = format!(
        "<HOST><ID>70010001</ID><DETECTION_LIST><DETECTION><UNIQUE_VULN_ID>1</UNIQUE_VULN_ID><QID>991001</QID>\
         <RESULTS>{xml}</RESULTS></DETECTION></DETECTION_LIST></HOST>"
    );
    let script = Script::new().answer(200, &[], page(DETECTIONS, &hosts));
    let (bench, ledger) = scripted(&script, "vulnerabilities").await;
    done(&ledger);
    bench.records().unwrap()[0][LABEL]["DETECTION"]["RESULTS"].clone()
}

#[tokio::test]
async fn an_estate_without_any_oddity_arrives_whole() {
    let (vendor, _, ledger) = whole("").await;
    assert_eq!(sum(&ledger, "listed"), 48);
    assert_eq!(
        sum(&ledger, "repaired") + sum(&ledger, "repeated") + sum(&ledger, "truncated"),
        0
    );
    assert!(
        vendor
            .simulator
            .requests()
            .iter()
            .all(|request| request.status == 200)
    );
}

#[tokio::test]
async fn quirk_01_comments_around_the_root_are_passed_over() {
    whole("--switch comments-around-root").await;
}

#[tokio::test]
async fn quirk_02_a_keep_alive_comment_before_the_list_is_passed_over() {
    whole("--switch keep-alive-comment").await;
}

#[tokio::test]
async fn quirk_03_white_space_before_the_declaration_is_passed_over() {
    whole("--switch leading-whitespace").await;
}

#[tokio::test]
async fn quirk_04_a_comment_before_the_declaration_is_passed_over() {
    whole("--switch leading-comment").await;
    whole("--switch leading-comment --switch leading-whitespace").await;
}

#[tokio::test]
async fn quirk_05_an_error_is_read_with_a_declaration_and_without() {
    for switch in ["", "--switch declared-errors"] {
        let wrong = json!({"extra_parameters": {"no_such_parameter": "1"}});
        let (vendor, bench, ledger) = run(switch, wrong).await;
        assert_eq!(ledger.outcome, RunOutcome::Failed);
        let failure = ledger.contents[0].failure.as_ref().unwrap();
        assert_eq!(
            (failure.code.as_str(), failure.http_status),
            ("1901", Some(400))
        );
        assert!(
            failure.message.contains("Unrecognized parameter(s)"),
            "{}",
            failure.message
        );
        assert_eq!(
            vendor.simulator.requests().len(),
            2,
            "a mistake is not tried again"
        );
        assert!(bench.records().unwrap().is_empty());
    }
}

#[tokio::test]
async fn quirk_06_the_document_type_is_never_fetched_and_entities_are_refused() {
    let (vendor, _, ledger) = whole("").await;
    let asked: BTreeSet<_> = vendor
        .simulator
        .requests()
        .iter()
        .map(|it| it.endpoint)
        .collect();
    assert_eq!(asked, BTreeSet::from(["host-list", "hld"]));
    assert_eq!(ledger.traffic.denied, 0, "nothing else was even tried");

    let (vendor, bench, ledger) = run("--switch entity-bomb", json!({})).await;
    assert_eq!(ledger.outcome, RunOutcome::Failed);
    for content in &ledger.contents {
        let failure = content.failure.as_ref().unwrap();
        assert_eq!(failure.code, "entity-refused");
        assert!(failure.message.contains("entities"), "{}", failure.message);
        assert_eq!(content.records, 0);
    }
    assert!(bench.records().unwrap().is_empty() && ledger.usage.memory_peak_bytes < 16 << 20);
    vendor.simulator.clear(None);
    let mut bench = bench;
    done(&collect(&mut bench).await);
    everything_arrived(&vendor, &bench);
}

#[tokio::test]
async fn quirk_07_white_space_inside_a_start_tag_is_no_matter() {
    whole("--switch space-in-tag").await;
}

#[tokio::test]
async fn quirk_08_entities_inside_a_section_stay_as_they_are_and_outside_are_resolved() {
    let (_, bench, _) = whole("--detections 40").await;
    assert!(
        texts(&bench, "RESULTS")
            .iter()
            .any(|text| text.contains("can&apos;t be checked &lt;self-signed"))
    );
    assert_eq!(
        results_of("<![CDATA[can&apos;t &lt;b&gt;]]>").await,
        "can&apos;t &lt;b&gt;"
    );
    assert_eq!(
        results_of("can&apos;t &lt;b&gt; &amp;lt; &#x20AC;").await,
        "can't <b> &lt; \u{20AC}"
    );
}

#[tokio::test]
async fn quirk_09_a_section_end_split_over_two_sections_is_joined() {
    let (_, bench, _) = whole("--detections 40").await;
    assert!(
        texts(&bench, "RESULTS")
            .iter()
            .any(|text| text.contains("]]>"))
    );
    whole("--switch split-cdata --detections 40").await;
    assert_eq!(results_of("<![CDATA[a]]]]><![CDATA[>b]]>").await, "a]]>b");
}

#[tokio::test]
async fn quirk_10_blanks_around_sections_are_trimmed() {
    whole("--switch padded-text").await;
    whole("--switch padded-text --switch split-cdata").await;
}

/// Texts in which the simulator puts what has to be repaired: RESULTS, and the operating system in both lists.
fn unclean(vendor: &Vendor, os_as_well: bool) -> (u64, u64) {
    let truth = Truth::of(vendor);
    let with_os = truth
        .hosts
        .values()
        .filter(|host| host.get("OS").is_some())
        .count() as u64;
    let os = if os_as_well { with_os } else { 0 };
    (os, truth.detections.len() as u64 + os)
}

async fn repaired(switch: &str, os_as_well: bool, reading: &dyn Fn(&str, &str) -> String) {
    let (vendor, bench, ledger) =
        run(&format!("--switch {switch}"), json!({"hosts_per_page": 7})).await;
    done(&ledger);
    let records = bench.records().unwrap();
    nothing_twice(&records);
    Truth::read(&vendor, reading).check(&records);
    let (hosts, detections) = unclean(&vendor, os_as_well);
    assert_eq!(ledger.content("hosts").unwrap().counter("repaired"), hosts);
    assert_eq!(
        ledger
            .content("vulnerabilities")
            .unwrap()
            .counter("repaired"),
        detections
    );
}

#[tokio::test]
async fn quirk_11_forbidden_characters_become_the_replacement_character_and_are_counted() {
    let mark = '\u{FFFD}';
    repaired("control-characters", true, &|name, text| match name {
        "RESULTS" | "OS" => format!("{text}{mark}{mark}{mark}{mark}"),
        _ => text.to_owned(),
    })
    .await;
    repaired("control-references", false, &|name, text| match name {
        "RESULTS" => format!("{text}{mark}{mark}{mark}"),
        _ => text.to_owned(),
    })
    .await;
}

#[tokio::test]
async fn quirk_12_bytes_that_are_not_utf_8_are_read_as_latin_1_and_counted() {
    repaired("not-utf8", true, &|name, text| match name {
        "RESULTS" | "OS" => format!("{text}caf\u{e9} \u{fc}"),
        _ => text.to_owned(),
    })
    .await;
}

#[tokio::test]
async fn quirk_13_a_text_of_a_megabyte_is_cut_and_marked_with_length_and_hash() {
    let (vendor, bench, ledger) = run("--switch huge-results=3:1048576", json!({})).await;
    done(&ledger);
    let truth = Truth::of(&vendor);
    let records = bench.records().unwrap();
    let found = last_detections(&records);
    let large: Vec<_> = truth
        .detections
        .iter()
        .filter(|(_, (_, it))| {
            it["RESULTS"]
                .as_str()
                .is_some_and(|text| text.len() > 300_000)
        })
        .collect();
    assert_eq!(large.len(), 1);
    let (id, (_, expected)) = large[0];
    let text = expected["RESULTS"].as_str().unwrap();
    let detection = &found[id][LABEL]["DETECTION"];
    let kept = detection["RESULTS"].as_str().unwrap();
    assert!(text.starts_with(kept) && kept.len() == 262_144);
    let digest: String = sha2::Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        detection["RESULTS_TRUNCATED"],
        json!({"length": 1_048_576, "sha256": digest})
    );
    assert_eq!(sum(&ledger, "truncated"), 1);
    assert_eq!(
        found.len(),
        truth.detections.len(),
        "all others are there as well"
    );

    let mut again = bench;
    let ledger = collect(&mut again).await;
    assert_eq!(ledger.records, 0, "what was cut is known by its whole text");
}

#[tokio::test]
async fn quirk_14_a_large_page_is_read_as_a_stream_and_committed_on_the_way() {
    let (vendor, bench, ledger) =
        run("--switch heavy-host=3:250000 --detections 80", json!({})).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    let detections = ledger.content("vulnerabilities").unwrap();
    assert_eq!(detections.counter("pages"), 1);
    assert!(detections.batches >= 3, "{} batches", detections.batches);
    assert!(
        ledger.usage.memory_peak_bytes <= 16 << 20,
        "{}",
        ledger.usage.memory_peak_bytes
    );
}

#[tokio::test]
async fn quirk_15_a_cut_body_loses_nothing_and_doubles_nothing() {
    for switch in ["cut-abrupt", "cut-clean"] {
        let options = format!(
            "--switch {switch}=9000,at=host-list,times=1 --switch {switch}=60000,at=hld,times=2"
        );
        let (_, _, ledger) = whole(&options).await;
        assert!(
            ledger.contents.iter().all(|content| content.retries >= 1),
            "{switch}"
        );
        assert_eq!(
            ledger.contents[0].failure.as_ref().unwrap().code,
            "truncated-body"
        );
    }
}

#[tokio::test]
async fn quirk_16_hosts_in_front_of_a_cut_are_kept_and_not_asked_for_again() {
    let (vendor, bench, ledger) = run("--switch cut-abrupt=100000,at=hld,times=1", json!({})).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    let calls = calls(&vendor, "hld");
    let [cut, rest] = calls.as_slice() else {
        panic!("{} calls", calls.len())
    };
    assert_eq!(cut.bytes, 100_000);
    let from: u64 = field(rest, "id_min").unwrap().parse().unwrap();
    let kept = Truth::of(&vendor)
        .hosts
        .keys()
        .filter(|id| id.parse::<u64>().unwrap() < from)
        .count();
    assert!(
        (2..24).contains(&kept),
        "{kept} hosts were in front of the cut"
    );
    assert_eq!(
        ledger
            .content("vulnerabilities")
            .unwrap()
            .counter("repeated"),
        0
    );
}

#[tokio::test]
async fn quirk_17_one_element_is_a_list_as_many_are() {
    for tags in [1, 3] {
        let (_, bench, _) = whole(&format!("--tags {tags} --detections 1")).await;
        let records = bench.records().unwrap();
        assert!(
            records
                .iter()
                .all(|record| record[LABEL]["TAGS"].as_array().unwrap().len() == tags)
        );
    }
    // An older name of the wrapper makes no difference.
    let (vendor, bench, ledger) = run("--switch tag-list --tags 1", json!({})).await;
    done(&ledger);
    let mut records = bench.records().unwrap();
    for record in &mut records {
        let object = record[LABEL].as_object_mut().unwrap();
        let tags = object.remove("TAG_LIST").unwrap();
        object.insert("TAGS".into(), tags);
    }
    Truth::of(&vendor).check(&records);
}

#[tokio::test]
async fn quirk_18_empty_elements_make_no_field_and_null_is_a_text() {
    let (_, bench, _) = whole("--switch empty-elements --agents 100 --cloud 0").await;
    let records = bench.records().unwrap();
    for record in last_hosts(&records).values() {
        assert!(record[LABEL].get("OS").is_none() && record["host"].get("os").is_none());
    }
    let serials = records
        .iter()
        .filter(|record| record[LABEL]["SERIAL_NUMBER"] == "null")
        .count();
    assert!(serials >= 12, "{serials}");
}

#[tokio::test]
async fn quirk_19_ids_above_2_to_the_31_and_2_to_the_53_page_correctly_and_stay_exact() {
    let (vendor, bench, _) =
        whole("--big-ids --hosts 300 --detections 1 --ignored 0 --disabled 0").await;
    let truth = Truth::of(&vendor);
    let above = |limit: u64| {
        truth
            .hosts
            .keys()
            .filter(|id| id.parse::<u64>().unwrap() > limit)
            .count()
    };
    assert!(above(1 << 31) > 50 && above(1 << 53) >= 3);
    let odd = truth.hosts.keys().any(|id| {
        let number: u64 = id.parse().unwrap();
        number > 1 << 53 && number % 2 == 1
    });
    assert!(odd, "an id that a floating-point number would change");
    assert!(
        last_hosts(&bench.records().unwrap())
            .values()
            .all(|record| record["host"]["id"].is_string())
    );
}

#[tokio::test]
async fn quirk_20_serial_numbers_keep_their_leading_zeros() {
    let (_, bench, _) = whole("--agents 100 --cloud 0").await;
    let records = bench.records().unwrap();
    let kept = last_hosts(&records)
        .values()
        .filter(|record| {
            record[LABEL]["SERIAL_NUMBER"]
                .as_str()
                .is_some_and(|text| text.starts_with("000"))
        })
        .count();
    assert!(kept > 5, "{kept}");
}

#[tokio::test]
async fn quirk_21_several_lists_in_one_answer_are_all_read() {
    whole("--switch several-lists=2").await;
    whole("--switch several-lists=1").await;
}

#[tokio::test]
async fn quirk_22_a_host_without_a_list_of_detections_is_clean_and_accounted_for() {
    let (_, _, ledger) = whole("--clean 50 --switch no-detection-list").await;
    let detections = ledger.content("vulnerabilities").unwrap();
    assert_eq!(detections.counter("listed"), 24);
    let clean = detections.counter("clean");
    assert!((4..20).contains(&clean), "{clean}");
    assert_eq!(detections.counter("collected"), 24 - clean);

    let (_, _, ledger) = whole("--clean 50").await;
    let without = ledger.content("vulnerabilities").unwrap();
    assert_eq!(
        (without.counter("listed"), without.counter("clean")),
        (24 - clean, 0)
    );
}

#[tokio::test]
async fn quirk_23_hosts_without_an_address_or_with_ipv6_alone_arrive() {
    let (_, bench, _) = whole("--no-ip 40 --ipv6-only 40 --agents 30").await;
    let records = bench.records().unwrap();
    let hosts = last_hosts(&records);
    let bare: Vec<_> = hosts
        .values()
        .filter(|record| record.get("srcip").is_none())
        .collect();
    let six: Vec<_> = hosts
        .values()
        .filter(|record| record["srcip_version"] == "ipv6")
        .collect();
    assert!(
        bare.len() > 3 && six.len() > 3,
        "{} {}",
        bare.len(),
        six.len()
    );
    assert!(bare.iter().all(|record| record["host"].get("ip").is_none()));
    assert!(
        six.iter()
            .all(|record| record["host"]["ip"] == json!([record["srcip"]]))
    );
}

#[tokio::test]
async fn quirk_24_one_address_in_several_networks_is_several_hosts() {
    let (_, bench, _) =
        whole("--networks 3 --agents 0 --cloud 0 --no-ip 0 --ipv6-only 0 --twins 0").await;
    let records = bench.records().unwrap();
    let mut networks: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for record in last_hosts(&records).values() {
        let object = &record[LABEL];
        let (ip, network) = (
            object["IP"].as_str().unwrap(),
            object["NETWORK_ID"].as_str().unwrap(),
        );
        assert!(
            networks.entry(ip).or_default().insert(network),
            "{ip} is twice in network {network}"
        );
    }
    assert!(networks.values().any(|networks| networks.len() > 1));
}

#[tokio::test]
async fn quirk_25_a_machine_that_is_there_twice_is_two_hosts_with_one_correlation_id() {
    let (_, bench, _) = whole("--twins 4").await;
    let records = bench.records().unwrap();
    let mut machines: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    let hosts = last_hosts(&records);
    for (id, record) in &hosts {
        if let Some(machine) = record[LABEL]["QG_HOSTID"].as_str() {
            let tracking = record[LABEL]["TRACKING_METHOD"].as_str().unwrap();
            machines.entry(machine).or_default().insert((id, tracking));
        }
    }
    let twins: Vec<_> = machines
        .values()
        .filter(|records| records.len() == 2)
        .collect();
    assert_eq!(twins.len(), 6);
    assert!(
        twins
            .iter()
            .all(|pair| pair.iter().any(|(_, tracking)| *tracking == "AGENT"))
    );
}

#[tokio::test]
async fn quirk_26_a_host_on_two_pages_is_emitted_once() {
    let (_, _, ledger) = whole("--switch repeat-last-host").await;
    let (hosts, detections) = (
        ledger.content("hosts").unwrap(),
        ledger.content("vulnerabilities").unwrap(),
    );
    // Four pages of seven: three of them begin with a host that was there before.
    assert_eq!((hosts.counter("pages"), hosts.counter("repeated")), (4, 3));
    assert_eq!(hosts.counter("listed"), 27);
    assert_eq!(detections.counter("repeated"), 3 * 14);
}

#[tokio::test]
async fn quirk_26_a_host_processed_behind_the_walk_arrives_with_the_next_run() {
    let vendor = vendor("--switch process-behind=2");
    let mut bench = open(&vendor, json!({"hosts_per_page": 7})).await;
    let before = Truth::of(&vendor);
    done(&collect(&mut bench).await);
    vendor.simulator.clear(None);
    let truth = Truth::of(&vendor);
    let changed = truth
        .hosts
        .iter()
        .filter(|(id, host)| before.hosts[*id] != **host)
        .count();
    assert!(
        changed >= 6,
        "{changed} hosts were processed behind the walk"
    );
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert!(ledger.records > 0);
    everything_arrived(&vendor, &bench);
    assert_eq!(collect(&mut bench).await.records, 0);
}

#[tokio::test]
async fn quirk_27_cloud_metadata_with_failures_and_milliseconds_are_kept_as_they_are() {
    let (_, bench, _) = whole("--cloud 100 --agents 0 --switch odd-metadata").await;
    let text = bench
        .records()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect::<String>();
    for part in [
        "\"LAST_STATUS\":\"Fail\"",
        "\"LAST_ERROR\":\"404 - Not Found\"",
        "  % Total    % Received\\ncurl: (28)",
        "latest/dynamic/instance-identity/document/region",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let millis = bench.records().unwrap().iter().any(|record| {
        let attributes = record[LABEL]["METADATA"]["EC2"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        attributes.iter().any(|it| {
            it["NAME"] == "launchTime" && it["VALUE"].as_str().is_some_and(|text| text.len() == 13)
        })
    });
    assert!(millis, "a time in milliseconds stays what it is");
}

#[tokio::test]
async fn quirk_28_an_odd_public_address_is_kept_and_never_taken_for_the_hosts() {
    let (_, bench, _) = whole("--cloud 100 --agents 0 --switch odd-public-address").await;
    let records = bench.records().unwrap();
    let values: BTreeSet<String> = records
        .iter()
        .flat_map(|record| {
            record[LABEL]["METADATA"]["EC2"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter(|attribute| attribute["NAME"] == "latest/meta-data/public-ipv4")
        .map(|attribute| attribute["VALUE"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(values.len(), 2, "{values:?}");
    for record in &records {
        for address in record["host"]["ip"].as_array().into_iter().flatten() {
            assert!(
                address
                    .as_str()
                    .unwrap()
                    .parse::<std::net::IpAddr>()
                    .is_ok(),
                "{address}"
            );
        }
    }
}

#[tokio::test]
async fn quirk_29_the_metadata_of_google_are_kept_under_either_name() {
    for (switch, name) in [("", "GOOGLE"), ("--switch gcp-key", "GCP")] {
        let (_, bench, ledger) = whole(&format!("--cloud 100 --agents 0 {switch}")).await;
        let records = bench.records().unwrap();
        assert!(
            records
                .iter()
                .any(|record| record[LABEL]["METADATA"][name].is_array()),
            "{name}"
        );
        assert!(
            ledger
                .contents
                .iter()
                .all(|content| content.unknown_elements.is_empty())
        );
    }
}

#[tokio::test]
async fn quirk_30_what_a_service_or_kernel_filter_adds_is_kept() {
    let (_, bench, _) = whole("--detections 40").await;
    for name in ["AFFECT_RUNNING_KERNEL", "AFFECT_RUNNING_SERVICE"] {
        assert!(texts(&bench, name).is_empty(), "{name}");
    }
    let filter = json!({"extra_parameters": {"arf_service_filter": "2"}});
    let (_, bench, ledger) = run("--detections 40", filter).await;
    done(&ledger);
    let found: BTreeSet<String> = texts(&bench, "AFFECT_RUNNING_SERVICE")
        .into_iter()
        .collect();
    assert!(
        !found.is_empty() && found.iter().all(|text| text == "0" || text == "1"),
        "{found:?}"
    );
    assert!(ledger.contents[1].unknown_elements.is_empty());
}

#[tokio::test]
async fn quirk_31_a_score_may_have_no_text_or_be_missing_altogether() {
    let (_, bench, _) = whole("--switch no-qds").await;
    assert!(
        last_detections(&bench.records().unwrap())
            .values()
            .all(|it| it["vulnerability"].get("qds").is_none())
    );
    let (_, bench, _) = whole("--switch empty-qds").await;
    let records = bench.records().unwrap();
    let bands = last_detections(&records)
        .values()
        .filter(|it| {
            it[LABEL]["DETECTION"]["QDS"].get("severity").is_some()
                && it["vulnerability"].get("qds").is_none()
        })
        .count();
    assert!(bands > 50, "{bands}");
}

#[tokio::test]
async fn quirk_32_an_empty_date_makes_no_field_and_no_time() {
    let (_, bench, ledger) = whole("--switch empty-dates").await;
    assert_eq!(sum(&ledger, "time_repaired"), 0);
    let records = bench.records().unwrap();
    assert!(
        records
            .iter()
            .all(|record| record["timestamp"].as_u64().unwrap() > 1_700_000_000_000)
    );
}

#[tokio::test]
async fn quirk_33_the_end_of_processing_is_the_records_time_and_not_the_end_of_the_scan() {
    let (_, bench, _) = whole("").await;
    let milliseconds = |value: &Value| {
        value
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_millisecond()
    };
    for record in last_hosts(&bench.records().unwrap()).values() {
        let (processed, scanned) = (
            milliseconds(&record[LABEL]["LAST_VULN_SCAN_DATETIME"]),
            milliseconds(&record[LABEL]["LAST_VM_SCANNED_DATE"]),
        );
        assert!(processed > scanned);
        assert_eq!(record["timestamp"].as_i64(), Some(processed));
    }
}

#[tokio::test]
async fn quirk_34_an_active_detection_keeps_the_date_of_an_earlier_fix() {
    let (_, bench, _) = whole("--switch active-was-fixed").await;
    let records = bench.records().unwrap();
    let active: Vec<_> = last_detections(&records)
        .into_values()
        .filter(|record| record["vulnerability"]["status"] == "Active")
        .collect();
    assert!(!active.is_empty());
    assert!(
        active
            .iter()
            .all(|record| record[LABEL]["DETECTION"]["LAST_FIXED_DATETIME"].is_string())
    );
}

#[tokio::test]
async fn quirk_35_the_content_type_of_an_answer_is_not_relied_on() {
    whole("--switch content-type").await;
    whole("--switch content-type=text/html").await;
}

#[tokio::test]
async fn quirk_36_a_page_of_html_with_status_200_is_never_an_empty_result() {
    let (vendor, mut bench, ledger) = run("--switch html-200", json!({})).await;
    assert_eq!(ledger.outcome, RunOutcome::Failed);
    for content in &ledger.contents {
        assert_eq!(code(content), "not-xml");
        let failure = content.failure.as_ref().unwrap();
        assert!(
            failure.advice.contains("A proxy or a login page answered"),
            "{}",
            failure.advice
        );
    }
    assert_eq!(
        bench.cursor("hosts").unwrap(),
        None,
        "nothing was read, nothing is remembered"
    );
    vendor.simulator.clear(None);
    done(&collect(&mut bench).await);
    everything_arrived(&vendor, &bench);

    // A login page between two good pages.
    let (vendor, bench, ledger) = run(
        "--switch html-200,after=2,times=1",
        json!({"hosts_per_page": 7}),
    )
    .await;
    done(&ledger);
    assert_eq!(ledger.contents[0].retries, 1);
    everything_arrived(&vendor, &bench);
}

#[tokio::test]
async fn quirk_37_no_compression_is_asked_for_and_a_compressed_answer_is_no_page() {
    let mut script = Script::new();
    for _ in 0..20 {
        script = script.answer(
            200,
            &[("content-encoding", "gzip")],
            Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0"),
        );
    }
    let (_, ledger) = scripted(&script, "hosts").await;
    assert_eq!(ledger.outcome, RunOutcome::Failed);
    assert_eq!(code(&ledger.contents[0]), "not-xml");
    assert!(
        script
            .requests()
            .iter()
            .all(|request| !request.headers.contains_key("accept-encoding"))
    );
}

#[tokio::test]
async fn quirk_38_a_connection_that_went_stale_costs_one_retry_and_nothing_else() {
    let hosts = "<HOST><ID>70010001</ID><IP>192.0.2.15</IP></HOST>";
    let script = Script::new()
        .fail(UpstreamError::Closed(
            "connection closed before message completed".into(),
        ))
        .answer(200, &[], page(LIST, hosts));
    let (bench, ledger) = scripted(&script, "hosts").await;
    done(&ledger);
    assert_eq!(
        (ledger.contents[0].retries, script.requests().len()),
        (1, 2)
    );
    assert_eq!(bench.records().unwrap().len(), 1);
    assert_eq!(bench.waits().len(), 1);
}

#[tokio::test]
async fn quirk_39_the_host_named_in_a_warning_is_never_called() {
    for switches in [
        "warning-foreign-host",
        "warning-http",
        "warning-http --switch warning-foreign-host",
    ] {
        let (vendor, _, ledger) = whole(&format!("--switch {switches}")).await;
        assert_eq!(
            ledger.traffic.denied, 0,
            "{switches}: nothing else was even tried"
        );
        assert_eq!(ledger.traffic.requests, 8);
        assert_eq!(
            vendor.simulator.requests().len(),
            8,
            "every request went to the one origin"
        );
    }
}

#[tokio::test]
async fn quirk_40_a_warning_that_does_not_say_where_to_go_on_is_reported_and_loses_nothing() {
    for switch in ["warning-no-url", "warning-no-id-min"] {
        let (vendor, _, ledger) = whole(&format!("--switch {switch}")).await;
        for content in &ledger.contents {
            assert!(
                content
                    .notices
                    .iter()
                    .any(|notice| notice.code == "warning-unusable"),
                "{switch}: {:?}",
                content.notices
            );
            assert_eq!(content.retries, 0, "{switch}: the page was whole");
        }
        let mut last = BTreeMap::new();
        for request in vendor.simulator.requests() {
            let from: u64 = field(&request, "id_min").map_or(0, |text| text.parse().unwrap());
            if let Some(before) = last.insert(request.endpoint, from) {
                assert!(from > before, "no page was asked for twice");
            }
        }
    }
}

#[tokio::test]
async fn quirk_41_a_warning_with_another_code_and_no_url_ends_the_walk_and_is_shown() {
    let (_, _, ledger) = whole("--switch warning-other-code=1234").await;
    for content in &ledger.contents {
        let remark = content
            .notices
            .iter()
            .find(|notice| notice.code == "vendor-warning")
            .unwrap();
        assert!(
            remark.message.contains("1234") && remark.message.contains("being updated"),
            "{}",
            remark.message
        );
        assert_eq!(content.retries, 0);
    }
}

#[tokio::test]
async fn quirk_42_a_409_without_a_body_is_a_limit_and_is_waited_out() {
    let (_, bench, ledger) = whole("--switch bare-409,times=1").await;
    assert_eq!(bench.waits().len(), 1);
    assert_eq!(bench.waits()[0].0.as_secs(), 60, "nobody said how long");
    assert_eq!(ledger.contents[0].counter("waits_for_quota"), 1);
    ledger.contents.iter().for_each(balanced);
}
