//! Hydden.Control behind the contract: an inventory of groups and accounts that
//! can be read, and groups that can be written as records where the connection
//! says so. What cannot be written is a row of `capabilities`, and nothing is
//! ever sent for it.
//!
//! Groups and accounts come in pages, members in one answer. What an answer
//! means is in `answers`, what it looks like in SCIM in `mapping`.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    Condition, Finding, Ledger, Millis, Outcome, Projection, PutOff, RemoteGroup, RemoteMember,
    RemoteProfile, RemoteUser, Tenant, Upstream, UpstreamError,
    client::{Call, Client, Priority, Proof, note_fault, spelled_once},
    same_page::{self, PagesBefore},
};
use crate::{
    plan::{capability::Capabilities, operation::Operation, state::Account},
    scim::{error::Problem, resource::Attributes, schema::Schemas},
};
use answers::unclear;
use operations::Name;
use wire::{Group, Members, Page};

mod answers;
mod capabilities;
mod check;
mod mapping;
mod operations;
mod schemas;
pub mod settings;
#[cfg(test)]
mod tests;
mod wire;

pub use settings::Settings;

/// The most entries of a list, so that an answer that never ends does.
const MOST: usize = 2_000_000;
/// The most empty pages one after another.
const MOST_EMPTY: usize = 100;

/// A connection to Hydden.Control. Nothing is sent yet; all problems of the
/// settings come back together, one a line.
pub fn open(settings: &Settings) -> Result<Arc<dyn Upstream>, String> {
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let client = settings.client();
    let can = capabilities::table(settings.write_groups);
    Ok(Arc::new(Hydden {
        base: client.base_url.clone(),
        client: Client::new(client)?,
        schemas: Arc::new(schemas::schemas(&can)),
        capabilities: can,
        page_size: settings.page_size.to_string(),
    }))
}

#[derive(Debug)]
struct Hydden {
    base: String,
    client: Client,
    capabilities: Capabilities,
    schemas: Arc<Schemas>,
    page_size: String,
}

/// For who is told why it is tried again.
const NOT_CALLED: &str =
    "PUT of the group was answered with success, and no look shows it with its new name";

type Values<'a> = &'a [(&'a str, &'a str)];

#[async_trait]
impl Upstream for Hydden {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn schemas(&self) -> Arc<Schemas> {
        self.schemas.clone()
    }

    /// Each has an address of its own.
    fn budget(&self) -> Option<Tenant> {
        self.client.budget()
    }

    fn clock_behind(&self) -> Millis {
        self.client.clock_behind()
    }

    fn tenants(&self) -> Vec<Tenant> {
        vec![Tenant::of(&[self.fingerprint().as_bytes()])]
    }

    fn fingerprint(&self) -> String {
        let base = spelled_once(&self.base);
        format!("{} {base}", self.capabilities.application)
    }

    fn project(&self, user: &Attributes) -> Result<Projection, Problem> {
        Ok(Projection {
            key: None,
            account: Account {
                active: user.active(),
                ..Account::default()
            },
        })
    }

    fn plain_role(&self) -> Option<&str> {
        None
    }

    /// It gives an id.
    fn group_name(&self, _: &str) -> Result<String, Problem> {
        Ok(String::new())
    }

    fn user_attributes(&self, remote: &RemoteUser, _: Option<&RemoteProfile>) -> Attributes {
        mapping::user_attributes(remote)
    }

    fn group_attributes(&self, remote: &RemoteGroup) -> Attributes {
        mapping::group_attributes(remote)
    }

    fn adorn_group(&self, _: &mut Attributes, _: &str) {}

    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        answers::accounts(self.all(Name::ListAccounts, &[]).await?)
    }

    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        Ok(Vec::new())
    }

    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        answers::groups(self.all(Name::ListGroups, &[]).await?)
    }

    async fn members(&self, group: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        answers::members(&self.everybody_in(group).await?)
    }

    async fn user(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        let answer = self.call(Name::GetAccount, &[("id", account)], &[]).await;
        let found = present(answer)?;
        let found = found.map(|answer| answers::read(answer, "account"));
        let found = found.transpose()?.map(answers::account);
        Ok(found.filter(|user| user.active))
    }

    async fn group(&self, name: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        let answer = self.call(Name::GetGroup, &[("id", name)], &[]).await;
        let found = present(answer)?;
        let found = found.map(|answer| answers::read(answer, "group"));
        Ok(found.transpose()?.map(answers::one_group))
    }

    /// What the search finds may only be like it, and names need not be unique. Who is in
    /// one through another group counts: whether the record's own number says so is not
    /// documented.
    async fn groups_called(
        &self,
        title: &str,
        since: Millis,
    ) -> Result<Vec<RemoteGroup>, UpstreamError> {
        let found: Vec<Group> = self.all(Name::ListGroups, &[("search", title)]).await?;
        let mut found = answers::called(found, title, since);
        for group in &mut found {
            if group.member_count.is_none_or(|count| count == 0) {
                let listed = self.everybody_in(&group.name).await?;
                group.member_count = Some(listed.count.unwrap_or(listed.members.len() as u64));
            }
        }
        Ok(found)
    }

    /// Nothing is planned for what the table cannot do; if it were, it would
    /// end here.
    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        match operation {
            Operation::CreateGroup { name, .. } => {
                let answer = self.write(Name::CreateGroup, &[], Some(name)).await?;
                let made = answers::written(answer, None, name)?;
                Ok(Outcome {
                    upstream_id: Some(made.id),
                    ..Outcome::default()
                })
            }
            Operation::RenameGroup { name, title } => {
                let at = [("id", name.as_str())];
                let answer = self.write(Name::UpdateGroup, &at, Some(title)).await?;
                if let Err(unclear) = answers::written(answer, Some(name), title) {
                    let called = self.is_called(&at, title).await;
                    called.map_err(|()| {
                        note_fault(|| NOT_CALLED.to_owned());
                        unclear
                    })?;
                }
                Ok(Outcome::default())
            }
            Operation::DeleteGroup { name } => {
                let at = [("id", name.as_str())];
                let answer = self.write(Name::DeleteGroup, &at, None).await;
                answer.map(|_| Outcome::default())
            }
            _ => Err(UpstreamError::Rejected {
                reason: capabilities::NO_MEMBERS.into(),
            }),
        }
    }

    fn is_refused(&self) -> bool {
        self.client.is_refused()
    }

    fn is_refused_all(&self) -> bool {
        self.client.is_refused_all()
    }

    fn brake(&self, stopped: bool) {
        self.client.brake(stopped);
    }

    fn remember(&self, ledger: &Arc<Ledger>) {
        self.client.remember(ledger);
    }

    async fn lend(&self) -> Result<(), PutOff> {
        self.client.lend().await
    }

    fn be_silent(&self, pause: Duration) {
        self.client.be_silent(pause);
    }

    fn recoveries(&self) -> Option<watch::Receiver<u64>> {
        Some(self.client.recoveries())
    }

    fn condition(&self) -> Condition {
        self.client.condition()
    }

    async fn check(&self) -> Vec<Finding> {
        self.findings().await
    }
}

impl Hydden {
    async fn everybody_in(&self, group: &str) -> Result<Members, UpstreamError> {
        let answer = self.call(Name::GetMembers, &[("id", group)], &[]).await?;
        answers::read(answer, "list of members")
    }

    /// A whole list, page after page.
    async fn all<T: DeserializeOwned>(
        &self,
        name: Name,
        asked: Values<'_>,
    ) -> Result<Vec<T>, UpstreamError> {
        let mut all = Vec::new();
        let mut cursors = HashSet::new();
        let mut after = None::<String>;
        let (mut empty, mut before) = (0, PagesBefore::default());
        loop {
            let mut query = vec![("limit", self.page_size.as_str())];
            query.extend(asked);
            query.extend(after.as_deref().map(|cursor| ("after", cursor)));
            let answer = self.call(name, &[], &query).await?;
            if before.has(&same_page::Page::of_keyed(wire::entries(&answer), "id")) {
                return Err(unclear("the same page of a list came twice"));
            }
            let page: Page<T> = answers::read(answer, "page of a list")?;
            empty = if page.data.is_empty() { empty + 1 } else { 0 };
            all.extend(page.data);
            if !page.info.has_next_page {
                return Ok(all);
            }
            let next = page.info.end_cursor.filter(|cursor| !cursor.is_empty());
            let next = next.ok_or_else(|| unclear("there is another page, and no way to it"))?;
            if all.len() > MOST || empty > MOST_EMPTY || !cursors.insert(next.clone()) {
                return Err(unclear("the pages of a list do not come to an end"));
            }
            after = Some(next);
        }
    }

    /// What the answer to a change has not shown, the group itself may.
    async fn is_called(&self, at: Values<'_>, title: &str) -> Result<(), ()> {
        let found = self.call(Name::GetGroup, at, &[]).await.map_err(|_| ())?;
        let id = at.first().map(|(_, id)| *id);
        answers::written(found, id, title)
            .map(|_| ())
            .map_err(|_| ())
    }

    async fn call(
        &self,
        name: Name,
        values: Values<'_>,
        query: Values<'_>,
    ) -> Result<Value, UpstreamError> {
        let call = Call {
            method: name.method(),
            template: name.path(),
            values,
            query,
            body: None,
            priority: Priority::Ordinary,
            writes: false,
            proof: Proof::Any,
        };
        self.client.send(call).await?.json()
    }

    async fn write(
        &self,
        name: Name,
        values: Values<'_>,
        title: Option<&str>,
    ) -> Result<Value, UpstreamError> {
        let call = Call {
            method: name.method(),
            template: name.path(),
            values,
            query: &[],
            body: title.map(|title| json!({ "name": title })),
            priority: Priority::Ordinary,
            writes: true,
            proof: Proof::Documented(name.success()),
        };
        self.client.send(call).await?.json()
    }
}

/// What is not there, as `None`.
fn present(answer: Result<Value, UpstreamError>) -> Result<Option<Value>, UpstreamError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(UpstreamError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
