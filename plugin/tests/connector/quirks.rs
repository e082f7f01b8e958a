//! The vendor's quirks, by number. (5, 36 and 42 are answers that are no page and are tested beside the client; 39 to 41 beside the walk;
//! 38, a stale connection, is the transport's.)

use serde_json::json;

use crate::server::{
    Answer, DETECTIONS, Host, LIST, Server, detection, host_xml, page, pieces, read,
    read_detections, read_hosts, serve, serve_page,
};

fn one_host() -> String {
    host_xml(7, &[detection(1, "x")])
}

fn wrapped(change: impl Fn(String) -> String) -> usize {
    read("vulnerabilities", change(page(DETECTIONS, &one_host(), "")))
        .0
        .len()
}

#[test]
fn quirk_01_comments_before_and_after_the_root_are_passed_over() {
    assert_eq!(
        wrapped(
            |page| page.replace("<HOST_LIST_VM", "<!-- evaluation <HOST> --><HOST_LIST_VM")
                + "<!-- a --><!-- b -->\n\n\n"
        ),
        1
    );
}

#[test]
fn quirk_02_keep_alive_comments_inside_the_response_are_passed_over() {
    let keep_alive = "<!-- keep-alive for X -->\n".repeat(3000);
    assert_eq!(
        wrapped(|page| page.replace("<HOST_LIST>", &format!("{keep_alive}<HOST_LIST>"))),
        1
    );
}

#[test]
fn quirk_03_white_space_before_the_declaration_is_passed_over() {
    assert_eq!(wrapped(|page| "\n \n".repeat(60_000) + &page), 1);
    assert_eq!(wrapped(|page| format!("\u{FEFF}{page}")), 1);
    assert_eq!(wrapped(|page| format!(" \u{FEFF}\n{page}")), 1);
}

#[test]
fn quirk_04_a_comment_before_the_declaration_is_passed_over() {
    assert_eq!(
        wrapped(|page| format!("<!-- WARNING: something -->\n{page}")),
        1
    );
}

#[test]
fn quirk_06_the_document_type_is_never_fetched_and_entities_are_refused() {
    let mut host = Host::new(
        "vulnerabilities",
        serve_page(page(DETECTIONS, &one_host(), "")),
    );
    host.run();
    assert_eq!(host.requests().len(), 1);
    let bomb = "<!DOCTYPE HOST_LIST_VM_DETECTION_OUTPUT [ <!ENTITY a \"aaaaaaaaaa\"> <!ENTITY b \"&a;&a;&a;\"> ]>";
    let body = page(DETECTIONS, &one_host(), "");
    let from = body.find("<!DOCTYPE").expect("a document type");
    let to = from + body[from..].find('>').expect("its end") + 1;
    let mut host = Host::new(
        "vulnerabilities",
        serve_page(format!("{}{bomb}{}", &body[..from], &body[to..])),
    );
    assert_eq!(host.batch(0).expect_err("a bomb").code, "entity-refused");
    // An internal subset without entities is harmless, a document type in the middle is not.
    let harmless = bomb.replace(
        "<!ENTITY a \"aaaaaaaaaa\"> <!ENTITY b \"&a;&a;&a;\">",
        "<!ELEMENT A (B)> <!-- it's > -->",
    );
    assert_eq!(wrapped(|page| page.replace(&page[from..to], &harmless)), 1);
    let mut host = Host::new(
        "vulnerabilities",
        serve_page(body.replace("<HOST_LIST>", &format!("{bomb}<HOST_LIST>"))),
    );
    assert_eq!(host.batch(0).expect_err("a bomb").code, "malformed-xml");
}

#[test]
fn quirk_07_blanks_inside_a_tag_are_no_matter() {
    let (records, _) = read_detections(
        &one_host()
            .replace("<RESULTS>", "<RESULTS\n>")
            .replace("</RESULTS>", "</RESULTS \n>"),
    );
    assert_eq!(
        records[0]["qualys_cloud_platform"]["DETECTION"]["RESULTS"],
        "</HOST> x"
    );
}

fn results(xml: &str) -> serde_json::Value {
    let (records, _) = read_detections(&host_xml(
        7,
        &[format!(
            "<DETECTION><QID>1</QID><RESULTS>{xml}</RESULTS></DETECTION>"
        )],
    ));
    records[0]["qualys_cloud_platform"]["DETECTION"]["RESULTS"].clone()
}

#[test]
fn quirk_08_entities_inside_cdata_stay_as_they_are_and_outside_are_resolved() {
    assert_eq!(
        results("<![CDATA[can&apos;t &lt;b&gt;]]>"),
        "can&apos;t &lt;b&gt;"
    );
    assert_eq!(
        results("can&apos;t &lt;b&gt; &#x20AC; &amp;lt;"),
        "can't <b> \u{20AC} &lt;"
    );
}

#[test]
fn quirk_09_split_cdata_end_is_joined() {
    assert_eq!(results("<![CDATA[a]]]]><![CDATA[>b]]>"), "a]]>b");
    assert_eq!(
        results(" \n<![CDATA[a]]> &amp; <!-- c --> <![CDATA[ b ]]> \n"),
        "a &   b "
    );
}

#[test]
fn quirk_10_blanks_around_a_text_are_trimmed_and_inside_it_kept() {
    assert_eq!(results("\n   <![CDATA[ a\tb\r\nc ]]>\n  "), " a\tb\nc ");
    assert_eq!(results("\n a\tb\nc \n"), "a\tb\nc");
}

#[test]
fn quirk_11_illegal_characters_are_repaired_and_counted() {
    let hosts = host_xml(
        7,
        &[
            "<DETECTION><QID>1</QID><RESULTS>a\u{1}b&#x1F;c<![CDATA[\u{0}]]></RESULTS></DETECTION>"
                .to_owned(),
        ],
    );
    let (records, run) = read_detections(&hosts);
    assert_eq!(
        records[0]["qualys_cloud_platform"]["DETECTION"]["RESULTS"],
        "a\u{FFFD}b\u{FFFD}c\u{FFFD}"
    );
    assert_eq!(run.count("repaired"), 1, "one text");
}

#[test]
fn quirk_12_bytes_that_are_not_utf8_are_repaired_and_counted() {
    let mut body = page(
        DETECTIONS,
        &one_host().replace("<IP>", "<OS>caf@ \u{20AC}</OS><IP>"),
        "",
    )
    .into_bytes();
    let at = body
        .windows(4)
        .position(|bytes| bytes == b"caf@")
        .expect("the place")
        + 3;
    body[at] = 0xE9;
    let (records, run) = read("vulnerabilities", body);
    assert_eq!(records[0]["host"]["os"]["full"], "caf\u{E9} \u{20AC}");
    assert_eq!(run.count("repaired"), 1);
}

#[test]
fn quirk_13_a_text_of_megabytes_arrives_cut_and_marked_in_whatever_pieces_it_comes() {
    let line = "libdemo\t1.2.0\t1.2.9 \u{20AC}\n";
    let text = line.repeat(60_000);
    let digest = {
        use sha2::Digest as _;
        let bytes = sha2::Sha256::digest(text.as_bytes());
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let forms = [
        format!("<![CDATA[{text}]]>"),
        text.replace('\u{20AC}', "&#8364;"),
        text.split_inclusive('\n')
            .map(|line| format!("<![CDATA[{line}]]>"))
            .collect::<String>(),
    ];
    let mut keys = Vec::new();
    for form in forms {
        let hosts = format!(
            "{}{}",
            host_xml(
                7,
                &[format!(
                    "<DETECTION><UNIQUE_VULN_ID>1</UNIQUE_VULN_ID><RESULTS>{form}</RESULTS><SSL>1</SSL></DETECTION>"
                )]
            ),
            host_xml(8, &[detection(2, "x")])
        );
        let body = page(DETECTIONS, &hosts, "").into_bytes();
        for size in [4_097, 65_536, body.len()] {
            let inner = body.clone();
            let server: Server = Box::new(move |_| {
                Ok(Answer {
                    status: 200,
                    headers: Vec::new(),
                    body: pieces(&inner, size),
                })
            });
            let mut host = Host::new("vulnerabilities", server);
            let run = host.run();
            let records = host.records();
            let bodies = crate::server::bodies(&records);
            let detection = &bodies[0]["qualys_cloud_platform"]["DETECTION"];
            // Texts outside of CDATA end with the last character that is no blank.
            let whole = if form.starts_with('<') {
                text.as_str()
            } else {
                text.trim_end()
            };
            assert_eq!(detection["RESULTS_TRUNCATED"]["length"], whole.len());
            if whole.len() == text.len() {
                assert_eq!(detection["RESULTS_TRUNCATED"]["sha256"], digest.as_str());
            }
            let kept = detection["RESULTS"].as_str().expect("a text");
            assert!(
                text.starts_with(kept) && (262_141..=262_144).contains(&kept.len()),
                "{}",
                kept.len()
            );
            assert_eq!(detection["SSL"], "1");
            assert_eq!((bodies.len(), run.count("truncated")), (2, 1));
            if form.starts_with('<') {
                keys.push(records[0].key.clone());
            }
        }
    }
    keys.dedup();
    assert_eq!(keys.len(), 1, "the same text, the same key");
}

#[test]
fn quirk_14_a_page_is_read_as_a_stream_and_records_leave_before_it_ends() {
    let hosts: Vec<String> = (1..=300)
        .map(|id| {
            host_xml(
                id,
                &(0..20)
                    .map(|n| detection(id * 100 + n, "x"))
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let body = page(DETECTIONS, &hosts.concat(), "");
    let inner = body.clone();
    // The second half never comes.
    let server: Server = Box::new(move |_| {
        let half = &inner.as_bytes()[..inner.len() / 2];
        Ok(Answer {
            status: 200,
            headers: Vec::new(),
            body: crate::server::broken(half, 64 << 10),
        })
    });
    let mut host = Host::new("vulnerabilities", server);
    let batch = host.batch(0).expect("what came");
    assert!(batch.more && batch.emitted >= 140 * 20, "{}", batch.emitted);
    assert!(host.world.0.borrow().largest_list < 300 << 10);
}

#[test]
fn quirk_15_and_16_a_cut_body_is_continued_behind_the_last_complete_host_without_repeats() {
    let estate = crate::server::estate(6, 3);
    let inner = estate.clone();
    let mut cuts = vec![2_000_usize, 1_500];
    let server: Server = Box::new(move |request| {
        let body = crate::server::estate_page(&inner, request);
        Ok(match cuts.pop() {
            Some(cut) => Answer {
                status: 200,
                headers: Vec::new(),
                body: crate::server::broken(&body.as_bytes()[..cut], 300),
            },
            None => Answer {
                status: 200,
                headers: Vec::new(),
                body: pieces(body.as_bytes(), 300),
            },
        })
    });
    let mut host = Host::new("vulnerabilities", server);
    let run = host.run();
    assert_eq!(
        (
            host.records().len(),
            run.count("repeated"),
            run.faults.len()
        ),
        (18, 0, 2)
    );
    let positions: Vec<u64> = host
        .requests()
        .iter()
        .map(|request| crate::server::number(request, "id_min"))
        .collect();
    assert!(
        positions.windows(2).all(|pair| pair[0] < pair[1]),
        "{positions:?}"
    );
}

#[test]
fn quirk_17_a_single_member_is_a_list_as_well() {
    for (tags, count) in [
        ("<TAG><NAME>a</NAME></TAG>", 1),
        ("<TAG><NAME>a</NAME></TAG><TAG><NAME>b</NAME></TAG>", 2),
    ] {
        for wrapper in ["TAGS", "TAG_LIST"] {
            let (records, _) = read_hosts(&format!(
                "<HOST><ID>1</ID><{wrapper}>{tags}</{wrapper}></HOST>"
            ));
            assert_eq!(
                records[0]["qualys_cloud_platform"][wrapper]
                    .as_array()
                    .map(Vec::len),
                Some(count)
            );
        }
    }
    let (records, _) = read_hosts(
        "<HOST><ID>1</ID><ARS_FACTORS><VULN_COUNT qds_severity=\"5\">1</VULN_COUNT></ARS_FACTORS></HOST>",
    );
    assert_eq!(
        records[0]["qualys_cloud_platform"]["ARS_FACTORS"]["VULN_COUNT"],
        json!([{"qds_severity": "5", "value": "1"}])
    );
}

#[test]
fn quirk_18_blank_elements_make_no_field_and_null_is_a_text() {
    let (records, _) = read_hosts(
        "<HOST><ID>1</ID><OS/><NETBIOS></NETBIOS><OWNER> \n</OWNER><COMMENTS><![CDATA[]]></COMMENTS><USER_DEF><VALUE_1/></USER_DEF>\
         <TAGS></TAGS><TAG_LIST><TAG/></TAG_LIST><SERIAL_NUMBER><![CDATA[null]]></SERIAL_NUMBER></HOST>",
    );
    assert_eq!(
        records[0]["qualys_cloud_platform"],
        json!({"ID": "1", "SERIAL_NUMBER": "null"})
    );
    assert!(records[0]["host"].get("os").is_none());
}

#[test]
fn quirk_19_ids_of_any_size_page_correctly_and_stay_exact() {
    let ids = [
        4_294_967_297_u64,
        9_137_434_378,
        9_007_199_254_740_993,
        u64::MAX - 1,
    ];
    let estate = crate::server::estate(0, 0);
    estate
        .borrow_mut()
        .extend(ids.map(|id| (id, vec![detection(id % 1000, "x")])));
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(1));
    host.run();
    let found: Vec<String> = crate::server::bodies(&host.records())
        .iter()
        .map(|record| record["host"]["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(found, ids.map(|id| id.to_string()));
}

#[test]
fn quirk_20_numbers_with_leading_zeros_stay_texts() {
    let (records, _) = read_hosts("<HOST><ID>1</ID><SERIAL_NUMBER>000123</SERIAL_NUMBER></HOST>");
    assert_eq!(
        records[0]["qualys_cloud_platform"]["SERIAL_NUMBER"],
        "000123"
    );
}

#[test]
fn quirk_21_several_lists_in_one_response_are_all_read() {
    let hosts = format!(
        "{}</HOST_LIST> <HOST_LIST>{}</HOST_LIST><HOST_LIST/><HOST_LIST>",
        host_xml(1, &[detection(1, "x")]),
        host_xml(2, &[detection(2, "x")])
    );
    assert_eq!(read_detections(&hosts).0.len(), 2);
}

#[test]
fn quirk_22_a_host_without_a_detection_list_is_clean() {
    let (records, run) = read_detections(
        "<HOST><ID>1</ID><IP>192.0.2.1</IP></HOST><HOST><ID>2</ID><DETECTION_LIST/></HOST>",
    );
    assert_eq!(
        (records.len(), run.count("listed"), run.count("clean")),
        (0, 2, 2)
    );
}

#[test]
fn quirk_23_hosts_without_an_address_or_with_one_of_ipv6_alone_are_hosts() {
    let (records, _) = read_hosts(
        "<HOST><ID>1</ID><IPV6>2001:db8::44</IPV6></HOST><HOST><ID>2</ID></HOST><HOST><ID>3</ID><IP>unknown</IP></HOST>",
    );
    assert_eq!(
        (&records[0]["srcip"], &records[0]["srcip_host"]),
        (&json!("2001:db8::44"), &json!("2001:db8::44"))
    );
    assert_eq!(records[0]["host"]["ip"], json!(["2001:db8::44"]));
    assert!(records[1].get("srcip").is_none() && records[1]["host"] == json!({"id": "2"}));
    assert!(
        records[2].get("srcip").is_none() && records[2]["qualys_cloud_platform"]["IP"] == "unknown"
    );
}

#[test]
fn quirk_24_and_25_one_address_or_machine_under_several_ids_is_several_hosts() {
    let host = |id: u64, network: u64| {
        format!(
            "<HOST><ID>{id}</ID><IP>192.0.2.1</IP><NETWORK_ID>{network}</NETWORK_ID><QG_HOSTID>3a6b1e52</QG_HOSTID></HOST>"
        )
    };
    let (records, run) = read_hosts(&(host(1, 0) + &host(2, 0) + &host(3, 9)));
    assert_eq!((records.len(), run.count("collected")), (3, 3));
}

#[test]
fn quirk_26_a_host_that_comes_by_again_is_emitted_again_only_if_it_changed() {
    let first = host_xml(1, &[detection(1, "a"), detection(2, "a")]);
    let second = host_xml(2, &[detection(3, "a")]);
    let again = host_xml(1, &[detection(1, "a"), detection(2, "b")]);
    let (records, run) = read_detections(&format!("{first}{second}{again}"));
    assert_eq!((records.len(), run.count("repeated")), (4, 1));
}

#[test]
fn quirk_27_and_28_cloud_metadata_are_taken_as_they_are() {
    let (records, _) = read_hosts(
        "<HOST><ID>1</ID><METADATA><EC2><ATTRIBUTE><NAME><![CDATA[latest/meta-data/public-ipv4]]></NAME><LAST_STATUS>Fail</LAST_STATUS><VALUE><![CDATA[/192.0.2.4]]></VALUE>\
         <LAST_SUCCESS_DATE></LAST_SUCCESS_DATE><LAST_ERROR><![CDATA[404 - Not Found]]></LAST_ERROR></ATTRIBUTE>\
         <ATTRIBUTE><NAME>launchTime</NAME><VALUE>1772440877000</VALUE></ATTRIBUTE><ATTRIBUTE><NAME>mac</NAME><VALUE>&lt;html&gt;</VALUE></ATTRIBUTE></EC2></METADATA></HOST>",
    );
    assert_eq!(
        records[0]["qualys_cloud_platform"]["METADATA"]["EC2"][0],
        json!({"NAME": "latest/meta-data/public-ipv4", "LAST_STATUS": "Fail", "VALUE": "/192.0.2.4", "LAST_ERROR": "404 - Not Found"})
    );
    assert_eq!(
        records[0]["qualys_cloud_platform"]["METADATA"]["EC2"][1]["VALUE"],
        "1772440877000"
    );
    assert!(records[0]["host"].get("mac").is_none());
}

#[test]
fn quirk_29_every_clouds_metadata_are_a_list() {
    for cloud in ["GOOGLE", "GCP", "AZURE", "ALICLOUD"] {
        let (records, run) = read_hosts(&format!(
            "<HOST><ID>1</ID><METADATA><{cloud}><ATTRIBUTE><NAME>a</NAME></ATTRIBUTE></{cloud}></METADATA></HOST>"
        ));
        assert_eq!(
            records[0]["qualys_cloud_platform"]["METADATA"][cloud],
            json!([{"NAME": "a"}])
        );
        assert!(run.unknown.is_empty());
    }
}

#[test]
fn quirk_30_31_and_34_optional_parts_of_a_detection_may_be_there_or_not() {
    for (xml, qds) in [
        ("<QDS severity=\"LOW\"></QDS>", json!({"severity": "LOW"})),
        ("<QDS>12</QDS>", json!({"score": "12"})),
        ("", json!(null)),
        ("<QDS/>", json!(null)),
    ] {
        let (records, _) = read_detections(&host_xml(
            7,
            &[format!(
                "<DETECTION><QID>1</QID><STATUS>Active</STATUS>{xml}<LAST_FIXED_DATETIME>2026-02-15T04:00:00Z</LAST_FIXED_DATETIME></DETECTION>"
            )],
        ));
        let detection = &records[0]["qualys_cloud_platform"]["DETECTION"];
        assert_eq!(detection.get("QDS").cloned().unwrap_or_default(), qds);
        assert_eq!(
            records[0]["vulnerability"].get("qds").is_some(),
            xml.contains("12")
        );
        assert!(
            detection.get("AFFECT_RUNNING_KERNEL").is_none()
                && detection["LAST_FIXED_DATETIME"] == "2026-02-15T04:00:00Z"
        );
    }
}

#[test]
fn quirk_32_and_33_the_first_time_that_is_there_is_the_records_time() {
    let hosts = "<HOST><ID>1</ID><LAST_VULN_SCAN_DATETIME></LAST_VULN_SCAN_DATETIME><LAST_VM_SCANNED_DATE>2026-03-02T08:40:55Z</LAST_VM_SCANNED_DATE></HOST>";
    let mut host = Host::new("hosts", serve_page(page(LIST, hosts, "")));
    assert_eq!(host.run().count("time_repaired"), 0);
    assert_eq!(host.records()[0].time_ms, 1_772_440_855_000);
    let hosts = "<HOST><ID>1</ID><LAST_VULN_SCAN_DATETIME>2026-03-02T08:41:17Z</LAST_VULN_SCAN_DATETIME><LAST_VM_SCANNED_DATE>2026-03-02T08:40:55Z</LAST_VM_SCANNED_DATE></HOST>";
    let mut host = Host::new("hosts", serve_page(page(LIST, hosts, "")));
    host.run();
    assert_eq!(host.records()[0].time_ms, 1_772_440_877_000);
}

#[test]
fn quirk_35_the_content_type_of_an_answer_is_not_relied_on() {
    let body = page(LIST, "<HOST><ID>1</ID></HOST>", "");
    let server: Server = Box::new(move |_| {
        let mut answer = Answer::ok(body.clone())?;
        answer
            .headers
            .push(("content-type".to_owned(), "text/html".to_owned()));
        Ok(answer)
    });
    let mut host = Host::new("hosts", server);
    host.run();
    assert_eq!(host.records().len(), 1);
}

#[test]
fn quirk_37_no_compression_is_asked_for_and_a_compressed_answer_is_no_page() {
    let mut host = Host::new("hosts", serve_page(vec![0x1F, 0x8B, 8, 0, 0, 0]));
    assert_eq!(host.batch(0).expect_err("no page").code, "not-xml");
    assert!(
        host.requests()[0]
            .headers()
            .iter()
            .all(|(name, _)| !name.eq_ignore_ascii_case("accept-encoding"))
    );
}
