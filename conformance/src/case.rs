//! One case: what must be there before, what is sent, what a good answer looks
//! like, what must be seen afterwards, what is kept for later cases. The format
//! is told in `conformance/README.md`; a key that it does not know is an error,
//! because a misspelt expectation would otherwise pass for ever. Files that hold
//! many cases in a shorter form are made into these by `list`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::matching::check_pattern;

/// A repetition above this is taken for a slip of the pen.
pub const MOST_REPETITIONS: u32 = 10_000;

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// RFC and section, or public URL, or repository and path.
    pub source: String,
    /// What passing shows, as one sentence.
    #[serde(default)]
    pub says: String,
    pub confidence: Confidence,
    pub kind: Kind,
    /// Servers may lack what this case shows; see `Optional` in the options.
    #[serde(default)]
    pub optional: bool,
    /// The features without any one of which the case is skipped.
    #[serde(default, deserialize_with = "one_or_many")]
    pub requires: Vec<String>,
    /// Only for servers in this mode; the outcomes differ by design.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// What it makes is deleted when it is over.
    #[serde(default)]
    pub alone: bool,
    #[serde(default)]
    pub repeat: Option<Repeat>,
    /// Played before; a step that goes wrong fails the case.
    #[serde(default)]
    pub given: Vec<Step>,
    pub request: Request,
    pub expect: Expect,
    /// Variable to path in the answer; a name that ends in `[]` appends.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Played afterwards, to see what became of it.
    #[serde(default)]
    pub then: Vec<Step>,
    /// Other outcomes that the source leaves open.
    #[serde(default)]
    pub or: Vec<Outcome>,
}

/// An exchange before or after the one that a case is about.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub request: Request,
    /// Without a status: any of 200 to 299.
    #[serde(default)]
    pub expect: Expect,
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Waited before it, for servers whose clock shows whole seconds.
    #[serde(default)]
    pub pause_ms: u64,
}

/// What the answer is, and what is seen afterwards.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub expect: Expect,
    #[serde(default)]
    pub then: Vec<Step>,
}

/// How a server treats what the RFC forbids and clients do all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Bent as identity providers need it.
    #[default]
    Lenient,
    /// Refused.
    Strict,
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
    /// Shows a rule kept.
    Positive,
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
    /// Asks for the following pages too, and joins their `Resources`.
    #[serde(default)]
    pub pages: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    Absolute,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Any one of these.
    #[serde(default, deserialize_with = "one_or_many")]
    pub status: Vec<u16>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<Value>,
    /// A SCIM error with any one of these as its scimType; `any` for whatever scimType.
    #[serde(default, deserialize_with = "one_or_many")]
    pub error: Vec<String>,
    /// Assertions that are counted one by one.
    #[serde(default)]
    pub checks: Vec<Check>,
    #[serde(default)]
    pub notes: String,
}

/// Where in the answer, and what must be there.
#[derive(Debug, Clone, Deserialize)]
pub struct Check(pub String, pub Value);

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

impl Mode {
    pub fn word(self) -> &'static str {
        match self {
            Self::Lenient => "lenient",
            Self::Strict => "strict",
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

    /// Takes a case that is JSON already.
    pub fn take(value: Value) -> Result<Self, String> {
        let case: Self =
            serde_path_to_error::deserialize(value).map_err(|error| error.to_string())?;
        case.checked()
    }

    /// Every exchange of the case, in the order of play.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        let before = self.given.iter().map(|step| &step.request);
        let others = self.or.iter().flat_map(|outcome| &outcome.then);
        let after = self.then.iter().chain(others).map(|step| &step.request);
        before.chain([&self.request]).chain(after)
    }

    /// Whether anything in it can change the server.
    pub fn writes(&self) -> bool {
        self.requests()
            .any(|request| !matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS"))
    }

    /// How many assertions it is counted as.
    pub fn weight(&self) -> usize {
        self.expect.checks.len().max(1)
    }

    fn checked(self) -> Result<Self, String> {
        if self.expect.status.is_empty() && self.expect.checks.is_empty() {
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
        let others = self.or.iter().flat_map(|outcome| &outcome.then);
        for step in self.given.iter().chain(&self.then).chain(others) {
            step.checked()?;
        }
        self.request.checked()?;
        self.expect.checked()?;
        self.or.iter().try_for_each(|or| or.expect.checked())?;
        Ok(self)
    }
}

impl Step {
    pub fn take(value: Value) -> Result<Self, String> {
        let step: Self =
            serde_path_to_error::deserialize(value).map_err(|error| error.to_string())?;
        step.checked()?;
        Ok(step)
    }

    fn checked(&self) -> Result<(), String> {
        self.request.checked()?;
        self.expect.checked()
    }
}

impl Request {
    fn checked(&self) -> Result<(), String> {
        let bodies = [
            self.body.is_some(),
            self.raw_body.is_some(),
            self.form.is_some(),
        ];
        if bodies.iter().filter(|given| **given).count() > 1 {
            return Err("request: give one of body, raw_body and form".into());
        }
        Ok(())
    }
}

impl Expect {
    fn checked(&self) -> Result<(), String> {
        if let Some(body) = &self.body {
            check_pattern(body).map_err(|wrong| format!("expect.body: {wrong}"))?;
        }
        for (header, pattern) in &self.headers {
            check_pattern(&Value::from(pattern.as_str()))
                .map_err(|wrong| format!("expect.headers.{header}: {wrong}"))?;
        }
        for Check(at, pattern) in &self.checks {
            check_pattern(pattern).map_err(|wrong| format!("expect.checks {at}: {wrong}"))?;
        }
        Ok(())
    }
}

/// A lone value is a list of one.
fn one_or_many<'de, D, T>(reader: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Value::deserialize(reader)?;
    let list = if value.is_array() {
        value
    } else {
        Value::Array(vec![value])
    };
    serde_json::from_value(list).map_err(serde::de::Error::custom)
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
