//! What only processes and sockets show: TLS with checked certificates, and files that are none.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

fn simulator(ca: &str) -> SimProcess {
    SimProcess::small(SIM, &["--tls", "--ca-out", ca]).unwrap()
}

#[test]
fn an_own_authority_is_trusted_when_the_operator_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let sim = simulator(ca.to_str().unwrap());
    assert!(sim.address.starts_with("https://"), "{}", sim.address);
    let site = Site::new(HOST, &sim.address, "").unwrap();
    std::fs::copy(&ca, site.path().join("ca.pem")).unwrap();
    let host = site.path().join("host.toml");
    std::fs::write(host, "[network]\nca_file = \"ca.pem\"\n").unwrap();

    assert_eq!(site.collect().unwrap(), 60);
}

#[test]
fn an_unknown_authority_is_refused_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let sim = simulator(ca.to_str().unwrap());
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let output = site.run(&["test", "qualys.toml"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(sim.logged().is_empty());
}

#[test]
fn a_definition_without_an_end_is_refused_before_anything_is_sent() {
    let site = Site::new(HOST, "https://127.0.0.1:9", "").unwrap();
    let output = site.run(&["collect", "/dev/zero"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
}
