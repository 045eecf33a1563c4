//! What is measured of filters and PATCH: what identity providers send all
//! day, one elaborate filter, and one body with a hundred members.

use std::hint::black_box;

use serde_json::{Map, Value, json};

use crate::{
    clock::{microseconds, nanoseconds},
    scim::{
        filter::{Filter, Subject},
        json::Limits,
        patch,
        resource::{Attributes, ResourceId, ResourceType},
        schema::Schemas,
    },
};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const FILTERS: [(&str, &str); 3] = [
    ("userName", r#"userName eq "bjensen@example.com""#),
    (
        "value path",
        r#"emails[type eq "work" and value co "@example.com"]"#,
    ),
    (
        "elaborate",
        r#"(name.familyName sw "j" or title pr) and not (active eq false) and emails[type eq "work" and not (value ew ".org")] and meta.lastModified gt "2011-05-13T04:42:34Z" and urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq "701984""#,
    ),
];

pub(crate) fn all() {
    let (schemas, limits) = (Schemas::new(&[], &[]), Limits::default());
    filters(&schemas, &limits);
    patches(&schemas, &limits);
}

fn filters(schemas: &Schemas, limits: &Limits) {
    let user = Whole(user());
    for (name, text) in FILTERS {
        let parse = || Filter::parse(black_box(text), ResourceType::User, schemas, limits);
        nanoseconds(&format!("filter parse, {name}"), parse);
        let filter = parse().expect("the filter is valid");
        assert!(filter.matches(&user), "{name} matches");
        nanoseconds(&format!("filter evaluate, {name}"), || {
            filter.matches(black_box(&user))
        });
    }
}

fn patches(schemas: &Schemas, limits: &Limits) {
    let id = ResourceId::parse(ID).expect("an id");
    let user = Attributes(user());
    for (name, body) in [("active", active()), ("five attributes", attributes())] {
        let parse = || patch::parse(black_box(&body), ResourceType::User, schemas, limits);
        microseconds(&format!("PATCH parse, {name}"), parse);
        let patch = parse().expect("the body is valid").taken;
        let apply = || {
            let mut after = user.clone();
            patch.apply(&mut after, &id, ResourceType::User, schemas)
        };
        assert_eq!(apply(), Ok(true), "{name} changes");
        microseconds(&format!("PATCH apply, {name}"), apply);
    }
    let body = members();
    microseconds("PATCH parse, 100 members", || {
        patch::parse(black_box(&body), ResourceType::Group, schemas, limits)
    });
}

/// As Okta deactivates.
fn active() -> Vec<u8> {
    operations(&json!([{"op": "replace", "value": {"active": false}}]))
}

/// As Entra ID updates.
fn attributes() -> Vec<u8> {
    operations(&json!([
        {"op": "Replace", "path": "displayName", "value": "Barbara Jensen"},
        {"op": "Replace", "path": "name.givenName", "value": "Barbara"},
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "barbara@example.com"},
        {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "555-0100"},
        {"op": "Replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "Sales"}
    ]))
}

fn members() -> Vec<u8> {
    let member = |n: u32| json!({"value": format!("01890a5d-ac96-774b-bcce-b30209{n:06}")});
    let members: Vec<Value> = (0..100).map(member).collect();
    operations(&json!([{"op": "add", "path": "members", "value": members}]))
}

fn operations(operations: &Value) -> Vec<u8> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations
    });
    body.to_string().into_bytes()
}

fn user() -> Map<String, Value> {
    let user = json!({
        "id": ID,
        "userName": "bjensen@example.com",
        "externalId": "701984",
        "displayName": "Babs Jensen",
        "active": true,
        "title": "Tour Guide",
        "name": {"familyName": "Jensen", "givenName": "Babs"},
        "emails": [
            {"value": "babs@jensen.org", "type": "home"},
            {"value": "bjensen@example.com", "type": "work", "primary": true}
        ],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "701984"},
        "meta": {"resourceType": "User", "lastModified": "2024-05-13T04:42:34.000Z"}
    });
    user.as_object().cloned().unwrap_or_default()
}

struct Whole(Map<String, Value>);

impl Subject for Whole {
    fn attributes(&self) -> &Map<String, Value> {
        &self.0
    }

    fn is_linked(&self, _: &str) -> bool {
        false
    }

    fn any_link(&self, _: &mut dyn FnMut(&Value) -> bool) -> bool {
        false
    }
}
