//! What Opsera adds to the standard schemas and where it bends them
//! (RFC 7643 section 7): the documents that `/Schemas` serves for a connection,
//! true for what the application can do, each limit with its reason.

use serde_json::{Value, json};

use super::{
    capabilities::{NO_NEW_ADDRESS, NO_REACTIVATION, NO_RENAME},
    settings::{SITE_ROLES, Settings, UnknownRoles},
};
use crate::scim::schema::{Adjustment, ENTERPRISE, GROUP, Schemas, USER};

pub const USER_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:opsera:2.0:User";
pub const GROUP_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:opsera:2.0:Group";

/// The schemas of a connection.
pub(super) fn schemas(settings: &Settings) -> Schemas {
    Schemas::new(
        &[user_extension(settings), group_extension()],
        &adjustments(settings),
    )
}

fn user_extension(settings: &Settings) -> Value {
    let kept = if settings.people {
        "kept in Opsera's People record"
    } else {
        "kept by the bridge only (people = false)"
    };
    let once = "sent to Opsera when the account is created, kept by the bridge afterwards";
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": USER_EXTENSION,
        "name": "OpseraUser",
        "description": "What Opsera knows of a user beyond the standard attributes",
        "attributes": [
            text("team", "readWrite", &format!("The user's team; {kept}")),
            text("group", "readWrite",
                &format!("A free-text label, unrelated to group membership; {kept}")),
            text("location", "readWrite", &format!("Office or site; {once}")),
            text("preferredName", "readWrite",
                &format!("Shown instead of the first name, nickName where absent; {once}")),
            text("ssoSystem", "readOnly", "How the user signs in to Opsera, as Opsera shows it"),
            text("domain", "readOnly", "The organization's domain, as Opsera shows it"),
            text("organization", "readOnly", "The organization, as Opsera shows it"),
        ],
        "meta": { "resourceType": "Schema", "location": format!("/Schemas/{USER_EXTENSION}") },
    })
}

fn group_extension() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": GROUP_EXTENSION,
        "name": "OpseraGroup",
        "description": "How Opsera knows a group",
        "attributes": [
            {
                "name": "name",
                "type": "string",
                "multiValued": false,
                "description": format!("The group's Opsera name: {NO_RENAME}"),
                "required": false,
                "caseExact": true,
                "mutability": "readOnly",
                "returned": "default",
                "uniqueness": "server",
            },
            text("type", "readOnly",
                "Opsera's kind of group, as it shows it; only groups of type user are written"),
            {
                "name": "synced",
                "type": "boolean",
                "multiValued": false,
                "description": "Whether another directory keeps the group, as Opsera shows it; \
                                such a group is never written",
                "required": false,
                "mutability": "readOnly",
                "returned": "default",
                "uniqueness": "none",
            },
        ],
        "meta": { "resourceType": "Schema", "location": format!("/Schemas/{GROUP_EXTENSION}") },
    })
}

fn text(name: &str, mutability: &str, description: &str) -> Value {
    json!({
        "name": name,
        "type": "string",
        "multiValued": false,
        "description": description,
        "required": false,
        "caseExact": false,
        "mutability": mutability,
        "returned": "default",
        "uniqueness": "none",
    })
}

fn adjustments(settings: &Settings) -> Vec<Adjustment> {
    let note = |schema: &str, attribute: &str, note: &str| Adjustment {
        schema: schema.into(),
        attribute: attribute.into(),
        mutability: None,
        canonical_values: Vec::new(),
        note: note.into(),
    };
    let local = "Opsera has no place for it: kept by the bridge only.";
    let profile = if settings.people {
        "Kept in Opsera's People record."
    } else {
        "Sent when the account is created, kept by the bridge afterwards (people = false)."
    };
    let once = "Sent to Opsera when the account is created, kept by the bridge afterwards.";
    let mut found = vec![
        note(
            USER,
            "userName",
            &format!(
                "The account's address: this value where it is one, else the primary, the work or \
                 the first of emails. {NO_NEW_ADDRESS}."
            ),
        ),
        note(
            USER,
            "active",
            &format!(
                "False deactivates the Opsera account. Making it true again: {NO_REACTIVATION}."
            ),
        ),
        note(USER, "name.givenName", profile),
        note(USER, "name.familyName", profile),
        note(USER, "title", once),
        note(USER, "nickName", once),
        note(
            USER,
            "roles",
            match settings.unknown_roles {
                UnknownRoles::Refuse => {
                    "The Opsera site role: the primary value, else the first. Other values are refused."
                }
                UnknownRoles::Local => {
                    "The Opsera site role: the primary value, else the first. Other values are kept by \
                 the bridge only."
                }
            },
        ),
        roles(settings.unknown_roles),
        Adjustment {
            mutability: Some("readOnly"),
            ..note(
                USER,
                "entitlements",
                "The applications and tools the user can reach, as Opsera shows them; granted in \
                 Opsera only.",
            )
        },
        note(
            ENTERPRISE,
            "division",
            "Opsera's division at creation, the People record's business unit.",
        ),
        note(
            GROUP,
            "displayName",
            &format!(
                "Becomes the Opsera name of a new group by a visible rule (see {GROUP_EXTENSION}); \
             {NO_RENAME}."
            ),
        ),
    ];
    for attribute in ["organization", "department"] {
        found.push(note(
            ENTERPRISE,
            attribute,
            if settings.people { profile } else { local },
        ));
    }
    for attribute in ["employeeNumber", "costCenter", "manager"] {
        found.push(note(ENTERPRISE, attribute, local));
    }
    for attribute in [
        "displayName",
        "profileUrl",
        "userType",
        "preferredLanguage",
        "locale",
        "timezone",
        "phoneNumbers",
        "ims",
        "photos",
        "x509Certificates",
    ] {
        found.push(note(USER, attribute, local));
    }
    found.push(note(
        USER,
        "addresses",
        "The locality of the work address is Opsera's location at creation; the rest is kept by \
         the bridge only.",
    ));
    found
}

/// Where other roles are kept too, the site roles are no limit and so no
/// canonical values.
fn roles(unknown: UnknownRoles) -> Adjustment {
    let (canonical_values, note) = match unknown {
        UnknownRoles::Refuse => (SITE_ROLES.map(str::to_owned).to_vec(), String::new()),
        UnknownRoles::Local => {
            let roles = SITE_ROLES.join(", ");
            (Vec::new(), format!("Opsera knows {roles}."))
        }
    };
    Adjustment {
        schema: USER.into(),
        attribute: "roles.value".into(),
        mutability: None,
        canonical_values,
        note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::resource::ResourceType;

    #[test]
    fn every_adjustment_arrives_in_the_served_documents() {
        for settings in [
            Settings::default(),
            Settings {
                people: false,
                unknown_roles: UnknownRoles::Local,
                ..Settings::default()
            },
        ] {
            let served: Vec<String> = schemas(&settings)
                .documents()
                .iter()
                .map(Value::to_string)
                .collect();
            let served = served.concat();
            for adjustment in adjustments(&settings) {
                let note = json!(adjustment.note).to_string();
                let note = note.trim_matches('"');
                assert!(served.contains(note), "{adjustment:?}");
            }
            assert!(served.contains("SecurityManagers"));
        }
    }

    #[test]
    fn both_extensions_are_known_for_their_resource() {
        let schemas = schemas(&Settings::default());
        assert!(
            schemas
                .extensions(ResourceType::User)
                .contains(&USER_EXTENSION)
        );
        assert!(
            schemas
                .extensions(ResourceType::Group)
                .contains(&GROUP_EXTENSION)
        );
    }
}
