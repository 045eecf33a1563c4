//! Snyk behind the contract: users have one role each in a Snyk Group, and a
//! SCIM Group is one of these roles. The roles of one Snyk Group are a family of
//! alternatives, whose pairs are sent singly.
//!
//! What is sent is in `api`, what a pair comes to in `membership`, who is who in
//! `accounts`, the end of a user in `withdrawal`.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Condition, Finding, Lags, Ledger, Outcome, Projection, PutOff, RemoteGroup, RemoteMember,
    RemoteProfile, RemoteUser, Tenant, Upstream, UpstreamError,
    client::{Moment, Priority, spelled_once},
};
use crate::{
    plan::{
        capability::{Act, Capabilities},
        operation::Operation,
        state::{Family, Principal},
    },
    scim::{error::Problem, resource::Attributes, schema::Schemas},
};
use administrators::Administrators;
use families::{Families, ids};
use memory::Memory;

mod accounts;
mod administrators;
pub mod api;
mod as_told;
mod capabilities;
mod check;
mod conflicts;
mod count;
mod families;
mod lately;
mod mapping;
mod membership;
mod memory;
mod now;
mod paging;
mod remade;
pub mod roles;
mod schemas;
pub mod settings;
mod several;
#[cfg(test)]
mod tests;
mod unread;
mod unshown;
mod wire;
mod withdrawal;
mod words;

pub use settings::Settings;

/// A connection to Snyk. Nothing is sent yet; all problems of the settings
/// come back together, one a line.
pub fn open(settings: Settings) -> Result<Arc<dyn Upstream>, String> {
    let can = capabilities::table(&settings);
    let administrators = administrators::shared(settings.base());
    Ok(Arc::new(Snyk {
        api: api::Api::open(&settings)?,
        base: settings.base().to_owned(),
        schemas: Arc::new(schemas::schemas(&can)),
        capabilities: can,
        families: Families::new(&settings),
        memory: Memory::sharing(&administrators.common),
        lately: lately::Lately::default(),
        unshown: unshown::Unshown::default(),
        conflicts: conflicts::Conflicts::default(),
        administrators,
        lags: OnceLock::new(),
        sso_users: accounts::SsoUsers::default(),
        several: several::Several::default(),
        reading: tokio::sync::Mutex::default(),
        administered: tokio::sync::Mutex::default(),
        settings,
    }))
}

#[derive(Debug)]
struct Snyk {
    api: api::Api,
    base: String,
    capabilities: Capabilities,
    schemas: Arc<Schemas>,
    families: Families,
    memory: Memory,
    lately: lately::Lately,
    unshown: unshown::Unshown,
    conflicts: conflicts::Conflicts,
    administrators: Arc<Administrators>,
    lags: OnceLock<Lags>,
    sso_users: accounts::SsoUsers,
    several: several::Several,
    /// One reading for all who ask for it at once.
    reading: tokio::sync::Mutex<()>,
    /// Who administers the Snyk Groups, for whoever is raised by a reading.
    administered: tokio::sync::Mutex<as_told::Administered>,
    settings: Settings,
}

impl Snyk {
    /// What Snyk refused of its own, in words of this side.
    fn explained(act: Act, error: UpstreamError) -> UpstreamError {
        let UpstreamError::Rejected { reason } = error else {
            return error;
        };
        tracing::warn!(?act, %reason, "Snyk refused");
        UpstreamError::Barred {
            reason: "Snyk refused it; its own words are in the bridge's log".into(),
        }
    }

    fn lags(&self) -> Lags {
        self.lags.get().copied().unwrap_or_default()
    }
}

#[async_trait]
impl Upstream for Snyk {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn has_families(&self) -> bool {
        true
    }

    fn recall(&self, name: &str, shown: &Attributes) {
        if let (Some((group, role)), Some(name)) = (ids(name), mapping::role_name(shown)) {
            self.families.recall(group, role, name);
        }
    }

    fn recall_account(&self, address: &str, id: &str) {
        self.memory.recall_person(address, id);
    }

    fn call(&self, operation: &Operation, has: Option<&str>) -> Option<String> {
        self.words(operation, has)
    }

    fn offers(&self, name: &str) -> bool {
        ids(name).is_some_and(|(group, role)| self.families.offers(group, role))
    }

    fn is_made_anew(&self, group: &str, other: &str) -> bool {
        let (Some((of, role)), Some((same, other))) = (ids(group), ids(other)) else {
            return false;
        };
        let called = self.families.name_of(of, other);
        of == same && called.is_some_and(|it| self.families.is_made_anew(of, role, (other, &it)))
    }

    fn remade(&self) -> Vec<(String, String)> {
        self.families.remade()
    }

    fn note_remade(&self, name: &str, stays: Option<&str>) {
        if let Some((group, role)) = ids(name) {
            self.families.note_remade(group, role, stays);
        }
    }

    fn family(&self, name: &str) -> Option<Family> {
        ids(name).and_then(|(group, role)| self.families.family(group, role))
    }

    fn finds_accounts(&self) -> bool {
        true
    }

    fn schemas(&self) -> Arc<Schemas> {
        self.schemas.clone()
    }

    /// Snyk Groups have ids that are the same for everybody. Two connections may
    /// have different ones; roles of one exclude each other and go together.
    fn budget(&self) -> Option<Tenant> {
        self.api.client().budget()
    }

    fn tenants(&self) -> Vec<Tenant> {
        vec![Tenant::of(&[self.fingerprint().as_bytes()])]
    }

    fn fingerprint(&self) -> String {
        let base = spelled_once(&self.base);
        format!("{} {base}", self.capabilities.application)
    }

    fn project(&self, user: &Attributes) -> Result<Projection, Problem> {
        Ok(mapping::project(user))
    }

    fn plain_role(&self) -> Option<&str> {
        None
    }

    fn group_name(&self, _: &str) -> Result<String, Problem> {
        Err(Problem::new(403, capabilities::NO_GROUPS))
    }

    fn user_attributes(&self, remote: &RemoteUser, _: Option<&RemoteProfile>) -> Attributes {
        mapping::user_attributes(remote)
    }

    fn group_attributes(&self, remote: &RemoteGroup) -> Attributes {
        mapping::group_attributes(remote)
    }

    fn adorn_group(&self, attributes: &mut Attributes, name: &str) {
        mapping::adorn_group(attributes, name);
    }

    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        self.all_users().await
    }

    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        Ok(Vec::new())
    }

    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        let mut found = Vec::new();
        for group in self.snyk_groups("groups").await?.iter() {
            let all = self.roster(&group.id, "groups").await?;
            for role in self.families.unresolved(&group.id) {
                tracing::warn!(connection = %self.settings.connection, group = %group.id, %role, "nobody has this role, so its id is not known and it is no SCIM Group");
            }
            for (what, remedy) in self.families.contradictions(&group.id) {
                tracing::warn!(connection = %self.settings.connection, group = %group.id, remedy, "{what}");
            }
            found.extend(self.families.remote(group, &all));
        }
        Ok(found)
    }

    /// Everybody with the role, and whoever has one that stands before it.
    async fn members(&self, group: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        let (id, role) = ids(group).ok_or_else(no_group)?;
        let all = self.roster(id, group).await?;
        let roles = self.families.roles(id);
        let before = roles.iter().position(|it| it.id == role).unwrap_or(0);
        let before = &roles[..before];
        let several = several::of(&all);
        let members = all.iter().filter_map(|membership| {
            let unclear = several.contains(membership.user_id.as_str());
            let covers = before.iter().any(|it| it.id == membership.role_id);
            (unclear || covers || membership.role_id == role).then(|| RemoteMember {
                upstream_id: Some(membership.user_id.clone()),
                account: Some(membership.email.clone()).filter(|email| !email.is_empty()),
                covers: covers && !unclear,
                unclear,
            })
        });
        Ok(members.collect())
    }

    async fn has(&self, group: &str, who: &Principal) -> Result<Option<bool>, UpstreamError> {
        let (id, role) = ids(group).ok_or_else(no_group)?;
        let which = match &who.upstream_id {
            Some(user) => api::Which::OfUser(user),
            None => api::Which::OfEmail(&who.account),
        };
        let began = Moment::now();
        let found = self.look(id, which, Priority::Ordinary).await?;
        if let Some(user) = &who.upstream_id {
            self.lately.keep(id, user, began, &found);
        }
        let place = |role: &str| self.families.place(id, role);
        let has = |it: &api::Membership| {
            it.role_id == role || place(&it.role_id).is_some_and(|at| Some(at) < place(role))
        };
        Ok(Some(found.iter().any(has)))
    }

    async fn is_unseen(&self, family: &str) -> Result<bool, UpstreamError> {
        Ok(!self.lists(family).await? && self.api.group(family).await?.is_none())
    }

    async fn user(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        self.one_user(account).await
    }

    async fn group(&self, name: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        let Some((id, role)) = ids(name) else {
            return Ok(None);
        };
        let Some(group) = self.api.group(id).await? else {
            return Ok(None);
        };
        self.know_roles(id).await?;
        Ok(self.families.remote_of(&group, role))
    }

    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        match operation {
            Operation::CreateUser {
                account,
                upstream_id,
                ..
            } => {
                let id = self.link(account, upstream_id.as_deref()).await?;
                Ok(Outcome {
                    upstream_id: Some(id),
                    ..Outcome::default()
                })
            }
            Operation::DeactivateUser { principal } => self.withdraw(principal).await,
            Operation::AddMembers { group, members } => {
                let added = self.add(group, single(members)?).await;
                added.map_err(|error| Self::explained(Act::AddMembers, error))
            }
            Operation::RemoveMembers { group, members } => {
                let removed = self.remove(group, single(members)?).await;
                removed.map_err(|error| Self::explained(Act::RemoveMembers, error))
            }
            // Nothing else is planned, because the table cannot do it; if it
            // were, it would end here.
            Operation::SetRole { .. } => Err(rejected(capabilities::NO_ROLE)),
            Operation::UpsertProfile { .. } => Err(rejected(capabilities::NO_PROFILE)),
            Operation::CreateGroup { .. }
            | Operation::RenameGroup { .. }
            | Operation::DeleteGroup { .. } => Err(rejected(capabilities::NO_GROUPS)),
            Operation::ReplaceMembers { .. } => Err(rejected(capabilities::NO_REPLACE)),
        }
    }

    fn begin(&self, lags: &Lags) {
        let lags = self.lags.get_or_init(|| *lags);
        if lags.sent_lately || lags.unanswered {
            self.administrators.doubt(lags);
        }
    }

    fn is_refused_all(&self) -> bool {
        self.api.client().is_refused_all()
    }

    fn is_refused(&self) -> bool {
        self.api.client().is_refused()
    }

    fn brake(&self, stopped: bool) {
        self.api.client().brake(stopped);
    }

    fn remember(&self, ledger: &Arc<Ledger>) {
        self.api.client().remember(ledger);
    }

    async fn lend(&self) -> Result<(), PutOff> {
        self.api.client().lend().await
    }

    fn be_silent(&self, pause: Duration) {
        self.api.client().be_silent(pause);
    }

    fn recoveries(&self) -> Option<watch::Receiver<u64>> {
        Some(self.api.client().recoveries())
    }

    fn condition(&self) -> Condition {
        Condition {
            several: self.several.told(),
            replaced: self.families.replaced(),
            ..self.api.condition()
        }
    }

    async fn check(&self) -> Vec<Finding> {
        let mut found = self.findings().await;
        for group in self.families.configured() {
            let wrong = self.families.contradictions(&group);
            found.extend(wrong.into_iter().map(|(what, remedy)| Finding {
                ok: false,
                what,
                remedy: Some(remedy.to_owned()),
            }));
        }
        found.extend(self.several.told().into_iter().map(|it| Finding {
            ok: false,
            what: format!(
                "{:?} ({}) has more than one membership of the Snyk Group {}, and it cannot be \
                 told which one counts; what is known of it stays as it is",
                it.account, it.upstream_id, it.family
            ),
            remedy: Some(several::REMEDY.to_owned()),
        }));
        found
    }
}

/// One user a call, as the table says.
fn single(members: &[Principal]) -> Result<&Principal, UpstreamError> {
    match members {
        [one] => Ok(one),
        _ => Err(rejected(capabilities::NO_REPLACE)),
    }
}

fn no_group() -> UpstreamError {
    UpstreamError::Missing {
        reason: "this is no role of a Snyk Group".into(),
    }
}

fn rejected(reason: &str) -> UpstreamError {
    UpstreamError::Rejected {
        reason: reason.to_owned(),
    }
}
