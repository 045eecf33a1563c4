//! Changes in a declared application. A status that no row explains is never
//! believed where believing it wrongly would leave somebody with access, or
//! without: whether the thing is there is read then.

use std::collections::BTreeMap;

use super::{
    Rest,
    answers::{self, ID},
    body::Told,
    calls::{About, Answer, rejected, unsent},
    operation::Name,
    pointer::Pointer,
    template::hole_of_user,
};
use crate::{
    plan::state::{Principal, UserKey},
    upstream::{MemberOutcome, Outcome, RemoteGroup, RemoteUser, Upstream, UpstreamError},
};

impl Rest {
    /// Makes an account, or takes the one that is there where they are linked.
    /// One that was there before, with an id, is activated again where there is
    /// a call for it.
    pub(super) async fn create_user(
        &self,
        account: &str,
        fields: &BTreeMap<String, String>,
        before: Option<&str>,
    ) -> Result<Outcome, UpstreamError> {
        if let (Some(id), true) = (before, self.settings.has(Name::ReactivateUser)) {
            let values = [("user.account", account), ("user.id", id)];
            let call = self.call(Name::ReactivateUser, &values, About::default());
            match call.await {
                Err(UpstreamError::Missing { .. }) => {}
                answer => return answer.map(|_| of_account(Some(id.to_owned()))),
            }
        }
        if self.settings.user.link {
            return self.link(account).await;
        }
        let mut values = vec![("user.account", account)];
        let known = fields.iter();
        values.extend(known.filter_map(|(key, value)| Some((hole_of_user(key)?, value.as_str()))));
        let operation = self.declared(Name::CreateUser)?;
        match self.call(Name::CreateUser, &values, About::default()).await {
            Ok(answer) => {
                let told = new_id(&answer, operation.id.as_ref());
                Ok(of_account(match told {
                    Some(id) => Some(id),
                    None => self.looked_up(account).await,
                }))
            }
            // Whoever has it but is not active would be believed to be.
            Err(UpstreamError::Exists { reason }) => match self.account(account).await {
                Ok(Some(RemoteUser { active: false, .. })) => Err(rejected(format!(
                    "{reason} (the account is there, and not active)"
                ))),
                Ok(_) => Err(UpstreamError::Exists { reason }),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn link(&self, account: &str) -> Result<Outcome, UpstreamError> {
        match self.account(account).await.map_err(unsent)? {
            Some(found) if found.active => Ok(of_account(found.upstream_id)),
            Some(_) => Err(barred("the account that is there is not active")),
            None => Err(barred(
                "there is no such account, and none is made from here",
            )),
        }
    }

    /// The id of an account that was just made, where calls will want it; not
    /// knowing it yet is no failure.
    async fn looked_up(&self, account: &str) -> Option<String> {
        let wants = |name: Name| {
            let operation = self.settings.operation(name)?;
            let holes = operation.holes();
            Some(holes.contains("member.id") || holes.contains("user.id"))
        };
        if !Name::ALL.into_iter().filter_map(wants).any(|it| it) {
            return None;
        }
        let found = self.account(account).await.ok().flatten();
        found.and_then(|found| found.upstream_id)
    }

    pub(super) async fn deactivate_user(
        &self,
        principal: &Principal,
    ) -> Result<Outcome, UpstreamError> {
        let name = Name::DeactivateUser;
        let mut id = principal.upstream_id.clone();
        if id.is_none() && self.declared(name)?.holes().contains("user.id") {
            match self.still_there(&principal.account).await.map_err(unsent)? {
                Some(found) if found.active => id = found.upstream_id,
                _ => return Ok(Outcome::default()),
            }
        }
        let mut values = vec![("user.account", principal.account.as_str())];
        values.extend(id.as_deref().map(|id| ("user.id", id)));
        match self.call(name, &values, About::default()).await {
            Ok(_) => Ok(Outcome::default()),
            Err(UpstreamError::Missing { reason }) => {
                match self.still_there(&principal.account).await? {
                    Some(found) if found.active => {
                        Err(rejected(format!("{reason} (and yet the account is there)")))
                    }
                    _ => Ok(Outcome::default()),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// One account, active or not. That a search finds nobody may be the
    /// search's fault, and would leave somebody with access: so it is looked for
    /// in the list too, where there is one.
    async fn still_there(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        let found = self.account(account).await?;
        if found.is_some() || !self.settings.has(Name::FindUser) {
            return Ok(found);
        }
        let account = account.to_lowercase();
        let mut all = self.users().await?.into_iter();
        Ok(all.find(|user| user.account == account))
    }

    pub(super) async fn create_group(
        &self,
        group: &str,
        members: &[Principal],
    ) -> Result<Outcome, UpstreamError> {
        let name = Name::CreateGroup;
        let operation = self.declared(name)?;
        let about = About {
            members: self.told(name, members).await.map_err(refused)?,
            ..About::default()
        };
        let answer = self.call(name, &[("group.name", group)], about).await?;
        self.forget(group);
        if let Some(id) = new_id(&answer, operation.id.as_ref()) {
            self.remember(&[RemoteGroup {
                name: group.to_owned(),
                fields: [(ID.to_owned(), id)].into(),
                ..RemoteGroup::default()
            }]);
        }
        Ok(all_are(&MemberOutcome::Applied, members))
    }

    pub(super) async fn delete_group(&self, group: &str) -> Result<Outcome, UpstreamError> {
        let name = Name::DeleteGroup;
        let id = match self.id_for(name, group).await {
            Ok(id) => id,
            Err(UpstreamError::Missing { .. }) => return Ok(Outcome::default()),
            Err(error) => return Err(unsent(error)),
        };
        let values = self.values_of_group(group, id.as_deref());
        let gone = self.call(name, &values, About::default()).await;
        self.forget(group);
        match gone {
            Ok(_) => Ok(Outcome::default()),
            Err(UpstreamError::Missing { reason }) => {
                match self.where_is(group, id.as_deref()).await? {
                    Place::Nowhere => Ok(Outcome::default()),
                    Place::Elsewhere => Err(later(reason)),
                    Place::Here => Err(rejected(format!("{reason} (and yet the group is there)"))),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Where a group is of which a call says that it is missing.
    async fn where_is(&self, group: &str, id: Option<&str>) -> Result<Place, UpstreamError> {
        self.forget(group);
        let found = self.group(group).await.map_err(unsent)?;
        Ok(match found {
            None => Place::Nowhere,
            Some(found) if id.is_some() && found.fields.get(ID).map(String::as_str) != id => {
                Place::Elsewhere
            }
            Some(_) => Place::Here,
        })
    }

    /// Adds, removes or replaces members.
    pub(super) async fn change_members(
        &self,
        name: Name,
        group: &str,
        members: &[Principal],
    ) -> Result<Outcome, UpstreamError> {
        if members.is_empty() && name != Name::ReplaceMembers {
            return Ok(Outcome::default());
        }
        let operation = self.declared(name)?;
        let id = self.id_for(name, group).await.map_err(unsent)?;
        let values = self.values_of_group(group, id.as_deref());
        let told = match self.told(name, members).await {
            Err(UpstreamError::Missing { reason }) if name == Name::RemoveMembers => {
                return unsettled(members, reason);
            }
            told => told.map_err(refused)?,
        };
        let about = About {
            members: told,
            ..About::default()
        };
        match self.call(name, &values, about).await {
            Ok(answer) if answer.was_so => Ok(all_are(&MemberOutcome::Applied, members)),
            Ok(answer) => {
                let lists = (operation.applied.as_ref(), operation.failed.as_ref());
                Ok(Outcome {
                    members: answers::outcomes(&answer.value, lists, members, &self.settings),
                    ..Outcome::default()
                })
            }
            Err(UpstreamError::Exists { reason }) if name == Name::AddMembers => {
                unsettled(members, reason)
            }
            Err(UpstreamError::Exists { reason }) => Err(rejected(reason)),
            // Of the group, or of a member of it: the status does not tell.
            Err(UpstreamError::Missing { reason }) => {
                match self.where_is(group, id.as_deref()).await? {
                    Place::Nowhere => Err(UpstreamError::Missing { reason }),
                    Place::Elsewhere => Err(later(reason)),
                    Place::Here if name == Name::RemoveMembers => unsettled(members, reason),
                    Place::Here => Err(rejected(reason)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What is filled in of members. Ids that are wanted and not known are
    /// looked up, one by one; `Missing` is one who is nowhere.
    async fn told(&self, name: Name, members: &[Principal]) -> Result<Vec<Told>, UpstreamError> {
        let wants_ids = self.declared(name)?.holes().contains("member.id");
        let mut told = Vec::with_capacity(members.len());
        for member in members {
            let mut id = member.upstream_id.clone();
            if wants_ids && id.is_none() {
                let found = self.account(&member.account).await.map_err(unsent)?;
                id = found.and_then(|found| found.upstream_id);
            }
            if wants_ids && id.is_none() {
                return Err(UpstreamError::Missing {
                    reason: "there is no account of one of the members".into(),
                });
            }
            let mut values = vec![("member.account", member.account.clone())];
            values.extend(id.map(|id| ("member.id", id)));
            told.push(values);
        }
        Ok(told)
    }
}

/// Where a group is.
enum Place {
    Here,
    /// Another one has its name by now.
    Elsewhere,
    Nowhere,
}

/// One member is settled by reading; of several it is found out who is meant.
fn unsettled(members: &[Principal], reason: String) -> Result<Outcome, UpstreamError> {
    match members {
        [_] => Ok(all_are(&MemberOutcome::Unknown, members)),
        _ => Err(rejected(reason)),
    }
}

/// Whoever is missing cannot be told; that is no word about a group.
fn refused(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Missing { reason } => rejected(reason),
        other => other,
    }
}

fn barred(reason: &str) -> UpstreamError {
    UpstreamError::Barred {
        reason: reason.to_owned(),
    }
}

/// Nothing was done, and another try will know more.
fn later(reason: String) -> UpstreamError {
    UpstreamError::Later {
        after: None,
        reason,
    }
}

fn of_account(upstream_id: Option<String>) -> Outcome {
    Outcome {
        upstream_id,
        ..Outcome::default()
    }
}

fn all_are(outcome: &MemberOutcome, members: &[Principal]) -> Outcome {
    let members: Vec<(UserKey, MemberOutcome)> = members
        .iter()
        .map(|it| (it.user, outcome.clone()))
        .collect();
    Outcome {
        members,
        ..Outcome::default()
    }
}

fn new_id(answer: &Answer, at: Option<&Pointer>) -> Option<String> {
    at?.text(&answer.value)
}
