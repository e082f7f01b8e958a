use super::walk::operations;
use super::*;

fn entries(answer: &Answered) -> (u64, Vec<Value>) {
    let document = answer.json();
    let members = document.as_object().unwrap();
    assert_eq!(members.len(), 2, "{}", answer.text);
    let list = members.values().find_map(Value::as_array).unwrap();
    (members["total"].as_u64().unwrap(), list.clone())
}

#[tokio::test]
async fn every_list_is_cut_into_pages_sorted_and_limited_to_a_tenant() {
    let site = Site::new().await;
    for operation in operations() {
        // Alerts are cut and sorted by the catalogue, and tested there.
        if !operation.id.starts_with("list_") || operation.id == "list_alerts" {
            continue;
        }
        let path = operation.path.replace("{connector}", &site.alpha.connector);
        let ask = |query: String| {
            let path = format!("{path}?{query}");
            let site = &site;
            async move { site.ask("root", "GET", &path, None).await }
        };
        let id = &operation.id;
        let (total, all) = entries(&ask(String::new()).await);
        assert!(total >= 2 && all.len() as u64 == total, "{id}: {total}");
        let (same, one) = entries(&ask("limit=1&offset=1".into()).await);
        assert_eq!((same, &one[..]), (total, &all[1..2]), "{id}");
        assert_eq!(
            entries(&ask(format!("offset={total}")).await),
            (total, vec![]),
            "{id}"
        );

        let refused = ask("sort=colour".into()).await.problem();
        assert_eq!(refused.status, 400, "{id}");
        let (_, fields) = refused.detail.split_once("sorted by ").unwrap();
        for field in fields.split(", ").filter(|field| !field.starts_with('-')) {
            let (_, upwards) = entries(&ask(format!("sort={field}")).await);
            let (_, mut downwards) = entries(&ask(format!("sort=-{field}")).await);
            downwards.reverse();
            assert_eq!(upwards.len() as u64, total, "{id} {field}");
            if !fields.contains(&format!("-{field}")) {
                assert_eq!(upwards, downwards, "{id} {field}");
            }
        }

        let by_name = ask("tenant=alpha-tenant".into()).await;
        let by_id = ask(format!("tenant={}", site.alpha.tenant_id)).await;
        assert_eq!(by_name.text, by_id.text, "{id}");
        assert!(!by_name.text.contains("beta"), "{id}: {}", by_name.text);
        let others = ask("tenant=beta-tenant".into()).await;
        assert!(!others.text.contains("alpha"), "{id}: {}", others.text);
        assert_eq!(entries(&ask("q=no-such-name".into()).await).0, 0, "{id}");

        for wrong in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "offset=-1",
            "colour=red",
            "limit=1&limit=2",
        ] {
            assert_eq!(
                ask(wrong.into()).await.problem().status,
                400,
                "{id} {wrong}"
            );
        }
    }
}

#[tokio::test]
async fn whoever_sees_one_tenant_finds_nothing_else_in_a_list_whatever_is_asked_for() {
    let site = Site::new().await;
    for operation in operations() {
        if !operation.id.starts_with("list_") {
            continue;
        }
        let path = operation.path.replace("{connector}", &site.beta.connector);
        for query in [
            "",
            "tenant=alpha-tenant",
            "q=alpha",
            "sort=name",
            "limit=1000",
        ] {
            for who in ["beta-admin", "beta-reader"] {
                let answer = site.ask(who, "GET", &format!("{path}?{query}"), None).await;
                for mark in site.alpha.marks("alpha") {
                    assert!(
                        !answer.text.contains(&mark),
                        "{}: {}",
                        operation.id,
                        answer.text
                    );
                }
            }
        }
    }
}
