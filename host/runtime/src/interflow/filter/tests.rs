use super::*;

fn record() -> Value {
    json!({
        "stellar_uuid": "u1772440877000", "msg_class": "acme_findings", "timestamp": 1,
        "host": {"id": "7", "ip": ["192.0.2.1", "192.0.2.2"]},
        "vulnerability": {"id": "9", "status": "Fixed", "severity": "high", "qds": 78, "cve": ["CVE-2026-0001"], "none": null},
        "acme": {"TAGS": [{"NAME": "lab"}, {"NAME": "test"}], "PORT": "443", "SSL": true},
    })
}

fn holds(field: &str, operator: &str, values: &Value) -> bool {
    let condition: Condition =
        serde_json::from_value(json!({"field": field, "operator": operator, "values": values}))
            .unwrap();
    let filter = Filter::new("f", 1, vec![condition]).unwrap();
    filter.matches(&record())
}

#[test]
fn each_operator_means_what_it_says() {
    for (field, operator, values, expected) in [
        ("vulnerability.status", "is", json!(["Fixed"]), true),
        ("vulnerability.status", "is", json!(["fixed"]), false),
        ("vulnerability.status", "is_not", json!(["Fixed"]), false),
        ("vulnerability.nothing", "is_not", json!(["Fixed"]), true),
        ("vulnerability.qds", "is", json!(["78"]), true),
        ("acme.PORT", "is", json!([443]), true),
        ("acme.SSL", "is", json!([true]), true),
        ("vulnerability.status", "contains", json!(["ixe"]), true),
        (
            "vulnerability.status",
            "not_contains",
            json!(["ixe"]),
            false,
        ),
        ("vulnerability.qds", "contains", json!(["7"]), false),
        ("vulnerability", "exists", json!([]), true),
        ("vulnerability.none", "exists", json!([]), false),
        ("vulnerability.none", "not_exists", json!([]), true),
        ("vulnerability.severity", "in", json!(["low", "high"]), true),
        ("vulnerability.severity", "in", json!(["low"]), false),
        ("vulnerability.qds", "greater_than", json!([77.5]), true),
        ("vulnerability.qds", "greater_than", json!([78]), false),
        ("acme.PORT", "less_than", json!(["1024"]), true),
        ("vulnerability.status", "less_than", json!([5]), false),
        ("host.id.deeper", "exists", json!([]), false),
    ] {
        assert_eq!(
            holds(field, operator, &values),
            expected,
            "{field} {operator} {values}"
        );
    }
}

#[test]
fn any_element_of_an_array_counts_wherever_it_lies() {
    assert!(holds("host.ip", "is", &json!(["192.0.2.2"])));
    assert!(holds("acme.TAGS.NAME", "is", &json!(["test"])));
    assert!(holds("acme.TAGS.NAME", "contains", &json!(["la"])));
    // Not: "some element is another".
    assert!(!holds("acme.TAGS.NAME", "is_not", &json!(["lab"])));
    assert!(holds("acme.TAGS.NAME", "is_not", &json!(["prod"])));
    assert!(holds("acme.TAGS", "exists", &json!([])));
}

#[test]
fn all_conditions_must_hold() {
    let condition = |field: &str, value: &str| Condition {
        field: field.into(),
        operator: Operator::Is,
        values: vec![value.into()],
    };
    let filter = |second: &str| {
        let conditions = vec![
            condition("vulnerability.status", "Fixed"),
            condition("vulnerability.severity", second),
        ];
        Filter::new("f", 1, conditions).unwrap()
    };
    assert!(filter("high").matches(&record()));
    assert!(!filter("low").matches(&record()));
}

#[test]
fn a_filter_that_cannot_be_meant_is_refused_with_every_problem() {
    let condition = |field: &str, operator, values: &[Value]| Condition {
        field: field.into(),
        operator,
        values: values.to_vec(),
    };
    let problems = Filter::new(
        "f",
        1,
        vec![
            condition("", Operator::Is, &["x".into()]),
            condition("a..b", Operator::Is, &["x".into()]),
            condition("a", Operator::Is, &[]),
            condition("a", Operator::Exists, &["x".into()]),
            condition("a", Operator::GreaterThan, &["x".into()]),
            condition("a", Operator::In, &[json!({})]),
        ],
    )
    .unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|problem| problem.place.as_str())
        .collect();
    assert_eq!(
        places,
        [
            "conditions[0].field",
            "conditions[1].field",
            "conditions[2].values",
            "conditions[3].values",
            "conditions[4].values",
            "conditions[5].values",
        ]
    );
    assert!(Filter::new("f", 1, Vec::new()).is_err());
    let ten = vec![condition("a", Operator::Exists, &[]); MOST_CONDITIONS];
    assert!(Filter::new("f", 1, ten.clone()).is_ok());
    let eleven = [ten, vec![condition("a", Operator::Exists, &[])]].concat();
    assert!(Filter::new("f", 1, eleven).is_err());
}

#[test]
fn what_remains_of_a_dropped_record_is_what_the_assets_need() {
    assert_eq!(
        remains(&record()),
        json!({"dropped": {
            "stellar_uuid": "u1772440877000", "msg_class": "acme_findings", "timestamp": 1, "host.id": "7", "host.ip": ["192.0.2.1", "192.0.2.2"],
            "vulnerability.id": "9", "vulnerability.status": "Fixed", "vulnerability.severity": "high",
            "vulnerability.cve": ["CVE-2026-0001"], "vulnerability.qds": 78,
        }})
    );
}
