//! What Hydden.Control adds to the standard schemas and where it bends them
//! (RFC 7643 section 7): users and members are read-only, with the reason in
//! the description. `externalId` is the identity provider's own and stays
//! writable; it is kept by the bridge.

use serde_json::{Value, json};

use crate::{
    plan::capability::{Act, Capabilities},
    scim::schema::{Adjustment, ENTERPRISE, GROUP, KEPT, Schemas, USER},
};

pub(super) const USER_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:hydden:2.0:User";
pub(super) const GROUP_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:hydden:2.0:Group";

/// The schemas of a connection that can do this.
pub(super) fn schemas(can: &Capabilities) -> Schemas {
    Schemas::new(&[user_extension(), group_extension(can)], &adjustments(can))
}

fn user_extension() -> Value {
    json!({
        "id": USER_EXTENSION,
        "name": "HyddenUser",
        "description": "What Hydden.Control knows of an account beyond the standard attributes",
        "attributes": [
            text("account", true, "The account's id in Hydden.Control"),
            text("accountName", false, "The account's name, which several accounts may share"),
            text("dataSource", true, "The id of the data source the account was copied from"),
            text("status", false, "The status as Hydden.Control shows it; only \"active\" is active"),
        ],
    })
}

fn group_extension(can: &Capabilities) -> Value {
    // Of a record the bridge writes the name alone.
    let reason = if can.can(Act::RenameGroup) {
        "only the name of a group is written here, so change it in Hydden.Control"
    } else {
        can.note(Act::RenameGroup)
    };
    let shown = |what: &str| format!("{what}. Read-only: {reason}");
    json!({
        "id": GROUP_EXTENSION,
        "name": "HyddenGroup",
        "description": "What Hydden.Control knows of a group beyond the standard attributes",
        "attributes": [
            text("group", true, "The group's id in Hydden.Control"),
            text("description", false, &shown("What the group is for")),
            text("type", false, &shown("The kind of group, such as \"security\"")),
            {
                "name": "privileged",
                "type": "boolean",
                "multiValued": false,
                "description": shown("Whether the group gives elevated rights"),
                "required": false,
                "mutability": "readOnly",
                "returned": "default",
                "uniqueness": "none",
            },
        ],
    })
}

fn text(name: &str, exact: bool, description: &str) -> Value {
    json!({
        "name": name,
        "type": "string",
        "multiValued": false,
        "description": description,
        "required": false,
        "caseExact": exact,
        "mutability": "readOnly",
        "returned": "default",
        "uniqueness": "none",
    })
}

/// All that a client could write of a user in the standard schemas.
const OF_USERS: [&str; 19] = [
    "userName",
    "name",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "active",
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
];
const OF_EMPLOYEES: [&str; 6] = [
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
    "department",
    "manager",
];

fn adjustments(can: &Capabilities) -> Vec<Adjustment> {
    let members = [(GROUP, "members")];
    let of_users = OF_USERS.map(|name| (USER, name));
    let of_employees = OF_EMPLOYEES.map(|name| (ENTERPRISE, name));
    let mut found = kept(can, Act::CreateUser, &of_users);
    found.extend(kept(can, Act::CreateUser, &of_employees));
    found.extend(kept(can, Act::RenameGroup, &[(GROUP, "displayName")]));
    if can.can(Act::RenameGroup) {
        found.push(Adjustment {
            schema: GROUP.into(),
            attribute: "displayName".into(),
            mutability: None,
            canonical_values: Vec::new(),
            note: format!("Another name: {}.", can.note(Act::RenameGroup)),
        });
    }
    found.extend(kept(can, Act::AddMembers, &members));
    found
}

/// What is read-only where an act cannot be done.
fn kept(can: &Capabilities, act: Act, attributes: &[(&str, &str)]) -> Vec<Adjustment> {
    if can.can(act) {
        return Vec::new();
    }
    let kept = |(schema, attribute): &(&str, &str)| Adjustment {
        schema: (*schema).into(),
        attribute: (*attribute).into(),
        mutability: Some(KEPT),
        canonical_values: Vec::new(),
        note: format!("Read-only: {}.", can.note(act)),
    };
    attributes.iter().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::capabilities::{NO_GROUPS, NO_MEMBERS, NO_USERS, table},
        *,
    };

    #[test]
    fn nothing_but_the_external_id_is_writable_and_names_of_groups_where_they_are() {
        let both = [false, true].map(|write| (write, schemas(&table(write))));
        let documents = both
            .iter()
            .flat_map(|(write, of)| of.documents().iter().map(move |it| (*write, it)));
        for (write_groups, document) in documents {
            let id = document["id"].as_str().unwrap_or_default();
            let names = [USER, GROUP, ENTERPRISE, USER_EXTENSION, GROUP_EXTENSION];
            let attributes = document["attributes"].as_array().cloned();
            for attribute in attributes.into_iter().flatten() {
                let name = attribute["name"].as_str().unwrap_or_default();
                let writable = attribute["mutability"] != "readOnly";
                let own = (name == "externalId" && id != ENTERPRISE)
                    || (write_groups && id == GROUP && name == "displayName");
                assert!(!names.contains(&id) || writable == own, "{id} {name}");
            }
        }
    }

    #[test]
    fn that_only_groups_made_here_are_renamed_is_served() {
        let can = table(true);
        let documents: Vec<String> = schemas(&can)
            .documents()
            .iter()
            .map(Value::to_string)
            .collect();
        let note = can.note(Act::RenameGroup);
        assert!(
            note.contains("only a Group that this bridge made"),
            "{note}"
        );
        assert!(documents.concat().contains(note), "{note}");
    }

    #[test]
    fn every_reason_is_served() {
        let documents: Vec<String> = schemas(&table(false))
            .documents()
            .iter()
            .map(Value::to_string)
            .collect();
        let served = documents.concat();
        for reason in [NO_USERS, NO_GROUPS, NO_MEMBERS] {
            assert!(served.contains(reason), "{reason}");
        }
    }
}
