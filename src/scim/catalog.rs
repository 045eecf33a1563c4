//! Roles and entitlements that can be assigned to users, for clients that offer
//! them to choose from: `/Roles` and `/Entitlements`.
//!
//! One table from the application is told in two forms at once, that of
//! draft-ietf-scim-roles-entitlements-01 (`value`, `display`, `type`,
//! `supported`) and Okta's (`displayName`, `type`, `description`), each with a
//! schema and a resource type of its own. Read-only; an empty table is not
//! supported, and then it is not told of either.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{
    filter::Subject,
    query::{ListQuery, SortKey},
    resource::ResourceType,
    schema::Schemas,
};

/// What can be assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignable {
    Role,
    Entitlement,
}

/// What lists are about: resources that are stored, and the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listable {
    Stored(ResourceType),
    Assignable(Assignable),
}

/// An application's table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    pub roles: Vec<Entry>,
    pub entitlements: Vec<Entry>,
    /// Whether a user can have more than one at a time.
    pub several_roles: bool,
    pub several_entitlements: bool,
}

/// One row. The value is what a user's attribute holds, and the row's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: String,
    pub display: String,
    pub description: String,
    /// The kind of entitlement, where there are kinds.
    pub kind: Option<String>,
}

/// A row that a query finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub of: Assignable,
    /// Its place in the table.
    pub row: i64,
    /// Its place in the order that is asked for.
    pub key: SortKey,
    pub entry: Entry,
}

static ROLES: LazyLock<Schemas> = LazyLock::new(|| Assignable::Role.alone());
static ENTITLEMENTS: LazyLock<Schemas> = LazyLock::new(|| Assignable::Entitlement.alone());

impl Listable {
    /// As in `meta.resourceType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored(of) => of.name(),
            Self::Assignable(of) => of.name(),
        }
    }
}

impl From<ResourceType> for Listable {
    fn from(of: ResourceType) -> Self {
        Self::Stored(of)
    }
}

impl From<Assignable> for Listable {
    fn from(of: Assignable) -> Self {
        Self::Assignable(of)
    }
}

impl Assignable {
    pub const ALL: [Self; 2] = [Self::Role, Self::Entitlement];

    /// As in `meta.resourceType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Role => "Role",
            Self::Entitlement => "Entitlement",
        }
    }

    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Role => "Roles",
            Self::Entitlement => "Entitlements",
        }
    }

    /// The name of the resource type in Okta's form.
    pub fn okta_name(self) -> &'static str {
        match self {
            Self::Role => "OktaRole",
            Self::Entitlement => "OktaEntitlement",
        }
    }

    /// The draft's URN.
    pub fn urn(self) -> &'static str {
        match self {
            Self::Role => "urn:ietf:params:scim:schemas:core:2.0:Role",
            Self::Entitlement => "urn:ietf:params:scim:schemas:core:2.0:Entitlement",
        }
    }

    pub fn okta_urn(self) -> &'static str {
        match self {
            Self::Role => "urn:okta:scim:schemas:core:1.0:Role",
            Self::Entitlement => "urn:okta:scim:schemas:core:1.0:Entitlement",
        }
    }

    /// Both schemas of a row.
    pub fn documents(self) -> [Value; 2] {
        let shown = || text("displayName", true, "The name to show.");
        let kind = || text("type", false, "The kind, where there are kinds.");
        let draft = vec![
            text("value", true, "What a user's attribute holds."),
            text("display", false, "The name to show."),
            kind(),
            json!({
                "name": "supported", "type": "boolean", "multiValued": false, "required": false,
                "description": "Whether it can be assigned now.",
                "mutability": "readOnly", "returned": "default", "uniqueness": "none",
            }),
        ];
        let okta = vec![
            shown(),
            kind(),
            text("description", false, "What it is for."),
        ];
        [
            document(self.urn(), self.name(), &draft),
            document(self.okta_urn(), self.okta_name(), &okta),
        ]
    }

    /// The attributes of a row, for filters and projections: asked for as
    /// those of a user, because there is no other type to name.
    pub fn schemas(self) -> &'static Schemas {
        match self {
            Self::Role => &ROLES,
            Self::Entitlement => &ENTITLEMENTS,
        }
    }

    fn alone(self) -> Schemas {
        Schemas::alone(self.urn(), self.documents().into())
    }
}

fn document(urn: &str, name: &str, attributes: &[Value]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": urn,
        "name": name,
        "description": "What can be assigned to a user",
        "attributes": attributes,
    })
}

fn text(name: &str, required: bool, description: &str) -> Value {
    json!({
        "name": name, "type": "string", "multiValued": false, "required": required,
        "description": description, "caseExact": true,
        "mutability": "readOnly", "returned": "default", "uniqueness": "none",
    })
}

impl Catalog {
    pub fn entries(&self, of: Assignable) -> &[Entry] {
        match of {
            Assignable::Role => &self.roles,
            Assignable::Entitlement => &self.entitlements,
        }
    }

    pub fn supports(&self, of: Assignable) -> bool {
        !self.entries(of).is_empty()
    }

    /// The rows as resources, in the table's order.
    pub fn resources(&self, of: Assignable, base: &str) -> Vec<Map<String, Value>> {
        let entries = self.entries(of).iter();
        entries.map(|entry| entry.resource(of, base)).collect()
    }

    /// The rows that a query finds, in the table's order and each with its key.
    /// No filter asks for an address, so none is needed.
    pub fn find(&self, of: Assignable, query: &ListQuery) -> Vec<Found> {
        let rows = (0..).zip(self.entries(of));
        let found = rows.filter_map(|(row, entry)| {
            let resource = entry.resource(of, "");
            let filter = query.filter.as_ref();
            if filter.is_some_and(|filter| !filter.matches(&Row(&resource))) {
                return None;
            }
            let key = query.sort.as_ref().map(|sort| sort.key(&resource));
            Some(Found {
                of,
                row,
                key: key.unwrap_or_default(),
                entry: entry.clone(),
            })
        });
        found.collect()
    }

    /// What `ServiceProviderConfig` says of it (section 3 of the draft).
    pub fn config(&self) -> Value {
        let part = |of: Assignable, several: &str, value: bool| {
            let kinds = self.entries(of).iter().filter_map(|e| e.kind.clone());
            let mut kinds: Vec<String> = kinds.collect();
            kinds.sort_unstable();
            kinds.dedup();
            json!({
                "supported": self.supports(of),
                several: value,
                "primarySupported": self.supports(of),
                "typeSupported": !kinds.is_empty(),
                "types": kinds,
            })
        };
        json!({
            "roles": part(Assignable::Role, "multipleRolesSupported", self.several_roles),
            "entitlements": part(
                Assignable::Entitlement,
                "multipleEntitlementsSupported",
                self.several_entitlements,
            ),
        })
    }
}

impl Entry {
    pub fn resource(&self, of: Assignable, base: &str) -> Map<String, Value> {
        let resource = json!({
            "schemas": [of.urn(), of.okta_urn()],
            "id": self.value,
            "value": self.value,
            "display": self.display,
            "displayName": self.display,
            "type": self.kind,
            "description": self.description,
            "supported": true,
            "meta": {
                "resourceType": of.name(),
                "location": format!("{base}/{}/{}", of.endpoint(), self.value),
            },
        });
        let Value::Object(mut resource) = resource else {
            return Map::new();
        };
        resource.retain(|_, value| !value.is_null());
        resource
    }
}

struct Row<'a>(&'a Map<String, Value>);

impl Subject for Row<'_> {
    fn attributes(&self) -> &Map<String, Value> {
        self.0
    }

    fn is_linked(&self, _: &str) -> bool {
        false
    }

    fn any_link(&self, _: &mut dyn FnMut(&Value) -> bool) -> bool {
        false
    }
}
