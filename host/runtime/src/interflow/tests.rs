use super::*;

fn refusal(body: &str) -> Refusal {
    check(body, &ItemLimits::default()).expect_err(body)
}

fn accepted(body: &str) -> Facts {
    check(body, &ItemLimits::default()).unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn origin() -> Origin {
    Origin {
        source: "acme_scanner".into(),
        vendor: "acme".into(),
        category: "security_scan".into(),
    }
}

fn envelope(tenant_id: &str, connector_id: &str, msg_class: &str) -> Envelope {
    Envelope::new(&Labels {
        tenant_id,
        tenant_name: "acme \"north\"",
        connector_id,
        connector_name: "scanner-1",
        msg_class,
        origin: &origin(),
        domain: "https://api.example.test/",
    })
}

fn sealed(body: &str) -> String {
    let mut out = Vec::new();
    envelope("t", "c", "acme_hosts").seal("key", 1, 2, body, &accepted(body), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_json_and_one_object_is_accepted() {
    for body in [
        "{}",
        " \r\n\t{ } \n",
        r#"{"a":1}"#,
        r#"{"a":[],"b":{},"c":[[],[{}]],"d":null,"e":true,"f":false}"#,
        r#"{"a":-0,"b":0.5,"c":1e5,"d":-1.25E-300,"e":1e99999,"f":123456789012345678901234567890}"#,
        r#"{"":0}"#,
        r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"}"#,
        // The same key in different objects, in objects of one array, and as a value.
        r#"{"a":{"a":{"a":"a"}},"b":[{"a":1},{"a":2}]}"#,
        // Below the top level dots and the envelope's names are the vendor's own business.
        r#"{"acme_scanner":{"tenantid":"7","a.b":1}}"#,
        // These only look alike.
        r#"{"a":1,"A":2,"a ":3,"\u0061\u0061":4}"#,
        "{\"a\":\"\u{7f}\u{2028}\"}",
    ] {
        accepted(body);
        assert!(
            serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok(),
            "{body}"
        );
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for body in [
        "{\"a\":1",
        "{\"a\":\"1}",
        "{\"a\":\"1\\",
        "{\"a\":1,}",
        "{\"a\":[1,]}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1 2]}",
        "{\"a\":[}",
        "{\"a\":[1}]",
        "{\"a\":{]}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":01}",
        "{\"a\":-01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":0x10}",
        "{\"a\":tru}",
        "{\"a\":nul}",
        "{\"a\":True}",
        "{\"a\":truefalse}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u12G4\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800x\"}",
        "{\"a\":\"\\ud800\\n\"}",
        "{\"a\":\"\\ud800\\ud800\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"\\ud800\":1}",
        "{\"a\":\"line\nbreak\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\u{0}\"}",
        "{\"a\":\"0123456\u{1f}89\"}",
        "{\"a\":1}/* comment */",
        "{/**/}",
        "{\"a\":1\u{a0}}",
    ] {
        assert!(
            matches!(
                refusal(body),
                Refusal::Syntax { .. } | Refusal::TrailingText { .. }
            ),
            "{body}"
        );
        assert!(
            serde_json::from_str::<serde_json::Value>(body).is_err(),
            "{body}"
        );
    }
}

#[test]
fn what_is_not_one_object_is_refused() {
    for body in ["", "  ", "[]", "1", "null", "\"{}\"", "\u{feff}{}", "x{}"] {
        assert!(
            matches!(refusal(body), Refusal::NotAnObject { .. }),
            "{body}"
        );
    }
    assert!(
        refusal("\u{feff}{}")
            .to_string()
            .contains("byte order mark")
    );
    for body in ["{}{}", "{} x", "{}\u{0}", "{},", "{}}"] {
        assert_eq!(
            refusal(body),
            Refusal::TrailingText {
                at: body.find('}').unwrap() + 1 + usize::from(body.contains(' '))
            }
        );
    }
}

#[test]
fn every_prefix_of_a_body_is_refused() {
    let body = r#"{"a":[1,-2.5e3,"\u00e9\ud83d\ude00",{"b":null}],"c":{"d":true}}"#;
    accepted(body);
    for end in 0..body.len() {
        assert!(
            check(&body[..end], &ItemLimits::default()).is_err(),
            "{end}"
        );
    }
}

#[test]
fn a_field_of_the_envelope_is_refused_in_any_spelling() {
    for field in ENVELOPE_FIELDS {
        assert!(
            matches!(
                refusal(&format!("{{\"x\":0,{field:?}:1}}")),
                Refusal::EnvelopeField { .. }
            ),
            "{field}"
        );
        let escaped: String = field
            .chars()
            .map(|c| format!("\\u{:04X}", u32::from(c)))
            .collect();
        assert!(matches!(
            refusal(&format!("{{\"{escaped}\":1}}")),
            Refusal::EnvelopeField { .. }
        ));
    }
    assert!(matches!(
        refusal(r#"{"tenant\u0069d":"x"}"#),
        Refusal::EnvelopeField { .. }
    ));
}

#[test]
fn a_top_level_key_with_a_dot_is_refused() {
    for body in [
        r#"{"host.id":1}"#,
        r#"{"host\u002eid":1}"#,
        r#"{".":1}"#,
        r#"{"a":{},"tenantid.x":1}"#,
    ] {
        assert!(matches!(refusal(body), Refusal::DottedKey { .. }), "{body}");
    }
}

#[test]
fn a_repeated_key_is_refused_at_any_depth_and_its_place_is_named() {
    for (body, at) in [
        (r#"{"a":1,"a":1}"#, ""),
        (r#"{"a":1,"\u0061":2}"#, ""),
        (r#"{"\u0061":1,"a":2}"#, ""),
        (r#"{"a\nb":1,"a\u000ab":2}"#, ""),
        (r#"{"x":{"a":{"b":1},"a":2}}"#, "/x"),
        (r#"{"x":[0,{"y/z":{"é":1,"\u00e9":2}}]}"#, "/x/1/y~1z"),
        (r#"{"a":{"😀":1,"\ud83d\ude00":2}}"#, "/a"),
    ] {
        match refusal(body) {
            Refusal::RepeatedKey { path, .. } => assert_eq!(path, at, "{body}"),
            other => panic!("{body}: {other}"),
        }
    }
}

#[test]
fn a_repeated_key_is_found_among_many() {
    for count in [2, 31, 32, 33, 34, 5_000] {
        for (first, second) in [(0, count - 1), (count / 2 - 1, count - 1), (0, 1)] {
            let member = |n: usize| {
                if n == second && n != first {
                    format!("\"key\\u002d{first}\":0")
                } else {
                    format!("\"key-{n}\":{n}")
                }
            };
            let members: Vec<_> = (0..count).map(member).collect();
            let body = format!("{{\"x\":{{\"in\":{{{}}}}}}}", members.join(","));
            match refusal(&body) {
                Refusal::RepeatedKey { path, key } => {
                    assert_eq!(path, "/x/in");
                    assert!(key.contains("key"), "{key}");
                }
                other => panic!("{count}: {other}"),
            }
            accepted(&body.replace("\\u002d", "+"));
        }
    }
}

#[test]
fn four_hundred_thousand_keys_are_sorted_and_not_compared_each_with_each() {
    // Comparing each with each would be 10^11 steps.
    let members: Vec<_> = (0..400_000).map(|n| format!("\"{n}\":1")).collect();
    accepted(&format!("{{\"a\":{{{}}}}}", members.join(",")));
}

#[test]
fn depth_is_bounded_without_using_the_stack() {
    let nested = |levels: usize, open: &str, close: &str| {
        format!("{{\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        accepted(&nested(63, open, close));
        assert!(matches!(
            refusal(&nested(64, open, close)),
            Refusal::TooDeep { limit: 64, .. }
        ));
        assert!(matches!(
            refusal(&nested(10_000, open, close)),
            Refusal::TooDeep { limit: 64, .. }
        ));
        let generous = ItemLimits {
            depth: usize::MAX,
            ..ItemLimits::default()
        };
        assert!(check(&nested(1_000_000, open, close), &generous).is_ok());
    }
}

#[test]
fn a_body_above_its_limit_is_refused_for_its_size() {
    let limits = ItemLimits {
        body_bytes: 9,
        ..ItemLimits::default()
    };
    assert!(check(r#"{"a":123}"#, &limits).is_ok());
    let refused = check(r#"{"a":1234}"#, &limits).unwrap_err();
    assert!(refused.is_size());
    assert_eq!(
        refused,
        Refusal::TooLarge {
            bytes: 10,
            limit: 9
        }
    );
}

#[test]
fn a_refusal_says_where_and_stays_short() {
    let refused = refusal(r#"{"a":{"b":[1,{"c":tru}]}}"#);
    assert_eq!(
        refused.to_string(),
        r#"the body is not JSON: 't' instead of a value at byte 18, in "/a/b/1/c""#
    );
    let long = "k".repeat(100_000);
    let sentence = refusal(&format!("{{\"{long}\":{{\"{long}\":1,\"{long}\":2}}}}")).to_string();
    assert!(sentence.len() < 600, "{}", sentence.len());
}

#[test]
fn keys_of_items_are_printable_and_not_too_long() {
    let limits = ItemLimits::default();
    for key in ["a", "70010001:0123456789abcdef", "é", &"k".repeat(512)] {
        assert_eq!(check_key(key, &limits), Ok(()));
    }
    for key in ["", "a\nb", "a\0", "\u{85}", &"k".repeat(513)] {
        assert!(check_key(key, &limits).is_err(), "{key:?}");
    }
}

#[test]
fn event_times_lie_between_the_year_2000_and_tomorrow() {
    let now = 1_772_442_900_000;
    for (time, good) in [
        (946_684_799_999, false),
        (946_684_800_000, true),
        (now, true),
        (now + 86_400_000, true),
        (now + 86_400_001, false),
        (u64::MAX, false),
    ] {
        assert_eq!(check_time(time, now).is_ok(), good, "{time}");
    }
}

#[test]
fn a_record_is_the_envelope_and_then_the_body() {
    let envelope = Envelope::new(&Labels {
        tenant_id: "00000000000000000000000000000001",
        tenant_name: "acme",
        connector_id: "659f34c1ba3f87505be3c33d",
        connector_name: "acme-demo",
        msg_class: "acme_vulnerabilities",
        origin: &origin(),
        domain: "https://api.example.test/",
    });
    let body = r#"{"srcip":"192.0.2.15","acme_scanner":{"ID":"7"}}"#;
    let mut out = b"before\n".to_vec();
    envelope.seal(
        "7:abc",
        1_772_440_877_000,
        1_772_442_031_123,
        body,
        &accepted(body),
        &mut out,
    );
    let id = envelope.record_id("7:abc");
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!(
            concat!(
                "before\n",
                r#"{{"msg_class":"acme_vulnerabilities","timestamp":1772440877000,"write_time":1772442031123,"#,
                r#""stellar_uuid":"{}1772440877000","tenantid":"00000000000000000000000000000001","tenant_name":"acme","#,
                r#""msg_origin":{{"source":"acme_scanner","vendor":"acme","category":"security_scan","#,
                r#""processor":{{"id":"659f34c1ba3f87505be3c33d","name":"acme_scanner","type":"log_collector"}}}},"#,
                r#""engid":"acme_scanner_acme-demo","engid_name":"acme_scanner_acme-demo","engid_gateway":"","#,
                r#""locid":"unassigned location","domain":"https://api.example.test","#,
                r#""srcip_version":"ipv4","srcip_type":"public","srcip":"192.0.2.15","acme_scanner":{{"ID":"7"}}}}"#
            ),
            id
        )
    );
}

#[test]
fn the_fields_of_a_record_are_exactly_those_that_a_body_may_not_carry() {
    let record: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&sealed(r#"{"srcip":"10.0.0.1"}"#)).unwrap();
    let mut written: Vec<_> = record.keys().filter(|key| *key != "srcip").collect();
    let mut reserved = ENVELOPE_FIELDS;
    written.sort();
    reserved.sort_unstable();
    assert_eq!(written, reserved.iter().collect::<Vec<_>>());
    assert_eq!(record["tenant_name"], "acme \"north\"");
}

#[test]
fn a_record_is_one_line_whatever_the_body_looks_like() {
    let body = " {\n \"a\" : [ 1 ,\r\n\t2 ] ,\n\"b c\": \" \\n \\\" { \" , \"d\":{ } }\n";
    let record = sealed(body);
    assert!(!record.contains(['\n', '\r', '\t']));
    assert!(
        record.ends_with(r#","a":[1,2],"b c":" \n \" { ","d":{}}"#),
        "{record}"
    );
    // Nothing to compact: taken byte for byte.
    assert!(sealed("\n{\"a\":\"x y\",\"b\":1.50}\n").ends_with(r#","a":"x y","b":1.50}"#));
    for empty in ["{}", "{ \n }"] {
        assert!(sealed(empty).ends_with(r#""domain":"https://api.example.test"}"#));
    }
}

#[test]
fn numbers_stay_as_they_were_written() {
    let body = r#"{"a":1e99999,"b":123456789012345678901234567890.10,"c":-0}"#;
    assert!(sealed(body).ends_with(&body[1..]));
}

#[test]
fn an_address_is_told_apart_by_version_and_by_whose_network_it_is() {
    for (address, version, kind) in [
        ("10.1.2.3", "ipv4", "private"),
        ("172.16.0.1", "ipv4", "private"),
        ("172.32.0.1", "ipv4", "public"),
        ("192.168.9.9", "ipv4", "private"),
        ("127.0.0.1", "ipv4", "private"),
        ("169.254.1.1", "ipv4", "private"),
        ("100.64.0.1", "ipv4", "private"),
        ("100.127.255.255", "ipv4", "private"),
        ("100.128.0.1", "ipv4", "public"),
        ("203.0.113.7", "ipv4", "public"),
        ("2001:db8::1", "ipv6", "public"),
        ("fd00::1", "ipv6", "private"),
        ("fe80::1", "ipv6", "private"),
        ("::1", "ipv6", "private"),
        ("::ffff:10.0.0.1", "ipv6", "private"),
        ("::ffff:203.0.113.7", "ipv6", "public"),
    ] {
        let record = sealed(&format!(r#"{{"srcip":"{address}"}}"#));
        assert!(
            record.contains(&format!(
                r#""srcip_version":"{version}","srcip_type":"{kind}","srcip":"{address}""#
            )),
            "{record}"
        );
    }
}

#[test]
fn only_a_top_level_text_that_is_an_address_tells_anything() {
    assert_eq!(
        accepted(r#"{"src\u0069p":"192.0.2.\u0031"}"#).srcip,
        Some("192.0.2.1".parse().unwrap())
    );
    for body in [
        r#"{"a":"192.0.2.1"}"#,
        r#"{"srcip":"host"}"#,
        r#"{"srcip":["192.0.2.1"]}"#,
        r#"{"srcip":{"srcip":"192.0.2.1"}}"#,
        r#"{"srcip":1,"b":"192.0.2.1"}"#,
        r#"{"a":{"srcip":"192.0.2.1"}}"#,
    ] {
        assert_eq!(accepted(body).srcip, None, "{body}");
    }
    assert!(!sealed("{}").contains("srcip"));
}

#[test]
fn an_id_depends_on_every_part_and_on_where_one_ends_and_the_next_begins() {
    let id = |tenant, connector, class, key| envelope(tenant, connector, class).record_id(key);
    let all = [
        id("ab", "cd", "ef", "gh"),
        id("a", "bcd", "ef", "gh"),
        id("abc", "d", "ef", "gh"),
        id("ab", "cde", "f", "gh"),
        id("ab", "cd", "efg", "h"),
        id("ab", "cd", "ef", "g"),
    ];
    for (n, one) in all.iter().enumerate() {
        assert_eq!(one.get_version_num(), 5);
        assert!(!all[..n].contains(one));
    }
    // Fixed for ever: stored records are recognised by it.
    assert_eq!(
        envelope(
            "00000000000000000000000000000001",
            "659f34c1ba3f87505be3c33d",
            "acme_hosts"
        )
        .record_id("7:abc")
        .to_string(),
        "f342ab60-0a28-5de6-92b1-35bc39c0dace"
    );
}

#[test]
fn the_three_indices_are_known_by_name() {
    for index in Index::ALL {
        assert_eq!(index.to_string().parse(), Ok(index));
    }
    let sentence = "Scans".parse::<Index>().unwrap_err().to_string();
    for part in ["Scans", "syslog", "scans", "assets"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}
