//! One turn of a user: its account is made, changed or ended. What is not sure
//! is read first; an end that is not sure is sent again.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{
    CLOCKS_APART, Pause, STANDS, Told, is_misdated, pause_after, refusal, taken_over, tell, took,
    word,
};
use crate::{
    plan::{
        capability::Capabilities,
        decide::plan_user,
        operation::Operation,
        state::{Account, Existence, ObservedAccount, Principal, UserWork},
    },
    store::{Took, UserLearned, UserTurn, Withdrawn},
    upstream::{
        MemberOutcome, Millis, Outcome, RemoteUser, Upstream, UpstreamError, is_recalled, noting,
    },
};

/// Works one user turn off. `told`: what was told lately of the user, where
/// groups are of families.
pub(in crate::bridge) async fn user_turn(
    upstream: &dyn Upstream,
    turn: UserTurn,
    told: Option<&mut Told>,
) -> (UserLearned, Pause) {
    let (mut learned, pause) = work_off(upstream, turn).await;
    // Somebody else may have made it, too.
    let found = learned.found || learned.taken_over.is_some();
    learned.linked |= found && upstream.capabilities().withdraws();
    match told {
        Some(told) => {
            let pause = judge_end(&mut learned, told).unwrap_or(pause);
            (learned, pause)
        }
        None => (learned, pause),
    }
}

/// Where groups are of families, the end of an account is the end of every
/// membership: several calls, after looks that may lag.
fn judge_end(learned: &mut UserLearned, told: &mut Told) -> Option<Pause> {
    let ends = |call: &Call| matches!(call.0, Operation::DeactivateUser { .. });
    if !learned.had_nothing && !learned.calls.iter().any(ends) {
        if learned.found {
            // Its end is another thing, of which nothing is known yet.
            told.is_found();
        }
        return None;
    }
    if learned.refused.is_some() {
        // Some of it may have been done. What was, as far as it could be, is put
        // there again when the account comes back.
        told.ended(false);
        learned.recreated = !learned.again;
        learned.may_stand = true;
        return None;
    }
    let observed = learned.observed.as_ref();
    if observed.is_none_or(|it| it.existence != Existence::Absent) {
        // Also when the last of them was not sent.
        learned.settled = false;
        told.ended(false);
        return None;
    }
    // What was given lately, by whomever, may not have been shown yet: once more, then.
    let lag = told
        .gave_lately()
        .max(told.may_have_missed(learned.had_nothing));
    told.ended(lag.is_none());
    let lag = lag?;
    (learned.settled, learned.again) = (false, true);
    Some(Pause::Within(lag))
}

/// What was sent, and how it ended.
type Call = (Operation, String, Took);

async fn work_off(upstream: &dyn Upstream, turn: UserTurn) -> (UserLearned, Pause) {
    let mut work = turn.work;
    let mut learned = UserLearned {
        about: Some(work.principal.account.clone()),
        ..UserLearned::default()
    };
    if let Some(id) = &turn.formerly {
        upstream.recall_account(&work.principal.account, id);
    }
    // By the application's clock.
    let theirs = |ours: Millis| ours - upstream.clock_behind();
    let (since, listed) = (turn.since.map(theirs), turn.listed.map(theirs));
    let mut unread = false;
    // Unknown is the end of an account that was there.
    let was_there = work.observed.existence != Existence::Absent || work.observed.deactivated;
    learned.may_stand = was_there && turn.unsure;
    let withdraws = !work.wanted.active && upstream.capabilities().withdraws();
    if turn.unjudged && was_there {
        return given_since(upstream, &work, learned).await;
    }
    if turn.unsure && was_there && !work.wanted.active && !withdraws {
        // Taking away again costs what a look costs, and believes no read that
        // lags behind.
        work.observed.existence = Existence::Unknown;
    } else if turn.unsure {
        let (found, noted) = noting(upstream.user(&work.principal.account)).await;
        let found = match found {
            Ok(found) => found,
            // A creation that only finds knows whether what could be read is enough, and
            // tells why if it is not.
            Err(_) if upstream.finds_accounts() && work.wanted.active => {
                unread = true;
                None
            }
            Err(error) => {
                learned.left = noted.left;
                return (learned, pause_after(&error));
            }
        };
        // Who is looked for may not be shown yet.
        learned.had_nothing = !was_there && !work.wanted.active && found.is_none();
        if !was_there && let Some(found) = &found {
            if !work.wanted.active {
                learned.taken_over = taken_over::tell(upstream, found, (&work, since));
                let refused = which_is_meant(upstream, found, &work.principal);
                let leaver = found_leaver(found, &work, learned);
                return (refused.unwrap_or(leaver), Pause::None);
            }
            if is_older(found, since, listed) {
                let not_ours = UserLearned {
                    about: learned.about,
                    ..not_ours(upstream.capabilities(), &work)
                };
                return (not_ours, Pause::None);
            }
            learned.taken_over = taken_over::tell(upstream, found, (&work, since));
        }
        let observed = seen(found.as_ref(), &work.observed, was_there);
        // Where an address can be that of several accounts, who is linked stays so.
        let linked = work.principal.upstream_id.is_some() && upstream.has_families();
        learned.upstream_id = found.and_then(|found| found.upstream_id.filter(|_| !linked));
        // It came back by the call whose end was unclear.
        learned.recreated = observed.existence == Existence::Present
            && (work.observed.deactivated || (was_there && upstream.has_families()));
        work.observed = observed;
    }
    if withdraws && work.observed.existence != Existence::Absent {
        learned.observed = Some(work.observed);
        return (withdrawal(turn.withdrawn, learned), Pause::None);
    }
    let returning = work.observed.deactivated;
    if work.wanted.role.is_none() && work.observed.may_have_role {
        work.wanted.role = upstream.plain_role().map(str::to_owned);
    }
    let plan = plan_user(&work, upstream.capabilities());
    tell(&plan);
    let mut observed = work.observed.clone();
    if let (true, Some(loss)) = (plan.operations.is_empty(), plan.losses.first()) {
        // Nothing can be sent, now or later.
        learned.refused = Some(loss.reason.clone());
        learned.settled = true;
        learned.observed = Some(observed);
        return (learned, Pause::None);
    }
    for operation in plan.operations {
        let result = send(upstream, &operation, &mut learned).await;
        let (operation, result) = by_account(upstream, operation, result, &mut learned).await;
        match result {
            Ok(outcome) => {
                learned.had_nothing = is_end_of_nothing(&operation, &outcome);
                learned.linked |= outcome.linked;
                learned.upstream_id = outcome.upstream_id.or(learned.upstream_id);
                note_success(&operation, &work.wanted, &mut observed);
                learned.recreated |= returning && matches!(operation, Operation::CreateUser { .. });
            }
            Err(error) => {
                // Where an end is several calls, one of them may be refused.
                let tells = turn.unsure || !upstream.has_families();
                let error = if tells && gone_already(upstream, &operation, &error).await {
                    UpstreamError::Missing {
                        reason: "deactivated already".into(),
                    }
                } else {
                    error
                };
                let end = user_failure(
                    upstream,
                    &operation,
                    &error,
                    (&work, turn.unsure),
                    &mut observed,
                );
                learned.recreated |= returning
                    && matches!(
                        (&operation, &end),
                        (Operation::CreateUser { .. }, End::AsGood)
                    );
                match end {
                    End::AsGood => {
                        if matches!(operation, Operation::CreateUser { .. }) && !returning {
                            let asked = (&work, turn.since);
                            let found = exists(upstream, &work).await.filter(|_| !was_there);
                            if found
                                .as_ref()
                                .is_some_and(|it| is_older(it, turn.since, turn.listed))
                            {
                                let not_ours = UserLearned {
                                    about: learned.about,
                                    calls: learned.calls,
                                    ..not_ours(upstream.capabilities(), &work)
                                };
                                return (not_ours, Pause::None);
                            }
                            let told = found.and_then(|it| taken_over::tell(upstream, &it, asked));
                            learned.taken_over = Some(told.unwrap_or_default());
                        }
                    }
                    End::Staged => {
                        learned.staged = true;
                        break;
                    }
                    End::Refused(reason) => {
                        learned.refused = Some(reason);
                        // What was done in part is done once more when it is
                        // asked for again.
                        let partly = matches!(error, UpstreamError::Partly { .. });
                        (learned.settled, learned.again) = (!partly, partly);
                        learned.observed = Some(observed);
                        return (learned, Pause::None);
                    }
                    End::Unsent => {
                        learned.settled = !turn.unsure;
                        learned.observed = (!unread).then_some(observed);
                        return (learned, pause_after(&error));
                    }
                    End::Unclear => {
                        learned.observed = Some(observed);
                        return (learned, pause_after(&error));
                    }
                }
            }
        }
    }
    learned.settled = true;
    learned.observed = Some(observed);
    (learned, Pause::None)
}

fn is_end_of_nothing(operation: &Operation, outcome: &Outcome) -> bool {
    let seen = |(_, of): &(_, MemberOutcome)| *of == MemberOutcome::Seen;
    matches!(operation, Operation::DeactivateUser { .. }) && outcome.members.iter().any(seen)
}

/// The end of everything but what a user has of these groups, which wait for a
/// look. Whether that is done, as far as it can be; whatever was done, the end of
/// the whole is open.
pub(in crate::bridge) async fn end_but(
    upstream: &dyn Upstream,
    turn: &UserTurn,
    keeps: &[String],
    learned: &mut UserLearned,
    told: Option<&mut Told>,
) -> bool {
    let principal = Principal {
        keeps: keeps.to_vec(),
        ..turn.work.principal.clone()
    };
    let end = Operation::DeactivateUser { principal };
    let result = send(upstream, &end, learned).await;
    learned.settled = false;
    let mut lately = None;
    if let Some(told) = told {
        // What was given lately may not have been shown yet.
        lately = told.gave_lately();
        told.ended(false);
    }
    let is_done = !matches!(
        result,
        Err(UpstreamError::Later { .. }
            | UpstreamError::Denied { .. }
            | UpstreamError::Unknown { .. })
    );
    is_done && lately.is_none()
}

/// The account cannot be ended. That its memberships are is the work of their
/// groups' lanes, of which is told here when it has come to its end.
fn withdrawal(ended: Option<Withdrawn>, mut learned: UserLearned) -> UserLearned {
    learned.settled = true;
    match ended {
        None => learned.withdraws = true,
        Some(Withdrawn::Whole) => learned.withdrawn = true,
        Some(Withdrawn::Refused(reason)) => {
            learned.withdrawn = true;
            learned.refused = Some(format!("{reason}; {STANDS}"));
        }
    }
    learned
}

/// Memberships were taken away before, so a refusal to end the account leaves the
/// user not as it was.
pub(in crate::bridge) fn note_begun(learned: &mut UserLearned) {
    if let Some(reason) = learned.refused.as_mut().filter(|it| !it.ends_with(STANDS)) {
        *reason = format!("{reason}; {STANDS}");
        learned.withdrawn = true;
    }
}

/// After an unclear end: what is there now. Role and profile are not shown, so
/// they are unknown and will be sent again where they are wanted.
fn seen(found: Option<&RemoteUser>, before: &ObservedAccount, was_there: bool) -> ObservedAccount {
    let mut seen = before.clone();
    if found.is_some() {
        if seen.existence == Existence::Absent {
            seen.forget_role();
        }
        (seen.existence, seen.deactivated) = (Existence::Present, false);
        seen.forget_fields();
    } else {
        (seen.existence, seen.deactivated) = (Existence::Absent, was_there);
    }
    seen
}

/// Whether an account was there before anybody asked us for it, so that the
/// creation of which no answer came cannot have made it (reliability: R-02).
pub(super) fn is_older(found: &RemoteUser, since: Option<Millis>, listed: Option<Millis>) -> bool {
    let both = found.created.zip(since);
    both.is_some_and(|(created, since)| {
        created < since - CLOCKS_APART && !is_misdated(created, since, listed)
    })
}

/// What was not shown before a creation found it: by now it may be, with its age.
async fn exists(upstream: &dyn Upstream, work: &UserWork) -> Option<RemoteUser> {
    if upstream.finds_accounts() {
        return None;
    }
    let found = upstream.user(&work.principal.account).await;
    found.ok().flatten()
}

/// Who must have nothing has an account, whoever made it and when. It is ended by
/// the next turn, which is guarded as the end of any other.
fn found_leaver(found: &RemoteUser, work: &UserWork, learned: UserLearned) -> UserLearned {
    UserLearned {
        observed: Some(seen(Some(found), &work.observed, false)),
        upstream_id: found.upstream_id.clone(),
        found: true,
        settled: true,
        ..learned
    }
}

/// Who is deleted had no account any more, as it was ended before: whatever is there
/// by now was given by hand. Of several accounts the end is that of the linked one.
async fn given_since(
    upstream: &dyn Upstream,
    work: &UserWork,
    learned: UserLearned,
) -> (UserLearned, Pause) {
    let (found, noted) = noting(upstream.user(&work.principal.account)).await;
    let found = match found {
        Ok(found) => found.filter(|found| !found.idle),
        Err(error) => {
            let left = noted.left;
            return (UserLearned { left, ..learned }, pause_after(&error));
        }
    };
    let Some(mut found) = found else {
        let nothing = UserLearned {
            settled: true,
            ..learned
        };
        return (nothing, Pause::None);
    };
    if upstream.has_families() && work.principal.upstream_id.is_some() {
        found.upstream_id = None;
    }
    (found_leaver(&found, work, learned), Pause::None)
}

/// Of several accounts with the address, of which no reading has told yet, none is
/// ended by guess; when one has, all are.
fn which_is_meant(
    upstream: &dyn Upstream,
    found: &RemoteUser,
    who: &Principal,
) -> Option<UserLearned> {
    let are_several = upstream.has_families() && found.upstream_id.is_none();
    (are_several && who.twins.is_empty()).then(|| UserLearned {
        about: Some(who.account.clone()),
        settled: true,
        refused: Some(format!(
            "several accounts have this address in {}, and which of them is nobody else's is \
             only known after the next import",
            upstream.capabilities().application
        )),
        ..UserLearned::default()
    })
}

/// Nothing was made, and nothing is touched.
fn not_ours(can: &Capabilities, work: &UserWork) -> UserLearned {
    let exists = UpstreamError::Exists {
        reason: "the account is older than the request for it".into(),
    };
    UserLearned {
        observed: Some(ObservedAccount {
            existence: Existence::Absent,
            ..work.observed.clone()
        }),
        settled: true,
        refused: Some(refusal(can, "create the account", &exists)),
        ..UserLearned::default()
    }
}

type Sent = Result<Outcome, UpstreamError>;

async fn send(upstream: &dyn Upstream, operation: &Operation, learned: &mut UserLearned) -> Sent {
    let started = Instant::now();
    let (result, noted) = noting(upstream.apply(operation)).await;
    let is_kept_back = is_recalled() && matches!(result, Err(UpstreamError::Later { .. }));
    // A try before it may have been put off by the application.
    if is_kept_back && noted.sent.is_empty() {
        return result;
    }
    let call = (
        operation.clone(),
        word(&result),
        took(started, noted, &result),
    );
    learned.calls.push(call);
    result
}

/// Only the *user* being gone is the end of it (reliability: F-08): an account
/// whose id is not known there any more may have been made anew under another
/// one, and then it is that one's end that was asked for.
async fn by_account(
    upstream: &dyn Upstream,
    mut operation: Operation,
    result: Sent,
    learned: &mut UserLearned,
) -> (Operation, Sent) {
    let (Operation::DeactivateUser { principal }, Err(UpstreamError::Missing { .. })) =
        (&mut operation, &result)
    else {
        return (operation, result);
    };
    let Some(known) = principal.upstream_id.clone() else {
        return (operation, result);
    };
    let found = match upstream.user(&principal.account).await {
        Ok(Some(found)) => found,
        Ok(None) => return (operation, result),
        Err(error) => return (operation, Err(error)),
    };
    let unclear = |reason: &str| {
        Err(UpstreamError::Unknown {
            reason: reason.into(),
        })
    };
    match found.upstream_id {
        Some(id) if id != known => {
            tracing::warn!(user = %principal.id, "an account was made anew with another id and is ended as that");
            principal.upstream_id = Some(id.clone());
            learned.upstream_id = Some(id);
            let result = match send(upstream, &operation, learned).await {
                Err(UpstreamError::Missing { .. }) => unclear("it is shown and not known"),
                result => result,
            };
            (operation, result)
        }
        // A read that lags, or an answer about something else.
        _ => (operation, unclear("it is not known and shown all the same")),
    }
}

/// Whether a deactivation was refused only because it was done before, by an
/// earlier call or by somebody else.
async fn gone_already(
    upstream: &dyn Upstream,
    operation: &Operation,
    error: &UpstreamError,
) -> bool {
    let (Operation::DeactivateUser { principal }, UpstreamError::Rejected { .. }) =
        (operation, error)
    else {
        return false;
    };
    matches!(upstream.user(&principal.account).await, Ok(None))
}

fn note_success(operation: &Operation, wanted: &Account, observed: &mut ObservedAccount) {
    match operation {
        Operation::CreateUser { role, .. } => {
            observed.existence = Existence::Present;
            observed.deactivated = false;
            observed.forget_role();
            observed.role.clone_from(role);
            observed.profile = Some(wanted.carried_by_creation());
        }
        Operation::DeactivateUser { .. } => {
            observed.existence = Existence::Absent;
            observed.deactivated = true;
        }
        Operation::SetRole { role, .. } => observed.role = Some(role.clone()),
        Operation::UpsertProfile { fields, .. } => {
            let kept: BTreeMap<_, _> = fields
                .iter()
                .filter(|(_, v)| !v.is_empty())
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            observed.profile = Some(kept);
            observed.record = true;
        }
        _ => {}
    }
}

/// What a failed user call means for the row.
enum End {
    /// The thing is as wanted all the same.
    AsGood,
    /// It has to appear by itself.
    Staged,
    Refused(String),
    /// Certainly not processed.
    Unsent,
    Unclear,
}

fn user_failure(
    upstream: &dyn Upstream,
    operation: &Operation,
    error: &UpstreamError,
    (work, unsure): (&UserWork, bool),
    observed: &mut ObservedAccount,
) -> End {
    let can = upstream.capabilities();
    match (operation, error) {
        (_, UpstreamError::Later { .. } | UpstreamError::Denied { .. }) => End::Unsent,
        (_, UpstreamError::Unknown { .. }) => End::Unclear,
        (Operation::DeactivateUser { .. }, UpstreamError::Missing { .. }) => {
            note_success(operation, &work.wanted, observed);
            End::AsGood
        }
        // Made by an earlier call of which no answer came, or ours since
        // before it was deactivated and back already.
        (Operation::CreateUser { .. }, UpstreamError::Exists { .. })
            if unsure || work.observed.deactivated =>
        {
            observed.existence = Existence::Present;
            observed.deactivated = false;
            // As that call or somebody else has left them.
            observed.forget_role();
            observed.forget_fields();
            End::AsGood
        }
        (Operation::CreateUser { .. }, UpstreamError::Staged { reason }) => {
            tracing::info!(user = %work.principal.id, reason, "an account is not there yet");
            End::Staged
        }
        (Operation::CreateUser { .. }, _) => {
            End::Refused(refusal(can, "create the account", error))
        }
        (Operation::DeactivateUser { .. }, UpstreamError::Partly { .. }) => {
            note_success(operation, &work.wanted, observed);
            End::Refused(refusal(can, "deactivate the account", error))
        }
        (Operation::DeactivateUser { .. }, _) => {
            End::Refused(refusal(can, "deactivate the account", error))
        }
        (Operation::SetRole { .. }, _) => End::Refused(refusal(can, "set the site role", error)),
        _ => End::Refused(refusal(can, "update the profile", error)),
    }
}
