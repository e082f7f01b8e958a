//! A small scripted Qualys and a small host around the connector, in one process and without sockets.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use qualys_connector::environment::{
    Body, Cache, CacheError, Clock, Item, Level, Log, Rejection, Request, Response, Sink,
    Transport, TransportError,
};
use qualys_connector::{Batch, BatchRequest, Connector, Fault};
use serde_json::{Value, json};

pub(crate) const DATETIME: &str = "2026-03-02T09:15:00Z";
pub(crate) const NOW_MS: u64 = 1_772_442_900_000;

/// Pieces of a body, and how it ends.
pub(crate) type Pieces = Box<dyn Iterator<Item = Result<Vec<u8>, TransportError>>>;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Pieces,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Result<Self, TransportError> {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: impl Into<Vec<u8>>) -> Result<Self, TransportError> {
        Ok(Self {
            status,
            headers: Vec::new(),
            body: pieces(&body.into(), 1000),
        })
    }
}

/// `bytes` in pieces of `size`.
pub(crate) fn pieces(bytes: &[u8], size: usize) -> Pieces {
    let all: Vec<Result<Vec<u8>, TransportError>> =
        bytes.chunks(size).map(|piece| Ok(piece.to_vec())).collect();
    Box::new(all.into_iter())
}

/// The start of a body, then a broken connection.
pub(crate) fn broken(bytes: &[u8], size: usize) -> Pieces {
    Box::new(pieces(bytes, size).chain([Err(TransportError::Connection("reset".to_owned()))]))
}

pub(crate) type Server = Box<dyn FnMut(&Request) -> Result<Answer, TransportError>>;

/// Everything outside of the connector.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) requests: Vec<Request>,
    pub(crate) now_ms: u64,
    pub(crate) monotonic_ms: u64,
    /// How far the monotonic clock goes each time it is looked at.
    pub(crate) tick_ms: u64,
    pub(crate) refuse_cache: bool,
    pub(crate) largest_list: usize,
    staged: Vec<Item>,
    staged_cache: BTreeMap<String, Option<Vec<u8>>>,
    pub(crate) committed: Vec<Item>,
    pub(crate) cache: HashMap<String, Vec<u8>>,
}

#[derive(Clone)]
pub(crate) struct Env(pub(crate) Rc<RefCell<World>>);

pub(crate) struct TestBody(Pieces);

impl Body for TestBody {
    fn read(&mut self, into: &mut Vec<u8>) -> Result<usize, TransportError> {
        match self.0.next() {
            None => Ok(0),
            Some(piece) => {
                let piece = piece?;
                into.extend_from_slice(&piece);
                Ok(piece.len())
            }
        }
    }
}

impl Transport for Env {
    type Body = TestBody;
    fn send(&mut self, request: &Request) -> Result<Response<TestBody>, TransportError> {
        let mut world = self.0.borrow_mut();
        world.requests.push(request.clone());
        let answer = (world.server)(request)?;
        Ok(Response {
            status: answer.status,
            headers: answer.headers,
            body: TestBody(answer.body),
        })
    }
}

impl Sink for Env {
    fn emit(&mut self, items: &mut [Item]) -> Result<(), Rejection> {
        let mut world = self.0.borrow_mut();
        let bytes = items.iter().map(|item| item.body.len()).sum::<usize>();
        world.largest_list = world.largest_list.max(bytes);
        world.staged.extend_from_slice(items);
        Ok(())
    }
}

impl Cache for Env {
    fn get(&mut self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
        let world = self.0.borrow();
        let one = |key: &String| {
            world
                .staged_cache
                .get(key)
                .cloned()
                .unwrap_or_else(|| world.cache.get(key).cloned())
        };
        keys.iter().map(one).collect()
    }
    fn put(&mut self, entries: &[(String, Vec<u8>)]) -> Result<(), CacheError> {
        let mut world = self.0.borrow_mut();
        if world.refuse_cache {
            return Err(CacheError::Full);
        }
        world.staged_cache.extend(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), Some(value.clone()))),
        );
        Ok(())
    }
    fn remove(&mut self, keys: &[String]) {
        self.0
            .borrow_mut()
            .staged_cache
            .extend(keys.iter().map(|key| (key.clone(), None)));
    }
}

impl Log for Env {
    fn log(&mut self, _: Level, _: &str) {}
}

impl Clock for Env {
    fn now_ms(&self) -> u64 {
        self.0.borrow().now_ms
    }
    fn monotonic_ms(&self) -> u64 {
        let mut world = self.0.borrow_mut();
        world.monotonic_ms += world.tick_ms;
        world.monotonic_ms
    }
}

/// A host program: configures, collects, commits or discards, tries again.
pub(crate) struct Host {
    pub(crate) world: Env,
    pub(crate) settings: Value,
    pub(crate) content_type: &'static str,
    pub(crate) connector: Connector<Env>,
    pub(crate) cursor: Option<String>,
    pub(crate) max_items: u32,
    pub(crate) max_bytes: u64,
    pub(crate) soft_deadline_ms: u64,
    pub(crate) options: Value,
    /// A new instance for each batch, as after a crash.
    pub(crate) fresh_instances: bool,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) notices: Vec<String>,
    pub(crate) set_aside: Vec<(String, String)>,
    pub(crate) unknown: BTreeMap<String, u64>,
    pub(crate) seen: Vec<Value>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) complete: bool,
    pub(crate) batches: usize,
}

impl Run {
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }

    /// The ledger's equation.
    pub(crate) fn assert_accounts(&self) {
        let parts = ["collected", "clean", "set_aside", "vanished"]
            .map(|part| self.count(part))
            .iter()
            .sum::<u64>();
        assert_eq!(self.count("listed"), parts, "{:?}", self.counters);
    }
}

pub(crate) fn settings() -> Value {
    json!({"qualys_url": "https://qualysapi.example.test", "username": "demo", "interval": 5,
           "content_type": ["hosts", "vulnerabilities"]})
}

impl Host {
    pub(crate) fn new(content_type: &'static str, server: Server) -> Self {
        let world = Env(Rc::new(RefCell::new(World {
            server,
            requests: Vec::new(),
            now_ms: NOW_MS,
            monotonic_ms: 0,
            tick_ms: 0,
            refuse_cache: false,
            largest_list: 0,
            staged: Vec::new(),
            staged_cache: BTreeMap::new(),
            committed: Vec::new(),
            cache: HashMap::new(),
        })));
        let mut host = Self {
            connector: Connector::new(world.clone()),
            world,
            settings: settings(),
            content_type,
            cursor: None,
            max_items: 10_000,
            max_bytes: 8 << 20,
            soft_deadline_ms: 3_600_000,
            options: json!({}),
            fresh_instances: false,
        };
        host.configure();
        host
    }

    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.settings[key] = value;
        self.configure();
        self
    }

    pub(crate) fn configure(&mut self) {
        self.connector = Connector::new(self.world.clone());
        self.connector
            .configure(&self.settings.to_string())
            .expect("good settings");
    }

    pub(crate) fn serve(&mut self, server: Server) {
        self.world.0.borrow_mut().server = server;
    }

    /// One call, committed if it went well.
    pub(crate) fn batch(&mut self, attempt: u32) -> Result<Batch, Fault> {
        if self.fresh_instances {
            self.configure();
        }
        let request = BatchRequest {
            content_type: self.content_type.to_owned(),
            cursor: self.cursor.clone(),
            max_items: self.max_items,
            max_bytes: self.max_bytes,
            soft_deadline_ms: self.soft_deadline_ms,
            attempt,
            options: self.options.to_string(),
        };
        let result = self.connector.collect_batch(&request);
        let mut world = self.world.0.borrow_mut();
        let staged = std::mem::take(&mut world.staged);
        let cache = std::mem::take(&mut world.staged_cache);
        if let Ok(batch) = &result {
            assert_eq!(batch.emitted, staged.len() as u64);
            world.committed.extend(staged);
            for (key, value) in cache {
                match value {
                    Some(value) => world.cache.insert(key, value),
                    None => world.cache.remove(&key),
                };
            }
            self.cursor = Some(batch.next.clone());
        }
        result
    }

    /// Batches until the walk ends, with up to sixteen attempts at each cursor; `None` when they are used up.
    pub(crate) fn try_run(&mut self) -> Option<Run> {
        let mut run = Run {
            complete: true,
            ..Run::default()
        };
        let mut attempt = 0;
        loop {
            match self.batch(attempt) {
                Ok(batch) => {
                    attempt = 0;
                    run.batches += 1;
                    assert!(run.batches < 100_000, "a walk that does not end");
                    run.add(&batch);
                    if !batch.more {
                        return Some(run);
                    }
                    // What is asked for once is not asked for again.
                    self.options
                        .as_object_mut()
                        .expect("an object")
                        .remove("full");
                }
                Err(fault) => {
                    run.faults.push(fault);
                    attempt += 1;
                    if attempt == 16 {
                        return None;
                    }
                }
            }
        }
    }

    pub(crate) fn run(&mut self) -> Run {
        let run = self.try_run().expect("a walk that ends");
        run.assert_accounts();
        run
    }

    /// Records committed since the last call.
    pub(crate) fn records(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.world.0.borrow_mut().committed)
    }

    pub(crate) fn requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.world.0.borrow_mut().requests)
    }

    pub(crate) fn cursor_json(&self) -> Value {
        serde_json::from_str(self.cursor.as_deref().expect("a cursor")).expect("JSON")
    }
}

impl Run {
    fn add(&mut self, batch: &Batch) {
        let report: Value = serde_json::from_str(&batch.report).expect("JSON");
        for (name, count) in report["counters"].as_object().expect("counters") {
            *self.counters.entry(name.clone()).or_default() += count.as_u64().expect("a number");
        }
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        self.notices.extend(
            report["notices"]
                .as_array()
                .expect("notices")
                .iter()
                .map(|notice| text(&notice["code"])),
        );
        for one in report["set_aside"].as_array().expect("set aside") {
            self.set_aside
                .push((text(&one["object"]), text(&one["code"])));
        }
        for (name, count) in report["unknown_elements"].as_object().expect("unknown") {
            *self.unknown.entry(name.clone()).or_default() += count.as_u64().expect("a number");
        }
        self.seen
            .extend(report["seen"].as_array().expect("seen").iter().cloned());
        self.complete &= batch.complete;
    }
}

pub(crate) fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .form
        .iter()
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.as_str())
}

pub(crate) fn number(request: &Request, name: &str) -> u64 {
    parameter(request, name).map_or(0, |value| value.parse().expect("a number"))
}

/// A page around hosts.
pub(crate) fn page(root: &str, hosts: &str, warning: &str) -> String {
    let list = if hosts.is_empty() {
        String::new()
    } else {
        format!("<HOST_LIST>{hosts}</HOST_LIST>")
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<!DOCTYPE {root} SYSTEM \"https://qualysapi.example.test/output.dtd\">\n\
         <{root}><RESPONSE><DATETIME>{DATETIME}</DATETIME>{list}{warning}</RESPONSE></{root}>\n<!-- CONFIDENTIAL -->\n"
    )
}

pub(crate) fn warning(next: u64) -> String {
    format!(
        "<WARNING><CODE>1980</CODE><TEXT>1 record limit exceeded. Use URL to get next batch of results.</TEXT>\
         <URL><![CDATA[https://elsewhere.example.test/api/5.0/fo/asset/host/?action=list&truncation_limit=1&id_min={next}]]></URL></WARNING>"
    )
}

pub(crate) const LIST: &str = "HOST_LIST_OUTPUT";
pub(crate) const DETECTIONS: &str = "HOST_LIST_VM_DETECTION_OUTPUT";

/// A detection with a state that can change.
pub(crate) fn detection(unique: u64, state: &str) -> String {
    format!(
        "<DETECTION><UNIQUE_VULN_ID>{unique}</UNIQUE_VULN_ID><QID>99{:04}</QID><TYPE>Confirmed</TYPE><SEVERITY>4</SEVERITY><SSL>0</SSL>\
         <RESULTS><![CDATA[</HOST> {state}]]></RESULTS><STATUS>Active</STATUS><LAST_PROCESSED_DATETIME>2026-03-02T08:41:17Z</LAST_PROCESSED_DATETIME>\
         </DETECTION>\n",
        unique % 10_000
    )
}

/// One host of an estate: its ID and its detections.
pub(crate) type Estate = Rc<RefCell<BTreeMap<u64, Vec<String>>>>;

/// `hosts` hosts with IDs 10, 20, 30, ... and so many detections each.
pub(crate) fn estate(hosts: u64, detections: u64) -> Estate {
    let one = |host: u64| {
        (1..=detections)
            .map(|n| detection(host * 100_000 + n, "first"))
            .collect()
    };
    Rc::new(RefCell::new(
        (1..=hosts).map(|host| (host * 10, one(host))).collect(),
    ))
}

pub(crate) fn host_xml(id: u64, detections: &[String]) -> String {
    format!(
        "<HOST><ID>{id}</ID><IP>192.0.2.{}</IP><TRACKING_METHOD>IP</TRACKING_METHOD>\n<DETECTION_LIST>{}</DETECTION_LIST></HOST>\n",
        id % 250,
        detections.concat()
    )
}

/// The page of an estate that a request asks for.
pub(crate) fn estate_page(estate: &Estate, request: &Request) -> String {
    let (from, limit) = (
        number(request, "id_min"),
        number(request, "truncation_limit").max(1),
    );
    let estate = estate.borrow();
    let mut hosts = estate.range(from..);
    let mut xml = String::new();
    for (id, detections) in hosts.by_ref().take(usize::try_from(limit).expect("small")) {
        xml.push_str(&host_xml(*id, detections));
    }
    let more = hosts.next().map(|(id, _)| warning(*id)).unwrap_or_default();
    let root = if request.path.ends_with("/detection/") {
        DETECTIONS
    } else {
        LIST
    };
    page(root, &xml, &more)
}

/// Serves an estate.
pub(crate) fn serve(estate: &Estate) -> Server {
    let estate = estate.clone();
    Box::new(move |request| Answer::ok(estate_page(&estate, request)))
}

/// Serves one page, whatever is asked for.
pub(crate) fn serve_page(page: impl Into<Vec<u8>>) -> Server {
    let page = page.into();
    Box::new(move |_| Answer::ok(page.clone()))
}

/// The records of a single page of detections.
pub(crate) fn read_detections(hosts: &str) -> (Vec<Value>, Run) {
    read("vulnerabilities", page(DETECTIONS, hosts, ""))
}

/// The records of a single page of hosts.
pub(crate) fn read_hosts(hosts: &str) -> (Vec<Value>, Run) {
    read("hosts", page(LIST, hosts, ""))
}

/// The records of a single page.
pub(crate) fn read(content_type: &'static str, page: impl Into<Vec<u8>>) -> (Vec<Value>, Run) {
    let mut host = Host::new(content_type, serve_page(page));
    let run = host.run();
    (bodies(&host.records()), run)
}

pub(crate) fn bodies(items: &[Item]) -> Vec<Value> {
    items
        .iter()
        .map(|item| {
            assert_no_key_twice(&item.body);
            serde_json::from_str(&item.body).expect("a record is JSON")
        })
        .collect()
}

/// Panics if an object in a JSON text has a key twice.
pub(crate) fn assert_no_key_twice(text: &str) {
    struct Strict;
    impl<'de> serde::de::DeserializeSeed<'de> for Strict {
        type Value = ();
        fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de> serde::de::Visitor<'de> for Strict {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while seq.next_element_seed(Strict)?.is_some() {}
            Ok(())
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut keys = std::collections::HashSet::new();
            while let Some(key) = map.next_key::<String>()? {
                if !keys.insert(key.clone()) {
                    return Err(serde::de::Error::custom(format!("the key {key} twice")));
                }
                map.next_value_seed(Strict)?;
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde::de::DeserializeSeed::deserialize(Strict, &mut deserializer).expect("each key once");
}
