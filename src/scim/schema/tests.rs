//! Every characteristic that is served is shown by behaviour: the walk takes
//! each attribute of each document that `/Schemas` lists for users and groups
//! (with an extension that claims everything there is to claim) and tries what
//! its definition promises and what it forbids.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "only a closure takes claims of any lifetime"
)]

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::scim::{
    error::{Problem, ScimType},
    filter::{Filter, Subject},
    json::Limits,
    message::PATCH_OP,
    patch,
    query::Projection,
    resource::{Attributes, ResourceId, group_from_json, replaced, user_from_json},
};

mod standard;

const APP: &str = "urn:example:app:2.0:User";

/// An extension with what the standard attributes do not claim: every type on
/// its own and in lists, immutable, required and canonical parts.
fn app() -> Value {
    let simple = |name: &str, kind: &str, multi: bool, more: Value| {
        let mut definition = json!({
            "name": name, "type": kind, "multiValued": multi, "description": name,
            "required": false, "caseExact": false, "mutability": "readWrite",
            "returned": "default", "uniqueness": "none",
        });
        let map = definition.as_object_mut().unwrap();
        map.extend(more.as_object().unwrap().clone());
        definition
    };
    let plain = |name, kind| simple(name, kind, false, json!({}));
    let many = |name, kind| simple(name, kind, true, json!({}));
    let grant = json!([
        simple(
            "value",
            "string",
            false,
            json!({"required": true, "caseExact": true})
        ),
        simple(
            "level",
            "string",
            false,
            json!({"canonicalValues": ["Low", "High"]})
        ),
        simple(
            "since",
            "dateTime",
            false,
            json!({"mutability": "immutable"})
        ),
        simple("by", "string", false, json!({"mutability": "readOnly"})),
    ]);
    json!({
        "id": APP, "name": "App", "description": "The application's own",
        "attributes": [
            plain("text", "string"), plain("flag", "boolean"), plain("share", "decimal"),
            plain("count", "integer"), plain("since", "dateTime"), plain("page", "reference"),
            plain("key", "binary"), many("tags", "string"), many("flags", "boolean"),
            many("counts", "integer"), many("shares", "decimal"), many("days", "dateTime"),
            many("pages", "reference"), many("keys", "binary"),
            simple("code", "string", false, json!({"caseExact": true, "mutability": "immutable"})),
            simple("seen", "string", false, json!({"mutability": "readOnly"})),
            simple("shown", "string", false, json!({"returned": "always"})),
            simple("must", "string", false, json!({"required": true})),
            simple("kind", "string", false, json!({"canonicalValues": ["a", "b"]})),
            simple("grant", "complex", false, json!({"subAttributes": grant})),
            simple("grants", "complex", true, json!({"subAttributes": grant})),
        ],
    })
}

fn schemas() -> Schemas {
    Schemas::new(&[app()], &[])
}

fn strict() -> Limits {
    Limits {
        strict: true,
        ..Limits::default()
    }
}

/// A served attribute or sub-attribute, and where it stands.
struct Claim<'a> {
    schemas: &'a Schemas,
    of: ResourceType,
    /// `None` in a core schema.
    extension: Option<&'a str>,
    parent: Option<&'a Value>,
    definition: &'a Value,
}

fn name(definition: &Value) -> &str {
    definition["name"].as_str().unwrap()
}

fn is(definition: &Value, characteristic: &str, value: &str) -> bool {
    definition[characteristic] == value
}

fn parts(definition: &Value) -> &[Value] {
    let list = definition["subAttributes"].as_array();
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A value that the definition promises to take, without the list around it.
fn one(definition: &Value) -> Value {
    if let Some(canonical) = definition["canonicalValues"].get(0) {
        return canonical.clone();
    }
    match definition["type"].as_str().unwrap() {
        "string" => "Sample".into(),
        "boolean" => true.into(),
        "decimal" => json!(1.5),
        "integer" => 7.into(),
        "dateTime" => "2026-01-31T12:00:00Z".into(),
        "reference" => "https://example.com/x".into(),
        "binary" => "TWFu".into(),
        "complex" => {
            let writable = parts(definition)
                .iter()
                .filter(|p| !is(p, "mutability", "readOnly"));
            writable
                .map(|part| (name(part).to_owned(), whole(part)))
                .collect()
        }
        other => panic!("{other} is no type"),
    }
}

fn whole(definition: &Value) -> Value {
    if definition["multiValued"] == true {
        return json!([one(definition)]);
    }
    one(definition)
}

/// JSON that is no value of the type, however it is read.
fn wrong(definition: &Value) -> Vec<Value> {
    match definition["type"].as_str().unwrap() {
        "boolean" => vec![json!(1), json!("maybe"), json!({"a": true})],
        "decimal" => vec![json!("1.5"), json!(true)],
        "integer" => vec![json!(1.5), json!("7"), json!(false)],
        "dateTime" => vec![json!("yesterday"), json!(1)],
        "reference" => vec![json!("no address"), json!(1)],
        "binary" => vec![json!("not base64!"), json!(1)],
        "complex" => vec![json!(1), json!(true)],
        _ => vec![json!(1), json!(true), json!({"a": "b"})],
    }
}

impl Claim<'_> {
    fn top(&self) -> &Value {
        self.parent.unwrap_or(self.definition)
    }

    fn path(&self) -> String {
        let mut path = self
            .extension
            .map(|urn| format!("{urn}:"))
            .unwrap_or_default();
        path.push_str(name(self.top()));
        if self.parent.is_some() {
            path.push('.');
            path.push_str(name(self.definition));
        }
        path
    }

    fn fixed(&self) -> bool {
        is(self.definition, "mutability", "readOnly") || is(self.top(), "mutability", "readOnly")
    }

    /// What a resource must have anyway.
    fn base(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let core = self.schemas.kind(self.of).urn;
        let mut urns = vec![core];
        urns.extend(self.extension);
        body.insert("schemas".into(), urns.into());
        let required = match self.of {
            ResourceType::User => "userName",
            ResourceType::Group => "displayName",
        };
        body.insert(required.into(), "Base".into());
        if self.extension == Some(APP) {
            body.insert(APP.into(), json!({"must": "Base", "flag": true}));
        }
        body
    }

    fn place<'b>(&self, body: &'b mut Map<String, Value>) -> &'b mut Map<String, Value> {
        let Some(urn) = self.extension else {
            return body;
        };
        let object = body.entry(urn).or_insert_with(|| json!({}));
        object.as_object_mut().unwrap()
    }

    /// A body in which the attribute has this value; the parts beside it are
    /// as they should be.
    fn body(&self, value: Value) -> Map<String, Value> {
        let mut body = self.base();
        let top = match self.parent {
            None => value,
            Some(parent) => {
                let mut complex = one(parent);
                complex[name(self.definition)] = value;
                if parent["multiValued"] == true {
                    json!([complex])
                } else {
                    complex
                }
            }
        };
        self.place(&mut body)
            .insert(name(self.top()).to_owned(), top);
        body
    }

    fn read(&self, body: Map<String, Value>, limits: &Limits) -> Result<Attributes, Problem> {
        let text = Value::Object(body).to_string();
        match self.of {
            ResourceType::User => {
                user_from_json(text.as_bytes(), self.schemas, limits).map(|read| read.taken)
            }
            ResourceType::Group => group_from_json(text.as_bytes(), self.schemas, limits)
                .map(|read| read.taken.attributes),
        }
    }

    /// What is kept of the attribute, if anything is.
    fn kept(&self, attributes: &Attributes) -> Option<Value> {
        let top = match self.extension {
            None => attributes.0.get(name(self.top()))?,
            Some(urn) => attributes.0.get(urn)?.get(name(self.top()))?,
        };
        if self.parent.is_none() {
            return Some(top.clone());
        }
        let complex = top.get(0).unwrap_or(top);
        complex.get(name(self.definition)).cloned()
    }

    #[track_caller]
    fn refused(&self, value: &Value, limits: &Limits) {
        let read = self.read(self.body(value.clone()), limits);
        let problem = read.expect_err(&format!("{}: {value}", self.path()));
        assert_eq!(problem.scim_type, Some(ScimType::InvalidValue), "{problem}");
    }

    #[track_caller]
    fn taken(&self, value: &Value, limits: &Limits) {
        let read = self.read(self.body(value.clone()), limits);
        let read = read.unwrap_or_else(|problem| panic!("{}: {value}: {problem}", self.path()));
        assert_eq!(self.kept(&read), Some(value.clone()), "{}", self.path());
    }

    /// `type`, `multiValued` and `canonicalValues`, of what can be written.
    fn show_values(&self) {
        let right = whole(self.definition);
        let many = self.definition["multiValued"] == true;
        for limits in [Limits::default(), strict()] {
            self.taken(&right, &limits);
            for wrong in wrong(self.definition) {
                let wrong = if many { json!([wrong]) } else { wrong };
                self.refused(&wrong, &limits);
            }
            if !many {
                self.refused(&json!([right, right]), &limits);
            }
        }
        if many {
            self.refused(&one(self.definition), &strict());
        }
        for value in self.definition["canonicalValues"]
            .as_array()
            .into_iter()
            .flatten()
        {
            self.taken(value, &strict());
        }
        if self.definition["canonicalValues"].is_array() {
            self.refused(&json!("none of them"), &strict());
            self.taken(&json!("none of them"), &Limits::default());
        }
    }

    fn show_required(&self) {
        if self.definition["required"] != true || self.fixed() {
            return;
        }
        for limits in [Limits::default(), strict()] {
            self.refused(&Value::Null, &limits);
            self.refused(&json!(" "), &limits);
        }
        let before = self
            .read(self.body(whole(self.definition)), &Limits::default())
            .unwrap();
        let problem = self
            .patched(&before, "remove", None, &strict())
            .unwrap_err();
        assert_eq!(
            problem.scim_type,
            Some(ScimType::Mutability),
            "{}",
            self.path()
        );
    }

    /// The attributes after one operation at the attribute's path.
    fn patched(
        &self,
        before: &Attributes,
        op: &str,
        value: Option<Value>,
        limits: &Limits,
    ) -> Result<Attributes, Problem> {
        let mut operation = json!({"op": op, "path": self.path()});
        if let Some(value) = value {
            operation["value"] = value;
        }
        let body = json!({"schemas": [PATCH_OP], "Operations": [operation]}).to_string();
        let patch = patch::parse(body.as_bytes(), self.of, self.schemas, limits)?.taken;
        let mut after = before.clone();
        let id = ResourceId::new(Uuid::from_u128(7));
        patch.apply(&mut after, &id, self.of, self.schemas)?;
        Ok(after)
    }

    fn show_mutability(&self) {
        let other = match self.definition["type"].as_str().unwrap() {
            "string" if self.definition["canonicalValues"].is_array() => {
                self.definition["canonicalValues"].get(1).cloned()
            }
            "string" => Some(json!("Other")),
            "boolean" => Some(json!(false)),
            "dateTime" => Some(json!("2026-02-01T12:00:00Z")),
            "reference" => Some(json!("https://example.com/y")),
            "binary" => Some(json!("QUJD")),
            "decimal" | "integer" => Some(json!(9)),
            _ => None,
        };
        let Some(other) = other else { return };
        let many = self.definition["multiValued"] == true;
        let other = if many { json!([other]) } else { other };
        if self.fixed() {
            return self.show_fixed(&other);
        }
        let first = whole(self.definition);
        let before = self
            .read(self.body(first.clone()), &Limits::default())
            .unwrap();
        let after = self.patched(&before, "replace", Some(other.clone()), &strict());
        let put = self.read(self.body(other.clone()), &strict()).unwrap();
        let put = replaced(&before, put, self.of, self.schemas);
        let in_list = self
            .parent
            .is_some_and(|parent| parent["multiValued"] == true);
        if is(self.definition, "mutability", "immutable") && !in_list {
            for refused in [after.unwrap_err(), put.unwrap_err()] {
                assert_eq!(
                    refused.scim_type,
                    Some(ScimType::Mutability),
                    "{}",
                    self.path()
                );
            }
            let same = self
                .patched(&before, "replace", Some(first), &strict())
                .unwrap();
            assert_eq!(same, before, "{}", self.path());
            return;
        }
        if is(self.definition, "mutability", "readWrite") {
            assert_eq!(
                self.kept(&after.unwrap()),
                Some(other.clone()),
                "{}",
                self.path()
            );
            assert_eq!(self.kept(&put.unwrap()), Some(other), "{}", self.path());
        }
    }

    /// Read-only: left out of a body, kept by a PUT, refused in a PATCH.
    fn show_fixed(&self, other: &Value) {
        for limits in [Limits::default(), strict()] {
            let read = self.read(self.body(other.clone()), &limits).unwrap();
            assert_eq!(self.kept(&read), None, "{}", self.path());
            let before = self.read(self.base(), &limits).unwrap();
            for op in ["add", "replace", "remove"] {
                let value = (op != "remove").then(|| other.clone());
                let problem = self.patched(&before, op, value, &strict()).unwrap_err();
                assert_eq!(
                    problem.scim_type,
                    Some(ScimType::Mutability),
                    "{}",
                    self.path()
                );
            }
        }
        if self.parent.is_none() {
            let mut held = self.base();
            self.place(&mut held)
                .insert(name(self.definition).into(), other.clone());
            held.shift_remove("schemas");
            let before = Attributes(held);
            let put = self.read(self.base(), &Limits::default()).unwrap();
            let put = replaced(&before, put, self.of, self.schemas).unwrap();
            assert_eq!(self.kept(&put), Some(other.clone()), "{}", self.path());
        }
    }

    /// Whether letter case counts, by a filter over a resource that has it.
    fn show_case(&self) {
        if !is(self.definition, "type", "string") {
            return;
        }
        let many = self.definition["multiValued"] == true;
        let sample = json!("Sample");
        let held = self.body(if many { json!([sample]) } else { sample });
        let matches = |text: &str| {
            let filter = format!("{} eq \"{text}\"", self.path());
            let filter = Filter::parse(&filter, self.of, self.schemas, &Limits::default());
            filter.unwrap().matches(&Held(held.clone()))
        };
        assert!(matches("Sample"), "{}", self.path());
        let exact = self.definition["caseExact"] == true;
        assert_eq!(matches("sAMPLE"), !exact, "{}", self.path());
    }

    fn show_returned(&self) {
        if self.parent.is_some() {
            assert!(
                is(self.definition, "returned", "default"),
                "{}",
                self.path()
            );
            return;
        }
        let held = self.body(whole(self.definition));
        let shown = |query: &str| {
            let mut shown = held.clone();
            let projection =
                Projection::parse(query, self.of, self.schemas, &Limits::default()).unwrap();
            projection.apply(&mut shown);
            self.kept(&Attributes(shown)).is_some()
        };
        let always = is(self.definition, "returned", "always");
        assert!(
            always || is(self.definition, "returned", "default"),
            "{}",
            self.path()
        );
        assert!(shown(""), "{}", self.path());
        assert!(
            shown(&format!("attributes={}", self.path())),
            "{}",
            self.path()
        );
        assert_eq!(shown("attributes=schemas"), always, "{}", self.path());
        let excluded = format!("excludedAttributes={}", self.path());
        assert_eq!(shown(&excluded), always, "{}", self.path());
    }
}

struct Held(Map<String, Value>);

impl Subject for Held {
    fn attributes(&self) -> &Map<String, Value> {
        &self.0
    }

    fn is_linked(&self, id: &str) -> bool {
        self.any_link(&mut |group| {
            let value = group["value"].as_str();
            value.is_some_and(|value| value.eq_ignore_ascii_case(id))
        })
    }

    fn any_link(&self, will_do: &mut dyn FnMut(&Value) -> bool) -> bool {
        let groups = self.0.get("groups").and_then(Value::as_array);
        groups.is_some_and(|groups| groups.iter().any(will_do))
    }
}

/// Calls with every attribute that users and groups have, but for `members`,
/// which is no attribute that is kept as one: see the tests of its readers.
fn walk(show: fn(&Claim<'_>)) -> usize {
    let schemas = schemas();
    let mut claims = 0;
    for document in schemas.documents() {
        let urn = id(document);
        let (of, extension) = match urn {
            USER => (ResourceType::User, None),
            GROUP => (ResourceType::Group, None),
            ENTERPRISE | APP => (ResourceType::User, Some(urn)),
            _ => continue,
        };
        let attributes = document["attributes"].as_array().unwrap();
        for attribute in attributes.iter().filter(|a| name(a) != "members") {
            let of_itself = [(None, attribute)];
            let inside = parts(attribute).iter().map(|part| (Some(attribute), part));
            for (parent, definition) in of_itself.into_iter().chain(inside) {
                show(&Claim {
                    schemas: &schemas,
                    of,
                    extension,
                    parent,
                    definition,
                });
                claims += 1;
            }
        }
    }
    claims
}

#[test]
fn types_lists_and_canonical_values_are_as_served() {
    let all = walk(|claim| {
        if !claim.fixed() {
            claim.show_values();
        }
    });
    assert!(all > 100, "{all}");
}

#[test]
fn what_is_required_is_demanded_and_cannot_be_removed() {
    walk(|claim| claim.show_required());
}

#[test]
fn mutability_is_as_served() {
    walk(|claim| claim.show_mutability());
}

#[test]
fn letter_case_counts_where_it_is_served_to() {
    walk(|claim| claim.show_case());
}

#[test]
fn what_is_returned_is_as_served() {
    walk(|claim| claim.show_returned());
}

#[test]
fn names_are_known_in_any_case_with_and_without_urn() {
    walk(|claim| {
        let kind = claim.schemas.kind(claim.of);
        let bare = match claim.parent {
            None => name(claim.definition).to_owned(),
            Some(parent) => format!("{}.{}", name(parent), name(claim.definition)),
        };
        let full = format!("{}:{bare}", claim.extension.unwrap_or(kind.urn));
        let expected = kind.resolve(&full);
        assert!(matches!(expected, Named::Attribute { .. }), "{full}");
        for spelling in [full.to_ascii_uppercase(), full.to_ascii_lowercase()] {
            assert_eq!(kind.resolve_as(&spelling, true), expected, "{spelling}");
        }
        // Two extensions may have an attribute of one name, and a core one
        // goes before both.
        if claim.extension.is_none() {
            assert_eq!(
                kind.resolve_as(&bare.to_ascii_uppercase(), true),
                expected,
                "{bare}"
            );
        } else if !matches!(
            kind.resolve(&bare),
            Named::Attribute {
                extension: None,
                ..
            }
        ) {
            assert_eq!(kind.resolve_as(&bare, true), Named::Unknown, "{bare}");
        }
    });
}
