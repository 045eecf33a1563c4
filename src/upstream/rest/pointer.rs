//! JSON pointers (RFC 6901) into answers, checked when they are read, and what
//! is found there as the bridge wants it: a text, a flag, a list.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

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
