use super::walk::operations;
use super::*;
use std::collections::BTreeSet;

/// The document as it is kept beside the code, so that a change of the API is seen where changes are looked at.
#[test]
fn the_document_is_the_one_that_is_kept() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let mut now = document().to_pretty_json().unwrap();
    now.push('\n');
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &now).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let sentence = "the API has changed: look at the difference after UPDATE_OPENAPI=1 cargo test";
    assert!(kept == now, "{sentence}");
}

#[test]
fn every_operation_has_a_name_of_its_own_a_tag_and_problems_of_one_shape() {
    let mut names = BTreeSet::new();
    for operation in operations() {
        let (id, document) = (&operation.id, &operation.document);
        assert!(names.insert(id.clone()), "{id} is there twice");
        assert_eq!(document["tags"].as_array().unwrap().len(), 1, "{id}");
        assert!(
            document["summary"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{id}"
        );
        let answers = document["responses"].as_object().unwrap();
        let refusals: Vec<_> = answers
            .iter()
            .filter(|(status, _)| status.starts_with('4'))
            .collect();
        assert!(!refusals.is_empty(), "{id}");
        for (status, refusal) in refusals {
            let content = refusal["content"].as_object().unwrap();
            let kinds: Vec<_> = content.keys().map(String::as_str).collect();
            assert_eq!(kinds, [problem::MEDIA_TYPE], "{id} {status}");
            assert_eq!(
                content[problem::MEDIA_TYPE]["schema"]["$ref"],
                "#/components/schemas/Problem",
                "{id} {status}"
            );
        }
    }
}

#[test]
fn every_list_has_pages_an_order_and_a_tenant() {
    let lists: Vec<_> = operations();
    let lists = lists
        .iter()
        .filter(|operation| operation.id.starts_with("list_"));
    let mut found = 0;
    for operation in lists {
        found += 1;
        let parameters = operation.document["parameters"].as_array().unwrap();
        for wanted in ["tenant", "q", "limit", "offset", "sort"] {
            // An alert has no name.
            if wanted == "q" && operation.id == "list_alerts" {
                continue;
            }
            let found = parameters
                .iter()
                .any(|parameter| parameter["name"] == wanted && parameter["in"] == "query");
            assert!(found, "{}: {wanted}", operation.id);
        }
    }
    assert!(found >= 11, "{found}");
    for operation in operations()
        .iter()
        .filter(|operation| operation.method == "GET")
    {
        let schema =
            &operation.document["responses"]["200"]["content"]["application/json"]["schema"];
        let is_list = schema["$ref"]
            .as_str()
            .is_some_and(|name| name.ends_with("List"));
        assert_eq!(
            is_list,
            operation.id.starts_with("list_"),
            "{}",
            operation.id
        );
    }
}
