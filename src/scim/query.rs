//! List queries: `filter`, `startIndex`, `count`, `attributes`,
//! `excludedAttributes` (RFC 7644 sections 3.4.2 and 3.9).
//!
//! The query string is decoded here, once, as a form: `+` is a space. Sorting
//! is not offered, so its parameters are ignored like any unknown one.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    error::{Problem, ScimType},
    filter::Filter,
    json::{Limits, quoted},
    resource::ResourceType,
    schema::{Attribute, Named, Schemas},
};

/// A list request after parsing and clamping.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    pub filter: Option<Filter>,
    /// One-based; values below 1 were taken as 1.
    pub start_index: u64,
    /// Clamped to the advertised maximum; 0 asks for totals only.
    pub count: u64,
    pub projection: Projection,
}

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

/// Page sizes: the default when `count` is absent, and the most served.
pub const DEFAULT_COUNT: u64 = 100;
pub const MAX_COUNT: u64 = 1_000;

impl ListQuery {
    /// Reads an undecoded query string; decodes once, as a form. Unknown
    /// parameters, also without a value, are ignored.
    pub fn parse(
        query: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<Self, Problem> {
        let mut filter = None;
        let mut start_index = 1;
        let mut count = DEFAULT_COUNT;
        for (name, value) in parameters(query)? {
            match name.as_ref() {
                "filter" if filter.is_some() => {
                    let detail = "filter is given twice; join the parts with `and`";
                    return Err(Problem::bad(ScimType::InvalidFilter, detail));
                }
                "filter" => filter = Some(Filter::parse(&value, of, schemas, limits)?),
                "startIndex" => start_index = whole_number(&name, &value)?.max(1),
                "count" => count = whole_number(&name, &value)?.min(MAX_COUNT),
                _ => {}
            }
        }
        Ok(Self {
            filter,
            start_index,
            count,
            projection: Projection::parse(query, of, schemas)?,
        })
    }
}

impl Projection {
    /// Reads only `attributes` and `excludedAttributes` from a query string.
    /// Names that no schema knows are ignored; when `attributes` names nothing
    /// known, only what is always returned is left.
    pub fn parse(query: &str, of: ResourceType, schemas: &Schemas) -> Result<Self, Problem> {
        let mut projection = Self::default();
        for (name, value) in parameters(query)? {
            match name.as_ref() {
                "attributes" if !value.trim().is_empty() => {
                    let include = projection.include.get_or_insert_default();
                    include.extend(selected(&value, of, schemas));
                }
                "excludedAttributes" => {
                    projection.exclude.extend(selected(&value, of, schemas));
                }
                _ => {}
            }
        }
        if projection.include.is_some() || !projection.exclude.is_empty() {
            projection.always = always(of, schemas);
        }
        Ok(projection)
    }

    /// Whether the stored text can be served as it is. Members are no part of
    /// it, so excluding only them keeps this true: ask [`Self::wants_members`].
    pub fn is_default(&self) -> bool {
        self.include.is_none() && self.exclude.iter().all(Selected::is_members)
    }

    /// Whether a group's members are wanted at all; when not, they are not read.
    pub fn wants_members(&self) -> bool {
        let excluded = self.exclude.iter().any(Selected::is_members);
        let included = match &self.include {
            None => true,
            Some(list) => list.iter().any(|s| s.names("members")),
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

    fn is_members(&self) -> bool {
        self.names("members") && self.sub.is_none()
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
        let place = match is_extension {
            true => Place {
                extension: Some(&name),
                attribute: None,
                sub: None,
            },
            false => Place {
                extension,
                attribute: Some(&name),
                sub: None,
            },
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

/// An integer of any size, clamped; negative ones count as 0 (RFC 7644
/// section 3.4.2.4).
fn whole_number(name: &str, value: &str) -> Result<u64, Problem> {
    let value = value.trim();
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Problem::bad(
            ScimType::InvalidValue,
            format!("{name} must be a whole number, not {}", quoted(value)),
        ));
    }
    if value.starts_with('-') {
        return Ok(0);
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// The decoded pairs of a query string that have a name.
fn parameters(query: &str) -> Result<Vec<(Cow<'_, str>, Cow<'_, str>)>, Problem> {
    let query = query.strip_prefix('?').unwrap_or(query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// Form decoding. A percent sign that is no escape stands for itself.
fn decoded(text: &str) -> Result<Cow<'_, str>, Problem> {
    if !text.contains(['%', '+']) {
        return Ok(text.into());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = match byte {
            b'%' => bytes.get(at + 1..at + 3).and_then(hex),
            _ => None,
        };
        match escape {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| {
        Problem::bad(
            ScimType::InvalidValue,
            "the query is not UTF-8 after percent-decoding; encode it as UTF-8",
        )
    })
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::scim::schema::ENTERPRISE;

    fn list(query: &str) -> Result<ListQuery, Problem> {
        let schemas = Schemas::new(&[], &[]);
        ListQuery::parse(query, ResourceType::User, &schemas, &Limits::default())
    }

    fn page(query: &str) -> (u64, u64) {
        let query = list(query).unwrap();
        (query.start_index, query.count)
    }

    fn projected(query: &str) -> Value {
        let schemas = Schemas::new(&[], &[]);
        let mut resource = json!({
            "schemas": ["u"], "id": "1", "userName": "a", "name": {"givenName": "G", "familyName": "F"},
            "emails": [{"value": "x", "type": "work"}, {"type": "home"}],
            ENTERPRISE: {"department": "D", "manager": {"value": "m", "$ref": "r"}},
            "meta": {"version": "v", "location": "l"},
        });
        let projection = Projection::parse(query, ResourceType::User, &schemas).unwrap();
        projection.apply(resource.as_object_mut().unwrap());
        resource
    }

    #[test]
    fn pages_are_clamped_and_default() {
        assert_eq!(page(""), (1, 100));
        assert_eq!(page("startIndex=0&count=-5"), (1, 0));
        assert_eq!(page("startIndex=-7&count=5000"), (1, 1_000));
        assert_eq!(
            page("startIndex=99999999999999999999999&count=0"),
            (u64::MAX, 0)
        );
        for bad in ["count=ten", "startIndex=1.5", "count=", "count=0x1"] {
            assert_eq!(
                list(bad).unwrap_err().scim_type,
                Some(ScimType::InvalidValue)
            );
        }
    }

    #[test]
    fn stray_and_unknown_parameters_are_ignored() {
        let query = "&&aadOptscim062020&x=1&=&count=3&";
        assert_eq!(page(query), (1, 3));
        assert!(list(query).unwrap().projection.is_default());
    }

    #[test]
    fn the_query_is_decoded_once_as_a_form() {
        let filter = list("filter=userName+eq%20%22a%2Bb%2525%22")
            .unwrap()
            .filter
            .unwrap();
        let narrow = filter.narrow();
        assert_eq!(
            narrow,
            Some(super::super::filter::Narrow::UserName("a+b%25".into()))
        );
        assert!(list("filter=title+co+%22100%%22").is_ok());
        assert_eq!(
            list("filter=").unwrap_err().scim_type,
            Some(ScimType::InvalidFilter)
        );
        assert!(list("filter=title+pr&filter=title+pr").is_err());
        assert!(list("filter=%ff").is_err());
    }

    #[test]
    fn attributes_keep_what_is_named_and_what_is_always_returned() {
        let always = |rest: Value| {
            let mut all = json!({"schemas": ["u"], "id": "1"});
            all.as_object_mut()
                .unwrap()
                .extend(rest.as_object().unwrap().clone());
            all
        };
        assert_eq!(projected("attributes=id"), always(json!({})));
        assert_eq!(projected("attributes=noSuch"), always(json!({})));
        assert_eq!(
            projected("attributes=USERNAME,name.givenname"),
            always(json!({"userName": "a", "name": {"givenName": "G"}}))
        );
        assert_eq!(
            projected("attributes=emails.value"),
            always(json!({"emails": [{"value": "x"}]}))
        );
        assert_eq!(
            projected(&format!("attributes={ENTERPRISE}:manager.value")),
            always(json!({ENTERPRISE: {"manager": {"value": "m"}}}))
        );
        assert_eq!(
            projected("attributes=department"),
            always(json!({ENTERPRISE: {"department": "D"}}))
        );
        let whole =
            json!({ENTERPRISE: {"department": "D", "manager": {"value": "m", "$ref": "r"}}});
        assert_eq!(
            projected(&format!("attributes={ENTERPRISE}")),
            always(whole)
        );
        assert_eq!(
            projected("attributes=meta.version&attributes=userName"),
            always(json!({"userName": "a", "meta": {"version": "v"}}))
        );
    }

    #[test]
    fn excluded_attributes_drop_what_is_named_but_not_what_is_always_returned() {
        let left = projected(&format!(
            "excludedAttributes=id,schemas,emails,name.givenName,{ENTERPRISE},meta"
        ));
        assert_eq!(
            left,
            json!({"schemas": ["u"], "id": "1", "userName": "a", "name": {"familyName": "F"}})
        );
        let left = projected("excludedAttributes=manager,name,emails.type,meta.location");
        assert_eq!(
            left,
            json!({"schemas": ["u"], "id": "1", "userName": "a", "emails": [{"value": "x"}],
            ENTERPRISE: {"department": "D"}, "meta": {"version": "v"}})
        );
        assert_eq!(
            projected("attributes=name&excludedAttributes=name.givenName")["name"],
            json!({"familyName": "F"})
        );
    }

    #[test]
    fn members_are_only_read_when_wanted() {
        let schemas = Schemas::new(&[], &[]);
        let ask = |query: &str| {
            let projection = Projection::parse(query, ResourceType::Group, &schemas).unwrap();
            (projection.is_default(), projection.wants_members())
        };
        assert_eq!(ask(""), (true, true));
        assert_eq!(ask("excludedAttributes=members"), (true, false));
        assert_eq!(
            ask("excludedAttributes=urn:ietf:params:scim:schemas:core:2.0:Group:MEMBERS,noSuch"),
            (true, false)
        );
        assert_eq!(ask("excludedAttributes=members.display"), (false, true));
        assert_eq!(ask("attributes=id"), (false, false));
        assert_eq!(ask("attributes=members.value"), (false, true));
        let projection =
            Projection::parse("attributes=members.value", ResourceType::Group, &schemas).unwrap();
        assert!(projection.wants_of_member("value") && !projection.wants_of_member("$ref"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_queries_never_panic(query in "(filter|count|attributes|startIndex|&|=|%|\\+|%20|[a-zA-Z.:\"]|é){0,20}") {
            let _ = list(&query);
        }
    }
}
