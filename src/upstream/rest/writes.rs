//! Accounts and groups of a declared application, made and ended. A status that
//! no row explains is never believed where believing it wrongly would leave
//! somebody with access, or without: whether the thing is there is read then.

use std::collections::BTreeMap;

use super::{
    Rest, answers,
    apart::NAMELESS,
    calls::{About, Answer, barred, later, rejected, unsent},
    finding::{Place, Whereabouts},
    members::all_are,
    operation::Name,
    paging::unclear,
    pointer::Pointer,
    settings::KnownBy,
    template::hole_of_user,
};
use crate::{
    plan::state::Principal,
    upstream::{MemberOutcome, Outcome, RemoteUser, Upstream, UpstreamError},
};

impl Rest {
    /// Makes an account, or takes the one that is there where they are linked.
    /// One that was there before is activated again where there is a call for it.
    pub(super) async fn create_user(
        &self,
        account: &str,
        fields: &BTreeMap<String, String>,
        before: Option<&str>,
    ) -> Result<Outcome, UpstreamError> {
        if let (Some(id), true) = (before, self.settings.has(Name::ReactivateUser)) {
            let id = self.memory.live_id(account, id);
            match self.activate_known(account, id).await {
                Err(UpstreamError::Missing { .. }) => {}
                answer => return answer,
            }
        }
        if self.settings.user.link {
            return self.link(account).await;
        }
        self.is_alone(account).await.map_err(unsent)?;
        let spelled = self.spelling(account, fields);
        let mut values = vec![("user.account", spelled.as_str())];
        let known = fields.iter();
        values.extend(known.filter_map(|(key, value)| Some((hole_of_user(key)?, value.as_str()))));
        let operation = self.declared(Name::CreateUser)?;
        match self.call(Name::CreateUser, &values, About::default()).await {
            Ok(answer) => {
                self.memory.spells(&spelled);
                let told = new_id(&answer, operation.id.as_ref());
                Ok(of_account(match told {
                    Some(id) => Some(id),
                    None => self.looked_up(account).await,
                }))
            }
            // Whoever has it but is not active would be believed to be.
            Err(UpstreamError::Exists { reason }) => {
                match self.sure_account(account, None).await? {
                    Some(found) if !found.active => self.revive(account, found).await,
                    _ => Err(UpstreamError::Exists { reason }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What a new account is called: a name keeps the letter case that it was
    /// asked for in.
    fn spelling(&self, account: &str, fields: &BTreeMap<String, String>) -> String {
        let said = fields.get("userName").map(|name| name.trim());
        let said = said.filter(|name| name.to_lowercase() == account);
        match (self.settings.user.known_by, said) {
            (KnownBy::Name, Some(said)) => said.to_owned(),
            _ => self.memory.spelled(account),
        }
    }

    async fn link(&self, account: &str) -> Result<Outcome, UpstreamError> {
        match self.look_for_account(account, None).await.map_err(unsent)? {
            Some(found) if found.active => Ok(linked(found.upstream_id)),
            Some(found) => self.revive(account, found).await,
            None => Err(barred(
                "there is no such account, and none is made from here",
            )),
        }
    }

    /// Activates an account that is there and not active, where that can be.
    async fn revive(&self, account: &str, found: RemoteUser) -> Result<Outcome, UpstreamError> {
        if !self.settings.has(Name::ReactivateUser) {
            return Err(barred("the account that is there is not active"));
        }
        let id = self.activate(account, found.upstream_id).await?.upstream_id;
        Ok(linked(id))
    }

    /// The one of an id. A call that names it by its address goes to where it is by
    /// now, and to nobody else who has that.
    async fn activate_known(&self, account: &str, id: String) -> Result<Outcome, UpstreamError> {
        let operation = self.declared(Name::ReactivateUser)?;
        if !operation.holes().contains("user.id") {
            match self.whereabouts(&id, account).await.map_err(unsent)? {
                Whereabouts::Known => {}
                Whereabouts::At(now) if now.active => return Ok(of_account(Some(id))),
                Whereabouts::At(now) => return self.activate(&now.account, Some(id)).await,
                Whereabouts::Anothers => {
                    return Err(UpstreamError::Missing {
                        reason: "another account has its address".into(),
                    });
                }
            }
        }
        self.activate(account, Some(id)).await
    }

    async fn activate(&self, account: &str, id: Option<String>) -> Result<Outcome, UpstreamError> {
        if !self
            .declared(Name::ReactivateUser)?
            .holes()
            .contains("user.id")
        {
            self.is_alone(account).await.map_err(unsent)?;
        }
        let spelled = self.memory.spelled(account);
        let mut values = vec![("user.account", spelled.as_str())];
        values.extend(id.as_deref().map(|id| ("user.id", id)));
        let call = self.call(Name::ReactivateUser, &values, About::default());
        let answer = call.await?;
        self.is_so(&answer, (account, id.as_deref()), true).await?;
        Ok(of_account(id))
    }

    /// A success that shows the account as it was is looked at before it is believed.
    async fn is_so(
        &self,
        answer: &Answer,
        (account, id): (&str, Option<&str>),
        active: bool,
    ) -> Result<(), UpstreamError> {
        let shape = &self.settings.user;
        let says = shape.active.is_some() && answer.value.is_object();
        let shown = says
            .then(|| answers::user(&answer.value, shape).ok())
            .flatten();
        let differs = |user: &RemoteUser| {
            let same = match (id, user.upstream_id.as_deref()) {
                (Some(id), Some(shown)) => id == shown,
                _ => user.account.to_lowercase() == account.to_lowercase(),
            };
            same && user.active != active
        };
        if !shown.as_ref().is_some_and(differs) {
            return Ok(());
        }
        let found = self.look_for_account(account, id).await;
        if found.is_ok_and(|found| found.is_none_or(|found| !differs(&found))) {
            return Ok(());
        }
        let word = if active { "inactive" } else { "active" };
        Err(unclear(format!("the account is shown as {word} still")))
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
        let found = Self::one_of(self.accounts(account).await.ok()?, None);
        found.ok().flatten().and_then(|found| found.upstream_id)
    }

    /// The end of an account, and of the others with its address that are nobody else's,
    /// where calls tell them apart: each is looked at before, as it may have another one
    /// by now.
    pub(super) async fn deactivate_user(
        &self,
        principal: &Principal,
    ) -> Result<Outcome, UpstreamError> {
        let by_id = self.declared(Name::DeactivateUser)?.holes();
        let by_id = by_id.contains("user.id") && self.settings.has(Name::ListUsers);
        if principal.twins.is_empty() || !by_id {
            return self.end_known(principal).await;
        }
        let outcome = match &principal.upstream_id {
            Some(_) => self.end_known(principal).await?,
            None => Outcome::default(),
        };
        let listed = self.users().await.map_err(unsent)?;
        let account = principal.account.to_lowercase();
        let is_twin = |user: &&RemoteUser| {
            let id = user.upstream_id.as_ref();
            user.active
                && user.account == account
                && id.is_some_and(|id| principal.twins.contains(id))
        };
        for twin in listed.iter().filter(is_twin) {
            match self.end(&account, twin.upstream_id.as_deref()).await {
                Err(UpstreamError::Rejected { .. } | UpstreamError::Barred { .. }) => {
                    return Err(UpstreamError::Partly {
                        reason: "another account with its address could not be ended".into(),
                    });
                }
                ended => _ = ended?,
            }
        }
        Ok(outcome)
    }

    async fn end_known(&self, principal: &Principal) -> Result<Outcome, UpstreamError> {
        let (name, account) = (Name::DeactivateUser, principal.account.as_str());
        let known = principal.upstream_id.as_deref();
        let mut id = known.map(|id| self.memory.live_id(account, id));
        if id.is_none() && self.declared(name)?.holes().contains("user.id") {
            match self.sure_account(account, None).await.map_err(unsent)? {
                Some(found) if found.active => id = found.upstream_id,
                found => return Ok(of_account(found.and_then(|it| it.upstream_id))),
            }
        }
        if let Some(id) = id.as_deref()
            && !self.declared(name)?.holes().contains("user.id")
            && let Whereabouts::At(now) = self.whereabouts(id, account).await.map_err(unsent)?
        {
            // The call names an account by its address, and theirs is another by now.
            return match now.active {
                true => self.end(&now.account, Some(id)).await,
                false => Ok(of_account(Some(id.to_owned()))),
            };
        }
        let reason = match self.end(account, id.as_deref()).await {
            Err(UpstreamError::Missing { reason }) => reason,
            ended => return ended,
        };
        let shown = self.sure_account(account, id.as_deref()).await?;
        if shown.is_none() && id.as_deref().is_some_and(|id| self.memory.is_nameless(id)) {
            return Err(barred(NAMELESS));
        }
        match shown {
            None | Some(RemoteUser { active: false, .. }) => Ok(Outcome::default()),
            // It was made anew.
            Some(found)
                if id.is_some() && found.upstream_id.is_some() && found.upstream_id != id =>
            {
                self.end(account, found.upstream_id.as_deref()).await
            }
            Some(_) => Err(rejected(format!("{reason} (and yet the account is there)"))),
        }
    }

    async fn end(&self, account: &str, id: Option<&str>) -> Result<Outcome, UpstreamError> {
        if !self
            .declared(Name::DeactivateUser)?
            .holes()
            .contains("user.id")
        {
            self.is_alone(account).await.map_err(unsent)?;
        }
        let spelled = self.memory.spelled(account);
        let mut values = vec![("user.account", spelled.as_str())];
        values.extend(id.map(|id| ("user.id", id)));
        let call = self.call(Name::DeactivateUser, &values, About::default());
        let answer = call.await?;
        self.is_so(&answer, (account, id), false).await?;
        Ok(of_account(id.map(str::to_owned)))
    }

    /// Of those who are told with the creation nothing is believed that the
    /// answer does not say; who is not there cannot be told, and is no reason to
    /// make no group.
    pub(super) async fn create_group(
        &self,
        group: &str,
        members: &[Principal],
    ) -> Result<Outcome, UpstreamError> {
        let name = Name::CreateGroup;
        let operation = self.declared(name)?;
        self.is_told_apart(group, true).await.map_err(unsent)?;
        let (mut told, mut sent) = (Vec::new(), Vec::new());
        for member in members {
            match self.told(name, std::slice::from_ref(member)).await {
                Ok(values) => {
                    told.extend(values);
                    sent.push(member.clone());
                }
                Err(UpstreamError::Barred { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let about = About {
            members: told.clone(),
            ..About::default()
        };
        let answer = self.call(name, &[("group.name", group)], about).await?;
        let id = self.id_of_new(&answer, operation.id.as_ref(), group)?;
        self.memory.made(group, id.as_deref());
        let mut outcome = all_are(&MemberOutcome::Unknown, members);
        if operation.tells_members() {
            let said = self.outcome(name, &answer.value, &sent, &told)?.members;
            outcome
                .members
                .retain(|(user, _)| !sent.iter().any(|it| it.user == *user));
            outcome.members.extend(said);
        }
        Ok(outcome)
    }

    /// The id that the answer to a creation tells, where it is not another group's.
    fn id_of_new(
        &self,
        answer: &Answer,
        at: Option<&Pointer>,
        group: &str,
    ) -> Result<Option<String>, UpstreamError> {
        let (Some(at), Some(id)) = (at, new_id(answer, at)) else {
            return Ok(None);
        };
        let name = self.settings.group.name.as_ref();
        let called = at
            .within(&answer.value)
            .zip(name)
            .and_then(|(made, name)| name.text(made));
        let another = called.is_some_and(|it| it.to_lowercase() != group.to_lowercase());
        if another || self.memory.is_anothers(&id, group) {
            return Err(unclear("the answer tells the id of another group"));
        }
        Ok(Some(id))
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
        self.memory.doubt(group);
        match gone {
            Ok(_) => {
                self.memory.forget(group);
                Ok(Outcome::default())
            }
            Err(UpstreamError::Missing { reason }) => {
                match self.where_is(group, id.as_deref()).await.map_err(unsent)? {
                    Place::Nowhere => Ok(Outcome::default()),
                    Place::Elsewhere => Err(later(reason)),
                    Place::Here => Err(rejected(format!("{reason} (and yet the group is there)"))),
                }
            }
            Err(error) => Err(error),
        }
    }
}

fn of_account(upstream_id: Option<String>) -> Outcome {
    Outcome {
        upstream_id,
        ..Outcome::default()
    }
}

/// One that was there before.
fn linked(upstream_id: Option<String>) -> Outcome {
    Outcome {
        linked: true,
        ..of_account(upstream_id)
    }
}

fn new_id(answer: &Answer, at: Option<&Pointer>) -> Option<String> {
    at?.text(&answer.value)
}
