//! Opsera behind the contract: its documented operations, one function each
//! for what the engine asks.
//!
//! What is sent and read is one table ([`operations`]); what an answer means
//! is in `answers`, what SCIM means there in `mapping`. Opsera's own SCIM
//! endpoint is left alone on purpose.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{
    Condition, Finding, Ledger, MemberOutcome, Millis, Outcome, Projection, PutOff, RemoteGroup,
    RemoteMember, RemoteProfile, RemoteUser, Tenant, Upstream, UpstreamError,
    client::{Call, Client, Priority, Proof, spelled_once},
};
use crate::{
    plan::{
        capability::{Act, Capabilities},
        guard::Roles,
        operation::Operation,
        state::{Principal, UserKey},
    },
    scim::{catalog::Catalog, error::Problem, resource::Attributes, schema::Schemas},
};
use operations::{Key, Name, Wire};
use refusals::{accepted, of_batch, or_exists, present, shown, was_so};
use settings::{BENEATH, MembersBy};

mod answers;
mod capabilities;
mod check;
mod mapping;
pub mod operations;
mod refusals;
mod schemas;
pub mod settings;
mod slug;

pub use schemas::{GROUP_EXTENSION, USER_EXTENSION};
pub use settings::Settings;

/// A connection to Opsera. Nothing is sent yet; all problems of the settings
/// come back together, one a line.
pub fn open(settings: Settings) -> Result<Arc<dyn Upstream>, String> {
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    Ok(Arc::new(Opsera {
        client: Client::new(settings.client())?,
        wire: Wire::new(&settings.operations, &settings.keys)?,
        capabilities: capabilities::table(&settings),
        schemas: Arc::new(schemas::schemas(&settings)),
        settings,
    }))
}

#[derive(Debug)]
struct Opsera {
    client: Client,
    wire: Wire,
    capabilities: Capabilities,
    schemas: Arc<Schemas>,
    settings: Settings,
}

#[async_trait]
impl Upstream for Opsera {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn schemas(&self) -> Arc<Schemas> {
        self.schemas.clone()
    }

    fn catalog(&self) -> Catalog {
        capabilities::catalog()
    }

    fn project(&self, user: &Attributes) -> Result<Projection, Problem> {
        mapping::project(user, &self.settings)
    }

    fn group_name(&self, display_name: &str) -> Result<String, Problem> {
        mapping::group_name(display_name, &self.settings)
    }

    fn plain_role(&self) -> Option<&str> {
        Some(&self.settings.default_role)
    }

    fn roles(&self) -> Roles {
        Roles::new(self.plain_role(), &BENEATH)
    }

    fn user_attributes(&self, remote: &RemoteUser, profile: Option<&RemoteProfile>) -> Attributes {
        mapping::user_attributes(remote, profile)
    }

    fn group_attributes(&self, remote: &RemoteGroup) -> Attributes {
        mapping::group_attributes(remote)
    }

    fn adorn_group(&self, attributes: &mut Attributes, name: &str) {
        mapping::adorn_group(attributes, name);
    }

    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        let answer = self.read(Name::ListUsers, &[], &[]).await?;
        answers::users(&answer, &self.wire)
    }

    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        if !self.settings.people {
            return Ok(Vec::new());
        }
        let answer = self.read(Name::ListPeople, &[], &[]).await?;
        answers::people(&answer, &self.wire)
    }

    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        let answer = self.read(Name::ListGroups, &[], &[]).await?;
        let mut groups = answers::groups(&answer, &self.wire)?;
        for group in &mut groups {
            self.mark_protected(group);
        }
        Ok(groups)
    }

    async fn members(&self, group: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        let answer = self.read(Name::GetMembers, &[("name", group)], &[]).await?;
        answers::members(&answer, &self.wire)
    }

    async fn user(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        let answer = self.read(Name::GetUser, &[("id", account)], &[]).await;
        let Some(answer) = present(answer)? else {
            return Ok(None);
        };
        let user = answers::user(&answer, &self.wire)?;
        let asked_for =
            user.account == account.to_lowercase() || user.upstream_id.as_deref() == Some(account);
        if !asked_for {
            return Err(UpstreamError::Unknown {
                reason: "another user than the one asked for was answered".into(),
            });
        }
        Ok(Some(user).filter(|user| user.active))
    }

    async fn group(&self, name: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        let answer = self.read(Name::GetGroup, &[("name", name)], &[]).await;
        let Some(answer) = present(answer)? else {
            return Ok(None);
        };
        let mut group = answers::group(&answer, &self.wire)?;
        if group.name != name {
            return Err(UpstreamError::Unknown {
                reason: "another group than the one asked for was answered".into(),
            });
        }
        self.mark_protected(&mut group);
        Ok(Some(group))
    }

    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        match operation {
            Operation::CreateUser {
                account,
                role,
                fields,
                ..
            } => self.create_user(account, role.as_deref(), fields).await,
            Operation::DeactivateUser { principal } => {
                let values = [("id", address(principal))];
                // That it is not known is for the engine to judge: see what the
                // account is called.
                let gone = self.write(Name::DeactivateUser, &values, None).await;
                gone.map(|_| Outcome::default())
            }
            Operation::SetRole { principal, role } => {
                let values = [("id", address(principal))];
                let body = json!({ self.wire.key(Key::SiteRole): role });
                self.write(Name::SetSiteRole, &values, Some(body)).await?;
                Ok(Outcome::default())
            }
            Operation::UpsertProfile {
                account,
                fields,
                exists,
            } => self.upsert_profile(account, fields, *exists).await,
            Operation::CreateGroup { name, members } => self.create_group(name, members).await,
            Operation::DeleteGroup { name } => {
                self.refuse_protected(name)?;
                let gone = self.write(Name::DeleteGroup, &[("name", name)], None).await;
                present(gone).map(|_| Outcome::default())
            }
            Operation::AddMembers { group, members } => {
                let call = (Name::AddMembers, Key::Added);
                self.change_members(call, group, members).await
            }
            Operation::RemoveMembers { group, members } => {
                let call = (Name::RemoveMembers, Key::Removed);
                self.change_members(call, group, members).await
            }
            Operation::ReplaceMembers { group, members } => {
                let call = (Name::ReplaceMembers, Key::Replaced);
                self.change_members(call, group, members).await
            }
            // Never planned, as the table says no to it.
            Operation::RenameGroup { .. } => Err(UpstreamError::Rejected {
                reason: self.capabilities().note(Act::RenameGroup).to_owned(),
            }),
        }
    }

    fn budget(&self) -> Option<Tenant> {
        self.client.budget()
    }

    fn clock_behind(&self) -> Millis {
        self.client.clock_behind()
    }

    fn tenants(&self) -> Vec<Tenant> {
        let named = self.settings.tenant.as_deref();
        let named = named.map(|name| Tenant::named("opsera", name));
        self.client.tenant().into_iter().chain(named).collect()
    }

    fn fingerprint(&self) -> String {
        let address = spelled_once(&self.settings.base_url);
        format!("{} {address}", self.capabilities().application)
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

type Fields = std::collections::BTreeMap<String, String>;
type Values<'a> = &'a [(&'a str, &'a str)];

/// Fields of a profile and of a new account, by the names used in the bridge.
const CREATION: [(&str, Key); 6] = [
    ("firstName", Key::FirstName),
    ("lastName", Key::LastName),
    ("preferredName", Key::PreferredName),
    ("title", Key::Title),
    ("location", Key::Location),
    ("division", Key::Division),
];
const PROFILE: [(&str, Key); 7] = [
    ("firstName", Key::FirstName),
    ("lastName", Key::LastName),
    ("organization", Key::Organization),
    ("businessUnit", Key::BusinessUnit),
    ("department", Key::Department),
    ("group", Key::Group),
    ("team", Key::Team),
];

impl Opsera {
    async fn create_user(
        &self,
        account: &str,
        role: Option<&str>,
        fields: &Fields,
    ) -> Result<Outcome, UpstreamError> {
        let mut body = self.body_of(&CREATION, fields);
        body.insert(self.wire.key(Key::Email).to_owned(), account.into());
        let role = role.unwrap_or(&self.settings.default_role);
        body.insert(self.wire.key(Key::SiteRole).to_owned(), role.into());
        let answer = self.write(Name::CreateUser, &[], Some(body.into())).await;
        let answer = answer.map_err(or_exists)?;
        Ok(Outcome {
            upstream_id: answers::created_id(&answer, account, &self.wire)?,
            ..Outcome::default()
        })
    }

    /// Whichever of update and creation is likelier goes first; the other
    /// follows when the application says so.
    async fn upsert_profile(
        &self,
        account: &str,
        fields: &Fields,
        exists: Option<bool>,
    ) -> Result<Outcome, UpstreamError> {
        let body = self.body_of(&PROFILE, fields);
        let mut new = body.clone();
        new.insert(self.wire.key(Key::Email).to_owned(), account.into());
        let values = [("email", account)];
        let create = || self.write(Name::CreatePerson, &[], Some(new.into()));
        let update = || self.write(Name::UpdatePerson, &values, Some(body.into()));
        if exists == Some(false) {
            match create().await.map_err(or_exists) {
                Err(UpstreamError::Exists { .. }) => update().await?,
                other => other?,
            };
        } else {
            match update().await {
                Err(UpstreamError::Missing { .. }) => create().await.map_err(or_exists)?,
                other => other?,
            };
        }
        Ok(Outcome::default())
    }

    async fn create_group(
        &self,
        name: &str,
        members: &[Principal],
    ) -> Result<Outcome, UpstreamError> {
        self.refuse_protected(name)?;
        let mut body = Map::new();
        body.insert(self.wire.key(Key::GroupName).to_owned(), name.into());
        if !members.is_empty() {
            let (kind, list) = self.identifiers(members);
            let key = match kind {
                MembersBy::Id => Key::MemberUserIds,
                MembersBy::Email => Key::MemberEmails,
            };
            body.insert(self.wire.key(key).to_owned(), list);
        }
        let answer = self.write(Name::CreateGroup, &[], Some(body.into())).await;
        let answer = answer.map_err(or_exists)?;
        answers::is_called(&answer, self.wire.key(Key::GroupName), name)?;
        let path = self.wire.key(Key::Added);
        // Opsera documents a message alone for a group made with its members,
        // and a refusal otherwise; a list, where there is one, knows better.
        let members = match answers::applied(&answer, path, &self.wire) {
            Some(_) => answers::outcomes(&answer, Key::Added, members, &self.wire),
            None => all_applied(members),
        };
        Ok(Outcome {
            members,
            ..Outcome::default()
        })
    }

    async fn change_members(
        &self,
        (name, key): (Name, Key),
        group: &str,
        members: &[Principal],
    ) -> Result<Outcome, UpstreamError> {
        self.refuse_protected(group)?;
        if members.is_empty() && name != Name::ReplaceMembers {
            return Ok(Outcome::default());
        }
        let (_, list) = self.identifiers(members);
        let body = json!({ self.wire.key(Key::Members): list });
        let members = match self.write(name, &[("name", group)], Some(body)).await {
            Ok(answer) => answers::outcomes(&answer, key, members, &self.wire),
            // Words are no proof; a look is.
            Err(error) if members.len() == 1 && was_so(&error, name) => unknown(members),
            Err(error) => return Err(of_batch(error)),
        };
        Ok(Outcome {
            members,
            ..Outcome::default()
        })
    }

    /// Ids where every member of the batch has one, else e-mails: never mixed.
    fn identifiers(&self, members: &[Principal]) -> (MembersBy, Value) {
        if self.settings.members_by == MembersBy::Id {
            let ids: Option<Vec<&str>> = members
                .iter()
                .map(|member| member.upstream_id.as_deref())
                .collect();
            if let Some(ids) = ids {
                return (MembersBy::Id, ids.into());
            }
        }
        let emails: Vec<&str> = members.iter().map(|m| m.account.as_str()).collect();
        (MembersBy::Email, emails.into())
    }

    fn body_of(&self, table: &[(&str, Key)], fields: &Fields) -> Map<String, Value> {
        table
            .iter()
            .filter_map(|(name, key)| {
                let value = fields.get(*name)?;
                Some((self.wire.key(*key).to_owned(), value.clone().into()))
            })
            .collect()
    }

    fn mark_protected(&self, group: &mut RemoteGroup) {
        if group.read_only.is_none() && mapping::is_protected(&group.name, &self.settings) {
            group.read_only = Some(mapping::protected_reason(&group.name));
        }
    }

    /// The last door: whatever the engine believes, these are never written.
    fn refuse_protected(&self, group: &str) -> Result<(), UpstreamError> {
        if mapping::is_protected(group, &self.settings) {
            return Err(UpstreamError::Rejected {
                reason: mapping::protected_reason(group),
            });
        }
        Ok(())
    }

    async fn read(
        &self,
        name: Name,
        values: Values<'_>,
        query: Values<'_>,
    ) -> Result<Value, UpstreamError> {
        let answer = self.call(name, values, query, None).await?;
        shown(answer)
    }

    async fn write(
        &self,
        name: Name,
        values: Values<'_>,
        body: Option<Value>,
    ) -> Result<Value, UpstreamError> {
        let answer = self.call(name, values, &[], body).await?;
        // It says whom to believe: see `answers::outcomes`.
        if lists(name) {
            return Ok(answer);
        }
        accepted(answer)
    }

    async fn call(
        &self,
        name: Name,
        values: Values<'_>,
        query: Values<'_>,
        body: Option<Value>,
    ) -> Result<Value, UpstreamError> {
        let (method, template) = self.wire.route(name);
        let call = Call {
            method: method.clone(),
            template,
            values,
            query,
            body,
            priority: priority(name),
            writes: writes(name),
            proof: if lists(name) {
                Proof::Listed
            } else {
                Proof::Body
            },
        };
        self.client.send(call).await?.json()
    }
}

/// Whose answer says for whom it is true.
fn lists(name: Name) -> bool {
    matches!(
        name,
        Name::AddMembers | Name::RemoveMembers | Name::ReplaceMembers
    )
}

/// What changes something there, whatever verb a tenant wants for it.
fn writes(name: Name) -> bool {
    match name {
        Name::GetGroup
        | Name::ListGroups
        | Name::GetMembers
        | Name::SearchUser
        | Name::GetUser
        | Name::ListUsers
        | Name::ListPeople
        | Name::GetPerson => false,
        Name::CreateGroup
        | Name::DeleteGroup
        | Name::ReplaceMembers
        | Name::RemoveMembers
        | Name::AddMembers
        | Name::CreateUser
        | Name::DeactivateUser
        | Name::SetSiteRole
        | Name::CreatePerson
        | Name::UpdatePerson => true,
    }
}

/// A replacement may take access away, so it goes with the removals.
fn priority(name: Name) -> Priority {
    match name {
        Name::RemoveMembers | Name::ReplaceMembers | Name::DeactivateUser | Name::DeleteGroup => {
            Priority::Revocation
        }
        _ => Priority::Ordinary,
    }
}

/// How one user is addressed: an id cannot have passed to somebody else.
fn address(principal: &Principal) -> &str {
    principal
        .upstream_id
        .as_deref()
        .unwrap_or(&principal.account)
}

fn all_applied(members: &[Principal]) -> Vec<(UserKey, MemberOutcome)> {
    all(members, &MemberOutcome::Applied)
}

fn unknown(members: &[Principal]) -> Vec<(UserKey, MemberOutcome)> {
    all(members, &MemberOutcome::Unknown)
}

fn all(members: &[Principal], outcome: &MemberOutcome) -> Vec<(UserKey, MemberOutcome)> {
    members
        .iter()
        .map(|member| (member.user, outcome.clone()))
        .collect()
}
