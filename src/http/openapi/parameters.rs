//! Every parameter of every operation, with the limits that are enforced
//! (RFC 7644 sections 3.4.2, 3.9 and 3.14).

use serde_json::{Map, Value, json};

use super::Connection;
use crate::scim::{
    catalog::Assignable::{self, Entitlement, Role},
    resource::ResourceType::{Group, User},
};

/// A list of entity tags (RFC 9110 section 8.8.3).
const TAGS: &str = r#"^(W/)?"[ !#-~]*"([ \t]*,[ \t]*(W/)?"[ !#-~]*")*$"#;

pub(super) fn components(connection: &Connection<'_>) -> Value {
    let mut all = Map::new();
    for parameter in ids(connection)
        .into_iter()
        .chain(queries(connection))
        .chain(headers())
    {
        let (key, parameter) = parameter;
        all.insert(key, parameter);
    }
    all.into()
}

/// Segments of a path: what could lead elsewhere is refused, not looked up.
const SEGMENT: &str = r"^(?!\.{1,2}$)[^\x00-\x1f\x7f/\\;%]+$";

/// The `id` of each kind of path. What is discovered is known; resources'
/// ids are given here and can only be unknown.
fn ids(connection: &Connection<'_>) -> Vec<(String, Value)> {
    let offered = Assignable::ALL.into_iter();
    let offered: Vec<_> = offered
        .filter(|of| connection.catalog.supports(*of))
        .collect();
    let schemas = connection.schemas.documents().iter().cloned();
    let schemas = schemas.chain(offered.iter().flat_map(|of| of.documents()));
    let schemas: Vec<Value> = schemas.filter_map(|d| d.get("id").cloned()).collect();
    let mut types = vec![User.name(), Group.name()];
    types.extend(offered.iter().flat_map(|of| [of.name(), of.okta_name()]));
    let resource = json!({"type": "string", "format": "uuid"});
    [
        ("Users", resource.clone()),
        ("Groups", resource),
        ("Roles", values(connection, Role)),
        ("Entitlements", values(connection, Entitlement)),
        ("any", json!({"type": "string", "pattern": SEGMENT})),
        ("Schemas", json!({"type": "string", "enum": schemas})),
        ("ResourceTypes", json!({"type": "string", "enum": types})),
    ]
    .map(|(kind, schema)| {
        let parameter = json!({"name": "id", "in": "path", "required": true, "schema": schema});
        (format!("{kind}.id"), parameter)
    })
    .into()
}

/// The ids of what can be assigned; where there is nothing, any is unknown.
fn values(connection: &Connection<'_>, of: Assignable) -> Value {
    let entries = connection.catalog.entries(of).iter();
    let ids: Vec<&str> = entries.map(|entry| entry.value.as_str()).collect();
    match ids.is_empty() {
        true => json!({"type": "string", "pattern": SEGMENT}),
        false => json!({"type": "string", "enum": ids}),
    }
}

fn queries(connection: &Connection<'_>) -> Vec<(String, Value)> {
    let strict = connection.limits.strict;
    let names = match strict {
        true => json!({"type": "string", "format": "scim-attributes"}),
        false => json!({"type": "string"}),
    };
    vec![
        query(
            "filter",
            "Which resources (RFC 7644 section 3.4.2.2).",
            &json!({
                "type": "string", "format": "scim-filter", "minLength": 1, "maxLength": connection.limits.filter,
            }),
        ),
        query(
            "sortBy",
            "The attribute to sort by (RFC 7644 section 3.4.2.3); without it the order is that of creation.",
            &json!({"type": "string", "format": "scim-attribute"}),
        ),
        query(
            "sortOrder",
            match strict {
                true => "Ascending unless it is descending.",
                false => "Ascending unless it is descending; in any letter case.",
            },
            &match strict {
                true => json!({"type": "string", "enum": ["ascending", "descending"]}),
                false => json!({"type": "string", "enum": ["ascending", "descending", ""]}),
            },
        ),
        query(
            "cursor",
            "Asks for pages by cursor (RFC 9865): empty for the first page, else the nextCursor or previousCursor of an answer to the same query. Not together with startIndex, and with the same count for every page.",
            &json!({"type": "string", "format": "scim-cursor"}),
        ),
        query(
            "startIndex",
            "The first of the page, counted from 1; less counts as 1.",
            &json!({"type": "integer", "default": 1}),
        ),
        query(
            "count",
            "The most resources of the page; more than the maximum counts as the maximum, less than 0 as 0.",
            &json!({
                "type": "integer", "default": crate::scim::query::DEFAULT_COUNT,
            }),
        ),
        query(
            "attributes",
            "What to show besides what is always shown: names joined by commas (RFC 7644 section 3.9).",
            &names,
        ),
        query(
            "excludedAttributes",
            "What not to show, of what is not always shown: names joined by commas.",
            &names,
        ),
    ]
}

fn headers() -> Vec<(String, Value)> {
    let list = json!({"type": "string", "pattern": TAGS});
    let tags = json!({"anyOf": [{"const": "*"}, list]});
    let tags_or_none = json!({"anyOf": [{"const": "*"}, {"const": ""}, list]});
    vec![
        header(
            "If-Match",
            "Only if the resource is at one of these versions; `*` is any.",
            &tags,
        ),
        header(
            "If-None-Match",
            "Only if the resource is at none of these versions; empty counts as none.",
            &tags_or_none,
        ),
    ]
}

fn query(name: &str, description: &str, schema: &Value) -> (String, Value) {
    (
        name.to_owned(),
        json!({"name": name, "in": "query", "description": description, "schema": schema}),
    )
}

fn header(name: &str, description: &str, schema: &Value) -> (String, Value) {
    (
        name.to_owned(),
        json!({"name": name, "in": "header", "description": description, "schema": schema}),
    )
}
