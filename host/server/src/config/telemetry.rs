//! The `[telemetry]` part of the configuration: where traces are sent.
//!
//! ```toml
//! [telemetry]
//! otlp_endpoint = "http://127.0.0.1:4318"
//! allow_networks = ["127.0.0.1/32"]
//! ```

use super::network::{self, Network, REACH};
use crate::document::Section;
use crate::failure::Mistake;
use connector_runtime::egress::{NetworkError, NetworkUpstream, Origin};
use url::Url;

/// The section, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry {
    endpoint: Option<Endpoint>,
}

/// A collector of OTLP over HTTP.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// Where traces are posted to.
    pub(crate) url: Url,
    /// Its origin.
    pub(crate) origin: Origin,
    network: Network,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The way there.
    ///
    /// # Errors
    /// If a client cannot be made.
    pub(crate) fn upstream(&self) -> Result<NetworkUpstream, NetworkError> {
        let remedy = "list its network in `allow_networks` under [telemetry] in host.toml";
        NetworkUpstream::new(self.network.reach(remedy.into()))
    }
}

impl Telemetry {
    /// Where traces go, if anywhere.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    pub(super) fn check(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let known = [&["otlp_endpoint"][..], &REACH].concat();
        let network = Network::check_only(section, &known, mistakes);
        let Some(text) = section.text("otlp_endpoint", mistakes) else {
            if !section.table.contains_key("otlp_endpoint") {
                mistakes.push(section.mistake("otlp_endpoint", "is required in [telemetry]"));
            }
            return Self::default();
        };
        match network::address(text).and_then(|(url, origin)| Ok((traces(url)?, origin))) {
            Ok((url, origin)) => Self {
                endpoint: Some(Endpoint {
                    url,
                    origin,
                    network,
                }),
            },
            Err(message) => {
                mistakes.push(section.mistake("otlp_endpoint", message));
                Self::default()
            }
        }
    }
}

/// A base address gets the path of traces, as OTLP has it; one that names the path already stays.
fn traces(mut url: Url) -> Result<Url, String> {
    const PATH: &str = "/v1/traces";
    if url.query().is_some() {
        return Err("must not have a query".into());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if !path.ends_with(PATH) {
        url.set_path(&format!("{path}{PATH}"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use std::path::Path;

    fn check(text: &str) -> Result<Option<String>, Vec<String>> {
        let file = Path::new("host.toml");
        let table = document::parse(file, text).unwrap();
        let mut mistakes = Vec::new();
        let top = Section::top(file, &table);
        let section = top.section("telemetry", &mut mistakes).unwrap();
        let telemetry = Telemetry::check(&section, &mut mistakes);
        match mistakes.is_empty() {
            true => Ok(telemetry
                .endpoint()
                .map(|endpoint| endpoint.url.to_string())),
            false => Err(mistakes.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn an_endpoint_gets_the_path_of_traces() {
        for (typed, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            (
                "https://otel.example.test/base/",
                "https://otel.example.test/base/v1/traces",
            ),
            (
                "https://otel.example.test/v1/traces",
                "https://otel.example.test/v1/traces",
            ),
        ] {
            let text = format!("[telemetry]\notlp_endpoint = \"{typed}\"\n");
            assert_eq!(check(&text), Ok(Some(url.into())), "{typed}");
        }
    }

    #[test]
    fn clear_text_to_another_machine_is_refused() {
        let text = "[telemetry]\notlp_endpoint = \"http://192.0.2.1:4318\"\n";
        let mistakes = check(text).unwrap_err();
        assert!(
            mistakes[0].starts_with("host.toml: telemetry.otlp_endpoint: would send"),
            "{mistakes:?}"
        );
        assert!(check("[telemetry]\nendpoint = \"x\"\n").unwrap_err().len() == 2);
    }
}
