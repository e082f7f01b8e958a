use super::*;
use crate::doctor::Verdict;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

fn pem(from: (i32, u8, u8), until: (i32, u8, u8)) -> String {
    let mut params = CertificateParams::new(vec!["scanner.example.test".into()]).unwrap();
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
}

#[test]
fn a_certificate_is_judged_by_its_dates_also_beyond_2049() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    // 2026-03-02T09:15:00Z
    let now = 1_772_442_900_000;
    let verdict = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let finding = judge("network.ca_file", &file, now);
        (finding.verdict, finding.message)
    };
    let good = pem((2025, 1, 1), (2052, 2, 3));
    let (found, message) = verdict(&good);
    assert_eq!(found, Verdict::Ok);
    assert!(
        message.contains("lasts until 2052-02-03T00:00:00Z"),
        "{message}"
    );
    let soon = pem((2025, 1, 1), (2026, 3, 20));
    assert_eq!(verdict(&soon).0, Verdict::Warning);
    let past = pem((2025, 1, 1), (2026, 3, 1));
    let (found, message) = verdict(&past);
    assert_eq!(found, Verdict::Problem);
    assert!(
        message.contains("ended at 2026-03-01T00:00:00Z"),
        "{message}"
    );
    let future = pem((2026, 4, 1), (2027, 1, 1));
    assert_eq!(verdict(&future).0, Verdict::Problem);
    // The worst of a chain counts.
    assert_eq!(verdict(&format!("{good}{past}")).0, Verdict::Problem);
    for nothing in ["", "not a certificate"] {
        assert_eq!(verdict(nothing).0, Verdict::Problem, "{nothing}");
    }
}

#[test]
fn no_bytes_of_a_certificate_can_lead_the_reader_out_of_it() {
    let text = pem((2025, 1, 1), (2027, 1, 1));
    let der = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    assert!(Validity::of(&der).is_some());
    for length in 0..der.len() {
        assert_eq!(Validity::of(&der[..length]), None, "cut at {length}");
    }
    let mut changed = der.to_vec();
    for place in 0..changed.len().min(300) {
        for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
            let kept = std::mem::replace(&mut changed[place], byte);
            // Whatever it says, it says something.
            let _ = Validity::of(&changed);
            changed[place] = kept;
        }
    }
}

#[test]
fn certificates_are_found_wherever_the_configuration_names_them() {
    let text = "[network]\nca_file = \"a.pem\"\n[network.connectors.\"acme/b\"]\nclient_certificate = \"b.pem\"\nclient_key = \"b.key\"\n";
    let table = document::parse(Path::new("host.toml"), text).unwrap();
    let mut named = Vec::new();
    collect(&table, "", &mut named);
    let files: Vec<_> = named.iter().map(|(_, file)| file.clone()).collect();
    assert_eq!(files, [PathBuf::from("a.pem"), "b.pem".into()]);
    assert_eq!(named[0].0, "network.ca_file");
}
