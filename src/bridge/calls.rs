//! The single calls that a turn of a group would make now, in words, where its
//! users have one of several groups: what a pair comes to follows from what else
//! is asked for, and from what the user is known to have. Nothing is asked of the
//! application, which is looked at before anything is taken away.

use crate::{
    plan::{operation::Operation, state::Principal},
    store::{GroupTurn, Seat, Store, StoreError},
    upstream::Upstream,
};

pub(super) async fn of(
    store: &dyn Store,
    upstream: &dyn Upstream,
    turn: &GroupTurn,
) -> Result<Vec<String>, StoreError> {
    let mut calls = Vec::new();
    if turn.family.is_none() {
        return Ok(calls);
    }
    let work = &turn.work;
    let removes = work.removes.iter().map(|member| (member, false));
    let adds = work.adds.iter().map(|member| (member, true));
    for (member, wanted) in removes.chain(adds) {
        let counting = store.counting(work.group, member.user, wanted).await?;
        // Not to be sent now.
        let Some(counting) = counting.filter(|it| it.seat == Seat::Free) else {
            continue;
        };
        let counting = counting.without_found(|name| upstream.is_made_anew(&work.name, name));
        let counting = counting.offered(|name| upstream.offers(name));
        let members = vec![Principal {
            counts: counting.counts.map(|it| it.name),
            given_up: counting.given_up,
            fallback: counting.fallback,
            ..member.clone()
        }];
        let group = work.name.clone();
        let operation = if wanted {
            Operation::AddMembers { group, members }
        } else {
            Operation::RemoveMembers { group, members }
        };
        let has = store.known_alternative(work.group, member.user).await?;
        calls.extend(upstream.call(&operation, has.as_deref()));
    }
    Ok(calls)
}
