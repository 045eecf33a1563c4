//! What numbers of a configuration can be meant. Beyond these nothing is gained
//! that an application could give, and a slip of a few zeros would be a body that
//! nobody takes, or a pace that is none.

use std::time::Duration;

use super::Settings;

/// Members in one call, whatever the application says.
pub(in crate::upstream) const MOST_MEMBERS: usize = 100_000;
/// Entries that one page is asked to have.
pub(in crate::upstream) const MOST_ENTRIES: usize = 10_000;

/// Nothing answers sooner.
const SOONEST: (Duration, &str) = (Duration::from_millis(10), "10ms");

/// What is wrong with how much an application is asked, and how long it may take.
pub(super) fn problems(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value, most) in [
        ("requests_per_second", settings.requests_per_second, 100_000),
        (
            "requests_per_minute",
            settings.requests_per_minute.unwrap_or(1),
            6_000_000,
        ),
        ("burst", settings.burst, 100_000),
        ("concurrency", settings.concurrency, 1_000),
        ("reply_limit_mib", settings.reply_limit_mib, 1_024),
    ] {
        if value == 0 {
            found.push(format!(
                "{key} = 0 would let nothing through: write at least 1"
            ));
        }
        found.extend(too_much(key, value as usize, most));
    }
    let penalty = settings.penalty.unwrap_or(SOONEST.0);
    for (key, span, most, words) in [
        ("connect_timeout", settings.connect_timeout, 60, "1m"),
        ("timeout", settings.timeout, 10 * 60, "10m"),
        ("penalty", penalty, 60 * 60, "1h"),
    ] {
        let (least, soonest) = SOONEST;
        if span < least {
            found.push(format!(
                "{key}: {span:?} is shorter than any call: write \"{soonest}\" at least"
            ));
        }
        if span > Duration::from_secs(most) {
            found.push(format!(
                "{key}: {span:?} is longer than anything can wait for it: write \"{words}\" at most"
            ));
        }
    }
    found
}

/// A number that cannot be meant.
pub(in crate::upstream) fn too_much(key: &str, value: usize, most: usize) -> Option<String> {
    (value > most)
        .then(|| format!("{key}: {value} is more than any application takes: write {most} at most"))
}
