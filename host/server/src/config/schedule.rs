//! `[schedule]` of the host's configuration, and the device that the host is.

use crate::document::Section;
use crate::failure::Mistake;
use crate::schedule::ScheduleOptions;
use std::time::Duration;

/// A number and its bounds.
struct NumberKey {
    name: &'static str,
    least: u64,
    most: u64,
    set: fn(&mut ScheduleOptions, u64),
}

const NUMBERS: [NumberKey; 3] = [
    NumberKey {
        name: "concurrent_runs",
        least: 1,
        most: 4_096,
        set: |options, value| {
            options.concurrent_runs = usize::try_from(value).unwrap_or(usize::MAX);
        },
    },
    NumberKey {
        name: "jitter_seconds",
        least: 0,
        most: 3_600,
        set: |options, value| options.jitter = Duration::from_secs(value),
    },
    NumberKey {
        name: "shutdown_seconds",
        least: 1,
        most: 3_600,
        set: |options, value| options.shutdown = Duration::from_secs(value),
    },
];

/// Reads both from the top of the file.
pub(super) fn check(top: &Section<'_>, mistakes: &mut Vec<Mistake>) -> ScheduleOptions {
    let mut options = ScheduleOptions::default();
    if let Some(device) = top.text("device", mistakes) {
        device.clone_into(&mut options.device);
    }
    let Some(section) = top.section("schedule", mistakes) else {
        return options;
    };
    section.refuse_unknown(&NUMBERS.map(|key| key.name), mistakes);
    for key in &NUMBERS {
        let Some(value) = section.table.get(key.name) else {
            continue;
        };
        let whole = value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok());
        match whole.filter(|number| (key.least..=key.most).contains(number)) {
            Some(number) => (key.set)(&mut options, number),
            None => {
                let message = format!("must be a whole number from {} to {}", key.least, key.most);
                mistakes.push(section.mistake(key.name, message));
            }
        }
    }
    options
}
