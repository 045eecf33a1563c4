//! What has the name of a group of which it is not known whether it was made: ours, as a
//! creation of which no answer came has made it, or somebody else's. That is looked at,
//! and only what nobody is in but who was asked for is ours: it is not taken over
//! otherwise, and not deleted (reliability: R-04). What is empty is taken over, as it
//! would be made twice otherwise, and is deleted only where more than its name says that
//! it is ours: that it was made after it was asked for here, that a look showed nothing
//! before, or who was put into it from here. One in which somebody was put by hand
//! before the look is taken for theirs, too; so is one of an application that puts
//! others into it by itself.

use tokio::time::Instant;

use super::{super::identities::Identities, Pause, Turn, pause_after};
use crate::{
    plan::state::Existence,
    store::{Another, Remains},
    upstream::{RemoteGroup, UpstreamError},
};

/// Whose a group is that is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    /// Nobody is in it, so nobody's by that.
    Empty,
    Others,
}

/// What a look at a group has shown.
pub(in crate::bridge::converge) struct Look {
    whose: Whose,
    /// Of those whom a creation of which no answer came may have named: how many there
    /// are, and are in it.
    named: usize,
    named_there: usize,
}

impl Look {
    pub(in crate::bridge::converge) fn is_others(&self) -> bool {
        self.whose == Whose::Others
    }

    pub(in crate::bridge::converge) fn is_empty(&self) -> bool {
        self.whose == Whose::Empty
    }

    /// Whether it may be what such a creation has made, whoever is in it. Where whoever
    /// asked for it was answered no, only if that has put people into it (`answered`);
    /// `others`: it has held others, so that it proves nothing that nobody is in it.
    pub(in crate::bridge::converge) fn may_be_ours(&self, answered: bool, others: bool) -> bool {
        match self.whose {
            Whose::Empty => !others,
            Whose::Ours | Whose::Others if self.named == 0 => !answered,
            Whose::Ours | Whose::Others if answered => self.named_there == self.named,
            Whose::Ours | Whose::Others => self.named_there > 0,
        }
    }
}

impl Turn<'_> {
    /// Whether one that is shown is what a creation of which no answer came has made.
    /// It may be one that was deleted here, as long as a call about it can land
    /// (reliability: H-12).
    pub(super) async fn recognize(&mut self, found: RemoteGroup) -> Option<Pause> {
        let look = match self.look_into(&found).await {
            Ok(look) => look,
            Err(pause) => return Some(self.nothing_sent(pause)),
        };
        if !look.is_others() {
            self.learned.unproven = look.is_empty() && !self.shown_absent;
            self.is_there();
            return None;
        }
        if self.mistakable {
            return Some(self.nothing_sent(Pause::Look));
        }
        self.learned.foreign = Some(OTHERS.into());
        let may_be_ours = look.may_be_ours(true, false);
        if may_be_ours {
            self.remains(found.name, self.work.name.clone(), OTHERS);
        }
        if may_be_ours || self.remains {
            let app = &self.upstream.capabilities().application;
            let reason = format!("{app} {PERHAPS}");
            tracing::warn!(group = %self.work.id, "{reason}");
            self.refuse_to_make(reason);
        } else {
            self.refuse_creation(&UpstreamError::Exists {
                reason: OTHERS.into(),
            });
        }
        Some(Pause::None)
    }

    /// Looks right before a deletion that has no other ground than such a creation; the
    /// end of the turn where it is not sent. What is shown before a look can be believed
    /// is looked at again, unless it is ours: that is deleted at once (reliability: H-12).
    pub(super) async fn look_for_guess(&mut self) -> Option<Pause> {
        let guess = self.guess.clone()?;
        let anothers = guess.anothers;
        if let Some(managed @ Another::Managed) = anothers {
            return Some(self.leave_alone(managed.why()));
        }
        if anothers.is_none() && !guess.unproven && self.work.observed != Existence::Unknown {
            // It was found by what it is called, and looked at.
            return None;
        }
        let found = match self.upstream.group(&self.work.name).await {
            Ok(found) => found,
            Err(error) => return Some(self.nothing_sent(pause_after(&error))),
        };
        let look = match &found {
            Some(found) => match self.look_into(found).await {
                Ok(look) => Some(look),
                Err(pause) => return Some(self.nothing_sent(pause)),
            },
            None => None,
        };
        match look.as_ref().map(|look| look.whose) {
            _ if anothers.is_some() => {}
            Some(Whose::Ours) => return None,
            Some(Whose::Empty) if !guess.others && !guess.unproven => return None,
            _ => {}
        }
        let shown_before = self.since.shown_for(&self.before).is_some();
        let lags = self.since.done_lately() || shown_before;
        if lags && (look.is_some() || anothers.is_none()) {
            return Some(self.nothing_sent(Pause::Look));
        }
        let why = match (&look, anothers) {
            (_, Some(another)) => another.why(),
            (Some(look), None) if look.is_empty() && !guess.others => UNPROVEN,
            _ => OTHERS,
        };
        if let Some(look) = look {
            if look.may_be_ours(guess.withdrawn, guess.others) {
                self.remains(self.work.name.clone(), self.title(), why);
            }
            return Some(self.leave_alone(why));
        }
        self.note_absent();
        self.learned.existence = Some(Existence::Absent);
        Some(self.nothing_sent(Pause::None))
    }

    /// Nothing is there that a call of ours has made, or nobody knows that.
    fn leave_alone(&mut self, reason: &str) -> Pause {
        let (group, name) = (&self.work.id, &self.work.name);
        tracing::warn!(%group, name, reason, "a group that a creation without an answer may have made is not deleted");
        self.learned.foreign = Some(reason.to_owned());
        self.learned.existence = Some(Existence::Absent);
        self.nothing_sent(Pause::None)
    }

    /// It is told, until it is gone or asked for.
    pub(in crate::bridge::converge) fn remains(&mut self, name: String, title: String, why: &str) {
        self.learned.remains.push(Remains {
            name,
            title,
            why: why.to_owned(),
        });
    }

    /// Another directory's is never ours. Where groups are made and called as is said
    /// from here, it is their members alone that cannot be written.
    async fn look_into(&mut self, found: &RemoteGroup) -> Result<Look, Pause> {
        let unlisted = self.unlisted.take();
        let look = |whose, named_there| Look {
            whose,
            named: self.named.len(),
            named_there,
        };
        if found.read_only.is_some() && !self.is_given() {
            return Ok(Look {
                named: 1,
                ..look(Whose::Others, 0)
            });
        }
        if found.member_count == Some(0) {
            return Ok(look(Whose::Empty, 0));
        }
        let members = self.upstream.members(&found.name).await;
        let members = members.map_err(|error| pause_after(&error))?;
        if members.is_empty() && found.member_count.is_none() {
            return Ok(look(Whose::Empty, 0));
        }
        if members.is_empty() {
            // Those whom it counts and does not list are in it through other groups, or
            // left between the two, of which one may lag behind (reliability: H-12).
            let since = unlisted.unwrap_or_else(Instant::now);
            self.unlisted = Some(since);
            if since.elapsed() < self.since.read_lag() {
                return Err(Pause::Look);
            }
            return Ok(look(Whose::Others, 0));
        }
        let open = self.work.adds.iter().chain(&self.work.removes);
        let asked_for = Identities::of_principals(open.chain(&self.named));
        let ours = members.iter().all(|member| asked_for.has_member(member));
        let whose = if ours { Whose::Ours } else { Whose::Others };
        let there = Identities::of_members(&members);
        let named_there = self.named.iter().filter(|it| there.has(it)).count();
        Ok(look(whose, named_there))
    }

    /// Some groups, and what a look at each shows.
    pub(in crate::bridge::converge) async fn looks(
        &mut self,
        found: impl Iterator<Item = RemoteGroup> + Send,
    ) -> Result<Vec<(RemoteGroup, Look)>, Pause> {
        let mut looks = Vec::new();
        for group in found {
            let look = self.look_into(&group).await?;
            looks.push((group, look));
        }
        Ok(looks)
    }
}

/// Why what is there is not ours.
pub(in crate::bridge::converge) const OTHERS: &str =
    "the group that is there holds others than those asked for";

/// Why what nobody is in is left where it is.
pub(in crate::bridge::converge) const UNPROVEN: &str = "nobody is in the group that is there, and nothing but its name tells that it was made from \
     here";

/// What is said of it where it may be ours all the same.
const PERHAPS: &str = "has a group of this name already, in which are others than those asked \
    for, and it may be what a creation of before has made, of which no answer came (create the \
    group); have the others taken out there, or ask for them too, and create it again, or have it \
    deleted there";
