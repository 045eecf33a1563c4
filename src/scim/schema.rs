//! The schemas (RFC 7643 sections 4 to 8): one source for what `/Schemas`
//! says and what the parsers enforce.
//!
//! The documents are data (`schemas/*.json`); the lookup tables here are read
//! from the very values that are served, after an application's extensions
//! and adjustments were merged in. `password` is known, so that it can be told
//! from unknown names, but not served.

use serde_json::{Map, Value, json};

use super::resource::ResourceType;

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The documents that every connection serves, in the order of the list.
const STANDARD: [&str; 6] = [
    include_str!("schemas/user.json"),
    include_str!("schemas/group.json"),
    include_str!("schemas/enterprise-user.json"),
    include_str!("schemas/service-provider-config.json"),
    include_str!("schemas/resource-type.json"),
    include_str!("schemas/schema.json"),
];
/// `schemas`, `id` and `meta`, which every resource has (RFC 7643 section 3.1).
const COMMON: &str = include_str!("schemas/common.json");
/// Attributes of a user that are known and not served.
const UNSERVED: &str = include_str!("schemas/unserved.json");

/// A connection's schemas: the core ones, the enterprise extension, and the
/// application's own, with what the application cannot change marked so.
#[derive(Debug, Clone, PartialEq)]
pub struct Schemas {
    documents: Vec<Value>,
    user: Kind,
    group: Kind,
}

/// How one application bends a standard attribute, said in `/Schemas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// The schema's URN and the attribute, e.g. (`USER`, `roles`) or (`USER`, `roles.value`).
    pub schema: String,
    pub attribute: String,
    pub mutability: Option<&'static str>,
    pub canonical_values: Vec<String>,
    /// Appended to the description: the reason, in the words the plan uses.
    pub note: String,
}

impl Schemas {
    /// The standard schemas with an application's `extensions` (whole schema
    /// documents, see RFC 7643 section 7) and adjustments. An extension belongs
    /// to groups when its URN ends in `:Group`, otherwise to users. An
    /// adjustment of an attribute that does not exist changes nothing.
    pub fn new(extensions: &[Value], adjustments: &[Adjustment]) -> Self {
        let mut documents: Vec<Value> = STANDARD.iter().map(|text| embedded(text)).collect();
        for (place, extension) in extensions.iter().enumerate() {
            documents.insert(3 + place, complete(extension));
        }
        for adjustment in adjustments {
            for document in documents.iter_mut().filter(|d| id(d) == adjustment.schema) {
                adjust(document, adjustment);
            }
        }
        let user = Kind::new(ResourceType::User, &documents);
        let group = Kind::new(ResourceType::Group, &documents);
        Self {
            documents,
            user,
            group,
        }
    }

    /// The schema documents as `/Schemas` lists them. `meta.location` is
    /// `/Schemas/{urn}`: the HTTP front puts its base before it.
    pub fn documents(&self) -> &[Value] {
        &self.documents
    }

    /// The URNs of the extensions that a resource type may carry.
    pub fn extensions(&self, of: ResourceType) -> Vec<&str> {
        let extensions = self.kind(of).extensions.iter();
        extensions.map(|e| e.urn.as_str()).collect()
    }

    pub(super) fn kind(&self, of: ResourceType) -> &Kind {
        match of {
            ResourceType::User => &self.user,
            ResourceType::Group => &self.group,
        }
    }
}

/// The lookup table of one resource type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    pub(super) urn: &'static str,
    pub(super) attributes: Vec<Attribute>,
    pub(super) extensions: Vec<Extension>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Extension {
    pub(super) urn: String,
    pub(super) attributes: Vec<Attribute>,
}

/// One attribute with what is enforced of its characteristics.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "RFC 7643 section 7 defines them as booleans"
)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) multi: bool,
    pub(super) required: bool,
    pub(super) case_exact: bool,
    pub(super) mutability: Mutability,
    pub(super) always: bool,
    pub(super) description: String,
    pub(super) sub: Vec<Attribute>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Reference,
    Binary,
    Complex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
    WriteOnly,
}

/// What a written name stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Named<'a> {
    /// The core schema's URN alone.
    Core,
    /// An extension's URN alone.
    Extension(&'a Extension),
    Attribute {
        /// The extension's URN; `None` for a core attribute.
        extension: Option<&'a str>,
        attribute: &'a Attribute,
        sub: Option<&'a Attribute>,
    },
    /// Well formed, and nothing we know.
    Unknown,
    /// No attribute name at all.
    Malformed,
}

impl Kind {
    fn new(of: ResourceType, documents: &[Value]) -> Self {
        let (urn, suffix) = match of {
            ResourceType::User => (USER, ":user"),
            ResourceType::Group => (GROUP, ":group"),
        };
        let mut attributes = attributes_of(&embedded(COMMON));
        let core = documents.iter().filter(|d| id(d) == urn);
        attributes.extend(core.flat_map(attributes_of));
        if of == ResourceType::User {
            attributes.extend(attributes_of(&embedded(UNSERVED)));
        }
        let extensions = documents
            .iter()
            .filter(|d| !STANDARD_IDS.contains(&id(d)))
            .filter(|d| {
                let for_groups = id(d).to_ascii_lowercase().ends_with(":group");
                for_groups == (suffix == ":group")
            })
            .map(|d| Extension {
                urn: id(d).to_owned(),
                attributes: attributes_of(d),
            })
            .collect();
        Self {
            urn,
            attributes,
            extensions,
        }
    }

    /// Reads `[urn:]attribute[.subAttribute]`, in any letter case (RFC 7644
    /// section 3.10). An extension's attribute is also found without its URN,
    /// if no core attribute has that name: identity providers leave it out.
    pub(super) fn resolve(&self, name: &str) -> Named<'_> {
        if let Some(rest) = after_urn(name, self.urn) {
            return match rest {
                "" => Named::Core,
                rest => find_path(&self.attributes, None, rest),
            };
        }
        for extension in &self.extensions {
            if let Some(rest) = after_urn(name, &extension.urn) {
                return match rest {
                    "" => Named::Extension(extension),
                    rest => find_path(&extension.attributes, Some(&extension.urn), rest),
                };
            }
        }
        if let Some((_, last)) = name.rsplit_once(':') {
            return match find_path(&[], None, last) {
                Named::Malformed => Named::Malformed,
                _ => Named::Unknown,
            };
        }
        let core = find_path(&self.attributes, None, name);
        if core != Named::Unknown || find(&self.attributes, head(name)).is_some() {
            return core;
        }
        let mut extensions = self.extensions.iter();
        extensions
            .find(|e| find(&e.attributes, head(name)).is_some())
            .map_or(Named::Unknown, |e| {
                find_path(&e.attributes, Some(&e.urn), name)
            })
    }

    /// The attribute of a canonical path.
    pub(super) fn attribute(&self, extension: Option<&str>, name: &str) -> Option<&Attribute> {
        match extension {
            None => find(&self.attributes, name),
            Some(urn) => {
                let extension = self.extensions.iter().find(|e| e.urn == urn)?;
                find(&extension.attributes, name)
            }
        }
    }
}

impl Extension {
    /// Reads `attribute[.subAttribute]` below the extension's URN.
    pub(super) fn resolve(&self, name: &str) -> Named<'_> {
        find_path(&self.attributes, Some(&self.urn), name)
    }
}

impl Attribute {
    pub(super) fn sub(&self, name: &str) -> Option<&Attribute> {
        find(&self.sub, name)
    }

    /// Whether the attribute is complex with a `value`, which then stands for
    /// the whole (RFC 7643 section 2.4).
    pub(super) fn has_value(&self) -> bool {
        self.sub("value").is_some()
    }

    /// What a value must be, in words.
    pub(super) fn expects(&self) -> &'static str {
        match (self.kind, self.multi) {
            (Type::String, false) => "a string",
            (Type::Boolean, false) => "true or false",
            (Type::Decimal, false) => "a number",
            (Type::Integer, false) => "a whole number",
            (Type::DateTime, false) => "a date and time such as 2026-01-31T12:00:00Z, in a string",
            (Type::Reference, false) => "an address in a string",
            (Type::Binary, false) => "base64 text in a string",
            (Type::Complex, false) => "an object",
            (Type::Complex, true) => "an array of objects",
            (Type::Boolean, true) => "an array of booleans",
            (Type::Decimal | Type::Integer, true) => "an array of numbers",
            (_, true) => "an array of strings",
        }
    }
}

/// Finds an attribute by name in any letter case.
pub(super) fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes
        .iter()
        .find(|a| a.name.eq_ignore_ascii_case(name))
}

fn head(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// What follows a URN: nothing, or the text after `:`.
fn after_urn<'a>(name: &'a str, urn: &str) -> Option<&'a str> {
    let start = name.get(..urn.len())?;
    if !start.eq_ignore_ascii_case(urn) {
        return None;
    }
    match name.get(urn.len()..)? {
        "" => Some(""),
        rest => rest.strip_prefix(':').filter(|rest| !rest.is_empty()),
    }
}

fn find_path<'a>(attributes: &'a [Attribute], extension: Option<&'a str>, path: &str) -> Named<'a> {
    let mut parts = path.split('.');
    let (name, sub) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() || !is_name(name) || !sub.is_none_or(is_name) {
        return Named::Malformed;
    }
    let Some(attribute) = find(attributes, name) else {
        return Named::Unknown;
    };
    let sub = match sub {
        None => None,
        Some(sub) => match attribute.sub(sub) {
            None => return Named::Unknown,
            found => found,
        },
    };
    Named::Attribute {
        extension,
        attribute,
        sub,
    }
}

/// ATTRNAME of RFC 7644 figure 1, with the `$` of `$ref`.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'$')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

const STANDARD_IDS: [&str; 5] = [
    USER,
    GROUP,
    "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig",
    "urn:ietf:params:scim:schemas:core:2.0:ResourceType",
    "urn:ietf:params:scim:schemas:core:2.0:Schema",
];

fn id(document: &Value) -> &str {
    document
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A document that is part of the program; a test reads them all.
fn embedded(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// An extension as it is served: with `schemas` and `meta`, whatever the
/// application's text leaves out.
fn complete(extension: &Value) -> Value {
    let mut document = extension.clone();
    let location = format!("/Schemas/{}", id(extension));
    if let Some(map) = document.as_object_mut() {
        let urn = "urn:ietf:params:scim:schemas:core:2.0:Schema";
        map.insert("schemas".into(), json!([urn]));
        map.insert(
            "meta".into(),
            json!({"resourceType": "Schema", "location": location}),
        );
    }
    document
}

fn adjust(document: &mut Value, adjustment: &Adjustment) {
    let mut at = document.get_mut("attributes");
    let mut parts = adjustment.attribute.split('.').peekable();
    while let Some(name) = parts.next() {
        let list = at.and_then(Value::as_array_mut);
        let found = list
            .into_iter()
            .flatten()
            .find(|a| a.get("name").and_then(Value::as_str) == Some(name));
        let Some(attribute) = found.and_then(Value::as_object_mut) else {
            return;
        };
        if parts.peek().is_none() {
            adjust_attribute(attribute, adjustment);
            return;
        }
        at = attribute.get_mut("subAttributes");
    }
}

fn adjust_attribute(attribute: &mut Map<String, Value>, adjustment: &Adjustment) {
    if let Some(mutability) = adjustment.mutability {
        attribute.insert("mutability".into(), mutability.into());
    }
    if !adjustment.canonical_values.is_empty() {
        attribute.insert(
            "canonicalValues".into(),
            adjustment.canonical_values.clone().into(),
        );
    }
    if !adjustment.note.is_empty() {
        let old = attribute.get("description").and_then(Value::as_str);
        let text = [old.unwrap_or_default(), &adjustment.note].join(" ");
        attribute.insert("description".into(), text.trim().into());
    }
}

fn attributes_of(document: &Value) -> Vec<Attribute> {
    let list = document.get("attributes").and_then(Value::as_array);
    list.into_iter().flatten().map(attribute).collect()
}

/// Characteristics left out have the defaults of RFC 7643 section 2.2.
/// Sub-attributes have none of their own (section 2.3.8), so this does not
/// go deeper than two levels.
fn attribute(definition: &Value) -> Attribute {
    let list = definition.get("subAttributes").and_then(Value::as_array);
    Attribute {
        sub: list.into_iter().flatten().map(simple).collect(),
        ..simple(definition)
    }
}

fn simple(definition: &Value) -> Attribute {
    let text = |name: &str| definition.get(name).and_then(Value::as_str);
    let flag = |name: &str| definition.get(name).and_then(Value::as_bool) == Some(true);
    Attribute {
        name: text("name").unwrap_or_default().to_owned(),
        kind: match text("type") {
            Some("boolean") => Type::Boolean,
            Some("decimal") => Type::Decimal,
            Some("integer") => Type::Integer,
            Some("dateTime") => Type::DateTime,
            Some("reference") => Type::Reference,
            Some("binary") => Type::Binary,
            Some("complex") => Type::Complex,
            _ => Type::String,
        },
        multi: flag("multiValued"),
        required: flag("required"),
        case_exact: flag("caseExact"),
        mutability: match text("mutability") {
            Some("readOnly") => Mutability::ReadOnly,
            Some("immutable") => Mutability::Immutable,
            Some("writeOnly") => Mutability::WriteOnly,
            _ => Mutability::ReadWrite,
        },
        always: text("returned") == Some("always"),
        description: text("description").unwrap_or_default().to_owned(),
        sub: Vec::new(),
    }
}
