//! What the last import and the last reconciliation told: whether they came to
//! their end, and what they found and did not put right.

use serde_json::Value;

use super::{
    super::screen::{Screen, Tone, called},
    SHOWN, counts,
};
use crate::bridge::words;

/// So many groups are named where some are told of.
pub(in crate::cli) const NAMED: usize = 5;

/// Whether both could read the application, and found everything as it should be
/// or put it right. The other readings of an application that are to agree before
/// it is believed are still to come.
pub(super) fn are_well(connection: &Value) -> bool {
    let (import, last) = (&connection["lastImport"], &connection["lastReconciliation"]);
    let none = |of: &Value| of.as_u64().unwrap_or(0) == 0;
    import["error"].is_null()
        && connection["reconciliation"]["error"].is_null()
        && none(&import["unread"])
        && none(&import["doubted"])
        && counts(&last["left"]).is_empty()
        && counts(&connection["returned"]).is_empty()
        && none(&last["groups_unread"])
        && none(&last["accounts_held"])
        && none(&last["accounts_protected"])
}

pub(super) fn show(screen: Screen, connection: &Value) {
    show_failed(screen, connection);
    show_import(screen, &connection["lastImport"]);
    show_reconciliation(screen, &connection["lastReconciliation"]);
    show_returned(screen, &connection["returned"]);
}

/// What failed, why, and of when what is known is.
fn show_failed(screen: Screen, connection: &Value) {
    let (import, last) = (&connection["lastImport"], &connection["reconciliation"]);
    let failed = [
        ("import", &import["at"], import),
        ("reconciliation", &last["failed"], last),
    ];
    for (what, at, of) in failed {
        let Some(error) = of["error"].as_str() else {
            continue;
        };
        let good = match of["lastGood"].as_str() {
            Some(good) => format!("the last one that did not was at {good}"),
            None => "there is none since the start that did not".to_owned(),
        };
        let text = format!(
            "the last {what} failed, at {}; {good}: {error}",
            at.as_str().unwrap_or_default()
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
}

fn show_import(screen: Screen, last: &Value) {
    let unknown = last["membersUnknown"].as_u64().unwrap_or(0);
    if unknown > 0 {
        let groups = last["withUnknown"].as_array().into_iter().flatten();
        let named = groups.map(|it| (it["name"].as_str(), it["members"].as_u64()));
        let named = named.map(|(name, count)| (name.unwrap_or_default(), count.unwrap_or(0)));
        let text = members_unknown(unknown, named);
        screen.paragraph(Tone::Plain, "  ", &format!("at the last import: {text}"));
    }
    for (number, what) in [
        (
            "unshown",
            "are not shown: others have names that SCIM does not tell from theirs, or the same address, or they cannot be read, or show nothing that they are known by",
        ),
        (
            "doubted",
            "are not there any more, too many at once to be believed before more imports agree",
        ),
        (
            "unread",
            "groups are here as they were, because their members cannot be read",
        ),
    ] {
        let mut count = last[number].as_u64().unwrap_or(0);
        if number == "unshown" {
            count = count.saturating_sub(unknown);
        }
        if count > 0 {
            let text = format!("at the last import: {count} {what}");
            screen.paragraph(Tone::Bad, "  ", &text);
        }
    }
    let aside = last["leftAside"].as_array().into_iter().flatten();
    for one in aside.take(SHOWN) {
        let text = |key: &str| one[key].as_str().unwrap_or_default();
        let called = (text("name"), text("id"));
        let text = words(text("resourceType"), called, text("reason"));
        screen.paragraph(Tone::Plain, "    ", &format!("left aside: {text}"));
    }
    let unread = last["unreadGroups"].as_array().into_iter().flatten();
    for group in unread.take(SHOWN) {
        let text = |key: &str| group[key].as_str().unwrap_or_default();
        let called = called(text("name"), text("displayName"));
        let text = format!("{called}: {}", text("reason"));
        screen.paragraph(Tone::Bad, "    ", &text);
    }
}

/// So many members are no User, and the groups that have the most of them.
pub(in crate::cli) fn members_unknown<'a>(
    count: u64,
    named: impl Iterator<Item = (&'a str, u64)>,
) -> String {
    let named: Vec<String> = named
        .take(NAMED)
        .map(|(name, members)| format!("{name} ({members})"))
        .collect();
    let text = format!(
        "{count} members are not shown, because the application's list of accounts does not have \
         their accounts"
    );
    match named.is_empty() {
        true => text,
        false => format!("{text}; most in {}", named.join(", ")),
    }
}

fn show_reconciliation(screen: Screen, last: &Value) {
    let missing = counts(&last["left"]);
    if !missing.is_empty() {
        let text = format!(
            "at the last reconciliation these were not there and were not put there again, so \
             people may lack access: {missing}; see drawbridge reconcile"
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
    let number = |key: &str| last[key].as_u64().unwrap_or(0);
    if number("groups_unread") > 0 {
        let text = format!(
            "at the last reconciliation {} groups could not be read, so nobody knows how they \
             stand; see drawbridge reconcile",
            number("groups_unread")
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
    if number("unasked") > 0 {
        let text = format!(
            "at the last reconciliation {} members were there that nobody asked for; they are \
             not touched; see drawbridge reconcile",
            number("unasked")
        );
        screen.paragraph(Tone::Plain, "  ", &text);
    }
    if number("groups_left_out") > 0 {
        let text = format!(
            "{} Groups are left out of the configuration, and are given to nobody; {} memberships \
             are asked for in them",
            number("groups_left_out"),
            number("asked_in_left_out")
        );
        screen.paragraph(Tone::Plain, "  ", &text);
    }
    let back = number("accounts_held") + number("accounts_protected");
    if back > 0 {
        let text = format!(
            "at the last reconciliation {back} accounts that were ended were there again and \
             were left so; see drawbridge reconcile"
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
}

/// What one of the last readings showed.
fn show_returned(screen: Screen, returned: &Value) {
    for (key, what) in [
        (
            "memberships",
            "memberships are there, though they were taken away here: somebody gave them back in \
             the application, or it said that they were gone and kept them",
        ),
        (
            "users",
            "accounts are in use whose Users were deleted here: somebody gave them back in the \
             application, or it said that they were ended and kept them",
        ),
        (
            "groups",
            "Groups are there that were deleted here: somebody made them anew in the application, \
             or it said that they were gone and kept them",
        ),
    ] {
        let count = returned[key].as_u64().unwrap_or(0);
        if count > 0 {
            let text = format!(
                "{count} {what}; take that away there, or ask for it here; see drawbridge reconcile"
            );
            screen.paragraph(Tone::Bad, "  ", &text);
        }
    }
}
