//! One recorded exchange: what is sent, what a good answer looks like, what is
//! kept for later cases. The format is told in `conformance/README.md`; a key
//! that it does not know is an error, because a misspelt expectation would
//! otherwise pass for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A repetition above this is taken for a slip of the pen.
pub const MOST_REPETITIONS: u32 = 10_000;

/// One case file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// Public URL, or repository and path, that the exchange was taken from.
    pub source: String,
    pub confidence: Confidence,
    pub kind: Kind,
    /// Servers may lack what this case shows; see `Optional` in the options.
    #[serde(default)]
    pub optional: bool,
    /// The feature without which the case is skipped.
    #[serde(default)]
    pub requires: Option<String>,
    #[serde(default)]
    pub repeat: Option<Repeat>,
    pub request: Request,
    pub expect: Expect,
    /// Variable to path in the answer; a name that ends in `[]` appends.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Vendor text or vendor test file.
    Documented,
    /// Trace or report by a third party.
    Observed,
    /// Follows from an RFC or from a neighbouring fact.
    Derived,
    /// No evidence of this vendor's exact shape.
    Low,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The provider sends it.
    Client,
    /// Ours: reads the state back.
    Verify,
    /// Must fail as stated.
    Negative,
}

/// Sends the case `n` times, with the variable `r#as` = 1..=n.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    pub n: u32,
    pub r#as: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub method: String,
    /// Below the SCIM base URL, or a whole URL when `base` says so.
    pub path: String,
    #[serde(default)]
    pub base: Option<Base>,
    /// Decoded; sent percent-encoded.
    #[serde(default)]
    pub query: Map<String, Value>,
    /// The query exactly as on the wire; an empty string is a bare `?`.
    #[serde(default)]
    pub raw_query: Option<String>,
    /// An empty value is sent as an empty header.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<Value>,
    /// Exact bytes, malformed on purpose.
    #[serde(default)]
    pub raw_body: Option<String>,
    #[serde(default)]
    pub form: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    Absolute,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Any one of these.
    pub status: Vec<u16>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<Value>,
    #[serde(default)]
    pub notes: String,
}

impl Confidence {
    pub fn word(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Observed => "observed",
            Self::Derived => "derived",
            Self::Low => "low confidence",
        }
    }
}

impl Case {
    /// Reads one file. The message names the key and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let reader = &mut serde_json::Deserializer::from_str(text);
        let case: Self =
            serde_path_to_error::deserialize(reader).map_err(|error| error.to_string())?;
        case.checked()
    }

    fn checked(self) -> Result<Self, String> {
        let bodies = [
            self.request.body.is_some(),
            self.request.raw_body.is_some(),
            self.request.form.is_some(),
        ];
        if bodies.iter().filter(|given| **given).count() > 1 {
            return Err("request: give one of body, raw_body and form".into());
        }
        if self.expect.status.is_empty() {
            return Err("expect.status: name at least one status".into());
        }
        if self
            .repeat
            .as_ref()
            .is_some_and(|repeat| repeat.n == 0 || repeat.n > MOST_REPETITIONS)
        {
            return Err(format!(
                "repeat.n: give a number from 1 to {MOST_REPETITIONS}"
            ));
        }
        if let Some(body) = &self.expect.body {
            crate::matching::check_pattern(body)
                .map_err(|wrong| format!("expect.body: {wrong}"))?;
        }
        for (header, pattern) in &self.expect.headers {
            crate::matching::check_pattern(&Value::from(pattern.as_str()))
                .map_err(|wrong| format!("expect.headers.{header}: {wrong}"))?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const GOOD: &str = r#"{"name":"a","source":"s","confidence":"low","kind":"client",
        "request":{"method":"GET","path":"/Users"},"expect":{"status":[200]}}"#;

    #[test]
    fn a_minimal_case_is_read() {
        assert_eq!(Case::parse(GOOD).unwrap().request.path, "/Users");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let text = GOOD.replace(r#""status":[200]"#, r#""status":[200],"bodi":{}"#);
        let wrong = Case::parse(&text).unwrap_err();
        assert!(
            wrong.contains("expect") && wrong.contains("bodi"),
            "{wrong}"
        );
    }

    #[test]
    fn an_unknown_matcher_is_refused() {
        let text = GOOD.replace(
            r#""status":[200]"#,
            r#""status":[200],"body":{"id":"$nonemtpy"}"#,
        );
        assert!(Case::parse(&text).unwrap_err().contains("$nonemtpy"));
    }

    #[test]
    fn two_bodies_are_refused() {
        let text = GOOD.replace(
            r#""path":"/Users""#,
            r#""path":"/Users","body":{},"raw_body":"x""#,
        );
        assert!(Case::parse(&text).unwrap_err().contains("one of body"));
    }
}
