//! What has the name of a group of which it is not known whether it was made: ours, as a
//! creation of which no answer came has made it, or somebody else's. That is looked at,
//! and only what nobody is in but who was asked for is ours: it is not taken over
//! otherwise, and not deleted (reliability: R-04). One in which somebody was put by hand
//! before the look is taken for theirs, too; so is one of an application that puts
//! others into it by itself.

use super::{super::identities::Identities, Pause, Turn, pause_after};
use crate::{
    plan::state::Existence,
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

impl Turn<'_> {
    /// Whether one that is shown is what a creation of which no answer came has made.
    /// It may be one that was deleted here, as long as a call about it can land
    /// (reliability: H-12).
    pub(super) async fn recognize(&mut self, found: RemoteGroup) -> Option<Pause> {
        match self.whose(&found, &self.work.name).await {
            Ok(Whose::Ours | Whose::Empty) => {
                self.is_there();
                None
            }
            Ok(Whose::Others) if self.mistakable => Some(self.nothing_sent(Pause::Look)),
            Ok(Whose::Others) => {
                self.learned.foreign = Some(OTHERS.into());
                self.refuse_creation(&UpstreamError::Exists {
                    reason: OTHERS.into(),
                });
                Some(Pause::None)
            }
            Err(error) => Some(self.nothing_sent(pause_after(&error))),
        }
    }

    /// Looks right before a deletion that has no other ground than such a creation; the
    /// end of the turn where it is not sent. What is shown before a look can be believed
    /// is looked at again, unless it is ours: that is deleted at once (reliability: H-12).
    pub(super) async fn look_for_guess(&mut self) -> Option<Pause> {
        let guess = self.guess.clone()?;
        if let Some(reason) = guess.anothers {
            return Some(self.leave_alone(&reason));
        }
        if self.work.observed != Existence::Unknown {
            // It was found by what it is called, and looked at.
            return None;
        }
        let found = match self.upstream.group(&self.work.name).await {
            Ok(found) => found,
            Err(error) => return Some(self.nothing_sent(pause_after(&error))),
        };
        let whose = match &found {
            Some(found) => match self.whose(found, &self.work.name).await {
                Ok(whose) => Some(whose),
                Err(error) => return Some(self.nothing_sent(pause_after(&error))),
            },
            None => None,
        };
        match whose {
            Some(Whose::Ours) => return None,
            Some(Whose::Empty) if !guess.others => return None,
            _ => {}
        }
        let shown_before = self.since.shown_for(&self.before).is_some();
        if self.since.done_lately() || shown_before {
            return Some(self.nothing_sent(Pause::Look));
        }
        if whose.is_some() {
            return Some(self.leave_alone(OTHERS));
        }
        self.learned.existence = Some(Existence::Absent);
        Some(self.nothing_sent(Pause::None))
    }

    /// Nothing is there that a call of ours has made.
    fn leave_alone(&mut self, reason: &str) -> Pause {
        let (group, name) = (&self.work.id, &self.work.name);
        tracing::warn!(%group, name, reason, "a group that a creation without an answer may have made is not deleted");
        self.learned.foreign = Some(reason.to_owned());
        self.learned.existence = Some(Existence::Absent);
        self.nothing_sent(Pause::None)
    }

    /// Another directory's is never ours. Where groups are made and called as is said
    /// from here, it is their members alone that cannot be written.
    async fn whose(&self, found: &RemoteGroup, name: &str) -> Result<Whose, UpstreamError> {
        if found.read_only.is_some() && !self.is_given() {
            return Ok(Whose::Others);
        }
        if found.member_count == Some(0) {
            return Ok(Whose::Empty);
        }
        let members = self.upstream.members(name).await?;
        let open = self.work.adds.iter().chain(&self.work.removes);
        let asked_for = Identities::of_principals(open.chain(&self.named));
        Ok(if members.is_empty() {
            Whose::Empty
        } else if members.iter().all(|member| asked_for.has_member(member)) {
            Whose::Ours
        } else {
            Whose::Others
        })
    }

    /// The names of those of some groups that may be ours.
    pub(in crate::bridge::converge) async fn perhaps_ours(
        &self,
        found: impl Iterator<Item = RemoteGroup> + Send,
    ) -> Result<Vec<String>, UpstreamError> {
        let mut ours = Vec::new();
        for group in found {
            if self.whose(&group, &group.name).await? != Whose::Others {
                ours.push(group.name);
            }
        }
        Ok(ours)
    }
}

/// Why what is there is not ours.
const OTHERS: &str = "the group that is there holds others than those asked for";
