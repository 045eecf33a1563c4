//! Resources as they are taken in the body of a POST or PUT: read strictly by
//! the schema's letter, read leniently with the departures of the parsers and
//! no others.

use serde_json::{Map, Value, json};

use super::{annotate, core, definitions, flag, is, parts, required_of, simple, text};
use crate::scim::{json::Limits, resource::ResourceType, schema::Schemas, value::MOST_VALUES};

/// `true` and `false` in any letter case, as text.
const BOOLEAN_TEXT: &str = "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$";
const TRUE_TEXT: &str = "^[Tt][Rr][Uu][Ee]$";
const GROUP_TEXT: &str = "^[Gg][Rr][Oo][Uu][Pp]$";
/// What an address cannot hold is left out; see the parser of values.
const ADDRESS: &str = r#"^[^\s\x00-\x1f\x7f-\x9f<>"\\^`{|}]+$"#;
const EXTERNAL_ADDRESS: &str = r#"^[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f-\x9f<>"\\^`{|}]*$"#;
const BASE64: &str = "^([A-Za-z0-9+/_-]{4})*([A-Za-z0-9+/_-]{2}(==)?|[A-Za-z0-9+/_-]{3}=?)?$";

/// A resource as it is taken.
pub fn accepted(schemas: &Schemas, of: ResourceType, limits: &Limits) -> Value {
    let reader = Reader {
        strict: limits.strict,
    };
    let mut properties = Map::new();
    let extensions = schemas.extensions(of);
    if limits.strict {
        properties.insert("schemas".into(), naming(core(of), &extensions));
        for ours in ["id", "meta"] {
            properties.insert(ours.into(), json!({"readOnly": true}));
        }
    }
    for definition in definitions(schemas, core(of)) {
        let name = text(definition, "name");
        let taken = match (of, name) {
            (ResourceType::Group, "members") => reader.members(definition, limits),
            _ => reader.attribute(definition),
        };
        properties.insert(name.to_owned(), taken);
    }
    for urn in &extensions {
        let object = reader.object(definitions(schemas, urn));
        properties.insert((*urn).to_owned(), reader.or_unset(vec![object], false));
    }
    if of == ResourceType::User && !limits.strict {
        properties.insert("password".into(), password());
    }
    let mut required = required_of(definitions(schemas, core(of)));
    let mut whole = Map::new();
    whole.insert("type".into(), "object".into());
    whole.insert("properties".into(), properties.into());
    if limits.strict {
        required.insert(0, "schemas".into());
        whole.insert(
            "allOf".into(),
            extensions.iter().map(|urn| named_if_used(urn)).collect(),
        );
    }
    whole.insert("required".into(), required.into());
    whole.insert("additionalProperties".into(), (!limits.strict).into());
    whole.into()
}

/// Strictly, `schemas` names what the body uses (RFC 7643 section 3).
fn naming(core: &str, extensions: &[&str]) -> Value {
    let mut urns = vec![core];
    urns.extend(extensions);
    json!({
        "type": "array",
        "items": {"enum": urns},
        "contains": {"const": core},
        "uniqueItems": true,
    })
}

fn named_if_used(urn: &str) -> Value {
    let uses =
        json!({"required": [urn], "properties": {urn: {"type": "object", "minProperties": 1}}});
    let names = json!({"properties": {"schemas": {"contains": {"const": urn}}}});
    json!({"if": uses, "then": names})
}

/// Strictly, a value among several is not empty.
fn holding_something(mut one: Value) -> Value {
    if let (true, Some(object)) = (is(&one, "type", "object"), one.as_object_mut()) {
        object.insert("minProperties".into(), 1.into());
        let unset = json!({"additionalProperties": {"enum": [null, "", [], {}]}});
        object.insert("not".into(), unset);
    }
    one
}

/// Known, so that it can be dropped: never stored, never answered.
fn password() -> Value {
    json!({"description": "Taken and forgotten.", "writeOnly": true})
}

/// How values are read.
#[derive(Debug, Clone, Copy)]
struct Reader {
    strict: bool,
}

impl Reader {
    fn attribute(self, definition: &Value) -> Value {
        if is(definition, "mutability", "readOnly") {
            let mut ignored = json!({});
            annotate(definition, &mut ignored);
            return ignored;
        }
        let several = flag(definition, "multiValued");
        let forms = match several {
            true => self.several(definition),
            false => self.alone(definition),
        };
        let mut whole = match flag(definition, "required") {
            true => forms.into_iter().next().unwrap_or_default(),
            false => self.or_unset(forms, several),
        };
        annotate(definition, &mut whole);
        whole
    }

    /// Some forms, or what says that there is no value (RFC 7643 section 2.5).
    fn or_unset(self, mut forms: Vec<Value>, several: bool) -> Value {
        forms.push(match (self.strict, several) {
            (false, _) => json!({"enum": [null, "", [], {}]}),
            (true, _) => json!({"type": "null"}),
        });
        json!({"anyOf": forms})
    }

    /// One value in its main form.
    fn one(self, definition: &Value) -> Value {
        match text(definition, "type") {
            "complex" => self.object(parts(definition)),
            "boolean" if !self.strict => json!({"anyOf": [
                {"type": "boolean"},
                {"type": "string", "pattern": BOOLEAN_TEXT},
            ]}),
            "binary" => json!({"type": "string", "pattern": BASE64, "contentEncoding": "base64"}),
            "reference" => self.address(definition),
            "string" => self.string(definition),
            _ => simple(definition),
        }
    }

    fn string(self, definition: &Value) -> Value {
        match definition.get("canonicalValues").and_then(Value::as_array) {
            Some(values) if self.strict && !values.is_empty() => json!({"enum": values}),
            Some(values) => json!({"type": "string", "examples": values}),
            None if is(definition, "name", "userName") => {
                json!({"type": "string", "pattern": "\\S", "format": "scim-user-name"})
            }
            None if flag(definition, "required") => json!({"type": "string", "pattern": "\\S"}),
            None => json!({"type": "string"}),
        }
    }

    fn address(self, definition: &Value) -> Value {
        let external = definition.get("referenceTypes") == Some(&json!(["external"]));
        match self.strict && external {
            true => json!({"type": "string", "pattern": EXTERNAL_ADDRESS}),
            false => json!({"type": "string", "pattern": ADDRESS}),
        }
    }

    /// The forms of a single value.
    fn alone(self, definition: &Value) -> Vec<Value> {
        let one = self.one(definition);
        if self.strict || !is(definition, "type", "complex") {
            return vec![one];
        }
        let in_array = json!({"type": "array", "items": one, "minItems": 1, "maxItems": 1});
        let mut forms = vec![one, in_array];
        if parts(definition).any(|part| is(part, "name", "value")) {
            forms.push(json!({"type": "string"}));
        }
        forms
    }

    /// The forms of several values: leniently unset elements are skipped, and
    /// a value may stand alone.
    fn several(self, definition: &Value) -> Vec<Value> {
        let one = self.one(definition);
        let item = match self.strict {
            true => holding_something(one.clone()),
            false => self.or_unset(vec![one.clone()], false),
        };
        let mut list = json!({"type": "array", "items": item, "maxItems": MOST_VALUES});
        let has_primary = parts(definition).any(|part| is(part, "name", "primary"));
        if let (true, Some(list)) = (has_primary, list.as_object_mut()) {
            list.insert("contains".into(), self.primary());
            list.insert("minContains".into(), 0.into());
            list.insert("maxContains".into(), 1.into());
        }
        match self.strict {
            true => vec![list],
            false => vec![list, one],
        }
    }

    /// A primary value, of which there may be one (RFC 7643 section 2.4).
    fn primary(self) -> Value {
        let said = match self.strict {
            true => json!({"const": true}),
            false => json!({"anyOf": [{"const": true}, {"type": "string", "pattern": TRUE_TEXT}]}),
        };
        json!({"type": "object", "properties": {"primary": said}, "required": ["primary"]})
    }

    /// Unknown names are dropped, or refused.
    fn object<'a>(self, definitions: impl Iterator<Item = &'a Value>) -> Value {
        let properties: Map<String, Value> = definitions
            .map(|definition| {
                (
                    text(definition, "name").to_owned(),
                    self.attribute(definition),
                )
            })
            .collect();
        json!({"type": "object", "properties": properties, "additionalProperties": !self.strict})
    }

    /// Members by their ids; a group as a member is refused.
    fn members(self, definition: &Value, limits: &Limits) -> Value {
        let id = json!({"type": "string", "format": "scim-user-id", "minLength": 1});
        let kind = match self.strict {
            true => {
                json!({"anyOf": [{"type": "string", "pattern": "^[Uu][Ss][Ee][Rr]$"}, {"type": "null"}]})
            }
            false => json!({"not": {"type": "string", "pattern": GROUP_TEXT}}),
        };
        let mut properties = json!({"value": id, "type": kind, "display": {}});
        if let (true, Some(properties)) = (self.strict, properties.as_object_mut()) {
            properties.insert("$ref".into(), json!({"type": ["string", "null"]}));
        }
        let member = json!({
            "type": "object",
            "properties": properties,
            "required": ["value"],
            "additionalProperties": !self.strict,
        });
        let list =
            |item: Value| json!({"type": "array", "items": item, "maxItems": limits.members});
        let mut whole = if self.strict {
            json!({"anyOf": [list(member), {"type": "null"}]})
        } else {
            let member = json!({"anyOf": [member, id]});
            json!({"anyOf": [list(member.clone()), member, {"enum": [null, "", {}]}]})
        };
        annotate(definition, &mut whole);
        whole
    }
}
