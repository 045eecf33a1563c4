//! What Hydden.Control adds to the standard schemas and where it bends them
//! (RFC 7643 section 7): users and members are read-only, with the reason in
//! the description. `externalId` is the identity provider's own and stays
//! writable; it is kept by the bridge.

use serde_json::{Value, json};

use super::capabilities::{NO_GROUPS, NO_MEMBERS, NO_USERS};
use crate::scim::schema::{Adjustment, ENTERPRISE, GROUP, KEPT, Schemas, USER};

pub(super) const USER_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:hydden:2.0:User";
pub(super) const GROUP_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:hydden:2.0:Group";

pub(super) fn schemas(write_groups: bool) -> Schemas {
    let adjustments = adjustments(write_groups);
    Schemas::new(&[user_extension(), group_extension()], &adjustments)
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

fn group_extension() -> Value {
    json!({
        "id": GROUP_EXTENSION,
        "name": "HyddenGroup",
        "description": "What Hydden.Control knows of a group beyond the standard attributes",
        "attributes": [
            text("group", true, "The group's id in Hydden.Control"),
            text("description", false, "What the group is for"),
            text("type", false, "The kind of group, such as \"security\""),
            {
                "name": "privileged",
                "type": "boolean",
                "multiValued": false,
                "description": "Whether the group gives elevated rights",
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
const OF_USERS: [&str; 18] = [
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
];
const OF_EMPLOYEES: [&str; 6] = [
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
    "department",
    "manager",
];

fn adjustments(write_groups: bool) -> Vec<Adjustment> {
    let kept = |schema: &str, attribute: &str, reason: &str| Adjustment {
        schema: schema.into(),
        attribute: attribute.into(),
        mutability: Some(KEPT),
        canonical_values: Vec::new(),
        note: format!("Read-only: {reason}."),
    };
    let mut found = vec![
        kept(USER, "x509Certificates", NO_USERS),
        kept(GROUP, "members", NO_MEMBERS),
    ];
    found.extend((!write_groups).then(|| kept(GROUP, "displayName", NO_GROUPS)));
    found.extend(OF_USERS.map(|name| kept(USER, name, NO_USERS)));
    found.extend(OF_EMPLOYEES.map(|name| kept(ENTERPRISE, name, NO_USERS)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_external_id_is_writable_and_names_of_groups_where_they_are() {
        let both = [false, true].map(|write| (write, schemas(write)));
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
    fn every_reason_is_served() {
        let documents: Vec<String> = schemas(false)
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
