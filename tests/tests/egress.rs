//! The way out over real sockets: client certificates, proxies, and what an operator sets for them.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::egress::{
    AddressPolicy, ClientIdentity, Credential, Lookup, NetworkOptions, NetworkUpstream, Proxy,
    Secret,
};
use connector_runtime::runs::{Ledger, RunOutcome};
use connector_runtime::testing::Bench;
use serde_json::json;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use tests::loopback::{Authority, proxy_to, serve_tls};
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

const NAME: &str = "acme-scanner.example.test";
const ASSETS: &str = r#"[{"id":"a1","seen_ms":1772440877000}]"#;

/// Finds every name on loopback, and remembers which were looked for.
fn lookup() -> (Lookup, Arc<Mutex<Vec<String>>>) {
    let names: Arc<Mutex<Vec<String>>> = Arc::default();
    let asked = Arc::clone(&names);
    let lookup: Lookup = Arc::new(move |name| {
        asked.lock().unwrap().push(name);
        Box::pin(std::future::ready(Ok(vec![IpAddr::from([127, 0, 0, 1])])))
    });
    (lookup, names)
}

fn options(authority: &Authority) -> NetworkOptions {
    NetworkOptions {
        addresses: AddressPolicy {
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            loopback: false,
        },
        ca_pem: vec![authority.pem.clone().into_bytes()],
        lookup: Some(lookup().0),
        ..NetworkOptions::default()
    }
}

/// One run of the example connector through this network.
async fn collect(url: &str, options: NetworkOptions) -> Ledger {
    let mut bench = Bench::of(tests::acme_component())
        .compiled(tests::compiled())
        .settings(json!({"url": url, "token_name": "demo", "token": "s3cret-token"}))
        .upstream(NetworkUpstream::new(options).unwrap())
        .open()
        .await
        .unwrap();
    bench.collect().await.unwrap()
}

fn last_failure(ledger: &Ledger) -> &str {
    assert_eq!(ledger.outcome, RunOutcome::Failed, "{}", ledger.to_json());
    ledger.traffic.last_failure.as_deref().unwrap()
}

fn done(ledger: &Ledger) {
    assert_eq!(ledger.outcome, RunOutcome::Done, "{}", ledger.to_json());
    assert_eq!(ledger.records, 1);
}

#[tokio::test]
async fn a_server_that_asks_for_a_client_certificate_is_shown_the_operators() {
    let (servers, clients) = (Authority::new().unwrap(), Authority::new().unwrap());
    let (port, seen) = serve_tls(&servers, &[NAME], Some(&clients), ASSETS)
        .await
        .unwrap();
    let url = format!("https://{NAME}:{port}");
    let shown_by = |authority: &Authority| {
        let (certificate, key) = authority.sign(&["client.example.test"]).unwrap();
        NetworkOptions {
            identity: Some(ClientIdentity::new(certificate.into(), key.into())),
            ..options(&servers)
        }
    };
    // None, and one that somebody else has signed.
    for refused in [options(&servers), shown_by(&servers)] {
        let ledger = collect(&url, refused).await;
        assert!(
            last_failure(&ledger).starts_with("no secure connection to"),
            "{}",
            last_failure(&ledger)
        );
    }
    assert!(seen.heads().is_empty(), "nothing was asked before");
    done(&collect(&url, shown_by(&clients)).await);
    assert_eq!(seen.heads().len(), 1);
}

#[tokio::test]
async fn with_a_proxy_only_the_proxy_is_looked_up_and_it_reads_nothing() {
    let authority = Authority::new().unwrap();
    let (server, seen) = serve_tls(&authority, &[NAME], None, ASSETS).await.unwrap();
    let (port, tunnels) = proxy_to(server, None).await.unwrap();
    let (lookup, names) = lookup();
    let proxy = Proxy::parse(&format!("http://proxy.example.test:{port}")).unwrap();
    let through = NetworkOptions {
        proxy: Some(proxy),
        lookup: Some(lookup),
        ..options(&authority)
    };
    done(&collect(&format!("https://{NAME}"), through).await);
    assert_eq!(*names.lock().unwrap(), ["proxy.example.test"]);
    let [tunnel] = &tunnels.heads()[..] else {
        unreachable!("one tunnel");
    };
    assert!(
        tunnel.starts_with(&format!("CONNECT {NAME}:443 HTTP/1.1")),
        "{tunnel}"
    );
    assert!(!tunnel.to_lowercase().contains("authorization"), "{tunnel}");
    let [request] = &seen.heads()[..] else {
        unreachable!("one request");
    };
    assert!(
        request.to_lowercase().contains("authorization: basic "),
        "{request}"
    );
}

#[tokio::test]
async fn a_proxy_that_is_not_public_must_be_allowed_like_anything_else() {
    let authority = Authority::new().unwrap();
    let (port, tunnels) = proxy_to(9, None).await.unwrap();
    for host in ["proxy.example.test", "127.0.0.1"] {
        let through = NetworkOptions {
            proxy: Some(Proxy::parse(&format!("http://{host}:{port}")).unwrap()),
            addresses: AddressPolicy::default(),
            ..options(&authority)
        };
        let ledger = collect(&format!("https://{NAME}"), through).await;
        assert_eq!(
            last_failure(&ledger),
            format!(
                "a request to {host} was refused: 127.0.0.1 is a loopback address; to allow it, list its network among those that this connector may reach"
            )
        );
        assert_eq!(ledger.traffic.requests, 0);
    }
    assert!(tunnels.heads().is_empty());
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_gets_the_operators() {
    let authority = Authority::new().unwrap();
    let (server, seen) = serve_tls(&authority, &[NAME], None, ASSETS).await.unwrap();
    let (port, tunnels) = proxy_to(server, Some("Basic cHJveHktdXNlcjpwcm94eS1wYXNz"))
        .await
        .unwrap();
    let plain = Proxy::parse(&format!("http://proxy.example.test:{port}")).unwrap();
    let through = |proxy: Proxy| NetworkOptions {
        proxy: Some(proxy),
        ..options(&authority)
    };
    let url = format!("https://{NAME}");
    let refused = collect(&url, through(plain.clone())).await;
    assert!(
        last_failure(&refused).starts_with(&format!(
            "no connection through the proxy http://proxy.example.test:{port}: "
        )),
        "{}",
        last_failure(&refused)
    );
    assert!(seen.heads().is_empty());
    let known = Credential::basic("proxy-user", Secret::new("proxy-pass"));
    done(&collect(&url, through(plain.with_credential(known))).await);
    assert_eq!(seen.heads().len(), 1);
    assert!(
        !seen.heads()[0]
            .to_lowercase()
            .contains("proxy-authorization"),
        "the vendor does not see the proxy's password"
    );
    assert!(tunnels.heads().len() > 1);
}

/// A data directory with the example connector.
struct Acme(tempfile::TempDir);

impl Acme {
    fn new(url: &str, network: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        std::fs::copy(tests::acme_component(), plugins.join("acme.wasm")).unwrap();
        let definition = format!(
            "name = \"scanner\"\ntype = \"acme-scanner\"\ntenant = \"acme\"\n[settings]\nurl = \"{url}\"\ntoken_name = \"demo\"\ntoken = \"s3cret-token\"\n"
        );
        std::fs::write(folder.path().join("scanner.toml"), definition).unwrap();
        std::fs::write(folder.path().join("host.toml"), network).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file that only its owner may read.
    fn put_secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    async fn run(&self, command: &'static str) -> Output {
        let mut process = Command::new(HOST);
        process
            .current_dir(self.path())
            .args(["--data-dir", ".", command, "scanner.toml"])
            .stdin(Stdio::null());
        tokio::task::spawn_blocking(move || process.output().unwrap())
            .await
            .unwrap()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_certificate_and_authority_of_the_configuration_reach_the_wire() {
    let (servers, clients) = (Authority::new().unwrap(), Authority::new().unwrap());
    let (server, seen) = serve_tls(&servers, &[NAME], Some(&clients), ASSETS)
        .await
        .unwrap();
    let (port, tunnels) = proxy_to(server, Some("Basic cHJveHktdXNlcjpwcm94eS1wYXNz"))
        .await
        .unwrap();
    let site = Acme::new(
        &format!("https://{NAME}"),
        &format!(
            "[network]\nca_file = \"ca.pem\"\nallow_networks = [\"127.0.0.0/8\"]\n\
             [network.connectors.\"acme/scanner\"]\n\
             client_certificate = \"client.pem\"\nclient_key = \"client.key\"\n\
             proxy = \"http://127.0.0.1:{port}\"\nproxy_username = \"proxy-user\"\nproxy_password_file = \"proxy.password\"\n\
             connections = 1\nfirst_byte_seconds = 30\n"
        ),
    );
    let (certificate, key) = clients.sign(&["client.example.test"]).unwrap();
    std::fs::write(site.path().join("ca.pem"), &servers.pem).unwrap();
    std::fs::write(site.path().join("client.pem"), certificate).unwrap();
    site.put_secret("client.key", &key);
    site.put_secret("proxy.password", "proxy-pass\n");
    let output = site.run("collect").await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!((seen.heads().len(), tunnels.heads().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_address_is_named_with_the_place_where_it_is_allowed() {
    let authority = Authority::new().unwrap();
    let (port, seen) = serve_tls(&authority, &["127.0.0.1"], None, ASSETS)
        .await
        .unwrap();
    let site = Acme::new(&format!("https://127.0.0.1:{port}"), "");
    let output = site.run("test").await;
    assert_eq!(output.status.code(), Some(1));
    let sentence = "a request to 127.0.0.1 was refused: 127.0.0.1 is a loopback address; to allow it, list its network in `allow_networks` under [network] or [network.connectors.\"acme/scanner\"] of host.toml";
    assert!(text(&output).contains(sentence), "{}", text(&output));
    assert!(seen.heads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environments_proxies_are_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let (port, tunnels) = proxy_to(9, None).await.unwrap();
    for tls in [true, false] {
        let mut options = vec!["--hosts", "5", "--detections", "2"];
        if tls {
            options.extend(["--tls", "--ca-out", ca.to_str().unwrap()]);
        }
        let sim = SimProcess::start(SIM, &options).unwrap();
        let site = Site::new(HOST, &sim.address, "").unwrap();
        if tls {
            std::fs::copy(&ca, site.path().join("ca.pem")).unwrap();
            let host = site.path().join("host.toml");
            std::fs::write(host, "[network]\nca_file = \"ca.pem\"\n").unwrap();
        }
        // So that a run that cannot get through ends at once.
        let mut command = site.command(&["collect", "qualys.toml", "--max-wait", "1s"]);
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            let address = format!("http://127.0.0.1:{port}");
            command.env(name, &address);
            command.env(name.to_uppercase(), &address);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    assert!(tunnels.heads().is_empty(), "{:?}", tunnels.heads());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_text_to_loopback_never_goes_through_a_proxy() {
    let sim = SimProcess::start(SIM, &["--hosts", "5", "--detections", "2"]).unwrap();
    let (port, tunnels) = proxy_to(9, None).await.unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let host = site.path().join("host.toml");
    std::fs::write(
        host,
        format!("[network]\nproxy = \"http://127.0.0.1:{port}\"\n"),
    )
    .unwrap();
    let mut command = site.command(&["collect", "qualys.toml", "--max-wait", "1s"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(tunnels.heads().is_empty());
}

#[test]
fn a_second_process_goes_on_with_what_the_first_has_spent() {
    let options = ["--hosts", "24", "--detections", "2", "--rate-limit", "5"];
    let sim = SimProcess::start(SIM, &options).unwrap();
    let site = Site::new(HOST, &sim.address, "hosts_per_page = 4").unwrap();
    let run = |arguments: &[&str]| site.run(arguments).unwrap();
    let first = run(&["collect", "qualys.toml"]);
    assert!(text(&first).contains("postponed"), "{}", text(&first));
    assert!(text(&first).contains("quota     host-list: 5 calls of 5 in 1 h 0 min, 0 left"));
    assert_eq!(sim.logged().len(), 10);
    let second = run(&["collect", "qualys.toml"]);
    assert!(text(&second).contains("postponed"), "{}", text(&second));
    assert!(sim.logged().is_empty(), "the vendor was not asked");
    // A connection test knows it, too, and is no failure.
    let tested = run(&["test", "qualys.toml"]);
    assert!(text(&tested).contains("busy"), "{}", text(&tested));
    let lists = sim.logged();
    let lists = lists
        .iter()
        .filter(|request| request["path"] != "/msp/about.php");
    assert_eq!(lists.count(), 0);
}
