//! JSON pointers (RFC 6901) into answers, checked when they are read, and what
//! is found there as the bridge wants it: a text, a flag, a list.

use std::ops::Range;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::upstream::Millis;

/// Where something stands in an answer; the empty one is the answer itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointer(String);

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!(
                "{text:?} is no JSON pointer; begin with \"/\", as in \"/data/id\""
            ));
        }
        let mut parts = text.split('~').skip(1);
        if parts.any(|part| !part.starts_with(['0', '1'])) {
            return Err(format!(
                "{text:?} is no JSON pointer; write \"~0\" for \"~\" and \"~1\" for \"/\" in a key"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it points to this key at the top, or into it.
    pub(super) fn is_in(&self, key: &str) -> bool {
        self.0.split('/').nth(1) == Some(key)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What it points into.
    pub(super) fn within<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        let (parent, _) = self.0.rsplit_once('/')?;
        value.pointer(parent)
    }

    pub(super) fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        value.pointer(&self.0)
    }

    /// A text that is not empty, or a whole number as one.
    pub(super) fn text(&self, value: &Value) -> Option<String> {
        text_of(self.of(value)?)
    }

    /// A number of things, also as digits in a text.
    pub(super) fn count(&self, value: &Value) -> Option<u64> {
        match self.of(value)? {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        }
    }

    /// A moment: a date of RFC 3339, or the seconds or milliseconds since 1970, also as
    /// digits in a text.
    pub(super) fn moment(&self, value: &Value) -> Option<Millis> {
        match self.of(value)? {
            Value::String(text) => {
                let text = text.trim();
                let date = text.parse::<jiff::Timestamp>().ok();
                let date = date.map(jiff::Timestamp::as_millisecond);
                date.or_else(|| since_1970(text.parse().ok()?))
            }
            other => since_1970(other.as_f64()?),
        }
    }
}

/// From 1990 to 2100, in seconds: as milliseconds that is no longer 1970, so one is not
/// taken for the other.
const YEARS: Range<f64> = 631_152_000.0..4_102_444_800.0;

#[allow(
    clippy::cast_possible_truncation,
    reason = "within these years it fits"
)]
fn since_1970(number: f64) -> Option<Millis> {
    let of_seconds = YEARS.contains(&number).then_some(number * 1_000.0);
    let millis = of_seconds.or(YEARS.contains(&(number / 1_000.0)).then_some(number));
    millis.map(|millis| millis as Millis)
}

pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_str() {
            "" => f.write_str("the top"),
            text => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_is_a_date_or_a_time_since_1970_in_seconds_or_milliseconds() {
        let at = Pointer::parse("/at").unwrap();
        let moment = |value: Value| at.moment(&json!({ "at": value }));
        for value in [
            json!("2026-01-01T00:00:00Z"),
            json!(" 2026-01-01T01:00:00+01:00"),
            json!(1_767_225_600),
            json!(1_767_225_600_000_i64),
            json!(1_767_225_600.0),
            json!("1767225600"),
            json!("1767225600000"),
        ] {
            assert_eq!(moment(value.clone()), Some(1_767_225_600_000), "{value}");
        }
        assert_eq!(moment(json!(1_767_225_600.25)), Some(1_767_225_600_250));
        for odd in [
            json!(0),
            json!(-1),
            json!(20_260_101),
            json!(99_999_999_999_i64),
            json!(1_767_225_600_000_000_i64),
            json!("yesterday"),
            json!("NaN"),
            json!(true),
            json!(null),
        ] {
            assert_eq!(moment(odd.clone()), None, "{odd}");
        }
    }

    #[test]
    fn a_count_is_a_number_or_digits() {
        let at = Pointer::parse("/n").unwrap();
        let count = |value: Value| at.count(&json!({ "n": value }));
        assert_eq!(
            [json!(4), json!("4"), json!(" 4 ")].map(count),
            [Some(4); 3]
        );
        let odd = [
            json!(-1),
            json!(1.5),
            json!("4 of 5"),
            json!(""),
            json!(null),
        ];
        assert_eq!(odd.map(count), [None; 5]);
    }

    #[test]
    fn pointers_are_those_of_rfc_6901() {
        let value = json!({ "a/b": [{ "m~n": " x " }, 8, 1.5, true] });
        for (pointer, found) in [
            ("/a~1b/0/m~0n", Some("x")),
            ("/a~1b/1", Some("8")),
            ("/a~1b/2", None),
            ("/a~1b/3", None),
            ("/a~1b/9", None),
            ("", None),
        ] {
            let pointer = Pointer::parse(pointer).unwrap();
            assert_eq!(pointer.text(&value).as_deref(), found, "{pointer}");
        }
        let at = Pointer::parse("/a~1b/0/id").unwrap();
        assert_eq!(at.within(&value), Some(&json!({ "m~n": " x " })));
        assert!(at.is_in("a~1b") && !at.is_in("id") && !Pointer::default().is_in(""));
        for wrong in ["a", "$.a", "/a~", "/a~2", "#/a"] {
            assert!(Pointer::parse(wrong).is_err(), "{wrong}");
        }
    }
}
