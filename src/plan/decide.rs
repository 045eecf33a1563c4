//! The decision: from what differs to the fewest operations that end it.
//!
//! Total and pure; nothing dirty gives an empty plan. Fewest calls first, then
//! fewest bytes. Unknown existence is settled by a read before planning, so
//! here it only means "do the wanted thing again": every operation is safe to
//! repeat.

use std::collections::BTreeMap;

use super::{
    capability::{Act, Capabilities},
    operation::{Loss, Operation, Plan},
    state::{Existence, Given, GroupWork, Naming, Principal, UserWork},
};

/// What to do about one user.
pub fn plan_user(work: &UserWork, can: &Capabilities) -> Plan {
    let mut plan = Plan::default();
    let there = work.observed.existence;
    if !work.wanted.active && can.withdraws() {
        withdraw(work, can, &mut plan);
        return plan;
    }
    if !work.wanted.active {
        if there != Existence::Absent {
            demand(&mut plan, can, Act::DeactivateUser, || {
                Operation::DeactivateUser {
                    principal: work.principal.clone(),
                }
            });
        }
        return plan;
    }
    if there == Existence::Present {
        change_role(work, can, &mut plan);
        change_profile(work, can, &mut plan);
    } else {
        create(work, can, &mut plan);
    }
    plan
}

/// The account stays, and whatever it was given is taken away.
fn withdraw(work: &UserWork, can: &Capabilities, plan: &mut Plan) {
    for group in &work.memberships {
        demand(plan, can, Act::RemoveMembers, || Operation::RemoveMembers {
            group: group.clone(),
            members: vec![work.principal.clone()],
        });
    }
}

fn create(work: &UserWork, can: &Capabilities, plan: &mut Plan) {
    demand(plan, can, Act::CreateUser, || {
        let mut fields = work.wanted.profile.clone();
        fields.extend(work.wanted.creation.clone());
        Operation::CreateUser {
            account: work.principal.account.clone(),
            role: work.wanted.role.clone(),
            fields,
            upstream_id: work.principal.upstream_id.clone(),
        }
    });
    let left_over = work.wanted.carried_by_creation() != work.wanted.profile;
    if !plan.operations.is_empty() && left_over {
        let record = work.observed.record;
        upsert(work, can, plan, work.wanted.profile.clone(), record);
    }
}

fn change_role(work: &UserWork, can: &Capabilities, plan: &mut Plan) {
    let Some(role) = &work.wanted.role else {
        return;
    };
    if work.observed.role.as_ref() != Some(role) {
        demand(plan, can, Act::SetRole, || Operation::SetRole {
            principal: work.principal.clone(),
            role: role.clone(),
        });
    }
}

fn change_profile(work: &UserWork, can: &Capabilities, plan: &mut Plan) {
    let unknown = BTreeMap::new();
    let known = work.observed.profile.as_ref();
    let seen = known.unwrap_or(&unknown);
    let wanted = &work.wanted.profile;
    let cleared = work.observed.to_clear(wanted).into_iter();
    let cleared: Vec<_> = cleared.map(|key| (key.clone(), String::new())).collect();
    let differs = wanted
        .iter()
        .any(|(key, value)| seen.get(key) != Some(value));
    if differs || !cleared.is_empty() {
        let mut fields = wanted.clone();
        fields.extend(cleared);
        upsert(work, can, plan, fields, work.observed.record);
    }
}

fn upsert(
    work: &UserWork,
    can: &Capabilities,
    plan: &mut Plan,
    fields: BTreeMap<String, String>,
    record: bool,
) {
    demand(plan, can, Act::UpdateProfile, || Operation::UpsertProfile {
        account: work.principal.account.clone(),
        fields,
        exists: Some(record),
    });
}

/// What to do about one group.
pub fn plan_group(work: &GroupWork, can: &Capabilities) -> Plan {
    let mut plan = Plan::default();
    if !work.wanted {
        if work.observed == Existence::Absent {
            return plan;
        }
        if !work.kept {
            demand(&mut plan, can, Act::DeleteGroup, || {
                Operation::DeleteGroup {
                    name: work.name.clone(),
                }
            });
        }
        // Should it stay, who leaves does not stay in it.
        remove(work, can, &mut plan, &work.removes);
        return plan;
    }
    if work.observed == Existence::Present {
        if let Naming::Given(Given {
            title,
            renamed: true,
            ..
        }) = &work.naming
        {
            demand(&mut plan, can, Act::RenameGroup, || {
                Operation::RenameGroup {
                    name: work.name.clone(),
                    title: title.clone(),
                }
            });
        }
        change_members(work, can, &mut plan);
    } else {
        let (first, rest) = work.adds.split_at(work.adds.len().min(can.first_members()));
        demand(&mut plan, can, Act::CreateGroup, || {
            Operation::CreateGroup {
                name: match &work.naming {
                    Naming::Rule => work.name.clone(),
                    Naming::Given(given) => given.title.clone(),
                },
                members: first.to_vec(),
            }
        });
        add(work, can, &mut plan, rest);
    }
    plan
}

fn change_members(work: &GroupWork, can: &Capabilities, plan: &mut Plan) {
    if let Some(full) = work
        .full
        .as_ref()
        .filter(|full| saves_calls(work, full, can))
    {
        plan.operations.push(Operation::ReplaceMembers {
            group: work.name.clone(),
            members: full.clone(),
        });
        return;
    }
    // Access that is taken away waits for nothing; who replaces others comes
    // before them, so that the group is not empty in between.
    let (alone, replaced) = work.removes.split_at(work.alone.min(work.removes.len()));
    // A call is filled with others, so that they do not take one more.
    let first = match replaced {
        [] => work.adds.len(),
        _ => work.first.next_multiple_of(can.batch(Act::AddMembers)),
    };
    let (first, others) = work.adds.split_at(first.min(work.adds.len()));
    remove(work, can, plan, alone);
    add(work, can, plan, first);
    remove(work, can, plan, replaced);
    add(work, can, plan, others);
}

/// A replacement needs a look first, at whom else it would take out.
fn saves_calls(work: &GroupWork, full: &[Principal], can: &Capabilities) -> bool {
    let calls = |members: usize, act| members.div_ceil(can.batch(act).max(1));
    can.can(Act::ReplaceMembers)
        && full.len() <= can.batch(Act::ReplaceMembers)
        && calls(work.adds.len(), Act::AddMembers) + calls(work.removes.len(), Act::RemoveMembers)
            > 2
}

fn remove(work: &GroupWork, can: &Capabilities, plan: &mut Plan, members: &[Principal]) {
    for batch in members.chunks(can.batch(Act::RemoveMembers)) {
        demand(plan, can, Act::RemoveMembers, || Operation::RemoveMembers {
            group: work.name.clone(),
            members: batch.to_vec(),
        });
    }
}

fn add(work: &GroupWork, can: &Capabilities, plan: &mut Plan, members: &[Principal]) {
    for batch in members.chunks(can.batch(Act::AddMembers)) {
        demand(plan, can, Act::AddMembers, || Operation::AddMembers {
            group: work.name.clone(),
            members: batch.to_vec(),
        });
    }
}

/// Adds the operation if the application can do it, else the loss with the
/// table's own words.
fn demand(plan: &mut Plan, can: &Capabilities, act: Act, operation: impl FnOnce() -> Operation) {
    if can.can(act) {
        plan.operations.push(operation());
    } else {
        let reason = can
            .of(act)
            .map_or("not documented for this application", |row| &*row.note);
        plan.losses.push(Loss {
            what: format!("{act:?}"),
            reason: reason.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::plan::{
        capability::{Capability, Certainty, Identifier},
        state::{Account, GroupKey, ObservedAccount, UserKey},
    };
    use crate::scim::resource::ResourceId;

    fn able(acts: &[(Act, usize)]) -> Capabilities {
        let row = |&(act, batch): &(Act, usize)| Capability {
            act,
            able: true,
            batch,
            by: Identifier::Name,
            certainty: Certainty::Documented,
            note: "".into(),
        };
        Capabilities {
            application: "test".into(),
            rows: acts.iter().map(row).collect(),
        }
    }

    fn everything() -> Capabilities {
        able(&[
            (Act::CreateUser, 1),
            (Act::DeactivateUser, 1),
            (Act::SetRole, 1),
            (Act::UpdateProfile, 1),
            (Act::CreateGroup, 100),
            (Act::DeleteGroup, 1),
            (Act::AddMembers, 100),
            (Act::RemoveMembers, 100),
            (Act::ReplaceMembers, 100),
        ])
    }

    fn principal(n: u8) -> Principal {
        Principal {
            user: UserKey(n.into()),
            id: ResourceId::from_bytes([n; 16]),
            account: format!("u{n}@example.com"),
            upstream_id: None,
            counts: None,
            given_up: Vec::new(),
            elsewhere: Vec::new(),
            keeps: Vec::new(),
            families: Vec::new(),
            twins: Vec::new(),
            has: false,
            holding: None,
            fallback: None,
        }
    }

    fn user(active: bool, observed: ObservedAccount) -> UserWork {
        let wanted = Account {
            active,
            ..Account::default()
        };
        UserWork {
            principal: principal(1),
            wanted,
            observed,
            deleted: false,
            memberships: Vec::new(),
        }
    }

    fn present() -> ObservedAccount {
        ObservedAccount {
            existence: Existence::Present,
            profile: Some(BTreeMap::new()),
            ..ObservedAccount::default()
        }
    }

    fn group(adds: usize, removes: usize) -> GroupWork {
        let make = |from: usize, n: usize| {
            (from..from + n)
                .map(|i| principal(u8::try_from(i).unwrap()))
                .collect()
        };
        GroupWork {
            group: GroupKey(1),
            id: ResourceId::from_bytes([9; 16]),
            name: "dev".into(),
            naming: Naming::Rule,
            wanted: true,
            kept: false,
            observed: Existence::Present,
            made: false,
            adds: make(0, adds),
            removes: make(100, removes),
            alone: 0,
            first: adds,
            full: None,
        }
    }

    #[test]
    fn nothing_dirty_gives_an_empty_plan() {
        assert_eq!(
            plan_user(&user(true, present()), &everything()),
            Plan::default()
        );
        let gone = user(false, ObservedAccount::default());
        assert_eq!(plan_user(&gone, &everything()), Plan::default());
        assert_eq!(plan_group(&group(0, 0), &everything()), Plan::default());
    }

    #[test]
    fn whose_account_cannot_be_ended_is_taken_out_of_every_group_instead() {
        let can = able(&[(Act::AddMembers, 100), (Act::RemoveMembers, 100)]);
        let work = |active| UserWork {
            memberships: vec!["dev".into(), "ops".into()],
            ..user(active, present())
        };
        let removal = |group: &str| Operation::RemoveMembers {
            group: group.into(),
            members: vec![principal(1)],
        };
        let plan = plan_user(&work(false), &can);
        assert_eq!(plan.operations, [removal("dev"), removal("ops")]);
        assert_eq!(plan.losses, [], "that is all there is to be done");
        assert_eq!(plan_user(&work(true), &can), Plan::default());
        let ended = plan_user(&work(false), &everything());
        let end = Operation::DeactivateUser {
            principal: principal(1),
        };
        assert_eq!(ended.operations, [end]);
    }

    #[test]
    fn a_user_whose_end_is_unknown_is_deactivated_again() {
        let observed = ObservedAccount {
            existence: Existence::Unknown,
            ..present()
        };
        let plan = plan_user(&user(false, observed), &everything());
        assert!(matches!(
            plan.operations[..],
            [Operation::DeactivateUser { .. }]
        ));
    }

    #[test]
    fn where_no_account_can_be_ended_every_membership_is_and_nothing_else() {
        let can = able(&[(Act::AddMembers, 10), (Act::RemoveMembers, 10)]);
        let mut work = user(false, present());
        assert_eq!(plan_user(&work, &can), Plan::default());
        work.memberships = vec!["dev".into(), "ops".into()];
        let plan = plan_user(&work, &can);
        let groups = plan.operations.iter().map(|it| match it {
            Operation::RemoveMembers { group, members } => {
                assert_eq!(members[..], [work.principal.clone()]);
                group.as_str()
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(groups.collect::<Vec<_>>(), ["dev", "ops"]);
        assert!(matches!(
            plan_user(&work, &everything()).operations[..],
            [Operation::DeactivateUser { .. }]
        ));
        assert_eq!(plan_user(&work, &able(&[])).losses.len(), 1);
    }

    #[test]
    fn creation_carries_what_it_can_and_the_profile_the_rest() {
        let mut work = user(true, ObservedAccount::default());
        work.wanted.creation.insert("firstName".into(), "A".into());
        work.wanted.profile.insert("firstName".into(), "A".into());
        assert_eq!(plan_user(&work, &everything()).operations.len(), 1);
        work.wanted.profile.insert("team".into(), "T".into());
        assert_eq!(plan_user(&work, &everything()).operations.len(), 2);
    }

    #[test]
    fn a_cleared_profile_field_is_sent_empty() {
        let mut work = user(true, present());
        work.observed.profile = Some([("team".to_owned(), "T".to_owned())].into());
        let plan = plan_user(&work, &everything());
        let [Operation::UpsertProfile { fields, .. }] = &plan.operations[..] else {
            panic!("{plan:?}")
        };
        assert_eq!(fields.get("team").map(String::as_str), Some(""));
    }

    #[test]
    fn members_go_in_batches_and_adds_before_removes() {
        let can = able(&[(Act::AddMembers, 2), (Act::RemoveMembers, 2)]);
        let plan = plan_group(&group(3, 3), &can);
        assert_eq!(directions(&plan), [true, true, false, false]);
    }

    #[test]
    fn a_new_group_is_one_call_with_its_members() {
        let work = GroupWork {
            observed: Existence::Absent,
            ..group(3, 0)
        };
        let plan = plan_group(&work, &everything());
        assert!(
            matches!(&plan.operations[..], [Operation::CreateGroup { members, .. }] if members.len() == 3)
        );
    }

    #[test]
    fn a_replacement_is_one_call_where_that_saves_some_beside_the_look_before_it() {
        let mut work = group(3, 3);
        work.full = Some(work.adds.clone());
        assert_eq!(plan_group(&work, &everything()).operations.len(), 2);
        let singly = |replaces: bool| {
            let rows = [
                (Act::AddMembers, 1),
                (Act::RemoveMembers, 100),
                (Act::ReplaceMembers, 100),
            ];
            able(&rows[..if replaces { 3 } else { 2 }])
        };
        assert!(matches!(
            plan_group(&work, &singly(true)).operations[..],
            [Operation::ReplaceMembers { .. }]
        ));
        assert_eq!(plan_group(&work, &singly(false)).operations.len(), 4);
        let few = GroupWork {
            full: Some(work.adds[..1].to_vec()),
            ..group(2, 1)
        };
        assert!(matches!(
            plan_group(&few, &singly(true)).operations[..],
            [Operation::ReplaceMembers { .. }]
        ));
    }

    #[test]
    fn additions_of_other_requests_come_after_a_replacement_in_no_more_calls() {
        let directions = |first, batch| {
            let work = GroupWork {
                first,
                ..group(5, 2)
            };
            let can = able(&[(Act::AddMembers, batch), (Act::RemoveMembers, 2)]);
            directions(&plan_group(&work, &can))
        };
        assert_eq!(directions(2, 1), [true, true, false, true, true, true]);
        assert_eq!(directions(1, 2), [true, false, true, true]);
        assert_eq!(directions(2, 2), [true, false, true, true]);
        assert_eq!(directions(3, 2), [true, true, false, true]);
        assert_eq!(directions(1, 9), [true, false]);
    }

    #[test]
    fn a_removal_waits_only_for_the_additions_of_its_own_request() {
        let work = GroupWork {
            alone: 2,
            ..group(1, 3)
        };
        let plan = plan_group(&work, &everything());
        assert_eq!(directions(&plan), [false, true, false]);
        let [Operation::RemoveMembers { members, .. }, ..] = &plan.operations[..] else {
            panic!("{plan:?}")
        };
        assert_eq!(members[..], work.removes[..2]);
    }

    /// Of calls about members: whether each adds.
    fn directions(plan: &Plan) -> Vec<bool> {
        let adds = |it: &Operation| matches!(it, Operation::AddMembers { .. });
        plan.operations.iter().map(adds).collect()
    }

    #[test]
    fn what_the_application_cannot_do_is_a_loss_and_not_a_call() {
        let plan = plan_group(&group(1, 0), &able(&[]));
        assert!(plan.operations.is_empty());
        assert_eq!(plan.losses.len(), 1);
    }

    #[test]
    fn a_role_is_set_where_another_is_wanted_and_only_there() {
        let mut work = user(true, present());
        work.wanted.role = Some("admin".into());
        let plan = plan_user(&work, &everything());
        let [Operation::SetRole { role, .. }] = &plan.operations[..] else {
            panic!("{plan:?}")
        };
        assert_eq!(role, "admin");
        work.observed.role = Some("admin".into());
        assert_eq!(plan_user(&work, &everything()), Plan::default());
        work.wanted.role = None;
        assert_eq!(plan_user(&work, &everything()), Plan::default());
    }

    #[test]
    fn a_profile_that_is_as_wanted_is_left_alone() {
        let mut work = user(true, present());
        let team: BTreeMap<_, _> = [("team".to_owned(), "T".to_owned())].into();
        work.wanted.profile = team.clone();
        work.observed.profile = Some(team);
        assert_eq!(plan_user(&work, &everything()), Plan::default());
        // Empty there and not wanted is the same, too.
        work.wanted.profile.clear();
        work.observed.profile = Some([("team".to_owned(), String::new())].into());
        assert_eq!(plan_user(&work, &everything()), Plan::default());
    }

    #[test]
    fn a_group_that_is_not_wanted_is_deleted_unless_it_is_known_to_be_gone() {
        let unwanted = |observed| GroupWork {
            wanted: false,
            observed,
            ..group(1, 0)
        };
        for observed in [Existence::Present, Existence::Unknown] {
            let plan = plan_group(&unwanted(observed), &everything());
            assert!(matches!(
                plan.operations[..],
                [Operation::DeleteGroup { .. }]
            ));
        }
        let gone = unwanted(Existence::Absent);
        assert_eq!(plan_group(&gone, &everything()), Plan::default());
    }

    #[test]
    fn who_leaves_is_taken_out_of_a_group_that_may_stay_though_it_is_deleted() {
        for (kept, calls) in [(false, 2), (true, 1)] {
            let work = GroupWork {
                wanted: false,
                kept,
                ..group(0, 2)
            };
            let plan = plan_group(&work, &everything());
            assert_eq!(plan.operations.len(), calls);
            assert_eq!(directions(&plan)[calls - 1..], [false]);
        }
    }

    #[test]
    fn a_replacement_that_is_too_large_for_one_call_is_adds_and_removes() {
        let can = able(&[
            (Act::ReplaceMembers, 2),
            (Act::AddMembers, 1),
            (Act::RemoveMembers, 100),
        ]);
        let mut work = group(3, 3);
        work.full = Some(work.adds[..2].to_vec());
        assert_eq!(plan_group(&work, &can).operations.len(), 1);
        work.full = Some(work.adds.clone());
        let plan = plan_group(&work, &can);
        assert_eq!(directions(&plan), [true, true, true, false]);
    }
}
