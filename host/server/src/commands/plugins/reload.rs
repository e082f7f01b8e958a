//! `plugins reload`: the process that serves looks at the plugin directory again. Others look whenever they begin.

use crate::answer::Answer;
use crate::api::plugins::Reloaded;
use crate::arguments::Global;
use crate::client::Client;
use crate::failure::Failure;
use crate::report::printable;
use axum::http::Method;
use serde_json::Value;

/// Runs the command.
///
/// # Errors
/// If nobody serves, or the directory cannot be read.
pub(crate) async fn reload(global: &Global) -> Result<Answer, Failure> {
    let Some(client) = Client::find(global)? else {
        return Err(Failure::Serving(
            "nobody serves this data directory, so there is nobody to take plugins up; a command looks at them whenever it begins".into(),
        ));
    };
    let reloaded: Reloaded = client
        .ask(Method::POST, &["plugins", "reload"], &Value::Null)
        .await?;
    let lines: Vec<String> = [
        ("added", &reloaded.added),
        ("replaced", &reloaded.replaced),
        ("removed", &reloaded.removed),
        ("refused", &reloaded.refused),
        ("suspended", &reloaded.suspended),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(word, names)| format!("{word:<10}{}", printable(&names.join(", "))))
    .collect();
    let text = match lines.as_slice() {
        [] => "the plugins are what they were".to_owned(),
        lines => lines.join("\n"),
    };
    Ok(Answer::new(text, &reloaded, 0))
}
