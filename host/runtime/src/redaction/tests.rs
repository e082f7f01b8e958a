use super::*;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use std::fmt::Write as _;

/// 24 bytes, most of which some encoding changes.
const SECRET: &str = r#"p%s+w/"r\d&<x>'y z=~;#.?"#;

fn redactor(secret: &str) -> Redactor {
    Redactor::new([&Secret::new(secret)], Some("reader"))
}

fn percent(text: &str, upper: bool, keeps: impl Fn(u8) -> bool) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match (keeps(byte), upper) {
            (true, _) => encoded.push(char::from(byte)),
            (false, true) => write!(encoded, "%{byte:02X}").unwrap(),
            (false, false) => write!(encoded, "%{byte:02x}").unwrap(),
        }
        encoded
    })
}

/// Every form in which a server or a library could write it.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let path = |byte: u8| byte.is_ascii_graphic() && !b"%\"<>#?".contains(&byte);
    let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::to_string(secret).unwrap();
    let json = json[1..json.len() - 1].to_owned();
    let unicode = secret.chars().map(|c| format!("\\u{:04x}", u32::from(c)));
    let named = |from: &str| {
        from.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
    };
    let numbered = secret.bytes().map(|byte| format!("&#{byte};"));
    let hex = secret.bytes().map(|byte| format!("&#x{byte:x};"));
    let debug = format!("{secret:?}");
    vec![
        ("as it is", secret.to_owned()),
        ("percent, upper", percent(secret, true, unreserved)),
        ("percent, lower", percent(secret, false, unreserved)),
        ("percent, as in a path", percent(secret, true, path)),
        ("percent, all of it", percent(secret, false, |_| false)),
        ("form, upper", form.clone()),
        (
            "form, lower",
            percent(secret, false, unreserved).replace("%20", "+"),
        ),
        ("json", json.clone()),
        ("json with slashes", json.replace('/', "\\/")),
        ("json, all of it", unicode.collect()),
        ("debug", debug[1..debug.len() - 1].to_owned()),
        ("json in json", {
            let twice = serde_json::to_string(&json).unwrap();
            twice[1..twice.len() - 1].to_owned()
        }),
        (
            "debug of json",
            format!("{json:?}").trim_matches('"').to_owned(),
        ),
        ("percent of json", percent(&json, false, |_| false)),
        ("percent of xml", percent(&named(secret), true, unreserved)),
        (
            "percent, twice",
            percent(secret, true, unreserved).replace('%', "%25"),
        ),
        ("xml", named(secret)),
        ("xml, decimal", numbered.collect()),
        ("xml, hexadecimal", hex.collect()),
        ("base64", STANDARD.encode(secret)),
        ("base64, no padding", STANDARD_NO_PAD.encode(secret)),
        ("base64, url", URL_SAFE.encode(secret)),
        ("base64, url, no padding", URL_SAFE_NO_PAD.encode(secret)),
        (
            "base64 behind one byte",
            STANDARD.encode(format!("a{secret}b")),
        ),
        (
            "base64 behind two bytes",
            URL_SAFE.encode(format!("ab{secret}c")),
        ),
        (
            "base64 of the pair",
            STANDARD.encode(format!("reader:{secret}")),
        ),
        ("base64, wrapped", {
            let encoded = STANDARD.encode(format!("a longer user name:{secret}"));
            format!("{}\r\n{}", &encoded[..40], &encoded[40..])
        }),
        (
            "torn by an escape sequence",
            format!("{}\u{1b}{}", &secret[..9], &secret[9..]),
        ),
        (
            "torn by an escaped escape sequence",
            format!("{}\\u{{1b}}{}", &secret[..9], &secret[9..]),
        ),
        (
            "torn by C1 controls",
            format!("{}\u{85}\0{}", &secret[..9], &secret[9..]),
        ),
        ("a blank that is a tab", secret.replace(' ', "\t")),
    ]
}

#[test]
fn every_form_of_a_secret_is_recognised_wherever_it_stands() {
    let redactor = redactor(SECRET);
    for (name, form) in forms(SECRET) {
        for (before, after) in [
            ("", ""),
            ("Told: ", " (2000)"),
            ("Ünïcödé ", " ✓"),
            ("(", ")"),
        ] {
            let text = format!("{before}{form}{after}");
            let expected = format!("{before}[redacted]{after}");
            let redacted = redactor.text(&text);
            if name == "base64, wrapped" {
                // The user name's lines before it are no secret.
                assert!(
                    redacted.ends_with(&format!("[redacted]{after}")),
                    "{redacted}"
                );
                assert!(!redacted.contains(&form[form.len() - 12..]), "{redacted}");
            } else {
                assert_eq!(redacted, expected, "{name}: {text}");
            }
        }
    }
}

#[test]
fn whatever_the_characters_of_a_secret_its_forms_are_recognised() {
    // Digits that escapes and encodings take for their own, and the characters that begin them, in every order.
    let alphabet = br#"%\&+"/ ;u{n}x0a4#<"#;
    let mut seed = 7_u64;
    let mut random = |limit: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % limit
    };
    for _ in 0..300 {
        let inside: String = (0..8 + random(24))
            .map(|_| char::from(alphabet[random(alphabet.len())]))
            .collect();
        let secret = format!("q{inside}q");
        let redactor = redactor(&secret);
        for (name, form) in forms(&secret) {
            let redacted = redactor.text(&format!("({form})")).into_owned();
            if name == "base64, wrapped" {
                // Of a short one nothing but padding stands on the second line.
                assert!(redacted.contains("[redacted]"), "{secret:?}: {redacted}");
            } else {
                assert_eq!(redacted, "([redacted])", "{name}: {secret:?}: {form}");
            }
            let document = serde_json::to_string(&form).unwrap();
            let redacted = redactor.json(&document).into_owned();
            serde_json::from_str::<String>(&redacted).unwrap();
        }
        let document = serde_json::to_string(&secret).unwrap();
        assert_eq!(redactor.json(&document), "\"[redacted]\"", "{secret:?}");
    }
}

#[test]
fn plain_forms_are_taken_out_of_the_middle_of_a_word() {
    let redactor = redactor(SECRET);
    for (name, form) in forms(SECRET).iter().take(19) {
        assert_eq!(
            redactor.text(&format!("a{form}b{form}")),
            "a[redacted]b[redacted]",
            "{name}"
        );
    }
}

#[test]
fn nothing_else_is_touched() {
    let redactor = redactor(SECRET);
    for text in [
        "",
        "The login was refused.",
        "GET /api/2.0/fo/asset/host/?action=list&truncation_limit=1000",
        "p%s+w",
        "reader",
        "cmVhZGVyOg==",
    ] {
        assert!(
            matches!(redactor.text(text), Cow::Borrowed(same) if same == text),
            "{text}"
        );
    }
    assert_eq!(Redactor::none().text(SECRET), SECRET);
}

#[test]
fn a_short_secret_is_redacted_as_a_value_and_nowhere_else() {
    let redactor = redactor("demo");
    for (text, expected) in [
        (
            "https://reader:demo@api.example.test/",
            "https://reader:[redacted]@api.example.test/",
        ),
        (
            "https://demo@api.example.test/",
            "https://[redacted]@api.example.test/",
        ),
        (
            "/login?user=a&password=demo&x=1",
            "/login?user=a&password=[redacted]&x=1",
        ),
        ("/login?password=%64emo", "/login?password=[redacted]"),
        ("X-Token: demo", "X-Token: [redacted]"),
        ("Bad password: demo.", "Bad password: [redacted]."),
        ("Bad password 'pw'='demo'", "Bad password 'pw'='[redacted]'"),
        (
            r#"{"password":"demo","x":1}"#,
            r#"{"password":"[redacted]","x":1}"#,
        ),
        (
            r#"{\"password\": \"demo\"}"#,
            r#"{\"password\": \"[redacted]\"}"#,
        ),
        (
            "<PASSWORD>demo</PASSWORD>",
            "<PASSWORD>[redacted]</PASSWORD>",
        ),
        // The pair is long enough to be recognised.
        (
            "Authorization: Basic cmVhZGVyOmRlbW8=",
            "Authorization: Basic [redacted]",
        ),
    ] {
        assert_eq!(redactor.text(text), expected);
    }
    for text in [
        "a demo of the demo",
        "connector scanner-demo failed",
        "host: demo.example.test",
        "name=demonstration",
        "https://demo.example.test/demo",
        "demo",
        ": demo",
    ] {
        assert_eq!(redactor.text(text), text);
        assert_eq!(redactor.page(text), text);
    }
    assert_eq!(redactor.page("tenant: demo"), "tenant: demo");
    assert_eq!(
        redactor.json(r#"{"tenant":"demo"}"#),
        r#"{"tenant":"demo"}"#
    );
}

#[test]
fn eight_bytes_are_long() {
    assert_eq!(redactor("sevenss").text("a sevenss b"), "a sevenss b");
    assert_eq!(redactor("eightsss").text("aeightsssb"), "a[redacted]b");
}

#[test]
fn half_a_secret_at_a_cut_is_redacted() {
    let redactor = redactor(SECRET);
    let base64 = STANDARD.encode(SECRET);
    for cut in ["", "…", "..."] {
        for length in 8..24 {
            let text = format!("said {}{cut}", &SECRET[..length]);
            assert_eq!(redactor.text(&text), format!("said [redacted]{cut}"));
        }
        for length in 11..base64.len() {
            let redacted = redactor
                .text(&format!("said {}{cut}", &base64[..length]))
                .into_owned();
            assert_eq!(redacted, format!("said [redacted]{cut}"));
        }
    }
}

#[test]
fn a_line_is_cut_behind_its_redaction() {
    let redactor = redactor(SECRET);
    for (name, form) in forms(SECRET) {
        for before in 0..80 {
            let text = format!("{}{form}{}", ".".repeat(before), ".".repeat(2000));
            let line = redactor.line(&text, 64);
            assert!(
                line.len() <= 64 + '…'.len_utf8() && line.ends_with('…'),
                "{name}: {line}"
            );
            if name == "base64, wrapped" {
                continue;
            }
            let kept = line.trim_matches(['.', '…']);
            assert!(REDACTED.starts_with(kept), "{name}, {before}: {line}");
            assert!(before >= 54 || kept == REDACTED, "{name}, {before}: {line}");
        }
    }
}

#[test]
fn a_line_is_one_line_whatever_steers_the_terminal() {
    assert_eq!(Redactor::none().line("a\x1b[31mb\nc", 100), "a [31mb c");
    assert_eq!(Redactor::none().line("ééé", 3), "é…");
    assert_eq!(redactor(SECRET).line("a\x1b[31mb\nc", 100), "a [31mb c");
    assert_eq!(redactor(SECRET).line("ééé", 3), "é…");
}

#[test]
fn a_json_document_stays_json() {
    let redactor = redactor(SECRET);
    let document = serde_json::json!({
        SECRET: [SECRET, {"deep": format!("\n{SECRET}\n"), "number": 12_345_678}],
        "base64": format!("\n{}", STANDARD.encode(format!("reader:{SECRET}"))),
        "none": null,
    });
    let redacted = redactor.json(&document.to_string()).into_owned();
    let redacted: Value = serde_json::from_str(&redacted).unwrap();
    assert_eq!(redacted["[redacted]"][0], REDACTED);
    assert_eq!(redacted["[redacted]"][1]["deep"], "\n[redacted]\n");
    assert!(
        !redacted["base64"]
            .as_str()
            .unwrap()
            .contains(&STANDARD.encode(&SECRET[4..16]))
    );

    // Secrets that look like the document's own structure, numbers or escapes.
    for secret in [
        "12345678",
        "\",\":null,",
        "nabcdefgh",
        "\\\\\\\\\\\\\\\\",
        "u00e9u00e9",
    ] {
        let redactor = super::Redactor::new([&Secret::new(secret)], None);
        let text =
            serde_json::json!({"a": 12_345_678, "b": format!("\nabcdefgh é {secret}")}).to_string();
        let redacted: Value = serde_json::from_str(&redactor.json(&text)).unwrap();
        assert_eq!(redacted["a"], 12_345_678);
        assert_eq!(redacted["b"], "\nabcdefgh é [redacted]", "{secret}");
    }
    for broken in ["\"", "{\"a", "\"\\", "\"\\u12"] {
        assert_eq!(redactor.json(broken), broken);
    }
}

#[test]
fn a_password_that_is_a_word_of_the_document_does_not_break_it() {
    let redactor = redactor("set_aside");
    assert_eq!(
        redactor.json(r#"{"set_aside":["set_aside"],"Set_aside set_aside":1}"#),
        r#"{"set_aside":["[redacted]"],"Set_aside [redacted]":1}"#
    );
}

#[test]
fn a_document_of_the_guest_is_redacted_in_names_and_values() {
    let mut document = serde_json::json!({"asked": {"password": "demo", "walk": "a demo"}, "list": ["demo", "token=demo"]});
    redactor("demo").value(&mut document);
    assert_eq!(
        document,
        serde_json::json!({"asked": {"password": REDACTED, "walk": "a demo"}, "list": ["demo", "token=[redacted]"]})
    );
    let mut counts = BTreeMap::from([
        (format!("a {SECRET}"), 1),
        (format!("a {SECRET}x"), 2),
        ("listed".into(), 3),
    ]);
    redactor(SECRET).names(&mut counts, 12);
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [
            ("a [redacted]".into(), 1),
            ("a [redacted]…".into(), 2),
            ("listed".into(), 3)
        ]
    );
}

#[test]
fn a_secret_outside_ascii_is_recognised_too() {
    let redactor = redactor("schlüsselwört");
    assert_eq!(redactor.text("ä schlüsselwört ö"), "ä [redacted] ö");
    assert_eq!(redactor.text("schl%C3%BCsselw%c3%b6rt"), REDACTED);
    assert_eq!(
        redactor.text(&STANDARD.encode("ab schlüsselwört")),
        REDACTED
    );
}

#[test]
fn several_secrets_are_each_recognised() {
    let (one, two) = (
        Secret::new("first-secret"),
        Secret::new("first-secret-longer"),
    );
    let redactor = Redactor::new([&one, &two, &Secret::new("")], None);
    assert_eq!(
        redactor.text("first-secret-longer, first-secret"),
        "[redacted], [redacted]"
    );
}
