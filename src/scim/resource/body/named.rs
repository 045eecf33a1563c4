//! `schemas` of a body, read strictly (RFC 7643 section 3): it names the
//! resource type's own schema and every extension the body uses, and nothing
//! that this connection does not have.

use serde_json::{Map, Value};

use crate::scim::{
    error::{Problem, ScimType},
    json::quoted,
    schema::Kind,
};

/// The extensions that a body says it uses.
pub(super) fn extensions<'a>(
    map: &Map<String, Value>,
    kind: &'a Kind,
) -> Result<Vec<&'a str>, Problem> {
    let mut keys = map.iter();
    let given = keys.find(|(name, _)| name.eq_ignore_ascii_case("schemas"));
    let Some((_, Value::Array(list))) = given else {
        return Err(refused(format!(
            "schemas must be an array that names the body's schemas; send \"schemas\": [{:?}]",
            kind.urn
        )));
    };
    let mut core = false;
    let mut named: Vec<&str> = Vec::new();
    for urn in list {
        let Some(urn) = urn.as_str() else {
            return Err(refused("schemas must be an array of strings".into()));
        };
        let extension = kind.extensions.iter().map(|e| e.urn.as_str());
        let known = extension
            .chain([kind.urn])
            .find(|known| known.eq_ignore_ascii_case(urn));
        match known {
            Some(known) if known == kind.urn && !core => core = true,
            Some(known) if known != kind.urn && !named.contains(&known) => named.push(known),
            Some(_) => return Err(refused(format!("schemas names {} twice", quoted(urn)))),
            None => {
                return Err(refused(format!(
                    "schemas names {}, which is no schema of this resource type here; \
                     /ResourceTypes lists them",
                    quoted(urn)
                )));
            }
        }
    }
    if core {
        return Ok(named);
    }
    Err(refused(format!("schemas must name {}", kind.urn)))
}

/// Refuses attributes of an extension that `schemas` does not name.
pub(super) fn demand(kept: &Map<String, Value>, named: &[&str]) -> Result<(), Problem> {
    let mut used = kept.keys().filter(|name| name.contains(':'));
    match used.find(|urn| !named.contains(&urn.as_str())) {
        None => Ok(()),
        Some(urn) => Err(refused(format!(
            "schemas must name {urn}, which the body uses"
        ))),
    }
}

fn refused(detail: String) -> Problem {
    Problem::bad(ScimType::InvalidSyntax, detail)
}
