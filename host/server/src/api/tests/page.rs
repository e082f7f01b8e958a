//! The API's page opens with what this host has, and nothing else.

use super::*;

/// What stands between `before` and the next `end`, wherever it does.
fn between<'a>(text: &'a str, before: &str, end: char) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|part| part.split(end).next()).collect()
}

#[tokio::test]
async fn the_page_loads_nothing_from_outside_and_its_policy_lets_it_run() {
    let site = Site::new().await;
    let page = site.ask("nobody", "GET", "/api/docs/", None).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let policy = page.headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(policy.contains("default-src 'self'"), "{policy}");
    for outside in ["http", "*", "unsafe-eval"] {
        assert!(!policy.contains(outside), "{policy}");
    }

    let mut loaded = between(&page.text, "src=\"", '"');
    loaded.extend(between(&page.text, "href=\"", '"'));
    assert!(loaded.len() >= 4, "{}", page.text);
    for place in loaded {
        assert!(!place.contains("//"), "{place}");
        let name = place.trim_start_matches("./");
        // Pictures are no text, which is all that is read here.
        if name.ends_with(".png") {
            continue;
        }
        let path = format!("/api/docs/{name}");
        let file = site.ask("nobody", "GET", &path, None);
        assert_eq!(file.await.status, 200, "{place}");
    }
    // A script that stands in the page itself would be stopped by the policy, as default-src has no 'unsafe-inline'.
    for script in between(&page.text, "<script", '>') {
        assert!(script.contains("src="), "{script}");
    }
    for wrong in [" onload=", " onclick=", "<base"] {
        assert!(!page.text.contains(wrong), "{wrong}");
    }

    let set_up = site
        .ask("nobody", "GET", "/api/docs/swagger-initializer.js", None)
        .await;
    assert!(set_up.text.contains("/api/openapi.json"), "{}", set_up.text);
    assert!(!set_up.text.contains("https:"), "{}", set_up.text);
    // Otherwise it would ask a validator on the internet what it thinks of the document.
    assert!(
        set_up.text.contains(r#""validatorUrl": "none""#),
        "{}",
        set_up.text
    );

    let document = site.ask("nobody", "GET", "/api/openapi.json", None).await;
    assert_eq!(document.json()["openapi"], "3.1.0");
    let health = site.ask("nobody", "GET", "/healthz", None).await;
    assert_eq!(
        (health.status, health.text.as_str()),
        (StatusCode::OK, "ok\n")
    );
}
