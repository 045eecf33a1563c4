//! Changes of who is in a group of a declared application. A status that no row
//! explains is never believed where believing it wrongly would leave somebody
//! with access, or without: whether the group and the account are there is read
//! then, and an account that was made anew is told by the id that it has now.

use super::{
    Rest, answers,
    body::Told,
    calls::{About, barred, later, rejected, unsent},
    finding::{Place, Whereabouts},
    operation::Name,
    outcomes,
};
use crate::{
    plan::state::{Principal, UserKey},
    upstream::{MemberOutcome, Outcome, Upstream, UpstreamError},
};

impl Rest {
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
        let id = self.id_for(name, group).await.map_err(unsent)?;
        let values = self.values_of_group(group, id.as_deref());
        if self.takes_by_address(name)? {
            let looked = self.look_at_addresses(group, members).await;
            looked.map_err(unsent)?;
        }
        let told = match self.told_as_shown(name, (group, members)).await {
            Err(UpstreamError::Missing { reason }) if name == Name::RemoveMembers => {
                return unsettled(members, reason);
            }
            told => told?,
        };
        let about = About {
            members: told.clone(),
            ..About::default()
        };
        match self.call(name, &values, about).await {
            Ok(answer) if answer.was_so => Ok(all_are(&MemberOutcome::Applied, members)),
            Ok(answer) if answer.is_open && name == Name::ReplaceMembers => Ok(Outcome {
                open: true,
                ..Outcome::default()
            }),
            Ok(answer) if answer.is_open => Ok(all_are(&MemberOutcome::Open, members)),
            Ok(answer) => {
                let outcome = self.outcome(name, &answer.value, members, &told)?;
                let is_left_out = matches!(&outcome.members[..], [(_, MemberOutcome::LeftOut)]);
                if is_left_out && self.was_renewed(members, &told).await? {
                    return Err(later(RENEWED));
                }
                Ok(outcome)
            }
            Err(UpstreamError::Exists { reason }) if name == Name::AddMembers => {
                unsettled(members, reason)
            }
            Err(UpstreamError::Exists { reason }) => Err(rejected(reason)),
            // Of the group, or of a member of it: the status does not tell.
            Err(UpstreamError::Missing { reason }) => {
                match self.where_is(group, id.as_deref()).await.map_err(unsent)? {
                    Place::Nowhere => Err(UpstreamError::Missing { reason }),
                    // Who is in the one that has the name now is not known.
                    Place::Elsewhere => Err(UpstreamError::Missed { reason }),
                    Place::Here if self.was_renewed(members, &told).await? => Err(later(reason)),
                    Place::Here if name == Name::RemoveMembers => unsettled(members, reason),
                    Place::Here => Err(rejected(reason)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The address that the account of an id has by now, as far as can be seen.
    async fn address_of(&self, id: &str, account: &str) -> Result<String, UpstreamError> {
        if let Some(shown) = self.memory.address_lately(id) {
            return Ok(self.memory.spelled(&shown));
        }
        Ok(match self.whereabouts(id, account).await.map_err(unsent)? {
            Whereabouts::At(now) => self.memory.spelled(&now.account),
            Whereabouts::Known | Whereabouts::Anothers => self.memory.spelled(account),
        })
    }

    /// The same, of whom a group shows where nothing else does.
    async fn told_as_shown(
        &self,
        name: Name,
        (group, members): (&str, &[Principal]),
    ) -> Result<Vec<Told>, UpstreamError> {
        let told = self.told(name, members).await;
        let is_open = matches!(&told, Err(UpstreamError::Later { .. }));
        if is_open && self.takes_by_address(name)? && self.members(group).await.is_ok() {
            return self.told(name, members).await;
        }
        told
    }

    /// Whether a call takes members out whom it names by their addresses alone.
    fn takes_by_address(&self, name: Name) -> Result<bool, UpstreamError> {
        let wants_ids = self.declared(name)?.holes().contains("member.id");
        Ok(name == Name::RemoveMembers && !wants_ids)
    }

    /// What an answer says of those who were sent.
    pub(super) fn outcome(
        &self,
        name: Name,
        answer: &serde_json::Value,
        members: &[Principal],
        told: &[Told],
    ) -> Result<Outcome, UpstreamError> {
        let operation = self.declared(name)?;
        let lists = (operation.applied.as_ref(), operation.failed.as_ref());
        let listed = [lists.0, lists.1].into_iter().flatten();
        let listed = listed.filter_map(|at| at.of(answer)?.as_array());
        for one in listed.flatten() {
            let one = answers::member(one, &self.settings.member);
            if let Some((id, account)) = one.and_then(|it| it.upstream_id.zip(it.account)) {
                self.shows_address(&id, &account);
            }
        }
        let keys = members.iter().map(|member| member.user);
        let sent: Vec<_> = keys.zip(told).collect();
        Ok(Outcome {
            members: match &operation.applied_count {
                Some(at) => outcomes::counted(answer, at, &sent),
                None => {
                    let shape = (&self.settings.member, name == Name::RemoveMembers);
                    outcomes::of(answer, lists, &sent, shape)
                }
            },
            ..Outcome::default()
        })
    }

    /// What is filled in of members. Ids that are wanted and not known are
    /// looked up, one by one; `Missing` is one who is nowhere. Whoever has another
    /// address by now than the one that is known here is given nothing.
    pub(super) async fn told(
        &self,
        name: Name,
        members: &[Principal],
    ) -> Result<Vec<Told>, UpstreamError> {
        let wants_ids = self.declared(name)?.holes().contains("member.id");
        let mut told = Vec::with_capacity(members.len());
        for member in members {
            let known = member.upstream_id.as_deref();
            let mut id = known.map(|id| self.memory.live_id(&member.account, id));
            let mut spelled = self.memory.spelled(&member.account);
            if let Some(id) = &id {
                let account = &member.account;
                if name != Name::RemoveMembers {
                    let moved = self.has_another_address(id, account).await;
                    if moved.map_err(unsent)? {
                        return Err(barred(MOVED));
                    }
                } else if !wants_ids {
                    // Who has the address by now is not who is taken out.
                    spelled = self.address_of(id, account).await?;
                }
            }
            if !wants_ids {
                self.is_alone(&member.account).await.map_err(unsent)?;
            }
            if wants_ids && id.is_none() {
                id = self.id_of(name, member, members.len()).await?;
            }
            let mut values = vec![("member.account", spelled)];
            values.extend(id.map(|id| ("member.id", id)));
            told.push(values);
        }
        Ok(told)
    }

    /// The id of a member of whom none is known. Of several, who is not found
    /// is told apart first, so that the others need not wait.
    async fn id_of(
        &self,
        name: Name,
        member: &Principal,
        of: usize,
    ) -> Result<Option<String>, UpstreamError> {
        let account = &member.account;
        let found = match of {
            1 => self.sure_account(account, None).await,
            _ => self.look_for_account(account, None).await,
        };
        let found = found.map_err(unsent)?.and_then(|it| it.upstream_id);
        match found {
            Some(id) => Ok(Some(id)),
            None if name == Name::RemoveMembers => Err(UpstreamError::Missing {
                reason: "there is no account of one of the members".into(),
            }),
            None => Err(barred("it shows no account of this member")),
        }
    }

    /// Whether the one who was told is known there by another id, because the
    /// account was made anew; the next call tells that one.
    async fn was_renewed(
        &self,
        members: &[Principal],
        told: &[Told],
    ) -> Result<bool, UpstreamError> {
        let ([member], [told]) = (members, told) else {
            return Ok(false);
        };
        let sent = told.iter().find(|(hole, _)| *hole == "member.id");
        let (Some((_, sent)), Some(known)) = (sent, &member.upstream_id) else {
            return Ok(false);
        };
        let found = self.look_for_account(&member.account, Some(sent)).await;
        let found = found.map_err(unsent)?.and_then(|it| it.upstream_id);
        let live = found.filter(|live| live != sent);
        if let Some(live) = &live {
            self.memory.renews(&member.account, known, live);
        }
        Ok(live.is_some())
    }
}

/// Of whom the answer told nothing, and why.
const RENEWED: &str = "the account was made anew and has another id";

/// Why an account is given nothing.
const MOVED: &str = "it shows another address for the account that this member was linked to, \
    which may be somebody else's by now; the next import tells whose it is";

/// One member is settled by reading; of several it is found out who is meant.
fn unsettled(members: &[Principal], reason: String) -> Result<Outcome, UpstreamError> {
    match members {
        [_] => Ok(all_are(&MemberOutcome::Unknown, members)),
        _ => Err(rejected(reason)),
    }
}

pub(super) fn all_are(outcome: &MemberOutcome, members: &[Principal]) -> Outcome {
    let members: Vec<(UserKey, MemberOutcome)> = members
        .iter()
        .map(|it| (it.user, outcome.clone()))
        .collect();
    Outcome {
        members,
        ..Outcome::default()
    }
}
