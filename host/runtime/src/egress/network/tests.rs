use super::*;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A server on loopback that answers every request alike, and counts.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (
            Arc::clone(&server.connections),
            Arc::clone(&server.requests),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let requests = Arc::clone(&requests);
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut head = String::new();
                    while stream
                        .read_line(&mut head)
                        .await
                        .is_ok_and(|bytes| bytes > 0)
                    {
                        if head.ends_with("\r\n\r\n") {
                            requests.lock().unwrap().push(std::mem::take(&mut head));
                            if stream.write_all(answer.as_bytes()).await.is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers each look-up with the next of `answers`, then with the last of them again.
fn lookup(answers: &[&[&str]]) -> Lookup {
    let answers: Vec<Vec<IpAddr>> = answers
        .iter()
        .map(|addresses| addresses.iter().map(|text| text.parse().unwrap()).collect())
        .collect();
    let asked = AtomicUsize::new(0);
    Arc::new(move |_| {
        let turn = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        Box::pin(std::future::ready(Ok(answers[turn].clone())))
    })
}

fn network(networks: &[&str], lookup: Lookup) -> NetworkUpstream {
    NetworkUpstream::new(NetworkOptions {
        addresses: AddressPolicy {
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            loopback: false,
        },
        lookup: Some(lookup),
        ..NetworkOptions::default()
    })
    .unwrap()
}

/// A clear-text origin, for servers on loopback; whatever its name is.
fn origin(host: &str, port: u16) -> Origin {
    Origin::of(&Url::parse(&format!("http://{host}:{port}/")).unwrap()).unwrap()
}

async fn send(
    network: &NetworkUpstream,
    origin: &Origin,
) -> Result<http::Response<Bytes>, UpstreamError> {
    network.resolve(origin).await?;
    let mut request = http::Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = format!("{origin}/x").parse().unwrap();
    let (parts, body) = network.send(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(http::Response::from_parts(parts, body))
}

#[tokio::test]
async fn a_connection_goes_to_what_was_checked_and_to_nothing_else() {
    let server = Server::answering(OK).await;
    let network = network(&["127.0.0.1/32"], lookup(&[&["127.0.0.1"]]));
    let origin = origin("acme-scanner.example.test", server.port);
    let response = send(&network, &origin).await.unwrap();
    assert_eq!(
        (response.status(), &response.body()[..]),
        (StatusCode::OK, &b"ok"[..])
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_between_check_and_connect_gains_nothing() {
    let server = Server::answering(OK).await;
    // The client would find the server if it looked the name up itself: the second answer is where it listens.
    let network = network(&["127.0.0.2/32"], lookup(&[&["127.0.0.2"], &["127.0.0.1"]]));
    let origin = origin("rebinding.example.test", server.port);
    let failed = send(&network, &origin).await.unwrap_err();
    assert!(matches!(failed, UpstreamError::Connect(..)), "{failed}");
    // The next request looks again, and is refused for what it finds.
    let refused = send(&network, &origin).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a request to rebinding.example.test was refused: 127.0.0.1 is a loopback address; to allow it, list its network among those that this connector may reach"
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_open_connection_is_used_no_more_once_its_name_leads_elsewhere() {
    let server = Server::answering(OK).await;
    let network = network(
        &["127.0.0.1/32"],
        lookup(&[&["127.0.0.1"], &["127.0.0.1"], &["169.254.169.254"]]),
    );
    let origin = origin("acme-scanner.example.test", server.port);
    for _ in 0..2 {
        send(&network, &origin).await.unwrap();
    }
    assert_eq!(
        server.connections(),
        1,
        "the second request used the first one's connection"
    );
    let refused = send(&network, &origin).await.unwrap_err();
    assert!(
        refused.to_string().contains("a cloud metadata address"),
        "{refused}"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn one_bad_address_among_good_ones_is_refused_as_a_whole() {
    let server = Server::answering(OK).await;
    let network = network(
        &["127.0.0.1/32"],
        lookup(&[&["127.0.0.1", "10.0.0.1"], &["10.0.0.1", "127.0.0.1"]]),
    );
    let origin = origin("mixed.example.test", server.port);
    for _ in 0..2 {
        let refused = send(&network, &origin).await.unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("10.0.0.1 is a private address"),
            "{refused}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_address_literal_is_checked_like_a_name() {
    let server = Server::answering(OK).await;
    let nowhere = || network(&[], lookup(&[&[]]));
    for (literal, class) in [
        ("127.0.0.1", "a loopback address"),
        ("[::1]", "a loopback address"),
        ("[::ffff:127.0.0.1]", "a loopback address"),
        ("169.254.169.254", "a cloud metadata address"),
        ("[fd00:ec2::254]", "a cloud metadata address"),
    ] {
        let refused = send(&nowhere(), &origin(literal, server.port)).await;
        let sentence = refused.unwrap_err().to_string();
        assert!(sentence.contains(class), "{literal}: {sentence}");
    }
    let allowed = network(&["127.0.0.1/32"], lookup(&[&[]]));
    assert!(
        send(&allowed, &origin("127.0.0.1", server.port))
            .await
            .is_ok()
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_was_not_looked_up_is_not_connected_to() {
    let server = Server::answering(OK).await;
    let network = network(&["127.0.0.1/32"], lookup(&[&["127.0.0.1"]]));
    for host in ["acme-scanner.example.test", "127.0.0.1"] {
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = format!("http://{host}:{}/x", server.port).parse().unwrap();
        let refused = network.send(request).await.err().unwrap();
        assert!(matches!(refused, UpstreamError::Denied(_)), "{refused}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_without_an_address_says_so() {
    let network = network(&[], lookup(&[&[]]));
    let failed = send(&network, &origin("nowhere.example.test", 9))
        .await
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "the name nowhere.example.test could not be resolved; check the address and this machine's name service"
    );
}

#[tokio::test]
async fn a_look_up_that_does_not_end_is_given_up() {
    let network = NetworkUpstream::new(NetworkOptions {
        lookup: Some(Arc::new(|_| Box::pin(std::future::pending()))),
        connect_timeout: Some(Duration::ZERO),
        ..NetworkOptions::default()
    })
    .unwrap();
    let failed = send(&network, &origin("slow.example.test", 9))
        .await
        .unwrap_err();
    assert!(matches!(failed, UpstreamError::ConnectTimeout(host) if host == "slow.example.test"));
}

#[tokio::test]
async fn a_redirect_is_handed_over_and_not_followed() {
    let elsewhere = Server::answering(OK).await;
    for status in [301, 302, 303, 307, 308] {
        // To the same server, and to another one.
        for target in ["/x", &format!("http://127.0.0.1:{}/y", elsewhere.port)] {
            let answer = format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
            );
            let server = Server::answering(answer.leak()).await;
            let network = network(&["127.0.0.1/32"], lookup(&[&["127.0.0.1"]]));
            let response = send(&network, &origin("moved.example.test", server.port))
                .await
                .unwrap();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["location"], target);
            assert_eq!(server.requests().len(), 1);
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_proxy_is_scheme_host_and_port() {
    for text in [
        "http://proxy.example.test:3128",
        "https://proxy.example.test",
        "http://192.0.2.1:8080/",
    ] {
        assert!(Proxy::parse(text).is_ok(), "{text}");
    }
    for (text, reason) in [
        ("proxy.example.test:3128", "must be like"),
        ("socks5://proxy.example.test", "must be like"),
        ("http://", "must be like"),
        (
            "http://user:secret@proxy.example.test",
            "must not hold a user name",
        ),
        (
            "http://proxy.example.test/path",
            "scheme, host and port only",
        ),
        ("http://proxy.example.test?x", "scheme, host and port only"),
    ] {
        let sentence = Proxy::parse(text).err().unwrap();
        assert!(sentence.contains(reason), "{text}: {sentence}");
    }
}

#[tokio::test]
async fn a_name_service_that_never_answers_and_a_handshake_that_never_ends_are_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let origin = Origin::parse(&format!("https://acme-scanner.example.test:{port}"), true).unwrap();
    let of = |lookup: Lookup| {
        NetworkUpstream::new(NetworkOptions {
            addresses: AddressPolicy {
                loopback: true,
                ..AddressPolicy::default()
            },
            lookup: Some(lookup),
            connect_timeout: Some(Duration::from_millis(50)),
            ..NetworkOptions::default()
        })
        .unwrap()
    };
    let nobody = of(Arc::new(|_| Box::pin(std::future::pending())));
    let late = nobody.resolve(&origin).await;
    assert!(
        matches!(late, Err(UpstreamError::ConnectTimeout(_))),
        "{late:?}"
    );

    let here = of(Arc::new(|_| {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }));
    here.resolve(&origin).await.unwrap();
    let request = http::Request::get(format!("{}/assets", origin.as_str()));
    let late = here.send(request.body(Bytes::new()).unwrap()).await;
    assert!(
        matches!(late, Err(UpstreamError::ConnectTimeout(_))),
        "{:?}",
        late.err()
    );
    drop(silent);
}
