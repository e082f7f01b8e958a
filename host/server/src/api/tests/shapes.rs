use super::*;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_connector_has_the_platforms_keys_and_no_secret() {
    let site = Site::new().await;
    let list = site.get("alpha-admin", "/connectors").await.json();
    assert_eq!(keys(&list), ["connectors", "total"]);
    let connector = &list["connectors"][0];
    assert_eq!(
        keys(connector),
        [
            "_id",
            "active",
            "advanced_setting",
            "category",
            "configuration",
            "content_types",
            "created_at",
            "due",
            "filter_list",
            "interval",
            "is_collect",
            "is_respond",
            "last_activity",
            "last_data_received",
            "last_run",
            "modified_at",
            "name",
            "profiles",
            "progress",
            "run_on",
            "secrets",
            "status",
            "tenant_name",
            "tenantid",
            "type",
            "version",
        ]
    );
    assert_eq!(
        keys(&connector["status"]),
        ["code", "message", "state", "status_time", "until"]
    );
    assert_eq!(
        connector["configuration"],
        json!({"url": "https://alpha.example.test"})
    );
    assert_eq!(connector["secrets"], json!(["/token"]));
    assert_eq!(connector["filter_list"], json!(["alpha-filter"]));
    assert_eq!(
        (&connector["tenantid"], &connector["_id"]),
        (&json!(site.alpha.tenant_id), &json!(site.alpha.connector))
    );
    let path = format!("/connectors/{}", site.alpha.connector);
    assert_eq!(&site.get("alpha-reader", &path).await.json(), connector);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_request_is_a_problem_of_one_shape() {
    let site = Site::new().await;
    let connectors = format!("{ROOT}/connectors");
    let one = format!("{connectors}/{}", site.alpha.connector);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(LARGEST_BODY));
    let deep = format!("{{\"conf\":{{\"a\":{}", "[".repeat(5_000));
    for (method, path, kind, body, status) in [
        ("GET", "/connect/api/v1/nothing", "", None, 404),
        ("GET", "/nothing", "", None, 404),
        ("GET", "/connect/api/v1/connectors/", "", None, 404),
        ("PUT", connectors.as_str(), "", None, 405),
        ("PATCH", "/connect/api/v1/runs", "", None, 405),
        ("POST", &connectors, "application/json", Some("{"), 400),
        (
            "POST",
            &connectors,
            "application/json",
            Some(deep.as_str()),
            400,
        ),
        (
            "POST",
            &connectors,
            "application/json",
            Some(r#""\ud800""#),
            400,
        ),
        ("POST", &connectors, "application/json", Some("{}"), 422),
        ("POST", &connectors, "application/json", Some("[]"), 422),
        ("POST", &connectors, "application/json", Some(&long), 413),
        ("POST", &connectors, "text/plain", Some("{}"), 415),
        ("POST", &connectors, "", None, 415),
        ("GET", "/connect/api/v1/connectors/%ff", "", None, 404),
        (
            "PUT",
            "/connect/api/v1/profiles/%ff/connectors/a",
            "",
            None,
            404,
        ),
        (
            "PUT",
            "/connect/api/v1/connectors/a/filters/%ff",
            "",
            None,
            404,
        ),
        (
            "PUT",
            "/connect/api/v1/connectors/%00/filters/%00",
            "",
            None,
            404,
        ),
        (
            "PATCH",
            &one,
            "application/json",
            Some(r#"{"colour": 1}"#),
            422,
        ),
        (
            "PATCH",
            &one,
            "application/json",
            Some(r#"{"conf": {}, "conf": {}}"#),
            422,
        ),
        (
            "POST",
            &format!("{one}/run"),
            "application/json",
            Some(r#"{"max_wait_seconds": 99999999999}"#),
            400,
        ),
        (
            "POST",
            &format!("{one}/run"),
            "application/json",
            Some(r#"{"max_wait_seconds": -1}"#),
            422,
        ),
    ] {
        let body = body.map(str::to_owned);
        let answer = site.send("root", method, path, kind, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        answer.problem();
    }
}

#[tokio::test]
async fn an_unknown_key_is_refused_in_every_body_and_no_value_is_cited() {
    let site = Site::new().await;
    for operation in super::walk::operations() {
        if operation.document["requestBody"].is_null() {
            continue;
        }
        let path = operation.path.replace("{connector}", &site.alpha.connector);
        let path = path.replace(['{', '}'], "");
        for body in [
            json!({"colour": "s3cret"}),
            json!({"password": 5_331_222, "conf": 5_331_222, "name": 5_331_222}),
        ] {
            let answer = site
                .ask("root", &operation.method, &path, Some(&body))
                .await;
            assert_eq!(answer.status, 422, "{}: {}", operation.id, answer.text);
            let problem = answer.problem();
            assert_eq!(problem.code, "usage", "{}", operation.id);
            for value in ["s3cret", "5331222"] {
                assert!(
                    !problem.detail.contains(value),
                    "{}: {}",
                    operation.id,
                    problem.detail
                );
            }
        }
    }
}

#[tokio::test]
async fn general_fields_do_not_change() {
    let site = Site::new().await;
    let path = format!("{ROOT}/connectors/{}", site.alpha.connector);
    for body in [
        json!({"name": "other"}),
        json!({"cust_id": "beta-tenant"}),
        json!({"run_on": "sensor"}),
    ] {
        let answer = site.ask("alpha-admin", "PATCH", &path, Some(&body)).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
    }
    let connector = site.catalogue.connector(&site.alpha.connector).unwrap();
    assert_eq!(connector.full_name(), "alpha-tenant/alpha-scanner");
}
