//! Snyk's groups and memberships, as calls: everything its public contract has
//! for them, one function each. A Snyk Group binds each of its users by one
//! membership with exactly one role.
//!
//! No connection offers it yet: the engine works group by group, and here the
//! roles of one Snyk Group have to be worked off together (see `roles`).

use std::collections::HashSet;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Condition, UpstreamError,
    client::{Call, Client, Priority},
};
use wire::{Document, Item, Named, Person, read, unclear};

mod paging;
pub mod roles;
pub mod settings;
mod wire;

pub use settings::Settings;

/// The most entries of a list, so that an answer that never ends does.
const MOST: usize = 2_000_000;

const GROUPS: &str = "/groups";
const GROUP: &str = "/groups/{group}";
const MEMBERSHIPS: &str = "/groups/{group}/memberships";
const MEMBERSHIP: &str = "/groups/{group}/memberships/{membership}";
const CONNECTIONS: &str = "/groups/{group}/sso_connections";
const SSO_USERS: &str = "/groups/{group}/sso_connections/{sso}/users";
const SSO_USER: &str = "/groups/{group}/sso_connections/{sso}/users/{user}";

/// A Snyk Group, or an SSO connection of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    pub name: String,
}

/// One user in one Snyk Group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    pub id: String,
    pub role_id: String,
    pub role_name: String,
    pub user_id: String,
    /// Lower case.
    pub email: String,
    pub username: String,
    pub display_name: String,
}

/// A user of an SSO connection, member of a group or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SsoUser {
    pub id: String,
    /// Lower case.
    pub email: String,
    pub username: String,
    pub active: bool,
}

/// Which memberships are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    All,
    OfUser(&'a str),
    OfEmail(&'a str),
    OfUsername(&'a str),
    InRole(&'a str),
}

/// The way to Snyk.
#[derive(Debug)]
pub struct Snyk {
    client: Client,
    settings: Settings,
    page_size: String,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

impl Snyk {
    /// Nothing is sent yet; all problems of the settings come back together,
    /// one a line.
    pub fn open(settings: Settings) -> Result<Self, String> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        Ok(Self {
            client: Client::new(settings.client())?,
            page_size: settings.page_size.to_string(),
            settings,
        })
    }

    pub fn condition(&self) -> Condition {
        self.client.condition()
    }

    /// The groups that the credential can see.
    pub async fn groups(&self) -> Result<Vec<Group>, UpstreamError> {
        let items: Vec<Item<Named>> = self.all(GROUPS, &[], &[]).await?;
        Ok(items.into_iter().map(group_of).collect())
    }

    /// One group; `None` when it is not there or not visible.
    pub async fn group(&self, id: &str) -> Result<Option<Group>, UpstreamError> {
        match self
            .call(Method::GET, GROUP, &[("group", id)], &[], None)
            .await
        {
            Ok(answer) => {
                let document: Document<Item<Named>> = read(answer, "group")?;
                Ok(Some(group_of(document.data)))
            }
            Err(UpstreamError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Memberships of a group, in the stable order of their making. How the
    /// application compares an e-mail or a name is not documented, so what it
    /// gives is compared again.
    pub async fn memberships(
        &self,
        group: &str,
        which: Which<'_>,
    ) -> Result<Vec<Membership>, UpstreamError> {
        let (key, value) = match which {
            Which::All => ("", ""),
            Which::OfUser(id) => ("user_id", id),
            Which::OfEmail(email) => ("email", email),
            Which::OfUsername(name) => ("username", name),
            Which::InRole(name) => ("role_name", name),
        };
        let query: Pairs<'_> = if key.is_empty() { &[] } else { &[(key, value)] };
        let items: Vec<wire::Membership> =
            self.all(MEMBERSHIPS, &[("group", group)], query).await?;
        let mut found = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        for item in items {
            let membership = membership_of(item);
            if !seen.insert(membership.user_id.clone()) {
                return Err(unclear("a user has two memberships of one group"));
            }
            if is_meant(which, &membership) {
                found.push(membership);
            }
        }
        Ok(found)
    }

    /// Gives a user a role in a group. Who is in it already (Snyk makes a
    /// membership at the first sign-in) has the role changed, if it differs.
    pub async fn add(
        &self,
        group: &str,
        user_id: &str,
        role_id: &str,
    ) -> Result<(), UpstreamError> {
        let body = wire::creation(group, user_id, role_id);
        let values = [("group", group)];
        let made = self
            .call(Method::POST, MEMBERSHIPS, &values, &[], Some(body))
            .await;
        if !matches!(made, Err(UpstreamError::Exists { .. })) {
            return made.map(drop);
        }
        let there = self.memberships(group, Which::OfUser(user_id)).await?;
        let there = there.first().ok_or_else(|| {
            unclear("the membership to be made is there already, and is not shown")
        })?;
        if there.role_id == role_id {
            return Ok(());
        }
        self.set_role(group, &there.id, role_id).await
    }

    /// Changes the role of a membership. Whoever has fewer rights by it waits
    /// for nobody.
    pub async fn set_role(
        &self,
        group: &str,
        membership: &str,
        role_id: &str,
    ) -> Result<(), UpstreamError> {
        let values = [("group", group), ("membership", membership)];
        let body = wire::role_update(membership, role_id);
        let changed = self.call(Method::PATCH, MEMBERSHIP, &values, &[], Some(body));
        changed.await.map(drop)
    }

    /// Takes a user out of a group; one who is not there is as good as gone.
    pub async fn remove(&self, group: &str, membership: &str) -> Result<(), UpstreamError> {
        let values = [("group", group), ("membership", membership)];
        let query: Pairs<'_> = if self.settings.cascade {
            &[("cascade", "true")]
        } else {
            &[]
        };
        match self
            .call(Method::DELETE, MEMBERSHIP, &values, query, None)
            .await
        {
            Ok(_) | Err(UpstreamError::Missing { .. }) => Ok(()),
            Err(UpstreamError::Exists { reason }) if !self.settings.cascade => {
                Err(UpstreamError::Rejected {
                    reason: format!(
                        "{reason} (a user who is in organizations below the group is only removed \
                         with cascade = true)"
                    ),
                })
            }
            Err(UpstreamError::Exists { reason }) => Err(UpstreamError::Rejected { reason }),
            Err(error) => Err(error),
        }
    }

    /// The SSO connections of a group.
    pub async fn sso_connections(&self, group: &str) -> Result<Vec<Group>, UpstreamError> {
        let items: Vec<Item<Named>> = self.all(CONNECTIONS, &[("group", group)], &[]).await?;
        Ok(items.into_iter().map(group_of).collect())
    }

    /// Everybody who ever signed in through an SSO connection.
    pub async fn sso_users(&self, group: &str, sso: &str) -> Result<Vec<SsoUser>, UpstreamError> {
        let values = [("group", group), ("sso", sso)];
        let items: Vec<Item<Person>> = self.all(SSO_USERS, &values, &[]).await?;
        Ok(items
            .into_iter()
            .map(|item| SsoUser {
                email: lower(item.attributes.email),
                username: item.attributes.username.unwrap_or_default(),
                active: item.attributes.active.unwrap_or(true),
                id: item.id,
            })
            .collect())
    }

    /// Off-boarding: the user is taken out of the SSO connection.
    pub async fn remove_sso_user(
        &self,
        group: &str,
        sso: &str,
        user: &str,
    ) -> Result<(), UpstreamError> {
        let values = [("group", group), ("sso", sso), ("user", user)];
        match self
            .call(Method::DELETE, SSO_USER, &values, &[], None)
            .await
        {
            Ok(_) | Err(UpstreamError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A whole list, page after page.
    async fn all<T: DeserializeOwned>(
        &self,
        template: &str,
        values: Pairs<'_>,
        filter: Pairs<'_>,
    ) -> Result<Vec<T>, UpstreamError> {
        let path = values
            .iter()
            .fold(template.to_owned(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), value)
            });
        let mut all = Vec::new();
        let mut cursors = HashSet::new();
        let mut after = None::<String>;
        loop {
            let mut query = filter.to_vec();
            query.push(("limit", &self.page_size));
            query.extend(after.as_deref().map(|cursor| ("starting_after", cursor)));
            let answer = self
                .call(Method::GET, template, values, &query, None)
                .await?;
            let page: Document<Vec<T>> = read(answer, "page of a list")?;
            all.extend(page.data);
            let Some(next) = paging::cursor(page.links.next.as_ref(), &path)? else {
                return Ok(all);
            };
            if all.len() > MOST || !cursors.insert(next.clone()) {
                return Err(unclear("the pages of a list do not come to an end"));
            }
            after = Some(next);
        }
    }

    /// Every call carries the version.
    async fn call(
        &self,
        method: Method,
        template: &str,
        values: Pairs<'_>,
        query: Pairs<'_>,
        body: Option<Value>,
    ) -> Result<Value, UpstreamError> {
        let mut query = query.to_vec();
        query.push(("version", &self.settings.version));
        // A role that is changed may be one that is taken away.
        let priority = match method {
            Method::DELETE | Method::PATCH => Priority::Revocation,
            _ => Priority::Ordinary,
        };
        let call = Call {
            writes: method != Method::GET,
            method,
            template,
            values,
            query: &query,
            body,
            priority,
        };
        self.client.send(call).await?.json()
    }
}

fn group_of(item: Item<Named>) -> Group {
    Group {
        id: item.id,
        name: item.attributes.name,
    }
}

fn membership_of(item: wire::Membership) -> Membership {
    let (role, user) = (item.relationships.role.data, item.relationships.user.data);
    Membership {
        id: item.id,
        role_id: role.id,
        role_name: role.attributes.name,
        user_id: user.id,
        email: lower(user.attributes.email),
        username: user.attributes.username.unwrap_or_default(),
        display_name: user.attributes.name.unwrap_or_default(),
    }
}

fn lower(text: Option<String>) -> String {
    text.unwrap_or_default().trim().to_lowercase()
}

fn is_meant(which: Which<'_>, membership: &Membership) -> bool {
    match which {
        Which::All => true,
        Which::OfUser(id) => membership.user_id == id,
        Which::OfEmail(email) => membership.email == email.trim().to_lowercase(),
        Which::OfUsername(name) => membership.username == name,
        Which::InRole(name) => membership.role_name == name,
    }
}
