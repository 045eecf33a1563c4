//! One attribute's characteristics (RFC 7643 sections 2.2 and 7), read from
//! the very document that is served.

use serde_json::Value;

use super::names::find;

/// One attribute with what is enforced of its characteristics.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "RFC 7643 section 7 defines them as booleans"
)]
pub(in crate::scim) struct Attribute {
    pub(in crate::scim) name: String,
    pub(in crate::scim) kind: Type,
    pub(in crate::scim) multi: bool,
    pub(in crate::scim) required: bool,
    pub(in crate::scim) case_exact: bool,
    pub(in crate::scim) mutability: Mutability,
    pub(in crate::scim) always: bool,
    /// The only values there are, when strictness is asked for; all if none.
    pub(in crate::scim) canonical: Vec<String>,
    /// A reference that leads out of this service, and so names its scheme.
    pub(in crate::scim) external: bool,
    pub(in crate::scim) description: String,
    pub(in crate::scim) sub: Vec<Attribute>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scim) enum Type {
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
pub(in crate::scim) enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
    WriteOnly,
    /// Served as `readOnly`. The application keeps it, so another value is
    /// refused: left out, it would look as if it had been taken.
    Kept,
}

impl Type {
    /// Whether its values are strings in JSON.
    pub(in crate::scim) fn is_text(self) -> bool {
        matches!(
            self,
            Self::String | Self::DateTime | Self::Reference | Self::Binary
        )
    }
}

impl Attribute {
    pub(in crate::scim) fn sub(&self, name: &str) -> Option<&Attribute> {
        find(&self.sub, name)
    }

    /// Whether the attribute is complex with a `value`, which then stands for
    /// the whole (RFC 7643 section 2.4).
    pub(in crate::scim) fn has_value(&self) -> bool {
        self.sub("value").is_some()
    }

    /// Whether a client may write the attribute and not all of its parts.
    pub(in crate::scim) fn has_fixed_parts(&self) -> bool {
        let mut parts = self.sub.iter();
        parts.any(|sub| sub.mutability != Mutability::ReadWrite)
    }

    /// The application keeps it, with all of its parts.
    pub(super) fn keep(&mut self) {
        self.mutability = Mutability::Kept;
        for sub in &mut self.sub {
            sub.mutability = Mutability::Kept;
        }
    }

    /// What a value must be, in words.
    pub(in crate::scim) fn expects(&self) -> &'static str {
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

pub(super) fn attributes_of(document: &Value) -> Vec<Attribute> {
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
    let texts = |name: &str| -> Vec<String> {
        let list = definition.get(name).and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
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
        canonical: texts("canonicalValues"),
        external: texts("referenceTypes") == ["external"],
        always: text("returned") == Some("always"),
        description: text("description").unwrap_or_default().to_owned(),
        sub: Vec::new(),
    }
}
