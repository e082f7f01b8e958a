//! Each operation of the document, asked for by everybody, about things of everybody.

use super::*;
use crate::access::Right;

/// What an operation needs. One that is not here fails the walk: whoever adds it decides.
const NEEDS: &[(&str, Right)] = &[
    ("accept_plugin", Right::Administer),
    ("activate_connector", Right::Change),
    ("add_device", Right::Administer),
    ("add_profile", Right::Administer),
    ("add_tenant", Right::Administer),
    ("add_to_profile", Right::Administer),
    ("add_token", Right::Change),
    ("add_user", Right::Administer),
    ("attach_filter", Right::Change),
    ("change_connector", Right::Change),
    ("change_filter", Right::Change),
    ("create_connector", Right::Change),
    ("create_filter", Right::Change),
    ("deactivate_connector", Right::Change),
    ("delete_connector", Right::Change),
    ("delete_device", Right::Administer),
    ("delete_filter", Right::Change),
    ("delete_profile", Right::Administer),
    ("delete_tenant", Right::Administer),
    ("delete_token", Right::Change),
    ("delete_user", Right::Administer),
    ("detach_filter", Right::Change),
    ("edit_user", Right::Administer),
    ("list_alerts", Right::Read),
    ("list_assets", Right::Read),
    ("list_connector_events", Right::Read),
    ("list_connector_runs", Right::Read),
    ("list_connectors", Right::Read),
    ("list_consumers", Right::Read),
    ("list_devices", Right::Read),
    ("list_filters", Right::Read),
    ("list_plugins", Right::Read),
    ("list_profiles", Right::Read),
    ("list_runs", Right::Read),
    ("list_tenants", Right::Read),
    ("list_tokens", Right::Change),
    ("list_users", Right::Change),
    // Oneself.
    ("log_out", Right::Read),
    ("recollect_connector", Right::Change),
    ("reload_plugins", Right::Administer),
    ("remove_from_profile", Right::Administer),
    ("rename_tenant", Right::Administer),
    ("rotate_secrets", Right::Administer),
    ("run_connector", Right::Change),
    ("search_data", Right::Read),
    ("set_password", Right::Administer),
    ("show_asset", Right::Read),
    ("show_connector", Right::Read),
    ("show_filter", Right::Read),
    ("show_plugin", Right::Read),
    ("show_run", Right::Read),
    ("show_status", Right::Read),
    ("show_token", Right::Change),
    ("show_user", Right::Change),
    ("stop_connector", Right::Change),
    ("test_connector", Right::Change),
    ("test_unsaved_connector", Right::Change),
    // It looks at records that are kept, and changes nothing.
    ("try_filter", Right::Read),
    ("who_am_i", Right::Read),
];
/// The one that is for nobody yet.
const OPEN: &str = "log_in";

/// An operation as the document has it.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) document: Value,
}

pub(super) fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                document: operation.clone(),
            });
        }
    }
    operations
}

impl Operation {
    fn needs(&self) -> Right {
        let found = NEEDS.iter().find(|(id, _)| *id == self.id);
        let sentence = "which right does it need? Put it into NEEDS";
        found.unwrap_or_else(|| panic!("{}: {sentence}", self.id)).1
    }

    /// The path for these things.
    fn path_of(&self, things: &Things) -> String {
        let mut path = self.path.clone();
        for (parameter, value) in [
            ("{connector}", things.connector.as_str()),
            ("{run}", &things.run),
            ("{filter}", &things.filter),
            ("{tenant}", &things.tenant),
            ("/users/{name}", &format!("/users/{}", things.user)),
            ("/tokens/{id}", &format!("/tokens/{}", things.token)),
            ("{profile}", "shared"),
            ("{device}", "sensor"),
            ("{plugin}", "acme-scanner"),
            ("{index}", "syslog"),
            ("{asset}", &things.asset),
        ] {
            path = path.replace(parameter, value);
        }
        assert!(
            !path.contains('{'),
            "{path}: what is put there for a tenant?"
        );
        path
    }

    /// A body that the document allows, about these things.
    fn body_of(&self, things: &Things) -> Option<Value> {
        let schema = &self.document["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            return None;
        }
        let document = serde_json::to_value(document()).unwrap();
        let mut body = sample(&document, schema, things);
        match self.id.as_str() {
            "rename_tenant" => body["name"] = json!(things.tenant),
            // Without one it is for all tenants, which is root's.
            "create_filter" => body["tenant"] = json!(things.tenant),
            _ => {}
        }
        Some(body)
    }

    /// Whether it is about a thing that a tenant has.
    fn names_a_thing(&self) -> bool {
        self.path_of(&Things::missing()) != self.path_of(&named())
            || self.body_of(&Things::missing()) != self.body_of(&named())
    }

    async fn ask(&self, site: &Site, who: &str, things: &Things) -> Answered {
        let (path, body) = (self.path_of(things), self.body_of(things));
        let answer = site.ask(who, &self.method, &path, body.as_ref()).await;
        let said = format!(
            "{who}: {} {path}: {} {}",
            self.id, answer.status, answer.text
        );
        assert!(!answer.status.is_server_error(), "{said}");
        assert!(!answer.text.contains("-secret"), "{said}");
        assert!(!answer.text.contains(PASSWORD), "{said}");
        for token in site.tokens.values() {
            assert!(!answer.text.contains(token), "{said}");
        }
        if !answer.status.is_success() {
            answer.problem();
        }
        answer
    }
}

/// Other names than those of [`Things::missing`], and as little there.
fn named() -> Things {
    let other = |text: &str| format!("x{text}");
    let missing = Things::missing();
    Things {
        tenant: other(&missing.tenant),
        tenant_id: other(&missing.tenant_id),
        connector: other(&missing.connector),
        run: other(&missing.run),
        filter: other(&missing.filter),
        user: other(&missing.user),
        token: other(&missing.token),
        asset: other(&missing.asset),
    }
}

fn sample(document: &Value, schema: &Value, things: &Things) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(&reference[1..]).unwrap();
        return sample(document, schema, things);
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array();
            let required = required.into_iter().flatten().filter_map(Value::as_str);
            let member = |name: &str| {
                let value = match name {
                    "cust_id" => json!(things.tenant),
                    "connector" => json!(things.connector),
                    "role" => json!("read-only"),
                    "password" => json!(PASSWORD),
                    name => sample(document, &schema["properties"][name], things),
                };
                (name.to_owned(), value)
            };
            Value::Object(required.map(member).collect())
        }
        Some("array") => json!([]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(false),
        _ => json!("made"),
    }
}

/// The text without what was asked for, whoever has it.
fn without_names(text: &str, things: &Things) -> String {
    let mut text = text.to_owned();
    for name in [
        &things.connector,
        &things.run,
        &things.filter,
        &things.tenant,
        &things.user,
        &things.token,
        &things.asset,
    ] {
        text = text.replace(name.as_str(), "*");
    }
    text
}

/// What root sees of everything.
async fn everything(site: &Site) -> Vec<String> {
    let mut seen = Vec::new();
    for operation in operations() {
        // What tells how long it took is another time another.
        let changes = ["show_status", "search_data"].contains(&operation.id.as_str());
        if operation.method == "GET" && !changes {
            for things in [&site.alpha, &site.beta] {
                seen.push(operation.ask(site, "root", things).await.text);
            }
        }
    }
    seen
}

#[tokio::test]
async fn nobody_is_answered_without_credentials_whatever_is_asked() {
    let site = Site::new().await;
    for operation in operations().iter().filter(|operation| operation.id != OPEN) {
        for things in [&site.alpha, &Things::missing()] {
            let answer = operation.ask(&site, "nobody", things).await;
            assert_eq!(answer.status, 401, "{}", operation.id);
            assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        }
    }
    let paths = ["/connect/api/v1/nothing", "/nothing", "/connect/api/v1"];
    for (method, path) in paths.map(|path| ("GET", path)).into_iter().chain([
        ("PUT", "/connect/api/v1/connectors"),
        ("TRACE", "/connect/api/v1/connectors"),
    ]) {
        let answer = site.ask("nobody", method, path, None).await;
        assert_eq!(answer.status, 401, "{method} {path}");
        answer.problem();
    }
}

#[tokio::test]
async fn what_belongs_to_others_is_answered_like_what_is_not_there_and_nothing_changes() {
    let site = Site::new().await;
    for who in site.tokens.keys() {
        site.get(who, "/session").await;
    }
    let before = everything(&site).await;
    let marks = site.alpha.marks("alpha");
    for operation in operations().iter().filter(|operation| operation.id != OPEN) {
        let needs = operation.needs();
        if !operation.names_a_thing() {
            continue;
        }
        for (who, role) in [
            ("beta-admin", Role::TenantAdmin),
            ("beta-reader", Role::ReadOnly),
        ] {
            let foreign = operation.ask(&site, who, &site.alpha).await;
            let missing = operation.ask(&site, who, &Things::missing()).await;
            let said = format!("{who}: {}: {}", operation.id, foreign.text);
            if role.has(needs) {
                assert_eq!(foreign.status, 404, "{said}");
            }
            assert!([403, 404].contains(&foreign.status.as_u16()), "{said}");
            assert_eq!(foreign.status, missing.status, "{said}");
            let foreign = without_names(&foreign.text, &site.alpha);
            assert_eq!(foreign, without_names(&missing.text, &Things::missing()));
            for mark in &marks {
                assert!(!foreign.contains(mark.as_str()), "{said}");
            }
        }
    }
    assert_eq!(before, everything(&site).await);
}

#[tokio::test]
async fn a_role_without_the_right_is_refused_about_its_own_things_and_nothing_changes() {
    let site = Site::new().await;
    for who in site.tokens.keys() {
        site.get(who, "/session").await;
    }
    let before = everything(&site).await;
    for operation in operations().iter().filter(|operation| operation.id != OPEN) {
        let needs = operation.needs();
        let is_look = ["GET", "HEAD"].contains(&operation.method.as_str());
        let looks = ["log_out", "try_filter"].contains(&operation.id.as_str());
        assert!(is_look || looks || needs != Right::Read, "{}", operation.id);
        for (who, role) in [
            ("alpha-admin", Role::TenantAdmin),
            ("alpha-reader", Role::ReadOnly),
            ("all-reader", Role::ReadOnly),
        ] {
            if role.has(needs) {
                continue;
            }
            let answer = operation.ask(&site, who, &site.alpha).await;
            // Other users are not even there for somebody who only looks.
            let hidden = operation.path.contains("/users/{name}") && role == Role::ReadOnly;
            let expected = if hidden { 404 } else { 403 };
            let said = format!("{who}: {}: {}", operation.id, answer.text);
            assert_eq!(answer.status, expected, "{said}");
            assert!(
                hidden || answer.problem().detail.contains("administrator"),
                "{said}"
            );
        }
    }
    assert_eq!(before, everything(&site).await);
}

#[tokio::test]
async fn whoever_has_the_right_is_let_through_and_sees_nothing_of_others() {
    for (who, role) in [
        ("alpha-reader", Role::ReadOnly),
        ("alpha-admin", Role::TenantAdmin),
        ("root", Role::Root),
    ] {
        let site = Site::new().await;
        let marks = site.beta.marks("beta");
        let mut operations = operations();
        // Things go last, and what hangs on them before them.
        operations.sort_by_key(|operation| {
            let rank = ["GET", "POST", "PUT", "PATCH", "DELETE"];
            let rank = rank.iter().position(|method| *method == operation.method);
            (rank, std::cmp::Reverse(operation.path.len()))
        });
        for operation in operations.iter().filter(|operation| operation.id != OPEN) {
            if !role.has(operation.needs()) {
                continue;
            }
            let answer = operation.ask(&site, who, &site.alpha).await;
            let said = format!("{who}: {}: {} {}", operation.id, answer.status, answer.text);
            let expected = match operation.path.contains("{plugin}") {
                // There is none.
                true => true,
                false => ![401, 403, 404, 405].contains(&answer.status.as_u16()),
            };
            assert!(expected, "{said}");
            if who != "root" {
                for mark in &marks {
                    assert!(!answer.text.contains(mark.as_str()), "{said}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_name_in_a_body_tells_nothing_of_other_tenants() {
    let site = Site::new().await;
    let new = |filter: &str| json!({"cust_id": "beta-tenant", "name": "made", "type": "acme-scanner", "conf": {}, "filter_list": [filter]});
    let path = format!("{ROOT}/connectors");
    let foreign = site
        .ask("beta-admin", "POST", &path, Some(&new("alpha-filter")))
        .await;
    let missing = site
        .ask("beta-admin", "POST", &path, Some(&new("missing")))
        .await;
    assert_eq!(
        (foreign.status, missing.status),
        (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND)
    );
    assert_eq!(
        foreign.text.replace("alpha-filter", "missing"),
        missing.text
    );

    // A bare name, or the first digits of a run's id, would be good or not depending on what others have.
    for path in [
        "/connectors/beta-scanner".to_owned(),
        format!("/runs/{}", &site.beta.run[..31]),
    ] {
        assert_eq!(site.get("beta-admin", &path).await.status, 404, "{path}");
    }
    let path = "/connectors/beta-tenant%2Fbeta-scanner";
    assert_eq!(site.get("beta-admin", path).await.status, 200);
    let path = format!("/runs/{}", &site.beta.run[..31]);
    assert_eq!(site.get("all-reader", &path).await.status, 200);
}
