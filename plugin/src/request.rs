//! Requests: the parameters of each call.
//!
//! Everything is sent as a form in the body, so that filters stay out of proxies' logs and no list makes an address too long.

use crate::environment::Request;
use crate::settings::Settings;

/// A list of the vendor, and the content type that is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    /// Host List.
    Hosts,
    /// Host List VM Detection.
    Vulnerabilities,
}

impl Endpoint {
    pub(crate) fn from_content_type(id: &str) -> Option<Self> {
        match id {
            "hosts" => Some(Self::Hosts),
            "vulnerabilities" => Some(Self::Vulnerabilities),
            _ => None,
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Vulnerabilities => "vulnerabilities",
        }
    }

    /// The root element of a page.
    pub(crate) const fn root(self) -> &'static str {
        match self {
            Self::Hosts => "HOST_LIST_OUTPUT",
            Self::Vulnerabilities => "HOST_LIST_VM_DETECTION_OUTPUT",
        }
    }

    /// The list's name for a person.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Hosts => "Host List",
            Self::Vulnerabilities => "Host List VM Detection",
        }
    }
}

/// Which hosts a page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// 0: from the beginning.
    pub(crate) id_min: u64,
    /// Hosts at most.
    pub(crate) size: u64,
    /// Only hosts processed after this time.
    pub(crate) after: Option<String>,
}

/// Parameters that only Host List VM Detection has.
const DETECTIONS_ONLY: [&str; 33] = [
    "include_vuln_type",
    "severities",
    "qids",
    "filter_superseded_qids",
    "arf_service_filter",
    "arf_config_filter",
    "active_kernels_only",
    "detection_updated_since",
    "detection_updated_before",
    "max_days_since_detection_updated",
    "detection_processed_after",
    "detection_processed_before",
    "detection_last_tested_since",
    "detection_last_tested_since_days",
    "detection_last_tested_before",
    "detection_last_tested_before_days",
    "max_days_since_last_vm_scan",
    "include_search_list_titles",
    "include_search_list_ids",
    "exclude_search_list_titles",
    "exclude_search_list_ids",
    "qds_min",
    "qds_max",
    "network_name",
    "status",
    "show_results",
    "show_igs",
    "show_reopened_info",
    "include_ignored",
    "include_disabled",
    "show_qds",
    "show_qds_factors",
    "vuln_detection_source",
];

/// Parameters that only Host List has.
const HOSTS_ONLY: [&str; 12] = [
    "trurisk_min",
    "trurisk_max",
    "ars_min",
    "ars_max",
    "show_ars",
    "show_ars_factors",
    "compliance_scan_since",
    "no_compliance_scan_since",
    "scap_scan_since",
    "no_scap_scan_since",
    "os_hostname",
    "details",
];

/// Why an operator may not set a parameter; `None` when it is free.
pub(crate) fn owned(name: &str) -> Option<&'static str> {
    Some(match name {
        "action"
        | "echo_request"
        | "output_format"
        | "suppress_duplicated_data_from_csv"
        | "details" => "it decides what an answer looks like and cannot be changed.",
        "id_min" | "vm_processed_after" => "it is where a run stands and cannot be changed.",
        "truncation_limit" => "use the setting hosts_per_page.",
        "status" => {
            "all four states are asked for, so that closed findings are seen; use a log filter to drop records."
        }
        "show_results" => "use the setting results.",
        "show_igs" => "use the setting information_gathered.",
        "include_ignored" => "use the setting ignored.",
        "include_disabled" => "use the setting disabled.",
        "use_tags"
        | "tag_set_by"
        | "tag_set_include"
        | "tag_set_exclude"
        | "tag_include_selector"
        | "tag_exclude_selector" => "use the settings tag_include and tag_exclude.",
        "show_asset_id"
        | "show_tags"
        | "host_metadata"
        | "show_cloud_tags"
        | "show_trurisk"
        | "show_trurisk_factors"
        | "show_qds"
        | "show_qds_factors"
        | "show_reopened_info"
        | "vuln_detection_source"
        | "arf_kernel_filter" => {
            "it is always sent; use the setting leave_out to leave fields out of records."
        }
        _ => return None,
    })
}

fn accepts(endpoint: Endpoint, name: &str) -> bool {
    match endpoint {
        Endpoint::Hosts => !DETECTIONS_ONLY.contains(&name),
        Endpoint::Vulnerabilities => !HOSTS_ONLY.contains(&name),
    }
}

fn path(settings: &Settings, endpoint: Endpoint) -> String {
    match endpoint {
        Endpoint::Hosts => format!("/api/{}/fo/asset/host/", settings.host_list_version),
        Endpoint::Vulnerabilities => format!(
            "/api/{}/fo/asset/host/vm/detection/",
            settings.detection_version
        ),
    }
}

fn post(settings: &Settings, endpoint: Endpoint, form: Vec<(&str, String)>) -> Request {
    Request {
        post: true,
        origin: settings.origin.clone(),
        path: path(settings, endpoint),
        form: form
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

fn flag(on: bool) -> String {
    u8::from(on).to_string()
}

/// What selects hosts, besides the position.
fn filters<'s>(settings: &'s Settings, endpoint: Endpoint, form: &mut Vec<(&'s str, String)>) {
    if !settings.tag_include.is_empty() || !settings.tag_exclude.is_empty() {
        form.push(("use_tags", "1".to_owned()));
        form.push(("tag_set_by", "name".to_owned()));
        for (name, tags) in [
            ("tag_set_include", &settings.tag_include),
            ("tag_set_exclude", &settings.tag_exclude),
        ] {
            if !tags.is_empty() {
                form.push((name, tags.join(",")));
            }
        }
    }
    for (name, value) in &settings.extra_parameters {
        if accepts(endpoint, name) {
            form.push((name, value.clone()));
        }
    }
}

fn position(form: &mut Vec<(&str, String)>, page: &Page) {
    form.push(("truncation_limit", page.size.to_string()));
    if page.id_min > 0 {
        form.push(("id_min", page.id_min.to_string()));
    }
    if let Some(after) = &page.after {
        form.push(("vm_processed_after", after.clone()));
    }
}

/// One page of a walk.
pub(crate) fn page(settings: &Settings, endpoint: Endpoint, page: &Page) -> Request {
    let on = || "1".to_owned();
    let mut form = vec![("action", "list".to_owned())];
    match endpoint {
        Endpoint::Hosts => form.push(("details", "All".to_owned())),
        Endpoint::Vulnerabilities => form.extend([
            ("status", "New,Active,Re-Opened,Fixed".to_owned()),
            ("show_results", flag(settings.results)),
            ("show_igs", flag(settings.information_gathered)),
            ("show_reopened_info", on()),
            ("include_ignored", flag(settings.ignored)),
            ("include_disabled", flag(settings.disabled)),
            ("show_qds", on()),
            ("show_qds_factors", on()),
            ("arf_kernel_filter", "0".to_owned()),
        ]),
    }
    form.extend([
        ("show_asset_id", on()),
        ("show_tags", on()),
        ("host_metadata", "all".to_owned()),
        ("show_cloud_tags", on()),
    ]);
    match endpoint {
        Endpoint::Hosts => form.extend([("show_trurisk", on()), ("show_trurisk_factors", on())]),
        // Older versions do not know it and would refuse the whole call.
        Endpoint::Vulnerabilities if settings.detection_version.as_str() >= "5.0" => {
            form.push(("vuln_detection_source", on()));
        }
        Endpoint::Vulnerabilities => {}
    }
    filters(settings, endpoint, &mut form);
    position(&mut form, page);
    post(settings, endpoint, form)
}

/// The first host ID at or behind a position, without anything about the host: for stepping over a host that cannot be read.
pub(crate) fn next_id(settings: &Settings, page: &Page) -> Request {
    let mut form = vec![
        ("action", "list".to_owned()),
        ("details", "None".to_owned()),
    ];
    filters(settings, Endpoint::Hosts, &mut form);
    position(&mut form, page);
    post(settings, Endpoint::Hosts, form)
}

/// The smallest call that proves login, permission and licence.
pub(crate) fn probe(settings: &Settings, endpoint: Endpoint) -> Request {
    let mut form = vec![
        ("action", "list".to_owned()),
        ("truncation_limit", "1".to_owned()),
    ];
    if endpoint == Endpoint::Vulnerabilities {
        form.push(("show_results", "0".to_owned()));
    }
    post(settings, endpoint, form)
}

/// Who answers there.
pub(crate) fn about(settings: &Settings) -> Request {
    Request {
        post: false,
        origin: settings.origin.clone(),
        path: "/msp/about.php".to_owned(),
        form: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(extra: &serde_json::Value) -> Settings {
        let mut json = serde_json::json!({"qualys_url": "https://qualysapi.example.test", "username": "demo",
            "content_type": ["hosts"]});
        for (key, value) in extra.as_object().expect("an object") {
            json[key] = value.clone();
        }
        crate::settings::parse(&json.to_string())
            .expect("good settings")
            .0
    }

    #[test]
    fn no_parameter_is_sent_twice_and_none_that_the_list_does_not_have() {
        let settings = settings(
            &serde_json::json!({"extra_parameters": {"severities": "4-5", "trurisk_min": 500, "ips": "192.0.2.1"},
            "tag_include": ["a", "b"]}),
        );
        let at = Page {
            id_min: 7,
            size: 500,
            after: Some("2026-03-02T09:00:00Z".to_owned()),
        };
        for endpoint in [Endpoint::Hosts, Endpoint::Vulnerabilities] {
            let request = page(&settings, endpoint, &at);
            let mut names: Vec<&str> = request.form.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                names.contains(&"severities"),
                endpoint == Endpoint::Vulnerabilities
            );
            assert_eq!(names.contains(&"trurisk_min"), endpoint == Endpoint::Hosts);
            assert!(names.contains(&"ips") && request.body().contains("tag_set_include=a%2Cb"));
            assert!(request.body().starts_with("action=list&"));
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
            for (name, _) in &request.form {
                let free = ["severities", "trurisk_min", "ips"].contains(&name.as_str());
                assert_eq!(owned(name).is_none(), free, "{name}");
                assert!(accepts(endpoint, name), "{name}");
            }
        }
    }

    #[test]
    fn an_older_api_is_not_asked_for_what_it_does_not_know() {
        let body = |version: &str| {
            let settings = settings(&serde_json::json!({"detection_version": version}));
            page(
                &settings,
                Endpoint::Vulnerabilities,
                &Page {
                    id_min: 0,
                    size: 1,
                    after: None,
                },
            )
            .body()
        };
        assert!(body("5.0").contains("vuln_detection_source=1"));
        assert!(!body("4.0").contains("vuln_detection_source"));
    }

    #[test]
    fn the_form_is_encoded_and_the_headers_name_the_product() {
        let settings = settings(&serde_json::json!({"tag_include": ["Servers & Build+"]}));
        let request = page(
            &settings,
            Endpoint::Hosts,
            &Page {
                id_min: 0,
                size: 1,
                after: None,
            },
        );
        assert!(
            request
                .body()
                .contains("tag_set_include=Servers+%26+Build%2B")
        );
        let headers = request.headers();
        assert!(
            headers
                .iter()
                .any(|(name, value)| *name == "x-requested-with"
                    && value.starts_with("qualys-connector/"))
        );
        assert!(
            headers
                .iter()
                .all(|(name, _)| *name != "authorization" && *name != "accept-encoding")
        );
    }
}
