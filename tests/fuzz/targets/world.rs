//! What the targets act on: schemas with an extension that has attributes of
//! every mutability, and two users and a group that have a value of each kind.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::scim::{
    filter::Subject,
    json::Limits,
    resource::{Attributes, ResourceId, ResourceType},
    schema::Schemas,
};

pub(super) const EXTENSION: &str = "urn:example:params:scim:schemas:extension:fuzz:2.0:User";
pub(super) const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

pub(super) static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::new(&[extension()], &[]));
/// Lenient and strict.
pub(super) static LIMITS: LazyLock<[Limits; 2]> = LazyLock::new(|| {
    [false, true].map(|strict| Limits {
        strict,
        ..Limits::default()
    })
});

pub(super) static USERS: LazyLock<[Attributes; 2]> = LazyLock::new(|| {
    [
        attributes(&json!({
            "userName": "Bjensen@Example.com",
            "externalId": "701984",
            "displayName": "Babs Jensen",
            "title": "Tour Guide",
            "active": true,
            "name": {"familyName": "Jensen", "givenName": "Barbara", "formatted": "Ms. B Jensen"},
            "emails": [
                {"value": "bjensen@example.com", "type": "work", "primary": true},
                {"value": "babs@jensen.example", "type": "home"}
            ],
            "phoneNumbers": [{"value": "tel:555-555-5555", "type": "work"}],
            "addresses": [{"type": "work", "locality": "Hollywood", "country": "US"}],
            "roles": [{"value": "admin", "primary": true}],
            ENTERPRISE: {"employeeNumber": "701984", "manager": {"value": ID}},
            EXTENSION: {"given": "by us", "once": "set", "level": 7, "ratio": 0.5,
                "since": "2024-02-29T12:00:00Z", "tags": ["a", "b"]}
        })),
        attributes(&json!({"userName": "ß-Σίσυφος"})),
    ]
});
pub(super) static GROUP: LazyLock<Attributes> =
    LazyLock::new(|| attributes(&json!({"displayName": "Tour Guides", "externalId": "g-1"})));

pub(super) fn id() -> ResourceId {
    ResourceId::parse(ID).unwrap()
}

/// The resources of a type.
pub(super) fn resources(of: ResourceType) -> &'static [Attributes] {
    match of {
        ResourceType::User => &*USERS,
        ResourceType::Group => std::slice::from_ref(&*GROUP),
    }
}

/// The resources of a type as filters, orders and projections see them.
pub(super) fn wholes(of: ResourceType) -> &'static [Whole] {
    static WHOLES: LazyLock<[Vec<Whole>; 2]> = LazyLock::new(|| {
        let all = |of| resources(of).iter().map(Whole::of).collect();
        [ResourceType::User, ResourceType::Group].map(all)
    });
    &WHOLES[usize::from(of == ResourceType::Group)]
}

/// A resource as it is shown.
pub(super) struct Whole(pub(super) Map<String, Value>);

impl Whole {
    fn of(attributes: &Attributes) -> Self {
        let mut map = attributes.0.clone();
        map.insert("id".into(), ID.into());
        let meta = json!({"resourceType": "User", "created": "2024-02-29T12:00:00.000Z",
            "lastModified": "2025-01-01T00:00:00.000Z", "version": "W/\"3\""});
        map.insert("meta".into(), meta);
        Self(map)
    }
}

impl Subject for Whole {
    fn attributes(&self) -> &Map<String, Value> {
        &self.0
    }

    fn is_linked(&self, id: &str) -> bool {
        id == ID
    }

    fn any_link(&self, will_do: &mut dyn FnMut(&Value) -> bool) -> bool {
        will_do(&json!({"value": ID, "type": "User"}))
    }
}

fn attributes(value: &Value) -> Attributes {
    Attributes(value.as_object().cloned().unwrap())
}

fn extension() -> Value {
    let attribute = |name: &str, kind: &str, multi: bool, mutability: &str| {
        json!({"name": name, "type": kind, "multiValued": multi, "description": name,
            "required": false, "caseExact": true, "mutability": mutability,
            "returned": "default", "uniqueness": "none"})
    };
    json!({
        "id": EXTENSION,
        "name": "Fuzz",
        "description": "One attribute of each kind.",
        "attributes": [
            attribute("given", "string", false, "readOnly"),
            attribute("once", "string", false, "immutable"),
            attribute("level", "integer", false, "readWrite"),
            attribute("ratio", "decimal", false, "readWrite"),
            attribute("since", "dateTime", false, "readWrite"),
            attribute("tags", "string", true, "readWrite"),
        ]
    })
}
