//! One typed table of everything the bridge says to Opsera and reads from it:
//! verbs, paths, query keys, request keys and response keys.
//!
//! Most were lost from the public text, so each row says how sure it is, and
//! each can be overridden in the configuration
//! (`[connection.upstream.operations.add_members]`, `[connection.upstream.keys]`).

use std::collections::{BTreeMap, HashMap};

use reqwest::Method;
use serde::Deserialize;

use super::settings::Route;
use crate::upstream::client;

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The application's own documentation.
    Documented,
    /// Public documentation or public client code beside it.
    Public,
    /// A plausible choice: check it against your tenant.
    Assumed,
}

use Source::{Assumed, Documented, Public};

/// The documented operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    CreateGroup,
    GetGroup,
    DeleteGroup,
    ListGroups,
    GetMembers,
    ReplaceMembers,
    RemoveMembers,
    AddMembers,
    SearchUser,
    CreateUser,
    GetUser,
    DeactivateUser,
    SetSiteRole,
    ListUsers,
    ListPeople,
    CreatePerson,
    GetPerson,
    UpdatePerson,
}

/// One row of [`OPERATIONS`].
#[derive(Debug)]
pub struct Row {
    pub name: Name,
    /// Its spelling in the configuration.
    pub key: &'static str,
    pub method: &'static str,
    /// What stands in braces is filled in, percent-encoded.
    pub path: &'static str,
    /// Of the path; an `Assumed` verb on a known path counts as `Assumed`.
    pub source: Source,
}

const fn row(
    name: Name,
    key: &'static str,
    method: &'static str,
    path: &'static str,
    source: Source,
) -> Row {
    Row {
        name,
        key,
        method,
        path,
        source,
    }
}

const GROUP: &str = "/api/v2/groupmanagement/group";
const ONE_GROUP: &str = "/api/v2/groupmanagement/group/{name}";
const GROUPS: &str = "/api/v2/groupmanagement/groups";
const MEMBERS: &str = "/api/v2/groupmanagement/group/{name}/members";
const USER: &str = "/api/v2/usermanagement/user";
const ONE_USER: &str = "/api/v2/usermanagement/user/{id}";
const SITE_ROLE: &str = "/api/v2/usermanagement/user/{id}/siterole";
const USERS: &str = "/api/v2/usermanagement/users";
const PEOPLE: &str = "/api/v2/data/people";
const ONE_PERSON: &str = "/api/v2/data/people/{email}";

/// In the order of [`Name`].
pub const OPERATIONS: [Row; 18] = [
    row(Name::CreateGroup, "create_group", "POST", GROUP, Assumed),
    row(Name::GetGroup, "get_group", "GET", ONE_GROUP, Assumed),
    row(
        Name::DeleteGroup,
        "delete_group",
        "DELETE",
        ONE_GROUP,
        Assumed,
    ),
    row(Name::ListGroups, "list_groups", "GET", GROUPS, Assumed),
    row(Name::GetMembers, "get_members", "GET", MEMBERS, Assumed),
    row(
        Name::ReplaceMembers,
        "replace_members",
        "PUT",
        MEMBERS,
        Assumed,
    ),
    row(
        Name::RemoveMembers,
        "remove_members",
        "DELETE",
        MEMBERS,
        Assumed,
    ),
    row(Name::AddMembers, "add_members", "POST", MEMBERS, Assumed),
    row(Name::SearchUser, "search_user", "GET", USER, Assumed),
    row(Name::CreateUser, "create_user", "POST", USER, Assumed),
    row(Name::GetUser, "get_user", "GET", ONE_USER, Assumed),
    row(
        Name::DeactivateUser,
        "deactivate_user",
        "DELETE",
        ONE_USER,
        Public,
    ),
    row(
        Name::SetSiteRole,
        "set_site_role",
        "PUT",
        SITE_ROLE,
        Assumed,
    ),
    row(Name::ListUsers, "list_users", "GET", USERS, Public),
    row(Name::ListPeople, "list_people", "GET", PEOPLE, Public),
    row(Name::CreatePerson, "create_person", "POST", PEOPLE, Public),
    row(Name::GetPerson, "get_person", "GET", ONE_PERSON, Assumed),
    row(
        Name::UpdatePerson,
        "update_person",
        "PUT",
        ONE_PERSON,
        Assumed,
    ),
];

impl Name {
    pub fn row(self) -> &'static Row {
        &OPERATIONS[self as usize]
    }

    /// What is wrong with an override.
    pub(super) fn problems(self, route: &Route) -> Vec<String> {
        let row = self.row();
        let mut found = Vec::new();
        if let Some(method) = &route.method
            && !METHODS.contains(&method.as_str())
        {
            found.push(format!(
                "operations.{}.method {method:?}: write one of {}",
                row.key,
                METHODS.join(", ")
            ));
        }
        if let Some(path) = &route.path {
            let wanted = client::placeholders(row.path).unwrap_or_default();
            let problem = match client::placeholders(path) {
                Err(problem) => Some(problem),
                Ok(names) if names.iter().any(|name| !wanted.contains(name)) => {
                    Some(match wanted.first() {
                        Some(name) => format!("only {{{name}}} can be filled in"),
                        None => "nothing can be filled in here".into(),
                    })
                }
                // Without its name the path would address the whole collection.
                Ok(names) if names.len() < wanted.len() => {
                    Some(format!("{{{}}} is missing", wanted.join("}, {")))
                }
                Ok(_) => None,
            };
            found.extend(problem.map(|why| format!("operations.{}.path: {why}", row.key)));
        }
        found
    }
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

macro_rules! keys {
    ($($(#[$about:meta])* $variant:ident $name:literal = $default:literal, $source:ident;)*) => {
        /// The keys of queries, requests and answers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        pub enum Key {
            $($(#[$about])* #[serde(rename = $name)] $variant,)*
        }

        /// Configuration name, default spelling and certainty, in the order of [`Key`].
        pub const KEYS: &[(Key, &str, &str, Source)] =
            &[$((Key::$variant, $name, $default, $source),)*];
    };
}

keys! {
    /// Query of the user search.
    SearchEmail "search_email" = "email", Documented;
    /// Query of the user list: comma-separated ids.
    ListIds "list_ids" = "id", Documented;
    /// Query of the group list: part of a name.
    GroupsName "groups_name" = "name", Assumed;
    /// Query of the group list: comma-separated names.
    GroupsIds "groups_ids" = "id", Documented;
    /// The list of identifiers in add, remove and replace.
    Members "members" = "members", Assumed;
    /// Initial members by id.
    MemberUserIds "member_user_ids" = "groupMemberUserIds", Documented;
    /// Initial members by e-mail.
    MemberEmails "member_emails" = "groupMemberEmailAddresses", Documented;
    /// Who was added, as a path into the answer.
    Added "added" = "result.added", Assumed;
    /// Who was removed.
    Removed "removed" = "result.removed", Assumed;
    /// Who is in the group after a replacement.
    Replaced "replaced" = "result.added", Assumed;
    /// The list of members in a membership answer that is no bare list.
    MemberList "member_list" = "members", Assumed;
    GroupName "group_name" = "name", Assumed;
    GroupType "group_type" = "groupType", Assumed;
    Synced "synced" = "isSync", Assumed;
    MemberCount "member_count" = "memberCount", Assumed;
    UserId "user_id" = "_id", Assumed;
    Email "email" = "email", Public;
    FirstName "first_name" = "firstName", Documented;
    LastName "last_name" = "lastName", Assumed;
    Active "active" = "active", Public;
    PreferredName "preferred_name" = "preferredName", Assumed;
    Title "title" = "title", Assumed;
    Location "location" = "location", Assumed;
    Division "division" = "division", Assumed;
    SiteRole "site_role" = "siteRole", Assumed;
    Sso "sso" = "sso", Assumed;
    OrganizationName "organization_name" = "organizationName", Assumed;
    Domain "domain" = "domain", Assumed;
    Applications "applications" = "applications", Assumed;
    Tools "tools" = "tools", Assumed;
    CreatedAt "created_at" = "createdAt", Assumed;
    UpdatedAt "updated_at" = "updatedAt", Assumed;
    Organization "organization" = "organization", Assumed;
    BusinessUnit "business_unit" = "businessUnit", Assumed;
    Department "department" = "department", Assumed;
    Group "group" = "group", Assumed;
    Team "team" = "team", Assumed;
}

impl Key {
    /// Its spelling in the configuration.
    pub fn name(self) -> &'static str {
        KEYS[self as usize].1
    }
}

/// The table of one connection, overrides applied.
#[derive(Debug)]
pub(super) struct Wire {
    routes: Vec<(Method, String)>,
    keys: Vec<String>,
}

impl Wire {
    /// The overrides were checked by [`Name::problems`]; an unreadable verb
    /// is an error all the same.
    pub(super) fn new(
        routes: &HashMap<Name, Route>,
        keys: &BTreeMap<Key, String>,
    ) -> Result<Self, String> {
        let route = |row: &Row| {
            let said = routes.get(&row.name);
            let method = said.and_then(|route| route.method.as_deref());
            let path = said.and_then(|route| route.path.as_deref());
            let method = method.unwrap_or(row.method);
            Method::from_bytes(method.as_bytes())
                .map(|method| (method, path.unwrap_or(row.path).to_owned()))
                .map_err(|_| format!("operations.{}.method {method:?} is no verb", row.key))
        };
        let key = |(key, _, default, _): &(Key, &str, &str, Source)| {
            keys.get(key).map_or(*default, String::as_str).to_owned()
        };
        Ok(Self {
            routes: OPERATIONS.iter().map(route).collect::<Result<_, _>>()?,
            keys: KEYS.iter().map(key).collect(),
        })
    }

    pub(super) fn route(&self, name: Name) -> (&Method, &str) {
        let (method, path) = &self.routes[name as usize];
        (method, path)
    }

    pub(super) fn key(&self, key: Key) -> &str {
        &self.keys[key as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_own_place() {
        for (place, row) in OPERATIONS.iter().enumerate() {
            assert_eq!(row.name as usize, place, "{}", row.key);
            assert!(client::placeholders(row.path).is_ok(), "{}", row.key);
            assert!(METHODS.contains(&row.method), "{}", row.key);
        }
        for (place, (key, name, default, _)) in KEYS.iter().enumerate() {
            assert_eq!(*key as usize, place, "{name}");
            assert!(!default.is_empty());
        }
    }
}
