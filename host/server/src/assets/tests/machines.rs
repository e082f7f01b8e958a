//! Which machine is which asset.

use super::*;

/// One asset as the table below expects it: name, vendor ids, addresses, former addresses.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

struct Case {
    name: &'static str,
    records: Vec<(usize, Value)>,
    expected: &'static [Row],
}

fn case(name: &'static str, records: Vec<(usize, Value)>, expected: &'static [Row]) -> Case {
    Case {
        name,
        records,
        expected,
    }
}

fn by_address(id: &str, minutes: u64, name: &str, ip: &str) -> Value {
    host(
        id,
        minutes,
        json!({"host": {"name": name, "ip": [ip]}, "asset": {"tracking": "ip", "network": "0"}}),
    )
}

fn by_agent(id: &str, minutes: u64, name: &str, ip: &str, agent: &str) -> Value {
    host(
        id,
        minutes,
        json!({"host": {"name": name, "ip": [ip]}, "asset": {"tracking": "agent", "network": "0", "id": agent}}),
    )
}

fn cases() -> Vec<Case> {
    let without_id = |minutes: u64, more: Value| {
        let mut record = host("", minutes, more);
        record["host"].as_object_mut().unwrap().remove("id");
        record
    };
    vec![
        case(
            "an address that moved by DHCP merges nothing, and is history where it was",
            vec![
                (ACME, by_agent("1", 1, "a", "192.0.2.5", "x")),
                (ACME, by_agent("2", 2, "b", "192.0.2.5", "y")),
                (ACME, by_agent("1", 3, "a", "192.0.2.9", "x")),
            ],
            &[
                ("a", &["1"], &["192.0.2.9"], &["192.0.2.5"]),
                ("b", &["2"], &["192.0.2.5"], &[]),
            ],
        ),
        case(
            "an address that another machine has now is history, also before its former holder is seen again",
            vec![
                (ACME, by_agent("1", 1, "a", "192.0.2.5", "x")),
                (ACME, by_agent("2", 2, "b", "192.0.2.5", "y")),
            ],
            &[
                ("a", &["1"], &[], &["192.0.2.5"]),
                ("b", &["2"], &["192.0.2.5"], &[]),
            ],
        ),
        case(
            "the same address in two networks is two machines",
            vec![
                (
                    ACME,
                    without_id(
                        1,
                        json!({"host": {"name": "a", "ip": ["192.0.2.5"]}, "asset": {"tracking": "ip", "network": "1"}}),
                    ),
                ),
                (
                    ACME,
                    without_id(
                        2,
                        json!({"host": {"name": "b", "ip": ["192.0.2.5"]}, "asset": {"tracking": "ip", "network": "2"}}),
                    ),
                ),
            ],
            &[
                ("a", &[], &["192.0.2.5"], &[]),
                ("b", &[], &["192.0.2.5"], &[]),
            ],
        ),
        case(
            "the same address in one network is one machine, if nothing stronger tells",
            vec![
                (
                    ACME,
                    without_id(
                        1,
                        json!({"host": {"name": "a", "ip": ["192.0.2.5"]}, "asset": {"tracking": "ip", "network": "1"}}),
                    ),
                ),
                (
                    ACME,
                    without_id(
                        2,
                        json!({"host": {"name": "b", "ip": ["192.0.2.5"]}, "asset": {"tracking": "ip", "network": "1"}}),
                    ),
                ),
            ],
            &[("b", &[], &["192.0.2.5"], &[])],
        ),
        case(
            "an agent's and a scanner's view of one machine are one asset, with both addresses",
            vec![
                (ACME, by_agent("1", 1, "a", "10.0.0.5", "x")),
                (ACME, by_address("2", 2, "a.example", "192.0.2.5")),
                (
                    ACME,
                    host(
                        "2",
                        3,
                        json!({"host": {"name": "a.example", "ip": ["192.0.2.5"]}, "asset": {"tracking": "ip", "network": "0", "id": "X"}}),
                    ),
                ),
            ],
            &[("a.example", &["1", "2"], &["10.0.0.5", "192.0.2.5"], &[])],
        ),
        case(
            "a scanner's view without the agent's id stays apart, whatever address it has",
            vec![
                (ACME, by_agent("1", 1, "a", "192.0.2.5", "x")),
                (ACME, by_address("2", 2, "b", "192.0.2.5")),
            ],
            &[
                ("a", &["1"], &[], &["192.0.2.5"]),
                ("b", &["2"], &["192.0.2.5"], &[]),
            ],
        ),
        case(
            "a host that was deleted and created again under another id is another asset at its address",
            vec![
                (ACME, by_address("1", 1, "a", "192.0.2.5")),
                (ACME, by_address("7", 2, "a again", "192.0.2.5")),
            ],
            &[
                ("a", &["1"], &[], &["192.0.2.5"]),
                ("a again", &["7"], &["192.0.2.5"], &[]),
            ],
        ),
        case(
            "a host that was created again with the agent's id that it had is the same asset",
            vec![
                (ACME, by_agent("1", 1, "a", "192.0.2.5", "x")),
                (ACME, by_agent("7", 2, "a", "192.0.2.6", "x")),
            ],
            &[("a", &["1", "7"], &["192.0.2.5", "192.0.2.6"], &[])],
        ),
        case(
            "another agent's id under a known host id is another machine, which the host id goes to",
            vec![
                (ACME, by_agent("1", 1, "a", "192.0.2.5", "x")),
                (ACME, by_agent("1", 2, "b", "192.0.2.6", "y")),
                (ACME, host("1", 3, json!({"host": {"name": "c"}}))),
            ],
            &[
                ("a", &[], &["192.0.2.5"], &[]),
                ("c", &["1"], &["192.0.2.6"], &[]),
            ],
        ),
        case(
            "a machine with version 6 alone has its address in the shortest form",
            vec![
                (
                    ACME,
                    without_id(1, json!({"host": {"ip": ["2001:DB8:0::5"]}})),
                ),
                (ACME, without_id(2, json!({"srcip": "2001:db8::5"}))),
            ],
            &[("2001:db8::5", &[], &["2001:db8::5"], &[])],
        ),
        case(
            "a machine without any address is known by the vendor's id",
            vec![
                (ACME, host("1", 1, json!({}))),
                (ACME, host("1", 2, json!({}))),
            ],
            &[("1", &["1"], &[], &[])],
        ),
        case(
            "an older record after a newer one overwrites nothing, and fills what is missing",
            vec![
                (ACME, by_address("1", 5, "new", "192.0.2.9")),
                (
                    ACME,
                    host(
                        "1",
                        2,
                        json!({"host": {"name": "old", "hostname": "filled", "ip": ["192.0.2.5"]}, "asset": {"network": "0"}}),
                    ),
                ),
            ],
            &[("new", &["1"], &["192.0.2.9"], &["192.0.2.5"])],
        ),
        case(
            "an older record takes no address from its present holder",
            vec![
                (ACME, by_address("2", 5, "b", "192.0.2.5")),
                (ACME, by_address("1", 2, "a", "192.0.2.5")),
            ],
            &[
                ("a", &["1"], &[], &["192.0.2.5"]),
                ("b", &["2"], &["192.0.2.5"], &[]),
            ],
        ),
        case(
            "a host id is the vendor's within one connector, and a MAC address is everybody's",
            vec![
                (
                    ACME,
                    host(
                        "1",
                        1,
                        json!({"host": {"name": "a", "mac": ["00:00:5e:00:53:01"]}}),
                    ),
                ),
                (
                    ACME_TOO,
                    host(
                        "1",
                        2,
                        json!({"host": {"name": "b", "mac": ["00-00-5E-00-53-02"]}}),
                    ),
                ),
                (
                    ACME_TOO,
                    host(
                        "9",
                        3,
                        json!({"host": {"name": "c", "mac": ["0000.5e00.5301"]}}),
                    ),
                ),
            ],
            &[("b", &["1"], &[], &[]), ("c", &["1", "9"], &[], &[])],
        ),
        case(
            "machines with different instances of a cloud share a MAC address and nothing else",
            vec![
                (
                    ACME,
                    host(
                        "1",
                        1,
                        json!({"host": {"name": "a", "mac": ["00-00-5E-00-53-01"]}, "cloud": {"instance": {"id": "i-1"}}}),
                    ),
                ),
                (
                    ACME_TOO,
                    host(
                        "2",
                        2,
                        json!({"host": {"name": "b", "mac": ["00-00-5E-00-53-01"]}, "cloud": {"instance": {"id": "i-2"}}}),
                    ),
                ),
                (
                    ACME_TOO,
                    host(
                        "3",
                        3,
                        json!({"host": {"name": "c"}, "cloud": {"instance": {"id": "i-1"}}}),
                    ),
                ),
            ],
            &[("b", &["2"], &[], &[]), ("c", &["1", "3"], &[], &[])],
        ),
        case(
            "nothing is shared by tenants",
            vec![
                (ACME, by_agent("1", 1, "a", "192.0.2.5", "x")),
                (OTHER, by_agent("1", 2, "b", "192.0.2.5", "x")),
            ],
            &[
                ("a", &["1"], &["192.0.2.5"], &[]),
                ("b", &["1"], &["192.0.2.5"], &[]),
            ],
        ),
        case(
            "what says nothing to recognise it by makes no asset",
            vec![(ACME, without_id(1, json!({"host": {"name": "a"}})))],
            &[],
        ),
    ]
}

#[test]
fn machines_are_told_apart_by_the_strongest_that_they_have() {
    for case in cases() {
        // Whether the records come in one block or in many.
        for is_split in [false, true] {
            let bench = Bench::new();
            match is_split {
                true => case.records.iter().for_each(|(connector, record)| {
                    bench.hosts(*connector, std::slice::from_ref(record));
                }),
                false => {
                    let same = |a: &(usize, Value), b: &(usize, Value)| a.0 == b.0;
                    for records in case.records.chunk_by(same) {
                        let of = |(_, record): &(usize, Value)| record.clone();
                        bench.hosts(records[0].0, &records.iter().map(of).collect::<Vec<_>>());
                    }
                }
            }
            let found = bench.assets();
            let found: Vec<_> = found
                .iter()
                .map(|asset| {
                    let history = asset.iphistory.iter().map(|former| former.ip.clone());
                    (
                        asset.name.clone(),
                        asset.vendor_ids.clone(),
                        asset.ip.clone(),
                        history.collect::<Vec<_>>(),
                    )
                })
                .collect();
            let owned = |texts: &[&str]| {
                texts
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>()
            };
            let expected: Vec<_> = case
                .expected
                .iter()
                .map(|(name, ids, ips, history)| {
                    ((*name).to_owned(), owned(ids), owned(ips), owned(history))
                })
                .collect();
            assert_eq!(found, expected, "{} (split: {is_split})", case.name);
        }
    }
}

#[test]
fn a_merge_keeps_the_id_of_the_older_asset_and_the_other_finds_it() {
    let bench = Bench::new();
    bench.hosts(ACME, &[by_agent("1", 4, "younger", "10.0.0.5", "x")]);
    bench.hosts(ACME, &[by_address("2", 1, "older", "192.0.2.5")]);
    let before = bench.assets();
    let id = |name: &str| {
        before
            .iter()
            .find(|asset| asset.name == name)
            .unwrap()
            .id
            .clone()
    };
    let (younger, older) = (id("younger"), id("older"));

    bench.hosts(
        ACME,
        &[host(
            "2",
            6,
            json!({"host": {"name": "one"}, "asset": {"id": "x"}}),
        )],
    );
    let asset = bench.only();
    assert_eq!(
        (&asset.id, &asset.aliases),
        (&older, &vec![younger.clone()])
    );
    assert_eq!((asset.first_seen, asset.last_seen), (at(1), at(6)));
    assert_eq!(asset.state, "new");
    assert_eq!(bench.shown(&younger).asset, asset);
    assert_eq!(bench.shown("ONE").asset, asset);
}

#[test]
fn an_asset_has_what_its_records_say() {
    let bench = Bench::new();
    bench.hosts(
        ACME,
        &[host("1", 1, json!({
            "srcip": "192.0.2.5",
            "host": {"name": "build-07.corp.example", "hostname": "build-07", "ip": ["192.0.2.5", "2001:db8::5"],
                "mac": ["00-00-5e-00-53-23"], "os": {"full": "Ubuntu Linux 22.04.4"}},
            "asset": {"tags": ["Servers", "Build"]},
        }))],
    );
    let asset = bench.only().to_value();
    let id = asset["id"].as_str().unwrap();
    let tenant = bench.blocks()[0].tenant_id.clone();
    assert_eq!(
        asset,
        json!({
            "id": id, "name": "build-07.corp.example", "hostname": "build-07", "ip": ["192.0.2.5", "2001:db8::5"],
            "mac": ["00-00-5E-00-53-23"], "iphistory": [], "os": "Ubuntu Linux 22.04.4", "data_sources": ["acme_scanner"],
            "msg_class": ["acme_hosts"], "state": "new", "first_seen": at(1), "last_seen": at(1), "tenantid": tenant, "tenant_name": "acme",
            "vendor_ids": ["1"], "aliases": [], "tags": ["Servers", "Build"], "cves": 0,
            "open_detections": {"critical": 0, "high": 0, "medium": 0, "low": 0, "informational": 0, "unknown": 0},
        })
    );
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 5);
}

#[test]
fn a_value_of_another_type_counts_as_missing() {
    let bench = Bench::new();
    bench.hosts(
        ACME,
        &[host(
            "1",
            1,
            json!({"host": {"ip": 7, "name": ["x"]}, "cloud": "none"}),
        )],
    );
    bench.hosts(
        ACME,
        &[host(
            "2",
            1,
            json!({"host": {"id": 2, "name": 5, "ip": "192.0.2.5"}}),
        )],
    );
    let assets = bench.assets();
    let names: Vec<_> = assets.iter().map(|asset| asset.name.as_str()).collect();
    assert_eq!(names, ["1", "5"], "what stands beside it counts");
    assert_eq!(assets[0].ip, [""; 0]);
    assert_eq!(assets[1].ip, ["192.0.2.5"]);
}

#[test]
fn assets_are_filtered_and_sorted_by_any_column() {
    let bench = Bench::new();
    bench.hosts(
        ACME,
        &[
            host("1", 1, json!({"host": {"name": "Alpha", "ip": ["192.0.2.10"], "os": {"full": "Linux"}}, "asset": {"tags": ["a"]}})),
            host("2", 2, json!({"host": {"name": "beta", "ip": ["192.0.2.9"], "mac": ["00-00-5E-00-53-01"]}})),
        ],
    );
    bench.hosts(
        OTHER,
        &[host(
            "3",
            3,
            json!({"host": {"name": "gamma", "ip": ["2001:db8::1"]}}),
        )],
    );
    bench.findings(
        &[
            finding("1", "f", 4, json!({"host": {"name": "Alpha"}, "vulnerability": {"severity": "critical", "qds": 95, "cve": ["CVE-2026-0001"]}})),
            finding("2", "g", 4, json!({"host": {"name": "beta"}, "vulnerability": {"severity": "low"}})),
        ],
        &[],
    );
    bench.take_up();
    let names = |conditions: &[(&str, &str)], sort: Option<&str>| -> Vec<String> {
        bench
            .listed(conditions, sort)
            .into_iter()
            .map(|asset| asset.name)
            .collect()
    };
    for (column, value, expected) in [
        ("name", "ALPH", &["Alpha"][..]),
        ("ip", "192.0.2.", &["Alpha", "beta"]),
        ("mac", "00-00-5e-00-53-01", &["beta"]),
        ("os", "linux", &["Alpha"]),
        ("tags", "a", &["Alpha"]),
        ("tenant_name", "other", &["gamma"]),
        ("data_sources", "acme", &["Alpha", "beta", "gamma"]),
        ("msg_class", "acme_hosts", &["Alpha", "beta", "gamma"]),
        ("msg_class", "acme_findings", &["Alpha", "beta"]),
        ("vendor_ids", "3", &["gamma"]),
        ("state", "new", &["Alpha", "beta", "gamma"]),
        ("severity", "critical", &["Alpha"]),
        ("vulnerability", "cve-2026-0001", &["Alpha"]),
        ("vulnerability", "9001", &["Alpha", "beta"]),
        ("open", "1", &["Alpha", "beta"]),
        ("open", "<1", &["gamma"]),
        ("worst_qds", ">= 90", &["Alpha"]),
        ("first_seen", "<=2026-03-01T00:01:00Z", &["Alpha"]),
        ("last_seen", "2026-03-01T00:03:00Z", &["gamma"]),
    ] {
        assert_eq!(
            names(&[(column, value)], None),
            expected,
            "{column} {value}"
        );
    }
    assert_eq!(
        names(&[("ip", "192"), ("open", "1"), ("cves", "0")], None),
        ["beta"]
    );
    assert_eq!(names(&[], Some("ip")), ["beta", "Alpha", "gamma"]);
    assert_eq!(names(&[], Some("-ip")), ["gamma", "Alpha", "beta"]);
    // Where there is nothing to sort by comes last, either way.
    assert_eq!(names(&[], Some("-worst_qds")), ["Alpha", "gamma", "beta"]);
    assert_eq!(names(&[], Some("critical")), ["beta", "gamma", "Alpha"]);
    for column in Column::sortable() {
        assert_eq!(names(&[], Some(column)).len(), 3, "{column}");
    }
    let refused = Column::named("colour").unwrap_err().to_string();
    assert!(refused.contains("worst_qds"), "{refused}");
    let filter = AssetFilter {
        conditions: vec![(Column::named("open").unwrap(), ">many".into())],
        tenant: None,
    };
    let page = AssetPage {
        sort: None,
        downwards: false,
        offset: 0,
        limit: 1,
    };
    let refused = bench
        .store()
        .list(&Scope::default(), &filter, page)
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "open: \"many\" is no number, like 5, >=5 or <10"
    );
}

#[test]
fn a_tenant_sees_its_own_and_nothing_else() {
    let bench = Bench::new();
    bench.hosts(ACME, &[by_address("1", 1, "shared name", "192.0.2.5")]);
    bench.hosts(OTHER, &[by_address("1", 1, "shared name", "192.0.2.5")]);
    let assets = bench.assets();
    let scope = Scope {
        tenant: Some(assets[0].tenantid.clone()),
    };
    let store = bench.store();
    let page = AssetPage {
        sort: None,
        downwards: false,
        offset: 0,
        limit: 10,
    };
    let found = store.list(&scope, &AssetFilter::default(), page).unwrap();
    assert_eq!((found.total, &found.assets[..]), (1, &assets[..1]));
    let documents: Vec<_> = store
        .documents(&scope)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(documents, [(assets[0].id.clone(), 1, assets[0].to_value())]);
    assert!(matches!(
        store.show(&scope, &assets[1].id).unwrap(),
        Shown::None
    ));
    assert!(
        matches!(store.show(&scope, "shared name").unwrap(), Shown::One(found) if found.asset == assets[0])
    );
    let both = store.show(&Scope::default(), "shared name").unwrap();
    assert!(
        matches!(both, Shown::Several(ids) if ids == [assets[0].id.clone(), assets[1].id.clone()])
    );
}
