use super::super::Config;
use super::*;
use std::path::PathBuf;

/// A folder with a `host.toml` and what it names.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, private).unwrap();
        }
        path
    }

    fn load(&self, text: &str) -> Result<Config, Vec<String>> {
        let file = self.put("host.toml", text);
        Config::load(Some(&file)).map_err(|failure| {
            let mistakes = failure.mistakes().iter();
            mistakes.map(ToString::to_string).collect()
        })
    }

    /// The one mistake, without the file's name.
    fn mistake(&self, text: &str) -> String {
        let mistakes = self.load(text).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        let (_, mistake) = mistakes[0].split_once("host.toml: ").unwrap();
        mistake.to_owned()
    }
}

/// A certificate and its key, PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["client.example.test".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn load(text: &str) -> Config {
    Folder::new().load(text).unwrap()
}

#[test]
fn a_network_is_allowed_to_everyone_or_to_one_connector() {
    let config = load(
        "[network]\nallow_networks = [\"10.0.0.0/8\"]\n[network.connectors.\"acme/scanner\"]\nallow_networks = [\"192.168.7.0/24\"]\n",
    );
    assert_eq!(config.network("acme", "scanner").networks.len(), 2);
    assert_eq!(config.network("acme", "other").networks.len(), 1);
    let folder = Folder::new();
    assert_eq!(
        folder.mistake("[network]\nallow_networks = [\"10.0.0.0/8\", \"ten\"]\n"),
        "network.allow_networks: entry 2 is not a network; write it like \"10.20.0.0/16\" or \"fd12::/48\""
    );
    assert_eq!(
        folder.mistake("[network]\nallow_networks = [\"::ffff:10.0.0.0/104\"]\n"),
        "network.allow_networks: entry 1 is an IPv4 network inside IPv6; write the IPv4 network, which covers both"
    );
}

#[test]
fn the_sentence_of_a_refusal_names_the_place_where_an_address_is_allowed() {
    let network = load("").network("acme", "scanner");
    let options = network.options("acme/scanner", &Limits::default(), false);
    assert_eq!(
        options.remedy.unwrap(),
        "list its network in `allow_networks` under [network] or [network.connectors.\"acme/scanner\"] of host.toml"
    );
}

#[test]
fn times_and_connections_of_a_connector_come_before_everyones_and_those_before_the_limits() {
    let config = load(
        "[limits]\nfirst_byte_seconds = 11\nidle_seconds = 12\nresponse_seconds = 13\n\
         [network]\nidle_seconds = 22\nresponse_seconds = 23\nconnect_seconds = 24\nconnections = 5\n\
         [network.connectors.\"acme/scanner\"]\nresponse_seconds = 33\nconnections = 2\n",
    );
    let limits = |name| config.network("acme", name).limits(&config.limits);
    let seconds = Duration::from_secs;
    let own = limits("scanner");
    assert_eq!(own.first_byte_timeout, seconds(11));
    assert_eq!(own.idle_timeout, seconds(22));
    assert_eq!(own.total_timeout, seconds(33));
    assert_eq!(own.connect_timeout, seconds(24));
    assert_eq!(own.connections, 2);
    let other = limits("other");
    assert_eq!((other.total_timeout, other.connections), (seconds(23), 5));
    let network = config.network("acme", "scanner");
    let options = network.options("acme/scanner", &own, false);
    assert_eq!(options.connect_timeout, Some(seconds(24)));
    assert_eq!(options.idle_connections, Some(2));
}

#[test]
fn every_number_takes_its_bounds_and_nothing_beyond() {
    let folder = Folder::new();
    for key in &NUMBERS {
        for (value, fits) in [
            (1, true),
            (key.most, true),
            (key.most + 1, false),
            (0, false),
        ] {
            let checked = folder.load(&format!("[network]\n{} = {value}\n", key.name));
            assert_eq!(checked.is_ok(), fits, "{} = {value}", key.name);
        }
    }
    assert_eq!(
        folder.mistake("[network.connectors.\"acme/a\"]\nconnections = \"2\"\n"),
        "network.connectors.\"acme/a\".connections: must be a whole number from 1 to 64"
    );
}

#[test]
fn an_authority_or_client_certificate_that_is_none_is_named() {
    let folder = Folder::new();
    let ca = "[network]\nca_file = \"ca.pem\"\n";
    let missing = folder.mistake(ca);
    assert!(missing.starts_with("network.ca_file: ") && missing.contains("ca.pem cannot be read"));
    folder.put("ca.pem", "no certificate");
    assert!(folder.mistake(ca).contains("it must be PEM"));

    let (certificate, key) = certificate();
    let (_, other_key) = self::certificate();
    folder.put("client.pem", &certificate);
    let pair = "[network]\nclient_certificate = \"client.pem\"\nclient_key = \"client.key\"\n";
    folder.put("client.key", "no key");
    assert!(folder.mistake(pair).contains("(no private key)"));
    folder.put("client.key", &other_key);
    let unlike = folder.mistake(pair);
    assert!(
        unlike.starts_with("network.client_certificate: client certificate and key cannot be used")
    );
    folder.put("client.key", &key);
    let config = folder.load(pair).unwrap();
    assert!(config.network("acme", "a").identity.is_some());
    let printed = format!("{config:?}");
    assert!(
        !printed.contains("PRIVATE") && !printed.contains("client.key"),
        "{printed}"
    );

    assert_eq!(
        folder.mistake("[network]\nclient_certificate = \"client.pem\"\n"),
        "network.client_key: is required beside client_certificate"
    );
    assert_eq!(
        folder.mistake("[network]\nclient_key = \"client.key\"\n"),
        "network.client_certificate: is required beside client_key"
    );
}

#[cfg(unix)]
#[test]
fn a_key_or_password_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let (certificate, key) = certificate();
    folder.put("client.pem", &certificate);
    let open_to = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let key = folder.put("client.key", &key);
    let pair = "[network]\nclient_certificate = \"client.pem\"\nclient_key = \"client.key\"\n";
    for mode in [0o644, 0o640, 0o604] {
        open_to(&key, mode);
        let sentence = folder.mistake(pair);
        assert!(sentence.starts_with("network.client_key: "), "{sentence}");
        assert!(sentence.ends_with(
            "client.key can be read by others than its owner, and holds a secret; `chmod 600` it"
        ));
    }
    open_to(&key, 0o400);
    assert!(folder.load(pair).is_ok());
    let password = folder.put("proxy.password", "pass-word\n");
    open_to(&password, 0o644);
    let sentence = folder.mistake(
        "[network]\nproxy = \"http://proxy.example.test:3128\"\nproxy_username = \"u\"\nproxy_password_file = \"proxy.password\"\n",
    );
    assert!(
        sentence.starts_with("network.proxy_password_file: "),
        "{sentence}"
    );
}

#[test]
fn a_proxy_is_everyones_or_a_connectors_or_expressly_none() {
    let folder = Folder::new();
    folder.put("proxy.password", "pass-word\n");
    let config = folder
        .load(
            "[network]\nproxy = \"http://proxy.example.test:3128\"\nproxy_username = \"u\"\nproxy_password_file = \"proxy.password\"\n\
             [network.connectors.\"acme/inside\"]\nproxy = \"none\"\n",
        )
        .unwrap();
    let proxy = |name| {
        let network = config.network("acme", name);
        network.options("x", &Limits::default(), false).proxy
    };
    assert!(proxy("scanner").is_some());
    assert!(proxy("inside").is_none());
    assert!(!format!("{config:?}").contains("pass-word"));
}

#[test]
fn mistakes_about_a_proxy_are_told_all_at_once() {
    let folder = Folder::new();
    folder.put("empty", "\n");
    let mistakes = folder
        .load(
            "[network]\nproxy = \"proxy.example.test:3128\"\nproxy_username = \"a:b\"\nproxy_password_file = \"empty\"\n\
             [network.connectors.\"acme/a\"]\nproxy_username = \"u\"\n",
        )
        .unwrap_err();
    let all = mistakes.join("\n");
    for part in [
        "network.proxy: must be like http://proxy.example.com:3128",
        "network.proxy_username: must not contain a colon",
        "network.proxy_password_file: names a file that is empty",
        "network.connectors.\"acme/a\".proxy: is required beside proxy_username",
        "network.connectors.\"acme/a\".proxy_password_file: is required beside proxy_username",
    ] {
        assert!(all.contains(part), "{part}\n{all}");
    }
    assert_eq!(mistakes.len(), 5, "{all}");
    assert!(!all.contains("a:b"), "no value is quoted: {all}");
}
