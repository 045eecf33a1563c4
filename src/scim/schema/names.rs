//! Names of attributes, with and without URN, in any letter case (RFC 7644
//! section 3.10): what a written name stands for among the attributes of one
//! resource type.

use serde_json::Value;

use super::{
    COMMON, GROUP, STANDARD_IDS, UNSERVED, USER,
    attribute::{Attribute, Mutability, attributes_of},
    embedded, id,
};
use crate::scim::resource::ResourceType;

/// The lookup table of one resource type.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::scim) struct Kind {
    pub(in crate::scim) urn: &'static str,
    pub(in crate::scim) attributes: Vec<Attribute>,
    pub(in crate::scim) extensions: Vec<Extension>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::scim) struct Extension {
    pub(in crate::scim) urn: String,
    pub(in crate::scim) attributes: Vec<Attribute>,
}

/// What a written name stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::scim) enum Named<'a> {
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
    /// All attributes of some documents together, as one core schema.
    pub(super) fn alone(urn: &'static str, documents: &[Value]) -> Self {
        let mut attributes = attributes_of(&embedded(COMMON));
        attributes.extend(documents.iter().flat_map(attributes_of));
        Self {
            urn,
            attributes,
            extensions: Vec::new(),
        }
    }

    pub(super) fn new(of: ResourceType, documents: &[Value]) -> Self {
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

    /// Marks an attribute as the application's own.
    pub(super) fn keep(&mut self, urn: &str, name: &str) {
        let own = Some(&mut self.attributes).filter(|_| urn == self.urn);
        let extensions = self.extensions.iter_mut().filter(|e| e.urn == urn);
        let defined = own.into_iter().chain(extensions.map(|e| &mut e.attributes));
        for attribute in defined.flatten().filter(|a| a.name == name) {
            attribute.keep();
        }
    }

    /// Reads `[urn:]attribute[.subAttribute]`, in any letter case (RFC 7644
    /// section 3.10). An extension's attribute is also found without its URN,
    /// if no core attribute has that name: identity providers leave it out.
    pub(in crate::scim) fn resolve(&self, name: &str) -> Named<'_> {
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

    /// Reads the same as RFC 7644 section 3.10 has it: an extension's attribute
    /// needs its URN, and what is not served (`password`) is not there.
    pub(in crate::scim) fn resolve_as(&self, name: &str, strict: bool) -> Named<'_> {
        match self.resolve(name) {
            Named::Attribute {
                extension: Some(_), ..
            } if strict && !name.contains(':') => Named::Unknown,
            Named::Attribute {
                extension: None,
                attribute,
                ..
            } if strict && attribute.mutability == Mutability::WriteOnly => Named::Unknown,
            named => named,
        }
    }

    /// The attribute of a canonical path.
    pub(in crate::scim) fn attribute(
        &self,
        extension: Option<&str>,
        name: &str,
    ) -> Option<&Attribute> {
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
    pub(in crate::scim) fn resolve(&self, name: &str) -> Named<'_> {
        find_path(&self.attributes, Some(&self.urn), name)
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
