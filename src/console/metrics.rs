//! The same numbers as the status document, for Prometheus (text format
//! 0.0.4). Names end in their unit; labels are names from the configuration
//! only.

use std::fmt::Write;

use actix_web::HttpResponse;

use super::{
    Entered, broken,
    status::{DIFFERS, UNREAD, UNREADABLE, state},
};
use crate::{
    bridge::{ConnectionStatus, Status},
    store::{Imported, Millis},
};

pub(super) async fn show(operator: Entered) -> HttpResponse {
    match operator.0.status().await {
        Ok(status) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(text(&status)),
        Err(error) => broken(&error),
    }
}

/// One metric of a connection.
struct Row {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: Read,
}

const ROWS: [Row; 55] = [
    gauge("users", "Live users.", |c| c.counts.users),
    gauge("groups", "Live groups.", |c| c.counts.groups),
    gauge("memberships", "Members of all groups.", |c| {
        c.counts.memberships
    }),
    gauge(
        "pending_users",
        "Users that the application does not have as asked yet.",
        |c| c.counts.pending_users,
    ),
    gauge(
        "pending_groups",
        "Groups still to be created or deleted there.",
        |c| c.counts.pending_groups,
    ),
    gauge(
        "pending_memberships",
        "Memberships that the application does not have as asked yet.",
        |c| c.counts.pending_memberships,
    ),
    gauge(
        "unsettled_users",
        "Users of whom a call got no answer and may still take effect.",
        |c| c.counts.unsettled.users,
    ),
    gauge(
        "unsettled_groups",
        "Groups of which a call got no answer and may still take effect.",
        |c| c.counts.unsettled.groups,
    ),
    gauge(
        "unsettled_memberships",
        "Memberships of which a call got no answer and may still take effect.",
        |c| c.counts.unsettled.memberships,
    ),
    gauge(
        "as_asked_users",
        "Users that the application has as asked, and has not, where they are to go.",
        |c| c.users_as_asked().done,
    ),
    gauge(
        "asked_users",
        "Of so many: live ones, and those that are to go.",
        |c| c.users_as_asked().all,
    ),
    gauge(
        "as_asked_memberships",
        "Memberships that the application has as asked.",
        |c| c.memberships_as_asked().done,
    ),
    gauge(
        "asked_memberships",
        "Of so many: members of all groups, and those that are to go.",
        |c| c.memberships_as_asked().all,
    ),
    gauge(
        "oldest_revocation_seconds",
        "For how long something is open that takes access away; 0 without.",
        |c| c.revocation_open.map_or(0, |open| open.as_secs()),
    ),
    gauge(
        "refused_users",
        "Accounts that the application refused for good.",
        |c| c.counts.refused_users,
    ),
    gauge(
        "refused_groups",
        "Groups that the application refused for good.",
        |c| c.counts.refused_groups,
    ),
    gauge(
        "refused_memberships",
        "Memberships that the application refused, until they are asked for again.",
        |c| c.counts.refused_memberships,
    ),
    gauge(
        "staged_users",
        "Users whose account is not there yet and has to appear by itself.",
        |c| c.counts.staged_users,
    ),
    gauge(
        "same_address",
        "Users whose address other accounts of the application have, a hundred at most.",
        |c| c.twins.iter().filter(|it| it.user.is_some()).count() as u64,
    ),
    gauge(
        "several_memberships",
        "Users whom the application shows with several groups that exclude each other.",
        |c| c.condition.several.len() as u64,
    ),
    gauge(
        "waiting",
        "What waits for something that is not done here, a hundred at most.",
        |c| c.waiting.len() as u64,
    ),
    gauge(
        "failing",
        "Users and groups whose calls fail again and again, a hundred at most.",
        |c| c.failing.len() as u64,
    ),
    gauge(
        "managed_elsewhere",
        "Users and groups that another connection manages, a hundred at most.",
        |c| c.elsewhere.len() as u64,
    ),
    gauge(
        "left_alone",
        "Groups that may have been made from here and are left alone, a hundred at most.",
        |c| c.left_alone.len() as u64,
    ),
    gauge("held", "Requests that wait for an operator.", |c| {
        c.counts.held
    }),
    gauge(
        "recovery",
        "1 while nothing is removed from groups without an operator.",
        |c| c.recovery.is_some().into(),
    ),
    gauge(
        "unseen",
        "1 while nobody is taken out of a group before a first look at the application.",
        |c| c.unseen.into(),
    ),
    gauge(
        "never_read",
        "1 until the first import of a new store has come to its end.",
        |c| c.never_read.into(),
    ),
    gauge(
        "import_failed",
        "1 while the last import failed; it is tried again.",
        |c| {
            c.last_import
                .as_ref()
                .is_some_and(|last| last.result.is_err())
                .into()
        },
    ),
    gauge(
        "last_import_time_seconds",
        "When the last import ended that did not fail, since 1970; 0 without one since the start.",
        |c| seconds(c.last_import.as_ref().and_then(|last| last.good)),
    ),
    gauge(
        "import_unread",
        "Groups whose members the last import could not read; they are here as they were.",
        |c| imported(c, |seen| seen.unread),
    ),
    gauge(
        "import_unshown",
        "Users, groups and members that the last import could not show: others have names that compare equal, or their accounts are on no list.",
        |c| imported(c, |seen| seen.unshown),
    ),
    gauge(
        "import_doubted",
        "What the last import did not find and did not believe to be gone.",
        |c| imported(c, |seen| seen.doubted),
    ),
    gauge(
        "drift_accounts",
        "Accounts that the last reconciliation did not find.",
        |c| c.left().accounts,
    ),
    gauge(
        "drift_accounts_back",
        "Accounts that were ended, are back, and were not ended again.",
        |c| c.left().back,
    ),
    gauge(
        "drift_groups",
        "Groups that the last reconciliation did not find.",
        |c| c.left().groups,
    ),
    gauge(
        "drift_memberships",
        "Memberships that the last reconciliation did not find and did not put there again.",
        |c| c.left().memberships,
    ),
    gauge(
        "drift_unasked",
        "Members that the last reconciliation found and nobody asked for.",
        |c| c.drifted.as_ref().map_or(0, |last| last.unasked),
    ),
    gauge(
        "drift_given_back",
        "Of those, such as are there although they were taken away here.",
        ConnectionStatus::given_back,
    ),
    gauge(
        "users_returned",
        "Users that were deleted here and whose accounts are in use, by the last reading.",
        |c| c.returned().users,
    ),
    gauge(
        "groups_returned",
        "Groups that were deleted here and are there, by the last reading.",
        |c| c.returned().groups,
    ),
    gauge(
        "reconciliation_failed",
        "1 while the last reconciliation since the start failed.",
        |c| c.unreconciled.is_some().into(),
    ),
    gauge(
        "last_reconciliation_time_seconds",
        "When the last reconciliation ended that did not fail, since 1970; 0 without one.",
        |c| seconds(c.reconciled),
    ),
    gauge("paused", "1 while the kill switch stops all writes.", |c| {
        c.paused.into()
    }),
    gauge(
        "application_well",
        "1 while the application answers and takes our credential.",
        |c| {
            u64::from(matches!(
                state(c),
                "well" | "paused" | DIFFERS | UNREAD | UNREADABLE
            ))
        },
    ),
    gauge(
        "credential_unreadable",
        "1 while the application's token cannot be read; what was read before is in use.",
        |c| c.condition.credential.is_some().into(),
    ),
    gauge(
        "application_limit_per_second",
        "The pace that is kept.",
        |c| c.condition.per_second.into(),
    ),
    gauge(
        "application_limit_per_minute",
        "Calls that any minute may have beside that; 0 without such a limit.",
        |c| c.condition.per_minute.unwrap_or(0).into(),
    ),
    gauge(
        "application_silent_seconds",
        "For how long the application asked for silence still; 0 without.",
        |c| {
            c.condition.silent_for.map_or(0, |left| {
                left.as_millis()
                    .div_ceil(1_000)
                    .try_into()
                    .unwrap_or(u64::MAX)
            })
        },
    ),
    counter("application_calls_total", "Calls sent.", |c| {
        c.condition.calls
    }),
    counter(
        "application_throttled_total",
        "Calls answered 429 or 503.",
        |c| c.condition.throttled,
    ),
    counter(
        "application_unanswered_total",
        "Calls without an answer.",
        |c| c.condition.unanswered,
    ),
    gauge(
        "request_budget_per_second",
        "Requests a second that the connection may send; revocations have twice as many.",
        |c| c.request_budget.into(),
    ),
    counter(
        "requests_refused_total",
        "Requests beyond that, answered 429.",
        |c| c.requests_refused,
    ),
    counter(
        "dropped_attributes_total",
        "Attributes that no schema knows, left out.",
        |c| c.dropped_attributes,
    ),
];

type Read = fn(&ConnectionStatus) -> u64;

/// A number of the last import, if it was one.
fn imported(of: &ConnectionStatus, number: fn(&Imported) -> u64) -> u64 {
    let last = of.last_import.as_ref();
    let seen = last.and_then(|last| last.result.as_ref().ok());
    seen.map_or(0, number)
}

fn seconds(at: Option<Millis>) -> u64 {
    u64::try_from(at.unwrap_or(0) / 1_000).unwrap_or(0)
}

const fn gauge(name: &'static str, help: &'static str, value: Read) -> Row {
    row("gauge", name, help, value)
}

const fn counter(name: &'static str, help: &'static str, value: Read) -> Row {
    row("counter", name, help, value)
}

const fn row(kind: &'static str, name: &'static str, help: &'static str, value: Read) -> Row {
    Row {
        name,
        kind,
        help,
        value,
    }
}

fn text(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# HELP drawbridge_ready 1 while the store takes writes.\n\
         # TYPE drawbridge_ready gauge\n\
         drawbridge_ready {}\n\
         # HELP drawbridge_start_time_seconds When the process started, since 1970.\n\
         # TYPE drawbridge_start_time_seconds gauge\n\
         drawbridge_start_time_seconds {}",
        u8::from(status.ready),
        status.started / 1_000,
    );
    for row in &ROWS {
        let Row {
            name,
            kind,
            help,
            value,
        } = row;
        let _ = writeln!(
            text,
            "# HELP drawbridge_{name} {help}\n# TYPE drawbridge_{name} {kind}"
        );
        for connection in &status.connections {
            let _ = writeln!(
                text,
                "drawbridge_{name}{{connection=\"{}\"}} {}",
                connection.name,
                value(connection)
            );
        }
    }
    text
}
