//! An application that no code knows, described in configuration alone: any
//! REST API with calls for who is in a group. The engine asks it the same
//! things as any other; which call that is, what goes into it and what its
//! answer means is `settings`, with placeholders (`template`), JSON pointers
//! (`pointer`), pages (`paging`) and failures (`meaning`) as types of their own.
//!
//! What has state of its own is left out: roles, profiles, bringing back an
//! account. `calls` sends, `writes` changes, here is the contract.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Condition, Finding, Ledger, Millis, Outcome, Projection, PutOff, RemoteGroup, RemoteMember,
    RemoteProfile, RemoteUser, Tenant, Upstream, UpstreamError, ahead,
    client::{Client, spelled_once},
};
use crate::{
    plan::{capability::Capabilities, operation::Operation},
    scim::{error::Problem, resource::Attributes, schema::Schemas},
};
use answers::ID;
use memory::{Memory, Thing};
use operation::Name;
use paging::unclear;

mod active;
mod answers;
mod apart;
mod body;
mod calls;
mod capabilities;
mod check;
mod finding;
mod former;
mod links;
mod lists;
mod mapping;
mod meaning;
mod members;
mod memory;
mod operation;
mod outcomes;
mod paging;
mod pitfalls;
mod pointer;
mod problems;
mod schemas;
pub mod settings;
mod signs;
mod template;
#[cfg(test)]
pub(in crate::upstream) mod tests;
mod usable;
mod writes;

use settings::KnownBy;
pub use settings::Settings;

/// A connection to a declared application. Nothing is sent yet; all problems
/// of the settings come back together, one a line.
pub fn open(settings: Settings) -> Result<Arc<dyn Upstream>, String> {
    open_with(settings, memory::LAG)
}

/// The same where readings lag behind for no longer than this.
fn open_with(settings: Settings, lag: Duration) -> Result<Arc<dyn Upstream>, String> {
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let capabilities = capabilities::table(&settings);
    Ok(Arc::new(Rest {
        client: Client::new(settings.client())?,
        schemas: Arc::new(schemas::schemas(&settings, &capabilities)),
        capabilities,
        memory: Memory::new(lag),
        settings,
    }))
}

#[derive(Debug)]
struct Rest {
    client: Client,
    settings: Settings,
    capabilities: Capabilities,
    schemas: Arc<Schemas>,
    memory: Memory,
}

#[async_trait]
impl Upstream for Rest {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn schemas(&self) -> Arc<Schemas> {
        self.schemas.clone()
    }

    fn budget(&self) -> Option<Tenant> {
        self.client.budget()
    }

    fn clock_behind(&self) -> Millis {
        self.client.clock_behind()
    }

    fn tenants(&self) -> Vec<Tenant> {
        let named = self.settings.tenant.as_deref();
        let named = named.map(|name| Tenant::named("rest", name));
        self.client.tenant().into_iter().chain(named).collect()
    }

    fn fingerprint(&self) -> String {
        let address = spelled_once(&self.settings.base_url);
        format!("{} {address}", self.settings.name)
    }

    fn known_by(&self) -> Option<String> {
        Some(self.settings.identities())
    }

    fn former_account(&self, former: &str, user: &RemoteUser) -> Option<String> {
        former::account(&self.settings, former, user)
    }

    fn former_group(&self, former: &str, group: &RemoteGroup) -> Option<String> {
        former::group(&self.settings, former, group)
    }

    fn keeps_ids(&self, former: &str) -> bool {
        former::keeps_ids(&self.settings, former)
    }

    fn only_shows_titles(&self) -> bool {
        self.settings.group.known_by == KnownBy::Id
    }

    fn lists_users(&self) -> bool {
        self.settings.has(Name::ListUsers)
    }

    fn finds_users(&self) -> bool {
        self.settings.has(Name::FindUser)
    }

    fn project(&self, user: &Attributes) -> Result<Projection, Problem> {
        mapping::project(user, &self.settings)
    }

    fn plain_role(&self) -> Option<&str> {
        None
    }

    fn group_name(&self, display_name: &str) -> Result<String, Problem> {
        mapping::group_name(display_name, &self.settings)
    }

    fn user_attributes(&self, remote: &RemoteUser, _: Option<&RemoteProfile>) -> Attributes {
        mapping::user_attributes(remote, &self.settings)
    }

    fn group_attributes(&self, remote: &RemoteGroup) -> Attributes {
        mapping::group_attributes(remote)
    }

    fn adorn_group(&self, _: &mut Attributes, _: &str) {}

    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        if !self.lists_users() {
            return Ok(Vec::new());
        }
        let rows = self.all(Name::ListUsers, &[]).await?;
        let users = self.all_users(&rows)?;
        self.memory.listed();
        Ok(users)
    }

    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        Ok(Vec::new())
    }

    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        if !self.settings.has(Name::ListGroups) {
            return Ok(self.marked(self.fixed_groups()));
        }
        let rows = self.all(Name::ListGroups, &[]).await?;
        Ok(self.marked(self.all_groups(&rows)?))
    }

    async fn members(&self, group: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        let id = self.id_for(Name::ListMembers, group).await?;
        let values = self.values_of_group(group, id.as_deref());
        let rows = self.all(Name::ListMembers, &values).await;
        let rows = rows.inspect_err(|_| self.memory.doubt(group))?;
        let mut members = answers::members(&rows, &self.settings.member)?;
        if self.is_cut_off(group, rows.len()).await? {
            return Err(unclear(
                "the list of members is cut off: the group says at group.member_count that it has more",
            ));
        }
        for member in &mut members {
            let Some(account) = &mut member.account else {
                continue;
            };
            self.memory.spells(account);
            *account = account.to_lowercase();
            if let Some(id) = &member.upstream_id {
                self.shows_address(id, account);
                // By what others have too, it would be taken for one of them.
                let thing = Thing::Account(account.clone());
                member.account.take_if(|_| self.memory.is_shared(&thing));
            }
        }
        Ok(members)
    }

    async fn user(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        let found = Self::merged(self.look_for_accounts(account).await?)?;
        Ok(found.filter(|user| user.active))
    }

    /// What is no id or name at all may be refused as such.
    async fn is_found(&self, account: &str) -> Result<Option<bool>, UpstreamError> {
        if !self.finds_users() {
            return Ok(None);
        }
        match self.accounts(account).await {
            Ok(found) => Ok(Some(found.iter().any(|user| user.active))),
            Err(UpstreamError::Rejected { .. } | UpstreamError::Barred { .. }) => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }

    /// Of a group that was there a while ago it is only believed that it is not
    /// there any more when readings that are apart say so.
    async fn group(&self, name: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        if self.memory.has_shown(name) {
            return self.sure_group(name).await;
        }
        self.look_for_group(name).await
    }

    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        match operation {
            Operation::CreateUser {
                account,
                fields,
                upstream_id,
                ..
            } => {
                let before = upstream_id.as_deref();
                self.create_user(account, fields, before).await
            }
            // What has to be read before something is taken away goes as early
            // as what takes it away.
            Operation::DeactivateUser { principal } => ahead(self.deactivate_user(principal)).await,
            Operation::CreateGroup { name, members } => self.create_group(name, members).await,
            Operation::DeleteGroup { name } => ahead(self.delete_group(name)).await,
            Operation::AddMembers { group, members } => {
                self.change_members(Name::AddMembers, group, members).await
            }
            Operation::RemoveMembers { group, members } => {
                ahead(self.change_members(Name::RemoveMembers, group, members)).await
            }
            Operation::ReplaceMembers { group, members } => {
                self.change_members(Name::ReplaceMembers, group, members)
                    .await
            }
            // Nothing is planned for what the table cannot do; if it were, it
            // would end here.
            Operation::SetRole { .. }
            | Operation::UpsertProfile { .. }
            | Operation::RenameGroup { .. } => Err(UpstreamError::Rejected {
                reason: "no call for it is declared".into(),
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

impl Rest {
    fn fixed_groups(&self) -> Vec<RemoteGroup> {
        let fixed = self.settings.group.fixed.iter();
        let group = |(name, id): (&String, &String)| RemoteGroup {
            name: name.clone(),
            fields: [(ID.to_owned(), id.clone())].into(),
            ..RemoteGroup::default()
        };
        fixed.map(group).collect()
    }

    /// Where no call changes who is in a group, none is to be written.
    fn marked(&self, mut groups: Vec<RemoteGroup>) -> Vec<RemoteGroup> {
        let reason = capabilities::why_no_members(&self.capabilities);
        for group in &mut groups {
            group.read_only = group.read_only.take().or_else(|| reason.clone());
        }
        groups
    }
}
