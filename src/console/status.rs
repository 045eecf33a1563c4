//! The status document: everything that is not as the identity providers were
//! told, by connection. Numbers and names of connections only, no personal
//! data.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::{Entered, broken, reconcile, time};
use crate::{
    bridge::{AsAsked, ConnectionStatus, LastRead, Status},
    store::{NotOffered, Returned, Seat},
};

pub(super) async fn show(operator: Entered) -> HttpResponse {
    match operator.0.status().await {
        Ok(status) => HttpResponse::Ok().json(document(&status)),
        Err(error) => broken(&error),
    }
}

fn not_offered(it: &NotOffered) -> Value {
    json!({ "group": it.group.to_string(), "name": it.name, "memberships": it.asked })
}

fn document(status: &Status) -> Value {
    let connections: Vec<Value> = status.connections.iter().map(connection).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "at": time(status.at),
        "started": time(status.started),
        "ready": status.ready,
        "lostRecord": status.lost_record,
        "everythingPaused": status.everything_paused,
        "pausedUnknown": status.paused_unknown,
        "connections": connections,
    })
}

fn connection(of: &ConnectionStatus) -> Value {
    let (counts, condition) = (&of.counts, &of.condition);
    json!({
        "name": of.name,
        "paused": of.paused,
        "application": {
            "name": of.application,
            "state": state(of),
            "credential": condition.credential,
            "silentForSeconds": condition.silent_for.map(|left| left.as_secs()),
            "requestsPerSecond": condition.per_second,
            "requestsPerMinute": condition.per_minute,
            "calls": condition.calls,
            "throttled": condition.throttled,
            "unanswered": condition.unanswered,
        },
        "users": counts.users,
        "groups": counts.groups,
        "memberships": counts.memberships,
        "pending": {
            "users": counts.pending_users,
            "groups": counts.pending_groups,
            "memberships": counts.pending_memberships,
        },
        "unsettled": {
            "users": counts.unsettled.users,
            "groups": counts.unsettled.groups,
            "memberships": counts.unsettled.memberships,
        },
        "asAsked": {
            "users": as_asked(of.users_as_asked()),
            "memberships": as_asked(of.memberships_as_asked()),
        },
        "pendingTakesAtLeastSeconds": of.seconds_left(),
        "oldestRevocationSeconds": of.revocation_open.map(|open| open.as_secs()),
        "refused": {
            "users": counts.refused_users,
            "groups": counts.refused_groups,
            "memberships": counts.refused_memberships,
        },
        "staged": { "users": counts.staged_users },
        "refusedMemberships": of.refused.iter().map(|refused| json!({
            "group": refused.group.to_string(),
            "user": refused.user.to_string(),
            "asked": if refused.wanted { "add" } else { "remove" },
            "at": time(refused.at),
            "reason": refused.reason,
        })).collect::<Vec<_>>(),
        "refusedResources": of.refused_resources.iter().map(|refused| json!({
            "resourceType": refused.of.name(),
            "id": refused.id.to_string(),
            "asked": refused.asked.as_str(),
            "at": time(refused.at),
            "reason": refused.reason,
        })).collect::<Vec<_>>(),
        "waiting": of.waiting.iter().map(|waits| json!({
            "user": waits.user.map(|user| user.to_string()),
            "group": waits.group.map(|group| group.to_string()),
            "asked": waits.group.map(|_| if waits.wanted { "add" } else { "remove" }),
            "reason": waits.reason,
        })).collect::<Vec<_>>(),
        "failing": of.failing.iter().map(|failing| json!({
            "resourceType": failing.of.name(),
            "id": failing.id.to_string(),
            "tries": failing.tries,
            "reason": failing.reason,
        })).collect::<Vec<_>>(),
        "sameAddress": of.twins.iter().map(|twins| json!({
            "user": twins.user.map(|user| user.to_string()),
            "ended": twins.ended,
            "accounts": twins.accounts,
        })).collect::<Vec<_>>(),
        "severalMemberships": of.several.iter().map(|it| json!({
            "user": it.user.map(|user| user.to_string()),
            "account": it.account,
            "of": it.of,
        })).collect::<Vec<_>>(),
        "managedElsewhere": of.elsewhere.iter().map(|it| json!({
            "resourceType": it.of.name(),
            "id": it.id.to_string(),
            "by": it.by,
        })).collect::<Vec<_>>(),
        "askedForElsewhere": of.places.iter().map(|it| json!({
            "group": it.group.to_string(),
            "user": it.user.to_string(),
            "by": it.by,
            "letsGo": it.seat == Seat::Leaving,
        })).collect::<Vec<_>>(),
        "notOffered": of.not_offered.iter().map(not_offered).collect::<Vec<_>>(),
        "replaced": of.replaced.iter().map(not_offered).collect::<Vec<_>>(),
        "otherAddress": of.other_address.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "leftAlone": of.left_alone.iter().map(|it| json!({
            "group": it.group.to_string(),
            "name": it.title,
            "at": time(it.at),
            "reason": it.why,
        })).collect::<Vec<_>>(),
        "held": counts.held,
        "recovery": of.recovery.map(|recovery| json!({
            "why": recovery.why.to_string(),
            "since": time(recovery.since),
        })),
        "unseen": of.unseen,
        "neverRead": of.never_read,
        "droppedAttributes": of.dropped_attributes,
        "requests": {
            "budgetPerSecond": of.request_budget,
            "refused": of.requests_refused,
        },
        "reconciliation": {
            "failed": of.unreconciled.as_ref().map(|(at, _)| time(*at)),
            "error": of.unreconciled.as_ref().map(|(_, error)| error),
            "lastGood": of.reconciled.map(time),
        },
        "returned": returned(of.returned()),
        "lastReconciliation": of.drifted.as_ref().map(reconcile::found),
        "lastImport": of.last_import.as_ref().map(|last| {
            last_import(last, of)
        }),
    })
}

/// What it saw is told where it came to its end.
fn last_import(last: &LastRead, of: &ConnectionStatus) -> Value {
    let seen = last.result.as_ref().ok();
    let unread: Vec<_> = of
        .unread_groups
        .iter()
        .map(|group| {
            let reason = group.error.to_string();
            json!({ "name": group.name, "displayName": group.shown_as, "reason": reason })
        })
        .collect();
    json!({
        "at": time(last.at),
        "users": seen.map(|seen| seen.users_seen),
        "groups": seen.map(|seen| seen.groups_seen),
        "unshown": seen.map(|seen| seen.unshown),
        "membersUnknown": seen.map(|seen| seen.members_unknown),
        "leftAside": seen.map(|_| of.left_aside.iter().map(|it| json!({
            "resourceType": it.of.name(),
            "id": it.id,
            "name": it.name,
            "reason": it.why,
        })).collect::<Vec<_>>()),
        "withUnknown": of.with_unknown.iter().map(|it| json!({
            "group": it.group.to_string(),
            "name": it.name,
            "members": it.members,
        })).collect::<Vec<_>>(),
        "doubted": seen.map(|seen| seen.doubted),
        "unread": seen.map(|seen| seen.unread),
        "unreadGroups": seen.map(|_| unread),
        "several": seen.map(|seen| seen.several),
        "returned": seen.map(|seen| returned(seen.returned)),
        "error": last.result.as_ref().err(),
        "lastGood": last.good.map(time),
    })
}

fn returned(of: Returned) -> Value {
    json!({ "users": of.users, "groups": of.groups, "memberships": of.memberships })
}

fn as_asked(of: AsAsked) -> Value {
    json!({ "done": of.done, "all": of.all })
}

/// It answers, and does not have everything that it should have, or has more.
pub(super) const DIFFERS: &str = "differs";

/// It answers, and the last import or reconciliation failed all the same.
pub(super) const UNREAD: &str = "cannot be read";

/// It answers still, to what was read of the credential before.
pub(super) const UNREADABLE: &str = "credential unreadable";

/// How it goes with the application, in a word or two.
pub(super) fn state(of: &ConnectionStatus) -> &'static str {
    let condition = &of.condition;
    match () {
        () if of.paused => "paused",
        () if condition.refused => "refuses the credential",
        () if condition.unreachable => "unreachable",
        () if condition.credential.is_some() => UNREADABLE,
        () if condition.silent_for.is_some() => "asked for silence",
        () if of.is_unread() => UNREAD,
        () if of.left().is_nothing() && of.returned().is_nothing() => "well",
        () => DIFFERS,
    }
}
