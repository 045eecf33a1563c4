//! Attribute paths (RFC 7644 figures 1 and 7): `name.familyName`,
//! `emails[type eq "work"].value`, `urn:...:User:manager`.
//!
//! A path is resolved against the schema as it is read. That an attribute is
//! unknown is left to the caller to judge, because clients also unset
//! attributes that we do not have.

use super::{
    error::{Problem, ScimType},
    filter::Filter,
    json::{Limits, quoted},
    resource::ResourceType,
    schema::{Attribute, Extension, Named, Schemas},
};

/// A path resolved against the schema, in canonical spelling.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The extension's URN; `None` for core attributes, also when the client
    /// wrote the core URN.
    pub extension: Option<String>,
    /// Empty when the path is an extension's URN alone.
    pub attribute: String,
    pub filter: Option<Box<Filter>>,
    pub sub_attribute: Option<String>,
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// The core schema's URN alone: the resource itself.
    Resource,
    Extension(&'a Extension),
    Attribute(Path, &'a Attribute),
    /// Well formed, and nothing we know.
    Unknown,
}

/// Reads a path. A malformed one is 400 `invalidPath`, a wrong filter in it
/// `invalidFilter`.
pub(super) fn parse<'a>(
    text: &str,
    of: ResourceType,
    schemas: &'a Schemas,
    limits: &Limits,
) -> Result<Place<'a>, Problem> {
    let text = text.trim();
    if text.len() > limits.filter {
        return Err(invalid(text, "it is too long"));
    }
    let bracket = text.find('[');
    let head = text.get(..bracket.unwrap_or(text.len())).unwrap_or(text);
    let (extension, attribute, sub) =
        match (schemas.kind(of).resolve_as(head, limits.strict), bracket) {
            (
                Named::Attribute {
                    extension,
                    attribute,
                    sub,
                },
                _,
            ) => (extension, attribute, sub),
            (Named::Core, None) => return Ok(Place::Resource),
            (Named::Extension(extension), None) => return Ok(Place::Extension(extension)),
            (Named::Unknown, _) => return Ok(Place::Unknown),
            (Named::Core | Named::Extension(_), Some(_)) => {
                return Err(invalid(text, "a schema has no values to select"));
            }
            (Named::Malformed, _) => {
                return Err(invalid(
                    text,
                    "write attribute, attribute.subAttribute or attribute[filter].subAttribute",
                ));
            }
        };
    let mut path = Path {
        extension: extension.map(Into::into),
        attribute: attribute.name.clone(),
        filter: None,
        sub_attribute: sub.map(|sub| sub.name.clone()),
    };
    let Some(bracket) = bracket else {
        return Ok(Place::Attribute(path, attribute));
    };
    if sub.is_some() || !attribute.multi {
        return Err(invalid(
            text,
            "only a multi-valued attribute has values to select",
        ));
    }
    let start = bracket + 1;
    let (filter, end) = Filter::parse_in_path(text, start, attribute, of, schemas, limits)?;
    path.filter = Some(Box::new(filter));
    match text.get(end..).unwrap_or_default() {
        "" => {}
        rest => {
            let name = rest.strip_prefix('.').unwrap_or_default();
            let Some(sub) = attribute.sub(name) else {
                let why = format!(
                    "{} has no such sub-attribute after the brackets",
                    attribute.name
                );
                return Err(invalid(text, &why));
            };
            path.sub_attribute = Some(sub.name.clone());
        }
    }
    Ok(Place::Attribute(path, attribute))
}

/// The refusal of a path, with the path and the reason.
pub(super) fn invalid(path: &str, why: &str) -> Problem {
    Problem::bad(
        ScimType::InvalidPath,
        format!("the path {} leads nowhere: {why}", quoted(path)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::sync::LazyLock;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../tests/data/vectors/path-vectors.json");

    fn read(text: &str, of: ResourceType) -> Result<Path, Problem> {
        static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::new(&[], &[]));
        match parse(text, of, &SCHEMAS, &Limits::default())? {
            Place::Attribute(path, _) => Ok(path),
            other => Err(invalid(text, &format!("{other:?}"))),
        }
    }

    #[test]
    fn every_path_vector_is_read_or_refused_as_it_should() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        for vector in vectors["vectors"].as_array().unwrap() {
            let of = match vector["resource"].as_str() {
                Some("Group") => ResourceType::Group,
                _ => ResourceType::User,
            };
            let text = vector["path"].as_str().unwrap();
            let path = read(text, of);
            if vector["valid"] == false {
                let problem = path.unwrap_err();
                assert_eq!(problem.status, 400, "{text}");
                let kind = problem.scim_type.unwrap().as_str();
                let allowed = vector["scimType"].as_array().unwrap();
                assert!(allowed.iter().any(|k| k == kind), "{text}: {problem}");
                continue;
            }
            let (path, expected) = (path.unwrap(), &vector["parse"]);
            assert_eq!(
                Some(path.attribute.as_str()),
                expected["attr"].as_str(),
                "{text}"
            );
            assert_eq!(
                path.sub_attribute.as_deref(),
                expected["sub"].as_str(),
                "{text}"
            );
            let urn = expected["urn"]
                .as_str()
                .filter(|urn| urn.contains(":extension:"));
            assert_eq!(path.extension.as_deref(), urn, "{text}");
            let filter = expected["filter"].as_str().map(|filter| {
                let bracketed = format!("{}[{filter}]", path.attribute);
                read(&bracketed, of).unwrap().filter.unwrap()
            });
            assert_eq!(path.filter, filter, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_before_the_stack_is() {
        let wide = Limits {
            filter: usize::MAX,
            ..Limits::default()
        };
        let schemas = Schemas::new(&[], &[]);
        for open in ["emails[", "emails[(", "emails[not (", "["] {
            let text = open.repeat(100_000);
            let parsed = parse(&text, ResourceType::User, &schemas, &wide);
            assert_eq!(parsed.unwrap_err().status, 400);
        }
        let text = format!("emails[{}", "(".repeat(100_000));
        let parsed = parse(&text, ResourceType::User, &schemas, &wide);
        assert!(parsed.unwrap_err().detail.contains("nested deeper"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}", tail in ".{0,20}") {
            let _ = read(&text, ResourceType::User);
            let _ = read(&format!("emails[{text}].{tail}"), ResourceType::User);
        }
    }
}
