//! Groups out of which a bulk request takes somebody: as in a single request they are
//! read first where Users may be in them of whom that is not known (see
//! [`linked`](super::super::linked)). Nothing may be asked of the application within a
//! transaction.

use super::{Units, Work};
use crate::{
    bridge::{Failure, Session},
    scim::{
        bulk::{Act, Verb},
        patch::{self, MemberChange},
        resource::{ResourceType::Group, group_from_json},
    },
};

impl Work<'_> {
    pub(super) async fn know_members(&mut self, part: &Units) {
        for place in part.iter().flatten() {
            let Some(Ok(act)) = self.operations.get(*place).map(|it| &it.act) else {
                continue;
            };
            let changes = self.session.member_changes(act);
            if let Err(failure) = self.session.know_members(&act.id, &changes).await {
                self.unknown.insert(*place, failure);
            }
        }
    }

    /// Why an operation is not written, of which it is not known whom it takes out.
    pub(super) fn unless_unknown(&mut self, place: usize, why: Failure) -> Failure {
        self.unknown.remove(&place).unwrap_or(why)
    }
}

impl Session {
    /// None of what is refused as it is.
    fn member_changes(&self, act: &Act) -> Vec<MemberChange> {
        let (schemas, limits) = (self.schemas(), &self.policy().limits);
        let text = || act.data.to_string();
        match (act.of, act.verb) {
            (Group, Verb::Replace) => {
                let group = group_from_json(text().as_bytes(), &schemas, limits);
                let members = group.ok().and_then(|group| group.taken.members);
                members.map(MemberChange::Replace).into_iter().collect()
            }
            (Group, Verb::Patch) => {
                let patch = patch::parse(text().as_bytes(), Group, &schemas, limits);
                patch.map(|patch| patch.taken.members).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}
