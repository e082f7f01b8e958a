//! Settings: what an operator typed, checked once and carried on as types.
//!
//! All mistakes are found at once, each with the JSON pointer of its setting. The name of the connector and its password are the surrounding
//! host's to check; the password never comes here.

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use crate::address;
use crate::object::Selection;
use crate::request::Endpoint;

/// Smallest and largest limit for one text.
pub(crate) const RESULTS_LIMIT: std::ops::RangeInclusive<u64> = 1024..=1_048_576;
/// Hosts a page can have, by the vendor's rules.
pub(crate) const PAGE: std::ops::RangeInclusive<u64> = 1..=1_000_000;

/// A remark about one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// JSON pointer of the setting.
    pub pointer: String,
    /// What is wrong with it, and what to do.
    pub message: String,
}

/// Checked settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) origin: String,
    pub(crate) content_types: Vec<Endpoint>,
    pub(crate) host_list_version: String,
    pub(crate) detection_version: String,
    pub(crate) hosts_per_page: u64,
    pub(crate) lookback_days: u64,
    pub(crate) overlap_minutes: u64,
    pub(crate) information_gathered: bool,
    pub(crate) ignored: bool,
    pub(crate) disabled: bool,
    pub(crate) results: bool,
    pub(crate) tag_include: Vec<String>,
    pub(crate) tag_exclude: Vec<String>,
    pub(crate) extra_parameters: Vec<(String, String)>,
    pub(crate) selection: Selection,
    /// Of everything that selects or shapes data.
    pub(crate) fingerprint: String,
}

const KEYS: [&str; 19] = [
    "qualys_url",
    "username",
    "password",
    "interval",
    "content_type",
    "host_list_version",
    "detection_version",
    "hosts_per_page",
    "lookback_days",
    "overlap_minutes",
    "information_gathered",
    "ignored",
    "disabled",
    "results",
    "results_limit",
    "leave_out",
    "tag_include",
    "tag_exclude",
    "extra_parameters",
];

/// Reads the settings one by one and gathers what is wrong with them.
pub(crate) struct Reader<'a> {
    map: &'a Map<String, Value>,
    pub(crate) problems: Vec<Remark>,
    pub(crate) warnings: Vec<Remark>,
}

pub(crate) fn remark(key: &str, message: impl Into<String>) -> Remark {
    Remark {
        pointer: format!("/{key}"),
        message: message.into(),
    }
}

impl Reader<'_> {
    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(remark(key, message));
    }

    /// The value, unless it is absent or null.
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, key: &str) -> String {
        match self.get(key) {
            None => {
                self.problem(key, format!("{key} is missing; it is required."));
                String::new()
            }
            Some(Value::String(text)) => text.clone(),
            Some(_) => {
                self.problem(key, format!("{key} must be a text."));
                String::new()
            }
        }
    }

    fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.get(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.problem(key, format!("{key} must be true or false."));
                default
            }
        }
    }

    fn number(&mut self, key: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(value) = self.get(key) else {
            return default;
        };
        match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let (from, to) = (range.start(), range.end());
                self.problem(
                    key,
                    format!("{key} must be a whole number from {from} to {to}; it is {value}."),
                );
                default
            }
        }
    }

    fn version(&mut self, key: &str) -> String {
        let default = "5.0".to_owned();
        match self.get(key) {
            None => default,
            Some(Value::String(text)) if is_version(text) => text.clone(),
            Some(_) => {
                self.problem(
                    key,
                    format!(
                        "{key} must be a version of the Qualys API from 2.0 on, such as \"5.0\"."
                    ),
                );
                default
            }
        }
    }

    fn list(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.map.get(key).filter(|value| !value.is_null()) else {
            return Vec::new();
        };
        let texts = value.as_array().map(|values| {
            values
                .iter()
                .map(|value| {
                    value
                        .as_str()
                        .map(str::trim)
                        .filter(|text| !text.is_empty())
                })
                .collect::<Vec<_>>()
        });
        let Some(texts) = texts else {
            self.problem(key, format!("{key} must be a list of texts."));
            return Vec::new();
        };
        let mut list: Vec<String> = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            match text {
                Some(text) if text.chars().any(char::is_control) => self.problem(
                    &format!("{key}/{index}"),
                    format!("{key} has an entry with control characters; remove them."),
                ),
                Some(text) => {
                    if list.iter().all(|other| other != text) {
                        list.push(text.to_owned());
                    }
                }
                None => self.problem(
                    &format!("{key}/{index}"),
                    format!("{key} has an entry that is blank or no text."),
                ),
            }
        }
        list
    }
}

fn is_version(text: &str) -> bool {
    matches!(text.as_bytes(), [b'2'..=b'9', b'.', b'0'..=b'9'])
}

/// Checks settings: with their warnings if they can be used, else all that is wrong with them.
pub(crate) fn parse(settings: &str) -> Result<(Settings, Vec<Remark>), Vec<Remark>> {
    let value: Value = serde_json::from_str(settings).map_err(|error| {
        vec![Remark {
            pointer: String::new(),
            message: format!("The settings are not JSON (line {}).", error.line()),
        }]
    })?;
    let Value::Object(map) = value else {
        return Err(vec![Remark {
            pointer: String::new(),
            message: "The settings must be one JSON object.".to_owned(),
        }]);
    };
    let mut reader = Reader {
        map: &map,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    for key in map.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        let pointer = key.replace('~', "~0").replace('/', "~1");
        reader.problem(
            &pointer,
            format!("There is no setting {key:?}; remove it or correct its name."),
        );
    }

    let origin = address::origin(&mut reader);
    let username = username(&mut reader);
    // The schedule is the host's; here it only has to make sense.
    reader.number("interval", 5, 1..=u64::from(u32::MAX));
    let content_types = content_types(&mut reader);
    let host_list_version = reader.version("host_list_version");
    let detection_version = reader.version("detection_version");
    let hosts_per_page = reader.number("hosts_per_page", 500, PAGE);
    let lookback_days = reader.number("lookback_days", 0, 0..=36_500);
    let overlap_minutes = reader.number("overlap_minutes", 15, 0..=10_080);
    let information_gathered = reader.flag("information_gathered", false);
    let ignored = reader.flag("ignored", true);
    let disabled = reader.flag("disabled", true);
    let results = reader.flag("results", true);
    let results_limit = reader.number("results_limit", 262_144, RESULTS_LIMIT);
    let leave_out = reader.list("leave_out");
    let tag_include = tags(&mut reader, "tag_include");
    let tag_exclude = tags(&mut reader, "tag_exclude");
    let extra_parameters = extra_parameters(&mut reader);
    if overlap_minutes == 0 {
        reader.warnings.push(remark(
            "overlap_minutes",
            "Without an overlap, what Qualys finishes processing while it answers can be missed; 15 is a good value.",
        ));
    }

    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let warnings = reader.warnings;
    let shaping = serde_json::json!([
        1,
        origin,
        username,
        host_list_version,
        detection_version,
        lookback_days,
        information_gathered,
        ignored,
        disabled,
        results,
        results_limit,
        leave_out,
        tag_include,
        tag_exclude,
        extra_parameters,
    ]);
    let fingerprint = format!("{:032x}", xxh3_128(shaping.to_string().as_bytes()));
    let selection = Selection {
        text_limit: usize::try_from(results_limit).unwrap_or(usize::MAX),
        leave_out: leave_out
            .iter()
            .map(|path| path.split('.').map(str::to_owned).collect())
            .collect(),
    };
    let settings = Settings {
        origin,
        content_types,
        host_list_version,
        detection_version,
        hosts_per_page,
        lookback_days,
        overlap_minutes,
        information_gathered,
        ignored,
        disabled,
        results,
        tag_include,
        tag_exclude,
        extra_parameters,
        selection,
        fingerprint,
    };
    Ok((settings, warnings))
}

fn username(reader: &mut Reader<'_>) -> String {
    const KEY: &str = "username";
    let had = reader.problems.len();
    let name = reader.text(KEY);
    if reader.problems.len() > had {
        return name;
    }
    if name.trim().is_empty() {
        reader.problem(
            KEY,
            "username is blank; give the login of a Qualys user with API access.",
        );
    } else if name.contains(':') {
        reader.problem(
            KEY,
            "username must not hold a colon: HTTP Basic authentication ends the name there.",
        );
    } else if name.chars().any(char::is_control) {
        reader.problem(KEY, "username must not hold control characters.");
    } else if name.trim() != name {
        reader.warnings.push(remark(
            KEY,
            "username has blanks around it, which are sent as they are.",
        ));
    }
    name
}

fn content_types(reader: &mut Reader<'_>) -> Vec<Endpoint> {
    const KEY: &str = "content_type";
    const HELP: &str = "content_type must name at least one of \"hosts\" and \"vulnerabilities\".";
    let Some(Value::Array(values)) = reader.get(KEY).cloned() else {
        reader.problem(KEY, HELP);
        return Vec::new();
    };
    if values.is_empty() {
        reader.problem(KEY, HELP);
    }
    let mut types = Vec::new();
    for (index, value) in values.iter().enumerate() {
        match value.as_str().and_then(Endpoint::from_content_type) {
            Some(endpoint) if types.contains(&endpoint) => {}
            Some(endpoint) => types.push(endpoint),
            None => reader.problem(
                &format!("{KEY}/{index}"),
                format!("{value} is no content type. {HELP}"),
            ),
        }
    }
    types
}

fn tags(reader: &mut Reader<'_>, key: &str) -> Vec<String> {
    let list = reader.list(key);
    if let Some(tag) = list.iter().find(|tag| tag.contains(',')) {
        let message = format!(
            "{key} has the tag {tag:?}: Qualys separates tags by commas, so such a tag cannot be named."
        );
        reader.problem(key, message);
    }
    list
}

fn extra_parameters(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    const KEY: &str = "extra_parameters";
    let Some(value) = reader.get(KEY).cloned() else {
        return Vec::new();
    };
    let Value::Object(map) = value else {
        reader.problem(
            KEY,
            "extra_parameters must be an object of names and texts.",
        );
        return Vec::new();
    };
    let mut list = Vec::new();
    for (name, value) in &map {
        let pointer = format!("{KEY}/{}", name.replace('~', "~0").replace('/', "~1"));
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => u8::from(*flag).to_string(),
            _ => {
                reader.problem(
                    &pointer,
                    format!("extra_parameters: {name} must be a text, a number, or true or false."),
                );
                continue;
            }
        };
        if name.is_empty()
            || !name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            reader.problem(
                &pointer,
                format!("extra_parameters: {name:?} is no parameter of the Qualys API."),
            );
        } else if let Some(instead) = crate::request::owned(name) {
            reader.problem(
                &pointer,
                format!("extra_parameters: {name} is the connector's own; {instead}"),
            );
        } else {
            list.push((name.clone(), text));
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({"qualys_url": "https://qualysapi.example.test", "username": "demo", "interval": 5,
               "content_type": ["hosts", "vulnerabilities"]})
    }

    fn with(key: &str, value: Value) -> Value {
        let mut settings = good();
        settings[key] = value;
        settings
    }

    fn problems(settings: &Value) -> Vec<String> {
        parse(&settings.to_string())
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|remark| remark.pointer)
            .collect()
    }

    #[test]
    fn the_five_settings_of_the_form_are_enough() {
        let (settings, warnings) = parse(&good().to_string()).expect("good settings");
        assert_eq!(warnings, []);
        assert_eq!(settings.hosts_per_page, 500);
        assert_eq!(settings.overlap_minutes, 15);
        assert!(
            settings.ignored
                && settings.disabled
                && settings.results
                && !settings.information_gathered
        );
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_pointers() {
        let bad = json!({"qualys_url": "ftp://x", "username": "a:b", "interval": 0, "content_type": ["hosts", "kb"],
            "hosts_per_page": 0, "host_list_version": "5", "results_limit": 1, "ignored": "yes", "leave_out": "X",
            "tag_include": ["a,b"], "extra_parameters": {"id_min": "1", "Bad": "x", "ok": []}, "colour": 1});
        let mut found = problems(&bad);
        found.sort();
        assert_eq!(
            found,
            [
                "/colour",
                "/content_type/1",
                "/extra_parameters/Bad",
                "/extra_parameters/id_min",
                "/extra_parameters/ok",
                "/host_list_version",
                "/hosts_per_page",
                "/ignored",
                "/interval",
                "/leave_out",
                "/qualys_url",
                "/results_limit",
                "/tag_include",
                "/username",
            ]
        );
        assert_eq!(
            problems(&json!({})),
            ["/qualys_url", "/username", "/content_type"]
        );
        assert_eq!(problems(&json!([])), [""]);
    }

    #[test]
    fn the_address_takes_what_people_type_and_refuses_what_could_leak() {
        for (typed, origin) in [
            ("qualysapi.example.test", "https://qualysapi.example.test"),
            (
                " https://QualysAPI.example.test// ",
                "https://qualysapi.example.test",
            ),
            ("https://192.0.2.1:8443", "https://192.0.2.1:8443"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            let (settings, _) = parse(&with("qualys_url", json!(typed)).to_string()).expect(typed);
            assert_eq!(settings.origin, origin);
        }
        for typed in [
            "",
            "https://",
            "http://qualysapi.example.test",
            "http://localhost:80",
            "http://192.0.2.1",
            "https://u:p@x.test",
            "https://x.test/?a=b",
            "https://x.test/#f",
            "https://x.test/path",
            "https://x.test:99999",
            "https://x y.test",
            "http://[2001:db8::1]",
        ] {
            assert_eq!(
                problems(&with("qualys_url", json!(typed))),
                ["/qualys_url"],
                "{typed}"
            );
        }
    }

    #[test]
    fn the_consoles_address_is_a_warning() {
        for (host, warned) in [
            ("qualysguard.qualys.com", true),
            ("qg2.apps.qualys.com", true),
            ("qualysguard.qg2.apps.qualys.com", true),
            ("gateway.qg1.apps.qualys.eu", true),
            ("qualysapi.qg2.apps.qualys.com", false),
            ("scan.example.test", false),
        ] {
            let settings = with("qualys_url", json!(format!("https://{host}"))).to_string();
            let (_, warnings) = parse(&settings).expect(host);
            assert_eq!(!warnings.is_empty(), warned, "{host}");
        }
    }

    #[test]
    fn the_fingerprint_follows_what_selects_or_shapes_data_and_nothing_else() {
        let fingerprint = |settings: &Value| {
            parse(&settings.to_string())
                .expect("good settings")
                .0
                .fingerprint
        };
        let base = fingerprint(&good());
        for (key, value) in [
            ("qualys_url", json!("https://other.example.test")),
            ("username", json!("other")),
            ("ignored", json!(false)),
            ("disabled", json!(false)),
            ("results", json!(false)),
            ("results_limit", json!(2048)),
            ("information_gathered", json!(true)),
            ("leave_out", json!(["RESULTS"])),
            ("tag_include", json!(["a"])),
            ("tag_exclude", json!(["a"])),
            ("extra_parameters", json!({"severities": "4-5"})),
            ("lookback_days", json!(1)),
            ("host_list_version", json!("4.0")),
            ("detection_version", json!("4.0")),
        ] {
            assert_ne!(fingerprint(&with(key, value)), base, "{key}");
        }
        for (key, value) in [
            ("interval", json!(60)),
            ("hosts_per_page", json!(1)),
            ("overlap_minutes", json!(60)),
            ("content_type", json!(["hosts"])),
            ("qualys_url", json!("https://qualysapi.example.test/")),
        ] {
            assert_eq!(fingerprint(&with(key, value)), base, "{key}");
        }
    }
}
