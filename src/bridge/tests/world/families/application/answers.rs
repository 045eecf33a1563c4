//! What the application answers, to one call of a connection about anybody at a
//! time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    super::super::{OWN_NAME, below, chance},
    Kind, Roles, address,
    calls::remote,
    id_of, parts,
};
use crate::{
    plan::{
        capability::Capabilities,
        operation::Operation,
        state::{Account, Family, Principal},
    },
    scim::{error::Problem, resource::Attributes, schema::Schemas},
    upstream::{
        Condition, Finding, MemberOutcome, Outcome, Projection, RemoteGroup, RemoteMember,
        RemoteProfile, RemoteUser, Tenant, Upstream, UpstreamError, unless_recalled,
    },
};

/// Nobody is told of twice at once by one connection.
struct Alone<'a>(&'a Roles, String);

impl<'a> Alone<'a> {
    fn new(app: &'a Roles, account: &str) -> Self {
        let fresh = app.lock().busy.insert((app.by, account.to_owned()));
        assert!(fresh, "{account} is told of twice at once");
        Self(app, account.to_owned())
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let key = (self.0.by, self.1.clone());
        self.0.lock().busy.remove(&key);
    }
}

#[async_trait]
impl Upstream for Roles {
    fn capabilities(&self) -> &Capabilities {
        &self.can
    }
    fn has_families(&self) -> bool {
        true
    }
    fn finds_accounts(&self) -> bool {
        !matches!(self.kind, Kind::Alone | Kind::Hands)
    }
    fn tenants(&self) -> Vec<Tenant> {
        let shared = self.kind == Kind::Shared;
        shared
            .then(|| Tenant::of(&[b"roles"]))
            .into_iter()
            .collect()
    }
    fn schemas(&self) -> Arc<Schemas> {
        Arc::clone(&self.schemas)
    }
    fn project(&self, user: &Attributes) -> Result<Projection, Problem> {
        Ok(Projection {
            key: user.text("userName").map(str::to_lowercase),
            account: Account {
                active: user.active(),
                ..Account::default()
            },
        })
    }
    fn group_name(&self, name: &str) -> Result<String, Problem> {
        Ok(name.to_lowercase())
    }
    fn brake(&self, _: bool) {}
    fn condition(&self) -> Condition {
        Condition::default()
    }
    fn is_refused(&self) -> bool {
        false
    }
    fn plain_role(&self) -> Option<&str> {
        None
    }
    fn user_attributes(&self, user: &RemoteUser, _: Option<&RemoteProfile>) -> Attributes {
        let mut attributes = Attributes::default();
        let name = user.account.clone();
        attributes.0.insert("userName".into(), name.into());
        attributes
    }
    fn group_attributes(&self, group: &RemoteGroup) -> Attributes {
        let mut attributes = Attributes::default();
        attributes
            .0
            .insert("displayName".into(), group.name.clone().into());
        attributes
    }
    fn adorn_group(&self, attributes: &mut Attributes, name: &str) {
        attributes.0.insert(OWN_NAME.into(), name.into());
    }
    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        Ok(Vec::new())
    }
    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        if self.finds_accounts() {
            let held = self.look().await?;
            return Ok(self.listed(&held));
        }
        let held = self.lock().held.clone();
        Ok(self.listed(&held))
    }
    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        let of = |name: String| {
            let (family, rank) = parts(&name);
            RemoteGroup {
                name,
                family: Some(Family {
                    name: family,
                    rank: u32::try_from(rank).unwrap(),
                }),
                ..RemoteGroup::default()
            }
        };
        Ok(self.names().into_iter().map(of).collect())
    }
    async fn members(&self, group: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        let (family, own) = parts(group);
        let held = self.look().await?;
        let in_it = held
            .iter()
            .filter(|((_, of), (_, rank))| *of == family && *rank <= own)
            .filter(|(_, (_, rank))| self.owns(&family, *rank));
        let member = |((account, _), (_, rank)): (&(String, String), &(u64, usize))| RemoteMember {
            upstream_id: Some(id_of(account)),
            account: Some(address(account).to_owned()),
            covers: *rank < own,
            unclear: false,
        };
        Ok(in_it.map(member).collect())
    }
    async fn user(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        let held = self.look().await?;
        let of = held.keys().map(|(of, _)| of);
        let of: BTreeSet<&String> = of.filter(|of| address(of) == account).collect();
        let mut of = of.into_iter().map(|of| remote(of));
        // Of several it cannot be told which one is meant.
        Ok(match (of.next(), of.next()) {
            (Some(_), Some(_)) => Some(RemoteUser {
                upstream_id: None,
                ..remote(account)
            }),
            (one, _) => one,
        })
    }
    async fn group(&self, _: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        Ok(None)
    }
    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        let one = |member: &Principal, outcome| Outcome {
            members: vec![(member.user, outcome)],
            ..Outcome::default()
        };
        match operation {
            Operation::CreateUser {
                account,
                upstream_id,
                ..
            } => {
                let _alone = Alone::new(self, account);
                let account = self.link(account, upstream_id.as_deref()).await?;
                Ok(Outcome {
                    upstream_id: Some(id_of(&account)),
                    ..Outcome::default()
                })
            }
            Operation::DeactivateUser { principal } => {
                let _alone = Alone::new(self, &principal.account);
                match self.end(principal).await? {
                    true => Ok(Outcome::default()),
                    false => Ok(one(principal, MemberOutcome::Seen)),
                }
            }
            Operation::AddMembers { group, members } => {
                assert_eq!(members.len(), 1, "one user in one call");
                let member = &members[0];
                let _alone = Alone::new(self, &member.account);
                if chance(10) {
                    // For the limit, as long as it is wanted.
                    let wait = Duration::from_millis(below(4_000));
                    unless_recalled(true, tokio::time::sleep(wait), drop).await?;
                }
                Ok(one(member, self.change(group, member, true).await?))
            }
            Operation::RemoveMembers { group, members } => {
                assert_eq!(members.len(), 1, "one user in one call");
                let member = &members[0];
                let _alone = Alone::new(self, &member.account);
                Ok(one(member, self.change(group, member, false).await?))
            }
            other => panic!("{other:?} is not for an application of roles"),
        }
    }
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
}
