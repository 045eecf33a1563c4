//! What a name in a filter means: an attribute of the resource, or of the
//! value in whose brackets it stands; and which names are refused.

use super::{Parser, Scope};
use crate::scim::{
    error::{Problem, ScimType},
    filter::tree::Target,
    json::quoted,
    schema::{Attribute, Mutability, Named},
};

/// An attribute as a filter names it.
pub(super) enum Name<'a> {
    Known(Target, &'a Attribute),
    /// An extension's URN: only its presence can be asked.
    Extension(Target),
    Unknown,
}

impl<'a> Parser<'a> {
    pub(super) fn resolve(&self, written: &str, at: usize) -> Result<Name<'a>, Problem> {
        match self.scope {
            Scope::Resource => self.of_resource(written, at),
            _ if !is_plain_name(written) => Err(self.no_name(written, at)),
            Scope::Element(element) if is_told_by_address(element, written) => {
                Err(self.by_address(written, at))
            }
            Scope::Element(element) => match sub_of(element, written) {
                None if self.strict => {
                    let why = format!("{} has no such sub-attribute", element.name);
                    Err(self.undefined(written, at, &why))
                }
                found => Ok(found.unwrap_or(Name::Unknown)),
            },
            Scope::ElementInPath(element) => sub_of(element, written).ok_or_else(|| {
                let why = format!(
                    "{} has no sub-attribute {} (at character {})",
                    element.name,
                    quoted(written),
                    self.cursor.character(at)
                );
                Problem::bad(ScimType::InvalidPath, why)
            }),
            Scope::Unknown => Ok(Name::Unknown),
        }
    }

    fn of_resource(&self, written: &str, at: usize) -> Result<Name<'a>, Problem> {
        match self.kind.resolve(written) {
            Named::Attribute {
                extension,
                attribute,
                sub,
            } => {
                self.may_be_named(extension, attribute, sub, at)?;
                let part = sub.map_or("", |sub| &sub.name);
                if extension.is_none() && is_told_by_address(attribute, part) {
                    return Err(self.by_address(written, at));
                }
                if let Some(urn) = extension
                    && self.strict
                    && !written.contains(':')
                {
                    let why = format!("it belongs to {urn}; put that and a colon before it");
                    return Err(self.undefined(written, at, &why));
                }
                let target = target(extension, &attribute.name, sub);
                Ok(Name::Known(target, sub.unwrap_or(attribute)))
            }
            Named::Extension(extension) => Ok(Name::Extension(target(None, &extension.urn, None))),
            Named::Unknown if self.strict => {
                Err(self.undefined(written, at, "/Schemas lists what there is"))
            }
            Named::Unknown => Ok(Name::Unknown),
            Named::Core | Named::Malformed => Err(self.no_name(written, at)),
        }
    }

    /// Refuses what is secret, and in an address what is to be kept out of it.
    fn may_be_named(
        &self,
        extension: Option<&str>,
        attribute: &Attribute,
        sub: Option<&Attribute>,
        at: usize,
    ) -> Result<(), Problem> {
        let secret = [Some(attribute), sub].into_iter().flatten().any(is_secret);
        let Some(names) = self.guarded else {
            if secret {
                let why = format!("{} is not kept, so nothing is found by it", attribute.name);
                return Err(self.cursor.fault_at(at, &why));
            }
            return Ok(());
        };
        let guarded = names.iter().any(|name| match self.kind.resolve(name) {
            Named::Attribute {
                extension: of,
                attribute: named,
                sub: part,
            } => {
                let apart = matches!((part, sub), (Some(a), Some(b)) if a.name != b.name);
                of == extension && named.name == attribute.name && !apart
            }
            Named::Extension(named) => extension == Some(named.urn.as_str()),
            _ => false,
        });
        if secret || guarded {
            return Err(Problem {
                status: 403,
                scim_type: Some(ScimType::Sensitive),
                detail: format!(
                    "{} must not stand in a filter in an address (at character {}); send the filter in the body of a POST to .search",
                    attribute.name,
                    self.cursor.character(at)
                ),
            });
        }
        Ok(())
    }

    fn undefined(&self, written: &str, at: usize, why: &str) -> Problem {
        let why = format!("{} is not defined: {why}", quoted(written));
        self.cursor.fault_at(at, &why)
    }

    fn by_address(&self, written: &str, at: usize) -> Problem {
        let why = format!(
            "{} is made from the address that a client asks at, so nothing is found by it; ask for the id",
            quoted(written)
        );
        self.cursor.fault_at(at, &why)
    }

    fn no_name(&self, written: &str, at: usize) -> Problem {
        let why = format!("{} is no attribute name", quoted(written));
        self.cursor.fault_at(at, &why)
    }
}

/// A sub-attribute; a simple value has itself as `value` (RFC 7643 section 2.4).
fn sub_of<'a>(element: &'a Attribute, written: &str) -> Option<Name<'a>> {
    match element.sub(written) {
        None if element.sub.is_empty() && written.eq_ignore_ascii_case("value") => {
            Some(Name::Known(target(None, "value", None), element))
        }
        None => None,
        Some(sub) => Some(Name::Known(target(None, &sub.name, None), sub)),
    }
}

fn target(extension: Option<&str>, attribute: &str, sub: Option<&Attribute>) -> Target {
    Target {
        extension: extension.map(Into::into),
        attribute: attribute.into(),
        sub: sub.map(|sub| sub.name.clone()),
    }
}

/// What an answer shows of the base URL, which is no part of what is stored.
fn is_told_by_address(attribute: &Attribute, sub: &str) -> bool {
    match attribute.name.as_str() {
        "meta" => sub.eq_ignore_ascii_case("location"),
        "members" | "groups" => sub.eq_ignore_ascii_case("$ref"),
        _ => false,
    }
}

fn is_plain_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') && !name.contains(['.', ':'])
}

fn is_secret(attribute: &Attribute) -> bool {
    attribute.mutability == Mutability::WriteOnly
}
