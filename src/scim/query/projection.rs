//! `attributes` and `excludedAttributes` (RFC 7644 section 3.9): which parts
//! of a resource an answer shows.
//!
//! With both, `attributes` says what is shown and `excludedAttributes` what of
//! that is not. A parameter without names is as if it were not there, and what
//! is always returned cannot be excluded. `returned: never` is not decided
//! here: such attributes are not stored.

use serde_json::{Map, Value};

use super::parameters;
use crate::scim::{
    error::{Problem, ScimType},
    json::{Limits, quoted},
    resource::ResourceType,
    schema::{Attribute, Named, Schemas},
};

/// Which attributes to return; `returned: always` ones always are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projection {
    include: Option<Vec<Selected>>,
    exclude: Vec<Selected>,
    always: Vec<Selected>,
}

/// An attribute, a sub-attribute or (without `attribute`) an extension.
#[derive(Debug, Clone, PartialEq)]
struct Selected {
    extension: Option<String>,
    attribute: Option<String>,
    sub: Option<String>,
}

impl Projection {
    /// Reads only `attributes` and `excludedAttributes` from a query string.
    /// Names that no schema knows are ignored, strictly refused; when
    /// `attributes` names nothing known, only what is always returned is left.
    pub fn parse(
        query: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<Self, Problem> {
        let (mut include, mut exclude) = (Vec::new(), Vec::new());
        for (name, value) in parameters(query, limits.strict)? {
            match name.as_ref() {
                "attributes" => include.push(value),
                "excludedAttributes" => exclude.push(value),
                _ => {}
            }
        }
        let (include, exclude) = (include.join(","), exclude.join(","));
        if limits.strict {
            demand_known("attributes", &include, &[(of, schemas)])?;
            demand_known("excludedAttributes", &exclude, &[(of, schemas)])?;
        }
        Ok(Self::named(&include, &exclude, of, schemas))
    }

    /// From names joined by commas; no `attributes` at all ask for everything.
    pub(super) fn named(
        attributes: &str,
        excluded: &str,
        of: ResourceType,
        schemas: &Schemas,
    ) -> Self {
        let some = !attributes.trim_matches([' ', ',']).is_empty();
        let mut projection = Self {
            include: some.then(|| selected(attributes, of, schemas).collect()),
            exclude: selected(excluded, of, schemas).collect(),
            always: Vec::new(),
        };
        if projection.include.is_some() || !projection.exclude.is_empty() {
            projection.always = always(of, schemas);
        }
        projection
    }

    /// Whether the stored text can be served as it is. A group's members and
    /// a user's groups are no part of it, so excluding only them keeps this
    /// true: ask [`Self::wants_members`] and [`Self::wants_groups`].
    pub fn is_default(&self) -> bool {
        let apart = |s: &Selected| s.is_whole("members") || s.is_whole("groups");
        self.include.is_none() && self.exclude.iter().all(apart)
    }

    /// Whether a group's members are wanted at all; when not, they are not read.
    pub fn wants_members(&self) -> bool {
        self.wants("members")
    }

    /// Whether a user's groups are wanted at all; when not, they are not read.
    pub fn wants_groups(&self) -> bool {
        self.wants("groups")
    }

    fn wants(&self, attribute: &str) -> bool {
        let excluded = self.exclude.iter().any(|s| s.is_whole(attribute));
        let included = match &self.include {
            None => true,
            Some(list) => list.iter().any(|s| s.names(attribute)),
        };
        included && !excluded
    }

    /// Whether the elements of `members` show a sub-attribute, such as `$ref`.
    pub fn wants_of_member(&self, sub: &str) -> bool {
        let of_members = |list: &[Selected]| -> Option<bool> {
            let mut named = list.iter().filter(|s| s.names("members")).peekable();
            named.peek()?;
            Some(named.any(|s| s.sub.as_deref().is_none_or(|named| named == sub)))
        };
        let included = self.include.as_deref().and_then(of_members);
        included.unwrap_or(true) && of_members(&self.exclude) != Some(true)
    }

    /// Drops what was not asked for.
    pub fn apply(&self, resource: &mut Map<String, Value>) {
        if let Some(include) = &self.include {
            let whole = std::mem::take(resource);
            *resource = kept(whole, None, &|place| {
                ask(include, place).max(ask(&self.always, place))
            });
        }
        if !self.exclude.is_empty() {
            let whole = std::mem::take(resource);
            *resource = kept(whole, None, &|place| {
                if ask(&self.always, place) == Wanted::Whole {
                    return Wanted::Whole;
                }
                match ask(&self.exclude, place) {
                    Wanted::No => Wanted::Whole,
                    Wanted::Partly => Wanted::Partly,
                    Wanted::Whole => Wanted::No,
                }
            });
        }
    }
}

impl Selected {
    fn names(&self, attribute: &str) -> bool {
        self.extension.is_none() && self.attribute.as_deref() == Some(attribute)
    }

    fn is_whole(&self, attribute: &str) -> bool {
        self.names(attribute) && self.sub.is_none()
    }
}

/// A place in a resource: extension, attribute, sub-attribute.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    extension: Option<&'a str>,
    attribute: Option<&'a str>,
    sub: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    No,
    /// Something inside it.
    Partly,
    Whole,
}

/// How a list of names covers a place.
fn ask(list: &[Selected], place: Place<'_>) -> Wanted {
    let covers = |selected: &Selected| {
        let pairs = [
            (selected.attribute.as_deref(), place.attribute),
            (selected.sub.as_deref(), place.sub),
        ];
        if selected.extension.as_deref() != place.extension {
            return Wanted::No;
        }
        for (named, here) in pairs {
            match (named, here) {
                (None, _) => return Wanted::Whole,
                (Some(_), None) => return Wanted::Partly,
                (Some(named), Some(here)) if named != here => return Wanted::No,
                _ => {}
            }
        }
        Wanted::Whole
    };
    list.iter().map(covers).max().unwrap_or(Wanted::No)
}

fn kept(
    attributes: Map<String, Value>,
    extension: Option<&str>,
    wanted: &dyn Fn(Place<'_>) -> Wanted,
) -> Map<String, Value> {
    let mut left = Map::new();
    for (name, value) in attributes {
        let is_extension = extension.is_none() && name.contains(':');
        let place = Place {
            extension: if is_extension { Some(&name) } else { extension },
            attribute: (!is_extension).then_some(name.as_str()),
            sub: None,
        };
        let value = match (wanted(place), value) {
            (Wanted::Whole, value) => Some(value),
            (Wanted::No, _) => None,
            (Wanted::Partly, Value::Object(inner)) if is_extension => {
                let inner = kept(inner, Some(&name), wanted);
                (!inner.is_empty()).then(|| inner.into())
            }
            (Wanted::Partly, Value::Array(list)) => {
                let elements = list.into_iter().filter_map(|e| parts(e, place, wanted));
                let elements: Vec<Value> = elements.collect();
                (!elements.is_empty()).then(|| elements.into())
            }
            (Wanted::Partly, value) => parts(value, place, wanted),
        };
        if let Some(value) = value {
            left.insert(name, value);
        }
    }
    left
}

/// The wanted sub-attributes of one complex value.
fn parts(value: Value, place: Place<'_>, wanted: &dyn Fn(Place<'_>) -> Wanted) -> Option<Value> {
    let Value::Object(map) = value else {
        return None;
    };
    let inside = map.into_iter().filter(|(name, _)| {
        let sub = Some(name.as_str());
        wanted(Place { sub, ..place }) == Wanted::Whole
    });
    let inside: Map<String, Value> = inside.collect();
    (!inside.is_empty()).then(|| inside.into())
}

/// Refuses the first of some names that leads to nothing in any of the types.
pub(super) fn demand_known(
    parameter: &str,
    names: &str,
    types: &[(ResourceType, &Schemas)],
) -> Result<(), Problem> {
    let is_known = |name: &&str| {
        types.iter().any(|(of, schemas)| {
            let named = schemas.kind(*of).resolve_as(name, true);
            matches!(named, Named::Attribute { .. } | Named::Extension(_))
        })
    };
    let mut names = names.split(',').map(str::trim).filter(|n| !n.is_empty());
    match names.find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => Err(Problem::bad(
            ScimType::InvalidValue,
            format!(
                "{parameter} names {}, which no schema here defines; an extension's attribute needs its URN and a colon before it",
                quoted(name)
            ),
        )),
    }
}

fn selected<'a>(
    names: &'a str,
    of: ResourceType,
    schemas: &'a Schemas,
) -> impl Iterator<Item = Selected> + 'a {
    let names = names.split(',').map(str::trim);
    names.filter_map(move |name| match schemas.kind(of).resolve(name) {
        Named::Attribute {
            extension,
            attribute,
            sub,
        } => Some(Selected {
            extension: extension.map(Into::into),
            attribute: Some(attribute.name.clone()),
            sub: sub.map(|sub| sub.name.clone()),
        }),
        Named::Extension(extension) => Some(Selected {
            extension: Some(extension.urn.clone()),
            attribute: None,
            sub: None,
        }),
        Named::Core | Named::Unknown | Named::Malformed => None,
    })
}

fn always(of: ResourceType, schemas: &Schemas) -> Vec<Selected> {
    let kind = schemas.kind(of);
    let of_extensions = kind
        .extensions
        .iter()
        .flat_map(|e| e.attributes.iter().map(|a| (Some(e.urn.as_str()), a)));
    let core = kind.attributes.iter().map(|a| (None, a));
    let all: Vec<(Option<&str>, &Attribute)> = core.chain(of_extensions).collect();
    let always = all.into_iter().filter(|(_, attribute)| attribute.always);
    always
        .map(|(extension, attribute)| Selected {
            extension: extension.map(Into::into),
            attribute: Some(attribute.name.clone()),
            sub: None,
        })
        .collect()
}
