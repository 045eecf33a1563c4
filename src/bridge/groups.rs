//! Groups: create, replace, patch, delete. Members go as deltas.

use super::{
    Failure, Session, Written, clock,
    held::Asked,
    lane::Settled,
    session::{Deadline, Waiting, known},
};
use crate::{
    plan::capability::{Act, Capabilities, OURS_ONLY},
    scim::{
        bulk::Verb,
        error::{Problem, ScimType},
        patch::{MemberChange, Patch},
        resource::{Attributes, GroupBody, ResourceType::Group, replaced},
    },
    store::{
        Actor, DecideGroup, GroupChange, GroupRow, GroupWritten, KEPT, Lane, Precondition,
        StoredGroup,
    },
};

const TITLE: &str = "displayName";

impl Session {
    /// Creates a Group with its members, one call for both.
    pub async fn create_group(&self, group: GroupBody) -> Result<Written, Failure> {
        let session = self.clone();
        self.whole(async move { session.create_group_whole(group).await })
            .await
    }

    /// The row of a Group to be created, and its members.
    pub(super) fn new_group(&self, group: GroupBody) -> Result<(GroupRow, Vec<String>), Problem> {
        self.demand(Act::CreateGroup)?;
        if group.members.as_ref().is_some_and(|them| !them.is_empty()) {
            self.demand_members()?;
        }
        let name = group.attributes.text("displayName").unwrap_or_default();
        let upstream_name = self.connection.upstream.group_name(name)?;
        let mut attributes = group.attributes;
        self.connection
            .upstream
            .adorn_group(&mut attributes, &upstream_name);
        let row = GroupRow {
            attributes,
            upstream_name,
        };
        Ok((row, group.members.unwrap_or_default()))
    }

    async fn create_group_whole(&self, group: GroupBody) -> Result<Written, Failure> {
        let (row, members) = self.new_group(group)?;
        let skip = self.skips_unknown;
        let (c, id) = (self.connection.key, clock::new_id());
        let written = self
            .bridge
            .store
            .create_group(c, id, row, members, skip, self.actor())
            .await;
        self.settle_group(written.map_err(|e| self.write_failed(e, Group, ""))?)
            .await
    }

    /// Replaces all attributes and, when the body names members, exactly those.
    pub async fn replace_group(
        &self,
        id: &str,
        group: GroupBody,
        when: Precondition,
        body: &[u8],
    ) -> Result<Written, Failure> {
        let session = self.clone();
        let asked = Asked::new(Verb::Replace, Group, id, (body, &when));
        self.judged(asked, move |id| async move {
            session.replace_group_whole(&id, group, when).await
        })
        .await
    }

    async fn replace_group_whole(
        &self,
        id: &str,
        group: GroupBody,
        when: Precondition,
    ) -> Result<Written, Failure> {
        self.change_group(id, when, self.replacing_group(group), true)
            .await
    }

    pub(super) fn replacing_group(&self, group: GroupBody) -> GroupChange {
        let members: Vec<_> = group
            .members
            .map(MemberChange::Replace)
            .into_iter()
            .collect();
        let mut attributes = group.attributes;
        let schemas = self.schemas();
        // The application's to say, so another one in a PUT is left out (RFC 7644 3.5.1):
        // who is to leave does not stay because a group was renamed there.
        let keeps_title = self.connection.upstream.only_shows_titles();
        let decide = self.decide_group(move |stored| {
            let keeps = keeps_title && !stored.unmade;
            if let Some(title) = stored.row.attributes.0.get(TITLE).filter(|_| keeps) {
                attributes.0.insert(TITLE.to_owned(), title.clone());
            }
            replaced(&stored.row.attributes, attributes, Group, &schemas)
        });
        self.changing(members, decide)
    }

    pub async fn patch_group(
        &self,
        id: &str,
        patch: Patch,
        when: Precondition,
        body: &[u8],
    ) -> Result<Written, Failure> {
        let session = self.clone();
        let asked = Asked::new(Verb::Patch, Group, id, (body, &when));
        self.judged(asked, move |id| async move {
            session.patch_group_whole(&id, patch, when).await
        })
        .await
    }

    async fn patch_group_whole(
        &self,
        id: &str,
        patch: Patch,
        when: Precondition,
    ) -> Result<Written, Failure> {
        self.change_group(id, when, self.patching_group(patch), false)
            .await
    }

    pub(super) fn patching_group(&self, mut patch: Patch) -> GroupChange {
        let members = std::mem::take(&mut patch.members);
        let schemas = self.schemas();
        let decide = self.decide_group(move |stored| {
            let mut attributes = stored.row.attributes.clone();
            patch.apply(&mut attributes, &stored.id, Group, &schemas)?;
            Ok(attributes)
        });
        self.changing(members, decide)
    }

    fn changing(&self, members: Vec<MemberChange>, decide: DecideGroup) -> GroupChange {
        GroupChange {
            decide,
            members,
            skip_unknown: self.skips_unknown,
            closed: self.closed_members(),
        }
    }

    /// Why nobody joins or leaves a group, in the table's words, if so.
    fn closed_members(&self) -> Option<String> {
        let can = self.connection.upstream.capabilities();
        let closed = ![Act::AddMembers, Act::RemoveMembers, Act::ReplaceMembers]
            .into_iter()
            .any(|act| can.can(act));
        closed.then(|| can.note(Act::AddMembers).to_owned())
    }

    fn demand_members(&self) -> Result<(), Problem> {
        let Some(reason) = self.closed_members() else {
            return Ok(());
        };
        let detail = format!("a Group cannot be created with members here: {reason}");
        Err(Problem::bad(ScimType::Mutability, detail))
    }

    /// Deletes a Group the bridge made. One that import found is not the
    /// identity provider's to delete (its members can be removed), unless it is gone.
    pub async fn delete_group(&self, id: &str, when: Precondition) -> Result<(), Failure> {
        let session = self.clone();
        let asked = Asked::new(Verb::Delete, Group, id, (&[], &when));
        self.judged(asked, move |id| async move {
            session.delete_group_whole(&id, when).await
        })
        .await
    }

    async fn delete_group_whole(&self, id: &str, when: Precondition) -> Result<(), Failure> {
        let key = known(Group, id)?;
        let until = self.half(self.deadline());
        let others = self.others_in(id, until).await;
        let decide = self.deleting_group();
        let store = &self.bridge.store;
        let written = store
            .delete_group(self.connection.key, key, when, decide, others, self.actor())
            .await;
        self.settle_group(written.map_err(|e| self.write_failed(e, Group, id))?)
            .await
            .map(|_| ())
    }

    pub(super) fn deleting_group(&self) -> DecideGroup {
        let app = self.application().to_owned();
        let able = self.demand(Act::DeleteGroup);
        // Then it is who is in it that cannot be written.
        let can = self.connection.upstream.capabilities();
        let (shown, empties) = (can.only_shows(), can.can(Act::RemoveMembers));
        let rule = ours_only(can, Act::DeleteGroup);
        Box::new(move |stored| {
            // Nothing is sent for what is only left here.
            if stored.gone && !stored.ours {
                return Ok(None);
            }
            able?;
            let reason = stored.read_only.as_ref().filter(|_| !shown);
            if let Some(reason) = reason {
                let detail = format!("this Group cannot be deleted here: {reason}");
                return Err(Problem::bad(ScimType::Mutability, detail));
            }
            if stored.ours {
                return Ok(None);
            }
            let instead = if empties {
                "remove its members instead, or "
            } else {
                ""
            };
            Err(Problem::new(
                403,
                format!(
                    "this Group was found in {app} by import and was not made by this bridge, so it \
                     is not deleted through it; {instead}delete it in {app} ({rule})"
                ),
            ))
        })
    }

    /// Wraps a decision about attributes with what holds for every group.
    fn decide_group(
        &self,
        attributes: impl FnOnce(&StoredGroup) -> Result<Attributes, Problem> + Send + 'static,
    ) -> DecideGroup {
        let upstream = self.connection.upstream.clone();
        Box::new(move |stored| {
            let mut attributes = attributes(stored)?;
            if attributes.text("displayName").is_none_or(str::is_empty) {
                return Err(Problem::bad(
                    ScimType::InvalidValue,
                    "displayName of a Group cannot be empty",
                ));
            }
            let can = upstream.capabilities();
            let title = |of: &Attributes| of.text("displayName").map(str::to_owned);
            if can.can(Act::RenameGroup)
                && !stored.ours
                && title(&attributes) != title(&stored.row.attributes)
            {
                return Err(not_ours_to_rename(can));
            }
            let upstream_name = if stored.unmade {
                let title = attributes.text("displayName").unwrap_or_default();
                upstream.group_name(title)?
            } else {
                stored.row.upstream_name.clone()
            };
            upstream.adorn_group(&mut attributes, &upstream_name);
            let same =
                attributes == stored.row.attributes && upstream_name == stored.row.upstream_name;
            Ok((!same).then_some(GroupRow {
                attributes,
                upstream_name,
            }))
        })
    }

    async fn change_group(
        &self,
        id: &str,
        when: Precondition,
        change: GroupChange,
        put: bool,
    ) -> Result<Written, Failure> {
        let key = known(Group, id)?;
        self.know_members(id, &change.members).await?;
        let store = &self.bridge.store;
        let actor = Actor {
            put,
            ..self.actor()
        };
        let written = store
            .change_group(self.connection.key, key, when, change, actor)
            .await;
        self.settle_group(written.map_err(|e| self.write_failed(e, Group, id))?)
            .await
    }

    async fn settle_group(&self, written: GroupWritten) -> Result<Written, Failure> {
        point!("group.committed");
        let waiting = self.wait_for_group(&written);
        point!("group.awaited");
        self.group_settled(written, waiting, self.deadline()).await
    }

    /// Wakes the lane of a written Group; `None` when there is nothing to do.
    pub(super) fn wait_for_group(&self, written: &GroupWritten) -> Option<Waiting> {
        let (lane, touched) = (Lane::Group(written.key), written.touched.clone());
        let lanes = &self.connection.lanes;
        (written.dirty || !touched.is_empty())
            .then(|| lanes.wait(lane, written.seq, touched, written.dirty))
    }

    /// A creation that is answered with its refusal leaves nothing here. Whoever was
    /// told that a Group is made goes on seeing it, and the status tells of it.
    async fn withdraw(&self, written: &GroupWritten) {
        let creates = written.changed && !written.deleted && written.resource.meta.version == 1;
        if !creates {
            return;
        }
        let store = &self.bridge.store;
        match store
            .withdraw_group(written.key, written.seq, self.actor())
            .await
        {
            Ok(open) => self.connection.lanes.kick_all(open),
            Err(error) => {
                tracing::error!(%error, "a Group that was refused stays here, as refused");
            }
        }
    }

    pub(super) async fn group_settled(
        &self,
        written: GroupWritten,
        waiting: Option<Waiting>,
        until: Deadline,
    ) -> Result<Written, Failure> {
        let mut pending = false;
        if let Some(waiting) = waiting {
            match self.answer(waiting, until).await {
                Some(Settled::Done) => {}
                Some(Settled::Refused {
                    whole: Some(reason),
                    ..
                }) => {
                    self.withdraw(&written).await;
                    return Err(Failure::Problem(group_refused(&reason, &written)));
                }
                Some(Settled::Refused {
                    whole: None,
                    members,
                }) => {
                    let all = written.touched.len() + usize::from(written.dirty);
                    return Err(Failure::Problem(self.members_refused(members, all).await));
                }
                // Who has no account yet is kept, as a staged User is, and
                // nothing that could confirm it is under way.
                Some(Settled::Open) => pending = true,
                None => {
                    pending = true;
                    self.open_is_fine()?;
                }
            }
        }
        pending |= written.staged;
        Ok(Written {
            resource: written.resource,
            changed: written.changed,
            pending,
            skipped: written.skipped,
        })
    }
}

fn not_ours_to_rename(can: &Capabilities) -> Problem {
    let (app, rule) = (&can.application, ours_only(can, Act::RenameGroup));
    let detail = format!(
        "this Group was found in {app} by import and was not made by this bridge, so it is not \
         renamed through it; rename it in {app} ({rule})"
    );
    Problem::bad(ScimType::Mutability, detail)
}

/// The table's reason, where it cannot be done at all.
fn ours_only(can: &Capabilities, act: Act) -> String {
    can.why_not(act).unwrap_or(OURS_ONLY).to_owned()
}

pub(super) fn group_refused(reason: &str, written: &GroupWritten) -> Problem {
    if written.deleted && reason.ends_with(KEPT) {
        let detail = format!(
            "{reason}; the Group is deleted here and stays there until then; every reconciliation \
             that repairs looks again"
        );
        return Problem::new(403, detail);
    }
    if written.deleted {
        let detail = format!(
            "{reason}; the Group is deleted here and still there: take away what keeps it there, or \
             ask the application's administrator; every reconciliation that repairs tries it again"
        );
        return Problem::bad(ScimType::InvalidValue, detail);
    }
    let detail =
        format!("{reason}; choose another displayName or ask the application's administrator");
    if reason.contains("already") {
        Problem::taken(detail)
    } else {
        Problem::bad(ScimType::InvalidValue, detail)
    }
}
