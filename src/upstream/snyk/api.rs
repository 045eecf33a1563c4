//! Snyk's groups and memberships, as calls: everything its public contract has
//! for them, one function each. A Snyk Group binds each of its users by one
//! membership with exactly one role. What a call is good for is not known here.

use std::collections::HashSet;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    count::{Counts, Tally},
    paging,
    roles::is_same_name,
    settings::Settings,
    wire::{self, Document, Item, Named, Person, read, unclear},
};
use crate::upstream::{
    Condition, UpstreamError,
    client::{Call, Client, Priority, Proof},
    same_page::{Page, PagesBefore},
};

/// What is kept of a list, in MiB: some 150,000 memberships. One that never ends
/// fills no memory.
const MOST_MIB: usize = 64;
/// The most pages of a list, and so many of them with nothing on them.
const PAGES: usize = 20_000;
const EMPTY: usize = 3;

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
    pub display_name: String,
    pub active: bool,
}

/// What stays in memory of an entry of a list.
trait Kept: Sized {
    fn texts(&self) -> impl Iterator<Item = &String>;

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.texts().map(String::len).sum::<usize>()
    }
}

impl Kept for Group {
    fn texts(&self) -> impl Iterator<Item = &String> {
        [&self.id, &self.name].into_iter()
    }
}

impl Kept for Membership {
    fn texts(&self) -> impl Iterator<Item = &String> {
        let role = [&self.id, &self.role_id, &self.role_name];
        let user = [&self.user_id, &self.email];
        let called = [&self.username, &self.display_name];
        role.into_iter().chain(user).chain(called)
    }
}

impl Kept for SsoUser {
    fn texts(&self) -> impl Iterator<Item = &String> {
        [&self.id, &self.email, &self.username, &self.display_name].into_iter()
    }
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
pub struct Api {
    client: Client,
    version: String,
    page_size: String,
    cascade: bool,
    counts: Counts,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

impl Api {
    /// Nothing is sent yet; all problems of the settings come back together,
    /// one a line.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        Ok(Self {
            client: Client::new(settings.client())?,
            version: settings.version.clone(),
            page_size: settings.page_size.to_string(),
            cascade: settings.cascade,
            counts: Counts::default(),
        })
    }

    pub fn condition(&self) -> Condition {
        self.client.condition()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The groups that the credential can see.
    pub async fn groups(&self) -> Result<Vec<Group>, UpstreamError> {
        let list = Read::whole(GROUPS, &[]);
        let mut groups = self.all(list, |_, _| {}, group_of).await?;
        let mut seen = HashSet::new();
        // Pages overlap when something comes to be between them.
        groups.retain(|it| seen.insert(it.id.clone()));
        Ok(groups)
    }

    /// One group; `None` when it is not there or not visible.
    pub async fn group(&self, id: &str) -> Result<Option<Group>, UpstreamError> {
        let values = [("group", id)];
        match self.get(&Read::whole(GROUP, &values), Vec::new()).await {
            Ok(answer) => {
                let document: Document<Item<Named>> = read(answer, "group")?;
                Ok(Some(group_of(document.data)))
            }
            Err(UpstreamError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Memberships of a group, in the order of their making, which alone is stable
    /// from page to page: a list that is sorted may miss somebody. How the
    /// application compares an e-mail or a name is not documented, so what it
    /// gives is compared again.
    pub async fn memberships(
        &self,
        group: &str,
        which: Which<'_>,
    ) -> Result<Vec<Membership>, UpstreamError> {
        self.look_up(group, which, Priority::Ordinary).await
    }

    /// The same as a part of something that cannot wait.
    pub(super) async fn look_up(
        &self,
        group: &str,
        which: Which<'_>,
        priority: Priority,
    ) -> Result<Vec<Membership>, UpstreamError> {
        let (key, value) = match which {
            Which::All => ("include_group_membership_count", "true"),
            Which::OfUser(id) => ("user_id", id),
            Which::OfEmail(email) => ("email", email),
            Which::OfUsername(name) => ("username", name),
            Which::InRole(name) => ("role_name", name),
        };
        let list = Read {
            template: MEMBERSHIPS,
            values: &[("group", group)],
            filter: &[(key, value)],
            priority,
        };
        let mut tally = Tally::default();
        let count = |page: &[wire::Membership], more| {
            let counts: Vec<_> = page.iter().map(wire::Membership::count).collect();
            tally.page(&counts, more);
        };
        let mut found: Vec<Membership> = self.all(list, count, membership_of).await?;
        if matches!(which, Which::All) {
            self.counts.judge(group, &tally)?;
        }
        found.retain(|membership| is_meant(which, membership));
        Ok(found)
    }

    /// Gives a user a role in a group, and tells the id of the new membership.
    /// Who is in it already, with whatever role, is `Exists`: Snyk makes a
    /// membership at the first sign-in.
    pub async fn create(
        &self,
        group: &str,
        user_id: &str,
        role_id: &str,
    ) -> Result<String, UpstreamError> {
        let write = Write {
            method: Method::POST,
            template: MEMBERSHIPS,
            values: &[("group", group)],
            query: &[],
            body: Some(wire::creation(group, user_id, role_id)),
            priority: Priority::Ordinary,
        };
        let answer = self.write(write).await?;
        let made: Document<wire::Made> = read(answer, "membership")?;
        if !made.data.is_of(user_id, role_id) {
            return Err(unclear("the answer is about another membership"));
        }
        Ok(made.data.id)
    }

    /// Changes the role of a membership.
    pub(super) async fn set_role(
        &self,
        (group, membership): (&str, &str),
        role_id: &str,
        priority: Priority,
    ) -> Result<(), UpstreamError> {
        let write = Write {
            method: Method::PATCH,
            template: MEMBERSHIP,
            values: &[("group", group), ("membership", membership)],
            query: &[],
            body: Some(wire::role_update(membership, role_id)),
            priority,
        };
        self.write(write).await.map(drop)
    }

    /// Takes a user out of a group. Whoever is in organizations below it stays,
    /// which is `Exists`, unless `cascade` takes these away too.
    pub async fn delete(&self, group: &str, membership: &str) -> Result<(), UpstreamError> {
        let write = Write {
            method: Method::DELETE,
            template: MEMBERSHIP,
            values: &[("group", group), ("membership", membership)],
            query: if self.cascade {
                &[("cascade", "true")]
            } else {
                &[]
            },
            body: None,
            priority: Priority::Revocation,
        };
        self.write(write).await.map(drop)
    }

    /// The SSO connections of a group.
    pub async fn sso_connections(&self, group: &str) -> Result<Vec<Group>, UpstreamError> {
        let values = [("group", group)];
        let list = Read::whole(CONNECTIONS, &values);
        self.all(list, |_, _| {}, group_of).await
    }

    /// Everybody who ever signed in through an SSO connection.
    pub async fn sso_users(&self, group: &str, sso: &str) -> Result<Vec<SsoUser>, UpstreamError> {
        let values = [("group", group), ("sso", sso)];
        let one = |item: Item<Person>| SsoUser {
            email: lower(item.attributes.email),
            username: item.attributes.username.unwrap_or_default(),
            display_name: item.attributes.name.unwrap_or_default(),
            active: item.attributes.active.unwrap_or(true),
            id: item.id,
        };
        let list = Read::whole(SSO_USERS, &values);
        self.all(list, |_, _| {}, one).await
    }

    /// Off-boarding: the user is taken out of the SSO connection. False of one who is
    /// not in it, which is as good as gone.
    pub async fn delete_sso_user(
        &self,
        group: &str,
        sso: &str,
        user: &str,
    ) -> Result<bool, UpstreamError> {
        let write = Write {
            method: Method::DELETE,
            template: SSO_USER,
            values: &[("group", group), ("sso", sso), ("user", user)],
            query: &[],
            body: None,
            priority: Priority::Revocation,
        };
        match self.write(write).await {
            Ok(_) => Ok(true),
            Err(UpstreamError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A whole list, page after page, of which only what is kept of each entry
    /// stays in memory. `see` is told of each page, and whether another one comes.
    async fn all<T: DeserializeOwned, K: Kept>(
        &self,
        list: Read<'_>,
        mut see: impl FnMut(&[T], bool),
        keep: impl Fn(T) -> K,
    ) -> Result<Vec<K>, UpstreamError> {
        let path = list.path();
        let prefix = self.client.prefix();
        let mut all = Vec::new();
        let mut cursors = HashSet::new();
        let mut after = None::<String>;
        let (mut empty, mut bytes, mut before) = (0, 0, PagesBefore::default());
        loop {
            let mut query = list.filter.to_vec();
            query.push(("limit", &self.page_size));
            query.extend(after.as_deref().map(|cursor| ("starting_after", cursor)));
            let answer = self.get(&list, query).await?;
            let entries = answer.get("data").and_then(Value::as_array);
            if before.has(&Page::of_keyed(entries.map_or(&[], Vec::as_slice), "id")) {
                return Err(unclear("the same page of a list came twice"));
            }
            let page: Document<Vec<T>> = read(answer, "page of a list")?;
            let next = paging::cursor(page.links.next.as_ref(), &path, prefix)?;
            empty += usize::from(page.data.is_empty());
            see(&page.data, next.is_some());
            let known = all.len();
            all.extend(page.data.into_iter().map(&keep));
            bytes += all[known..].iter().map(Kept::bytes).sum::<usize>();
            bytes += next.as_ref().map_or(0, String::len);
            if bytes > MOST_MIB * 1024 * 1024 {
                return Err(unclear(format!(
                    "a list does not come to an end within {MOST_MIB} MiB; {} entries were read",
                    all.len()
                )));
            }
            let Some(next) = next else {
                return Ok(all);
            };
            let endless = cursors.len() >= PAGES || empty >= EMPTY;
            if endless || !cursors.insert(next.clone()) {
                return Err(unclear("the pages of a list do not come to an end"));
            }
            after = Some(next);
        }
    }

    async fn get(
        &self,
        read: &Read<'_>,
        mut query: Vec<(&str, &str)>,
    ) -> Result<Value, UpstreamError> {
        query.push(("version", &self.version));
        let call = Call {
            writes: false,
            method: Method::GET,
            template: read.template,
            values: read.values,
            query: &query,
            body: None,
            priority: read.priority,
            proof: Proof::Any,
        };
        self.client.send(call).await?.json()
    }

    async fn write(&self, write: Write<'_>) -> Result<Value, UpstreamError> {
        let created = write.method == Method::POST;
        let mut query = write.query.to_vec();
        query.push(("version", &self.version));
        let call = Call {
            writes: true,
            method: write.method,
            template: write.template,
            values: write.values,
            query: &query,
            body: write.body,
            priority: write.priority,
            proof: Proof::Documented(if created { &[201] } else { &[204] }),
        };
        self.client.send(call).await?.json()
    }
}

/// Something to be read, all of it.
struct Read<'a> {
    template: &'a str,
    values: Pairs<'a>,
    filter: Pairs<'a>,
    priority: Priority,
}

impl<'a> Read<'a> {
    fn whole(template: &'a str, values: Pairs<'a>) -> Self {
        Self {
            template,
            values,
            filter: &[],
            priority: Priority::Ordinary,
        }
    }

    fn path(&self) -> String {
        let path = self.template.to_owned();
        self.values.iter().fold(path, |path, (name, value)| {
            path.replace(&format!("{{{name}}}"), value)
        })
    }
}

/// Something to be done.
struct Write<'a> {
    method: Method,
    template: &'a str,
    values: Pairs<'a>,
    query: Pairs<'a>,
    body: Option<Value>,
    priority: Priority,
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
        Which::InRole(name) => is_same_name(&membership.role_name, name),
    }
}
