//! What the last import and the last reconciliation told: whether they came to
//! their end, and what they found and did not put right.

use serde_json::Value;

use super::{
    super::screen::{Screen, Tone},
    SHOWN, counts,
};

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
    for (number, what) in [
        (
            "unshown",
            "are not shown: others have names that SCIM does not tell from theirs, or the same address, or they cannot be read",
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
        let count = last[number].as_u64().unwrap_or(0);
        if count > 0 {
            let text = format!("at the last import: {count} {what}");
            screen.paragraph(Tone::Bad, "  ", &text);
        }
    }
    let unread = last["unreadGroups"].as_array().into_iter().flatten();
    for group in unread.take(SHOWN) {
        let text = |key: &str| group[key].as_str().unwrap_or_default();
        let text = format!("{}: {}", text("name"), text("reason"));
        screen.paragraph(Tone::Bad, "    ", &text);
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
