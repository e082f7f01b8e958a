//! The API of the process that serves a data directory, as the command line asks it: through the socket in that directory.

use crate::api::{self, problem::Problem};
use crate::arguments::Global;
use crate::failure::Failure;
use crate::host;
use crate::keeper::Changed;
use crate::search::answer::SearchAnswer;
use crate::serve::SOCKET;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, header};
use connector_runtime::interflow::Index;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A process that serves.
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    /// The process that serves the data directory, if one does.
    ///
    /// # Errors
    /// If no data directory is named and the user has no home.
    #[cfg(unix)]
    pub(crate) fn find(global: &Global) -> Result<Option<Self>, Failure> {
        let socket = host::data_directory(global)?.join(SOCKET);
        // One that was left behind answers nobody.
        let answers = std::os::unix::net::UnixStream::connect(&socket).is_ok();
        Ok(answers.then_some(Self { socket }))
    }

    /// Nobody serves over such a socket here.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(crate) fn find(global: &Global) -> Result<Option<Self>, Failure> {
        let _ = (global, SOCKET);
        Ok(None)
    }

    /// Asks for something under the API's root: `segments` are the parts of the path.
    ///
    /// # Errors
    /// [`Failure::Answered`] with the problem that came back, or [`Failure::Serving`] if nothing did.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let text = self.send(method, segments, body).await?;
        // What answers nothing (204) is null to whoever asked.
        let text = if text.is_empty() {
            "null"
        } else {
            text.as_str()
        };
        read(text)
    }

    /// Searches an index, with the parameters of a query string.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn search(
        &self,
        index: Index,
        parameters: &[(&str, String)],
    ) -> Result<SearchAnswer, Failure> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        let path = format!("{}/{index}/_search?{}", api::data::ROOT, query.finish());
        let text = self.send_to(Method::GET, path, &()).await?;
        read(&text)
    }

    async fn send(
        &self,
        method: Method,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<String, Failure> {
        let mut path = api::ROOT.to_owned();
        for segment in segments {
            path.push('/');
            path.extend(
                form_urlencoded::byte_serialize(segment.as_bytes()).map(|part| {
                    // A path knows no plus for a blank.
                    if part == "+" { "%20" } else { part }
                }),
            );
        }
        self.send_to(method, path, body).await
    }

    async fn send_to(
        &self,
        method: Method,
        path: String,
        body: &impl Serialize,
    ) -> Result<String, Failure> {
        let gone = |error: &dyn std::fmt::Display| {
            Failure::Serving(format!(
                "the process that serves {} does not answer ({error}); look at its log",
                self.socket.display()
            ))
        };
        // It may hold a secret.
        let body = Zeroizing::new(serde_json::to_vec(body).map_err(|error| gone(&error))?);
        let mut request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::HOST, "localhost");
        let body = match method {
            Method::GET | Method::DELETE => Body::empty(),
            _ => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                // Wiped as soon as it is sent.
                Body::from(Bytes::from_owner(body))
            }
        };
        let request = request.body(body).map_err(|error| gone(&error))?;
        let stream = self.connect().await.map_err(|error| gone(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| gone(&error))?;
        let connection = tokio::spawn(connection);
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| gone(&error))?;
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|error| gone(&error))?;
        drop(sender);
        connection.abort();
        let text = String::from_utf8(bytes.to_bytes().to_vec()).map_err(|error| gone(&error))?;
        if status.is_success() {
            return Ok(text);
        }
        let problem = serde_json::from_str::<Problem>(&text)
            .unwrap_or_else(|_| Problem::new(status, "serving", text));
        Err(Failure::Answered(Box::new(problem)))
    }

    #[cfg(unix)]
    async fn connect(&self) -> std::io::Result<tokio::net::UnixStream> {
        tokio::net::UnixStream::connect(&self.socket).await
    }

    #[cfg(not(unix))]
    async fn connect(&self) -> std::io::Result<tokio::net::TcpStream> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    /// [`Client::ask`] with POST.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn post(
        &self,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<Value, Failure> {
        self.ask(Method::POST, segments, body).await
    }

    /// [`Client::ask`] with PATCH.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn patch(
        &self,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<Value, Failure> {
        self.ask(Method::PATCH, segments, body).await
    }

    /// [`Client::ask`] with PUT, which needs no body: whether anything has changed.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn put(&self, segments: &[&str]) -> Result<bool, Failure> {
        let reply: Changed = self.ask(Method::PUT, segments, &Value::Null).await?;
        Ok(reply.changed)
    }

    /// [`Client::ask`] with DELETE; none if there is nothing to say about it.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn delete(&self, segments: &[&str]) -> Result<Option<Changed>, Failure> {
        self.ask(Method::DELETE, segments, &()).await
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::Serving(format!(
            "the process that serves gave an answer that cannot be read ({error}); is it another version?"
        ))
    })
}
