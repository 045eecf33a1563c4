//! JSON as the edge accepts it: no duplicate keys, bounded depth, nothing
//! after the document (reliability: S-20 to S-22).
//!
//! Two readers that understand the same bytes differently are a way around
//! every check, so what is ambiguous is refused instead of being guessed.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, map::Entry};

use super::error::{Problem, ScimType};

/// Bounds on one request body. Advertised where `ServiceProviderConfig`
/// has a place, enforced always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nesting of objects and arrays.
    pub depth: usize,
    /// Operations in one PATCH.
    pub operations: usize,
    /// Operations in one bulk request.
    pub bulk_operations: usize,
    /// Members named in one request.
    pub members: usize,
    /// Bytes of a filter.
    pub filter: usize,
    /// Nesting of a filter.
    pub filter_depth: usize,
    /// Whether the interoperability profile is demanded instead of reading
    /// kindly: what a schema does not define is refused, and so is every
    /// departure from the RFCs that lenient reading allows identity providers.
    pub strict: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 32,
            operations: 1_000,
            bulk_operations: 100,
            members: 10_000,
            filter: 4_096,
            filter_depth: 32,
            strict: false,
        }
    }
}

/// Parses a whole body strictly. Every failure is 400 `invalidSyntax` and
/// says the line and column.
pub fn parse(body: &[u8], limits: &Limits) -> Result<Value, Problem> {
    parse_with(Bounded::new(limits), body)
}

/// Reads a whole body with a seed of its own. The seed counts its depth by
/// handing on [`Bounded`]; `serde_json` itself stops at 128.
pub(super) fn parse_with<'de, S>(seed: S, body: &'de [u8]) -> Result<S::Value, Problem>
where
    S: DeserializeSeed<'de>,
{
    let text = utf8(body)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut reader).map_err(|e| syntax(&e))?;
    reader.end().map_err(|e| syntax(&e))?;
    Ok(value)
}

/// A client's text as it may be repeated in an answer: short.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

fn utf8(body: &[u8]) -> Result<&str, Problem> {
    let refuse = |detail: String| Err(Problem::bad(ScimType::InvalidSyntax, detail));
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let before = body.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|b| *b == b'\n').count();
            let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
            return refuse(format!(
                "the body is not UTF-8 at line {line} column {column}; send JSON in UTF-8"
            ));
        }
    };
    if text.starts_with('\u{feff}') {
        return refuse(
            "the body begins with a byte order mark at line 1 column 1; leave it out".into(),
        );
    }
    if text.trim_ascii().is_empty() {
        return refuse("the body is empty at line 1 column 1; send a JSON object".into());
    }
    Ok(text)
}

fn syntax(error: &serde_json::Error) -> Problem {
    Problem::bad(
        ScimType::InvalidSyntax,
        format!("the body is not acceptable JSON: {error}"),
    )
}

/// Builds a [`Value`], refusing a key given twice and too much depth. Names
/// of attributes know no letter case, so strictly neither do keys; leniently
/// two spellings are taken when they say the same (see the readers).
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounded {
    most: usize,
    left: usize,
    pub(super) strict: bool,
}

impl Bounded {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.depth,
            left: limits.depth,
            strict: limits.strict,
        }
    }

    /// The seed for what is inside an object or array.
    pub(super) fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(E::custom(format_args!(
                "objects and arrays are nested deeper than {}",
                self.most
            ))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Map::new();
        let mut spelled = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.strict && !spelled.insert(key.to_ascii_lowercase()) {
                return Err(twice(&key));
            }
            match values.entry(key) {
                Entry::Vacant(place) => place.insert(map.next_value_seed(inner)?),
                Entry::Occupied(place) => return Err(twice(place.key())),
            };
        }
        Ok(values.into())
    }
}

/// The refusal of a key given twice in one object.
pub(super) fn twice<E: serde::de::Error>(key: &str) -> E {
    E::custom(format_args!("the key {} is given twice", quoted(key)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refused(body: impl AsRef<[u8]>) -> String {
        let problem = parse(body.as_ref(), &Limits::default()).unwrap_err();
        assert_eq!(problem.status, 400);
        assert_eq!(problem.scim_type, Some(ScimType::InvalidSyntax));
        problem.detail
    }

    #[test]
    fn plain_json_is_read() {
        let body = br#" {"a":[1,-2,3.5,true,null,"x\u00e9"],"b":{}} "#;
        let expected = json!({"a": [1, -2, 3.5, true, null, "x\u{e9}"], "b": {}});
        assert_eq!(parse(body, &Limits::default()).unwrap(), expected);
    }

    #[test]
    fn a_key_given_twice_is_refused_at_every_level() {
        assert!(refused("{\"a\":1,\n\"a\":2}").contains("line 2 column"));
        assert!(refused(r#"{"x":[{"a":1,"\u0061":2}]}"#).contains("given twice"));
    }

    #[test]
    fn strictly_letter_case_makes_no_other_key() {
        let body = br#"{"x":[{"active":true,"Active":true}]}"#;
        let strict = Limits {
            strict: true,
            ..Limits::default()
        };
        assert!(parse(body, &Limits::default()).is_ok());
        let problem = parse(body, &strict).unwrap_err();
        assert!(
            problem.detail.contains("\"Active\" is given twice"),
            "{problem}"
        );
    }

    #[test]
    fn what_is_not_one_json_document_is_refused_with_its_place() {
        for body in [
            "",
            " ",
            "{",
            "{} x",
            "{}{}",
            "{'a':1}",
            "{\"a\":01}",
            "NaN",
            "1e999",
            "\u{feff}{}",
        ] {
            let detail = refused(body);
            assert!(detail.contains("line 1 column"), "{body}: {detail}");
        }
        assert!(refused(b"{\"a\":\n\"\xff\"}").contains("line 2 column 2"));
        refused(r#"{"a":"\ud800"}"#);
    }

    #[test]
    fn depth_is_bounded_before_the_stack_is() {
        let deep = |n: usize| ["[".repeat(n), "]".repeat(n)].concat();
        assert!(parse(deep(32).as_bytes(), &Limits::default()).is_ok());
        assert!(refused(deep(33)).contains("deeper than 32"));
        refused("[".repeat(1_000_000));
        refused("{\"a\":".repeat(1_000_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body, &Limits::default());
        }
    }
}
