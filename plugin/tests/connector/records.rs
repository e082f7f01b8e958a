//! Records: what becomes of an element.

use serde_json::{Value, json};

use crate::server::{
    DETECTIONS, Host, LIST, host_xml, page, read_detections, read_hosts, serve_page,
};

const EXAMPLE: &str = "<HOST><ID>70010001</ID> <IP>192.0.2.15</IP> <TRACKING_METHOD>AGENT</TRACKING_METHOD>
    <OS><![CDATA[Ubuntu Linux 22.04.4]]></OS> <DNS><![CDATA[build-07.corp.example]]></DNS> <OWNER></OWNER>
    <DNS_DATA><HOSTNAME><![CDATA[build-07]]></HOSTNAME></DNS_DATA>
    <DETECTION_LIST><DETECTION>
      <UNIQUE_VULN_ID>9100000001</UNIQUE_VULN_ID> <QID>991001</QID> <TYPE>Confirmed</TYPE> <SEVERITY>4</SEVERITY> <SSL>0</SSL>
      <STATUS>Active</STATUS>
      <RESULTS><![CDATA[Package\tInstalled Version\tRequired Version
libdemo\t1.2.0\t1.2.9]]></RESULTS>
      <LAST_PROCESSED_DATETIME>2026-03-02T08:41:17Z</LAST_PROCESSED_DATETIME>
      <QDS severity=\"HIGH\">78</QDS>
      <QDS_FACTORS><QDS_FACTOR name=\"CVSS\"><![CDATA[8.1]]></QDS_FACTOR> <QDS_FACTOR name=\"CVSS_version\"><![CDATA[v3.x]]></QDS_FACTOR>
        <QDS_FACTOR name=\"epss\"><![CDATA[0.01234]]></QDS_FACTOR></QDS_FACTORS>
    </DETECTION></DETECTION_LIST></HOST>";

#[test]
fn a_detection_becomes_exactly_this_record() {
    let mut host = Host::new("vulnerabilities", serve_page(page(DETECTIONS, EXAMPLE, "")));
    let run = host.run();
    let records = host.records();
    let expected = concat!(
        r#"{"srcip":"192.0.2.15","srcip_host":"build-07.corp.example","#,
        r#""host":{"id":"70010001","ip":["192.0.2.15"],"name":"build-07.corp.example","hostname":"build-07","os":{"full":"Ubuntu Linux 22.04.4","type":"linux"}},"#,
        r#""asset":{"tracking":"agent"},"#,
        r#""event":{"id":"9100000001","category":"vulnerability","type":"info","severity":4,"severity_str":"high"},"#,
        r#""vulnerability":{"id":"991001","enumeration":"QID","severity":"high","status":"Active","qds":78,"epss":0.01234,"#,
        r#""score":{"base":8.1,"version":"3.x"},"scanner":{"vendor":"Qualys"}},"#,
        r#""qualys_cloud_platform":{"ID":"70010001","IP":"192.0.2.15","TRACKING_METHOD":"AGENT","OS":"Ubuntu Linux 22.04.4","DNS":"build-07.corp.example","#,
        r#""DNS_DATA":{"HOSTNAME":"build-07"},"#,
        r#""DETECTION":{"UNIQUE_VULN_ID":"9100000001","QID":"991001","TYPE":"Confirmed","SEVERITY":"4","SSL":"0","STATUS":"Active","#,
        r#""RESULTS":"Package\tInstalled Version\tRequired Version\nlibdemo\t1.2.0\t1.2.9","#,
        r#""LAST_PROCESSED_DATETIME":"2026-03-02T08:41:17Z","QDS":{"severity":"HIGH","score":"78"},"#,
        r#""QDS_FACTORS":[{"name":"CVSS","value":"8.1"},{"name":"CVSS_version","value":"v3.x"},{"name":"epss","value":"0.01234"}]}}}"#,
    );
    assert_eq!(records[0].body, expected);
    assert_eq!(records[0].time_ms, 1_772_440_877_000);
    let (identity, hash) = records[0].key.split_once('-').expect("identity and hash");
    assert_eq!((identity, hash.len()), ("9100000001", 32));
    assert_eq!(
        run.seen[0],
        json!({"object": "70010001", "time_ms": 1_772_442_900_000_u64, "emitted": ["9100000001"],
                                   "repeated": [], "more": false})
    );
}

#[test]
fn a_host_becomes_exactly_this_record() {
    let xml = "<HOST><ID>70010001</ID> <ASSET_ID>88120001</ASSET_ID> <IP>192.0.2.15</IP><IPV6>2001:db8::15</IPV6><TRURISK_SCORE>742</TRURISK_SCORE>
        <TRURISK_SCORE_FACTORS><TRURISK_SCORE_FORMULA>(sample)</TRURISK_SCORE_FORMULA> <VULN_COUNT qds_severity=\"1\">3</VULN_COUNT>
          <VULN_COUNT qds_severity=\"5\">1</VULN_COUNT></TRURISK_SCORE_FACTORS>
        <DNS_DATA><DOMAIN>corp.example</DOMAIN></DNS_DATA><NETBIOS><![CDATA[BUILD-07]]></NETBIOS>
        <CLOUD_PROVIDER>AWS</CLOUD_PROVIDER><CLOUD_SERVICE>EC2</CLOUD_SERVICE><EC2_INSTANCE_ID>i-0a1b</EC2_INSTANCE_ID>
        <TAGS><TAG><TAG_ID>4410</TAG_ID><NAME><![CDATA[Servers & Build]]></NAME></TAG></TAGS>
        <METADATA><EC2><ATTRIBUTE><NAME>latest/meta-data/mac</NAME><VALUE>00:00:5e:00:53:23</VALUE></ATTRIBUTE></EC2></METADATA>
        <LAST_VULN_SCAN_DATETIME>2026-03-02T08:41:17Z</LAST_VULN_SCAN_DATETIME></HOST>";
    let mut host = Host::new("hosts", serve_page(page(LIST, xml, "")));
    host.run();
    let records = host.records();
    let expected = concat!(
        r#"{"srcip":"192.0.2.15","srcip_host":"BUILD-07","#,
        r#""host":{"id":"70010001","ip":["192.0.2.15","2001:db8::15"],"name":"BUILD-07","domain":"corp.example","mac":["00-00-5E-00-53-23"]},"#,
        r#""cloud":{"provider":"aws","service":{"name":"EC2"},"instance":{"id":"i-0a1b"}},"#,
        r#""asset":{"tags":["Servers & Build"]},"#,
        r#""event":{"category":"host","type":"info"},"#,
        r#""qualys_cloud_platform":{"ID":"70010001","ASSET_ID":"88120001","IP":"192.0.2.15","IPV6":"2001:db8::15","TRURISK_SCORE":"742","#,
        r#""TRURISK_SCORE_FACTORS":{"TRURISK_SCORE_FORMULA":"(sample)","VULN_COUNT":[{"qds_severity":"1","value":"3"},{"qds_severity":"5","value":"1"}]},"#,
        r#""DNS_DATA":{"DOMAIN":"corp.example"},"NETBIOS":"BUILD-07","CLOUD_PROVIDER":"AWS","CLOUD_SERVICE":"EC2","EC2_INSTANCE_ID":"i-0a1b","#,
        r#""TAGS":[{"TAG_ID":"4410","NAME":"Servers & Build"}],"#,
        r#""METADATA":{"EC2":[{"NAME":"latest/meta-data/mac","VALUE":"00:00:5e:00:53:23"}]},"LAST_VULN_SCAN_DATETIME":"2026-03-02T08:41:17Z"}}"#,
    );
    assert_eq!(records[0].body, expected);
    assert_eq!(records[0].time_ms, 1_772_440_877_000);
    assert!(records[0].key.starts_with("70010001-"));
}

fn one(detection: &str) -> (Value, String) {
    let hosts = host_xml(7, &[format!("<DETECTION>{detection}</DETECTION>")]);
    let mut host = Host::new("vulnerabilities", serve_page(page(DETECTIONS, &hosts, "")));
    host.run();
    let records = host.records();
    (
        crate::server::bodies(&records).remove(0),
        records[0].key.clone(),
    )
}

#[test]
fn the_level_of_a_detection_becomes_its_word_and_no_score_does() {
    for (level, word) in [
        ("1", "informational"),
        ("2", "low"),
        ("3", "medium"),
        ("4", "high"),
        ("5", "critical"),
    ] {
        let (record, _) = one(&format!("<QID>991001</QID><SEVERITY>{level}</SEVERITY>"));
        assert_eq!(
            record["event"]["severity"],
            level.parse::<u64>().expect("a number")
        );
        assert_eq!(
            (
                &record["event"]["severity_str"],
                &record["vulnerability"]["severity"]
            ),
            (&json!(word), &json!(word))
        );
    }
    for level in ["", "0", "6", "high"] {
        let (record, _) = one(&format!(
            "<QID>991001</QID><SEVERITY>{level}</SEVERITY><QDS severity=\"HIGH\">90</QDS>"
        ));
        assert!(
            record["event"].get("severity").is_none()
                && record["vulnerability"].get("severity").is_none()
        );
        assert_eq!(record["vulnerability"]["qds"], 90);
    }
}

#[test]
fn vulnerabilities_of_the_asset_become_a_list() {
    let (record, _) = one(
        "<QID>991001</QID><ASSET_CVE><![CDATA[CVE-2026-90001, CVE-2026-90002,CVE-2026-90001]]></ASSET_CVE>",
    );
    assert_eq!(
        record["vulnerability"]["cve"],
        json!(["CVE-2026-90001", "CVE-2026-90002"])
    );
}

#[test]
fn without_its_own_id_a_detection_is_known_by_where_it_was_found() {
    let (_, key) = one(
        "<QID>991001</QID><PORT>443</PORT><PROTOCOL>tcp</PROTOCOL><SSL>1</SSL><FQDN>a.example</FQDN>",
    );
    assert!(key.starts_with("7:991001:443:tcp:1:a.example::-"), "{key}");
    let long = "x".repeat(500);
    let (_, key) = one(&format!("<QID>991001</QID><INSTANCE>{long}</INSTANCE>"));
    assert!(key.len() < 100, "{key}");
}

#[test]
fn a_detection_without_its_own_id_says_the_name_that_the_notes_have_and_another_does_not() {
    let (record, key) = one("<QID>991001</QID><PORT>443</PORT>");
    let name = record["vulnerability"]["finding_id"]
        .as_str()
        .expect("a name");
    assert_eq!(name, "7:991001:443:::::");
    assert!(key.starts_with(&format!("{name}-")), "{key}");
    assert!(record["event"].get("id").is_none());
    let (record, _) = one("<UNIQUE_VULN_ID>1</UNIQUE_VULN_ID><QID>991001</QID>");
    assert!(record["vulnerability"].get("finding_id").is_none());
}

#[test]
fn a_record_says_which_machine_it_is_about_in_words_that_the_host_knows() {
    let host = "<HOST><ID>7</ID><QG_HOSTID>3A6B1E52</QG_HOSTID><NETWORK_ID>12</NETWORK_ID><TRACKING_METHOD>DNS</TRACKING_METHOD>
        <TAGS><TAG><NAME>a</NAME></TAG><TAG><NAME>b</NAME></TAG><TAG><NAME>a</NAME></TAG></TAGS></HOST><HOST><ID>8</ID></HOST>";
    let mut bench = Host::new("hosts", serve_page(page(LIST, host, "")));
    bench.run();
    let records = crate::server::bodies(&bench.records());
    assert_eq!(
        records[0]["asset"],
        json!({"id": "3a6b1e52", "network": "12", "tracking": "dns", "tags": ["a", "b"]})
    );
    assert!(records[1].get("asset").is_none());
}

#[test]
fn the_same_state_has_the_same_key_and_another_state_another() {
    let state = "<UNIQUE_VULN_ID>1</UNIQUE_VULN_ID><QID>991001</QID><STATUS>Active</STATUS>";
    let (_, key) = one(state);
    assert_eq!(
        one(&state.replace("><", ">\n <")).1,
        key,
        "blanks between elements are no state"
    );
    assert_eq!(
        one(&state.replace("Active", "<![CDATA[Active]]>")).1,
        key,
        "nor is the way a text is written"
    );
    assert_ne!(one(&state.replace("Active", "Fixed")).1, key);
    assert_ne!(
        one(&format!(
            "{state}<LAST_FIXED_DATETIME>2026-02-15T04:00:00Z</LAST_FIXED_DATETIME>"
        ))
        .1,
        key
    );
    assert!(one(&state.replace("Active", "Fixed")).1.starts_with("1-"));
}

#[test]
fn cuts_and_fields_left_out_do_not_change_the_key() {
    let text = "word ".repeat(1000);
    let xml = host_xml(
        7,
        &[format!(
            "<DETECTION><UNIQUE_VULN_ID>1</UNIQUE_VULN_ID><QID>991001</QID><RESULTS><![CDATA[{text}]]></RESULTS><SERVICE>a</SERVICE></DETECTION>"
        )],
    );
    let with = |key: &str, value: Value| {
        let mut host =
            Host::new("vulnerabilities", serve_page(page(DETECTIONS, &xml, ""))).with(key, value);
        let run = host.run();
        let records = host.records();
        (
            records[0].key.clone(),
            crate::server::bodies(&records).remove(0),
            run,
        )
    };
    let (key, whole, run) = with("results_limit", json!(5000));
    assert_eq!(whole["qualys_cloud_platform"]["DETECTION"]["RESULTS"], text);
    assert_eq!(run.count("truncated"), 0);
    let (cut_key, cut, run) = with("results_limit", json!(1024));
    let detection = &cut["qualys_cloud_platform"]["DETECTION"];
    assert_eq!(detection["RESULTS"], text[..1024]);
    assert_eq!(detection["RESULTS_TRUNCATED"]["length"], 5000);
    assert_eq!(
        detection["RESULTS_TRUNCATED"]["sha256"]
            .as_str()
            .map(str::len),
        Some(64)
    );
    assert_eq!(run.count("truncated"), 1);
    let (left_key, left, _) = with("leave_out", json!(["RESULTS", "IP", "DETECTION.SERVICE"]));
    assert!(
        left["qualys_cloud_platform"]["DETECTION"]
            .get("RESULTS")
            .is_none()
    );
    assert!(
        left["qualys_cloud_platform"]["DETECTION"]
            .get("SERVICE")
            .is_none()
    );
    assert!(left["qualys_cloud_platform"].get("IP").is_none() && left["srcip"] == "192.0.2.7");
    assert_eq!((&cut_key, &left_key), (&key, &key));
    let (_, none, _) = with("leave_out", json!(["DETECTION"]));
    assert!(none["qualys_cloud_platform"].get("DETECTION").is_none());
}

#[test]
fn a_cut_falls_between_characters() {
    let text = "\u{20AC}".repeat(1000);
    let xml = host_xml(
        7,
        &[format!(
            "<DETECTION><QID>1</QID><RESULTS><![CDATA[{text}]]></RESULTS></DETECTION>"
        )],
    );
    let mut host = Host::new("vulnerabilities", serve_page(page(DETECTIONS, &xml, "")))
        .with("results_limit", json!(1024));
    host.run();
    let record = crate::server::bodies(&host.records()).remove(0);
    assert_eq!(
        record["qualys_cloud_platform"]["DETECTION"]["RESULTS"]
            .as_str()
            .map(str::len),
        Some(1023)
    );
}

#[test]
fn unknown_elements_are_kept_and_counted() {
    let (record, _) = one(
        "<QID>1</QID><NEW_THING>a</NEW_THING><DEEP kind=\"k\"><IN>1</IN><IN>2</IN><B/></DEEP><AGAIN>1</AGAIN>\
        <X>mid</X><AGAIN>2</AGAIN><ONE><TWO>x</TWO></ONE><ATTR a=\"1\" b=\"\">text</ATTR><SAME A=\"1\"><A>2</A></SAME>",
    );
    let detection = &record["qualys_cloud_platform"]["DETECTION"];
    assert_eq!(detection["NEW_THING"], "a");
    assert_eq!(detection["DEEP"], json!({"kind": "k", "IN": ["1", "2"]}));
    assert_eq!(
        detection["AGAIN"],
        json!(["1", "2"]),
        "not adjacent, and still a list"
    );
    assert_eq!(detection["ONE"], json!({"TWO": "x"}));
    assert_eq!(detection["ATTR"], json!({"a": "1", "value": "text"}));
    assert_eq!(detection["SAME"], json!({"@A": "1", "A": "2"}));
    let (_, run) = read_hosts(
        "<HOST><ID>1</ID><FOO><BAR>x</BAR></FOO><FOO/><TAGS><TAG><SHADE>x</SHADE></TAG></TAGS></HOST>",
    );
    assert_eq!(
        run.unknown.into_iter().collect::<Vec<_>>(),
        [
            ("HOST/FOO".to_owned(), 2),
            ("HOST/TAGS/TAG/SHADE".to_owned(), 1)
        ]
    );
}

#[test]
fn a_stranger_in_a_list_keeps_its_name_and_a_list_in_two_pieces_is_one() {
    let (records, _) = read_hosts(
        "<HOST><ID>1</ID><TAGS><TAG><NAME>a</NAME></TAG><FLAG>x</FLAG></TAGS><IP>192.0.2.1</IP><TAGS><TAG><NAME>b</NAME></TAG></TAGS></HOST>",
    );
    assert_eq!(
        records[0]["qualys_cloud_platform"]["TAGS"],
        json!([{"NAME": "a"}, {"FLAG": "x"}, {"NAME": "b"}])
    );
}

#[test]
fn detection_sources_are_taken_however_they_are_nested() {
    let (record, _) = one(
        "<QID>1</QID><VULNERABILITY_DETECTION_SOURCES>Cloud Agent,Internal Scanner</VULNERABILITY_DETECTION_SOURCES>",
    );
    assert_eq!(
        record["qualys_cloud_platform"]["DETECTION"]["VULNERABILITY_DETECTION_SOURCES"],
        "Cloud Agent,Internal Scanner"
    );
    let (record, _) = one(
        "<QID>1</QID><VULNERABILITY_DETECTION_SOURCES><S>Cloud Agent</S><S>Internal Scanner</S></VULNERABILITY_DETECTION_SOURCES>",
    );
    assert_eq!(
        record["qualys_cloud_platform"]["DETECTION"]["VULNERABILITY_DETECTION_SOURCES"]["S"][1],
        "Internal Scanner"
    );
}

#[test]
fn a_host_of_very_many_elements_is_mapped_in_reasonable_time() {
    let many: String = (0..20_000)
        .map(|n| format!("<E{}>x</E{}>", n % 5000, n % 5000))
        .collect();
    let (records, run) = read_hosts(&format!("<HOST><ID>1</ID>{many}</HOST>"));
    assert_eq!(
        records[0]["qualys_cloud_platform"]["E77"],
        json!(["x", "x", "x", "x"])
    );
    assert!(run.unknown.len() <= 200);
}

#[test]
fn several_detection_lists_and_elements_behind_them_belong_to_the_host() {
    let (records, _) = read_detections(
        "<HOST><DETECTION_LIST><DETECTION><QID>1</QID></DETECTION></DETECTION_LIST><OS>Windows 11</OS><ID>9</ID>\
         <DETECTION_LIST><DETECTION><QID>2</QID></DETECTION></DETECTION_LIST><DETECTION><QID>3</QID></DETECTION></HOST>",
    );
    assert_eq!(records.len(), 3);
    for (record, qid) in records.iter().zip(["1", "2", "3"]) {
        assert_eq!(
            (&record["host"]["id"], &record["host"]["os"]["type"]),
            (&json!("9"), &json!("windows"))
        );
        assert_eq!(record["vulnerability"]["id"], qid);
        assert!(
            record["qualys_cloud_platform"]
                .get("DETECTION_LIST")
                .is_none()
        );
    }
}

#[test]
fn an_implausible_time_is_repaired_counted_and_kept_as_it_was_said() {
    let hosts = host_xml(7, &["<DETECTION><QID>1</QID><LAST_FOUND_DATETIME>1970-01-01T00:00:00Z</LAST_FOUND_DATETIME></DETECTION>".to_owned()]);
    let mut host = Host::new("vulnerabilities", serve_page(page(DETECTIONS, &hosts, "")));
    let run = host.run();
    let records = host.records();
    assert_eq!(
        (run.count("time_repaired"), records[0].time_ms),
        (1, crate::server::NOW_MS)
    );
    assert!(records[0].body.contains("1970-01-01T00:00:00Z"));
}
