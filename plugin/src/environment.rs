//! Environment: everything the connector gets from outside.
//!
//! The core knows these traits and nothing of WASI, so it compiles and is tested natively; inside the sandbox the glue
//! implements them over the contract's imports.
//!
//! Never here: a credential. The host adds it to the requests it lets through.

use thiserror::Error;

/// One HTTP request, without the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `true`: POST with a form body; `false`: GET.
    pub post: bool,
    /// Scheme and authority, as configured: `https://qualysapi.example.test`.
    pub origin: String,
    /// Absolute path, with its closing slash.
    pub path: String,
    /// Form parameters in the order they are sent.
    pub form: Vec<(String, String)>,
}

impl Request {
    /// The form-encoded body.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.form {
            body.append_pair(name, value);
        }
        body.finish()
    }

    /// The headers that every request carries.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let product = concat!("qualys-connector/", env!("CARGO_PKG_VERSION")).to_owned();
        let mut headers = vec![
            ("x-requested-with", product.clone()),
            ("user-agent", product),
        ];
        if self.post {
            headers.push((
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ));
        }
        headers
    }
}

/// The head of an answer, and its body to be read.
#[derive(Debug)]
pub struct Response<B> {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body; dropping it gives the connection up.
    pub body: B,
}

/// Why a request or a body could not be carried.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The host refused the request; what it says about why.
    #[error("the host refused the request ({0})")]
    Denied(String),
    /// A time limit passed.
    #[error("the time limit passed: {0}")]
    Timeout(String),
    /// Anything else: resolving, connecting, TLS, a connection that broke.
    #[error("the connection failed: {0}")]
    Connection(String),
}

/// A body that is read piece by piece.
pub trait Body {
    /// Appends the next piece to `into` and returns its size; 0 at the end.
    ///
    /// # Errors
    /// When the connection breaks or a time limit passes.
    fn read(&mut self, into: &mut Vec<u8>) -> Result<usize, TransportError>;
}

/// HTTP.
pub trait Transport {
    /// The body of an answer.
    type Body: Body;
    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// When no answer came.
    fn send(&mut self, request: &Request) -> Result<Response<Self::Body>, TransportError>;
}

/// One record on its way to the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Identity and content hash.
    pub key: String,
    /// Event time, epoch milliseconds.
    pub time_ms: u64,
    /// One JSON object.
    pub body: String,
}

/// The host took nothing of a list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Rejection {
    /// Which item is to blame.
    pub index: usize,
    /// The host's sentence.
    pub message: String,
}

/// Where records go.
pub trait Sink {
    /// Hands items over. The strings may be taken out and put back, so that their memory is used again.
    ///
    /// # Errors
    /// When the host refuses the list.
    fn emit(&mut self, items: &mut [Item]) -> Result<(), Rejection>;
}

/// The cache did not take an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CacheError {
    /// No room left.
    #[error("the connector's cache is full")]
    Full,
    /// One entry exceeds the host's limit.
    #[error("a cache entry is larger than the host allows")]
    TooLarge,
}

/// The store that outlives a run.
pub trait Cache {
    /// Values by key, in the order asked for.
    fn get(&mut self, keys: &[String]) -> Vec<Option<Vec<u8>>>;
    /// Writes entries.
    ///
    /// # Errors
    /// When there is no room.
    fn put(&mut self, entries: &[(String, Vec<u8>)]) -> Result<(), CacheError>;
    /// Removes keys; absent ones are no error.
    fn remove(&mut self, keys: &[String]);
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For development.
    Debug,
    /// What happened.
    Info,
    /// Worth a look.
    Warn,
}

/// The run's log.
pub trait Log {
    /// Writes one line.
    fn log(&mut self, level: Level, message: &str);
}

/// Clocks.
pub trait Clock {
    /// Wall clock, epoch milliseconds.
    fn now_ms(&self) -> u64;
    /// A clock that only goes forward, milliseconds.
    fn monotonic_ms(&self) -> u64;
}

/// All of it.
pub trait Environment: Transport + Sink + Cache + Log + Clock {}
impl<T: Transport + Sink + Cache + Log + Clock> Environment for T {}
