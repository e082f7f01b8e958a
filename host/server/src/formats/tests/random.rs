//! Records that no plugin should write, but may.

use super::{samples, write};
use crate::formats::Format;
use serde_json::{Map, Value, json};

/// Numbers that are the same in each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("small")
    }

    fn odd(&mut self) -> Value {
        let texts = [
            "",
            " ",
            "é\n\u{0}",
            "192.0.2.1",
            "::",
            "New",
            "CVE-2026-10001",
            "1e999",
            "host",
            "00:00:5e:00:53:01",
        ];
        match self.roll(12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(u64::MAX),
            4 => json!(0.5),
            5 => json!(1e300),
            6 => json!([]),
            7 => json!({}),
            8 => json!([self.odd(), self.odd()]),
            9 => json!({ "full": self.odd(), "id": self.odd(), "base": self.odd() }),
            _ => json!(texts[self.roll(texts.len())]),
        }
    }

    /// Leaves some fields out, and writes something odd into others, at every depth.
    fn spoil(&mut self, map: &mut Map<String, Value>) {
        for name in map.keys().cloned().collect::<Vec<_>>() {
            match self.roll(10) {
                0 => {
                    map.remove(&name);
                }
                1 | 2 => {
                    map.insert(name, self.odd());
                }
                _ => {
                    if let Some(Value::Object(inner)) = map.get_mut(&name) {
                        self.spoil(inner);
                    }
                }
            }
        }
    }
}

#[test]
fn any_record_makes_a_document_with_everything_that_is_required() {
    let mut dice = Dice(7);
    let samples = samples::all();
    let mut classes = [0; 3];
    for round in 0..6_000 {
        let (_, record) = &samples[round % samples.len()];
        let Ok(Value::Object(mut record)) = serde_json::from_str(record) else {
            panic!("a sample is an object");
        };
        dice.spoil(&mut record);
        let record = Value::Object(record).to_string();

        let ocsf = write(Format::Ocsf, &record);
        for required in [
            "activity_id",
            "category_uid",
            "class_uid",
            "severity_id",
            "time",
            "type_uid",
        ] {
            assert!(ocsf[required].is_u64(), "{required} of {record}");
        }
        assert_eq!(ocsf["metadata"]["version"], "1.8.0");
        assert!(ocsf["metadata"]["product"]["name"].is_string(), "{record}");
        let class = ocsf["class_uid"].as_u64().expect("checked above");
        let activity = ocsf["activity_id"].as_u64().expect("checked above");
        assert_eq!(ocsf["type_uid"], class * 100 + activity);
        if let Some(device) = ocsf.get("device") {
            assert!(device["type_id"].is_u64(), "{record}");
            if let Some(os) = device.get("os") {
                assert!(os["name"].is_string() && os["type_id"].is_u64(), "{record}");
            }
        }
        match class {
            2002 => {
                classes[0] += 1;
                assert!(ocsf["finding_info"]["uid"].is_string(), "{record}");
                let found = ocsf["vulnerabilities"].as_array().expect("a list");
                assert!(!found.is_empty());
                for one in found {
                    // Exactly one of them.
                    let cve = one["cve"]["uid"].is_string();
                    assert_ne!(cve, one["advisory"]["uid"].is_string(), "{record}");
                }
            }
            5001 => {
                classes[1] += 1;
                assert!(ocsf["device"].is_object(), "{record}");
            }
            _ => classes[2] += 1,
        }

        let ecs = write(Format::Ecs, &record);
        assert!(ecs["@timestamp"].is_string(), "{record}");
        assert_eq!(ecs["ecs"]["version"], "9.4.0");
        for (object, list) in [("event", "category"), ("host", "ip"), ("related", "hosts")] {
            let list = ecs.get(object).and_then(|object| object.get(list));
            assert!(list.is_none_or(Value::is_array), "{record}");
        }
    }
    // Otherwise much of the above was never tried.
    assert!(classes.iter().all(|count| *count > 200), "{classes:?}");
}
