//! Bodies that are no records.

use tests::hostile::Attack;

#[tokio::test]
async fn every_body_that_is_no_record_is_refused_with_the_place_and_the_reason() {
    let attacked = Attack::by("bad_bodies").run().await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    for (what, sentence) in [
        (
            "nothing",
            "the body must be one JSON object, and begins with the end of the body at byte 0",
        ),
        (
            "text",
            "the body must be one JSON object, and begins with 'a' at byte 0",
        ),
        (
            "list",
            "the body must be one JSON object, and begins with '[' at byte 0",
        ),
        (
            "cut",
            "the body is not JSON: the end of the body instead of a value at byte 5, in \"/a\"",
        ),
        (
            "two",
            "text follows the object's end at byte 2: one item is one JSON object",
        ),
        (
            "number",
            "the body is not JSON: '0' instead of a value at byte 5, in \"/a\"",
        ),
        (
            "escape",
            "the body is not JSON: a raw control character (0x1b) inside a string at byte 6, in \"/a\"",
        ),
        (
            "surrogate",
            "the body is not JSON: half a surrogate pair at byte 6, in \"/a\"",
        ),
        (
            "envelope",
            "the key \"tenantid\" belongs to the envelope, which only the host writes: leave it out",
        ),
        (
            "envelope escaped",
            "the key \"\\\\u0074imestamp\" belongs to the envelope, which only the host writes: leave it out",
        ),
        (
            "dotted",
            "the top-level key \"host.ip\" has a dot in it: nest objects instead",
        ),
        (
            "dotted escaped",
            "the top-level key \"host\\\\u002eip\" has a dot in it: nest objects instead",
        ),
        (
            "repeated",
            "the key \"\\\\u0063\" occurs twice in the object \"/a/0/b\": its readers would not agree on the value",
        ),
        (
            "deep",
            "the body is nested deeper than 64 levels at byte 68",
        ),
        (
            "old",
            "the event time 0 is not between 2000-01-01 and a day from now (in milliseconds since 1970)",
        ),
        (
            "no key",
            "the item's key \"\" cannot be used: a key has 1 to 512 bytes without control characters",
        ),
        (
            "key with a line",
            "the item's key \"a\\nb\" cannot be used: a key has 1 to 512 bytes without control characters",
        ),
    ] {
        assert_eq!(
            saw[what],
            format!("Reason::InvalidItem 0: {sentence}"),
            "{what}"
        );
    }
    assert!(saw["long key"].starts_with("Reason::InvalidItem 0: the item's key \"kkk"));
    assert_eq!(saw["deep enough"], "ok");
    assert_eq!(attacked.records[0]["tenant_name"], "acme");
}
