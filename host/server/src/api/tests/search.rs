//! Searches through the front door.

use super::*;

async fn search(site: &Site, who: &str, index: &str, parameters: &[(&str, &str)]) -> Answered {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let path = format!("{}/{index}/_search?{}", data::ROOT, query.finish());
    site.ask(who, "GET", &path, None).await
}

/// How many hits there are, and the host names of those that are shown.
fn found(answer: &Answered) -> (u64, Vec<String>) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let hits = answer["hits"]["hits"].as_array().unwrap().iter();
    let name = |hit: &Value| {
        let source = &hit["_source"];
        let name = source["host"]["name"].as_str();
        name.or_else(|| source["name"].as_str()).unwrap().to_owned()
    };
    let total = &answer["hits"]["total"];
    assert_eq!(total["relation"], "eq");
    (total["value"].as_u64().unwrap(), hits.map(name).collect())
}

#[tokio::test]
async fn an_answer_has_elasticsearchs_shape() {
    let site = Site::new().await;
    let answer = search(
        &site,
        "alpha-reader",
        "syslog",
        &[
            ("q", "host.name:alpha-host AND msg_class:acme_assets"),
            ("sort", "timestamp:desc"),
            ("histogram", "auto"),
            ("top", "host.name,host.ip:3"),
        ],
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert!(answer["took"].is_u64());
    assert_eq!(answer["timed_out"], false);
    assert_eq!(answer["hits"]["max_score"], Value::Null);
    let hit = &answer["hits"]["hits"][0];
    assert_eq!(hit["_index"], "syslog");
    let uuid = hit["_source"]["stellar_uuid"].as_str().unwrap();
    assert_eq!(hit["_id"], uuid[..36]);
    assert_eq!(hit["_score"], Value::Null);
    assert_eq!(hit["sort"][0], 1_772_440_877_000_u64);
    let counted = &answer["aggregations"];
    assert_eq!(
        counted["histogram"]["buckets"],
        json!([{"key": 1_772_440_877_000_u64, "key_as_string": "2026-03-02T08:41:17.000Z", "doc_count": 1}])
    );
    assert_eq!(
        counted["top_host.ip"],
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [{"key": "192.0.2.1", "doc_count": 1}]})
    );
}

#[tokio::test]
async fn a_tenant_finds_its_own_records_whatever_it_asks_for() {
    let site = Site::new().await;
    for (index, names) in [
        ("syslog", ["alpha-host", "beta-host"]),
        ("assets", ["alpha-host", "beta-host"]),
    ] {
        let (total, mut all) = found(&search(&site, "root", index, &[]).await);
        all.sort();
        assert_eq!(
            (total, all),
            (2, names.map(str::to_owned).into()),
            "{index}"
        );
        for who in ["beta-admin", "beta-reader"] {
            for q in [
                "",
                "*:*",
                "tenantid:* OR host.name:*",
                "NOT missing:1",
                &format!("tenantid:{}", site.alpha.tenant_id),
                ") OR (host.name:*",
            ] {
                let answer = search(&site, who, index, &[("q", q), ("top", "tenantid")]).await;
                assert!(!answer.text.contains("alpha"), "{q}: {}", answer.text);
                if q.starts_with(')') {
                    assert_eq!(answer.status, 400);
                    continue;
                }
                let own = u64::from(!q.contains(&site.alpha.tenant_id));
                assert_eq!(found(&answer).0, own, "{who} {index} {q}");
            }
            let foreign = search(&site, who, index, &[("tenant", "alpha-tenant")]).await;
            let missing = search(&site, who, index, &[("tenant", "no-tenant")]).await;
            assert_eq!(
                (foreign.status.as_u16(), missing.status.as_u16()),
                (404, 404)
            );
            assert_eq!(foreign.text.replace("alpha", "no"), missing.text);
        }
        for reference in ["beta-tenant", &site.beta.tenant_id] {
            let answer = search(&site, "all-reader", index, &[("tenant", reference)]).await;
            assert_eq!(found(&answer), (1, vec!["beta-host".into()]));
        }
    }
    let scans = search(&site, "root", "scans", &[]).await;
    assert_eq!(found(&scans).0, 0);
}

#[tokio::test]
async fn every_mistake_is_named_with_its_place_and_nothing_is_guessed() {
    let site = Site::new().await;
    let answer = search(&site, "root", "syslog", &[("q", "a:1 AND (b:2")]).await;
    assert_eq!(answer.status, 400);
    let problem = answer.problem();
    assert!(
        problem.detail.contains("q: column 9: "),
        "{}",
        problem.detail
    );

    let answer = search(
        &site,
        "root",
        "syslog",
        &[
            ("q", "a:"),
            ("size", "many"),
            ("sort", "a:up"),
            ("time_field", "arrival"),
            ("time_from", "yesterday"),
            ("histogram", "1x"),
            ("top", "a:0"),
            ("default_operator", "XOR"),
            ("search_after", "[1,2]"),
        ],
    )
    .await;
    assert_eq!(answer.status, 400);
    let mut keys: Vec<_> = answer
        .problem()
        .errors
        .into_iter()
        .map(|error| error.key.unwrap())
        .collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "default_operator",
            "histogram",
            "q",
            "search_after",
            "size",
            "sort",
            "time_field",
            "time_from",
            "top",
        ]
    );

    for (parameters, part) in [
        (&[("colour", "red")][..], "no such parameter"),
        (&[("q", "a"), ("q", "b")], "more than once"),
        (&[("from", "9999"), ("size", "2")], "search_after"),
        (&[("size", "10001")], "10000 at most"),
        (
            &[("time_from", "2026-03-02"), ("time_to", "2026-03-01")],
            "does not lie behind",
        ),
    ] {
        let answer = search(&site, "root", "syslog", parameters).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        let detail = answer.problem().detail;
        assert!(detail.contains(part), "{detail}");
    }
    let answer = search(&site, "root", "nothing", &[]).await;
    assert_eq!(answer.status, 404);
    assert!(answer.problem().detail.contains("syslog, scans or assets"));
}

#[tokio::test]
async fn a_time_range_is_on_the_axis_that_was_asked_for() {
    let site = Site::new().await;
    // Kept half a second after it happened.
    for (axis, from, total) in [
        ("write_time", "2026-03-02T08:41:17.500Z", 2),
        ("write_time", "2026-03-02T08:41:17.501Z", 0),
        ("timestamp", "2026-03-02T08:41:17.500Z", 0),
        ("timestamp", "1772440877000", 2),
        ("timestamp", "2026-03-02", 2),
    ] {
        let parameters = [("time_field", axis), ("time_from", from)];
        let answer = search(&site, "root", "syslog", &parameters).await;
        assert_eq!(found(&answer).0, total, "{axis} {from}");
        let parameters = [("time_field", axis), ("time_to", from)];
        let answer = search(&site, "root", "syslog", &parameters).await;
        assert_eq!(found(&answer).0, 2 - total, "{axis} {from}");
    }
}

#[tokio::test]
async fn pages_go_on_behind_the_last_hit() {
    let site = Site::new().await;
    let mut parameters = vec![("size", "1"), ("sort", "host.name:asc")];
    let first = search(&site, "root", "syslog", &parameters).await;
    assert_eq!(found(&first), (2, vec!["alpha-host".into()]));
    let sort = first.json()["hits"]["hits"][0]["sort"].to_string();
    parameters.push(("search_after", &sort));
    let second = search(&site, "root", "syslog", &parameters).await;
    assert_eq!(found(&second), (2, vec!["beta-host".into()]));
}

#[tokio::test]
async fn a_host_without_an_index_says_what_to_do() {
    let answer = crate::search::searcher::Searcher::default().search(
        &crate::search::parameters::Parameters::default()
            .check(Index::Scans, crate::search::request::Scope::default(), 0)
            .unwrap(),
        0,
    );
    let problem = Problem::from(answer.unwrap_err());
    assert_eq!(
        (problem.status, problem.code.as_str()),
        (409, "unavailable")
    );
    assert!(
        problem.detail.contains("search.enabled"),
        "{}",
        problem.detail
    );
}
